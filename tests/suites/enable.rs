//! Machines that start when the host boots: `enable`, `disable`, and starting and stopping all.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use nsrun_tests::done::{Running, run};
use nsrun_tests::{Must, Sandbox, patience, rng, skip};
use rustix::mount::{MountFlags, mount};
use rustix::process::Signal;

const READY: &str = "notify READY=1";

fn is_enabled(sandbox: &Sandbox, image: &str) -> bool {
    let status = ["--json", "image-status", image];
    let status: serde_json::Value = sandbox.nsrun(&status).success().json();
    status[0]["enabled"].as_bool().must("read the answer")
}

fn state(sandbox: &Sandbox, name: &str) -> String {
    let done = sandbox.nsrun(&["is-running", name]);
    done.stdout.trim_end().to_owned()
}

/// A host whose systemd is its files alone, so that nothing happens to this one's.
fn pretend_systemd() {
    fs::create_dir_all("/run/systemd/system").must("make the mark of systemd");
    fs::create_dir_all("/etc/systemd/system").must("make a directory for units");
    let none = std::ffi::CString::default();
    let (at, flags) = ("/etc/systemd/system", MountFlags::empty());
    mount("tmpfs", at, "tmpfs", flags, &*none).must("hide the host's units");
}

#[test]
fn an_image_is_enabled_and_disabled() {
    if Path::new("/run/systemd/system").exists() {
        skip!("PID 1 of this host is systemd");
    }
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("mark", &[READY]);
    assert!(!is_enabled(&sandbox, &image));
    let none = sandbox.nsrun(&["start", "--all-enabled"]).success();
    assert_eq!(none.stdout, "No machines are enabled.\n");
    for _ in 0..2 {
        let done = sandbox.nsrun(&["enable", &image]).success();
        assert_eq!(done.stdout, format!("{image} is enabled.\n"));
        let _ = done.expect_stderr("nsrun start --all-enabled");
    }
    assert!(is_enabled(&sandbox, &image));
    let done = sandbox.nsrun(&["disable", &image]).success();
    assert!(done.stdout.contains("any more"), "{done}");
    assert!(!is_enabled(&sandbox, &image));
    let done = sandbox.nsrun(&["disable", &image]).success();
    assert_eq!(done.stdout, format!("{image} was not enabled.\n"));
}

#[test]
fn what_is_no_image_is_not_enabled_and_others_are() {
    if Path::new("/run/systemd/system").exists() {
        skip!("PID 1 of this host is systemd");
    }
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("there", &[READY]);
    let missing = sandbox.name("missing");
    let done = sandbox.nsrun(&["enable", &missing, &image]);
    let _ = done.expect_status(3).expect_stderr(&missing);
    assert!(is_enabled(&sandbox, &image));
    for bad in [
        &["enable"][..],
        &["enable", ""],
        &["enable", "a_b"],
        &["disable", "../x"],
    ] {
        let _ = sandbox.nsrun(bad).expect_status(2);
    }
    let _ = sandbox.nsrun(&["disable", &image]).success();
}

#[test]
fn all_that_are_enabled_start_and_all_stop() {
    if Path::new("/run/systemd/system").exists() {
        skip!("PID 1 of this host is systemd");
    }
    let sandbox = Sandbox::new();
    let names: Vec<String> = ["one", "two", "three"]
        .map(|name| sandbox.tiny(name, &[READY]))
        .into();
    let other = sandbox.tiny("other", &[READY]);
    let mut words = vec!["enable"];
    words.extend(names.iter().map(String::as_str));
    let _ = sandbox.nsrun(&words).success();
    let _ = sandbox
        .nsrun(&["start", "--wait=ready", &names[0]])
        .success();
    let words = ["start", "--all-enabled", "--wait=ready"];
    let done = sandbox.nsrun(&words).success();
    let wanted = [
        format!("{} has started.\n", names[2]),
        format!("{} has started.\n", names[1]),
        format!("{} runs already.\n", names[0]),
    ];
    for line in &wanted {
        assert!(done.stdout.contains(line), "{line}: {done}");
    }
    assert_eq!(done.stdout.lines().count(), 3, "{done}");
    for name in &names {
        assert_eq!(state(&sandbox, name), "running");
    }
    assert_eq!(state(&sandbox, &other), "");
    let shown = ["show", "-P", "UnitFileState", &names[0]];
    assert_eq!(sandbox.nsrun(&shown).success().stdout, "enabled\n");
    let status = sandbox.nsrun(&["status", &names[0]]).success();
    assert!(status.stdout.contains("Enabled: yes"), "{status}");
    let stopped = sandbox.nsrun(&["--json", "stop", "--all"]).success();
    let stopped: Vec<serde_json::Value> = stopped.json();
    assert_eq!(stopped.len(), 3, "{stopped:?}");
    assert!(
        stopped.iter().all(|one| one["result"] == "asked"),
        "{stopped:?}"
    );
    let list = sandbox.nsrun(&["list"]).success().stdout;
    assert_eq!(list, "No machines.\n");
    let none = sandbox.nsrun(&["stop", "--all"]).success();
    assert_eq!(none.stdout, "");
}

#[test]
fn one_that_does_not_start_keeps_no_other_from_it() {
    if Path::new("/run/systemd/system").exists() {
        skip!("PID 1 of this host is systemd");
    }
    let sandbox = Sandbox::new();
    let (good, bad) = (
        sandbox.tiny("good", &[READY]),
        sandbox.tiny("bad", &[READY]),
    );
    let _ = sandbox.nsrun(&["enable", &good, &bad]).success();
    let init = sandbox.image_root().join(&bad).join("sbin/init");
    fs::remove_file(init).must("break an image");
    let done = sandbox.nsrun(&["start", "--all-enabled"]).expect_status(6);
    let lines = format!("{bad} has not started.\n{good} has started.\n");
    assert_eq!(done.stdout, lines, "{done}");
    let done = done.expect_stderr(&bad);
    drop(done);
    let json = sandbox.nsrun(&["--json", "start", "--all-enabled"]);
    let fates: Vec<serde_json::Value> = json.expect_status(6).json();
    let words: Vec<&str> = fates
        .iter()
        .filter_map(|one| one["result"].as_str())
        .collect();
    assert_eq!(words, ["failed", "running"]);
    let _ = sandbox.nsrun(&["stop", "--all"]).success();
}

#[test]
fn words_that_are_for_one_machine_are_refused_with_all() {
    let sandbox = Sandbox::new();
    for words in [
        &["start", "--all-enabled", "web"][..],
        &["start", "--all-enabled", "--hostname=x"],
        &["start", "--all-enabled", "--init=/x"],
        &["start", "--all-enabled", "--", "x"],
        &["start", "--all-enabled", "--ephemeral"],
        &["start"],
        &["stop"],
        &["stop", "--all", "web"],
    ] {
        let _ = sandbox.nsrun(words).expect_status(2);
    }
}

#[test]
fn now_is_now_as_well() {
    if Path::new("/run/systemd/system").exists() {
        skip!("PID 1 of this host is systemd");
    }
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("now", &[READY]);
    let done = sandbox.nsrun(&["enable", "--now", &image]).success();
    assert!(
        done.stdout.ends_with(&format!("{image} has started.\n")),
        "{done}"
    );
    assert_eq!(state(&sandbox, &image), "running");
    let _ = sandbox.nsrun(&["disable", "--now", &image]).success();
    assert_eq!(state(&sandbox, &image), "");
    // What does not run is stopped already.
    let _ = sandbox.nsrun(&["disable", "--now", &image]).success();
}

#[test]
fn the_mark_follows_a_renamed_image_and_goes_with_a_removed_one() {
    if Path::new("/run/systemd/system").exists() {
        skip!("PID 1 of this host is systemd");
    }
    let sandbox = Sandbox::new();
    let old = sandbox.tiny("old", &[READY]);
    let (new, copy) = (sandbox.name("new"), sandbox.name("copy"));
    let _ = sandbox.nsrun(&["enable", &old]).success();
    let _ = sandbox.nsrun(&["clone", &old, &copy]).success();
    assert!(!is_enabled(&sandbox, &copy), "a copy is another machine");
    let _ = sandbox.nsrun(&["rename", &old, &new]).success();
    assert!(is_enabled(&sandbox, &new));
    let _ = sandbox.nsrun(&["remove", &new]).success();
    let marks = fs::read_dir(sandbox.state_root().join("lib/enabled"));
    assert_eq!(marks.must("list marks").count(), 0);
    let _ = sandbox.nsrun(&["clone", &copy, &new]).success();
    assert!(
        !is_enabled(&sandbox, &new),
        "it had the name of one that was"
    );
}

#[test]
fn options_are_kept_and_wrong_ones_are_told_at_once() {
    if Path::new("/run/systemd/system").exists() {
        skip!("PID 1 of this host is systemd");
    }
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("options", &["facts", READY]);
    let with = |option: &str| sandbox.nsrun(&["enable", &image, "--", option]);
    for (option, why) in [
        ("--nonsense", "unexpected argument"),
        ("another", "unexpected argument"),
        ("--all-enabled", "cannot always be started"),
        ("--hostname=a b", "invalid value"),
        ("--kernel-cmdline=a b", "has a blank"),
    ] {
        let _ = with(option).expect_status(2).expect_stderr(why);
        assert!(!is_enabled(&sandbox, &image), "{option}");
    }
    let _ = with("--hostname=told").success();
    let words = ["start", "--all-enabled", "--wait=ready"];
    let _ = sandbox.nsrun(&words).success();
    let log = sandbox.nsrun(&["logs", &image]).success().stdout;
    assert!(log.contains("told"), "{log}");
    let _ = sandbox.nsrun(&["stop", "--all"]).success();
}

#[test]
fn an_image_of_another_root_starts_from_there() {
    if Path::new("/run/systemd/system").exists() {
        skip!("PID 1 of this host is systemd");
    }
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("moved", &[READY]);
    let elsewhere = sandbox.dir().join("elsewhere");
    fs::rename(sandbox.image_root(), &elsewhere).must("move the images");
    let root = format!("--image-root={}", elsewhere.display());
    let _ = sandbox.nsrun(&["enable", &root, &image]).success();
    let _ = sandbox.nsrun(&["start", "--all-enabled"]).success();
    assert_eq!(state(&sandbox, &image), "running");
    let _ = sandbox.nsrun(&["stop", "--all"]).success();
}

/// Names below the directories that systemd starts units from, hidden ones included.
fn links() -> Vec<String> {
    let own = Path::new("/etc/systemd/system");
    let mut links: Vec<String> = ["multi-user.target.wants", "machines.target.wants"]
        .into_iter()
        .flat_map(|dir| fs::read_dir(own.join(dir)).into_iter().flatten())
        .map(|link| {
            let name = link.must("read a link").file_name();
            name.to_string_lossy().into_owned()
        })
        .collect();
    links.retain(|name| name.contains("nsrun@"));
    links.sort();
    links
}

#[test]
fn killed_commands_leave_no_link_to_what_is_gone_and_none_twice() {
    if Path::new("/run/systemd/system").exists() {
        skip!("PID 1 of this host is systemd");
    }
    let sandbox = Sandbox::new();
    pretend_systemd();
    let mut random = rng::seeded("enable");
    let soak = std::env::var_os("NSRUN_TEST_SOAK").is_some();
    let (web, new) = (sandbox.name("web"), sandbox.name("new"));
    let unit = |name: &str| format!("nsrun@{name}.service");
    for round in 0..if soak { 500 } else { 30 } {
        let image = sandbox.tiny("web", &[READY]);
        let _ = sandbox.nsrun(&["-q", "enable", &image]).success();
        let words: &[&str] = match round % 3 {
            0 => &["-q", "rename", &web, &new],
            1 => &["-q", "remove", &web],
            _ => &["-q", "disable", &web],
        };
        let mut running = Running::start(sandbox.command(words));
        sleep(Duration::from_micros(random.u64(..8000)));
        running.signal(Signal::KILL);
        let _ = running.finish(patience(20));
        let _ = sandbox.nsrun(&["clean"]).success();
        let images: Vec<&String> = [&web, &new]
            .into_iter()
            .filter(|name| sandbox.image_root().join(name).exists())
            .collect();
        match (round % 3, &images[..]) {
            (0, [name]) => assert_eq!(links(), [unit(name)], "the link follows"),
            (1, []) => assert!(links().is_empty(), "{:?}", links()),
            (1 | 2, [name]) => assert!(
                links().is_empty() || links() == [unit(name)],
                "{:?}",
                links()
            ),
            other => panic!("{other:?} after {words:?}"),
        }
        for name in images {
            let linked = !links().is_empty();
            assert_eq!(is_enabled(&sandbox, name), linked, "{name} {words:?}");
            let _ = sandbox.nsrun(&["-q", "remove", name]).success();
        }
        assert!(links().is_empty(), "{:?}", links());
    }
    let marks = fs::read_dir(sandbox.state_root().join("lib/enabled"));
    assert_eq!(marks.must("list marks").count(), 0);
    let own = Path::new("/etc/systemd/system");
    rustix::mount::unmount(own, rustix::mount::UnmountFlags::DETACH).must("show the units again");
}

#[test]
fn a_host_with_systemd_gets_a_template_and_a_link_and_loses_the_link() {
    if Path::new("/run/systemd/system").exists() {
        skip!("PID 1 of this host is systemd");
    }
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("unit", &[READY]);
    pretend_systemd();
    let done = sandbox.nsrun(&["enable", &image]).success();
    let unit = format!("nsrun@{image}.service");
    assert_eq!(
        done.stdout,
        format!("{image} starts when the host boots, as {unit}.\n")
    );
    // There is no bus, and links count without.
    let _ = done.expect_stderr("warning: cannot have systemd read its units");
    let own = Path::new("/etc/systemd/system");
    let template = fs::read_to_string(own.join("nsrun@.service")).must("read the template");
    for line in [
        "Type=notify",
        "Delegate=yes",
        "KillMode=mixed",
        "Slice=machine.slice",
    ] {
        assert!(
            template.lines().any(|there| there == line),
            "{line}: {template}"
        );
    }
    let roots = own.join(format!("{unit}.d/10-nsrun-roots.conf"));
    let roots = fs::read_to_string(roots).must("read the roots");
    assert!(
        roots.contains(&format!("={}\n", sandbox.state_root().display())),
        "{roots}"
    );
    let machinectl = |words: &[&str]| {
        let mut command = sandbox.command(words);
        command.arg0("machinectl");
        run(command, patience(30))
    };
    let _ = machinectl(&["disable", &image]).success();
    assert!(links().is_empty(), "{:?}", links());
    let _ = machinectl(&["enable", &image]).success();
    let options = own.join(format!("{unit}.d/20-nsrun-options.conf"));
    let options = fs::read_to_string(options).must("read the options");
    assert!(options.contains("--defaults=nspawn"), "{options}");
    let missing = machinectl(&["enable", "nothing-of-that-name"]);
    assert_eq!(missing.status, 1, "{missing}");
    let new = sandbox.name("renamed");
    let _ = sandbox.nsrun(&["rename", &image, &new]).success();
    assert_eq!(links(), [format!("nsrun@{new}.service")]);
    let _ = sandbox.nsrun(&["remove", &new]).success();
    assert!(links().is_empty(), "{:?}", links());
    rustix::mount::unmount(own, rustix::mount::UnmountFlags::DETACH).must("show the units again");
}
