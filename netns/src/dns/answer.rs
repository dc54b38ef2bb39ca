//! Messages that are written here. The question is returned as it came, byte by byte:
//! clients that mix upper and lower case to tell forgeries compare it so.

use std::net::IpAddr;

use super::query::{Code, HEADER, Query, RESPONSE, TRUNCATED, class, kind};
use super::zone::{Record, Verdict, Zone};

/// For how many seconds a client may remember what it was told: names come and go.
const TTL: u32 = 5;

/// The longest datagram that is taken here, and told to clients with extensions.
pub(super) const DATAGRAM: u16 = 1232;

/// More records of one name are left out, so that all answers fit a datagram of that length.
const RECORDS: usize = 32;

const AUTHORITATIVE: u8 = 0x04;
const RECURSION_DESIRED: u8 = 0x01;
const RECURSION_AVAILABLE: u8 = 0x80;
const CHECKING_DISABLED: u8 = 0x10;

/// A reference to the name in the question, which begins behind the header.
const THAT_NAME: [u8; 2] = [0xc0, 12];

/// What the zone says; `None` if others are to be asked.
pub(super) fn of_zone(query: &Query<'_>, zone: &Zone) -> Option<Vec<u8>> {
    let (code, mut records) = match zone.judge(query) {
        Verdict::Forward => return None,
        Verdict::NotImplemented => return Some(failure(query, Code::NotImplemented)),
        Verdict::Refused => return Some(failure(query, Code::Refused)),
        Verdict::NoSuchName => (Code::NoSuchName, Vec::new()),
        Verdict::Records(records) => (Code::NoError, records),
    };
    records.truncate(RECORDS);
    let mut answer = begin(query, code);
    answer[2] |= AUTHORITATIVE;
    for record in &records {
        write_record(&mut answer, record);
    }
    count(&mut answer, 6, records.len());
    if records.is_empty() && zone.has(query) {
        write_authority(&mut answer, &zone.domain);
        count(&mut answer, 8, 1);
    }
    finish(&mut answer, query);
    Some(answer)
}

/// A refusal of a question.
pub(super) fn failure(query: &Query<'_>, code: Code) -> Vec<u8> {
    let mut answer = begin(query, code);
    finish(&mut answer, query);
    answer
}

/// A refusal of a message whose question could not be read; it has a header.
pub(super) fn header_only(message: &[u8], code: Code) -> Vec<u8> {
    let mut answer = message[..HEADER].to_vec();
    answer[2] = answer[2] & !TRUNCATED & !AUTHORITATIVE | RESPONSE;
    answer[3] = RECURSION_AVAILABLE | code as u8;
    answer[4..].fill(0);
    answer
}

/// What tells a client that the answer does not fit a datagram, of an answer that does not.
pub(super) fn truncated(query: &Query<'_>, response: &[u8]) -> Vec<u8> {
    let mut answer = begin(query, Code::NoError);
    answer[2..4].copy_from_slice(&response[2..4]);
    answer[2] |= TRUNCATED;
    finish(&mut answer, query);
    answer
}

fn begin(query: &Query<'_>, code: Code) -> Vec<u8> {
    let mut answer = query.head.to_vec();
    answer[2] = RESPONSE | query.head[2] & RECURSION_DESIRED;
    answer[3] = RECURSION_AVAILABLE | query.head[3] & CHECKING_DISABLED | code as u8;
    // Of what is counted only the question is there yet.
    answer[6..HEADER].fill(0);
    answer
}

/// Who has sent the record of the extensions is sent one, RFC 6891.
fn finish(answer: &mut Vec<u8>, query: &Query<'_>) {
    if query.edns.is_some() {
        answer.push(0);
        answer.extend(kind::OPT.to_be_bytes());
        answer.extend(DATAGRAM.to_be_bytes());
        answer.extend([0; 6]);
        count(answer, 10, 1);
    }
}

fn count(answer: &mut [u8], at: usize, records: usize) {
    let records = u16::try_from(records).expect("they were truncated");
    answer[at..at + 2].copy_from_slice(&records.to_be_bytes());
}

fn write_record(answer: &mut Vec<u8>, record: &Record) {
    answer.extend(THAT_NAME);
    match record {
        Record::Address(IpAddr::V4(address)) => write_rest(answer, kind::A, &address.octets()),
        Record::Address(IpAddr::V6(address)) => write_rest(answer, kind::AAAA, &address.octets()),
        Record::Pointer(name) => write_rest(answer, kind::PTR, &wire(name)),
    }
}

/// The record that says for how long a name may be taken for unknown, RFC 2308.
fn write_authority(answer: &mut Vec<u8>, domain: &str) {
    const SERIAL: u32 = 1;
    const HOUR: u32 = 3600;
    answer.extend(wire(domain));
    let mut data = [wire("localhost"), wire("nobody.invalid")].concat();
    for number in [SERIAL, HOUR, HOUR, HOUR, TTL] {
        data.extend(number.to_be_bytes());
    }
    write_rest(answer, kind::SOA, &data);
}

fn write_rest(answer: &mut Vec<u8>, kind: u16, data: &[u8]) {
    answer.extend(kind.to_be_bytes());
    answer.extend(class::IN.to_be_bytes());
    answer.extend(TTL.to_be_bytes());
    let length = u16::try_from(data.len()).expect("three names are shorter than 64 KiB");
    answer.extend(length.to_be_bytes());
    answer.extend(data);
}

/// A name of labels that are not longer than 63 bytes: others are cut.
fn wire(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        bytes.push(u8::try_from(label.len()).expect("it was cut"));
        bytes.extend(label);
    }
    bytes.push(0);
    bytes
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;
    use simple_dns::rdata::RData;
    use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, Question, RCODE, TYPE, rdata};

    use super::super::zone::Names;
    use super::*;

    struct Many(Vec<IpAddr>);

    impl Names for Many {
        fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
            (name == "web").then(|| self.0.clone())
        }

        fn name(&self, address: IpAddr) -> Option<String> {
            self.0.contains(&address).then(|| "web".to_owned())
        }

        fn covers(&self, _: IpAddr) -> bool {
            true
        }
    }

    fn question(name: &str, kind: TYPE, edns: bool) -> Vec<u8> {
        let mut packet = Packet::new_query(0x1234);
        packet.set_flags(PacketFlag::RECURSION_DESIRED | PacketFlag::CHECKING_DISABLED);
        packet.questions.push(Question::new(
            Name::new_unchecked(name),
            kind.into(),
            CLASS::IN.into(),
            false,
        ));
        if edns {
            *packet.opt_mut() = Some(rdata::OPT {
                opt_codes: Vec::new(),
                udp_packet_size: 4096,
                version: 0,
            });
        }
        packet.build_bytes_vec().unwrap()
    }

    fn ask(message: &[u8], addresses: Vec<IpAddr>) -> Vec<u8> {
        let zone = Zone {
            domain: "lan".to_owned(),
            names: Box::new(Many(addresses)),
        };
        of_zone(&Query::parse(message).unwrap(), &zone).unwrap()
    }

    #[test]
    fn an_answer_is_one_to_another_parser() {
        let message = question("WEB.lan", TYPE::A, true);
        let addresses = vec![
            Ipv4Addr::new(10, 0, 0, 2).into(),
            Ipv6Addr::LOCALHOST.into(),
        ];
        let answer = ask(&message, addresses);
        let packet = Packet::parse(&answer).unwrap();
        assert_eq!((packet.id(), packet.rcode()), (0x1234, RCODE::NoError));
        let flags = PacketFlag::RESPONSE
            | PacketFlag::AUTHORITATIVE_ANSWER
            | PacketFlag::RECURSION_DESIRED
            | PacketFlag::RECURSION_AVAILABLE
            | PacketFlag::CHECKING_DISABLED;
        assert!(packet.has_flags(flags));
        assert_eq!(packet.questions[0].qname.to_string(), "WEB.lan");
        assert_eq!(packet.questions[0].qtype, QTYPE::TYPE(TYPE::A));
        let [record] = &packet.answers[..] else {
            panic!("{packet:?}");
        };
        assert_eq!(
            (record.name.to_string().as_str(), record.ttl),
            ("WEB.lan", TTL)
        );
        let expected = RData::A(Ipv4Addr::new(10, 0, 0, 2).into());
        assert_eq!(record.rdata, expected);
        assert_eq!(packet.opt().unwrap().udp_packet_size, DATAGRAM);
    }

    #[test]
    fn a_pointer_is_a_name() {
        let message = question("2.0.0.10.in-addr.arpa", TYPE::PTR, false);
        let answer = ask(&message, vec![Ipv4Addr::new(10, 0, 0, 2).into()]);
        let packet = Packet::parse(&answer).unwrap();
        let expected = RData::PTR(Name::new_unchecked("web.lan").into());
        assert_eq!(packet.answers[0].rdata, expected);
        assert!(packet.opt().is_none());
    }

    #[test]
    fn nothing_is_told_with_how_long_it_holds() {
        for (name, code) in [("web.lan", RCODE::NoError), ("x.lan", RCODE::NameError)] {
            let answer = ask(&question(name, TYPE::AAAA, false), Vec::new());
            let packet = Packet::parse(&answer).unwrap();
            assert_eq!((packet.rcode(), packet.answers.len()), (code, 0));
            let [authority] = &packet.name_servers[..] else {
                panic!("{packet:?}");
            };
            assert_eq!(authority.name.to_string(), "lan");
            let RData::SOA(authority) = &authority.rdata else {
                panic!("{authority:?}");
            };
            assert_eq!(authority.minimum, TTL);
        }
    }

    #[test]
    fn the_domain_does_not_speak_for_others() {
        for name in ["web", "9.0.0.10.in-addr.arpa", "localhost"] {
            let answer = ask(&question(name, TYPE::MX, false), Vec::new());
            let packet = Packet::parse(&answer).unwrap();
            assert_eq!((packet.answers.len(), packet.name_servers.len()), (0, 0));
        }
    }

    #[test]
    fn any_number_of_addresses_fits() {
        let addresses = vec![Ipv6Addr::LOCALHOST.into(); 70_000];
        let answer = ask(&question("web.lan", TYPE::AAAA, true), addresses);
        assert_eq!(Packet::parse(&answer).unwrap().answers.len(), RECORDS);
        assert!(answer.len() <= DATAGRAM.into());
    }

    #[test]
    fn refusals_are_answers_too() {
        let message = question("web", TYPE::A, true);
        let query = Query::parse(&message).unwrap();
        let answer = failure(&query, Code::ServerFailure);
        assert_eq!(
            Packet::parse(&answer).unwrap().rcode(),
            RCODE::ServerFailure
        );
        assert!(query.is_answered_by(&answer));

        let answer = header_only(&message, Code::FormatError);
        assert_eq!(Packet::parse(&answer).unwrap().rcode(), RCODE::FormatError);
        assert_eq!(answer.len(), HEADER);

        let mut long = failure(&query, Code::NoSuchName);
        long.extend([0; 600]);
        let answer = truncated(&query, &long);
        let packet = Packet::parse(&answer).unwrap();
        assert!(packet.has_flags(PacketFlag::TRUNCATION));
        assert_eq!(packet.rcode(), RCODE::NameError);
        assert_eq!(packet.answers.len(), 0);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_another_parser_reads_the_answer(
            name in "(web|x|[a-z0-9.]{0,20}|[0-9.]{1,12}[.]in-addr[.]arpa)([.]lan|)",
            // That parser knows some of the types only.
            kind in prop::sample::select(vec![1u16, 2, 5, 6, 12, 15, 16, 28, 33, 255]),
            tail in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut message = question("lan", TYPE::A, false);
            message.truncate(HEADER);
            message.extend(wire(&name));
            message.extend([kind.to_be_bytes(), class::IN.to_be_bytes()].concat());
            message.extend(tail);
            let query = Query::parse(&message).unwrap();
            let zone = Zone {
                domain: "lan".to_owned(),
                names: Box::new(Many(vec![Ipv4Addr::new(10, 0, 0, 2).into()])),
            };
            for answer in of_zone(&query, &zone)
                .into_iter()
                .chain([failure(&query, Code::Refused)])
            {
                prop_assert!(query.is_answered_by(&answer));
                let packet = Packet::parse(&answer).unwrap();
                prop_assert_eq!(packet.questions.len(), 1);
            }
        }
    }
}
