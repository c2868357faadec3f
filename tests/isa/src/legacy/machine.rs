//! A guest with one engine.
#![expect(unsafe_code, reason = "reads and writes guest memory in place")]
use std::sync::Arc;

use anyhow::Context;
use platform::{GuestRam, Stop, Vcpu};
use translator::BtVcpu;
use x86::segment::{CS, SS};
use x86::{CpuState, Gpa};

use super::sequence::Case;
use super::setup::{CODE, END, HALTS, KERNEL_STACK, RAM_BYTES, TABLES, World};
use crate::engine::io::StopIo;
use crate::engine::{self, Kind, has_error_code};
use crate::watchdog;

const PAGE: usize = 4096;

/// The guest.
pub struct Machine {
    kind: Kind,
    world: World,
    vcpu: BtVcpu,
    io: Arc<StopIo>,
    ram: GuestRam,
    base: CpuState,
    image: Vec<u8>,
}

/// How a case ended.
pub struct Outcome {
    /// Registers at the end.
    pub state: CpuState,
    /// What ended it.
    pub stop: Stop,
    /// The exception, if it was one.
    pub frame: Option<Frame>,
}

/// What an exception pushed.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// The vector.
    pub vector: u8,
    /// Offset of the instruction in CS.
    pub offset: u64,
    /// Where its flags are.
    pub flags_at: Gpa,
}

impl Outcome {
    /// Whether the sequence ran to its HLT.
    pub fn completed(&self, case: &Case) -> bool {
        // HLT is not for user code: #GP.
        match self.frame {
            Some(frame) => frame.vector == 13 && frame.offset == case.end() - 1,
            None => self.state.rip == case.end() && matches!(self.stop, Stop::Halted { .. }),
        }
    }
}

impl Machine {
    /// A guest in a world.
    pub fn new(kind: Kind, world: World) -> anyhow::Result<Self> {
        let ram = GuestRam::new(RAM_BYTES).context("no guest RAM")?;
        let vcpu = BtVcpu::new(ram.clone(), engine::config(kind)).context("no virtual CPU")?;
        let io = Arc::new(StopIo::new(vcpu.attention()));
        watchdog::start();
        Ok(Self { kind, world, vcpu, io, ram, base: world.cpu(), image: Vec::new() })
    }

    /// The engine's name.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Interpreter => "interpreter",
            Kind::Light => "light interpreter",
            Kind::Translator => "translator",
            Kind::Windows => "windows",
            Kind::Settled => "settled",
            Kind::Stored => "stored",
        }
    }

    /// Everything anew.
    pub fn install(&mut self, image: &[u8]) {
        self.world.install(&self.ram);
        let memory = self.memory();
        memory[CODE as usize..END as usize].copy_from_slice(image);
        memory[END as usize..].fill(0);
        self.image = self.bytes().to_vec();
    }

    /// All memory that cases may write, but for page tables: accessed and dirty bits may be set for what is not done.
    pub fn compared(&self) -> (&[u8], &[u8]) {
        let bytes = self.bytes();
        (&bytes[..TABLES as usize], &bytes[CODE as usize..])
    }

    /// Bytes that cases may reach: user code nothing behind its stack.
    fn reach(&self) -> u64 {
        if self.world.is_user() { END } else { RAM_BYTES }
    }

    /// All memory that cases may reach.
    pub fn memory(&mut self) -> &mut [u8] {
        let Some(start) = self.ram.host_address(Gpa(0), self.reach()) else { return &mut [] };
        // SAFETY: the range is RAM, and no CPU runs while the slice lives.
        unsafe { std::slice::from_raw_parts_mut(start, self.reach() as usize) }
    }

    /// The same, to look at.
    pub fn bytes(&self) -> &[u8] {
        let Some(start) = self.ram.host_address(Gpa(0), self.reach()) else { return &[] };
        // SAFETY: the range is RAM, and no CPU runs while the slice lives.
        unsafe { std::slice::from_raw_parts(start, self.reach() as usize) }
    }

    /// The mode.
    pub fn world(&self) -> World {
        self.world
    }

    /// Runs a case.
    pub fn run(&mut self, case: &Case) -> Outcome {
        let state = self.prepare(case);
        self.go(&state)
    }

    /// Everything as a case starts with it.
    pub fn prepare(&mut self, case: &Case) -> CpuState {
        // As a device does, so that the engine hears of it.
        for (index, (now, before)) in self.bytes().chunks(PAGE).zip(self.image.chunks(PAGE)).enumerate() {
            if now != before {
                self.ram.write(Gpa((index * PAGE) as u64), before);
            }
        }
        self.ram.write(Gpa(case.linear_start()), &case.code);
        let mut state = self.base.clone();
        state.gpr = case.gpr;
        state.rip = case.start;
        state.rflags = case.rflags;
        state.segments = case.segments;
        state.xsave.clone_from(&case.xsave);
        state
    }

    /// Runs from a state to the next HLT.
    pub fn go(&mut self, state: &CpuState) -> Outcome {
        if let Err(error) = self.vcpu.restore(state) {
            panic!("a state was refused: {error}");
        }
        self.io.reset();
        watchdog::watch_engine(Some(self.io.clone()));
        watchdog::begin();
        let stop = self.vcpu.run(&*self.io);
        watchdog::end();
        let state = self.vcpu.save();
        let frame = self.frame(&state);
        Outcome { state, stop, frame }
    }

    fn frame(&self, state: &CpuState) -> Option<Frame> {
        let at = (state.segments[CS].base + state.rip).checked_sub(HALTS + 1).filter(|at| *at < 32 * 16)?;
        let vector = (at / 16) as u8;
        let wide = match self.world {
            World::Real => 2,
            _ if self.world.is_long() => 8,
            _ => 4,
        };
        // Where a word of the frame is, counted from the instruction pointer.
        let word = |index: u64| {
            if self.world.is_user() {
                return Gpa(KERNEL_STACK - wide * (5 - index));
            }
            let stack = state.segments[SS];
            let mask = if stack.is_32() { 0xffff_ffff } else { 0xffff };
            let code = u64::from(self.world != World::Real && has_error_code(vector));
            Gpa((stack.base + (state.gpr[4].wrapping_add(wide * (code + index)) & mask)) & 0xffff_ffff)
        };
        let mut bytes = [0; 8];
        self.ram.read(word(0), &mut bytes[..wide as usize])?;
        Some(Frame { vector, offset: u64::from_le_bytes(bytes), flags_at: word(2) })
    }

    /// Flags in an exception's frame.
    pub fn saved_flags(&self, frame: &Frame) -> u64 {
        let mut bytes = [0; 2];
        self.ram.read(frame.flags_at, &mut bytes);
        u64::from(u16::from_le_bytes(bytes))
    }

    /// The stack pointer in the frame of an exception of user code.
    pub fn saved_stack(&self, frame: &Frame) -> u64 {
        let wide = if self.world.is_long() { 8 } else { 4 };
        let mut bytes = [0; 8];
        self.ram.read(Gpa(frame.flags_at.0 + wide), &mut bytes[..wide as usize]);
        u64::from_le_bytes(bytes)
    }

    /// Makes flags in an exception's frame zero.
    pub fn clear_saved_flags(&self, frame: &Frame, which: u64) {
        let kept = self.saved_flags(frame) & !which;
        self.ram.write(frame.flags_at, &(kept as u16).to_le_bytes());
    }
}
