//! What lies where in the guest's physical address space, as firmware would report it (ACPI 6.5 §15, E820).
use platform::RamLayout;
use platform::ram::HIGH_RAM_START;

use crate::board::{low, mmio};

/// What a range may be used for. The values are those of E820 and of PVH, which agree on these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// For the guest's own use.
    Ram = 1,
    /// Devices, or memory that the guest must leave alone.
    Reserved = 2,
}

/// One range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First address.
    pub start: u64,
    /// Bytes.
    pub length: u64,
    /// Use.
    pub kind: Kind,
}

impl Range {
    const fn new(start: u64, end: u64, kind: Kind) -> Self {
        Self { start, length: end - start, kind }
    }
    /// One past the last byte.
    pub const fn end(&self) -> u64 {
        self.start + self.length
    }
}

/// The ranges of a machine with this RAM, in rising order and without overlap.
pub fn memory_map(ram: RamLayout) -> Vec<Range> {
    let mut map = vec![
        Range::new(0, low::CONVENTIONAL_END, Kind::Ram),
        Range::new(low::CONVENTIONAL_END, low::VIDEO, Kind::Reserved),
        Range::new(low::ACPI, low::EXTENDED, Kind::Reserved),
        Range::new(low::EXTENDED, ram.low, Kind::Ram),
        Range::new(mmio::ECAM_BASE, mmio::ECAM_BASE + mmio::ECAM_BYTES, Kind::Reserved),
        Range::new(mmio::IOAPIC_BASE, mmio::IOAPIC_BASE + mmio::IOAPIC_BYTES, Kind::Reserved),
        Range::new(mmio::HPET_BASE, mmio::HPET_BASE + 0x1000, Kind::Reserved),
        Range::new(mmio::LAPIC_BASE, mmio::LAPIC_BASE + mmio::LAPIC_BYTES, Kind::Reserved),
        Range::new(mmio::FLASH_BASE, mmio::FLASH_BASE + mmio::FLASH_BYTES, Kind::Reserved),
    ];
    if ram.high > 0 {
        map.push(Range::new(HIGH_RAM_START, HIGH_RAM_START + ram.high, Kind::Ram));
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::ram::LOW_RAM_LIMIT;

    fn ram_bytes(size: u64) -> u64 {
        memory_map(RamLayout::of_size(size)).iter().filter(|r| r.kind == Kind::Ram).map(|r| r.length).sum()
    }

    #[test]
    fn ranges_rise_and_do_not_overlap() {
        for size in [64 << 20, 3 << 30, (3 << 30) + 4096, 8 << 30, 16 << 30] {
            let map = memory_map(RamLayout::of_size(size));
            assert!(map.windows(2).all(|pair| pair[0].end() <= pair[1].start), "{size:#x}: {map:x?}");
            assert!(map.iter().all(|range| range.length > 0));
        }
    }

    #[test]
    fn all_ram_but_the_legacy_area_is_reported() {
        let legacy = low::EXTENDED - low::CONVENTIONAL_END;
        for size in [64 << 20, 3 << 30, 8 << 30] {
            assert_eq!(ram_bytes(size), size - legacy);
        }
    }

    #[test]
    fn ram_is_only_reported_where_ram_is() {
        let layout = RamLayout::of_size(8 << 30);
        for range in memory_map(layout).iter().filter(|range| range.kind == Kind::Ram) {
            assert!(layout.contains(x86::Gpa(range.start), range.length), "{range:x?}");
        }
    }

    #[test]
    fn devices_lie_in_the_hole() {
        for (base, length) in [
            (mmio::PCI_WINDOW_BASE, mmio::PCI_WINDOW_BYTES),
            (mmio::ECAM_BASE, mmio::ECAM_BYTES),
            (mmio::LAPIC_BASE, mmio::LAPIC_BYTES),
        ] {
            assert!(base >= LOW_RAM_LIMIT && base + length <= HIGH_RAM_START);
        }
        assert_eq!(mmio::PCI_WINDOW_BASE + mmio::PCI_WINDOW_BYTES, mmio::ECAM_BASE);
        const { assert!(mmio::ECAM_BASE + mmio::ECAM_BYTES <= mmio::IOAPIC_BASE) };
    }
}
