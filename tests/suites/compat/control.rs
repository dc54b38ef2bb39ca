//! Command lines of machinectl and importctl.

use std::fs;
use std::path::Path;

use nsrun_tests::done::run;
use nsrun_tests::{Done, Must, Sandbox, patience, skip, wait_until};

const READY: &str = "notify READY=1";

fn silent(done: Done) {
    let done = done.success();
    assert_eq!((&*done.stdout, &*done.stderr), ("", ""));
}

fn shown(sandbox: &Sandbox, words: &[&str]) -> String {
    sandbox.machinectl(words).success().stdout
}

/// What `nsrun` itself knows of the machine.
fn known(sandbox: &Sandbox, name: &str) -> serde_json::Value {
    sandbox.nsrun(&["--json", "status", name]).success().json()
}

fn wait_for_end(sandbox: &Sandbox, name: &str) {
    wait_until(patience(30), "the machine ends", || {
        (sandbox.nsrun(&["is-running", name]).status == 3).then_some(())
    });
}

#[test]
fn a_machine_is_started_shown_and_stopped_without_a_word() {
    let sandbox = Sandbox::new();
    let name = sandbox.tiny("life", &[READY]);
    assert_eq!(shown(&sandbox, &[]), "No machines.\n");
    assert_eq!(shown(&sandbox, &["list", "--no-legend"]), "");
    silent(sandbox.machinectl(&["start", &name]));
    // As a unit that is active already.
    silent(sandbox.machinectl(&["start", &name]));
    let list = shown(&sandbox, &["list", "--max-addresses=0"]);
    let lines: Vec<Vec<&str>> = list
        .lines()
        .map(|line| line.split_ascii_whitespace().collect())
        .collect();
    let row: [&str; 5] = [&name, "container", "nsrun", "tiny", "1"];
    assert_eq!(lines[0], ["MACHINE", "CLASS", "SERVICE", "OS", "VERSION"]);
    assert_eq!(lines[1], row);
    assert_eq!(lines[3], ["1", "machines", "listed."]);
    let json: serde_json::Value = sandbox.machinectl(&["-o", "json", "list"]).success().json();
    assert_eq!(json[0]["machine"], *name);
    let leader = shown(&sandbox, &["show", "-P", "Leader", &name]);
    assert_eq!(
        leader.trim_end(),
        known(&sandbox, &name)["leader"]["pid"].to_string()
    );
    // One that is not known is passed over, as by systemd.
    let both = shown(&sandbox, &["show", "-p", "State,Nonsense", &name]);
    assert_eq!(both, "State=running\n");
    silent(sandbox.machinectl(&["stop", &name]));
    assert_eq!(shown(&sandbox, &["list"]), "No machines.\n");
}

#[test]
fn a_start_is_that_of_systemds_unit_and_files_win_by_group() {
    let sandbox = Sandbox::new();
    let name = sandbox.tiny("unit", &[READY]);
    silent(sandbox.machinectl(&["start", &name]));
    let detail = known(&sandbox, &name);
    assert_eq!(detail["network"], "veth");
    assert!(
        detail["shift"].as_u64().is_some_and(|base| base > 0),
        "{detail}"
    );
    silent(sandbox.machinectl(&["stop", &name]));
    let dir = "/run/systemd/nspawn";
    fs::create_dir_all(dir).must("make the directory of settings");
    let file = format!("{dir}/{name}.nspawn");
    for (line, network) in [("VirtualEthernet=no", "host"), ("Private=yes", "private")] {
        fs::write(&file, format!("[Network]\n{line}\n")).must("write settings");
        silent(sandbox.machinectl(&["start", &name]));
        assert_eq!(known(&sandbox, &name)["network"], network, "{line}");
        silent(sandbox.machinectl(&["terminate", &name]));
        wait_for_end(&sandbox, &name);
    }
    fs::remove_file(&file).must("remove settings");
    let _ = fs::remove_dir(dir);
}

#[test]
fn verbs_that_end_machines_return_at_once() {
    let sandbox = Sandbox::new();
    let name = sandbox.tiny("ends", &[READY]);
    for words in [
        &["poweroff"][..],
        &["kill", "-s", "KILL"],
        &["kill", "--kill-whom=leader", "--signal=9"],
    ] {
        silent(sandbox.machinectl(&["start", &name]));
        wait_until(patience(20), "the machine runs", || {
            (sandbox.nsrun(&["is-running", &name]).status == 0).then_some(())
        });
        silent(sandbox.machinectl(&[words, &[&name]].concat()));
        wait_for_end(&sandbox, &name);
    }
}

#[test]
fn what_is_not_there_is_told_in_machineds_words() {
    let sandbox = Sandbox::new();
    for verb in [
        "status",
        "show",
        "poweroff",
        "stop",
        "reboot",
        "terminate",
        "kill",
    ] {
        let done = sandbox.machinectl(&[verb, "nobody"]).expect_status(1);
        assert!(
            done.stderr.ends_with("No machine 'nobody' known\n"),
            "{done}"
        );
    }
    for words in [
        &["image-status"][..],
        &["show-image"],
        &["remove"],
        &["read-only"],
    ] {
        let done = sandbox
            .machinectl(&[words, &["nobody"]].concat())
            .expect_status(1);
        assert!(done.stderr.ends_with("No image 'nobody' known\n"), "{done}");
    }
    let done = sandbox.machinectl(&["start", "nobody"]).expect_status(1);
    assert_eq!(done.stderr, "Machine image 'nobody' does not exist.\n");
    let _ = sandbox.machinectl(&["nonsense"]).expect_status(1);
    let _ = sandbox
        .machinectl(&["pull-oci", "a", "b"])
        .expect_status(1)
        .expect_stderr("pull-oci");
}

#[test]
fn images_are_listed_copied_renamed_and_removed() {
    let sandbox = Sandbox::new();
    let name = sandbox.tiny("images", &[]);
    let (copy, other) = (sandbox.name("copy"), sandbox.name("other"));
    silent(sandbox.machinectl(&["clone", &name, &copy]));
    silent(sandbox.machinectl(&["rename", &copy, &other]));
    silent(sandbox.machinectl(&["read-only", &other, "true"]));
    let list = shown(&sandbox, &["list-images"]);
    let lines: Vec<&str> = list.lines().collect();
    let heading: Vec<&str> = lines[0].split_ascii_whitespace().collect();
    assert_eq!(
        heading,
        ["NAME", "TYPE", "RO", "USAGE", "CREATED", "MODIFIED"]
    );
    let row = |name: &str| {
        let line = lines.iter().find(|line| line.starts_with(name));
        let words = line.must("find an image").split_ascii_whitespace();
        words.skip(1).take(2).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        (&*row(&name), &*row(&other)),
        ("directory no", "directory yes")
    );
    assert_eq!(lines[4], "2 images listed.");
    let path = shown(&sandbox, &["show-image", "-p", "Path", "--value", &other]);
    let root = sandbox.image_root();
    assert_eq!(path.trim_end(), root.join(&other).to_string_lossy());
    let pool = shown(&sandbox, &["show", "-P", "PoolPath"]);
    assert_eq!(pool.trim_end(), root.to_string_lossy());
    silent(sandbox.machinectl(&["read-only", &other, "false"]));
    silent(sandbox.machinectl(&["remove", &other, &name]));
    assert_eq!(shown(&sandbox, &["list-images"]), "No images.\n");
}

#[test]
fn archives_come_and_go_as_by_importctl() {
    let sandbox = Sandbox::new();
    let name = sandbox.tiny("first", &[]);
    let second = sandbox.name("second");
    let archive = sandbox.dir().join("image.tar.zst");
    let archive = archive.to_str().must("name an archive");
    let done = sandbox
        .machinectl(&["export-tar", &name, archive])
        .success();
    let done = done.expect_stderr(&format!("Exporting '{name}', saving to '{archive}'."));
    assert!(
        done.stderr.ends_with("Operation completed successfully.\n"),
        "{done}"
    );
    assert_eq!(done.stdout, "");
    let done = sandbox
        .machinectl(&["import-tar", archive, &second])
        .success();
    let lines: Vec<&str> = done.stderr.lines().collect();
    assert_eq!(
        lines[0],
        format!("Importing '{archive}', saving as '{second}'.")
    );
    let percents = lines
        .iter()
        .filter_map(|line| line.strip_prefix("Imported ")?.strip_suffix("%."));
    let percents: Vec<u32> = percents.map(|n| n.parse().must("read a number")).collect();
    assert!(!percents.is_empty() && percents.is_sorted(), "{done}");
    assert_eq!(lines.last(), Some(&"Operation completed successfully."));
    assert_eq!(done.stdout, "");
    let list = ["list-images", "--no-legend"];
    let list = run(sandbox.called("importctl", &list), patience(30)).success();
    assert_eq!(list.stdout.lines().count(), 2, "{list}");
    let table = run(sandbox.called("importctl", &["list-images"]), patience(30)).success();
    let heading = table.stdout.lines().next().must("find the heading");
    let heading: Vec<&str> = heading.split_ascii_whitespace().collect();
    let first = ["CLASS", "NAME", "TYPE", "PATH", "RO"];
    assert_eq!(heading[..5], first);
    let tree = sandbox.image_root().join(&name);
    let third = sandbox.name("third");
    let words = [
        "-mq",
        "import-fs",
        tree.to_str().must("name a tree"),
        &third,
    ];
    silent(run(sandbox.called("importctl", &words), patience(30)));
    let done = sandbox
        .machinectl(&["import-tar", archive, &second])
        .expect_status(1);
    let _ = done.expect_stderr("Failed to transfer image: ");
    let _ = sandbox.machinectl(&["list-transfers"]).success();
}

#[test]
fn a_session_does_not_tell_how_its_command_ended() {
    let sandbox = Sandbox::new();
    let name = sandbox.tiny("session", &[READY]);
    silent(sandbox.machinectl(&["start", &name]));
    let done = sandbox.machinectl(&[
        "shell",
        &name,
        "/sbin/init",
        "print",
        "in",
        ",",
        "exit",
        "7",
    ]);
    assert!(done.success().stdout.contains("in"));
    let _ = sandbox
        .machinectl(&["shell", "nobody", "/bin/true"])
        .expect_status(1);
    silent(sandbox.machinectl(&["stop", &name]));
}

#[test]
fn what_is_bound_and_copied_is_seen_in_a_machine_with_ids_of_its_own() {
    let sandbox = Sandbox::new();
    let name = sandbox.tiny("border", &[READY]);
    silent(sandbox.machinectl(&["start", &name]));
    let dir = sandbox.dir().join("shared");
    fs::create_dir(&dir).must("make a directory");
    fs::write(dir.join("file"), "").must("write a file");
    let source = dir.to_str().must("name a directory");
    silent(sandbox.machinectl(&["bind", "--mkdir", "--read-only", &name, source, "/mnt/here"]));
    let attempts = ["read /mnt/here/file", "create /mnt/here/new"];
    let attempt = ["exec", &name, "--", "/sbin/init", "try"];
    let done = sandbox.nsrun(&[&attempt[..], &attempts].concat()).success();
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(lines[0], "read /mnt/here/file: empty");
    assert_eq!(lines[1], "create /mnt/here/new: EROFS");
    let back = dir.join("back");
    let back = back.to_str().must("name a copy");
    silent(sandbox.machinectl(&["copy-to", &name, source, "/root/copy"]));
    silent(sandbox.machinectl(&["copy-from", &name, "/root/copy/file", back]));
    assert!(fs::exists(back).must("look for the copy"));
    let again = sandbox.machinectl(&["copy-from", &name, "/root/copy/file", back]);
    let _ = again.expect_status(1).expect_stderr("Failed to copy: ");
    silent(sandbox.machinectl(&["copy-from", "--force", &name, "/root/copy/file", back]));
    let _ = sandbox
        .machinectl(&["bind", "nobody", source])
        .expect_status(1)
        .expect_stderr("Failed to bind mount: No machine 'nobody' known");
    silent(sandbox.machinectl(&["stop", &name]));
}

#[test]
fn images_are_enabled_to_start_with_the_host() {
    if Path::new("/run/systemd/system").exists() {
        skip!("PID 1 of this host is systemd");
    }
    let sandbox = Sandbox::new();
    let name = sandbox.tiny("enabled", &[READY]);
    let enabled = || {
        let status = sandbox.nsrun(&["--json", "image-status", &name]).success();
        let status: serde_json::Value = status.json();
        status[0]["enabled"].clone()
    };
    silent(sandbox.machinectl(&["enable", &name]));
    assert_eq!(enabled(), true);
    silent(sandbox.machinectl(&["disable", &name]));
    assert_eq!(enabled(), false);
    let _ = sandbox.machinectl(&["enable", "nobody"]).expect_status(1);
}
