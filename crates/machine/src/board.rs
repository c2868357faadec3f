//! The board plan: every address, port and interrupt line of the machine, and nothing else. The rest of the crate and
//! the ACPI tables take them from here, so that no two descriptions of the machine can disagree.

/// Smallest guest RAM that makes a machine, in bytes.
pub const RAM_MIN_BYTES: u64 = 64 << 20;
/// Largest guest RAM, in bytes.
pub const RAM_MAX_BYTES: u64 = 16 << 30;

/// Memory-mapped ranges below 4 GiB, all inside the hole that guest RAM leaves (`platform::ram::LOW_RAM_LIMIT`).
pub mod mmio {
    /// Window out of which PCI devices get their memory BARs.
    pub const PCI_WINDOW_BASE: u64 = 0xc000_0000;
    /// Bytes in the PCI window.
    pub const PCI_WINDOW_BYTES: u64 = 0x2000_0000;
    /// PCI Express configuration space, one MiB a bus.
    pub const ECAM_BASE: u64 = 0xe000_0000;
    /// Buses that ECAM decodes.
    pub const ECAM_BUSES: u64 = 256;
    /// Bytes of ECAM.
    pub const ECAM_BYTES: u64 = ECAM_BUSES << 20;
    /// I/O APIC.
    pub const IOAPIC_BASE: u64 = 0xfec0_0000;
    /// Bytes that the I/O APIC decodes.
    pub const IOAPIC_BYTES: u64 = 0x1000;
    /// High precision event timer.
    pub const HPET_BASE: u64 = 0xfed0_0000;
    /// Bytes that the HPET decodes.
    pub const HPET_BYTES: u64 = 0x400;
    /// Local APICs, each visible to its own CPU.
    pub const LAPIC_BASE: u64 = 0xfee0_0000;
    /// Bytes that a local APIC decodes.
    pub const LAPIC_BYTES: u64 = 0x1000;
    /// Where the firmware flash ends the first 4 GiB; reserved, although direct boot has no firmware.
    pub const FLASH_BASE: u64 = 0xffc0_0000;
    /// Bytes reserved for the flash.
    pub const FLASH_BYTES: u64 = 0x40_0000;
}

/// I/O ports.
pub mod port {
    /// Master 8259A, two ports.
    pub const PIC_MASTER: u16 = 0x20;
    /// Slave 8259A, two ports.
    pub const PIC_SLAVE: u16 = 0xa0;
    /// Edge/level control of both 8259As, two ports.
    pub const ELCR: u16 = 0x4d0;
    /// 8254 timer, four ports.
    pub const PIT: u16 = 0x40;
    /// Gate of the timer's channel 2, speaker, refresh toggle.
    pub const PORT_B: u16 = 0x61;
    /// i8042 data.
    pub const KEYBOARD_DATA: u16 = 0x60;
    /// i8042 command and status.
    pub const KEYBOARD_COMMAND: u16 = 0x64;
    /// MC146818 index; the data port follows.
    pub const RTC: u16 = 0x70;
    /// POST code.
    pub const POST: u16 = 0x80;
    /// System control port A: A20 and fast reset.
    pub const FAST_A20: u16 = 0x92;
    /// Debug console, present on request.
    pub const DEBUG_CONSOLE: u16 = 0xe9;
    /// First serial port, eight ports.
    pub const COM1: u16 = 0x3f8;
    /// Ports of a serial port.
    pub const COM1_PORTS: u64 = 8;
    /// ACPI power-management block.
    pub const PM_BASE: u16 = 0x600;
    /// Ports of the power-management block.
    pub const PM_PORTS: u16 = 0x40;
    /// PM1a event block (status and enable, 2 bytes each).
    pub const PM1A_EVENT: u16 = PM_BASE;
    /// PM1a control block (2 bytes).
    pub const PM1A_CONTROL: u16 = PM_BASE + 4;
    /// Power-management timer (4 bytes).
    pub const PM_TIMER: u16 = PM_BASE + 8;
    /// General-purpose event block 0 (status, then enable).
    pub const GPE0: u16 = PM_BASE + 0x20;
    /// Registers of PCI slots whose functions come and go.
    pub const PCI_HOTPLUG: u16 = PM_BASE + PM_PORTS;
    /// PCI configuration address.
    pub const PCI_ADDRESS: u16 = 0xcf8;
    /// PCI configuration data, four ports.
    pub const PCI_DATA: u16 = 0xcfc;
    /// Reset control: a byte inside the configuration address, which only four-byte accesses reach.
    pub const RESET_CONTROL: u16 = 0xcf9;
    /// First port that PCI devices may take for I/O BARs.
    pub const PCI_WINDOW_BASE: u16 = 0x1000;
}

/// ISA interrupt lines. IRQ n reaches input n of the 8259 pair and of the I/O APIC, but for the timer (see
/// [`gsi::TIMER`]).
pub mod irq {
    /// 8254 channel 0 (or the HPET in its place).
    pub const TIMER: u8 = 0;
    /// Keyboard.
    pub const KEYBOARD: u8 = 1;
    /// The slave 8259A's output, on the master.
    pub const CASCADE: u8 = 2;
    /// First serial port.
    pub const COM1: u8 = 4;
    /// Real-time clock (or the HPET in its place).
    pub const RTC: u8 = 8;
    /// ACPI's system control interrupt, level, active high.
    pub const SCI: u8 = 9;
    /// Coprocessor error.
    pub const FPU: u8 = 13;
}

/// Global system interrupts: inputs of the I/O APIC.
pub mod gsi {
    /// The ISA timer's input.
    pub const TIMER: u32 = 2;
    /// Input of PCI interrupt line A; B to H follow.
    pub const PIRQ_A: u32 = 16;
}

/// ACPI's general-purpose event that tells of a change in a PCI slot.
pub const GPE_PCI_HOTPLUG: u8 = 1;

/// Slots of the PCI root.
pub mod slot {
    /// Memory controller hub.
    pub const HOST_BRIDGE: u8 = 0;
    /// virtio entropy device.
    pub const RNG: u8 = 1;
    /// virtio console, present on request.
    pub const CONSOLE: u8 = 2;
    /// Slots for disks and other devices, which may come and go while the machine runs.
    pub const HOT: std::ops::RangeInclusive<u8> = 3..=30;
    /// Slots for network cards, in order: those where VirtualBox has its, so that guests call the first one enp0s3.
    pub const NICS: [u8; 8] = [3, 8, 9, 10, 16, 17, 18, 19];
    /// The bridge to the ISA chips, and the AHCI controller beside it.
    pub const LPC_BRIDGE: u8 = 31;
    /// The function of the AHCI controller in that slot.
    pub const AHCI_FUNCTION: u8 = 2;
}

/// What the machine puts into guest RAM below 1 MiB before the guest starts.
pub mod low {
    /// Global descriptor table of the boot state.
    pub const GDT: u64 = 0x500;
    /// `hvm_start_info` of PVH, or the Multiboot information; at most a page.
    pub const START_INFO: u64 = 0x6000;
    /// `boot_params` of Linux, one page.
    pub const ZERO_PAGE: u64 = 0x7000;
    /// Page tables of the 64-bit entry: PML4, PDPT and four page directories.
    pub const PAGE_TABLES: u64 = 0x9000;
    /// Kernel command line with its terminating zero.
    pub const CMDLINE: u64 = 0x2_0000;
    /// Bytes for the command line.
    pub const CMDLINE_BYTES: u64 = 0x1_0000;
    /// One past the last byte of conventional memory.
    pub const CONVENTIONAL_END: u64 = 0x9_fc00;
    /// Legacy video memory; no RAM is reported there.
    pub const VIDEO: u64 = 0xa_0000;
    /// Where a PC's read-only area begins that is searched for the RSDP (ACPI 6.5 §5.2.5.1); all ACPI tables lie in it.
    pub const ACPI: u64 = 0xe_0000;
    /// Bytes for the ACPI tables.
    pub const ACPI_BYTES: u64 = 0x2_0000;
    /// Where extended memory begins: the lowest address that a kernel may be loaded to.
    pub const EXTENDED: u64 = 0x10_0000;
}

/// Identification of the I/O APIC in its own register and in the MADT.
pub const IOAPIC_ID: u8 = 0;
