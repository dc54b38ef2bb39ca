//! What a launch will be: every default filled in, every conflict refused, nothing done yet.

pub mod bound;
mod console;
pub mod credentials;
mod env;
mod explain;
mod files;
mod identity;
mod journal;
mod limits;
mod make;
pub(crate) mod masks;
pub mod mounts;
pub mod network;
mod pivot;
mod request;
pub mod tuning;
mod volatile;

use std::ffi::CStr;
use std::path::PathBuf;

use rustix::process::Resource;

use self::bound::BoundUser;
pub use self::console::{Console, ConsoleMode, Shown};
use self::credentials::Credential;
pub(crate) use self::env::search_path;
pub use self::files::{FileChange, Origin, ResolvConf, Timezone, Way};
pub(crate) use self::identity::is_root;
pub(crate) use self::journal::{JOURNALS, plan as plan_journal};
pub use self::journal::{Journal, LinkJournal};
pub(crate) use self::make::{machine_id, make, new_id, parse_id};
use self::mounts::Planned;
pub use self::network::{Links, LinksRequest};
pub use self::pivot::PivotRoot;
pub use self::request::{Changes, Mode, Register, Request, Volatile};
use self::tuning::Tuning;
pub(crate) use self::volatile::{mounts as all_mounts, overlays, writes};
use crate::caps::CapSet;
use crate::cgroup::ScopeOptions;
use crate::facts::{Account, Node};
use crate::name::MachineName;
use crate::ownership::Ownership;
use crate::range::PrivateUsers;
use crate::seccomp::Restrictions;

/// The group of terminals in nearly every image, which devpts gives them to.
pub(crate) const TTY_GID: u32 = 5;

/// Whose network the payload sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// The host's. The payload cannot configure it.
    Host,
    /// Its own, with nothing but the loopback device.
    Private,
    /// Its own, with a link `host0` to the host.
    Veth,
    /// One that is there already. The payload cannot configure it.
    Joined,
}

impl Network {
    /// Whether the payload has a network namespace of its own.
    #[must_use]
    pub fn is_private(self) -> bool {
        matches!(self, Self::Private | Self::Veth)
    }

    /// The word that `--network=` takes.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Private => "private",
            Self::Veth => "veth",
            Self::Joined => "namespace",
        }
    }
}

/// One resource limit of the payload; `None` is infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is limited.
    pub resource: Resource,
    /// What a process may use.
    pub soft: Option<u64>,
    /// What a process may raise the soft limit to.
    pub hard: Option<u64>,
}

/// A validated launch.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Name of the machine.
    pub machine: MachineName,
    /// The image's directory on the host.
    pub root: PathBuf,
    /// Whether a whole system is booted, for messages and for what `list` shows.
    pub boots: bool,
    /// The ids of the payload.
    pub users: PrivateUsers,
    /// Whose the image's files are to the payload.
    pub ownership: Ownership,
    /// The network of the payload.
    pub network: Network,
    /// Its links.
    pub links: Links,
    /// The file that stands for the network namespace, if it is one that is there already.
    pub network_namespace: Option<PathBuf>,
    /// Another root directory in the image.
    pub pivot_root: Option<PivotRoot>,
    /// What the standard streams are.
    pub console: Console,
    /// Whether it is ready when it says so itself.
    pub announces: bool,
    /// PID 1 is a small init of ours and the program runs as PID 2.
    pub stub: bool,
    /// Path of the program inside the root.
    pub program: String,
    /// Its arguments, with its own name first.
    pub argv: Vec<String>,
    /// Its environment.
    pub env: Vec<(String, String)>,
    /// Its working directory.
    pub workdir: String,
    /// The kernel's host name.
    pub hostname: String,
    /// Machine id in dashed form, and whether it was made up for this launch.
    pub uuid: String,
    /// Where the machine id comes from.
    pub uuid_is_random: bool,
    /// What `/proc/sys/kernel/random/boot_id` shows.
    pub boot_id: String,
    /// What `/proc/cmdline` shows.
    pub kernel_cmdline: String,
    /// What the payload calls its container manager.
    pub manager: String,
    /// The host's os-release.
    pub host_os_release: Vec<u8>,
    /// The user to run as, if not root.
    pub account: Option<Account>,
    /// The ambient set.
    pub ambient: CapSet,
    /// The bounding set.
    pub capabilities: CapSet,
    /// No privileges through execve.
    pub no_new_privileges: bool,
    /// What it may call beyond the filter of every payload, and what not.
    pub restrictions: Restrictions,
    /// What becomes of changes to the root.
    pub changes: Changes,
    /// Whether the root is empty, but for what is mounted in it.
    pub empty_root: bool,
    /// The root and what is mounted in it from the image are read-only.
    pub read_only: bool,
    /// The root's mount has attributes that the payload must not change.
    pub lock_root: bool,
    /// Device nodes of the image, and in directories of the host, are dead, since no device list
    /// says which of them can be used.
    pub(crate) no_devices: bool,
    /// Uncovered /proc and /sys stay visible, so that the payload may mount its own.
    pub nesting: bool,
    /// What is done about the payload's `/etc/resolv.conf`.
    pub resolv_conf: Option<FileChange>,
    /// Whether the host has the machine's journal, too.
    pub journal: Option<Journal>,
    /// What is done about the payload's `/etc/localtime`.
    pub timezone: Option<FileChange>,
    /// Optional device nodes that the host has.
    pub devices: Vec<&'static CStr>,
    /// Entries of /proc that the host has and the payload must not have as they are.
    pub proc_entries: Vec<&'static CStr>,
    /// Resource limits.
    pub limits: Vec<Limit>,
    /// What else was asked for of its processes.
    pub tuning: Tuning,
    /// Where its scope is to be, and limits of it.
    pub scope: ScopeOptions,
    /// Whether machined is told of it.
    pub register: Register,
    /// Secrets for the payload.
    pub credentials: Vec<Credential>,
    /// Users of the host whom the machine knows.
    pub users_of_host: Vec<BoundUser>,
    /// Mounts that were asked for, each after those that it lies in.
    pub mounts: Vec<Planned>,
    /// Device nodes that these mounts show, and whether they can be written to.
    pub(crate) nodes: Vec<(Node, bool)>,
    /// What differs from what was asked for or expected, for the user.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Lets mounts alone keep devices away. It takes a user namespace: its root can make no node,
    /// and does not get rid of attributes that are locked.
    pub(crate) fn rely_on_mounts(&mut self) {
        self.no_devices = true;
        self.lock_root = true;
    }

    /// Whether the host has one of the optional device nodes.
    pub(crate) fn has_device(&self, path: &CStr) -> bool {
        self.devices.contains(&path)
    }
}
