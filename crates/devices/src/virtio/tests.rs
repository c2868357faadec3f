use std::sync::Arc;

use parking_lot::Mutex;
use platform::{Device, GuestRam, IrqLine, IrqSink, MsiSink, Region, device};
use x86::Gpa;

use super::rng::{Entropy, VirtioRng};
use super::transport::VirtioPci;
use crate::pci::PciFunction;

mod any_driver;
pub mod board;

/// Counts, so that tests can tell what they got.
struct Counting(u8);

impl Entropy for Counting {
    fn fill(&mut self, bytes: &mut [u8]) -> std::io::Result<()> {
        for byte in bytes {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
        Ok(())
    }
}

#[derive(Default)]
pub struct Wires {
    pub high: Mutex<bool>,
    pub messages: Mutex<Vec<u32>>,
}

impl IrqSink for Wires {
    fn set_level(&self, _line: u32, high: bool) {
        *self.high.lock() = high;
    }
}

impl MsiSink for Wires {
    fn send(&self, _address: u64, data: u32) {
        self.messages.lock().push(data);
    }
}

const DESCRIPTORS: u64 = 0x1000;
const AVAILABLE: u64 = 0x2000;
const USED: u64 = 0x3000;
const BUFFER: u64 = 0x8000;
const WRITE: u16 = 2;
const VERSION_1: u64 = 1 << 32;
const EVENT_IDX: u64 = 1 << 29;

/// A driver of the entropy device, in small steps.
struct Driver {
    ram: GuestRam,
    wires: Arc<Wires>,
    function: Arc<Mutex<VirtioPci<VirtioRng<Counting>>>>,
    given: u16,
}

impl Driver {
    fn new() -> Self {
        let ram = GuestRam::new(1 << 20).unwrap();
        let wires = Arc::<Wires>::default();
        let line = IrqLine::new(0, Arc::<Wires>::clone(&wires));
        let device = VirtioRng::new(Counting(0));
        let function = VirtioPci::new(device, ram.clone(), line, Arc::<Wires>::clone(&wires));
        Self { ram, wires, function, given: 0 }
    }
    /// With features negotiated, the queue at its place, and the driver ready.
    fn ready(features: u64) -> Self {
        let mut driver = Self::new();
        driver.function.lock().write_config(4, &[6, 0]);
        driver.start(features);
        driver
    }
    fn start(&mut self, features: u64) {
        self.write(0x14, 1, 0);
        self.write(0x14, 1, 3);
        for half in 0..2 {
            self.write(8, 4, half);
            self.write(0xc, 4, features >> (half * 32) & 0xffff_ffff);
        }
        self.write(0x14, 1, 0xb);
        self.write(0x18, 2, 8);
        for (register, address) in [(0x20, DESCRIPTORS), (0x28, AVAILABLE), (0x30, USED)] {
            self.write(register, 4, address);
            self.write(register + 4, 4, 0);
        }
        self.write(0x1c, 2, 1);
        self.write(0x14, 1, 0xf);
    }
    fn read(&mut self, offset: u64, length: usize) -> u64 {
        let mut data = [0xff; 8];
        self.function.lock().read(Region(0), offset, &mut data[..length]);
        device::get_register(&data[..length])
    }
    fn write(&mut self, offset: u64, length: usize, value: u64) {
        self.function.lock().write(Region(0), offset, &value.to_le_bytes()[..length]);
    }
    fn poke(&self, address: u64, bytes: &[u8]) {
        self.ram.write(Gpa(address), bytes).unwrap();
    }
    fn peek<const N: usize>(&self, address: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.ram.read(Gpa(address), &mut bytes).unwrap();
        bytes
    }
    fn describe(&self, index: u64, address: u64, length: u32, flags: u16, next: u16) {
        let at = DESCRIPTORS + index * 16;
        self.poke(at, &address.to_le_bytes());
        self.poke(at + 8, &length.to_le_bytes());
        self.poke(at + 12, &flags.to_le_bytes());
        self.poke(at + 14, &next.to_le_bytes());
    }
    /// Makes a chain available and notifies.
    fn give(&mut self, head: u16) {
        self.poke(AVAILABLE + 4 + u64::from(self.given % 8) * 2, &head.to_le_bytes());
        self.given = self.given.wrapping_add(1);
        self.poke(AVAILABLE + 2, &self.given.to_le_bytes());
        self.write(0x3000, 2, 0);
    }
    fn used_index(&self) -> u16 {
        u16::from_le_bytes(self.peek(USED + 2))
    }
    /// Chain and bytes written, of an entry of the used ring.
    fn used(&self, entry: u64) -> (u32, u32) {
        let at = USED + 4 + entry * 8;
        (u32::from_le_bytes(self.peek(at)), u32::from_le_bytes(self.peek(at + 4)))
    }
    fn is_high(&self) -> bool {
        *self.wires.high.lock()
    }
    fn enable_messages(&mut self) {
        for vector in 0..2_u64 {
            self.function.lock().write(Region(1), vector * 16 + 8, &(0x40 + vector as u32).to_le_bytes());
            self.function.lock().write(Region(1), vector * 16 + 12, &[0; 4]);
        }
        let capability = self.capabilities().into_iter().find(|(id, _)| *id == 0x11).unwrap().1;
        self.function.lock().write_config(u16::from(capability) + 2, &[0, 0x80]);
    }
    /// Identification and offset of each capability.
    fn capabilities(&mut self) -> Vec<(u8, u8)> {
        let mut found = Vec::new();
        let mut at = [0];
        self.function.lock().read_config(0x34, &mut at);
        while at[0] != 0 {
            let mut header = [0; 2];
            self.function.lock().read_config(at[0].into(), &mut header);
            found.push((header[0], at[0]));
            at[0] = header[1];
        }
        found
    }
}

#[test]
fn linux_finds_the_device_and_its_registers() {
    let mut driver = Driver::new();
    let mut identification = [0; 4];
    driver.function.lock().read_config(0, &mut identification);
    assert_eq!(identification, [0xf4, 0x1a, 0x44, 0x10]);
    let mut kinds = Vec::new();
    for (id, at) in driver.capabilities() {
        let mut body = [0; 20];
        driver.function.lock().read_config(at.into(), &mut body);
        if id == 9 {
            kinds.push((body[3], body[4], u32::from_le_bytes([body[8], body[9], body[10], body[11]])));
        }
    }
    assert_eq!(kinds, [(1, 0, 0), (3, 0, 0x1000), (4, 0, 0x2000), (2, 0, 0x3000), (5, 0, 0)]);
    assert_eq!(driver.read(0x12, 2), 1, "one queue");
    assert_eq!(driver.read(0x18, 2), 64);
    driver.write(0x16, 2, 1);
    assert_eq!(driver.read(0x18, 2), 0, "no second queue");
    assert_eq!(driver.read(4, 4), 0x3000_0000);
    driver.write(0, 4, 1);
    assert_eq!(driver.read(4, 4), 0x101, "version 1, and queues that can be reset");
    driver.write(0, 4, 2);
    assert_eq!(driver.read(4, 4), 0);
}

#[test]
fn features_that_were_not_offered_or_are_legacy_are_refused() {
    for features in [VERSION_1 | 1, EVENT_IDX, 0] {
        let mut driver = Driver::ready(features);
        assert_eq!(driver.read(0x14, 1), 3, "neither features nor driver ok: {features:#x}");
        driver.describe(0, BUFFER, 16, WRITE, 0);
        driver.give(0);
        assert_eq!(driver.used_index(), 0);
    }
    let mut driver = Driver::ready(VERSION_1);
    assert_eq!(driver.read(0x14, 1), 0xf);
    driver.write(8, 4, 0);
    driver.write(0xc, 4, EVENT_IDX);
    assert_eq!(driver.read(0xc, 4), 0, "too late");
}

#[test]
fn buffers_come_back_full_and_the_pin_tells() {
    let mut driver = Driver::ready(VERSION_1);
    driver.describe(0, BUFFER, 4, WRITE | 1, 2);
    driver.describe(2, BUFFER + 0x100, 3, WRITE, 0);
    driver.give(0);
    assert_eq!((driver.used_index(), driver.used(0)), (1, (0, 7)));
    assert_eq!(driver.peek::<4>(BUFFER), [1, 2, 3, 4]);
    assert_eq!(driver.peek::<4>(BUFFER + 0x100), [5, 6, 7, 0]);
    assert!(driver.is_high());
    assert_eq!(driver.read(0x1000, 1), 1);
    assert!(!driver.is_high(), "reading the status ends it");
    assert_eq!(driver.read(0x1000, 1), 0);
    driver.poke(AVAILABLE, &[1, 0]);
    driver.give(2);
    assert_eq!((driver.used_index(), driver.used(1)), (2, (2, 3)));
    assert!(!driver.is_high(), "the driver wanted none");
}

#[test]
fn the_disabled_pin_is_quiet_but_its_status_shows() {
    let mut driver = Driver::ready(VERSION_1);
    driver.function.lock().write_config(4, &[6, 4]);
    driver.describe(0, BUFFER, 4, WRITE, 0);
    driver.give(0);
    assert!(!driver.is_high());
    let mut status = [0; 2];
    driver.function.lock().read_config(6, &mut status);
    assert_eq!(status[0] & 8, 8);
    driver.function.lock().write_config(4, &[6, 0]);
    assert!(driver.is_high());
}

#[test]
fn messages_replace_the_pin() {
    let mut driver = Driver::ready(VERSION_1);
    driver.enable_messages();
    driver.write(0x1a, 2, 7);
    assert_eq!(driver.read(0x1a, 2), 0xffff, "no such vector");
    driver.write(0x1a, 2, 1);
    assert_eq!(driver.read(0x1a, 2), 1);
    driver.describe(0, BUFFER, 4, WRITE, 0);
    driver.give(0);
    assert_eq!(*driver.wires.messages.lock(), [0x41]);
    assert!(!driver.is_high());
}

#[test]
fn with_event_index_only_the_asked_for_entry_interrupts() {
    let mut driver = Driver::ready(VERSION_1 | EVENT_IDX);
    driver.poke(AVAILABLE + 4 + 16, &1_u16.to_le_bytes());
    driver.describe(0, BUFFER, 4, WRITE, 0);
    driver.give(0);
    assert!(!driver.is_high());
    assert_eq!(u16::from_le_bytes(driver.peek(USED + 4 + 64)), 1, "notify me of the next");
    driver.give(0);
    assert!(driver.is_high());
}

#[test]
fn a_malformed_queue_stops_the_device_until_reset() {
    let breakages: [fn(&mut Driver); 4] = [
        |driver| driver.poke(AVAILABLE + 2, &0x100_u16.to_le_bytes()),
        |driver| driver.describe(0, 0xffff_ffff_ffff_fff0, 0x100, WRITE, 0),
        |driver| driver.describe(0, 0x10_0000 - 8, 16, WRITE, 0),
        |driver| driver.poke(AVAILABLE + 4, &8_u16.to_le_bytes()),
    ];
    for (number, breakage) in breakages.into_iter().enumerate() {
        let mut driver = Driver::ready(VERSION_1);
        driver.enable_messages();
        driver.write(0x10, 2, 0);
        driver.describe(0, BUFFER, 4, WRITE, 0);
        driver.poke(AVAILABLE + 2, &1_u16.to_le_bytes());
        breakage(&mut driver);
        driver.write(0x3000, 2, 0);
        assert_eq!(driver.read(0x14, 1), 0x4f, "breakage {number}");
        assert_eq!(*driver.wires.messages.lock(), [0x40], "configuration change");
        driver.poke(AVAILABLE + 2, &[0; 2]);
        driver.start(VERSION_1);
        driver.given = 0;
        driver.describe(0, BUFFER, 4, WRITE, 0);
        driver.give(0);
        assert_eq!(driver.used_index(), 1, "works again after reset");
    }
}

#[test]
fn rings_outside_memory_are_refused_when_enabled() {
    let mut driver = Driver::new();
    driver.write(0x14, 1, 3);
    driver.write(0x20, 4, 0xffff_fff0);
    driver.write(0x24, 4, 0xffff_ffff);
    driver.write(0x1c, 2, 1);
    assert_eq!(driver.read(0x1c, 2), 0);
    assert_eq!(driver.read(0x14, 1), 0x43);
}

#[test]
fn a_loop_of_descriptors_ends() {
    let mut driver = Driver::ready(VERSION_1);
    driver.describe(0, BUFFER, 1, WRITE | 1, 1);
    driver.describe(1, BUFFER, 1, WRITE | 1, 0);
    driver.give(0);
    assert_eq!((driver.used_index(), driver.read(0x14, 1)), (0, 0x4f));
}

#[test]
fn registers_can_be_reached_through_configuration_space() {
    let mut driver = Driver::new();
    let access = u16::from(driver.capabilities()[4].1);
    driver.function.lock().write_config(access + 4, &[0]);
    driver.function.lock().write_config(access + 8, &0x12_u32.to_le_bytes());
    driver.function.lock().write_config(access + 12, &2_u32.to_le_bytes());
    let mut data = [0; 2];
    driver.function.lock().read_config(access + 16, &mut data);
    assert_eq!(data, [1, 0], "number of queues");
    driver.function.lock().write_config(access + 8, &0x14_u32.to_le_bytes());
    driver.function.lock().write_config(access + 12, &1_u32.to_le_bytes());
    driver.function.lock().write_config(access + 16, &[3]);
    assert_eq!(driver.read(0x14, 1), 3);
    driver.function.lock().write_config(access + 4, &[9]);
    driver.function.lock().write_config(access + 16, &[0]);
    assert_eq!(driver.read(0x14, 1), 3, "no such window");
}

#[test]
fn a_saved_function_goes_on_where_it_was() {
    let mut driver = Driver::ready(VERSION_1 | EVENT_IDX);
    driver.describe(0, BUFFER, 4, WRITE, 0);
    driver.give(0);
    let saved = driver.function.lock().save();
    driver.function.lock().reset();
    assert_eq!(driver.read(0x14, 1), 0);
    assert!(!driver.is_high());
    driver.function.lock().restore(&saved).unwrap();
    assert!(driver.is_high());
    driver.give(0);
    assert_eq!((driver.used_index(), driver.used(1)), (2, (0, 4)));
    let again = driver.function.lock().save();
    assert_eq!(driver.function.lock().save(), again);
}

proptest::proptest! {
    #[test]
    fn any_driver_is_harmless(
        accesses in proptest::collection::vec((0_usize..5, 0_u64..0x40, 0_usize..4, 0_u64..), 1..300),
        rings in proptest::collection::vec(0_u8.., 0x100)
    ) {
        let mut driver = Driver::ready(VERSION_1 | EVENT_IDX);
        for (position, byte) in rings.iter().enumerate() {
            let ring = [DESCRIPTORS, AVAILABLE][position % 2];
            driver.poke(ring + position as u64 / 2, &[*byte]);
        }
        driver.write(0x3000, 2, 0);
        for (place, offset, length, value) in accesses {
            let length = [1, 2, 4, 8][length];
            match place {
                0 => driver.write(offset, length, value),
                1 => driver.write(0x3000 + offset, length, value),
                2 => driver.function.lock().write(Region(1), offset, &value.to_le_bytes()[..length]),
                3 => driver.function.lock().write_config(0x40 + offset as u16 * 2, &value.to_le_bytes()[..length]),
                _ => {
                    driver.read(offset * 0x100, length);
                }
            }
        }
        driver.start(VERSION_1);
        proptest::prop_assert_eq!(driver.read(0x14, 1) & 0xf, 0xf);
    }
}
