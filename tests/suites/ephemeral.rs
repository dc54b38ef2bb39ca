//! Machines whose changes do not stay: `--ephemeral`, `--volatile`, `--template`.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};

use nsrun_tests::done::Running;
use nsrun_tests::facts::Facts;
use nsrun_tests::{Done, Must, Sandbox, patience, wait_until};
use rustix::process::Signal;

const PROBE: &str = "/sbin/init";

fn probe(sandbox: &Sandbox, options: &[&str], image: &str, words: &[&str]) -> Done {
    sandbox.nsrun(&[&["run"], options, &[image, "--", PROBE], words].concat())
}

/// What the attempts come to in a machine with these options.
fn attempts(sandbox: &Sandbox, options: &[&str], image: &str, words: &[&str]) -> Vec<String> {
    let done = probe(sandbox, options, image, &[&["try"], words].concat()).success();
    let lines = done.stdout.lines().zip(words);
    lines
        .map(|(line, what)| line.trim_start_matches(&format!("{what}: ")).to_owned())
        .collect()
}

/// Every path below a directory, with owner, mode, size and time of change.
fn census(dir: &Path) -> Vec<(PathBuf, u32, u32, u64, i64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).must("list a directory").flatten() {
        let path = entry.path();
        let meta = fs::symlink_metadata(&path).must("look at a file");
        found.push((
            path.clone(),
            meta.uid(),
            meta.mode(),
            meta.size(),
            meta.ctime(),
        ));
        if meta.is_dir() {
            found.extend(census(&path));
        }
    }
    found.sort();
    found
}

const CHANGES: [&str; 5] = [
    "create /root/made",
    "unlink /etc/os-release",
    "write /etc/pid1.conf changed",
    "mkdir /new",
    "read /etc/pid1.conf",
];

#[test]
fn an_ephemeral_machine_leaves_the_image_as_it_was() {
    for (sandbox, option) in [
        (Sandbox::new as fn() -> Sandbox, "--ephemeral"),
        (Sandbox::new, "--ephemeral=disk"),
        (Sandbox::on_disk, "-x"),
        (Sandbox::on_disk, "--volatile=overlay"),
    ] {
        let sandbox = sandbox();
        let image = sandbox.tiny("eph", &["print booted"]);
        let tree = sandbox.image_root().join(&image);
        let before = census(&tree);
        for users in ["--private-users=pick", "--private-users=no"] {
            let seen = attempts(&sandbox, &[option, users], &image, &CHANGES);
            assert_eq!(&seen[..4], ["ok"; 4], "{option} {users}");
            assert!(seen[4].starts_with("changed"), "{seen:?}");
        }
        assert_eq!(census(&tree), before, "{option}");
        sandbox.assert_clean();
    }
}

#[test]
fn its_files_have_the_owners_that_they_have_otherwise() {
    let sandbox = Sandbox::on_disk();
    let image = sandbox.tiny("own", &[]);
    let home = sandbox.image_root().join(&image).join("home");
    fs::create_dir(&home).must("make a directory");
    chown(&home, Some(1000), Some(100)).must("give a directory away");
    let words = [
        "owner /",
        "owner /home",
        "owner /sbin/init",
        "create /home/made",
        "owner /home",
    ];
    let plain = attempts(&sandbox, &[], &image, &words[..3]);
    assert_eq!(plain, ["0 0", "1000 100", "0 0"]);
    for option in ["--ephemeral", "--ephemeral=disk"] {
        let seen = attempts(&sandbox, &[option], &image, &words);
        assert_eq!(seen, ["0 0", "1000 100", "0 0", "ok", "1000 100"]);
    }
}

#[test]
fn many_share_an_image_at_once_with_names_of_their_own() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("many", &[]);
    let start = || {
        let args = [
            "run",
            "--ephemeral",
            &image,
            "--",
            PROBE,
            "facts",
            ",",
            "sleep",
            "100000",
        ];
        Running::start(sandbox.command(&args))
    };
    let mut all: Vec<Running> = (0..8).map(|_| start()).collect();
    let names: Vec<String> = all
        .iter_mut()
        .map(|one| {
            let facts: Facts = wait_until(patience(30), "it runs", || {
                serde_json::from_str(one.so_far().stdout.lines().next()?).ok()
            });
            facts.host_name
        })
        .collect();
    for name in &names {
        assert!(name.starts_with(&format!("{image}-")), "{name}");
    }
    let mut distinct = names.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 8);
    // A machine that changes the image has to wait for them.
    let _ = probe(&sandbox, &[], &image, &["facts"])
        .expect_status(125)
        .expect_stderr("use");
    for one in &mut all {
        one.signal(Signal::TERM);
        let _ = one.finish(patience(30));
    }
    sandbox.assert_clean();
}

#[test]
fn what_a_killed_one_has_on_a_disk_the_next_command_removes() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("kill", &[]);
    let words = ["print", "here", ",", "sleep", "100000"];
    let args = [
        &[
            "run",
            "--ephemeral=disk",
            "--bind=:/srv",
            &image,
            "--",
            PROBE,
        ],
        &words[..],
    ];
    let mut running = Running::start(sandbox.command(&args.concat()));
    wait_until(patience(30), "it runs", || {
        running.so_far().stdout.contains("here").then_some(())
    });
    kill(&sandbox, &mut running);
    let left = sandbox.left();
    let scratch = left
        .iter()
        .filter(|thing| thing.contains("/var/tmp/.#nsrun-"));
    assert_eq!(scratch.count(), 2, "{left:?}");
    let _ = probe(&sandbox, &[], &image, &["facts"]).success();
    sandbox.assert_clean();
}

#[test]
fn changes_last_through_a_reboot_from_inside() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("again", &[]);
    for option in ["--ephemeral", "--ephemeral=disk"] {
        let words = ["try", "create /root/made", ",", "reboot"];
        let args = [&["run", option, "--pid1", &image, "--", PROBE], &words[..]];
        let mut running = Running::start(sandbox.command(&args.concat()));
        wait_until(patience(30), "it starts again", || {
            running.so_far().stdout.contains("EEXIST").then_some(())
        });
        kill(&sandbox, &mut running);
        let _ = probe(&sandbox, &[], &image, &["facts"]).success();
        sandbox.assert_clean();
    }
}

/// Kills the supervisor, and waits until its payload has died with it.
fn kill(sandbox: &Sandbox, running: &mut Running) {
    running.signal(Signal::KILL);
    let _ = running.finish(patience(30));
    wait_until(patience(10), "the payload is gone", || {
        let left = sandbox.left();
        (!left.iter().any(|thing| thing.starts_with("process"))).then_some(())
    });
}

#[test]
fn a_volatile_state_is_read_only_but_for_var() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("state", &[]);
    fs::create_dir(sandbox.image_root().join(&image).join("var")).must("make a directory");
    let words = [
        "create /root/made",
        "create /var/made",
        "remount-rw /",
        "list /var",
    ];
    let seen = attempts(&sandbox, &["--volatile=state"], &image, &words);
    assert_eq!(seen, ["EROFS", "ok", "EPERM", "made"]);
}

/// Moves what is beside `/usr` into it.
fn merge(tree: &Path) {
    for name in ["sbin", "lib", "lib64"] {
        if tree.join(name).is_dir() {
            let inside = tree.join("usr").join(name);
            let _ = fs::create_dir_all(&inside);
            for entry in fs::read_dir(tree.join(name))
                .must("list a directory")
                .flatten()
            {
                fs::rename(entry.path(), inside.join(entry.file_name())).must("move a file");
            }
            fs::remove_dir_all(tree.join(name)).must("remove a directory");
            symlink(format!("usr/{name}"), tree.join(name)).must("make a link");
        }
    }
}

#[test]
fn a_volatile_root_has_usr_alone() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("usr", &[]);
    let tree = sandbox.image_root().join(&image);
    let done = probe(&sandbox, &["--volatile"], &image, &["facts"]).expect_status(125);
    let _ = done
        .expect_stderr("/sbin")
        .expect_stderr("--volatile=overlay");
    merge(&tree);
    let before = census(&tree);
    for users in ["--private-users=pick", "--private-users=no"] {
        let words = [
            "exists /root",
            "create /made",
            "create /usr/made",
            "owner /",
            "owner /usr",
        ];
        let seen = attempts(&sandbox, &["--volatile", users], &image, &words);
        assert_eq!(seen, ["ENOENT", "ok", "EROFS", "0 0", "0 0"], "{users}");
    }
    assert_eq!(census(&tree), before);
}

#[test]
fn a_template_is_copied_once() {
    let sandbox = Sandbox::new();
    let template = sandbox.dir().join("template");
    nsrun_tests::tiny::build(&template, &[]);
    let template = template.to_str().must("name a directory");
    let name = sandbox.name("made");
    let option = format!("--template={template}");
    let _ = probe(&sandbox, &["--dry-run", &option], &name, &["facts"]).success();
    assert!(!sandbox.image_root().join(&name).exists());
    let seen = attempts(&sandbox, &[&option], &name, &["create /root/made"]);
    assert_eq!(seen, ["ok"]);
    assert!(!Path::new(template).join("root/made").exists());
    let seen = attempts(&sandbox, &[&option], &name, &["exists /root/made"]);
    assert_eq!(seen, ["ok"], "an image that is there is left as it is");
    let missing = sandbox.name("other");
    let done = probe(&sandbox, &["--template=/missing"], &missing, &["facts"]);
    let _ = done.expect_status(125).expect_stderr("/missing");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("not", &[]);
    let chown = "--private-users-ownership=chown";
    for option in ["--ephemeral", "--volatile=overlay", "--volatile=state"] {
        let done = probe(&sandbox, &[option, chown], &image, &["facts"]).expect_status(125);
        let option = option.split('=').next().must("name an option");
        let _ = done.expect_stderr(option).expect_stderr(chown);
    }
    for option in ["--ephemeral=else", "--volatile=maybe", "--ephemeral="] {
        let done = sandbox.nsrun(&["boot", option, &image]);
        let _ = done.expect_status(2);
    }
}

#[test]
fn systems_boot_from_one_image_at_once() {
    let sandbox = Sandbox::on_disk();
    let image = sandbox.install("demo", &["demo"]);
    let tree = sandbox.image_root().join(&image);
    let before = census(&tree);
    let names = [sandbox.name("first"), sandbox.name("second")];
    let boot = |name: &String| {
        let boot = sandbox.boot(&image);
        boot.options(&["--ephemeral", "--network=private", "--machine", name])
            .start()
    };
    let mut machines: Vec<_> = names.iter().map(boot).collect();
    for machine in &mut machines {
        machine.wait_ready();
    }
    for name in &names {
        let _ = sandbox.nsrun(&["stop", name]).success();
    }
    drop(machines);
    assert_eq!(census(&tree), before);
}
