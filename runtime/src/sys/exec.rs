//! `execve(2)` on vectors that were built before the clone.

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::ptr;

/// A NULL-terminated vector of C strings, as `execve` wants it.
#[derive(Debug)]
pub(crate) struct CVec {
    // They go into the heap blocks of `_owned`, which never move.
    pointers: Vec<*const c_char>,
    _owned: Vec<CString>,
}

impl CVec {
    /// Takes the strings over.
    pub(crate) fn new(owned: Vec<CString>) -> Self {
        let pointers = owned
            .iter()
            .map(|s| s.as_ptr())
            .chain([ptr::null()])
            .collect();
        Self {
            pointers,
            _owned: owned,
        }
    }

    /// The array, valid as long as `self`.
    pub(super) fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

/// Replaces the process image; returns only to say why it could not.
pub(crate) fn execve(path: &CStr, argv: &CVec, env: &CVec) -> io::Error {
    // SAFETY: `path` is NUL-terminated, both vectors are NULL-terminated arrays of valid C strings.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}
