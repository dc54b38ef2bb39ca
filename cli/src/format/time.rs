//! Moments and spans of time.

const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;
/// A twelfth of a year of 365.25 days.
const MONTH: u64 = 2_629_800 * SECOND;
const YEAR: u64 = 12 * MONTH;

/// `Fri 2023-10-20 20:16:23 CEST`, in the host's time zone; nothing for a year that no calendar has.
pub fn moment(usec: u64) -> Option<String> {
    let seconds = i64::try_from(usec / SECOND).ok()?;
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    let local = time.to_zoned_datetime(jiff::tz::TimeZone::system());
    Some(local.strftime("%a %F %T %Z").to_string())
}

/// `3min 12s ago`: the two largest units, or one where the second says little.
pub fn ago(usec: u64) -> String {
    let parts = |large: u64, small: u64| (usec / large, usec % large / small);
    let text = if usec >= YEAR {
        words(parts(YEAR, MONTH), "year", "month")
    } else if usec >= MONTH {
        words(parts(MONTH, DAY), "month", "day")
    } else if usec >= WEEK {
        words(parts(WEEK, DAY), "week", "day")
    } else if usec >= 2 * DAY {
        format!("{} days", usec / DAY)
    } else if usec >= DAY {
        format!("1 day {}h", usec % DAY / HOUR)
    } else if usec >= HOUR {
        let (hours, minutes) = parts(HOUR, MINUTE);
        format!("{hours}h {minutes}min")
    } else if usec >= 5 * MINUTE {
        format!("{}min", usec / MINUTE)
    } else if usec >= MINUTE {
        let (minutes, seconds) = parts(MINUTE, SECOND);
        format!("{minutes}min {seconds}s")
    } else if usec >= SECOND {
        format!("{}s", usec / SECOND)
    } else {
        format!("{}ms", usec / 1000)
    };
    text + " ago"
}

/// `3d 04:05:06`: in hours, minutes and seconds, so that columns of it can be compared.
pub fn uptime(usec: u64) -> String {
    let (days, rest) = (usec / DAY, usec % DAY);
    let (hours, minutes, seconds) = (rest / HOUR, rest % HOUR / MINUTE, rest % MINUTE / SECOND);
    let clock = format!("{hours:02}:{minutes:02}:{seconds:02}");
    match days {
        0 => clock,
        days => format!("{days}d {clock}"),
    }
}

fn words((large, small): (u64, u64), one: &str, other: &str) -> String {
    let count = |number: u64, unit: &str| match number {
        1 => format!("1 {unit}"),
        _ => format!("{number} {unit}s"),
    };
    match small {
        0 => count(large, one),
        _ => format!("{} {}", count(large, one), count(small, other)),
    }
}

/// `1h 2min 3.456s`: all units, to the millisecond.
pub fn span(usec: u64) -> String {
    if usec < SECOND {
        return format!("{}ms", usec / 1000);
    }
    let mut parts = Vec::new();
    let mut rest = usec;
    for (unit, size) in [("d", DAY), ("h", HOUR), ("min", MINUTE)] {
        if rest >= size {
            parts.push(format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    let (seconds, thousandths) = (rest / SECOND, rest % SECOND / 1000);
    if (seconds, thousandths) != (0, 0) {
        parts.push(format!("{seconds}.{thousandths:03}s"));
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_long_ago_is_told_roughly() {
        let table = [
            (0, "0ms ago"),
            (999_999, "999ms ago"),
            (8 * SECOND, "8s ago"),
            (3 * MINUTE + 12 * SECOND, "3min 12s ago"),
            (5 * MINUTE + 12 * SECOND, "5min ago"),
            (5 * HOUR + 30 * MINUTE, "5h 30min ago"),
            (DAY + 3 * HOUR, "1 day 3h ago"),
            (3 * DAY + HOUR, "3 days ago"),
            (WEEK + 3 * DAY, "1 week 3 days ago"),
            (2 * WEEK, "2 weeks ago"),
            (MONTH + DAY, "1 month 1 day ago"),
            (YEAR + 2 * MONTH, "1 year 2 months ago"),
            (3 * YEAR, "3 years ago"),
        ];
        for (usec, wanted) in table {
            assert_eq!(ago(usec), wanted);
        }
    }

    #[test]
    fn a_span_has_all_its_units() {
        let table = [
            (0, "0ms"),
            (1_234, "1ms"),
            (1_234_567, "1.234s"),
            (MINUTE, "1min"),
            (2 * DAY + HOUR + 2 * MINUTE + 3_456_000, "2d 1h 2min 3.456s"),
        ];
        for (usec, wanted) in table {
            assert_eq!(span(usec), wanted);
        }
    }

    #[test]
    fn a_moment_has_weekday_date_time_and_zone() {
        let text = moment(1_700_000_000 * SECOND).unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        assert_eq!(words.len(), 4, "{text}");
        assert!(["Tue", "Wed"].contains(&words[0]), "{text}");
        assert!(words[1].starts_with("2023-11-1"), "{text}");
        assert_eq!(moment(u64::MAX), None);
    }

    #[test]
    fn uptimes_have_one_width_within_a_day() {
        let table = [
            (0, "00:00:00"),
            (HOUR + 2 * MINUTE + 3 * SECOND + 999_999, "01:02:03"),
            (3 * DAY + 4 * HOUR, "3d 04:00:00"),
        ];
        for (usec, wanted) in table {
            assert_eq!(uptime(usec), wanted);
        }
    }
}
