//! The soft MMU: page walks, the tables that translated code looks up, and memory accesses on behalf of the
//! interpreter.

pub mod access;
pub mod flush;
pub mod programs;
pub mod spaces;
pub mod supervisor;
pub mod table;
pub mod view;
pub mod walk;
pub mod window;

use std::collections::HashSet;

use platform::GuestRam;
use programs::Programs;
use spaces::{Heat, WindowPolicy};
use supervisor::Supervisor;
use table::{Lookup, Ring};
use view::Views;
use x86::{Gpa, Gva};

/// What an access does. A read-modify-write is a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Data read.
    Read,
    /// Data write.
    Write,
    /// Instruction fetch.
    Execute,
}

/// On whose behalf an access is made (SDM 3A §4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// CPL 3.
    User,
    /// CPL 0 to 2, an explicit access.
    Supervisor,
    /// An implicit access to a descriptor table or TSS: supervisor, and EFLAGS.AC does not lift SMAP.
    Implicit,
}

impl Privilege {
    /// The privilege of explicit accesses at a privilege level.
    pub const fn of_cpl(cpl: u8) -> Self {
        if cpl == 3 { Self::User } else { Self::Supervisor }
    }
}

/// A change of the address space that code caches have to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingChange {
    /// One page, in every address space.
    Page(Gva),
    /// Everything that is not global, in one view.
    NonGlobal {
        /// Which view.
        view: usize,
    },
    /// Everything, in every view.
    All,
    /// Another address space runs.
    Switch,
    /// Supervisor code has windows from now on, or has lost them.
    SupervisorWindows,
    /// One view has windows from now on, or has lost them.
    Windows {
        /// Which view.
        view: usize,
    },
}

/// The soft MMU of one vCPU.
pub struct Mmu {
    ram: GuestRam,
    views: Views,
    current: usize,
    slots: Vec<Slot>,
    /// The look-up table of supervisor code: what holds in every address space, and what goes with the running one.
    global: Filled,
    local: Filled,
    clock: u64,
    physical_bits: u32,
    /// Writes that hit frames with translated code, for the code cache to look at.
    code_writes: Vec<(Gpa, u64)>,
    changes: Vec<MappingChange>,
    policy: WindowPolicy,
    supervisor: Supervisor,
    written: Written,
    learning: bool,
    programs: Programs,
    counters: Counters,
}

/// What the tables of one view hold beside themselves.
struct Slot {
    /// The PCID that owns the view, if any.
    pcid: Option<u16>,
    last_used: u64,
    /// The look-up table of user code.
    user: Filled,
    /// What supervisor code's table held of this address space when another one was switched to.
    kept: Kept,
    heat: Heat,
}

/// Entries of a look-up table that were put aside.
#[derive(Default)]
struct Kept {
    entries: Vec<(u16, Lookup)>,
    large: HashSet<(u32, u64)>,
}

/// Frames that some look-up entry may have the right to write to, a bit each.
#[derive(Default)]
struct Written(Vec<u64>);

/// What is in a look-up table.
#[derive(Default)]
struct Filled {
    /// Entries in use; may repeat.
    indices: Vec<u16>,
    /// Numbers of 2 MiB and 1 GiB regions of which pages came from large pages.
    large: HashSet<(u32, u64)>,
}

/// What the soft MMU counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Look-ups that needed a page walk.
    pub walks: u64,
    /// Flushes of one page.
    pub page_flushes: u64,
    /// Flushes of a whole view or more.
    pub flushes: u64,
    /// Address space switches.
    pub switches: u64,
    /// Address spaces that got windows.
    pub spaces_opened: u64,
    /// Address spaces whose code is translated for them alone.
    pub spaces_settled: u64,
    /// Pages that were shown in windows.
    pub window_faults: u64,
}

impl Mmu {
    /// An MMU over `ram` for guests with `physical_bits` of physical address (36 to 52).
    pub fn new(ram: GuestRam, physical_bits: u32, policy: WindowPolicy) -> std::io::Result<Self> {
        let views = Views::new()?;
        let slots = (0..view::VIEWS).map(|_| Slot::new()).collect();
        let mut mmu = Self {
            ram,
            views,
            current: 0,
            slots,
            global: Filled::default(),
            local: Filled::default(),
            clock: 0,
            physical_bits,
            code_writes: Vec::new(),
            changes: Vec::new(),
            policy,
            supervisor: Supervisor::default(),
            written: Written::default(),
            learning: false,
            programs: Programs::default(),
            counters: Counters::default(),
        };
        mmu.slots[0].pcid = Some(0);
        Ok(mmu)
    }
    /// Guest RAM.
    pub fn ram(&self) -> &GuestRam {
        &self.ram
    }
    /// The memory that translated code reaches through GS.
    pub fn views(&self) -> &Views {
        &self.views
    }
    /// The views, to change jump tables.
    pub fn views_mut(&mut self) -> &mut Views {
        &mut self.views
    }
    /// The number of the view of the running address space.
    pub fn current_view(&self) -> usize {
        self.current
    }
    /// Counters since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }
    /// Takes the writes that hit frames with translated code.
    pub fn take_code_writes(&mut self) -> Vec<(Gpa, u64)> {
        std::mem::take(&mut self.code_writes)
    }
    /// Whether [`Mmu::take_code_writes`] or [`Mmu::take_changes`] has something.
    pub fn has_news(&self) -> bool {
        !self.code_writes.is_empty() || !self.changes.is_empty()
    }
    /// Takes the changes of address spaces.
    pub fn take_changes(&mut self) -> Vec<MappingChange> {
        std::mem::take(&mut self.changes)
    }

    /// What is known of the page of an address.
    fn entry(&mut self, ring: Ring, address: Gva) -> Option<Lookup> {
        self.views.lookups(self.current, ring).find(table::index(ring, address), address).copied()
    }
}

/// Frames in a [`Written::group`].
const GROUP: u64 = 16;

impl Written {
    fn note(&mut self, frame: u64) {
        let word = (frame / 64) as usize;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (frame % 64);
    }
    /// Whether a frame of a [`Written::group`] was noted; all of them are forgotten.
    fn take_group(&mut self, frame: u64) -> bool {
        let Some(word) = self.0.get_mut((frame / 64) as usize) else { return false };
        let bits = ((1 << GROUP) - 1) << (Self::group(frame) % 64);
        let there = *word & bits != 0;
        *word &= !bits;
        there
    }
    /// The first of the frames around a frame that lose the right to be written together: code does not come alone, and
    /// looking for one frame takes as long as for all.
    const fn group(frame: u64) -> u64 {
        frame & !(GROUP - 1)
    }
}

impl Slot {
    fn new() -> Self {
        Self {
            pcid: None,
            last_used: 0,
            user: Filled::default(),
            kept: Kept::default(),
            heat: Heat::default(),
        }
    }
}
