//! Faults on purpose: makes one operation of a launch fail or its process die.
//!
//! Compiled to nothing without the `fault` feature, which only tests enable.

use rustix::io::Errno;

/// Which process an operation belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Parent,
    Child,
}

/// The planned fault, if any.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fault {
    #[cfg(feature = "fault")]
    planned: Option<Planned>,
}

#[cfg(feature = "fault")]
#[derive(Clone, Copy, Debug)]
struct Planned {
    role: Role,
    index: usize,
    errno: Option<Errno>,
}

impl Fault {
    /// Reads `NSRUN_FAULT=parent|child:INDEX:ERRNO|kill`, e.g. `child:7:12`.
    pub(crate) fn from_environment() -> Self {
        #[cfg(feature = "fault")]
        return Self {
            planned: std::env::var("NSRUN_FAULT").ok().and_then(|v| parse(&v)),
        };
        #[cfg(not(feature = "fault"))]
        Self::default()
    }

    /// Before each operation: fails or does not return if a fault is planned here.
    #[cfg(feature = "fault")]
    pub(crate) fn check(self, role: Role, index: usize) -> Result<(), Errno> {
        match self.planned {
            Some(p) if p.role == role && p.index == index => match p.errno {
                Some(errno) => Err(errno),
                None => crate::sys::process::die(),
            },
            _ => Ok(()),
        }
    }

    /// Before each operation: nothing is planned in this build.
    #[cfg(not(feature = "fault"))]
    #[expect(clippy::unused_self, reason = "same call in both builds")]
    pub(crate) fn check(self, _role: Role, _index: usize) -> Result<(), Errno> {
        Ok(())
    }
}

#[cfg(feature = "fault")]
fn parse(text: &str) -> Option<Planned> {
    let mut parts = text.split(':');
    let role = match parts.next()? {
        "parent" => Role::Parent,
        "child" => Role::Child,
        _ => return None,
    };
    let index = parts.next()?.parse().ok()?;
    let errno = match parts.next()? {
        "kill" => None,
        number => Some(Errno::from_raw_os_error(number.parse().ok()?)),
    };
    Some(Planned { role, index, errno })
}
