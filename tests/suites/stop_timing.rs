//! A stop that comes at any moment of a boot is obeyed: held until the system listens, or
//! answered by a kill while only scripts run.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nsrun_tests::{Sandbox, image, patience, rng};
use rustix::process::Signal;

/// What the images' own stop takes, at worst, and one second more.
const LIMIT: Duration = Duration::from_secs(6);

/// The moments to try, from the start to `end`: every 50 ms of them, or some by chance.
fn moments(name: &str, end: Duration) -> Vec<Duration> {
    let step = Duration::from_millis(50);
    let count = u32::try_from(end.as_millis() / step.as_millis()).unwrap_or(u32::MAX);
    let all: Vec<Duration> = (0..=count).map(|n| step * n).collect();
    if std::env::var_os("NSRUN_TEST_SOAK").is_some() {
        return all;
    }
    let mut rng = rng::seeded(name);
    let mut some = rng.choose_multiple(all, 5);
    some.sort_unstable();
    some
}

fn stops_at_any_moment(base: &str, words: &[&str], options: &[&str]) {
    let sandbox = Sandbox::new();
    let name = sandbox.name(base);
    let tree = sandbox.image_root().join(&name);
    image::copy_tree(words, &tree);
    // The time that a boot takes here and now.
    let start = Instant::now();
    let mut machine = sandbox.boot(&name).options(options).up();
    let ready = start.elapsed();
    machine.signal(Signal::TERM);
    assert_eq!(machine.finish(patience(60)), 0, "{}", machine.output());
    drop(machine);
    for moment in moments(base, ready) {
        let mut machine = sandbox.boot(&name).options(options).start();
        sleep(moment);
        machine.signal(Signal::TERM);
        let asked = Instant::now();
        let _ = machine.finish(patience(60));
        let took = asked.elapsed();
        assert!(
            took < LIMIT + ready,
            "asked at {moment:?}: {took:?}; {}",
            machine.output()
        );
        sandbox.assert_clean();
    }
}

#[test]
fn debian_stops_whenever_it_is_asked() {
    stops_at_any_moment("trixie", &["trixie"], &[]);
}

#[test]
fn nixos_stops_whenever_it_is_asked() {
    stops_at_any_moment("demo", &["demo"], &["--network=host"]);
}
