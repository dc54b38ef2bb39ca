//! Options for what the payload may do, in nspawn's spelling.

use std::str::FromStr;

use clap::builder::BoolishValueParser;
use nsrun_runtime::seccomp::{CallRule, FamilyRule, Restrictions};
use nsrun_runtime::{Error, Result};

/// Where they are in the help: by each option, since a group's heading would hold for what follows.
const HEADING: &str = "Security";

// What the kernel lets the payload do.
#[derive(clap::Args, Debug)]
pub struct SecurityArgs {
    /// Keep every program in the machine from gaining privileges
    #[arg(help_heading = HEADING, long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "yes",
        value_parser = BoolishValueParser::new()
    )]
    no_new_privileges: Option<bool>,

    /// Allow system calls and @groups, or after ~ refuse them, with an error such as `mount:ENOSYS`
    #[arg(help_heading = HEADING, long, value_name = "[~]CALL[:ERROR]...")]
    system_call_filter: Vec<CallRule>,

    /// Let sockets be of these address families alone, or after ~ of all others; `none` for none
    #[arg(help_heading = HEADING, long, value_name = "[~]FAMILY...")]
    restrict_address_families: Vec<Families>,

    /// Let calls that wait for the disk, such as fsync, succeed at once
    #[arg(help_heading = HEADING, long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "yes",
        value_parser = BoolishValueParser::new(),
        overrides_with = "no_suppress_sync"
    )]
    suppress_sync: Option<bool>,

    /// Let them wait
    #[arg(long, hide = true, overrides_with = "suppress_sync")]
    no_suppress_sync: bool,
}

impl SecurityArgs {
    /// Whether privileges through execve are taken away.
    pub fn no_new_privileges(&self) -> bool {
        self.no_new_privileges.unwrap_or(false)
    }

    /// What changes of the filter of system calls.
    pub fn restrictions(&self) -> Restrictions {
        let mut families = Vec::new();
        for Families(rule) in &self.restrict_address_families {
            match rule {
                Some(rule) => families.push(rule.clone()),
                None => families.clear(),
            }
        }
        Restrictions {
            calls: self.system_call_filter.clone(),
            families,
            suppress_sync: self.suppress_sync.unwrap_or(false) && !self.no_suppress_sync,
        }
    }
}

/// A rule, or nothing, which takes back what was said before.
#[derive(Clone, Debug)]
struct Families(Option<FamilyRule>);

impl FromStr for Families {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "" => Ok(Self(None)),
            text => text.parse().map(|rule| Self(Some(rule))),
        }
    }
}
