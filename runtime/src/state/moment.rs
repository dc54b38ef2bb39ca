//! When something was: in which boot, at which time, in which start of a machine.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use nsrun_netns::IfName;
use rustix::rand::{GetRandomFlags, getrandom};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::{LENT_TAG, TAG};
use crate::error::{Context, Result};
use crate::name::MachineName;
use crate::virtual_file;

/// A number for one start of a machine; a reboot from inside begins another. Random, so
/// that what an earlier start left is never taken for a later one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Incarnation(u64);

impl Incarnation {
    /// A number that no other start has.
    ///
    /// # Errors
    /// If the kernel gives no random bytes.
    pub fn new() -> Result<Self> {
        let mut bytes = [0; 8];
        getrandom(&mut bytes, GetRandomFlags::empty()).cannot(|| "get random bytes")?;
        Ok(Self(u64::from_ne_bytes(bytes)))
    }

    /// The text by which links of this start of the machine are recognised.
    #[must_use]
    pub fn link_tag(self, name: &MachineName) -> String {
        format!("{TAG}{name}:{self}")
    }

    /// The text by which a link of the host is recognised that this start of the machine has for
    /// itself.
    #[must_use]
    pub fn lent_tag(self, name: &MachineName, link: &IfName) -> String {
        format!("{LENT_TAG}{name}:{self}:{link}")
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<Incarnation> for String {
    fn from(incarnation: Incarnation) -> Self {
        incarnation.to_string()
    }
}

impl FromStr for Incarnation {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, &'static str> {
        let valid = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = valid.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        number
            .map(Self)
            .ok_or("an incarnation is 16 hexadecimal digits")
    }
}

impl TryFrom<String> for Incarnation {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<Self, &'static str> {
        text.parse()
    }
}

/// A moment by two clocks: one to show, one that no clock setting moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// Microseconds since 1970, as the host's clock said then.
    pub realtime_us: u64,
    /// Microseconds since the host's boot, suspension included.
    pub boottime_us: u64,
}

impl Since {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self {
            realtime_us: microseconds(ClockId::Realtime),
            boottime_us: microseconds(ClockId::Boottime),
        }
    }

    /// Microseconds that have passed since, whatever became of the clock. Meaningful
    /// within the same boot only.
    #[must_use]
    pub fn age_us(self) -> u64 {
        microseconds(ClockId::Boottime).saturating_sub(self.boottime_us)
    }
}

/// A clock before 1970 counts as 1970.
fn microseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds.saturating_mul(1_000_000) + nanoseconds / 1000
}

/// The kernel's name for the current boot.
pub(crate) fn boot_id() -> Result<String> {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    static READ: OnceLock<String> = OnceLock::new();
    if let Some(id) = READ.get() {
        return Ok(id.clone());
    }
    let text = virtual_file::read_text(PATH).cannot(|| format!("read {PATH}"))?;
    Ok(READ.get_or_init(|| text.trim_end().to_owned()).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incarnations_differ_and_survive_writing() {
        let (one, other) = (Incarnation::new().unwrap(), Incarnation::new().unwrap());
        assert_ne!(one, other);
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<Incarnation>(&text).unwrap(), one);
        for text in [
            "",
            "+123456789abcdef",
            "0123456789abcdef0",
            "x123456789abcdef",
        ] {
            assert!(text.parse::<Incarnation>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_longest_tag_fits_into_an_alias() {
        let name = "x".repeat(crate::name::MAX_LEN).parse().unwrap();
        let tag = Incarnation::new().unwrap().link_tag(&name);
        assert!(tag.starts_with("nsrun:xxx"), "{tag}");
        assert!(tag.len() < 256);
        let link = "x".repeat(15).parse().unwrap();
        let tag = Incarnation::new().unwrap().lent_tag(&name, &link);
        assert!(
            tag.starts_with("nsrun-lent:xxx") && tag.len() < 256,
            "{tag}"
        );
    }

    #[test]
    fn a_moment_ages() {
        let since = Since::now();
        assert!(since.realtime_us > 1_700_000_000_000_000);
        let older = Since {
            boottime_us: 0,
            ..since
        };
        assert!(older.age_us() >= since.boottime_us);
    }
}
