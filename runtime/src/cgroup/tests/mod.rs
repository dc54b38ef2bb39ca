//! Tests on the kernel's cgroups, below a directory of their own. They need root and
//! version 2, and say so if they have not got it.

mod life;
mod payload;
mod scratch;
mod systemd;

/// The scratch directory, or a word on why the test says nothing here.
macro_rules! scratch_or_skip {
    () => {
        match super::scratch::Scratch::new() {
            Ok(scratch) => scratch,
            Err(reason) => {
                eprintln!("SKIP {}: {reason}", module_path!());
                return;
            }
        }
    };
}
use scratch_or_skip;
