//! `--private-users-ownership`: whose an image's files are to the payload, with the disk left
//! alone and without.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nsrun_tests::done::{Running, run};
use nsrun_tests::facts::Facts;
use nsrun_tests::{Machine, Must, Sandbox, nsrun, patience, wait_until};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::Signal;

const PROBE: &str = "/sbin/init";
const READY: &str = "notify READY=1";
const CHOWN: &str = "--private-users-ownership=chown";

/// Ranges that no name hashes to here.
const ONE: &str = "--private-users=1114112000";
const ONE_BASE: u32 = 1_114_112_000;
const TWO: &str = "--private-users=1179648000";
const TWO_BASE: u32 = 1_179_648_000;

/// The user of the top while owners change, and those above.
const BUSY: u32 = 0xfffe_0000;

fn owner(path: &Path) -> (u32, u32) {
    let metadata = fs::symlink_metadata(path).must("look at a file");
    (metadata.uid(), metadata.gid())
}

/// First id of the payload's on the host.
fn base(facts: &Facts) -> u32 {
    let field = facts.uid_map.split(' ').nth(1);
    field.and_then(|f| f.parse().ok()).must("read uid_map")
}

fn facts(machine: &Machine<'_>) -> Facts {
    machine.exec(&[PROBE, "facts"]).success().json()
}

/// Makes a file as the payload's root.
fn create(machine: &Machine<'_>, path: &str) {
    let attempt = format!("create {path}");
    let done = machine.exec(&[PROBE, "try", &attempt]).success();
    assert_eq!(done.stdout, format!("{attempt}: ok\n"));
}

fn end(mut machine: Machine<'_>) {
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(30)), 0, "{}", machine.output());
}

fn give_back(sandbox: &Sandbox, image: &str) {
    let verb = ["run", "--private-users=0", CHOWN, image, "--"];
    let _ = sandbox
        .nsrun(&[&verb[..], &[PROBE, "exit", "0"]].concat())
        .success();
}

#[test]
fn owners_on_the_disk_are_changed_kept_and_changed_back() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("given", &[READY]);
    let root = sandbox.image_root().join(&image);
    let machine = sandbox.boot(&image).options(&[CHOWN]).up();
    let base = base(&facts(&machine));
    for path in ["", "sbin/init", "etc/os-release", "usr/lib"] {
        assert_eq!(owner(&root.join(path)), (base, base), "{path}");
    }
    create(&machine, "/root/first");
    assert_eq!(owner(&root.join("root/first")), (base, base));
    end(machine);

    // Now it is shifted, and stays as it is under any name.
    let explained = sandbox.nsrun(&["boot", "--dry-run", &image]).success();
    assert!(!explained.stdout.contains("shifted"), "{explained}");
    let options = ["-M", &sandbox.name("other")];
    let done = sandbox.nsrun(&[&["run"], &options[..], &[&image, "--", PROBE, "facts"]].concat());
    assert_eq!(self::base(&done.success().json()), base);
    assert_eq!(owner(&root), (base, base));

    give_back(&sandbox, &image);
    for path in ["", "sbin/init", "root/first"] {
        assert_eq!(owner(&root.join(path)), (0, 0), "{path}");
    }
    let machine = sandbox.boot(&image).up();
    create(&machine, "/root/second");
    assert_eq!(owner(&root.join("root/second")), (0, 0));
    end(machine);
}

#[test]
fn a_shifted_image_is_mapped_where_its_own_range_is_not_to_be_had() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("between", &[READY]);
    let root = sandbox.image_root().join(&image);
    let give = ["run", ONE, CHOWN, &image, "--", PROBE, "exit", "0"];
    let _ = sandbox.nsrun(&give).success();
    let machine = sandbox.boot(&image).options(&[TWO]).up();
    assert_eq!(base(&facts(&machine)), TWO_BASE);
    create(&machine, "/root/new");
    assert_eq!(owner(&root.join("root/new")), (ONE_BASE, ONE_BASE));
    end(machine);

    // Who holds the range keeps an image from being picked into it.
    let other = sandbox.tiny("holder", &[READY]);
    let holder = sandbox.boot(&other).options(&[ONE]).up();
    let machine = sandbox.boot(&image).up();
    assert_ne!(base(&facts(&machine)), ONE_BASE);
    create(&machine, "/root/third");
    assert_eq!(owner(&root.join("root/third")), (ONE_BASE, ONE_BASE));
    end(machine);
    end(holder);
}

#[test]
fn owners_that_the_payload_does_not_know_are_told_of() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("unknown", &[]);
    let give = ["run", ONE, CHOWN, &image, "--", PROBE, "exit", "0"];
    let _ = sandbox.nsrun(&give).success();
    let done = sandbox.nsrun(&[
        "run",
        "--private-users=no",
        &image,
        "--",
        PROBE,
        "exit",
        "0",
    ]);
    let _ = done.success().expect_stderr("ids from 1114112000 on");
    let off = [
        "run",
        ONE,
        "--private-users-ownership=off",
        &image,
        "--",
        PROBE,
        "exit",
        "0",
    ];
    assert_eq!(sandbox.nsrun(&off).success().stderr, "");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("refused", &[]);
    for users in ["no", "7", "0:1000"] {
        let users = format!("--private-users={users}");
        let _ = sandbox
            .nsrun(&["boot", &users, CHOWN, &image])
            .expect_status(2);
    }
    let _ = sandbox
        .nsrun(&["boot", "--private-users-ownership=foreign", &image])
        .expect_status(2);
    assert_eq!(owner(&sandbox.image_root().join(&image)), (0, 0));
}

/// An overlay over the image, taken off in the end.
struct Overlay(PathBuf);

impl Overlay {
    fn over(sandbox: &Sandbox, lower: &str, name: &str) -> Self {
        let dir = |name: &str| {
            let path = sandbox.dir().join(name);
            fs::create_dir(&path).must("make a directory of an overlay");
            path
        };
        let (upper, work) = (dir("upper"), dir("work"));
        let target = sandbox.image_root().join(name);
        fs::create_dir(&target).must("make the overlay's mount point");
        let lower = sandbox.image_root().join(lower);
        let (lower, upper, work) = (lower.display(), upper.display(), work.display());
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        let options = CString::new(options).must("write the overlay's options");
        mount(
            "overlay",
            &target,
            "overlay",
            MountFlags::empty(),
            &*options,
        )
        .must("mount an overlay");
        Self(target)
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn a_file_system_without_idmapped_mounts_is_named_and_chown_is_the_way() {
    let sandbox = Sandbox::new();
    let (lower, image) = (sandbox.tiny("lower", &[READY]), sandbox.name("overlay"));
    let overlay = Overlay::over(&sandbox, &lower, &image);
    let refused = sandbox.nsrun(&["boot", &image]).expect_status(5);
    let _ = refused
        .expect_stderr("overlay has no idmapped mounts")
        .expect_stderr(CHOWN);
    assert_eq!(owner(&overlay.0), (0, 0));

    let machine = sandbox.boot(&image).options(&[CHOWN]).up();
    let base = base(&facts(&machine));
    assert_eq!(owner(&overlay.0.join("sbin/init")), (base, base));
    create(&machine, "/root/new");
    end(machine);
    assert_eq!(
        owner(&sandbox.image_root().join(&lower).join("sbin/init")),
        (0, 0)
    );
    let machine = sandbox.boot(&image).up();
    create(&machine, "/root/again");
    end(machine);
}

#[test]
fn a_mount_in_the_image_without_idmapped_mounts_is_named() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("inner", &[]);
    let proc = sandbox.image_root().join(&image).join("proc");
    mount("proc", &proc, "proc", MountFlags::empty(), None).must("mount a proc");
    let refused = sandbox.nsrun(&["boot", &image]);
    unmount(&proc, UnmountFlags::empty()).must("unmount the proc");
    let _ = refused
        .expect_status(5)
        .expect_stderr(&format!("proc on {}", proc.display()))
        .expect_stderr("unmount");
}

/// What a change there and back must leave as it was, by path.
fn looks(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut looks = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(path) = waiting.pop() {
        let metadata = fs::symlink_metadata(&path).must("look at a file");
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).must("read a directory");
            waiting.extend(entries.map(|entry| entry.must("read a directory").path()));
        }
        let capability = capability(&path);
        let (uid, gid, mode) = (metadata.uid(), metadata.gid(), metadata.mode());
        looks.insert(path, format!("{uid}:{gid} {mode:o} {capability:?}"));
    }
    looks
}

fn capability(path: &Path) -> Option<Vec<u8>> {
    let mut value = [0; 64];
    let length = rustix::fs::lgetxattr(path, "security.capability", &mut value).ok()?;
    Some(value[..length].to_vec())
}

/// Files with all that a change of owner takes away.
fn add_delicate(root: &Path, count: u32) {
    let dir = root.join("delicate");
    fs::create_dir(&dir).must("make a directory");
    for number in 0..count {
        let path = dir.join(format!("{number}"));
        fs::write(&path, "").must("make a file");
        let bits = [0o4755, 0o2755, 0o6711, 0o644];
        let mode = bits[number as usize % bits.len()];
        fs::set_permissions(&path, Permissions::from_mode(mode)).must("set a mode");
        if number.is_multiple_of(3) {
            // cap_net_raw+ep, capabilities(7).
            let words = [0x0200_0001u32, 1 << 13, 0, 0, 0];
            let value: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(&path, "security.capability", &value, flags)
                .must("set file capabilities");
        }
    }
}

#[test]
fn a_change_that_is_killed_at_any_moment_completes_at_the_next_start() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("killed", &[]);
    let root = sandbox.image_root().join(&image);
    add_delicate(&root, 3000);
    let before = looks(&root);
    let mut rounds_that_bit = 0;
    for round in 0..30 {
        let users = [ONE, TWO, "--private-users=0"][round % 3];
        let change = ["run", users, CHOWN, &image, "--", PROBE, "exit", "0"];
        let mut running = Running::start(sandbox.command(&change));
        let busy = || owner(&root).0 >= BUSY;
        wait_until(patience(30), "owners change or have changed", || {
            (busy() || running.try_status().is_some()).then_some(())
        });
        std::thread::sleep(Duration::from_micros(fastrand::u64(..40_000)));
        running.signal(Signal::KILL);
        let _ = running.finish(patience(30));
        if busy() {
            rounds_that_bit += 1;
            let refused = sandbox.nsrun(&["run", &image, "--", PROBE, "exit", "0"]);
            assert_ne!(refused.status, 0, "a half-changed image starts: {refused}");
            assert!(refused.stderr.contains("interrupted"), "{refused}");
        }
    }
    assert!(
        rounds_that_bit > 0,
        "no kill came while owners were changed"
    );
    give_back(&sandbox, &image);
    assert_eq!(looks(&root), before);
}

#[test]
fn acls_and_capabilities_have_their_meaning_inside() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("meaning", &[READY]);
    let root = sandbox.image_root().join(&image);
    let secret = root.join("root/secret");
    fs::write(&secret, "told").must("write a file");
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).must("set a mode");
    let mut acl = nsrun::plain(nsrun::installed("setfacl").must("find setfacl"));
    acl.args(["-m", "u:1000:r"]).arg(&secret);
    let _ = run(acl, patience(20)).success();
    let machine = sandbox.boot(&image).options(&[CHOWN]).up();
    let base = base(&facts(&machine));
    end(machine);
    let mut shown = nsrun::plain(nsrun::installed("getfacl").must("find getfacl"));
    shown.args(["-n", "-p"]).arg(&secret);
    let shown = run(shown, patience(20)).success();
    assert!(
        shown.stdout.contains(&format!("user:{}:r--", base + 1000)),
        "{shown}"
    );
}
