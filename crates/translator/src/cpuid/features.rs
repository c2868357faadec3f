//! Which features the CPU model offers, bit by bit (SDM 2A, CPUID), and which instructions they bring.
use iced_x86::CpuidFeature as F;

use super::Words;

const fn bits(list: &[u32]) -> u32 {
    let (mut value, mut index) = (0, 0);
    while index < list.len() {
        value |= 1 << list[index];
        index += 1;
    }
    value
}

/// SSE3, PCLMULQDQ, SSSE3, FMA, CX16, SSE4.1, SSE4.2, MOVBE, POPCNT, AES, XSAVE, AVX, F16C, RDRAND.
const LEAF1_ECX_HOST: u32 = bits(&[0, 1, 9, 12, 13, 19, 20, 22, 23, 25, 26, 28, 29, 30]);
/// PCID, x2APIC, TSC deadline, hypervisor present: of our own making.
const LEAF1_ECX_OWN: u32 = bits(&[17, 21, 24, 31]);
/// FPU, CX8, CMOV, CLFLUSH, MMX, FXSR, SSE, SSE2.
const LEAF1_EDX_HOST: u32 = bits(&[0, 8, 15, 19, 23, 24, 25, 26]);
/// DE, PSE, TSC, MSR, PAE, MCE, APIC, SEP, MTRR, PGE, MCA, PAT, PSE-36.
const LEAF1_EDX_OWN: u32 = bits(&[2, 3, 4, 5, 6, 7, 9, 11, 12, 13, 14, 16, 17]);
/// BMI1, AVX2, BMI2, RDSEED, ADX, SHA.
const LEAF7_EBX_HOST: u32 = bits(&[3, 5, 8, 18, 19, 29]);
/// FSGSBASE, TSC_ADJUST, SMEP, ERMS, INVPCID, no FCS and FDS, CLFLUSHOPT, CLWB.
const LEAF7_EBX_OWN: u32 = bits(&[0, 1, 7, 9, 10, 13, 23, 24]);
/// GFNI, VAES, VPCLMULQDQ.
const LEAF7_ECX_HOST: u32 = bits(&[8, 9, 10]);
/// UMIP, RDPID.
const LEAF7_ECX_OWN: u32 = bits(&[2, 22]);
/// FSRM, IBRS and IBPB, STIBP, ARCH_CAPABILITIES, SSBD.
const LEAF7_EDX_OWN: u32 = bits(&[4, 26, 27, 29, 31]);
/// LAHF in 64-bit mode, LZCNT.
const EXTENDED_ECX_HOST: u32 = bits(&[0, 5]);
/// PREFETCHW.
const EXTENDED_ECX_OWN: u32 = bits(&[8]);
/// SYSCALL, NX, 1 GiB pages, RDTSCP, long mode.
const EXTENDED_EDX_OWN: u32 = bits(&[11, 20, 26, 27, 29]);

const XSAVE: u32 = 1 << 26;
const AVX: u32 = 1 << 28;
/// FMA, AVX and F16C in leaf 1 ECX; AVX2 in leaf 7 EBX; VAES and VPCLMULQDQ in leaf 7 ECX.
const NEED_AVX: (u32, u32, u32) = (bits(&[12, 28, 29]), bits(&[5]), bits(&[9, 10]));

/// The words that the guest sees on a host.
pub(super) fn offered(host: &Words) -> Words {
    let mut words = Words {
        leaf1_ecx: host.leaf1_ecx & LEAF1_ECX_HOST | LEAF1_ECX_OWN,
        leaf1_edx: host.leaf1_edx & LEAF1_EDX_HOST | LEAF1_EDX_OWN,
        leaf7_ebx: host.leaf7_ebx & LEAF7_EBX_HOST | LEAF7_EBX_OWN,
        leaf7_ecx: host.leaf7_ecx & LEAF7_ECX_HOST | LEAF7_ECX_OWN,
        leaf7_edx: LEAF7_EDX_OWN,
        extended_ecx: host.extended_ecx & EXTENDED_ECX_HOST | EXTENDED_ECX_OWN,
        extended_edx: EXTENDED_EDX_OWN,
    };
    if words.leaf1_ecx & (XSAVE | AVX) != XSAVE | AVX {
        words.leaf1_ecx &= !NEED_AVX.0;
        words.leaf7_ebx &= !NEED_AVX.1;
        words.leaf7_ecx &= !NEED_AVX.2;
    }
    words
}

/// Whether the instructions of a feature exist.
pub(super) fn offers(words: &Words, feature: F) -> bool {
    let has = |word: u32, bit: u32| word & 1 << bit != 0;
    let (ecx, edx) = (words.leaf1_ecx, words.leaf1_edx);
    match feature {
        F::INTEL8086
        | F::INTEL186
        | F::INTEL286
        | F::INTEL386
        | F::INTEL486
        | F::X64
        | F::FPU287
        | F::FPU387
        | F::CPUID
        | F::MSR
        | F::TSC
        | F::SEP
        | F::SYSCALL
        | F::MULTIBYTENOP
        | F::PAUSE
        | F::RDPMC
        | F::FSGSBASE
        | F::INVPCID
        | F::RDTSCP
        | F::RDPID
        | F::CLFLUSHOPT
        | F::CLWB
        | F::PREFETCHW
        | F::WBNOINVD
        | F::XSAVEOPT => true,
        // On 64-bit CPUs these mark forms without their prefix's meaning, or only a mode.
        F::INTEL8086_ONLY | F::INTEL286_ONLY | F::INTEL386_ONLY => false,
        F::FPU => has(edx, 0),
        F::CX8 => has(edx, 8),
        F::CMOV => has(edx, 15),
        F::CLFSH => has(edx, 19),
        F::MMX => has(edx, 23),
        F::FXSR => has(edx, 24),
        F::SSE => has(edx, 25),
        F::SSE2 => has(edx, 26),
        F::SSE3 => has(ecx, 0),
        F::PCLMULQDQ => has(ecx, 1),
        F::SSSE3 => has(ecx, 9),
        F::FMA => has(ecx, 12),
        F::CMPXCHG16B => has(ecx, 13),
        F::SSE4_1 => has(ecx, 19),
        F::SSE4_2 => has(ecx, 20),
        F::MOVBE => has(ecx, 22),
        F::POPCNT => has(ecx, 23),
        F::AES => has(ecx, 25),
        F::XSAVE => has(ecx, 26),
        F::AVX => has(ecx, 28),
        F::F16C => has(ecx, 29),
        F::RDRAND => has(ecx, 30),
        F::BMI1 => has(words.leaf7_ebx, 3),
        F::AVX2 => has(words.leaf7_ebx, 5),
        F::BMI2 => has(words.leaf7_ebx, 8),
        F::RDSEED => has(words.leaf7_ebx, 18),
        F::ADX => has(words.leaf7_ebx, 19),
        F::SHA => has(words.leaf7_ebx, 29),
        F::GFNI => has(words.leaf7_ecx, 8),
        F::VAES => has(words.leaf7_ecx, 9),
        F::VPCLMULQDQ => has(words.leaf7_ecx, 10),
        F::LZCNT => has(words.extended_ecx, 5),
        _ => false,
    }
}
