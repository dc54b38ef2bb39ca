//! Whole systems, from the start of their init to their end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use nsrun_tests::{Console, Machine, Must, Sandbox, patience, poll};
use rustix::process::Signal;

const HELLO: &str = "hello from the container!";

/// Boots `image`, which has this version of systemd, with this network, until it is up.
fn boots(image: &str, version: &str, network: &str) {
    let sandbox = Sandbox::new();
    let image = sandbox.install(image, &[image]);
    let mut machine = sandbox.boot(&image).options(&["--network", network]).up();
    machine.assert_running();
    assert!(
        machine.systemd_version().starts_with(version),
        "systemd is {}",
        machine.systemd_version()
    );
    let virtualization = machine.output_of(&["systemd-detect-virt"]);
    assert_eq!(virtualization, "systemd-nspawn");
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(20)), 0, "{}", machine.output());
}

#[test]
fn trixie_with_the_hosts_network() {
    boots("trixie", "257", "host");
}

#[test]
fn trixie_with_a_link() {
    boots("trixie", "257", "veth");
}

#[test]
fn bookworm_with_the_hosts_network() {
    boots("bookworm", "252", "host");
}

#[test]
fn bookworm_with_a_link() {
    boots("bookworm", "252", "veth");
}

#[test]
fn forky_with_the_hosts_network() {
    boots("forky", "262", "host");
}

#[test]
fn forky_with_a_link() {
    boots("forky", "262", "veth");
}

/// What the web server there says to the calling thread's network namespace.
fn fetch(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect_timeout(&address, patience(10)).must("connect");
    stream
        .set_read_timeout(Some(patience(10)))
        .must("set a time-out");
    stream
        .write_all(b"GET / HTTP/1.0\r\n\r\n")
        .must("send a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).must("read the answer");
    answer
}

#[test]
fn nixos_with_the_hosts_network_serves_the_host() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("demo", &["demo"]);
    let mut machine = sandbox.boot(&image).options(&["--network=host"]).up();
    machine.assert_running();
    let answer = fetch(([127, 0, 0, 1], 8888).into());
    assert!(answer.contains(HELLO), "{answer}");
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(20)), 0, "{}", machine.output());
}

#[test]
fn nixos_with_a_link_serves_itself_and_the_host() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("demo", &["demo"]);
    let mut machine = sandbox.boot(&image).options(&["--network=veth"]).up();
    machine.assert_running();
    let inside = machine.output_of(&["curl", "--silent", "127.0.0.1:8888"]);
    assert_eq!(inside, HELLO);
    let status = machine.status();
    let address = status["addresses"][0].as_str().must("find its address");
    let answer = fetch(SocketAddr::new(address.parse().must("read"), 8888));
    assert!(answer.contains(HELLO), "{answer}");
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(20)), 0, "{}", machine.output());
}

/// Answers the prompts of login with a wrong and the right password.
fn log_in(console: &mut Console, prompt: &str) {
    console.expect("login: $");
    console.send_line("root");
    console.expect("Password: $");
    console.send_line("wrong");
    console.expect("Login incorrect");
    console.expect("login: $");
    console.send_line("root");
    console.expect("Password: $");
    console.send_line("testing");
    console.expect(prompt);
}

fn login_and_power_off(image: &str, prompt: &str) {
    let sandbox = Sandbox::new();
    let image = sandbox.install(image, &[image]);
    let mut machine = sandbox
        .boot(&image)
        .options(&["--network=host"])
        .start_on_console();
    let console = machine.console();
    log_in(console, prompt);
    console.send_line("echo \"terminal: $(tty) $(readlink -f /dev/console)\"");
    console.expect("^terminal: /dev/pts/0 /dev/pts/0$");
    console.send_line("loginctl --no-legend list-sessions; echo 'list''ed'");
    assert!(console.expect("(?s).*^listed$").contains("root"));
    let session = machine.property("user@0.service", "ActiveState");
    assert_eq!(session, "active");
    machine.console().send_line("systemctl poweroff");
    assert_eq!(machine.finish(patience(60)), 0, "{}", machine.output());
}

#[test]
fn nixos_lets_in_who_knows_the_password_on_the_console() {
    login_and_power_off("demo", "root@nixos:~\\]?[#$] ?$");
}

#[test]
fn debian_lets_in_who_knows_the_password_on_the_console() {
    login_and_power_off("trixie", "root@trixie:~# ?$");
}

/// Two boots of one tree: it is the same machine, in another boot.
fn boots_again(image: &str) {
    let sandbox = Sandbox::new();
    let image = sandbox.install(image, &[image]);
    let seen = [(); 2].map(|()| {
        let mut machine = sandbox.boot(&image).options(&["--network=host"]).up();
        machine.assert_running();
        let ids = (
            machine.output_of(&["cat", "/etc/machine-id"]),
            machine.boot_id(),
        );
        let _ = machine.stop().success();
        assert_eq!(machine.finish(patience(20)), 0, "{}", machine.output());
        sandbox.assert_clean();
        ids
    });
    assert_eq!(seen[0].0, seen[1].0, "machine id");
    assert_ne!(seen[0].1, seen[1].1, "boot id");
}

#[test]
fn nixos_boots_again() {
    boots_again("demo");
}

#[test]
fn debian_boots_again() {
    boots_again("trixie");
}

/// What a reboot from inside must not change.
fn identity(machine: &Machine<'_>) -> [String; 6] {
    let status = machine.status();
    let known = |key: &str| status[key].to_string();
    [
        machine.output_of(&["cat", "/etc/machine-id"]),
        machine.output_of(&["cat", "/proc/1/uid_map"]),
        known("supervisor"),
        known("network"),
        known("interface"),
        known("addresses"),
    ]
}

/// A restart by the machine itself starts the same machine again, without leaving nsrun.
fn reboots_in_place(image: &str, network: &str) {
    let sandbox = Sandbox::new();
    let image = sandbox.install(image, &[image]);
    let mut machine = sandbox.boot(&image).options(&["--network", network]).up();
    let before = (identity(&machine), machine.boot_id());
    // How this ends is no matter: it may be killed with all the rest.
    let _ = machine.exec(&["systemctl", "reboot"]);
    machine.wait_ready_times(2);
    machine.assert_running();
    assert_eq!(identity(&machine), before.0);
    assert_ne!(machine.boot_id(), before.1);
    let _ = machine.exec(&["systemctl", "poweroff"]);
    assert_eq!(machine.finish(patience(60)), 0, "{}", machine.output());
}

#[test]
fn nixos_reboots_in_place() {
    reboots_in_place("demo", "host");
}

#[test]
fn debian_reboots_in_place() {
    reboots_in_place("trixie", "veth");
}

#[test]
fn a_stop_during_a_reboot_ends_it() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("trixie", &["trixie"]);
    let mut machine = sandbox.boot(&image).options(&["--network=host"]).up();
    let _ = machine.exec(&["systemctl", "reboot"]);
    machine.signal(Signal::TERM);
    let _ = machine.finish(patience(60));
}

/// Stops a booted system in one way and tells the exit status.
fn stopped_by(image: &str, how: impl FnOnce(&mut Machine<'_>)) -> i32 {
    let sandbox = Sandbox::new();
    let image = sandbox.install(image, &[image]);
    let mut machine = sandbox
        .boot(&image)
        .options(&["--network=host"])
        .start_on_console();
    machine.wait_ready();
    how(&mut machine);
    machine.finish(patience(60))
}

#[test]
fn the_stop_verb_ends_it_in_good_order() {
    for image in ["demo", "trixie"] {
        let status = stopped_by(image, |machine| {
            let done = machine.stop().success();
            assert!(!done.stdout.contains("killed"), "{done}");
        });
        assert_eq!(status, 0, "{image}");
    }
}

#[test]
fn signals_end_it_in_good_order() {
    for (image, signal) in [("demo", Signal::TERM), ("trixie", Signal::INT)] {
        let status = stopped_by(image, |machine| machine.signal(signal));
        assert_eq!(status, 0, "{image}");
    }
}

#[test]
fn the_escape_keys_kill_it() {
    for image in ["demo", "trixie"] {
        let status = stopped_by(image, |machine| {
            machine.console().send("\u{1d}\u{1d}\u{1d}");
        });
        assert_eq!(status, 137, "{image}");
    }
}

#[test]
fn halt_and_power_off_from_inside_end_it() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("trixie", &["trixie"]);
    for verb in ["halt", "poweroff"] {
        let mut machine = sandbox.boot(&image).options(&["--network=host"]).up();
        let _ = machine.exec(&["systemctl", verb]);
        assert_eq!(machine.finish(patience(60)), 0, "{verb}");
        sandbox.assert_clean();
    }
}

#[test]
fn systems_with_the_hosts_users_run_too() {
    let sandbox = Sandbox::new();
    for image in ["demo", "trixie"] {
        let image = sandbox.install(image, &[image]);
        let options = ["--network=host", "--private-users=no"];
        let mut machine = sandbox.boot(&image).options(&options).up();
        machine.assert_running();
        let map = machine.output_of(&["cat", "/proc/1/uid_map"]);
        let map: Vec<_> = map.split_whitespace().collect();
        assert_eq!(map, ["0", "0", "4294967295"]);
        let _ = machine.stop().success();
        assert_eq!(machine.finish(patience(20)), 0, "{}", machine.output());
    }
}

#[test]
fn a_killed_supervisor_takes_a_system_along_at_any_moment() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("trixie", &["trixie"]);
    let mut rng = nsrun_tests::rng::seeded("killed");
    let soak = std::env::var_os("NSRUN_TEST_SOAK").is_some();
    for _ in 0..if soak { 60 } else { 3 } {
        let mut machine = sandbox.boot(&image).options(&["--network=host"]).start();
        std::thread::sleep(std::time::Duration::from_millis(rng.u64(5..900)));
        machine.signal(Signal::KILL);
        let _ = machine.finish(patience(10));
        let gone = poll(patience(10), || {
            let left = sandbox.left();
            (!left.iter().any(|thing| thing.starts_with("process"))).then_some(())
        });
        assert!(gone.is_some(), "{:?}", sandbox.left());
        drop(machine);
        // What is left is for the next command to find.
        let _ = sandbox.nsrun(&["list"]).success();
    }
    let mut machine = sandbox.boot(&image).options(&["--network=host"]).up();
    machine.assert_running();
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(20)), 0, "{}", machine.output());
}
