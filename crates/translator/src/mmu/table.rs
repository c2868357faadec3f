//! The look-up tables that translated code reads in line, and the tables of jump targets.
//!
//! A look-up entry is hit when `address ^ entry.read` (or `.write`) is at most `4096 - size`: one comparison covers the
//! tag, the permission and page crossing. An empty entry carries the tag of a page that belongs to another index, so no
//! address that selects the entry can ever match it.
use super::{Access, Written};
use x86::Gva;
use x86::address::{PAGE_OFFSET, PAGE_SHIFT, PAGE_SIZE};

/// Indices of the look-up table of a ring; a power of two.
pub const fn lookups(ring: Ring) -> usize {
    match ring {
        Ring::Supervisor => 4096,
        Ring::User => 1024,
    }
}
/// log2 of the bytes of a [`Lookup`].
pub const LOOKUP_SHIFT: u32 = 5;
/// From the first entry of an index to the second.
pub const fn second_entry(ring: Ring) -> usize {
    lookups(ring) << LOOKUP_SHIFT
}
/// Lowest bits of a target, exclusive-or those of its page's number, that select two entries of a jump table, the one filled
/// last first. Code of a shared library and of a program often lies at like offsets in pages.
const JUMP_BITS: u32 = 13;
/// Pairs of entries of one jump table.
pub const JUMP_PAIRS: usize = 1 << JUMP_BITS;
/// Entries of one jump table.
pub const JUMPS: usize = 2 * JUMP_PAIRS;
/// log2 of the bytes of a pair of [`Jump`]s.
const JUMP_PAIR_SHIFT: u32 = 5;
/// Those bits, shifted by so many, are a target's place in a jump table.
pub const JUMP_PLACE_SHIFT: u32 = 16 - JUMP_BITS;
/// log2 of the bytes of a step from one place to the next.
pub const JUMP_STEP_SHIFT: u32 = JUMP_PAIR_SHIFT - JUMP_PLACE_SHIFT;

/// Which tables: translated code of CPL 3 uses one kind, of CPL 0 to 2 the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ring {
    /// CPL 0 to 2.
    Supervisor = 0,
    /// CPL 3.
    User = 1,
}

/// Both rings.
pub const RINGS: [Ring; 2] = [Ring::Supervisor, Ring::User];

/// One page as translated code knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Lookup {
    /// Linear address of the page if it may be read, else [`empty_tag`].
    pub read: u64,
    /// Linear address of the page if it may be written, is dirty already and holds no translated code, else [`empty_tag`].
    pub write: u64,
    /// Host address of the page.
    pub host: u64,
    /// Guest-physical address of the page, and [`GLOBAL`].
    pub frame: u64,
}

/// A look-up table: two entries for each index, of which translated code sees the first; a thunk exchanges them if that
/// helps ([`crate::runtime::thunks::Thunks::misses`]).
pub struct Table<'a> {
    first: &'a mut [Lookup],
    second: &'a mut [Lookup],
}

impl<'a> Table<'a> {
    /// The table that consists of all first and then all second entries.
    pub fn new(entries: &'a mut [Lookup]) -> Self {
        let half = entries.len() / 2;
        let (first, second) = entries.split_at_mut(half);
        Self { first, second }
    }
    fn both(&mut self, index: usize) -> [&mut Lookup; 2] {
        [&mut self.first[index], &mut self.second[index]]
    }
    /// What is known at an index.
    pub fn at(&self, index: usize) -> impl Iterator<Item = &Lookup> {
        [&self.first[index], &self.second[index]].into_iter().filter(move |entry| !entry.is_empty(index))
    }
    /// What is known of an address's page.
    pub fn find(&self, index: usize, address: Gva) -> Option<&Lookup> {
        self.at(index).find(|entry| entry.can_read(address))
    }
    /// What is known of the page that `size` bytes lie in and may be accessed.
    #[inline]
    pub fn reach(&self, index: usize, address: Gva, size: u64, access: Access) -> Option<&Lookup> {
        let both = [&self.first[index], &self.second[index]];
        both.into_iter().find(|entry| {
            let tag = if access == Access::Write { entry.write } else { entry.read };
            address.0 ^ tag <= PAGE_SIZE - size
        })
    }

    /// Takes a page in as the first of its index.
    pub fn insert(&mut self, index: usize, entry: Lookup) {
        let [first, second] = self.both(index);
        if second.read == entry.read {
            *second = Lookup::empty(index);
        }
        if first.read != entry.read && !first.is_empty(index) {
            *second = *first;
        }
        *first = entry;
    }
    /// Forgets the pages that go. Whether some are left.
    pub fn clear(&mut self, index: usize, goes: impl Fn(&Lookup) -> bool) -> bool {
        let mut left = false;
        for entry in self.both(index).into_iter().filter(|entry| !entry.is_empty(index)) {
            if goes(entry) {
                *entry = Lookup::empty(index);
            } else {
                left = true;
            }
        }
        left
    }
    /// Takes the right to write to the frames of a group.
    pub fn protect(&mut self, index: usize, group: u64) {
        for entry in self.both(index).into_iter().filter(|entry| !entry.is_empty(index)) {
            if Written::group(entry.gpa() >> PAGE_SHIFT) == group {
                entry.write = empty_tag(index);
            }
        }
    }
}

/// In [`Lookup::frame`]: the mapping is global.
pub const GLOBAL: u64 = 1;

/// A target of jumps and where its translation begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Jump {
    /// Linear address of the target; in an empty entry one that selects other entries ([`empty_target`]).
    pub target: u64,
    /// Host address of the entry for jumps through the table.
    pub code: u64,
}

/// From the place of the first of two entries of a jump table to that of the second.
pub const SECOND_JUMP: i32 = (size_of::<Jump>() >> JUMP_STEP_SHIFT) as i32;

/// The first of the two entries of a jump table that a target selects.
pub const fn jump_index(target: u64) -> usize {
    ((target ^ target >> PAGE_SHIFT) as usize & (JUMP_PAIRS - 1)) * 2
}

/// The target in an empty entry: one that selects other entries. All but the first two are empty when all is zero.
pub const fn empty_target(index: usize) -> u64 {
    (index < 2) as u64
}

/// The place of every target while somebody wants the CPU's attention: all bits that a place may have, and one above them.
pub const ATTENTION_PLACE: u32 = ((2 * JUMP_PAIRS as u32) - 1) << JUMP_PLACE_SHIFT;
/// The target in both entries there, at the beginning of a page that is not canonical. Its code is the way to the runtime.
pub const ATTENTION_TARGET: u64 = 1 << 63;
/// Bytes from the beginning of a jump table to what lies behind it, those two entries included; nothing is between them.
pub const JUMP_ROOM: usize = 2 * JUMPS * size_of::<Jump>();

/// The index that an address selects.
pub const fn index(ring: Ring, address: Gva) -> usize {
    (address.0 >> PAGE_SHIFT) as usize & (lookups(ring) - 1)
}

/// The tag of an empty entry: a page that selects another entry.
pub const fn empty_tag(index: usize) -> u64 {
    ((index ^ 1) as u64) << PAGE_SHIFT
}

impl Lookup {
    /// The empty entry at an index.
    pub const fn empty(index: usize) -> Self {
        Self { read: empty_tag(index), write: empty_tag(index), host: 0, frame: 0 }
    }
    /// Whether the entry holds nothing.
    pub const fn is_empty(&self, index: usize) -> bool {
        self.read == empty_tag(index)
    }
    /// Whether `address` may be read through this entry.
    pub const fn can_read(&self, address: Gva) -> bool {
        address.0 ^ self.read <= PAGE_OFFSET
    }
    /// Whether `address` may be written through this entry.
    pub const fn can_write(&self, address: Gva) -> bool {
        address.0 ^ self.write <= PAGE_OFFSET
    }
    /// Guest-physical address of the page.
    pub const fn gpa(&self) -> u64 {
        self.frame & !PAGE_OFFSET
    }
    /// Whether the mapping is global.
    pub const fn is_global(&self) -> bool {
        self.frame & GLOBAL != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_of_an_index_matches_its_empty_entry() {
        let ring = Ring::User;
        for i in [0, 1, 2, 511, lookups(ring) - 1] {
            let entry = Lookup::empty(i);
            for high in [0_u64, 1, 0x7ffff, 0xf_ffff_ffff] {
                let address = Gva((high * lookups(ring) as u64 + i as u64) << PAGE_SHIFT | 0x123);
                assert_eq!(index(ring, address), i);
                assert!(!entry.can_read(address) && !entry.can_write(address));
            }
        }
    }
}
