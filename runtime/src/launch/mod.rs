//! Starting a payload: one script, two processes that work through it, four messages.

mod blame;
mod child;
mod compile;
mod custom;
mod describe;
mod disguise;
mod fault;
pub(crate) mod live;
mod mounts;
mod network;
mod nodes;
mod op;
mod parent;
pub(crate) mod process;
mod root;
mod script;
mod slot;
mod stub;
mod trees;
mod userns;
pub(crate) mod wire;

pub(crate) use self::compile::compile;
pub(crate) use self::parent::{Host, Launched, launch};
pub(crate) use self::root::memory;
pub(crate) use self::trees::{Materials, Work};
pub(crate) use self::userns::with_map;
