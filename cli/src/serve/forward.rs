//! Connections to the host's loopback, passed on to a machine's.

use std::net::Ipv4Addr;
use std::rc::Rc;

use nsrun_runtime::{Context, attach};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::machine::Machine;
use super::protocol::{Failure, Forward};

/// Listens until the server ends; also for a machine that is to start again.
pub(super) async fn listen(machine: &Rc<Machine>, wanted: &Forward) -> Result<Value, Failure> {
    let place = (Ipv4Addr::LOCALHOST, wanted.host_port);
    let listener = TcpListener::bind(place).await;
    let listener = listener.cannot(|| format!("listen at {}:{}", place.0, place.1))?;
    let address = listener.local_addr().cannot(|| "tell the port")?;
    let (machine, port) = (Rc::clone(machine), wanted.port);
    tokio::task::spawn_local(async move {
        while let Ok((client, _)) = listener.accept().await {
            let machine = Rc::clone(&machine);
            tokio::task::spawn_local(async move { pass(client, &machine, port).await });
        }
    });
    Ok(json!({ "host_port": address.port() }))
}

/// Passes one connection on. A client whose machine does not answer sees its connection end.
async fn pass(mut client: TcpStream, machine: &Machine, port: u16) {
    let Ok(socket) = attach::socket(&machine.dirs, &machine.real) else {
        return;
    };
    let place = (Ipv4Addr::LOCALHOST, port);
    if let Ok(mut server) = TcpSocket::from_std_stream(socket)
        .connect(place.into())
        .await
    {
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}
