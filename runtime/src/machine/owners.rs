//! The payload's ids, and whose the image's files are to it.

use std::os::fd::AsFd;

use super::start::Event;
use crate::error::{Context, Result};
use crate::facts::ImageRoot;
use crate::ownership::{
    self, IdMap, Treatment, TreeIds, Watch, change_owners, interrupted_target, treat,
};
use crate::plan::Plan;
use crate::range::{PrivateUsers, Range, Ranges, owner_base};
use crate::state::Claim;
use crate::supervise::Session;

/// Takes a range for the payload, and changes the owners on the disk if that was asked for. The
/// image is locked.
pub(super) fn settle(
    plan: &Plan,
    root: &ImageRoot,
    claim: &mut Claim,
    session: &mut Session,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<(Option<Range>, IdMap)> {
    let tree = TreeIds::of(root.owner()?);
    let range = range(plan, root, claim)?;
    let treatment = treat(plan.ownership, tree, range)
        .cannot(|| format!("start from {}", plan.root.display()))?;
    if let Some(warning) = ownership::warning(treatment, tree, range) {
        tell(Event::Warning(&warning));
    }
    if let Treatment::Chown(base) = treatment {
        let mut watch = Watcher { session, tell };
        let warnings = change_owners(root.as_fd(), &plan.root, base, &mut watch)?;
        warnings.iter().for_each(|text| tell(Event::Warning(text)));
    }
    Ok((range, treatment.id_map()))
}

fn range(plan: &Plan, root: &ImageRoot, claim: &mut Claim) -> Result<Option<Range>> {
    let ranges = Ranges::default();
    match plan.users {
        PrivateUsers::No => Ok(None),
        PrivateUsers::Fixed(range) => claim.hold_range(&ranges, range).map(|()| Some(range)),
        PrivateUsers::Pick => claim.pick_range(&ranges, wish(root)?).map(Some),
    }
}

/// The base that the tree's owners count from, or will when an interrupted change is over.
pub(super) fn wish(root: &ImageRoot) -> Result<Option<u32>> {
    let (uid, gid) = root.owner()?;
    if TreeIds::of((uid, gid)) == TreeIds::Interrupted {
        let target = interrupted_target(root.as_fd());
        return Ok(target.and_then(|base| owner_base(base, base)));
    }
    Ok(owner_base(uid, gid))
}

/// Signals are held back from the machine that is not there yet, so they are looked for here.
struct Watcher<'a> {
    session: &'a mut Session,
    tell: &'a mut dyn FnMut(Event<'_>),
}

impl Watch for Watcher<'_> {
    fn advanced(&mut self, done: u64, total: u64) {
        (self.tell)(Event::Owners { done, total });
    }

    fn cancelled(&mut self) -> bool {
        self.session.stop_requested()
    }
}
