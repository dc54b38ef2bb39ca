//! A conversation with the service manager of a machine about one unit after the other: what state
//! it is in, and when that changes.
//!
//! systemd tells whoever is connected to its private socket of every change, unasked.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::dbus::{self, Body, Call, Reply};
use super::enter::running;
use super::manager::{DESTINATION, MANAGER, PATH, PROPERTIES, nonsense, reach};
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::machine::Cgroups;
use crate::name::MachineName;
use crate::state::Store;

const UNIT: &str = "org.freedesktop.systemd1.Unit";

/// What is known of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// `LoadState`: `loaded`, `not-found` and the like.
    pub load: String,
    /// `ActiveState`: `active`, `activating`, `failed` and the like.
    pub active: String,
    /// `SubState`, such as `running`.
    pub sub: String,
    /// How many jobs the manager has, for whatever units.
    pub jobs: u32,
}

/// A connection to a machine's service manager.
#[derive(Debug)]
pub struct Units {
    socket: UnixStream,
    serial: u32,
    /// Objects that have said something since the last look.
    heard: Vec<String>,
}

impl Units {
    /// Connects; `None` if the payload has no systemd, or not yet. To be called from a tokio runtime of
    /// one thread.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if no machine of that name runs; if its manager refuses.
    pub async fn connect(dirs: &Dirs, name: &MachineName) -> Result<Option<Self>> {
        let store = Store::new(dirs, std::sync::Arc::new(Cgroups::probe()?));
        let machine = running(&store, name)?;
        let leader = machine.leader()?.ok_or_else(|| store.absent(name))?;
        let mapped = machine
            .record()
            .is_some_and(|record| record.range.is_some());
        let what = || format!("talk to the service manager of {name}");
        let Some(socket) = reach(&leader, mapped).cannot(what)? else {
            return Ok(None);
        };
        let mut units = Self {
            socket: UnixStream::from_std(socket).cannot(what)?,
            serial: 0,
            heard: Vec::new(),
        };
        units.begin().await.cannot(what)?;
        Ok(Some(units))
    }

    /// Finds the unit, which is loaded if it was not, and returns the path of its object.
    ///
    /// # Errors
    /// [`Kind::Usage`] if there can be no unit of that name; if the manager does not answer.
    pub async fn find(&mut self, unit: &str) -> Result<String> {
        let what = || format!("find unit {unit}");
        let answer = self.call(PATH, MANAGER, "LoadUnit", Body::Name(unit)).await;
        let Some(body) = answer.cannot(what)? else {
            let unit = unit.escape_debug();
            return Err(Error::new(
                Kind::Usage,
                format!("'{unit}' is no name of a unit"),
            ));
        };
        dbus::object(&body).ok_or_else(nonsense).cannot(what)
    }

    /// The unit whose object has that path, as it is now.
    ///
    /// # Errors
    /// If the manager does not answer.
    pub async fn look(&mut self, path: &str) -> io::Result<Unit> {
        self.heard.clear();
        Ok(Unit {
            load: self.text(path, "LoadState").await?,
            active: self.text(path, "ActiveState").await?,
            sub: self.text(path, "SubState").await?,
            jobs: self.jobs().await?,
        })
    }

    /// Waits until that object, or the manager itself, has said something since the last look.
    ///
    /// # Errors
    /// If the manager hangs up.
    pub async fn change(&mut self, path: &str) -> io::Result<()> {
        loop {
            let heard = std::mem::take(&mut self.heard);
            if heard.iter().any(|object| object == path || object == PATH) {
                return Ok(());
            }
            let message = self.receive().await?;
            self.hear(&message)?;
        }
    }

    /// The socket knows who has connected; the user is told for form's sake.
    async fn begin(&mut self) -> io::Result<()> {
        self.socket
            .write_all(b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n")
            .await?;
        let mut line = Vec::new();
        while line.len() < 256 && !line.ends_with(b"\n") {
            line.push(self.socket.read_u8().await?);
        }
        match line.starts_with(b"OK ") && line.ends_with(b"\n") {
            true => Ok(()),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    async fn text(&mut self, path: &str, property: &str) -> io::Result<String> {
        let body = Body::Pair(UNIT, property);
        let answer = self.call(path, PROPERTIES, "Get", body).await?;
        let answer = answer.ok_or_else(|| refused(property))?;
        dbus::property(&answer).ok_or_else(nonsense)
    }

    async fn jobs(&mut self) -> io::Result<u32> {
        let body = Body::Pair(MANAGER, "NJobs");
        let answer = self.call(PATH, PROPERTIES, "Get", body).await?;
        let answer = answer.ok_or_else(|| refused("NJobs"))?;
        dbus::number(&answer).ok_or_else(nonsense)
    }

    /// The results; `None` if the manager refuses.
    async fn call(
        &mut self,
        path: &str,
        interface: &str,
        member: &str,
        body: Body<'_>,
    ) -> io::Result<Option<Vec<u8>>> {
        self.serial += 1;
        let call = Call {
            destination: DESTINATION,
            path,
            interface,
            member,
            body,
        };
        self.socket.write_all(&call.encode(self.serial)).await?;
        loop {
            let (header, rest) = self.receive().await?;
            match dbus::reply(&header, &rest, self.serial).ok_or_else(nonsense)? {
                Reply::Results(body) => return Ok(Some(body.to_vec())),
                Reply::Refused => return Ok(None),
                Reply::Signal(path) => self.heard.push(path),
                Reply::Other => {}
            }
        }
    }

    fn hear(&mut self, (header, rest): &Message) -> io::Result<()> {
        if let Reply::Signal(path) = dbus::reply(header, rest, 0).ok_or_else(nonsense)? {
            self.heard.push(path);
        }
        Ok(())
    }

    async fn receive(&mut self) -> io::Result<Message> {
        let mut header = [0; dbus::HEADER];
        self.socket.read_exact(&mut header).await?;
        let mut rest = vec![0; dbus::rest(&header).ok_or_else(nonsense)?];
        self.socket.read_exact(&mut rest).await?;
        Ok((header, rest))
    }
}

type Message = ([u8; dbus::HEADER], Vec<u8>);

fn refused(property: &str) -> io::Error {
    io::Error::other(format!("it does not tell {property}"))
}
