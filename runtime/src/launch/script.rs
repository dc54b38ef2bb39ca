//! A whole launch, computed before anything is done.

use super::fault::Fault;
use super::op::{Op, ParentOp, Program, Step};

/// What both sides do, in order, and what the child becomes.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) parent: Vec<ParentOp>,
    pub(crate) child: Vec<Step>,
    /// System call filters that [`Op::Seccomp`] refers to by index.
    pub(crate) filters: Vec<crate::seccomp::Filter>,
    pub(crate) program: Program,
    pub(crate) fault: Fault,
}

impl Script {
    /// The operation that the child reported by number.
    pub(crate) fn child_op(&self, index: u32) -> Option<&Op> {
        let step = self.child.get(usize::try_from(index).ok()?)?;
        Some(&step.op)
    }
}
