//! Nothing stays of what could not be made.

use nsrun_tests::{Must, Sandbox, patience};

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
    nsrun_tests::wait_until(nsrun_tests::patience(20), "it is up again", || {
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
