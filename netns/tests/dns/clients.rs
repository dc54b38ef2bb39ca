//! Real clients: BIND's `dig` and the C library.

use std::io::Write;
use std::process::{Command, Output};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nsrun_netns::dns::ADDRESS;

use crate::server::Server;
use crate::world::{WEB, World};

const LOCAL: &str = "127.0.0.53:53";

fn world() -> World {
    let world = World::new(&[LOCAL]);
    Server::start(&world.host, LOCAL, "192.0.2.1");
    world
}

fn text(output: Output) -> String {
    let problem = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{output:?} {problem}");
    String::from_utf8(output.stdout).unwrap()
}

fn dig(world: &World, arguments: &str) -> String {
    let server = format!("@{ADDRESS}");
    let mut dig = Command::new("dig");
    dig.arg(server).args(arguments.split(' '));
    text(world.inside.with(|| dig.output()).unwrap())
}

#[test]
fn dig_is_content() {
    let world = world();
    for way in ["+notcp", "+tcp", "+noedns", "+dnssec", "+bufsize=512"] {
        let short = |question: &str| dig(&world, &format!("+short {way} {question}"));
        assert_eq!(short("example.org A"), "192.0.2.1\n", "{way}");
        assert_eq!(short("web.nsrun A"), "192.168.7.18\n", "{way}");
        assert_eq!(short("web AAAA"), "fd12::2\n", "{way}");
        assert_eq!(short("-x 192.168.7.17"), "host.nsrun.\n", "{way}");
        let whole = dig(&world, &format!("{way} other.nsrun A"));
        assert!(whole.contains("status: NXDOMAIN"), "{whole}");
        for complaint in ["WARNING", "warning", "malformed", "extra bytes", "Got bad"] {
            assert!(!whole.contains(complaint), "{whole}");
        }
    }
    // It asks again over TCP by itself.
    let large = dig(&world, "+short large.example TXT");
    assert_eq!(large.lines().count(), 8, "{large}");
}

/// `getent` inside, with a resolv.conf that names the forwarder alone.
fn getent(world: &World, arguments: &[&str]) -> Output {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "nameserver {ADDRESS}").unwrap();
    let bind = |source: Option<&std::path::Path>, target: &str, flags: MsFlags| {
        mount(source, target, None::<&str>, flags, None::<&str>).unwrap();
    };
    world
        .inside
        .with(|| {
            unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_FS).unwrap();
            bind(None, "/", MsFlags::MS_REC | MsFlags::MS_PRIVATE);
            bind(Some(file.path()), "/etc/resolv.conf", MsFlags::MS_BIND);
            let mut getent = Command::new("getent");
            getent.args(["--service=dns"]).args(arguments).output()
        })
        .unwrap()
}

#[test]
fn the_c_library_finds_names_of_both_families_and_back() {
    let world = world();
    // Without one it does not ask for those of IPv6.
    world.inside.add_address("fd12::9");
    let words = |arguments: &[&str]| {
        let found = text(getent(&world, arguments));
        let words = found.split_whitespace().map(str::to_owned);
        words.collect::<Vec<_>>()
    };
    assert_eq!(words(&["ahostsv4", "web"])[0], WEB[0]);
    assert_eq!(words(&["ahostsv6", "web.nsrun"])[0], WEB[1]);
    assert_eq!(words(&["ahostsv4", "example.org"])[0], "192.0.2.1");
    assert_eq!(words(&["hosts", "192.168.7.18"])[1], "web.nsrun");
    let unknown = getent(&world, &["hosts", "other.nsrun"]);
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
}
