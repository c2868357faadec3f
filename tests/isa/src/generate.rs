//! Random cases: valid instruction sequences over all families that engines offer to user code, with operands steered
//! into mapped pages, their borders, and sometimes beyond.
//!
//! A seed makes the same cases on the same version of this crate.

pub mod catalogue;
pub mod flow;
pub mod memory;
pub mod operands;
pub mod program;
pub mod start;

use iced_x86::{Code, Instruction, InstructionInfoFactory, OpAccess, Register};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use x86::reg::RSP;

use crate::case::Case;
use crate::layout::{CODE, Image, PAGE};
use crate::row::parse::flag_effects;
use catalogue::Catalogue;
pub use program::{Item, Program};

/// Where code is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Always in the same page: code that was executed before is overwritten.
    SamePage,
    /// Somewhere else each time, also across a page border.
    FreshPages,
}

/// Makes cases.
pub struct Generator {
    pub(crate) rng: SmallRng,
    catalogue: Catalogue,
    factory: InstructionInfoFactory,
    images: Vec<Image>,
    placement: Placement,
    next_page: u64,
    /// Registers whose value is known at this point of the sequence.
    pub(crate) known: [Option<u64>; 16],
    /// Registers that must not be written: loop counters.
    pub(crate) reserved: Vec<usize>,
    /// Flags that are undefined at this point.
    undefined: u64,
    /// Forward jumps whose target has not come yet.
    pub(crate) pending: Vec<flow::Pending>,
    pub(crate) program: Program,
}

/// A case with the sequence that it was made of.
pub struct Sequence {
    /// The instructions.
    pub program: Program,
    /// The case; flags undefined at its end depend on where it ends.
    pub case: Case,
}

impl Generator {
    /// A generator.
    pub fn new(seed: u64, placement: Placement) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let images = (0..8).map(|_| start::image(&mut rng)).collect();
        Self {
            rng,
            catalogue: Catalogue::new(),
            factory: InstructionInfoFactory::new(),
            images,
            placement,
            next_page: 0,
            known: [None; 16],
            reserved: Vec::new(),
            undefined: 0,
            pending: Vec::new(),
            program: Program::default(),
        }
    }

    /// Fills `sequence` with the next case.
    pub fn next(&mut self, sequence: &mut Sequence) {
        self.attempt(sequence);
        // Jumps may lead past what defines the flags that their target reads.
        while !sequence.program.trace_undefined() {
            self.attempt(sequence);
        }
    }

    fn attempt(&mut self, sequence: &mut Sequence) {
        let image = self.rng.random_range(0..self.images.len());
        sequence.case.memory.0.copy_from_slice(&self.images[image].0[..]);
        let rip = self.place();
        start::registers(&mut self.rng, &mut sequence.case.state);
        sequence.case.state.rip = rip;
        self.known = sequence.case.state.gpr.map(Some);
        self.reserved.clear();
        self.pending.clear();
        self.undefined = 0;
        self.program.clear();
        self.sequence();
        self.join(self.program.items.len());
        self.program.undefined.push(self.undefined);
        std::mem::swap(&mut sequence.program, &mut self.program);
        sequence.program.encode(rip, &mut sequence.case.code);
        sequence.case.undefined_flags = 0;
    }

    fn place(&mut self) -> u64 {
        if self.placement == Placement::SamePage {
            return CODE.base;
        }
        self.next_page = (self.next_page + 2) % (CODE.pages as u64 - 2);
        let page = CODE.base + self.next_page * PAGE as u64;
        let across = self.rng.random_ratio(1, 3);
        let offset =
            if across { 4096 - self.rng.random_range(1..80) } else { self.rng.random_range(0..3000) };
        page + offset
    }

    fn sequence(&mut self) {
        let length = self.rng.random_range(1..=20);
        while self.program.items.len() < length {
            if self.rng.random_ratio(1, 12) { self.control_flow() } else { self.plain() }
        }
        self.finish_flow();
    }

    /// Appends one instruction without control flow; a few words' worth of retries if an operand cannot be had.
    pub(crate) fn plain(&mut self) {
        for _ in 0..8 {
            let entry = self.catalogue.pick(&mut self.rng);
            let code = self.catalogue.codes[entry];
            if let Some(instruction) = self.instruction(code)
                && self.push(instruction)
            {
                return;
            }
        }
    }

    /// Appends an instruction, if it can be encoded and writes no reserved register.
    pub(crate) fn push(&mut self, instruction: Instruction) -> bool {
        if !program::encodes(&instruction) || self.writes_reserved(&instruction) {
            return false;
        }
        self.append(Item::plain(instruction));
        true
    }

    /// Appends an item and follows what it does to registers and flags.
    pub(crate) fn append(&mut self, item: Item) {
        let index = self.program.items.len();
        self.join(index);
        let read = crate::row::parse::from_iced(item.instruction.rflags_read());
        if read & self.undefined != 0 {
            self.define_flags();
        }
        self.program.undefined.push(self.undefined);
        self.follow(&item.instruction);
        self.program.items.push(item);
    }

    /// All six status flags get a defined value.
    pub(crate) fn define_flags(&mut self) {
        let register = operands::GPR64[self.rng.random_range(0..16)];
        if let Ok(compare) = Instruction::with2(Code::Cmp_r64_rm64, register, register) {
            self.program.undefined.push(self.undefined);
            self.program.items.push(Item::plain(compare));
            self.undefined = 0;
        }
    }

    /// The flags that are undefined here.
    pub(crate) fn undefined(&self) -> u64 {
        self.undefined
    }

    /// What is known here is what is known on every way here; jumps to places before may have come this way, too.
    fn join(&mut self, index: usize) {
        for pending in self.pending.iter().filter(|pending| pending.target <= index) {
            self.undefined |= pending.undefined;
            for (mine, theirs) in self.known.iter_mut().zip(pending.known) {
                if *mine != theirs {
                    *mine = None;
                }
            }
        }
    }

    fn writes_reserved(&mut self, instruction: &Instruction) -> bool {
        if self.reserved.is_empty() {
            return false;
        }
        let info = self.factory.info(instruction);
        let writes = |access| {
            !matches!(access, OpAccess::Read | OpAccess::CondRead | OpAccess::None | OpAccess::NoMemAccess)
        };
        let mut used = info.used_registers().iter();
        used.any(|used| {
            writes(used.access())
                && operands::gpr_index(used.register()).is_some_and(|i| self.reserved.contains(&i))
        })
    }

    fn follow(&mut self, instruction: &Instruction) {
        let (undefined, defined) = flag_effects(instruction);
        self.undefined = (self.undefined & !defined) | undefined;
        let info = self.factory.info(instruction);
        for used in info.used_registers() {
            let read_only = matches!(
                used.access(),
                OpAccess::Read | OpAccess::CondRead | OpAccess::None | OpAccess::NoMemAccess
            );
            if let (false, Some(index)) = (read_only, operands::gpr_index(used.register())) {
                let moved = instruction.stack_pointer_increment();
                self.known[index] = match self.known[index] {
                    Some(value) if index == RSP && moved != 0 => {
                        Some(value.wrapping_add(moved as i64 as u64))
                    }
                    _ => None,
                };
            }
        }
        if instruction.code() == Code::Mov_r64_imm64
            && let Some(index) = operands::gpr_index(instruction.op0_register())
        {
            self.known[index] = Some(instruction.immediate64());
        }
    }

    /// Gives a register a value that is known from here on.
    pub(crate) fn set_known(&mut self, index: usize, value: u64) {
        let register: Register = operands::GPR64[index];
        if let Ok(load) = Instruction::with2(Code::Mov_r64_imm64, register, value) {
            self.push(load);
        }
    }
}
