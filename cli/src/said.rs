//! Which options were typed, and which have their defaults.

use std::ops::Deref;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches, Id};

/// Arguments, and the names of those that were given.
#[derive(Debug)]
pub struct Said<T> {
    args: T,
    names: Vec<String>,
}

impl<T> Said<T> {
    /// Long options, without the dashes, in no order.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

impl<T> Deref for Said<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.args
    }
}

/// Names of what was given and has not been taken out yet.
fn names(matches: &ArgMatches) -> Vec<String> {
    let given = |id: &&Id| matches.value_source(id.as_str()) != Some(ValueSource::DefaultValue);
    let ids = matches.ids().filter(given);
    ids.map(|id| id.as_str().replace('_', "-")).collect()
}

impl<T: FromArgMatches> FromArgMatches for Said<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Self::from_arg_matches_mut(&mut matches.clone())
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, Error> {
        let names = names(matches);
        let args = T::from_arg_matches_mut(matches)?;
        Ok(Self { args, names })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.names.extend(names(matches));
        self.args.update_from_arg_matches(matches)
    }
}

impl<T: Args> Args for Said<T> {
    fn group_id() -> Option<Id> {
        T::group_id()
    }

    fn augment_args(command: Command) -> Command {
        T::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        T::augment_args_for_update(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(clap::Args, Debug)]
    struct Options {
        #[arg(long, default_value = "a")]
        first_one: String,
        #[arg(long)]
        second: bool,
        #[arg(long)]
        third: Option<u8>,
    }

    #[derive(Parser, Debug)]
    struct Whole {
        #[command(flatten)]
        options: Said<Options>,
        #[arg(long)]
        other: bool,
    }

    #[test]
    fn defaults_are_not_said() {
        let whole = Whole::parse_from(["x", "--other"]);
        let known = ["first-one", "second", "third"];
        assert!(
            !known
                .iter()
                .any(|name| whole.options.names().iter().any(|n| n == name))
        );
        assert_eq!(whole.options.first_one, "a");
        let whole = Whole::parse_from(["x", "--first-one=a", "--second", "--third=3"]);
        for name in known {
            assert!(whole.options.names().iter().any(|n| n == name), "{name}");
        }
        assert!(whole.options.second && whole.options.third == Some(3) && !whole.other);
    }
}
