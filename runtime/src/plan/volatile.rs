//! What `--volatile=` and `--ephemeral` come to.

use super::bound::BoundUser;
use super::files;
use super::journal::Journal;
use super::mounts::{self, Mount};
use super::pivot;
use super::request::{Changes, Request, Volatile};
use crate::error::{Error, Kind, Result};
use crate::ownership::Ownership;

/// Limits of file systems that take a machine's changes, as nspawn has them.
const LIMITS: &str = "mode=0755,size=25%,nr_inodes=1m";

/// All mounts: those that were asked for and those that follow, each after those that it lies in.
pub(crate) fn mounts(
    request: &Request,
    journal: Option<&Journal>,
    users: &[BoundUser],
) -> Result<Vec<Mount>> {
    let mut all = request.mounts.clone();
    all.extend(users.iter().map(BoundUser::mount));
    all.extend(journal.and_then(|journal| journal.mount(request.users)));
    all.extend(files::mounts(request));
    all.extend(pivot::mount(request));
    match request.volatile {
        Volatile::State if !all.iter().any(|mount| mount.target == "/var") => {
            all.push(Mount::tmpfs(&format!("/var:{LIMITS}"))?);
        }
        Volatile::Yes => all.push(Mount::image_part("/usr")),
        _ => {}
    }
    mounts::arrange(&all)
}

pub(super) fn changes(request: &Request) -> Changes {
    match (request.changes, request.volatile) {
        (Changes::Kept, Volatile::Overlay) => Changes::InMemory,
        (asked, _) => asked,
    }
}

pub(super) fn read_only(request: &Request) -> bool {
    match request.volatile {
        // There is nothing in it to protect, and directories to mount on are to be made.
        Volatile::Yes => false,
        Volatile::State => true,
        Volatile::No | Volatile::Overlay => request.read_only,
    }
}

/// Whether what the payload changes in the root goes elsewhere than to the image.
pub(crate) fn overlays(request: &Request) -> bool {
    changes(request) != Changes::Kept || request.volatile == Volatile::Yes
}

/// Whether the payload, or a change of owners before it, writes to the image.
pub(crate) fn writes(request: &Request) -> bool {
    (!overlays(request) && !read_only(request)) || request.ownership == Ownership::Chown
}

/// What cannot be asked for together.
pub(super) fn check(request: &Request) -> Result<()> {
    check_uppers(request)?;
    let option = match (request.changes, request.volatile) {
        (Changes::Kept, Volatile::No) => return Ok(()),
        (Changes::Kept, _) => "--volatile",
        _ => "--ephemeral",
    };
    if request.ownership == Ownership::Chown {
        let what = format!(
            "{option} leaves the image as it is, and --private-users-ownership=chown changes it"
        );
        return Err(Error::new(Kind::Usage, what).hint("leave one of them out"));
    }
    if option == "--ephemeral" && request.volatile == Volatile::Yes {
        let what = "--volatile=yes has no root whose changes --ephemeral could drop";
        return Err(Error::new(Kind::Usage, what).hint("leave --ephemeral out"));
    }
    Ok(())
}

/// Changes of an overlay go into the image where nothing keeps them out of it.
fn check_uppers(request: &Request) -> Result<()> {
    let inside = |mount: &&Mount| mount.takes_changes_in_image();
    let Some(mount) = request.mounts.iter().find(inside) else {
        return Ok(());
    };
    let kept = request.changes == Changes::Kept && request.volatile == Volatile::No;
    if request.read_only || !kept {
        return Err(mount.refused("the image takes no changes that are kept"));
    }
    if request.pivot_root.is_some() {
        return Err(mount.refused("with --pivot-root the image takes no changes of an overlay"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Mode;
    use super::*;

    fn request(changes: Changes, volatile: Volatile) -> Request {
        let mode = Mode::Run {
            command: vec!["true".to_owned()],
            as_pid1: false,
        };
        let mut request = Request::new("web".parse().unwrap(), "/image".into(), mode);
        request.changes = changes;
        request.volatile = volatile;
        request
    }

    #[test]
    fn a_volatile_state_is_a_read_only_root_with_an_empty_var() {
        let mut request = request(Changes::Kept, Volatile::State);
        assert!(read_only(&request));
        let targets = |request: &Request| {
            let mounts = mounts(request, None, &[]).unwrap();
            mounts
                .into_iter()
                .map(|mount| mount.target)
                .collect::<Vec<_>>()
        };
        assert_eq!(targets(&request), ["/var"]);
        request.mounts = vec![Mount::bind("/srv:/var", false).unwrap()];
        assert_eq!(targets(&request), ["/var"], "what was asked for wins");
    }

    #[test]
    fn changes_that_are_dropped_do_not_go_with_changes_of_owners() {
        for (changes, volatile) in [
            (Changes::InMemory, Volatile::No),
            (Changes::OnDisk, Volatile::No),
            (Changes::Kept, Volatile::Yes),
            (Changes::Kept, Volatile::Overlay),
        ] {
            let mut request = request(changes, volatile);
            assert!(check(&request).is_ok());
            request.ownership = Ownership::Chown;
            assert_eq!(check(&request).unwrap_err().kind(), Kind::Usage);
        }
    }

    #[test]
    fn an_overlay_is_ephemeral_in_memory_unless_told_otherwise() {
        let of = |changes, volatile| super::changes(&request(changes, volatile));
        assert_eq!(of(Changes::Kept, Volatile::Overlay), Changes::InMemory);
        assert_eq!(of(Changes::OnDisk, Volatile::Overlay), Changes::OnDisk);
        assert_eq!(of(Changes::Kept, Volatile::State), Changes::Kept);
    }
}
