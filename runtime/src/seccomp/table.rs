//! The system calls: names, numbers and purpose.

use super::abi::Abi;

/// One system call.
#[derive(Debug)]
pub(super) struct Syscall {
    pub(super) name: &'static str,
    pub(super) group: Group,
    numbers: [Option<u32>; 4],
}

impl Syscall {
    /// Its number, if `abi` has the call.
    pub(super) const fn number(&self, abi: Abi) -> Option<u32> {
        self.numbers[abi as usize]
    }
}

macro_rules! number {
    (-) => {
        None
    };
    ($number:literal) => {
        Some($number)
    };
}

macro_rules! syscalls {
    ($($group:ident { $($name:ident $x86_64:tt $i386:tt $aarch64:tt $arm:tt;)* })*) => {
        /// What calls are for; each call is in one group.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Group { $($group,)* }

        /// All calls, by group.
        pub(super) static SYSCALLS: &[Syscall] = &[$($(Syscall {
            name: stringify!($name),
            group: Group::$group,
            numbers: [number!($x86_64), number!($i386), number!($aarch64), number!($arm)],
        },)*)*];
    };
}

include!("syscalls.tbl");
