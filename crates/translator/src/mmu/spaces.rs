//! Which address spaces have windows: those that run long without being flushed, from then on, and those that come to run
//! code of a program that has run long before. A page in a window costs the host a mapping, some hundred times a look-up
//! entry, so a process that forks or ends soon is better off without.
use super::table::Ring;
use super::walk::Translation;
use super::window::regions::REGION_SHIFT;
use super::window::{self, AddressSpace};
use super::{Access, MappingChange, Mmu, Privilege};
use crate::cpu::Cpu;
use platform::GuestRam;
use x86::{Gpa, Gva};

/// When address spaces get windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WindowPolicy {
    /// Never.
    Never,
    /// When they have run for a while without a flush.
    #[default]
    Adaptive,
    /// At once, and never settled: for tests.
    Always,
    /// At once, and settled at once: for tests.
    Settled,
}

/// Interrupts that must find user code of an address space, none flushed in between, before it gets windows.
const TICKS_TO_OPEN: u32 = 3;
/// The same for keeping them over a flush of everything.
const TICKS_TO_KEEP: u32 = 6;
/// Interrupts that must find user code with windows, in code that it ran before, until the address space is settled: its code
/// is translated anew, faster but for it alone.
const TICKS_TO_SETTLE: u32 = 4;
/// So many pages with targets of jumps take one interrupt more: that much more is to be translated anew, and pushes other
/// code out. Compilers with their megabytes of code never come so far.
const PAGES_OF_TICK: usize = 16;
/// Where an address space that wants more windows than there are begins to count again.
const REFUSED: i64 = -2000;

/// No window shows the last page below 4 GiB: an operand of 32-bit code that begins there must not go on beyond.
const LAST_OF_32_BITS: Gva = Gva(0xffff_f000);

/// How far an address space has come.
#[derive(Default)]
pub(super) struct Heat {
    space: Option<AddressSpace>,
    /// Interrupts since the last flush that found user code.
    ticks: i64,
    /// Of those with windows, the last ones in a row that found no new code.
    calm: u32,
    settled: bool,
    /// The frame on whose word it has windows, if it has not run long yet.
    on_word_of: Option<u64>,
}

impl Heat {
    /// Whether no page is shown in a window.
    pub(super) fn is_empty(&self) -> bool {
        self.space.as_ref().is_none_or(AddressSpace::is_empty)
    }
}

impl Mmu {
    /// Whether user code of the running address space reaches memory through windows.
    pub fn has_windows(&self) -> bool {
        self.slots[self.current].heat.space.is_some()
    }

    /// The delta of the window that an address lies in, for code of a ring.
    pub fn window_delta(&mut self, ring: Ring, address: Gva) -> u64 {
        self.views.windows(self.current, ring)[window::number(address)]
    }

    /// Pages and large pages that windows show now, of all address spaces and of supervisor code.
    pub fn window_pages(&self) -> usize {
        let spaces = self.slots.iter().filter_map(|slot| slot.heat.space.as_ref());
        spaces.map(AddressSpace::len).sum::<usize>() + self.supervisor.len()
    }

    /// Whether user code of the running address space is translated for it alone.
    pub fn is_settled(&self) -> bool {
        self.slots[self.current].heat.settled
    }

    /// An interrupt found user code running, at these addresses of code and stack; `calm` says that it has run little new
    /// code since the last one, and `pages` how many pages its jumps lead to.
    pub fn count_user_tick(&mut self, code: Gva, stack: Gva, calm: bool, pages: usize) {
        let heat = &mut self.slots[self.current].heat;
        heat.ticks = heat.ticks.saturating_add(1);
        if self.policy != WindowPolicy::Adaptive {
            return;
        }
        if heat.space.is_none() {
            if heat.ticks >= i64::from(TICKS_TO_OPEN) {
                self.open_windows(&[code, stack]);
            }
            return;
        }
        if heat.ticks >= i64::from(TICKS_TO_OPEN) {
            heat.on_word_of = None;
        }
        heat.calm = if calm { heat.calm + 1 } else { 0 };
        if heat.calm >= TICKS_TO_SETTLE + (pages / PAGES_OF_TICK) as u32 && !heat.settled {
            heat.settled = true;
            self.counters.spaces_settled += 1;
            self.changes.push(MappingChange::Windows { view: self.current });
        }
    }

    /// User code runs: where windows are always wanted, this makes them.
    pub fn enter_user(&mut self, code: Gva, stack: Gva) {
        let at_once = matches!(self.policy, WindowPolicy::Always | WindowPolicy::Settled);
        if at_once && !self.has_windows() {
            self.open_windows(&[code, stack]);
        }
    }

    /// User code of the running address space is about to run in a page that it was not known to run in.
    pub fn enter_user_page(&mut self, code: Gva, gpa: Gpa, stack: Gva) {
        let heat = &mut self.slots[self.current].heat;
        if self.policy != WindowPolicy::Adaptive || heat.space.is_some() || heat.ticks < 0 {
            return;
        }
        if self.programs.runs_long(gpa.frame()) {
            heat.on_word_of = Some(gpa.frame());
            self.open_windows(&[code, stack]);
        }
    }

    /// An interrupt found code of an address space with windows at a place.
    pub fn note_long(&mut self, gpa: Gpa) {
        self.programs.note_long(gpa.frame());
    }

    fn open_windows(&mut self, addresses: &[Gva]) {
        let current = self.current;
        let heat = &mut self.slots[current].heat;
        heat.space = Some(AddressSpace::default());
        (heat.calm, heat.settled) = (0, self.policy == WindowPolicy::Settled);
        self.counters.spaces_opened += 1;
        self.changes.push(MappingChange::Windows { view: current });
        for address in addresses {
            self.open_window(*address);
        }
    }

    /// The window of one address is there from now on, unless the address space has too many.
    fn open_window(&mut self, address: Gva) {
        let current = self.current;
        let Some(space) = &mut self.slots[current].heat.space else { return };
        if address.0 >> 47 != 0 {
            return;
        }
        if let Some((number, delta)) = space.open(address) {
            self.views.windows(current, Ring::User)[number] = delta;
        } else {
            self.refuse_windows();
        }
    }

    /// The running address space needs more than there is: it does without for a while.
    fn refuse_windows(&mut self) {
        self.close_windows(self.current);
        self.slots[self.current].heat.ticks = REFUSED;
    }

    /// An address space loses its windows.
    fn close_windows(&mut self, view: usize) {
        if self.slots[view].heat.space.take().is_none() {
            return;
        }
        window::close_all(self.views.windows(view, Ring::User));
        let heat = &mut self.slots[view].heat;
        (heat.ticks, heat.settled) = (0, false);
        self.changes.push(MappingChange::Windows { view });
    }

    /// The next accesses of the interpreter open the windows that they need.
    pub fn learn_windows(&mut self, learn: bool) {
        self.learning = learn;
    }

    pub(super) fn learn_window(&mut self, address: Gva, privilege: Privilege) {
        match privilege {
            Privilege::User if self.learning => self.open_window(address),
            Privilege::Supervisor | Privilege::Implicit if self.learning => {
                self.open_supervisor_window(address);
            }
            _ => {}
        }
    }

    /// Translated code touched a window where nothing is: shows the page, if the guest may do what it tried. Otherwise the
    /// fault is the guest's, or the page is a device's or holds translated code.
    pub fn serve_window_fault(&mut self, cpu: &Cpu, host: u64, write: bool) -> bool {
        let current = self.current;
        let space = self.slots[current].heat.space.as_ref();
        let Some(address) = space.and_then(|space| space.guest_address(host)) else {
            return self.serve_supervisor_fault(cpu, host, write);
        };
        if address.page_start() == LAST_OF_32_BITS {
            return false;
        }
        let access = if write { Access::Write } else { Access::Read };
        let Ok(translation) = self.walk(cpu, address, access, Privilege::User) else { return false };
        let slot = &mut self.slots[current];
        let Some(space) = &mut slot.heat.space else { return false };
        match show(&self.ram, space, address, &translation, write) {
            Ok(shown) => {
                slot.user.note_size(address, translation.page_shift);
                self.counters.window_faults += u64::from(shown);
                shown
            }
            Err(Refused) => {
                self.refuse_windows();
                false
            }
        }
    }

    /// A flush of an address space: its pages go, and its windows too unless it has used them for long.
    pub(super) fn flush_windows(&mut self, view: usize) {
        let heat = &mut self.slots[view].heat;
        if let Some(frame) = heat.on_word_of.take() {
            self.programs.note_mistake(frame);
        }
        let keep = self.policy != WindowPolicy::Adaptive || heat.ticks >= i64::from(TICKS_TO_KEEP);
        heat.ticks = heat.ticks.min(0);
        match &mut heat.space {
            Some(space) if keep => space.clear(),
            Some(_) => self.close_windows(view),
            None => {}
        }
    }

    /// An address space gives up its view.
    pub(super) fn forget_windows(&mut self, view: usize) {
        if let Some(frame) = self.slots[view].heat.on_word_of.take() {
            self.programs.note_mistake(frame);
        }
        self.close_windows(view);
        self.slots[view].heat.ticks = 0;
    }

    pub(super) fn flush_window_page(&mut self, view: usize, address: Gva, shift: Option<u32>) {
        if let Some(space) = &mut self.slots[view].heat.space {
            match shift {
                Some(shift) => space.unmap_region(address, shift),
                None => space.unmap(address),
            }
        }
    }

    pub(super) fn protect_windows(&mut self, frame: u64) {
        for slot in &mut self.slots {
            if let Some(space) = &mut slot.heat.space {
                space.protect(frame);
            }
        }
    }
}

/// The host does not map what a window should show.
pub(super) struct Refused;

/// Shows a page, or the 2 MiB around it if they are part of a large one. Whether the access can be made now: one that
/// writes to translated code cannot.
pub(super) fn show(
    ram: &GuestRam,
    space: &mut AddressSpace,
    address: Gva,
    translation: &Translation,
    write: bool,
) -> Result<bool, Refused> {
    let gpa = translation.gpa.frame_start();
    let is_code = |frame| ram.watch().is_code(frame);
    if write && is_code(gpa.frame()) {
        return Ok(false);
    }
    let writable = translation.writable && translation.dirty;
    if translation.page_shift >= REGION_SHIFT
        && address.0 >> REGION_SHIFT != LAST_OF_32_BITS.0 >> REGION_SHIFT
        && (write && space.fill_hole(address, gpa)
            || space.map_large(ram, address, gpa, writable, is_code).is_some())
    {
        return Ok(true);
    }
    if ram.file_offset(gpa, x86::address::PAGE_SIZE).is_none() {
        // A device.
        return Ok(false);
    }
    space.map(ram, address, gpa, writable && !is_code(gpa.frame())).ok_or(Refused)?;
    Ok(true)
}
