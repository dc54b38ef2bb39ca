use super::*;
use ipnet::Ipv4Net;
use proptest::prelude::*;

const CLIENT: [u8; 6] = [2, 0, 0, 0, 0, 2];
const LINK: [u8; 6] = [2, 0, 0, 0, 0, 1];
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 17);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 18);

fn responder() -> Responder {
    let address = Ipv4Net::new(ADDRESS, 28).unwrap();
    let offer = Offer {
        router: Some(SERVER),
        dns: vec![SERVER, Ipv4Addr::new(9, 9, 9, 9)],
        domain: Some("nsrun".to_owned()),
        search: vec!["nsrun".to_owned(), "lan.example".to_owned()],
        host_name: Some("web".to_owned()),
        mtu: Some(1400),
        ntp: vec![SERVER],
        timezone: Some("Europe/Berlin".to_owned()),
        ..Offer::new(address, SERVER)
    };
    Responder::new(LINK.into(), CLIENT.into(), offer)
}

/// A client's message, to be changed before it is sent.
#[derive(Clone, Debug)]
struct Ask {
    from: [u8; 6],
    to: Ipv4Addr,
    fixed: [u8; 240],
    options: Vec<u8>,
}

impl Ask {
    fn new(kind: u8) -> Self {
        let mut fixed = [0; 240];
        fixed[..4].copy_from_slice(&[1, 1, 6, 0]);
        fixed[4..8].copy_from_slice(&[0xa, 0xb, 0xc, 0xd]);
        fixed[28..34].copy_from_slice(&CLIENT);
        fixed[236..].copy_from_slice(&[99, 130, 83, 99]);
        Self {
            from: CLIENT,
            to: Ipv4Addr::BROADCAST,
            fixed,
            options: vec![53, 1, kind],
        }
    }

    fn discover() -> Self {
        Self::new(1)
    }

    fn request() -> Self {
        Self::new(3)
    }

    fn option(mut self, code: u8, value: &[u8]) -> Self {
        self.options
            .extend([code, u8::try_from(value.len()).unwrap()]);
        self.options.extend(value);
        self
    }

    fn server(self, server: Ipv4Addr) -> Self {
        self.option(54, &server.octets())
    }

    fn requested(self, address: Ipv4Addr) -> Self {
        self.option(50, &address.octets())
    }

    fn current(mut self, address: Ipv4Addr) -> Self {
        self.fixed[12..16].copy_from_slice(&address.octets());
        self
    }

    fn broadcast(mut self) -> Self {
        self.fixed[10] = 0x80;
        self
    }

    fn frame(&self) -> Vec<u8> {
        let payload = [&self.fixed[..], &self.options, &[255]].concat();
        let endpoint = |mac: [u8; 6], address, port| Endpoint {
            mac: mac.into(),
            address,
            port,
        };
        let datagram = Datagram {
            from: endpoint(self.from, Ipv4Addr::UNSPECIFIED, 68),
            to: endpoint([0xff; 6], self.to, 67),
            payload: &payload,
        };
        datagram.to_frame().unwrap()
    }

    fn answer(&self) -> Option<Answer> {
        responder().answer(&self.frame()).map(Answer)
    }
}

/// An answer as the client sees it.
struct Answer(Vec<u8>);

impl Answer {
    fn datagram(&self) -> Datagram<'_> {
        Datagram::parse(&self.0).unwrap()
    }

    fn kind(&self) -> u8 {
        self.option(53).unwrap()[0]
    }

    fn option(&self, code: u8) -> Option<Vec<u8>> {
        let options = &self.datagram().payload[240..];
        let options = options::Options::read(options, &[], &[]).unwrap();
        options.value(code).unwrap()
    }

    fn yours(&self) -> Ipv4Addr {
        let octets: [u8; 4] = self.datagram().payload[16..20].try_into().unwrap();
        octets.into()
    }

    fn destination(&self) -> (MacAddr, Ipv4Addr) {
        let to = self.datagram().to;
        assert_eq!(to.port, 68);
        (to.mac, to.address)
    }
}

const OFFER: u8 = 2;
const ACK: u8 = 5;
const NAK: u8 = 6;

#[test]
fn a_discovery_is_offered_the_address() {
    let answer = Ask::discover().answer().unwrap();
    assert_eq!((answer.kind(), answer.yours()), (OFFER, ADDRESS));
    assert_eq!(answer.destination(), (CLIENT.into(), ADDRESS));
    assert_eq!(answer.option(54).unwrap(), SERVER.octets());
    assert_eq!(answer.datagram().payload[4..8], [0xa, 0xb, 0xc, 0xd]);
    assert_eq!(answer.datagram().payload[28..34], CLIENT);
    let from = answer.datagram().from;
    assert_eq!(
        (from.mac, from.address, from.port),
        (LINK.into(), SERVER, 67)
    );
}

#[test]
fn a_client_that_does_not_say_what_it_wants_gets_all() {
    let answer = Ask::discover().answer().unwrap();
    let value = |code| answer.option(code).unwrap_or_default();
    assert_eq!(value(1), [255, 255, 255, 240]);
    assert_eq!(value(3), SERVER.octets());
    assert_eq!(value(6), [SERVER.octets(), [9, 9, 9, 9]].concat());
    assert_eq!(value(12), b"web");
    assert_eq!(value(15), b"nsrun");
    assert_eq!(value(26), 1400_u16.to_be_bytes());
    assert_eq!(value(28), [192, 168, 7, 31]);
    assert_eq!(value(42), SERVER.octets());
    assert_eq!(value(51), 3600_u32.to_be_bytes());
    assert_eq!(value(58), 1800_u32.to_be_bytes());
    assert_eq!(value(59), 3150_u32.to_be_bytes());
    assert_eq!(value(101), b"Europe/Berlin");
    assert_eq!(value(119), b"\x05nsrun\0\x03lan\x07example\0");
}

#[test]
fn a_client_gets_what_it_asks_for_and_the_mask() {
    let answer = Ask::discover()
        .option(55, &[6, 3, 6, 200])
        .answer()
        .unwrap();
    let options = &answer.datagram().payload[240..];
    let mask = options.windows(2).position(|w| w == [1, 4]).unwrap();
    let dns = options.windows(2).position(|w| w == [6, 8]).unwrap();
    let router = options.windows(2).position(|w| w == [3, 4]).unwrap();
    assert!(mask < dns && dns < router, "{options:?}");
    assert_eq!(
        answer.option(6).unwrap().len(),
        8,
        "asked for twice, told once"
    );
    assert_eq!(answer.option(15), None);
    assert_eq!(answer.option(200), None);
}

#[test]
fn the_offer_taken_is_acknowledged() {
    let taken = Ask::request().server(SERVER).requested(ADDRESS);
    let answer = taken.answer().unwrap();
    assert_eq!((answer.kind(), answer.yours()), (ACK, ADDRESS));
    assert_eq!(answer.destination(), (CLIENT.into(), ADDRESS));
}

#[test]
fn another_servers_offer_taken_is_none_of_our_business() {
    let other = Ipv4Addr::new(192, 168, 7, 19);
    let taken = Ask::request().server(other).requested(ADDRESS);
    assert!(taken.answer().is_none());
}

#[test]
fn a_boot_with_the_address_of_before_is_acknowledged_and_with_another_refused() {
    let again = Ask::request().requested(ADDRESS).answer().unwrap();
    assert_eq!((again.kind(), again.yours()), (ACK, ADDRESS));

    let moved = Ask::request().requested(Ipv4Addr::new(10, 0, 0, 7));
    let refused = moved.answer().unwrap();
    assert_eq!(
        (refused.kind(), refused.yours()),
        (NAK, Ipv4Addr::UNSPECIFIED)
    );
    assert_eq!(refused.destination(), (CLIENT.into(), Ipv4Addr::BROADCAST));
    assert_eq!(refused.option(51), None);
    assert_eq!(refused.option(1), None);
    assert_eq!(refused.option(54).unwrap(), SERVER.octets());
}

#[test]
fn renewal_and_rebinding_are_acknowledged_at_the_clients_address() {
    for to in [SERVER, Ipv4Addr::BROADCAST] {
        let mut renewal = Ask::request().current(ADDRESS);
        renewal.to = to;
        let answer = renewal.answer().unwrap();
        assert_eq!((answer.kind(), answer.yours()), (ACK, ADDRESS));
        assert_eq!(answer.destination(), (CLIENT.into(), ADDRESS));
        assert_eq!(answer.datagram().payload[12..16], ADDRESS.octets());
    }
    let stale = Ask::request().current(Ipv4Addr::new(192, 168, 7, 19));
    let answer = stale.answer().unwrap();
    assert_eq!(answer.kind(), NAK);
    assert_eq!(answer.destination(), (CLIENT.into(), Ipv4Addr::BROADCAST));
}

#[test]
fn a_request_for_nothing_has_no_answer() {
    assert!(Ask::request().answer().is_none());
    assert!(Ask::request().server(SERVER).answer().is_none());
}

#[test]
fn release_and_decline_have_no_answer_and_take_nothing() {
    for kind in [4, 7] {
        let given_back = Ask::new(kind).server(SERVER).requested(ADDRESS);
        assert!(given_back.answer().is_none());
    }
    assert_eq!(Ask::discover().answer().unwrap().yours(), ADDRESS);
}

#[test]
fn a_client_with_an_address_of_its_own_is_told_the_rest() {
    let own = Ipv4Addr::new(192, 168, 7, 20);
    let answer = Ask::new(8).current(own).answer().unwrap();
    assert_eq!(
        (answer.kind(), answer.yours()),
        (ACK, Ipv4Addr::UNSPECIFIED)
    );
    assert_eq!(answer.destination(), (CLIENT.into(), own));
    assert_eq!(answer.option(51), None);
    assert_eq!(answer.option(3).unwrap(), SERVER.octets());
    assert!(Ask::new(8).answer().is_none());
    assert!(Ask::new(8).current(Ipv4Addr::BROADCAST).answer().is_none());
}

#[test]
fn one_exchange_is_enough_for_a_client_that_says_so() {
    let answer = Ask::discover().option(80, &[]).answer().unwrap();
    assert_eq!((answer.kind(), answer.yours()), (ACK, ADDRESS));
    assert_eq!(answer.option(80).unwrap(), [0; 0]);
    let request = Ask::request().requested(ADDRESS).option(80, &[]);
    assert_eq!(request.answer().unwrap().option(80), None);
}

#[test]
fn a_client_that_asks_for_a_broadcast_gets_one() {
    let broadcast = (MacAddr::from([0xff; 6]), Ipv4Addr::BROADCAST);
    let answer = Ask::discover().broadcast().answer().unwrap();
    assert_eq!(answer.destination(), broadcast);
    let moved = Ask::request().broadcast().requested(SERVER);
    assert_eq!(moved.answer().unwrap().destination(), broadcast);
    let renewal = Ask::request().broadcast().current(ADDRESS);
    assert_eq!(
        renewal.answer().unwrap().destination(),
        (CLIENT.into(), ADDRESS)
    );
}

#[test]
fn the_clients_own_name_is_repeated() {
    let id = [&[255][..], &[7; 18]].concat();
    let answer = Ask::discover().option(61, &id).answer().unwrap();
    assert_eq!(answer.option(61).unwrap(), id);
}

#[test]
fn a_shorter_lease_is_granted_down_to_a_minute() {
    let granted = |seconds: u32| {
        let ask = Ask::discover().option(51, &seconds.to_be_bytes());
        let lease: [u8; 4] = ask
            .answer()
            .unwrap()
            .option(51)
            .unwrap()
            .try_into()
            .unwrap();
        u32::from_be_bytes(lease)
    };
    assert_eq!([0, 120, u32::MAX].map(granted), [60, 120, 3600]);
}

#[test]
fn strangers_have_no_answer() {
    let mut stranger = Ask::discover();
    stranger.from = [2, 0, 0, 0, 0, 3];
    assert!(stranger.answer().is_none());

    let mut asks_for_another = Ask::discover();
    asks_for_another.fixed[33] = 3;
    assert!(asks_for_another.answer().is_none());

    let mut asks_another = Ask::request().current(ADDRESS);
    asks_another.to = Ipv4Addr::new(192, 168, 7, 19);
    assert!(asks_another.answer().is_none());
}

#[test]
fn what_a_relay_says_is_not_believed() {
    let mut relayed = Ask::discover().option(82, &[1, 2, 3, 4]);
    relayed.fixed[24..28].copy_from_slice(&[10, 9, 8, 7]);
    let answer = relayed.answer().unwrap();
    assert_eq!(answer.destination(), (CLIENT.into(), ADDRESS));
    assert_eq!(answer.datagram().payload[24..28], [0; 4]);
    assert_eq!(answer.option(82), None);
}

#[test]
fn replies_and_messages_of_other_links_are_not_requests() {
    let bent = |at: usize, value: u8| {
        let mut ask = Ask::discover();
        ask.fixed[at] = value;
        ask.answer().is_none()
    };
    for (at, value) in [(0, 2), (1, 6), (2, 16), (236, 0)] {
        assert!(bent(at, value), "octet {at} as {value}");
    }
    for kind in [0, 2, 5, 6, 9, 13] {
        assert!(Ask::new(kind).answer().is_none(), "kind {kind}");
    }
}

#[test]
fn options_in_the_names_fields_are_read() {
    let mut ask = Ask::request().option(52, &[1]);
    ask.fixed[108..114].copy_from_slice(&[50, 4, 192, 168, 7, 18]);
    ask.fixed[114] = 255;
    assert_eq!(ask.answer().unwrap().kind(), ACK);
    let mut cut = Ask::request().option(52, &[2]).requested(ADDRESS);
    cut.fixed[106..108].copy_from_slice(&[61, 9]);
    assert!(cut.answer().is_none());
}

#[test]
fn an_answer_is_no_longer_than_the_client_takes() {
    let mut offer = responder().offer;
    offer.search = vec!["a-long-label.example".to_owned(); 30];
    let crowded = Responder {
        offer,
        ..responder()
    };
    let length = |ask: &Ask| {
        let answer = Answer(crowded.answer(&ask.frame()).unwrap());
        (
            answer.datagram().payload.len() + OVERHEAD,
            answer.option(119),
        )
    };
    let (small, search) = length(&Ask::discover());
    assert!(small <= 576 && search.is_none(), "{small}");
    let (large, search) = length(&Ask::discover().option(57, &1500_u16.to_be_bytes()));
    assert!(large > 576 && large <= 1400 && search.is_some(), "{large}");
    let tiny = length(&Ask::discover().option(57, &[0, 1]));
    assert_eq!(tiny.0, small, "no client may ask for less than 576");
}

fn asks() -> impl Strategy<Value = Ask> {
    let option = (any::<u8>(), prop::collection::vec(any::<u8>(), 0..40));
    let known = prop::sample::select(vec![50_u8, 51, 52, 53, 54, 55, 57, 61, 80]);
    let known = (known, prop::collection::vec(any::<u8>(), 0..5));
    let options = prop::collection::vec(prop_oneof![option, known], 0..8);
    let changes = prop::collection::vec((0_usize..240, any::<u8>()), 0..6);
    (0_u8..10, options, changes).prop_map(|(kind, options, changes)| {
        let mut ask = options.iter().fold(Ask::new(kind), |ask, (code, value)| {
            ask.option(*code, value)
        });
        for (at, value) in changes {
            ask.fixed[at] = value;
        }
        ask
    })
}

proptest! {
    #[test]
    fn whatever_is_asked_only_the_client_and_only_its_address_are_answered(ask in asks()) {
        if let Some(answer) = ask.answer() {
            let datagram = answer.datagram();
            prop_assert!(answer.0.len() <= 1400 + 14);
            prop_assert!([MacAddr::from(CLIENT), MacAddr::from([0xff; 6])].contains(&datagram.to.mac));
            prop_assert_eq!(datagram.from.address, SERVER);
            prop_assert_eq!(&datagram.payload[28..34], &CLIENT[..]);
            prop_assert!([ADDRESS, Ipv4Addr::UNSPECIFIED].contains(&answer.yours()));
            prop_assert!([OFFER, ACK, NAK].contains(&answer.kind()));
            prop_assert!(datagram.payload.len() >= 300);
        }
    }

    #[test]
    fn any_message_is_survived(message in prop::collection::vec(any::<u8>(), 0..700)) {
        let _ = Request::parse(&message);
    }
}
