//! What a machine's supervisor serves: the way out, names, ports.

use nsrun_tests::done::{Running, run};
use nsrun_tests::nsrun::plain;
use nsrun_tests::{Must, Sandbox, patience, wait_until};

use super::inside::{addresses, inside, reaches};
use super::internet::{Internet, READ};

const SERVE: &str = "import socket,sys\ns=socket.create_server(('::',int(sys.argv[1])),family=socket.AF_INET6,dualstack_ipv6=True)\nprint('up',flush=True)\nwhile True:\n  c=s.accept()[0]\n  c.sendall(sys.argv[2].encode())\n  c.close()";

/// A server inside of a machine, or with no leader on the host.
fn serve(leader: Option<&str>, port: u16, text: &str) -> Running {
    let mut command = match leader {
        Some(leader) => {
            let mut command = plain("/usr/bin/nsenter");
            command.arg(format!("--net=/proc/{leader}/ns/net"));
            command.arg("/usr/bin/python3");
            command
        }
        None => plain("/usr/bin/python3"),
    };
    command.args(["-c", SERVE, &port.to_string(), text]);
    let mut server = Running::start(command);
    wait_until(patience(20), "the server is up", || {
        server.so_far().stdout.contains("up").then_some(())
    });
    server
}

fn stop(mut server: Running) {
    server.signal(rustix::process::Signal::KILL);
    let _ = server.finish(patience(20));
}

#[test]
fn a_machine_reaches_the_internet_and_is_reached_by_its_ports_from_all_sides() {
    let sandbox = Sandbox::new();
    let internet = Internet::new();
    let image = sandbox.tiny("out", &["notify READY=1"]);
    let options = ["--port=8080:80", "--publish-host=5432"];
    let machine = sandbox.boot(&image).options(&options).up();
    assert!(reaches(&machine, "203.0.113.1") && reaches(&machine, "2001:db8:f::1"));
    // Said by the neighbour that the way out leads to.
    let known = inside(&machine, "ip -6 neigh show dev host0")
        .success()
        .stdout;
    let mut gateways = known.lines().filter(|line| line.starts_with("fd"));
    assert!(
        gateways
            .next()
            .is_some_and(|line| line.contains(" router ")),
        "{known}"
    );
    let leader = machine.status()["leader"]["pid"].to_string();
    let web = serve(Some(&leader), 80, "web");
    for address in ["203.0.113.2", "2001:db8:f::2"] {
        let done = internet.reads(address, 8080);
        assert_eq!(done.stdout.trim(), "web", "{address}: {done}");
    }
    for address in ["127.0.0.1", "::1", "203.0.113.2", "2001:db8:f::2"] {
        let mut command = plain("/usr/bin/python3");
        command.args(["-c", READ, address, "8080"]);
        let done = run(command, patience(20));
        assert_eq!(done.stdout.trim(), "web", "{address}: {done}");
    }
    let data = serve(None, 5432, "data");
    let mut command = plain("/usr/bin/nsenter");
    command.arg(format!("--net=/proc/{leader}/ns/net"));
    command.args(["/usr/bin/python3", "-c", READ, "127.0.0.1", "5432"]);
    let done = run(command, patience(20));
    assert_eq!(done.stdout.trim(), "data", "{done}");
    let other = sandbox.tiny("other", &["notify READY=1"]);
    let done = sandbox
        .nsrun(&["boot", "--port=8080:81", &other])
        .expect_status(4);
    let _ = done.expect_stderr("8080");
    let shown = sandbox.nsrun(&["ports", &image]).success();
    for word in ["PROTOCOL", "tcp", "8080", "80"] {
        assert!(
            shown.stdout.split_whitespace().any(|w| w == word),
            "{shown}"
        );
    }
    let shown = sandbox.nsrun(&["ip", "-4", &image]).success();
    let first = machine.status()["addresses"][0].clone();
    assert_eq!(first.as_str(), Some(shown.stdout.trim()), "{shown}");
    let slip = format!("{image}x");
    let done = sandbox.nsrun(&["ip", &slip]).expect_status(3);
    let _ = done.expect_stderr(&format!("did you mean {image}?"));
    let _ = sandbox.nsrun(&["ports", "nobody"]).expect_status(3);
    stop(web);
    stop(data);
    machine.stop().success();
    assert_eq!(sandbox.nsrun(&["ports"]).success().stdout, "No ports.\n");
    drop(machine);
    internet.end();
    sandbox.assert_clean();
}

#[test]
fn names_are_those_of_the_network() {
    let sandbox = Sandbox::new();
    let lan = ["--network-zone=lan"];
    let image = |name: &str| sandbox.tiny(name, &["notify READY=1"]);
    let one = sandbox.boot(&image("one")).options(&lan).up();
    let two = sandbox.boot(&image("two")).options(&lan).up();
    let far = sandbox
        .boot(&image("far"))
        .options(&["--network-zone=other"])
        .up();
    let address = addresses(&two, "host0")[0].clone();
    let (address, _) = address.split_once('/').must("find a prefix");
    let dig = |machine, name: &str| {
        let words = format!("dig +short +tries=1 @169.254.0.53 {name} A");
        inside(machine, &words).stdout.trim().to_owned()
    };
    assert_eq!(dig(&one, &format!("{}.nsrun", two.name())), address);
    assert_eq!(dig(&one, two.name()), address);
    assert!(dig(&one, "host.nsrun").starts_with("192.168."));
    assert_eq!(dig(&far, &format!("{}.nsrun", two.name())), "");
    assert!(!reaches(&far, address), "zones are apart");
    for machine in [one, two, far] {
        machine.stop().success();
        drop(machine);
    }
    sandbox.assert_clean();
}

#[test]
fn a_client_inside_is_offered_the_address_that_the_machine_has() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("client", &["notify READY=1"]);
    let machine = sandbox.boot(&image).up();
    let own = addresses(&machine, "host0");
    let (address, _) = own[0].split_once('/').must("find a prefix");
    let words = "busybox udhcpc -i host0 -n -q -f -s /bin/true";
    let done = inside(&machine, words).success();
    let told = format!("{}{}", done.stdout, done.stderr);
    assert!(
        told.contains(&format!("lease of {address} obtained")),
        "{told}"
    );
    machine.stop().success();
    drop(machine);
    sandbox.assert_clean();
}

#[test]
fn ports_of_the_host_need_no_link() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("alone", &["notify READY=1"]);
    let options = ["--network=private", "--publish-host=5433"];
    let machine = sandbox.boot(&image).options(&options).up();
    let leader = machine.status()["leader"]["pid"].to_string();
    let data = serve(None, 5433, "data");
    let mut command = plain("/usr/bin/nsenter");
    command.arg(format!("--net=/proc/{leader}/ns/net"));
    command.args(["/usr/bin/python3", "-c", READ, "127.0.0.1", "5433"]);
    let done = run(command, patience(20));
    assert_eq!(done.stdout.trim(), "data", "{done}");
    stop(data);
    machine.stop().success();
    drop(machine);
    sandbox.assert_clean();
}
