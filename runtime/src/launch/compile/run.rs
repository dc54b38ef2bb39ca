//! /run and the part of it that tells the payload about its container.

use std::ffi::CString;

use rustix::mount::{MountAttrFlags, MountPropagationFlags};

use super::builder::{self, Builder, NO_SUID_DEV_EXEC, SHOWN, at};
use super::{covers, own};
use crate::error::Result;
use crate::launch::op::{Need, Op};
use crate::launch::slot::Slot;
use crate::plan::Plan;

const FIFO: u32 = 0o010_000;

/// Mounts /run and fills /run/host, as systemd's container interface describes it.
pub(super) fn build(b: &mut Builder, plan: &Plan) -> Result<()> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_STRICTATIME;
    let options = [
        (c"mode", c"0755"),
        (c"size", c"20%"),
        (c"nr_inodes", c"800k"),
    ];
    b.directory(Slot::Root, c"run", 0o755);
    b.new_fs(c"tmpfs", &options, attributes, Slot::Run);
    b.attach(Slot::Run, at(Slot::Root, c"run"));
    b.directory(Slot::Run, c"host", 0o755);
    covers::nodes(b, Slot::Run);
    b.file(
        Slot::Run,
        c"host/container-manager",
        0o444,
        format!("{}\n", plan.manager),
    );
    b.file(
        Slot::Run,
        c"host/container-uuid",
        0o444,
        format!("{}\n", plan.uuid),
    );
    b.file(
        Slot::Run,
        c"host/os-release",
        0o444,
        plan.host_os_release.clone(),
    );
    b.file(
        Slot::Run,
        c"host/boot-id",
        0o444,
        format!("{}\n", plan.boot_id),
    );
    b.file(
        Slot::Run,
        c"host/cmdline",
        0o444,
        format!("{}\n", plan.kernel_cmdline),
    );
    let kmsg = at(Slot::Run, c"host/kmsg");
    b.must(Op::Node {
        at: kmsg,
        mode: FIFO | 0o600,
        device: 0,
    });
    if plan.credentials.is_empty() {
        return Ok(());
    }
    credentials(b, plan)
}

/// Secrets in a file system of their own, which is never written to a disk.
fn credentials(b: &mut Builder, plan: &Plan) -> Result<()> {
    b.directory(Slot::Run, c"host/credentials", 0o700);
    let options = [(c"mode", c"0500")];
    b.new_fs(c"ramfs", &options, NO_SUID_DEV_EXEC, Slot::Credentials);
    b.attach(Slot::Credentials, at(Slot::Run, c"host/credentials"));
    for one in &plan.credentials {
        let name = builder::text("the name of a credential", one.id().as_bytes())?;
        b.file(Slot::Credentials, &name, 0o400, one.value());
    }
    b.must(Op::SetAttributes {
        tree: Slot::Credentials,
        recursive: false,
        set: MountAttrFlags::MOUNT_ATTR_RDONLY,
        propagation: MountPropagationFlags::empty(),
    });
    Ok(())
}

/// After the change of root: the notification socket, then nothing in /run/host changes any more.
pub(super) fn finish(b: &mut Builder) {
    b.must(Op::BindNotify {
        path: own(c"/run/host/notify"),
    });
    let host = || builder::host(CString::from(c"/run/host"));
    b.bind(Need::Must, host(), SHOWN, host());
}
