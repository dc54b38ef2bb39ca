//! Giving memory back that only the start of a machine needed.

use std::fs;
use std::ops::Range;

/// Unmaps the pages of the program's code; what is still used comes back from the page cache.
///
/// Parsing, planning and launching touch most of the code, and the supervisor that then runs for
/// days needs little of it. Does nothing if the code cannot be found.
pub(crate) fn drop_code_pages() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let here = drop_code_pages as *const () as usize;
    let Some(code) = maps.lines().filter_map(code).find(|m| m.contains(&here)) else {
        return;
    };
    let start = code.start as *mut libc::c_void;
    // SAFETY: the range is a mapping of this program's file that is executable and not writable,
    // so no page of it differs from the file, which the kernel keeps from being written to.
    // Dropped pages are read from it again when they are next executed.
    unsafe { libc::madvise(start, code.len(), libc::MADV_DONTNEED) };
}

/// The address range of a line of `proc_pid_maps(5)`, if it is code of a file.
fn code(line: &str) -> Option<Range<usize>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?;
    let file = fields.nth(3)?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    (permissions == "r-xp" && file.starts_with('/')).then_some(address(start)?..address(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_taken() {
        let text = "7f10-7f20 r-xp 00001000 fe:00 131 /usr/bin/nsrun";
        assert_eq!(code(text), Some(0x7f10..0x7f20));
        for line in [
            "7f10-7f20 r--p 00001000 fe:00 131 /usr/bin/nsrun",
            "7f10-7f20 rwxp 00001000 fe:00 131 /usr/bin/nsrun",
            "7f10-7f20 r-xp 00000000 00:00 0 [vdso]",
            "7f10-7f20 r-xp 00000000 00:00 0",
            "",
        ] {
            assert_eq!(code(line), None, "{line}");
        }
    }

    #[test]
    fn the_program_goes_on_after_it() {
        drop_code_pages();
        assert_eq!(2 + std::hint::black_box(2), 4);
    }
}
