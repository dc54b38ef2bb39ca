//! Everything that is local to one container and to images: planning, launch,
//! supervision, import and state. The command line lives in the `nsrun` crate,
//! links and addresses in `nsrun-netns`.

pub mod attach;
pub mod caps;
pub mod cgroup;
pub mod device_policy;
pub mod dirs;
pub mod disk;
pub mod enabled;
pub mod error;
pub mod facts;
pub mod host_limits;
pub mod image;
mod launch;
pub mod lock;
pub mod machine;
mod mountinfo;
pub mod name;
mod network;
pub mod ownership;
pub mod plan;
pub mod range;
pub mod seccomp;
pub mod settings;
pub mod state;
pub mod suggest;
pub mod supervise;
#[allow(unsafe_code)]
mod sys;
pub mod systemd;
pub mod terminal;
mod text;
mod virtual_file;
mod within;

pub use dirs::Dirs;
pub use error::{Context, Error, Kind, Result};
pub use name::MachineName;
