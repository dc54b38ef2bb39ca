//! Options about settings files, in nspawn's spelling.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use nsrun_runtime::settings::{Choice, Merge, Use};

// Which files count, and how much.
#[derive(clap::Args, Debug)]
pub struct SettingsArgs {
    /// Read settings files: `yes`, `no`, `override` to let them win over options, or `trusted` to
    /// let the one beside the image set everything
    #[arg(
        long,
        value_name = "MODE",
        default_value = "yes",
        hide_default_value = true
    )]
    settings: Use,

    /// Let an option take the place of its key in settings files, or of the key's whole `group`
    #[arg(long, value_name = "HOW", default_value = "key", hide = true, value_parser = merges())]
    settings_merge: Merge,
}

impl SettingsArgs {
    /// How options and settings files go together.
    pub fn choice(&self) -> Choice {
        Choice {
            usage: self.settings,
            merge: self.settings_merge,
        }
    }
}

fn merges() -> impl TypedValueParser<Value = Merge> {
    const ALL: [(&str, Merge); 2] = [("key", Merge::ByKey), ("group", Merge::ByGroup)];
    PossibleValuesParser::new(ALL.map(|(word, _)| word)).try_map(|word| {
        let found = ALL.into_iter().find(|(name, _)| *name == word);
        found.map(|(_, merge)| merge).ok_or("no such way")
    })
}
