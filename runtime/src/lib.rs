//! Everything that is local to one container and to images: planning, launch,
//! supervision, import and state. The command line lives in the `nsrun` crate,
//! links and addresses in `nsrun-netns`.

pub mod caps;
pub mod dirs;
pub mod error;
pub mod facts;
mod launch;
pub mod image;
pub mod name;
pub mod plan;
pub mod range;
pub mod seccomp;
pub mod lock;
pub mod state;
pub mod supervise;
#[allow(unsafe_code)]
mod sys;
pub mod terminal;

pub use dirs::Dirs;
pub use error::{Context, Error, Kind, Result};
pub use name::MachineName;
