//! A look at a whole tree before anything of it is changed.

use std::collections::HashMap;

use rustix::fs::{FileType, Statx};

use super::ids::Rule;
use super::marker::path_hash;
use super::{Pace, Watch};
use crate::error::{Context, Error, Kind, Result};
use crate::image::walk::{is_mount_point, kind, walk};
use crate::image::{Tree, shown};

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Names below the top, those of what is mounted not counted.
    pub(super) names: u64,
    /// The file that an interrupted change had in work.
    pub(super) in_work: Option<Vec<u8>>,
    /// Names of files that keep an owner.
    kept: Tally,
    /// Names on which something is mounted.
    mounts: Tally,
    /// Names that were not seen yet, of files that have several.
    links: HashMap<(u32, u32, u64), Link>,
}

#[derive(Debug)]
struct Link {
    unseen: u32,
    first: Vec<u8>,
}

/// How many, and the first.
#[derive(Debug, Default)]
struct Tally {
    count: u64,
    first: String,
}

impl Tally {
    fn add(&mut self, path: &[u8]) {
        if self.count == 0 {
            self.first = shown(path);
        }
        self.count += 1;
    }

    fn warn(&self, what: &str) -> Option<String> {
        let Self { count, first } = self;
        (*count > 0).then(|| format!("{count} {what} (the first: '{first}')"))
    }
}

impl Survey {
    /// Walks the tree. `in_work` names a file that is to be found by its hash.
    pub(super) fn of(
        tree: &Tree,
        rule: &Rule,
        in_work: Option<u64>,
        watch: &mut dyn Watch,
    ) -> Result<Self> {
        let mut survey = Self::default();
        let mut pace = Pace::default();
        walk(tree, &mut |found| {
            let what = || format!("look at '{}'", shown(found.path));
            let stat = found.look().cannot(what)?;
            if is_mount_point(&stat) {
                survey.mounts.add(found.path);
                return Ok(false);
            }
            if in_work.is_some_and(|hash| hash == path_hash(found.path)) {
                survey.in_work = Some(found.path.to_vec());
            }
            survey.note(&stat, found.path, rule);
            pace.step(|_| watch.cancelled())?;
            Ok(kind(&stat) == FileType::Directory)
        })?;
        Ok(survey)
    }

    fn note(&mut self, stat: &Statx, path: &[u8], rule: &Rule) {
        self.names += 1;
        let (uid, gid) = (stat.stx_uid, stat.stx_gid);
        if rule.leaves(uid) || rule.leaves(gid) {
            self.kept.add(path);
        }
        let moves = rule.id(uid) != uid || rule.id(gid) != gid;
        if moves && stat.stx_nlink > 1 && kind(stat) != FileType::Directory {
            let key = (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
            let link = self.links.entry(key).or_insert_with(|| Link {
                unseen: stat.stx_nlink,
                first: path.to_vec(),
            });
            link.unseen = link.unseen.saturating_sub(1);
            if link.unseen == 0 {
                self.links.remove(&key);
            }
        }
    }

    /// Refuses a tree that shares files with another one, whose owners would change too.
    pub(super) fn check_links(&self) -> Result<()> {
        let Some(link) = self.links.values().min_by(|a, b| a.first.cmp(&b.first)) else {
            return Ok(());
        };
        let (first, count) = (shown(&link.first), self.links.len());
        let what = format!(
            "{count} of its files have names outside of it, where their owners would change, too \
             (one is '{first}')"
        );
        Err(Error::new(Kind::Failed, what)
            .hint("copy it first, `nsrun import-fs DIR NAME`, and start the copy"))
    }

    /// What will not be as the user may expect.
    pub(super) fn warnings(&self) -> Vec<String> {
        let kept = "files keep an owner that is none of the image's 65536";
        let mounts = "mount points in the image are left as they are";
        let all = [self.kept.warn(kept), self.mounts.warn(mounts)];
        all.into_iter().flatten().collect()
    }
}
