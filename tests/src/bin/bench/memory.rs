//! What the supervisor keeps in memory.

use std::fs::read_to_string;
use std::thread::sleep;

use nsrun_tests::patience;

use crate::host::Host;
use crate::report::Report;

pub(crate) fn measure(host: &Host, _rounds: usize, report: &mut Report) {
    let image = host.sandbox.install("memory", &["trixie"]);
    host.fresh_cgroup();
    let mut machine = host.sandbox.boot(&image).start();
    machine.wait_ready();
    sleep(patience(10));
    let pid = machine.pid();
    println!("\nsupervisor 10 s after READY=1");
    let rollup = read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    for (key, what, limit) in [
        ("Rss:", "resident", 3584),
        ("Private_Dirty:", "private and dirty", 1024),
    ] {
        let kib = field(&rollup, key);
        report.check(
            &format!("{what}, at most {limit} KiB"),
            kib.is_some_and(|kib| kib <= limit),
            &kib.map_or("unknown".to_owned(), |kib| format!("{kib} KiB")),
        );
    }
    let _ = machine.stop();
    let _ = machine.finish(patience(90));
}

fn field(rollup: &str, key: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
