//! How wide text is on a terminal.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The text, or as much of it as fits into so many columns, with an ellipsis at its end.
pub fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let Some(room) = columns.checked_sub(1) else {
        return Cow::Borrowed("");
    };
    let mut used = 0;
    let fits = text.chars().take_while(|c| {
        used += c.width().unwrap_or_default();
        used <= room
    });
    Cow::Owned(fits.chain(['…']).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_left_alone() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn what_does_not_ends_in_an_ellipsis() {
        let table = [(5, "abcd…"), (2, "a…"), (1, "…"), (0, "")];
        for (columns, wanted) in table {
            assert_eq!(cut("abcdef", columns), wanted);
        }
    }

    #[test]
    fn wide_letters_take_two_columns() {
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("e\u{301}tude", 3), "e\u{301}t…");
    }
}
