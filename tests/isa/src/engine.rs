//! Engines as runners: a virtual CPU with a tiny kernel that enters user code at the linear addresses of
//! [`crate::layout`] and reports its exception.
//!
//! Two ways in and out. [`Entry::Restored`]: the whole CPU is set by `Vcpu::restore`, the exception's handler is a HLT, and
//! `Vcpu::save` shows the end; translations are forgotten each time. [`Entry::Resumed`]: the kernel itself loads the
//! registers and saves them (IRETQ, XRSTOR, XSAVE in the guest), so that the CPU is never reset and translated code lives
//! on while the code under it changes.
#![expect(unsafe_code, reason = "reads and writes guest memory in place")]

pub(crate) mod io;
mod kernel;

use std::sync::Arc;

use anyhow::Context;
use platform::{GuestRam, Stop, Vcpu};
use translator::{BtVcpu, Config, Store, TscModel, WindowPolicy};
use x86::{CpuState, flags};

use crate::case::{CODE_WINDOW, Case, END, Runner};
use crate::layout::{CODE, PAGE, Region};
use crate::state::{Ending, Outcome, UserState, Vectors};
use crate::watchdog;
use io::StopIo;
pub use kernel::has_error_code;
use kernel::{Block, Kernel};

/// How cases are entered and left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// By `Vcpu::restore` and `Vcpu::save`.
    Restored,
    /// By the guest's own kernel.
    Resumed,
}

/// The engines under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The translator's interpreter.
    Interpreter,
    /// The interpreter of new code.
    Light,
    /// The block translator, with look-ups.
    Translator,
    /// The block translator, with windows.
    Windows,
    /// The same, translated for the one address space.
    Settled,
    /// The same, with the blocks that another one has stored.
    Stored,
}

/// An engine with its guest.
pub struct Engine {
    kind: Kind,
    entry: Entry,
    vcpu: BtVcpu,
    io: Arc<StopIo>,
    ram: GuestRam,
    kernel: Kernel,
    /// The kernel stopped after saving a case, and goes on by loading one.
    at_stop: bool,
    window: Box<[u8; CODE_WINDOW * PAGE]>,
    base: CpuState,
}

/// How an engine is set up.
pub fn config(kind: Kind) -> Config {
    Config {
        code_room: (16 << 20).into(),
        tsc: TscModel { frequency_hz: 2_000_000_000, offset: 0 },
        cpu_index: 0,
        cpu_count: 1,
        windows: match kind {
            Kind::Windows => WindowPolicy::Always,
            Kind::Settled | Kind::Stored => WindowPolicy::Settled,
            Kind::Interpreter | Kind::Light | Kind::Translator => WindowPolicy::Never,
        },
        interpret_only: kind == Kind::Interpreter,
        new_code: if kind == Kind::Light { translator::ALWAYS_NEW } else { 0 },
        perf_map: false,
        timed: false,
    }
}

impl Engine {
    /// An engine with its guest in place.
    pub fn new(kind: Kind, entry: Entry) -> anyhow::Result<Self> {
        let ram = GuestRam::new(kernel::RAM_BYTES).context("no guest RAM")?;
        let vcpu = BtVcpu::new(ram.clone(), config(kind)).context("no virtual CPU")?;
        let kernel = Kernel::install(&ram).context("guest RAM is too small for its kernel")?;
        let io = Arc::new(StopIo::new(vcpu.attention()));
        let base = kernel.cpu_state(entry);
        let window = Box::new([0; CODE_WINDOW * PAGE]);
        watchdog::start();
        Ok(Self { kind, entry, vcpu, io, ram, kernel, at_stop: false, window, base })
    }

    /// Changes how cases are entered.
    pub fn set_entry(&mut self, entry: Entry) {
        self.entry = entry;
        self.base = self.kernel.cpu_state(entry);
        self.at_stop = false;
    }

    /// Which engine it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// From now on, the engine takes blocks from a store and adds those that it makes.
    pub fn share(&mut self, store: &Arc<Store>) {
        self.vcpu.share(Arc::clone(store));
    }

    /// The engine's counters.
    pub fn statistics(&self) -> Vec<(&'static str, u64)> {
        self.vcpu.statistics()
    }

    fn load_memory(&mut self, case: &Case) {
        let window = case.window();
        case.fill_window(&mut self.window);
        // Code is written as a device does, so that the engine hears of it.
        let physical = self.kernel.physical(window);
        if self.memory(window) != &self.window[..] {
            self.ram.write(physical, &self.window[..]);
        }
        for (region, bytes) in case.memory.regions() {
            self.bytes_mut(region).copy_from_slice(bytes);
        }
    }

    fn bytes_mut(&mut self, region: Region) -> &mut [u8] {
        let start = self.host(region);
        // SAFETY: the pages are RAM, and no CPU runs while the slice lives.
        unsafe { std::slice::from_raw_parts_mut(start, region.len()) }
    }

    fn host(&self, region: Region) -> *mut u8 {
        let physical = self.kernel.physical(region);
        self.ram.host_address(physical, region.len() as u64).unwrap_or_else(|| {
            panic!("{} is not in guest RAM", region.name);
        })
    }

    fn start_restored(&mut self, case: &Case) -> Result<(), String> {
        let state = &mut self.base;
        state.gpr = case.state.gpr;
        state.rip = case.state.rip;
        state.rflags = case.state.rflags | flags::IF | flags::FIXED;
        state.segments[x86::segment::FS].base = case.state.fs_base;
        state.segments[x86::segment::GS].base = case.state.gs_base;
        state.xsave.clear();
        state.xsave.extend_from_slice(&case.state.vectors.0);
        self.vcpu.restore(&self.base).map_err(|error| error.to_string())
    }

    fn start_resumed(&mut self, case: &Case) -> Result<(), String> {
        self.block().load(&case.state);
        if !self.at_stop {
            self.vcpu.restore(&self.base).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn block(&mut self) -> &mut Block {
        let at = self.ram.host_address(kernel::BLOCK, size_of::<Block>() as u64);
        let Some(at) = at else { panic!("the kernel's block is not in guest RAM") };
        // SAFETY: `Block` is plain data at an aligned place in RAM; no CPU runs while the borrow lives.
        unsafe { &mut *at.cast::<Block>() }
    }

    fn finish_restored(&mut self, stop: Stop, outcome: &mut Outcome) {
        let state = self.vcpu.save();
        let vector = kernel::vector_of_halt(state.rip);
        outcome.state.gpr = state.gpr;
        outcome.state.fs_base = state.segments[x86::segment::FS].base;
        outcome.state.gs_base = state.segments[x86::segment::GS].base;
        let mut area = [0; crate::state::XSAVE_BYTES];
        let length = state.xsave.len().min(area.len());
        area[..length].copy_from_slice(&state.xsave[..length]);
        outcome.state.vectors = Vectors::normalized(&area);
        match (stop, vector) {
            (Stop::Halted { .. }, Some(vector)) => {
                let frame = kernel::frame(&self.ram);
                outcome.state.rip = frame.rip;
                outcome.state.rflags = frame.rflags;
                outcome.state.gpr[x86::reg::RSP] = frame.rsp;
                let code = if kernel::has_error_code(vector) { frame.code as u32 } else { 0 };
                outcome.ending = Ending::exception(vector, code, state.cr2);
            }
            (Stop::Requested, _) => outcome.ending = Ending::TimedOut,
            (other, _) => {
                outcome.state.rip = state.rip;
                outcome.state.rflags = state.rflags;
                outcome.ending = Ending::Failed(format!("{other:?}"));
            }
        }
    }

    fn finish_resumed(&mut self, stop: Stop, outcome: &mut Outcome) {
        self.at_stop = stop == Stop::Requested && self.io.take_reported();
        if !self.at_stop {
            outcome.ending = match stop {
                Stop::Requested => Ending::TimedOut,
                other => Ending::Failed(format!("{other:?}")),
            };
            let state = self.vcpu.save();
            outcome.state =
                UserState { gpr: state.gpr, rip: state.rip, rflags: state.rflags, ..UserState::default() };
            return;
        }
        self.block().save(outcome);
    }
}

impl Runner for Engine {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Interpreter => "interpreter",
            Kind::Light => "light interpreter",
            Kind::Translator => "translator",
            Kind::Windows => "windows",
            Kind::Settled => "settled",
            Kind::Stored => "stored",
        }
    }

    fn run(&mut self, case: &Case, outcome: &mut Outcome) {
        self.load_memory(case);
        self.io.reset();
        let started = match self.entry {
            Entry::Restored => self.start_restored(case),
            Entry::Resumed => self.start_resumed(case),
        };
        if let Err(why) = started {
            *outcome = Outcome { state: case.state.clone(), ending: Ending::Failed(why) };
            return;
        }
        watchdog::watch_engine(Some(self.io.clone()));
        watchdog::begin();
        let stop = self.vcpu.run(&*self.io);
        watchdog::end();
        match self.entry {
            Entry::Restored => self.finish_restored(stop, outcome),
            Entry::Resumed => self.finish_resumed(stop, outcome),
        }
    }

    fn clear_code(&mut self) {
        // Written as a device does, so that the engine hears of it.
        self.ram.write(self.kernel.physical(CODE), &vec![END; CODE.len()]);
    }
    fn memory(&self, region: Region) -> &[u8] {
        // SAFETY: the pages are RAM, and no CPU runs while the slice lives.
        unsafe { std::slice::from_raw_parts(self.host(region), region.len()) }
    }

    fn forgets_dead_flags(&self) -> bool {
        self.kind != Kind::Interpreter
    }

    fn forget(&mut self) {
        self.at_stop = false;
    }
}
