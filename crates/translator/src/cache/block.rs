//! One translated block: what it is found by, what it was made from, where its entries and its jumps are.
use std::hash::Hasher;

use crate::emit::fixups::Fixup;
use crate::legacy::Legacy;
use x86::address::PAGE_OFFSET;

/// What code may assume about the CPU it runs on; part of a block's identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CodeMode {
    /// CPL 3 rather than CPL 0.
    pub user: bool,
    /// SYSCALL and SYSRET do not fault (EFER.SCE).
    pub syscall: bool,
    /// RDTSC does not fault (CR4.TSD).
    pub time_stamp: bool,
    /// RDFSBASE and friends do not fault (CR4.FSGSBASE).
    pub bases: bool,
    /// Memory is reached through windows (of the address space, or of supervisor code), rather than by look-ups.
    pub windows: bool,
    /// User code is translated for one address space, with its addresses built in; with windows only.
    pub settled: bool,
    /// x87, SSE and AVX instructions do not fault (CR0.EM, CR0.TS, CR4.OSFXSR, CR4.OSXSAVE, XCR0).
    pub vectors: bool,
    /// It is not 64-bit code.
    pub legacy: Option<Legacy>,
}

impl CodeMode {
    /// Whether code is translated for one place in one address space, rather than for wherever its frame is mapped.
    pub fn is_pinned(self) -> bool {
        !self.user || self.settled || self.legacy.is_some_and(|legacy| !legacy.has_flat_code())
    }
    /// Whether it is pinned in the user part of one address space.
    pub fn is_of_space(self) -> bool {
        self.user && self.is_pinned()
    }
}

/// What a block is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Guest-physical address of the first byte.
    pub gpa: u64,
    /// Linear address of the page, for code that has it built in (of supervisors, and of settled address spaces);
    /// [`ANY_PAGE`] for position-independent code.
    pub page: u64,
    /// For code that has its page built in, what tells the mappings that it is linked on the strength of from those of all
    /// other address spaces and CPUs, else 0.
    pub space: u32,
    /// The mode.
    pub mode: CodeMode,
}

/// The page of position-independent blocks.
pub const ANY_PAGE: u64 = u64::MAX;

/// log2 of the guest's bytes whose blocks have the same place in a table.
const PLACE_SHIFT: u32 = 4;

impl Key {
    /// Where a table has it. Blocks beside one another in a page are beside one another there: code mostly goes on nearby,
    /// and then the host's caches have their part of the table.
    pub fn place(&self, hasher: &mut impl Hasher) -> u64 {
        let mode = self.mode;
        let mode = [mode.user, mode.vectors, mode.syscall, mode.time_stamp, mode.bases, mode.windows];
        let mode = mode.iter().chain([&self.mode.settled]).fold(0, |bits, flag| bits << 1 | u64::from(*flag));
        let space = u64::from(self.space).rotate_left(40);
        hasher.write_u64(self.gpa & !PAGE_OFFSET ^ self.page.rotate_left(20) ^ mode << 57 ^ space);
        if let Some(legacy) = self.mode.legacy {
            hasher.write_u64(u64::from(legacy.base) << 32 ^ u64::from(legacy.limit));
        }
        hasher.finish().wrapping_add((self.gpa & PAGE_OFFSET) >> PLACE_SHIFT)
    }
}

/// A direct jump out of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where the jump's displacement is in the block's host code.
    pub place: u16,
    /// Where in it the jump leads while it is not linked.
    pub stub: u16,
    /// The target: an offset from the page of the block.
    pub target: i64,
    /// The jump goes back: it has to look for attention.
    pub backward: bool,
}

/// Where the status flags are at some point of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagPlace {
    /// In EFLAGS (or dead).
    Eflags,
    /// In [`Cpu::spilled_flags`](crate::cpu::Cpu::spilled_flags).
    Spilled,
}

/// What RDI and RSI hold at some point of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pointers {
    /// The guest's values.
    #[default]
    Guest,
    /// RDI is a host address: [`Cpu::string_deltas`](crate::cpu::Cpu::string_deltas) was added to it.
    HostTarget,
    /// RDI and RSI are.
    HostBoth,
}

/// What host code belongs to from some place on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Offset in the block's host code.
    pub host: u16,
    /// Offset of the instruction from the guest page (may be negative or beyond it for the page-crossing).
    pub guest: i16,
    /// Where the status flags are.
    pub flags: FlagPlace,
    /// What RDI and RSI hold.
    pub pointers: Pointers,
}

/// The guest-physical bytes that a block was made from, or that were looked at: one range, or two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    first: u64,
    second: u64,
    lengths: [u16; 2],
}

impl Sources {
    /// One range.
    pub fn new(start: u64, length: u16) -> Self {
        Self { first: start, second: 0, lengths: [length, 0] }
    }
    /// The same and one in another frame, of which the block needs `length` bytes.
    pub fn and(self, start: u64, length: u16) -> Self {
        Self { second: start, lengths: [self.lengths[0], length], ..self }
    }
    /// The second range, as start and length.
    pub fn second(&self) -> Option<(u64, u64)> {
        (self.lengths[1] > 0).then_some((self.second, u64::from(self.lengths[1])))
    }
    /// The first range.
    pub fn first(&self) -> (u64, u64) {
        (self.first, u64::from(self.lengths[0]))
    }
    fn ranges(self) -> impl Iterator<Item = (u64, u64)> {
        std::iter::once(self.first()).chain(self.second())
    }
    pub(super) fn overlap(self, gpa: u64, length: u64) -> bool {
        self.ranges().any(|(start, size)| gpa < start + size && start < gpa + length)
    }
    /// The frames that they lie in.
    pub fn frames(self) -> impl Iterator<Item = u64> {
        let mut last = None;
        let frames = self.ranges().flat_map(|(start, size)| start >> 12..=(start + size.max(1) - 1) >> 12);
        frames.filter(move |frame| last.replace(*frame) != Some(*frame))
    }
}

/// Where a block's host code begins, by way of entry: offsets from its first byte, the entry for jumps through the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// Where linked jumps go that have to look for attention, if there is such an entry.
    pub attention: Option<u32>,
    /// Where other linked jumps go: the body, or, for a position-independent block across a page end, a way through the
    /// jump table, which knows whether the second page is still the same.
    pub linked: u32,
    /// The entry that does neither.
    pub body: u32,
    /// One past the last host byte.
    pub end: u32,
}

/// One translated block, wherever it lies.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// What it is found by.
    pub key: Key,
    /// The other entries.
    pub entries: Entries,
    /// What it was made from.
    pub sources: Sources,
    /// Guest instructions.
    pub instructions: u32,
}

/// A block that is made and lies nowhere yet.
#[derive(Clone, Copy, Debug)]
pub struct Made<'a> {
    /// The block.
    pub block: Block,
    /// Its host code, as for the beginning of a code buffer.
    pub code: &'a [u8],
    /// What depends on where it lies.
    pub fixups: &'a [Fixup],
    /// Its marks ([`super::marks::Packed`]).
    pub marks: &'a [u8],
    /// Its direct jumps.
    pub links: &'a [Link],
}
