//! The end of a console's log, as lines of plain text.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::text::escaped;

/// How much of the log is looked at, in bytes. Lines beyond are not among the last.
const TAIL: u64 = 32 * 1024;

const ESC: char = '\u{1b}';
const BEL: char = '\u{7}';

/// The last lines of a log, without colours and other sequences; none if there is no log.
pub(super) fn last_lines(path: &Path, lines: usize) -> Vec<String> {
    let content = tail(path).unwrap_or_default();
    let text = plain(&String::from_utf8_lossy(&content));
    let mut all: Vec<String> = text.lines().map(shown).collect();
    while all.last().is_some_and(String::is_empty) {
        all.pop();
    }
    all.split_off(all.len().saturating_sub(lines))
}

fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut content = Vec::new();
    file.take(TAIL).read_to_end(&mut content)?;
    Ok(content)
}

/// What would stand there at the end: a carriage return begins the line anew.
fn shown(line: &str) -> String {
    let line = line.trim_end();
    escaped(line.rsplit('\r').next().unwrap_or_default())
}

/// Takes out the sequences of ECMA-48.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ESC => skip(&mut chars),
            '\t' => plain.push(' '),
            BEL | '\u{8}' | '\u{e}' | '\u{f}' => {}
            _ => plain.push(c),
        }
    }
    plain
}

/// Skips a sequence whose escape character has been read.
fn skip(chars: &mut std::str::Chars<'_>) {
    match chars.next() {
        // Parameters, then a letter.
        Some('[') => {
            let _ = chars.find(|c| matches!(c, '\u{40}'..='\u{7e}' | '\n'));
        }
        // A string up to a bell or ESC \.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            let mut before = ' ';
            let _ = chars.find(|&c| {
                let end = c == BEL || (before == ESC && c == '\\');
                before = c;
                end
            });
        }
        // A letter after what says of what kind it is.
        Some('(' | ')' | '*' | '+' | '#' | ' ' | '%') => {
            let _ = chars.next();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn last(content: &[u8], lines: usize) -> Vec<String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        last_lines(file.path(), lines)
    }

    #[test]
    fn colours_and_titles_are_left_out() {
        let log = b"[\x1b[0;32m  OK  \x1b[0m] Started \x1b[0;1;39mConsole Getty\x1b[0m.\r\n\
                    \x1b]0;title\x07\x1b(Bnixos login: \r\n";
        let wanted = ["[  OK  ] Started Console Getty.", "nixos login:"];
        assert_eq!(last(log, 10), wanted);
        assert_eq!(last(log, 1), wanted[1..]);
        assert!(last(log, 0).is_empty());
    }

    #[test]
    fn a_line_that_was_written_over_is_as_it_was_last() {
        assert_eq!(last(b"10%\r20%\r\n\n\n", 5), ["20%"]);
    }

    #[test]
    fn of_a_long_log_the_end_is_read() {
        let log = "0123456789\n".repeat(100_000);
        assert_eq!(last(log.as_bytes(), 2), ["0123456789"; 2]);
        assert!(last_lines(Path::new("/nonexistent"), 5).is_empty());
    }

    #[test]
    fn a_sequence_that_is_cut_off_does_no_harm() {
        for log in [
            &b"a\x1b"[..],
            b"a\x1b[3",
            b"a\x1b]0;x",
            b"a\x1b(",
            b"a\xff\x1bP",
        ] {
            assert!(last(log, 1)[0].starts_with('a'), "{log:?}");
        }
    }
}
