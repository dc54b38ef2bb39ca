//! Users of the host in a machine. The host's own files of users are replaced for the test, in its mount
//! namespace.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::PathBuf;

use nsrun_tests::{Done, Must, Sandbox};
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use serde_json::Value;

const PROBE: &str = "/sbin/init";

const FILES: [&str; 3] = ["passwd", "group", "shadow"];

/// The host has other users until this is dropped.
struct Users {
    home: PathBuf,
}

impl Drop for Users {
    fn drop(&mut self) {
        for name in FILES {
            let _ = unmount(format!("/etc/{name}"), UnmountFlags::DETACH);
        }
    }
}

/// Gives the host the user `alice`, 1234 with a group 1235.
fn alice(sandbox: &Sandbox) -> Users {
    let home = sandbox.dir().join("alice");
    fs::create_dir(&home).must("make a home directory");
    fs::write(home.join("notes"), "content").must("write a file");
    for path in [home.clone(), home.join("notes")] {
        chown(path, Some(1234), Some(1235)).must("give a file away");
    }
    let passwd = format!(
        "root:x:0:0::/root:/bin/sh\nalice:x:1234:1235:Alice A,,:{}:/bin/zsh\n\
         service:x:990:990::/usr:/bin/false\n",
        home.display()
    );
    let contents = [
        passwd.as_str(),
        "root:x:0:\nalice:x:1235:\nservice:x:990:\n",
        "root:*:1::::::\nalice:$y$hash:1::::::\n",
    ];
    for (name, content) in FILES.into_iter().zip(contents) {
        let own = sandbox.dir().join(name);
        fs::write(&own, content).must("write a file of users");
        mount_bind(&own, format!("/etc/{name}")).must("show another file of users");
    }
    Users { home }
}

fn run(sandbox: &Sandbox, options: &[&str], image: &str, words: &[&str]) -> Done {
    sandbox.nsrun(&[&["run"], options, &[image, "--", PROBE, "try"], words].concat())
}

fn seen(sandbox: &Sandbox, options: &[&str], image: &str, words: &[&str]) -> Vec<String> {
    let done = run(sandbox, options, image, words).success();
    let lines = done.stdout.lines().zip(words);
    lines
        .map(|(line, what)| line.trim_start_matches(&format!("{what}: ")).to_owned())
        .collect()
}

fn record(sandbox: &Sandbox, options: &[&str], image: &str, path: &str) -> Value {
    let read = format!("read /run/host/userdb/{path}");
    let text = seen(sandbox, options, image, &[&read]).remove(0);
    serde_json::from_str(&text).must("read a record")
}

#[test]
fn a_machine_knows_the_user_and_its_files() {
    let sandbox = Sandbox::on_disk();
    let image = sandbox.tiny("bound", &[]);
    let users = alice(&sandbox);
    let options = ["--bind-user=alice", "--bind-user-group=wheel"];
    let user = record(&sandbox, &options, &image, "60514.user");
    assert_eq!(user["userName"], "alice", "{user}");
    assert_eq!((&user["uid"], &user["gid"]), (&60514.into(), &60514.into()));
    assert_eq!(user["realName"], "Alice A");
    assert_eq!(user["shell"], Value::Null);
    assert_eq!(user["memberOf"][0], "wheel");
    let group = record(&sandbox, &options, &image, "alice.group");
    assert_eq!(group["groupName"], "alice", "{group}");
    let secret = record(&sandbox, &options, &image, "alice.user-privileged");
    assert_eq!(secret["privileged"]["hashedPassword"][0], "$y$hash");
    let words = [
        "list /run/host/userdb",
        "owner /run/host/home/alice/notes",
        "open-write /run/host/home/alice/notes",
        "create /run/host/userdb/more",
    ];
    let seen = seen(&sandbox, &options, &image, &words);
    assert!(seen[0].contains("alice:wheel.membership"), "{seen:?}");
    assert_eq!(seen[1..], ["60514 60514", "ok", "EROFS"]);
    let notes = fs::metadata(users.home.join("notes")).must("look at a file");
    assert_eq!((notes.uid(), notes.gid()), (1234, 1235));
}

#[test]
fn without_a_user_namespace_too_and_with_the_shell_of_the_host() {
    let sandbox = Sandbox::on_disk();
    let image = sandbox.tiny("plain", &[]);
    let _users = alice(&sandbox);
    let options = [
        "--private-users=no",
        "--bind-user=alice",
        "--bind-user-shell=yes",
    ];
    let user = record(&sandbox, &options, &image, "alice.user");
    assert_eq!(user["shell"], "/bin/zsh", "{user}");
    let words = ["owner /run/host/home/alice/notes"];
    assert_eq!(seen(&sandbox, &options, &image, &words), ["60514 60514"]);
}

#[test]
fn a_number_or_name_of_the_image_is_not_given_twice() {
    let sandbox = Sandbox::on_disk();
    let image = sandbox.tiny("taken", &[]);
    let _users = alice(&sandbox);
    let etc = sandbox.image_root().join(&image).join("etc");
    fs::write(etc.join("passwd"), "bob:x:60514:5::/:\n").must("write the image's users");
    let user = record(&sandbox, &["--bind-user=alice"], &image, "alice.user");
    assert_eq!(user["uid"], 60515, "{user}");
    fs::write(etc.join("group"), "alice:x:7:\n").must("write the image's groups");
    let done = run(&sandbox, &["--bind-user=alice"], &image, &["read /"]);
    let _ = done
        .expect_status(125)
        .expect_stderr("the image has a user or group of that name");
}

#[test]
fn who_has_no_home_or_is_nobody_is_refused() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("refused", &[]);
    let _users = alice(&sandbox);
    let table = [
        ("--bind-user=root", "not a user like others"),
        ("--bind-user=service", "home directory /usr is not its own"),
        ("--bind-user=nobody-here", "no such user"),
        ("--bind-user-group=wheel", "no user to be about"),
    ];
    for (option, word) in table {
        let done = run(&sandbox, &[option], &image, &["read /"]);
        let _ = done.expect_status(125).expect_stderr(word);
    }
    for option in ["--bind-user=a/b", "--bind-user=", "--bind-user-shell=zsh"] {
        let done = run(&sandbox, &[option], &image, &["read /"]);
        let _ = done.expect_status(125).expect_stderr("invalid");
    }
}
