//! /proc and /sys, with what the payload shall not see or change covered for good.

use std::ffi::CStr;

use rustix::mount::{MountAttrFlags, MountPropagationFlags};

use super::builder::{self, Builder, NO_SUID_DEV_EXEC, SHOWN, at};
use super::own;
use crate::launch::op::{Need, Op};
use crate::launch::slot::Slot;
use crate::plan::Plan;
use crate::plan::masks::{HIDDEN, READ_ONLY};

/// The part of sysfs that the payload sees. Firmware, power, modules and the kernel's debug
/// interfaces are not in it.
const SYSFS: &[&CStr] = &[c"block", c"bus", c"class", c"dev", c"devices", c"kernel"];

/// Builds both trees on the host's mount points and moves locked copies into the root.
pub(super) fn build(b: &mut Builder, plan: &Plan) {
    proc(b, plan);
    sys(b, plan);
    let paths = [own(c"/proc"), own(c"/sys")];
    let into = [Slot::ProcTree, Slot::SysTree];
    if b.shifted() {
        b.must(Op::LockTrees { paths, into });
    } else {
        for (path, into) in paths.into_iter().zip(into) {
            let from = builder::host(path);
            b.must(Op::CloneTree {
                from,
                recursive: true,
                into,
            });
        }
    }
    b.directory(Slot::Root, c"proc", 0o555);
    b.attach(Slot::ProcTree, at(Slot::Root, c"proc"));
    b.directory(Slot::Root, c"sys", 0o555);
    b.attach(Slot::SysTree, at(Slot::Root, c"sys"));
    b.new_fs(c"cgroup2", &[], NO_SUID_DEV_EXEC, Slot::Passing);
    b.attach(Slot::Passing, at(Slot::SysTree, c"fs/cgroup"));
    if plan.nesting {
        token(b, plan);
    }
}

fn proc(b: &mut Builder, plan: &Plan) {
    b.new_fs(c"proc", &[], NO_SUID_DEV_EXEC, Slot::Proc);
    b.attach(Slot::Proc, builder::host(own(c"/proc")));
    if plan.network.is_private() {
        ping_group_range(b);
    }
    // One that is not there would be cloned in vain, and a clone that is dropped costs a grace
    // period of the kernel.
    for path in HIDDEN
        .iter()
        .filter(|path| plan.proc_entries.contains(path))
    {
        let cover = at(Slot::Run, c"host/inaccessible/reg");
        b.bind(Need::IfPresent, cover, SHOWN, at(Slot::Proc, path));
    }
    for path in READ_ONLY
        .iter()
        .filter(|path| plan.proc_entries.contains(path))
    {
        let place = || at(Slot::Proc, path);
        b.bind(Need::IfPresent, place(), SHOWN, place());
    }
    sysctls(b, plan);
    let replaced = [
        (c"host/boot-id", c"sys/kernel/random/boot_id"),
        (c"host/kmsg", c"kmsg"),
        (c"host/cmdline", c"cmdline"),
    ];
    for (source, target) in replaced {
        let (from, to) = (at(Slot::Run, source), at(Slot::Proc, target));
        b.bind(Need::Must, from, SHOWN, to);
    }
}

/// Lets every group of the payload use ping sockets, as systemd's sysctl defaults do on a host.
fn ping_group_range(b: &mut Builder) {
    // The kernel refuses groups that the user namespace does not map.
    let last = b
        .range_length()
        .saturating_sub(1)
        .min(i32::MAX.unsigned_abs());
    let at = at(Slot::Proc, c"sys/net/ipv4/ping_group_range");
    let content = format!("0 {last}").into_bytes();
    b.push(Need::Try, Op::Write { at, content });
}

/// /proc/sys read-only, but for the network's part if the network is the payload's own.
fn sysctls(b: &mut Builder, plan: &Plan) {
    let net = || at(Slot::Proc, c"sys/net");
    let private = plan.network.is_private();
    if private {
        b.must(Op::CloneTree {
            from: net(),
            recursive: true,
            into: Slot::SysNet,
        });
    }
    let all = || at(Slot::Proc, c"sys");
    b.bind(Need::Must, all(), SHOWN, all());
    if private {
        b.attach(Slot::SysNet, net());
    }
}

fn sys(b: &mut Builder, plan: &Plan) {
    if plan.network.is_private() || !b.shifted() {
        b.new_fs(c"sysfs", &[], SHOWN, Slot::FullSys);
    }
    b.attach(Slot::FullSys, builder::host(own(c"/sys")));
    let options = [(c"mode", c"0555"), (c"size", c"4m"), (c"nr_inodes", c"1k")];
    b.new_fs(c"tmpfs", &options, NO_SUID_DEV_EXEC, Slot::Sys);
    for path in SYSFS
        .iter()
        .copied()
        .chain([c"fs", c"fs/cgroup", c"fs/bpf"])
    {
        b.directory(Slot::Sys, path, 0o755);
    }
    b.attach(Slot::Sys, builder::host(own(c"/sys")));
    for path in SYSFS {
        let (from, to) = (at(Slot::FullSys, path), at(Slot::Sys, path));
        b.bind(Need::IfPresent, from, SHOWN, to);
    }
    // A writable /sys would make the payload start udev (ConditionPathIsReadWrite=/sys).
    b.must(Op::SetAttributes {
        tree: Slot::Sys,
        recursive: false,
        set: MountAttrFlags::MOUNT_ATTR_RDONLY,
        propagation: MountPropagationFlags::empty(),
    });
}

/// Instances that nothing covers: while they are visible, the kernel lets the payload mount its
/// own, which nested containers, sandboxed builds and systemd 247's unit sandboxes need.
fn token(b: &mut Builder, plan: &Plan) {
    b.directory(Slot::Run, c"host/proc", 0o700);
    b.new_fs(c"proc", &[], SHOWN, Slot::Passing);
    b.attach(Slot::Passing, at(Slot::Run, c"host/proc"));
    if plan.network.is_private() || !b.shifted() {
        b.directory(Slot::Run, c"host/sys", 0o700);
        b.new_fs(c"sysfs", &[], SHOWN, Slot::Passing);
        b.attach(Slot::Passing, at(Slot::Run, c"host/sys"));
    }
}
