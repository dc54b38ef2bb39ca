//! Waiting for a unit of a machine's service manager.

use std::time::Duration;

use nsrun_runtime::attach::{Unit, Units};
use serde_json::{Value, json};

use super::machine::{Machine, Phase};
use super::protocol::Failure;

/// How long to wait for a manager that does not listen, or not any more: it may be restarting itself.
const AGAIN: Duration = Duration::from_millis(20);

/// Waits until the unit is active.
///
/// # Errors
/// `unit` if it has failed, or is inactive and nothing is going to change that; `down` if the machine
/// ends before.
pub(super) async fn wait_active(machine: &Machine, unit: &str) -> Result<Value, Failure> {
    loop {
        machine.wait_up(None).await?;
        match Units::connect(&machine.dirs, &machine.real).await {
            Ok(Some(mut units)) => {
                if let Some(outcome) = watch(&mut units, machine, unit).await? {
                    return outcome;
                }
            }
            Ok(None) => {}
            // The machine's end may be known here a moment later.
            Err(error) if machine.life().phase >= Phase::Up => {
                tokio::time::sleep(AGAIN).await;
                if machine.life().phase == Phase::Up || machine.life().phase == Phase::Ready {
                    return Err(error.into());
                }
            }
            Err(_) => {}
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Looks at the unit whenever something changes; `None` if the manager hangs up.
async fn watch(
    units: &mut Units,
    machine: &Machine,
    unit: &str,
) -> Result<Option<Result<Value, Failure>>, Failure> {
    let path = units.find(unit).await?;
    let mut idle = 0;
    loop {
        let Ok(state) = units.look(&path).await else {
            return Ok(None);
        };
        idle = match hopeless(&state) {
            true => idle + 1,
            false => 0,
        };
        if state.active == "active" {
            return Ok(Some(Ok(told(&state))));
        }
        // A job may have ended between the two questions, and the next may just be made.
        if state.active == "failed" || idle > 1 {
            return Ok(Some(Err(never(machine, unit, &state))));
        }
        if idle == 0 && units.change(&path).await.is_err() {
            return Ok(None);
        }
    }
}

/// Whether it is inactive and there is no job that could start it.
fn hopeless(state: &Unit) -> bool {
    state.active == "inactive" && state.jobs == 0
}

fn told(state: &Unit) -> Value {
    json!({ "load": state.load, "active": state.active, "sub": state.sub })
}

fn never(machine: &Machine, unit: &str, state: &Unit) -> Failure {
    let name = &machine.name;
    let why = match state {
        _ if state.load == "not-found" => "there is no such unit".to_owned(),
        _ if state.active == "failed" => "it has failed".to_owned(),
        _ => "it is inactive and there are no pending jobs".to_owned(),
    };
    Failure::new(
        "unit",
        format!("unit {unit} of machine {name} is not active: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(load: &str, active: &str, jobs: u32) -> Unit {
        Unit {
            load: load.to_owned(),
            active: active.to_owned(),
            sub: "dead".to_owned(),
            jobs,
        }
    }

    #[test]
    fn an_inactive_unit_is_waited_for_while_there_are_jobs() {
        assert!(hopeless(&unit("loaded", "inactive", 0)));
        assert!(!hopeless(&unit("loaded", "inactive", 1)));
        assert!(!hopeless(&unit("loaded", "activating", 0)));
    }
}
