//! The record of a machine: what `list` and `status` show, and how its processes are
//! found again. Nothing in it is believed without asking the kernel.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::dir::Dir;
use super::moment::{Incarnation, Since};
use super::{Identity, RECORD};
use crate::error::{Error, Kind, Result};
use crate::facts::Release;
use crate::name::MachineName;
use crate::range::Range;
use crate::seccomp::Restrictions;

/// The version of the format that is written, and the newest that is read.
const VERSION: u32 = 1;

/// Longest record that is read, in bytes. Arguments of init are the only part without a
/// natural bound; the kernel takes at most 2 MiB of them.
const MAX_SIZE: usize = 4 << 20;

/// Readable by everybody, like machined's records: it holds no secret that /proc hides.
const MODE: u32 = 0o644;

/// One start of a machine.
///
/// Paths are for people to read: what is not UTF-8 in them is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The machine's name, the same as its directory's.
    pub name: String,
    /// The kernel's name for the boot of the host in which all of this holds.
    pub boot_id: String,
    /// Which start of the machine this is.
    pub incarnation: Incarnation,
    /// When it was started.
    pub since: Since,
    /// `container`, as machinectl calls it.
    pub class: String,
    /// The process that started the machine and holds its lock.
    pub supervisor: Identity,
    /// The machine's PID 1, once it exists.
    pub leader: Option<Identity>,
    /// Path below the root of the unified hierarchy, as in [`super::Item::Cgroup`].
    pub cgroup: Option<String>,
    /// Name of the image, if it was started from the image root.
    pub image: Option<String>,
    /// The directory that the machine has as its root.
    pub root: String,
    /// The ids that the machine's are mapped to, with a user namespace.
    pub range: Option<Range>,
    /// `host`, `private` or `veth`.
    pub network: String,
    /// Name of the link's end on the host.
    pub interface: Option<String>,
    /// The machine's addresses that nsrun has set.
    pub addresses: Vec<IpAddr>,
    /// The zone that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Ports of the host that lead to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// What was executed as the payload's first program, with its arguments.
    pub init: Vec<String>,
    /// How the machine's filter of system calls differs from that of others: what joins gets the same.
    #[serde(default, skip_serializing_if = "Restrictions::is_empty")]
    pub restrictions: Restrictions,
    /// The operating system in the image, as it was at the start.
    #[serde(default, skip_serializing_if = "Release::is_empty")]
    pub release: Release,
    /// Whether the payload has announced that it is up.
    #[serde(default)]
    pub ready: bool,
    /// What the payload says of itself.
    #[serde(default)]
    pub status: Option<String>,
}

/// A record as it is stored.
#[derive(Serialize)]
struct Stored<'a> {
    version: u32,
    #[serde(flatten)]
    record: &'a Record,
}

#[derive(Deserialize)]
struct Head {
    version: u32,
}

/// What was found in place of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Nothing: the machine is being started, or was killed before it could be noted.
    Absent,
    /// A record.
    Known(Box<Record>),
    /// Something that cannot be used, and why.
    Unknown(String),
}

impl Reading {
    /// The record, if it is one.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Known(record) => Some(record),
            _ => None,
        }
    }
}

/// Reads whatever lies in place of the record.
pub(super) fn read(dir: &Dir, name: &MachineName) -> Reading {
    match dir.read(RECORD, MAX_SIZE) {
        Ok(None) => Reading::Absent,
        Ok(Some(bytes)) => match parse(&bytes, name) {
            Ok(record) => Reading::Known(record.into()),
            Err(problem) => Reading::Unknown(problem),
        },
        Err(e) => Reading::Unknown(crate::error::errno_text(&e)),
    }
}

/// Puts the record in place of the one before.
pub(super) fn write(dir: &Dir, record: &Record) -> Result<()> {
    let stored = Stored {
        version: VERSION,
        record,
    };
    let mut bytes = serde_json::to_vec_pretty(&stored).map_err(|e| {
        let what = format!("cannot note the state of {}", record.name);
        Error::new(Kind::Failed, what).because(e)
    })?;
    bytes.push(b'\n');
    dir.replace(RECORD, &bytes, MODE)
}

fn parse(bytes: &[u8], name: &MachineName) -> std::result::Result<Record, String> {
    let damaged = |e: serde_json::Error| format!("it is damaged: {e}");
    let Head { version } = serde_json::from_slice(bytes).map_err(damaged)?;
    if version == 0 || version > VERSION {
        return Err(format!(
            "it has version {version}, this nsrun reads up to {VERSION}"
        ));
    }
    let record: Record = serde_json::from_slice(bytes).map_err(damaged)?;
    if record.name != name.as_str() {
        return Err(format!("it is of machine '{}'", record.name.escape_debug()));
    }
    Ok(record)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn record(name: &MachineName) -> Record {
        let nobody = Identity {
            pid: 1,
            inode: Some(1),
            start_time: 0,
        };
        Record {
            name: name.to_string(),
            boot_id: super::super::moment::boot_id().unwrap(),
            incarnation: "00000000000000ff".parse().unwrap(),
            since: Since {
                realtime_us: 1,
                boottime_us: 2,
            },
            class: "container".into(),
            supervisor: nobody,
            leader: None,
            cgroup: None,
            image: Some("web".into()),
            root: "/var/lib/machines/web".into(),
            range: Range::new(655_360, 65_536),
            network: "veth".into(),
            interface: Some("ve-web".into()),
            addresses: vec!["192.168.0.2".parse().unwrap()],
            zone: None,
            ports: vec!["tcp:80:80".into()],
            init: vec!["/sbin/init".into()],
            restrictions: Restrictions::default(),
            release: Release::default(),
            ready: false,
            status: None,
        }
    }

    fn web() -> MachineName {
        "web".parse().unwrap()
    }

    fn stored() -> serde_json::Value {
        serde_json::to_value(Stored {
            version: VERSION,
            record: &record(&web()),
        })
        .unwrap()
    }

    fn reading(value: &serde_json::Value) -> std::result::Result<Record, String> {
        parse(value.to_string().as_bytes(), &web())
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::create_at(root.path()).unwrap();
        assert_eq!(read(&dir, &web()), Reading::Absent);
        write(&dir, &record(&web())).unwrap();
        assert_eq!(read(&dir, &web()).record(), Some(&record(&web())));
        assert!(matches!(
            read(&dir, &"other".parse().unwrap()),
            Reading::Unknown(_)
        ));
    }

    // Later versions must read what this one wrote.
    #[test]
    fn the_first_version_stays_readable() {
        let text = r#"{"version": 1, "name": "web", "boot_id": "b", "incarnation": "00000000000000ff",
            "since": {"realtime_us": 1, "boottime_us": 2}, "class": "container",
            "supervisor": {"pid": 5, "inode": null, "start_time": 9}, "leader": null, "cgroup": null,
            "image": null, "root": "/", "range": {"base": 655360, "len": 65536}, "network": "veth",
            "interface": "ve-web", "addresses": ["fe80::1"], "init": ["/sbin/init"]}"#;
        let record = parse(text.as_bytes(), &web()).unwrap();
        assert_eq!(record.supervisor.pid, 5);
        assert!(!record.ready);
    }

    #[test]
    fn additions_of_later_versions_are_ignored() {
        let mut value = stored();
        value["colour"] = "blue".into();
        assert!(reading(&value).is_ok());
    }

    #[test]
    fn a_newer_version_is_told_and_not_guessed_at() {
        let mut value = stored();
        for version in [2, 0] {
            value["version"] = version.into();
            let problem = reading(&value).unwrap_err();
            assert_eq!(
                problem,
                format!("it has version {version}, this nsrun reads up to 1")
            );
        }
    }

    #[test]
    fn what_is_cut_off_is_unknown() {
        let whole = stored().to_string().into_bytes();
        for cut in 0..whole.len() {
            assert!(parse(&whole[..cut], &web()).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn wrong_types_and_values_are_unknown() {
        for field in [
            "name",
            "supervisor",
            "init",
            "addresses",
            "since",
            "incarnation",
            "root",
        ] {
            let mut value = stored();
            value[field] = 7.into();
            assert!(reading(&value).is_err(), "{field}");
        }
        let mut value = stored();
        value["range"]["base"] = u32::MAX.into();
        assert!(reading(&value).is_err());
    }

    #[test]
    fn strange_json_is_unknown() {
        let deep = "[".repeat(10_000);
        let twice = r#"{"version": 1, "version": 1}"#;
        for text in [
            "",
            "null",
            "[]",
            "NaN",
            "{\"version\": 1e99}",
            "\0\0\0\0",
            &deep,
            twice,
        ] {
            assert!(parse(text.as_bytes(), &web()).is_err(), "{text:.20}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(parse(&bytes, &web()).is_err());
        }
    }
}
