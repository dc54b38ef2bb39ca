//! Images: importing, finding and removing them.
//!
//! An import runs in two processes. The parent makes a hidden directory beside the
//! image's final place, starts a child, and renames the directory when the child is
//! done. The child confines itself to that directory, decodes, parses and unpacks: it is
//! the only code that reads an archive's bytes. See `docs/import.md`.

mod acl;
mod archive;
mod attach;
mod attributes;
mod copy;
mod decode;
mod extract;
mod hoist;
pub mod import;
mod jail;
mod limits;
pub mod lookup;
pub mod metadata;
mod pump;
mod remove;
mod report;
mod root;
mod sniff;
mod source;
mod staging;
mod tar;
mod tree;
mod wire;
mod worker;

pub use limits::Limits;
pub use remove::remove_tree;
pub(crate) use report::shown;
pub use report::{Counts, Warning, WarningKind};
pub use sniff::Compression;
pub use staging::sweep;
pub(crate) use tree::Tree;
