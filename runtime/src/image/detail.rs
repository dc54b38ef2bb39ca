//! What is known of one image.

use serde::Serialize;

use super::listing::{ImageSummary, Moment, summary};
use super::lookup::{self, Image, ImageKind};
use super::metadata;
use super::name::ImageName;
use crate::dirs::Dirs;
use crate::enabled;
use crate::error::Result;
use crate::facts::{ImageRoot, Release};
use crate::ownership::TreeIds;

/// Longest value that is shown of what an image says of itself.
const LONGEST: usize = 200;

/// An image in full.
#[derive(Clone, Debug, Serialize)]
pub struct ImageDetail {
    /// The row.
    #[serde(flatten)]
    pub summary: ImageSummary,
    /// The host name that it is set up for.
    pub hostname: Option<String>,
    /// Its machine id.
    pub machine_id: Option<String>,
    /// Its operating system, in its own words.
    pub os: Option<String>,
    /// The id on the host from which the owners on the disk count, if that is not 0.
    pub shift: Option<u32>,
    /// What it was imported from.
    pub source: Option<String>,
    /// When it was imported.
    pub imported: Option<Moment>,
    /// SHA-256 of the archive.
    pub sha256: Option<String>,
    /// A machine of its name starts when the host boots.
    pub enabled: bool,
}

/// Looks at one image.
///
/// # Errors
/// [`crate::Kind::NotFound`] if there is none of that name.
pub fn detail(dirs: &Dirs, name: &ImageName, measure: bool) -> Result<ImageDetail> {
    let image = lookup::find_named(dirs, name.as_str())?;
    let machine = name.as_str().parse();
    let mut detail = ImageDetail {
        summary: summary(name.clone(), &image, measure)?,
        hostname: None,
        machine_id: None,
        os: None,
        shift: None,
        source: None,
        imported: None,
        sha256: None,
        enabled: machine.is_ok_and(|name| enabled::is_enabled(dirs, &name)),
    };
    if image.kind == ImageKind::Directory {
        look_inside(dirs, name, &image, &mut detail)?;
    }
    Ok(detail)
}

fn look_inside(
    dirs: &Dirs,
    name: &ImageName,
    image: &Image,
    detail: &mut ImageDetail,
) -> Result<()> {
    let root = ImageRoot::open(&image.path)?;
    detail.hostname = first_line(&root, "etc/hostname");
    detail.machine_id = first_line(&root, "etc/machine-id");
    detail.os = os(&root);
    let base = TreeIds::of(root.owner()?).base();
    detail.shift = base.filter(|&base| base != 0);
    let name = name.as_str().parse().ok();
    if let Some(known) =
        name.and_then(|name| metadata::read(dirs, &name, std::os::fd::AsFd::as_fd(&root)))
    {
        detail.source = Some(plain(&known.source));
        detail.imported = Some(known.imported.into());
        detail.sha256 = known.sha256;
    }
    Ok(())
}

fn first_line(root: &ImageRoot, path: &str) -> Option<String> {
    let content = root.read(path).ok()?;
    let text = String::from_utf8_lossy(&content);
    let line = text.lines().map(str::trim).find(|l| !l.starts_with('#'))?;
    (!line.is_empty()).then(|| plain(line))
}

/// What people call the operating system.
pub(super) fn os(root: &ImageRoot) -> Option<String> {
    Release::look(root).os
}

/// Text of an image must not reach the terminal's escape sequences.
fn plain(text: &str) -> String {
    let cut = text.chars().take(LONGEST);
    cut.map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
