//! Values that are none, for every option and every kind of key: a clear error with the name of the
//! option and the documented status, and nothing left.

use std::collections::BTreeSet;
use std::fs;

use nsrun_tests::{Must, Sandbox};

/// Options of `boot` that take a value, with what is no value of theirs. Nothing at all is none for
/// any of them but those that may stand alone.
const BAD: &[(&str, &[&str])] = &[
    ("--machine", &["", "a/b", "-a", "a b"]),
    (
        "--private-users",
        &["", "pikc", "-1", "1:0", "4294967295:2"],
    ),
    ("--private-users-ownership", &["", "foreign"]),
    ("--network", &["", "none"]),
    ("--network-namespace-path", &[""]),
    ("--network-veth", &["", "perhaps"]),
    ("--private-network", &["", "perhaps"]),
    ("--network-bridge", &["", "a/b", "sixteen-bytes-br"]),
    ("--network-zone", &["", "a/b", "thirteen-byte"]),
    ("--network-macvlan", &["", "a/b", "eth0:a/b"]),
    ("--network-ipvlan", &["", "a/b", "eth0:"]),
    ("--network-interface", &["", "a/b", "eth0:a:b"]),
    ("--network-veth-extra", &["", "a/b"]),
    ("--vlan", &["", "0", "256", "1:255", "x"]),
    ("--mac", &["", "garbage", "01:00:00:00:00:01"]),
    ("--mtu", &["", "1279", "65536"]),
    ("--ip", &["", "10.0.0.1", "10.0.0.0/24", "fd00::1/64"]),
    ("--ip6", &["", "fd00::1", "ff02::1/64"]),
    ("--gateway", &["", "10.0.0", "10.0.0.1"]),
    ("--dns", &["", "localhost"]),
    ("--port", &["", "0", "65536", "2-1", "sctp:1", "1:2:3"]),
    ("--publish-host", &["", "0", "1:2"]),
    ("--hostname", &["", "a b"]),
    (
        "--uuid",
        &["", "garbage", "00000000000000000000000000000000"],
    ),
    ("--setenv", &["", "=value"]),
    (
        "--capability",
        &["", "CAP_NONSENSE", "CAP_CHOWN,CAP_NONSENSE"],
    ),
    ("--drop-capability", &["", "CAP_NONSENSE"]),
    ("--ambient-capability", &["", "CAP_NONSENSE"]),
    ("--template", &[""]),
    ("--system", &[""]),
    ("--image", &[""]),
    ("--ephemeral", &["", "tape"]),
    ("--volatile", &["", "perhaps"]),
    ("--pivot-root", &["", "relative", "/"]),
    ("--read-only", &["", "perhaps"]),
    ("--resolv-conf", &["", "copy-nothing"]),
    ("--timezone", &["", "Mars/Base"]),
    ("--settings", &["", "perhaps"]),
    ("--init", &[""]),
    (
        "--bind",
        &["", "/a:b", "/a:/b:nonsense", "/a:/b:idmap:x", "/a:/.."],
    ),
    ("--bind-ro", &["", "/a:b"]),
    ("--tmpfs", &["", "relative", "/a:b:c"]),
    ("--overlay", &["", "/a", "/a:relative"]),
    ("--overlay-ro", &["", "/a"]),
    ("--inaccessible", &["", "relative"]),
    ("--bind-user", &["", "a/b", "a:b"]),
    ("--bind-user-shell", &["", "zsh"]),
    ("--bind-user-group", &["", "a/b"]),
    (
        "--rlimit",
        &["", "NOFILE", "NOFILE=-1", "NONSENSE=1", "NOFILE=2:1"],
    ),
    ("--oom-score-adjust", &["", "x", "1001", "-1001"]),
    ("--cpu-affinity", &["", "x", "3-1", "99999999999"]),
    ("--personality", &["", "pdp11"]),
    ("--kill-signal", &["", "SIGNONSENSE", "0", "65"]),
    ("--user", &[""]),
    ("--console", &["", "loud"]),
    ("--notify-ready", &["", "perhaps"]),
    ("--link-journal", &["", "hots"]),
    ("--set-credential", &["", "novalue"]),
    ("--load-credential", &["", "nopath"]),
    ("--no-new-privileges", &["", "perhaps"]),
    (
        "--system-call-filter",
        &["", "~", "nonsense", "~mount:5000"],
    ),
    ("--restrict-address-families", &["~", "AF_NONSENSE"]),
    ("--suppress-sync", &["", "perhaps"]),
];

/// Options whose value may be left out.
const ALONE: [&str; 8] = [
    "--network-veth",
    "--private-network",
    "--ephemeral",
    "--volatile",
    "--read-only",
    "--notify-ready",
    "--no-new-privileges",
    "--suppress-sync",
];

/// Options that take any text, that are about another host than this, or whose values are other
/// suites' matter.
const NOT_HERE: [&str; 7] = [
    "--kernel-cmdline",
    "--image-root",
    "--state-root",
    "--property",
    "--slice",
    "--register",
    "--help",
];

#[test]
fn every_option_refuses_what_is_no_value_and_says_which() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("bad", &[]);
    for (option, values) in BAD {
        for value in *values {
            let word = format!("{option}={value}");
            let done = sandbox.nsrun(&["boot", &word, &image]);
            assert_eq!(done.status, 2, "{word}: {done}");
            let done = done.expect_stderr(option.trim_start_matches('-'));
            if !value.is_empty() {
                let last = value.rsplit([',', ' ']).next();
                let _ = done.expect_stderr(last.must("have a last word"));
            }
        }
        if !ALONE.contains(option) {
            let done = sandbox.nsrun(&["run", &image, option]);
            assert_eq!(done.status, 125, "{option} with nothing: {done}");
            let _ = done.expect_stderr(option);
        }
    }
    let running = sandbox.nsrun(&["list"]).success().stdout;
    assert!(!running.contains(&image), "{running}");
    sandbox.assert_clean();
}

#[test]
fn every_option_is_in_the_table_of_bad_values() {
    let sandbox = Sandbox::new();
    let help = sandbox.nsrun(&["boot", "--help"]).success().stdout;
    let with_value = |line: &str| {
        let at = line.find("--")?;
        let word = line[at..].split([' ', '[', '=', ',']).next()?;
        let rest = &line[at + word.len()..];
        let takes = rest.starts_with(" <") || rest.starts_with("[=") || rest.starts_with(" [");
        let is_option = line.trim_start().starts_with('-');
        (is_option && takes).then(|| word.to_owned())
    };
    let options: BTreeSet<String> = help.lines().filter_map(with_value).collect();
    assert!(options.len() > 30, "{options:?}");
    for option in options {
        let listed = BAD.iter().any(|(name, _)| *name == option);
        assert!(
            listed || NOT_HERE.contains(&&*option),
            "{option} is missing"
        );
    }
}

#[test]
fn a_bad_line_of_a_file_ends_with_its_place_and_the_status_of_bad_input() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("line", &[]);
    let file = sandbox.image_root().join(format!("{image}.nspawn"));
    for (section, line, word) in [
        ("Files", "Bind=/a:b", "Bind=/a:b"),
        ("Files", "Bind=/srv:/proc", "Bind=/srv:/proc"),
        (
            "Files",
            "BindReadOnly=/a:/b:nonsense",
            "BindReadOnly=/a:/b:nonsense",
        ),
        (
            "Files",
            "TemporaryFileSystem=relative",
            "TemporaryFileSystem=relative",
        ),
        ("Files", "Overlay=/a", "Overlay=/a"),
        ("Files", "Inaccessible=/", "Inaccessible=/"),
        ("Exec", "SystemCallFilter=~nonsense", "nonsense"),
        ("Exec", "RestrictAddressFamilies=AF_NONSENSE", "AF_NONSENSE"),
        ("Exec", "LinkJournal=hots", "hots"),
        ("Exec", "PivotRoot=relative", "relative"),
        ("Exec", "SuppressSync=perhaps", "perhaps"),
        ("Exec", "AmbientCapability=CAP_NONSENSE", "CAP_NONSENSE"),
        ("Exec", "User=a:b", "a:b"),
        ("Network", "NamespacePath=relative", "relative"),
        ("Network", "MACVLAN=a/b", "a/b"),
        ("Network", "Zone=thirteen-byte", "thirteen-byte"),
    ] {
        fs::write(&file, format!("[{section}]\n{line}\n")).must("write settings");
        let done = sandbox.nsrun(&["boot", "--settings=trusted", &image]);
        assert_eq!(done.status, 6, "{line}: {done}");
        let done = done.expect_stderr(".nspawn:2").expect_stderr(word);
        assert!(!done.stderr.contains("--bind"), "{done}");
    }
    let missing = sandbox.nsrun(&["import", "/missing.tar"]).expect_status(3);
    let _ = missing.expect_stderr("hint:");
    let _ = sandbox
        .nsrun(&["rnu"])
        .expect_status(2)
        .expect_stderr("did you mean run?");
    sandbox.assert_clean();
}
