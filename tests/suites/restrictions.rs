//! What a machine may not call, or only seems to do, seen from inside.

use std::fs;

use nsrun_tests::{Done, Must, Sandbox, patience};

/// Calls by number: of each the error, or `ok`.
fn script(calls: &[&str]) -> String {
    let calls = calls.iter();
    let calls = calls.map(|call| format!("my $r = syscall({call}); print $r < 0 ? $! + 0 : 'ok';"));
    let calls: Vec<String> = calls
        .map(|call| format!("{{ {call} print ' '; }}"))
        .collect();
    // $p is a pipe, which cannot be synchronised.
    format!("pipe(my $q, my $w); my $p = fileno($w); {}", calls.concat())
}

/// What calls come to in a machine with these options.
fn calls(sandbox: &Sandbox, image: &str, options: &[&str], numbers: &[&str]) -> Vec<String> {
    let script = script(numbers);
    let args = [&["run"], options, &[image, "--", "perl", "-e", &script]].concat();
    words(&sandbox.nsrun(&args).success())
}

fn words(done: &Done) -> Vec<String> {
    let words = done.stdout.split_ascii_whitespace();
    words.map(str::to_owned).collect()
}

const EPERM: &str = "1";
const EBADF: &str = "9";
const ENOSYS: &str = "38";
const EAFNOSUPPORT: &str = "97";

#[test]
#[cfg(target_arch = "x86_64")]
fn calls_are_refused_with_the_error_that_was_said_and_allowed_by_name() {
    const SETHOSTNAME: &str = "170, 0, -1";
    const MOUNT: &str = "165, 0, 0, 0, 0, 0";
    const PERF_EVENT_OPEN: &str = "298, 0, 0, 0, 0, 0";
    let sandbox = Sandbox::new();
    let image = sandbox.install("filter", &["trixie"]);
    let numbers = [SETHOSTNAME, MOUNT, PERF_EVENT_OPEN];
    let plain = calls(&sandbox, &image, &[], &numbers);
    assert_eq!(
        plain,
        ["22", "14", EPERM],
        "EINVAL and EFAULT are the kernel's"
    );
    let options = [
        "--system-call-filter=@debug",
        "--system-call-filter=~sethostname @swap mount:ENOSYS",
    ];
    let filtered = calls(&sandbox, &image, &options, &numbers);
    assert_eq!(filtered, [EPERM, ENOSYS, "14"]);
    let killed = [
        "run",
        "--system-call-filter=~sethostname:kill",
        &image,
        "--",
    ];
    let script = script(&[SETHOSTNAME]);
    let words = [&killed[..], &["perl", "-e", &script]].concat();
    let _ = sandbox.nsrun(&words).expect_status(128 + 31);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn sockets_have_the_families_that_they_may_have() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("families", &["trixie"]);
    let (unix, inet, route) = ("41, 1, 2, 0", "41, 2, 2, 0", "41, 16, 3, 0");
    let ring = "425, 1, 0";
    let numbers = [unix, inet, route, ring];
    let seen = |option: &str| calls(&sandbox, &image, &[option], &numbers);
    let no = EAFNOSUPPORT;
    let only = seen("--restrict-address-families=AF_UNIX AF_NETLINK");
    assert_eq!(only, ["ok", no, "ok", ENOSYS], "a ring makes sockets, too");
    let all_but = seen("--restrict-address-families=~AF_INET,AF_UNIX");
    assert_eq!(all_but, [no, no, "ok", ENOSYS]);
    let none = seen("--restrict-address-families=none");
    assert_eq!(none, [no, no, no, ENOSYS]);
    let any = seen("--restrict-address-families=");
    assert_eq!(any[..3], ["ok", "ok", "ok"]);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn what_waits_for_the_disk_can_seem_to_succeed() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("sync", &["trixie"]);
    // Calls on the pipe, on no file, and on memory that is not mapped.
    let numbers = ["74, $p", "75, $p", "306, -1", "74, -1", "26, 4096, 4096, 4"];
    let seen = |options: &[&str]| calls(&sandbox, &image, options, &numbers);
    let kernels = ["22", "22", EBADF, EBADF, "12"];
    assert_eq!(seen(&[]), kernels);
    let suppressed = seen(&["--suppress-sync"]);
    assert_eq!(suppressed, ["ok", "ok", EBADF, EBADF, "ok"]);
    assert_eq!(seen(&["--suppress-sync", "--no-suppress-sync"]), kernels);
    assert_eq!(seen(&["--suppress-sync=no"]), kernels);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn what_joins_a_machine_is_restricted_as_it_is() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("joined", &["trixie"]);
    let options = [
        "--system-call-filter=~sethostname:EUCLEAN",
        "--suppress-sync",
    ];
    let start = [
        &["start", "--network=private"],
        &options[..],
        &["--restrict-address-families=~AF_VSOCK", &image],
    ];
    let _ = sandbox.nsrun(&start.concat()).success();
    let script = script(&["170, 0, -1", "41, 40, 1, 0", "74, $p"]);
    let seen = sandbox.nsrun(&["exec", &image, "--", "perl", "-e", &script]);
    assert_eq!(words(&seen.success()), ["117", EAFNOSUPPORT, "ok"]);
    let _ = sandbox.nsrun(&["terminate", &image]).success();
}

#[test]
fn debian_boots_with_lists_of_what_is_allowed() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("lists", &["trixie"]);
    let options = [
        "--network=private",
        "--system-call-filter=@system-service @clock",
        "--system-call-filter=~@swap @module @debug:ENOSYS",
        "--restrict-address-families=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "--suppress-sync",
    ];
    let mut machine = sandbox.boot(&image).options(&options).up();
    machine.assert_running();
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(60)), 0, "{}", machine.output());
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_file_beside_the_image_forbids_and_does_not_allow() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("beside", &["trixie"]);
    let file = sandbox.image_root().join(format!("{image}.nspawn"));
    let text = "[Exec]\nSystemCallFilter=~sethostname:ENOSYS\nSystemCallFilter=settimeofday\n\
                RestrictAddressFamilies=~AF_INET\nSuppressSync=yes\nUser=daemon\n\
                AmbientCapability=CAP_SYS_ADMIN\n";
    fs::write(&file, text).must("write settings");
    let numbers = ["170, 0, -1", "164, 0, 0", "41, 2, 2, 0", "74, $p", "102"];
    let script = script(&numbers) + "print $<, ' ', `grep CapAmb /proc/self/status`;";
    let args = ["run", &image, "--", "perl", "-e", &script];
    let done = sandbox.nsrun(&args).success();
    let seen = words(&done);
    assert_eq!(seen[..4], [ENOSYS, EPERM, EAFNOSUPPORT, "ok"], "{done}");
    assert_eq!(seen[5..], ["1", "CapAmb:", "0000000000000000"], "{done}");
    let done = done.expect_stderr("SystemCallFilter= is ignored");
    let _ = done.expect_stderr("AmbientCapability= is ignored");
    let trusted = [
        "run",
        "--settings=trusted",
        &image,
        "--",
        "perl",
        "-e",
        &script,
    ];
    let seen = words(&sandbox.nsrun(&trusted).success());
    assert_eq!(seen[5..], ["1", "CapAmb:", "0000000000200000"]);
    let shown = sandbox.nsrun(&["config", &image]).success().stdout;
    assert!(
        shown.contains("User=daemon") && shown.contains(".nspawn:6"),
        "{shown}"
    );
    let booted = sandbox.nsrun(&["boot", &image]).expect_status(6);
    let _ = booted.expect_stderr(".nspawn:6: User=");
}

#[test]
fn what_is_no_rule_is_refused_by_option_and_value() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("rules", &[]);
    for (option, word) in [
        ("--system-call-filter=", "names no call"),
        ("--system-call-filter=@nonsense", "@nonsense"),
        ("--system-call-filter=~ptrcae", "did you mean ptrace?"),
        ("--system-call-filter=mount:EPERM", "after ~"),
        ("--system-call-filter=~mount:5000", "5000"),
        (
            "--restrict-address-families=AF_INTE",
            "did you mean AF_INET?",
        ),
        ("--restrict-address-families=~", "names none"),
        ("--suppress-sync=perhaps", "perhaps"),
        ("--no-new-privileges=perhaps", "perhaps"),
    ] {
        let done = sandbox.nsrun(&["boot", option, &image]).expect_status(2);
        let name = option.split('=').next().must("name an option");
        let _ = done.expect_stderr(name).expect_stderr(word);
    }
}
