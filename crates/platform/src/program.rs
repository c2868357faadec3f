//! The memory of the program itself.
#![expect(unsafe_code, reason = "asks the loader where the program is, and the host to take its pages")]
use std::ffi::c_void;
use std::ops::Range;

/// Gives back to the host what it has in memory of the program's code and constants. What is used comes back, page by page,
/// from its file: much of a program is for its start, and Linux maps sixteen pages for each that is touched.
pub fn put_aside() {
    for segment in constant_segments() {
        let (start, length) = (segment.start as *mut c_void, segment.len());
        // The first one makes the host forget the pages, if the file is the user's own; the second one is for all others.
        for advice in [libc::MADV_PAGEOUT, libc::MADV_DONTNEED] {
            // SAFETY: nobody writes to these mappings of a file: their pages are the same when they come back. A host that
            // does not know the advice refuses, and nothing is lost.
            unsafe { libc::madvise(start, length, advice) };
        }
    }
}

/// Where the program is mapped that cannot be written to: whole pages.
fn constant_segments() -> Vec<Range<usize>> {
    unsafe extern "C" fn note(info: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> i32 {
        // SAFETY: the loader passes a description that is good for the call, and what was given to it.
        let (info, found) = unsafe { (&*info, &mut *found.cast::<Vec<Range<usize>>>()) };
        // SAFETY: the loader says where the headers are, and how many.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        let is_constant =
            |header: &&libc::Elf64_Phdr| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0;
        found.extend(headers.iter().filter(is_constant).map(|header| {
            let start = info.dlpi_addr as usize + header.p_vaddr as usize;
            // The last page may be shared with what follows.
            start.next_multiple_of(4096)..(start + header.p_memsz as usize) / 4096 * 4096
        }));
        // The program comes first; its libraries are not asked for.
        1
    }
    let mut found = Vec::new();
    // SAFETY: `note` is called before this returns, with the list that is passed.
    unsafe { libc::dl_iterate_phdr(Some(note), std::ptr::from_mut(&mut found).cast()) };
    found.retain(|segment: &Range<usize>| !segment.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KiB of the program's code in memory.
    fn resident() -> u64 {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let program = std::env::current_exe().unwrap();
        let mut lines = smaps.lines();
        let is_code = |line: &&str| line.contains(" r-xp ") && line.ends_with(program.to_str().unwrap());
        lines.find(is_code).unwrap();
        let rss = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
        rss.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn the_program_goes_on_with_less_of_itself_in_memory() {
        let code: Vec<_> = constant_segments();
        // All of it is touched.
        let touch = |segment: &Range<usize>| {
            segment.clone().step_by(4096).fold(0_u64, |sum, page| {
                // SAFETY: mapped, and constant.
                sum + u64::from(unsafe { (page as *const u8).read_volatile() })
            })
        };
        let sums: Vec<u64> = code.iter().map(touch).collect();
        let before = resident();
        put_aside();
        let after = resident();
        assert!(after < before, "{after} KiB, {before} before");
        assert_eq!(code.iter().map(touch).collect::<Vec<_>>(), sums);
    }
}
