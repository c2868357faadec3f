//! Which instruction forms the generator draws from, and how often.
use iced_x86::{Code, CpuidFeature, EncodingKind, FlowControl, Mnemonic, OpCodeOperandKind};
use rand::RngExt;
use rand::rngs::SmallRng;

use crate::amd;

/// Forms, in groups of which one is drawn first.
pub struct Catalogue {
    /// All forms.
    pub codes: Vec<Code>,
    groups: Vec<Group>,
    weights: u32,
}

struct Group {
    weight: u32,
    members: Vec<usize>,
}

/// Groups by weight. Integer forms are what guests are made of, and where engines have most code of their own.
const WEIGHTS: [(Family, u32); 9] = [
    (Family::Frequent, 40),
    (Family::Integer, 25),
    (Family::Stack, 6),
    (Family::Strings, 3),
    (Family::Divide, 1),
    (Family::Sse, 11),
    (Family::Avx, 9),
    (Family::X87, 5),
    (Family::Mmx, 3),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Frequent,
    Integer,
    Stack,
    Strings,
    Divide,
    Sse,
    Avx,
    X87,
    Mmx,
}

impl Catalogue {
    /// All forms that user code may use without looking outside itself, and that this CPU has.
    pub fn new() -> Self {
        let amd = amd::is_here();
        let here = |code: &Code| is_offered(*code) && !(amd && amd::is_other(*code));
        let codes: Vec<Code> = Code::values().filter(here).collect();
        let group = |(family, weight)| {
            let of_family = |index: &usize| family_of(codes[*index]) == family;
            Group { weight, members: (0..codes.len()).filter(of_family).collect() }
        };
        let groups: Vec<Group> =
            WEIGHTS.into_iter().map(group).filter(|group: &Group| !group.members.is_empty()).collect();
        let weights = groups.iter().map(|group| group.weight).sum();
        Self { codes, groups, weights }
    }

    /// Draws a form.
    pub fn pick(&self, rng: &mut SmallRng) -> usize {
        let mut ticket = rng.random_range(0..self.weights);
        for group in &self.groups {
            if ticket < group.weight {
                return group.members[rng.random_range(0..group.members.len())];
            }
            ticket -= group.weight;
        }
        0
    }
}

impl Default for Catalogue {
    fn default() -> Self {
        Self::new()
    }
}

fn is_offered(code: Code) -> bool {
    let info = code.op_code();
    let encoding = matches!(info.encoding(), EncodingKind::Legacy | EncodingKind::VEX);
    info.is_instruction()
        && info.mode64()
        && encoding
        && info.cpl3()
        && !info.is_input_output()
        && info.address_size() != 32
        && code.flow_control() == FlowControl::Next
        && !info.fwait()
        && cpuid_known(code)
        && !is_excluded(code)
        && info.op_kinds().iter().all(|kind| super::operands::is_supported(*kind))
}

/// Whether the CPU model offers everything that a form needs.
pub fn cpuid_known(code: Code) -> bool {
    use CpuidFeature as F;
    const OFFERED: &[CpuidFeature] = &[
        F::INTEL8086,
        F::INTEL8086_ONLY,
        F::INTEL186,
        F::INTEL286,
        F::INTEL386,
        F::INTEL486,
        F::X64,
        F::FPU,
        F::FPU287,
        F::FPU387,
        F::CMOV,
        F::MMX,
        F::SSE,
        F::SSE2,
        F::SSE3,
        F::SSSE3,
        F::SSE4_1,
        F::SSE4_2,
        F::POPCNT,
        F::LZCNT,
        F::BMI1,
        F::BMI2,
        F::ADX,
        F::MOVBE,
        F::AES,
        F::PCLMULQDQ,
        F::AVX,
        F::AVX2,
        F::FMA,
        F::F16C,
        F::SHA,
        F::CX8,
        F::CMPXCHG16B,
        F::MULTIBYTENOP,
    ];
    code.cpuid_features().iter().all(|feature| OFFERED.contains(feature))
}

/// Forms that show the host, end in the kernel, or have results that are undefined.
fn is_excluded(code: Code) -> bool {
    use Mnemonic as M;
    let mnemonic = code.mnemonic();
    let shows_host = matches!(
        mnemonic,
        M::Cpuid
            | M::Rdtsc
            | M::Rdtscp
            | M::Rdpmc
            | M::Sgdt
            | M::Sidt
            | M::Sldt
            | M::Str
            | M::Smsw
            | M::Lar
            | M::Lsl
            | M::Verr
            | M::Verw
            | M::Fxsave
            | M::Fxsave64
            | M::Fxrstor
            | M::Fxrstor64
            | M::Fnsave
            | M::Fsave
            | M::Fnstenv
            | M::Fstenv
            | M::Fldenv
            | M::Frstor
            | M::Xgetbv
            | M::Rdfsbase
            | M::Rdgsbase
            | M::Wrfsbase
            | M::Wrgsbase
            | M::Lss
            | M::Lfs
            | M::Lgs
    );
    let loads_flags = matches!(mnemonic, M::Popf | M::Popfd | M::Popfq);
    let moves_stack = matches!(mnemonic, M::Enter | M::Leave);
    let undefined_result = matches!(code, Code::Bswap_r16);
    shows_host || loads_flags || moves_stack || undefined_result
}

fn family_of(code: Code) -> Family {
    use Mnemonic as M;
    let info = code.op_code();
    let kinds = info.op_kinds();
    let mnemonic = code.mnemonic();
    let has = |wanted: fn(&OpCodeOperandKind) -> bool| kinds.iter().any(wanted);
    if info.encoding() == EncodingKind::VEX && has(is_vector) {
        return Family::Avx;
    }
    if has(is_mmx) || mnemonic == M::Emms {
        return Family::Mmx;
    }
    if has(is_vector) || matches!(mnemonic, M::Ldmxcsr | M::Stmxcsr) {
        return Family::Sse;
    }
    if code
        .cpuid_features()
        .iter()
        .any(|f| matches!(f, CpuidFeature::FPU | CpuidFeature::FPU287 | CpuidFeature::FPU387))
    {
        return Family::X87;
    }
    if has(is_string) {
        return Family::Strings;
    }
    match mnemonic {
        M::Div | M::Idiv => Family::Divide,
        M::Push | M::Pop | M::Pushf | M::Pushfq => Family::Stack,
        M::Mov
        | M::Add
        | M::Sub
        | M::Cmp
        | M::Test
        | M::And
        | M::Or
        | M::Xor
        | M::Adc
        | M::Sbb
        | M::Inc
        | M::Dec
        | M::Neg
        | M::Not
        | M::Lea
        | M::Movzx
        | M::Movsx
        | M::Movsxd
        | M::Shl
        | M::Shr
        | M::Sar
        | M::Imul
        | M::Xchg
        | M::Setb
        | M::Sete
        | M::Cmovb
        | M::Cmove
        | M::Cmovl => Family::Frequent,
        _ => Family::Integer,
    }
}

fn is_vector(kind: &OpCodeOperandKind) -> bool {
    use OpCodeOperandKind as K;
    matches!(
        kind,
        K::xmm_reg
            | K::xmm_rm
            | K::xmm_or_mem
            | K::xmm_vvvv
            | K::xmm_is4
            | K::ymm_reg
            | K::ymm_rm
            | K::ymm_or_mem
            | K::ymm_vvvv
            | K::ymm_is4
    )
}

fn is_mmx(kind: &OpCodeOperandKind) -> bool {
    matches!(kind, OpCodeOperandKind::mm_reg | OpCodeOperandKind::mm_rm | OpCodeOperandKind::mm_or_mem)
}

fn is_string(kind: &OpCodeOperandKind) -> bool {
    matches!(kind, OpCodeOperandKind::seg_rSI | OpCodeOperandKind::es_rDI)
}
