//! From plan to script: pure, and the only place that knows the order of a launch.
//!
//! The order is that of `docs/protocol.md`. Its backbone: everything that becomes a lock is
//! mounted on the copied host tree's /proc and /sys, while the host's own are still visible
//! (the kernel demands that of a user namespace); the locked copies move into the machine's
//! root; what the payload may change is mounted after that.

mod api;
mod builder;
mod covers;
pub(super) mod custom;
mod dev;
mod run;
mod stage;
mod start;

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::mount::MountPropagationFlags;

use self::builder::Builder;
use super::fault::Fault;
use super::op::{Need, Op, ParentOp};
use super::script::Script;
use super::slot::Slot;
use crate::error::Result;
use crate::ownership::IdMap;
use crate::plan::{Changes, FileChange, Journal, Network, Plan};
use crate::range::Range;
use crate::sys::clone::flags;

/// Compiles `plan` for the ids of `range`, or the host's if there is none, and an image that is
/// mounted with `map`. `mount_point` is a directory of ours that the root tree is attached to in
/// the child's copy of the host's tree.
pub(crate) fn compile(
    plan: &Plan,
    range: Option<Range>,
    map: IdMap,
    mount_point: &Path,
) -> Result<Script> {
    let mut b = Builder::new(range);
    enter(&mut b, plan, range.is_some(), mount_point)?;
    stage::lock(&mut b, plan)?;
    run::build(&mut b, plan)?;
    api::build(&mut b, plan);
    dev::build(&mut b, plan);
    image_files(&mut b, plan)?;
    custom::build(&mut b, &plan.mounts)?;
    b.must(Op::Pivot);
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    b.must(Op::Propagation(shared));
    run::finish(&mut b);
    let filters = start::build(&mut b, plan)?;
    Ok(Script {
        parent: parent(plan, range, map)?,
        child: b.into_steps(),
        filters,
        program: start::program(plan)?,
        fault: Fault::from_environment(),
    })
}

fn enter(b: &mut Builder, plan: &Plan, shifted: bool, mount_point: &Path) -> Result<()> {
    let mut slots = vec![Slot::Root];
    if host_sysfs(plan, shifted) {
        slots.push(Slot::FullSys);
    }
    // Meanwhile the parent prepares what the next step waits for.
    let network = plan.network == Network::Private && !from_outside(plan);
    b.must(Op::UnshareOwn { network });
    b.must(Op::Receive { slots });
    b.must(Op::CutPropagation);
    // Before the change of ids, which takes the way to root's own directories away.
    let path = builder::text("the state directory", mount_point.as_os_str().as_bytes())?;
    b.attach(Slot::Root, builder::host(path));
    b.must(Op::Become);
    b.must(Op::DieWithParent);
    b.must(Op::Umask(0));
    if plan.network.is_private() {
        b.must(Op::LoopbackUp);
    }
    Ok(())
}

/// Whether sysfs must come from outside: it can only be mounted by the owner of its network
/// namespace.
fn host_sysfs(plan: &Plan, shifted: bool) -> bool {
    shifted && !plan.network.is_private()
}

fn image_files(b: &mut Builder, plan: &Plan) -> Result<()> {
    let files = [
        (c"etc/resolv.conf", &plan.resolv_conf),
        (c"etc/localtime", &plan.timezone),
    ];
    if let Some(journal @ Journal::Linked { .. }) = &plan.journal {
        b.push(Need::Try, custom::directory(&journal.path())?);
    }
    if plan.resolv_conf.is_some() {
        b.directory(Slot::Root, c"etc", 0o755);
    }
    for (path, change) in files {
        if let Some(change) = change {
            image_file(b, path, change)?;
        }
    }
    Ok(())
}

fn image_file(b: &mut Builder, path: &CStr, change: &FileChange) -> Result<()> {
    let at = || builder::at(Slot::Root, path);
    match change {
        FileChange::Fill(content) => {
            let content = content.clone();
            b.push(Need::Try, Op::Fill { at: at(), content });
        }
        FileChange::Replace(content) => {
            let (content, mode) = (content.clone(), 0o644);
            b.push(Need::Try, Op::Unlink { at: at() });
            b.push(
                Need::Try,
                Op::File {
                    at: at(),
                    mode,
                    content,
                },
            );
        }
        FileChange::Link(target) => {
            let target = builder::text("the time zone", target.as_bytes())?;
            b.push(Need::Try, Op::Link { at: at(), target });
        }
        FileChange::Delete => b.push(Need::Try, Op::Unlink { at: at() }),
    }
    Ok(())
}

fn parent(plan: &Plan, range: Option<Range>, map: IdMap) -> Result<Vec<ParentOp>> {
    let trees = custom::trees(&plan.mounts, plan.no_devices, range, map)?;
    let mut ops: Vec<ParentOp> = trees.into_iter().map(ParentOp::Tree).collect();
    if let Some(path) = &plan.network_namespace {
        let path = path.as_os_str().as_bytes();
        let path = builder::text("the network namespace", path)?;
        ops.push(ParentOp::JoinNetwork(path));
    }
    ops.push(ParentOp::Clone {
        namespaces: namespaces(plan, range.is_some()),
    });
    if let Some(range) = range {
        ops.push(ParentOp::WriteIdMaps {
            base: range.base(),
            length: range.len(),
        });
    }
    ops.push(if plan.empty_root {
        ParentOp::EmptyRoot {
            owner: range.map_or(0, Range::base),
        }
    } else {
        ParentOp::CloneRoot {
            map,
            attributes: custom::attributes(plan.read_only, plan.no_devices),
            overlay: plan.changes != Changes::Kept,
        }
    });
    if host_sysfs(plan, range.is_some()) {
        ops.push(ParentOp::HostSysfs);
    }
    ops.extend([ParentOp::SendTrees, ParentOp::Cgroup]);
    ops.extend(plan.limits.iter().map(|limit| ParentOp::Limit {
        resource: limit.resource,
        soft: limit.soft,
        hard: limit.hard,
    }));
    ops.extend(plan.tuning.oom_score.map(ParentOp::OomScore));
    ops.extend(plan.tuning.cpus.clone().map(ParentOp::Processors));
    if from_outside(plan) {
        ops.push(ParentOp::Network);
    }
    ops.extend([
        ParentOp::Record,
        // Before it is waited for: the child finds it when it is ready, and does not wait at all.
        ParentOp::Start,
        ParentOp::AwaitReady,
        ParentOp::AwaitExec,
    ]);
    Ok(ops)
}

/// Whether the parent has links or ports to put into the network namespace.
fn from_outside(plan: &Plan) -> bool {
    !plan.links.is_empty() || !plan.links.host_ports.is_empty()
}

fn namespaces(plan: &Plan, shifted: bool) -> u64 {
    let mut wanted = flags::NEWNS | flags::NEWPID | flags::NEWIPC | flags::NEWUTS;
    if shifted {
        wanted |= flags::NEWUSER;
    }
    // The parent links it to the host, and must not find the host's own there.
    if plan.network.is_private() && from_outside(plan) {
        wanted |= flags::NEWNET;
    }
    wanted
}

/// A C string of a constant path.
fn own(path: &CStr) -> CString {
    path.to_owned()
}
