//! What a start would do, without doing it.

use std::fmt;
use std::rc::Rc;

use super::owners;
use crate::dirs::Dirs;
use crate::disk::{Disk, Trust};
use crate::error::{Context, Result};
use crate::facts::{HostFacts, ImageFacts, ImageRoot, JournalFacts, Opened, open_sources};
use crate::launch;
use crate::lock::{ImageLocks, Mode};
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
    let disk = look(request)?;
    let _lock = match disk {
        Some(_) => Some(ImageLocks::of(&request.root)?.take(Mode::Shared)?),
        None => None,
    };
    let Prepared { image, plan, .. } = prepare(request, disk, false)?;
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
    pub(super) image: Rc<ImageRoot>,
    /// The machine's root in it.
    pub(super) root: Rc<ImageRoot>,
    pub(super) plan: Plan,
    /// The sources of the plan's mounts.
    pub(super) opened: Vec<Opened>,
}

/// Looks at the image that a request names, if it is a disk image.
pub(super) fn look(request: &Request) -> Result<Option<Disk>> {
    let trust = Trust {
        content: request.trust_image,
        owner: request.allow_unsafe_root,
    };
    Disk::look(&request.root, trust)
}

/// Gathers the facts and makes the plan. A disk image is locked by now, to write to it if it is to be
/// `writable`.
pub(super) fn prepare(request: &Request, disk: Option<Disk>, writable: bool) -> Result<Prepared> {
    let host = HostFacts::probe(request)?;
    let Some(disk) = disk else {
        return make(request, &host, ImageRoot::open(&request.root)?);
    };
    let mut warnings: Vec<String> = disk.left_out().into_iter().collect();
    let mut request = request.clone();
    if let Some(reason) = disk.read_only()
        && !plan::overlays(&request)
    {
        if !request.read_only && matches!(request.mode, plan::Mode::Boot { .. }) {
            warnings.push(format!(
                "the root is read-only, since {reason}: with --volatile=overlay the system may \
                 change it, and the changes go with the machine"
            ));
        }
        request.read_only = true;
    }
    let mut prepared = make(&request, &host, ImageRoot::of_disk(disk.mount(writable)?))?;
    prepared.plan.warnings.append(&mut warnings);
    Ok(prepared)
}

fn make(request: &Request, host: &HostFacts, mut image: ImageRoot) -> Result<Prepared> {
    let within = request.pivot_root.as_ref();
    let mut within = within
        .map(|pivot| image.directory(&pivot.new))
        .transpose()?;
    show_mounts(within.as_mut().unwrap_or(&mut image), &request.mounts);
    let image = Rc::new(image);
    let root = within.map_or_else(|| Rc::clone(&image), Rc::new);
    let facts = ImageFacts::probe(request, &root, host.timezone.as_deref())?;
    let id = plan::machine_id(request, host, &facts)?;
    let journal = plan::plan_journal(request, &id, &JournalFacts::probe(&id))?;
    let users = plan::bound::users(request, host, &facts)?;
    let mounts = plan::all_mounts(request, journal.as_ref(), &users)?;
    let opened = open_sources(&mounts, &image, &root)?;
    let plan = plan::make(request, host, &facts, (mounts, &opened), journal)?;
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
