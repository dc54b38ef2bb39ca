use super::*;
use proptest::prelude::*;

/// A message of systemd 257 on its private socket, whose sender is not a unique name.
const RUNNING: &[u8] = b"l\x02\x01\x01\x10\0\0\0\x01\0\0\x007\0\0\0\
    \x05\x01u\0\x01\0\0\0\x07\x01s\0\x18\0\0\0org.freedesktop.systemd1\0\0\0\0\0\0\0\0\
    \x08\x01g\0\x01v\0\0\x01s\0\0\x07\0\0\0running\0";

fn split(message: &[u8]) -> (&[u8; HEADER], &[u8]) {
    message.split_first_chunk().unwrap()
}

fn unit(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for text in [name, "", "loaded", "failed", "failed", "", "/org/unit"] {
        put_string(&mut out, text);
    }
    pad(&mut out, 4);
    out.extend(0_u32.to_le_bytes());
    put_string(&mut out, "");
    put_string(&mut out, "/");
    out
}

fn units(names: &[&str]) -> Vec<u8> {
    let mut items = Vec::new();
    for name in names {
        pad(&mut items, 8);
        items.extend(unit(name));
    }
    let mut body = Vec::new();
    put_length(&mut body, items.len());
    pad(&mut body, 8);
    body.extend(items);
    body
}

#[test]
fn an_answer_of_systemd_is_understood() {
    let (header, rest_of_it) = split(RUNNING);
    assert_eq!(rest(header), Some(rest_of_it.len()));
    let Some(Reply::Results(body)) = reply(header, rest_of_it, 1) else {
        panic!("{:?}", reply(header, rest_of_it, 1));
    };
    assert_eq!(property(body).as_deref(), Some("running"));
    assert_eq!(reply(header, rest_of_it, 2), Some(Reply::Other));
}

#[test]
fn a_call_is_what_systemd_takes() {
    let call = Call {
        destination: "org.freedesktop.systemd1",
        path: "/org/freedesktop/systemd1",
        interface: "org.freedesktop.DBus.Properties",
        member: "Get",
        body: Body::Pair("org.freedesktop.systemd1.Manager", "SystemState"),
    };
    let message = call.encode(1);
    let (header, rest_of_it) = split(&message);
    assert_eq!(rest(header), Some(rest_of_it.len()));
    assert_eq!(message.len(), 16 + 144 + 56, "as zbus encodes it");
    assert_eq!(reply(header, rest_of_it, 1), Some(Reply::Other));
}

#[test]
fn units_are_told_by_their_names() {
    let names = ["a.service", "dev-sda1.device", "x.mount"];
    assert_eq!(unit_names(&units(&names)).unwrap(), names);
    assert_eq!(unit_names(&units(&[])).unwrap(), [""; 0]);
}

#[test]
fn what_is_cut_off_is_refused() {
    let whole = units(&["a.service", "b.service"]);
    for cut in 0..whole.len() {
        assert_eq!(unit_names(&whole[..cut]), None, "cut at {cut}");
    }
    let (header, rest_of_it) = split(RUNNING);
    for cut in 0..56 {
        assert_eq!(reply(header, &rest_of_it[..cut], 1), None, "cut at {cut}");
    }
}

#[test]
fn a_message_that_is_too_long_is_not_waited_for() {
    let (header, _) = split(RUNNING);
    let mut long = *header;
    long[7] = 1;
    assert_eq!(rest(&long), None);
    long[4..16].fill(0xff);
    assert_eq!(rest(&long), None);
    let mut foreign = *header;
    foreign[0] = b'B';
    assert_eq!(rest(&foreign), None);
}

#[test]
fn a_signal_is_told_by_its_object() {
    let mut fields = Vec::new();
    put_field(&mut fields, PATH, 'o', "/org/unit/web");
    put_field(&mut fields, MEMBER, 's', "PropertiesChanged");
    let mut message = vec![b'l', SIGNAL, 0, 1];
    put_length(&mut message, 0);
    message.extend(1_u32.to_le_bytes());
    put_length(&mut message, fields.len());
    message.extend(fields);
    pad(&mut message, 8);
    let (header, rest_of_it) = split(&message);
    let said = Reply::Signal("/org/unit/web".to_owned());
    assert_eq!(reply(header, rest_of_it, 1), Some(said));
}

#[test]
fn numbers_and_objects_are_read() {
    assert_eq!(number(b"\x01u\0\0\x07\0\0\0"), Some(7));
    assert_eq!(number(b"\x01s\0\0\x07\0\0\0"), None);
    assert_eq!(object(b"\x02\0\0\0/a\0").as_deref(), Some("/a"));
    assert_eq!(object(b"\x03\0\0\0/a\0"), None);
}

proptest! {
    #[test]
    fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 16..200), serial: u32) {
        let (header, rest_of_it) = split(&bytes);
        let _ = rest(header);
        let _ = reply(header, rest_of_it, serial);
        let _ = property(&bytes);
        let _ = unit_names(&bytes);
        let _ = (number(&bytes), object(&bytes));
    }

    #[test]
    fn damaged_answers_can_be_read(at in 0..RUNNING.len(), byte: u8) {
        let mut message = RUNNING.to_vec();
        message[at] = byte;
        let (header, rest_of_it) = split(&message);
        if let Some(Reply::Results(body)) = reply(header, rest_of_it, 1) {
            let _ = property(body);
        }
    }
}
