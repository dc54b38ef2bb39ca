//! The options of a DHCP message (RFC 2132), in their up to three places.

use std::net::Ipv4Addr;

pub(crate) const PAD: u8 = 0;
pub(crate) const SUBNET_MASK: u8 = 1;
pub(crate) const ROUTER: u8 = 3;
pub(crate) const DNS: u8 = 6;
pub(crate) const HOST_NAME: u8 = 12;
pub(crate) const DOMAIN: u8 = 15;
pub(crate) const MTU: u8 = 26;
pub(crate) const BROADCAST: u8 = 28;
pub(crate) const NTP: u8 = 42;
pub(crate) const REQUESTED_ADDRESS: u8 = 50;
pub(crate) const LEASE_TIME: u8 = 51;
pub(crate) const OVERLOAD: u8 = 52;
pub(crate) const MESSAGE_TYPE: u8 = 53;
pub(crate) const SERVER: u8 = 54;
pub(crate) const WANTED: u8 = 55;
pub(crate) const MAX_SIZE: u8 = 57;
pub(crate) const RENEWAL_TIME: u8 = 58;
pub(crate) const REBINDING_TIME: u8 = 59;
pub(crate) const CLIENT_ID: u8 = 61;
/// RFC 4039.
pub(crate) const RAPID_COMMIT: u8 = 80;
/// The time zone's name: RFC 4833.
pub(crate) const TIME_ZONE: u8 = 101;
/// RFC 3397.
pub(crate) const SEARCH: u8 = 119;
pub(crate) const END: u8 = 255;

/// Options that cannot be read: then nothing of the message is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The options of one message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options<'a> {
    areas: [&'a [u8]; 3],
}

impl<'a> Options<'a> {
    /// Options from their own field, and from those of the boot file's and the server's
    /// name if the former say so.
    pub(crate) fn read(own: &'a [u8], file: &'a [u8], name: &'a [u8]) -> Result<Self, Malformed> {
        let alone = Self {
            areas: [own, &[], &[]],
        };
        let areas = match alone.fixed(OVERLOAD)? {
            None => alone.areas,
            Some([1]) => [own, file, &[]],
            Some([2]) => [own, &[], name],
            Some([3]) => [own, file, name],
            Some(_) => return Err(Malformed),
        };
        let all = Self { areas };
        all.each().try_for_each(|option| option.map(drop))?;
        Ok(all)
    }

    /// The value of an option. One that occurs several times is one value in pieces
    /// (RFC 3396); the message's length bounds it.
    pub(crate) fn value(&self, code: u8) -> Result<Option<Vec<u8>>, Malformed> {
        let mut whole: Option<Vec<u8>> = None;
        for option in self.each() {
            let (found, piece) = option?;
            if found == code {
                whole.get_or_insert_default().extend(piece);
            }
        }
        Ok(whole)
    }

    /// The value of an option that must have a length of `N` if it is there.
    pub(crate) fn fixed<const N: usize>(&self, code: u8) -> Result<Option<[u8; N]>, Malformed> {
        let value = self.value(code)?;
        let fixed = value.map(|value| value.try_into().map_err(|_| Malformed));
        fixed.transpose()
    }

    /// The value of an option that is an address.
    pub(crate) fn address(&self, code: u8) -> Result<Option<Ipv4Addr>, Malformed> {
        Ok(self.fixed::<4>(code)?.map(Ipv4Addr::from))
    }

    fn each(&self) -> impl Iterator<Item = Result<(u8, &'a [u8]), Malformed>> {
        self.areas.into_iter().flat_map(|rest| Area { rest })
    }
}

/// Walks one field. It may end without the mark, as some clients have it.
struct Area<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Area<'a> {
    type Item = Result<(u8, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.rest.iter().position(|&byte| byte != PAD)?;
        let (&code, rest) = self.rest.get(start..)?.split_first()?;
        self.rest = &[];
        if code == END {
            return None;
        }
        let value = rest.split_first().and_then(|(&length, rest)| {
            let (value, rest) = rest.split_at_checked(usize::from(length))?;
            self.rest = rest;
            Some((code, value))
        });
        Some(value.ok_or(Malformed))
    }
}

/// Options being written, within a limit.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    into: &'a mut Vec<u8>,
    limit: usize,
}

impl<'a> Writer<'a> {
    /// Appends to `into`, which is not to become longer than `limit` with the end mark.
    pub(crate) fn new(into: &'a mut Vec<u8>, limit: usize) -> Self {
        Self { into, limit }
    }

    /// Writes an option, in pieces if it is long; leaves out one that has no room, and an
    /// empty one, which no option may be but a flag.
    pub(crate) fn put(&mut self, code: u8, value: &[u8]) {
        if !value.is_empty() {
            self.put_pieces(code, value);
        }
    }

    /// Writes an option that says all by being there.
    pub(crate) fn put_flag(&mut self, code: u8) {
        self.put_pieces(code, &[]);
    }

    fn put_pieces(&mut self, code: u8, value: &[u8]) {
        let pieces = value.len().div_ceil(255).max(1);
        let end_mark = 1;
        if self.into.len() + 2 * pieces + value.len() + end_mark > self.limit {
            return;
        }
        let mut rest = value;
        for _ in 0..pieces {
            let (piece, behind) = rest.split_at(rest.len().min(255));
            let length = u8::try_from(piece.len()).unwrap_or(u8::MAX);
            self.into.extend([code, length]);
            self.into.extend(piece);
            rest = behind;
        }
    }

    /// Writes the end mark.
    pub(crate) fn end(self) {
        self.into.push(END);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(own: &[u8]) -> Result<Options<'_>, Malformed> {
        Options::read(own, &[], &[])
    }

    #[test]
    fn padding_and_a_missing_end_are_taken() {
        let options = read(&[0, 0, 53, 1, 3, 0, 50, 4, 10, 0, 0, 2]).unwrap();
        assert_eq!(options.fixed(MESSAGE_TYPE), Ok(Some([3])));
        assert_eq!(
            options.address(REQUESTED_ADDRESS),
            Ok(Some([10, 0, 0, 2].into()))
        );
        assert_eq!(options.value(CLIENT_ID), Ok(None));
    }

    #[test]
    fn nothing_behind_the_end_is_read() {
        let options = read(&[53, 1, 3, 255, 53, 200]).unwrap();
        assert_eq!(options.fixed(MESSAGE_TYPE), Ok(Some([3])));
    }

    #[test]
    fn a_value_in_pieces_is_put_together() {
        let options = Options::read(
            &[52, 1, 3, 61, 2, 1, 2, 61, 1, 3, 255],
            &[61, 1, 4, 255, 9],
            &[0, 61, 1, 5],
        );
        assert_eq!(
            options.unwrap().value(CLIENT_ID),
            Ok(Some(vec![1, 2, 3, 4, 5]))
        );
    }

    #[test]
    fn names_are_no_options_unless_told() {
        let options = Options::read(&[53, 1, 1], b"pxelinux.0", b"server").unwrap();
        assert_eq!(options.fixed(MESSAGE_TYPE), Ok(Some([1])));
        let file_only = Options::read(&[52, 1, 1], &[53, 1, 1], b"server").unwrap();
        assert_eq!(file_only.fixed(MESSAGE_TYPE), Ok(Some([1])));
    }

    #[test]
    fn what_runs_over_the_end_of_its_field_is_refused() {
        for own in [&[53][..], &[53, 2, 1], &[53, 1, 1, 61], &[61, 255, 0]] {
            assert!(read(own).is_err(), "{own:?}");
        }
        assert!(Options::read(&[52, 1, 1], &[61, 9, 1], &[]).is_err());
        assert!(Options::read(&[52, 1, 4], &[], &[]).is_err());
        assert!(Options::read(&[52, 2, 1, 1], &[], &[]).is_err());
    }

    #[test]
    fn a_length_that_is_not_the_options_is_refused() {
        let options = read(&[50, 3, 10, 0, 0, 53, 2, 1, 1]).unwrap();
        assert_eq!(options.address(REQUESTED_ADDRESS), Err(Malformed));
        assert_eq!(options.fixed::<1>(MESSAGE_TYPE), Err(Malformed));
    }

    #[test]
    fn what_has_no_room_is_left_out() {
        let mut bytes = vec![];
        let mut writer = Writer::new(&mut bytes, 10);
        writer.put(HOST_NAME, b"too long");
        writer.put(MTU, &[5, 220]);
        writer.put(DOMAIN, b"abc");
        writer.put(DOMAIN, b"");
        writer.put(DNS, b"");
        writer.end();
        assert_eq!(bytes, [MTU, 2, 5, 220, DOMAIN, 3, b'a', b'b', b'c', END]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            written in prop::collection::btree_map(
                prop_oneof![1_u8..52, 53_u8..255],
                prop::collection::vec(any::<u8>(), 1..600),
                0..6,
            ),
        ) {
            let mut bytes = vec![];
            let mut writer = Writer::new(&mut bytes, usize::MAX);
            for (&code, value) in &written {
                writer.put(code, value);
            }
            writer.end();
            let options = read(&bytes).unwrap();
            for (&code, value) in &written {
                prop_assert_eq!(options.value(code), Ok(Some(value.clone())));
            }
        }

        #[test]
        fn no_limit_is_passed(
            limit in 1_usize..300,
            values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..6),
        ) {
            let mut bytes = vec![];
            let mut writer = Writer::new(&mut bytes, limit);
            for value in &values {
                writer.put(DOMAIN, value);
            }
            writer.end();
            prop_assert!(bytes.len() <= limit);
        }

        #[test]
        fn any_octets_are_survived(
            own in prop::collection::vec(any::<u8>(), 0..64),
            file in prop::collection::vec(any::<u8>(), 0..32),
            name in prop::collection::vec(any::<u8>(), 0..32),
            overload in 0_u8..5,
        ) {
            let own = [&[OVERLOAD, 1, overload][..], &own].concat();
            if let Ok(options) = Options::read(&own, &file, &name) {
                for code in 0..=255 {
                    let length = options.value(code).unwrap().map_or(0, |value| value.len());
                    prop_assert!(length <= own.len() + file.len() + name.len());
                }
            }
        }
    }
}
