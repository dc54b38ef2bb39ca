//! The documentation is true where a program can tell: links, names of tests, dependencies.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nsrun_tests::Must;
use regex::Regex;

fn workspace() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().must("find the workspace")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).must(&format!("read {}", path.display()))
}

/// All files below `dir` with this ending; none if there is no such directory.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files(&path, ending),
            path => vec![path],
        })
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect()
}

fn pages() -> Vec<PathBuf> {
    let top = ["README.md", "CHANGELOG.md", "vendor-notes.md"];
    let mut pages = files(&workspace().join("docs"), ".md");
    pages.extend(top.map(|name| workspace().join(name)));
    pages
}

#[test]
fn links_between_pages_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)#\s]+)(#[^)]*)?\)").must("compile the pattern");
    let mut seen = 0;
    for page in pages() {
        let dir = page.parent().must("find the page's directory");
        let text = read(&page);
        for target in link.captures_iter(&text).map(|c| c[1].to_owned()) {
            if target.starts_with("https://") {
                continue;
            }
            assert!(dir.join(&target).exists(), "{}: {target}", page.display());
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen} links");
}

/// The source of a module of the runtime, its inner modules included.
fn module(path: &str) -> String {
    let base = workspace()
        .join("runtime/src")
        .join(path.replace("::", "/"));
    let own = base.with_extension("rs");
    let own = own.exists().then_some(own);
    let all = own.into_iter().chain(files(&base, ".rs"));
    all.map(|file| read(&file)).collect()
}

/// Whether `name` is a suite, a module of the runtime, or a test in one of them.
fn is_test(name: &str) -> bool {
    let (place, last) = name.rsplit_once("::").must("split the name");
    let path = place.replace("::", "/");
    let suites = ["tests/suites", "netns/tests"]
        .iter()
        .flat_map(|base| [".rs", "/main.rs"].map(|end| format!("{base}/{path}{end}")))
        .map(|suite| workspace().join(suite))
        .collect::<Vec<_>>();
    let text = match suites.iter().find(|suite| suite.exists()) {
        Some(suite) => read(suite),
        None => module(place),
    };
    (last == "*" && !text.is_empty())
        || text.contains(&format!("fn {last}("))
        || !module(name).is_empty()
}

/// The tests that a page names.
fn tests_of(page: &str) -> Vec<String> {
    let name = Regex::new(r"`([a-z_0-9]+(?:::[a-z_0-9*]+)+)`").must("compile the pattern");
    let text = read(&workspace().join("docs").join(page));
    let names = name.captures_iter(&text).map(|c| c[1].to_owned());
    names
        .filter(|name| !matches!(&**name, "suite::test" | "module::test"))
        .collect()
}

#[test]
fn guarantees_name_tests_that_exist() {
    let names = tests_of("guarantees.md");
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(is_test(&name), "{name}");
    }
}

#[test]
fn what_is_said_of_systemd_nspawn_names_tests_that_exist() {
    let names = tests_of("from-systemd-nspawn.md");
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(is_test(&name), "{name}");
    }
}

/// `crate · user` for every crate that a manifest names.
fn dependencies() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for user in ["runtime", "netns", "cli", "tests"] {
        let manifest = read(&workspace().join(user).join("Cargo.toml"));
        let manifest: toml::Table = manifest.parse().must("parse a manifest");
        for section in ["dependencies", "dev-dependencies"] {
            let names = manifest.get(section).and_then(toml::Value::as_table);
            let names = names.into_iter().flat_map(toml::Table::keys);
            let others = names.filter(|name| !name.starts_with("nsrun-"));
            all.extend(others.map(|name| format!("{name} · {user}")));
        }
    }
    all
}

/// The same of the headings `### CRATE, CRATE · USER, USER`.
fn described() -> BTreeSet<String> {
    let notes = read(&workspace().join("vendor-notes.md"));
    let headings = notes.lines().filter_map(|line| line.strip_prefix("### "));
    let split = headings.filter_map(|heading| heading.split_once(" · "));
    let mut all = BTreeSet::new();
    for (names, users) in split {
        for name in names.split(", ") {
            all.extend(users.split(", ").map(|user| format!("{name} · {user}")));
        }
    }
    all
}

#[test]
fn every_dependency_is_described_for_each_crate_that_has_it() {
    let (wanted, described) = (dependencies(), described());
    let missing: Vec<_> = wanted.difference(&described).collect();
    let gone: Vec<_> = described.difference(&wanted).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "missing: {missing:?}, gone: {gone:?}"
    );
}
