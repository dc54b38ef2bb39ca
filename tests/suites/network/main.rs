//! Networks of machines: links, addresses, and what is left of them.

mod inside;
mod links;
mod residue;
mod services;
mod shared;
