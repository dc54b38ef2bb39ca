//! One error type for the whole runtime: what failed, on what, why, and what to do.

use std::error::Error as StdError;
use std::fmt;
use std::io;

/// What a failure means for the caller; each maps to one documented exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The action was tried and failed.
    Failed,
    /// The arguments contradict each other or are malformed.
    Usage,
    /// There is no machine or image of that name, or no file to import.
    NotFound,
    /// The name, image or range is in use.
    Busy,
    /// The host lacks a privilege or a kernel feature.
    HostLacks,
    /// A file that was handed in is damaged, hostile or of the wrong kind.
    BadInput,
    /// The payload's command exists but cannot be executed.
    NotExecutable,
    /// There is no such command inside the image.
    NoCommand,
}

impl Kind {
    /// The exit status that `docs/exit-status.md` promises.
    #[must_use]
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Busy => 4,
            Self::HostLacks => 5,
            Self::BadInput => 6,
            Self::NotExecutable => 126,
            Self::NoCommand => 127,
        }
    }
}

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// A failure, told as `cannot <verb> <object>: <cause>` with an optional hint.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    what: String,
    source: Option<Source>,
    hint: Option<String>,
}

/// Result of the runtime's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure of `kind`; `what` is one lowercase sentence without a final period that names the object.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            source: None,
            hint: None,
        }
    }

    /// Attaches the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Attaches what the user can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Replaces the kind.
    #[must_use]
    pub fn kinded(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// What the failure means for the caller.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What the user can do, if known; of the outermost error in the chain that knows.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref().or_else(|| {
            let inner = self.source.as_deref()?.downcast_ref::<Self>()?;
            inner.advice()
        })
    }
}

impl fmt::Display for Error {
    /// The whole chain, causes joined by colons. The hint is not part of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match self.source.as_deref() {
            None => Ok(()),
            Some(source) => match source.downcast_ref::<io::Error>() {
                Some(error) => write!(f, ": {}", errno_text(error)),
                None => write!(f, ": {source}"),
            },
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|s| s as &(dyn StdError + 'static))
    }
}

/// An I/O error without the `(os error N)` that Rust appends, in lower case.
#[must_use]
pub fn errno_text(error: &io::Error) -> String {
    let text = match error.raw_os_error() {
        Some(code) => nix::errno::Errno::from_raw(code).desc().to_owned(),
        None => error.to_string(),
    };
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => text,
    }
}

/// Adds `cannot <verb> <object>` to a failing result.
pub trait Context<T> {
    /// Wraps the error as `cannot {what}: {error}`, of kind [`Kind::Failed`].
    ///
    /// # Errors
    /// The wrapped error, if there was one.
    fn cannot<S: fmt::Display>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn cannot<S: fmt::Display>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|e| Error::new(Kind::Failed, format!("cannot {}", what())).because(e))
    }
}

impl<T> Context<T> for rustix::io::Result<T> {
    fn cannot<S: fmt::Display>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(io::Error::from).cannot(what)
    }
}

impl<T> Context<T> for nix::Result<T> {
    fn cannot<S: fmt::Display>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(io::Error::from).cannot(what)
    }
}

impl<T> Context<T> for Result<T> {
    /// Keeps the inner error's kind.
    fn cannot<S: fmt::Display>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|e| Error::new(e.kind(), format!("cannot {}", what())).because(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing() -> io::Error {
        io::Error::from_raw_os_error(libc::ENOENT)
    }

    #[test]
    fn tells_action_object_and_cause_once() {
        let error = Err::<(), _>(missing())
            .cannot(|| "open /a")
            .cannot(|| "boot web")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot boot web: cannot open /a: no such file or directory"
        );
    }

    #[test]
    fn wrapping_keeps_kind_and_advice() {
        let inner = Error::new(Kind::Busy, "machine web is running").hint("stop it first");
        let outer = Err::<(), _>(inner).cannot(|| "remove web").unwrap_err();
        assert_eq!(outer.kind(), Kind::Busy);
        assert_eq!(outer.advice(), Some("stop it first"));
    }

    #[test]
    fn exit_statuses_are_the_documented_ones() {
        let all = [
            Kind::Failed,
            Kind::Usage,
            Kind::NotFound,
            Kind::Busy,
            Kind::HostLacks,
            Kind::BadInput,
            Kind::NotExecutable,
            Kind::NoCommand,
        ];
        let statuses = [1, 2, 3, 4, 5, 6, 126, 127];
        assert_eq!(all.map(Kind::exit_status), statuses);
    }
}
