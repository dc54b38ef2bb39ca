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
const SIGNAL: u8 = 4;

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
    /// One string.
    Name(&'a str),
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
            Self::Name(_) => "s",
        }
    }

    fn encode(self) -> Vec<u8> {
        let mut body = Vec::new();
        match self {
            Self::Pair(one, other) => {
                put_string(&mut body, one);
                put_string(&mut body, other);
            }
            Self::Name(only) => put_string(&mut body, only),
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
    /// Something that the object of this path says by itself.
    Signal(String),
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
    let Fields { path, answers } = read_fields(fields)?;
    let answers = answers == Some(serial);
    Some(match kind {
        SIGNAL => Reply::Signal(path?),
        RETURN if answers => Reply::Results(body),
        ERROR if answers => Reply::Refused,
        _ => Reply::Other,
    })
}

/// Of a message's fields, those that are of use.
#[derive(Default)]
struct Fields {
    path: Option<String>,
    answers: Option<u32>,
}

fn read_fields(bytes: &[u8]) -> Option<Fields> {
    let mut reader = Reader::new(bytes);
    let mut fields = Fields::default();
    while !reader.is_empty() {
        reader.align(8)?;
        let code = reader.take(1)?[0];
        match reader.signature()? {
            b"u" => {
                let value = reader.number()?;
                fields.answers = (code == REPLY_SERIAL).then_some(value).or(fields.answers);
            }
            b"s" | b"o" => {
                let value = reader.string()?;
                fields.path = (code == PATH).then_some(value).or(fields.path);
            }
            b"g" => drop(reader.signature()?),
            _ => return None,
        }
    }
    Some(fields)
}

/// The results of `Get`: a variant with a string.
pub(super) fn property(body: &[u8]) -> Option<String> {
    let mut reader = Reader::new(body);
    (reader.signature()? == b"s").then(|| reader.string())?
}

/// The results of `Get`: a variant with a number.
pub(super) fn number(body: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(body);
    (reader.signature()? == b"u").then(|| reader.number())?
}

/// The results of `LoadUnit`: an object's path.
pub(super) fn object(body: &[u8]) -> Option<String> {
    Reader::new(body).string()
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
mod tests;
