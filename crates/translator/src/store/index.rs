//! Where the blocks with a tag are.
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::chunk::Place;

/// An open hash table: in each slot a tag and a packed place, or 0. Who looks needs no lock; who adds is alone.
pub struct Index {
    slots: Vec<AtomicU64>,
    used: AtomicUsize,
}

/// Slots of a new table.
const SLOTS_LEAST: usize = 1 << 17;
/// Slots that a kept table may have.
pub const SLOTS_MOST: usize = 1 << 24;
/// Blocks that may have one tag.
pub const CANDIDATES: usize = 4;

impl Default for Index {
    fn default() -> Self {
        Self::with_slots(SLOTS_LEAST)
    }
}

impl Index {
    fn with_slots(slots: usize) -> Self {
        Self { slots: (0..slots).map(|_| AtomicU64::new(0)).collect(), used: AtomicUsize::new(0) }
    }
    /// A table as [`Index::slots`] gave it. `None` if it cannot be one.
    pub fn from_slots(slots: Vec<u64>) -> Option<Self> {
        let used = slots.iter().filter(|slot| **slot != 0).count();
        let fits = slots.len() <= SLOTS_MOST && used < slots.len();
        let slots = slots.into_iter().map(AtomicU64::new).collect();
        fits.then_some(Self { slots, used: AtomicUsize::new(used) })
    }
    /// The whole table, to be kept.
    pub fn slots(&self) -> impl ExactSizeIterator<Item = u64> {
        self.slots.iter().map(|slot| slot.load(Ordering::Acquire))
    }
    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
    fn slot(&self, at: usize) -> u64 {
        self.slots[at].load(Ordering::Acquire)
    }

    /// The places of the blocks with a tag, up to [`CANDIDATES`].
    pub fn find(&self, tag: u32) -> impl Iterator<Item = Place> + use<> {
        let mut found = [0; CANDIDATES];
        let mut count = 0;
        let mut at = self.first(tag);
        let mut slot = self.slot(at);
        while slot != 0 && count < CANDIDATES {
            let (its_tag, place) = unpack(slot);
            if its_tag == tag {
                found[count] = place;
                count += 1;
            }
            at = self.next(at);
            slot = self.slot(at);
        }
        found.into_iter().take(count).map(Place::unpack)
    }

    /// The same with more room, if another block would make it crowded.
    pub fn grown(&self) -> Option<Self> {
        if self.blocks() * 4 < self.slots.len() * 3 {
            return None;
        }
        // By a quarter: it is the largest of what a machine keeps beside its CPUs.
        let larger = Self::with_slots(self.slots.len() * 5 / 4);
        self.slots().filter(|slot| *slot != 0).for_each(|slot| larger.put(slot));
        Some(larger)
    }
    /// Adds a block to a table that is not crowded; nobody else adds one meanwhile.
    pub fn insert(&self, tag: u32, place: Place) {
        self.put(u64::from(tag) << 32 | u64::from(place.pack()));
    }

    /// The same blocks at other places; those without one are left out.
    pub fn moved(&self, to: impl Fn(Place) -> Option<Place>) -> Self {
        // With room for all from the beginning: they come in the order of their tags, so that in a smaller table all of them
        // would be at its front.
        let slots = (self.blocks() * 4 / 3 + 1).max(SLOTS_LEAST);
        let moved = Self::with_slots(slots);
        for slot in self.slots().filter(|slot| *slot != 0) {
            let (tag, place) = unpack(slot);
            if let Some(place) = to(Place::unpack(place)) {
                moved.insert(tag, place);
            }
        }
        moved
    }

    fn put(&self, slot: u64) {
        let mut at = self.first(unpack(slot).0);
        while self.slot(at) != 0 {
            at = self.next(at);
        }
        self.slots[at].store(slot, Ordering::Release);
        self.used.fetch_add(1, Ordering::Relaxed);
    }
    fn first(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.slots.len() as u64) >> 32) as usize
    }
    fn next(&self, at: usize) -> usize {
        if at + 1 < self.slots.len() { at + 1 } else { 0 }
    }
}

fn unpack(slot: u64) -> (u32, u32) {
    ((slot >> 32) as u32, slot as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u32) -> Place {
        Place { chunk: number, offset: 8 }
    }

    #[test]
    fn all_that_was_added_is_found_again() {
        let mut index = Index::default();
        let tag = |number: u32| number.wrapping_mul(0x9e37_79b9) | 1;
        for number in 0..200_000 {
            index = index.grown().unwrap_or(index);
            index.insert(tag(number), place(number));
        }
        let again = Index::from_slots(index.slots().collect()).unwrap();
        assert_eq!((index.blocks(), again.blocks()), (200_000, 200_000));
        for number in 0..200_000 {
            assert!(again.find(tag(number)).any(|found| found == place(number)), "{number}");
        }
        assert_eq!(again.find(2).count(), 0);
    }

    #[test]
    fn blocks_with_one_tag_are_found_up_to_a_number() {
        let index = Index::default();
        (0..9).for_each(|number| index.insert(5, place(number)));
        assert!(index.find(5).eq((0..4).map(place)));
    }

    #[test]
    fn moving_leaves_out_what_has_no_place() {
        let index = Index::default();
        (0..8).for_each(|number| index.insert(number * 2 + 1, place(number)));
        let moved = index.moved(|old| (old.chunk % 2 == 0).then_some(place(old.chunk / 2)));
        assert_eq!(moved.blocks(), 4);
        assert!(moved.find(9).eq([place(2)]));
        assert_eq!(moved.find(3).count(), 0);
    }

    #[test]
    fn moving_crowds_nobody() {
        let index = Index::default();
        (1..50_000_u32).for_each(|number| index.insert(number.wrapping_mul(0x9e37_79b9), place(number)));
        let moved = index.moved(Some);
        let way = |at: usize| at.abs_diff(moved.first(unpack(moved.slot(at)).0));
        let longest = (0..moved.slots.len()).filter(|at| moved.slot(*at) != 0).map(way).max();
        assert!(longest.unwrap() < 64, "{longest:?}");
    }

    #[test]
    fn a_table_without_an_empty_slot_is_refused() {
        assert!(Index::from_slots(vec![1; 8]).is_none());
        assert!(Index::from_slots(Vec::new()).is_none());
        assert!(Index::from_slots(vec![0, 1]).is_some());
    }
}
