//! Thin, typed system calls that nix and rustix lack. The only module with `unsafe`.

pub(crate) mod credentials;
pub(crate) mod readiness;
pub(crate) mod signal;
#[cfg(test)]
pub(crate) mod testing;
