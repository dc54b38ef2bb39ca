//! Every dependency's licence is on the list of `deny.toml`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use nsrun_tests::Must;
use nsrun_tests::done::Running;
use nsrun_tests::patience;
use spdx::{Expression, ParseMode};

fn workspace() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().must("find the workspace")
}

fn allowed() -> BTreeSet<String> {
    let text = std::fs::read_to_string(workspace().join("deny.toml")).must("read deny.toml");
    let config: toml::Table = text.parse().must("parse deny.toml");
    let list = config["licenses"]["allow"].as_array();
    list.must("find the list of licences")
        .iter()
        .filter_map(|entry| Some(entry.as_str()?.to_owned()))
        .collect()
}

/// Names and licence expressions of all packages that a build for Linux uses.
fn packages() -> Vec<(String, String)> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(workspace())
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        .arg(format!(
            "--filter-platform={}-unknown-linux-gnu",
            std::env::consts::ARCH
        ));
    let done = Running::start(cargo).finish(patience(60)).success();
    let metadata: serde_json::Value = done.json();
    let packages = metadata["packages"].as_array();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    packages
        .must("find the packages")
        .iter()
        .map(|package| (text(&package["name"]), text(&package["license"])))
        .collect()
}

fn permitted(licence: &str, allowed: &BTreeSet<String>) -> bool {
    Expression::parse_mode(licence, ParseMode::LAX)
        .is_ok_and(|expression| expression.evaluate(|one| allowed.contains(&one.to_string())))
}

#[test]
fn all_dependencies_are_on_the_list() {
    let allowed = allowed();
    let packages = packages();
    assert!(packages.iter().any(|(name, _)| name == "nix"));
    let others: Vec<_> = packages
        .iter()
        .filter(|(_, licence)| !permitted(licence, &allowed))
        .collect();
    assert!(
        others.is_empty(),
        "not on the list of deny.toml: {others:?}"
    );
}

#[test]
fn copyleft_and_missing_licences_are_told_apart_from_choices() {
    let allowed = allowed();
    assert!(permitted("GPL-2.0-only OR MIT", &allowed));
    assert!(permitted("MIT/Apache-2.0", &allowed));
    for licence in [
        "GPL-3.0-only",
        "MIT AND LGPL-2.1-only",
        "AGPL-3.0-or-later",
        "",
    ] {
        assert!(!permitted(licence, &allowed), "{licence}");
    }
}
