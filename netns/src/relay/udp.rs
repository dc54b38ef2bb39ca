//! Flows of UDP: each client has a socket of its own towards the service, by which the
//! answers find their way.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use futures_util::future::{AbortHandle, abortable};
use rustix::net::{RecvFlags, SendFlags, recv};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::datagram::{self, Peer};
use super::{Limits, Relay, Target};
use crate::crowd::{Crowd, Turn};

/// No datagram is longer.
const DATAGRAM: usize = 65535;

struct Port {
    socket: UdpSocket,
    limits: Limits,
    flows: RefCell<HashMap<Peer, Flow>>,
    /// Of what services answer, for all flows: nothing is kept in it across an await.
    answers: RefCell<Box<[u8]>>,
}

struct Flow {
    service: Rc<UdpSocket>,
    used: Rc<Cell<Instant>>,
    end: AbortHandle,
}

pub(super) async fn serve(relay: Relay) -> io::Result<()> {
    let is_ipv6 = relay.listener.address().is_ipv6();
    let socket = relay.listener.into_udp()?;
    datagram::ask_for_local(&socket, is_ipv6)?;
    let port = Port {
        socket,
        limits: relay.limits,
        flows: RefCell::default(),
        answers: RefCell::new(vec![0; DATAGRAM].into()),
    };
    let mut request = vec![0; DATAGRAM];
    // The table of flows is what limits them.
    let mut running = Crowd::new(usize::MAX);
    let mut turn = Turn::default();
    loop {
        turn.over().await;
        let arrival = datagram::receive(&port.socket, &mut request);
        // An error is that of an earlier answer, such as to a client that is gone.
        let Ok((peer, length)) = running.until(arrival, drop).await else {
            continue;
        };
        if !port.passed_on(&peer, &request[..length])
            // Without a socket the datagram is lost; clients repeat those.
            && let Ok(service) = connect(&relay.target)
        {
            send(&service, &request[..length]);
            let (service, used) = (Rc::new(service), Rc::new(Cell::new(Instant::now())));
            let answers = port.answer(peer, Rc::clone(&service), Rc::clone(&used));
            let (answers, end) = abortable(answers);
            port.enter(peer, Flow { service, used, end });
            running.push(answers);
        }
    }
}

impl Port {
    /// Whether there is a flow of that peer, which has got the datagram.
    fn passed_on(&self, peer: &Peer, data: &[u8]) -> bool {
        let flows = self.flows.borrow();
        let Some(flow) = flows.get(peer) else {
            return false;
        };
        flow.used.set(Instant::now());
        send(&flow.service, data);
        true
    }

    /// Notes a flow; the one that was silent the longest makes room.
    fn enter(&self, peer: Peer, flow: Flow) {
        let mut flows = self.flows.borrow_mut();
        while flows.len() >= self.limits.peers.max(1) {
            let silent = flows.iter().min_by_key(|(_, flow)| flow.used.get());
            let Some(peer) = silent.map(|(peer, _)| *peer) else {
                break;
            };
            if let Some(flow) = flows.remove(&peer) {
                flow.end.abort();
            }
        }
        flows.insert(peer, flow);
    }

    /// Passes answers on until both sides have been silent for long.
    async fn answer(&self, peer: Peer, service: Rc<UdpSocket>, used: Rc<Cell<Instant>>) {
        // That the service was not there is taken off the socket, or a later send would fail.
        let interest = Interest::READABLE | Interest::ERROR;
        let mut turn = Turn::default();
        loop {
            turn.over().await;
            let idle = used.get() + self.limits.idle;
            let pass_back = || self.pass_back(&peer, &service);
            match timeout_at(idle, service.async_io(interest, pass_back)).await {
                Ok(Ok(())) => used.set(Instant::now()),
                // The service may be there later.
                Ok(Err(_)) => {}
                // The client may have sent meanwhile.
                Err(_) if used.get() + self.limits.idle > Instant::now() => {}
                Err(_) => break,
            }
        }
        self.flows.borrow_mut().remove(&peer);
    }

    fn pass_back(&self, peer: &Peer, service: &UdpSocket) -> io::Result<()> {
        let mut buffer = self.answers.borrow_mut();
        let (_, length) = recv(service, &mut **buffer, RecvFlags::DONTWAIT)?;
        let _ = datagram::answer(&self.socket, peer, &buffer[..length]);
        Ok(())
    }
}

/// Not by the runtime, to which a new socket is not yet ready. What does not fit or is
/// refused is lost, as on any way.
fn send(service: &UdpSocket, data: &[u8]) {
    let _ = rustix::net::send(service, data, SendFlags::DONTWAIT);
}

fn connect(target: &Target) -> io::Result<UdpSocket> {
    let any: SocketAddr = match target.address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = target.place.open(|| {
        let socket = std::net::UdpSocket::bind(any)?;
        socket.connect(target.address)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    })?;
    UdpSocket::from_std(socket)
}
