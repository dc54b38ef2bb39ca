//! Values of keys about networks and modes of integration.

use super::field::{Form, Item};
use super::values::{invalid, truth};
use crate::error::Result;
use crate::plan::bound::{BoundUsers, Shell};
use crate::plan::network::{Bridged, LinkPair, Publish, Zone};
use crate::plan::{LinkJournal, ResolvConf, Timezone, Volatile};

/// `BindUser=`: a user of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BindUser(pub(super) String);

impl Item for BindUser {
    const WHAT: &'static str = "users of the host";

    fn parse_line(text: &str) -> Result<Vec<Self>> {
        let words = text.split_ascii_whitespace();
        words.map(|word| BoundUsers::name(word).map(Self)).collect()
    }
}

impl Form for Shell {
    const WHAT: &'static str = "yes, no or a path";

    fn parse(text: &str) -> Result<Self> {
        text.parse()
    }
}

impl Form for Bridged {
    const WHAT: &'static str = "interface";

    fn parse(text: &str) -> Result<Self> {
        text.parse()
    }
}

impl Item for LinkPair {
    const WHAT: &'static str = "HOST[:MACHINE] words";

    fn parse_line(text: &str) -> Result<Vec<Self>> {
        text.split_ascii_whitespace().map(str::parse).collect()
    }
}

impl Form for Zone {
    const WHAT: &'static str = "name";

    fn parse(text: &str) -> Result<Self> {
        text.parse()
    }
}

impl Item for Publish {
    const WHAT: &'static str = "[ADDRESS:][tcp:|udp:]PORT[-LAST][:MACHINE]";

    fn parse_line(text: &str) -> Result<Vec<Self>> {
        Ok(vec![text.parse()?])
    }
}

impl Form for ResolvConf {
    const WHAT: &'static str =
        "auto, off, delete, or {copy,replace,bind}-{host,static,uplink,stub}";

    fn parse(text: &str) -> Result<Self> {
        text.parse()
    }
}

impl Form for Timezone {
    const WHAT: &'static str = "auto, off, copy, bind, symlink or delete";

    fn parse(text: &str) -> Result<Self> {
        text.parse()
    }
}

impl Form for LinkJournal {
    const WHAT: &'static str = "no, auto, host, try-host, guest or try-guest";

    fn parse(text: &str) -> Result<Self> {
        match truth(text) {
            Some(true) => Ok(Self::Auto),
            Some(false) => Ok(Self::No),
            None => text.parse(),
        }
    }
}

impl Form for Volatile {
    const WHAT: &'static str = "no, yes, state or overlay";

    fn parse(text: &str) -> Result<Self> {
        match (text, truth(text)) {
            (_, Some(true)) => Ok(Self::Yes),
            (_, Some(false)) => Ok(Self::No),
            ("state", _) => Ok(Self::State),
            ("overlay", _) => Ok(Self::Overlay),
            _ => Err(invalid("mode", text, "expected no, yes, state or overlay")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn interfaces_and_zones_fit_the_kernel() {
        assert_eq!(LinkPair::parse_line("eth0 eth1:host1").unwrap().len(), 2);
        assert!(LinkPair::parse_line("a/b").is_err());
        assert!(Zone::parse("twelve-bytes").is_ok());
        assert!(Zone::parse("thirteen-byte").is_err());
    }

    #[test]
    fn modes_that_are_booleans_too_take_their_words() {
        assert_eq!(LinkJournal::parse("on").unwrap(), LinkJournal::Auto);
        assert_eq!(Volatile::parse("YES").unwrap(), Volatile::Yes);
        assert!(Volatile::parse("perhaps").is_err());
        assert!(ResolvConf::parse("copy").is_err());
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "\\PC{0,40}|[:/+,a-z\\\\]{0,30}") {
            let _ = LinkPair::parse_line(&text);
            let _ = <Zone as Form>::parse(&text);
            let _ = Publish::parse_line(&text);
            let _ = Shell::parse(&text);
            let _ = BindUser::parse_line(&text);
        }
    }
}
