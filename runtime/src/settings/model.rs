//! All that a settings file can say.

use super::limits::{
    Cpus, Delegated, Family, OomScore, Personality, ResourceLimit, Rule, SystemCall,
};
use super::places::{
    Bind, BindUserShell, Interface, InterfacePair, LinkJournal, Overlay, Port, ResolvConfMode,
    TimezoneMode, Tmpfs, Volatile, Zone,
};
use super::values::{InnerPath, MachineId, PivotRoot, UserName, Variable};
use crate::caps::CapSet;
use crate::name::MachineName;
use crate::ownership::Ownership;
use crate::range::PrivateUsers;
use crate::supervise::Signal;

/// The value of every key; what no line says is absent or empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Settings {
    pub(super) boot: Option<bool>,
    pub(super) ephemeral: Option<bool>,
    pub(super) process_two: Option<bool>,
    pub(super) parameters: Vec<String>,
    pub(super) environment: Vec<Variable>,
    pub(super) user: Option<UserName>,
    pub(super) working_directory: Option<InnerPath>,
    pub(super) pivot_root: Option<PivotRoot>,
    pub(super) capability: Vec<CapSet>,
    pub(super) drop_capability: Vec<CapSet>,
    pub(super) ambient_capability: Vec<CapSet>,
    pub(super) no_new_privileges: Option<bool>,
    pub(super) kill_signal: Option<Signal>,
    pub(super) personality: Option<Personality>,
    pub(super) machine_id: Option<MachineId>,
    pub(super) private_users: Option<PrivateUsers>,
    pub(super) private_users_delegate: Option<Delegated>,
    pub(super) notify_ready: Option<bool>,
    pub(super) system_call_filter: Vec<Rule<SystemCall>>,
    pub(super) restrict_address_families: Vec<Rule<Family>>,
    pub(super) limits: Limits,
    pub(super) oom_score_adjust: Option<OomScore>,
    pub(super) cpu_affinity: Vec<Cpus>,
    pub(super) hostname: Option<MachineName>,
    pub(super) resolv_conf: Option<ResolvConfMode>,
    pub(super) timezone: Option<TimezoneMode>,
    pub(super) link_journal: Option<LinkJournal>,
    pub(super) suppress_sync: Option<bool>,

    pub(super) read_only: Option<bool>,
    pub(super) volatile: Option<Volatile>,
    pub(super) bind: Vec<Bind>,
    pub(super) bind_read_only: Vec<Bind>,
    pub(super) temporary_file_system: Vec<Tmpfs>,
    pub(super) inaccessible: Vec<InnerPath>,
    pub(super) overlay: Vec<Overlay>,
    pub(super) overlay_read_only: Vec<Overlay>,
    pub(super) private_users_ownership: Option<Ownership>,
    pub(super) private_users_chown: Option<bool>,
    pub(super) bind_user: Vec<String>,
    pub(super) bind_user_shell: Option<BindUserShell>,

    pub(super) private: Option<bool>,
    pub(super) namespace_path: Option<InnerPath>,
    pub(super) virtual_ethernet: Option<bool>,
    pub(super) virtual_ethernet_extra: Vec<InterfacePair>,
    pub(super) interface: Vec<InterfacePair>,
    pub(super) macvlan: Vec<InterfacePair>,
    pub(super) ipvlan: Vec<InterfacePair>,
    pub(super) bridge: Option<Interface>,
    pub(super) zone: Option<Zone>,
    pub(super) port: Vec<Port>,
}

/// `LimitCPU=` and the like.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Limits {
    pub(super) address_space: Option<ResourceLimit>,
    pub(super) core: Option<ResourceLimit>,
    pub(super) cpu: Option<ResourceLimit>,
    pub(super) data: Option<ResourceLimit>,
    pub(super) file_size: Option<ResourceLimit>,
    pub(super) locks: Option<ResourceLimit>,
    pub(super) memlock: Option<ResourceLimit>,
    pub(super) msgqueue: Option<ResourceLimit>,
    pub(super) nice: Option<ResourceLimit>,
    pub(super) nofile: Option<ResourceLimit>,
    pub(super) nproc: Option<ResourceLimit>,
    pub(super) rss: Option<ResourceLimit>,
    pub(super) rtprio: Option<ResourceLimit>,
    pub(super) rttime: Option<ResourceLimit>,
    pub(super) sigpending: Option<ResourceLimit>,
    pub(super) stack: Option<ResourceLimit>,
}
