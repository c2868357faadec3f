//! One stored block, as bytes: what it was made from, its host code, lifted from its place, and what belongs to it.
use super::chunk::{ALIGNMENT, CHUNK_BYTES, CHUNK_HEADER};
use super::identity::Identity;
use crate::cache::block::{Entries, Link};
use crate::emit::fixups::{Fixup, FixupKind, lift};
use crate::lower::moving::Moving;
use crate::lower::sites::Sites;

/// A block that was just translated.
pub struct Translated<'a> {
    /// What it will be found by.
    pub identity: Identity,
    /// The guest's bytes that it was made from, those that were only looked at included.
    pub source: &'a [u8],
    /// Linear address of the page that they lie in.
    pub page: u64,
    /// Its host code, which lies nowhere yet.
    pub code: &'a [u8],
    /// Its entries.
    pub entries: Entries,
    /// Guest instructions.
    pub instructions: u32,
    /// Its marks ([`crate::cache::marks::Packed`]).
    pub marks: &'a [u8],
    /// Direct jumps out of it.
    pub links: &'a [Link],
    /// What depends on where it lies.
    pub fixups: &'a [Fixup],
    /// It fits guest code in this very page only.
    pub is_fixed: bool,
    /// Where in the source the instructions begin that reach memory by look-up nevertheless.
    pub sites: &'a [u16],
    /// Where in the source addresses are that move with the guest's code.
    pub moving: &'a [Moving],
}

/// Bytes of the fixed part: lengths, entries, identity, page.
const FIXED: usize = 58;
/// In place of the page of a block that fits anywhere.
const ANYWHERE: u64 = u64::MAX;
const LINK_BYTES: usize = 9;
const FIXUP_BYTES: usize = 2;
const SITE_BYTES: usize = 2;
const MOVING_BYTES: usize = 2;
/// Bytes of the guest's code with operands that move.
const SOURCE_MOST: usize = 1024;
/// Places of fixups have 14 bits beside their kind.
const CODE_MOST: usize = 1 << 14;
/// Blocks that take more are not stored.
const ENTRY_MOST: usize = (CHUNK_BYTES - CHUNK_HEADER) / 2;

impl Translated<'_> {
    /// Writes it to an empty buffer. `None` if it cannot be stored.
    pub fn write(&self, out: &mut Vec<u8>) -> Option<()> {
        let moves = |fixup: &&Fixup| !self.is_fixed || fixup.kind == FixupKind::Thunk;
        let fixups = || self.fixups.iter().filter(moves).copied();
        let lengths = [
            self.source.len(),
            self.code.len(),
            self.entries.attention.unwrap_or(0) as usize,
            self.entries.linked as usize,
            self.entries.body as usize,
            self.instructions as usize,
            self.marks.len(),
            self.links.len(),
            fixups().count(),
            self.sites.len(),
            self.moving.len(),
        ];
        if self.code.len() >= CODE_MOST || lengths.iter().any(|length| *length > usize::from(u16::MAX)) {
            return None;
        }
        out.extend_from_slice(&[0; 4]);
        lengths.iter().for_each(|length| out.extend_from_slice(&(*length as u16).to_le_bytes()));
        let page = if self.is_fixed { self.page } else { ANYWHERE };
        out.extend_from_slice(&page.to_le_bytes());
        self.identity.0.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        debug_assert_eq!(out.len(), FIXED);
        out.extend_from_slice(self.source);
        for moving in self.moving {
            let lift = |operand| Some(moving.lift(operand, self.page));
            move_operand(&mut out[FIXED..], *moving, lift)?;
        }
        let code = out.len();
        out.extend_from_slice(self.code);
        lift(&mut out[code..], fixups(), self.page)?;
        out.extend_from_slice(self.marks);
        for link in self.links {
            out.extend_from_slice(&pack_link(link)?);
        }
        fixups().for_each(|fixup| out.extend_from_slice(&pack_fixup(fixup)));
        self.sites.iter().for_each(|site| out.extend_from_slice(&site.to_le_bytes()));
        self.moving.iter().for_each(|moving| out.extend_from_slice(&moving.pack()));
        let size = out.len().next_multiple_of(ALIGNMENT);
        out.resize(size, 0);
        out[..4].copy_from_slice(&(size as u32).to_le_bytes());
        (size <= ENTRY_MOST).then_some(())
    }
}

/// A block that somebody looks for.
pub struct Wanted<'a> {
    /// Its identity.
    pub identity: Identity,
    /// Linear address of its page.
    pub page: u64,
    /// Guest-physical address of its first byte.
    pub gpa: u64,
    /// The guest's bytes from there on.
    pub bytes: &'a [u8],
    /// Instructions that windows do not serve.
    pub sites: &'a Sites,
    /// It has to have the entry that looks for attention.
    pub looks: bool,
}

/// A stored block.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// Bytes that it takes.
    pub size: usize,
    identity: Identity,
    page: u64,
    /// The guest's bytes that it was made from, lifted.
    pub source: &'a [u8],
    /// Its host code, lifted.
    pub code: &'a [u8],
    /// Its entries.
    pub entries: Entries,
    /// Guest instructions.
    pub instructions: u32,
    /// Its marks.
    pub marks: &'a [u8],
    links: &'a [[u8; LINK_BYTES]],
    fixups: &'a [[u8; FIXUP_BYTES]],
    sites: &'a [[u8; SITE_BYTES]],
    moving: &'a [[u8; MOVING_BYTES]],
}

impl<'a> Entry<'a> {
    /// The block at the beginning of some bytes; `None` if there is no whole one.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (size, _) = bytes.split_first_chunk::<4>()?;
        let bytes = bytes.get(..u32::from_le_bytes(*size) as usize)?;
        let (fixed, rest) = bytes.split_at_checked(FIXED)?;
        let number = |index: usize| u16::from_le_bytes([fixed[4 + 2 * index], fixed[5 + 2 * index]]);
        let length = |index: usize| usize::from(number(index));
        let mut words = fixed[26..].as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        let page = words.next()?;
        let identity = Identity(std::array::from_fn(|_| words.next().unwrap_or(0)));
        let (source, rest) = rest.split_at_checked(length(0))?;
        let (code, rest) = rest.split_at_checked(length(1))?;
        let (marks, rest) = rest.split_at_checked(length(6))?;
        let (links, rest) = rest.split_at_checked(length(7) * LINK_BYTES)?;
        let (fixups, rest) = rest.split_at_checked(length(8) * FIXUP_BYTES)?;
        let (sites, rest) = rest.split_at_checked(length(9) * SITE_BYTES)?;
        let (moving, _) = rest.split_at_checked(length(10) * MOVING_BYTES)?;
        let [attention, linked, body] = [2, 3, 4].map(|index| u32::from(number(index)));
        let attention = Some(attention).filter(|at| *at != 0);
        let entries = Entries { attention, linked, body, end: code.len() as u32 };
        Some(Self {
            size: bytes.len(),
            identity,
            page,
            source,
            code,
            entries,
            instructions: u32::from(number(5)),
            marks,
            links: links.as_chunks().0,
            fixups: fixups.as_chunks().0,
            sites: sites.as_chunks().0,
            moving: moving.as_chunks().0,
        })
    }

    /// Whether it is what somebody wants.
    pub fn is(&self, wanted: &Wanted<'_>) -> bool {
        let sites = self.sites.iter().map(|site| u16::from_le_bytes(*site));
        (self.identity == wanted.identity || self.identity == wanted.identity.whatever_the_rights())
            && (!wanted.looks || self.entries.attention.is_some())
            && self.has_source(wanted)
            && (self.page == ANYWHERE || self.page == wanted.page)
            && wanted.sites.within(wanted.gpa, self.source.len()).eq(sites)
    }
    /// Whether it was made from the bytes that somebody wants, or from those that were there when the guest's code lay
    /// elsewhere.
    fn has_source(&self, wanted: &Wanted<'_>) -> bool {
        if self.moving.is_empty() {
            return wanted.bytes.starts_with(self.source);
        }
        let mut here = [0; SOURCE_MOST];
        let Some(here) = here.get_mut(..self.source.len()) else { return false };
        here.copy_from_slice(self.source);
        let mut places = self.moving.iter().map(|bytes| Moving::unpack(*bytes));
        places
            .all(|moving| move_operand(here, moving, |lifted| moving.set_down(lifted, wanted.page)).is_some())
            && wanted.bytes.starts_with(here)
    }
    /// Direct jumps out of it.
    pub fn links(&self) -> impl Iterator<Item = Link> {
        self.links.iter().map(unpack_link)
    }
    /// What depends on where it lies.
    pub fn fixups(&self) -> impl Iterator<Item = Fixup> {
        self.fixups.iter().map(|bytes| unpack_fixup(*bytes))
    }
}

/// Changes the operand at a place in a block's source. `None` if it is not inside the source, or cannot be changed.
fn move_operand(source: &mut [u8], moving: Moving, change: impl FnOnce(u32) -> Option<u32>) -> Option<()> {
    let operand: &mut [u8; 4] = source.get_mut(moving.place()..)?.first_chunk_mut()?;
    *operand = change(u32::from_le_bytes(*operand))?.to_le_bytes();
    Some(())
}

fn pack_link(link: &Link) -> Option<[u8; LINK_BYTES]> {
    let [a, b] = link.place.to_le_bytes();
    let [c, d] = link.stub.to_le_bytes();
    let [e, f, g, h] = i32::try_from(link.target).ok()?.to_le_bytes();
    Some([a, b, c, d, e, f, g, h, u8::from(link.backward)])
}

fn unpack_link(bytes: &[u8; LINK_BYTES]) -> Link {
    let [a, b, c, d, e, f, g, h, backward] = *bytes;
    Link {
        place: u16::from_le_bytes([a, b]),
        stub: u16::from_le_bytes([c, d]),
        target: i64::from(i32::from_le_bytes([e, f, g, h])),
        backward: backward != 0,
    }
}

fn pack_fixup(fixup: Fixup) -> [u8; FIXUP_BYTES] {
    let kind = match fixup.kind {
        FixupKind::Thunk => 0,
        FixupKind::Address32 => 1,
        FixupKind::Address64 => 2,
    };
    (fixup.place | kind << 14).to_le_bytes()
}

fn unpack_fixup(bytes: [u8; FIXUP_BYTES]) -> Fixup {
    let packed = u16::from_le_bytes(bytes);
    let kind = match packed >> 14 {
        0 => FixupKind::Thunk,
        1 => FixupKind::Address32,
        _ => FixupKind::Address64,
    };
    Fixup { place: packed & (CODE_MOST as u16 - 1), kind }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::cache::block::CodeMode;

    const MARKS: [u8; 4] = [0, 0, 9, 3];
    const LINKS: [Link; 1] = [Link { place: 3, stub: 20, target: -0x1_0000, backward: true }];
    const FIXUPS: [Fixup; 1] = [Fixup { place: 21, kind: FixupKind::Thunk }];

    /// A block of `length` bytes of host code that was made from `source`.
    pub fn translated<'a>(source: &'a [u8], code: &'a [u8]) -> Translated<'a> {
        Translated {
            identity: Identity::of(0x40_0123, CodeMode { user: true, ..CodeMode::default() }),
            source,
            code,
            page: 0x40_0000,
            entries: Entries { attention: Some(1), linked: 2, body: 3, end: code.len() as u32 },
            instructions: 2,
            marks: &MARKS,
            links: &LINKS,
            fixups: &FIXUPS,
            is_fixed: false,
            sites: &[],
            moving: &[],
        }
    }

    static NO_SITES: LazyLock<Sites> = LazyLock::new(Sites::default);

    /// What finds it.
    pub fn wanted(bytes: &[u8]) -> Wanted<'_> {
        Wanted {
            identity: Identity::of(0x40_0123, CodeMode { user: true, ..CodeMode::default() }),
            page: 0x40_0000,
            gpa: 0x2123,
            bytes,
            sites: &NO_SITES,
            looks: false,
        }
    }

    #[test]
    fn a_fixed_block_is_only_for_its_page() {
        let code = [0x90; 40];
        let fixups = [Fixup { place: 8, kind: FixupKind::Address32 }];
        let block = Translated { is_fixed: true, fixups: &fixups, ..translated(&[0xc3], &code) };
        let mut bytes = Vec::new();
        block.write(&mut bytes).unwrap();
        let entry = Entry::parse(&bytes).unwrap();
        assert!(entry.is(&wanted(&[0xc3])) && entry.code == code);
        assert!(!entry.is(&Wanted { page: 0x41_0000, ..wanted(&[0xc3]) }));
    }

    #[test]
    fn addresses_in_the_source_may_be_others_elsewhere() {
        // add qword [rax+address], address
        let source = [0x48, 0x81, 0x80, 1, 2, 3, 0x81, 4, 5, 6, 0x82, 0xc3];
        let here = 0xffff_ffff_8123_4000;
        let operands = [3, 7].map(|place| Moving::unpack([place, 0]));
        let block = Translated { moving: &operands, page: here, ..translated(&source, &[0x90; 40]) };
        let mut bytes = Vec::new();
        block.write(&mut bytes).unwrap();
        let entry = Entry::parse(&bytes).unwrap();
        let at = |page: u64, bytes: &[u8]| entry.is(&Wanted { page, ..wanted(bytes) });
        assert!(at(here, &source) && !at(here + 0x20_0000, &source));
        let mut elsewhere = source;
        (elsewhere[5], elsewhere[9]) = (0x23, 0x26);
        assert!(at(here + 0x20_0000, &elsewhere) && !at(here, &elsewhere));
        for at_byte in 0..source.len() {
            let mut other = elsewhere;
            other[at_byte] ^= 0x40;
            assert!(!at(here + 0x20_0000, &other), "{at_byte}");
            assert!(!at(here + 0x20_0000, &elsewhere[..at_byte]), "{at_byte}");
        }
        // Beyond the images nothing is an address.
        assert!(!at(here + 0x4000_0000, &source));
        let operands = [Moving::unpack([9, 0])];
        let outside = Translated { moving: &operands, page: here, ..translated(&source, &[0x90; 40]) };
        assert!(outside.write(&mut Vec::new()).is_none());
    }

    #[test]
    fn what_windows_do_not_serve_has_to_agree() {
        let mut sites = Sites::default();
        while !sites.note(0x2124) {}
        let source = [0x90, 0xa4, 0xc3];
        let mut bytes = Vec::new();
        Translated { sites: &[1], ..translated(&source, &[0x90; 40]) }.write(&mut bytes).unwrap();
        let entry = Entry::parse(&bytes).unwrap();
        assert!(!entry.is(&wanted(&source)));
        assert!(entry.is(&Wanted { sites: &sites, ..wanted(&source) }));
        while !sites.note(0x2125) {}
        assert!(!entry.is(&Wanted { sites: &sites, ..wanted(&source) }));
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let code: Vec<u8> = (0..40).collect();
        let block = translated(&[0x90, 0xc3], &code);
        let mut bytes = Vec::new();
        block.write(&mut bytes).unwrap();
        let entry = Entry::parse(&bytes).unwrap();
        assert!(entry.is(&wanted(&[0x90, 0xc3, 0x55])));
        assert!(!entry.is(&wanted(&[0x90])) && !entry.is(&wanted(&[0x90, 0xc2])));
        assert_eq!((entry.instructions, entry.entries.body, entry.entries.end), (2, 3, 40));
        assert_eq!(entry.marks, MARKS);
        let links: Vec<_> = entry.links().collect();
        assert_eq!(format!("{links:?}"), format!("{LINKS:?}"));
        assert!(entry.fixups().eq(FIXUPS));
        let mut code_again = entry.code.to_vec();
        crate::emit::fixups::set_down(&mut code_again, &FIXUPS, block.page).unwrap();
        assert_eq!(code_again, code);
    }

    #[test]
    fn no_part_of_an_entry_is_an_entry() {
        let code = [0x90; 64];
        let mut bytes = Vec::new();
        translated(&[0xc3], &code).write(&mut bytes).unwrap();
        for length in 0..bytes.len() {
            assert!(Entry::parse(&bytes[..length]).is_none(), "{length}");
        }
        for at in 0..24 {
            let mut damaged = bytes.clone();
            damaged[at] = 0xff;
            // Whatever comes of it, nothing is read that is not there.
            if let Some(entry) = Entry::parse(&damaged) {
                assert!(entry.marks.len() + entry.links().count() + entry.fixups().count() < bytes.len());
            }
        }
    }

    #[test]
    fn a_block_that_needs_no_rights_fits_all() {
        let with = |vectors| Identity::of(0x40_0123, CodeMode { user: true, vectors, ..CodeMode::default() });
        let fits = |identity, vectors| {
            let mut bytes = Vec::new();
            Translated { identity, ..translated(&[0xc3], &[0x90; 40]) }.write(&mut bytes).unwrap();
            Entry::parse(&bytes).unwrap().is(&Wanted { identity: with(vectors), ..wanted(&[0xc3]) })
        };
        assert!(
            fits(with(true).whatever_the_rights(), true) && fits(with(true).whatever_the_rights(), false)
        );
        assert!(fits(with(true), true) && !fits(with(true), false));
    }

    #[test]
    fn large_blocks_are_not_stored() {
        let code = vec![0x90; ENTRY_MOST];
        assert!(translated(&[0xc3], &code).write(&mut Vec::new()).is_none());
    }
}
