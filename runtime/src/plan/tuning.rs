//! How the payload's processes run, as far as the kernel has it by process.

use std::fmt;
use std::str::FromStr;

use rustix::process::Resource;

use crate::error::{Error, Kind};
use crate::supervise::Signal;

/// What was asked for; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    /// Resource limits.
    pub limits: Vec<AskedLimit>,
    /// What `/proc/PID/oom_score_adj` is to be.
    pub oom_score: Option<OomScore>,
    /// Processors to run on.
    pub cpus: Option<CpuList>,
    /// What uname(2) tells of the processor.
    pub personality: Option<Personality>,
    /// The signal that asks the payload to stop.
    pub stop_signal: Option<Signal>,
}

/// `NAME=SOFT[:HARD]`, `None` being infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedLimit {
    /// What is limited.
    pub resource: Resource,
    /// What a process may use.
    pub soft: Option<u64>,
    /// What a process may raise the soft limit to.
    pub hard: Option<u64>,
}

/// Names of resources, with what their numbers count.
const RESOURCES: &[(&str, Resource, Unit)] = &[
    ("AS", Resource::As, Unit::Bytes),
    ("CORE", Resource::Core, Unit::Bytes),
    ("CPU", Resource::Cpu, Unit::Plain),
    ("DATA", Resource::Data, Unit::Bytes),
    ("FSIZE", Resource::Fsize, Unit::Bytes),
    ("LOCKS", Resource::Locks, Unit::Plain),
    ("MEMLOCK", Resource::Memlock, Unit::Bytes),
    ("MSGQUEUE", Resource::Msgqueue, Unit::Bytes),
    ("NICE", Resource::Nice, Unit::Nice),
    ("NOFILE", Resource::Nofile, Unit::Plain),
    ("NPROC", Resource::Nproc, Unit::Plain),
    ("RSS", Resource::Rss, Unit::Bytes),
    ("RTPRIO", Resource::Rtprio, Unit::Plain),
    ("RTTIME", Resource::Rttime, Unit::Plain),
    ("SIGPENDING", Resource::Sigpending, Unit::Plain),
    ("STACK", Resource::Stack, Unit::Bytes),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Bytes,
    Plain,
    /// 20 less the nice value; with a sign it is that value.
    Nice,
}

fn bad(what: &str, text: &str, hint: &str) -> Error {
    let text = text.escape_debug();
    Error::new(Kind::Usage, format!("invalid {what} '{text}'")).hint(hint)
}

impl FromStr for AskedLimit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let names: Vec<&str> = RESOURCES.iter().map(|(name, ..)| *name).collect();
        let hint = format!("NAME=SOFT[:HARD] with a NAME of {}", names.join(" "));
        let bad = || bad("resource limit", text, &hint);
        let (name, values) = text.split_once('=').ok_or_else(bad)?;
        let upper = name.to_ascii_uppercase();
        let name = upper.strip_prefix("RLIMIT_").unwrap_or(&upper);
        let known = RESOURCES.iter().find(|(known, ..)| *known == name);
        let &(_, resource, unit) = known.ok_or_else(bad)?;
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let soft = amount(soft, unit).ok_or_else(bad)?;
        let hard = amount(hard, unit).ok_or_else(bad)?;
        if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) {
            return Err(bad().hint("the soft limit is above the hard one"));
        }
        Ok(Self {
            resource,
            soft,
            hard,
        })
    }
}

/// A value, `Some(None)` being infinity.
fn amount(text: &str, unit: Unit) -> Option<Option<u64>> {
    if text == "infinity" {
        return Some(None);
    }
    let factors = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];
    let number = match unit {
        Unit::Bytes => {
            let last = text.chars().last()?;
            let factor = factors.iter().find(|(suffix, _)| *suffix == last);
            let shift = factor.map_or(0, |(_, shift)| *shift);
            let digits = if shift > 0 {
                &text[..text.len() - 1]
            } else {
                text
            };
            decimal(digits)?.checked_mul(1 << shift)?
        }
        Unit::Plain => decimal(text)?,
        Unit::Nice => match text.strip_prefix(['+', '-']) {
            Some(value) => {
                let value = decimal(value).filter(|n| *n <= 20)?;
                let raised = text.starts_with('-');
                if raised {
                    20 + value
                } else {
                    (20 - value).max(1)
                }
            }
            None => decimal(text).filter(|n| *n <= 40)?,
        },
    };
    Some(Some(number))
}

fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// -1000 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OomScore(i32);

impl FromStr for OomScore {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let number = text.parse().ok().filter(|n| (-1000..=1000).contains(n));
        let bad = || bad("OOM score", text, "a number from -1000 to 1000");
        number.map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for OomScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Processors by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuList(Vec<usize>);

impl CpuList {
    /// Their numbers, in ascending order.
    #[must_use]
    pub fn numbers(&self) -> &[usize] {
        &self.0
    }
}

impl FromStr for CpuList {
    type Err = Error;

    /// Numbers and ranges, separated by commas or blanks.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || {
            bad(
                "list of processors",
                text,
                "numbers and ranges, such as 0,2-3",
            )
        };
        let number = |text: &str| {
            let number = decimal(text).and_then(|n| usize::try_from(n).ok());
            number.filter(|n| *n < rustix::thread::CpuSet::MAX_CPU)
        };
        let mut numbers = Vec::new();
        let words = text.split([',', ' ', '\t']).filter(|word| !word.is_empty());
        for word in words {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let (first, last) = (
                number(first).ok_or_else(bad)?,
                number(last).ok_or_else(bad)?,
            );
            if first > last {
                return Err(bad());
            }
            numbers.extend(first..=last);
        }
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.is_empty() {
            return Err(bad());
        }
        Ok(Self(numbers))
    }
}

impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&numbers.join(","))
    }
}

/// What a process is told of the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Personality {
    /// What it is.
    Native,
    /// The 32-bit one of its family.
    Bits32,
}

impl Personality {
    /// The number that personality(2) takes.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::Native => 0,
            Self::Bits32 => 8,
        }
    }

    /// The words for this processor and for its 32-bit relative.
    const WORDS: (&'static str, Option<&'static str>) = if cfg!(target_arch = "x86_64") {
        ("x86-64", Some("x86"))
    } else if cfg!(target_arch = "aarch64") {
        ("arm64", Some("arm"))
    } else {
        ("native", None)
    };
}

impl FromStr for Personality {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (native, small) = Self::WORDS;
        match text {
            _ if text == native => Ok(Self::Native),
            _ if Some(text) == small => Ok(Self::Bits32),
            _ => Err(bad(
                "personality",
                text,
                &format!("{native} {}", small.unwrap_or("")),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(text: &str) -> Option<(Resource, Option<u64>, Option<u64>)> {
        let limit: AskedLimit = text.parse().ok()?;
        Some((limit.resource, limit.soft, limit.hard))
    }

    #[test]
    fn limits_have_a_name_and_one_or_two_values() {
        let nofile = Some((Resource::Nofile, Some(10), Some(20)));
        assert_eq!(limit("NOFILE=10:20"), nofile);
        assert_eq!(limit("RLIMIT_NOFILE=10:20"), nofile);
        assert_eq!(
            limit("core=1M"),
            Some((Resource::Core, Some(1 << 20), Some(1 << 20)))
        );
        assert_eq!(
            limit("CPU=5:infinity"),
            Some((Resource::Cpu, Some(5), None))
        );
        assert_eq!(limit("NICE=-5"), Some((Resource::Nice, Some(25), Some(25))));
        assert_eq!(limit("NICE=+20"), Some((Resource::Nice, Some(1), Some(1))));
        for text in [
            "",
            "NOFILE",
            "NOFILE=",
            "NOFILE=x",
            "NOFILE=2:1",
            "NOFILE=1M",
            "FOO=1",
            "NICE=-21",
        ] {
            assert_eq!(limit(text), None, "{text}");
        }
        assert_eq!(limit("AS=infinity:1"), None);
        assert_eq!(limit("AS=99999999T"), None);
    }

    #[test]
    fn processors_are_numbers_and_ranges() {
        let list = |text: &str| text.parse::<CpuList>().map(|list| list.to_string()).ok();
        assert_eq!(list("0,2-3 1").as_deref(), Some("0,1,2,3"));
        for text in ["", ",", "x", "3-1", "-1", "999999"] {
            assert_eq!(list(text), None, "{text}");
        }
    }

    #[test]
    fn scores_and_personalities_are_checked() {
        assert!("-1000".parse::<OomScore>().is_ok());
        for text in ["", "x", "1001", "-1001"] {
            assert!(text.parse::<OomScore>().is_err(), "{text}");
        }
        let (native, _) = Personality::WORDS;
        assert_eq!(native.parse::<Personality>().unwrap(), Personality::Native);
        assert!("pdp11".parse::<Personality>().is_err());
    }
}
