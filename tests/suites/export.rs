//! `nsrun export`: archives that other readers understand and that come back as the same image.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use nsrun_tests::done::{Running, run};
use nsrun_tests::{Must, Sandbox, image, nsrun, patience, rng};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::Signal;
use serde_json::Value;

/// Runs a shell script in a directory.
#[track_caller]
fn shell(dir: &Path, script: &str) -> String {
    let mut command = nsrun::plain("/bin/sh");
    command.args(["-ec", script]).current_dir(dir);
    run(command, patience(120)).success().stdout
}

/// All that can be told of a tree, without its top.
fn listing(tree: &Path) -> String {
    shell(
        tree,
        "find . -mindepth 1 ! -type d -printf '%p %y %m %U %G %s %T@ %n %l\\n' -o \
             -mindepth 1 -printf '%p %y %m %U %G %T@\\n' | LC_ALL=C sort
         find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum
         find . -mindepth 1 ! -type l -print0 | LC_ALL=C sort -z | xargs -0 -r getfattr -d -m - -h
         find . -mindepth 1 ! -type l -print0 | LC_ALL=C sort -z | xargs -0 -r getfacl -n -p",
    )
}

/// Makes an image with one of everything that an archive can hold.
fn make(sandbox: &Sandbox, name: &str) {
    let tree = sandbox.image_root().join(name);
    fs::create_dir_all(tree.join("etc")).must("make an image");
    let long = "d".repeat(60);
    shell(
        &tree,
        &format!(
            "mkdir -p sbin {long}/{long} -m 755; echo ID=x >etc/os-release; touch sbin/init
             echo long >{long}/{long}/file; ln -s {long}/{long}/{long} link; ln {long}/{long}/file z
             echo x >a; ln a b; ln -s /etc/passwd out; mkfifo fifo; : >empty; printf 'x' >\"$(printf 'n\\nl')\"
             chown 1000:100 a; chmod 4751 a; mkdir -m 1777 tmp; mkdir -m 555 shut; echo in >shut/in
             truncate -s 1M holes; printf end >>holes; truncate -s 2M holes; truncate -s 300000 hole
             setfattr -n user.note -v text a; setfattr -n user.bytes -v 0x000aff20 shut/in
             setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 sbin/init
             setfacl -m u:1234:r,g:5:x etc/os-release; setfacl -d -m g:77:rx tmp
             touch -h -d @1000000000.123456789 a out; touch -d @-1.5 empty; touch -d @86400 shut tmp"
        ),
    );
}

fn export(sandbox: &Sandbox, words: &[&str]) -> Value {
    let words = [&["--json", "export"], words].concat();
    sandbox.nsrun(&words).success().json()
}

fn path(sandbox: &Sandbox, name: &str) -> String {
    let path = sandbox.dir().join(name);
    path.to_str().must("name a file").to_owned()
}

#[test]
fn what_is_exported_is_imported_as_the_same_image() {
    let sandbox = Sandbox::on_disk();
    make(&sandbox, "one");
    let root = sandbox.image_root();
    let wanted = listing(&root.join("one"));
    for needed in ["user.note", "security.capability", "user:1234:r", " -2.5"] {
        assert!(wanted.contains(needed), "{needed}: {wanted}");
    }
    let mut sums = Vec::new();
    for (number, ending) in ["tar", "tar.xz", "tzst", "tgz", "tar.bz2"]
        .iter()
        .enumerate()
    {
        let file = path(&sandbox, &format!("one.{ending}"));
        let report = export(&sandbox, &["one", &file]);
        assert_eq!(report["warnings"], Value::Array(vec![]), "{ending}");
        let sum = shell(sandbox.dir(), &format!("sha256sum {file}"));
        let told = report["sha256"].as_str().must("read the sum");
        assert!(sum.starts_with(told), "{sum}");
        let copy = format!("copy{number}");
        let _ = sandbox.nsrun(&["import", &file, &copy]).success();
        assert_eq!(listing(&root.join(&copy)), wanted, "{ending}");
        let again = path(&sandbox, &format!("again.{ending}"));
        let again = export(&sandbox, &[&copy, &again]);
        assert_eq!(
            again["sha256"], report["sha256"],
            "{ending}: the same bytes"
        );
        sums.push(told.to_owned());
    }
    sums.dedup();
    assert_eq!(sums.len(), 5, "five formats");
    let holes = fs::metadata(root.join("copy1/holes")).must("look");
    assert!(holes.blocks() < 64, "holes are kept");
}

#[test]
fn other_readers_understand_it() {
    let sandbox = Sandbox::on_disk();
    make(&sandbox, "one");
    let file = path(&sandbox, "one.tar");
    let _ = export(&sandbox, &["one", &file]);
    let tree = sandbox.dir().join("gnu");
    fs::create_dir(&tree).must("make a directory");
    let options = "--numeric-owner --acls --xattrs --xattrs-include='*' -p";
    shell(&tree, &format!("tar -x -f {file} {options}"));
    assert_eq!(listing(&tree), listing(&sandbox.image_root().join("one")));
    let names = shell(
        sandbox.dir(),
        &format!(
            "python3 -c 'import tarfile; t = tarfile.open(\"{file}\")
for m in t: print(m.name, m.size, m.uname, m.mtime)'"
        ),
    );
    assert!(names.contains("\nholes 2097152 "), "{names}");
}

#[test]
fn a_debian_image_comes_back_whole() {
    let sandbox = Sandbox::on_disk();
    let file = image::artefact(&["trixie"]);
    let file = file.to_str().must("name the archive");
    let _ = sandbox.nsrun(&["import", file, "one"]).success();
    let file = path(&sandbox, "one.tar.zst");
    let _ = export(&sandbox, &["one", &file]);
    let _ = sandbox.nsrun(&["import", &file, "two"]).success();
    let root = sandbox.image_root();
    assert_eq!(listing(&root.join("two")), listing(&root.join("one")));
}

#[test]
fn owners_are_those_that_the_machine_sees() {
    let sandbox = Sandbox::on_disk();
    make(&sandbox, "one");
    let plain = path(&sandbox, "plain.tar");
    let plain = export(&sandbox, &["one", &plain]);
    let shifted = sandbox.image_root().join("one");
    let script = "
        import os
        for top, dirs, files in os.walk('.'):
            for name in ['.'] + dirs + files:
                path = os.path.join(top, name)
                s = os.lstat(path)
                if s.st_uid < 65536:
                    t = (s.st_atime_ns, s.st_mtime_ns)
                    os.lchown(path, s.st_uid + 655360, s.st_gid + 655360)
                    if not os.path.islink(path): os.chmod(path, s.st_mode & 0o7777)";
    let script = script.replace("\n        ", "\n");
    fs::write(sandbox.dir().join("shift.py"), script).must("write a script");
    let caps = "setfattr -n security.capability -v \
        0x010000030004000000000000000000000000000000000a00 sbin/init
        setfacl -m u:656594:r,g:655365:x etc/os-release; setfacl -x u:1234,g:5 etc/os-release
        setfacl -d -m g:655437:rx tmp; setfacl -d -x g:77 tmp";
    shell(&shifted, &format!("python3 ../../shift.py; {caps}"));
    let status: Value = sandbox
        .nsrun(&["--json", "image-status", "one"])
        .success()
        .json();
    assert_eq!(status[0]["shift"], 655_360);
    let file = path(&sandbox, "shifted.tar");
    let report = export(&sandbox, &["one", &file]);
    assert_eq!(report["sha256"], plain["sha256"], "{report}");
}

#[test]
fn nothing_outside_is_read() {
    let sandbox = Sandbox::new();
    make(&sandbox, "one");
    let tree = sandbox.image_root().join("one");
    symlink("/etc", tree.join("host")).must("make a link");
    mount(
        "none",
        tree.join("tmp"),
        c"tmpfs",
        MountFlags::empty(),
        None,
    )
    .must("mount");
    fs::write(tree.join("tmp/secret"), "x").must("write");
    let file = path(&sandbox, "one.tar");
    let report = export(&sandbox, &["one", &file]);
    let names = shell(sandbox.dir(), &format!("tar -t -f {file}"));
    unmount(tree.join("tmp"), UnmountFlags::DETACH).must("unmount");
    assert!(
        names.contains("host\n") && names.contains("tmp/\n"),
        "{names}"
    );
    assert!(
        !names.contains("host/") && !names.contains("secret"),
        "{names}"
    );
    assert_eq!(report["warnings"][0]["kind"], "mount_points");
}

#[test]
fn an_image_in_use_is_exported_with_a_warning() {
    let sandbox = Sandbox::new();
    let busy = sandbox.tiny("busy", &["notify READY=1"]);
    let mut machine = sandbox.boot(&busy).up();
    let file = path(&sandbox, "busy.tar.gz");
    let done = sandbox.nsrun(&["export", &busy, &file]).success();
    let done = done.expect_stderr("was in use while it was read");
    assert!(done.stdout.contains("SHA-256 "), "{done}");
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(20)), 0);
    let _ = sandbox.nsrun(&["import", &file, "copy"]).success();
    assert!(sandbox.image_root().join("copy/sbin/init").exists());
}

#[test]
fn standard_output_will_do_and_no_file_is_replaced() {
    let sandbox = Sandbox::new();
    make(&sandbox, "one");
    let file = path(&sandbox, "one.tar.xz");
    let _ = export(&sandbox, &["one", &file]);
    assert_eq!(fs::metadata(&file).must("look").mode() & 0o777, 0o600);
    let binary = nsrun::binary();
    let piped = format!(
        "NSRUN_IMAGE_ROOT={} NSRUN_STATE_ROOT={} {} export one --format xz | cmp - {file}",
        sandbox.image_root().display(),
        sandbox.state_root().display(),
        binary.display(),
    );
    shell(sandbox.dir(), &piped);
    let done = sandbox.nsrun(&["export", "one", &file]).expect_status(4);
    let _ = done.expect_stderr("exists already");
    let other = path(&sandbox, "other.tar");
    let _ = sandbox.nsrun(&["export", "none", &other]).expect_status(3);
    let _ = sandbox
        .nsrun(&["export", "one", &other, "--format", "lz4"])
        .expect_status(2);
    fs::write(sandbox.image_root().join("disk.raw"), "").must("write a disk");
    let _ = sandbox.nsrun(&["export", "disk", &other]).expect_status(6);
    assert!(!Path::new(&other).exists());
}

#[test]
fn a_full_disk_or_a_kill_leaves_no_file() {
    let sandbox = Sandbox::new();
    make(&sandbox, "one");
    let tree = sandbox.image_root().join("one");
    shell(&tree, "head -c 3000000 /dev/urandom >noise");
    let small = sandbox.dir().join("small");
    fs::create_dir(&small).must("make a directory");
    mount(
        "none",
        &small,
        c"tmpfs",
        MountFlags::empty(),
        Some(c"size=1m"),
    )
    .must("mount");
    let done = sandbox.nsrun(&["export", "one", &path(&sandbox, "small/one.tar")]);
    let done = done
        .expect_status(1)
        .expect_stderr("no space left on device");
    assert_eq!(fs::read_dir(&small).must("read").count(), 0, "{done}");
    unmount(&small, UnmountFlags::DETACH).must("unmount");
    let mut random = rng::seeded("export");
    for _ in 0..10 {
        let file = path(&sandbox, "small/one.tar.xz");
        let mut running = Running::start(sandbox.command(&["export", "one", &file]));
        sleep(Duration::from_micros(random.u64(..100_000)));
        running.signal(Signal::KILL);
        let _ = running.finish(patience(20));
        assert_eq!(fs::read_dir(&small).must("read").count(), 0);
    }
    let _ = sandbox.nsrun(&["clean"]).success();
}
