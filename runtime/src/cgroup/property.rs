//! Limits of a machine as a whole, by systemd's names: for systemd where it makes the scope, and as
//! the kernel's files elsewhere.

use std::collections::BTreeSet;
use std::str::FromStr;

use zbus::zvariant::Value;

use crate::error::{Error, Kind, Result};

/// The period that a quota of processor time is counted in: the kernel's and systemd's default.
const PERIOD_USEC: u64 = 100_000;

/// Above any machine's number of processors and memory nodes.
const MOST: usize = 8192;

/// A name and a value of systemd.resource-control(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    name: &'static str,
    file: &'static str,
    amount: Amount,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Amount {
    /// Bytes or a count; `None` is infinity.
    Number(Option<u64>),
    /// From 1 to 10000.
    Weight(u64),
    /// Hundredths of a percent of one processor; `None` is infinity.
    Quota(Option<u64>),
    /// Numbers of processors or memory nodes.
    Set(BTreeSet<usize>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Bytes,
    Count,
    Weight,
    Quota,
    Set,
}

/// Names, the kernel's files, and what values look like.
const TABLE: &[(&str, &str, Form)] = &[
    ("MemoryMin", "memory.min", Form::Bytes),
    ("MemoryLow", "memory.low", Form::Bytes),
    ("MemoryHigh", "memory.high", Form::Bytes),
    ("MemoryMax", "memory.max", Form::Bytes),
    ("MemorySwapMax", "memory.swap.max", Form::Bytes),
    ("CPUWeight", "cpu.weight", Form::Weight),
    ("CPUQuota", "cpu.max", Form::Quota),
    ("IOWeight", "io.weight", Form::Weight),
    ("TasksMax", "pids.max", Form::Count),
    ("AllowedCPUs", "cpuset.cpus", Form::Set),
    ("AllowedMemoryNodes", "cpuset.mems", Form::Set),
];

impl Property {
    /// Its name, such as `MemoryMax`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The file of a cgroup that has it, which begins with the controller's name.
    pub(super) fn file(&self) -> &'static str {
        self.file
    }

    /// What is written there.
    pub(super) fn text(&self) -> String {
        match &self.amount {
            Amount::Number(None) => "max".to_owned(),
            Amount::Number(Some(number)) => number.to_string(),
            Amount::Weight(weight) => weight.to_string(),
            Amount::Quota(None) => format!("max {PERIOD_USEC}"),
            Amount::Quota(Some(share)) => {
                let usec = share.saturating_mul(PERIOD_USEC) / 10_000;
                format!("{usec} {PERIOD_USEC}")
            }
            Amount::Set(set) => {
                let numbers: Vec<String> = set.iter().map(ToString::to_string).collect();
                numbers.join(",")
            }
        }
    }

    /// The property of a unit on systemd's bus.
    pub(super) fn on_bus(&self) -> (&'static str, Value<'static>) {
        let or_most = |number: &Option<u64>| number.unwrap_or(u64::MAX);
        match &self.amount {
            Amount::Number(number) => (self.name, or_most(number).into()),
            Amount::Weight(weight) => (self.name, (*weight).into()),
            Amount::Quota(share) => {
                let usec = share.map(|share| share.saturating_mul(100));
                ("CPUQuotaPerSecUSec", or_most(&usec).into())
            }
            Amount::Set(set) => (self.name, mask(set).into()),
        }
    }
}

/// A bit for each number, the least first.
fn mask(set: &BTreeSet<usize>) -> Vec<u8> {
    let mut bytes = vec![0; set.last().map_or(0, |most| most / 8 + 1)];
    for number in set {
        if let Some(byte) = bytes.get_mut(number / 8) {
            *byte |= 1 << (number % 8);
        }
    }
    bytes
}

impl std::fmt::Display for Property {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}: {})", self.name, self.file, self.text())
    }
}

impl FromStr for Property {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let shown = text.escape_debug();
        let bad = |why: &str| {
            let what = format!("invalid property '{shown}': {why}");
            Error::new(Kind::Usage, what)
        };
        let (name, value) = text.split_once('=').ok_or_else(|| bad("no NAME=VALUE"))?;
        let Some((name, file, form)) = TABLE.iter().find(|(known, ..)| *known == name) else {
            let known: Vec<&str> = TABLE.iter().map(|(name, ..)| *name).collect();
            let known = known.join(" ");
            return Err(bad(&format!(
                "there are {known}; others are those of a unit: systemd-run -p NAME=VALUE \
                 -p Delegate=yes nsrun \u{2026}"
            )));
        };
        let amount = form.read(value).ok_or_else(|| bad(form.wanted()))?;
        Ok(Self { name, file, amount })
    }
}

impl Form {
    fn read(self, value: &str) -> Option<Amount> {
        Some(match self {
            Self::Bytes => Amount::Number(bytes(value)?),
            Self::Count => Amount::Number(match value {
                "infinity" => None,
                _ => Some(decimal(value).filter(|count| *count > 0)?),
            }),
            Self::Weight => Amount::Weight(decimal(value).filter(|n| (1..=10_000).contains(n))?),
            Self::Quota => Amount::Quota(match value {
                "infinity" => None,
                _ => Some(percent(value).filter(|share| *share >= 100)?),
            }),
            Self::Set => Amount::Set(set(value)?),
        })
    }

    fn wanted(self) -> &'static str {
        match self {
            Self::Bytes => "a size such as 512M, or infinity, is wanted",
            Self::Count => "a number, or infinity, is wanted",
            Self::Weight => "a number from 1 to 10000 is wanted",
            Self::Quota => "a share of one processor such as 150%, at least 1%, is wanted",
            Self::Set => "numbers and ranges such as 0,2-3 are wanted",
        }
    }
}

fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// `Some(None)` is infinity. Suffixes are powers of 1024, as systemd has them for memory.
fn bytes(text: &str) -> Option<Option<u64>> {
    if text == "infinity" {
        return Some(None);
    }
    let suffixes = [("K", 10), ("M", 20), ("G", 30), ("T", 40), ("B", 0)];
    let suffixed = suffixes
        .iter()
        .find_map(|(suffix, shift)| Some((text.strip_suffix(suffix)?, *shift)));
    let (digits, shift) = suffixed.unwrap_or((text, 0));
    decimal(digits)?.checked_mul(1 << shift).map(Some)
}

/// Hundredths of a percent.
fn percent(text: &str) -> Option<u64> {
    let number = text.strip_suffix('%')?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let part = match part.len() {
        1 => decimal(part)? * 10,
        2 => decimal(part)?,
        _ => return None,
    };
    decimal(whole)?.checked_mul(100)?.checked_add(part)
}

fn set(text: &str) -> Option<BTreeSet<usize>> {
    let number = |text: &str| {
        let number = usize::try_from(decimal(text)?).ok()?;
        (number < MOST).then_some(number)
    };
    let mut all = BTreeSet::new();
    for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return None;
        }
        all.extend(first..=last);
    }
    (!all.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(text: &str) -> Option<(&'static str, String)> {
        let property: Property = text.parse().ok()?;
        Some((property.file(), property.text()))
    }

    #[test]
    fn limits_become_what_the_kernel_reads() {
        for (text, name, wanted) in [
            ("MemoryMax=512M", "memory.max", "536870912"),
            ("MemoryHigh=infinity", "memory.high", "max"),
            ("MemorySwapMax=0", "memory.swap.max", "0"),
            ("TasksMax=100", "pids.max", "100"),
            ("CPUQuota=20%", "cpu.max", "20000 100000"),
            ("CPUQuota=112.5%", "cpu.max", "112500 100000"),
            ("CPUQuota=infinity", "cpu.max", "max 100000"),
            ("CPUWeight=10000", "cpu.weight", "10000"),
            ("IOWeight=1", "io.weight", "1"),
            ("AllowedCPUs=3,0-1", "cpuset.cpus", "0,1,3"),
            ("AllowedMemoryNodes=0", "cpuset.mems", "0"),
        ] {
            assert_eq!(file(text), Some((name, wanted.to_owned())), "{text}");
        }
    }

    #[test]
    fn limits_become_what_systemd_takes() {
        let on_bus = |text: &str| text.parse::<Property>().unwrap().on_bus();
        assert_eq!(on_bus("MemoryMax=1K"), ("MemoryMax", 1024_u64.into()));
        assert_eq!(on_bus("TasksMax=infinity"), ("TasksMax", u64::MAX.into()));
        let quota = ("CPUQuotaPerSecUSec", 200_000_u64.into());
        assert_eq!(on_bus("CPUQuota=20%"), quota);
        let cpus = ("AllowedCPUs", vec![0b1001_u8, 0b1].into());
        assert_eq!(on_bus("AllowedCPUs=0,3,8"), cpus);
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        for text in [
            "",
            "MemoryMax",
            "MemoryMax=",
            "MemoryMax=50%",
            "MemoryMax=-1",
            "MemoryMax=99999999T",
            "memorymax=1",
            "TasksMax=0",
            "CPUWeight=0",
            "CPUWeight=10001",
            "CPUQuota=20",
            "CPUQuota=0.5%",
            "CPUQuota=1.234%",
            "AllowedCPUs=",
            "AllowedCPUs=2-1",
            "AllowedCPUs=8192",
            "PrivateTmp=yes",
        ] {
            let error = text.parse::<Property>().unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_words_are_read_or_refused(name in 0..TABLE.len(), value in ".{0,20}") {
            let (name, file, _) = TABLE[name];
            if let Ok(property) = format!("{name}={value}").parse::<Property>() {
                prop_assert_eq!(property.file(), file);
                prop_assert!(property.text().bytes().all(|b| b.is_ascii_graphic() || b == b' '));
            }
        }
    }
}
