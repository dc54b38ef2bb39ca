//! Which names are known here, and which are none of our business.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::query::{Query, class, kind};

/// The names of one network. They are asked anew for each question.
pub trait Names {
    /// The addresses behind a name of one label in lower case; `None` if nobody has it.
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>>;

    /// The name of one label that an address has.
    fn name(&self, address: IpAddr) -> Option<String>;

    /// Whether an address is one of this network: if it has no name, nobody else is asked.
    fn covers(&self, address: IpAddr) -> bool;
}

/// Names below a domain, which has no other server, and the same names without it.
pub struct Zone {
    /// The domain in lower case, such as `lan`.
    pub domain: String,
    /// What is in it.
    pub names: Box<dyn Names>,
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zone")
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

/// What is to be done about a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Servers are to be asked.
    Forward,
    /// The name is known; of what was asked there may be nothing.
    Records(Vec<Record>),
    /// There is no such name.
    NoSuchName,
    /// Nothing that a forwarder can do.
    NotImplemented,
    /// Nothing that is told.
    Refused,
}

/// A record of the name that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Address(IpAddr),
    Pointer(String),
}

impl Zone {
    pub(super) fn judge(&self, query: &Query<'_>) -> Verdict {
        if matches!(query.kind, kind::AXFR | kind::IXFR) {
            return Verdict::NotImplemented;
        }
        let Some(name) = query.name.as_deref() else {
            return Verdict::Forward;
        };
        let verdict = self.look_up(name);
        match verdict {
            Verdict::Forward => Verdict::Forward,
            _ if !matches!(query.class, class::IN | class::ANY) => Verdict::Refused,
            Verdict::Records(mut all) => {
                all.retain(|record| query.kind == kind::ANY || query.kind == record.kind());
                Verdict::Records(all)
            }
            other => other,
        }
    }

    fn look_up(&self, name: &str) -> Verdict {
        if let Some(address) = reverse(name) {
            return self.pointer(address);
        }
        if name == "localhost" || name.ends_with(".localhost") {
            // RFC 6761: never asked of servers.
            return addresses(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        if name == self.domain {
            return Verdict::Records(Vec::new());
        }
        let (label, unknown) = match self.below(name) {
            Some(label) => (label, Verdict::NoSuchName),
            // A printer's name, or a typing error: the host's servers know.
            None => (name, Verdict::Forward),
        };
        if label.is_empty() || label.contains('.') {
            return unknown;
        }
        self.names.addresses(label).map_or(unknown, addresses)
    }

    /// Whether the domain has such names, so that it can tell for how long they are unknown.
    pub(super) fn has(&self, query: &Query<'_>) -> bool {
        let name = query.name.as_deref().unwrap_or_default();
        name == self.domain || self.below(name).is_some()
    }

    fn below<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_suffix(&self.domain)?.strip_suffix('.')
    }

    fn pointer(&self, address: IpAddr) -> Verdict {
        if let Some(name) = self.names.name(address) {
            return Verdict::Records(vec![Record::Pointer(format!("{name}.{}", self.domain))]);
        }
        if address.is_loopback() {
            Verdict::Records(vec![Record::Pointer("localhost".to_owned())])
        } else if self.names.covers(address) {
            Verdict::NoSuchName
        } else {
            Verdict::Forward
        }
    }
}

impl Record {
    fn kind(&self) -> u16 {
        match self {
            Self::Address(IpAddr::V4(_)) => kind::A,
            Self::Address(IpAddr::V6(_)) => kind::AAAA,
            Self::Pointer(_) => kind::PTR,
        }
    }
}

fn addresses(known: Vec<IpAddr>) -> Verdict {
    Verdict::Records(known.into_iter().map(Record::Address).collect())
}

/// The address whose name is asked for below `in-addr.arpa` and `ip6.arpa`.
fn reverse(name: &str) -> Option<IpAddr> {
    if let Some(four) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0; 4];
        let mut labels = four.rsplit('.');
        for octet in &mut octets {
            *octet = labels.next()?.parse().ok()?;
        }
        return labels.next().is_none().then(|| octets.into());
    }
    let mut octets = [0; 16];
    let mut labels = name.strip_suffix(".ip6.arpa")?.rsplit('.');
    let mut nibble = || match labels.next()?.as_bytes() {
        [digit] => u8::try_from(char::from(*digit).to_digit(16)?).ok(),
        _ => None,
    };
    for octet in &mut octets {
        *octet = nibble()? << 4 | nibble()?;
    }
    labels.next().is_none().then(|| octets.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Two;

    impl Names for Two {
        fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
            match name {
                "web" => Some(vec![
                    "10.0.0.2".parse().unwrap(),
                    "fd00::2".parse().unwrap(),
                ]),
                "old" => Some(vec!["10.0.0.3".parse().unwrap()]),
                _ => None,
            }
        }

        fn name(&self, address: IpAddr) -> Option<String> {
            let web = self.addresses("web").unwrap();
            web.contains(&address).then(|| "web".to_owned())
        }

        fn covers(&self, address: IpAddr) -> bool {
            address.to_string().starts_with("10.0.0.")
        }
    }

    fn judge(name: &str, kind: u16) -> Verdict {
        judge_class(name, kind, class::IN)
    }

    fn judge_class(name: &str, kind: u16, class: u16) -> Verdict {
        let zone = Zone {
            domain: "lan".to_owned(),
            names: Box::new(Two),
        };
        zone.judge(&Query {
            head: &[],
            name: Some(name.to_owned()),
            kind,
            class,
            edns: None,
        })
    }

    fn known(addresses: &[&str]) -> Verdict {
        let records = addresses
            .iter()
            .map(|a| Record::Address(a.parse().unwrap()));
        Verdict::Records(records.collect())
    }

    #[test]
    fn known_names_have_the_records_that_are_asked_for() {
        for name in ["web", "web.lan"] {
            assert_eq!(judge(name, kind::A), known(&["10.0.0.2"]));
            assert_eq!(judge(name, kind::AAAA), known(&["fd00::2"]));
            assert_eq!(judge(name, kind::ANY), known(&["10.0.0.2", "fd00::2"]));
            assert_eq!(judge(name, kind::SOA), known(&[]));
        }
        assert_eq!(judge("old.lan", kind::AAAA), known(&[]));
    }

    #[test]
    fn the_domain_is_nobody_elses() {
        assert_eq!(judge("lan", kind::A), known(&[]));
        for name in ["nobody.lan", "www.web.lan", ".lan", "web.lan.lan"] {
            assert_eq!(judge(name, kind::A), Verdict::NoSuchName, "{name}");
        }
        assert_eq!(judge_class("web.lan", kind::A, 3), Verdict::Refused);
        assert_eq!(judge_class("nobody.lan", kind::A, 3), Verdict::Refused);
    }

    #[test]
    fn other_names_are_forwarded() {
        for name in [
            "",
            "printer",
            "example.org",
            "web.example",
            "weblan",
            "lan.org",
        ] {
            assert_eq!(judge(name, kind::A), Verdict::Forward, "{name}");
        }
        assert_eq!(judge_class("version.bind", 16, 3), Verdict::Forward);
        assert_eq!(judge("example.org", kind::AXFR), Verdict::NotImplemented);
    }

    #[test]
    fn localhost_is_known_everywhere() {
        for name in ["localhost", "a.localhost"] {
            assert_eq!(judge(name, kind::A), known(&["127.0.0.1"]));
            assert_eq!(judge(name, kind::AAAA), known(&["::1"]));
        }
    }

    #[test]
    fn addresses_of_the_network_have_their_names() {
        let pointer = |name: &str| Verdict::Records(vec![Record::Pointer(name.to_owned())]);
        let six = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";
        let one = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa";
        for (name, verdict) in [
            ("2.0.0.10.in-addr.arpa", pointer("web.lan")),
            (six, pointer("web.lan")),
            ("1.0.0.127.in-addr.arpa", pointer("localhost")),
            (one, pointer("localhost")),
            ("9.0.0.10.in-addr.arpa", Verdict::NoSuchName),
            ("9.9.9.9.in-addr.arpa", Verdict::Forward),
            ("0.0.10.in-addr.arpa", Verdict::Forward),
            ("1.2.0.0.10.in-addr.arpa", Verdict::Forward),
            ("256.0.0.10.in-addr.arpa", Verdict::Forward),
            (&six[2..], Verdict::Forward),
        ] {
            assert_eq!(judge(name, kind::PTR), verdict, "{name}");
        }
        assert_eq!(judge("2.0.0.10.in-addr.arpa", kind::A), known(&[]));
    }
}
