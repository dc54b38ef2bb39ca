//! Text from inside a machine, made fit to be printed.

/// Longest text that is shown, in characters.
const LONGEST: usize = 2048;

/// The same text on one line, without what a terminal acts on and what changes the order of
/// letters; too long, it is cut.
pub(crate) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(LONGEST));
    for c in text.chars().take(LONGEST) {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// A command line as a shell would take it, so that one word with blanks is told from two.
pub(crate) fn command_line(content: &[u8]) -> String {
    let content = content.strip_suffix(b"\0").unwrap_or(content);
    // A process that has put a title in place of its words fills the rest with zeros.
    let end = content.iter().rposition(|&b| b != 0).map_or(0, |at| at + 1);
    let content = content.get(..end).unwrap_or_default();
    let words = content.split(|&b| b == 0);
    let words: Vec<String> = words.map(|w| quoted(&String::from_utf8_lossy(w))).collect();
    escaped(&words.join(" "))
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-+=./:,@%^~[]{}".contains(c) || c.is_control();
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in word.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_acts_on_is_spelled_out() {
        assert_eq!(
            escaped("a\u{1b}[2J\n\"it's\" \\"),
            "a\\u{1b}[2J\\n\"it's\" \\"
        );
        assert_eq!(escaped("\u{202e}txt"), "\\u{202e}txt");
        assert_eq!(escaped("\u{9b}"), "\\u{9b}");
        assert_eq!(escaped("äöü 日本"), "äöü 日本");
    }

    #[test]
    fn a_command_line_can_be_read_back() {
        let table: [(&[u8], &str); 7] = [
            (b"/bin/sh\0-c\0sleep 1\0", "/bin/sh -c \"sleep 1\""),
            (
                b"nginx: worker process\0\0\0\0",
                "\"nginx: worker process\"",
            ),
            (b"sh\0\0", "sh"),
            (b"a\0\0b\0", "a \"\" b"),
            (b"echo\0$HOME\"\0", "echo \"\\$HOME\\\"\""),
            (b"x\x1b[2J\0", "x\\u{1b}[2J"),
            (b"", "\"\""),
        ];
        for (content, wanted) in table {
            assert_eq!(command_line(content), wanted, "{content:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_controls_a_terminal_comes_through(text in ".*") {
            prop_assert!(!escaped(&text).chars().any(char::is_control));
        }

        #[test]
        fn no_command_line_controls_a_terminal(content in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!command_line(&content).chars().any(char::is_control));
        }
    }
}
