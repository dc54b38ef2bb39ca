//! When each part of a console's log was written.
//!
//! The log itself holds what the machine wrote and nothing else. A file beside it has a line for
//! each second in which something was written: how many bytes there were before, and the time in
//! microseconds since 1970.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What is written within that of a noted time, in microseconds, has the same.
const PRECISION: u64 = 1_000_000;

/// Where the times of the log at `path` are.
pub(crate) fn times_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".times");
    name.into()
}

/// Writes the times of a log that grows.
#[derive(Debug)]
pub(super) struct Writer {
    file: File,
    last: Option<u64>,
}

impl Writer {
    pub(super) fn new(file: File) -> Self {
        Self { file, last: None }
    }

    /// What is written from `offset` on is written `now`. Clocks may be set back.
    pub(super) fn note(&mut self, offset: u64, now: u64) {
        let same = |last: u64| now.checked_sub(last).is_some_and(|gone| gone < PRECISION);
        if !self.last.is_some_and(same) {
            self.last = Some(now);
            let _ = writeln!(self.file, "{offset} {now}");
        }
    }
}

/// A period; what has no end does not end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// The first moment, in microseconds since 1970.
    pub since_usec: Option<u64>,
    /// The last one.
    pub until_usec: Option<u64>,
}

impl Period {
    /// Whether nothing is outside of it.
    #[must_use]
    pub fn is_all(self) -> bool {
        self == Self::default()
    }

    /// What was noted at `time` was written then or within [`PRECISION`].
    fn has(self, time: u64) -> bool {
        let early = |since| time.saturating_add(PRECISION) <= since;
        let late = |until| time > until;
        !self.since_usec.is_some_and(early) && !self.until_usec.is_some_and(late)
    }
}

/// The lines of a log that were written within a period, as its times tell. What was written at a
/// time that is not known counts.
pub(crate) fn within<'a>(content: &'a [u8], times: &str, period: Period) -> &'a [u8] {
    if period.is_all() {
        return content;
    }
    let mut parts: Vec<(usize, Option<u64>)> = times.lines().filter_map(part).collect();
    if parts.first().is_none_or(|(offset, _)| *offset > 0) {
        parts.insert(0, (0, None));
    }
    let ends = parts.iter().skip(1).map(|(offset, _)| *offset);
    let ends = ends.chain([content.len()]);
    let mut kept = parts
        .iter()
        .zip(ends)
        .filter(|((_, time), _)| time.is_none_or(|time| period.has(time)))
        .map(|((start, _), end)| (*start, end));
    let Some((start, end)) = kept.next() else {
        return &[];
    };
    let end = kept.last().map_or(end, |(_, end)| end);
    whole_lines(content, start, end)
}

fn part(line: &str) -> Option<(usize, Option<u64>)> {
    let (offset, time) = line.split_once(' ')?;
    Some((offset.parse().ok()?, Some(time.parse().ok()?)))
}

/// The bytes, and the rest of the lines that they are in.
fn whole_lines(content: &[u8], start: usize, end: usize) -> &[u8] {
    let (before, from) = content.split_at(start.min(content.len()));
    let start = before.iter().rposition(|byte| *byte == b'\n');
    let start = start.map_or(0, |at| at + 1);
    let is_end = |(at, byte): &(usize, &u8)| **byte == b'\n' && before.len() + at + 1 >= end;
    let end = from.iter().enumerate().find(is_end);
    let end = end.map_or(content.len(), |(at, _)| before.len() + at + 1);
    content.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &[u8] = b"one\ntwo\nlogin: root\nlast\n";
    const SECOND: u64 = 1_000_000;

    fn cut(times: &str, since: Option<u64>, until: Option<u64>) -> String {
        let usec = |seconds: Option<u64>| seconds.map(|seconds| seconds * SECOND);
        let period = Period {
            since_usec: usec(since),
            until_usec: usec(until),
        };
        String::from_utf8(within(LOG, times, period).to_vec()).unwrap()
    }

    #[test]
    fn lines_are_found_by_their_times() {
        // The name was typed ten seconds after the prompt.
        let times = "0 10000000\n4 20000000\n8 30000000\n15 40000000\n20 50000000\n";
        let all = String::from_utf8(LOG.to_vec()).unwrap();
        assert_eq!(cut(times, None, None), all);
        assert_eq!(cut(times, Some(10), Some(60)), all);
        assert_eq!(cut(times, Some(20), None), "two\nlogin: root\nlast\n");
        assert_eq!(cut(times, Some(35), None), "login: root\nlast\n");
        assert_eq!(cut(times, None, Some(25)), "one\ntwo\n");
        assert_eq!(cut(times, Some(15), Some(30)), "two\nlogin: root\n");
        assert_eq!(cut(times, Some(51), None), "");
        assert_eq!(cut(times, None, Some(9)), "");
    }

    #[test]
    fn what_is_within_a_second_of_a_time_may_have_been_written_then() {
        assert_eq!(cut("0 10000000\n", Some(10), None).len(), LOG.len());
        let period = Period {
            since_usec: Some(10 * SECOND + 999_999),
            until_usec: None,
        };
        assert!(period.has(10 * SECOND));
    }

    #[test]
    fn what_has_no_time_counts_and_a_clock_may_be_set_back() {
        assert_eq!(cut("", Some(99), None).len(), LOG.len());
        assert_eq!(cut("4 10000000\n", Some(99), None), "one\n");
        let back = "0 50000000\n4 10000000\n8 60000000\n";
        assert_eq!(cut(back, Some(40), Some(55)), "one\n");
    }

    #[test]
    fn a_time_is_noted_once_a_second() {
        let mut file = tempfile::tempfile().unwrap();
        let mut writer = Writer::new(file.try_clone().unwrap());
        for (offset, now) in [
            (0, 5 * SECOND),
            (9, 5 * SECOND + 1),
            (10, 6 * SECOND),
            (11, SECOND),
        ] {
            writer.note(offset, now);
        }
        let mut text = String::new();
        std::io::Seek::rewind(&mut file).unwrap();
        std::io::Read::read_to_string(&mut file, &mut text).unwrap();
        assert_eq!(text, "0 5000000\n10 6000000\n11 1000000\n");
    }

    proptest::proptest! {
        #[test]
        fn no_times_make_it_panic(times in "([0-9]{0,3} ?[0-9]{0,4}\n){0,8}", since in 0u64..9999, until in 0u64..9999) {
            let period = Period { since_usec: Some(since), until_usec: Some(until) };
            let _ = within(LOG, &times, period);
        }
    }
}
