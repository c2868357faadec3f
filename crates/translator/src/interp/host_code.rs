//! The code of host-execution stubs: `extern "sysv64" fn(cpu: *mut Cpu, memory: *mut u8)`.
#![expect(unsafe_code, reason = "reads MXCSR")]
use std::mem::offset_of;

use iced_x86::{Encoder, Instruction, InstructionInfo, OpAccess, OpKind, Register};
use x86::flags;

use super::core::place;
use crate::cpu::Cpu;

const RAX: u8 = 0;
const RSP: u8 = 4;
const RSI: u8 = 6;
const RDI: u8 = 7;
/// Registers that a function must give back: RBX, RBP, R12 to R15.
const CALLEE_SAVED: [u8; 6] = [3, 5, 12, 13, 14, 15];
/// Candidates for the memory operand's register and for the guest's stack pointer: encodable without REX.
const LOW: [u8; 7] = [RSI, RDI, 3, 5, 2, 1, RAX];
/// Candidates for the pointer to the CPU: not in the way of anything, and without SIB.
const HIGH: [u8; 7] = [8, 9, 10, 11, 13, 14, 15];

/// Which host register does what in one stub.
pub(super) struct Plan {
    /// Guest registers that the instruction uses, as bits.
    used: u16,
    /// Guest registers that it writes, as bits.
    written: u16,
    /// The pointer to the CPU.
    cpu: u8,
    /// The memory operand's address.
    memory: Option<u8>,
    /// What stands for the guest's RSP.
    stack: Option<u8>,
    /// The instruction reads or writes status flags.
    flags: bool,
    /// The instruction touches x87, SSE or AVX state.
    pub vectors: bool,
}

impl Plan {
    /// Chooses registers and puts them into the instruction, whose memory operand has no address yet.
    pub fn new(instruction: &mut Instruction, info: &InstructionInfo, has_memory: bool) -> Option<Self> {
        let (mut used, mut written) = (0_u16, 0_u16);
        let mut vectors = super::class::touches_vectors(instruction);
        for usage in info.used_registers() {
            let register = usage.register();
            vectors |= register.is_vector_register() || register.is_mm() || register.is_st();
            let Some((number, ..)) = place(register) else { continue };
            used |= 1 << number;
            if !matches!(usage.access(), OpAccess::Read | OpAccess::CondRead | OpAccess::None) {
                written |= 1 << number;
            }
        }
        let uses_stack_pointer = used & (1 << RSP) != 0;
        let mut taken = used;
        let mut choose = |from: &[u8]| {
            let register = from.iter().copied().find(|register| taken & (1 << register) == 0)?;
            taken |= 1 << register;
            Some(register)
        };
        let memory = if has_memory { Some(choose(&LOW)?) } else { None };
        let stack = if uses_stack_pointer { Some(choose(&LOW)?) } else { None };
        let cpu = choose(&HIGH)?;
        if let Some(memory) = memory {
            instruction.set_memory_base(numbered(Register::RAX, memory));
        }
        if let Some(stack) = stack {
            rename_stack_pointer(instruction, stack)?;
        }
        let touched = instruction.rflags_read() | instruction.rflags_modified();
        Some(Self { used, written, cpu, memory, stack, flags: touched != 0, vectors })
    }
    fn host_register(&self, guest: u8) -> u8 {
        if guest == RSP { self.stack.unwrap_or(RSP) } else { guest }
    }
    fn saved(&self) -> impl DoubleEndedIterator<Item = u8> {
        let mut changed = self.used | 1 << self.cpu;
        for register in [self.memory, self.stack].into_iter().flatten() {
            changed |= 1 << register;
        }
        CALLEE_SAVED.into_iter().filter(move |register| changed & (1 << register) != 0)
    }
}

fn numbered(first: Register, number: u8) -> Register {
    Register::try_from(first as usize + usize::from(number)).unwrap_or(Register::None)
}

/// Every explicit RSP, ESP, SP or SPL becomes another register.
fn rename_stack_pointer(instruction: &mut Instruction, stack: u8) -> Option<()> {
    let mut renamed = false;
    for operand in 0..instruction.op_count() {
        if instruction.op_kind(operand) != OpKind::Register {
            continue;
        }
        let replacement = match instruction.op_register(operand) {
            Register::RSP => numbered(Register::RAX, stack),
            Register::ESP => numbered(Register::EAX, stack),
            Register::SP => numbered(Register::AX, stack),
            Register::SPL if stack >= 4 => numbered(Register::SPL, stack - 4),
            Register::SPL => numbered(Register::AL, stack),
            _ => continue,
        };
        instruction.set_op_register(operand, replacement);
        renamed = true;
    }
    renamed.then_some(())
}

/// Bytes of a stub, in the making.
struct Bytes(Vec<u8>);

impl Bytes {
    fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
    fn push(&mut self, register: u8) {
        if register >= 8 {
            self.raw(&[0x41]);
        }
        self.raw(&[0x50 | register & 7]);
    }
    fn pop(&mut self, register: u8) {
        if register >= 8 {
            self.raw(&[0x41]);
        }
        self.raw(&[0x58 | register & 7]);
    }
    /// `mov to, from`, 64 bits.
    fn mov(&mut self, to: u8, from: u8) {
        if to != from {
            self.raw(&[0x48 | (from >> 3) << 2 | to >> 3, 0x89, 0xc0 | (from & 7) << 3 | to & 7]);
        }
    }
    /// An instruction with a field of the CPU as memory operand.
    fn field(&mut self, wide: bool, opcode: &[u8], reg: u8, cpu: u8, offset: usize) {
        self.raw(&[0x41 | u8::from(wide) << 3 | (reg >> 3) << 2]);
        self.raw(opcode);
        self.raw(&[0x80 | (reg & 7) << 3 | cpu & 7]);
        self.raw(&(offset as u32).to_le_bytes());
    }
    /// `mov eax, 7; xor edx, edx`: x87, SSE and AVX.
    fn components(&mut self) {
        self.raw(&[0xb8, 7, 0, 0, 0, 0x31, 0xd2]);
    }
}

const fn gpr(register: u8) -> usize {
    offset_of!(Cpu, gpr) + 8 * register as usize
}

/// A stub.
pub(super) struct Assembled {
    pub bytes: Vec<u8>,
    /// Where it goes on if the instruction raises an exception: just behind it.
    pub resume: usize,
}

/// The stub that will lie at `address`; `None` if the instruction has no 64-bit encoding.
pub(super) fn assemble(plan: &Plan, instruction: &Instruction, address: u64) -> Option<Assembled> {
    let mut code = Bytes(Vec::with_capacity(256));
    for register in plan.saved() {
        code.push(register);
    }
    code.mov(plan.cpu, RDI);
    if plan.vectors {
        code.components();
        code.field(true, &[0x0f, 0xae], 5, plan.cpu, offset_of!(Cpu, xsave)); // xrstor64
    }
    if let Some(memory) = plan.memory {
        code.mov(memory, RSI);
    }
    if plan.flags {
        code.field(false, &[0xff], 6, plan.cpu, offset_of!(Cpu, status_flags)); // push qword
        code.raw(&[0x9d]); // popfq
    }
    for register in (0..16_u8).filter(|register| plan.used & (1 << register) != 0) {
        code.field(true, &[0x8b], plan.host_register(register), plan.cpu, gpr(register));
    }
    let mut encoder = Encoder::new(64);
    encoder.encode(instruction, address + code.0.len() as u64).ok()?;
    code.raw(&encoder.take_buffer());
    let resume = code.0.len();
    for register in (0..16_u8).filter(|register| plan.written & (1 << register) != 0) {
        code.field(true, &[0x89], plan.host_register(register), plan.cpu, gpr(register));
    }
    if plan.flags {
        code.raw(&[0x9c, 0x58, 0x25]); // pushfq; pop rax; and eax, …
        code.raw(&(flags::STATUS as u32).to_le_bytes());
        code.field(true, &[0x89], RAX, plan.cpu, offset_of!(Cpu, status_flags));
    }
    if plan.vectors {
        code.components();
        code.field(true, &[0x0f, 0xae], 4, plan.cpu, offset_of!(Cpu, xsave)); // xsave64
        code.raw(&[0xc5, 0xf8, 0x77]); // vzeroupper
        code.raw(&[0xdb, 0xe3]); // fninit
        code.field(false, &[0x0f, 0xae], 2, plan.cpu, offset_of!(Cpu, host_mxcsr)); // ldmxcsr
    }
    for register in plan.saved().rev() {
        code.pop(register);
    }
    code.raw(&[0xc3]);
    Some(Assembled { bytes: code.0, resume })
}

/// The MXCSR that this process runs with.
pub(super) fn host_mxcsr() -> u32 {
    let mut value = 0_u32;
    // SAFETY: stores four bytes to a local variable.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut value, options(nostack)) };
    value
}
