//! The escape sequence on the user's side of an interactive console.

use std::time::{Duration, Instant};

/// Ctrl-].
const ESCAPE: u8 = 0x1d;
/// The three keys have to come within this time, as in systemd-nspawn.
const WITHIN: Duration = Duration::from_secs(1);

/// What the user asks of the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HotKey {
    /// `^]^]^]`: end the machine at once.
    Leave,
    /// `^]^]p`
    PowerOff,
    /// `^]^]r`
    Reboot,
}

/// Looks for the sequence in what the user types. Two escapes pass on to the payload without
/// delay; only a third key that completes the sequence is kept back.
#[derive(Debug, Default)]
pub(crate) struct HotKeys {
    /// When the key before the last was an escape.
    earlier: Option<Instant>,
    /// When the last key was an escape.
    last: Option<Instant>,
}

impl HotKeys {
    /// Splits off what the payload gets of `typed`, up to the first hot key if there is one,
    /// and says how much of `typed` was looked at.
    pub(crate) fn scan<'a>(
        &mut self,
        typed: &'a [u8],
        now: Instant,
    ) -> (&'a [u8], Option<HotKey>, usize) {
        for (index, &key) in typed.iter().enumerate() {
            if let Some(hot) = self.press(key, now) {
                let (before, _) = typed.split_at(index);
                return (before, Some(hot), index + 1);
            }
        }
        (typed, None, typed.len())
    }

    fn press(&mut self, key: u8, now: Instant) -> Option<HotKey> {
        let armed = self.earlier.is_some_and(|earlier| now < earlier + WITHIN);
        let hot = match key {
            ESCAPE => Some(HotKey::Leave),
            b'p' => Some(HotKey::PowerOff),
            b'r' => Some(HotKey::Reboot),
            _ => None,
        };
        if armed && hot.is_some() {
            *self = Self::default();
            return hot;
        }
        self.earlier = self.last.filter(|_| key == ESCAPE);
        self.last = (key == ESCAPE).then_some(now);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn type_all(keys: &mut HotKeys, typed: &[(u64, u8)]) -> Vec<HotKey> {
        let start = Instant::now();
        typed
            .iter()
            .filter_map(|&(ms, key)| keys.scan(&[key], start + Duration::from_millis(ms)).1)
            .collect()
    }

    #[test]
    fn three_escapes_within_a_second_leave() {
        let typed = [(0, ESCAPE), (400, ESCAPE), (999, ESCAPE)];
        assert_eq!(type_all(&mut HotKeys::default(), &typed), [HotKey::Leave]);
    }

    #[test]
    fn three_escapes_over_more_than_a_second_do_not() {
        let typed = [(0, ESCAPE), (400, ESCAPE), (1000, ESCAPE)];
        assert_eq!(type_all(&mut HotKeys::default(), &typed), []);
    }

    #[test]
    fn the_second_is_any_second() {
        let typed = [(0, ESCAPE), (900, ESCAPE), (1100, ESCAPE), (1300, ESCAPE)];
        assert_eq!(type_all(&mut HotKeys::default(), &typed), [HotKey::Leave]);
    }

    #[test]
    fn other_keys_break_the_sequence() {
        let typed = [
            (0, ESCAPE),
            (1, b'x'),
            (2, ESCAPE),
            (3, ESCAPE),
            (4, b'x'),
            (5, ESCAPE),
        ];
        assert_eq!(type_all(&mut HotKeys::default(), &typed), []);
    }

    #[test]
    fn p_and_r_power_off_and_reboot() {
        let typed = [
            (0, ESCAPE),
            (1, ESCAPE),
            (2, b'p'),
            (3, ESCAPE),
            (4, ESCAPE),
            (5, b'r'),
        ];
        assert_eq!(
            type_all(&mut HotKeys::default(), &typed),
            [HotKey::PowerOff, HotKey::Reboot]
        );
    }

    #[test]
    fn the_payload_gets_what_was_typed_before() {
        let mut keys = HotKeys::default();
        let typed = [b'a', ESCAPE, ESCAPE, ESCAPE, b'z'];
        let (before, hot, used) = keys.scan(&typed, Instant::now());
        assert_eq!(before, [b'a', ESCAPE, ESCAPE]);
        assert_eq!((hot, used), (Some(HotKey::Leave), 4));
    }

    proptest! {
        #[test]
        fn without_escapes_everything_passes(typed in prop::collection::vec(any::<u8>(), 0..64)) {
            let typed: Vec<u8> = typed.into_iter().filter(|&b| b != ESCAPE).collect();
            let (passed, hot, used) = HotKeys::default().scan(&typed, Instant::now());
            prop_assert_eq!(passed, &typed[..]);
            prop_assert_eq!((hot, used), (None, typed.len()));
        }

        #[test]
        fn chunks_do_not_matter(typed in prop::collection::vec(prop::sample::select(&[ESCAPE, b'p', b'r', b'x'][..]), 0..32)) {
            let now = Instant::now();
            let one_by_one: Vec<HotKey> = {
                let mut keys = HotKeys::default();
                typed.iter().filter_map(|&k| keys.scan(&[k], now).1).collect()
            };
            let (mut keys, mut rest, mut at_once) = (HotKeys::default(), &typed[..], Vec::new());
            while !rest.is_empty() {
                let (_, hot, used) = keys.scan(rest, now);
                at_once.extend(hot);
                rest = &rest[used..];
            }
            prop_assert_eq!(one_by_one, at_once);
        }
    }
}
