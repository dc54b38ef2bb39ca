//! The words of the protocol: requests, answers and events, one JSON object on a line each.
//! `docs/harness-protocol.md` describes it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nsrun_runtime::{Error, Kind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Raised when a client that keeps to the older one would be misunderstood.
pub(super) const VERSION: u32 = 1;

/// The longest request that is taken, in bytes.
pub(super) const LONGEST: usize = 64 << 20;

/// What a client asks for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: u64,
    pub(super) operation: Operation,
}

/// What is to be done. Times are in microseconds; without one there is no limit.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Operation {
    Hello {},
    Create(Create),
    Start {
        machine: String,
    },
    WaitUp(Wait),
    WaitReady(Wait),
    WaitDown(Wait),
    WaitBoot {
        machine: String,
        boots: u32,
        timeout_usec: Option<u64>,
    },
    Execute(Execute),
    WaitUnit {
        machine: String,
        unit: String,
        timeout_usec: Option<u64>,
    },
    CopyTo(Copy),
    CopyFrom(Copy),
    PowerOff {
        machine: String,
    },
    Reboot {
        machine: String,
    },
    Crash {
        machine: String,
    },
    Status {
        machine: String,
    },
    /// Its links to the host, and to other machines.
    Links {
        machine: String,
        up: bool,
    },
    Forward(Forward),
    Type {
        machine: String,
        data: Bytes,
    },
}

/// A port of the host's loopback for one of the machine's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Forward {
    pub(super) machine: String,
    /// With 0 the kernel chooses one that is free.
    pub(super) host_port: u16,
    pub(super) port: u16,
}

/// A machine that can be started afterwards.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    /// What it is called in requests; also its host name.
    pub(super) machine: String,
    /// An image's name, a tar archive, a directory, or a NixOS system in a Nix store.
    pub(super) source: String,
    /// More options of `nsrun start`.
    #[serde(default)]
    pub(super) options: Vec<String>,
    /// Addresses of machines that it is to know by their names.
    #[serde(default)]
    pub(super) hosts: BTreeMap<String, Vec<IpAddr>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    pub(super) machine: String,
    pub(super) timeout_usec: Option<u64>,
}

/// A command of a shell in a machine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Execute {
    pub(super) machine: String,
    pub(super) command: String,
    /// Its input; empty if not given.
    #[serde(default)]
    pub(super) stdin: Bytes,
    pub(super) timeout_usec: Option<u64>,
    /// Answer as soon as it runs; nobody hears of its output and its end.
    #[serde(default)]
    pub(super) detach: bool,
    /// So much of its output and its errors is kept, each.
    #[serde(default = "default_limit")]
    pub(super) limit_bytes: usize,
}

fn default_limit() -> usize {
    64 << 20
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Copy {
    pub(super) machine: String,
    pub(super) source: PathBuf,
    pub(super) target: PathBuf,
}

/// Bytes, in JSON as base64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes))
    }
}

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(&self.0))
    }
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Failure {
    pub(super) kind: &'static str,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

impl Failure {
    pub(super) fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
        }
    }

    /// Words that make no sense.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new("usage", message)
    }

    pub(super) fn timeout(message: impl Into<String>) -> Self {
        Self::new("timeout", message)
    }

    /// The machine does not run, or not any more.
    pub(super) fn down(message: impl Into<String>) -> Self {
        Self::new("down", message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            Kind::Usage => "usage",
            Kind::NotFound => "not-found",
            Kind::Busy => "busy",
            Kind::HostLacks => "host-lacks",
            Kind::BadInput => "bad-input",
            _ => "failed",
        };
        Self {
            kind,
            message: error.to_string(),
            hint: error.advice().map(str::to_owned),
        }
    }
}

impl Request {
    /// Reads a line; if it makes no sense, the number to answer with, if it has one, and why.
    pub(super) fn read(line: &[u8]) -> Result<Self, (Option<u64>, Failure)> {
        let object: Map<String, Value> = serde_json::from_slice(line)
            .map_err(|error| (None, Failure::usage(format!("no request: {error}"))))?;
        let mut object = object;
        let id = object.remove("id").and_then(|id| id.as_u64());
        let id = id.ok_or_else(|| (None, Failure::usage("a request has no id")))?;
        let operation = serde_json::from_value(Value::Object(object))
            .map_err(|error| (Some(id), Failure::usage(format!("no request: {error}"))))?;
        Ok(Self { id, operation })
    }
}

/// The line that answers a request.
pub(super) fn answer(id: Option<u64>, outcome: Result<Value, Failure>) -> Value {
    match outcome {
        Ok(value) => json!({ "id": id, "ok": value }),
        Err(failure) => json!({ "id": id, "error": failure }),
    }
}

/// What a client has waited for.
pub(super) fn duration(usec: Option<u64>) -> Option<Duration> {
    usec.map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> (Option<u64>, String) {
        let (id, failure) = Request::read(line.as_bytes()).unwrap_err();
        assert_eq!(failure.kind, "usage");
        (id, failure.message)
    }

    #[test]
    fn a_request_is_read() {
        let line = r#"{"id":7,"op":"execute","machine":"web","command":"cat","stdin":"aGk="}"#;
        let request = Request::read(line.as_bytes()).unwrap();
        assert_eq!(request.id, 7);
        let Operation::Execute(execute) = request.operation else {
            panic!("{:?}", request.operation);
        };
        assert_eq!(execute.stdin.0, b"hi");
        assert_eq!((execute.timeout_usec, execute.detach), (None, false));
    }

    #[test]
    fn what_makes_no_sense_is_told_with_the_number_if_there_is_one() {
        assert_eq!(refusal("{").0, None);
        assert_eq!(refusal("[]").0, None);
        assert_eq!(refusal(r#"{"op":"hello"}"#).1, "a request has no id");
        assert_eq!(refusal(r#"{"id":-1,"op":"hello"}"#).0, None);
        let (id, message) = refusal(r#"{"id":3,"op":"explode"}"#);
        assert_eq!(id, Some(3));
        assert!(message.contains("explode"), "{message}");
        let (id, message) = refusal(r#"{"id":4,"op":"start","machine":"a","when":1}"#);
        assert_eq!(id, Some(4));
        assert!(message.contains("when"), "{message}");
        let line = r#"{"id":5,"op":"execute","machine":"a","command":"x","stdin":"%"}"#;
        assert_eq!(refusal(line).0, Some(5));
    }

    #[test]
    fn answers_have_the_number_and_one_of_two_shapes() {
        let text = |outcome| answer(Some(1), outcome).to_string();
        assert_eq!(text(Ok(json!({}))), r#"{"id":1,"ok":{}}"#);
        let failure = Failure::from(Error::new(Kind::Busy, "it is").hint("wait"));
        assert_eq!(
            text(Err(failure)),
            r#"{"error":{"hint":"wait","kind":"busy","message":"it is"},"id":1}"#
        );
    }
}
