//! `nsrun test`: a test script in Python, and machines for it.

mod driver;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueHint;
use nsrun_runtime::{Context, Error, Kind, MachineName, Result};

use crate::globals::Globals;

const HELP: &str = "\
Examples:
  nsrun test --machine web.tar.xz smoke.py
  nsrun test --machine server=web --machine client=web --vlan 1 http.py
  nsrun test --machine web --junit-xml=report.xml smoke.py
  nsrun test --machine web --option=--bind-ro=/srv/data --timeout=600 data.py

The script is one for NixOS's test driver: it has `machine` or a name for each machine, `start_all`,
`subtest` and so on. Machines start from their images without changing them, and end with the test.

Exit status: 0 passed, 1 failed, 2 usage, 5 the host lacks something, such as python3 3.9 or later,
6 the script cannot be read.";

#[derive(clap::Args, Debug)]
#[command(after_help = HELP)]
pub struct TestArgs {
    /// The script, in Python
    #[arg(value_hint = ValueHint::FilePath)]
    script: PathBuf,

    /// Have a machine NAME [default: machine] of an image, a tar archive, a directory, or a NixOS
    /// system in a Nix store; all but an image are given with a slash
    #[arg(short, long, value_name = "[NAME=]SOURCE", required = true, value_parser = machine)]
    machine: Vec<Machine>,

    /// Start all machines with an option of `nsrun start`
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    option: Vec<String>,

    /// Put all machines into network VLAN, numbered by the order of their names: 192.168.VLAN.1 and
    /// so on. They know each other by name
    #[arg(long, value_name = "VLAN", value_parser = clap::value_parser!(u8).range(1..))]
    vlan: Vec<u8>,

    /// Put what the script copies out of machines into DIR
    #[arg(short, long, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    output_directory: PathBuf,

    /// Fail if the script has not ended after SECONDS
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,

    /// Do not show what machines write to their consoles
    #[arg(long)]
    quiet_consoles: bool,

    /// Write a report for CI systems to FILE; a subtest is a test case
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    junit_xml: Option<PathBuf>,

    /// Write a report by the Test Anything Protocol to FILE
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    tap: Option<PathBuf>,

    /// Write what happens as lines of JSON to FILE, as it happens
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    json_lines: Option<PathBuf>,

    /// Leave the machines running when the script has ended, until ^C
    #[arg(long)]
    keep: bool,
}

/// A machine's name and what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Machine {
    name: MachineName,
    source: String,
}

fn machine(word: &str) -> Result<Machine> {
    let (name, source) = match word.split_once('=') {
        // A path may have the sign, too.
        Some((name, source)) if !name.contains('/') => (name, source),
        _ => ("machine", word),
    };
    if source.is_empty() {
        let what = format!("nothing is said of what machine {name} is made of");
        return Err(Error::new(Kind::Usage, what).hint("--machine=NAME=IMAGE"));
    }
    // An archive in this directory is what somebody means who names it.
    let archive = !source.contains('/') && source.contains(".tar") && Path::new(source).is_file();
    let source = match archive {
        true => format!("./{source}"),
        false => source.to_owned(),
    };
    let name = name.parse()?;
    Ok(Machine { name, source })
}

/// Becomes a Python that runs the script, and starts `nsrun serve` for its machines.
pub fn run(args: &TestArgs, globals: &Globals) -> Result<ExitCode> {
    let mut names: Vec<_> = args.machine.iter().map(|machine| &machine.name).collect();
    names.sort_unstable_by_key(|name| name.as_str());
    if let Some([name, _]) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let what = format!("two machines are called {name}");
        return Err(Error::new(Kind::Usage, what).hint("--machine=NAME=IMAGE names one"));
    }
    Err(driver::become_python(&words(args, globals)?))
}

/// The driver's command line.
fn words(args: &TestArgs, globals: &Globals) -> Result<Vec<OsString>> {
    let own = std::env::current_exe().cannot(|| "find this program")?;
    let mut words: Vec<OsString> = vec![args.script.clone().into()];
    let mut option = |name: &str, value: OsString| {
        words.push(OsString::from_iter([OsString::from(name), value]));
    };
    option("--nsrun=", own.into());
    option("--nsrun=--image-root=", globals.dirs.image_root().into());
    if let Some(root) = globals.dirs.state_root() {
        option("--nsrun=--state-root=", root.into());
    }
    for Machine { name, source } in &args.machine {
        option("--machine=", format!("{name}={source}").into());
    }
    for word in &args.option {
        option("--option=", word.into());
    }
    option("--output-directory=", args.output_directory.clone().into());
    option("--global-timeout=", args.timeout.to_string().into());
    for vlan in &args.vlan {
        option("--vlan=", vlan.to_string().into());
    }
    let reports = [
        ("--junit-xml=", &args.junit_xml),
        ("--tap=", &args.tap),
        ("--json-lines=", &args.json_lines),
    ];
    for (name, path) in reports {
        if let Some(path) = path {
            option(name, path.into());
        }
    }
    let flags = [
        ("--keep", args.keep),
        ("--quiet-consoles", args.quiet_consoles),
    ];
    let given = flags.iter().filter(|(_, given)| *given);
    words.extend(given.map(|(name, _)| OsString::from(name)));
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(word: &str) -> (String, String) {
        let Machine { name, source } = machine(word).unwrap();
        (name.to_string(), source)
    }

    #[test]
    fn a_machine_has_a_name_or_is_called_machine() {
        let pair = |name: &str, source: &str| (name.to_owned(), source.to_owned());
        assert_eq!(split("web"), pair("machine", "web"));
        assert_eq!(split("a=web"), pair("a", "web"));
        assert_eq!(split("./x=y.tar"), pair("machine", "./x=y.tar"));
        assert_eq!(split("a=./x=y.tar"), pair("a", "./x=y.tar"));
        for word in ["", "a=", "=web", "a b=web", "_=web"] {
            assert!(machine(word).is_err(), "{word}");
        }
    }
}
