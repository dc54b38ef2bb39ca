//! Roots that cannot be booted, or that try to reach the host: each has its own message and
//! exit status, and the host stays as it is.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nsrun_tests::{Must, Sandbox, nsrun, patience};

/// A tiny image, to be spoiled.
fn image(sandbox: &Sandbox, base: &str) -> (String, PathBuf) {
    let name = sandbox.tiny(base, &["notify READY=1", "poweroff"]);
    let tree = sandbox.image_root().join(&name);
    (name, tree)
}

fn replace(tree: &Path, file: &str, by: &[u8]) {
    let path = tree.join(file);
    fs::remove_file(&path).must("remove a file");
    fs::write(&path, by).must("write a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).must("set a mode");
}

#[test]
fn a_root_without_init_is_told_what_was_looked_for() {
    let sandbox = Sandbox::new();
    let (name, tree) = image(&sandbox, "noinit");
    fs::remove_file(tree.join("sbin/init")).must("remove init");
    let done = sandbox.nsrun(&["boot", &name]).expect_status(6);
    let _ = done.expect_stderr("no init").expect_stderr("--init");
    let done = sandbox
        .nsrun(&["boot", "--init=/other", &name])
        .expect_status(6);
    let _ = done.expect_stderr("/other");
}

#[test]
fn an_init_that_cannot_be_executed_is_told_why() {
    let sandbox = Sandbox::new();
    let elf = |machine: u8| {
        let mut bytes = fs::read(nsrun::pid1()).must("read a program");
        bytes[18] = machine;
        bytes
    };
    let cases: [(&str, Vec<u8>, &str); 5] = [
        ("foreign", elf(0xf3), "another processor"),
        (
            "loader",
            b"#!/missing/interpreter\n".to_vec(),
            "/missing/interpreter",
        ),
        (
            "blank",
            b"#! /nix/store/gone/bin/bash\nexit\n".to_vec(),
            "/nix/store/gone/bin/bash",
        ),
        (
            "text",
            b"neither script nor program\n".to_vec(),
            "/sbin/init",
        ),
        ("empty", Vec::new(), "/sbin/init"),
    ];
    for (base, bytes, names) in cases {
        let (name, tree) = image(&sandbox, base);
        replace(&tree, "sbin/init", &bytes);
        let done = sandbox.nsrun(&["boot", &name]);
        assert_eq!(done.status, 6, "{base}: {done}");
        let told = done.stderr.to_lowercase().replace('-', "");
        assert!(told.contains(names), "{base}: {names:?} is not in {done}");
        sandbox.assert_clean();
    }
}

#[test]
fn an_init_that_may_not_be_executed_is_told() {
    let sandbox = Sandbox::new();
    let (name, tree) = image(&sandbox, "mode");
    let mode = fs::Permissions::from_mode(0o644);
    fs::set_permissions(tree.join("sbin/init"), mode).must("set a mode");
    let done = sandbox.nsrun(&["boot", &name]).expect_status(6);
    let _ = done.expect_stderr("/sbin/init");
}

#[test]
fn a_program_whose_loader_is_missing_is_told_the_loader() {
    let sandbox = Sandbox::new();
    let (name, tree) = image(&sandbox, "noloader");
    fs::remove_dir_all(tree.join("lib64")).must("remove the loader");
    let done = sandbox.nsrun(&["boot", &name]).expect_status(6);
    let _ = done.expect_stderr("/lib64/ld-linux");
}

#[test]
fn a_missing_os_release_is_a_warning() {
    let sandbox = Sandbox::new();
    let (name, tree) = image(&sandbox, "norelease");
    fs::remove_file(tree.join("etc/os-release")).must("remove os-release");
    fs::remove_file(tree.join("usr/lib/os-release")).must("remove os-release");
    let mut machine = sandbox.boot(&name).start();
    assert_eq!(machine.finish(patience(30)), 0, "{}", machine.output());
    assert!(
        machine.output().contains("os-release"),
        "{}",
        machine.output()
    );
}

#[test]
fn what_does_not_exist_is_told_with_its_own_status() {
    let sandbox = Sandbox::new();
    let done = sandbox.nsrun(&["boot", "missing"]).expect_status(3);
    let _ = done.expect_stderr("missing");
    let done = sandbox.nsrun(&["boot", "/missing/tree"]).expect_status(3);
    let _ = done.expect_stderr("/missing/tree");
    let file = sandbox.dir().join("file");
    fs::write(&file, "").must("write a file");
    let done = sandbox
        .nsrun(&["boot", file.to_str().must("name a file")])
        .expect_status(6);
    let _ = done
        .expect_stderr("disk image")
        .expect_stderr("it is empty");
    fs::write(sandbox.image_root().join("disk.raw"), "").must("write an image");
    let done = sandbox.nsrun(&["boot", "disk"]);
    assert!(matches!(done.status, 3 | 6), "{done}");
    let _ = done.expect_stderr("disk");
}

#[test]
fn names_that_are_none_are_refused() {
    let sandbox = Sandbox::new();
    let (image, _) = image(&sandbox, "named");
    let long = "x".repeat(65);
    for name in [
        "", ".", "..", "a b", "a\n", "é", ".host", "a..b", "a_b", &long,
    ] {
        let machine = format!("--machine={name}");
        let done = sandbox.nsrun(&["boot", &machine, &image]).expect_status(2);
        assert!(!done.stderr.contains('\u{1b}'), "{done}");
    }
    for verb in ["boot", "stop", "status"] {
        let _ = sandbox.nsrun(&[verb, "a b"]).expect_status(2);
    }
}

#[test]
fn a_root_that_is_not_roots_is_refused_unless_allowed() {
    let sandbox = Sandbox::new();
    let tree = sandbox.dir().join(sandbox.name("foreign"));
    nsrun_tests::tiny::build(&tree, &["notify READY=1", "poweroff"]);
    std::os::unix::fs::chown(&tree, Some(1000), None).must("set an owner");
    let path = tree.to_str().must("name a tree");
    let done = sandbox.nsrun(&["boot", path]);
    assert_eq!(done.status, 6, "{done}");
    let _ = done.expect_stderr("--allow-unsafe-root");
    let done = sandbox.nsrun(&["boot", "--allow-unsafe-root", path]);
    let _ = done.success();
}

#[test]
fn a_tree_that_others_can_reach_is_warned_of() {
    let sandbox = Sandbox::new();
    let open = Path::new("/run").join(sandbox.name("open"));
    fs::create_dir(&open).must("make a directory");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).must("open it");
    let tree = open.join(sandbox.name("reach"));
    nsrun_tests::tiny::build(&tree, &["notify READY=1", "poweroff"]);
    let done = sandbox
        .nsrun(&["boot", tree.to_str().must("name a tree")])
        .success();
    fs::remove_dir_all(&open).must("remove the tree");
    let _ = done.expect_stderr("warning");
}

/// A directory of the host's, and what it looks like.
fn host_dir(sandbox: &Sandbox) -> PathBuf {
    let dir = sandbox.dir().join("host");
    fs::create_dir(&dir).must("make a host directory");
    fs::write(dir.join("file"), "untouched").must("write a host file");
    dir
}

fn assert_untouched(dir: &Path) {
    let names: Vec<_> = fs::read_dir(dir)
        .must("list the host's directory")
        .flatten()
        .collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(
        fs::read_to_string(dir.join("file")).must("read"),
        "untouched"
    );
}

#[test]
fn directories_that_lead_to_the_host_are_not_followed() {
    let sandbox = Sandbox::new();
    let host = host_dir(&sandbox);
    for (number, dir) in ["dev", "proc", "sys", "run", "tmp", "etc", "root"]
        .iter()
        .enumerate()
    {
        for (kind, target) in [("absolute", host.clone()), ("relative", up_to(&host))] {
            let (name, tree) = image(&sandbox, &format!("link{number}-{kind}"));
            let path = tree.join(dir);
            fs::remove_dir_all(&path).must("remove a directory");
            symlink(&target, &path).must("make a link");
            let words = [
                "run",
                "--network=host",
                "--resolv-conf=copy-host",
                &name,
                "--",
            ];
            let done = sandbox.nsrun(&[&words[..], &["/sbin/init", "exit", "0"]].concat());
            // It is refused with the name of the directory, or resolved inside the root.
            if done.status != 0 {
                assert!(done.stderr.contains(dir), "{dir} {kind}: {done}");
            }
            assert_untouched(&host);
            sandbox.assert_clean();
        }
    }
}

/// A relative path that leaves any root on its way to `path`.
fn up_to(path: &Path) -> PathBuf {
    let mut up: PathBuf = std::iter::repeat_n("..", 20).collect();
    up.extend(path.components().skip(1));
    up
}

#[test]
fn files_that_are_written_at_the_start_are_not_followed_to_the_host() {
    let sandbox = Sandbox::new();
    let host = host_dir(&sandbox);
    let target = host.join("file");
    for (number, file) in [
        "resolv.conf",
        "localtime",
        "machine-id",
        "hostname",
        "hosts",
        "os-release",
    ]
    .iter()
    .enumerate()
    {
        let (name, tree) = image(&sandbox, &format!("file{number}"));
        let path = tree.join("etc").join(file);
        let _ = fs::remove_file(&path);
        symlink(&target, &path).must("make a link");
        let done = sandbox.nsrun(&["boot", "--network=host", "--resolv-conf=copy-host", &name]);
        if done.status != 0 {
            assert!(done.stderr.contains(file), "{file}: {done}");
        }
        assert_untouched(&host);
        sandbox.assert_clean();
    }
}

#[test]
fn fifos_in_place_of_files_do_not_hang() {
    let sandbox = Sandbox::new();
    for (number, file) in [
        "etc/os-release",
        "etc/resolv.conf",
        "etc/machine-id",
        "etc/localtime",
    ]
    .iter()
    .enumerate()
    {
        let (name, tree) = image(&sandbox, &format!("fifo{number}"));
        let path = tree.join(file);
        let _ = fs::remove_file(&path);
        let mut make = nsrun::plain("/usr/bin/mkfifo");
        make.arg(&path);
        nsrun_tests::done::run(make, patience(10)).success();
        let done = sandbox.nsrun(&["boot", "--network=host", "--resolv-conf=copy-host", &name]);
        if done.status != 0 {
            assert!(done.stderr.contains(file), "{file}: {done}");
        }
        sandbox.assert_clean();
    }
}

#[test]
fn a_huge_os_release_and_one_with_control_characters_do_no_harm() {
    let sandbox = Sandbox::new();
    let (name, tree) = image(&sandbox, "huge");
    let file = fs::File::create(tree.join("usr/lib/os-release")).must("make a file");
    file.set_len(1 << 30).must("grow a file");
    let done = sandbox.nsrun(&["boot", &name]);
    assert!(matches!(done.status, 0 | 6), "{done}");
    let (name, tree) = image(&sandbox, "control");
    let text = "PRETTY_NAME=\"\u{1b}]0;title\u{7}\u{1b}[2J\"\nID=$(reboot)\n";
    fs::write(tree.join("usr/lib/os-release"), text).must("write a file");
    fs::write(tree.join("etc/pid1.conf"), "notify READY=1\n").must("write a file");
    let mut machine = sandbox.boot(&name).up();
    for words in [&["list"][..], &["status", &name], &["--json", "list"]] {
        let done = sandbox.nsrun(words).success();
        assert!(
            !done.stdout.contains('\u{1b}') && !done.stdout.contains('\u{7}'),
            "{done}"
        );
    }
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(20)), 0);
}

#[test]
fn init_links_that_loop_or_leave_are_told() {
    let sandbox = Sandbox::new();
    let (name, tree) = image(&sandbox, "loop");
    fs::remove_file(tree.join("sbin/init")).must("remove init");
    symlink("init", tree.join("sbin/init")).must("make a link");
    let done = sandbox.nsrun(&["boot", &name]).expect_status(6);
    let _ = done.expect_stderr("init");
    let (name, tree) = image(&sandbox, "leaves");
    fs::remove_file(tree.join("sbin/init")).must("remove init");
    // On the host this is a program; in the image there is nothing of that name.
    symlink("/usr/bin/true", tree.join("sbin/init")).must("make a link");
    let done = sandbox.nsrun(&["boot", &name]).expect_status(6);
    let _ = done.expect_stderr("init");
}

#[test]
fn without_root_every_verb_says_so() {
    let sandbox = Sandbox::new();
    let (name, _) = image(&sandbox, "user");
    for words in [
        &["boot", &name][..],
        &["run", &name, "--", "x"],
        &["import", "/dev/null", "x"],
    ] {
        let mut command = nsrun::plain("/usr/bin/setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        let nsrun = sandbox.command(words);
        // The binary may lie where that user cannot go.
        let copy = Path::new("/run").join("nsrun-copy");
        fs::copy(nsrun.get_program(), &copy).must("copy nsrun");
        command.arg(&copy).args(nsrun.get_args());
        let done = nsrun_tests::done::run(command, patience(20));
        fs::remove_file(&copy).must("remove the copy");
        let wanted = if words[0] == "run" { 125 } else { 5 };
        assert_eq!(done.status, wanted, "{done}");
        let _ = done.expect_stderr("root");
    }
}

#[test]
fn options_that_make_no_sense_are_usage_errors() {
    let sandbox = Sandbox::new();
    let (name, _) = image(&sandbox, "usage");
    for words in [
        &["boot"][..],
        &["boot", "--nonsense", &name],
        &["boot", "--network=moon", &name],
        &["boot", "--private-users=some", &name],
        &["boot", "--private-users=1000:5:7", &name],
        &["boot", "--private-users=1000000000:5", &name],
        &["boot", "--private-users=0:4294967295", &name],
        &["boot", "--capability=CAP_NOTHING", &name],
        &["boot", "--uuid=short", &name],
        &["nonsense"],
        &[],
    ] {
        let done = sandbox.nsrun(words);
        assert_eq!(done.status, 2, "{words:?}: {done}");
    }
}
