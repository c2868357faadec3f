//! The look-up tables that translated code reads in line, and the tables of jump targets.
//!
//! A look-up entry is hit when `address ^ entry.read` (or `.write`) is at most `4096 - size`: one comparison covers the
//! tag, the permission and page crossing. An empty entry carries the tag of a page that belongs to another index, so no
//! address that selects the entry can ever match it.
use x86::Gva;
use x86::address::{PAGE_OFFSET, PAGE_SHIFT};

/// Entries of the look-up table of a ring; a power of two.
pub const fn lookups(ring: Ring) -> usize {
    match ring {
        Ring::Supervisor => 4096,
        Ring::User => 1024,
    }
}
/// log2 of the bytes of a [`Lookup`].
pub const LOOKUP_SHIFT: u32 = 5;
/// Entries of one jump table: the lowest 16 bits of a target select two, the one filled last first.
pub const JUMPS: usize = 2 << 16;
/// log2 of the bytes of a pair of [`Jump`]s.
pub const JUMP_PAIR_SHIFT: u32 = 5;

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

/// The first of the two entries of a jump table that a target selects.
pub const fn jump_index(target: u64) -> usize {
    (target as usize & 0xffff) * 2
}

/// The target in an empty entry: one that selects other entries. All but the first two are empty when all is zero.
pub const fn empty_target(index: usize) -> u64 {
    (index < 2) as u64
}

/// The entry that an address selects.
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
