//! /run and the part of it that tells the payload about its container.

use std::ffi::CString;

use rustix::mount::{MountAttrFlags, MountPropagationFlags};

use super::builder::{self, Builder, NO_SUID_DEV_EXEC, SHOWN, at};
use super::{covers, own};
use crate::error::Result;
use crate::launch::op::Op;
use crate::launch::slot::Slot;
use crate::plan::Plan;
use crate::plan::bound::{BoundUser, Content};

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
    users(b, plan)?;
    if plan.credentials.is_empty() {
        return Ok(());
    }
    credentials(b, plan)
}

/// Records of the host's users, and places for their home directories.
fn users(b: &mut Builder, plan: &Plan) -> Result<()> {
    if plan.users_of_host.is_empty() {
        return Ok(());
    }
    b.directory(Slot::Run, c"host/home", 0o755);
    b.directory(Slot::Run, c"host/userdb", 0o755);
    for record in plan.users_of_host.iter().flat_map(BoundUser::records) {
        let path = format!("host/userdb/{}", record.name);
        let path = builder::text("the name of a record", path.as_bytes())?;
        match record.content {
            Content::Text(text) => {
                let mode = if record.is_secret { 0o600 } else { 0o644 };
                b.file(Slot::Run, &path, mode, text);
            }
            Content::Link(to) => {
                let to = builder::text("the name of a record", to.as_bytes())?;
                b.link(Slot::Run, &path, &to);
            }
        }
    }
    Ok(())
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
    b.bind_top(host(), SHOWN, host());
}
