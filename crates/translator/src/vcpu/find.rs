//! Finding the block at RIP.
use platform::CpuIo;
use x86::address::{PAGE_OFFSET, PAGE_SIZE};
use x86::{Exception, Gva};

use super::make::Request;
use super::statistics::Phase;
use super::{BtVcpu, Next};
use crate::cache::blocks::CodeMode;
use crate::cache::shared::Place;
use crate::legacy;
use crate::lower::block::Lowering;
use crate::mmu::{Access, Privilege};

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

/// What there is at RIP.
pub enum Found {
    /// A block.
    Block(Place),
    /// Code that is new: nothing is made of it yet.
    New,
    /// What the interpreter has to serve.
    Nothing,
}

impl BtVcpu {
    /// The frame (as an address) that a linear page of code leads to.
    pub(super) fn fetch_page(&mut self, page: u64, mode: CodeMode) -> Result<u64, Exception> {
        let (view, user) = (self.mmu.current_view(), mode.user);
        if let Some(frame) = self.fetches.get(page, user, view) {
            return Ok(frame);
        }
        let privilege = if user { Privilege::User } else { Privilege::Supervisor };
        let cpu = crate::runtime::cpu_apart(&self.mmu);
        let translation = self.mmu.walk(cpu, Gva(page), Access::Execute, privilege)?;
        let frame = translation.gpa.0 & !PAGE_OFFSET;
        self.fetches.put(page, user, view, frame);
        if user && !mode.windows {
            self.enter_user_page(page, frame);
        }
        if !user {
            self.jumps.note_supervisor_page(page, frame, translation.global);
        } else if mode.is_of_space() {
            self.pinned.note(view, page, frame);
        }
        Ok(frame)
    }

    /// What tells pinned blocks of a mode from those of other address spaces and CPUs.
    pub(super) fn space_of(&self, mode: CodeMode) -> u32 {
        if mode.user { self.pinned.id(self.mmu.current_view()) } else { self.pinned.supervisor() }
    }

    /// The block at CS:RIP, translated now if need be.
    pub(super) fn find(&mut self, mode: CodeMode) -> Result<Found, Exception> {
        self.find_to(mode, false)
    }

    /// The same, with an entry that `looks` for attention if it shall.
    fn find_to(&mut self, mode: CodeMode, looks: bool) -> Result<Found, Exception> {
        let rip = legacy::linear_rip(self.cpu());
        if mode.legacy.is_none() && !Gva(rip).is_canonical() {
            return Err(Exception::general_protection(0));
        }
        if mode.legacy.is_some_and(|legacy| legacy.room(rip) == 0) {
            return Ok(Found::Nothing);
        }
        let page = rip & !PAGE_OFFSET;
        let frame = self.fetch_page(page, mode).map_err(|fault| at_address(fault, rip))?;
        let gpa = frame | rip & PAGE_OFFSET;
        let is_new = mode.legacy.is_none() && self.seen.is_new(gpa);
        if is_new && !self.asks_for(gpa) {
            return Ok(Found::New);
        }
        let key = Lowering::key(rip, gpa, mode, self.space_of(mode));
        if let Some(place) = self.code.find(&key, &mut self.finder).filter(|place| !looks || place.looks) {
            if !self.crosses_elsewhere(&place, page, mode) {
                return Ok(Found::Block(place));
            }
            self.code.kill(&place);
            self.statistics.killed += 1;
        }
        self.statistics.enter(Phase::Translating);
        let made = self.translate(Request { rip, gpa, mode, looks, is_new });
        self.statistics.enter(Phase::Runtime);
        Ok(match made {
            Some(place) => Found::Block(place),
            None if is_new => Found::New,
            None => Found::Nothing,
        })
    }

    /// Whether a block across the end of its page was made from another second page than the one that is there now.
    fn crosses_elsewhere(&mut self, place: &Place, page: u64, mode: CodeMode) -> bool {
        let Some(second) = place.second else { return false };
        self.fetch_page(page.wrapping_add(PAGE_SIZE), mode) != Ok(second & !PAGE_OFFSET)
    }

    /// A direct jump that is not linked yet: links it if the target may be linked.
    pub(super) fn follow_link(&mut self, io: &dyn CpuIo) -> Next {
        let place = self.cpu().resume;
        let Some(jump) = self.code.jump_at(place) else { return self.lost(place) };
        let page = self.page_of(&jump.key);
        legacy::set_linear_rip(self.cpu(), page.wrapping_add(jump.target as u64));
        if let Some(body) = jump.body {
            return Next::Enter { code: body, vectors: false };
        }
        self.jump_to_link = Some(place);
        let found = self.find_to(jump.key.mode, jump.backward);
        // Unless it was linked together with the block being added, or the code that it lies in is gone meanwhile.
        let place = self.jump_to_link.take().filter(|_| !self.code_is_gone);
        match found {
            Ok(Found::Block(to)) => {
                if let Some(place) = place {
                    self.code.link(place, &to);
                }
                Next::Enter { code: to.body, vectors: false }
            }
            Ok(Found::New) => Next::New { mode: jump.key.mode, is_head: true },
            Ok(Found::Nothing) => Next::Interpret,
            Err(exception) => self.raise(io, exception),
        }
    }

    /// A jump through the table that found nothing, or a dead block: fills the table.
    pub(super) fn follow_jump(&mut self, io: &dyn CpuIo) -> Next {
        let target = self.cpu().rip;
        legacy::set_linear_rip(self.cpu(), target);
        let Some(mode) = self.code_mode() else { return Next::Interpret };
        match self.find(mode) {
            Ok(Found::Block(place)) => {
                let target = legacy::table_target(self.cpu());
                self.enter_target(&place, target);
                Next::Enter { code: place.body, vectors: false }
            }
            Ok(Found::New) => Next::New { mode, is_head: true },
            Ok(Found::Nothing) => Next::Interpret,
            Err(exception) => self.raise(io, exception),
        }
    }

    /// An indirect jump, call or return whose target the table does not know, and which has done nothing yet: fills the
    /// table and starts it over.
    pub(super) fn follow_target(&mut self) -> Next {
        let resume = self.cpu().resume;
        if self.fill_target().is_some() {
            return Next::Resume { code: resume };
        }
        self.locate();
        let (resume, rip, target) = {
            let cpu = self.cpu();
            (cpu.resume, cpu.rip, cpu.exit_argument)
        };
        let Some(mode) = self.code_mode() else { return Next::Interpret };
        if mode.legacy.is_none() && !Gva(target).is_canonical() {
            return Next::Interpret;
        }
        legacy::set_linear_rip(self.cpu(), target);
        let target = legacy::table_target(self.cpu());
        let found = self.find(mode);
        self.cpu().rip = rip;
        match found {
            Ok(Found::Block(place)) => {
                self.enter_target(&place, target);
                // Unless the code that it lies in is gone meanwhile.
                Next::Enter { code: resume, vectors: false }
            }
            // The instruction itself comes first.
            Ok(Found::New) => Next::New { mode, is_head: false },
            // As where the target is the interpreter's, or faults.
            _ => Next::Interpret,
        }
    }

    /// Fills the table if the target's block is there and needs no more looks. RIP is not known afterwards but for the page
    /// of position-independent code.
    fn fill_target(&mut self) -> Option<()> {
        let target = self.cpu().exit_argument;
        self.cpu().rip = target;
        let mode = self.code_mode()?;
        if mode.legacy.is_some() || !Gva(target).is_canonical() {
            return None;
        }
        let frame = self.fetch_page(target & !PAGE_OFFSET, mode).ok()?;
        let key = Lowering::key(target, frame | target & PAGE_OFFSET, mode, self.space_of(mode));
        let place = self.code.find(&key, &mut self.finder).filter(|place| place.second.is_none())?;
        self.enter_target(&place, target);
        self.cpu().rip = self.cpu().code_page;
        Some(())
    }

    /// Enters a block into the jump table of the running address space, at a target as the table has it.
    fn enter_target(&mut self, place: &Place, target: u64) {
        let (mode, frame) = (place.key.mode, place.key.gpa & !PAGE_OFFSET);
        if mode.legacy.is_some() {
            // The tables may have been emptied since it was found.
            self.jumps.enter_legacy(&mut self.mmu, mode);
        }
        // A block across the end of its page depends on the next one, too.
        if mode.is_pinned() || place.second.is_some() {
            self.jumps.fill(&mut self.mmu, mode.user, target, place.checked);
        } else {
            self.jumps.fill_known(&mut self.mmu, mode, target, frame, place.checked);
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
