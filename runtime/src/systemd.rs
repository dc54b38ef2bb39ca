//! The host's systemd, over its bus.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::runtime;
use tokio::time::timeout;
use zbus::zvariant::{OwnedObjectPath, Value};
use zbus::{Connection, Error as BusError, proxy};

use crate::error::{Context, Error, Kind, Result};

/// How long a bus may take to answer; it is busy for that long only when it is stuck.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

#[proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1",
    gen_blocking = false
)]
pub(crate) trait Manager {
    fn subscribe(&self) -> zbus::Result<()>;

    fn reload(&self) -> zbus::Result<()>;

    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;

    #[allow(clippy::type_complexity)]
    fn start_transient_unit(
        &self,
        name: &str,
        mode: &str,
        properties: &[(&str, Value<'_>)],
        auxiliary: &[(&str, &[(&str, Value<'_>)])],
    ) -> zbus::Result<OwnedObjectPath>;

    #[zbus(signal)]
    fn job_removed(&self, id: u32, job: OwnedObjectPath, unit: String, result: String);
}

/// Does something over the bus, and fails if it takes longer than `patience`. To be called by a
/// thread that is in no runtime of tokio's; no thread stays.
pub(crate) fn on_bus<T>(
    patience: Duration,
    work: impl Future<Output = std::result::Result<T, BusError>>,
) -> Result<std::result::Result<T, BusError>> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(1)
        .build()
        .cannot(|| "talk to the bus")?;
    let done = runtime.block_on(async { timeout(patience, work).await });
    done.map_err(|_| {
        let seconds = patience.as_secs();
        Error::new(
            Kind::Failed,
            format!("systemd does not answer within {seconds} s"),
        )
    })
}

/// Has systemd read units anew.
///
/// # Errors
/// If it cannot be asked.
pub fn reload() -> Result<()> {
    let asked = on_bus(TIMEOUT, async {
        let bus = Connection::system().await?;
        ManagerProxy::new(&bus).await?.reload().await
    });
    asked
        .and_then(|done| done.map_err(told))
        .cannot(|| "have systemd read its units")
}

/// Has systemd start units, all at once, and waits until each has started or failed. A unit that has
/// started already is no failure.
///
/// # Errors
/// If systemd cannot be asked, or has not done it in time. What became of each unit is in the answer.
pub fn start_units(units: &[String], patience: Duration) -> Result<Vec<Result<()>>> {
    let what = || "have systemd start units";
    let done = on_bus(patience, start_all(units)).cannot(what)?;
    let results = done.map_err(told).cannot(what)?;
    let results = units.iter().zip(results);
    Ok(results
        .map(|(unit, result)| outcome(unit, result))
        .collect())
}

fn outcome(unit: &str, result: std::result::Result<String, BusError>) -> Result<()> {
    let why = match result {
        Ok(result) if result == "done" => return Ok(()),
        Ok(result) => Error::new(Kind::Failed, format!("its job ended as '{result}'")),
        Err(error) => told(error),
    };
    let hint = format!("see `systemctl status {unit}` and `journalctl -u {unit}`");
    Err(Error::new(Kind::Failed, format!("cannot start {unit}"))
        .because(why)
        .hint(hint))
}

type JobResult = std::result::Result<String, BusError>;

async fn start_all(units: &[String]) -> std::result::Result<Vec<JobResult>, BusError> {
    let bus = Connection::system().await?;
    let systemd = ManagerProxy::new(&bus).await?;
    let mut finished = systemd.receive_job_removed().await?;
    systemd.subscribe().await?;
    let mut jobs = Vec::new();
    for unit in units {
        jobs.push(systemd.start_unit(unit, "replace").await);
    }
    let mut results: Vec<Option<String>> = vec![None; jobs.len()];
    let missing = |results: &[Option<String>], jobs: &[zbus::Result<OwnedObjectPath>]| {
        let mut all = results.iter().zip(jobs);
        all.any(|(result, job)| result.is_none() && job.is_ok())
    };
    while missing(&results, &jobs) {
        let Some(signal) = finished.next().await else {
            return Err(BusError::Failure("the bus is gone".into()));
        };
        let args = signal.args()?;
        let ours = |job: &zbus::Result<OwnedObjectPath>| job.as_ref().is_ok_and(|j| *j == args.job);
        for (result, _) in results.iter_mut().zip(&jobs).filter(|(_, job)| ours(job)) {
            *result = Some(args.result.clone());
        }
    }
    let all = results.into_iter().zip(jobs);
    Ok(all
        .map(|(result, job)| job.map(|_| result.unwrap_or_default()))
        .collect())
}

fn told(error: BusError) -> Error {
    match error {
        BusError::MethodError(_, Some(text), _) => Error::new(Kind::Failed, text),
        other => Error::new(Kind::Failed, other.to_string()),
    }
}
