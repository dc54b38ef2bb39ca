//! How it ends.

use nsrun_tests::done::Running;
use nsrun_tests::{Sandbox, patience, wait_until};
use rustix::process::Signal;

use super::{down, nixos, up};

#[test]
fn fact_16_power_off_halt_reboot_and_early_failure_are_told_apart() {
    let sandbox = Sandbox::new();
    let (image, _) = nixos(&sandbox);
    let mut machine = up(&sandbox, &image, &[]);
    let _ = machine.exec(&["systemctl", "reboot"]);
    machine.wait_ready_times(2);
    machine.assert_running();
    let _ = machine.exec(&["systemctl", "halt"]);
    assert_eq!(machine.finish(patience(60)), 0, "{}", machine.output());
    drop(machine);
    let mut machine = up(&sandbox, &image, &[]);
    machine.signal(Signal::TERM);
    assert_eq!(machine.finish(patience(60)), 0, "{}", machine.output());
    drop(machine);
    // systemd ends with 255 if it cannot even begin.
    let image = sandbox.tiny("early", &["exit 255"]);
    let mut machine = sandbox.boot(&image).options(&["--network=host"]).start();
    assert_eq!(machine.finish(patience(20)), 255);
}

#[test]
fn fact_22_who_joined_does_not_hold_up_the_end() {
    let sandbox = Sandbox::new();
    let (image, _) = nixos(&sandbox);
    let machine = up(&sandbox, &image, &[]);
    // One that would not go by itself: no signal but the last ends it.
    let script = "trap '' TERM HUP INT; echo inside; while :; do sleep 1; done";
    let words = ["exec", machine.name(), "--", "sh", "-c", script];
    let mut joined = Running::start(sandbox.command(&words));
    wait_until(patience(20), "the command starts", || {
        joined.so_far().stdout.contains("inside").then_some(())
    });
    down(machine);
    let done = joined.finish(patience(10));
    assert_ne!(done.status, 0, "{done}");
}
