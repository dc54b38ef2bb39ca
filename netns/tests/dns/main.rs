//! A forwarder between two namespaces of the tests' own, with a server in one and clients
//! in the other. Needs root.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../scratch/mod.rs"]
mod scratch;

mod clients;
mod forwarding;
mod hostile;
mod names;
mod server;
mod world;
