//! Whatever this reader accepts, GNU tar and Python read the same way. Archives of all
//! formats are changed at random places, with checksums mended.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::blocks::tests::feed;
use super::entry::EntryKind;
use super::{BLOCK, Reader};

/// Name, kind as one letter, size, target of a link.
type Listing = Vec<(Vec<u8>, char, u64, Vec<u8>)>;

/// Changed archives of each format.
const ROUNDS: usize = 60;

/// Prints the listing of each archive, a line for each member, or why it has none.
const PYTHON: &str = r#"
import sys, tarfile
KINDS = {tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l", tarfile.LNKTYPE: "h",
         tarfile.CHRTYPE: "c", tarfile.BLKTYPE: "c", tarfile.FIFOTYPE: "p"}
raw = lambda text: text.encode("utf-8", "surrogateescape").hex()
for path in sys.argv[1:]:
    print("archive")
    try:
        with tarfile.open(path, encoding="utf-8", errors="surrogateescape") as archive:
            lines = [f"{raw(m.name)}.{KINDS.get(m.type, '-')}.{m.size}.{raw(m.linkname)}"
                     for m in archive]
        print("\n".join(lines))
    except Exception as error:
        print("error", type(error).__name__)
"#;

/// `None` if it is refused.
fn ours(archive: &[u8], piece: usize) -> Option<Listing> {
    let mut reader = Reader::new(feed(archive, piece));
    let mut listing = Vec::new();
    while let Some(entry) = reader.next().ok()? {
        let kind = match entry.kind {
            EntryKind::File => '-',
            EntryKind::HardLink => 'h',
            EntryKind::Symlink => 'l',
            EntryKind::Device => 'c',
            EntryKind::Directory => 'd',
            EntryKind::Fifo => 'p',
        };
        let size = entry.sparse.map_or(entry.stored, |map| map.size);
        let is_link = matches!(kind, 'h' | 'l');
        let link = if is_link { entry.link } else { Vec::new() };
        listing.push((entry.name, kind, size, link));
    }
    Some(listing)
}

fn pythons(paths: &[String]) -> Vec<Listing> {
    let output = Command::new("python3")
        .args(["-c", PYTHON])
        .args(paths)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let archives: Vec<_> = text
        .split("archive\n")
        .skip(1)
        .map(python_listing)
        .collect();
    assert_eq!(archives.len(), paths.len());
    archives
}

/// Empty if it could not be read.
fn python_listing(text: &str) -> Listing {
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .map_while(|line| {
            let [name, kind, size, link] = line.split('.').collect::<Vec<_>>()[..] else {
                return None;
            };
            let kind = kind.chars().next()?;
            let is_link = matches!(kind, 'h' | 'l');
            let link = if is_link { unhex(link) } else { Vec::new() };
            Some((unhex(name), kind, size.parse().ok()?, link))
        })
        .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// As far as it could be read.
fn gnus(path: &str) -> Listing {
    let options = ["--numeric-owner", "--quoting-style=escape", "--full-time"];
    let output = Command::new("tar")
        .args(["-tvf", path])
        .args(options)
        .output()
        .unwrap();
    let lines = output
        .stdout
        .split(|&b| b == b'\n')
        .filter(|line| !line.is_empty());
    lines.map(|line| gnu_line(line).unwrap()).collect()
}

/// `-rw-r--r-- 0/0  123 1970-01-01 00:00:01 name[ -> target| link to target]`
fn gnu_line(line: &[u8]) -> Option<(Vec<u8>, char, u64, Vec<u8>)> {
    let text = String::from_utf8_lossy(line).into_owned();
    let mut rest = text.as_str();
    let mut field = || {
        let (field, after) = rest.trim_start().split_once(' ')?;
        rest = after;
        Some(field)
    };
    let (mode, _owner, size, _date, _time) = (field()?, field()?, field()?, field()?, field()?);
    let kind = match mode.chars().next()? {
        'b' | 'c' => 'c',
        'C' | 'S' => '-',
        kind => kind,
    };
    let separator = match kind {
        'h' => " link to ",
        'l' => " -> ",
        _ => {
            return Some((
                unescape(rest.trim_start()),
                kind,
                size.parse().unwrap_or(0),
                Vec::new(),
            ));
        }
    };
    let (name, link) = rest.trim_start().split_once(separator)?;
    Some((unescape(name), kind, size.parse().ok()?, unescape(link)))
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'\\' => match rest.next().unwrap() {
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                b'a' => 7,
                b'b' => 8,
                b'f' => 12,
                b'v' => 11,
                first @ b'0'..=b'3' => {
                    let mut digit = || rest.next().unwrap() - b'0';
                    let (second, third) = (digit(), digit());
                    ((first - b'0') << 6) | (second << 3) | third
                }
                other => other,
            },
            byte => byte,
        };
        bytes.push(byte);
    }
    bytes
}

fn shown(member: Option<&(Vec<u8>, char, u64, Vec<u8>)>) -> String {
    member.map_or("nothing".to_owned(), |(name, kind, size, link)| {
        format!(
            "{} {kind} {size} {}",
            name.escape_ascii(),
            link.escape_ascii()
        )
    })
}

/// What readers write differently but mean alike.
fn normal(listing: Listing) -> Listing {
    let without_slash = |name: Vec<u8>| {
        let end = name.iter().rposition(|&b| b != b'/').map_or(0, |at| at + 1);
        name[..end].to_vec()
    };
    listing
        .into_iter()
        .map(|(name, kind, size, link)| (without_slash(name), kind, size, without_slash(link)))
        .collect()
}

/// Numbers that look random and are the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % limit
    }
}

/// Fields of a header that decide what a member is.
const FIELDS: [std::ops::Range<usize>; 9] = [
    0..100,   // name
    100..108, // mode
    124..136, // size
    156..157, // kind
    157..257, // link
    257..265, // magic
    345..500, // prefix, or maps of old GNU sparse files
    482..495,
    0..512,
];

/// Bytes that mean something in some field.
const BYTES: &[u8] = b"\0\0/.0123456789789LKxgSDMV=\n-,a\x80\xff";

/// Changes some bytes of some blocks; checksums of changed headers are mended.
fn change(archive: &[u8], random: &mut Random) -> Vec<u8> {
    let mut changed = archive.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(archive.len() / BLOCK) * BLOCK;
        let block: &mut [u8; BLOCK] = (&mut changed[at..at + BLOCK]).try_into().unwrap();
        let was_header = super::looks_like_header(block);
        let field = FIELDS[random.below(FIELDS.len())].clone();
        for _ in 0..=random.below(4) {
            block[field.start + random.below(field.len())] = BYTES[random.below(BYTES.len())];
        }
        if was_header && random.below(8) > 0 {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    changed
}

/// An archive of each format, made by GNU tar.
fn originals(dir: &Path) -> Vec<Vec<u8>> {
    let tree = dir.join("tree");
    let long = "long-name-".repeat(15);
    fs::create_dir_all(tree.join("d").join(&long)).unwrap();
    fs::write(tree.join("d/file"), "content").unwrap();
    fs::write(tree.join("d").join(&long).join("inner"), vec![b'i'; 700]).unwrap();
    fs::hard_link(tree.join("d/file"), tree.join("second")).unwrap();
    std::os::unix::fs::symlink("d/file", tree.join("link")).unwrap();
    std::os::unix::fs::symlink("t".repeat(200), tree.join("long-link")).unwrap();
    let sparse = fs::File::create(tree.join("sparse")).unwrap();
    for piece in 0..6 {
        let piece: u64 = piece;
        std::os::unix::fs::FileExt::write_all_at(&sparse, b"data", piece << 20).unwrap();
    }
    // What a format cannot hold, tar leaves out.
    let formats: [&[&str]; 8] = [
        &["--format=v7"],
        &["--format=ustar"],
        &["--format=gnu"],
        &["--format=gnu", "--sparse"],
        &["--format=posix"],
        &["--format=posix", "--sparse", "--sparse-version=0.0"],
        &["--format=posix", "--sparse", "--sparse-version=0.1"],
        &["--format=posix", "--sparse", "--sparse-version=1.0"],
    ];
    let pack = |options: &&[&str]| {
        let mut tar = Command::new("tar");
        tar.arg("-cC").arg(&tree).args(*options).args(["-b1", "."]);
        tar.output().unwrap().stdout
    };
    formats.iter().map(pack).collect()
}

#[test]
fn changed_archives_are_read_as_others_read_them_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random(0x1234_5678_9abc_def1);
    let originals = originals(dir.path());
    let mut accepted = Vec::new();
    for (format, original) in originals.iter().enumerate() {
        assert!(ours(original, 4096).is_some());
        for round in 0..ROUNDS {
            let archive = change(original, &mut random);
            let listing = ours(&archive, 4096);
            assert_eq!(ours(&archive, 509), listing, "in smaller pieces");
            if let Some(listing) = listing {
                let path = dir.path().join(format!("{format}-{round}.tar"));
                fs::write(&path, archive).unwrap();
                accepted.push((path.to_str().unwrap().to_owned(), normal(listing)));
            }
        }
    }
    let (mut complete, mut differences) = (0, Vec::new());
    let paths: Vec<String> = accepted.iter().map(|(path, _)| path.clone()).collect();
    for ((path, listing), python) in accepted.iter().zip(pythons(&paths)) {
        for (reader, theirs) in [("python", normal(python)), ("gnu", normal(gnus(path)))] {
            // Some give up at fields of no consequence, such as the mode of a header's header.
            let pairs = listing.iter().map(Some).chain([None]).zip(&theirs);
            if let Some((our, their)) = pairs.into_iter().find(|(our, their)| *our != Some(their)) {
                differences.push(format!(
                    "{path} {reader}: {} not {}",
                    shown(Some(their)),
                    shown(our)
                ));
            }
            complete += usize::from(theirs.len() == listing.len());
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(accepted.len() > 300, "{} accepted", accepted.len());
    assert!(
        complete > accepted.len() * 19 / 10,
        "{complete} read by others too"
    );
}
