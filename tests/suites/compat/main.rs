//! nsrun under the names of systemd-nspawn, machinectl and importctl.

mod control;
mod links;
mod nspawn;
