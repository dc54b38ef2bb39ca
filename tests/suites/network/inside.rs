//! Looking at networks from the host.

use nsrun_tests::done::run;
use nsrun_tests::nsrun::plain;
use nsrun_tests::sandbox::ip;
use nsrun_tests::{Done, Machine, patience};

/// `ip` with these words on the host, which must succeed.
#[track_caller]
pub(super) fn host(words: &str) -> String {
    let words: Vec<&str> = words.split(' ').collect();
    run(ip(&words), patience(20)).success().stdout
}

/// A program in the network of a machine, but with the host's files.
#[track_caller]
pub(super) fn inside(machine: &Machine<'_>, words: &str) -> Done {
    let leader = machine.status()["leader"]["pid"].to_string();
    let mut command = plain("/usr/bin/nsenter");
    command.arg(format!("--net=/proc/{leader}/ns/net"));
    command.args(words.split(' '));
    run(command, patience(20))
}

/// The addresses of a link in a machine, but those that the kernel makes.
#[track_caller]
pub(super) fn addresses(machine: &Machine<'_>, link: &str) -> Vec<String> {
    let words = format!("ip -o address show dev {link} scope global");
    let lines = inside(machine, &words).success().stdout;
    let address = |line: &str| line.split_ascii_whitespace().nth(3).map(str::to_owned);
    lines.lines().filter_map(address).collect()
}

/// Whether a packet comes back from there.
pub(super) fn reaches(machine: &Machine<'_>, address: &str) -> bool {
    let words = format!("/usr/bin/python3 -c {}", PROBE.replace(' ', "\u{1}"));
    let words: Vec<String> = words
        .split(' ')
        .map(|word| word.replace('\u{1}', " "))
        .collect();
    let leader = machine.status()["leader"]["pid"].to_string();
    let mut command = plain("/usr/bin/nsenter");
    command.arg(format!("--net=/proc/{leader}/ns/net"));
    command.args(&words).arg(address);
    run(command, patience(20)).status == 0
}

/// A port that nobody listens on is refused by whoever has the address, and by nobody else.
const PROBE: &str = "import socket,sys\ns=socket.socket(socket.getaddrinfo(sys.argv[1],9)[0][0])\ns.settimeout(3)\ntry: s.connect((sys.argv[1],9))\nexcept ConnectionRefusedError: sys.exit(0)\nexcept OSError: pass\nsys.exit(1)";
