//! What kind of instruction this is: who executes it, and what the CPU must allow first.
use iced_x86::{CpuidFeature, EncodingKind, Instruction, Mnemonic as M, OpKind, Register};
use x86::Exception;
use x86::control::{CR0_EM, CR0_MP, CR0_TS, CR4_OSFXSR, CR4_OSXSAVE, XCR0_AVX, XCR0_SSE};
use x86::exception::vector;

use super::core::{Core, Fallible};
use crate::cpuid::CpuidModel;

/// Who executes an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// `#UD`.
    Invalid,
    /// No effect.
    Nothing,
    Simple,
    Branch,
    Stack,
    Segment,
    PopSegment,
    String,
    System,
    Move,
    FloatState,
    Decimal,
    Masked,
    BitString,
    Divide,
    /// By its stub on the host.
    Host,
}

/// What must be enabled for an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Plain,
    /// WAIT.
    Wait,
    /// x87; `waits` for pending exceptions.
    X87 {
        waits: bool,
    },
    Mmx,
    /// Legacy SSE; with MMX registers it waits for x87 exceptions.
    Sse {
        mmx: bool,
    },
    /// VEX with vector registers.
    Avx,
    /// VEX with general-purpose registers only.
    VexInteger,
}

/// Family and class of a decoded instruction under a CPU model.
pub(super) fn classify(instruction: &Instruction, model: &CpuidModel) -> (Family, Class) {
    let offered = instruction.cpuid_features().iter().all(|feature| model.offers(*feature));
    let avx512 = instruction.encoding() == EncodingKind::EVEX;
    if instruction.is_invalid() || !offered || avx512 {
        return (Family::Invalid, Class::Plain);
    }
    (family(instruction), class(instruction))
}

fn family(instruction: &Instruction) -> Family {
    if instruction.is_jcc_short_or_near() {
        return Family::Branch;
    }
    if instruction.is_string_instruction() {
        return Family::String;
    }
    match instruction.mnemonic() {
        M::Nop
        | M::Pause
        | M::Reservednop
        | M::Endbr32
        | M::Endbr64
        | M::Prefetchnta
        | M::Prefetcht0
        | M::Prefetcht1
        | M::Prefetcht2
        | M::Prefetchw
        | M::Prefetch
        | M::Prefetchwt1
        | M::Lfence
        | M::Sfence
        | M::Mfence
        | M::Cldemote
        | M::Wait
        | M::Fnop
        | M::Feni
        | M::Fdisi
        | M::Fneni
        | M::Fndisi
        | M::Fnsetpm => Family::Nothing,
        M::Mov => Family::Move,
        M::Lea | M::Movzx | M::Movsx | M::Movsxd | M::Cld | M::Std | M::Xlatb | M::Salc => Family::Simple,
        M::Add | M::Sub | M::Cmp | M::And | M::Or | M::Xor | M::Test | M::Inc | M::Dec
            if !instruction.has_lock_prefix() =>
        {
            Family::Simple
        }
        M::Jmp
        | M::Call
        | M::Ret
        | M::Retf
        | M::Loop
        | M::Loope
        | M::Loopne
        | M::Jcxz
        | M::Jecxz
        | M::Jrcxz
        | M::Int
        | M::Int3
        | M::Into
        | M::Int1
        | M::Iret
        | M::Iretd
        | M::Iretq
        | M::Syscall
        | M::Sysret
        | M::Sysretq
        | M::Sysenter
        | M::Sysexit
        | M::Sysexitq => Family::Branch,
        M::Pop
            if instruction.op0_kind() == OpKind::Register
                && instruction.op0_register().is_segment_register() =>
        {
            Family::PopSegment
        }
        M::Pop
        | M::Push
        | M::Pusha
        | M::Pushad
        | M::Popa
        | M::Popad
        | M::Pushf
        | M::Pushfd
        | M::Pushfq
        | M::Popf
        | M::Popfd
        | M::Popfq
        | M::Enter
        | M::Leave
        | M::Bound => Family::Stack,
        M::Lds
        | M::Les
        | M::Lfs
        | M::Lgs
        | M::Lss
        | M::Lar
        | M::Lsl
        | M::Verr
        | M::Verw
        | M::Arpl
        | M::Lldt
        | M::Ltr
        | M::Sldt
        | M::Str => Family::Segment,
        M::Fldenv
        | M::Fnstenv
        | M::Fnsave
        | M::Frstor
        | M::Fxsave
        | M::Fxsave64
        | M::Fxrstor
        | M::Fxrstor64
        | M::Xsave
        | M::Xsave64
        | M::Xsaveopt
        | M::Xsaveopt64
        | M::Xrstor
        | M::Xrstor64
        | M::Ldmxcsr
        | M::Stmxcsr
        | M::Vldmxcsr
        | M::Vstmxcsr
        | M::Vzeroupper
        | M::Vzeroall => Family::FloatState,
        M::Aaa | M::Aas | M::Aad | M::Aam | M::Daa | M::Das => Family::Decimal,
        M::Vmaskmovps
        | M::Vmaskmovpd
        | M::Vpmaskmovd
        | M::Vpmaskmovq
        | M::Maskmovq
        | M::Maskmovdqu
        | M::Vmaskmovdqu
        | M::Vgatherdpd
        | M::Vgatherdps
        | M::Vgatherqpd
        | M::Vgatherqps
        | M::Vpgatherdd
        | M::Vpgatherdq
        | M::Vpgatherqd
        | M::Vpgatherqq => Family::Masked,
        M::Bt | M::Bts | M::Btr | M::Btc
            if instruction.op0_kind() == OpKind::Memory && instruction.op1_kind() == OpKind::Register =>
        {
            Family::BitString
        }
        M::Div | M::Idiv => Family::Divide,
        mnemonic if is_system(mnemonic) => Family::System,
        _ => Family::Host,
    }
}

fn is_system(mnemonic: M) -> bool {
    matches!(
        mnemonic,
        M::Lgdt
            | M::Lidt
            | M::Sgdt
            | M::Sidt
            | M::Smsw
            | M::Lmsw
            | M::Clts
            | M::Invd
            | M::Wbinvd
            | M::Wbnoinvd
            | M::Invlpg
            | M::Invpcid
            | M::Swapgs
            | M::Rdfsbase
            | M::Rdgsbase
            | M::Wrfsbase
            | M::Wrgsbase
            | M::Xsetbv
            | M::Xgetbv
            | M::Rdtsc
            | M::Rdtscp
            | M::Rdpmc
            | M::Rdpid
            | M::Rdmsr
            | M::Wrmsr
            | M::Cpuid
            | M::Hlt
            | M::Cli
            | M::Sti
            | M::In
            | M::Out
            | M::Clflush
            | M::Clflushopt
            | M::Clwb
            | M::Ud0
            | M::Ud1
            | M::Ud2
    )
}

fn class(instruction: &Instruction) -> Class {
    use CpuidFeature as F;
    let mnemonic = instruction.mnemonic();
    if mnemonic == M::Wait {
        return Class::Wait;
    }
    let has =
        |wanted: &[CpuidFeature]| instruction.cpuid_features().iter().any(|feature| wanted.contains(feature));
    let operands = || {
        (0..instruction.op_count())
            .filter(|operand| instruction.op_kind(*operand) == OpKind::Register)
            .map(|operand| instruction.op_register(operand))
    };
    if instruction.encoding() == EncodingKind::VEX {
        let vectors = operands().any(Register::is_vector_register) || has(&[F::AVX, F::AVX2]);
        return if vectors { Class::Avx } else { Class::VexInteger };
    }
    if has(&[F::FPU, F::FPU287, F::FPU387]) {
        let silent = matches!(
            mnemonic,
            M::Fninit
                | M::Fnclex
                | M::Fnstcw
                | M::Fnstsw
                | M::Fnsave
                | M::Fnstenv
                | M::Fneni
                | M::Fndisi
                | M::Fnsetpm
        );
        return Class::X87 { waits: !silent };
    }
    let exempt = matches!(
        mnemonic,
        M::Lfence
            | M::Sfence
            | M::Mfence
            | M::Movnti
            | M::Pause
            | M::Prefetchnta
            | M::Prefetcht0
            | M::Prefetcht1
            | M::Prefetcht2
            | M::Crc32
            | M::Popcnt
            | M::Clflush
            | M::Fxsave
            | M::Fxsave64
            | M::Fxrstor
            | M::Fxrstor64
    );
    if exempt {
        return Class::Plain;
    }
    let uses_mmx = operands().any(|register| register.is_mm());
    if has(&[F::MMX]) || (uses_mmx && !operands().any(|register| register.is_vector_register())) {
        return Class::Mmx;
    }
    let sse =
        [F::SSE, F::SSE2, F::SSE3, F::SSSE3, F::SSE4_1, F::SSE4_2, F::AES, F::PCLMULQDQ, F::SHA, F::GFNI];
    if has(&sse) { Class::Sse { mmx: uses_mmx } } else { Class::Plain }
}

/// Whether a stub must load x87, SSE or AVX state whatever the operands say.
pub(super) fn touches_vectors(instruction: &Instruction) -> bool {
    !matches!(class(instruction), Class::Plain | Class::VexInteger | Class::Wait)
}

/// Whether it is an x87 instruction.
pub(super) fn touches_x87(instruction: &Instruction) -> bool {
    matches!(class(instruction), Class::X87 { .. })
}

/// Whether the memory operand must be naturally aligned, on pain of `#GP(0)` (SDM 2A §2.4, exception classes 1, 2, 4).
pub(super) fn needs_alignment(instruction: &Instruction) -> bool {
    let mnemonic = instruction.mnemonic();
    if mnemonic == M::Cmpxchg16b {
        return true;
    }
    if instruction.encoding() == EncodingKind::VEX {
        return matches!(
            mnemonic,
            M::Vmovaps | M::Vmovapd | M::Vmovdqa | M::Vmovntps | M::Vmovntpd | M::Vmovntdq | M::Vmovntdqa
        );
    }
    let unaligned = matches!(
        mnemonic,
        M::Movups
            | M::Movupd
            | M::Movdqu
            | M::Lddqu
            | M::Pcmpestri
            | M::Pcmpestri64
            | M::Pcmpestrm
            | M::Pcmpestrm64
            | M::Pcmpistri
            | M::Pcmpistrm
    );
    let to_mmx = matches!(mnemonic, M::Cvtpd2pi | M::Cvttpd2pi);
    let aligned = matches!(class(instruction), Class::Sse { .. }) || to_mmx;
    instruction.memory_size().size() == 16 && aligned && !unaligned
}

impl Core<'_> {
    /// `#UD`, `#NM` or `#MF` before an instruction of a class may run (SDM 3A tables 9-2, 13-1; SDM 2A §2.5).
    pub fn check_class(&mut self, class: Class) -> Fallible {
        let cr0 = self.cpu.cr0;
        let ud = Err(Exception::invalid_opcode());
        let nm = Exception::plain(vector::NM);
        match class {
            Class::Plain => Ok(()),
            Class::Wait if cr0 & (CR0_MP | CR0_TS) == CR0_MP | CR0_TS => Err(nm),
            Class::Wait => self.check_pending(),
            Class::X87 { .. } if cr0 & (CR0_EM | CR0_TS) != 0 => Err(nm),
            Class::X87 { waits } => {
                if waits {
                    self.check_pending()
                } else {
                    Ok(())
                }
            }
            Class::Mmx if cr0 & CR0_EM != 0 => ud,
            Class::Sse { .. } if cr0 & CR0_EM != 0 || self.cpu.cr4 & CR4_OSFXSR == 0 => ud,
            Class::Avx | Class::VexInteger if !self.cpu.is_protected() => ud,
            Class::VexInteger => Ok(()),
            Class::Avx if self.cpu.cr4 & CR4_OSXSAVE == 0 || !self.has_avx_enabled() => ud,
            Class::Mmx | Class::Sse { .. } | Class::Avx if cr0 & CR0_TS != 0 => Err(nm),
            Class::Mmx | Class::Sse { mmx: true } => self.check_pending(),
            Class::Sse { mmx: false } | Class::Avx => Ok(()),
        }
    }
    fn has_avx_enabled(&self) -> bool {
        self.cpu.xcr0 & (XCR0_SSE | XCR0_AVX) == XCR0_SSE | XCR0_AVX
    }
    /// `#MF` if an unmasked x87 exception is pending: FSW.ES.
    fn check_pending(&self) -> Fallible {
        if self.cpu.xsave.0[2] & 0x80 != 0 { Err(Exception::plain(vector::MF)) } else { Ok(()) }
    }
}
