//! Memory that the process has no further use for.

use std::ffi::c_void;

/// Unmaps the pages of the program's code and constants that have been used so far. Those that are
/// used again come back from the page cache.
///
/// A supervisor runs for months with a small part of the code that set its machine up.
pub(crate) fn forget_code() {
    let Some(headers) = program_headers() else {
        return;
    };
    // The table's own entry says where it was meant to lie; the difference is the load address.
    let Some(own) = headers.iter().find(|h| h.p_type == libc::PT_PHDR) else {
        return;
    };
    let base = headers.as_ptr().addr().wrapping_sub(to_usize(own.p_vaddr));
    let page = auxiliary(libc::AT_PAGESZ);
    if page == 0 {
        return;
    }
    for segment in headers {
        if segment.p_type != libc::PT_LOAD || segment.p_flags & libc::PF_W != 0 {
            continue;
        }
        let start = base.wrapping_add(to_usize(segment.p_vaddr));
        let end = start.wrapping_add(to_usize(segment.p_memsz));
        let (start, end) = (start / page * page, end.next_multiple_of(page));
        let address = std::ptr::with_exposed_provenance_mut::<c_void>(start);
        // SAFETY: a segment that was never writable has the content of the file, from which a page
        // is read again when it is used: MADV_DONTNEED changes nothing that can be observed. What
        // the loader relocates lies in writable segments.
        unsafe { libc::madvise(address, end - start, libc::MADV_DONTNEED) };
    }
}

/// The program's own headers, which the kernel mapped with it.
fn program_headers() -> Option<&'static [libc::Elf64_Phdr]> {
    let (table, count) = (auxiliary(libc::AT_PHDR), auxiliary(libc::AT_PHNUM));
    if table == 0 {
        return None;
    }
    let table = std::ptr::with_exposed_provenance::<libc::Elf64_Phdr>(table);
    // SAFETY: the kernel passes the address and the length of the table that it mapped; it lies in a
    // read-only segment and stays for the life of the process.
    Some(unsafe { std::slice::from_raw_parts(table, count) })
}

/// What the kernel told the program at its start (getauxval(3)); 0 if nothing.
fn auxiliary(key: u64) -> usize {
    // SAFETY: getauxval(3) has no preconditions.
    to_usize(unsafe { libc::getauxval(key) })
}

/// An address of this process: `usize` is 64 bits wide wherever nsrun runs.
fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file pages of this program that are mapped, in KiB.
    fn mapped() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("RssFile:"));
        let number = line.unwrap().trim().strip_suffix(" kB").unwrap();
        number.parse().unwrap()
    }

    #[test]
    fn code_is_forgotten_and_still_works() {
        // Use enough of it.
        let text = format!("{:?}", program_headers().unwrap().len());
        let before = mapped();
        forget_code();
        let after = mapped();
        assert!(after < before, "{before} KiB before, {after} KiB after");
        assert_eq!(format!("{:?}", program_headers().unwrap().len()), text);
    }
}
