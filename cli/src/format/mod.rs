//! Values as people read them, in the forms that systemd's tools use.

mod amount;
mod screen;
mod time;
mod tree;
mod width;

pub use amount::bytes;
pub use screen::{Screen, Tone};
pub use time::{ago, moment, span, uptime};
pub use tree::draw;
pub use width::cut;
