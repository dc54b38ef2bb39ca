//! All that a settings file can say.

use super::limits::{Delegated, LimitOf};
use super::mounts::{Bind, Inaccessible, Overlay, Tmpfs};
use super::places::BindUser;
use super::values::{InnerPath, MachineId, UserName, Variable};
use crate::caps::CapSet;
use crate::name::MachineName;
use crate::ownership::Ownership;
use crate::plan::bound::Shell;
use crate::plan::network::{Bridged, LinkPair, Publish, Zone};
use crate::plan::tuning::{AskedLimit, CpuList, OomScore, Personality};
use crate::plan::{LinkJournal, PivotRoot, ResolvConf, Timezone, Volatile};
use crate::range::PrivateUsers;
use crate::seccomp::{CallRule, FamilyRule};
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
    pub(super) system_call_filter: Vec<CallRule>,
    pub(super) restrict_address_families: Vec<FamilyRule>,
    pub(super) limits: Limits,
    pub(super) oom_score_adjust: Option<OomScore>,
    pub(super) cpu_affinity: Vec<CpuList>,
    pub(super) hostname: Option<MachineName>,
    pub(super) resolv_conf: Option<ResolvConf>,
    pub(super) timezone: Option<Timezone>,
    pub(super) link_journal: Option<LinkJournal>,
    pub(super) suppress_sync: Option<bool>,

    pub(super) read_only: Option<bool>,
    pub(super) volatile: Option<Volatile>,
    pub(super) bind: Vec<Bind<false>>,
    pub(super) bind_read_only: Vec<Bind<true>>,
    pub(super) temporary_file_system: Vec<Tmpfs>,
    pub(super) inaccessible: Vec<Inaccessible>,
    pub(super) overlay: Vec<Overlay<false>>,
    pub(super) overlay_read_only: Vec<Overlay<true>>,
    pub(super) private_users_ownership: Option<Ownership>,
    pub(super) private_users_chown: Option<bool>,
    pub(super) bind_user: Vec<BindUser>,
    pub(super) bind_user_shell: Option<Shell>,

    pub(super) private: Option<bool>,
    pub(super) namespace_path: Option<InnerPath>,
    pub(super) virtual_ethernet: Option<bool>,
    pub(super) virtual_ethernet_extra: Vec<LinkPair>,
    pub(super) interface: Vec<LinkPair>,
    pub(super) macvlan: Vec<LinkPair>,
    pub(super) ipvlan: Vec<LinkPair>,
    pub(super) bridge: Option<Bridged>,
    pub(super) zone: Option<Zone>,
    pub(super) port: Vec<Publish>,
}

/// `LimitCPU=` and the like.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Limits {
    pub(super) address_space: LimitOf,
    pub(super) core: LimitOf,
    pub(super) cpu: LimitOf,
    pub(super) data: LimitOf,
    pub(super) file_size: LimitOf,
    pub(super) locks: LimitOf,
    pub(super) memlock: LimitOf,
    pub(super) msgqueue: LimitOf,
    pub(super) nice: LimitOf,
    pub(super) nofile: LimitOf,
    pub(super) nproc: LimitOf,
    pub(super) rss: LimitOf,
    pub(super) rtprio: LimitOf,
    pub(super) rttime: LimitOf,
    pub(super) sigpending: LimitOf,
    pub(super) stack: LimitOf,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            address_space: LimitOf::new("AS"),
            core: LimitOf::new("CORE"),
            cpu: LimitOf::new("CPU"),
            data: LimitOf::new("DATA"),
            file_size: LimitOf::new("FSIZE"),
            locks: LimitOf::new("LOCKS"),
            memlock: LimitOf::new("MEMLOCK"),
            msgqueue: LimitOf::new("MSGQUEUE"),
            nice: LimitOf::new("NICE"),
            nofile: LimitOf::new("NOFILE"),
            nproc: LimitOf::new("NPROC"),
            rss: LimitOf::new("RSS"),
            rtprio: LimitOf::new("RTPRIO"),
            rttime: LimitOf::new("RTTIME"),
            sigpending: LimitOf::new("SIGPENDING"),
            stack: LimitOf::new("STACK"),
        }
    }
}

impl Limits {
    /// Those that are set.
    pub(super) fn asked(&self) -> Vec<AskedLimit> {
        let all = [
            &self.address_space,
            &self.core,
            &self.cpu,
            &self.data,
            &self.file_size,
            &self.locks,
            &self.memlock,
            &self.msgqueue,
            &self.nice,
            &self.nofile,
            &self.nproc,
            &self.rss,
            &self.rtprio,
            &self.rttime,
            &self.sigpending,
            &self.stack,
        ];
        all.into_iter().filter_map(|limit| limit.limit).collect()
    }
}
