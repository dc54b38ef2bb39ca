//! Moments as users of systemd's tools write them.

use std::str::FromStr;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan, ZonedDateTime};

/// A moment that may depend on when and where it is read.
#[derive(Clone, Debug)]
pub enum When {
    /// The beginning of a day, so many days from today.
    Day(i64),
    /// In local time.
    Local(DateTime),
    /// Today, in local time.
    Today(Time),
    /// Everywhere the same.
    Fixed(Timestamp),
    /// So long from now; negative for the past.
    Distance(Span),
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let day = match text {
            "now" => return Ok(Self::Distance(Span::new())),
            "yesterday" => Some(-1),
            "today" => Some(0),
            "tomorrow" => Some(1),
            _ => None,
        };
        if let Some(day) = day {
            return Ok(Self::Day(day));
        }
        let found = match text.strip_prefix('@') {
            Some(seconds) => unix(seconds).map(Self::Fixed),
            None => written(text),
        };
        found.ok_or_else(|| {
            "a moment is '2026-01-31 18:00:00', '18:00', 'yesterday', '1h ago', '-5min' or '@SECONDS'"
                .to_owned()
        })
    }
}

fn unix(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(seconds) || !digits(fraction) {
        return None;
    }
    let nanoseconds = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Timestamp::new(seconds.parse().ok()?, nanoseconds).ok()
}

/// The order matters: a date alone would be read as one with a time too.
fn written(text: &str) -> Option<When> {
    let is_clock = |c: char| c.is_ascii_digit() || matches!(c, ':' | '.');
    if text.contains(':') && text.chars().all(is_clock) {
        return text.parse().map(When::Today).ok();
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(When::Fixed(moment));
    }
    if let Some(local) = text.strip_suffix(" UTC") {
        let utc = civil(local)?.to_zoned_datetime(TimeZone::UTC).ok()?;
        return Some(When::Fixed(utc.timestamp()));
    }
    if let Some(local) = civil(text) {
        return Some(When::Local(local));
    }
    // ISO 8601 has durations too, which nobody means.
    let is_span = !text.starts_with(['P', 'p']) && text.contains(|c: char| c.is_ascii_digit());
    is_span.then(|| text.parse().ok().map(When::Distance))?
}

fn civil(text: &str) -> Option<DateTime> {
    match text.parse::<Date>() {
        Ok(date) if text.len() <= 10 => Some(date.at(0, 0, 0, 0)),
        _ => text.parse().ok(),
    }
}

impl When {
    /// Microseconds since 1970, for a reader at `now`; nothing for a moment that cannot be
    /// told or was before.
    pub fn usec(&self, now: &ZonedDateTime) -> Option<u64> {
        let zone = || now.time_zone().clone();
        let moment = match self {
            Self::Day(days) => {
                let day = now.date().checked_add((*days).days()).ok()?;
                day.to_zoned_datetime(zone()).ok()?.timestamp()
            }
            Self::Local(local) => local.to_zoned_datetime(zone()).ok()?.timestamp(),
            Self::Today(time) => {
                let local = now.date().to_datetime(*time);
                local.to_zoned_datetime(zone()).ok()?.timestamp()
            }
            Self::Fixed(moment) => *moment,
            Self::Distance(span) => now.checked_add(*span).ok()?.timestamp(),
        };
        u64::try_from(moment.as_microsecond()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reader's clock says Saturday, 31 January 2026, 18:30 in Berlin.
    fn read(text: &str) -> Option<String> {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let now: ZonedDateTime = "2026-01-31T17:30:00Z"
            .parse::<Timestamp>()
            .unwrap()
            .to_zoned_datetime(zone);
        let when: When = text.parse().ok()?;
        let usec = i64::try_from(when.usec(&now)?).unwrap();
        Some(Timestamp::from_microsecond(usec).unwrap().to_string())
    }

    #[test]
    fn the_forms_of_journalctl_are_understood() {
        let table = [
            ("now", "2026-01-31T17:30:00Z"),
            ("today", "2026-01-30T23:00:00Z"),
            ("yesterday", "2026-01-29T23:00:00Z"),
            ("tomorrow", "2026-01-31T23:00:00Z"),
            ("18:00", "2026-01-31T17:00:00Z"),
            ("18:00:05", "2026-01-31T17:00:05Z"),
            ("2026-01-02", "2026-01-01T23:00:00Z"),
            ("2026-01-02 03:04", "2026-01-02T02:04:00Z"),
            ("2026-01-02 03:04:05", "2026-01-02T02:04:05Z"),
            ("2026-01-02 03:04:05 UTC", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05Z"),
            ("@1700000000", "2023-11-14T22:13:20Z"),
            ("@1700000000.5", "2023-11-14T22:13:20.5Z"),
            ("-5min", "2026-01-31T17:25:00Z"),
            ("1h ago", "2026-01-31T16:30:00Z"),
            ("1h 30min ago", "2026-01-31T16:00:00Z"),
            ("2 days ago", "2026-01-29T17:30:00Z"),
            ("+1min", "2026-01-31T17:31:00Z"),
        ];
        for (text, moment) in table {
            assert_eq!(read(text).as_deref(), Some(moment), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "soon",
            "25:00",
            "2026-13-01",
            "2026-02-30 10:00",
            "@",
            "@x",
            "@-1",
            "@1.x",
            "5",
            "PT5M",
            "1h ago ago",
            "@99999999999999999999",
            "ago",
        ] {
            assert!(
                text.parse::<When>().is_err(),
                "{text}: {:?}",
                text.parse::<When>()
            );
        }
        assert_eq!(read("9999 years ago"), None);
    }

    #[test]
    fn nothing_makes_it_panic() {
        for text in [
            "@.",
            "@1.",
            ":",
            "::",
            "1:",
            "\u{fc}",
            "-",
            "+",
            "1h\u{1f600}",
            " UTC",
        ] {
            let _ = read(text);
        }
    }
}
