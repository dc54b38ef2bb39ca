//! Words of a value, separated by blanks, as systemd takes them out of lists.

/// Splits at blanks outside of quotes and takes the quotes away. A backslash keeps the next
/// character from meaning anything and stays where it is, as in systemd's files for nspawn.
pub(super) fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (_, '\\') => {
                let escaped = chars.next().ok_or("it ends in a backslash")?;
                word.get_or_insert_default().extend(['\\', escaped]);
            }
            (Some(open), _) if open == c => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, _) if c.is_ascii_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<String> {
        split(text).unwrap()
    }

    #[test]
    fn quotes_hold_blanks_and_vanish() {
        assert_eq!(
            words(r#"a "b c" 'd "e' f"g h"i"#),
            ["a", "b c", "d \"e", "fg hi"]
        );
        assert_eq!(words(r#"A="1 2" ''"#), ["A=1 2", ""]);
        assert!(words(" \t ").is_empty());
    }

    #[test]
    fn backslashes_stay() {
        assert_eq!(
            words(r#"a\ b \"c \\d '\''"#),
            [r"a\ b", r#"\"c"#, r"\\d", r"\'"]
        );
    }

    #[test]
    fn what_is_not_closed_is_refused() {
        assert!(split("a 'b").is_err());
        assert!(split("a\\").is_err());
    }

    proptest! {
        #[test]
        fn splitting_never_panics(text in "\\PC{0,80}") {
            let _ = split(&text);
        }

        #[test]
        fn plain_words_are_what_blanks_part(text in "[a-z=./ \t]{0,60}") {
            let plain: Vec<&str> = text.split_ascii_whitespace().collect();
            prop_assert_eq!(words(&text), plain);
        }
    }
}
