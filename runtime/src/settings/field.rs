//! What all keys have in common: a value comes in as text, and an empty one takes it back.

use std::fmt::Debug;

use super::values::invalid;
use crate::error::Result;

/// A value of which a key has one; a later line takes the place of an earlier one.
pub(super) trait Form: Sized + Debug {
    /// The values in words, for the documentation.
    const WHAT: &'static str;

    /// Reads a text that is not empty.
    fn parse(text: &str) -> Result<Self>;
}

/// A value of which a key has many; lines add up.
pub(super) trait Item: Sized + Debug {
    /// A line's values in words, for the documentation.
    const WHAT: &'static str;

    /// Reads the values of a line that is not empty.
    fn parse_line(text: &str) -> Result<Vec<Self>>;
}

/// The value or values of one key.
pub(super) trait Field {
    /// Takes a line's text; an empty one clears.
    fn assign(&mut self, text: &str) -> Result<()>;

    /// Forgets what was assigned.
    fn clear(&mut self);

    /// Whether anything is assigned.
    fn is_set(&self) -> bool;

    /// Whether lines add up.
    fn adds_up(&self) -> bool;

    /// What may be assigned, in words.
    fn what(&self) -> &'static str;
}

impl<T: Form> Field for Option<T> {
    fn assign(&mut self, text: &str) -> Result<()> {
        *self = match text {
            "" => None,
            text => Some(T::parse(text)?),
        };
        Ok(())
    }

    fn clear(&mut self) {
        *self = None;
    }

    fn is_set(&self) -> bool {
        self.is_some()
    }

    fn adds_up(&self) -> bool {
        false
    }

    fn what(&self) -> &'static str {
        T::WHAT
    }
}

impl<T: Item> Field for Vec<T> {
    fn assign(&mut self, text: &str) -> Result<()> {
        if text.is_empty() {
            Vec::clear(self);
            return Ok(());
        }
        let items = T::parse_line(text)?;
        if items.is_empty() {
            return Err(invalid("list", text, "it holds nothing"));
        }
        self.extend(items);
        Ok(())
    }

    fn clear(&mut self) {
        Vec::clear(self);
    }

    fn is_set(&self) -> bool {
        !self.is_empty()
    }

    fn adds_up(&self) -> bool {
        true
    }

    fn what(&self) -> &'static str {
        T::WHAT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_line_replaces_or_adds_and_an_empty_one_clears() {
        let mut one: Option<bool> = None;
        let mut many: Vec<String> = Vec::new();
        for text in ["yes", "no"] {
            one.assign(text).unwrap();
            many.assign(text).unwrap();
        }
        assert_eq!(one, Some(false));
        assert_eq!(many, ["yes", "no"]);
        for field in [&mut one as &mut dyn Field, &mut many] {
            assert!(field.is_set());
            field.assign("").unwrap();
            assert!(!field.is_set());
        }
    }

    #[test]
    fn a_wrong_value_changes_nothing() {
        let mut one = Some(true);
        assert!(one.assign("perhaps").is_err());
        assert_eq!(one, Some(true));
    }
}
