//! Thin, typed system calls that nix and rustix lack. The only module with `unsafe`.

pub(crate) mod bpf;
pub(crate) mod seccomp;
