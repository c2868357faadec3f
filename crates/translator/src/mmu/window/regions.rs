//! Large pages of the guest in windows: 2 MiB at once, in one mapping. Frames in it that hold translated code are holes in
//! the right to write.
use std::sync::atomic::Ordering;

use super::{AddressSpace, MAPPED, Mapped, Shown, map_nothing, page_limit, protect_host};
use platform::GuestRam;
use x86::address::PAGE_SHIFT;
use x86::{Gpa, Gva};

/// log2 of the bytes of a region.
pub const REGION_SHIFT: u32 = 21;
const REGION_BYTES: u64 = 1 << REGION_SHIFT;
/// log2 of the pages of a region.
const PAGES_SHIFT: u32 = REGION_SHIFT - PAGE_SHIFT;
const PAGES: u64 = 1 << PAGES_SHIFT;

impl AddressSpace {
    /// Shows the 2 MiB around an address, which the guest has mapped to the 2 MiB around `gpa` as a whole; of the frames
    /// that `is_code` names none may be written. `None` if not all of it is RAM, or the host refuses.
    pub fn map_large(
        &mut self,
        ram: &GuestRam,
        address: Gva,
        gpa: Gpa,
        writable: bool,
        is_code: impl Fn(u64) -> bool,
    ) -> Option<()> {
        if MAPPED.load(Ordering::Relaxed) >= page_limit() {
            return None;
        }
        let (number, frame) = (address.0 >> REGION_SHIFT, gpa.0 >> REGION_SHIFT);
        let file_offset = ram.file_offset(Gpa(frame << REGION_SHIFT), REGION_BYTES)?;
        self.unmap_region(address, REGION_SHIFT);
        self.place(ram, Gva(number << REGION_SHIFT), REGION_BYTES, file_offset, writable)?;
        MAPPED.fetch_add(1, Ordering::Relaxed);
        self.regions.insert(number, Mapped { frame, writable });
        self.region_frames.entry(frame).or_default().push(number);
        if writable {
            self.make_holes(number, frame, is_code);
        }
        self.regions.contains_key(&number).then_some(())
    }

    /// Whether a page, which leads to `gpa` now, is a hole in a region that may otherwise be written. It is not any more.
    pub fn fill_hole(&mut self, address: Gva, gpa: Gpa) -> bool {
        let page = address.0 >> PAGE_SHIFT;
        let region = self.regions.get(&(address.0 >> REGION_SHIFT));
        if region.is_none_or(|region| region.frame != gpa.0 >> REGION_SHIFT) || !self.holes.remove(&page) {
            return false;
        }
        MAPPED.fetch_sub(1, Ordering::Relaxed);
        self.host_page(page).is_some_and(|host| protect_host(host, true))
    }

    /// Takes the right to write to one page of a region. If the host has no room for one more hole, the region goes.
    fn make_hole(&mut self, page: u64) {
        if !self.holes.insert(page) {
            return;
        }
        let room = MAPPED.fetch_add(1, Ordering::Relaxed) < page_limit();
        let made = room && self.host_page(page).is_some_and(|host| protect_host(host, false));
        if !made {
            self.unmap_large(Gva(page << PAGE_SHIFT));
        }
    }

    fn make_holes(&mut self, number: u64, frame: u64, is_code: impl Fn(u64) -> bool) {
        for page in (0..PAGES).filter(|page| is_code(frame << PAGES_SHIFT | page)) {
            if !self.regions.contains_key(&number) {
                return;
            }
            self.make_hole(number << PAGES_SHIFT | page);
        }
    }

    /// Takes the right to write to a frame from every region that shows it.
    pub(super) fn protect_large(&mut self, frame: u64) {
        let numbers = self.region_frames.get(&(frame >> PAGES_SHIFT)).cloned().unwrap_or_default();
        for number in numbers {
            if self.regions.get(&number).is_some_and(|region| region.writable) {
                self.make_hole(number << PAGES_SHIFT | frame & (PAGES - 1));
            }
        }
    }

    /// Hides the region of an address.
    pub(super) fn unmap_large(&mut self, address: Gva) {
        let number = address.0 >> REGION_SHIFT;
        let Some(region) = self.regions.remove(&number) else { return };
        if let Some(numbers) = self.region_frames.get_mut(&region.frame) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.region_frames.remove(&region.frame);
            }
        }
        let holes = self.holes.len();
        self.holes.retain(|page| page >> PAGES_SHIFT != number);
        MAPPED.fetch_sub(1 + holes - self.holes.len(), Ordering::Relaxed);
        if let Some(host) = self.host_page(number << PAGES_SHIFT) {
            map_nothing(Some(host), REGION_BYTES as usize);
        }
    }

    /// Hides the regions that overlap the one with this number of `shift` address bits.
    pub(super) fn unmap_all_large(&mut self, number: u64, shift: u32) {
        if shift <= REGION_SHIFT {
            return self.unmap_large(Gva(number << shift));
        }
        let inside = |region: &u64| region >> (shift - REGION_SHIFT) == number;
        let regions: Vec<u64> = self.regions.keys().copied().filter(inside).collect();
        for region in regions {
            self.unmap_large(Gva(region << REGION_SHIFT));
        }
    }

    pub(super) fn forget_large(&mut self) {
        self.regions.clear();
        self.region_frames.clear();
        self.holes.clear();
    }

    pub(super) fn review_large(
        &mut self,
        mut leads: impl FnMut(Gva) -> Option<Shown>,
        is_code: impl Fn(u64) -> bool,
    ) {
        let regions: Vec<_> = self.regions.iter().map(|(number, region)| (*number, *region)).collect();
        for (number, region) in regions {
            let start = Gva(number << REGION_SHIFT);
            let holds = |now: Shown| {
                now.page_shift >= REGION_SHIFT
                    && now.gpa.0 >> REGION_SHIFT == region.frame
                    && (now.writable || !region.writable)
            };
            if !leads(start).is_some_and(holds) {
                self.unmap_large(start);
            } else if region.writable {
                self.make_holes(number, region.frame, &is_code);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Half;
    use super::*;

    const DIRECT_MAP: Gva = Gva(0xffff_8880_0000_0000);

    fn space(ram: &GuestRam) -> AddressSpace {
        let mut space = AddressSpace::new(Half::Upper);
        space.open(DIRECT_MAP).unwrap();
        space
            .map_large(ram, Gva(DIRECT_MAP.0 + 0x5000), Gpa(0x20_5000), true, |frame| frame == 0x203)
            .unwrap();
        space
    }

    #[test]
    fn a_large_page_appears_at_once_but_for_its_code() {
        let ram = GuestRam::new(8 << 20).unwrap();
        ram.write(Gpa(0x21_0123), &[9]).unwrap();
        let mut space = space(&ram);
        let (_, delta) = space.open(DIRECT_MAP).unwrap();
        let host = (DIRECT_MAP.0 + 0x1_0123).wrapping_add(delta);
        // SAFETY: it was just mapped.
        assert_eq!(unsafe { (host as *const u8).read_volatile() }, 9);
        assert_eq!(space.holes.len(), 1);
        space.protect(0x207);
        space.protect(0x407);
        assert_eq!(space.holes.len(), 2);
        assert!(!space.fill_hole(Gva(DIRECT_MAP.0 + 0x3fff), Gpa(0x40_3000)));
        assert!(space.fill_hole(Gva(DIRECT_MAP.0 + 0x3fff), Gpa(0x20_3000)));
        assert!(!space.fill_hole(Gva(DIRECT_MAP.0 + 0x4000), Gpa(0x20_4000)));
        space.unmap(Gva(DIRECT_MAP.0 + 0x1f_f000));
        assert!(space.is_empty() && space.holes.is_empty() && space.region_frames.is_empty());
    }

    #[test]
    fn a_review_keeps_what_is_still_so() {
        let ram = GuestRam::new(8 << 20).unwrap();
        let mut space = space(&ram);
        let shown = |writable| Shown { gpa: Gpa(0x20_0000), page_shift: 30, writable };
        space.review(|_| Some(shown(true)), |frame| frame == 0x2ff);
        assert_eq!((space.len(), space.holes.len()), (1, 2));
        space.review(|_| Some(shown(false)), |_| false);
        assert!(space.is_empty());
    }

    #[test]
    fn part_of_a_large_page_that_is_no_memory_is_not_shown() {
        let ram = GuestRam::new(3 << 20).unwrap();
        let mut space = AddressSpace::new(Half::Upper);
        space.open(DIRECT_MAP).unwrap();
        assert_eq!(space.map_large(&ram, DIRECT_MAP, Gpa(0x20_0000), true, |_| false), None);
        assert!(space.is_empty());
    }
}
