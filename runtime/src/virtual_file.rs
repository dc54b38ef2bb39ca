//! Files that the kernel makes up as they are read: they have no size, and every read costs.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::io::Errno;

/// Most files fit, so that a second read finds the end. The kernel writes a file like
/// `mountinfo` a page at a time.
const STEP: usize = 8192;

/// The whole content. [`std::fs::read`] asks for the size, and goes on in small steps when that
/// is 0.
pub(crate) fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    read_open(File::open(path)?)
}

/// The same of an open file.
pub(crate) fn read_open(file: impl AsFd) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        content.reserve(STEP);
        match rustix::io::read(&file, rustix::buffer::spare_capacity(&mut content)) {
            Ok(0) => return Ok(content),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The whole content, as text.
pub(crate) fn read_text(path: impl AsRef<Path>) -> io::Result<String> {
    text(read(path)?)
}

/// The same of an open file.
pub(crate) fn read_open_text(file: impl AsFd) -> io::Result<String> {
    text(read_open(file)?)
}

fn text(content: Vec<u8>) -> io::Result<String> {
    String::from_utf8(content).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn long_and_short_files_are_read_whole() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for length in [0, 1, STEP - 1, STEP, 5 * STEP + 3] {
            let content: Vec<u8> = (0..length)
                .map(|n| u8::try_from(n % 251).unwrap())
                .collect();
            file.as_file().set_len(0).unwrap();
            let mut writer = File::options().append(true).open(file.path()).unwrap();
            writer.write_all(&content).unwrap();
            assert_eq!(read(file.path()).unwrap(), content);
        }
    }

    #[test]
    fn text_must_be_text() {
        assert!(read_text("/proc/self/status").unwrap().contains("Name:"));
        assert_eq!(
            read_text("/proc/self/exe").unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        assert_eq!(
            read_text("/proc/nothing").unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
