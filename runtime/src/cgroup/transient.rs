//! Scopes that systemd makes on request.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, sleep};
use zbus::zvariant::{OwnedObjectPath, Value};
use zbus::{Connection, Error as BusError};

use super::host::own_cgroup;
use super::options::ScopeOptions;
use super::property::Property;
use crate::error::{Context, Error, Kind, Result};
use crate::name::MachineName;
use crate::systemd::{ManagerProxy, TIMEOUT, on_bus};

/// How long the scope of a machine that has just ended may take to go: systemd notices it when it
/// comes to that, which takes seconds on a busy host.
const PATIENCE: Duration = Duration::from_secs(10);

/// As in systemd's template for containers.
const TASKS_MAX: u64 = 16384;
const STOP_TIMEOUT: Duration = Duration::from_secs(120);

/// What systemd sends to every process of a scope that it stops, at the host's shutdown too. The
/// supervisor takes it for the request to stop; to the payload it is nothing, since its programs ignore it
/// unless they ask for it. SIGTERM would end all of the machine's services at once and behind the back of
/// the machine's own service manager.
pub(crate) const SCOPE_STOP: i32 = libc::SIGURG;

/// Has systemd put this process into a new, delegated scope, and tells the scope's cgroup.
pub(super) fn start(unit: &str, machine: &MachineName, options: &ScopeOptions) -> Result<PathBuf> {
    let what = || format!("start scope {unit}");
    match on_bus(TIMEOUT, request(unit, machine, options)).cannot(what)? {
        Ok(()) => entered(unit),
        Err(error) => Err(refused(error)).cannot(what),
    }
}

async fn request(
    unit: &str,
    machine: &MachineName,
    options: &ScopeOptions,
) -> std::result::Result<(), BusError> {
    let bus = Connection::system().await?;
    let systemd = ManagerProxy::new(&bus).await?;
    let mut finished = systemd.receive_job_removed().await?;
    systemd.subscribe().await?;
    let job = start_when_free(&systemd, unit, machine, options).await?;
    while let Some(signal) = finished.next().await {
        let args = signal.args()?;
        if args.job == job {
            return match args.result.as_str() {
                "done" => Ok(()),
                result => Err(BusError::Failure(format!("its job was {result}"))),
            };
        }
    }
    Err(BusError::Failure("the bus is gone".into()))
}

async fn start_when_free(
    systemd: &ManagerProxy<'_>,
    unit: &str,
    machine: &MachineName,
    options: &ScopeOptions,
) -> std::result::Result<OwnedObjectPath, BusError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let properties = properties(machine, options);
        let started = systemd
            .start_transient_unit(unit, "fail", &properties, &[])
            .await;
        match started {
            Err(error) if is(&error, UNIT_EXISTS) && Instant::now() < deadline => {
                sleep(Duration::from_millis(20)).await;
            }
            started => return started,
        }
    }
}

fn properties(
    machine: &MachineName,
    options: &ScopeOptions,
) -> Vec<(&'static str, Value<'static>)> {
    let stop = u64::try_from(STOP_TIMEOUT.as_micros()).unwrap_or(u64::MAX);
    let slice = options.slice.clone().unwrap_or_default();
    let mut properties = vec![
        ("Description", format!("Container {machine}").into()),
        ("Slice", slice.to_string().into()),
        ("Delegate", true.into()),
        ("PIDs", vec![std::process::id()].into()),
        ("CollectMode", "inactive-or-failed".into()),
        ("TasksMax", TASKS_MAX.into()),
        ("TimeoutStopUSec", stop.into()),
        ("KillSignal", SCOPE_STOP.into()),
    ];
    // Of two of one name systemd takes the last.
    properties.extend(options.properties.iter().map(Property::on_bus));
    properties
}

const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";

fn is(error: &BusError, name: &str) -> bool {
    matches!(error, BusError::MethodError(given, _, _) if given.as_str() == name)
}

fn refused(error: BusError) -> Error {
    if is(&error, UNIT_EXISTS) {
        return Error::new(Kind::Busy, "the scope of an earlier run is active still");
    }
    Error::new(Kind::HostLacks, "systemd did not give a scope")
        .because(error)
        .hint("run it in a unit: systemd-run --scope -p Delegate=yes nsrun …")
}

/// The cgroup that this process is in now, which is the scope's.
fn entered(unit: &str) -> Result<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").cannot(|| "read /proc/self/cgroup")?;
    own_cgroup(&text)
        .filter(|cgroup| cgroup.ends_with(unit))
        .ok_or_else(|| {
            let what = format!("systemd started scope {unit}, but not with this process in it");
            Error::new(Kind::Failed, what)
        })
}
