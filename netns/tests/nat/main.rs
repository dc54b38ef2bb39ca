//! The packet filter's tables, with traffic between real namespaces. Needs root and the
//! `nft` program to look with; touches nothing of the host.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod firewalls;
mod forwarding;
mod guard;
mod ports;
mod table;
mod world;
mod zones;
