//! Whom the payload runs as.

use super::request::{Mode, Request};
use crate::caps::CapSet;
use crate::error::{Error, Kind, Result};
use crate::facts::{Account, ImageFacts};

/// Whether a user is root by name or number.
pub(crate) fn is_root(user: &str) -> bool {
    matches!(user, "root" | "0")
}

/// The user that was asked for, if it is not root.
pub(super) fn account(request: &Request, image: &ImageFacts) -> Result<Option<Account>> {
    let Some(name) = &request.user else {
        return Ok(None);
    };
    if let Mode::Boot { .. } = request.mode {
        if is_root(name) {
            return Ok(None);
        }
        let what = "a system is booted by root: --user is for a command";
        return Err(Error::new(Kind::Usage, what).hint("nsrun run IMAGE --user=NAME -- COMMAND"));
    }
    let found = image.account.clone().ok_or_else(|| {
        let name = name.escape_debug();
        let root = request.root.display();
        Error::new(
            Kind::NotFound,
            format!("there is no user '{name}' in {root}"),
        )
        .hint("its /etc/passwd is what counts")
    })?;
    Ok((found.uid != 0).then_some(found))
}

/// The ambient set, which must be within the bounding set, and is nothing for a system.
pub(super) fn ambient(request: &Request, bounding: CapSet) -> Result<CapSet> {
    let ambient = request.ambient_capabilities;
    if ambient == CapSet::default() {
        return Ok(ambient);
    }
    if let Mode::Boot { .. } = request.mode {
        let what = "a system sets its ambient capabilities itself: leave --ambient-capability out";
        return Err(Error::new(Kind::Usage, what));
    }
    let missing = CapSet::from_mask(ambient.mask() & !bounding.mask());
    if missing != CapSet::default() {
        let what = format!("ambient capabilities {missing} are not within the machine's");
        return Err(Error::new(Kind::Usage, what).hint("add them with --capability, too"));
    }
    Ok(ambient)
}
