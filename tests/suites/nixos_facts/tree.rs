//! What lies in the image's tree before and after a boot.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use nsrun_tests::done::run;
use nsrun_tests::sandbox::remove_tree;
use nsrun_tests::{Must, Sandbox, image, nsrun, patience};

use super::{Decoy, down, nixos, up};

/// Names in a directory, sorted.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).must("list a directory");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        let name = entry.must("list a directory").file_name();
        name.to_string_lossy().into_owned()
    };
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort();
    names
}

#[test]
fn fact_01_init_is_an_absolute_link_to_follow_inside_the_root() {
    let sandbox = Sandbox::new();
    let (image, tree) = nixos(&sandbox);
    let init = tree.join("sbin/init");
    let target = fs::read_link(&init).must("read the link");
    assert!(target.is_absolute() && !init.exists(), "{target:?}");
    let machine = up(&sandbox, &image, &[]);
    let leader = machine.output_of(&["readlink", "/proc/1/exe"]);
    assert!(leader.starts_with("/nix/store/") && leader.ends_with("/systemd"));
    down(machine);
    // With the same path on the host, what is there must not count: neither in place of
    // the image's program, nor if the image has none.
    let image = sandbox.tiny("linked", &["notify READY=1"]);
    let tree = sandbox.image_root().join(&image);
    let decoy = Decoy::new("/srv", "init", "#!/bin/sh\nexit 3\n");
    fs::create_dir(tree.join("srv")).must("make a directory");
    fs::rename(tree.join("sbin/init"), tree.join("srv/init")).must("move init");
    symlink("/srv/init", tree.join("sbin/init")).must("link init");
    down(up(&sandbox, &image, &[]));
    fs::remove_file(tree.join("srv/init")).must("remove init");
    let done = sandbox.nsrun(&["boot", &image]).expect_status(6);
    let _ = done.expect_stderr("has no init");
    drop(decoy);
}

#[test]
fn fact_02_the_release_file_is_an_absolute_link_and_may_be_missing() {
    let sandbox = Sandbox::new();
    let (image, tree) = nixos(&sandbox);
    fs::remove_file(tree.join("etc/os-release")).must("remove os-release");
    let mut machine = up(&sandbox, &image, &[]);
    assert!(machine.output().contains("no os-release"));
    machine.assert_running();
    // Activation made it anew, as a link that leads nowhere on the host.
    let link = tree.join("etc/os-release");
    assert!(link.is_symlink() && !link.exists());
    let os = machine.status()["os"].to_string();
    assert!(os.contains("NixOS"), "{os}");
    down(machine);
    let mut machine = up(&sandbox, &image, &[]);
    assert!(!machine.output().contains("no os-release"));
    down(machine);
    let image = sandbox.tiny("linked", &["notify READY=1"]);
    let tree = sandbox.image_root().join(&image);
    let decoy = Decoy::new("/srv", "os-release", "PRETTY_NAME=the-host's\n");
    fs::create_dir(tree.join("srv")).must("make a directory");
    fs::write(tree.join("srv/os-release"), "PRETTY_NAME=its-own\n").must("write");
    fs::remove_file(tree.join("etc/os-release")).must("remove os-release");
    symlink("/srv/os-release", tree.join("etc/os-release")).must("link os-release");
    let machine = up(&sandbox, &image, &[]);
    assert_eq!(machine.status()["os"], "its-own");
    down(machine);
    drop(decoy);
}

#[test]
fn fact_03_directories_to_mount_on_are_made_and_the_root_is_writable() {
    let sandbox = Sandbox::new();
    let (image, tree) = nixos(&sandbox);
    let shipped = names(&tree);
    for missing in ["bin", "home", "root", "run", "tmp", "usr", "var"] {
        assert!(!shipped.iter().any(|name| name == missing), "{shipped:?}");
    }
    // Without them in the image it takes a writable root; said in so many words.
    let done = sandbox.nsrun(&["boot", "--read-only", &image]);
    let done = done.expect_status(1).expect_stderr("/run");
    let _ = done.expect_stderr("the image is read-only and lacks this directory");
    assert_eq!(names(&tree), shipped);
    let machine = up(&sandbox, &image, &[]);
    machine.assert_running();
    down(machine);
    let made = names(&tree);
    for dir in ["bin", "home", "root", "run", "tmp", "usr", "var"] {
        assert!(made.iter().any(|name| name == dir), "{made:?}");
    }
    assert!(
        names(&tree.join("run")).is_empty() && names(&tree.join("dev")).is_empty(),
        "what is mounted does not lie in the tree"
    );
}

#[test]
fn fact_10_the_store_is_made_read_only_from_inside_and_the_disk_stays_unshifted() {
    let sandbox = Sandbox::new();
    let (image, tree) = nixos(&sandbox);
    let mut machine = up(&sandbox, &image, &[]);
    let find = ["findmnt", "-nrfo", "OPTIONS", "--direction=backward"];
    let options = machine.output_of(&[&find[..], &["/nix/store"]].concat());
    let options: Vec<_> = options.split(',').collect();
    assert!(options.contains(&"ro"), "{options:?}");
    let root = machine.output_of(&[&find[..], &["/"]].concat());
    assert!(root.split(',').any(|option| option == "rw"), "{root}");
    let touch = machine.exec(&["touch", "/nix/store/file"]).expect_status(1);
    let _ = touch.expect_stderr("Read-only file system");
    let output = machine.output();
    for refusal in ["permission denied", "Operation not permitted"] {
        assert!(!output.contains(refusal), "{output}");
    }
    // The owner that activation set, as the image means it.
    let store = fs::metadata(tree.join("nix/store")).must("look at the store");
    assert_eq!(
        (store.uid(), store.gid(), store.mode() & 0o7777),
        (0, 30000, 0o1775)
    );
    // systemd cannot unmount it at the end, which is no failure of the machine.
    down(machine);
}

#[test]
fn fact_18_immutable_and_read_only_parts_of_a_tree_can_be_removed() {
    let sandbox = Sandbox::new();
    let (image, tree) = nixos(&sandbox);
    down(up(&sandbox, &image, &["--private-users=no"]));
    let mut list = nsrun::plain("/usr/bin/lsattr");
    list.arg("-d").arg(tree.join("var/empty"));
    let listed = run(list, patience(20)).success().stdout;
    let flags = listed.split(' ').next().must("read flags");
    assert!(flags.contains('i'), "activation marks it: {listed}");
    // As the remains of an import that was killed they go with the next one.
    let dead = sandbox.image_root().join(".#dead0123456789abcdef");
    fs::rename(&tree, &dead).must("rename the tree");
    let lock = sandbox.image_root().join(".#dead0123456789abcdef.lck");
    fs::write(&lock, "").must("make its lock file");
    let small = sandbox.dir().join("small");
    nsrun_tests::tiny::build(&small, &[]);
    let small = small.to_str().must("name a tree");
    let _ = sandbox.nsrun(&["import-fs", small, "other"]).success();
    assert_eq!(names(&sandbox.image_root()), ["other"]);
    remove_tree(&dead);
}

#[test]
fn fact_19_the_index_after_the_archive_is_no_news_and_links_stay_links() {
    let sandbox = Sandbox::new();
    let archive = image::artefact(&["demo"]);
    let archive = archive.to_str().must("name the archive");
    let done = sandbox.nsrun(&["import", archive, "demo"]).success();
    assert!(!done.stderr.contains("warning"), "{done}");
    let tree = sandbox.image_root().join("demo");
    for link in ["sbin/init", "etc/os-release"] {
        let target = fs::read_link(tree.join(link)).must("read a link");
        assert!(target.is_absolute(), "{link}: {target:?}");
    }
    let script = "
        find nix/store -printf '%f\\n' | awk '{ print length($0) }' | sort -n | tail -n 1
        find . -type f -links +1 | wc -l
        find . -mindepth 2 ! \\( -uid 0 -gid 0 \\) -print -quit
        find . -mindepth 2 ! -type d -newermt @1 -print -quit
        find nix/store -type d -perm /222 -path '*/*/*' -print -quit";
    let mut look = nsrun::plain("/bin/sh");
    look.args(["-ec", script]).current_dir(&tree);
    let done = run(look, patience(60)).success();
    let lines: Vec<_> = done.stdout.lines().collect();
    assert_eq!(lines.first(), Some(&"255"), "the longest name: {done}");
    assert_ne!(lines.get(1), Some(&"0"), "files with two names: {done}");
    assert_eq!(
        lines.len(),
        2,
        "owners, times and modes are the store's: {done}"
    );
    // It boots as it is.
    down(up(&sandbox, "demo", &["--machine", &sandbox.name("demo")]));
}

#[test]
fn fact_21_the_store_is_registered_in_the_first_boot() {
    let sandbox = Sandbox::new();
    let (image, tree) = nixos(&sandbox);
    let registration = tree.join("nix-path-registration");
    let shipped = fs::read_to_string(&registration).must("read the registration");
    let paths = shipped
        .lines()
        .filter(|line| line.starts_with("/nix/store/"));
    assert!(paths.count() > 50);
    for _ in 0..2 {
        let machine = up(&sandbox, &image, &[]);
        assert!(!registration.exists());
        let query = ["nix-store", "--query", "--requisites"];
        let closure = machine.output_of(&[&query[..], &["/run/current-system"]].concat());
        assert!(closure.lines().count() > 50, "{closure}");
        let verify = machine.exec(&["nix-store", "--verify"]).success();
        assert!(!verify.stderr.contains("error"), "{verify}");
        down(machine);
    }
}
