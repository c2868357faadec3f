//! RDMSR and WRMSR (SDM 4). Registers of the interrupt controller belong to the machine; unknown ones raise `#GP(0)`.
use x86::Gva;
use x86::control::{CR0_PG, EFER_LMA, EFER_LME, EFER_NXE, EFER_SCE};
use x86::msr;
use x86::reg::{RAX, RCX, RDX};
use x86::segment::{FS, GS};

use super::core::{Core, Fallible, gp0};
use crate::cpuid::{ARCH_CAPABILITIES, PHYSICAL_BITS};

const EFER_DEFINED: u64 = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
/// IA32_MCG_CAP: no banks.
const MCG_CAP_VALUE: u64 = 0;
/// IA32_MTRRCAP: eight variable ranges, fixed ranges, write combining.
const MTRR_CAP_VALUE: u64 = 0x508;
/// FEATURE_CONTROL: locked, no VMX.
const FEATURE_CONTROL_LOCKED: u64 = 1;
/// What BIOS_SIGN_ID reports as microcode revision.
const MICROCODE_REVISION: u64 = 0x2b00_0643 << 32;
/// MISC_ENABLE bits that software may keep: fast strings, performance monitoring, and their like.
const MISC_ENABLE_WRITABLE: u64 = 0x4_0040_d889 | 1 << 22;
/// SPEC_CTRL bits that exist: IBRS, STIBP, SSBD, BHI_DIS_S.
const SPEC_CTRL_DEFINED: u64 = 7 | 1 << 10;
/// MSR_PLATFORM_INFO, thermal and power registers that operating systems read without being told they exist.
const READ_AS_ZERO: [u32; 24] = [
    0x0, 0x1, 0x17, 0x2a, 0x33, 0x34, 0x35, 0xce, 0x140, 0x198, 0x199, 0x19a, 0x19b, 0x19c, 0x1a2, 0x1ad,
    0x1b0, 0x1b1, 0x1d9, 0x1fc, 0x606, 0x611, 0x64e, 0xc8f,
];
/// Registers whose writes have no effect.
const WRITES_IGNORED: [u32; 14] =
    [0x0, 0x1, 0x79, 0x8b, 0x140, 0x17a, 0x198, 0x199, 0x19a, 0x19b, 0x1b0, 0x1d9, 0x1fc, 0x34];

/// The memory-type registers in the order of [`crate::cpu::Cpu::mtrr`].
pub(crate) const MTRR_NUMBERS: [u32; 28] = {
    let mut numbers = [0; 28];
    let mut slot = 0;
    while slot < 16 {
        numbers[slot] = msr::MTRR_PHYS_BASE0 + slot as u32;
        slot += 1;
    }
    numbers[16] = msr::MTRR_FIX64K_00000;
    numbers[17] = 0x258; // MTRR_FIX16K_80000 and A0000
    numbers[18] = 0x259;
    slot = 19;
    while slot < 27 {
        numbers[slot] = 0x268 + (slot - 19) as u32; // MTRR_FIX4K_C0000 to F8000
        slot += 1;
    }
    numbers[27] = msr::MTRR_DEF_TYPE;
    numbers
};

/// The slot in [`crate::cpu::Cpu::mtrr`] of a memory-type register.
fn mtrr_slot(number: u32) -> Option<usize> {
    MTRR_NUMBERS.iter().position(|candidate| *candidate == number)
}

/// Whether each byte is a memory type that the PAT may hold.
fn is_valid_pat(value: u64) -> bool {
    value.to_le_bytes().iter().all(|kind| matches!(kind, 0 | 1 | 4..=7))
}

/// Whether a memory-type register takes a value: types that exist, reserved bits clear (SDM 3A §12.11.2).
fn is_valid_mtrr(slot: usize, value: u64) -> bool {
    let is_type = |kind: u8| matches!(kind, 0 | 1 | 4..=6);
    let fits = value >> PHYSICAL_BITS == 0;
    match slot {
        0..16 if slot.is_multiple_of(2) => fits && value & 0xf00 == 0 && is_type(value as u8),
        0..16 => fits && value & 0x7ff == 0,
        27 => value & !0xcff == 0 && is_type(value as u8),
        _ => value.to_le_bytes().into_iter().all(is_type),
    }
}

impl Core<'_> {
    pub(super) fn read_msr_instruction(&mut self) -> Fallible {
        self.require_ring_0()?;
        let number = self.gpr(RCX, 4) as u32;
        let value = self.read_msr(number).ok_or(gp0())?;
        self.set_pair(value);
        Ok(())
    }
    pub(super) fn write_msr_instruction(&mut self) -> Fallible {
        self.require_ring_0()?;
        let number = self.gpr(RCX, 4) as u32;
        let value = (self.cpu.gpr[RDX] << 32) | (self.cpu.gpr[RAX] & 0xffff_ffff);
        self.write_msr(number, value).ok_or(gp0())
    }

    /// How far the guest moved its TSC since the machine set it up.
    fn tsc_shift(&self) -> u64 {
        self.cpu.tsc_offset.wrapping_sub(self.machine_tsc_offset)
    }

    fn read_msr(&mut self, number: u32) -> Option<u64> {
        let cpu = &*self.cpu;
        Some(match number {
            msr::TSC => self.guest_tsc(),
            msr::TSC_ADJUST => cpu.tsc_adjust,
            msr::TSC_DEADLINE => match self.io.msr_read(number)? {
                0 => 0,
                deadline => deadline.wrapping_add(self.tsc_shift()),
            },
            msr::APIC_BASE | msr::X2APIC_FIRST..=msr::X2APIC_LAST => return self.io.msr_read(number),
            msr::FEATURE_CONTROL => FEATURE_CONTROL_LOCKED,
            msr::SPEC_CTRL => cpu.spec_ctrl,
            msr::BIOS_SIGN_ID => MICROCODE_REVISION,
            msr::MTRR_CAP => MTRR_CAP_VALUE,
            msr::ARCH_CAPABILITIES => ARCH_CAPABILITIES,
            msr::SYSENTER_CS => cpu.sysenter_cs,
            msr::SYSENTER_ESP => cpu.sysenter_esp,
            msr::SYSENTER_EIP => cpu.sysenter_eip,
            msr::MCG_CAP => MCG_CAP_VALUE,
            msr::MCG_STATUS | msr::XSS => 0,
            msr::MISC_ENABLE => cpu.misc_enable,
            msr::PAT => cpu.pat,
            msr::EFER => cpu.efer,
            msr::STAR => cpu.star,
            msr::LSTAR => cpu.lstar,
            msr::CSTAR => cpu.cstar,
            msr::SFMASK => cpu.sfmask,
            msr::FS_BASE => cpu.segments[FS].base,
            msr::GS_BASE => cpu.segments[GS].base,
            msr::KERNEL_GS_BASE => cpu.kernel_gs_base,
            msr::TSC_AUX => cpu.tsc_aux,
            _ => {
                if let Some(slot) = mtrr_slot(number) {
                    cpu.mtrr[slot]
                } else if READ_AS_ZERO.contains(&number) {
                    0
                } else {
                    return self.io.msr_read(number);
                }
            }
        })
    }

    fn write_msr(&mut self, number: u32, value: u64) -> Option<()> {
        let canonical = Gva(value).is_canonical();
        match number {
            msr::TSC => {
                let delta = value.wrapping_sub(self.guest_tsc());
                self.shift_tsc(delta);
                self.cpu.tsc_adjust = self.cpu.tsc_adjust.wrapping_add(delta);
            }
            msr::TSC_ADJUST => {
                self.shift_tsc(value.wrapping_sub(self.cpu.tsc_adjust));
                self.cpu.tsc_adjust = value;
            }
            msr::TSC_DEADLINE => {
                let deadline = if value == 0 { 0 } else { value.wrapping_sub(self.tsc_shift()).max(1) };
                return self.io.msr_write(number, deadline);
            }
            msr::APIC_BASE | msr::X2APIC_FIRST..=msr::X2APIC_LAST => return self.io.msr_write(number, value),
            msr::SPEC_CTRL if value & !SPEC_CTRL_DEFINED == 0 => self.cpu.spec_ctrl = value,
            msr::PRED_CMD if value & !1 == 0 => {}
            msr::SYSENTER_CS => self.cpu.sysenter_cs = value & 0xffff_ffff,
            msr::SYSENTER_ESP if canonical => self.cpu.sysenter_esp = value,
            msr::SYSENTER_EIP if canonical => self.cpu.sysenter_eip = value,
            msr::MISC_ENABLE => self.cpu.misc_enable = value & MISC_ENABLE_WRITABLE,
            msr::PAT if is_valid_pat(value) => self.cpu.pat = value,
            msr::EFER => return self.write_efer(value),
            msr::STAR => self.cpu.star = value,
            msr::LSTAR if canonical => self.cpu.lstar = value,
            msr::CSTAR if canonical => self.cpu.cstar = value,
            msr::SFMASK if value >> 32 == 0 => self.cpu.sfmask = value,
            msr::FS_BASE if canonical => self.cpu.segments[FS].base = value,
            msr::GS_BASE if canonical => self.cpu.segments[GS].base = value,
            msr::KERNEL_GS_BASE if canonical => self.cpu.kernel_gs_base = value,
            msr::TSC_AUX if value >> 32 == 0 => self.cpu.tsc_aux = value,
            msr::XSS if value == 0 => {}
            _ if WRITES_IGNORED.contains(&number) => {}
            _ => match mtrr_slot(number) {
                Some(slot) if is_valid_mtrr(slot, value) => self.cpu.mtrr[slot] = value,
                Some(_) => return None,
                None => return self.io.msr_write(number, value),
            },
        }
        Some(())
    }
    fn shift_tsc(&mut self, delta: u64) {
        self.cpu.tsc_offset = self.cpu.tsc_offset.wrapping_add(delta);
    }
    fn write_efer(&mut self, value: u64) -> Option<()> {
        let old = self.cpu.efer;
        let paging = self.cpu.cr0 & CR0_PG != 0;
        if value & !EFER_DEFINED != 0 || (paging && (old ^ value) & EFER_LME != 0) {
            return None;
        }
        self.cpu.efer = (value & !EFER_LMA) | (old & EFER_LMA);
        if (old ^ value) & EFER_NXE != 0 {
            self.mmu.flush_all();
        }
        Some(())
    }
}
