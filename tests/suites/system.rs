//! Machines whose programs are in a Nix store of the host's: named on the command line, or mounted
//! by a settings file.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nsrun_tests::{Must, Sandbox, image};

/// The store of the demo system on the host, and the path of the system in it.
fn store(sandbox: &Sandbox) -> (PathBuf, PathBuf) {
    let elsewhere = sandbox.dir().join("elsewhere");
    let tree = sandbox.dir().join("tree");
    image::copy_tree(&["demo"], &tree);
    let store = elsewhere.join("nix/store");
    fs::create_dir_all(elsewhere.join("nix/var/nix/gcroots/auto")).must("make the store's parents");
    fs::rename(tree.join("nix/store"), &store).must("move the store out of the image");
    let system = fs::read_dir(&store)
        .must("read the store")
        .flatten()
        .find(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .contains("-nixos-system-")
        })
        .must("find the system in the store");
    (store, system.path())
}

/// What a machine says that runs with a store of the host's.
#[track_caller]
fn assert_runs(sandbox: &Sandbox, machine: &str, system: &Path, shifted: bool) {
    let exec = |words: &[&str]| {
        let words = [&["exec", machine, "--"], words].concat();
        sandbox.nsrun(&words).success().stdout
    };
    let state = exec(&["systemctl", "is-system-running", "--wait"]);
    assert_eq!(state, "running\n");
    let name = system.file_name().must("name the system").to_string_lossy();
    let current = exec(&["readlink", "/run/current-system"]);
    assert_eq!(current.trim_end(), format!("/nix/store/{name}"));
    let mounts = exec(&["cat", "/proc/self/mountinfo"]);
    let store = mounts
        .lines()
        .find(|line| line.split(' ').nth(4) == Some("/nix/store"))
        .must("find the store's mount");
    let options = store.split(' ').nth(5).must("find its options");
    for wanted in ["ro", "nosuid", "nodev"] {
        assert!(options.split(',').any(|o| o == wanted), "{wanted}: {store}");
    }
    assert_eq!(store.contains("idmapped"), shifted, "{store}");
    assert_eq!(exec(&["stat", "-c", "%u:%g", "/nix/store"]), "0:0\n");
}

#[test]
fn a_system_is_booted_from_the_hosts_store_without_preparation() {
    let sandbox = Sandbox::new();
    let (store, system) = store(&sandbox);
    let result = sandbox.dir().join("result");
    symlink(&system, &result).must("link to the system");
    let machine = sandbox.name("store");
    let start = |path: &Path| {
        let path = path.to_string_lossy();
        let words = [
            "start",
            "--wait=ready",
            "--network=host",
            "--system",
            &*path,
            &machine,
        ];
        sandbox.nsrun(&words)
    };
    let _ = start(&result).success();
    assert_runs(&sandbox, &machine, &system, true);
    let roots: Vec<_> = fs::read_dir(store.join("../var/nix/gcroots/auto"))
        .must("read the collector's roots")
        .flatten()
        .map(|entry| fs::read_link(entry.path()).must("read a root"))
        .collect();
    let profile = sandbox
        .image_root()
        .join(&machine)
        .join("nix/var/nix/profiles/system");
    assert_eq!(roots, [profile]);
    let _ = sandbox.nsrun(&["stop", &machine]).success();
    // Its state is there when it starts again.
    let _ = start(&system).success();
    assert_runs(&sandbox, &machine, &system, true);
    let _ = sandbox.nsrun(&["stop", &machine]).success();
}

#[test]
fn the_next_system_takes_the_place_of_the_one_before() {
    let sandbox = Sandbox::new();
    let store = sandbox.dir().join("nix/store");
    let machine = sandbox.name("next");
    let system = |name: &str| {
        let path = store.join(name);
        fs::create_dir_all(&path).must("make a system");
        fs::copy(nsrun_tests::nsrun::pid1(), path.join("init")).must("give it an init");
        path
    };
    // The init needs a loader that the image has not; what counts is where the link leads.
    let run = |path: &Path| {
        let path = path.to_string_lossy();
        let init = "/nix/var/nix/profiles/system/init";
        let words = ["run", "--system", &*path, &machine, "--", init];
        let _ = sandbox.nsrun(&words).expect_status(127);
    };
    let link = || {
        let profile = sandbox
            .image_root()
            .join(&machine)
            .join("nix/var/nix/profiles/system");
        fs::read_link(profile).must("read the image's link")
    };
    let one = system("a-nixos-system-web-1");
    let two = system("b-nixos-system-web-2");
    run(&one);
    assert_eq!(link(), Path::new("/nix/store/a-nixos-system-web-1"));
    run(&two);
    assert_eq!(link(), Path::new("/nix/store/b-nixos-system-web-2"));
    let alone = sandbox.nsrun(&["boot", &machine]).expect_status(6);
    alone.expect_stderr("--bind-ro=/nix/store");
}

#[test]
fn what_is_no_system_is_refused() {
    let sandbox = Sandbox::new();
    let store = sandbox.dir().join("nix/store");
    fs::create_dir_all(store.join("a-hello-2.12/bin")).must("make a package");
    let image = sandbox.tiny("own", &[]);
    let boot = |path: &Path, more: &[&str]| {
        let path = path.to_string_lossy();
        sandbox.nsrun(&[&["boot", "--system", &*path], more].concat())
    };
    let _ = boot(&store.join("missing"), &[]).expect_status(3);
    let _ = boot(&store, &[])
        .expect_status(6)
        .expect_stderr("not directly in a Nix store");
    let _ = boot(&store.join("a-hello-2.12"), &[])
        .expect_status(6)
        .expect_stderr("no init");
    let system = store.join("b-nixos-system-web-2");
    fs::create_dir(&system).must("make a system");
    fs::copy(nsrun_tests::nsrun::pid1(), system.join("init")).must("give it an init");
    let _ = boot(&system, &[&image])
        .expect_status(6)
        .expect_stderr("a system of its own");
    let unnamed = store.join("c-unnamed");
    fs::rename(&system, &unnamed).must("rename the system");
    let _ = boot(&unnamed, &[])
        .expect_status(2)
        .expect_stderr("no name");
    let images = fs::read_dir(sandbox.image_root()).must("read the image root");
    assert_eq!(images.count(), 1, "nothing was made");
}

/// As the second scenario of people who copy such a directory with machinectl.
#[test]
fn a_directory_of_links_boots_by_its_settings_file() {
    let sandbox = Sandbox::new();
    let (store, system) = store(&sandbox);
    let directory = sandbox.dir().join("skeleton");
    for place in [
        "dev",
        "etc",
        "nix/store",
        "nix/var/nix/profiles",
        "proc",
        "sbin",
        "sys",
    ] {
        fs::create_dir_all(directory.join(place)).must("make a directory");
    }
    fs::write(directory.join("etc/os-release"), "ID=nixos\n").must("write os-release");
    let name = system.file_name().must("name the system");
    symlink(
        Path::new("/nix/store").join(name),
        directory.join("nix/var/nix/profiles/system"),
    )
    .must("link to the system");
    symlink(
        "/nix/var/nix/profiles/system/init",
        directory.join("sbin/init"),
    )
    .must("link to the init");
    let machine = sandbox.name("links");
    let _ = sandbox
        .nsrun(&["import-fs", &*directory.to_string_lossy(), &machine])
        .success();
    let mut settings = format!(
        "[Exec]\nPrivateUsers=no\n\n[Network]\nVirtualEthernet=no\n\n[Files]\nBindReadOnly={}:/nix/store\nBind=/dev/fuse\n",
        store.display()
    );
    for number in 0..12 {
        let data = sandbox.dir().join(format!("data{number}"));
        fs::create_dir(&data).must("make a data directory");
        fs::write(data.join("file"), number.to_string()).must("write into it");
        settings.push_str(&format!("Bind={}:/srv/data{number}\n", data.display()));
    }
    let file = sandbox.image_root().join(format!("{machine}.nspawn"));
    fs::write(file, settings).must("write the settings file");
    let words = ["start", "--wait=ready", "--settings=trusted", &machine];
    let _ = sandbox.nsrun(&words).success();
    assert_runs(&sandbox, &machine, &system, false);
    let last = sandbox.nsrun(&["exec", &machine, "--", "cat", "/srv/data11/file"]);
    assert_eq!(last.success().stdout, "11");
    let _ = sandbox.nsrun(&["stop", &machine]).success();
}
