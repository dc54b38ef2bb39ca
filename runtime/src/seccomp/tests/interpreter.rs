//! A classic BPF machine with the instructions that seccomp(2) permits and we use.

use libc::sock_filter;

use crate::seccomp::abi::Abi;

/// `struct seccomp_data`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) number: u32,
    pub(super) arch: u32,
    pub(super) args: [u64; 6],
}

impl Call {
    pub(super) fn of(abi: Abi, number: u32) -> Self {
        Self {
            number,
            arch: abi.audit_arch(),
            args: [0; 6],
        }
    }

    pub(super) fn with_args(mut self, args: [u64; 3]) -> Self {
        self.args[..3].copy_from_slice(&args);
        self
    }

    fn bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.arch.to_le_bytes());
        bytes.extend(u64::MAX.to_le_bytes()); // instruction_pointer
        bytes.extend(self.args.iter().flat_map(|a| a.to_le_bytes()));
        bytes
    }
}

/// The program's return value; panics on what the kernel's checker would refuse.
pub(super) fn run(program: &[sock_filter], call: Call) -> u32 {
    let data = call.bytes();
    let mut accumulator = 0;
    let mut at = 0;
    loop {
        let instruction = program[at];
        let k = usize::try_from(instruction.k).unwrap();
        let branch = |taken| match taken {
            true => usize::from(instruction.jt),
            false => usize::from(instruction.jf),
        };
        at += 1;
        match instruction.code {
            0x20 => {
                assert_eq!(k % 4, 0);
                accumulator = u32::from_le_bytes(data[k..k + 4].try_into().unwrap());
            }
            0x05 => at += k,
            0x15 => at += branch(accumulator == instruction.k),
            0x35 => at += branch(accumulator >= instruction.k),
            0x06 => return instruction.k,
            other => panic!("instruction {other:#x} is not used"),
        }
    }
}
