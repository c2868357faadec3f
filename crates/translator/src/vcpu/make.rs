//! Making the block at an address: from what others have made of the same bytes, or anew.
use platform::GuestRam;
use platform::ram::watch::Watcher;
use x86::Gpa;
use x86::address::{PAGE_OFFSET, PAGE_SHIFT, PAGE_SIZE};

use super::{BtVcpu, perf_map};
use crate::cache::blocks::{Block, CodeMode, Made, Sources};
use crate::cache::shared::{Added, Place};
use crate::legacy;
use crate::lower::block::{Lowered, Lowering, Source};
use crate::lower::decode::MAX_INSTRUCTIONS;
use crate::store::{Identity, Reader, Translated, Wanted};

/// Bytes that a block is made from at most: [`MAX_INSTRUCTIONS`] of 15 bytes.
const LONGEST: usize = 1024;
const _: () = assert!(MAX_INSTRUCTIONS * 15 <= LONGEST);
/// Bytes that are read beyond the end of a page: the longest instruction has 15.
const BEYOND: usize = 16;
/// How often a block is tried to be made whose bytes change meanwhile.
const TRIES: u32 = 4;

/// A block that is wanted.
#[derive(Clone, Copy)]
pub struct Request {
    /// Linear address of its first instruction.
    pub rip: u64,
    /// Its guest-physical address.
    pub gpa: u64,
    /// The mode.
    pub mode: CodeMode,
    /// With an entry that looks for attention.
    pub looks: bool,
    /// The code is new: only if the store has it.
    pub is_new: bool,
}

impl BtVcpu {
    /// A block that is wanted, if it can be made.
    pub(super) fn translate(&mut self, request: Request) -> Option<Place> {
        if self.jumps.knows_many_pages() || self.pinned.knows_many_pages() {
            // The next instruction begins anew.
            self.begin_anew();
            return None;
        }
        // Bytes that others go on changing are the interpreter's.
        let tries = if request.is_new { 1 } else { TRIES };
        let made = (0..tries).find_map(|_| self.try_translate(request));
        let gpa = request.gpa;
        if made.is_none() && self.watcher.has_marked(gpa >> PAGE_SHIFT) {
            self.code.unmark_bare(gpa >> PAGE_SHIFT);
        }
        made
    }

    /// Makes and keeps a block; `None` if there is none, if its bytes changed meanwhile, or if there was no room for it.
    fn try_translate(&mut self, request: Request) -> Option<Place> {
        let Request { rip, gpa, mode, looks, is_new } = request;
        let room = (PAGE_SIZE - (gpa & PAGE_OFFSET)) as usize;
        let mut bytes = [0_u8; LONGEST + BEYOND];
        let mut length = room.min(LONGEST);
        self.mmu.ram().read(Gpa(gpa), &mut bytes[..length])?;
        let next_page = (rip & !PAGE_OFFSET).wrapping_add(PAGE_SIZE);
        // What begins at the end of linear memory goes on nowhere.
        let is_last = mode.legacy.is_some() && next_page > legacy::LINEAR;
        let next_gpa = match room {
            0..=LONGEST if !is_last => self.fetch_page(next_page, mode).ok(),
            _ => None,
        };
        if let Some(next) = next_gpa
            && self.mmu.ram().read(Gpa(next), &mut bytes[room..room + BEYOND]).is_some()
        {
            length += BEYOND;
        }
        if let Some(legacy) = mode.legacy {
            length = length.min(legacy.room(rip));
        }
        let space = self.space_of(mode);
        let changes = self.code.site_changes();
        let some = self.code.sites_in(gpa >> PAGE_SHIFT);
        let sites = some.as_deref().unwrap_or(&self.no_sites);
        let source =
            Source { address: rip, gpa, bytes: &bytes[..length], next_gpa, mode, space, sites, looks };
        let recalled = self.store.as_mut().and_then(|store| recall(store, &source));
        let is_stored = recalled.is_some();
        self.supply.note(is_stored);
        let block = match recalled {
            Some(block) => block,
            None if is_new => return None,
            None => lower(&mut self.lowering, self.store.as_mut(), &source)?,
        };
        drop(some);
        self.mark_frame(gpa >> PAGE_SHIFT);
        if let Some((second, _)) = block.sources.second() {
            // Most blocks near the end of a page do not reach beyond it.
            self.mark_frame(second >> PAGE_SHIFT);
        }
        let made = match self.store.as_ref().filter(|_| is_stored) {
            Some(store) => store.made(block),
            None => self.lowering.made(block),
        };
        let (watcher, ram, code) = (&self.watcher, self.mmu.ram(), &self.code);
        let is_true = || code.site_changes() == changes && holds(watcher, ram, block.sources, &bytes);
        let from = self.jump_to_link.filter(|_| !self.code_is_gone);
        match code.add(&made, from, is_true) {
            Added::Kept(place) => {
                self.jump_to_link = None;
                if self.config.perf_map {
                    perf_map::add(&place, block.entries.end, rip);
                }
                self.statistics.made(block.instructions, is_stored);
                Some(place)
            }
            Added::Full => {
                let bytes = made.code.len();
                self.make_room(bytes);
                None
            }
            Added::Stale => {
                if let Some((second, _)) = block.sources.second() {
                    code.unmark_bare(second >> PAGE_SHIFT);
                }
                None
            }
        }
    }
}

/// Whether the bytes that a block was made from are in memory, and this CPU has marked their frames.
fn holds(watcher: &Watcher, ram: &GuestRam, sources: Sources, bytes: &[u8]) -> bool {
    let mut now = [0; LONGEST];
    let (first, first_length) = sources.first();
    let (second, second_length) = sources.second().unwrap_or_default();
    let (first_length, second_length) = (first_length as usize, second_length as usize);
    let (before, beyond) = bytes.split_at(first_length);
    let is = |gpa: u64, then: &[u8], now: &mut [u8]| {
        then.is_empty() || ram.read(Gpa(gpa), now).is_some() && now == then
    };
    sources.frames().all(|frame| watcher.has_marked(frame))
        && is(first, before, &mut now[..first_length])
        && is(second, &beyond[..second_length], &mut now[..second_length])
}

/// Takes a block from the store.
fn recall(store: &mut Reader, source: &Source<'_>) -> Option<Block> {
    let wanted = Wanted {
        identity: Identity::of(source.address, source.mode),
        page: source.address & !PAGE_OFFSET,
        gpa: source.gpa,
        bytes: source.bytes,
        sites: source.sites,
        looks: source.looks,
    };
    let found = store.find(&wanted)?;
    let (entries, instructions) = (found.entries, found.instructions);
    Some(Block { key: source.key(), entries, sources: source.origin(found.looked_at), instructions })
}

/// Translates a block and stores it.
fn lower(lowering: &mut Lowering, store: Option<&mut Reader>, source: &Source<'_>) -> Option<Block> {
    let Lowered { block, looked_at } = lowering.lower(source)?;
    if let Some(store) = store {
        let exact = Identity::of(source.address, source.mode);
        let sites: Vec<_> = source.sites.within(source.gpa, looked_at).collect();
        let Made { code, fixups, marks, links, .. } = lowering.made(block);
        let translated = Translated {
            identity: if lowering.needs_no_rights() { exact.whatever_the_rights() } else { exact },
            source: &source.bytes[..looked_at],
            page: source.address & !PAGE_OFFSET,
            code,
            entries: block.entries,
            instructions: block.instructions,
            marks,
            links,
            fixups,
            is_fixed: lowering.is_fixed(),
            sites: &sites,
            moving: lowering.moving(),
        };
        store.add(&translated, source.bytes);
    }
    Some(block)
}
