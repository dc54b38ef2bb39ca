//! Systems whose own clients ask for addresses and names.

use nsrun_tests::{Must, Sandbox, patience, wait_until};

use super::inside::{addresses, reaches};
use super::internet::Internet;

/// Boots a system with a client of its own. It must be up with no unit failed, keep the address that it
/// had before, reach the internet, and find names by its own resolver.
fn client(flags: &[&str]) {
    let sandbox = Sandbox::new();
    let internet = Internet::new();
    let image = sandbox.install("demo", flags);
    let machine = sandbox.boot(&image).up();
    machine.assert_running();
    let status = machine.status();
    let given = status["addresses"][0].as_str().must("find its address");
    let own = addresses(&machine, "host0");
    let kept = |address: &String| address.split('/').next() == Some(given);
    assert!(own.iter().any(kept), "{given}: {own:?}");
    // networkd takes the link down once: IPv6 comes with the kernel's next link-local address.
    for address in ["203.0.113.1", "2001:db8:f::1"] {
        wait_until(patience(20), "the internet answers", || {
            reaches(&machine, address).then_some(())
        });
    }
    let host = machine.output_of(&["getent", "ahostsv4", "host.nsrun"]);
    assert!(host.starts_with("192.168."), "{host}");
    machine.stop().success();
    drop(machine);
    internet.end();
    sandbox.assert_clean();
}

#[test]
fn a_dhcpcd_that_holds_up_the_boot_gets_its_lease() {
    client(&["demo", "--net=dhcpcd-blocking"]);
}

#[test]
fn networkd_and_resolved_are_content() {
    client(&["demo", "--net=networkd", "--resolv=resolved"]);
}
