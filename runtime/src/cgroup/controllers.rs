//! Which controllers a cgroup offers to those below it.

use super::dir::Dir;

/// What systemd delegates, and huge pages. An inner service manager uses these.
const WANTED: [&str; 6] = ["cpu", "cpuset", "io", "memory", "hugetlb", "pids"];

const FILE: &str = "cgroup.subtree_control";

/// Offers all that `dir` has to its children, and tells what was not offered before.
///
/// One at a time and as far as possible: a real-time process anywhere on the host bars
/// `cpu`, a process in `dir` itself bars all but at the top (EBUSY, by the rule against
/// inner processes). A machine runs without them.
pub(super) fn enable(dir: &Dir) -> Vec<&'static str> {
    let available = dir.words("cgroup.controllers");
    let offered = dir.words(FILE);
    let has = |list: &[String], name: &str| list.iter().any(|word| word == name);
    WANTED
        .into_iter()
        .filter(|name| has(&available, name) && !has(&offered, name))
        .filter(|name| dir.write(FILE, &format!("+{name}")).is_ok())
        .collect()
}

/// Stops offering the controllers `names`.
pub(super) fn withdraw<N: AsRef<str>>(dir: &Dir, names: &[N]) {
    for name in names {
        // One that is offered further down is refused, and then is in use.
        let _ = dir.write(FILE, &format!("-{}", name.as_ref()));
    }
}

/// Stops offering any controller.
pub(super) fn disable(dir: &Dir) {
    withdraw(dir, &dir.words(FILE));
}
