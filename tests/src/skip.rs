//! Skipping what this host cannot show, in the open: a skip that is not on the list fails.

use std::fs::OpenOptions;
use std::io::Write;

/// Tests that may skip: a test's name per line, `#` for comments.
const ALLOWED: &str = include_str!("../skips.txt");

/// Records that the running test skips.
///
/// # Panics
/// When the test is not on the list of `tests/skips.txt`.
#[track_caller]
pub fn record(reason: &str) {
    let name = test_name();
    assert!(
        allowed(ALLOWED, &name),
        "{name} skips ({reason}), but is not listed in tests/skips.txt"
    );
    println!("SKIP {name}: {reason}");
    if let Some(path) = std::env::var_os("NSRUN_SKIP_LOG") {
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let line = format!("SKIP {name}: {reason}\n");
        if let Err(error) = log.and_then(|mut log| log.write_all(line.as_bytes())) {
            panic!("cannot record a skip in {}: {error}", path.display());
        }
    }
}

/// The running test as `suite::test`. Test threads bear their test's name.
#[must_use]
pub fn test_name() -> String {
    let program = std::env::args().next().unwrap_or_default();
    let file = program.rsplit('/').next().unwrap_or_default();
    let suite = file.rsplit_once('-').map_or(file, |(suite, _hash)| suite);
    let thread = std::thread::current();
    let test = thread.name().filter(|name| *name != "main");
    let test = test.map(str::to_owned).or_else(named_exactly);
    format!("{suite}::{}", test.unwrap_or_default())
}

/// With one test thread the harness runs tests on the main thread; a runner that starts
/// each test in a process of its own names it on the command line.
fn named_exactly() -> Option<String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    args.contains(&"--exact".to_owned())
        .then(|| args.into_iter().find(|arg| !arg.starts_with('-')))
        .flatten()
}

fn allowed(list: &str, name: &str) -> bool {
    list.lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .any(|entry| !entry.is_empty() && entry == name)
}

/// Leaves the running test with a reason, which is printed and recorded.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)+) => {{
        $crate::skip::record(&format!($($reason)+));
        return;
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_tests_may_skip() {
        let list = "# hosts\nboot::one\nboot::two # no kernel\n";
        assert!(allowed(list, "boot::one"));
        assert!(allowed(list, "boot::two"));
        assert!(!allowed(list, "boot::three"));
        assert!(!allowed(list, ""));
    }

    #[test]
    fn a_test_knows_its_name() {
        assert_eq!(
            test_name(),
            "nsrun_tests::skip::tests::a_test_knows_its_name"
        );
    }

    #[test]
    #[should_panic(expected = "not listed")]
    fn an_unlisted_skip_fails() {
        record("for no reason");
    }
}
