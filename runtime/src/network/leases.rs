//! Networks that were not the first choice, remembered so that they are the same on the next start.
//! What is remembered is a wish; what counts is that it is free.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nsrun_netns::{Ipv4Net, Ipv6Net};

/// Longest file that is believed, in bytes.
const LONGEST: usize = 200;

/// The networks of one machine or zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) v4: Option<Ipv4Net>,
    pub(super) v6: Option<Ipv6Net>,
}

/// Where they are remembered: a file for each machine, and for each zone.
#[derive(Clone, Debug)]
pub(super) struct Leases(PathBuf);

impl Leases {
    pub(super) fn new(lib: &Path) -> Self {
        Self(lib.join("networks"))
    }

    /// What was remembered. Nothing, if it cannot be read: the first choice is as good.
    pub(super) fn read(&self, name: &str) -> Wish {
        let text = fs::read(self.0.join(name)).unwrap_or_default();
        match std::str::from_utf8(&text) {
            Ok(text) if text.len() <= LONGEST => parse(text),
            _ => Wish::default(),
        }
    }

    /// Remembers `chosen` if it is not what would be chosen anyway. A failure costs no more than
    /// that a later start has other addresses.
    pub(super) fn keep(&self, name: &str, first: Wish, chosen: Wish) {
        if chosen == self.read(name) || (chosen == first && !self.0.join(name).exists()) {
            return;
        }
        let _ = self.write(name, chosen);
    }

    fn write(&self, name: &str, wish: Wish) -> std::io::Result<()> {
        let lines = [
            wish.v4.map(|net| net.to_string()),
            wish.v6.map(|net| net.to_string()),
        ];
        let text: String = lines
            .into_iter()
            .flatten()
            .map(|line| line + "\n")
            .collect();
        match fs::create_dir_all(&self.0) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        let new = self.0.join(format!(".{name}.new"));
        fs::write(&new, text)?;
        fs::rename(new, self.0.join(name))
    }
}

fn parse(text: &str) -> Wish {
    let private = |net: &Ipv4Net| net.trunc() == *net && net.network().is_private();
    let local = |net: &Ipv6Net| net.trunc() == *net && net.network().is_unique_local();
    Wish {
        v4: text
            .lines()
            .find_map(|line| line.parse().ok())
            .filter(private),
        v6: text
            .lines()
            .find_map(|line| line.parse().ok())
            .filter(local),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_the_first_choice_is_written() {
        let root = tempfile::tempdir().unwrap();
        let leases = Leases::new(root.path());
        let first = parse("192.168.0.0/28\nfd00::/64\n");
        let other = parse("192.168.0.16/28\nfd00::/64\n");
        leases.keep("web", first, first);
        assert!(!root.path().join("networks").exists());
        leases.keep("web", first, other);
        assert_eq!(leases.read("web"), other);
        leases.keep("web", first, first);
        assert_eq!(leases.read("web"), first);
        assert_eq!(leases.read("db"), Wish::default());
    }

    #[test]
    fn what_is_no_private_network_is_not_believed() {
        for text in [
            "",
            "8.8.8.0/28\n2001:db8::/64\n",
            "192.168.0.1/28\n",
            "x\n\0",
        ] {
            assert_eq!(parse(text), Wish::default(), "{text:?}");
        }
    }
}
