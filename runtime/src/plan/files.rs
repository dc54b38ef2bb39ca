//! Files of the image that are made to fit the host: `resolv.conf` and `localtime`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::Network;
use super::mounts::Mount;
use super::request::Request;
use crate::error::{Error, Kind};
use crate::facts::{HostFacts, ImageFacts};

/// What is done about a file before the payload starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// This is written to it, if it is a regular file or missing.
    Fill(Vec<u8>),
    /// A new file with this content takes its place, whatever it is.
    Replace(Vec<u8>),
    /// A link takes its place.
    Link(String),
    /// It is removed.
    Delete,
}

/// How a file of the host comes into the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As content of a regular file.
    Copy,
    /// As a new file.
    Replace,
    /// As a read-only mount.
    Bind,
}

/// Which of the host's resolver configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The one that the host's programs use.
    Host,
    /// systemd's, which never changes.
    Static,
    /// The servers that systemd-resolved asks.
    Uplink,
    /// systemd-resolved itself.
    Stub,
}

impl Origin {
    /// Where it is.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Host => "/etc/resolv.conf",
            Self::Static => "/usr/lib/systemd/resolv.conf",
            Self::Uplink => "/run/systemd/resolve/resolv.conf",
            Self::Stub => "/run/systemd/resolve/stub-resolv.conf",
        }
    }
}

/// How the payload's `/etc/resolv.conf` is treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResolvConf {
    /// The host's content, if the network is the host's, or the name servers of a network of its
    /// own that were asked for.
    #[default]
    Auto,
    /// Left alone.
    Off,
    /// Removed.
    Delete,
    /// The host's.
    From(Way, Origin),
}

const WAYS: [(&str, Way); 3] = [
    ("copy", Way::Copy),
    ("replace", Way::Replace),
    ("bind", Way::Bind),
];

const ORIGINS: [(&str, Origin); 4] = [
    ("host", Origin::Host),
    ("static", Origin::Static),
    ("uplink", Origin::Uplink),
    ("stub", Origin::Stub),
];

impl FromStr for ResolvConf {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "auto" => return Ok(Self::Auto),
            "off" => return Ok(Self::Off),
            "delete" => return Ok(Self::Delete),
            _ => {}
        }
        let pair = text.split_once('-').and_then(|(way, origin)| {
            let way = WAYS.iter().find(|(word, _)| *word == way)?.1;
            let origin = ORIGINS.iter().find(|(word, _)| *word == origin)?.1;
            Some(Self::From(way, origin))
        });
        let hint = "auto, off, delete, or {copy,replace,bind}-{host,static,uplink,stub}";
        pair.ok_or_else(|| bad("resolv.conf", text, hint))
    }
}

impl ResolvConf {
    /// The host's file that it is about.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::From(_, origin) => origin.path(),
            _ => Origin::Host.path(),
        }
    }
}

/// How the payload's `/etc/localtime` is treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timezone {
    /// A link to the host's zone, if the image has it.
    #[default]
    Auto,
    /// Left alone.
    Off,
    /// A link to the host's zone, or a warning.
    Symlink,
    /// Removed: the time zone is UTC then.
    Delete,
    /// The host's.
    From(Way),
}

impl FromStr for Timezone {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(match text {
            "auto" => Self::Auto,
            "off" => Self::Off,
            "symlink" => Self::Symlink,
            "delete" => Self::Delete,
            "copy" => Self::From(Way::Replace),
            "bind" => Self::From(Way::Bind),
            _ => {
                return Err(bad(
                    "timezone",
                    text,
                    "auto, off, copy, bind, symlink, delete",
                ));
            }
        })
    }
}

fn bad(what: &str, text: &str, hint: &str) -> Error {
    let text = text.escape_debug();
    Error::new(Kind::Usage, format!("invalid mode for {what}: '{text}'")).hint(hint)
}

impl fmt::Display for FileChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fill(content) => write!(f, "written, {} bytes", content.len()),
            Self::Replace(content) => write!(f, "a new one, {} bytes", content.len()),
            Self::Link(target) => f.write_str(target),
            Self::Delete => f.write_str("removed"),
        }
    }
}

/// Mounts that take the place of the files.
pub(super) fn mounts(request: &Request) -> Vec<Mount> {
    let resolv_conf = match request.resolv_conf {
        ResolvConf::From(Way::Bind, origin) => Some(Mount::host_file(
            origin.path(),
            "/etc/resolv.conf",
            "--resolv-conf",
        )),
        _ => None,
    };
    let localtime = (request.timezone == Timezone::From(Way::Bind))
        .then(|| Mount::host_file("/etc/localtime", "/etc/localtime", "--timezone"));
    resolv_conf.into_iter().chain(localtime).collect()
}

/// What is done about `/etc/resolv.conf`.
pub(super) fn resolv_conf(
    request: &Request,
    host: &HostFacts,
    (network, servers): (Network, &[IpAddr]),
    warnings: &mut Vec<String>,
) -> Option<FileChange> {
    let content = || host.resolv_conf.clone();
    let named = (!servers.is_empty()).then(|| {
        let lines = servers
            .iter()
            .map(|server| format!("nameserver {server}\n"));
        lines.collect::<String>().into_bytes()
    });
    match request.resolv_conf {
        ResolvConf::Off | ResolvConf::From(Way::Bind, _) => None,
        ResolvConf::Auto if network.is_private() => named.map(FileChange::Fill),
        ResolvConf::Auto => content().map(FileChange::Fill),
        ResolvConf::Delete => Some(FileChange::Delete),
        ResolvConf::From(way, origin) => {
            let content = content();
            if content.is_none() {
                let path = origin.path();
                warnings.push(format!("there is no {path} on the host to be copied"));
            }
            content.map(|content| written(way, content))
        }
    }
}

/// What is done about `/etc/localtime`.
pub(super) fn localtime(
    request: &Request,
    host: &HostFacts,
    image: &ImageFacts,
    warnings: &mut Vec<String>,
) -> Option<FileChange> {
    let link = || host.timezone.clone().filter(|_| image.zone_file);
    match request.timezone {
        Timezone::Off | Timezone::From(Way::Bind) => None,
        Timezone::Auto => link().map(FileChange::Link),
        Timezone::Delete => Some(FileChange::Delete),
        Timezone::Symlink => {
            if link().is_none() {
                warnings
                    .push("the image has no file for the host's time zone to link to".to_owned());
            }
            link().map(FileChange::Link)
        }
        Timezone::From(way) => {
            if host.localtime.is_none() {
                warnings.push("there is no /etc/localtime on the host to be copied".to_owned());
            }
            host.localtime.clone().map(|content| written(way, content))
        }
    }
}

fn written(way: Way, content: Vec<u8>) -> FileChange {
    match way {
        Way::Copy => FileChange::Fill(content),
        Way::Replace | Way::Bind => FileChange::Replace(content),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_nspawn() {
        for (way, _) in WAYS {
            for (origin, _) in ORIGINS {
                let mode: ResolvConf = format!("{way}-{origin}").parse().unwrap();
                assert!(matches!(mode, ResolvConf::From(..)));
            }
        }
        assert_eq!("delete".parse::<ResolvConf>().unwrap(), ResolvConf::Delete);
        for text in [
            "",
            "copy",
            "copy-",
            "-host",
            "move-host",
            "copy-other",
            "copy-host-x",
        ] {
            assert!(text.parse::<ResolvConf>().is_err(), "{text}");
        }
        for text in ["auto", "off", "copy", "bind", "symlink", "delete"] {
            assert!(text.parse::<Timezone>().is_ok(), "{text}");
        }
        assert!("replace".parse::<Timezone>().is_err());
    }
}
