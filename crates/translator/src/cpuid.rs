//! The CPU model: what CPUID says, and hence what exists. Features are offered only if the host CPU has them and this
//! engine executes them; nothing else about the host shows.
use std::arch::x86_64::__cpuid_count;

use iced_x86::CpuidFeature;
use x86::control::{CR4_OSXSAVE, XCR0_AVX, XCR0_SSE, XCR0_X87};
use x86::cpuid::Registers;

use crate::Config;
use crate::cpu::{Cpu, Mode};

mod features;
mod topology;

/// Bits of a physical address.
pub const PHYSICAL_BITS: u32 = 40;
/// Bits of a linear address.
const LINEAR_BITS: u32 = 48;
/// The highest basic leaf.
const LAST_BASIC: u32 = 0x1f;
/// The highest extended leaf.
const LAST_EXTENDED: u32 = 0x8000_0008;
/// Family 6, model 255, which is no CPU's: programs that choose code by a known model (GCC's `target_clones` with
/// `arch=`) run it without asking whether this CPU has that model's features. For the unknown one they ask.
const SIGNATURE: u32 = 0x000f_06f0;
/// Leaf 8000_0001H, EDX: SYSCALL.
const SYSCALL: u32 = 1 << 11;
/// The last part of leaf 7, which has EDX, BHI_CTRL: SPEC_CTRL has BHI_DIS_S. Linux does not believe BHI_NO under a
/// hypervisor; without this control it would clear the branch history by a long loop at each system call.
const LAST_OF_LEAF_7: u32 = 2;
const BHI_CTRL: u32 = 1 << 4;
const VENDOR: &[u8; 12] = b"GenuineIntel";
const HYPERVISOR: &[u8; 12] = b"gasangBT\0\0\0\0";
const BRAND: &[u8; 48] = b"gasang virtual CPU\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
/// The clock that leaf 0x15 counts the TSC in, and the local APIC timer's. Linux multiplies its kilohertz with EBX in 32
/// bits, so it must be slow: this one tells the TSC's rate to 5 kHz.
const CRYSTAL_HZ: u32 = 10_000_000;
/// Bytes of an XSAVE area without and with AVX.
const XSAVE_SSE: u32 = 576;
const XSAVE_AVX: u32 = 832;
const AVX_BYTES: u32 = 256;

/// IA32_ARCH_CAPABILITIES: none of the known side channels applies to an emulated CPU model, and enhanced IBRS is all that
/// an operating system needs. Bits: RDCL_NO, IBRS_ALL, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, PSCHANGE_MC_NO, TAA_NO,
/// SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO, ITS_NO.
pub const ARCH_CAPABILITIES: u64 = 1
    | 1 << 1
    | 1 << 3
    | 1 << 4
    | 1 << 5
    | 1 << 6
    | 1 << 8
    | 1 << 13
    | 1 << 14
    | 1 << 15
    | 1 << 20
    | 1 << 24
    | 1 << 26
    | 1 << 27
    | 1 << 62;

/// Feature words of a CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Words {
    leaf1_ecx: u32,
    leaf1_edx: u32,
    leaf7_ebx: u32,
    leaf7_ecx: u32,
    leaf7_edx: u32,
    extended_ecx: u32,
    extended_edx: u32,
}

impl Words {
    fn host() -> Self {
        let leaf = |function: u32| __cpuid_count(function, 0);
        let last = leaf(0).eax;
        let (one, seven) = (leaf(1), if last >= 7 { leaf(7) } else { leaf(LAST_BASIC + 0x100) });
        let extended = leaf(0x8000_0001);
        Self {
            leaf1_ecx: one.ecx,
            leaf1_edx: one.edx,
            leaf7_ebx: if last >= 7 { seven.ebx } else { 0 },
            leaf7_ecx: if last >= 7 { seven.ecx } else { 0 },
            leaf7_edx: if last >= 7 { seven.edx } else { 0 },
            extended_ecx: extended.ecx,
            extended_edx: extended.edx,
        }
    }
}

/// What CPUID says to the guest.
#[derive(Clone, Debug)]
pub struct CpuidModel {
    words: Words,
    cpu_index: u32,
    cpu_count: u32,
    tsc_khz: u32,
}

impl CpuidModel {
    /// The model for one CPU of a machine, on this host.
    pub fn new(config: &Config) -> Self {
        Self {
            words: features::offered(&Words::host()),
            cpu_index: config.cpu_index,
            cpu_count: config.cpu_count.max(1),
            tsc_khz: u32::try_from(config.tsc.frequency_hz / 1000).unwrap_or(u32::MAX),
        }
    }
    /// Bits of a physical address.
    pub fn physical_bits(&self) -> u32 {
        PHYSICAL_BITS
    }
    /// The components of XCR0 that software may enable.
    pub fn xcr0(&self) -> u64 {
        XCR0_X87 | XCR0_SSE | if self.offers(CpuidFeature::AVX) { XCR0_AVX } else { 0 }
    }
    /// The bits of CR4 that depend on features, all others set.
    pub fn cr4_bits(&self) -> u64 {
        if self.offers(CpuidFeature::XSAVE) { u64::MAX } else { !CR4_OSXSAVE }
    }
    /// Whether instructions that need a feature exist.
    pub fn offers(&self, feature: CpuidFeature) -> bool {
        features::offers(&self.words, feature)
    }

    /// What CPUID returns for EAX = `function`, ECX = `index`; some bits follow `cpu`'s control registers.
    pub fn query(&self, function: u32, index: u32, cpu: &Cpu) -> Registers {
        match function {
            0 => text_leaf(LAST_BASIC, VENDOR),
            1 => self.leaf_1(cpu),
            2 => Registers { eax: 0x00fe_ff01, ..Registers::default() },
            4 => topology::cache(index, self.cpu_count),
            // ARAT: the local APIC's timer never stops.
            6 => Registers { eax: 1 << 2, ..Registers::default() },
            7 if index == 0 => Registers {
                eax: LAST_OF_LEAF_7,
                ebx: self.words.leaf7_ebx,
                ecx: self.words.leaf7_ecx,
                edx: self.words.leaf7_edx,
            },
            7 if index == LAST_OF_LEAF_7 => Registers { edx: BHI_CTRL, ..Registers::default() },
            0xb | 0x1f => topology::level(index, self.cpu_index, self.cpu_count),
            0xd => self.leaf_d(index, cpu),
            0x15 => self.leaf_15(),
            0x16 => Registers { eax: self.tsc_khz / 1000, ebx: self.tsc_khz / 1000, ecx: 100, edx: 0 },
            0x4000_0000 => text_leaf_in_order(0x4000_0000, HYPERVISOR),
            0x8000_0000 => Registers { eax: LAST_EXTENDED, ..Registers::default() },
            0x8000_0001 => Registers {
                ecx: self.words.extended_ecx,
                // Intel has SYSCALL in 64-bit mode alone, and says so.
                edx: self.words.extended_edx & if cpu.mode() == Mode::Bits64 { u32::MAX } else { !SYSCALL },
                ..Registers::default()
            },
            0x8000_0002..=0x8000_0004 => brand((function - 0x8000_0002) as usize),
            0x8000_0006 => topology::extended_cache(),
            // Invariant TSC.
            0x8000_0007 => Registers { edx: 1 << 8, ..Registers::default() },
            0x8000_0008 => Registers { eax: PHYSICAL_BITS | LINEAR_BITS << 8, ..Registers::default() },
            _ => Registers::default(),
        }
    }

    fn leaf_1(&self, cpu: &Cpu) -> Registers {
        /// OSXSAVE and HTT.
        const OSXSAVE: u32 = 1 << 27;
        const HTT: u32 = 1 << 28;
        let enabled = if cpu.cr4 & CR4_OSXSAVE != 0 { OSXSAVE } else { 0 };
        let several = if self.cpu_count > 1 { HTT } else { 0 };
        // CLFLUSH lines of 64 bytes, logical processors, APIC id.
        let ebx = 8 << 8 | self.cpu_count.min(255) << 16 | (self.cpu_index & 0xff) << 24;
        Registers {
            eax: SIGNATURE,
            ebx,
            ecx: self.words.leaf1_ecx | enabled,
            edx: self.words.leaf1_edx | several,
        }
    }
    fn leaf_15(&self) -> Registers {
        Registers { eax: 1000, ebx: self.tsc_khz.saturating_add(5) / 10, ecx: CRYSTAL_HZ, edx: 0 }
    }
    fn leaf_d(&self, index: u32, cpu: &Cpu) -> Registers {
        let offered = self.xcr0();
        let size = |components: u64| if components & XCR0_AVX != 0 { XSAVE_AVX } else { XSAVE_SSE };
        match index {
            0 => Registers { eax: offered as u32, ebx: size(cpu.xcr0), ecx: size(offered), edx: 0 },
            // XSAVEOPT.
            1 => Registers { eax: 1, ..Registers::default() },
            2 if offered & XCR0_AVX != 0 => {
                Registers { eax: AVX_BYTES, ebx: XSAVE_SSE, ..Registers::default() }
            }
            _ => Registers::default(),
        }
    }
}

fn word(text: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([text[at], text[at + 1], text[at + 2], text[at + 3]])
}
/// The vendor's leaf: EBX, EDX, ECX.
fn text_leaf(eax: u32, text: &[u8; 12]) -> Registers {
    Registers { eax, ebx: word(text, 0), edx: word(text, 4), ecx: word(text, 8) }
}
/// A hypervisor's leaf: EBX, ECX, EDX.
fn text_leaf_in_order(eax: u32, text: &[u8; 12]) -> Registers {
    Registers { eax, ebx: word(text, 0), ecx: word(text, 4), edx: word(text, 8) }
}
fn brand(part: usize) -> Registers {
    let at = 16 * part;
    Registers {
        eax: word(BRAND, at),
        ebx: word(BRAND, at + 4),
        ecx: word(BRAND, at + 8),
        edx: word(BRAND, at + 12),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TscModel;

    fn model(cpu_count: u32) -> CpuidModel {
        let tsc = TscModel { frequency_hz: 2_400_000_000, offset: 0 };
        CpuidModel::new(&Config {
            windows: crate::WindowPolicy::Never,
            code_room: (1 << 20).into(),
            tsc,
            cpu_index: 0,
            cpu_count,
            interpret_only: true,
            new_code: 0,
            perf_map: false,
            timed: false,
        })
    }

    #[test]
    fn nothing_is_offered_that_the_host_lacks_or_the_engine_does_not_execute() {
        let words = features::offered(&Words { leaf1_edx: u32::MAX, ..Words::default() });
        assert_eq!(words.leaf7_ebx & 1 << 5, 0, "AVX2 without the host's");
        let all = features::offered(&Words {
            leaf1_ecx: u32::MAX,
            leaf1_edx: u32::MAX,
            leaf7_ebx: u32::MAX,
            leaf7_ecx: u32::MAX,
            leaf7_edx: u32::MAX,
            extended_ecx: u32::MAX,
            extended_edx: u32::MAX,
        });
        for (word, bit, name) in [
            (all.leaf1_ecx, 3, "MONITOR"),
            (all.leaf1_ecx, 5, "VMX"),
            (all.leaf1_edx, 1, "VME"),
            (all.leaf7_ebx, 16, "AVX512F"),
            (all.leaf7_ebx, 20, "SMAP"),
            (all.leaf7_ebx, 11, "RTM"),
            (all.leaf7_ecx, 3, "PKU"),
            (all.leaf7_ecx, 7, "CET_SS"),
            (all.leaf7_edx, 20, "CET_IBT"),
        ] {
            assert_eq!(word & 1 << bit, 0, "{name}");
        }
    }

    #[test]
    fn tsc_leaf_gives_the_rate_and_fits_linux_arithmetic() {
        let leaf = model(1).leaf_15();
        assert_eq!(u64::from(leaf.ecx) * u64::from(leaf.ebx) / u64::from(leaf.eax), 2_400_000_000);
        assert!((leaf.ecx / 1000).checked_mul(leaf.ebx).is_some(), "kilohertz times EBX in 32 bits");
    }

    #[test]
    fn topology_counts_every_cpu_once() {
        for (count, shift) in [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3)] {
            let core = topology::level(1, 0, count);
            assert_eq!((core.eax, core.ebx, core.ecx), (shift, count, 0x201));
        }
        assert_eq!(topology::level(0, 3, 4).edx, 3);
        assert_eq!(topology::level(2, 0, 4).ecx >> 8, 0, "no third level");
    }
}
