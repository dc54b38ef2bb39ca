//! The wire format of nfnetlink: messages made of nested attributes, see netlink(7) and
//! the kernel's `nfnetlink.h`. Numbers in attributes are big-endian.

/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// Length of `struct nfgenmsg`, which every message of this family begins with.
const GENERIC: usize = 4;
const NESTED: u16 = 0x8000;
/// Also masks out the flag for byte order.
const KIND: u16 = 0x3fff;

const NFNL_SUBSYS_CTNETLINK: u16 = 1;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 16;
const NFNL_MSG_BATCH_END: u16 = 17;
const NFNL_BATCH_GENID: u16 = 1;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP_INTR: u16 = 0x10;
/// Makes a `GET` list everything.
pub(super) const NLM_F_DUMP: u16 = 0x300;
/// Makes a `NEW` of what is there already fail.
pub(super) const NLM_F_EXCL: u16 = 0x200;
/// Makes a `NEW` create.
pub(super) const NLM_F_CREATE: u16 = 0x400;
/// Puts a rule behind the others of its chain instead of in front.
pub(super) const NLM_F_APPEND: u16 = 0x800;

pub(super) const NLMSG_ERROR: u16 = 2;
pub(super) const NLMSG_DONE: u16 = 3;

/// Which packets a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Family {
    Unspecified = 0,
    Inet = 1,
    Ipv4 = 2,
    Bridge = 7,
    Ipv6 = 10,
}

/// Attributes being written, at any depth.
#[derive(Debug)]
pub(super) struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    pub(super) fn bytes(&mut self, kind: u16, value: &[u8]) {
        self.attribute(kind, |out| out.extend(value));
    }

    pub(super) fn number(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// Text with the NUL that the kernel wants behind it.
    pub(super) fn text(&mut self, kind: u16, value: &str) {
        self.attribute(kind, |out| {
            out.extend(value.as_bytes());
            out.push(0);
        });
    }

    pub(super) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Writer<'_>)) {
        self.attribute(kind | NESTED, |out| fill(&mut Writer(out)));
    }

    fn attribute(&mut self, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) {
        let start = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend(kind.to_ne_bytes());
        fill(self.0);
        let length = u16::try_from(self.0.len() - start)
            .expect("a message holds one object, whose parts are all bounded");
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        pad(self.0);
    }
}

/// Messages on their way out. Their sequence numbers count from 0.
#[derive(Debug, Default)]
pub(super) struct Messages {
    bytes: Vec<u8>,
    count: u32,
    last: usize,
}

impl Messages {
    /// Opens a transaction, which [`end`](Self::end) closes. With `generation` it is
    /// refused (`ERESTART`) unless that is still the rule set's generation.
    pub(super) fn begin(generation: Option<u32>) -> Self {
        let mut messages = Self::default();
        messages.control(NFNL_MSG_BATCH_BEGIN, |out| {
            if let Some(generation) = generation {
                out.number(NFNL_BATCH_GENID, generation);
            }
        });
        messages
    }

    /// Adds a message of nftables and returns its sequence number.
    pub(super) fn add(
        &mut self,
        kind: u16,
        flags: u16,
        family: Family,
        fill: impl FnOnce(&mut Writer<'_>),
    ) -> u32 {
        self.message(nftables(kind), flags, [family as u8, 0, 0, 0], fill)
    }

    /// Adds a message of connection tracking, acknowledged, that is for one family only:
    /// version 0 of the protocol would mean every one.
    pub(super) fn add_conntrack(
        &mut self,
        number: u16,
        family: Family,
        fill: impl FnOnce(&mut Writer<'_>),
    ) {
        let kind = NFNL_SUBSYS_CTNETLINK << 8 | number;
        self.message(kind, NLM_F_ACK, [family as u8, 1, 0, 0], fill);
    }

    /// Closes the transaction. The kernel acknowledges its last message: kernels before
    /// 6.10 acknowledge neither the first nor the closing one.
    pub(super) fn end(&mut self) {
        let at = self.last + 6;
        let flags = u16::from_ne_bytes([self.bytes[at], self.bytes[at + 1]]) | NLM_F_ACK;
        self.bytes[at..at + 2].copy_from_slice(&flags.to_ne_bytes());
        self.control(NFNL_MSG_BATCH_END, |_| {});
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn control(&mut self, kind: u16, fill: impl FnOnce(&mut Writer<'_>)) {
        let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
        self.message(kind, 0, [0, 0, high, low], fill);
    }

    fn message(
        &mut self,
        kind: u16,
        flags: u16,
        generic: [u8; GENERIC],
        fill: impl FnOnce(&mut Writer<'_>),
    ) -> u32 {
        let (start, sequence) = (self.bytes.len(), self.count);
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((flags | NLM_F_REQUEST).to_ne_bytes());
        self.bytes.extend(sequence.to_ne_bytes());
        // The sender's port, which the kernel fills in.
        self.bytes.extend([0; 4]);
        self.bytes.extend(generic);
        fill(&mut Writer(&mut self.bytes));
        let length = u32::try_from(self.bytes.len() - start)
            .expect("a message holds one object, whose parts are all bounded");
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        self.last = start;
        self.count += 1;
        sequence
    }
}

/// The type of nftables' message of that number.
pub(super) fn nftables(number: u16) -> u16 {
    NFNL_SUBSYS_NFTABLES << 8 | number
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// A message that has come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// Subsystem and number: [`nftables`] of a number, or a general one such as
    /// [`NLMSG_DONE`].
    pub(super) kind: u16,
    pub(super) sequence: u32,
    /// What is listed was changed meanwhile, so that the listing may be of two minds.
    pub(super) overtaken: bool,
    pub(super) body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The positive error number, 0 for an acknowledgement, `None` for anything else.
    pub(super) fn error(&self) -> Option<i32> {
        let code = self.body.first_chunk::<4>()?;
        (self.kind == NLMSG_ERROR).then(|| i32::from_ne_bytes(*code).saturating_neg())
    }

    /// The number of the family of the object that this is about.
    pub(super) fn family(&self) -> Option<u8> {
        self.body.first().copied()
    }

    pub(super) fn attributes(&self) -> Attributes<'a> {
        Attributes(self.body.get(GENERIC..).unwrap_or_default())
    }
}

/// The messages of one datagram.
pub(super) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let header = datagram.first_chunk::<HEADER>()?;
        let [a, b, c, d, e, f, k, l, g, h, i, j, ..] = *header;
        let length = usize::try_from(u32::from_ne_bytes([a, b, c, d])).ok()?;
        let body = datagram.get(HEADER..length)?;
        datagram = datagram
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
        Some(Message {
            kind: u16::from_ne_bytes([e, f]),
            sequence: u32::from_ne_bytes([g, h, i, j]),
            overtaken: u16::from_ne_bytes([k, l]) & NLM_F_DUMP_INTR != 0,
            body,
        })
    })
}

/// Attributes being read: pairs of kind and value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    pub(super) fn get(self, kind: u16) -> Option<&'a [u8]> {
        self.into_iter()
            .find_map(|(found, value)| (found == kind).then_some(value))
    }

    pub(super) fn nested(self, kind: u16) -> Attributes<'a> {
        Attributes(self.get(kind).unwrap_or_default())
    }

    pub(super) fn number(self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(*self.get(kind)?.first_chunk()?))
    }

    pub(super) fn text(self, kind: u16) -> Option<&'a str> {
        text(self.get(kind)?)
    }

    /// Each value of that kind, read as attributes itself.
    pub(super) fn each(self, kind: u16) -> impl Iterator<Item = Attributes<'a>> {
        self.into_iter()
            .filter(move |(found, _)| *found == kind)
            .map(|(_, value)| Attributes(value))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let &[a, b, c, d] = self.0.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([c, d]) & KIND, value))
    }
}

/// Text up to the first NUL.
pub(super) fn text(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    std::str::from_utf8(bytes.get(..end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_written_is_read() {
        let mut out = Messages::begin(Some(7));
        let sequence = out.add(9, NLM_F_CREATE, Family::Inet, |message| {
            message.text(1, "nsrun");
            message.nest(2, |nest| {
                nest.number(1, 0x0102_0304);
                nest.bytes(1, b"odd");
            });
        });
        out.end();
        let read: Vec<Message<'_>> = messages(out.as_bytes()).collect();
        assert_eq!(read.len(), 3);
        assert_eq!(read[0].attributes().number(NFNL_BATCH_GENID), Some(7));
        assert_eq!((read[1].kind, read[1].sequence), (nftables(9), sequence));
        assert_eq!(read[1].family(), Some(Family::Inet as u8));
        let attributes = read[1].attributes();
        assert_eq!(attributes.get(1).and_then(text), Some("nsrun"));
        assert_eq!(attributes.nested(2).number(1), Some(0x0102_0304));
        assert_eq!(attributes.nested(2).last(), Some((1, &b"odd"[..])));
    }

    #[test]
    fn only_the_last_message_before_the_end_is_acknowledged() {
        let mut out = Messages::begin(None);
        out.add(1, NLM_F_CREATE, Family::Inet, |_| {});
        out.add(2, NLM_F_CREATE, Family::Inet, |_| {});
        out.end();
        let flags = |message: usize| {
            let at = message * (HEADER + GENERIC) + 6;
            u16::from_ne_bytes([out.as_bytes()[at], out.as_bytes()[at + 1]])
        };
        let plain = NLM_F_REQUEST | NLM_F_CREATE;
        assert_eq!([flags(1), flags(2)], [plain, plain | NLM_F_ACK]);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for message in messages(&bytes) {
                let _ = message.error();
                for (_, value) in message.attributes() {
                    let _ = (text(value), Attributes(value).count());
                }
            }
        }
    }
}
