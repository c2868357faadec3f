//! The fixed description table and the PCI Express configuration window.
use acpi_tables::fadt::{FADT, FADTBuilder, Flags, PmProfile};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use acpi_tables::mcfg::MCFG;

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID};
use crate::board::{irq, mmio, port};

/// Bytes of the blocks (§4.8.3).
const PM1_EVENT_BYTES: u8 = 4;
const PM1_CONTROL_BYTES: u8 = 2;
const PM_TIMER_BYTES: u8 = 4;
/// Bytes of general-purpose event block 0: half of them status, half enable.
pub const GPE0_BYTES: u8 = 16;
/// What, written to the reset register, resets the machine: a full reset.
pub const RESET_VALUE: u8 = 0x06;
/// CMOS register of the century.
const RTC_CENTURY: u8 = 0x32;

/// IA-PC boot architecture flags (§5.2.9.3).
mod boot_arch {
    /// Devices on an ISA-like bus exist.
    pub const LEGACY_DEVICES: u16 = 1 << 0;
    /// There is an i8042.
    pub const KEYBOARD_8042: u16 = 1 << 1;
    /// There is no VGA; do not look for it.
    pub const NO_VGA: u16 = 1 << 2;
    /// PCI Express active-state power management must not be touched.
    pub const NO_ASPM: u16 = 1 << 4;
}

/// The FADT: ACPI mode from the start (no SMI command), a power button in the fixed registers, reset by port.
pub fn fadt(dsdt: u64, facs: u64) -> FADT {
    let mut table = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION)
        .dsdt_64(dsdt)
        .firmware_ctrl_32(facs as u32)
        .preferred_pm_profile(PmProfile::Desktop)
        .gpe_info(port::GPE0.into(), 0, GPE0_BYTES, 0, 0)
        .flag(Flags::Wbinvd)
        .flag(Flags::ProcC1)
        .flag(Flags::SlpButton)
        .flag(Flags::FixRtc)
        .flag(Flags::TmrValExt)
        .flag(Flags::ResetRegSup);
    // Readers of ACPI 1.0 know only the 32-bit field.
    table.dsdt = (dsdt as u32).into();
    table.sci_int = u16::from(irq::SCI).into();
    table.pm1a_evt_blk = u32::from(port::PM1A_EVENT).into();
    table.pm1a_cnt_blk = u32::from(port::PM1A_CONTROL).into();
    table.pm_tmr_blk = u32::from(port::PM_TIMER).into();
    table.pm1_evt_len = PM1_EVENT_BYTES;
    table.pm1_cnt_len = PM1_CONTROL_BYTES;
    table.pm_tmr_len = PM_TIMER_BYTES;
    table.x_pm1a_evt_blk = ports(port::PM1A_EVENT, PM1_EVENT_BYTES, AccessSize::WordAccess);
    table.x_pm1a_cnt_blk = ports(port::PM1A_CONTROL, PM1_CONTROL_BYTES, AccessSize::WordAccess);
    table.x_pm_tmr_blk = ports(port::PM_TIMER, PM_TIMER_BYTES, AccessSize::DwordAccess);
    table.x_gpe0_blk = ports(port::GPE0, GPE0_BYTES, AccessSize::ByteAccess);
    // Latencies beyond 100 and 1000 us say that there is no C2 and no C3 (§5.2.9).
    table.p_lvl2_lat = 101.into();
    table.p_lvl3_lat = 1001.into();
    table.century = RTC_CENTURY;
    table.iapc_boot_arch =
        (boot_arch::LEGACY_DEVICES | boot_arch::KEYBOARD_8042 | boot_arch::NO_VGA | boot_arch::NO_ASPM)
            .into();
    table.reset_reg = ports(port::RESET_CONTROL, 1, AccessSize::ByteAccess);
    table.reset_value = RESET_VALUE;
    table.hypervisor_vendor_identity = u64::from_le_bytes(*b"gasang\0\0").into();
    table.finalize()
}

/// The MCFG: one segment, all buses.
pub fn mcfg() -> MCFG {
    let mut table = MCFG::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    table.add_ecam(mmio::ECAM_BASE, 0, 0, (mmio::ECAM_BUSES - 1) as u8);
    table
}

fn ports(first: u16, bytes: u8, access: AccessSize) -> GAS {
    GAS::new(AddressSpace::SystemIo, bytes * 8, 0, access, first.into())
}
