//! A virtual CPU under binary translation: the loop between translated code, the interpreter and the machine.

mod crossing;
mod faults;
mod find;
mod follow;
mod jumps;
mod make;
mod misses;
mod new_code;
mod perf_map;
mod pinned;
pub mod statistics;
mod windows;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use platform::ram::watch::Watcher;
use platform::{CpuIo, GuestRam, RestoreError, ShutdownCause, Stop, Vcpu};
use x86::address::PAGE_OFFSET;
use x86::flags;
use x86::reg::RSP;
use x86::{CpuState, Exception, Gva};

use crate::cache::blocks::{CodeMode, Key};
use crate::cache::finder::Finder;
use crate::cache::shared::CodeCache;
use crate::cpu::{ATTENTION, Cpu};
use crate::cpuid::CpuidModel;
use crate::interp::{Env, Interpreter, InterruptKind, Step};
use crate::legacy::{self, Legacy};
use crate::light::seen::Seen;
use crate::lower::block::Lowering;
use crate::lower::sites::Sites;
use crate::mmu::table::Ring;
use crate::mmu::{Access, Mmu};
use crate::runtime::attention::AttentionHandle;
use crate::runtime::fault;
use crate::runtime::thunks::{EXITS, Exit, Thunks};
use crate::store::{Reader, Store};
use crate::{Config, SetupError};
use find::{FetchCache, Found};
use jumps::JumpTables;
use new_code::Supply;
use pinned::PinnedSpaces;
use statistics::{Phase, Statistics};

/// A virtual CPU under binary translation.
pub struct BtVcpu {
    mmu: Mmu,
    interpreter: Interpreter,
    thunks: Thunks,
    lowering: Lowering,
    /// Blocks that outlive the code cache, if there is a store.
    store: Option<Reader>,
    jumps: JumpTables,
    pinned: PinnedSpaces,
    fetches: FetchCache,
    /// Which code is new.
    seen: Seen,
    /// Whether the store has what is asked for.
    supply: Supply,
    statistics: Statistics,
    /// What the jump tables assume.
    assumptions: CodeMode,
    attention: Arc<AttentionHandle>,
    /// Which frames this and other CPUs have translated. It goes before the code whose keeper it has joined.
    watcher: Watcher,
    /// Translated code, perhaps shared with other CPUs.
    code: Arc<CodeCache>,
    /// What it keeps between two look-ups of blocks.
    finder: Finder,
    /// The place of a direct jump that shall lead to the block that is looked for.
    jump_to_link: Option<u64>,
    /// Some of it went away since the last block was entered.
    code_is_gone: bool,
    /// What is asked for where there are none.
    no_sites: Sites,
    config: Config,
    /// Told to interpret everything: the oracle of the translator.
    interpret_only: bool,
}

/// How the loop goes on.
enum Next {
    /// Look up the block at RIP.
    Look,
    /// Enter translated code here, its vector registers loaded first if they were when it was left.
    Enter { code: u64, vectors: bool },
    /// Enter translated code here again, where it was left; RIP is not known.
    Resume { code: u64 },
    /// Execute what is new without making anything of it.
    New { mode: CodeMode, is_head: bool },
    /// Interpret one instruction.
    Interpret,
    /// Leave.
    Leave(Stop),
}

impl BtVcpu {
    /// A CPU in its power-up state over `ram`, with room of its own for its code.
    pub fn new(ram: GuestRam, config: Config) -> Result<Self, SetupError> {
        let code = CodeCache::new(&ram, config.code_room)?;
        Self::sharing(ram, config, Arc::new(code))
    }

    /// A CPU in its power-up state over `ram`, which shares translated code with others over the same.
    pub fn sharing(ram: GuestRam, config: Config, code: Arc<CodeCache>) -> Result<Self, SetupError> {
        if let Some(lack) = crate::runtime::host::missing() {
            return Err(SetupError::HostCpu(lack));
        }
        let model = CpuidModel::new(&config);
        let mmu = Mmu::new(ram, model.physical_bits(), config.windows).map_err(SetupError::Memory)?;
        let interpreter = Interpreter::new(model, &config)?;
        if config.perf_map {
            perf_map::start().map_err(SetupError::PerfMap)?;
        }
        let attention = Arc::new(AttentionHandle::new());
        let handle: Arc<dyn platform::Attention> = Arc::<AttentionHandle>::clone(&attention);
        let watcher = code.join(handle).ok_or(SetupError::TooManyCpus)?;
        let mut vcpu = Self {
            jumps: JumpTables::new(code.thunks().start),
            pinned: PinnedSpaces::new(&code),
            lowering: Lowering::new(code.thunks()),
            store: None,
            supply: Supply::default(),
            mmu,
            interpreter,
            thunks: code.thunks(),
            fetches: FetchCache::default(),
            seen: Seen::new(code.seen(), config.new_code),
            assumptions: CodeMode::default(),
            statistics: Statistics::new(config.timed),
            attention,
            watcher,
            code,
            finder: Finder::default(),
            jump_to_link: None,
            code_is_gone: false,
            no_sites: Sites::default(),
            interpret_only: config.interpret_only,
            config,
        };
        vcpu.mmu.views_mut().lead_attention(vcpu.thunks.exit(Exit::Jump));
        vcpu.jumps.reset(&mut vcpu.mmu);
        let (attention, address) = (Arc::clone(&vcpu.attention), vcpu.mmu.views().cpu());
        attention.attach(address);
        vcpu.restore(&CpuState::default()).map_err(SetupError::Restore)?;
        Ok(vcpu)
    }

    /// From now on, the CPU takes blocks from a store and adds those that it makes.
    pub fn share(&mut self, store: Arc<Store>) {
        self.store = Some(Reader::new(store));
        self.supply = Supply::GOOD;
    }

    /// The register file.
    pub fn cpu(&mut self) -> &mut Cpu {
        crate::runtime::cpu_of(&mut self.mmu)
    }

    /// What translated code may assume now; `None` where only the interpreter serves.
    fn code_mode(&mut self) -> Option<CodeMode> {
        use x86::control::*;
        if self.interpret_only {
            return None;
        }
        let cpu = self.cpu();
        let user = match cpu.cpl() {
            0 => false,
            3 => true,
            _ => return None,
        };
        let breakpoints = cpu.dr[7] & 0xff != 0;
        if !breakpoints {
            // RF only ever suppresses breakpoints.
            cpu.other_flags &= !flags::RF;
        }
        let stepping = cpu.other_flags & (flags::TF | flags::VM) != 0;
        let checks_alignment = user && cpu.cr0 & CR0_AM != 0 && cpu.other_flags & flags::AC != 0;
        let shielded = cpu.interrupt_shadow != 0;
        if stepping || breakpoints || checks_alignment || shielded {
            return None;
        }
        let legacy = Legacy::enter(cpu);
        let vectors = cpu.cr0 & (CR0_EM | CR0_TS) == 0
            && cpu.cr4 & (CR4_OSFXSR | CR4_OSXSAVE) == CR4_OSFXSR | CR4_OSXSAVE
            && cpu.xcr0 & 7 == 7;
        let mode = CodeMode {
            user,
            vectors,
            windows: false,
            settled: false,
            syscall: cpu.efer & EFER_SCE != 0,
            time_stamp: cpu.cr4 & CR4_TSD == 0,
            bases: cpu.cr4 & CR4_FSGSBASE != 0,
            legacy,
        };
        self.enter_mode(mode);
        if let Some(legacy) = legacy {
            return Some(self.legacy_mode(mode, legacy));
        }
        self.jumps.leave_legacy(&mut self.mmu, user);
        let (windows, settled) = if user {
            let (code, stack) = (Gva(self.cpu().rip), Gva(self.cpu().gpr[RSP]));
            self.mmu.enter_user(code, stack);
            (self.mmu.has_windows(), self.mmu.is_settled())
        } else {
            self.mmu.enter_supervisor(crate::runtime::cpu_apart(&self.mmu));
            (self.mmu.has_supervisor_windows(), false)
        };
        Some(CodeMode { windows, settled, ..mode })
    }

    /// The mode of legacy code: flat user code may have windows.
    fn legacy_mode(&mut self, mode: CodeMode, legacy: Legacy) -> CodeMode {
        let mut windows = false;
        if mode.user && legacy.has_flat_code() {
            let (code, stack) = (Gva(self.cpu().rip), Gva(self.cpu().gpr[RSP] & legacy::LINEAR));
            self.mmu.enter_user(code, stack);
            windows = self.mmu.has_windows();
        }
        // With windows it has its addresses built in from the start.
        let mode = CodeMode { windows, settled: windows, ..mode };
        self.jumps.enter_legacy(&mut self.mmu, mode);
        mode
    }

    /// Jump tables tell rings apart, but no other assumption: they are emptied when one changes.
    fn enter_mode(&mut self, mode: CodeMode) {
        let assumptions = CodeMode { user: false, legacy: None, ..mode };
        if std::mem::replace(&mut self.assumptions, assumptions) != assumptions {
            self.jumps.forget(&mut self.mmu);
        }
    }

    fn run_loop(&mut self, io: &dyn CpuIo) -> Stop {
        fault::prepare_thread();
        let mut next = Next::Look;
        loop {
            // Looked at once: what comes later makes the CPU leave the next block at its head.
            let (attention, news) = (self.cpu().attention.load(Ordering::Relaxed) != 0, self.has_news());
            if let Next::Resume { code } = next {
                next = self.resume(code, attention || news);
            }
            if attention {
                if let Some(stop) = self.attend(io) {
                    return stop;
                }
                // The CPU may be somewhere else by now; under an interrupt shadow, one instruction comes first.
                next = if self.cpu().interrupt_shadow == 0 { Next::Look } else { Next::Interpret };
            }
            if news || attention && self.has_news() || self.code_is_gone {
                self.follow_changes();
                self.code_is_gone = false;
                // What was about to be entered may be gone.
                next = match next {
                    Next::Enter { .. } | Next::New { .. } => Next::Look,
                    other => other,
                };
            }
            next = match next {
                Next::Look => self.look(io),
                Next::Enter { code, vectors } => self.enter(code, vectors, io),
                Next::Resume { code } => self.resume(code, false),
                Next::New { mode, is_head } => self.run_new(mode, is_head, io),
                Next::Interpret => self.interpret(io),
                leave @ Next::Leave(_) => leave,
            };
            // Not in the next round: a call for attention meanwhile must not make a HLT undone.
            if let Next::Leave(stop) = next {
                return stop;
            }
        }
    }

    /// Goes on where translated code was left, or, if something else comes first, finds out which instruction that is.
    fn resume(&mut self, code: u64, is_disturbed: bool) -> Next {
        if !is_disturbed {
            return Next::Enter { code, vectors: false };
        }
        self.cpu().resume = code;
        self.locate();
        Next::Look
    }

    /// Serves whoever raised attention: stop requests, NMIs, interrupts.
    fn attend(&mut self, io: &dyn CpuIo) -> Option<Stop> {
        self.cpu().attention.store(0, Ordering::SeqCst);
        if io.stop_requested() {
            self.cpu().attention.store(ATTENTION, Ordering::Relaxed);
            return Some(Stop::Requested);
        }
        if self.cpu().interrupt_shadow != 0 {
            // Comes back after the next instruction.
            self.cpu().attention.store(ATTENTION, Ordering::Relaxed);
            return None;
        }
        if self.cpu().nmi_blocked == 0 && io.take_nmi() {
            return self.deliver(io, |interpreter, env| {
                interpreter.deliver_interrupt(env, x86::exception::vector::NMI, InterruptKind::Nmi)
            });
        }
        let cpu = self.cpu();
        cpu.interrupt_waiting = 0;
        if cpu.interrupt_flag == 0 {
            cpu.interrupt_waiting = u32::from(io.interrupt_pending());
            return None;
        }
        let vector = io.acknowledge_interrupt()?;
        self.statistics.interrupts += 1;
        if self.cpu().cpl() == 3 {
            self.count_user_tick();
        }
        // There may be another one behind it.
        self.cpu().attention.store(ATTENTION, Ordering::Relaxed);
        self.deliver(io, |interpreter, env| {
            interpreter.deliver_interrupt(env, vector, InterruptKind::External)
        })
    }

    fn deliver(
        &mut self,
        io: &dyn CpuIo,
        how: impl FnOnce(&mut Interpreter, &mut Env<'_>) -> Result<(), crate::interp::TripleFault>,
    ) -> Option<Stop> {
        let rip = self.cpu().rip;
        let (interpreter, mut env) = self.interpreter_env(io);
        let fault = how(interpreter, &mut env).err()?;
        Some(Stop::Shutdown(ShutdownCause::TripleFault { rip, vector: fault.vector }))
    }

    fn raise(&mut self, io: &dyn CpuIo, exception: Exception) -> Next {
        self.statistics.exceptions += 1;
        match self.deliver(io, |interpreter, env| interpreter.deliver_exception(env, exception)) {
            Some(stop) => Next::Leave(stop),
            None => Next::Look,
        }
    }

    fn interpreter_env<'a>(&'a mut self, io: &'a dyn CpuIo) -> (&'a mut Interpreter, Env<'a>) {
        let cpu = crate::runtime::cpu_apart(&self.mmu);
        (&mut self.interpreter, Env { cpu, mmu: &mut self.mmu, io })
    }

    fn interpret(&mut self, io: &dyn CpuIo) -> Next {
        self.statistics.enter(Phase::Interpreting);
        self.statistics.interpreted += 1;
        self.cpu().vectors_loaded = 0;
        let shadow = self.cpu().interrupt_shadow;
        let (interpreter, mut env) = self.interpreter_env(io);
        let outcome = interpreter.step(&mut env);
        let cpu = self.cpu();
        if shadow != 0 && cpu.interrupt_shadow == shadow {
            cpu.interrupt_shadow = 0;
        }
        match outcome {
            Ok(Step::Next) => Next::Look,
            Ok(Step::Halt) => {
                Next::Leave(Stop::Halted { interrupts_enabled: self.cpu().interrupt_flag != 0 })
            }
            Err(exception) => self.raise(io, exception),
        }
    }

    fn look(&mut self, io: &dyn CpuIo) -> Next {
        let Some(mode) = self.code_mode() else { return Next::Interpret };
        match self.find(mode) {
            Ok(Found::Block(place)) => Next::Enter { code: place.body, vectors: false },
            Ok(Found::New) => Next::New { mode, is_head: true },
            Ok(Found::Nothing) => Next::Interpret,
            Err(exception) => self.raise(io, exception),
        }
    }

    fn enter(&mut self, code: u64, vectors: bool, io: &dyn CpuIo) -> Next {
        self.statistics.enter(Phase::Translated);
        let (ring, stack) = (self.ring(), Gva(self.cpu().gpr[RSP]));
        let delta = self.mmu.window_delta(ring, stack);
        let cpu = self.cpu();
        cpu.vectors_loaded = u32::from(vectors);
        cpu.code_page = legacy::table_target(cpu) & !PAGE_OFFSET;
        cpu.stack_window = delta;
        crate::runtime::run(&self.thunks, &mut self.mmu, code);
        self.statistics.enter(Phase::Runtime);
        let reason = self.cpu().exit_reason as usize;
        self.statistics.exits[reason] += 1;
        let vectors = std::mem::replace(&mut self.cpu().vectors_loaded, 0) != 0;
        match EXITS[reason] {
            Exit::Link => self.follow_link(io),
            Exit::Jump => self.follow_jump(io),
            Exit::Attention => {
                self.locate();
                Next::Look
            }
            Exit::Interpret => {
                self.locate();
                self.rest_if_spinning();
                Next::Interpret
            }
            Exit::Read => self.miss(Access::Read, vectors),
            Exit::Write => self.miss(Access::Write, vectors),
            Exit::Fault => self.host_fault(io),
            Exit::Target => self.follow_target(),
        }
    }

    fn ring(&mut self) -> Ring {
        if self.cpu().cpl() == 3 { Ring::User } else { Ring::Supervisor }
    }

    /// Sets RIP from the place in translated code that was reported.
    fn locate(&mut self) {
        let resume = self.cpu().resume;
        let Some(spot) = self.code.spot(resume) else { return };
        let page = self.page_of(&spot.key);
        legacy::set_linear_rip(self.cpu(), page.wrapping_add(i64::from(spot.mark.guest) as u64));
    }

    fn page_of(&mut self, key: &Key) -> u64 {
        if key.mode.is_pinned() { key.page } else { self.cpu().code_page }
    }
}

impl Vcpu for BtVcpu {
    fn run(&mut self, io: &dyn CpuIo) -> Stop {
        self.statistics.start();
        let inside = self.watcher.enter();
        let stop = self.run_loop(io);
        if self.has_news() {
            // Others hear of what the last instruction wrote even if the next one is long in coming.
            self.follow_changes();
        }
        drop(inside);
        self.statistics.stop();
        stop
    }
    fn attention(&self) -> Arc<dyn platform::Attention> {
        Arc::clone(&self.attention) as Arc<dyn platform::Attention>
    }
    fn save(&self) -> CpuState {
        crate::save::save(crate::runtime::cpu_apart(&self.mmu))
    }
    fn restore(&mut self, state: &CpuState) -> Result<(), RestoreError> {
        let offset = self.config.tsc.offset;
        let cpu = self.cpu();
        crate::save::restore(cpu, state)?;
        cpu.tsc_offset = offset;
        cpu.host_mxcsr = 0x1f80;
        cpu.pauses_left = crossing::PAUSES;
        cpu.attention.store(ATTENTION, Ordering::Relaxed);
        self.mmu.flush_all();
        self.begin_anew();
        Ok(())
    }
    fn set_tsc_offset(&mut self, offset: u64) {
        let moved = offset.wrapping_sub(self.config.tsc.offset);
        self.config.tsc.offset = offset;
        self.interpreter.set_machine_tsc_offset(offset);
        let cpu = self.cpu();
        cpu.tsc_offset = cpu.tsc_offset.wrapping_add(moved);
    }
    fn statistics(&self) -> Vec<(&'static str, u64)> {
        self.statistics.rows(&self.mmu, &self.code)
    }
}

impl Drop for BtVcpu {
    fn drop(&mut self) {
        self.attention.detach();
    }
}
