//! Options for the payload's processes and secrets, seen from inside.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nsrun_tests::done::Running;
use nsrun_tests::facts::Facts;
use nsrun_tests::{Done, Must, Sandbox, patience, skip, wait_until};
use rustix::process::Signal;

const PROBE: &str = "/sbin/init";

fn run(sandbox: &Sandbox, options: &[&str], image: &str, words: &[&str]) -> Done {
    sandbox.nsrun(&[&["run"], options, &[image, "--", PROBE], words].concat())
}

fn facts(sandbox: &Sandbox, options: &[&str], image: &str) -> Facts {
    run(sandbox, options, image, &["facts"]).success().json()
}

/// What the attempts come to in a machine with these options.
fn attempts(sandbox: &Sandbox, options: &[&str], image: &str, words: &[&str]) -> Vec<String> {
    let done = run(sandbox, options, image, &[&["try"], words].concat()).success();
    let lines = done.stdout.lines().zip(words);
    lines
        .map(|(line, what)| line.trim_start_matches(&format!("{what}: ")).to_owned())
        .collect()
}

#[test]
fn limits_score_and_processors_are_what_was_asked_for() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("tune", &[]);
    let options = [
        "--rlimit=NOFILE=100:200",
        "--rlimit=RLIMIT_CORE=1M",
        "--rlimit=NPROC=77",
        "--oom-score-adjust=500",
        "--cpu-affinity=0",
    ];
    let facts = facts(&sandbox, &options, &image);
    let limit = |name: &str| {
        let found = facts.limits.iter().find(|(key, _)| key.contains(name));
        found
            .map(|(_, (soft, hard))| (soft.clone(), hard.clone()))
            .must("find a limit")
    };
    assert_eq!(limit("open files"), ("100".to_owned(), "200".to_owned()));
    assert_eq!(limit("core"), ("1048576".to_owned(), "1048576".to_owned()));
    assert_eq!(limit("processes"), ("77".to_owned(), "77".to_owned()));
    assert_eq!(facts.oom_score_adj, 500);
    let processors = facts.status.get("Cpus_allowed_list").map(String::as_str);
    assert_eq!(processors, Some("0"));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_personality_can_be_that_of_32_bits() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("persona", &[]);
    let words = ["read /proc/self/personality"];
    let seen = attempts(&sandbox, &["--personality=x86"], &image, &words);
    assert_eq!(seen, ["00000008"]);
    let seen = attempts(&sandbox, &["--personality=x86-64"], &image, &words);
    assert_eq!(seen, ["00000000"]);
}

#[test]
fn the_payload_is_asked_to_stop_by_the_signal_that_was_chosen() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("signal", &[]);
    let words = ["print", "here", ",", "sleep", "100000"];
    let args = [
        &["run", "--kill-signal=SIGUSR1", &image, "--", PROBE],
        &words[..],
    ];
    let mut running = Running::start(sandbox.command(&args.concat()));
    wait_until(patience(30), "it runs", || {
        running.so_far().stdout.contains("here").then_some(())
    });
    running.signal(Signal::TERM);
    let _ = running.finish(patience(30)).expect_status(128 + 10);
}

#[test]
fn credentials_are_files_that_only_root_reads_and_nobody_changes() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("secret", &[]);
    let file = sandbox.dir().join("secret");
    fs::write(&file, "from a file").must("write a file");
    let path = sandbox.dir().join("socket");
    let listener = UnixListener::bind(&path).must("listen");
    let answer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().must("accept");
        stream.write_all(b"from a socket").must("write");
    });
    let options = [
        r"--set-credential=set:a\x20b".to_owned(),
        format!("--load-credential=file:{}", file.display()),
        format!("--load-credential=socket:{}", path.display()),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let dir = "/run/host/credentials";
    let words = [
        format!("list {dir}"),
        format!("read {dir}/set"),
        format!("read {dir}/file"),
        format!("read {dir}/socket"),
        format!("create {dir}/new"),
        format!("open-write {dir}/set"),
        format!("owner {dir}/set"),
    ];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let seen = attempts(&sandbox, &options, &image, &words);
    assert!(answer.join().is_ok(), "the socket was not asked");
    let expected = ["file set socket", "a b", "from a file", "from a socket"];
    assert_eq!(&seen[..4], expected);
    assert_eq!(&seen[4..], ["EROFS", "EROFS", "0 0"]);
    let facts = facts(&sandbox, &options[..1], &image);
    let variable = facts.env.get("CREDENTIALS_DIRECTORY").map(String::as_str);
    assert_eq!(variable, Some(dir));
    let mount = facts.mounts.iter().rfind(|mount| mount.point == dir);
    let mount = mount.must("find the mount");
    assert_eq!(mount.fstype, "ramfs");
    assert!(
        mount.has("ro") && mount.has("nosuid") && mount.has("noexec"),
        "{mount:?}"
    );
}

#[test]
fn a_credential_by_its_name_is_nsruns_own_and_none_is_shown() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("own", &[]);
    let dir = sandbox.dir().join("credentials");
    fs::create_dir(&dir).must("make a directory");
    fs::write(dir.join("mine"), "s3cret").must("write a file");
    let words = ["--", PROBE, "try", "read /run/host/credentials/theirs"];
    let command = |options: &[&str]| {
        let args = [
            &["run", "--load-credential=theirs:mine"],
            options,
            &[&image],
            &words,
        ]
        .concat();
        let mut command = sandbox.command(&args);
        command.env("CREDENTIALS_DIRECTORY", &dir);
        nsrun_tests::done::run(command, patience(30))
    };
    assert!(command(&[]).success().stdout.contains("s3cret"));
    let dry = command(&["--dry-run"]).success();
    assert!(
        dry.stdout.contains("theirs (6 bytes)") && !dry.stdout.contains("s3cret"),
        "{dry}"
    );
}

#[test]
fn resolv_conf_is_copied_replaced_bound_or_removed() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("resolv", &[]);
    let file = sandbox.image_root().join(&image).join("etc/resolv.conf");
    let hosts = fs::read_to_string("/etc/resolv.conf").must("read the host's");
    let hosts = hosts.trim_end().replace('\n', "\\n");
    let read = |mode: &str| {
        let option = format!("--resolv-conf={mode}");
        let words = ["read /etc/resolv.conf", "create /etc/resolv.conf"];
        attempts(&sandbox, &[&option], &image, &words)
    };
    fs::write(&file, "image's").must("write a file");
    assert_eq!(read("off")[0], "image's");
    assert_eq!(read("auto")[0], "image's", "the network is the machine's");
    assert_eq!(read("bind-host")[0], hosts);
    assert_eq!(fs::read_to_string(&file).must("read"), "image's");
    assert_eq!(read("copy-host")[0], hosts);
    assert_eq!(read("delete"), ["ENOENT", "ok"]);
    fs::remove_file(&file).must("remove a file");
    symlink("/run/nowhere", &file).must("make a link");
    assert_eq!(read("copy-host")[0], "ENOENT", "links are left alone");
    assert_eq!(read("replace-host")[0], hosts);
    assert!(fs::symlink_metadata(&file).must("look").is_file());
    let done = run(&sandbox, &["--resolv-conf=bind-none"], &image, &["facts"]);
    let _ = done.expect_status(125).expect_stderr("bind-none");
}

#[test]
fn the_time_zone_is_linked_copied_bound_or_removed() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("zone", &[]);
    let tree = sandbox.image_root().join(&image);
    let file = tree.join("etc/localtime");
    if !Path::new("/etc/localtime").exists() {
        skip!("the host has no /etc/localtime");
    }
    let there = |mode: &str| {
        let option = format!("--timezone={mode}");
        attempts(&sandbox, &[&option], &image, &["exists /etc/localtime"]).concat()
    };
    assert_eq!(there("auto"), "ENOENT", "the image has no such zone");
    assert_eq!(there("off"), "ENOENT");
    assert_eq!(there("copy"), "ok");
    let same = fs::read(&file).must("read") == fs::read("/etc/localtime").must("read the host's");
    assert!(same, "the content is the host's");
    assert_eq!(there("off"), "ok");
    assert_eq!(there("delete"), "ENOENT");
    assert_eq!(there("bind"), "ok");
    let done = run(&sandbox, &["--timezone=symlink"], &image, &["facts"]).success();
    let _ = done.expect_stderr("time zone");
}

#[test]
fn the_console_is_a_terminal_or_the_callers_streams() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("console", &["print here", "poweroff"]);
    let has_console = |option: &str| {
        let seen = run(&sandbox, &[option], &image, &["try", "exists /dev/console"]);
        let seen = seen.success();
        (seen.stdout.contains("ok"), seen.stdout.contains("ENOENT"))
    };
    assert_eq!(has_console("--console=pipe"), (false, true));
    assert_eq!(has_console("-P"), (false, true));
    assert_eq!(has_console("--console=autopipe"), (false, true));
    assert_eq!(has_console("--console=read-only"), (true, false));
    assert_eq!(
        has_console("--console=passive"),
        (false, false),
        "nothing is shown"
    );
    let boot = |option: &str| {
        let args = ["boot", "--network=private", option, &image];
        sandbox.nsrun(&args).success().stdout.trim().to_owned()
    };
    assert_eq!(boot("--console=pipe"), "here");
    assert_eq!(boot("--console=passive"), "");
    let done = run(&sandbox, &["--console=interactive"], &image, &["facts"]);
    let _ = done.expect_status(125).expect_stderr("terminal");
}

#[test]
fn a_command_can_run_as_a_user_of_the_image() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("user", &[]);
    let etc = sandbox.image_root().join(&image).join("etc");
    fs::write(
        etc.join("passwd"),
        "root:x:0:0::/root:/x\nme:x:1000:100::/home/me:/x\n",
    )
    .must("write passwd");
    fs::write(etc.join("group"), "users:x:100:\nwheel:x:10:me\n").must("write group");
    for user in ["--user=me", "-u1000", "--uid=me"] {
        for users in ["--private-users=pick", "--private-users=no"] {
            let facts = facts(&sandbox, &[user, users], &image);
            let status = |key: &str| facts.status.get(key).map(String::as_str);
            assert_eq!(status("Uid"), Some("1000 1000 1000 1000"));
            assert_eq!(status("Gid"), Some("100 100 100 100"));
            assert_eq!(status("Groups").map(str::trim), Some("10 100"));
            for set in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
                assert_eq!(status(set), Some("0000000000000000"), "{set}");
            }
            let variable = |key: &str| facts.env.get(key).map(String::as_str);
            let variables = ["HOME", "USER", "LOGNAME"].map(variable);
            assert_eq!(variables, [Some("/home/me"), Some("me"), Some("me")]);
        }
    }
    let options = ["--user=me", "--ambient-capability=CAP_NET_RAW"];
    let facts = facts(&sandbox, &options, &image);
    for set in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
        let mask = facts.status.get(set).map(String::as_str);
        assert_eq!(mask, Some("0000000000002000"), "{set}");
    }
    let words = ["create /root/made", "read /etc/passwd", "owner /proc/self"];
    let seen = attempts(&sandbox, &["--user=me"], &image, &words);
    assert_eq!((seen[0].as_str(), seen[2].as_str()), ("EACCES", "1000 100"));
    let done = run(&sandbox, &["--user=nobody"], &image, &["facts"]).expect_status(125);
    let _ = done.expect_stderr("'nobody'");
    let done = sandbox
        .nsrun(&["boot", "--user=me", &image])
        .expect_status(2);
    let _ = done.expect_stderr("--user");
    let options = ["--ambient-capability=CAP_SYS_MODULE"];
    let done = run(&sandbox, &options, &image, &["facts"]).expect_status(125);
    let _ = done.expect_stderr("ambient").expect_stderr("--capability");
}

#[test]
fn options_of_nspawn_that_there_are_not_are_told_by_name() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("foreign", &[]);
    for (option, word) in [
        ("--oci-bundle=/x", "OCI"),
        ("-D", "operand"),
        ("--selinux-context=x", "labels"),
    ] {
        let done = sandbox.nsrun(&["boot", option, &image]).expect_status(2);
        let done = done.expect_stderr(word);
        let name = option.split('=').next().must("name an option");
        let _ = done.expect_stderr(name);
    }
    let done = sandbox
        .nsrun(&["boot", "--nonsense", &image])
        .expect_status(2);
    let _ = done.expect_stderr("--nonsense");
}

#[test]
fn values_that_are_none_are_refused() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("bad", &[]);
    for option in [
        "--rlimit=NOFILE",
        "--rlimit=NOTHING=1",
        "--rlimit=NOFILE=2:1",
        "--oom-score-adjust=1001",
        "--oom-score-adjust=",
        "--cpu-affinity=x",
        "--personality=pdp11",
        "--kill-signal=SIGNOTHING",
        "--set-credential=novalue",
        "--load-credential=../x:/etc/passwd",
    ] {
        let done = sandbox.nsrun(&["boot", option, &image]);
        assert_eq!(done.status, 2, "{option}: {done}");
    }
    let twice = [
        "boot",
        "--set-credential=a:1",
        "--set-credential=a:2",
        &image,
    ];
    let _ = sandbox
        .nsrun(&twice)
        .expect_status(2)
        .expect_stderr("twice");
    let missing = ["boot", "--load-credential=a:/missing", &image];
    let _ = sandbox
        .nsrun(&missing)
        .expect_status(1)
        .expect_stderr("/missing");
}
