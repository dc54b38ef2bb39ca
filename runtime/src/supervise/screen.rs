//! What a payload may make the user's terminal do.
//!
//! A terminal answers some requests by typing: a window title or a status string that the payload
//! chose would land in the user's shell when the machine is gone. Others reach the clipboard or
//! the printer. Those are dropped; text, colours, cursor and modes pass.

/// The longest control sequence that passes. Longer ones are dropped.
const LONGEST: usize = 64;

/// How many bytes more than were fed can come out of one call: a sequence kept back before.
pub(crate) const HELD: usize = LONGEST + 2;

/// A filter for the bytes that go to a terminal (ECMA-48 and xterm's ctlseqs).
#[derive(Debug, Default)]
pub(crate) struct Screen {
    state: State,
    held: Vec<u8>,
    /// Bytes of the current UTF-8 character that are still to come.
    continuation: u8,
    styled: bool,
    alternate: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// After 0xc2, which begins U+0080 to U+00BF: the C1 controls are among them.
    Latin,
    Escape,
    Sequence,
    /// In a sequence that is too long to be looked at.
    Overlong,
    /// In a string that is dropped.
    Text(Ends),
    /// An escape within such a string: `\` ends it.
    TextEscape(Ends),
    /// So many more bytes to drop: the Linux console's palette has no terminator.
    Palette(u8),
}

/// What ends a dropped string besides `ESC \`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// An operating system command: BEL too, and it has no line breaks.
    Command,
    /// Its first byte tells which command it is.
    CommandStart,
    Other,
}

const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
const ESC: u8 = 0x1b;

impl Screen {
    /// Appends to `out` what of `bytes` may pass; at most [`HELD`] bytes more than came in.
    pub(crate) fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for &byte in bytes {
            self.byte(byte, out);
        }
    }

    /// What brings the terminal back to an ordinary state, if the payload changed any.
    pub(crate) fn reset(&self) -> Vec<u8> {
        let mut reset = Vec::new();
        if self.alternate {
            reset.extend_from_slice(b"\x1b[?1049l");
        }
        if self.styled {
            // Keypad, cursor keys, wrap and cursor; mouse, focus and paste reports; the whole screen
            // scrolls; character set; colours.
            reset.extend_from_slice(
                b"\x1b>\x1b[?1l\x1b[?7h\x1b[?25h\x1b[?1000;1002;1003;1004;1006;2004l\
                  \x1b[4l\x1b7\x1b[r\x1b8\x1b(B\x0f\x1b[m",
            );
        }
        reset
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        match self.state {
            State::Ground => self.ground(byte, out),
            State::Latin => self.latin(byte, out),
            State::Escape => self.escape(byte, out),
            State::Sequence => self.sequence(byte, out),
            State::Overlong if (0x40..=0x7e).contains(&byte) => self.state = State::Ground,
            State::Overlong => self.abort_on(byte),
            State::Text(ends) => self.text(byte, ends),
            State::TextEscape(_) if byte == b'\\' => self.state = State::Ground,
            State::TextEscape(ends) => self.text(byte, ends),
            State::Palette(0 | 1) => self.state = State::Ground,
            State::Palette(left) => self.state = State::Palette(left - 1),
        }
    }

    fn ground(&mut self, byte: u8, out: &mut Vec<u8>) {
        let continues = self.continuation > 0 && (0x80..=0xbf).contains(&byte);
        self.continuation = if continues { self.continuation - 1 } else { 0 };
        match byte {
            ESC => self.begin(State::Escape, byte),
            _ if continues => out.push(byte),
            0xc2 => self.begin(State::Latin, byte),
            0xc3..=0xdf => self.character(1, byte, out),
            0xe0..=0xef => self.character(2, byte, out),
            0xf0..=0xf4 => self.character(3, byte, out),
            // Controls of one byte: only those that move the cursor, ring, or shift the set.
            BEL..=0x0f | 0x20..=0x7e | 0xa0..=0xff => out.push(byte),
            0x00..=0x06 | 0x10..=0x1a | 0x1c..=0x1f | 0x7f..=0x9f => {}
        }
    }

    fn character(&mut self, more: u8, byte: u8, out: &mut Vec<u8>) {
        self.continuation = more;
        out.push(byte);
    }

    fn begin(&mut self, state: State, byte: u8) {
        self.state = state;
        self.held.clear();
        self.held.push(byte);
    }

    fn latin(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.state = State::Ground;
        match byte {
            // A control of eight bits, as UTF-8.
            0x80..=0x9f => {}
            0xa0..=0xbf => out.extend_from_slice(&[0xc2, byte]),
            _ => self.byte(byte, out),
        }
    }

    fn escape(&mut self, byte: u8, out: &mut Vec<u8>) {
        let intermediate = self.held.get(1).copied();
        match (intermediate, byte) {
            (_, ESC) => self.begin(State::Escape, byte),
            (None, b'[') => self.hold(byte, State::Sequence),
            (None, b']') => self.state = State::Text(Ends::CommandStart),
            (None, b'P' | b'X' | b'^' | b'_') => self.state = State::Text(Ends::Other),
            (None, 0x20..=0x2f) => self.hold(byte, State::Escape),
            // DECID asks for a report.
            (None, b'Z') => self.state = State::Ground,
            // Character sets and alignment; not the switch away from UTF-8.
            (None | Some(b'#' | b'('..=b'+'), 0x30..=0x7e) => self.pass(byte, out),
            _ => self.state = State::Ground,
        }
    }

    fn hold(&mut self, byte: u8, state: State) {
        self.held.push(byte);
        self.state = state;
    }

    fn pass(&mut self, last: u8, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.held);
        out.push(last);
        self.styled = true;
        self.state = State::Ground;
    }

    fn sequence(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            0x20..=0x3f if self.held.len() >= LONGEST => self.state = State::Overlong,
            0x20..=0x3f => self.held.push(byte),
            0x40..=0x7e if harmless(self.held.get(2..).unwrap_or_default(), byte) => {
                self.note_screen(byte);
                self.pass(byte, out);
            }
            0x40..=0x7e => self.state = State::Ground,
            _ => self.abort_on(byte),
        }
    }

    /// Within a sequence a control of one byte would act at once; here it is dropped.
    fn abort_on(&mut self, byte: u8) {
        match byte {
            ESC => self.begin(State::Escape, byte),
            CAN | SUB => self.state = State::Ground,
            _ => {}
        }
    }

    fn note_screen(&mut self, last: u8) {
        let modes = self.held.strip_prefix(b"\x1b[?").unwrap_or_default();
        if matches!(last, b'h' | b'l') && modes.split(|&b| b == b';').any(is_alternate) {
            self.alternate = last == b'h';
        }
    }

    fn text(&mut self, byte: u8, ends: Ends) {
        self.state = match (byte, ends) {
            (ESC, Ends::Other) => State::TextEscape(ends),
            (ESC, _) => State::TextEscape(Ends::Command),
            (CAN | SUB, _) => State::Ground,
            (BEL | b'\n' | b'\r', Ends::Command | Ends::CommandStart) => State::Ground,
            (b'P', Ends::CommandStart) => State::Palette(7),
            (b'R', Ends::CommandStart) => State::Ground,
            (_, Ends::Other) => State::Text(ends),
            (_, _) => State::Text(Ends::Command),
        };
    }
}

fn is_alternate(mode: &[u8]) -> bool {
    matches!(mode, b"47" | b"1047" | b"1049")
}

/// Whether a control sequence with these parameters and intermediates, ending in `last`, neither
/// has the terminal type what the payload chose nor leaves the screen.
fn harmless(parameters: &[u8], last: u8) -> bool {
    let private = parameters
        .first()
        .copied()
        .filter(|b| (b'<'..=b'?').contains(b));
    let intermediate = parameters
        .iter()
        .copied()
        .find(|b| (0x20..0x30).contains(b));
    match (private, intermediate, last) {
        // Window operations and titles, printing, requests for the terminal's parameters.
        (_, None, b't' | b'i' | b'x') => false,
        // Position and status: the answer is digits that programs rely on.
        (None | Some(b'?'), None, b'n') => matches!(parameters, b"5" | b"6" | b"?6"),
        (None | Some(b'?'), None, _) => true,
        // Device attributes, keyboard protocols.
        (Some(b'<' | b'='), None, b'u') => true,
        (Some(b'>'), None, b'u' | b'm' | b'c') => true,
        // Cursor style, soft reset, mode requests.
        (None, Some(b' '), b'q') | (None, Some(b'!'), b'p') => true,
        (None | Some(b'?'), Some(b'$'), b'p') => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
