//! What planning needs to know about host and image: the only readers of either before a launch.

mod accounts;
mod composed;
mod host;
mod host_users;
mod image;
mod journal;
mod program;
mod release;
mod sources;

pub use self::accounts::Account;
pub use self::host::HostFacts;
pub(crate) use self::host::random_id;
pub use self::host_users::HostUser;
pub use self::image::ImageFacts;
pub(crate) use self::image::ImageRoot;
pub(crate) use self::journal::{Entry, JournalFacts};
pub(crate) use self::program::INITS;
pub use self::release::Release;
pub(crate) use self::sources::{Node, Opened, open as open_sources};
