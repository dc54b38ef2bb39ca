//! Processor architectures and the system call conventions that each understands.

/// A 64-bit architecture that nsrun runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// AMD64 and Intel 64.
    X86_64,
    /// 64-bit ARM, little endian.
    Aarch64,
}

impl Arch {
    /// The architecture that this program was compiled for.
    #[cfg(target_arch = "x86_64")]
    pub const NATIVE: Self = Self::X86_64;
    /// The architecture that this program was compiled for.
    #[cfg(target_arch = "aarch64")]
    pub const NATIVE: Self = Self::Aarch64;

    /// The native convention, then the 32-bit one. x32 has the native one's audit number
    /// and no call in the table, so that it gets ENOSYS throughout.
    pub(super) const fn abis(self) -> [Abi; 2] {
        match self {
            Self::X86_64 => [Abi::X86_64, Abi::I386],
            Self::Aarch64 => [Abi::Aarch64, Abi::Arm],
        }
    }
}

/// One numbering of the system calls; the discriminant is its column in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Abi {
    X86_64 = 0,
    I386 = 1,
    Aarch64 = 2,
    Arm = 3,
}

impl Abi {
    #[cfg(test)]
    pub(super) const ALL: [Self; 4] = [Self::X86_64, Self::I386, Self::Aarch64, Self::Arm];

    /// `AUDIT_ARCH_*` of `linux/audit.h`: the ELF machine, with bits for 64-bit and
    /// little-endian.
    pub(super) const fn audit_arch(self) -> u32 {
        const BITS_64: u32 = 0x8000_0000;
        const LITTLE_ENDIAN: u32 = 0x4000_0000;
        match self {
            Self::X86_64 => 62 | BITS_64 | LITTLE_ENDIAN,
            Self::I386 => 3 | LITTLE_ENDIAN,
            Self::Aarch64 => 183 | BITS_64 | LITTLE_ENDIAN,
            Self::Arm => 40 | LITTLE_ENDIAN,
        }
    }
}
