//! Each kind of link, by itself.

use nsrun_tests::done::run;
use nsrun_tests::sandbox::ip;
use nsrun_tests::{Must, Sandbox, patience, wait_until};

use super::inside::{addresses, host, inside, reaches};

#[test]
fn both_ends_of_the_link_have_addresses_of_both_families_that_stay() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("plain", &["notify READY=1"]);
    let mut before: Vec<String> = Vec::new();
    for _ in 0..2 {
        let machine = sandbox.boot(&image).up();
        let own = addresses(&machine, "host0");
        assert!(
            own.len() == 2 && own[0].ends_with("/28") && own[1].starts_with("fd"),
            "{own:?}"
        );
        let routes = inside(&machine, "ip route show default").success().stdout;
        let gateway = routes.split(' ').nth(2).must("find the gateway");
        assert!(reaches(&machine, gateway), "{routes}");
        let routes = inside(&machine, "ip -6 route show default")
            .success()
            .stdout;
        let gateway = routes.split(' ').nth(2).must("find the gateway");
        assert!(reaches(&machine, gateway), "{routes}");
        assert!(before.is_empty() || before == own, "{before:?} {own:?}");
        before = own;
        machine.stop().success();
        drop(machine);
    }
    sandbox.assert_clean();
}

#[test]
fn a_network_that_is_taken_is_replaced_and_the_replacement_stays() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("moved", &["notify READY=1"]);
    let once = || {
        let machine = sandbox.boot(&image).up();
        let own = addresses(&machine, "host0");
        machine.stop().success();
        own
    };
    let first = once();
    host(&format!("address add {} dev lo", first[0]));
    let second = once();
    assert_ne!(first[0], second[0]);
    assert_eq!(first[1], second[1], "that one is free");
    host(&format!("address del {} dev lo", first[0]));
    assert_eq!(once(), second);
    sandbox.assert_clean();
}

#[test]
fn what_the_user_says_of_the_first_link_holds() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("fixed", &["notify READY=1"]);
    let options = [
        "--mac=02:00:00:00:0a:0b",
        "--mtu=1400",
        "--ip=10.77.0.9/24",
        "--gateway=10.77.0.254",
        "--ip6=fd77::9/64",
        "--dns=10.77.0.254",
    ];
    let machine = sandbox.boot(&image).options(&options).up();
    assert_eq!(addresses(&machine, "host0"), ["10.77.0.9/24", "fd77::9/64"]);
    let shown = inside(&machine, "ip link show dev host0").success().stdout;
    assert!(
        shown.contains("mtu 1400") && shown.contains("02:00:00:00:0a:0b"),
        "{shown}"
    );
    assert!(reaches(&machine, "10.77.0.254") && reaches(&machine, "fd77::1"));
    let known = machine.status();
    assert_eq!(known["addresses"][0], "10.77.0.9");
    machine.stop().success();
    drop(machine);
    let machine = sandbox
        .boot(&image)
        .options(&["--ip=none", "--ip6=none"])
        .up();
    assert!(addresses(&machine, "host0").is_empty());
    machine.stop().success();
    drop(machine);
    sandbox.assert_clean();
}

#[test]
fn more_pairs_are_up_and_have_names_at_both_ends() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("extra", &["notify READY=1"]);
    let options = [
        "--network-veth-extra=lan-a:lan",
        "--network-veth-extra=lan-b",
    ];
    let machine = sandbox.boot(&image).options(&options).up();
    let shown = inside(&machine, "ip -o link").success().stdout;
    assert!(
        shown.contains("lan@") && shown.contains("lan-b@"),
        "{shown}"
    );
    assert!(!shown.contains("host0"), "nobody asked for it: {shown}");
    assert!(host("link show dev lan-a").contains("LOWER_UP"));
    let other = sandbox.tiny("other", &["notify READY=1"]);
    let done = sandbox.nsrun(&["boot", "--network-veth-extra=lan-a", &other]);
    let _ = done
        .expect_status(4)
        .expect_stderr("lan-a")
        .expect_stderr("hint:");
    machine.stop().success();
    drop(machine);
    sandbox.assert_clean();
}

#[test]
fn a_link_of_the_host_is_the_machines_until_its_end() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("lent", &["notify READY=1"]);
    host("link add card type veth peer name cable");
    host("link set card alias mine");
    let options = ["--network-interface=card:lan", "--ip=10.78.0.2/24"];
    let machine = sandbox.boot(&image).options(&options).up();
    assert_eq!(addresses(&machine, "lan"), ["10.78.0.2/24"]);
    assert!(run(ip(&["link", "show", "dev", "card"]), patience(20)).status != 0);
    // Who has it may name it as he likes.
    inside(&machine, "ip link set lan name renamed alias other").success();
    machine.stop().success();
    drop(machine);
    assert!(host("link show dev card").contains("alias mine"));
    host("link del card");
    let done = sandbox.nsrun(&["boot", "--network-interface=card", &image]);
    let _ = done
        .expect_status(3)
        .expect_stderr("card")
        .expect_stderr("no such device");
    sandbox.assert_clean();
}

#[test]
fn a_link_on_top_of_another_takes_that_one_and_a_kernel_that_has_such() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("stacked", &["notify READY=1"]);
    host("link add card type veth peer name cable");
    host("link set card up");
    host("link set cable up");
    for (kind, name) in [("macvlan", "mv-card"), ("ipvlan", "iv-card")] {
        let missing = format!("--network-{kind}=eth9");
        let done = sandbox.nsrun(&["boot", &missing, &image]).expect_status(3);
        let _ = done.expect_stderr("eth9").expect_stderr("no such device");
        let option = format!("--network-{kind}=card");
        let probe = ["link", "add", "link", "card", "name", "probe", "type", kind];
        if run(ip(&probe), patience(20)).status == 0 {
            host("link del probe");
            let options = [option.as_str(), "--ip=10.79.0.2/24"];
            let machine = sandbox.boot(&image).options(&options).up();
            assert_eq!(addresses(&machine, name), ["10.79.0.2/24"]);
            machine.stop().success();
        } else {
            let done = sandbox.nsrun(&["boot", &option, &image]).expect_status(5);
            let _ = done.expect_stderr(kind).expect_stderr("kernel lacks");
        }
    }
    host("link del card");
    sandbox.assert_clean();
}

#[test]
fn files_ask_for_links_and_options_take_them_back() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("file", &["notify READY=1"]);
    let file = sandbox.image_root().join(format!("{image}.nspawn"));
    std::fs::write(&file, "[Network]\nZone=f\nVirtualEthernetExtra=lan\n").must("write settings");
    let plan = |option: &str| {
        let words = ["boot", "--dry-run", "--settings=trusted", option, &image];
        sandbox.nsrun(&words).success().stdout
    };
    let shown = plan("--quiet");
    assert!(
        shown.contains("host0 linked to zone f") && shown.contains("linked to lan"),
        "{shown}"
    );
    assert!(plan("--network-bridge=br0").contains("host0 linked to bridge br0"));
    let shown = plan("--no-private-network");
    assert!(shown.contains("network: the host's"), "{shown}");
    assert!(!shown.contains("linked to"), "{shown}");
    sandbox.assert_clean();
}

#[test]
fn the_router_that_is_advertised_is_there_whatever_addresses_the_host_makes() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("routed", &["notify READY=1"]);
    let mode = "/proc/sys/net/ipv6/conf/default/addr_gen_mode";
    std::fs::write(mode, "1").must("have the kernel make no addresses");
    for option in ["--network=veth", "--network-zone=lan"] {
        let machine = sandbox.boot(&image).options(&[option]).up();
        let routes = || {
            inside(&machine, "ip -6 route show default")
                .success()
                .stdout
        };
        wait_until(patience(20), "a router is advertised", || {
            routes().contains("via fe80:").then_some(())
        });
        let routes = routes();
        let (_, rest) = routes.split_once("via fe80:").must("find the route");
        let router = rest.split(' ').next().must("find the address");
        let own = host("-6 -o address show scope link");
        assert!(own.contains(&format!(" fe80:{router}/64 ")), "{own}");
        machine.stop().success();
    }
    sandbox.assert_clean();
}
