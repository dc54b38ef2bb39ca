//! What a process can tell of the place it runs in; gathered inside by the `pid1` fixture,
//! read outside by the tests.

use std::collections::BTreeMap;
use std::fs::{read_dir, read_link, read_to_string};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The facts of one process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Facts {
    /// Its process id in its own namespace.
    pub pid: i32,
    /// Its parent's, 0 if that is outside.
    pub parent: i32,
    /// Its session's leader.
    pub session: i32,
    /// Its controlling terminal's device number, 0 without one.
    pub terminal: i32,
    /// The arguments it was started with.
    pub args: Vec<String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub cwd: String,
    /// `/proc/self/root`.
    pub root: String,
    /// Host name.
    pub host_name: String,
    /// Lines of `/proc/self/status` by their keys.
    pub status: BTreeMap<String, String>,
    /// `/proc/self/uid_map`, fields separated by single blanks.
    pub uid_map: String,
    /// `/proc/self/gid_map`, fields separated by single blanks.
    pub gid_map: String,
    /// Open file descriptors and where they lead.
    pub fds: BTreeMap<i32, String>,
    /// Mounts in the order of the kernel's table.
    pub mounts: Vec<Mount>,
    /// The version 2 line of `/proc/self/cgroup`, without the leading `0::`.
    pub cgroup: String,
    /// Namespaces by kind.
    pub namespaces: BTreeMap<String, String>,
    /// Resource limits: soft and hard.
    pub limits: BTreeMap<String, (String, String)>,
    /// `/proc/self/oom_score_adj`.
    pub oom_score_adj: i32,
    /// Entries of `/dev`.
    pub devices: BTreeMap<String, Device>,
    /// All process ids that are visible.
    pub processes: Vec<i32>,
    /// Names of network interfaces.
    pub links: Vec<String>,
    /// The signal that the parent's death sends.
    pub death_signal: Option<i32>,
}

/// A line of mountinfo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where it is mounted.
    pub point: String,
    /// What of the file system is mounted there.
    pub root: String,
    /// Options of the mount itself.
    pub options: Vec<String>,
    /// Propagation, such as `shared:7`; empty if private.
    pub propagation: Vec<String>,
    /// File system type.
    pub fstype: String,
    /// Source.
    pub source: String,
    /// Options of the file system.
    pub super_options: Vec<String>,
}

impl Mount {
    /// Whether the mount has `option`.
    #[must_use]
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|o| o == option)
    }
}

/// A file of `/dev`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// `st_mode`: kind and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Major and minor number of a device node.
    pub number: (u32, u32),
    /// Where a link leads.
    pub link: Option<String>,
}

impl Facts {
    /// Gathers the facts of the calling process.
    #[must_use]
    pub fn gather() -> Self {
        let stat = read_to_string("/proc/self/stat").unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let stat: Vec<&str> = after_name.split_ascii_whitespace().collect();
        let number = |index: usize| stat.get(index).and_then(|n| n.parse().ok()).unwrap_or(-1);
        Self {
            pid: rustix::process::getpid().as_raw_nonzero().get(),
            parent: number(1),
            session: number(3),
            terminal: number(4),
            args: std::env::args().collect(),
            env: environment(),
            cwd: link("/proc/self/cwd"),
            root: link("/proc/self/root"),
            host_name: line("/proc/sys/kernel/hostname"),
            status: status(),
            uid_map: words("/proc/self/uid_map"),
            gid_map: words("/proc/self/gid_map"),
            fds: fds(),
            mounts: mounts(),
            cgroup: cgroup(),
            namespaces: namespaces(),
            limits: limits(),
            oom_score_adj: line("/proc/self/oom_score_adj").parse().unwrap_or(i32::MIN),
            devices: devices(),
            processes: processes(),
            links: links(),
            death_signal: death_signal(),
        }
    }

    /// A hexadecimal line of `/proc/self/status`: a set of capabilities or signals.
    ///
    /// # Panics
    /// When there is no such line.
    #[must_use]
    pub fn set(&self, key: &str) -> u64 {
        match self
            .status
            .get(key)
            .map(|text| u64::from_str_radix(text, 16))
        {
            Some(Ok(set)) => set,
            other => panic!("no set {key} in /proc/self/status: {other:?}"),
        }
    }

    /// The mount that is visible at `point`: the last one there.
    #[must_use]
    pub fn mount(&self, point: &str) -> Option<&Mount> {
        self.mounts.iter().rfind(|mount| mount.point == point)
    }
}

fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .map(|(key, value)| {
            let text = |s: std::ffi::OsString| s.to_string_lossy().into_owned();
            (text(key), text(value))
        })
        .collect()
}

fn line(path: &str) -> String {
    let text = read_to_string(path).unwrap_or_default();
    text.trim_end().to_owned()
}

fn words(path: &str) -> String {
    let text = read_to_string(path).unwrap_or_default();
    let words: Vec<_> = text.split_ascii_whitespace().collect();
    words.join(" ")
}

fn link(path: impl AsRef<Path>) -> String {
    read_link(path).map_or_else(
        |error| format!("({error})"),
        |target| target.to_string_lossy().into_owned(),
    )
}

fn status() -> BTreeMap<String, String> {
    let text = read_to_string("/proc/self/status").unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.to_owned(), value.trim().replace('\t', " ")))
        .collect()
}

/// Names in a directory as `T`; what is no `T` is left out.
fn names<T: std::str::FromStr>(dir: &str) -> Vec<T> {
    read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Without the descriptor that reads the list, which no longer leads anywhere afterwards.
fn fds() -> BTreeMap<i32, String> {
    names::<i32>("/proc/self/fd")
        .into_iter()
        .filter_map(|fd| {
            let target = read_link(format!("/proc/self/fd/{fd}")).ok()?;
            Some((fd, target.to_string_lossy().into_owned()))
        })
        .collect()
}

fn mounts() -> Vec<Mount> {
    let table = read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().filter_map(mount).collect()
}

fn mount(line: &str) -> Option<Mount> {
    let (place, kind) = line.split_once(" - ")?;
    let place: Vec<&str> = place.split(' ').collect();
    let kind: Vec<&str> = kind.split(' ').collect();
    let list = |text: &str| text.split(',').map(str::to_owned).collect();
    Some(Mount {
        root: (*place.get(3)?).to_owned(),
        point: (*place.get(4)?).to_owned(),
        options: list(place.get(5)?),
        propagation: place.iter().skip(6).map(|&word| word.to_owned()).collect(),
        fstype: (*kind.first()?).to_owned(),
        source: (*kind.get(1)?).to_owned(),
        super_options: list(kind.get(2)?),
    })
}

fn cgroup() -> String {
    let text = read_to_string("/proc/self/cgroup").unwrap_or_default();
    let v2 = text.lines().find_map(|line| line.strip_prefix("0::"));
    v2.unwrap_or_default().to_owned()
}

fn namespaces() -> BTreeMap<String, String> {
    names::<String>("/proc/self/ns")
        .into_iter()
        .map(|kind| {
            let target = link(format!("/proc/self/ns/{kind}"));
            (kind, target)
        })
        .collect()
}

/// Columns of `/proc/self/limits` are parted by two blanks at least, names hold single ones.
fn limits() -> BTreeMap<String, (String, String)> {
    let table = read_to_string("/proc/self/limits").unwrap_or_default();
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut columns = line.split("  ").map(str::trim).filter(|c| !c.is_empty());
            let name = columns.next()?.to_owned();
            Some((
                name,
                (columns.next()?.to_owned(), columns.next()?.to_owned()),
            ))
        })
        .collect()
}

fn devices() -> BTreeMap<String, Device> {
    names::<String>("/dev")
        .into_iter()
        .filter_map(|name| {
            let path = Path::new("/dev").join(&name);
            let meta = path.symlink_metadata().ok()?;
            let device = Device {
                mode: meta.mode(),
                uid: meta.uid(),
                gid: meta.gid(),
                number: (
                    rustix::fs::major(meta.rdev()),
                    rustix::fs::minor(meta.rdev()),
                ),
                link: meta.is_symlink().then(|| link(&path)),
            };
            Some((name, device))
        })
        .collect()
}

fn processes() -> Vec<i32> {
    let mut pids = names("/proc");
    pids.sort_unstable();
    pids
}

fn links() -> Vec<String> {
    let table = read_to_string("/proc/self/net/dev").unwrap_or_default();
    table
        .lines()
        .skip(2)
        .filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()))
        .collect()
}

fn death_signal() -> Option<i32> {
    let signal = rustix::process::parent_process_death_signal().ok()?;
    signal.map(rustix::process::Signal::as_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_a_round_trip_as_json() {
        let facts = Facts::gather();
        let text = serde_json::to_string(&facts).unwrap();
        let back: Facts = serde_json::from_str(&text).unwrap();
        assert_eq!(back.mounts, facts.mounts);
        assert_eq!(back.set("CapBnd"), facts.set("CapBnd"));
        assert!(back.mount("/proc").is_some());
        assert!(back.limits.contains_key("Max open files"));
    }

    #[test]
    fn the_listing_of_descriptors_does_not_list_itself() {
        let before = fds();
        let file = tempfile::tempfile().unwrap();
        assert_eq!(fds().len(), before.len() + 1);
        drop(file);
    }
}
