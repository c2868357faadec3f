//! Decoding of a block, and the choice of a way for each instruction.
use iced_x86::{
    Code, CpuidFeature, Decoder, DecoderOptions, EncodingKind, Instruction, Mnemonic, OpAccess, OpKind,
};

use super::forms::{Form, Forms, Kind};
use super::liveness::Flags;
use super::moving::{self, Operands};
use super::string::StringOperation;
use super::system::System;
use super::usage::{Memory, Usage};
use crate::cache::blocks::CodeMode;
use crate::emit::asm::{Reg, T0, T1};
use crate::legacy::Legacy;
use crate::mmu::Access;

/// The most guest instructions in a block.
pub const MAX_INSTRUCTIONS: usize = 64;

/// How an instruction is lowered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// No effect at all.
    Nothing,
    /// Copied; no memory.
    Copy,
    /// Copied with its memory operand redirected.
    CopyMemory {
        /// Bytes of the operand.
        size: u32,
        /// What it does to memory.
        access: Access,
    },
    /// A bit test whose register operand reaches beyond the memory operand.
    BitString,
    /// LEA.
    Lea,
    /// PUSH of a register, an immediate or memory.
    Push,
    /// POP to a register.
    Pop,
    /// LEAVE.
    Leave,
    /// JMP to a fixed place.
    Jump,
    /// Jcc and JRCXZ.
    JumpIf,
    /// LOOP and its like, and JCXZ, in legacy code.
    CountedJump,
    /// CALL of a fixed place.
    Call,
    /// JMP through a register or memory.
    JumpIndirect,
    /// CALL through a register or memory.
    CallIndirect,
    /// RET.
    Return,
    /// A system instruction with a translation of its own.
    System(System),
    /// A string instruction with a translation of its own.
    String(StringOperation),
    /// Left to the interpreter.
    #[default]
    Interpret,
}

impl Way {
    /// Whether it looks after what the scratch registers hold. All others use them as they like, or may be started over,
    /// when they hold anything.
    pub fn keeps_scratch(self, mode: CodeMode) -> bool {
        match self {
            Way::Nothing | Way::Copy | Way::Lea | Way::JumpIf => true,
            Way::CopyMemory { .. } | Way::Push | Way::Pop => mode.windows,
            _ => false,
        }
    }

    /// Whether it may leave the block in the middle.
    pub fn may_leave(self) -> bool {
        matches!(self, Way::JumpIf | Way::CountedJump)
    }

    /// Whether its own lowering sees to it that the window of the stack pointer is known when it is over.
    pub fn follows_stack_pointer(self) -> bool {
        use System::{Call, InterruptReturn, PushFlags, Return};
        let copies = matches!(self, Way::Copy | Way::CopyMemory { .. } | Way::Lea);
        let is_of_stack = matches!(
            self,
            Way::Push | Way::Pop | Way::Leave | Way::Call | Way::CallIndirect | Way::Return | Way::Interpret
        );
        copies || is_of_stack || matches!(self, Way::System(PushFlags | Call | Return | InterruptReturn))
    }

    /// Whether nothing follows it in its block.
    pub fn ends_block(self) -> bool {
        match self {
            Way::Jump | Way::Call | Way::JumpIndirect | Way::CallIndirect | Way::Return | Way::Interpret => {
                true
            }
            Way::System(what) => what.ends_block(),
            _ => false,
        }
    }
}

/// One instruction of a block.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoded {
    /// What iced made of it; its IP is the linear address.
    pub instruction: Instruction,
    /// How it is lowered.
    pub way: Way,
    /// General-purpose registers whose value matters to it, as bits.
    pub reads: u16,
    /// General-purpose registers that it may change, as bits.
    pub writes: u16,
    /// General-purpose registers that are operands themselves, as bits.
    pub names: u16,
    /// AH or its like is an operand.
    pub names_high_byte: bool,
    /// What it does to the status flags.
    pub flags: Flags,
    /// It reaches its memory operand by look-up even in code with windows ([`super::sites`]).
    pub by_lookup: bool,
    /// It touches x87, MMX, XMM or YMM registers.
    pub vectors: bool,
    /// Translated code is never left at it.
    pub is_harmless: bool,
    /// It may be another's to execute where the mode says otherwise what does not fault.
    pub by_rights: bool,
    /// Which of its operands may be addresses in the kernel's image that it is part of.
    pub moving: Operands,
    /// Status flags (iced's bits) that somebody may read before they are written, just before this instruction.
    pub live_before: u8,
    /// The same just after it.
    pub live_after: u8,
}

impl Decoded {
    /// Whether a register is an operand itself.
    pub fn names(&self, register: Reg) -> bool {
        self.names & 1 << register != 0
    }
    /// Whether it may have two memory operands.
    pub fn looks_up_twice(&self) -> bool {
        match self.way {
            Way::String(_) => true,
            Way::Push | Way::CallIndirect => self.instruction.op0_kind() == OpKind::Memory,
            _ => false,
        }
    }
}

/// The scratch registers, as bits.
const SCRATCH: u16 = 1 << T0 | 1 << T1;

/// iced's bits of the six status flags.
pub const STATUS: u8 = 0x3f;

/// Decodes up to the end of the block or of `bytes`, which begin at linear address `address`. The last instruction is one
/// that ends a block, or `None` of them does: then the block ends for its length, or because what follows does not lie
/// in `bytes` as a whole.
pub fn decode(bytes: &[u8], address: u64, mode: CodeMode, out: &mut Vec<Decoded>) {
    out.clear();
    let bits = mode.legacy.map_or(64, Legacy::bits);
    let mut decoder = Decoder::with_ip(bits, bytes, address, DecoderOptions::NONE);
    let (mut factory, forms) = (None, Forms::all());
    let may_move = moving::may_move(address, mode);
    let mut is_shielded = false;
    while out.len() < MAX_INSTRUCTIONS && decoder.can_decode() {
        let decoded = out.push_mut(Decoded::default());
        decoder.decode_out(&mut decoded.instruction);
        let instruction = &decoded.instruction;
        if instruction.is_invalid() && decoder.last_error() == iced_x86::DecoderError::NoMoreBytes {
            out.pop();
            return;
        }
        let form = forms.of(instruction);
        let used = match form.kind {
            Kind::Nothing => Usage::NONE,
            _ => Usage::of(instruction, form.rule.as_ref(), &mut factory),
        };
        let system = if form.system { System::of(instruction, mode) } else { None };
        decoded.way = match (mode.legacy, system) {
            (Some(legacy), _) => super::legacy::choose(instruction, mode, legacy, form.vectors, used.memory),
            (None, Some(system)) => Way::System(system),
            (None, None) if form.vectors && !mode.vectors => Way::Interpret,
            (None, None) => way_of(instruction, form, &used),
        };
        (decoded.reads, decoded.writes) = (used.reads, used.writes);
        (decoded.names, decoded.names_high_byte) = (used.names, used.names_high_byte);
        decoded.flags = form.flags(instruction);
        decoded.vectors = form.vectors;
        decoded.is_harmless = match decoded.way {
            _ if mode.legacy.is_some() => false,
            Way::Copy => form.is_harmless,
            way => matches!(way, Way::Nothing | Way::Lea),
        };
        decoded.by_rights = form.vectors || form.system;
        if may_move {
            decoded.moving = Operands::of(&decoder, instruction);
        }
        let ends = std::mem::replace(&mut is_shielded, decoded.way == Way::System(System::SetInterruptFlag));
        if ends || decoded.way.ends_block() {
            return;
        }
    }
}

fn way_of(instruction: &Instruction, form: &Form, used: &Usage) -> Way {
    match form.kind {
        Kind::Copied => match used.memory {
            Memory::Unused => Way::Copy,
            Memory::Once(access) => memory(instruction, form, access, used.names),
            Memory::Often => Way::Interpret,
        },
        Kind::Flow => flow(instruction),
        Kind::Stack => stack(instruction),
        Kind::Nothing => Way::Nothing,
        Kind::Lea if instruction.op0_register().size() >= 4 => Way::Lea,
        Kind::String => StringOperation::of(instruction).map_or(Way::Interpret, Way::String),
        Kind::Lea | Kind::Privileged | Kind::Uncopied => Way::Interpret,
    }
}

/// The way of an instruction that uses memory once.
fn memory(instruction: &Instruction, form: &Form, access: OpAccess, names: u16) -> Way {
    let access = match access {
        OpAccess::None | OpAccess::NoMemAccess => return Way::Nothing,
        OpAccess::Read | OpAccess::CondRead => Access::Read,
        _ => Access::Write,
    };
    let is_operand = |index| instruction.op_kind(index) == OpKind::Memory;
    let is_explicit = form.rule.is_some() || (0..instruction.op_count()).any(is_operand);
    let size = instruction.memory_size().size() as u32;
    if !is_explicit || !form.has_modrm || !(1..=64).contains(&size) {
        return Way::Interpret;
    }
    if instruction.is_ip_rel_memory_operand() && !is_near(instruction) {
        return Way::Interpret;
    }
    if form.is_bit_string {
        // A 32-bit address wraps after the bit offset is added.
        let narrow = instruction.memory_base().size() == 4 || instruction.memory_index().size() == 4;
        return if narrow { Way::Interpret } else { Way::BitString };
    }
    if names & SCRATCH == SCRATCH {
        return Way::Interpret;
    }
    Way::CopyMemory { size, access }
}

/// Whether a RIP-relative operand is within reach of a displacement from the page that the code runs in.
fn is_near(instruction: &Instruction) -> bool {
    let page = instruction.ip() & !x86::address::PAGE_OFFSET;
    i32::try_from(instruction.ip_rel_memory_address().wrapping_sub(page) as i64).is_ok()
}

fn flow(instruction: &Instruction) -> Way {
    match instruction.code() {
        Code::Jmp_rel8_64 | Code::Jmp_rel32_64 => Way::Jump,
        Code::Call_rel32_64 => Way::Call,
        Code::Jmp_rm64 => Way::JumpIndirect,
        Code::Call_rm64 => Way::CallIndirect,
        Code::Jrcxz_rel8_64 => Way::JumpIf,
        Code::Retnq | Code::Retnq_imm16 => Way::Return,
        _ if instruction.is_jcc_short_or_near() && instruction.op0_kind() == OpKind::NearBranch64 => {
            Way::JumpIf
        }
        _ => Way::Interpret,
    }
}

fn stack(instruction: &Instruction) -> Way {
    match instruction.code() {
        Code::Push_r64 | Code::Pushq_imm8 | Code::Pushq_imm32 | Code::Push_rm64 => Way::Push,
        Code::Pop_r64 => Way::Pop,
        Code::Pop_rm64 if instruction.op0_kind() == OpKind::Register => Way::Pop,
        Code::Leaveq => Way::Leave,
        _ => Way::Interpret,
    }
}

/// Instructions that do nothing a guest could see.
pub(super) fn is_nothing(instruction: &Instruction) -> bool {
    use Mnemonic::*;
    matches!(
        instruction.mnemonic(),
        Nop | Endbr64
            | Endbr32
            | Prefetch
            | Prefetchw
            | Prefetchwt1
            | Prefetchnta
            | Prefetcht0
            | Prefetcht1
            | Prefetcht2
            | Reservednop
            | Cldemote
    )
}

pub(super) fn is_moffs(code: Code) -> bool {
    use Code::*;
    matches!(
        code,
        Mov_AL_moffs8
            | Mov_AX_moffs16
            | Mov_EAX_moffs32
            | Mov_RAX_moffs64
            | Mov_moffs8_AL
            | Mov_moffs16_AX
            | Mov_moffs32_EAX
            | Mov_moffs64_RAX
    )
}

pub(super) fn is_bit_string(code: Code) -> bool {
    use Code::*;
    matches!(
        code,
        Bt_rm16_r16
            | Bt_rm32_r32
            | Bt_rm64_r64
            | Bts_rm16_r16
            | Bts_rm32_r32
            | Bts_rm64_r64
            | Btr_rm16_r16
            | Btr_rm32_r32
            | Btr_rm64_r64
            | Btc_rm16_r16
            | Btc_rm32_r32
            | Btc_rm64_r64
    )
}

/// Whether the host may execute the instruction itself: no privilege, no leak of the host, offered by the CPU model.
pub fn may_copy(instruction: &Instruction) -> bool {
    use Mnemonic::*;
    if !matches!(instruction.encoding(), EncodingKind::Legacy | EncodingKind::VEX) {
        return false;
    }
    let touches_system_register = (0..instruction.op_count()).any(|i| {
        instruction.op_kind(i) == OpKind::Register && {
            let register = instruction.op_register(i);
            register.is_segment_register() || register.is_cr() || register.is_dr() || register.is_tr()
        }
    });
    if touches_system_register || !instruction.cpuid_features().iter().all(|feature| is_offered(*feature)) {
        return false;
    }
    !matches!(
        instruction.mnemonic(),
        Cpuid
            | Rdtsc
            | Rdtscp
            | Rdpid
            | Rdpmc
            | Xgetbv
            | Sgdt
            | Sidt
            | Sldt
            | Str
            | Smsw
            | Lar
            | Lsl
            | Verr
            | Verw
            | Fxsave
            | Fxsave64
            | Fxrstor
            | Fxrstor64
            | Xsave
            | Xsave64
            | Xsaveopt
            | Xsaveopt64
            | Xrstor
            | Xrstor64
            | Fnstenv
            | Fstenv
            | Fnsave
            | Fsave
            | Fldenv
            | Frstor
            | Fstcw
            | Fstsw
            | Finit
            | Fclex
            | Fstdw
            | Fstsg
            | Cli
            | Sti
            | Cld
            | Std
            | Xlatb
            | Maskmovq
            | Maskmovdqu
            | Vmaskmovdqu
            | Rdfsbase
            | Rdgsbase
            | Wrfsbase
            | Wrgsbase
            | Vpgatherdd
            | Vpgatherdq
            | Vpgatherqd
            | Vpgatherqq
            | Vgatherdps
            | Vgatherdpd
            | Vgatherqps
            | Vgatherqpd
            | Clflush
            | Clflushopt
            | Clwb
            | Lfs
            | Lgs
            | Lss
            | Swapgs
            | Movdir64b
            | Enqcmd
    )
}

/// CPUID features whose instructions the CPU model may offer. If the host lacks one, its #UD becomes the guest's.
fn is_offered(feature: CpuidFeature) -> bool {
    use CpuidFeature::*;
    matches!(
        feature,
        INTEL8086
            | INTEL186
            | INTEL286
            | INTEL386
            | INTEL486
            | X64
            | CMOV
            | CX8
            | CMPXCHG16B
            | MULTIBYTENOP
            | PAUSE
            | POPCNT
            | LZCNT
            | BMI1
            | BMI2
            | ADX
            | MOVBE
            | RDRAND
            | RDSEED
    ) || is_vector_feature(feature)
}

fn is_vector_feature(feature: CpuidFeature) -> bool {
    use CpuidFeature::*;
    matches!(
        feature,
        FPU | FPU287
            | FPU387
            | MMX
            | SSE
            | SSE2
            | SSE3
            | SSSE3
            | SSE4_1
            | SSE4_2
            | AES
            | PCLMULQDQ
            | AVX
            | AVX2
            | FMA
            | F16C
            | SHA
            | GFNI
            | VAES
            | VPCLMULQDQ
    )
}

/// Whether an instruction touches x87, MMX, XMM or YMM registers.
pub(super) fn uses_vectors(instruction: &Instruction) -> bool {
    use Mnemonic::*;
    let only_in_name = matches!(
        instruction.mnemonic(),
        Lfence
            | Mfence
            | Sfence
            | Pause
            | Movnti
            | Prefetchnta
            | Prefetcht0
            | Prefetcht1
            | Prefetcht2
            | Clflush
            | Crc32
            | Popcnt
    );
    // WAIT raises what an x87 instruction before it left pending.
    instruction.mnemonic() == Wait
        || !only_in_name && instruction.cpuid_features().iter().any(|feature| is_vector_feature(*feature))
}
