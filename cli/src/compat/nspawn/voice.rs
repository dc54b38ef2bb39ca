//! What systemd-nspawn says of a payload's beginning and end, and its exit status for the latter.

use nsrun_runtime::MachineName;
use nsrun_runtime::plan::Request;
use nsrun_runtime::supervise::{End, Outcome};

use crate::globals::Globals;
use crate::report;

/// What it says of a payload that a signal ended.
const KILLED: u8 = 1;

/// Says that the payload is about to start.
pub(crate) fn begins(request: &Request, globals: &Globals) {
    if globals.quiet {
        return;
    }
    let (machine, root) = (&request.machine, request.root.display());
    report::note(format_args!("Spawning container {machine} on {root}."));
    if request.interactive {
        report::note("Press Ctrl-] three times within 1s to kill container.");
    }
}

/// Says how it ended, and gives the exit status.
pub(crate) fn ended(machine: &MachineName, outcome: &Outcome, globals: &Globals) -> u8 {
    let (text, status) = ending(machine, outcome);
    // A payload that was killed is told of in any case.
    if !globals.quiet || matches!(outcome.end, End::Killed(_)) {
        report::note(text);
    }
    status
}

fn ending(machine: &MachineName, outcome: &Outcome) -> (String, u8) {
    let container = format!("Container {machine}");
    match outcome.end {
        End::Exited(0) => (format!("{container} exited successfully."), 0),
        End::Exited(status) => {
            let text = format!("{container} failed with error code {status}.");
            (text, status)
        }
        End::PoweredOff => {
            let text = format!("{container} has been shut down.");
            (text, outcome.exit_status())
        }
        End::Rebooted => {
            let text = format!("{container} is being rebooted.");
            (text, outcome.exit_status())
        }
        End::Killed(signal) => {
            let name = signal.to_string();
            let name = name.trim_start_matches("SIG");
            (format!("{container} terminated by signal {name}."), KILLED)
        }
    }
}

#[cfg(test)]
mod tests {
    use nsrun_runtime::supervise::{Cause, Signal};

    use super::*;

    #[test]
    fn every_end_has_words_and_a_status() {
        let table = [
            (End::Exited(0), "Container web exited successfully.", 0),
            (End::Exited(7), "Container web failed with error code 7.", 7),
            (End::PoweredOff, "Container web has been shut down.", 0),
            (
                End::Killed(Signal::KILL),
                "Container web terminated by signal KILL.",
                1,
            ),
        ];
        for (end, text, status) in table {
            let outcome = Outcome {
                end,
                cause: Cause::Payload,
                announced: None,
                shutdown: None,
            };
            let machine = "web".parse().unwrap();
            assert_eq!(ending(&machine, &outcome), (text.to_owned(), status));
        }
    }
}
