//! [`CpuState`], the saved form, to and from [`Cpu`], the running one.
use platform::RestoreError;
use x86::control::{XCR0_AVX, XCR0_SSE, XCR0_X87};
use x86::{CpuState, flags, msr};

use crate::cpu::{Cpu, XSAVE_BYTES};
use crate::interp::host_tsc;
use crate::interp::msr::MTRR_NUMBERS;

/// Bytes of the legacy part and header of an XSAVE image.
const LEAST_XSAVE: usize = 576;
/// Offset of XSTATE_BV.
const XSTATE_BV: usize = 512;
const ALL_COMPONENTS: u8 = 7;
/// The PAT after reset (SDM 3A §11.12.4).
const PAT_DEFAULT: u64 = 0x0007_0406_0007_0406;
/// MISC_ENABLE after reset: fast strings; no branch trace storage, no PEBS.
const MISC_ENABLE_DEFAULT: u64 = 0x1801;

/// The fields of [`Cpu`] that are plain model-specific registers.
fn fields(cpu: &mut Cpu) -> [(u32, &mut u64); 13] {
    [
        (msr::TSC_ADJUST, &mut cpu.tsc_adjust),
        (msr::SPEC_CTRL, &mut cpu.spec_ctrl),
        (msr::SYSENTER_CS, &mut cpu.sysenter_cs),
        (msr::SYSENTER_ESP, &mut cpu.sysenter_esp),
        (msr::SYSENTER_EIP, &mut cpu.sysenter_eip),
        (msr::MISC_ENABLE, &mut cpu.misc_enable),
        (msr::PAT, &mut cpu.pat),
        (msr::STAR, &mut cpu.star),
        (msr::LSTAR, &mut cpu.lstar),
        (msr::CSTAR, &mut cpu.cstar),
        (msr::SFMASK, &mut cpu.sfmask),
        (msr::KERNEL_GS_BASE, &mut cpu.kernel_gs_base),
        (msr::TSC_AUX, &mut cpu.tsc_aux),
    ]
}

/// The CPU between two instructions. Its vector registers must be in [`Cpu::xsave`]. CR8 and HLT are the caller's to add.
pub fn save(cpu: &Cpu) -> CpuState {
    let plain = [
        (msr::TSC, host_tsc().wrapping_add(cpu.tsc_offset)),
        (msr::TSC_ADJUST, cpu.tsc_adjust),
        (msr::SPEC_CTRL, cpu.spec_ctrl),
        (msr::SYSENTER_CS, cpu.sysenter_cs),
        (msr::SYSENTER_ESP, cpu.sysenter_esp),
        (msr::SYSENTER_EIP, cpu.sysenter_eip),
        (msr::MISC_ENABLE, cpu.misc_enable),
        (msr::PAT, cpu.pat),
        (msr::STAR, cpu.star),
        (msr::LSTAR, cpu.lstar),
        (msr::CSTAR, cpu.cstar),
        (msr::SFMASK, cpu.sfmask),
        (msr::KERNEL_GS_BASE, cpu.kernel_gs_base),
        (msr::TSC_AUX, cpu.tsc_aux),
    ];
    let mut msrs: Vec<(u32, u64)> = plain.into_iter().chain(MTRR_NUMBERS.into_iter().zip(cpu.mtrr)).collect();
    msrs.sort_unstable();
    let mut xsave = cpu.xsave.0.to_vec();
    xsave[XSTATE_BV] |= ALL_COMPONENTS;
    CpuState {
        gpr: cpu.gpr,
        rip: cpu.rip,
        rflags: cpu.rflags(),
        segments: cpu.segments,
        ldtr: cpu.ldtr,
        tr: cpu.tr,
        gdtr: cpu.gdtr,
        idtr: cpu.idtr,
        cr0: cpu.cr0,
        cr2: cpu.cr2,
        cr3: cpu.cr3,
        cr4: cpu.cr4,
        cr8: 0,
        dr: cpu.dr,
        xcr0: cpu.xcr0,
        efer: cpu.efer,
        msrs,
        xsave,
        interrupt_shadow: cpu.interrupt_shadow != 0,
        nmi_blocked: cpu.nmi_blocked != 0,
        halted: false,
    }
}

/// Takes over a saved state; translations and address spaces are the caller's to forget. Without a TSC in the state its
/// offset stays.
pub fn restore(cpu: &mut Cpu, state: &CpuState) -> Result<(), RestoreError> {
    let refuse = |what: &str| Err(RestoreError(what.to_owned()));
    if state.xcr0 & !(XCR0_X87 | XCR0_SSE | XCR0_AVX) != 0 || state.xcr0 & XCR0_X87 == 0 {
        return refuse("it uses state components that this engine does not have");
    }
    if !(LEAST_XSAVE..=1 << 16).contains(&state.xsave.len()) {
        return refuse("its floating-point image has an impossible size");
    }
    if state.xsave[XSTATE_BV + 8..XSTATE_BV + 16].iter().any(|byte| *byte != 0) {
        return refuse("its floating-point image is in the compacted format");
    }
    if state.rflags & !flags::DEFINED != 0 {
        return refuse("it has flags that do not exist");
    }
    cpu.gpr = state.gpr;
    cpu.rip = state.rip;
    cpu.segments = state.segments;
    cpu.ldtr = state.ldtr;
    cpu.tr = state.tr;
    cpu.gdtr = state.gdtr;
    cpu.idtr = state.idtr;
    cpu.cr0 = state.cr0;
    cpu.cr2 = state.cr2;
    cpu.cr3 = state.cr3;
    cpu.cr4 = state.cr4;
    cpu.dr = state.dr;
    cpu.xcr0 = state.xcr0;
    cpu.efer = state.efer;
    cpu.interrupt_shadow = u32::from(state.interrupt_shadow);
    cpu.nmi_blocked = u32::from(state.nmi_blocked);
    cpu.vectors_loaded = 0;
    cpu.set_rflags(state.rflags);
    restore_msrs(cpu, &state.msrs);
    restore_xsave(cpu, &state.xsave);
    Ok(())
}

fn restore_msrs(cpu: &mut Cpu, msrs: &[(u32, u64)]) {
    let value =
        |number: u32| msrs.iter().find(|(candidate, _)| *candidate == number).map(|(_, value)| *value);
    for (number, field) in fields(cpu) {
        let default = match number {
            msr::PAT => PAT_DEFAULT,
            msr::MISC_ENABLE => MISC_ENABLE_DEFAULT,
            _ => 0,
        };
        *field = value(number).unwrap_or(default);
    }
    for (slot, number) in MTRR_NUMBERS.into_iter().enumerate() {
        cpu.mtrr[slot] = value(number).unwrap_or(0);
    }
    if let Some(tsc) = value(msr::TSC) {
        cpu.tsc_offset = tsc.wrapping_sub(host_tsc());
    }
}

/// Components that the image says are in their initial state get it in full, so that every byte of the area is true.
fn restore_xsave(cpu: &mut Cpu, image: &[u8]) {
    const XMM: usize = 160;
    const AVX: usize = 576;
    let area = &mut cpu.xsave.0;
    area.fill(0);
    let length = image.len().min(XSAVE_BYTES);
    let present = image[XSTATE_BV];
    area[24..28].copy_from_slice(&image[24..28]);
    area[26..28].fill(0); // bits of MXCSR that do not exist
    if present & 1 != 0 || present == 0 {
        // An image without any component is one that was filled in by hand: its control word counts.
        area[..24].copy_from_slice(&image[..24]);
        area[6..24].fill(0);
        area[32..XMM].copy_from_slice(&image[32..XMM]);
    } else {
        area[..2].copy_from_slice(&0x37f_u16.to_le_bytes());
    }
    if present & 2 != 0 {
        area[XMM..XMM + 256].copy_from_slice(&image[XMM..XMM + 256]);
    }
    if present & 4 != 0 {
        area[AVX..length].copy_from_slice(&image[AVX..length]);
    }
    area[XSTATE_BV] = ALL_COMPONENTS;
}
