//! How a host on a link gets its addresses from this crate's servers: with the clients
//! that people use, in namespaces of the test's own. Needs root and the clients'
//! programs; `make deps` installs those.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dhcpcd;
mod hostile;
mod networkd;
mod peer;
mod ra;
mod udhcpc;
