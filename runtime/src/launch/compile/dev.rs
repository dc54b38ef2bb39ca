//! /dev, /dev/pts, /dev/shm, /dev/mqueue and /tmp.

use std::ffi::{CStr, CString};

use rustix::fs::makedev;
use rustix::mount::MountAttrFlags;

use super::builder::{self, Builder, NO_SUID_DEV_EXEC, at};
use crate::launch::op::{Need, Op};
use crate::launch::slot::Slot;
use crate::plan::{Console, Plan};

const CHARACTER: u32 = 0o020_000;

/// A device that every system expects: name below /dev, name on the host, major, minor.
type Device = (&'static CStr, &'static CStr, u32, u32);

const DEVICES: &[Device] = &[
    (c"null", c"/dev/null", 1, 3),
    (c"zero", c"/dev/zero", 1, 5),
    (c"full", c"/dev/full", 1, 7),
    (c"random", c"/dev/random", 1, 8),
    (c"urandom", c"/dev/urandom", 1, 9),
    (c"tty", c"/dev/tty", 5, 0),
];

/// Devices that work inside a user namespace, where the host has them.
const OPTIONAL: &[Device] = &[
    (c"fuse", c"/dev/fuse", 10, 229),
    (c"net/tun", c"/dev/net/tun", 10, 200),
];

const LINKS: &[(&CStr, &CStr)] = &[
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
    (c"core", c"/proc/kcore"),
    (c"ptmx", c"pts/ptmx"),
];

pub(super) fn build(b: &mut Builder, plan: &Plan) {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_STRICTATIME;
    let options = [(c"mode", c"0755"), (c"size", c"4m"), (c"nr_inodes", c"64k")];
    b.directory(Slot::Root, c"dev", 0o755);
    b.new_fs(c"tmpfs", &options, attributes, Slot::Dev);
    b.attach(Slot::Dev, at(Slot::Root, c"dev"));
    for device in DEVICES {
        self::device(b, Need::Must, *device);
    }
    b.directory(Slot::Dev, c"net", 0o755);
    for device in OPTIONAL.iter().filter(|d| plan.has_device(d.1)) {
        self::device(b, Need::IfPresent, *device);
    }
    for (path, target) in LINKS {
        b.link(Slot::Dev, path, target);
    }
    terminals(b);
    b.directory(Slot::Dev, c"mqueue", 0o755);
    b.new_fs(c"mqueue", &[], NO_SUID_DEV_EXEC, Slot::Passing);
    b.attach(Slot::Passing, at(Slot::Dev, c"mqueue"));
    b.directory(Slot::Dev, c"shm", 0o1777);
    scratch(b, at(Slot::Dev, c"shm"));
    b.directory(Slot::Root, c"tmp", 0o1777);
    scratch(b, at(Slot::Root, c"tmp"));
    if matches!(plan.console, Console::Terminal(_)) {
        b.must(Op::OpenConsole);
    }
}

/// A node of its own, or the host's node mounted where the kernel lets nobody make one.
fn device(b: &mut Builder, need: Need, (path, source, major, minor): Device) {
    if b.shifted() {
        b.file(Slot::Dev, path, 0o666, "");
        let from = builder::host(CString::from(source));
        b.bind(need, from, MountAttrFlags::empty(), at(Slot::Dev, path));
    } else {
        let at = at(Slot::Dev, path);
        let mode = CHARACTER | 0o666;
        let device = makedev(major, minor);
        b.push(need, Op::Node { at, mode, device });
    }
}

fn terminals(b: &mut Builder) {
    // newinstance is implied since Linux 4.7; 5 is what the plan calls TTY_GID.
    let options = [
        (c"ptmxmode", c"0666"),
        (c"mode", c"0620"),
        (c"gid", c"5"),
        (c"max", c"1024"),
    ];
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    b.directory(Slot::Dev, c"pts", 0o755);
    b.new_fs(c"devpts", &options, attributes, Slot::Passing);
    b.attach(Slot::Passing, at(Slot::Dev, c"pts"));
}

/// A tmpfs that everybody may write to.
fn scratch(b: &mut Builder, place: crate::launch::op::Place) {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_STRICTATIME;
    let options = [
        (c"mode", c"01777"),
        (c"size", c"10%"),
        (c"nr_inodes", c"400k"),
    ];
    b.new_fs(c"tmpfs", &options, attributes, Slot::Passing);
    b.attach(Slot::Passing, place);
}
