//! Blocks as they are kept. There may be a hundred thousand of them: each takes half a cache line for what it is found by, and a
//! quarter for the rest. CPUs read them while another one writes others: what a block is found by is there before anybody
//! can find it, and stays until nobody looks any more.
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use x86::address::PAGE_SHIFT;

use super::block::{ANY_PAGE, Block, CodeMode, Entries, Key, Sources};
use super::blocks::{BlockId, NOBODY, WordMap};

/// One kept block: what it is found by, and where its code is.
#[repr(align(32))]
pub struct Record {
    /// [`Origin`].
    origin: AtomicU64,
    /// [`place_of`].
    place: AtomicU64,
    space: AtomicU32,
    beside: AtomicU32,
    /// Multiples of [`CODE_STEP`] from the first block's, above [`LINKED_BITS`] of the entry for linked jumps.
    code: AtomicU32,
    /// Its end, above 16 bits of the entry that looks for attention; the entry for jumps through the table is at 0.
    ends: AtomicU32,
}

/// The rest of what is known of it.
pub struct Details {
    /// Frame of the second range that it was made from.
    second: AtomicU32,
    marks: AtomicU32,
    links: AtomicU32,
    incoming: AtomicU32,
}

const _: () = assert!(size_of::<Record>() == 32 && size_of::<Details>() == 16);

/// What is read alone, or by who holds the lock under which it was written.
fn get(field: &AtomicU32) -> u32 {
    field.load(Ordering::Relaxed)
}
fn set(field: &AtomicU32, value: u32) {
    field.store(value, Ordering::Relaxed);
}

/// The guest's bytes of a block and its body, in a word: from below, the address of the first, their number minus
/// one, the number of those in a second frame, the entry without questions, and whether it is alive.
struct Origin(u64);

const GPA_BITS: u32 = crate::cpuid::PHYSICAL_BITS;
const LENGTH_BITS: u32 = 12;
const SECOND_BITS: u32 = 4;
const SECOND_SHIFT: u32 = GPA_BITS + LENGTH_BITS;
const BODY_SHIFT: u32 = SECOND_SHIFT + SECOND_BITS;
const ALIVE: u64 = 1 << 63;
const _: () = assert!(BODY_SHIFT < 63);

/// The lowest bits of a word from one on.
fn field(word: u64, shift: u32, bits: u32) -> u64 {
    word >> shift & ((1 << bits) - 1)
}

impl Origin {
    fn new(sources: Sources, body: u32) -> Self {
        let (gpa, length) = sources.first();
        let beyond = sources.second().map_or(0, |(_, length)| length);
        let (length, body) = (length.saturating_sub(1), u64::from(body));
        debug_assert!(gpa >> GPA_BITS == 0 && length >> LENGTH_BITS == 0);
        debug_assert!(beyond >> SECOND_BITS == 0 && body >> (63 - BODY_SHIFT) == 0);
        Self(gpa | length << GPA_BITS | beyond << SECOND_SHIFT | body << BODY_SHIFT | ALIVE)
    }
    fn gpa(&self) -> u64 {
        field(self.0, 0, GPA_BITS)
    }
    fn length(&self) -> u16 {
        field(self.0, GPA_BITS, LENGTH_BITS) as u16 + 1
    }
    fn beyond(&self) -> u16 {
        field(self.0, SECOND_SHIFT, SECOND_BITS) as u16
    }
    fn body(&self) -> u32 {
        field(self.0, BODY_SHIFT, 63 - BODY_SHIFT) as u32
    }
}

/// Bits of the number of a page, of which the highest is its sign.
const PAGE_BITS: u32 = 37;
/// In place of a page's number: any.
const ANY: u64 = 1 << PAGE_BITS;
/// Bits of the number of a mode.
const MODE_BITS: u32 = 63 - PAGE_BITS;

/// A page and the number of a mode in a word.
fn place_of(page: u64, mode: u32) -> u64 {
    let page = if page == ANY_PAGE { ANY } else { field(page, PAGE_SHIFT, PAGE_BITS) };
    page | u64::from(mode) << (PAGE_BITS + 1)
}
fn page_of(place: u64) -> u64 {
    let unused = 64 - PAGE_BITS;
    if place & ANY != 0 { ANY_PAGE } else { ((place << unused) as i64 >> unused << PAGE_SHIFT) as u64 }
}

/// Host code of blocks begins on multiples of this.
const CODE_STEP: u32 = super::code::WORD as u32;
const LINKED_BITS: u32 = 10;

impl Record {
    /// Whether there is room for all that is to be known of a block.
    pub fn has_room_for(entries: &Entries) -> bool {
        entries.linked < 1 << LINKED_BITS
            && entries.body < 1 << (63 - BODY_SHIFT)
            && entries.end <= u32::from(u16::MAX)
    }
    /// Becomes a block whose host code begins so far from the first one's. Nobody finds it yet.
    pub fn become_block(&self, block: &Block, mode: u32, code: u32) {
        let Block { key, entries, sources, .. } = block;
        debug_assert!(
            sources.first().0 == key.gpa && code.is_multiple_of(CODE_STEP) && Self::has_room_for(entries)
        );
        let Entries { attention, linked, body, end } = *entries;
        self.origin.store(Origin::new(*sources, body).0, Ordering::Relaxed);
        self.place.store(place_of(key.page, mode), Ordering::Relaxed);
        set(&self.space, key.space);
        set(&self.code, (code / CODE_STEP) << LINKED_BITS | linked);
        set(&self.ends, end << 16 | attention.unwrap_or(0));
    }
    fn origin(&self) -> Origin {
        Origin(self.origin.load(Ordering::Relaxed))
    }

    /// Whether it is what a key asks for, whose mode has this number.
    pub fn is(&self, key: &Key, mode: u32) -> bool {
        let found = (self.gpa(), self.place.load(Ordering::Relaxed), get(&self.space));
        found == (key.gpa, place_of(key.page, mode), key.space)
    }
    /// What it is found by.
    pub fn key(&self, modes: &Modes) -> Key {
        let place = self.place.load(Ordering::Relaxed);
        let mode = modes.get((place >> (PAGE_BITS + 1)) as u32);
        Key { gpa: self.gpa(), page: page_of(place), space: get(&self.space), mode }
    }
    /// Guest-physical address of its first byte.
    pub fn gpa(&self) -> u64 {
        self.origin().gpa()
    }
    /// Its entries.
    pub fn entries(&self) -> Entries {
        let ends = get(&self.ends);
        Entries {
            attention: Some(ends & 0xffff).filter(|at| *at != 0),
            linked: get(&self.code) & ((1 << LINKED_BITS) - 1),
            body: self.origin().body(),
            end: ends >> 16,
        }
    }
    /// First address of the host code, from the first block's.
    pub fn code(&self) -> u32 {
        (get(&self.code) >> LINKED_BITS) * CODE_STEP
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
        self.origin().0 & ALIVE != 0
    }
    /// It is thrown away; whether it was alive.
    pub fn die(&self) -> bool {
        self.origin.fetch_and(!ALIVE, Ordering::Relaxed) & ALIVE != 0
    }
}

impl Details {
    /// Becomes those of a block whose marks and links begin there.
    pub fn become_block(&self, block: &Block, marks: u32, links: u32) {
        let second = block.sources.second().map_or(0, |(second, _)| second >> PAGE_SHIFT);
        set(&self.second, second as u32);
        set(&self.marks, marks);
        set(&self.links, links);
        set(&self.incoming, NOBODY);
    }
    /// What their block was made from.
    pub fn sources(&self, record: &Record) -> Sources {
        let origin = record.origin();
        let sources = Sources::new(origin.gpa(), origin.length());
        match origin.beyond() {
            0 => sources,
            length => sources.and(u64::from(get(&self.second)) << PAGE_SHIFT, length),
        }
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
}

/// The modes that blocks were made for, by number. There are a few, unless real-mode code roams through memory.
#[derive(Default)]
pub struct Modes {
    all: Vec<CodeMode>,
    /// The number of the first one. None is given twice in a long time: CPUs remember them.
    first: u32,
    /// Numbers of those past the first ones.
    numbers: WordMap<CodeMode, u32>,
}

/// Numbers of modes begin anew below this; there are never so many at once that they would reach what a record has room for.
const FIRST_MOST: u32 = 1 << (MODE_BITS - 1);
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
        self.first = (self.first + self.all.len() as u32) % FIRST_MOST;
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
        let (records, details) = (Records::<Record>::new(1).unwrap(), Records::<Details>::new(1).unwrap());
        let mut modes = Modes::default();
        for page in [0x7fff_ffff_f000, ANY_PAGE, !0xfff, 0, 0xffff_8000_0000_0000] {
            let key = Key { gpa: 0xff_ffff_fff0, page, space: 9, mode: mode(1) };
            let entries = Entries { attention: Some(300), linked: 1023, body: 127, end: 0xffff };
            let sources = Sources::new(key.gpa, 16).and(0xf_ffff_f000, 15);
            let block = Block { key, entries, sources, instructions: 5 };
            let (record, details, number) = (&records[0], &details[0], modes.number(key.mode));
            record.become_block(&block, number, (32 << 20) - 8);
            details.become_block(&block, 7, 8);
            assert!(record.is(&key, number) && !record.is(&Key { space: 8, ..key }, number));
            assert!(!record.is(&Key { page: page ^ 0x1000, ..key }, number) && !record.is(&key, number + 1));
            assert_eq!((record.key(&modes), record.entries()), (key, entries));
            assert_eq!((details.sources(record), record.code()), (sources, (32 << 20) - 8));
            assert_eq!((details.marks(), details.links()), (7, 8));
            assert!(record.is_alive() && record.die() && !record.is_alive() && !record.die());
            assert_eq!((record.key(&modes), record.entries()), (key, entries));
        }
    }

    #[test]
    fn the_longest_block_has_room() {
        let records = Records::<Record>::new(1).unwrap();
        let details = Records::<Details>::new(1).unwrap();
        let key = Key { gpa: 0x5000, page: ANY_PAGE, space: 0, mode: mode(1) };
        let sources = Sources::new(0x5000, 4096);
        let block = Block { key, entries: Entries::default(), sources, instructions: 5 };
        records[0].become_block(&block, 0, 0);
        details[0].become_block(&block, 0, 0);
        assert_eq!(details[0].sources(&records[0]), sources);
    }
}
