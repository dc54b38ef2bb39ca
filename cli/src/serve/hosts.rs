//! Names of other machines, in a machine's hosts(5).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::process::Stdio;

use nsrun_runtime::Context;

use super::execute;
use super::machine::{Life, Machine};
use super::protocol::Failure;

/// A file that an image may have in a store that nobody writes to: a copy with more lines covers it.
const SETTLE: &str = "\
PATH=/run/current-system/sw/bin:$PATH
file=$(readlink -f /etc/hosts) && touch /run/nsrun-hosts || exit
if [ -e \"$file\" ]; then cat \"$file\" >/run/nsrun-hosts; else : >\"$file\"; fi
printf %s \"$1\" >>/run/nsrun-hosts && mount --bind /run/nsrun-hosts \"$file\"";

/// Lines of hosts(5), and which boot has got them.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    lines: String,
    settled: (u32, u32),
}

impl Hosts {
    pub(super) fn new(hosts: &BTreeMap<String, Vec<IpAddr>>) -> Self {
        let mut lines = String::new();
        for (name, addresses) in hosts {
            for address in addresses {
                // Writing to a string cannot fail.
                let _ = writeln!(lines, "{address} {name}");
            }
        }
        Self {
            lines,
            settled: (0, 0),
        }
    }
}

/// Has the machine know the others, once in each of its boots.
pub(super) async fn settle(machine: &Machine, life: &Life) -> Result<(), Failure> {
    let mut hosts = machine.hosts.lock().await;
    let boot = (life.starts, life.boots);
    if hosts.lines.is_empty() || hosts.settled == boot {
        return Ok(());
    }
    let what = || format!("tell machine {} of the others", machine.name);
    let mut command = execute::command(machine, &["sh", "-c", SETTLE, "nsrun", &hosts.lines]);
    let done = command.stdin(Stdio::null()).output().await.cannot(what)?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        let said = format!("cannot {}: {}", what(), said.trim());
        return Err(Failure::new("failed", said));
    }
    hosts.settled = boot;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_a_line() {
        let addresses = ["192.168.1.2", "2001:db8:1::2"].map(|text| text.parse().unwrap());
        let hosts = BTreeMap::from([("web".to_owned(), addresses.to_vec())]);
        let lines = Hosts::new(&hosts).lines;
        assert_eq!(lines, "192.168.1.2 web\n2001:db8:1::2 web\n");
    }
}
