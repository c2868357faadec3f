//! Control, model-specific and extended control registers: what they refuse; and CPUID, which follows them.
use super::machine::*;
use x86::control::*;
use x86::msr;
use x86::reg::*;

const WRMSR: [u8; 2] = [0x0f, 0x30];
const RDMSR: [u8; 2] = [0x0f, 0x32];
const CPUID: [u8; 2] = [0x0f, 0xa2];
const TO_CR0: [u8; 3] = [0x0f, 0x22, 0xc0];
const TO_CR3: [u8; 3] = [0x0f, 0x22, 0xd8];
const TO_CR4: [u8; 3] = [0x0f, 0x22, 0xe0];
const NOT_CANONICAL: u64 = 1 << 47;

fn write(machine: &mut Machine, number: u32, value: u64) -> bool {
    machine.put(CODE, &WRMSR);
    machine.cpu.rip = CODE;
    machine.cpu.gpr[RCX] = u64::from(number);
    machine.cpu.gpr[RAX] = value & 0xffff_ffff;
    machine.cpu.gpr[RDX] = value >> 32;
    match machine.step() {
        Ok(_) => true,
        Err(exception) => {
            assert_eq!(exception, gp(0));
            false
        }
    }
}
fn read(machine: &mut Machine, number: u32) -> Option<u64> {
    machine.put(CODE, &RDMSR);
    machine.cpu.rip = CODE;
    machine.cpu.gpr[RCX] = u64::from(number);
    machine.step().ok()?;
    Some(machine.cpu.gpr[RDX] << 32 | machine.cpu.gpr[RAX])
}
fn cpuid(machine: &mut Machine, function: u64) -> [u64; 4] {
    machine.put(CODE, &CPUID);
    machine.cpu.rip = CODE;
    machine.cpu.gpr[RAX] = function;
    machine.cpu.gpr[RCX] = 0;
    machine.steps(1);
    [RAX, RBX, RCX, RDX].map(|register| machine.cpu.gpr[register])
}
fn control(machine: &mut Machine, opcode: [u8; 3], value: u64) -> bool {
    machine.put(CODE, &opcode);
    machine.cpu.rip = CODE;
    machine.cpu.gpr[RAX] = value;
    machine.step().is_ok()
}

#[test]
fn registers_of_addresses_take_canonical_ones_only() {
    let mut machine = Machine::long(&[]);
    for number in [
        msr::FS_BASE,
        msr::GS_BASE,
        msr::KERNEL_GS_BASE,
        msr::LSTAR,
        msr::CSTAR,
        msr::SYSENTER_ESP,
        msr::SYSENTER_EIP,
    ] {
        assert!(!write(&mut machine, number, NOT_CANONICAL), "{number:#x}");
        assert!(write(&mut machine, number, !0 << 47), "{number:#x}");
        assert_eq!(read(&mut machine, number), Some(!0 << 47));
    }
}

#[test]
fn branch_history_has_a_control() {
    const BHI_DIS_S: u64 = 1 << 10;
    let mut machine = Machine::long(&[0x0f, 0xa2]);
    assert!(cpuid(&mut machine, 7)[0] >= 2, "software looks up to the last part only");
    assert!(write(&mut machine, msr::SPEC_CTRL, BHI_DIS_S));
    assert_eq!(read(&mut machine, msr::SPEC_CTRL), Some(BHI_DIS_S));
}

#[test]
fn reserved_bits_and_values_are_refused() {
    let mut machine = Machine::long(&[]);
    for (number, value) in [
        (msr::EFER, 1 << 12),
        (msr::EFER, EFER_SCE | EFER_NXE),
        (msr::SFMASK, 1 << 32),
        (msr::TSC_AUX, 1 << 32),
        (msr::PAT, 2),
        (msr::PAT, 8 << 56),
        (msr::SPEC_CTRL, 1 << 3),
        (msr::PRED_CMD, 2),
        (msr::XSS, 1),
        (msr::FEATURE_CONTROL, 5),
        (msr::MTRR_CAP, 0),
        (msr::MTRR_PHYS_BASE0, 2),
        (msr::MTRR_PHYS_BASE0, 0x100),
        (msr::MTRR_PHYS_BASE0, 1 << 40),
        (msr::MTRR_PHYS_BASE0 + 1, 0x400),
        (msr::MTRR_FIX64K_00000, 7),
        (msr::MTRR_DEF_TYPE, 1 << 9),
        (msr::MTRR_DEF_TYPE, 3),
    ] {
        assert!(!write(&mut machine, number, value), "{number:#x} {value:#x}");
    }
    for (number, value) in [
        (msr::MTRR_PHYS_BASE0, 0xc000_0006),
        (msr::MTRR_PHYS_BASE0 + 1, 0xff_c000_0800),
        (msr::MTRR_FIX64K_00000, 0x0606_0606_0606_0606),
        (msr::MTRR_DEF_TYPE, 0xc06),
    ] {
        assert!(write(&mut machine, number, value), "{number:#x}");
        assert_eq!(read(&mut machine, number), Some(value));
    }
    assert_eq!(read(&mut machine, msr::PRED_CMD), None, "write-only");
}

#[test]
fn efer_keeps_lma() {
    let mut machine = Machine::long(&[]);
    let efer = machine.cpu.efer;
    assert!(write(&mut machine, msr::EFER, efer & !EFER_LMA));
    assert_eq!(read(&mut machine, msr::EFER), Some(efer));
}

#[test]
fn pcids_want_long_mode_and_a_clean_cr3() {
    let mut machine = Machine::long(&[]);
    let cr4 = machine.cpu.cr4;
    machine.cpu.cr3 |= 1;
    assert!(!control(&mut machine, TO_CR4, cr4 | CR4_PCIDE));
    machine.cpu.cr3 &= !1;
    assert!(control(&mut machine, TO_CR4, cr4 | CR4_PCIDE));
    let cr3 = machine.cpu.cr3;
    assert!(control(&mut machine, TO_CR3, cr3 | 5 | CR3_NOFLUSH));
    assert_eq!(machine.cpu.cr3, cr3 | 5);
    let cr0 = machine.cpu.cr0;
    assert!(!control(&mut machine, TO_CR0, cr0 & !CR0_PG), "64-bit code");
    assert!(control(&mut machine, TO_CR4, cr4), "PCIDE may be cleared with a PCID");
    assert!(!control(&mut machine, TO_CR3, cr3 | CR3_NOFLUSH));
    let mut machine = Machine::protected(&[]);
    assert!(!control(&mut machine, TO_CR4, CR4_PCIDE));
}

#[test]
fn features_that_are_not_offered_have_no_bits() {
    let mut machine = Machine::long(&[]);
    let cr4 = machine.cpu.cr4;
    for bit in [0, 1, 12, 13, 14, 15, 19, 21, 22, 23, 24, 25, 32] {
        assert!(!control(&mut machine, TO_CR4, cr4 | 1 << bit), "CR4 bit {bit}");
    }
    for value in [0, 2, 5, 8 | 7, 1 << 9 | 7, 0x18 | 7] {
        machine.put(CODE, &[0x0f, 0x01, 0xd1]);
        machine.cpu.rip = CODE;
        machine.cpu.gpr[RCX] = 0;
        machine.cpu.gpr[RDX] = 0;
        machine.cpu.gpr[RAX] = value;
        assert_eq!(machine.step().unwrap_err(), gp(0), "XCR0 {value:#x}");
    }
    machine.cpu.rip = CODE;
    machine.cpu.gpr[RAX] = 3;
    machine.steps(1);
    assert_eq!(cpuid(&mut machine, 0xd)[1..3], [576, 832], "the size follows XCR0");
}

#[test]
fn cpuid_follows_the_apic_and_the_mode() {
    let mut machine = Machine::long(&[]);
    machine.devices.apic_base = Some(0xfee0_0900);
    assert_ne!(cpuid(&mut machine, 1)[3] & 1 << 9, 0);
    machine.devices.apic_base = Some(0xfee0_0000);
    assert_eq!(cpuid(&mut machine, 1)[3] & 1 << 9, 0);
    assert_ne!(cpuid(&mut machine, 0x8000_0001)[3] & 1 << 11, 0);
    let mut machine = Machine::protected(&[]);
    assert_eq!(cpuid(&mut machine, 0x8000_0001)[3] & 1 << 11, 0, "SYSCALL is for 64-bit code");
}

#[test]
fn invpcid_checks_its_descriptor() {
    let mut machine = Machine::long(&[0x66, 0x0f, 0x38, 0x82, 0x03]); // invpcid rax,[rbx]
    machine.cpu.gpr[RBX] = DATA;
    for (kind, low, address, pcids, fine) in [
        (0, 0, 0, false, true),
        (0, 1, 0, false, false),
        (1, 1, 0, false, false),
        (2, 1, 0, false, true),
        (0, 1, 0, true, true),
        (0, 1, NOT_CANONICAL, true, false),
        (1, 1, NOT_CANONICAL, true, true),
        (1, 1 << 12, 0, true, false),
        (3, 1 << 12, 0, true, false),
        (4, 0, 0, true, false),
    ] {
        machine.cpu.rip = CODE;
        machine.cpu.gpr[RAX] = kind;
        machine.put_u64(DATA, low);
        machine.put_u64(DATA + 8, address);
        machine.cpu.cr4 = machine.cpu.cr4 & !CR4_PCIDE | if pcids { CR4_PCIDE } else { 0 };
        assert_eq!(machine.step().is_ok(), fine, "{kind} {low:#x} {address:#x} {pcids}");
    }
}
