//! Networks of machines: links, addresses, and what is left of them.

mod clients;
mod inside;
mod internet;
mod links;
mod residue;
mod services;
mod shared;
