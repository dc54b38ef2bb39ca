//! From a NixOS tarball to an answer of its web server, command by command as a user of machinectl
//! goes there: once with nsrun's verbs, once with nsrun under the name machinectl.

use std::fs;
use std::process::Command;

use nsrun_tests::done::run;
use nsrun_tests::image::artefact;
use nsrun_tests::{Console, Done, Must, Sandbox, nsrun, patience, wait_until};
use regex::Regex;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

const HELLO: &str = "hello from the container!\n";
const REFUSED: i32 = 7;
const LEAVE: &str = "\u{1d}\u{1d}\u{1d}";

/// The two lines by which the reader shares the host's network.
const SETTINGS: &str = "[Network]\nVirtualEthernet=no\n";

/// Whose command lines are typed.
struct Hands<'a> {
    sandbox: &'a Sandbox,
    machinectl: bool,
}

impl Hands<'_> {
    fn command(&self, words: &[&str]) -> Command {
        match self.machinectl {
            true => self.sandbox.called("machinectl", words),
            false => self.sandbox.command(words),
        }
    }

    #[track_caller]
    fn run(&self, words: &[&str]) -> Done {
        run(self.command(words), patience(120)).success()
    }

    /// The same words, unless machinectl says it otherwise.
    #[track_caller]
    fn run_either(&self, ours: &[&str], theirs: &[&str]) -> Done {
        self.run(if self.machinectl { theirs } else { ours })
    }
}

/// The administrator's directory of settings, this test's alone.
struct Etc;

impl Etc {
    #[track_caller]
    fn new() -> Self {
        mount(
            "tmpfs",
            "/etc/systemd",
            "tmpfs",
            MountFlags::NOSUID,
            c"mode=0755",
        )
        .must("hide /etc/systemd");
        fs::create_dir("/etc/systemd/nspawn").must("make the settings' directory");
        Self
    }
}

impl Drop for Etc {
    fn drop(&mut self) {
        let _ = unmount("/etc/systemd", UnmountFlags::DETACH);
    }
}

fn curl() -> Done {
    let mut curl = nsrun::plain("/usr/bin/curl");
    curl.args(["--silent", "--max-time", "5", "127.0.0.1:8888"]);
    run(curl, patience(20))
}

/// The import says how far it is, and the image is listed.
fn imports(hands: &Hands<'_>, name: &str) {
    let tarball = artefact(&["demo"]);
    let tarball = tarball.to_str().must("name the tarball");
    let done = hands.run(&["import-tar", tarball, name]);
    let progress = match hands.machinectl {
        true => Regex::new(r"(?m)^Imported (\d+)%\.$"),
        false => Regex::new(r"(?m)^importing \S+: (\d+)%$"),
    };
    let progress = progress.must("compile the pattern");
    let percents: Vec<u32> = progress
        .captures_iter(&done.stderr)
        .map(|found| found[1].parse().must("read a percentage"))
        .collect();
    assert!(percents.len() > 5 && percents.is_sorted(), "{done}");
    if hands.machinectl {
        let first = format!("Importing '{tarball}', saving as '{name}'.\n");
        assert!(done.stderr.starts_with(&first), "{done}");
        assert!(
            done.stderr.ends_with("Operation completed successfully.\n"),
            "{done}"
        );
    }
    let list = hands.run(&["list-images"]).stdout;
    let row = list.lines().find(|line| line.starts_with(name));
    let row: Vec<&str> = row
        .must("find the image")
        .split_ascii_whitespace()
        .collect();
    let read_only = if hands.machinectl { "no" } else { "rw" };
    assert_eq!(row[1..3], ["directory", read_only], "{list}");
    assert!(list.ends_with("\n1 images listed.\n"), "{list}");
}

/// Every field of the reader's sample is there.
fn shows_its_status(hands: &Hands<'_>, name: &str) {
    // The getty is idle until all jobs of the boot are done, and a little longer.
    let status = wait_until(patience(20), "the console greets", || {
        let status = hands.run(&["status", "--full", name]).stdout;
        status.contains("<<< Welcome").then_some(status)
    });
    let root = hands.sandbox.image_root().join(name);
    let root = regex::escape(&root.to_string_lossy());
    let date = r"\w{3} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+; .* ago";
    let lines = [
        format!(r"^{name}\([0-9a-f]{{32}}\)$"),
        format!(r"^           Since: {date}$"),
        r"^          Leader: \d+ \(systemd\)$".to_owned(),
        "^         Service: nsrun; class container$".to_owned(),
        format!("^            Root: {root}$"),
        "^           Iface: ve-".to_owned(),
        r"^              OS: NixOS \d\d\.\d\d \(".to_owned(),
        r"^       UID Shift: \d+$".to_owned(),
        format!("^            Unit: .*{name}"),
        "─payload$".to_owned(),
        "─init.scope$".to_owned(),
        r"─\d+ \S*/systemd$".to_owned(),
        "─system.slice$".to_owned(),
        "─nginx.service$".to_owned(),
        "─\\d+ \"?nginx: master process".to_owned(),
        "─supervisor$".to_owned(),
        "<<< Welcome to NixOS .* - console >>>".to_owned(),
    ];
    for line in lines {
        let pattern = Regex::new(&format!("(?m){line}")).must("compile the pattern");
        assert!(pattern.is_match(&status), "/{line}/ is not in:\n{status}");
    }
}

/// Root logs in on a terminal, and the web server answers inside.
fn logs_in(hands: &Hands<'_>, name: &str) {
    let mut console = Console::start(&hands.command(&["login", name]));
    if hands.machinectl {
        let said = format!("Connected to machine {name}. Press \\^\\] three times within 1s");
        let _ = console.expect(&said);
    }
    let _ = console.expect("<<< Welcome to NixOS .* - pts/\\d+ >>>");
    let _ = console.expect("login: $");
    console.send_line("root");
    let _ = console.expect("Password: $");
    console.send_line("testing");
    let _ = console.expect("# $");
    console.send_line("curl --silent 127.0.0.1:8888");
    let _ = console.expect(&format!("^{HELLO}"));
    console.send(LEAVE);
    assert_eq!(console.wait(patience(30)), 0);
    if hands.machinectl {
        let _ = console.expect(&format!("Connection to machine {name} terminated"));
    }
}

fn wait_for_nginx(hands: &Hands<'_>, name: &str) {
    let ask = ["exec", name, "--", "systemctl", "is-system-running"];
    wait_until(patience(90), "the system is up", || {
        let done = hands.sandbox.nsrun(&ask);
        (done.stdout == "running\n").then_some(())
    });
}

fn walk(machinectl: bool) {
    let sandbox = Sandbox::new();
    let etc = Etc::new();
    let hands = Hands {
        sandbox: &sandbox,
        machinectl,
    };
    let name = sandbox.name("nginx-test");
    imports(&hands, &name);
    let started = hands.run(&["start", &name]);
    if machinectl {
        assert_eq!((&*started.stdout, &*started.stderr), ("", ""));
    }
    wait_for_nginx(&hands, &name);
    shows_its_status(&hands, &name);
    assert_eq!(
        curl().status,
        REFUSED,
        "the machine has a network of its own"
    );
    logs_in(&hands, &name);
    let settings = format!("/etc/systemd/nspawn/{name}.nspawn");
    fs::write(&settings, SETTINGS).must("write the settings");
    let _ = hands.run(&["stop", &name]);
    let _ = hands.run(&["start", &name]);
    wait_until(patience(60), "the web server answers the host", || {
        (curl().stdout == HELLO).then_some(())
    });
    let _ = hands.run_either(&["stop", &name], &["poweroff", &name]);
    wait_until(patience(60), "the machine is off", || {
        (sandbox.nsrun(&["is-running", &name]).status == 3).then_some(())
    });
    let _ = hands.run(&["remove", &name]);
    assert!(!sandbox.image_root().join(&name).exists());
    let list = hands.run(&["list-images"]).stdout;
    assert_eq!(list, "No images.\n");
    drop(etc);
}

#[test]
fn with_nsruns_verbs() {
    walk(false);
}

#[test]
fn under_the_name_machinectl() {
    walk(true);
}
