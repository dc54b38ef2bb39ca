//! The table of all keys: section, name, option, who may set it, where it is kept; and for what is
//! not acted upon, what happens instead. After the row, what holds without the key.

use super::keys::Group::{Capabilities, Mounts, Network as Net, StartMode, Users};
use super::keys::Section::{Exec, Files, Network};
use super::keys::Trust::{Any, Forbids, Trusted};
use super::keys::{Key, key};

// One row per key: laid out as a table, it can be read as one.
/// Every key of systemd.nspawn(5), in its order.
#[rustfmt::skip]
pub static KEYS: &[Key] = &[
    key(Exec,    "Boot",                  &["boot"],                     Any,     |s| &mut s.boot).group(StartMode)
        .default("as the verb says"),
    key(Exec,    "Ephemeral",             &["ephemeral"],                Trusted, |s| &mut s.ephemeral)
        .default("no"),
    key(Exec,    "ProcessTwo",            &["pid1"],                     Any,     |s| &mut s.process_two).group(StartMode)
        .default("yes"),
    key(Exec,    "Parameters",            &["parameters", "command"],   Any,     |s| &mut s.parameters).group(StartMode).whole(),
    key(Exec,    "Environment",           &["setenv"],                   Any,     |s| &mut s.environment),
    key(Exec,    "User",                  &["user"],                     Any,     |s| &mut s.user)
        .default("root"),
    key(Exec,    "WorkingDirectory",      &["workdir"],                  Any,     |s| &mut s.working_directory)
        .default("/"),
    key(Exec,    "PivotRoot",             &["pivot-root"],               Any,     |s| &mut s.pivot_root)
        .default("/"),
    key(Exec,    "Capability",            &["capability"],               Trusted, |s| &mut s.capability).group(Capabilities),
    key(Exec,    "DropCapability",        &["drop-capability"],          Any,     |s| &mut s.drop_capability).group(Capabilities),
    key(Exec,    "AmbientCapability",     &["ambient-capability"],       Trusted, |s| &mut s.ambient_capability).group(Capabilities),
    key(Exec,    "NoNewPrivileges",       &["no-new-privileges"],        Any,     |s| &mut s.no_new_privileges)
        .default("no"),
    key(Exec,    "KillSignal",            &["kill-signal"],              Any,     |s| &mut s.kill_signal)
        .default("SIGRTMIN+3; with run the signal that came"),
    key(Exec,    "Personality",           &["personality"],              Any,     |s| &mut s.personality)
        .default("the host's"),
    key(Exec,    "MachineID",             &["uuid"],                     Trusted, |s| &mut s.machine_id)
        .default("the image's, or a random one"),
    key(Exec,    "PrivateUsers",          &["private-users"],            Trusted, |s| &mut s.private_users).group(Users)
        .default("pick"),
    key(Exec,    "PrivateUsersDelegate",  &["private-users-delegate"],   Trusted, |s| &mut s.private_users_delegate).group(Users)
        .ignored("nsrun gives a machine one range of ids"),
    key(Exec,    "NotifyReady",           &["notify-ready"],             Any,     |s| &mut s.notify_ready)
        .default("yes; with run no"),
    key(Exec,    "SystemCallFilter",      &["system-call-filter"],       Forbids, |s| &mut s.system_call_filter),
    key(Exec,    "RestrictAddressFamilies", &["restrict-address-families"], Any,     |s| &mut s.restrict_address_families).whole()
        .default("all of the host's"),
    key(Exec,    "LimitCPU",              &["rlimit"],                   Trusted, |s| &mut s.limits.cpu).shared(),
    key(Exec,    "LimitFSIZE",            &["rlimit"],                   Trusted, |s| &mut s.limits.file_size).shared(),
    key(Exec,    "LimitDATA",             &["rlimit"],                   Trusted, |s| &mut s.limits.data).shared(),
    key(Exec,    "LimitSTACK",            &["rlimit"],                   Trusted, |s| &mut s.limits.stack).shared(),
    key(Exec,    "LimitCORE",             &["rlimit"],                   Trusted, |s| &mut s.limits.core).shared(),
    key(Exec,    "LimitRSS",              &["rlimit"],                   Trusted, |s| &mut s.limits.rss).shared(),
    key(Exec,    "LimitNOFILE",           &["rlimit"],                   Trusted, |s| &mut s.limits.nofile).shared(),
    key(Exec,    "LimitAS",               &["rlimit"],                   Trusted, |s| &mut s.limits.address_space).shared(),
    key(Exec,    "LimitNPROC",            &["rlimit"],                   Trusted, |s| &mut s.limits.nproc).shared(),
    key(Exec,    "LimitMEMLOCK",          &["rlimit"],                   Trusted, |s| &mut s.limits.memlock).shared(),
    key(Exec,    "LimitLOCKS",            &["rlimit"],                   Trusted, |s| &mut s.limits.locks).shared(),
    key(Exec,    "LimitSIGPENDING",       &["rlimit"],                   Trusted, |s| &mut s.limits.sigpending).shared(),
    key(Exec,    "LimitMSGQUEUE",         &["rlimit"],                   Trusted, |s| &mut s.limits.msgqueue).shared(),
    key(Exec,    "LimitNICE",             &["rlimit"],                   Trusted, |s| &mut s.limits.nice).shared(),
    key(Exec,    "LimitRTPRIO",           &["rlimit"],                   Trusted, |s| &mut s.limits.rtprio).shared(),
    key(Exec,    "LimitRTTIME",           &["rlimit"],                   Trusted, |s| &mut s.limits.rttime).shared(),
    key(Exec,    "OOMScoreAdjust",        &["oom-score-adjust"],         Trusted, |s| &mut s.oom_score_adjust),
    key(Exec,    "CPUAffinity",           &["cpu-affinity"],             Trusted, |s| &mut s.cpu_affinity).whole()
        .default("all of the host's"),
    key(Exec,    "Hostname",              &["hostname"],                 Any,     |s| &mut s.hostname)
        .default("the machine's name"),
    key(Exec,    "ResolvConf",            &["resolv-conf"],              Any,     |s| &mut s.resolv_conf)
        .default("auto"),
    key(Exec,    "Timezone",              &["timezone"],                 Any,     |s| &mut s.timezone)
        .default("auto"),
    key(Exec,    "LinkJournal",           &["link-journal"],             Trusted, |s| &mut s.link_journal)
        .default("no"),
    key(Exec,    "SuppressSync",          &["suppress-sync"],            Any,     |s| &mut s.suppress_sync)
        .default("no"),
    key(Files,   "ReadOnly",              &["read-only"],                Any,     |s| &mut s.read_only)
        .default("no"),
    key(Files,   "Volatile",              &["volatile"],                 Any,     |s| &mut s.volatile)
        .default("no"),
    key(Files,   "Bind",                  &["bind"],                     Trusted, |s| &mut s.bind).group(Mounts),
    key(Files,   "BindReadOnly",          &["bind-ro"],                  Trusted, |s| &mut s.bind_read_only).group(Mounts),
    key(Files,   "TemporaryFileSystem",   &["tmpfs"],                    Trusted, |s| &mut s.temporary_file_system).group(Mounts),
    key(Files,   "Inaccessible",          &["inaccessible"],             Trusted, |s| &mut s.inaccessible).group(Mounts),
    key(Files,   "Overlay",               &["overlay"],                  Trusted, |s| &mut s.overlay).group(Mounts),
    key(Files,   "OverlayReadOnly",       &["overlay-ro"],               Trusted, |s| &mut s.overlay_read_only).group(Mounts),
    key(Files,   "PrivateUsersOwnership", &["private-users-ownership"],  Trusted, |s| &mut s.private_users_ownership).group(Users)
        .default("auto"),
    key(Files,   "PrivateUsersChown",     &["private-users-ownership"],  Trusted, |s| &mut s.private_users_chown).group(Users),
    key(Files,   "BindUser",              &["bind-user"],                Trusted, |s| &mut s.bind_user),
    key(Files,   "BindUserShell",         &["bind-user-shell"],          Trusted, |s| &mut s.bind_user_shell),
    key(Network, "Private",               &["network", "private-network", "network-veth"], Trusted, |s| &mut s.private).group(Net)
        .default("yes"),
    key(Network, "NamespacePath",         &["network-namespace-path", "network"], Trusted, |s| &mut s.namespace_path).group(Net),
    key(Network, "VirtualEthernet",       &["network", "network-veth", "private-network"], Trusted, |s| &mut s.virtual_ethernet).group(Net)
        .default("yes; with run no"),
    key(Network, "VirtualEthernetExtra",  &["network-veth-extra"],       Trusted, |s| &mut s.virtual_ethernet_extra).group(Net),
    key(Network, "Interface",             &["network-interface"],        Trusted, |s| &mut s.interface).group(Net),
    key(Network, "MACVLAN",               &["network-macvlan"],          Trusted, |s| &mut s.macvlan).group(Net),
    key(Network, "IPVLAN",                &["network-ipvlan"],           Trusted, |s| &mut s.ipvlan).group(Net),
    key(Network, "Bridge",                &["network-bridge", "network-zone"], Trusted, |s| &mut s.bridge).group(Net),
    key(Network, "Zone",                  &["network-zone", "network-bridge"], Trusted, |s| &mut s.zone).group(Net),
    key(Network, "Port",                  &["port"],                     Trusted, |s| &mut s.port),
];
