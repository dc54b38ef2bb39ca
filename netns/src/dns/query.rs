//! What clients ask, RFC 1035. Of a message only header and question are read, and whether
//! it has the record of the extensions (RFC 6891): the rest is the server's.

/// Header of every message.
pub(super) const HEADER: usize = 12;

/// Longest name on the wire.
const NAME: usize = 255;

/// Flags of the third and fourth byte.
pub(super) const RESPONSE: u8 = 0x80;
const OPCODE: u8 = 0x78;
pub(super) const TRUNCATED: u8 = 0x02;
pub(super) const RCODE: u8 = 0x0f;

/// Codes of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Code {
    NoError = 0,
    FormatError = 1,
    ServerFailure = 2,
    NoSuchName = 3,
    NotImplemented = 4,
    Refused = 5,
}

/// Types of records that matter here.
pub(super) mod kind {
    pub(in crate::dns) const A: u16 = 1;
    pub(in crate::dns) const SOA: u16 = 6;
    pub(in crate::dns) const PTR: u16 = 12;
    pub(in crate::dns) const AAAA: u16 = 28;
    pub(in crate::dns) const OPT: u16 = 41;
    pub(in crate::dns) const IXFR: u16 = 251;
    pub(in crate::dns) const AXFR: u16 = 252;
    pub(in crate::dns) const ANY: u16 = 255;
}

/// Classes: that of the Internet, and the question for all.
pub(super) mod class {
    pub(in crate::dns) const IN: u16 = 1;
    pub(in crate::dns) const ANY: u16 = 255;
}

/// Longest answer over UDP without extensions.
const PLAIN_UDP: usize = 512;

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query<'a> {
    /// Header and question, as they came.
    pub(super) head: &'a [u8],
    /// The name in lower case without the last dot; `None` if it has bytes that no host's
    /// name has.
    pub(super) name: Option<String>,
    pub(super) kind: u16,
    pub(super) class: u16,
    /// The longest datagram that the client takes, if it told.
    pub(super) edns: Option<u16>,
}

/// A message that is no question to be answered or forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Not to be answered, lest two servers answer each other for ever.
    Silence,
    /// To be answered so, with the header alone.
    Answer(Code),
}

impl<'a> Query<'a> {
    /// Reads a client's message. Time is linear in the length of the name.
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, Unfit> {
        let Some(header) = message.first_chunk::<HEADER>() else {
            return Err(Unfit::Silence);
        };
        if header[2] & RESPONSE != 0 {
            return Err(Unfit::Silence);
        }
        if header[2] & OPCODE != 0 {
            return Err(Unfit::Answer(Code::NotImplemented));
        }
        let malformed = Unfit::Answer(Code::FormatError);
        let [_, _, _, _, questions @ .., _, _] = header;
        if questions[..6] != [0, 1, 0, 0, 0, 0] {
            return Err(malformed);
        }
        let end = question_end(message).ok_or(malformed)?;
        let (head, rest) = message.split_at(end);
        let (name, [a, b, c, d]) = head[HEADER..].split_last_chunk().ok_or(malformed)?;
        Ok(Self {
            head,
            name: host_name(name),
            kind: u16::from_be_bytes([*a, *b]),
            class: u16::from_be_bytes([*c, *d]),
            edns: edns(rest),
        })
    }

    /// The longest datagram that the client takes.
    pub(super) fn datagram(&self) -> usize {
        self.edns
            .map_or(PLAIN_UDP, |size| usize::from(size).max(PLAIN_UDP))
    }

    /// Whether `response` is a server's to this question: the question comes back, or at
    /// least a refusal without one.
    pub(super) fn is_answered_by(&self, response: &[u8]) -> bool {
        let Some(header) = response.first_chunk::<HEADER>() else {
            return false;
        };
        if header[2] & RESPONSE == 0 || header[..2] != self.head[..2] {
            return false;
        }
        match header[4..6] {
            [0, 0] => header[3] & RCODE != 0,
            [0, 1] => response
                .get(HEADER..self.head.len())
                .is_some_and(|question| same_question(question, &self.head[HEADER..])),
            _ => false,
        }
    }
}

/// The name's case may differ; type and class are numbers.
fn same_question(one: &[u8], other: &[u8]) -> bool {
    match (one.split_last_chunk::<4>(), other.split_last_chunk::<4>()) {
        (Some((name, numbers)), Some((other_name, other_numbers))) => {
            name.eq_ignore_ascii_case(other_name) && numbers == other_numbers
        }
        _ => false,
    }
}

/// Where the first question of a message ends. A compressed name is an error: there is
/// nothing before it that it could refer to.
fn question_end(message: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    loop {
        let length = usize::from(*message.get(at)?);
        if length > 63 {
            return None;
        }
        at += 1 + length;
        if at - HEADER > NAME {
            return None;
        }
        if length == 0 {
            let end = at + 4;
            return (message.len() >= end).then_some(end);
        }
    }
}

/// The text of a name on the wire that [`question_end`] has found to be sound.
fn host_name(mut name: &[u8]) -> Option<String> {
    let mut text = String::new();
    while let Some((&length, rest)) = name.split_first()
        && length != 0
    {
        let (label, rest) = rest.split_at_checked(length.into())?;
        if !text.is_empty() {
            text.push('.');
        }
        for byte in label {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {
                    text.push(byte.to_ascii_lowercase().into());
                }
                _ => return None,
            }
        }
        name = rest;
    }
    Some(text)
}

/// The size in the record of the extensions, if that is the first one after the question,
/// where all clients put it.
fn edns(records: &[u8]) -> Option<u16> {
    let [root, a, b, c, d, ..] = *records.first_chunk::<11>()?;
    let is_opt = root == 0 && u16::from_be_bytes([a, b]) == kind::OPT;
    is_opt.then_some(u16::from_be_bytes([c, d]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, TYPE, rdata};

    use super::*;

    fn question(name: &str) -> Packet<'_> {
        let mut packet = Packet::new_query(7);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        packet.questions.push(Question::new(
            Name::new_unchecked(name),
            TYPE::AAAA.into(),
            CLASS::IN.into(),
            false,
        ));
        packet
    }

    fn bytes(packet: &Packet<'_>) -> Vec<u8> {
        packet.build_bytes_vec().unwrap()
    }

    #[test]
    fn a_question_is_read() {
        let message = bytes(&question("Web.NSRUN"));
        let query = Query::parse(&message).unwrap();
        assert_eq!(query.name.as_deref(), Some("web.nsrun"));
        assert_eq!((query.kind, query.class), (kind::AAAA, class::IN));
        assert_eq!((query.head, query.datagram()), (&message[..], 512));

        let mut packet = question("web");
        *packet.opt_mut() = Some(rdata::OPT {
            opt_codes: Vec::new(),
            udp_packet_size: 1232,
            version: 0,
        });
        let message = bytes(&packet);
        let query = Query::parse(&message).unwrap();
        assert_eq!((query.edns, query.datagram()), (Some(1232), 1232));
        assert!(query.head.len() < message.len());
    }

    #[test]
    fn the_root_has_an_empty_name_and_odd_bytes_have_none() {
        let mut message = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let with = |name: &[u8]| [&message, name, &[0, 1, 0, 1]].concat();
        assert_eq!(Query::parse(&with(&[0])).unwrap().name.as_deref(), Some(""));
        for odd in [&b"\x03a.b\x00"[..], b"\x01\xff\x00", b"\x02a\x00\x00"] {
            assert_eq!(Query::parse(&with(odd)).unwrap().name, None, "{odd:?}");
        }
        message.clear();
        assert_eq!(Query::parse(&message), Err(Unfit::Silence));
    }

    #[test]
    fn what_is_no_question_is_refused_or_ignored() {
        let good = bytes(&question("web"));
        let with = |at: usize, value: u8| {
            let mut message = good.clone();
            message[at] = value;
            message
        };
        let format = Err(Unfit::Answer(Code::FormatError));
        assert_eq!(Query::parse(&with(2, RESPONSE)), Err(Unfit::Silence));
        assert_eq!(
            Query::parse(&with(2, 0x28)),
            Err(Unfit::Answer(Code::NotImplemented))
        );
        for (at, value) in [
            (5, 0),
            (5, 2),
            (7, 1),
            (9, 1),
            (12, 0xc0),
            (12, 64),
            (12, 63),
        ] {
            assert_eq!(Query::parse(&with(at, value)), format, "byte {at}");
        }
        for length in HEADER..good.len() {
            assert_eq!(Query::parse(&good[..length]), format);
        }
        let long = [&good[..12], &[1, b'a'].repeat(128), &[0, 0, 1, 0, 1]].concat();
        assert_eq!(Query::parse(&long), format);
    }

    #[test]
    fn only_an_answer_to_the_question_is_one() {
        let message = bytes(&question("web.example"));
        let query = Query::parse(&message).unwrap();
        let mut answer = message.clone();
        assert!(!query.is_answered_by(&answer), "a question");
        answer[2] |= RESPONSE;
        assert!(query.is_answered_by(&answer));
        answer[13] = b'W';
        assert!(query.is_answered_by(&answer), "in another case");
        for at in [0, 1, 5, 14, message.len() - 1, message.len() - 3] {
            let mut other = answer.clone();
            other[at] ^= 1;
            assert!(!query.is_answered_by(&other), "byte {at}");
        }
        assert!(!query.is_answered_by(&answer[..message.len() - 1]));
        let mut refusal = answer[..HEADER].to_vec();
        refusal[5] = 0;
        assert!(!query.is_answered_by(&refusal));
        refusal[3] |= Code::FormatError as u8;
        assert!(query.is_answered_by(&refusal));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(message in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(query) = Query::parse(&message) {
                prop_assert!(message.starts_with(query.head));
                query.is_answered_by(&message);
            }
        }

        #[test]
        fn what_another_parser_reads_is_read_alike(
            labels in prop::collection::vec("[a-z0-9_-]{1,63}", 1..5),
            tail in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let name = labels.join(".");
            prop_assume!(name.len() < 254);
            let mut message = bytes(&question(&name));
            message.extend(tail);
            prop_assert_eq!(Query::parse(&message).unwrap().name, Some(name));
        }

        #[test]
        fn responses_of_any_bytes_are_compared_without_a_panic(
            response in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let message = bytes(&question("web"));
            Query::parse(&message).unwrap().is_answered_by(&response);
        }
    }
}
