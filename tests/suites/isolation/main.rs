//! What a payload sees, may do, and cannot do to the host.

mod devices;
mod privileges;
mod proc_sys;
mod spaces;

use nsrun_tests::facts::Facts;
use nsrun_tests::{Done, Must, Sandbox};

const PROBE: &str = "/sbin/init";

fn probe(sandbox: &Sandbox, options: &[&str], image: &str, words: &[&str]) -> Done {
    let args = [&["run"], options, &[image, "--", PROBE], words].concat();
    sandbox.nsrun(&args)
}

fn facts(sandbox: &Sandbox, options: &[&str], image: &str) -> Facts {
    probe(sandbox, options, image, &["facts"]).success().json()
}

/// What became of each attempt.
fn attempts(sandbox: &Sandbox, options: &[&str], image: &str, what: &[&str]) -> Vec<String> {
    let words = [&["try"], what].concat();
    let done = probe(sandbox, options, image, &words).success();
    let lines: Vec<_> = done.stdout.lines().collect();
    assert_eq!(lines.len(), what.len(), "{done}");
    let outcome = |(line, what): (&&str, &&str)| {
        let rest = line
            .strip_prefix(*what)
            .and_then(|rest| rest.strip_prefix(": "));
        rest.must("find an attempt's outcome").to_owned()
    };
    lines.iter().zip(what).map(outcome).collect()
}

/// Fails with every attempt that did not end in one of the outcomes wanted of it.
#[track_caller]
fn assert_outcomes(sandbox: &Sandbox, options: &[&str], image: &str, cases: &[(&str, &[&str])]) {
    let what: Vec<_> = cases.iter().map(|(what, _)| *what).collect();
    let outcomes = attempts(sandbox, options, image, &what);
    let wrong: Vec<_> = cases
        .iter()
        .zip(&outcomes)
        .filter(|((_, wanted), outcome)| !wanted.contains(&outcome.as_str()))
        .map(|((what, wanted), outcome)| format!("{what}: {outcome}, wanted {wanted:?}"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
