//! Links as they are kept: there are hundreds of thousands, of 18 bytes.
use super::block::Link;
use super::blocks::{BlockId, NOBODY};
use super::give_back;

/// A link of a block that is kept.
pub struct Linked {
    /// The place from the first block's host code, [`BACKWARD`] and [`BELOW`].
    packed: u32,
    /// Lower half of the target.
    target: u32,
    /// The block it leads to, or [`NOBODY`].
    pub to: BlockId,
    /// The next one of those that lead there, or [`NOBODY`].
    pub next: u32,
}

/// The jump goes back.
const BACKWARD: u32 = 1 << 31;
/// The target lies below the page of the block: a relative jump and code that is not 64-bit reach 4 GiB at most.
const BELOW: u32 = 1 << 30;

impl Linked {
    /// A link of a block that begins so far from the first one.
    fn new(link: &Link, code: u32) -> Self {
        debug_assert!(link.target >> 32 == 0 || link.target >> 32 == -1);
        let place = (code + u32::from(link.place)) & (BELOW - 1);
        let backward = if link.backward { BACKWARD } else { 0 };
        let below = if link.target < 0 { BELOW } else { 0 };
        Self { packed: place | backward | below, target: link.target as u32, to: NOBODY, next: NOBODY }
    }
    /// The place, from the first block's host code.
    pub fn place(&self) -> u64 {
        u64::from(self.packed & (BELOW - 1))
    }
    /// The target: an offset from the page of the block.
    pub fn target(&self) -> i64 {
        let below = if self.packed & BELOW != 0 { -1 << 32 } else { 0 };
        i64::from(self.target) | below
    }
    /// Whether the jump goes back.
    pub fn is_backward(&self) -> bool {
        self.packed & BACKWARD != 0
    }
}

/// The links of the blocks of a segment, one block after the other.
pub struct Links {
    links: Vec<Linked>,
    /// Where each leads while it is not linked, from its place.
    stubs: Vec<u16>,
}

impl Links {
    /// None yet, with room for so many.
    pub fn with_capacity(links: usize) -> Self {
        Self { links: Vec::with_capacity(links), stubs: Vec::with_capacity(links) }
    }
    /// Adds those of a block whose host code begins so far from the first one's.
    pub fn add(&mut self, links: &[Link], code: u32) {
        self.links.extend(links.iter().map(|link| Linked::new(link, code)));
        self.stubs.extend(links.iter().map(|link| link.stub - link.place));
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.links.len()
    }
    /// One of them.
    pub fn get(&self, index: usize) -> &Linked {
        &self.links[index]
    }
    /// One of them.
    pub fn get_mut(&mut self, index: usize) -> &mut Linked {
        &mut self.links[index]
    }
    /// Where one leads while it is not linked, from the first block's host code.
    pub fn stub(&self, index: usize) -> u64 {
        self.links[index].place() + u64::from(self.stubs[index])
    }
    /// Forgets all, and gives their memory back.
    pub fn give_back(&mut self) {
        give_back::empty(&mut self.links);
        give_back::empty(&mut self.stubs);
    }
    /// Forgets all.
    pub fn clear(&mut self) {
        self.links.clear();
        self.stubs.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_link_is_lost() {
        let mut links = Links::with_capacity(4);
        for (index, target) in [0x1234, -5, (1 << 32) - 1, -(1 << 32)].into_iter().enumerate() {
            let (code, place) = (0xfff_fff0, 8 * index as u16);
            let backward = index % 2 == 0;
            links.add(&[Link { place, stub: place + 300, target, backward }], code);
            let (link, place) = (links.get(index), u64::from(code) + u64::from(place));
            assert_eq!((link.place(), link.target(), link.is_backward()), (place, target, backward));
            assert_eq!(links.stub(index), place + 300);
        }
    }
}
