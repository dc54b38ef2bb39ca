//! What needs a host with systemd, in an emulated one if that is prepared.

use std::path::Path;
use std::process::Command;

use nsrun_tests::done::run;
use nsrun_tests::{patience, skip};

#[test]
fn the_suite_of_systemd_hosts_passes_in_one() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut prepared = Command::new(tests.join("vm/run"));
    prepared.args(["--is-prepared", "systemd"]);
    if run(prepared, patience(30)).status != 0 {
        skip!("no virtual host is prepared; `make vm` does it");
    }
    let mut suite = Command::new(tests.join("run/vm"));
    suite.args(["--host=systemd", "systemd_host"]);
    let done = run(suite, patience(1000)).success();
    assert!(done.stdout.contains("test result: ok."), "{done}");
}
