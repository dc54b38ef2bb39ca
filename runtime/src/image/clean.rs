//! Making room: what was left behind, hidden images, and all images if that is asked for.

use serde::Serialize;

use super::delete::discard;
use super::hidden::Work;
use super::listing::names;
use super::name::ImageName;
use super::subject::Subject;
use super::sweep::sweep;
use super::usage;
use crate::dirs::Dirs;
use crate::error::{Error, Kind, Result};

/// An image that was removed.
#[derive(Clone, Debug, Serialize)]
pub struct Cleaned {
    /// Its name, or that of what was left behind.
    pub name: String,
    /// The space that it took in bytes, if that was measured.
    pub bytes: Option<u64>,
}

/// What became of a cleaning.
#[derive(Debug, Default)]
pub struct Cleaning {
    /// What was removed.
    pub removed: Vec<Cleaned>,
    /// Images in use that were kept.
    pub busy: Vec<ImageName>,
    /// Why others were not removed.
    pub problems: Vec<Error>,
}

/// Removes from the image root what killed commands left and hidden images; with `all`
/// every image. Those in use are kept.
///
/// # Errors
/// [`Kind::Failed`] if the directory cannot be read.
pub fn clean(dirs: &Dirs, all: bool) -> Result<Cleaning> {
    let mut cleaning = Cleaning::default();
    for name in sweep(dirs)? {
        cleaning.removed.push(Cleaned { name, bytes: None });
    }
    let mut names = names(dirs.image_root())?;
    names.sort();
    names.dedup();
    for name in names.into_iter().filter(|name| all || name.is_hidden()) {
        match clean_one(dirs, &name) {
            Ok(cleaned) => cleaning.removed.extend(cleaned),
            Err(error) if error.kind() == Kind::Busy => cleaning.busy.push(name),
            Err(error) => cleaning.problems.push(error),
        }
    }
    Ok(cleaning)
}

fn clean_one(dirs: &Dirs, name: &ImageName) -> Result<Option<Cleaned>> {
    // Of a file that only looks like an image there is nothing to be found.
    let subject = match Subject::take(dirs, name, Work::Removing) {
        Err(error) if error.kind() == Kind::NotFound => return Ok(None),
        subject => subject?,
    };
    if subject.found.dir.path() != dirs.image_root() {
        return Ok(None);
    }
    let bytes = if subject.found.is_link() {
        None
    } else {
        usage::counted(&subject.found.image)?
    };
    discard(dirs, subject)?;
    Ok(Some(Cleaned {
        name: name.to_string(),
        bytes,
    }))
}
