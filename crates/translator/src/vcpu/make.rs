//! Making the block at an address: from what others have made of the same bytes, or anew.
use x86::address::{PAGE_OFFSET, PAGE_SHIFT, PAGE_SIZE};

use super::{BtVcpu, perf_map};
use crate::cache::blocks::{Block, BlockId, CodeMode};
use crate::cache::code::CodeBuffer;
use crate::emit::fixups::Position;
use crate::legacy;
use crate::lower::block::{Lowered, Lowering, Source};
use crate::lower::decode::MAX_INSTRUCTIONS;
use crate::store::{Identity, Reader, Translated, Wanted};

/// Room that a block may need at most.
const BLOCK_ROOM: usize = 64 << 10;
/// Bytes that a block is made from at most: [`MAX_INSTRUCTIONS`] of 15 bytes.
const LONGEST: usize = 1024;
const _: () = assert!(MAX_INSTRUCTIONS * 15 <= LONGEST);
/// How often a block is tried to be made whose bytes change meanwhile.
const TRIES: u32 = 3;

impl BtVcpu {
    pub(super) fn translate(&mut self, rip: u64, gpa: u64, mode: CodeMode) -> Option<BlockId> {
        if self.buffer.room() < BLOCK_ROOM {
            self.evict();
        }
        self.mark_frame(gpa >> PAGE_SHIFT);
        // Bytes that others go on changing are the interpreter's.
        let made = (0..TRIES).find_map(|_| self.try_translate(rip, gpa, mode));
        if made.is_none() {
            self.unmark_bare(gpa >> PAGE_SHIFT);
        }
        made
    }

    /// Makes and keeps a block; `None` if there is none, or if its bytes changed meanwhile.
    fn try_translate(&mut self, rip: u64, gpa: u64, mode: CodeMode) -> Option<BlockId> {
        let room = (PAGE_SIZE - (gpa & PAGE_OFFSET)) as usize;
        let mut bytes = [0_u8; LONGEST + 16];
        let mut length = room.min(LONGEST);
        self.mmu.ram().read(x86::Gpa(gpa), &mut bytes[..length])?;
        let next_page = (rip & !PAGE_OFFSET).wrapping_add(PAGE_SIZE);
        // What begins at the end of linear memory goes on nowhere.
        let is_last = mode.legacy.is_some() && next_page > legacy::LINEAR;
        let next_gpa = match room {
            0..=LONGEST if !is_last => self.fetch_page(next_page, mode).ok(),
            _ => None,
        };
        if let Some(next) = next_gpa
            && self.mmu.ram().read(x86::Gpa(next), &mut bytes[room..room + 16]).is_some()
        {
            length += 16;
        }
        if self.buffer.room() < BLOCK_ROOM {
            return None;
        }
        if let Some(legacy) = mode.legacy {
            length = length.min(legacy.room(rip));
        }
        let space = self.pinned.id(self.mmu.current_view());
        let source =
            Source { address: rip, gpa, bytes: &bytes[..length], next_gpa, mode, space, sites: &self.sites };
        let recalled = self.store.as_mut().and_then(|store| recall(store, &source, &mut self.buffer));
        let is_stored = recalled.is_some();
        let block = match recalled {
            Some(block) => block,
            None => lower(&mut self.lowering, self.store.as_mut(), &source, &mut self.buffer)?,
        };
        if !self.still_holds(&block, &bytes) {
            return None;
        }
        if self.config.perf_map {
            perf_map::add(&block, rip);
        }
        self.statistics.made(block.instructions, is_stored);
        let stored = self.store.as_ref().filter(|_| is_stored);
        let (marks, links) = stored.map_or_else(|| self.lowering.places(), Reader::places);
        Some(self.blocks.add(block, marks, links).0)
    }
}

/// Takes a block from the store and appends its host code.
fn recall(store: &mut Reader, source: &Source<'_>, buffer: &mut CodeBuffer) -> Option<Block> {
    let (position, checked) = (position(source, buffer), buffer.next_address());
    let wanted = Wanted {
        identity: Identity::of(source.address, source.mode),
        page: position.page,
        gpa: source.gpa,
        bytes: source.bytes,
        sites: source.sites,
    };
    let found = store.find(&wanted, position, checked)?;
    buffer.append(&found.code);
    let origin = source.origin(found.looked_at);
    Some(Block::new(source.key(), checked, found.entries, origin, found.instructions))
}

/// Translates a block, appends its host code and stores it.
fn lower(
    lowering: &mut Lowering,
    store: Option<&mut Reader>,
    source: &Source<'_>,
    buffer: &mut CodeBuffer,
) -> Option<Block> {
    let position = position(source, buffer);
    let Lowered { block, looked_at } = lowering.lower(source, buffer.next_address())?;
    buffer.append(lowering.host_code());
    if let Some(store) = store {
        let exact = Identity::of(source.address, source.mode);
        let (marks, links) = lowering.places();
        let sites: Vec<_> = source.sites.within(source.gpa, looked_at).collect();
        let translated = Translated {
            identity: if lowering.needs_no_rights() { exact.whatever_the_rights() } else { exact },
            source: &source.bytes[..looked_at],
            code: lowering.host_code(),
            position,
            checked: block.checked,
            entries: block.entries,
            instructions: block.instructions,
            marks,
            links,
            fixups: lowering.fixups(),
            is_fixed: lowering.is_fixed(),
            sites: &sites,
            moving: lowering.moving(),
        };
        store.add(&translated, source.bytes);
    }
    Some(block)
}

/// Where the next block of host code lies.
fn position(source: &Source<'_>, buffer: &CodeBuffer) -> Position {
    Position { code: buffer.position() as u64, page: source.address & !PAGE_OFFSET }
}
