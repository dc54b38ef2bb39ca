//! Verdicts on ranges of numbers, as a classic BPF program.
//!
//! The kernel runs the program on every call whose verdict it has not cached, and once
//! per number when the program is loaded, so it is a balanced tree of comparisons
//! (about seven per call) and not a list.

use libc::{SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, sock_filter};

use super::abi::Abi;
use super::families::Families;
use super::policy::{Range, Verdict};

/// Offsets into `struct seccomp_data`. Of the 64-bit arguments the low word counts: the
/// kernel too takes socket's arguments as `int`.
const NUMBER: u32 = 0;
const AUDIT_ARCH: u32 = 4;
const ARG_0_LOW: u32 = 16;
const ARG_2_LOW: u32 = 32;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_UNLESS_BELOW: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
const EAFNOSUPPORT: u32 = 97;
const AF_NETLINK: u32 = 16;
const NETLINK_AUDIT: u32 = 9;

/// Descriptors are below; what is not below is a negative number.
const NO_DESCRIPTOR: u32 = 1 << 31;

/// The program that gives each ABI its verdicts, and ENOSYS to calls of any other. Sockets are of
/// `families`.
pub(super) fn assemble<const N: usize>(
    abis: &[(Abi, Vec<Range>); N],
    families: &Families,
) -> Vec<sock_filter> {
    let mut code = Backwards::new(families);
    let blocks: Vec<(u32, Place)> = abis
        .iter()
        .rev()
        .map(|(abi, ranges)| {
            let tree = code.tree(ranges);
            (abi.audit_arch(), code.load(NUMBER, tree))
        })
        .collect();
    let mut next = code.verdict(Verdict::Unknown);
    for (arch, block) in blocks {
        next = code.branch(JUMP_IF_EQUAL, arch, block, next);
    }
    code.load(AUDIT_ARCH, next);
    code.finish()
}

/// An instruction that was emitted: its distance from the program's end.
type Place = usize;

/// An assembler that emits the last instruction first. Classic BPF jumps forward only,
/// so that every jump's target is there already, and its distance known.
struct Backwards<'a> {
    code: Vec<sock_filter>,
    returns: Vec<(u32, Place)>,
    families: &'a Families,
}

impl<'a> Backwards<'a> {
    fn new(families: &'a Families) -> Self {
        Self {
            code: Vec::new(),
            returns: Vec::new(),
            families,
        }
    }

    fn finish(mut self) -> Vec<sock_filter> {
        self.code.reverse();
        self.code
    }

    fn emit(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Place {
        self.code.push(sock_filter { code, jt, jf, k });
        self.code.len() - 1
    }

    /// How far a conditional jump emitted next would have to jump; `None` if too far.
    fn distance(&self, to: Place) -> Option<u8> {
        u8::try_from(self.code.len() - 1 - to).ok()
    }

    fn jump(&mut self, to: Place) -> Place {
        let k = u32::try_from(self.code.len() - 1 - to);
        self.emit(
            JUMP,
            0,
            0,
            k.expect("a program has far fewer than 2^32 instructions"),
        )
    }

    /// `to`, or a jump there that is in reach of the next instruction but `margin`.
    fn near(&mut self, to: Place, margin: usize) -> Place {
        if self.code.len() - 1 - to + margin <= usize::from(u8::MAX) {
            to
        } else {
            self.jump(to)
        }
    }

    /// Loads the word at `offset`, then goes on at `next`.
    fn load(&mut self, offset: u32, next: Place) -> Place {
        if next + 1 != self.code.len() {
            self.jump(next);
        }
        self.emit(LOAD, 0, 0, offset)
    }

    fn branch(&mut self, test: u16, k: u32, yes: Place, no: Place) -> Place {
        // The way to `yes` may need an instruction that pushes `no` further away.
        let no = self.near(no, 1);
        let yes = self.near(yes, 0);
        let reach = "near() just brought the target into reach";
        let (jt, jf) = (self.distance(yes), self.distance(no));
        self.emit(test, jt.expect(reach), jf.expect(reach), k)
    }

    fn give(&mut self, k: u32) -> Place {
        let known = self.returns.iter().rev().find(|(value, _)| *value == k);
        match known {
            Some(&(_, place)) if self.distance(place).is_some_and(|d| d < u8::MAX) => place,
            _ => {
                let place = self.emit(RETURN, 0, 0, k);
                self.returns.push((k, place));
                place
            }
        }
    }

    fn verdict(&mut self, verdict: Verdict) -> Place {
        match verdict {
            Verdict::Allow => self.give(SECCOMP_RET_ALLOW),
            Verdict::Deny => self.give(SECCOMP_RET_ERRNO | EPERM),
            Verdict::Unknown => self.give(SECCOMP_RET_ERRNO | ENOSYS),
            Verdict::Errno(number) => self.give(SECCOMP_RET_ERRNO | u32::from(number)),
            Verdict::Kill => self.give(SECCOMP_RET_KILL_PROCESS),
            Verdict::ZeroForFile => {
                let allow = self.give(SECCOMP_RET_ALLOW);
                let zero = self.give(SECCOMP_RET_ERRNO);
                let test = self.branch(JUMP_UNLESS_BELOW, NO_DESCRIPTOR, allow, zero);
                self.load(ARG_0_LOW, test)
            }
            Verdict::Socket => self.socket(),
        }
    }

    /// A search for the family of a socket, then for the protocol of audit.
    fn socket(&mut self) -> Place {
        let allow = self.give(SECCOMP_RET_ALLOW);
        let refuse = self.give(SECCOMP_RET_ERRNO | EAFNOSUPPORT);
        let (list, denied, others) = match self.families {
            Families::Any => (None, true, allow),
            Families::Only(list) => (Some(list), false, refuse),
            Families::But(list) => (Some(list), true, allow),
        };
        let has_netlink = list.is_some_and(|list| list.contains(&AF_NETLINK));
        let of_netlink = if has_netlink == denied {
            refuse
        } else {
            let audit = self.branch(JUMP_IF_EQUAL, NETLINK_AUDIT, refuse, allow);
            self.load(ARG_2_LOW, audit)
        };
        let mut next = self.branch(JUMP_IF_EQUAL, AF_NETLINK, of_netlink, others);
        let found = if denied { refuse } else { allow };
        for family in list.into_iter().flatten() {
            if *family != AF_NETLINK {
                next = self.branch(JUMP_IF_EQUAL, *family, found, next);
            }
        }
        self.load(ARG_0_LOW, next)
    }

    /// A binary search for the number in the accumulator.
    fn tree(&mut self, ranges: &[Range]) -> Place {
        match ranges {
            [] => self.verdict(Verdict::Unknown),
            [range] => self.verdict(range.verdict),
            _ => {
                let (below, above) = ranges.split_at(ranges.len() / 2);
                let pivot = above[0].first;
                let above = self.tree(above);
                let below = self.tree(below);
                self.branch(JUMP_UNLESS_BELOW, pivot, above, below)
            }
        }
    }
}
