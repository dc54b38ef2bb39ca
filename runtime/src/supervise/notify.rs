//! What the payload's PID 1 says of itself: the lines of sd_notify(3).

/// The longest status that is kept, in bytes.
const STATUS_MAX: usize = 512;
/// The longest name and ID that is kept, in bytes.
const WORD_MAX: usize = 64;

/// One line of a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// `READY=1`: the payload has started up.
    Ready,
    /// `STOPPING=1`: it has begun to end.
    Stopping,
    /// `STATUS=`, made printable.
    Status(String),
    /// `EXIT_STATUS=`
    ExitStatus(u8),
    /// `X_SYSTEMD_SHUTDOWN=`
    Shutdown(Shutdown),
    /// `X_SYSTEMD_SIGNALS_LEVEL=`: which of its control signals it takes by now.
    SignalsLevel(u32),
    /// `X_SYSTEMD_HOSTNAME=`, made printable.
    Hostname(String),
    /// `X_SYSTEMD_MACHINE_ID=`, made printable.
    MachineId(String),
}

/// How the payload is going to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shutdown {
    /// Power off.
    Poweroff,
    /// Halt.
    Halt,
    /// Reboot.
    Reboot,
    /// Another kernel: a container can only reboot.
    Kexec,
    /// PID 1 exits with a status.
    Exit,
    /// PID 1 and user space start anew, the machine stays.
    SoftReboot,
}

impl Shutdown {
    /// Whether the machine runs again afterwards.
    #[must_use]
    pub fn comes_back(self) -> bool {
        matches!(self, Self::Reboot | Self::Kexec | Self::SoftReboot)
    }

    fn read(value: &[u8]) -> Option<Self> {
        Some(match value {
            b"poweroff" => Self::Poweroff,
            b"halt" => Self::Halt,
            b"reboot" => Self::Reboot,
            b"kexec" => Self::Kexec,
            b"exit" => Self::Exit,
            b"soft-reboot" => Self::SoftReboot,
            _ => return None,
        })
    }
}

/// Reads a datagram. Lines that are unknown or malformed are skipped, and a datagram with a NUL
/// byte altogether, as systemd does.
pub(crate) fn parse(datagram: &[u8]) -> Vec<Field> {
    if datagram.contains(&0) {
        return Vec::new();
    }
    datagram.split(|&b| b == b'\n').filter_map(field).collect()
}

fn field(line: &[u8]) -> Option<Field> {
    let equals = line.iter().position(|&b| b == b'=')?;
    let (key, value) = (line.get(..equals)?, line.get(equals + 1..)?);
    match key {
        b"READY" => (value == b"1").then_some(Field::Ready),
        b"STOPPING" => (value == b"1").then_some(Field::Stopping),
        b"STATUS" => Some(Field::Status(printable(value, STATUS_MAX))),
        b"EXIT_STATUS" => decimal(value).map(Field::ExitStatus),
        b"X_SYSTEMD_SHUTDOWN" => Shutdown::read(value).map(Field::Shutdown),
        b"X_SYSTEMD_SIGNALS_LEVEL" => decimal(value).map(Field::SignalsLevel),
        b"X_SYSTEMD_HOSTNAME" => Some(Field::Hostname(printable(value, WORD_MAX))),
        b"X_SYSTEMD_MACHINE_ID" => Some(Field::MachineId(printable(value, WORD_MAX))),
        _ => None,
    }
}

fn decimal<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(value).ok()?;
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// `text` on one line that a terminal can be given, no longer than `max` bytes.
///
/// Control characters, those that reorder a line (they hide what it says), and bytes that are no
/// UTF-8 are written as `\xNN`, the backslash itself twice.
fn printable(text: &[u8], max: usize) -> String {
    let mut out = String::new();
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            let hides = matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            let plain = !character.is_control() && !hides && character != '\\';
            let mut bytes = [0; 4];
            let encoded = character.encode_utf8(&mut bytes);
            let fits = if plain {
                append(&mut out, encoded, max)
            } else if character == '\\' {
                append(&mut out, "\\\\", max)
            } else {
                encoded.bytes().all(|b| append(&mut out, &escape(b), max))
            };
            if !fits {
                return out;
            }
        }
        if !chunk
            .invalid()
            .iter()
            .all(|&b| append(&mut out, &escape(b), max))
        {
            return out;
        }
    }
    out
}

fn escape(byte: u8) -> String {
    format!("\\x{byte:02x}")
}

/// Appends `piece` if that keeps `out` within `max` bytes.
fn append(out: &mut String, piece: &str, max: usize) -> bool {
    let fits = out.len() + piece.len() <= max;
    if fits {
        out.push_str(piece);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_systemd_sends() {
        let datagram = b"STOPPING=1\nEXIT_STATUS=7\nX_SYSTEMD_SHUTDOWN=reboot\n\
            X_SYSTEMD_SIGNALS_LEVEL=2\nSTATUS=Shutting down...\nX_SYSTEMD_HOSTNAME=web\n";
        assert_eq!(
            parse(datagram),
            [
                Field::Stopping,
                Field::ExitStatus(7),
                Field::Shutdown(Shutdown::Reboot),
                Field::SignalsLevel(2),
                Field::Status("Shutting down...".to_owned()),
                Field::Hostname("web".to_owned()),
            ]
        );
    }

    #[test]
    fn skips_what_it_does_not_know() {
        let lines =
            b"MAINPID=1\nREADY=0\nREADY\n=1\nERRNO=2\nFDSTORE=1\nBUSERROR=x\nEXIT_STATUS=256\n\
            EXIT_STATUS=+1\nX_SYSTEMD_SHUTDOWN=explode\n\n";
        assert_eq!(parse(lines), []);
    }

    #[test]
    fn refuses_nul() {
        assert_eq!(parse(b"READY=1\n\0"), []);
    }

    #[test]
    fn escapes_controls_and_what_is_no_text() {
        let status = b"STATUS=a\x1b[2J\xff\\ \xc2\x9b \xe2\x80\xae";
        assert_eq!(
            parse(status),
            [Field::Status(
                "a\\x1b[2J\\xff\\\\ \\xc2\\x9b \\xe2\\x80\\xae".to_owned()
            )]
        );
    }

    #[test]
    fn only_a_reboot_comes_back() {
        assert!(Shutdown::Reboot.comes_back() && Shutdown::SoftReboot.comes_back());
        assert!(!Shutdown::Poweroff.comes_back() && !Shutdown::Exit.comes_back());
    }

    proptest! {
        #[test]
        fn statuses_are_short_and_printable(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let text = printable(&bytes, STATUS_MAX);
            prop_assert!(text.len() <= STATUS_MAX);
            prop_assert!(!text.chars().any(char::is_control));
        }

        #[test]
        fn ordinary_text_is_kept(text in "[ -\\[\\]-~äöü日本]{0,100}") {
            prop_assert_eq!(printable(text.as_bytes(), STATUS_MAX), text);
        }

        #[test]
        fn any_datagram_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
            let _ = parse(&bytes);
        }
    }
}
