//! Mounts in the test's own mount namespace, and the host's that name the test.

use std::fs::read_to_string;

/// All mounts that the calling thread sees.
pub(super) fn own() -> Vec<String> {
    let table = read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
    table.lines().filter_map(describe).collect()
}

/// All mounts that the host's init sees.
pub(super) fn of_init() -> Vec<String> {
    let table = read_to_string("/proc/1/mountinfo").unwrap_or_default();
    table.lines().filter_map(describe).collect()
}

/// Mounts in the namespace of the host's init that mention `mark`.
pub(super) fn of_the_host(mark: &str) -> Vec<String> {
    let table = read_to_string("/proc/1/mountinfo").unwrap_or_default();
    table
        .lines()
        .filter(|line| line.contains(mark))
        .filter_map(describe)
        .map(|mount| format!("host {mount}"))
        .collect()
}

/// Mount id, place, propagation left out (they may change), kind and source.
fn describe(line: &str) -> Option<String> {
    let (place, kind) = line.split_once(" - ")?;
    let mut place = place.split(' ');
    let root = place.nth(3)?;
    let point = place.next()?;
    let mut kind = kind.split(' ');
    let (fstype, source) = (kind.next()?, kind.next()?);
    Some(format!("mount {point} ({fstype} {source} {root})"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn describes_a_mount_without_its_ids() {
        let line = "36 35 98:0 /mnt1 /mnt2 rw,noatime shared:1 - ext3 /dev/root rw,errors=continue";
        let told = super::describe(line);
        assert_eq!(told.as_deref(), Some("mount /mnt2 (ext3 /dev/root /mnt1)"));
    }
}
