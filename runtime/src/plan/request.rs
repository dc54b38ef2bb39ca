//! What the user asked for; everything that was not said is absent.

use std::path::PathBuf;

use super::Network;
use super::bound::BoundUsers;
use super::console::ConsoleMode;
use super::credentials::Credential;
use super::files::{ResolvConf, Timezone};
use super::journal::LinkJournal;
use super::mounts::Mount;
use super::network::LinksRequest;
use super::pivot::PivotRoot;
use super::tuning::Tuning;
use crate::caps::CapSet;
use crate::cgroup::ScopeOptions;
use crate::name::MachineName;
use crate::ownership::Ownership;
use crate::range::PrivateUsers;
use crate::seccomp::Restrictions;

/// What is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The image's init, or the one that is named.
    Boot {
        /// Path of init inside the image.
        init: Option<String>,
        /// Its arguments; `KEY=VALUE` without a dot in the key goes to its environment.
        parameters: Vec<String>,
    },
    /// One command.
    Run {
        /// The command and its arguments.
        command: Vec<String>,
        /// It is PID 1 itself.
        as_pid1: bool,
    },
}

/// What becomes of what a machine changes in its root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Changes {
    /// It is in the image.
    #[default]
    Kept,
    /// It goes with the machine, and is in memory until then.
    InMemory,
    /// It goes with the machine, and is on a disk until then.
    OnDisk,
}

/// How much of the image a machine sees, as nspawn's `--volatile=` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Volatile {
    /// All of it.
    #[default]
    No,
    /// `/usr` alone, read-only, in an empty root in memory.
    Yes,
    /// All of it, read-only, with an empty `/var` in memory.
    State,
    /// All of it, with changes in memory.
    Overlay,
}

/// Whether machined is told of a machine, as nspawn's `--register=` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Register {
    /// It is not.
    #[default]
    No,
    /// It is, if there is one.
    Auto,
    /// It is, or the machine does not start.
    Yes,
}

/// A launch as asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Name of the machine.
    pub machine: MachineName,
    /// The image on the host: a directory, or a file or block device that holds a file system.
    pub root: PathBuf,
    /// The kernel may parse a disk image, whatever file system it holds.
    pub trust_image: bool,
    /// The image need not be root's.
    pub allow_unsafe_root: bool,
    /// What is to run.
    pub mode: Mode,
    /// The ids of the payload.
    pub users: PrivateUsers,
    /// Whose the image's files are to the payload.
    pub ownership: Ownership,
    /// The network; by default its own with a link for a system, without for a command.
    pub network: Option<Network>,
    /// Its links, and what they get.
    pub links: LinksRequest,
    /// The file that stands for the network namespace to join, in place of a network.
    pub network_namespace: Option<PathBuf>,
    /// Another root directory in the image.
    pub pivot_root: Option<PivotRoot>,
    /// The kernel's host name, by default the machine's.
    pub hostname: Option<String>,
    /// Machine id for an image that has none, in either form.
    pub uuid: Option<String>,
    /// More environment; `None` takes the caller's value over.
    pub env: Vec<(String, String)>,
    /// Working directory inside the root.
    pub workdir: Option<String>,
    /// The user to run as, by name or number in the image; by default root.
    pub user: Option<String>,
    /// Capabilities that programs have without file capabilities.
    pub ambient_capabilities: CapSet,
    /// Capabilities added to the default set.
    pub add_capabilities: CapSet,
    /// Capabilities removed from it, after the additions.
    pub drop_capabilities: CapSet,
    /// No privileges through execve.
    pub no_new_privileges: bool,
    /// What it may call beyond nsrun's filter, and what not.
    pub restrictions: Restrictions,
    /// What becomes of changes to the root.
    pub changes: Changes,
    /// How much of the image is seen.
    pub volatile: Volatile,
    /// The root is read-only.
    pub read_only: bool,
    /// What `/proc/cmdline` shows.
    pub kernel_cmdline: String,
    /// The payload may mount its own /proc and /sys.
    pub nesting: bool,
    /// How `/etc/resolv.conf` is treated.
    pub resolv_conf: ResolvConf,
    /// How `/etc/localtime` is treated.
    pub timezone: Timezone,
    /// Whose directory the machine's journal is in.
    pub link_journal: LinkJournal,
    /// How processes run.
    pub tuning: Tuning,
    /// Where the machine's scope is to be, and limits of it.
    pub scope: ScopeOptions,
    /// Whether machined is told of the machine.
    pub register: Register,
    /// Secrets for the payload.
    pub credentials: Vec<Credential>,
    /// Users of the host who are known in the machine.
    pub bound: BoundUsers,
    /// More mounts, in any order.
    pub mounts: Vec<Mount>,
    /// What the standard streams are; by default a terminal for a system.
    pub console: Option<ConsoleMode>,
    /// Whether a service manager is told that the machine is ready when it says so itself; by
    /// default of a system, but not of a command.
    pub notify_ready: Option<bool>,
    /// Whether the caller's streams are a terminal.
    pub interactive: bool,
}

impl Request {
    /// A request with nothing but defaults.
    #[must_use]
    pub fn new(machine: MachineName, root: PathBuf, mode: Mode) -> Self {
        Self {
            machine,
            root,
            trust_image: false,
            allow_unsafe_root: false,
            mode,
            users: PrivateUsers::Pick,
            ownership: Ownership::Auto,
            network: None,
            links: LinksRequest::default(),
            network_namespace: None,
            pivot_root: None,
            hostname: None,
            uuid: None,
            env: Vec::new(),
            workdir: None,
            user: None,
            ambient_capabilities: CapSet::default(),
            add_capabilities: CapSet::default(),
            drop_capabilities: CapSet::default(),
            no_new_privileges: false,
            restrictions: Restrictions::default(),
            changes: Changes::default(),
            volatile: Volatile::default(),
            read_only: false,
            kernel_cmdline: String::new(),
            nesting: false,
            resolv_conf: ResolvConf::default(),
            timezone: Timezone::default(),
            link_journal: LinkJournal::default(),
            tuning: Tuning::default(),
            scope: ScopeOptions::default(),
            register: Register::default(),
            credentials: Vec::new(),
            bound: BoundUsers::default(),
            mounts: Vec::new(),
            console: None,
            notify_ready: None,
            interactive: false,
        }
    }
}
