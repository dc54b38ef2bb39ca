//! Names of members, made relative and free of `.` and `..`.

/// Longest component of a path in bytes: `NAME_MAX` of the kernel.
const NAME_MAX: usize = 255;

/// A member's path below the image's root: components joined by single slashes.
/// The root itself is the empty path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::image) struct MemberPath {
    /// The components.
    pub(in crate::image) bytes: Vec<u8>,
    /// A leading slash was removed.
    pub(in crate::image) was_absolute: bool,
}

/// Why a name cannot be a path below the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::image) enum PathFault {
    Empty,
    Nul,
    Parent,
    LongName,
}

impl PathFault {
    /// The fault as the end of a sentence about the name.
    pub(in crate::image) fn text(self) -> &'static str {
        match self {
            Self::Empty => "its name is empty",
            Self::Nul => "its name holds a NUL byte",
            Self::Parent => "its name holds '..'",
            Self::LongName => "a part of its name is longer than 255 bytes",
        }
    }
}

impl MemberPath {
    /// The number of components.
    pub(in crate::image) fn depth(&self) -> usize {
        if self.bytes.is_empty() {
            return 0;
        }
        1 + self.bytes.iter().filter(|&&b| b == b'/').count()
    }
}

/// Parent and last component of a normalised path; `None` for the root.
pub(in crate::image) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.is_empty() {
        return None;
    }
    match path.iter().rposition(|&b| b == b'/') {
        Some(slash) => Some((&path[..slash], &path[slash + 1..])),
        None => Some((&[], path)),
    }
}

/// Makes an archive's name a path below the root.
pub(in crate::image) fn normalise(name: &[u8]) -> Result<MemberPath, PathFault> {
    if name.is_empty() {
        return Err(PathFault::Empty);
    }
    if name.contains(&0) {
        return Err(PathFault::Nul);
    }
    let mut bytes = Vec::with_capacity(name.len());
    for part in name.split(|&b| b == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => return Err(PathFault::Parent),
            long if long.len() > NAME_MAX => return Err(PathFault::LongName),
            _ => {}
        }
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(part);
    }
    Ok(MemberPath {
        bytes,
        was_absolute: name[0] == b'/',
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(name: &[u8]) -> Vec<u8> {
        normalise(name).unwrap().bytes
    }

    #[test]
    fn drops_what_does_not_change_the_place() {
        assert_eq!(path(b"./a//b/./c/"), b"a/b/c");
        assert_eq!(path(b"./"), b"");
        assert_eq!(path(b"."), b"");
        assert_eq!(path(b"/etc/passwd"), b"etc/passwd");
        assert!(normalise(b"//x").unwrap().was_absolute);
        assert!(!normalise(b"./x").unwrap().was_absolute);
    }

    #[test]
    fn refuses_ways_out_of_the_root() {
        for name in [&b".."[..], b"../a", b"a/../b", b"a/..", b"/.."] {
            assert_eq!(normalise(name), Err(PathFault::Parent), "{name:?}");
        }
        assert_eq!(normalise(b""), Err(PathFault::Empty));
        assert_eq!(normalise(b"a\0b"), Err(PathFault::Nul));
        assert_eq!(normalise(&[b'x'; 256]), Err(PathFault::LongName));
        assert!(normalise(b"..a/b..").is_ok());
    }

    #[test]
    fn splits_into_parent_and_name() {
        assert_eq!(split(b""), None);
        assert_eq!(split(b"a"), Some((&b""[..], &b"a"[..])));
        assert_eq!(split(b"a/b/c"), Some((&b"a/b"[..], &b"c"[..])));
    }

    proptest! {
        #[test]
        fn a_path_is_canonical_and_below_the_root(name in proptest::collection::vec(prop_oneof![
            Just(b'/'), Just(b'.'), any::<u8>()], 0..64)) {
            if let Ok(path) = normalise(&name) {
                prop_assert!(!path.bytes.starts_with(b"/") && !path.bytes.ends_with(b"/"));
                let parts: Vec<_> = path.bytes.split(|&b| b == b'/').collect();
                if !path.bytes.is_empty() {
                    prop_assert!(parts.iter().all(|p| !matches!(*p, b"" | b"." | b"..")));
                    prop_assert_eq!(parts.len(), path.depth());
                    prop_assert_eq!(normalise(&path.bytes).unwrap().bytes, path.bytes);
                }
            }
        }
    }
}
