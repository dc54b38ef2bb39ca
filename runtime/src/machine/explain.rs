//! What a start would do, without doing it.

use std::fmt;

use super::owners;
use crate::dirs::Dirs;
use crate::error::{Context, Result};
use crate::facts::{HostFacts, ImageFacts, ImageRoot, JournalFacts, Opened, open_sources};
use crate::launch;
use crate::ownership::{TreeIds, treat};
use crate::plan::mounts::{Mount, Source, What};
use crate::plan::{self, Plan, Request};
use crate::range::{FIRST_BASE, PrivateUsers, Range, SIZE};

/// A plan and the script that it compiles to, in words.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Explanation {
    plan: Vec<(&'static str, String)>,
    script: Script,
    warnings: Vec<String>,
}

/// Operations of both sides, in order; a launch counts each side from 0.
#[derive(Clone, Debug, serde::Serialize)]
struct Script {
    parent: Vec<String>,
    child: Vec<String>,
}

/// Plans and compiles. A range that would be picked is shown by its first candidate.
///
/// # Errors
/// As for a start, up to the point where it would begin to change anything.
pub fn explain(request: &Request, dirs: &Dirs) -> Result<Explanation> {
    let Prepared { image, plan, .. } = prepare(request)?;
    let range = match plan.users {
        PrivateUsers::No => None,
        PrivateUsers::Pick => Range::new(owners::wish(&image)?.unwrap_or(FIRST_BASE), SIZE),
        PrivateUsers::Fixed(range) => Some(range),
    };
    let treatment = treat(plan.ownership, TreeIds::of(image.owner()?), range)
        .cannot(|| format!("start from {}", plan.root.display()))?;
    let script = launch::compile(&plan, range, treatment.id_map(), dirs.run())?;
    Ok(Explanation {
        plan: plan.explain(),
        script: Script {
            parent: script.parent.iter().map(ToString::to_string).collect(),
            child: script.child.iter().map(ToString::to_string).collect(),
        },
        warnings: plan.warnings,
    })
}

/// A plan, and what was opened for it.
pub(super) struct Prepared {
    /// The image's top.
    pub(super) image: ImageRoot,
    /// The machine's root in it.
    pub(super) root: ImageRoot,
    pub(super) plan: Plan,
    /// The sources of the plan's mounts.
    pub(super) opened: Vec<Opened>,
}

/// Gathers the facts and makes the plan.
pub(super) fn prepare(request: &Request) -> Result<Prepared> {
    let host = HostFacts::probe(request)?;
    let image = ImageRoot::open(&request.root)?;
    let within = request.pivot_root.as_ref();
    let mut root = image.directory(within.map_or(".", |pivot| &pivot.new))?;
    show_mounts(&mut root, &request.mounts);
    let facts = ImageFacts::probe(request, &root, host.timezone.as_deref())?;
    let id = plan::machine_id(request, &host, &facts)?;
    let journal = plan::plan_journal(request, &id, &JournalFacts::probe(&id))?;
    let mounts = plan::all_mounts(request, journal.as_ref())?;
    let opened = open_sources(&mounts, &image, &root)?;
    let plan = plan::make(request, &host, &facts, (mounts, &opened), journal)?;
    Ok(Prepared {
        image,
        root,
        plan,
        opened,
    })
}

/// What the image lacks may be in what the host has for it. What cannot be opened is told when the
/// mounts are prepared.
fn show_mounts(root: &mut ImageRoot, mounts: &[Mount]) {
    for mount in mounts {
        if let What::Bind {
            source: Source::Host(path),
            ..
        } = &mount.what
        {
            root.show(&mount.target, path);
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.plan {
            writeln!(f, "{name:>20}: {value}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "{:>20}: {warning}", "warning")?;
        }
        for (side, ops) in [
            ("parent", &self.script.parent),
            ("child", &self.script.child),
        ] {
            writeln!(f)?;
            for (index, op) in ops.iter().enumerate() {
                writeln!(f, "{side} {index:3}  {op}")?;
            }
        }
        Ok(())
    }
}
