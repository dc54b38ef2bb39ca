//! What standard output is: how wide, and whether it has colours.

use std::fmt::Display;

use rustix::termios::{isatty, tcgetwinsize};

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// All is well.
    Good,
    /// It is on its way.
    Passing,
    /// Somebody should look.
    Bad,
    /// Beside the point.
    Faint,
    /// A heading.
    Strong,
}

/// Where text goes.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Columns; none for a file or pipe, which takes lines as they are.
    pub columns: Option<usize>,
    colours: bool,
}

impl Screen {
    /// Looks at standard output and at what the user wants of it.
    pub fn detect() -> Self {
        let output = rustix::stdio::stdout();
        if !isatty(output) {
            return Self {
                columns: None,
                colours: false,
            };
        }
        let size = tcgetwinsize(output).ok();
        let columns = size.map(|size| size.ws_col).filter(|&columns| columns > 0);
        let variable = |name: &str| std::env::var(name).ok();
        let no_colour = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = variable("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        Self {
            columns: Some(columns.map_or(80, usize::from)),
            colours: !no_colour && !dumb,
        }
    }

    /// The same, but nothing is cut.
    #[must_use]
    pub fn full(self) -> Self {
        Self {
            columns: None,
            ..self
        }
    }

    /// Whether there are colours.
    pub fn has_colours(self) -> bool {
        self.colours
    }

    /// The text in a colour, if there are any.
    pub fn paint(self, tone: Tone, text: impl Display) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Passing => "33",
            Tone::Bad => "1;31",
            Tone::Faint => "38;5;245",
            Tone::Strong => "1",
        };
        if self.colours {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_string()
        }
    }

    /// The text cut to the columns that are left of `used`.
    pub fn fit(self, text: &str, used: usize) -> std::borrow::Cow<'_, str> {
        match self.columns {
            Some(columns) => super::cut(text, columns.saturating_sub(used)),
            None => text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOURS: Screen = Screen {
        columns: Some(10),
        colours: true,
    };

    #[test]
    fn colours_end_where_the_text_does() {
        assert_eq!(COLOURS.paint(Tone::Good, "x"), "\u{1b}[32mx\u{1b}[0m");
        let plain = Screen {
            colours: false,
            ..COLOURS
        };
        assert_eq!(plain.paint(Tone::Bad, "x"), "x");
    }

    #[test]
    fn lines_are_cut_on_a_screen_only() {
        assert_eq!(COLOURS.fit("0123456789", 4), "01234…");
        assert_eq!(COLOURS.fit("0123456789", 40), "");
        assert_eq!(COLOURS.full().fit("0123456789", 40), "0123456789");
    }
}
