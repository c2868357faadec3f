//! Blocks as they are kept. There may be a hundred thousand of them: each takes a cache line.
use super::block::{Block, CodeMode, Entries, Key, Sources};
use super::blocks::{BlockId, NOBODY, WordMap};

/// One kept block.
#[repr(align(64))]
pub struct Record {
    gpa: u64,
    page: u64,
    space: u32,
    /// Index in [`Modes`].
    mode: u32,
    /// First address of the host code, from the first block's.
    pub code: u32,
    /// Frame of the second range that it was made from.
    second: u32,
    /// Bytes of both ranges; the first begins at `gpa`.
    lengths: [u16; 2],
    attention: u16,
    linked: u16,
    body: u16,
    end: u16,
    /// First of its marks and of its links; they go on to those of the next block.
    pub marks: u32,
    pub links: u32,
    /// The first of the links that lead to it, or [`NOBODY`].
    pub incoming: u32,
    /// The next block whose key has the same hash, or [`NOBODY`].
    pub beside: BlockId,
    /// Not thrown away yet.
    pub alive: bool,
}

const _: () = assert!(size_of::<Record>() == 64);

impl Record {
    /// A block whose host code begins so far from the first one's.
    pub fn new(block: &Block, mode: u32, code: u32, marks: u32, links: u32) -> Self {
        let Block { key, entries, sources, .. } = block;
        debug_assert!(sources.first().0 == key.gpa && entries.end <= u32::from(u16::MAX));
        let (second, length) = sources.second().unwrap_or_default();
        Self {
            gpa: key.gpa,
            page: key.page,
            space: key.space,
            mode,
            code,
            second: (second >> 12) as u32,
            lengths: [sources.first().1 as u16, length as u16],
            attention: entries.attention as u16,
            linked: entries.linked as u16,
            body: entries.body as u16,
            end: entries.end as u16,
            marks,
            links,
            incoming: NOBODY,
            beside: NOBODY,
            alive: true,
        }
    }

    /// Whether it is what a key asks for.
    pub fn is(&self, key: &Key, modes: &Modes) -> bool {
        (self.gpa, self.page, self.space) == (key.gpa, key.page, key.space)
            && modes.get(self.mode) == key.mode
    }
    /// What it is found by.
    pub fn key(&self, modes: &Modes) -> Key {
        Key { gpa: self.gpa, page: self.page, space: self.space, mode: modes.get(self.mode) }
    }
    /// Guest-physical address of its first byte.
    pub fn gpa(&self) -> u64 {
        self.gpa
    }
    /// Its entries.
    pub fn entries(&self) -> Entries {
        let [attention, linked, body, end] =
            [self.attention, self.linked, self.body, self.end].map(u32::from);
        Entries { attention, linked, body, end }
    }
    /// What it was made from.
    pub fn sources(&self) -> Sources {
        let sources = Sources::new(self.gpa, self.lengths[0]);
        match self.lengths[1] {
            0 => sources,
            length => sources.and(u64::from(self.second) << 12, length),
        }
    }
}

/// The modes that blocks were made for, by number. There are a few, unless real-mode code roams through memory.
#[derive(Default)]
pub struct Modes {
    all: Vec<CodeMode>,
    /// Numbers of those past the first ones.
    numbers: WordMap<CodeMode, u32>,
}

/// Modes that are looked through one by one.
const FIRST_MODES: usize = 8;

impl Modes {
    /// The mode of a number.
    pub fn get(&self, number: u32) -> CodeMode {
        self.all[number as usize]
    }
    /// The number of a mode, a new one if need be.
    pub fn number(&mut self, mode: CodeMode) -> u32 {
        if let Some(number) = self.all.iter().take(FIRST_MODES).position(|known| *known == mode) {
            return number as u32;
        }
        let next = self.all.len() as u32;
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
    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }
    /// Forgets all.
    pub fn clear(&mut self) {
        self.all.clear();
        self.numbers.clear();
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(modes.number(mode(7)), 0);
    }

    #[test]
    fn nothing_of_a_block_is_lost() {
        let key = Key { gpa: 0x12_3ff0, page: 0x7fff_ffff_f000, space: 9, mode: mode(1) };
        let entries = Entries { attention: 300, linked: 40, body: 48, end: 500 };
        let sources = Sources::new(key.gpa, 16).and(0xf_ffff_f000, 3);
        let mut modes = Modes::default();
        let block = Block { key, entries, sources, instructions: 5 };
        let record = Record::new(&block, modes.number(key.mode), 0, 0, 0);
        assert!(record.is(&key, &modes) && !record.is(&Key { space: 8, ..key }, &modes));
        assert_eq!((record.key(&modes), record.entries(), record.sources()), (key, entries, sources));
    }
}
