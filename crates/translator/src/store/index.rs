//! Where the blocks with a tag are.
use super::chunk::Place;

/// An open hash table: in each slot a tag and a packed place, or 0.
pub struct Index {
    slots: Vec<u64>,
    used: usize,
}

/// Slots of a new table.
const SLOTS_LEAST: usize = 1 << 17;
/// Slots that a kept table may have.
pub const SLOTS_MOST: usize = 1 << 24;
/// Blocks that may have one tag.
pub const CANDIDATES: usize = 4;

impl Default for Index {
    fn default() -> Self {
        Self { slots: vec![0; SLOTS_LEAST], used: 0 }
    }
}

impl Index {
    /// A table as [`Index::slots`] gave it. `None` if it cannot be one.
    pub fn from_slots(slots: Vec<u64>) -> Option<Self> {
        let used = slots.iter().filter(|slot| **slot != 0).count();
        let fits = slots.len() <= SLOTS_MOST && used < slots.len();
        fits.then_some(Self { slots, used })
    }
    /// The whole table, to be kept.
    pub fn slots(&self) -> &[u64] {
        &self.slots
    }
    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.used
    }

    /// The places of the blocks with a tag, up to [`CANDIDATES`].
    pub fn find(&self, tag: u32) -> impl Iterator<Item = Place> + use<> {
        let mut found = [0; CANDIDATES];
        let mut count = 0;
        let mut at = self.first(tag);
        while self.slots[at] != 0 && count < CANDIDATES {
            let (its_tag, place) = unpack(self.slots[at]);
            if its_tag == tag {
                found[count] = place;
                count += 1;
            }
            at = self.next(at);
        }
        found.into_iter().take(count).map(Place::unpack)
    }

    /// Adds a block.
    pub fn insert(&mut self, tag: u32, place: Place) {
        if self.used * 4 >= self.slots.len() * 3 {
            // By a quarter: it is the largest of what a machine keeps beside its CPUs.
            let larger = vec![0; self.slots.len() * 5 / 4];
            let old = std::mem::replace(&mut self.slots, larger);
            old.into_iter().filter(|slot| *slot != 0).for_each(|slot| self.put(slot));
        }
        self.put(u64::from(tag) << 32 | u64::from(place.pack()));
        self.used += 1;
    }

    /// The same blocks at other places; those without one are left out.
    pub fn moved(&self, to: impl Fn(Place) -> Option<Place>) -> Self {
        // With room for all from the beginning: they come in the order of their tags, so that in a smaller table all of them
        // would be at its front.
        let slots = (self.used * 4 / 3 + 1).max(SLOTS_LEAST);
        let mut moved = Self { slots: vec![0; slots], used: 0 };
        for slot in self.slots.iter().filter(|slot| **slot != 0) {
            let (tag, place) = unpack(*slot);
            if let Some(place) = to(Place::unpack(place)) {
                moved.insert(tag, place);
            }
        }
        moved
    }

    fn put(&mut self, slot: u64) {
        let mut at = self.first(unpack(slot).0);
        while self.slots[at] != 0 {
            at = self.next(at);
        }
        self.slots[at] = slot;
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
        (0..200_000).for_each(|number| index.insert(tag(number), place(number)));
        let again = Index::from_slots(index.slots().to_vec()).unwrap();
        assert_eq!((index.blocks(), again.blocks()), (200_000, 200_000));
        for number in 0..200_000 {
            assert!(again.find(tag(number)).any(|found| found == place(number)), "{number}");
        }
        assert_eq!(again.find(2).count(), 0);
    }

    #[test]
    fn blocks_with_one_tag_are_found_up_to_a_number() {
        let mut index = Index::default();
        (0..9).for_each(|number| index.insert(5, place(number)));
        assert!(index.find(5).eq((0..4).map(place)));
    }

    #[test]
    fn moving_leaves_out_what_has_no_place() {
        let mut index = Index::default();
        (0..8).for_each(|number| index.insert(number * 2 + 1, place(number)));
        let moved = index.moved(|old| (old.chunk % 2 == 0).then_some(place(old.chunk / 2)));
        assert_eq!(moved.blocks(), 4);
        assert!(moved.find(9).eq([place(2)]));
        assert_eq!(moved.find(3).count(), 0);
    }

    #[test]
    fn moving_crowds_nobody() {
        let mut index = Index::default();
        (1..50_000_u32).for_each(|number| index.insert(number.wrapping_mul(0x9e37_79b9), place(number)));
        let moved = index.moved(Some);
        let way = |at: usize| at.abs_diff(moved.first(unpack(moved.slots[at]).0));
        let longest = (0..moved.slots.len()).filter(|at| moved.slots[*at] != 0).map(way).max();
        assert!(longest.unwrap() < 64, "{longest:?}");
    }

    #[test]
    fn a_table_without_an_empty_slot_is_refused() {
        assert!(Index::from_slots(vec![1; 8]).is_none());
        assert!(Index::from_slots(Vec::new()).is_none());
        assert!(Index::from_slots(vec![0, 1]).is_some());
    }
}
