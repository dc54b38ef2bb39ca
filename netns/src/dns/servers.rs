//! The servers that are asked.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::net::if_::if_nametoindex;
use resolv_conf::{Config, ScopedIp};

use super::PORT;

/// As many as the C library asks, resolv.conf(5).
const SERVERS: usize = 3;

/// What is read of the file; what is behind is not looked at.
const FILE: u64 = 64 * 1024;

/// Where the servers come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Servers {
    /// These.
    Fixed(Vec<SocketAddr>),
    /// Those that a file in the form of resolv.conf(5) names at the time of the question,
    /// or the one on this host if it names none, as the C library has it.
    File(PathBuf),
}

/// The current list. The file is read for each question: the C library looks at it as
/// often, and it is right whatever happened to the file, to links on the way to it, and
/// to directories, without an inotify instance, of which a user has 128.
#[derive(Debug)]
pub(super) struct List {
    servers: Servers,
    /// Text and what was read out of it.
    read: RefCell<(Vec<u8>, Rc<[SocketAddr]>)>,
    /// The last to have answered.
    good: Cell<Option<SocketAddr>>,
}

impl List {
    pub(super) fn new(servers: Servers) -> Self {
        let fixed = match &servers {
            Servers::Fixed(fixed) => fixed.as_slice().into(),
            Servers::File(_) => parse(&[]).into(),
        };
        Self {
            servers,
            read: RefCell::new((Vec::new(), fixed)),
            good: Cell::new(None),
        }
    }

    /// In the order in which to ask them: from the one that answered last on.
    pub(super) fn in_order(&self) -> Vec<SocketAddr> {
        let mut servers = self.current().to_vec();
        let good = self.good.get();
        let first = servers.iter().position(|server| Some(*server) == good);
        servers.rotate_left(first.unwrap_or(0));
        servers
    }

    pub(super) fn has_answered(&self, server: SocketAddr) {
        self.good.set(Some(server));
    }

    fn current(&self) -> Rc<[SocketAddr]> {
        let mut read = self.read.borrow_mut();
        if let Servers::File(path) = &self.servers {
            // A file that is gone, or about to be replaced, names none.
            let text = read_start(path).unwrap_or_default();
            if text != read.0 {
                let servers = parse(&text).into();
                *read = (text, servers);
            }
        }
        Rc::clone(&read.1)
    }
}

fn read_start(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(FILE).read_to_end(&mut text)?;
    Ok(text)
}

fn parse(text: &[u8]) -> Vec<SocketAddr> {
    let (config, _) = Config::parse_with_errors(text);
    let mut servers: Vec<_> = config.nameservers.iter().filter_map(address).collect();
    servers.truncate(SERVERS);
    if servers.is_empty() {
        servers.push((Ipv4Addr::LOCALHOST, PORT).into());
    }
    servers
}

/// `None` if the address is one on a link that is not there.
fn address(server: &ScopedIp) -> Option<SocketAddr> {
    match server {
        ScopedIp::V4(address) => Some((*address, PORT).into()),
        ScopedIp::V6(address, None) => Some((*address, PORT).into()),
        ScopedIp::V6(address, Some(link)) => {
            let index = link.parse().ok();
            let index = index.or_else(|| if_nametoindex(link.as_str()).ok())?;
            Some(SocketAddrV6::new(*address, PORT, 0, index).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let servers = parse(text.as_bytes());
        servers.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn three_servers_are_read_and_unknown_lines_passed_over() {
        let text = "# by hand\nsearch lan\nnameserver 10.0.0.1\nfuture thing\n\
                    nameserver fd00::1\nnameserver nonsense\nnameserver fe80::1%lo\n\
                    nameserver 10.0.0.4\noptions edns0 trust-ad\n";
        assert_eq!(
            texts(text),
            ["10.0.0.1:53", "[fd00::1]:53", "[fe80::1%1]:53"]
        );
        assert_eq!(texts("nameserver fe80::1%7\n"), ["[fe80::1%7]:53"]);
    }

    #[test]
    fn without_a_server_it_is_this_host() {
        for text in [
            "",
            "search lan\n",
            "nameserver fe80::1%nosuchlink0\n",
            "\0\u{1}",
        ] {
            assert_eq!(texts(text), ["127.0.0.1:53"], "{text:?}");
        }
    }

    #[test]
    fn the_file_is_followed_whatever_happens_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("link");
        let list = List::new(Servers::File(path.clone()));
        let first = || list.in_order()[0].ip().to_string();
        let write = |name: &str, server: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, format!("nameserver {server}\n")).unwrap();
            path
        };
        assert_eq!(first(), "127.0.0.1");
        let one = write("one", "10.0.0.1");
        std::os::unix::fs::symlink(&one, &path).unwrap();
        assert_eq!(first(), "10.0.0.1");
        write("one", "10.0.0.2");
        assert_eq!(first(), "10.0.0.2", "changed in place");
        std::fs::rename(write("two", "10.0.0.3"), &one).unwrap();
        assert_eq!(first(), "10.0.0.3", "replaced behind the link");
        std::fs::rename(write("three", "10.0.0.4"), &path).unwrap();
        assert_eq!(first(), "10.0.0.4", "the link replaced");
        drop(directory);
        assert_eq!(first(), "127.0.0.1", "the directory is gone");
    }

    #[test]
    fn the_one_that_answered_last_is_asked_first() {
        let servers: Vec<SocketAddr> = ["10.0.0.1:53", "10.0.0.2:53", "10.0.0.3:53"]
            .map(|server| server.parse().unwrap())
            .into();
        let list = List::new(Servers::Fixed(servers.clone()));
        assert_eq!(list.in_order(), servers);
        list.has_answered(servers[1]);
        assert_eq!(list.in_order(), [servers[1], servers[2], servers[0]]);
        list.has_answered("10.0.0.9:53".parse().unwrap());
        assert_eq!(list.in_order(), servers);
    }

    proptest! {
        #[test]
        fn any_file_is_read_without_a_panic(text in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!((1..=SERVERS).contains(&parse(&text).len()));
        }

        #[test]
        fn lines_of_words_are_read_without_a_panic(text in "((nameserver|options|sortlist|search|domain|lookup)[ \t]?[a-z0-9:./%-]{0,12}\n?){0,6}") {
            parse(text.as_bytes());
        }
    }
}
