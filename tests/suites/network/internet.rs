//! An internet that is a namespace of the test's own.

use nsrun_tests::done::{Running, run};
use nsrun_tests::nsrun::plain;
use nsrun_tests::{Done, Must, patience, wait_until};

use super::inside::host;

/// A namespace with the addresses 203.0.113.1 and 2001:db8:f::1, to which the host has a link and its
/// default routes.
pub(super) struct Internet(Running);

impl Internet {
    pub(super) fn new() -> Self {
        let mut command = plain("/usr/bin/unshare");
        command.args(["--net", "sleep", "600"]);
        let process = Running::start(command);
        let pid = process.pid().as_raw_nonzero();
        let own = std::fs::read_link("/proc/thread-self/ns/net").must("read the namespace");
        let theirs = format!("/proc/{pid}/ns/net");
        wait_until(patience(20), "the namespace is there", || {
            let other = std::fs::read_link(&theirs).ok()?;
            (other != own).then_some(())
        });
        host(&format!(
            "link add wan type veth peer name eth0 netns {pid}"
        ));
        host("address add 203.0.113.2/24 dev wan");
        host("address add 2001:db8:f::2/64 dev wan nodad");
        host("link set wan up");
        let internet = Self(process);
        internet
            .run("ip address add 203.0.113.1/24 dev eth0")
            .success();
        internet
            .run("ip address add 2001:db8:f::1/64 dev eth0 nodad")
            .success();
        internet.run("ip link set lo up").success();
        internet.run("ip link set eth0 up").success();
        host("route add default via 203.0.113.1");
        host("-6 route add default via 2001:db8:f::1");
        internet
    }

    fn run(&self, words: &str) -> Done {
        let mut command = plain("/usr/bin/nsenter");
        command.arg(format!(
            "--net=/proc/{}/ns/net",
            self.0.pid().as_raw_nonzero()
        ));
        command.args(words.split(' '));
        run(command, patience(20))
    }

    /// What a client there reads from a port.
    pub(super) fn reads(&self, address: &str, port: u16) -> Done {
        let mut command = plain("/usr/bin/nsenter");
        command.arg(format!(
            "--net=/proc/{}/ns/net",
            self.0.pid().as_raw_nonzero()
        ));
        command.args(["/usr/bin/python3", "-c", READ, address, &port.to_string()]);
        run(command, patience(20))
    }

    pub(super) fn end(mut self) {
        host("link del wan");
        self.0.signal(rustix::process::Signal::KILL);
        let _ = self.0.finish(patience(20));
    }
}

/// Prints what comes from an address and port.
pub(super) const READ: &str = "import socket,sys\ns=socket.create_connection((sys.argv[1],int(sys.argv[2])),3)\nprint(s.recv(9).decode())";
