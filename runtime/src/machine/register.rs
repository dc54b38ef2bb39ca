//! Telling machined of a machine, so that machinectl and what asks machined know it.

use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};
use zbus::zvariant::OwnedObjectPath;
use zbus::{Connection, Error as BusError, proxy};

use crate::error::{Error, Kind, Result};
use crate::plan::{Plan, Register, parse_id};
use crate::systemd::{TIMEOUT, on_bus};

#[proxy(
    interface = "org.freedesktop.machine1.Manager",
    default_service = "org.freedesktop.machine1",
    default_path = "/org/freedesktop/machine1",
    gen_blocking = false
)]
trait Machines {
    #[allow(clippy::too_many_arguments)]
    fn register_machine_with_network(
        &self,
        name: &str,
        id: &[u8],
        service: &str,
        class: &str,
        leader: u32,
        root: &str,
        links: &[i32],
    ) -> zbus::Result<OwnedObjectPath>;

    fn unregister_machine(&self, name: &str) -> zbus::Result<()>;

    fn get_machine(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
}

/// A machine that machined knows until this is dropped.
#[derive(Debug)]
pub(super) struct Registered {
    name: String,
}

/// Refuses what machined would, before anything is started: that there is no machined, and that it has
/// a machine of that name.
///
/// # Errors
/// [`Kind::HostLacks`] and [`Kind::Busy`].
pub(super) fn expect(plan: &Plan) -> Result<()> {
    if plan.register != Register::Yes {
        return Ok(());
    }
    let known = on_bus(TIMEOUT, async {
        let bus = Connection::system().await?;
        let machines = MachinesProxy::new(&bus).await?;
        machines.get_machine(plan.machine.as_str()).await
    });
    match known? {
        Err(error) if is(&error, "org.freedesktop.machine1.NoSuchMachine") => Ok(()),
        Err(error) => Err(absent(plan, error)),
        Ok(_) => Err(taken(plan)),
    }
}

/// Registers the machine with its first process, which is in the machine's unit already; `None` if that
/// is not wanted, or cannot be and need not.
///
/// # Errors
/// Those of [`expect`], if it has to be.
pub(super) fn register(
    plan: &Plan,
    leader: i32,
    interface: Option<&str>,
) -> Result<Option<Registered>> {
    if plan.register == Register::No {
        return Ok(None);
    }
    let id = parse_id(&plan.uuid).unwrap_or_default();
    let links: Vec<i32> = interface.and_then(index).into_iter().collect();
    let root = plan.root.to_string_lossy();
    let name = plan.machine.as_str();
    let done = on_bus(TIMEOUT, async {
        let bus = Connection::system().await?;
        let machines = MachinesProxy::new(&bus).await?;
        machines
            .register_machine_with_network(
                name,
                &id,
                "nsrun",
                "container",
                leader.unsigned_abs(),
                &root,
                &links,
            )
            .await
    });
    let registered = Registered {
        name: name.to_owned(),
    };
    match (done, plan.register) {
        (Ok(Ok(_)), _) => Ok(Some(registered)),
        (_, Register::Auto | Register::No) => Ok(None),
        (Err(error), Register::Yes) => Err(error),
        (Ok(Err(error)), Register::Yes) if is(&error, "org.freedesktop.machine1.MachineExists") => {
            Err(taken(plan))
        }
        (Ok(Err(error)), Register::Yes) => Err(absent(plan, error)),
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // machined forgets a machine whose unit has ended, too.
        let _ = on_bus(TIMEOUT, async {
            let bus = Connection::system().await?;
            let machines = MachinesProxy::new(&bus).await?;
            machines.unregister_machine(&self.name).await
        });
    }
}

fn is(error: &BusError, name: &str) -> bool {
    matches!(error, BusError::MethodError(given, _, _) if given.as_str() == name)
}

fn absent(plan: &Plan, error: BusError) -> Error {
    let what = format!("cannot register machine {} with machined", plan.machine);
    Error::new(Kind::HostLacks, what).because(error).hint(
        "leave --register out: nsrun finds its machines by itself; with --register=auto a host \
         without machined will do",
    )
}

fn taken(plan: &Plan) -> Error {
    let name = &plan.machine;
    let what = format!("machined knows a machine {name} already");
    Error::new(Kind::Busy, what).hint(format!("see machinectl status {name}"))
}

/// The number of a link in this network namespace.
pub(super) fn index(interface: &str) -> Option<i32> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::DGRAM);
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None).ok()?;
    let index = netdevice::name_to_index(socket, interface).ok()?;
    i32::try_from(index).ok()
}
