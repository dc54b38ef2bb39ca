//! The lines of a file in systemd's configuration syntax (systemd.syntax(7)).

use super::problem::Fault;

/// Longest line in bytes, continued ones counted as one: systemd's limit.
pub(super) const LONGEST_LINE: usize = 1 << 20;

/// `KEY=VALUE`, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    /// Name of the section, or `None` before the first header.
    pub(super) section: Option<String>,
    pub(super) key: String,
    /// Without blanks around it.
    pub(super) value: String,
    /// The first of its lines, from 1.
    pub(super) line: usize,
}

/// A header, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) section: String,
    pub(super) line: usize,
}

/// A file's content, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Syntax {
    pub(super) headers: Vec<Header>,
    pub(super) assignments: Vec<Assignment>,
    pub(super) faults: Vec<Fault>,
}

/// Takes any bytes apart. What is no syntax is a fault, and the rest is read on.
pub(super) fn parse(content: &[u8]) -> Syntax {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let mut syntax = Syntax::default();
    for logical in logical_lines(content) {
        let line = logical.line;
        if let Err(text) = syntax.take(logical) {
            syntax.faults.push(Fault::new(line, text));
        }
    }
    syntax
}

/// A line with those that continue it.
#[derive(Debug, Default)]
struct Logical {
    text: Vec<u8>,
    line: usize,
}

/// Joins continued lines by a blank. Comments between them are left out.
fn logical_lines(content: &[u8]) -> Vec<Logical> {
    let mut all = Vec::new();
    let mut open: Option<Logical> = None;
    for (index, raw) in content.split(|&b| b == b'\n').enumerate() {
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw).trim_ascii_start();
        if matches!(raw.first(), Some(b'#' | b';')) {
            continue;
        }
        let mut logical = open.take().unwrap_or(Logical {
            text: Vec::new(),
            line: index + 1,
        });
        let continues = ends_in_escape(raw);
        let kept = raw.len() - usize::from(continues);
        logical.text.extend_from_slice(&raw[..kept]);
        if continues {
            logical.text.push(b' ');
            open = Some(logical);
        } else {
            all.push(logical);
        }
    }
    all.extend(open);
    all
}

/// Whether the last backslash is not itself escaped.
fn ends_in_escape(line: &[u8]) -> bool {
    let backslashes = line.iter().rev().take_while(|&&b| b == b'\\').count();
    backslashes % 2 == 1
}

impl Syntax {
    fn take(&mut self, logical: Logical) -> Result<(), String> {
        let Logical { text, line } = logical;
        if text.len() > LONGEST_LINE {
            return Err("the line is longer than 1 MiB".into());
        }
        let text = String::from_utf8(text).map_err(|_| "the line is not UTF-8")?;
        let text = text.trim();
        if text.is_empty() {
            return Ok(());
        }
        if text.contains('\0') {
            return Err("the line has a NUL byte".into());
        }
        if let Some(rest) = text.strip_prefix('[') {
            let section = rest
                .strip_suffix(']')
                .ok_or("a section's header ends in ]")?;
            self.headers.push(Header {
                section: section.to_owned(),
                line,
            });
            return Ok(());
        }
        let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
        let key = key.trim_end();
        if key.is_empty() {
            return Err("there is no key before the =".into());
        }
        self.assignments.push(Assignment {
            section: self.headers.last().map(|header| header.section.clone()),
            key: key.to_owned(),
            value: value.trim_start().to_owned(),
            line,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn assignments(text: &str) -> Vec<(usize, String)> {
        let syntax = parse(text.as_bytes());
        assert_eq!(syntax.faults, []);
        let all = syntax.assignments.into_iter();
        all.map(|a| {
            let section = a.section.unwrap_or_default();
            (a.line, format!("{section}/{}={}", a.key, a.value))
        })
        .collect()
    }

    fn fault(text: &[u8]) -> (usize, String) {
        let mut faults = parse(text).faults;
        assert_eq!(faults.len(), 1, "{faults:?}");
        let fault = faults.remove(0);
        (fault.line, fault.text)
    }

    #[test]
    fn sections_keys_and_values_lose_the_blanks_around_them() {
        let text = "\u{feff}[Exec]\n  Boot = yes \n\n\t[Network]\r\nZone=\r\n";
        let found = assignments(text);
        assert_eq!(
            found,
            [(2, "Exec/Boot=yes".into()), (5, "Network/Zone=".into())]
        );
    }

    #[test]
    fn comments_are_whole_lines() {
        let text = "# a\n ; b\n[Exec]\nParameters=a # b ; c\n";
        assert_eq!(assignments(text), [(4, "Exec/Parameters=a # b ; c".into())]);
    }

    #[test]
    fn a_backslash_joins_lines_and_comments_between_them_vanish() {
        let text = "[Exec]\nParameters=a\\\n# no\n  b \\\n\n User=c\\\\\nHostname=d\\";
        let found = assignments(text);
        let expected = [
            (2, "Exec/Parameters=a b".into()),
            (6, "Exec/User=c\\\\".into()),
            (7, "Exec/Hostname=d".into()),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_value_may_hold_equals_signs() {
        let found = assignments("[Exec]\nEnvironment=A=1 B=2\n");
        assert_eq!(found, [(2, "Exec/Environment=A=1 B=2".into())]);
    }

    #[test]
    fn what_is_no_syntax_is_told_with_its_line() {
        assert_eq!(
            fault(b"\n[Exec"),
            (2, "a section's header ends in ]".into())
        );
        assert_eq!(fault(b"[Exec]\nBoot yes"), (2, "expected KEY=VALUE".into()));
        assert_eq!(fault(b"=x"), (1, "there is no key before the =".into()));
        assert_eq!(fault(b"A=\xff\n"), (1, "the line is not UTF-8".into()));
        assert_eq!(fault(b"A=\0\n"), (1, "the line has a NUL byte".into()));
        let long = vec![b'a'; LONGEST_LINE + 1];
        assert_eq!(fault(&long), (1, "the line is longer than 1 MiB".into()));
    }

    #[test]
    fn a_fault_does_not_hide_what_follows() {
        let syntax = parse(b"[Exec]\nBoot\nUser=a\n");
        assert_eq!(syntax.faults.len(), 1);
        assert_eq!(syntax.assignments.len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_apart(content in proptest::collection::vec(any::<u8>(), 0..400)) {
            let lines = content.split(|&b| b == b'\n').count();
            let syntax = parse(&content);
            let places = syntax.assignments.iter().map(|a| a.line);
            for line in places.chain(syntax.faults.iter().map(|f| f.line)) {
                prop_assert!((1..=lines).contains(&line));
            }
        }

        #[test]
        fn text_that_looks_like_settings_is_taken_apart(text in "[\\[\\]=#;\\\\ \nA-c]{0,200}") {
            for found in parse(text.as_bytes()).assignments {
                prop_assert!(!found.key.is_empty());
                prop_assert_eq!(found.value.trim(), &*found.value);
            }
        }

        #[test]
        fn what_was_written_is_read(
            key in "[A-Za-z]{1,12}",
            value in "([!-~&&[^\\\\]]([ -~&&[^\\\\]]{0,30}[!-~&&[^\\\\]])?)?",
        ) {
            let text = format!("[S]\n{key}={value}\n");
            let syntax = parse(text.as_bytes());
            prop_assert_eq!(syntax.assignments.len(), 1);
            prop_assert_eq!(&syntax.assignments[0].key, &key);
            prop_assert_eq!(&syntax.assignments[0].value, &value);
        }
    }
}
