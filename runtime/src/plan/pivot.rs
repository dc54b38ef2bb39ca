//! `--pivot-root=`: another directory of the image as the machine's root, as OSTree's images have it.

use std::fmt;
use std::str::FromStr;

use super::mounts::{self, Mount, Source, What};
use super::request::{Changes, Request, Volatile};
use crate::error::{Error, Kind, Result};
use crate::ownership::Ownership;

/// `NEW[:OLD]`: the root directory, and where the image's top is seen in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PivotRoot {
    /// Absolute path in the image.
    pub new: String,
    /// Absolute path in the machine.
    pub old: Option<String>,
}

impl FromStr for PivotRoot {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = mounts::fields(text).into_iter();
        let (new, old) = (parts.next().unwrap_or_default(), parts.next());
        if parts.next().is_some() {
            let text = text.escape_debug();
            let what = format!("invalid roots '{text}': expected NEW[:OLD]");
            return Err(Error::new(Kind::Usage, what));
        }
        let new = mounts::inside(&new)?;
        let old = old.as_deref().map(mounts::inside).transpose()?;
        if new == "/" {
            let what = "invalid root '/': the machine's root is that already";
            return Err(Error::new(Kind::Usage, what));
        }
        Ok(Self { new, old })
    }
}

impl fmt::Display for PivotRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.new.escape_debug())?;
        match &self.old {
            Some(old) => write!(f, ":{}", old.escape_debug()),
            None => Ok(()),
        }
    }
}

/// The image's top at its place in the machine; nothing can be changed through it if the machine's
/// changes are not to reach the image.
pub(super) fn mount(request: &Request) -> Option<Mount> {
    let pivot = request.pivot_root.as_ref()?;
    let kept = request.changes == Changes::Kept && request.volatile == Volatile::No;
    Some(Mount {
        target: pivot.old.clone()?,
        read_only: request.read_only || !kept,
        what: What::Bind {
            source: Source::Top,
            recursive: true,
            ids: mounts::Ids::Same,
        },
        spelling: format!("--pivot-root={pivot}"),
    })
}

/// What cannot be asked for together.
pub(super) fn check(request: &Request) -> Result<()> {
    let Some(pivot) = &request.pivot_root else {
        return Ok(());
    };
    if request.ownership == Ownership::Chown {
        let what = format!(
            "cannot use --pivot-root={pivot}: --private-users-ownership=chown changes a whole image"
        );
        return Err(Error::new(Kind::Usage, what).hint("change the owners by a start without it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_absolute_and_not_the_top() {
        let pivot: PivotRoot = "/ostree//deploy/1/:/sysroot".parse().unwrap();
        assert_eq!(pivot.to_string(), "/ostree/deploy/1:/sysroot");
        assert_eq!("/a".parse::<PivotRoot>().unwrap().old, None);
        for text in [
            "", "a", "/", "/a:b", "/a:", "/a:/b:/c", "/a/../b", "/a:/../b",
        ] {
            let error = text.parse::<PivotRoot>().unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
        }
    }
}
