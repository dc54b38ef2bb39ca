//! Mounts that were asked for.

use std::ffi::CString;

use rustix::mount::{MountAttrFlags, MountPropagationFlags};

use super::builder::{self, Builder, at};
use super::stage::shelf;
use super::{covers, own};
use crate::error::{Error, Result};
use crate::launch::op::{Component, Content, Layer, Make, Op, Shift, TreeOp, Upper};
use crate::launch::slot::Slot;
use crate::ownership::IdMap;
use crate::plan::mounts::{Ids, Mount, Planned, Shape, Source, What};
use crate::range::Range;

/// Trees that the parent makes, in the order of their numbers.
///
/// With `no_devices` the nodes in directories are dead; one that was asked for by its own name is
/// meant to be used.
pub(in crate::launch) fn trees(
    mounts: &[Planned],
    no_devices: bool,
    range: Option<Range>,
    tree: IdMap,
) -> Result<Vec<TreeOp>> {
    let shifts = Shifts { range, tree };
    let mut next = 0;
    let mut ops = Vec::new();
    for Planned { mount, shape } in mounts {
        let first = next;
        next += mount.what.sources().len();
        if !is_parents(mount) {
            continue;
        }
        let target = path(mount)?;
        let content = match &mount.what {
            What::Bind {
                source,
                recursive,
                ids,
            } => Content::Bind {
                source: first,
                recursive: *recursive,
                shift: match source {
                    Source::Hidden(_) | Source::Top => shifts.of_map(tree),
                    _ if mount.is_nix_store() && *ids == Ids::Same => {
                        shifts.bind(Ids::Shifted, &target)
                    }
                    _ => shifts.bind(*ids, &target),
                },
                may_stay: mount.is_nix_store() && *ids == Ids::Same,
            },
            What::Overlay { lowers, upper } => {
                shifts.overlay(lowers, upper, first, mount.read_only)?
            }
            What::Tmpfs(_) | What::Inaccessible => continue,
        };
        ops.push(TreeOp {
            content,
            attributes: attributes(mount.read_only, no_devices && *shape == Shape::Directory)
                | store_attributes(mount),
            target,
        });
    }
    Ok(ops)
}

/// What a mount must not allow.
pub(super) fn attributes(read_only: bool, no_devices: bool) -> MountAttrFlags {
    let mut attributes = MountAttrFlags::empty();
    attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, read_only);
    attributes.set(MountAttrFlags::MOUNT_ATTR_NODEV, no_devices);
    attributes
}

/// A store has no devices and no programs that give privileges; a damaged one shall not either.
fn store_attributes(mount: &Mount) -> MountAttrFlags {
    if mount.is_nix_store() {
        MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID
    } else {
        MountAttrFlags::empty()
    }
}

/// Whether the parent makes it, of what is outside of the machine.
pub(super) fn is_parents(mount: &Mount) -> bool {
    match &mount.what {
        What::Bind { source, .. } => !matches!(source, Source::Image(_)),
        What::Overlay { .. } => true,
        What::Tmpfs(_) | What::Inaccessible => false,
    }
}

/// How ids are shown in the machine.
struct Shifts {
    range: Option<Range>,
    /// How the image's mount shows them.
    tree: IdMap,
}

impl Shifts {
    fn bind(&self, ids: Ids, target: &CString) -> Shift {
        let base = self.range.map_or(0, Range::base);
        match ids {
            Ids::Same => Shift::None,
            Ids::Shifted => self.of_map(IdMap::Payload),
            Ids::Root => Shift::Root { base },
            Ids::Account { host, machine } => Shift::One {
                from: host,
                to: base + machine,
            },
            Ids::Owner => Shift::Owner {
                base,
                target: target.clone(),
                tree: self.tree,
            },
        }
    }

    /// A layer of the image has the ids that the image has.
    fn layer(&self, source: &Source, number: usize) -> Layer {
        let shift = match source {
            Source::Image(_) | Source::Hidden(_) | Source::Top => self.of_map(self.tree),
            Source::Host(_) | Source::Made(_) | Source::Fresh => Shift::None,
        };
        Layer {
            source: number,
            shift,
        }
    }

    fn of_map(&self, map: IdMap) -> Shift {
        match (map, self.range) {
            (IdMap::Payload, Some(range)) => Shift::All {
                from: 0,
                to: range.base(),
                length: range.len(),
            },
            (IdMap::Between { from, to, length }, _) => Shift::All { from, to, length },
            _ => Shift::None,
        }
    }

    fn overlay(
        &self,
        lowers: &[Source],
        upper: &Source,
        first: usize,
        read_only: bool,
    ) -> Result<Content> {
        let numbered = lowers.iter().zip(first..);
        let mut layers: Vec<Layer> = numbered.map(|(s, n)| self.layer(s, n)).collect();
        let upper_number = first + lowers.len();
        if read_only {
            layers.push(self.layer(upper, upper_number));
        }
        let taking = || {
            let inside = match upper {
                Source::Image(path) => {
                    let path = builder::text("the path in the image", path.as_bytes())?;
                    Some((path, self.of_map(self.tree)))
                }
                _ => None,
            };
            let source = upper_number;
            Ok::<_, Error>(Upper { source, inside })
        };
        Ok(Content::Overlay {
            layers,
            upper: (!read_only).then(taking).transpose()?,
        })
    }
}

/// Mounts everything, in order.
pub(super) fn build(b: &mut Builder, mounts: &[Planned]) -> Result<()> {
    let mut number = 0;
    for planned in mounts {
        let mount = &planned.mount;
        b.must(Op::Target {
            root: Slot::Root,
            path: components(&mount.target)?,
            make: match (&mount.what, planned.shape) {
                (What::Inaccessible, _) => Make::Nothing,
                (_, Shape::Directory) => Make::Directory,
                (_, Shape::File) => Make::File,
            },
        });
        let target = path(mount)?;
        if mount.what == What::Inaccessible {
            covers::make(b, mount)?;
            continue;
        }
        if is_parents(mount) {
            parents(b, number, target.clone())?;
            number += 1;
        } else {
            childs(b, mount)?;
        }
        b.must(Op::Mount { target });
    }
    Ok(())
}

/// Makes a directory and those above it where the payload would find it.
pub(super) fn directory(path: &str) -> Result<Op> {
    Ok(Op::Target {
        root: Slot::Root,
        path: components(path)?,
        make: Make::Directory,
    })
}

/// A tree that the parent has made, or its locked copy.
fn parents(b: &mut Builder, tree: usize, target: CString) -> Result<()> {
    if b.shifted() {
        let from = at(Slot::Stage, &shelf(tree)?);
        b.must(Op::CloneTree {
            from,
            recursive: true,
            into: Slot::Passing,
        });
    } else {
        b.must(Op::Take {
            tree,
            into: Slot::Passing,
            target,
        });
    }
    Ok(())
}

fn childs(b: &mut Builder, mount: &Mount) -> Result<()> {
    match &mount.what {
        What::Tmpfs(options) => return tmpfs(b, options, mount.read_only),
        What::Bind {
            source: Source::Image(source),
            recursive,
            ..
        } => {
            let path = builder::text("the path in the image", source.as_bytes())?;
            b.must(Op::CloneInside {
                path,
                recursive: *recursive,
            });
        }
        // The parent makes others.
        _ => {}
    }
    if mount.read_only {
        b.must(Op::SetAttributes {
            tree: Slot::Passing,
            recursive: true,
            set: MountAttrFlags::MOUNT_ATTR_RDONLY,
            propagation: MountPropagationFlags::empty(),
        });
    }
    Ok(())
}

fn tmpfs(b: &mut Builder, options: &[(String, String)], read_only: bool) -> Result<()> {
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_STRICTATIME;
    attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, read_only);
    let mut kept = Vec::new();
    for (key, value) in options {
        match key.as_str() {
            "nosuid" => attributes |= MountAttrFlags::MOUNT_ATTR_NOSUID,
            "noexec" => attributes |= MountAttrFlags::MOUNT_ATTR_NOEXEC,
            // What holds without a word.
            "nodev" | "suid" | "exec" | "strictatime" => {}
            _ => kept.push((
                builder::text("an option of a tmpfs", key.as_bytes())?,
                builder::text("an option of a tmpfs", value.as_bytes())?,
            )),
        }
    }
    b.must(Op::NewFs {
        kind: own(c"tmpfs"),
        options: kept,
        attributes,
        into: Slot::Passing,
    });
    Ok(())
}

pub(super) fn path(mount: &Mount) -> Result<CString> {
    builder::text("the path in the machine", mount.target.as_bytes())
}

/// `/a/b` as `a` and `a/b`.
pub(in crate::launch) fn components(path: &str) -> Result<Vec<Component>> {
    let path = path.trim_start_matches('/');
    let ends = path
        .match_indices('/')
        .map(|(at, _)| at)
        .chain([path.len()]);
    let mut begin = 0;
    let components = ends.map(|end| {
        let (whole, name) = (&path[..end], &path[begin..end]);
        begin = end + 1;
        Ok(Component {
            path: builder::text("the path in the machine", whole.as_bytes())?,
            name: builder::text("the path in the machine", name.as_bytes())?,
        })
    });
    components.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_walked_name_by_name() {
        let parts = components("/a/bc/d").unwrap();
        let texts: Vec<(&[u8], &[u8])> = parts
            .iter()
            .map(|c| (c.path.to_bytes(), c.name.to_bytes()))
            .collect();
        let expected: [(&[u8], &[u8]); 3] = [(b"a", b"a"), (b"a/bc", b"bc"), (b"a/bc/d", b"d")];
        assert_eq!(texts, expected);
    }

    #[test]
    fn the_upper_layer_of_a_read_only_overlay_is_its_topmost() {
        let shifts = Shifts {
            range: None,
            tree: IdMap::None,
        };
        let lowers = [Source::Host("/a".into()), Source::Host("/b".into())];
        let numbers = |content| match content {
            Content::Overlay { layers, upper } => {
                let layers: Vec<usize> = layers.iter().map(|l| l.source).collect();
                (layers, upper.map(|upper| upper.source))
            }
            Content::Bind { .. } => panic!("no overlay"),
        };
        let content = shifts.overlay(&lowers, &Source::Fresh, 3, false).unwrap();
        assert_eq!(numbers(content), (vec![3, 4], Some(5)));
        let content = shifts.overlay(&lowers, &Source::Fresh, 3, true).unwrap();
        assert_eq!(numbers(content), (vec![3, 4, 5], None));
    }
}
