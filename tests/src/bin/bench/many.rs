//! What is asked of many machines, and what they use.

use std::fs::read_to_string;
use std::time::{Duration, Instant};

use nsrun_tests::done::run;
use nsrun_tests::{many, patience};
use serde_json::Value;

use crate::host::Host;
use crate::report::{Race, Report};

const LIMIT: Duration = Duration::from_millis(50);

pub(crate) fn measure(host: &Host, rounds: usize, report: &mut Report) {
    let image = host.sandbox.install("many", &["demo", "--net=none"]);
    let begun = Instant::now();
    let names = host.sandbox.start_many(&image, many::number(100));
    let one = names.first().map_or("", String::as_str);
    let count = names.len();
    println!(
        "\n{count} machines started in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    for words in [&["list"][..], &["status", one], &["top"]] {
        let mut race = Race::new(&format!("{} with {count} machines", words[0]));
        for _ in 0..rounds {
            let begun = Instant::now();
            let _ = host.sandbox.nsrun(words).success();
            race.add("nsrun", begun.elapsed());
        }
        report.race(&race);
        report.within(&race, LIMIT);
    }
    let status: Value = host.sandbox.nsrun(&["--json", "status"]).success().json();
    let machines = status.as_array().map_or(&[][..], Vec::as_slice);
    let healthy = |machine: &&Value| {
        let failed = &machine["manager"]["failed_units"];
        machine["manager"]["state"] == "running" && failed == &Value::Array(Vec::new())
    };
    let healthy = machines.iter().filter(healthy).count();
    let told = format!("{healthy} of {count}");
    report.check("all run without a failed unit", healthy == count, &told);
    memory(machines);
    let begun = Instant::now();
    let _ = run(host.sandbox.command(&["stop", "--all"]), patience(900)).success();
    println!("\nstopped in {:.1} s", begun.elapsed().as_secs_f64());
}

/// Shared pages count in parts: the sum is what the machines use together.
fn memory(machines: &[Value]) {
    let (mut payload, mut supervisor) = (0, 0);
    for machine in machines {
        let processes = machine["processes"].as_array().into_iter().flatten();
        payload += processes.map(|process| pss(&process["pid"])).sum::<u64>();
        supervisor += pss(&machine["supervisor"]);
    }
    let count = machines.len();
    let each = |kib: u64| kib / u64::try_from(count).unwrap_or(1).max(1);
    println!("\nmemory of a machine (proportional set size)");
    println!("  payload    {:>6} KiB", each(payload));
    println!("  supervisor {:>6} KiB", each(supervisor));
}

fn pss(pid: &Value) -> u64 {
    let rollup = read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number.and_then(|kib| kib.parse().ok()).unwrap_or_default()
}
