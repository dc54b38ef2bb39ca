//! As much of the D-Bus wire format as asking systemd takes, for a peer that is not trusted:
//! <https://dbus.freedesktop.org/doc/dbus-specification.html>.
//!
//! zbus is of no use here: it ends the process when a peer has a sender's name that is not a
//! unique one, which systemd's private socket has, too.

/// The fixed part of a message's header, with the length of the fields that follow.
pub(super) const HEADER: usize = 16;

/// Longest message that is read, in bytes. A system with 10,000 failed units stays below.
const LONGEST: usize = 4 << 20;

const CALL: u8 = 1;
const RETURN: u8 = 2;
const ERROR: u8 = 3;

const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// A method to be called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub(super) destination: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
    pub(super) body: Body<'a>,
}

/// The arguments, of the kinds that are needed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body<'a> {
    /// Two strings.
    Pair(&'a str, &'a str),
    /// One array, of one string.
    List(&'a str),
}

impl Call<'_> {
    /// The message, little-endian as all hosts of ours are.
    pub(super) fn encode(&self, serial: u32) -> Vec<u8> {
        let body = self.body.encode();
        let mut message = vec![b'l', CALL, 0, 1];
        put_length(&mut message, body.len());
        message.extend(serial.to_le_bytes());
        let mut fields = Vec::new();
        put_field(&mut fields, PATH, 'o', self.path);
        put_field(&mut fields, INTERFACE, 's', self.interface);
        put_field(&mut fields, MEMBER, 's', self.member);
        put_field(&mut fields, DESTINATION, 's', self.destination);
        put_field(&mut fields, SIGNATURE, 'g', self.body.signature());
        put_length(&mut message, fields.len());
        message.extend(fields);
        pad(&mut message, 8);
        message.extend(body);
        message
    }
}

impl Body<'_> {
    fn signature(self) -> &'static str {
        match self {
            Self::Pair(..) => "ss",
            Self::List(_) => "as",
        }
    }

    fn encode(self) -> Vec<u8> {
        let mut body = Vec::new();
        match self {
            Self::Pair(one, other) => {
                put_string(&mut body, one);
                put_string(&mut body, other);
            }
            Self::List(only) => {
                let mut items = Vec::new();
                put_string(&mut items, only);
                put_length(&mut body, items.len());
                body.extend(items);
            }
        }
        body
    }
}

/// Offsets in a field count from the message's begin, which is a multiple of 8 before them.
fn put_field(fields: &mut Vec<u8>, code: u8, kind: char, value: &str) {
    pad(fields, 8);
    fields.extend([code, 1]);
    fields.extend(kind.to_string().bytes());
    fields.push(0);
    match kind {
        'g' => put_signature(fields, value),
        _ => put_string(fields, value),
    }
}

fn put_signature(out: &mut Vec<u8>, value: &str) {
    out.extend(u8::try_from(value.len()));
    out.extend(value.bytes());
    out.push(0);
}

fn put_string(out: &mut Vec<u8>, value: &str) {
    pad(out, 4);
    put_length(out, value.len());
    out.extend(value.bytes());
    out.push(0);
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    // What we send is a few hundred bytes long.
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    out.extend(length.to_le_bytes());
}

fn pad(out: &mut Vec<u8>, to: usize) {
    out.resize(out.len().next_multiple_of(to), 0);
}

/// How many bytes follow a header; `None` if it is not one, or of too long a message.
pub(super) fn rest(header: &[u8; HEADER]) -> Option<usize> {
    let mut reader = Reader::new(header);
    let [endianness, _, _, version] = *reader.take(4)?.first_chunk()?;
    if (endianness, version) != (b'l', 1) {
        return None;
    }
    let body = reader.length()?;
    let _serial = reader.length()?;
    let fields = reader.length()?;
    let rest = fields.next_multiple_of(8).checked_add(body)?;
    (rest <= LONGEST).then_some(rest)
}

/// What a message is to the call with a serial.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply<'a> {
    /// Not the answer to it.
    Other,
    /// It failed.
    Refused,
    /// Its results.
    Results(&'a [u8]),
}

/// Understands a message of which `header` is the beginning and `rest` what follows; `None` if it
/// is against the rules.
pub(super) fn reply<'a>(header: &[u8; HEADER], rest: &'a [u8], serial: u32) -> Option<Reply<'a>> {
    let kind = header[1];
    let length = Reader::new(header.get(12..)?).length()?;
    let fields = rest.get(..length)?;
    let body = rest.get(length.next_multiple_of(8)..)?;
    let answers = reply_serial(fields)? == Some(serial);
    Some(match kind {
        RETURN if answers => Reply::Results(body),
        ERROR if answers => Reply::Refused,
        _ => Reply::Other,
    })
}

fn reply_serial(fields: &[u8]) -> Option<Option<u32>> {
    let mut reader = Reader::new(fields);
    let mut serial = None;
    while !reader.is_empty() {
        reader.align(8)?;
        let code = reader.take(1)?[0];
        match reader.signature()? {
            b"u" => {
                let value = reader.number()?;
                serial = (code == REPLY_SERIAL).then_some(value).or(serial);
            }
            b"s" | b"o" => drop(reader.string()?),
            b"g" => drop(reader.signature()?),
            _ => return None,
        }
    }
    Some(serial)
}

/// The results of `Get`: a variant with a string.
pub(super) fn property(body: &[u8]) -> Option<String> {
    let mut reader = Reader::new(body);
    (reader.signature()? == b"s").then(|| reader.string())?
}

/// The results of `ListUnits` and its kin, `a(ssssssouso)`: the names, which come first in each.
pub(super) fn unit_names(body: &[u8]) -> Option<Vec<String>> {
    let mut reader = Reader::new(body);
    let length = reader.length()?;
    reader.align(8)?;
    let mut reader = Reader::new(reader.take(length)?);
    let mut names = Vec::new();
    while !reader.is_empty() {
        reader.align(8)?;
        names.push(reader.string()?);
        for _ in 0..6 {
            drop(reader.string()?);
        }
        let _job = reader.number()?;
        for _ in 0..2 {
            drop(reader.string()?);
        }
    }
    Some(names)
}

/// Takes values off bytes that begin at a multiple of 8.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn align(&mut self, to: usize) -> Option<()> {
        let end = self.at.next_multiple_of(to);
        self.take(end - self.at).map(drop)
    }

    fn number(&mut self) -> Option<u32> {
        self.align(4)?;
        let bytes = self.take(4)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    fn string(&mut self) -> Option<String> {
        let length = self.length()?;
        let text = self.take(length)?;
        (self.take(1)? == [0]).then(|| String::from_utf8_lossy(text).into_owned())
    }

    fn signature(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.take(1)?[0]);
        let text = self.take(length)?;
        (self.take(1)? == [0]).then_some(text)
    }
}

#[cfg(test)]
mod tests {
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

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 16..200), serial: u32) {
            let (header, rest_of_it) = split(&bytes);
            let _ = rest(header);
            let _ = reply(header, rest_of_it, serial);
            let _ = property(&bytes);
            let _ = unit_names(&bytes);
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
}
