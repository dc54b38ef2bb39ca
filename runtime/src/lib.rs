//! Everything that is local to one container and to images: planning, launch,
//! supervision, import and state. The command line lives in the `nsrun` crate,
//! links and addresses in `nsrun-netns`.

pub mod caps;
pub mod cgroup;
pub mod device_policy;
pub mod dirs;
pub mod error;
pub mod name;
pub mod seccomp;
#[allow(unsafe_code)]
mod sys;

pub use dirs::Dirs;
pub use error::{Context, Error, Kind, Result};
pub use name::MachineName;
