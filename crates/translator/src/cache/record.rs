//! Blocks as they are kept. There may be a hundred thousand of them: each takes a cache line. CPUs read them while another one
//! writes others: what a block is found by is there before anybody can find it, and stays until nobody looks any more.
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::block::{Block, CodeMode, Entries, Key, Sources};
use super::blocks::{BlockId, NOBODY, WordMap};

/// One kept block.
#[repr(align(64))]
pub struct Record {
    gpa: AtomicU64,
    page: AtomicU64,
    /// 16 bits for each.
    entries: AtomicU64,
    space: AtomicU32,
    /// Index in [`Modes`].
    mode: AtomicU32,
    code: AtomicU32,
    /// Frame of the second range that it was made from.
    second: AtomicU32,
    /// Bytes of both ranges, 16 bits each; the first begins at `gpa`.
    lengths: AtomicU32,
    marks: AtomicU32,
    links: AtomicU32,
    incoming: AtomicU32,
    beside: AtomicU32,
    alive: AtomicBool,
}

const _: () = assert!(size_of::<Record>() == 64);

/// What is read alone, or by who holds the lock under which it was written.
fn get(field: &AtomicU32) -> u32 {
    field.load(Ordering::Relaxed)
}
fn set(field: &AtomicU32, value: u32) {
    field.store(value, Ordering::Relaxed);
}

impl Record {
    /// Becomes a block whose host code begins so far from the first one's. Nobody finds it yet.
    pub fn become_block(&self, block: &Block, mode: u32, code: u32, marks: u32, links: u32) {
        let Block { key, entries, sources, .. } = block;
        debug_assert!(sources.first().0 == key.gpa && entries.end <= u32::from(u16::MAX));
        let (second, length) = sources.second().unwrap_or_default();
        let Entries { attention, linked, body, end } = *entries;
        // The entry for jumps through the table is at 0.
        let attention = attention.unwrap_or(0);
        let entries =
            [end, body, linked, attention].iter().fold(0, |all, entry| all << 16 | u64::from(*entry));
        self.gpa.store(key.gpa, Ordering::Relaxed);
        self.page.store(key.page, Ordering::Relaxed);
        self.entries.store(entries, Ordering::Relaxed);
        set(&self.space, key.space);
        set(&self.mode, mode);
        set(&self.code, code);
        set(&self.second, (second >> 12) as u32);
        set(&self.lengths, sources.first().1 as u32 | (length as u32) << 16);
        set(&self.marks, marks);
        set(&self.links, links);
        set(&self.incoming, NOBODY);
        self.alive.store(true, Ordering::Relaxed);
    }

    /// Whether it is what a key asks for, whose mode has this number.
    pub fn is(&self, key: &Key, mode: u32) -> bool {
        let found = (self.gpa(), self.page.load(Ordering::Relaxed), get(&self.space), get(&self.mode));
        found == (key.gpa, key.page, key.space, mode)
    }
    /// What it is found by.
    pub fn key(&self, modes: &Modes) -> Key {
        let page = self.page.load(Ordering::Relaxed);
        Key { gpa: self.gpa(), page, space: get(&self.space), mode: modes.get(get(&self.mode)) }
    }
    /// Guest-physical address of its first byte.
    pub fn gpa(&self) -> u64 {
        self.gpa.load(Ordering::Relaxed)
    }
    /// Its entries.
    pub fn entries(&self) -> Entries {
        let all = self.entries.load(Ordering::Relaxed);
        let [attention, linked, body, end] = [0, 16, 32, 48].map(|shift| (all >> shift) as u32 & 0xffff);
        Entries { attention: Some(attention).filter(|at| *at != 0), linked, body, end }
    }
    /// What it was made from.
    pub fn sources(&self) -> Sources {
        let lengths = get(&self.lengths);
        let sources = Sources::new(self.gpa(), lengths as u16);
        match (lengths >> 16) as u16 {
            0 => sources,
            length => sources.and(u64::from(get(&self.second)) << 12, length),
        }
    }
    /// First address of the host code, from the first block's.
    pub fn code(&self) -> u32 {
        get(&self.code)
    }
    /// First of its marks; they go on to those of the next block.
    pub fn marks(&self) -> u32 {
        get(&self.marks)
    }
    /// First of its links; they go on to those of the next block.
    pub fn links(&self) -> u32 {
        get(&self.links)
    }
    /// The first of the links that lead to it, or [`NOBODY`]; another one is from now on.
    pub fn replace_incoming(&self, link: u32) -> u32 {
        let before = get(&self.incoming);
        set(&self.incoming, link);
        before
    }
    /// The next block whose key has the same hash, or [`NOBODY`].
    pub fn beside(&self) -> BlockId {
        self.beside.load(Ordering::Acquire)
    }
    /// Another block is beside it from now on.
    pub fn set_beside(&self, beside: BlockId) {
        self.beside.store(beside, Ordering::Release);
    }
    /// Not thrown away yet.
    pub fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }
    /// It is thrown away; whether it was alive.
    pub fn die(&self) -> bool {
        let was = self.is_alive();
        self.alive.store(false, Ordering::Relaxed);
        was
    }
}

/// The modes that blocks were made for, by number. There are a few, unless real-mode code roams through memory.
#[derive(Default)]
pub struct Modes {
    all: Vec<CodeMode>,
    /// The number of the first one. None is ever given twice: CPUs remember them.
    first: u32,
    /// Numbers of those past the first ones.
    numbers: WordMap<CodeMode, u32>,
}

/// Modes that are looked through one by one.
const FIRST_MODES: usize = 8;

impl Modes {
    /// The mode of a number.
    pub fn get(&self, number: u32) -> CodeMode {
        self.all[(number - self.first) as usize]
    }
    /// The number of a mode, a new one if need be.
    pub fn number(&mut self, mode: CodeMode) -> u32 {
        if let Some(number) = self.one_of_the_first(mode) {
            return number;
        }
        let next = self.first + self.all.len() as u32;
        if self.all.len() < FIRST_MODES {
            self.all.push(mode);
            return next;
        }
        let all = &mut self.all;
        *self.numbers.entry(mode).or_insert_with(|| {
            all.push(mode);
            next
        })
    }
    /// The number of a mode, if blocks were made for it.
    pub fn find(&self, mode: CodeMode) -> Option<u32> {
        self.one_of_the_first(mode).or_else(|| self.numbers.get(&mode).copied())
    }
    fn one_of_the_first(&self, mode: CodeMode) -> Option<u32> {
        let index = self.all.iter().take(FIRST_MODES).position(|known| *known == mode)?;
        Some(self.first + index as u32)
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }
    /// Forgets all.
    pub fn clear(&mut self) {
        self.first += self.all.len() as u32;
        self.all.clear();
        self.numbers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::Records;
    use super::*;
    use crate::legacy::Legacy;

    fn mode(base: u32) -> CodeMode {
        let legacy =
            Legacy { code_32: false, stack_32: false, protected: false, flat: 0, base, limit: 0xffff };
        CodeMode { legacy: Some(legacy), ..CodeMode::default() }
    }

    #[test]
    fn modes_keep_their_numbers() {
        let mut modes = Modes::default();
        for _ in 0..2 {
            for base in 0..20 {
                let number = modes.number(mode(base));
                assert_eq!((number, modes.get(number)), (base, mode(base)));
            }
        }
        modes.clear();
        assert_eq!((modes.find(mode(7)), modes.number(mode(7)), modes.get(20)), (None, 20, mode(7)));
        assert_eq!(modes.find(mode(7)), Some(20));
    }

    #[test]
    fn nothing_of_a_block_is_lost() {
        let key = Key { gpa: 0x12_3ff0, page: 0x7fff_ffff_f000, space: 9, mode: mode(1) };
        let entries = Entries { attention: Some(300), linked: 40, body: 48, end: 500 };
        let sources = Sources::new(key.gpa, 16).and(0xf_ffff_f000, 3);
        let mut modes = Modes::default();
        let block = Block { key, entries, sources, instructions: 5 };
        let (record, number) = (&Records::new(1).unwrap()[0], modes.number(key.mode));
        record.become_block(&block, number, 0, 0, 0);
        assert!(record.is(&key, number) && !record.is(&Key { space: 8, ..key }, number));
        assert_eq!((record.key(&modes), record.entries(), record.sources()), (key, entries, sources));
    }
}
