//! Finding the block at RIP, or making it.
use platform::CpuIo;
use x86::address::{PAGE_OFFSET, PAGE_SHIFT, PAGE_SIZE};
use x86::{Exception, Gva};

use super::statistics::Phase;
use super::{BtVcpu, Next, perf_map};
use crate::cache::blocks::{BlockId, CodeMode};
use crate::legacy;
use crate::lower::block::{Lowering, Source};
use crate::lower::decode::MAX_INSTRUCTIONS;
use crate::mmu::{Access, Privilege};

/// Room that a block may need at most.
const BLOCK_ROOM: usize = 64 << 10;
/// Bytes that a block is made from at most: [`MAX_INSTRUCTIONS`] of 15 bytes.
const LONGEST: usize = 1024;
const _: () = assert!(MAX_INSTRUCTIONS * 15 <= LONGEST);
/// How often a block is tried to be made whose bytes change meanwhile.
const TRIES: u32 = 3;

/// Pages of code that were looked up lately: linear page, mode and view to frame.
pub struct FetchCache {
    entries: Box<[(u64, u64); 256]>,
}

impl Default for FetchCache {
    fn default() -> Self {
        Self { entries: Box::new([(u64::MAX, 0); 256]) }
    }
}

impl FetchCache {
    /// Page numbers have 52 bits at most after sign extension is cut; the rest holds who asks.
    fn tag(page: u64, user: bool, view: usize) -> (usize, u64) {
        let number = page >> 12;
        ((number ^ (view as u64) << 5) as usize & 255, number | u64::from(user) << 52 | (view as u64) << 53)
    }
    fn get(&self, page: u64, user: bool, view: usize) -> Option<u64> {
        let (index, tag) = Self::tag(page, user, view);
        let (known, frame) = self.entries[index];
        (known == tag).then_some(frame)
    }
    fn put(&mut self, page: u64, user: bool, view: usize, frame: u64) {
        let (index, tag) = Self::tag(page, user, view);
        self.entries[index] = (tag, frame);
    }
    pub(super) fn clear(&mut self) {
        self.entries.fill((u64::MAX, 0));
    }
}

impl BtVcpu {
    /// The frame (as an address) that a linear page of code leads to.
    fn fetch_page(&mut self, page: u64, mode: CodeMode) -> Result<u64, Exception> {
        let (view, user) = (self.mmu.current_view(), mode.user);
        if let Some(frame) = self.fetches.get(page, user, view) {
            return Ok(frame);
        }
        let privilege = if user { Privilege::User } else { Privilege::Supervisor };
        let cpu = crate::runtime::cpu_apart(&self.mmu);
        let translation = self.mmu.walk(cpu, Gva(page), Access::Execute, privilege)?;
        let frame = translation.gpa.0 & !PAGE_OFFSET;
        self.fetches.put(page, user, view, frame);
        if !user {
            self.jumps.note_supervisor_page(page, frame, translation.global);
        } else if mode.is_of_space() {
            self.pinned.note(view, page, frame);
        }
        Ok(frame)
    }

    /// The block at CS:RIP, translated now if need be; `None` where the interpreter has to serve.
    pub(super) fn find(&mut self, mode: CodeMode, io: &dyn CpuIo) -> Result<Option<BlockId>, Exception> {
        let rip = legacy::linear_rip(self.cpu());
        if mode.legacy.is_none() && !Gva(rip).is_canonical() {
            return Err(Exception::general_protection(0));
        }
        if mode.legacy.is_some_and(|legacy| legacy.room(rip) == 0) {
            return Ok(None);
        }
        let page = rip & !PAGE_OFFSET;
        let frame = self.fetch_page(page, mode).map_err(|fault| at_address(fault, rip))?;
        let gpa = frame | rip & PAGE_OFFSET;
        let space = self.pinned.id(self.mmu.current_view());
        let key = Lowering::key(rip, gpa, mode, space);
        if let Some(id) = self.blocks.find(&key) {
            if !self.crosses_elsewhere(id, page, mode) {
                return Ok(Some(id));
            }
            self.kill_blocks(&[id]);
        }
        let _ = io;
        self.statistics.enter(Phase::Translating);
        let made = self.translate(rip, gpa, mode);
        self.statistics.enter(Phase::Runtime);
        Ok(made)
    }

    /// Whether a block across the end of its page was made from another second page than the one that is there now.
    fn crosses_elsewhere(&mut self, id: BlockId, page: u64, mode: CodeMode) -> bool {
        let Some((second, _)) = self.blocks.get(id).sources.second() else { return false };
        self.fetch_page(page.wrapping_add(PAGE_SIZE), mode) != Ok(second & !PAGE_OFFSET)
    }

    fn translate(&mut self, rip: u64, gpa: u64, mode: CodeMode) -> Option<BlockId> {
        if self.buffer.room() < BLOCK_ROOM {
            self.statistics.evictions += 1;
            self.forget_all();
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
        let lowered = self.lowering.lower(&source, self.buffer.next_address())?;
        self.buffer.append(lowered.code);
        let block = lowered.block;
        if !self.still_holds(&block, &bytes) {
            return None;
        }
        if self.config.perf_map {
            perf_map::add(&block, rip);
        }
        self.statistics.translated(block.instructions);
        let (marks, links) = self.lowering.places();
        Some(self.blocks.add(block, marks, links).0)
    }

    /// A direct jump that is not linked yet: links it if the target may be linked.
    pub(super) fn follow_link(&mut self, io: &dyn CpuIo) -> Next {
        let place = self.cpu().resume;
        let Some(from) = self.blocks.at(place) else { return self.lost(place) };
        let Some((index, target)) = self.blocks.link_at(from, place) else { return self.lost(place) };
        let page = self.page_of(from);
        legacy::set_linear_rip(self.cpu(), page.wrapping_add(target as u64));
        let mode = self.blocks.get(from).key.mode;
        let epoch = self.statistics.epoch;
        match self.find(mode, io) {
            Ok(Some(to)) => {
                if epoch == self.statistics.epoch
                    && let Some((place, code)) = self.blocks.link(from, index, to)
                {
                    self.buffer.patch_relative(place, code);
                }
                Next::Enter { code: self.blocks.get(to).body(), vectors: false }
            }
            Ok(None) => Next::Interpret,
            Err(exception) => self.raise(io, exception),
        }
    }

    /// A jump through the table that found nothing: fills the table.
    pub(super) fn follow_jump(&mut self, io: &dyn CpuIo) -> Next {
        let target = self.cpu().rip;
        legacy::set_linear_rip(self.cpu(), target);
        let Some(mode) = self.code_mode() else { return Next::Interpret };
        match self.find(mode, io) {
            Ok(Some(id)) => {
                let target = legacy::table_target(self.cpu());
                self.enter_target(id, target);
                Next::Enter { code: self.blocks.get(id).body(), vectors: false }
            }
            Ok(None) => Next::Interpret,
            Err(exception) => self.raise(io, exception),
        }
    }

    /// An indirect jump, call or return whose target the table does not know, and which has done nothing yet: fills the
    /// table and starts it over.
    pub(super) fn follow_target(&mut self, io: &dyn CpuIo) -> Next {
        self.locate();
        let (resume, rip, target) = {
            let cpu = self.cpu();
            (cpu.resume, cpu.rip, cpu.exit_argument)
        };
        let Some(mode) = self.code_mode() else { return Next::Interpret };
        if mode.legacy.is_none() && !Gva(target).is_canonical() {
            return Next::Interpret;
        }
        let epoch = self.statistics.epoch;
        legacy::set_linear_rip(self.cpu(), target);
        let target = legacy::table_target(self.cpu());
        let found = self.find(mode, io);
        self.cpu().rip = rip;
        match found {
            Ok(Some(id)) if epoch == self.statistics.epoch => {
                self.enter_target(id, target);
                Next::Enter { code: resume, vectors: false }
            }
            // The target is the interpreter's or faults: the instruction itself comes first.
            _ => Next::Interpret,
        }
    }

    /// Enters a block into the jump table of the running address space, at a target as the table has it.
    fn enter_target(&mut self, id: BlockId, target: u64) {
        let block = self.blocks.get(id);
        let (mode, frame, code) = (block.key.mode, block.key.gpa & !PAGE_OFFSET, block.checked);
        if mode.legacy.is_some() {
            // The tables may have been emptied since it was found.
            self.jumps.enter_legacy(&mut self.mmu, mode);
        }
        // A block across the end of its page depends on the next one, too.
        if mode.is_pinned() || block.sources.second().is_some() {
            self.jumps.fill(&mut self.mmu, mode.user, target, code);
        } else {
            self.jumps.fill_known(&mut self.mmu, mode, target, frame, code);
        }
    }

    fn lost(&mut self, place: u64) -> Next {
        let rip = self.cpu().rip;
        tracing::error!(place, "translated code left by a jump that nobody knows");
        Next::Leave(platform::Stop::Shutdown(platform::ShutdownCause::EngineError { rip }))
    }
}

/// A fault of a fetch names the instruction's own address, not that of its page.
fn at_address(fault: Exception, rip: u64) -> Exception {
    Exception { address: fault.address.map(|_| Gva(rip)), ..fault }
}
