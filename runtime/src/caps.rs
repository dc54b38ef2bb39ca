//! Which capabilities a payload may ever hold.

use std::fmt;
use std::ops::{BitAnd, BitOr, Sub};
use std::str::FromStr;

pub use ::caps::Capability;

use crate::error::{Error, Kind, Result};

/// A set of capabilities; bit N is the capability of number N, as in the kernel's masks.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CapSet(u64);

impl CapSet {
    /// No capability.
    pub const EMPTY: Self = Self(0);

    /// All capabilities known by name.
    #[must_use]
    pub fn all() -> Self {
        ::caps::all().into_iter().collect()
    }

    /// The set of a kernel mask, as in `CapBnd:` of `/proc/self/status`.
    #[must_use]
    pub const fn from_mask(mask: u64) -> Self {
        Self(mask)
    }

    /// The kernel mask.
    #[must_use]
    pub const fn mask(self) -> u64 {
        self.0
    }

    /// Whether `capability` is in the set.
    #[must_use]
    pub fn has(self, capability: Capability) -> bool {
        self.0 & capability.bitmask() != 0
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The capabilities, by number.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        let mut all: Vec<Capability> = ::caps::all().into_iter().collect();
        all.sort_unstable_by_key(Capability::index);
        all.into_iter().filter(move |c| self.has(*c))
    }

    /// What this thread may hand on: its bounding set.
    ///
    /// # Errors
    /// If the kernel does not answer `prctl(PR_CAPBSET_READ)`.
    pub fn host() -> Result<Self> {
        let read = ::caps::read(None, ::caps::CapSet::Bounding);
        read.map(|set| set.into_iter().collect()).map_err(|e| {
            Error::new(Kind::Failed, "cannot read the capability bounding set").because(e)
        })
    }
}

impl FromIterator<Capability> for CapSet {
    fn from_iter<I: IntoIterator<Item = Capability>>(all: I) -> Self {
        Self(all.into_iter().fold(0, |mask, c| mask | c.bitmask()))
    }
}

impl<const N: usize> From<[Capability; N]> for CapSet {
    fn from(all: [Capability; N]) -> Self {
        all.into_iter().collect()
    }
}

impl BitOr for CapSet {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for CapSet {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for CapSet {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Display for CapSet {
    /// `CAP_X,CAP_Y` by number; `none` if empty. [`CapSet::from_str`] reads it back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        let names: Vec<String> = self.iter().map(|c| c.to_string()).collect();
        f.write_str(&names.join(","))
    }
}

impl fmt::Debug for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CapSet({self})")
    }
}

impl FromStr for CapSet {
    type Err = Error;

    /// Names separated by commas or blanks, in any case, with or without `CAP_`; `all`; `none`.
    fn from_str(text: &str) -> Result<Self> {
        let words = text.split(|c: char| c == ',' || c.is_ascii_whitespace());
        words
            .filter(|word| !word.is_empty())
            .try_fold(Self::EMPTY, |set, word| Ok(set | parse_word(word)?))
    }
}

fn parse_word(word: &str) -> Result<CapSet> {
    let upper = word.to_ascii_uppercase();
    match upper.as_str() {
        "ALL" => return Ok(CapSet::all()),
        "NONE" => return Ok(CapSet::EMPTY),
        _ => {}
    }
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    match format!("CAP_{name}").parse::<Capability>() {
        Ok(capability) => Ok(CapSet::from([capability])),
        Err(_) => Err(Error::new(
            Kind::Usage,
            format!("unknown capability '{}'", word.escape_debug()),
        )),
    }
}

/// The namespaces that decide what a capability reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isolation {
    /// The payload has its own user namespace.
    pub private_users: bool,
    /// The payload has its own network namespace.
    pub private_network: bool,
}

/// The payload's bounding set: that of systemd-nspawn 262, plus `add`, less `drop`, and
/// no more than `host` has.
///
/// On the host's network `CAP_NET_ADMIN` is withheld even if `add` names it, and with a
/// user namespace there `CAP_NET_BIND_SERVICE` is not in the default, because it would
/// have no effect. What came of `add` is seen by comparing.
#[must_use]
pub fn bounding_set(isolation: Isolation, add: CapSet, drop: CapSet, host: CapSet) -> CapSet {
    let wanted = (default_set(isolation) | add) - drop;
    if isolation.private_network {
        wanted & host
    } else {
        (wanted - CapSet::from([Capability::CAP_NET_ADMIN])) & host
    }
}

fn default_set(isolation: Isolation) -> CapSet {
    use Capability::{
        CAP_AUDIT_CONTROL, CAP_AUDIT_WRITE, CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH,
        CAP_FOWNER, CAP_FSETID, CAP_IPC_OWNER, CAP_KILL, CAP_LEASE, CAP_LINUX_IMMUTABLE, CAP_MKNOD,
        CAP_NET_ADMIN, CAP_NET_BIND_SERVICE, CAP_NET_BROADCAST, CAP_NET_RAW, CAP_SETFCAP,
        CAP_SETGID, CAP_SETPCAP, CAP_SETUID, CAP_SYS_ADMIN, CAP_SYS_BOOT, CAP_SYS_CHROOT,
        CAP_SYS_NICE, CAP_SYS_PTRACE, CAP_SYS_RESOURCE, CAP_SYS_TTY_CONFIG,
    };
    // AUDIT_WRITE: nscd exits if it cannot keep it, although the audit socket is refused.
    let always = CapSet::from([
        CAP_AUDIT_CONTROL,
        CAP_AUDIT_WRITE,
        CAP_CHOWN,
        CAP_DAC_OVERRIDE,
        CAP_DAC_READ_SEARCH,
        CAP_FOWNER,
        CAP_FSETID,
        CAP_IPC_OWNER,
        CAP_KILL,
        CAP_LEASE,
        CAP_LINUX_IMMUTABLE,
        CAP_MKNOD,
        CAP_NET_BROADCAST,
        CAP_NET_RAW,
        CAP_SETFCAP,
        CAP_SETGID,
        CAP_SETPCAP,
        CAP_SETUID,
        CAP_SYS_ADMIN,
        CAP_SYS_BOOT,
        CAP_SYS_CHROOT,
        CAP_SYS_NICE,
        CAP_SYS_PTRACE,
        CAP_SYS_RESOURCE,
        CAP_SYS_TTY_CONFIG,
    ]);
    let Isolation {
        private_users,
        private_network,
    } = isolation;
    match (private_network, private_users) {
        (true, _) => always | CapSet::from([CAP_NET_ADMIN, CAP_NET_BIND_SERVICE]),
        (false, false) => always | CapSet::from([CAP_NET_BIND_SERVICE]),
        (false, true) => always,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all_of(private_users: bool, private_network: bool) -> CapSet {
        let isolation = Isolation {
            private_users,
            private_network,
        };
        bounding_set(isolation, CapSet::EMPTY, CapSet::EMPTY, CapSet::all())
    }

    #[test]
    fn names_all_41_capabilities_with_the_kernels_numbers() {
        let names: Vec<_> = CapSet::all().iter().map(|c| c.index()).collect();
        assert_eq!(names, (0..41).collect::<Vec<u8>>());
        assert_eq!(Capability::CAP_SYS_ADMIN.index(), 21);
        assert_eq!(Capability::CAP_CHECKPOINT_RESTORE.index(), 40);
    }

    #[test]
    fn the_default_is_the_mask_that_nspawn_shows_in_a_private_network() {
        assert_eq!(all_of(true, true).mask(), 0xfdec_bfff);
        assert_eq!(all_of(false, true).mask(), 0xfdec_bfff);
    }

    #[test]
    fn on_the_hosts_network_there_is_no_power_over_it() {
        let bind = CapSet::from([Capability::CAP_NET_BIND_SERVICE]);
        let admin = CapSet::from([Capability::CAP_NET_ADMIN]);
        assert_eq!(all_of(false, false), all_of(true, true) - admin);
        assert_eq!(all_of(true, false), all_of(true, true) - admin - bind);
    }

    #[test]
    fn net_admin_cannot_be_added_on_the_hosts_network() {
        let host_network = Isolation {
            private_users: false,
            private_network: false,
        };
        let all = CapSet::all();
        let set = bounding_set(host_network, all, CapSet::EMPTY, all);
        assert_eq!(set, all - CapSet::from([Capability::CAP_NET_ADMIN]));
    }

    #[test]
    fn drop_wins_over_add_and_the_host_over_both() {
        let isolation = Isolation {
            private_users: true,
            private_network: true,
        };
        let time = CapSet::from([Capability::CAP_SYS_TIME]);
        let resource = CapSet::from([Capability::CAP_SYS_RESOURCE]);
        let host = CapSet::all() - resource;
        let set = bounding_set(isolation, time | resource, time, host);
        assert_eq!(set, all_of(true, true) - resource);
    }

    #[test]
    fn reads_names_in_every_usual_form() {
        let expected = CapSet::from([Capability::CAP_SYS_TIME, Capability::CAP_BPF]);
        for text in ["CAP_SYS_TIME,CAP_BPF", "sys_time bpf", "cap_bpf, Sys_Time"] {
            assert_eq!(text.parse::<CapSet>().unwrap(), expected, "{text}");
        }
        assert_eq!("all".parse::<CapSet>().unwrap(), CapSet::all());
        assert_eq!("".parse::<CapSet>().unwrap(), CapSet::EMPTY);
    }

    #[test]
    fn an_unknown_name_is_a_usage_error_that_quotes_it() {
        let error = "CAP_CHOWN,CAP_\u{1b}X".parse::<CapSet>().unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert_eq!(error.to_string(), r"unknown capability 'CAP_\u{1b}X'");
    }

    #[test]
    fn the_hosts_set_is_the_one_in_proc() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let hex = status.lines().find_map(|l| l.strip_prefix("CapBnd:\t"));
        let mask = u64::from_str_radix(hex.unwrap(), 16).unwrap();
        assert_eq!(CapSet::host().unwrap().mask(), mask & CapSet::all().mask());
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(mask in any::<u64>()) {
            let set = CapSet::from_mask(mask) & CapSet::all();
            prop_assert_eq!(set.to_string().parse::<CapSet>().unwrap(), set);
        }

        #[test]
        fn reading_never_panics(text in ".{0,40}") {
            let _ = text.parse::<CapSet>();
        }
    }
}
