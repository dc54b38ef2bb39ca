//! A passage through the locks for what is mounted in the machine and must stay as it is.

use std::ffi::CString;

use super::builder::{self, Builder, NO_SUID_DEV_EXEC, at};
use super::covers::{self, Holder};
use super::custom::{is_parents, path};
use super::own;
use crate::error::Result;
use crate::launch::op::Op;
use crate::launch::slot::Slot;
use crate::plan::Plan;
use crate::plan::mounts::{Mount, Shape};

/// Locks the attributes of the parent's trees. What is read-only on the host or by request must
/// stay so, but the machine's root may change the mounts of its own namespace; a copy of them in
/// another one it may not. So they go through one, as those below /proc do.
pub(super) fn lock(b: &mut Builder, plan: &Plan) -> Result<()> {
    let parents = || {
        plan.mounts
            .iter()
            .filter(|planned| is_parents(&planned.mount))
    };
    let covers = covers::early(plan);
    let in_root = covers.iter().any(|(holder, ..)| *holder == Holder::Root);
    let lock_root = plan.lock_root || in_root;
    if !b.shifted() || (!lock_root && parents().next().is_none()) {
        return Ok(());
    }
    let stage = || builder::host(own(c"/sys"));
    b.new_fs(
        c"tmpfs",
        &[(c"mode", c"0700")],
        NO_SUID_DEV_EXEC,
        Slot::Stage,
    );
    b.attach(Slot::Stage, stage());
    if !covers.is_empty() {
        b.directory(Slot::Stage, c"host", 0o700);
        covers::nodes(b, Slot::Stage);
    }
    for (number, planned) in parents().enumerate() {
        let shelf = shelf(number)?;
        match planned.shape {
            Shape::Directory => b.directory(Slot::Stage, &shelf, 0o700),
            Shape::File => b.file(Slot::Stage, &shelf, 0o600, ""),
        }
        let target = path(&planned.mount)?;
        b.must(Op::Take {
            tree: number,
            into: Slot::Holder,
            target,
        });
        b.attach(Slot::Holder, at(Slot::Stage, &shelf));
        cover(b, &covers, Holder::Tree(number), Slot::Holder)?;
    }
    let root = || at(Slot::Stage, c"root");
    if lock_root {
        b.directory(Slot::Stage, c"root", 0o700);
        b.attach(Slot::Root, root());
        cover(b, &covers, Holder::Root, Slot::Root)?;
    }
    b.must(Op::LockTrees {
        paths: [own(c"/proc"), own(c"/sys")],
        into: [Slot::ProcTree, Slot::Stage],
    });
    b.attach(Slot::Stage, stage());
    if lock_root {
        b.must(Op::CloneTree {
            from: root(),
            recursive: true,
            into: Slot::Root,
        });
        // Over the tree that it is a copy of, which goes with the host's.
        b.attach(Slot::Root, root());
    }
    Ok(())
}

fn cover(
    b: &mut Builder,
    covers: &[(Holder, &Mount, &str)],
    holder: Holder,
    root: Slot,
) -> Result<()> {
    let mut within = covers.iter().filter(|(within, ..)| *within == holder);
    within.try_for_each(|(_, mount, rest)| covers::lock(b, root, mount, rest))
}

/// Where on the stage the parent's tree of that number is.
pub(super) fn shelf(number: usize) -> Result<CString> {
    builder::text("a number", number.to_string().as_bytes())
}
