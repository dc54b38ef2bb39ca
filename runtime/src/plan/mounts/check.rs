//! Which mounts go together, and in which order they are made.

use super::{Ids, Mount, Planned, Shape, Source, What};
use crate::error::Result;

/// What the machine needs at its own place.
const OWN: &[&str] = &[
    "/",
    "/dev",
    "/dev/pts",
    "/proc",
    "/run",
    "/run/host",
    "/sys",
    "/sys/fs/cgroup",
];

/// Sorts the mounts so that one that lies in another comes after it, and refuses those that cannot
/// be.
pub(crate) fn arrange(mounts: &[Mount]) -> Result<Vec<Mount>> {
    mounts.iter().try_for_each(check)?;
    let mut sorted = mounts.to_vec();
    sorted.sort_by(|a, b| components(a).cmp(components(b)));
    for pair in sorted.windows(2) {
        if let [first, second] = pair
            && first.target == second.target
        {
            let why = format!("{} is mounted on the same path", first.spelling);
            return Err(second.refused(why));
        }
    }
    Ok(sorted)
}

fn components(mount: &Mount) -> impl Iterator<Item = &str> {
    mount.target.split('/')
}

/// Says what each mount looks like. `shapes` has one entry for each source of the arranged mounts.
pub(in crate::plan) fn settle(mounts: Vec<Mount>, shapes: &[Shape]) -> Result<Vec<Planned>> {
    let mut shapes = shapes.iter().copied();
    let settled = mounts.into_iter().map(|mount| {
        let count = mount.what.sources().len();
        let own: Vec<Shape> = shapes.by_ref().take(count).collect();
        let shape = match mount.what {
            What::Bind { .. } => own.first().copied().unwrap_or(Shape::Directory),
            What::Overlay { .. } if own.contains(&Shape::File) => {
                return Err(mount.refused("its layers are not all directories"));
            }
            _ => Shape::Directory,
        };
        Ok(Planned { mount, shape })
    });
    settled.collect()
}

fn check(mount: &Mount) -> Result<()> {
    if OWN.contains(&mount.target.as_str()) {
        let why = format!("{} is the machine's own", mount.target);
        return Err(mount.refused(why));
    }
    match &mount.what {
        What::Bind {
            source: Source::Image(_),
            ids,
            ..
        } if *ids != Ids::Same => {
            Err(mount.refused("a path of the image has the image's ids already"))
        }
        What::Overlay {
            upper: Source::Image(path),
            ..
        } if path == "/" && !mount.read_only => Err(mount
            .refused("the image's top cannot take the changes of an overlay in it")
            .hint("leave it empty for a new directory, or name one below")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(mounts: &[Mount]) -> Vec<String> {
        let sorted = arrange(mounts).unwrap();
        sorted.into_iter().map(|mount| mount.target).collect()
    }

    fn tmpfs(path: &str) -> Mount {
        Mount::tmpfs(path).unwrap()
    }

    #[test]
    fn what_lies_in_another_comes_after_it() {
        let mounts = [tmpfs("/a/b"), tmpfs("/a-b"), tmpfs("/a"), tmpfs("/a/b/c")];
        assert_eq!(sorted(&mounts), ["/a", "/a/b", "/a/b/c", "/a-b"]);
    }

    #[test]
    fn two_on_one_path_are_refused_by_both_names() {
        let mounts = [tmpfs("/a"), Mount::bind("/x:/a", false).unwrap()];
        let error = arrange(&mounts).unwrap_err().to_string();
        assert!(
            error.contains("--tmpfs=/a") && error.contains("--bind=/x:/a"),
            "{error}"
        );
    }

    #[test]
    fn what_the_machine_needs_is_not_covered() {
        for path in ["/", "/proc", "/run/", "//dev"] {
            assert!(arrange(&[tmpfs(path)]).is_err(), "{path}");
        }
        assert!(arrange(&[tmpfs("/run/x"), tmpfs("/tmp"), tmpfs("/dev/shm")]).is_ok());
    }

    #[test]
    fn layers_are_directories() {
        let mounts = [tmpfs("/t"), Mount::overlay("/a:/b:/c", false).unwrap()];
        let (directory, file) = (Shape::Directory, Shape::File);
        assert!(settle(mounts.to_vec(), &[directory, directory]).is_ok());
        assert!(settle(mounts.to_vec(), &[directory, file]).is_err());
    }
}
