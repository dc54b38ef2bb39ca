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
mod clean;
mod clone;
mod copy;
mod decode;
mod delete;
mod detail;
mod export;
mod extract;
mod hidden;
mod hoist;
mod identity;
pub mod import;
mod import_raw;
mod jail;
mod limits;
mod listing;
pub mod lookup;
pub mod metadata;
mod name;
mod pull;
mod pump;
mod read_only;
mod remove;
mod rename;
mod report;
mod root;
mod sidecars;
mod sniff;
mod source;
mod source_lock;
mod staging;
mod subject;
mod sweep;
mod system;
mod tar;
mod transfer;
mod tree;
mod usage;
pub(crate) mod walk;
mod wire;
mod worker;

pub use clean::{Cleaned, Cleaning, clean};
pub use clone::{CloneReport, CloneRequest, clone};
pub use delete::remove;
pub use detail::{ImageDetail, detail};
pub use export::{ExportReport, ExportRequest, export, format_of};
pub use import_raw::import_raw;
pub use limits::Limits;
pub use listing::{ImageSummary, ListOptions, Moment, list};
pub use name::ImageName;
pub use pull::{PullRequest, Sha256Sum, Url, Verify, pull};
pub use read_only::{is_read_only, set_read_only};
pub use remove::remove_tree;
pub use rename::rename;
pub(crate) use report::shown;
pub use report::{Counts, Warning, WarningKind};
pub use sniff::Compression;
pub use sweep::sweep;
pub use system::{Prepared, System, prepare as prepare_system};
pub use transfer::{CopyReport, CopyRequest, Place, Rule, copy};
pub(crate) use tree::Tree;
