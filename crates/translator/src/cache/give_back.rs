//! Giving memory back to the host while its addresses stay: what comes there later is given anew.
#![expect(unsafe_code, reason = "advises the host on memory that nobody uses")]
use std::ops::Range;

/// Empties a vector; its room stays, but takes no memory until it is used again.
pub fn empty<T>(vector: &mut Vec<T>) {
    vector.clear();
    let room = vector.spare_capacity_mut().as_mut_ptr_range();
    // SAFETY: nothing of it is initialized.
    unsafe { discard(room.start.addr()..room.end.addr(), libc::MADV_DONTNEED) };
}

/// The whole pages between two addresses lose what they hold: they are zero afterwards, or anything.
///
/// # Safety
/// They are mapped, and nobody relies on what they hold.
pub unsafe fn discard(range: Range<usize>, advice: i32) {
    let (start, end) = (range.start.next_multiple_of(4096), range.end / 4096 * 4096);
    if start < end {
        // SAFETY: as the caller says. A host that refuses keeps the memory, which does no harm.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, advice) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_vector_has_room_without_memory() {
        let mut vector = Vec::with_capacity(1 << 20);
        vector.resize(1 << 20, 7_u8);
        let room = vector.as_ptr_range();
        empty(&mut vector);
        let start = room.start.addr().next_multiple_of(4096);
        let mut present = [0_u8; 256];
        // SAFETY: `mincore` writes a byte for each of the pages, which are mapped.
        let asked =
            unsafe { libc::mincore(start as *mut libc::c_void, 255 << 12, present.as_mut_ptr().cast()) };
        assert_eq!((asked, present.iter().filter(|page| **page & 1 != 0).count()), (0, 0));
        assert_eq!(vector.capacity(), 1 << 20);
        vector.resize(1 << 20, 9);
        assert!(vector.iter().all(|byte| *byte == 9));
    }
}
