//! bpf(2): cgroup device programs, which neither nix nor rustix can load.

use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

/// One eBPF instruction, `struct bpf_insn`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    /// Class, operation and mode.
    pub(crate) code: u8,
    /// Destination register in the low four bits, source register in the high ones: the
    /// order of C's bit fields on little-endian processors, the only ones we run on.
    pub(crate) registers: u8,
    /// Offset of a memory access or of a jump.
    pub(crate) offset: i16,
    /// Immediate operand.
    pub(crate) immediate: i32,
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// The head of `union bpf_attr` for `BPF_PROG_LOAD`; what follows is zero if left out.
#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
}

/// The head of `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// # Safety
/// The addresses in `attributes` must be good for what `command` does with them.
unsafe fn bpf<T>(command: libc::c_int, attributes: &T) -> Result<libc::c_long, Errno> {
    // SAFETY: the kernel reads `size_of::<T>()` bytes of `attributes`, a plain structure
    // without padding; the rest is the caller's promise.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<T>(),
        )
    };
    Errno::result(result)
}

/// Has the kernel check and keep a program for [`attach_device_program`].
///
/// # Errors
/// EPERM without CAP_BPF (before Linux 5.8: CAP_SYS_ADMIN); EINVAL or EACCES if the
/// verifier refuses the program; ENOSYS or EINVAL if the kernel lacks `CGROUP_BPF`.
pub(crate) fn load_device_program(program: &[Instruction]) -> Result<OwnedFd, Errno> {
    let attributes = Load {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).map_err(|_| Errno::E2BIG)?,
        insns: program.as_ptr().addr() as u64,
        license: c"MIT".as_ptr().addr() as u64,
    };
    // SAFETY: `insns` points to `insn_cnt` instructions and `license` to a C string; the
    // kernel reads both before it returns and writes to neither.
    let fd = unsafe { bpf(BPF_PROG_LOAD, &attributes) }?;
    let fd = RawFd::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel just made `fd` (close-on-exec) and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Has `program` judge every use of a device node in the cgroup and below, together
/// with the programs that other levels have: each must allow. It stays until the cgroup
/// is removed, without the descriptor.
///
/// # Errors
/// EPERM without the privilege or below a program that permits no other; EBADF or EINVAL
/// if `cgroup` is not a directory of cgroup v2.
pub(crate) fn attach_device_program(cgroup: impl AsFd, program: impl AsFd) -> Result<(), Errno> {
    let number = |fd: RawFd| u32::try_from(fd).map_err(|_| Errno::EBADF);
    let attributes = Attach {
        target_fd: number(cgroup.as_fd().as_raw_fd())?,
        attach_bpf_fd: number(program.as_fd().as_raw_fd())?,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: the attributes hold no address.
    unsafe { bpf(BPF_PROG_ATTACH, &attributes) }.map(drop)
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    fn structures_are_laid_out_as_in_the_kernels_headers() {
        assert_eq!(size_of::<Instruction>(), 8);
        assert_eq!(offset_of!(Instruction, offset), 2);
        assert_eq!(offset_of!(Instruction, immediate), 4);
        assert_eq!(size_of::<Load>(), 24);
        assert_eq!(offset_of!(Load, insns), 8);
        assert_eq!(offset_of!(Load, license), 16);
        assert_eq!(size_of::<Attach>(), 16);
        assert_eq!(offset_of!(Attach, attach_type), 8);
    }
}
