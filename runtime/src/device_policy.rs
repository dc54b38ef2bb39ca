//! Which device nodes a payload may use, wherever it got them from: a program that the
//! kernel runs for each open and mknod in the payload's cgroup.

use std::os::fd::AsFd;

use nix::errno::Errno;

use crate::sys::bpf::{self, Instruction};

/// The two kinds of device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// `BPF_DEVCG_DEV_BLOCK`.
    Block = 1,
    /// `BPF_DEVCG_DEV_CHAR`.
    Char = 2,
}

/// What may be done with a node; the bits are the kernel's `BPF_DEVCG_ACC_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access(u8);

impl Access {
    /// Opening for reading.
    pub const READ: Self = Self(2);
    /// Opening for reading and writing.
    pub const READ_WRITE: Self = Self(2 | 4);
    /// That, and making such nodes.
    pub const ALL: Self = Self(1 | 2 | 4);
}

/// Nodes that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    kind: NodeKind,
    majors: (u32, u32),
    minor: Option<u32>,
    access: Access,
}

impl Rule {
    /// `/dev/net/tun`.
    pub const TUN: Self = Self::node(NodeKind::Char, 10, 200, Access::ALL);
    /// `/dev/fuse`.
    pub const FUSE: Self = Self::node(NodeKind::Char, 10, 229, Access::ALL);

    /// One node.
    #[must_use]
    pub const fn node(kind: NodeKind, major: u32, minor: u32, access: Access) -> Self {
        Self {
            kind,
            majors: (major, major),
            minor: Some(minor),
            access,
        }
    }

    /// Every node with a major number from `first` to `last`.
    #[must_use]
    pub const fn majors(kind: NodeKind, first: u32, last: u32, access: Access) -> Self {
        Self {
            kind,
            majors: (first, last),
            minor: None,
            access,
        }
    }
}

/// An allow-list of device nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicePolicy(Vec<Rule>);

impl Default for DevicePolicy {
    fn default() -> Self {
        Self::closed()
    }
}

impl DevicePolicy {
    /// The nodes of systemd's `DevicePolicy=closed`, pseudo terminals, and the nodes
    /// 0:0, which have no driver: systemd puts them where a path is to be inaccessible.
    #[must_use]
    pub fn closed() -> Self {
        let memory = [3, 5, 7, 8, 9]; // null zero full random urandom
        let terminal = [0, 2]; // tty ptmx
        let char = |major| move |minor| Rule::node(NodeKind::Char, major, minor, Access::ALL);
        let mut rules: Vec<Rule> = memory.map(char(1)).into();
        rules.extend(terminal.map(char(5)));
        rules.push(Rule::majors(NodeKind::Char, 136, 143, Access::READ_WRITE));
        rules.push(Rule::node(NodeKind::Char, 0, 0, Access::ALL));
        rules.push(Rule::node(NodeKind::Block, 0, 0, Access::ALL));
        Self(rules)
    }

    /// Allows what `rule` names as well.
    #[must_use]
    pub fn and(mut self, rule: Rule) -> Self {
        self.0.push(rule);
        self
    }

    /// Has the kernel enforce the policy in `cgroup` and below, until it is removed.
    ///
    /// # Errors
    /// What bpf(2) says: EPERM without CAP_BPF or CAP_SYS_ADMIN, EINVAL or ENOSYS if the
    /// kernel was built without `CGROUP_BPF`.
    pub(crate) fn enforce(&self, cgroup: impl AsFd) -> Result<(), Errno> {
        let program = bpf::load_device_program(&assemble(&self.0))?;
        bpf::attach_device_program(cgroup, program)
    }
}

const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 1; // the context's pointer until all of it is loaded

const LOAD_WORD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
const SET: u8 = 0xb7; // BPF_ALU64 | BPF_MOV | BPF_K
const COPY: u8 = 0xbf; // BPF_ALU64 | BPF_MOV | BPF_X
const AND: u8 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const SHIFT_RIGHT: u8 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
const JUMP_NOT: u8 = 0x56; // BPF_JMP32 | BPF_JNE | BPF_K
const JUMP_NOT_SAME: u8 = 0x5e; // BPF_JMP32 | BPF_JNE | BPF_X
const JUMP_BELOW: u8 = 0xa6; // BPF_JMP32 | BPF_JLT | BPF_K
const JUMP_ABOVE: u8 = 0x26; // BPF_JMP32 | BPF_JGT | BPF_K
const EXIT: u8 = 0x95;

/// The program: 1 if a rule covers the access, else 0. It reads `struct
/// bpf_cgroup_dev_ctx`: the access above the kind in one word, then major and minor.
fn assemble(rules: &[Rule]) -> Vec<Instruction> {
    let mut program = vec![
        from_context(KIND, 0),
        register(COPY, ACCESS, KIND),
        immediate(AND, KIND, 0xffff),
        immediate(SHIFT_RIGHT, ACCESS, 16),
        from_context(MAJOR, 4),
        from_context(MINOR, 8),
    ];
    program.extend(rules.iter().flat_map(permit));
    program.extend(verdict(0));
    program
}

/// Returns 1 if `rule` covers the access, else goes on behind itself.
fn permit(rule: &Rule) -> Vec<Instruction> {
    let (first, last) = rule.majors;
    let mut block = vec![immediate(JUMP_NOT, KIND, rule.kind as u32)];
    if first == last {
        block.push(immediate(JUMP_NOT, MAJOR, first));
    } else {
        block.push(immediate(JUMP_BELOW, MAJOR, first));
        block.push(immediate(JUMP_ABOVE, MAJOR, last));
    }
    if let Some(minor) = rule.minor {
        block.push(immediate(JUMP_NOT, MINOR, minor));
    }
    if rule.access != Access::ALL {
        block.push(register(COPY, SCRATCH, ACCESS));
        block.push(immediate(AND, SCRATCH, u32::from(rule.access.0)));
        block.push(register(JUMP_NOT_SAME, SCRATCH, ACCESS));
    }
    block.extend(verdict(1));
    // From the last instruction backwards: how many follow it.
    for (distance, instruction) in (0i16..).zip(block.iter_mut().rev()) {
        let jumps = [JUMP_NOT, JUMP_NOT_SAME, JUMP_BELOW, JUMP_ABOVE];
        if jumps.contains(&instruction.code) {
            instruction.offset = distance;
        }
    }
    block
}

fn verdict(value: u32) -> [Instruction; 2] {
    [immediate(SET, 0, value), immediate(EXIT, 0, 0)]
}

fn from_context(register: u8, offset: i16) -> Instruction {
    Instruction {
        code: LOAD_WORD,
        registers: register | SCRATCH << 4,
        offset,
        immediate: 0,
    }
}

fn register(code: u8, to: u8, from: u8) -> Instruction {
    Instruction {
        code,
        registers: to | from << 4,
        offset: 0,
        immediate: 0,
    }
}

fn immediate(code: u8, to: u8, value: u32) -> Instruction {
    Instruction {
        code,
        registers: to,
        offset: 0,
        immediate: value.cast_signed(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MKNOD: u32 = 1;
    const READ: u32 = 2;
    const WRITE: u32 = 4;

    /// An eBPF machine with the instructions that we use.
    fn run(program: &[Instruction], kind: u32, access: u32, major: u32, minor: u32) -> u64 {
        let context = [access << 16 | kind, major, minor];
        let mut r = [0u64; 6];
        let mut at = 0;
        loop {
            let i = program[at];
            let to = usize::from(i.registers & 15);
            let from = usize::from(i.registers >> 4);
            let value = u64::from(i.immediate.cast_unsigned());
            let taken = match i.code {
                LOAD_WORD => {
                    r[to] = context[usize::try_from(i.offset).unwrap() / 4].into();
                    false
                }
                SET => {
                    r[to] = value;
                    false
                }
                COPY => {
                    r[to] = r[from];
                    false
                }
                AND => {
                    r[to] &= value;
                    false
                }
                SHIFT_RIGHT => {
                    r[to] >>= value;
                    false
                }
                JUMP_NOT => r[to] != value,
                JUMP_NOT_SAME => r[to] != r[from],
                JUMP_BELOW => r[to] < value,
                JUMP_ABOVE => r[to] > value,
                EXIT => return r[0],
                other => panic!("instruction {other:#x} is not used"),
            };
            at += 1;
            if taken {
                at += usize::try_from(i.offset).unwrap();
            }
        }
    }

    fn allowed(policy: &DevicePolicy, kind: NodeKind, major: u32, minor: u32, access: u32) -> bool {
        run(&assemble(&policy.0), kind as u32, access, major, minor) == 1
    }

    #[test]
    fn standard_nodes_are_usable_in_every_way() {
        let policy = DevicePolicy::closed();
        for (major, minor) in [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)] {
            for access in [MKNOD, READ, WRITE, READ | WRITE] {
                assert!(allowed(&policy, NodeKind::Char, major, minor, access));
            }
        }
    }

    #[test]
    fn memory_consoles_disks_and_optional_nodes_are_not() {
        let policy = DevicePolicy::closed();
        let nodes = [
            (NodeKind::Char, 1, 1),    // mem
            (NodeKind::Char, 1, 11),   // kmsg
            (NodeKind::Char, 4, 0),    // tty0
            (NodeKind::Char, 5, 1),    // console
            (NodeKind::Char, 10, 200), // net/tun
            (NodeKind::Char, 10, 229), // fuse
            (NodeKind::Char, 10, 232), // kvm
            (NodeKind::Char, 10, 237), // loop-control
            (NodeKind::Block, 1, 3),
            (NodeKind::Block, 7, 0),
            (NodeKind::Block, 8, 0),
            (NodeKind::Block, 136, 0),
            (NodeKind::Block, 254, 0),
        ];
        for (kind, major, minor) in nodes {
            for access in [MKNOD, READ, WRITE] {
                assert!(
                    !allowed(&policy, kind, major, minor, access),
                    "{kind:?} {major}:{minor}"
                );
            }
        }
    }

    #[test]
    fn pseudo_terminals_are_opened_but_not_made() {
        let policy = DevicePolicy::closed();
        for major in [136, 139, 143] {
            assert!(allowed(&policy, NodeKind::Char, major, 77, READ | WRITE));
            assert!(!allowed(&policy, NodeKind::Char, major, 77, MKNOD));
            assert!(!allowed(&policy, NodeKind::Char, major, 77, MKNOD | READ));
        }
        assert!(!allowed(&policy, NodeKind::Char, 135, 0, READ));
        assert!(!allowed(&policy, NodeKind::Char, 144, 0, READ));
    }

    #[test]
    fn rules_add_nodes_with_the_access_they_name() {
        let disk = Rule::node(NodeKind::Block, 8, 1, Access::READ);
        let policy = DevicePolicy::closed().and(Rule::TUN).and(disk);
        assert!(allowed(&policy, NodeKind::Char, 10, 200, MKNOD));
        assert!(allowed(&policy, NodeKind::Block, 8, 1, READ));
        assert!(!allowed(&policy, NodeKind::Block, 8, 1, READ | WRITE));
        assert!(!allowed(&policy, NodeKind::Block, 8, 2, READ));
        assert!(!allowed(&policy, NodeKind::Char, 10, 229, READ));
    }

    proptest! {
        #[test]
        fn the_program_allows_what_a_rule_covers(
            first in any::<u32>(), span in 0u32..9, minor in proptest::option::of(any::<u32>()),
            at in any::<u32>(), access in 1u32..8, block in any::<bool>(),
        ) {
            let last = first.saturating_add(span);
            let rule = Rule { kind: NodeKind::Char, majors: (first, last), minor, access: Access::READ_WRITE };
            let policy = DevicePolicy(vec![rule]);
            for major in [first.wrapping_sub(1), first, last, last.wrapping_add(1), at] {
                for node_minor in [at, minor.unwrap_or(at)] {
                    let kind = if block { NodeKind::Block } else { NodeKind::Char };
                    let covered = !block && (first..=last).contains(&major)
                        && minor.is_none_or(|m| m == node_minor) && access & MKNOD == 0;
                    prop_assert_eq!(allowed(&policy, kind, major, node_minor, access), covered);
                }
            }
        }
    }
}
