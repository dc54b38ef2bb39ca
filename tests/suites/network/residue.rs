//! Nothing stays of what could not be made.

use nsrun_tests::done::run;
use nsrun_tests::nsrun::plain;
use nsrun_tests::{Must, Sandbox, patience, wait_until};

use super::inside::host;

#[test]
fn a_link_that_cannot_be_made_takes_the_others_with_it() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("half", &["notify READY=1"]);
    host("link add card type veth peer name cable");
    let options = [
        "boot",
        "--network-zone=lan",
        "--network-interface=card:lan",
        "--network-veth-extra=cable:other",
        &image,
    ];
    let done = sandbox.nsrun(&options).expect_status(4);
    let _ = done.expect_stderr("cable").expect_stderr("hint:");
    assert!(!host("-o link").contains("vz-lan"));
    let _ = host("link show dev card");
    host("link del card");
    sandbox.assert_clean();
}

#[test]
fn a_reboot_gets_the_same_links_again() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("again", &["notify READY=1"]);
    let options = ["--network-zone=lan", "--network-veth-extra=lan-a:lan"];
    let machine = sandbox.boot(&image).options(&options).up();
    let before = super::inside::addresses(&machine, "host0");
    let leader = machine.status()["leader"]["pid"].clone();
    let name = machine.name().to_owned();
    sandbox.nsrun(&["reboot", &name]).success();
    wait_until(patience(20), "it is up again", || {
        let now = machine.status();
        (now["leader"]["pid"].is_u64() && now["leader"]["pid"] != leader).then_some(())
    });
    assert_eq!(super::inside::addresses(&machine, "host0"), before);
    assert!(host("-o link show dev lan-a").contains("LOWER_UP"));
    let (_, rest) = before[0].split_once('/').must("find a prefix");
    assert_eq!(rest, "24");
    machine.stop().success();
    drop(machine);
    sandbox.assert_clean();
}

#[test]
fn forwarding_is_put_back_by_the_next_command_after_a_kill() {
    let sandbox = Sandbox::new();
    let forwards = || std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward");
    let before = forwards().must("read the sysctl");
    let image = sandbox.tiny("killed", &["notify READY=1"]);
    let mut machine = sandbox.boot(&image).up();
    assert_eq!(forwards().must("read the sysctl").trim(), "1");
    machine.signal(rustix::process::Signal::KILL);
    let _ = machine.finish(patience(20));
    let _ = sandbox.nsrun(&["list"]).success();
    assert_eq!(forwards().must("read the sysctl"), before);
    drop(machine);
    let _ = sandbox.nsrun(&["start", &image]).success();
    let _ = sandbox.nsrun(&["stop", &image]).success();
    sandbox.assert_clean();
}

#[test]
fn a_host_whose_sysctls_cannot_be_written_starts_machines_with_a_warning() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("still", &["notify READY=1"]);
    for words in ["--bind /proc/sys /proc/sys", "-o remount,bind,ro /proc/sys"] {
        let mut command = plain("/usr/bin/mount");
        command.args(words.split(' '));
        run(command, patience(20)).success();
    }
    for options in ["--port=8080:80", "--network-zone=lan"] {
        // The kernel lets no user namespace mount a proc while the host's is covered in part.
        let options = [options, "--private-users=no"];
        let mut machine = sandbox.boot(&image).options(&options).up();
        let own = super::inside::addresses(&machine, "host0");
        assert_eq!(own.len(), 2, "{own:?}");
        let told = machine.output();
        let wanted = "nsrun: warning: the machine reaches the host alone: cannot set sysctl";
        assert!(told.contains(wanted), "{told}");
        machine.stop().success();
        let told = machine.output();
        assert!(!told.contains("cannot read from link"), "{told}");
    }
    let mut command = plain("/usr/bin/umount");
    command.arg("/proc/sys");
    run(command, patience(20)).success();
    sandbox.assert_clean();
}

#[test]
fn what_a_killed_supervisor_had_published_is_free_for_another_machine() {
    let sandbox = Sandbox::new();
    let image = |name: &str| sandbox.tiny(name, &["notify READY=1"]);
    let options = ["--port=8080:80"];
    let mut killed = sandbox.boot(&image("killed")).options(&options).up();
    killed.signal(rustix::process::Signal::KILL);
    let _ = killed.finish(patience(20));
    let next = sandbox.boot(&image("next")).options(&options).up();
    next.stop().success();
    drop((killed, next));
    sandbox.assert_clean();
}
