//! Facts about the host.

use std::ffi::CStr;
use std::fs;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::process::Resource;

use super::host_users::{self, HostUser};
use crate::caps::{CapSet, Capability};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::{Request, Timezone, masks};

/// Longest file of the host that is handed on to a payload, in bytes.
const LONGEST: usize = 64 * 1024;

const OPTIONAL_DEVICES: &[&CStr] = &[c"/dev/fuse", c"/dev/net/tun"];

/// The host as planning sees it.
#[derive(Clone, Debug)]
pub struct HostFacts {
    /// The bounding set of this process.
    pub capabilities: CapSet,
    /// Hard limits of this process, which bind its children if it may not raise them.
    pub hard_limits: Vec<(Resource, Option<u64>)>,
    /// Whether this process may raise hard limits.
    pub may_raise_limits: bool,
    /// Optional device nodes that the host has.
    pub devices: Vec<&'static CStr>,
    /// Entries of /proc that the host has, of those that a payload must not have as they are.
    pub proc_entries: Vec<&'static CStr>,
    /// `/etc/os-release` or `/usr/lib/os-release`.
    pub os_release: Vec<u8>,
    /// `/etc/resolv.conf`, or the other file that the request names, if there is one.
    pub resolv_conf: Option<Vec<u8>>,
    /// `/etc/localtime`, if the request is about its content.
    pub localtime: Option<Vec<u8>>,
    /// Target for `/etc/localtime` in the payload, relative to `/etc`.
    pub timezone: Option<String>,
    /// The caller's `$TERM`.
    pub terminal: Option<String>,
    /// The users that the request names.
    pub users: Vec<HostUser>,
    /// A fresh random id for a machine that has none.
    pub random_uuid: [u8; 16],
    /// A fresh random id for this boot of the machine.
    pub random_boot_id: [u8; 16],
}

const RESOURCES: &[Resource] = &[
    Resource::As,
    Resource::Core,
    Resource::Cpu,
    Resource::Data,
    Resource::Fsize,
    Resource::Locks,
    Resource::Memlock,
    Resource::Msgqueue,
    Resource::Nice,
    Resource::Nofile,
    Resource::Rss,
    Resource::Rtprio,
    Resource::Rttime,
    Resource::Stack,
];

impl HostFacts {
    /// Looks at the host, as far as the request is about it.
    ///
    /// # Errors
    /// [`Kind::HostLacks`] without root privileges.
    pub fn probe(request: &Request) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Err(Error::new(
                Kind::HostLacks,
                "cannot start a machine: no root privileges",
            )
            .hint("run the command with sudo"));
        }
        let capabilities = CapSet::host()?;
        let limit = |&resource| (resource, rustix::process::getrlimit(resource).maximum);
        Ok(Self {
            capabilities,
            hard_limits: RESOURCES.iter().map(limit).collect(),
            may_raise_limits: capabilities.has(Capability::CAP_SYS_RESOURCE),
            devices: OPTIONAL_DEVICES
                .iter()
                .copied()
                .filter(|d| usable(d))
                .collect(),
            proc_entries: proc_entries(),
            os_release: read("/etc/os-release")
                .or_else(|| read("/usr/lib/os-release"))
                .unwrap_or_default(),
            resolv_conf: read(request.resolv_conf.path()),
            localtime: match request.timezone {
                Timezone::From(_) => read("/etc/localtime"),
                _ => None,
            },
            timezone: timezone(),
            terminal: terminal(),
            users: host_users::look(&request.bound.names)?,
            random_uuid: random_id()?,
            random_boot_id: random_id()?,
        })
    }

    /// The most that a child may be given of a resource; `None` is infinity.
    pub(crate) fn ceiling(&self, resource: Resource) -> Option<u64> {
        if self.may_raise_limits {
            return None;
        }
        let known = self.hard_limits.iter().find(|(r, _)| *r == resource);
        known.and_then(|(_, limit)| *limit)
    }

    /// Whether a lower limit is felt by payloads that work elsewhere.
    pub(crate) fn warns_about(&self, resource: Resource) -> bool {
        !matches!(resource, Resource::Nofile) || self.ceiling(resource).is_some_and(|n| n < 4096)
    }

    /// The value of a field of the host's os-release, without its quotes.
    pub(crate) fn os_release_field(&self, key: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.os_release);
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(value.trim().trim_matches(['"', '\'']).to_owned())
    }
}

fn read(path: &str) -> Option<Vec<u8>> {
    let mut content = fs::read(path).ok()?;
    content.truncate(LONGEST);
    Some(content)
}

fn proc_entries() -> Vec<&'static CStr> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(proc) = rustix::fs::open(c"/proc", flags, Mode::empty()) else {
        return Vec::new();
    };
    let is_there =
        |path: &&CStr| rustix::fs::statat(&proc, *path, AtFlags::SYMLINK_NOFOLLOW).is_ok();
    let all = masks::HIDDEN.iter().chain(masks::READ_ONLY).copied();
    all.filter(is_there).collect()
}

fn usable(device: &CStr) -> bool {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    rustix::fs::open(device, flags, Mode::empty()).is_ok()
}

/// The host's zone as a link that is valid in any root with a zone database.
fn timezone() -> Option<String> {
    let link = fs::read_link("/etc/localtime").ok()?;
    let absolute = Path::new("/etc").join(link);
    let text = absolute.to_str()?;
    let zone = text.split_once("/usr/share/zoneinfo/")?.1;
    Some(format!("../usr/share/zoneinfo/{zone}"))
}

fn terminal() -> Option<String> {
    let term = std::env::var("TERM").ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-+._".contains(c);
    (!term.is_empty() && term.chars().all(plain)).then_some(term)
}

/// A random id in the form of version 4 of RFC 9562.
pub(crate) fn random_id() -> Result<[u8; 16]> {
    let mut id = [0; 16];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())
        .cannot(|| "get random bytes from the kernel")?;
    id[6] = (id[6] & 0x0f) | 0x40;
    id[8] = (id[8] & 0x3f) | 0x80;
    Ok(id)
}
