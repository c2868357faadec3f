use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use platform::{
    Device, DiskError, DiskOperation, DiskPort, GuestRam, IrqLine, IrqSink, MsiSink, Region, device,
};
use x86::Gpa;

use super::*;
use crate::ata::Identity;
use crate::memory_disk::MemoryDisk;
use crate::pci::PciFunction;

mod disk;
mod hostile;
mod link;
mod packet;
mod queue;
mod threads;

const LENGTH: u64 = 4 << 20;
/// Where the driver has its command list, received frames, tables, and data.
const LIST: u64 = 0x1_0000;
const RECEIVED: u64 = 0x1_1000;
const TABLES: u64 = 0x2_0000;
const TABLE_BYTES: u64 = 0x400;
const DATA: u64 = 0x10_0000;

#[derive(Default)]
struct Wires {
    high: Mutex<bool>,
    messages: Mutex<Vec<(u64, u32)>>,
}

impl IrqSink for Wires {
    fn set_level(&self, _line: u32, high: bool) {
        *self.high.lock() = high;
    }
}

impl MsiSink for Wires {
    fn send(&self, address: u64, data: u32) {
        self.messages.lock().push((address, data));
    }
}

fn identity() -> Identity {
    let text = |text: &str| text.to_owned();
    Identity { model: text("GASANG HARDDISK"), firmware: text("1.0"), serial: text("S123") }
}

/// A command as a driver writes it into a slot.
#[derive(Clone, Default)]
struct Slot {
    command: u8,
    features: u16,
    count: u16,
    lba: u64,
    device: u8,
    /// Device control; the frame is no command if it is there.
    control: Option<u8>,
    packet: Option<Vec<u8>>,
    writes: bool,
    /// Address and length of each piece of data.
    data: Vec<(u64, u32)>,
}

impl Slot {
    fn of(command: u8) -> Self {
        Self { command, device: 0x40, ..Self::default() }
    }
    fn blocks(command: u8, lba: u64, count: u16) -> Self {
        Self { lba, count, data: vec![(DATA, u32::from(count) * 512)], ..Self::of(command) }
    }
    fn queued(command: u8, tag: u16, lba: u64, count: u16) -> Self {
        Self { features: count, count: tag << 3, ..Self::blocks(command, lba, count) }
            .at(DATA + u64::from(tag) * 0x1_0000)
    }
    fn at(mut self, address: u64) -> Self {
        self.data.iter_mut().for_each(|piece| piece.0 = address);
        self
    }
    fn packet(cdb: &[u8], room: u32) -> Self {
        let data = if room > 0 { vec![(DATA, room)] } else { Vec::new() };
        Self { features: 1, packet: Some(cdb.to_vec()), data, ..Self::of(0xa0) }
    }
    fn control(control: u8) -> Self {
        Self { control: Some(control), ..Self::default() }
    }
}

/// A driver of port 0, in small steps.
struct Driver {
    ram: GuestRam,
    wires: Arc<Wires>,
    ahci: Arc<Mutex<Ahci>>,
    disk: Arc<MemoryDisk>,
}

impl Driver {
    fn new() -> Self {
        let ram = GuestRam::new(64 << 20).unwrap();
        let wires = Arc::<Wires>::default();
        let line = IrqLine::new(0, Arc::<Wires>::clone(&wires));
        let ahci = Ahci::new(&ram, line, Arc::<Wires>::clone(&wires));
        let driver = Self { ram, wires, ahci, disk: MemoryDisk::new(LENGTH) };
        driver.ahci.lock().write_config(4, &[6, 0]);
        driver
    }
    fn port(&self) -> Arc<dyn DiskPort> {
        Arc::<MemoryDisk>::clone(&self.disk)
    }
    fn with_disk() -> Self {
        let driver = Self::new();
        driver.ahci.lock().attach_disk(0, identity(), driver.port()).unwrap();
        driver.start();
        driver
    }
    fn with_cdrom() -> Self {
        let driver = Self::new();
        driver.ahci.lock().attach_cdrom(0, identity(), Some(driver.port())).unwrap();
        driver.start();
        driver
    }
    /// Receives frames, starts the list, and turns interrupts on.
    fn start(&self) {
        self.set(0x04, 1 << 31 | 2);
        for (register, value) in [(0x00, LIST), (0x08, RECEIVED)] {
            self.write(register, value as u32);
            self.write(register + 4, 0);
        }
        self.write(0x30, u32::MAX);
        self.write(0x10, u32::MAX);
        self.write(0x14, u32::MAX);
        self.write(0x18, 0x10);
        self.write(0x18, 0x11);
        self.acknowledge();
    }
    fn stop(&self) {
        self.write(0x18, 0x10);
    }
    fn get(&self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.ahci.lock().read(Region(5), offset, &mut data);
        device::get_register(&data) as u32
    }
    fn set(&self, offset: u64, value: u32) {
        self.ahci.lock().write(Region(5), offset, &value.to_le_bytes());
    }
    /// A register of port 0.
    fn read(&self, register: u64) -> u32 {
        self.get(0x100 + register)
    }
    fn write(&self, register: u64, value: u32) {
        self.set(0x100 + register, value);
    }
    fn poke(&self, address: u64, bytes: &[u8]) {
        self.ram.write(Gpa(address), bytes).unwrap();
    }
    fn peek(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.ram.read(Gpa(address), &mut bytes).unwrap();
        bytes
    }
    fn prepare(&self, number: u8, slot: &Slot) {
        let table = TABLES + u64::from(number) * TABLE_BYTES;
        let flags = 5
            | u32::from(slot.packet.is_some()) << 5
            | u32::from(slot.writes) << 6
            | (slot.data.len() as u32) << 16;
        let header = LIST + u64::from(number) * 32;
        self.poke(header, &flags.to_le_bytes());
        self.poke(header + 4, &[0; 4]);
        self.poke(header + 8, &table.to_le_bytes());
        let lba = slot.lba.to_le_bytes();
        let mut frame = [0; 20];
        frame[..4].copy_from_slice(&[0x27, 0x80, slot.command, slot.features as u8]);
        frame[4..7].copy_from_slice(&lba[..3]);
        frame[7] = slot.device;
        frame[8..11].copy_from_slice(&lba[3..6]);
        frame[11] = (slot.features >> 8) as u8;
        frame[12..14].copy_from_slice(&slot.count.to_le_bytes());
        if let Some(control) = slot.control {
            (frame[1], frame[15]) = (0, control);
        }
        self.poke(table, &frame);
        if let Some(packet) = &slot.packet {
            self.poke(table + 0x40, packet);
        }
        for (index, (address, length)) in slot.data.iter().enumerate() {
            let at = table + 0x80 + index as u64 * 16;
            self.poke(at, &address.to_le_bytes());
            self.poke(at + 8, &[0; 4]);
            self.poke(at + 12, &(length - 1).to_le_bytes());
        }
    }
    fn issue(&self, number: u8, slot: &Slot) {
        self.prepare(number, slot);
        self.write(0x38, 1 << number);
    }
    /// Issues a queued command.
    fn queue(&self, number: u8, slot: &Slot) {
        self.prepare(number, slot);
        self.write(0x34, 1 << number);
        self.write(0x38, 1 << number);
    }
    /// Does a command to its end; returns interrupt status and task file.
    fn run(&self, slot: &Slot) -> (u32, u32) {
        self.issue(0, slot);
        self.disk.pump();
        (self.acknowledge(), self.read(0x20))
    }
    fn succeeds(&self, slot: &Slot) -> u32 {
        let (interrupts, task_file) = self.run(slot);
        assert_eq!((interrupts & 1 << 30, task_file & 0xff), (0, 0x50), "{:#x}", slot.command);
        assert_eq!(self.read(0x38), 0);
        interrupts
    }
    /// The error of a command that fails; the list is started again.
    fn fails(&self, slot: &Slot) -> u8 {
        let (interrupts, task_file) = self.run(slot);
        assert_eq!((interrupts >> 30 & 1, task_file & 1), (1, 1), "{:#x}", slot.command);
        self.stop();
        self.start();
        (task_file >> 8) as u8
    }
    /// Clears interrupts as drivers do; returns those of the port.
    fn acknowledge(&self) -> u32 {
        let interrupts = self.read(0x10);
        self.write(0x10, interrupts);
        self.set(0x08, u32::MAX);
        interrupts
    }
    fn is_high(&self) -> bool {
        *self.wires.high.lock()
    }
    /// What the disk holds.
    fn on_disk(&self, lba: u64, blocks: u64) -> Vec<u8> {
        self.disk.bytes.lock()[(lba * 512) as usize..((lba + blocks) * 512) as usize].to_vec()
    }
    /// Bytes that a command moved, as its header says.
    fn moved(&self) -> u32 {
        u32::from_le_bytes(self.peek(LIST + 4, 4).try_into().unwrap())
    }
}

#[test]
fn the_function_is_an_ich9_in_ahci_mode() {
    let driver = Driver::new();
    let mut config = [0; 64];
    driver.ahci.lock().read_config(0, &mut config);
    assert_eq!(config[..4], [0x86, 0x80, 0x22, 0x29]);
    assert_eq!((&config[9..12], config[0x3d], config[0x34]), (&[1, 6, 1][..], 1, 0x40));
    assert_eq!(driver.ahci.lock().config().bar(5), Some((crate::pci::BarKind::Memory32, 0x1000)));
}

#[test]
fn generic_registers() {
    let driver = Driver::new();
    assert_eq!((driver.get(0) & 0x1f, driver.get(0) >> 8 & 0x1f, driver.get(0) >> 30), (5, 31, 3));
    assert_eq!((driver.get(0x04), driver.get(0x0c), driver.get(0x10)), (1 << 31, 0x3f, 0x0001_0301));
    // Nothing is beyond the ports.
    assert_eq!(driver.get(0x400), 0);
    driver.set(0x400, u32::MAX);
    // Short accesses and wide ones.
    driver.ahci.lock().write(Region(5), 0x101, &[0x12, 0x34]);
    assert_eq!(driver.read(0), 0x0034_1000 & !0x3ff);
    driver.ahci.lock().write(Region(5), 0x108, &0x0000_0001_2345_6789_u64.to_le_bytes());
    assert_eq!((driver.read(8), driver.read(0xc)), (0x2345_6700, 1));
    let mut wide = [0; 8];
    driver.ahci.lock().read(Region(5), 0x106, &mut wide);
    assert_eq!(wide, [0, 0, 0, 0x67, 0x45, 0x23, 1, 0]);
}

#[test]
fn messages_are_sent_for_news_and_for_what_is_left() {
    let driver = Driver::with_disk();
    driver.ahci.lock().write_config(0x44, &0xfee0_1000_u64.to_le_bytes());
    driver.ahci.lock().write_config(0x4c, &[0x42, 0]);
    driver.ahci.lock().write_config(0x42, &[1, 0]);
    let sent = || driver.wires.messages.lock().len();
    driver.issue(0, &Slot::of(0xe7));
    driver.disk.pump();
    assert_eq!(*driver.wires.messages.lock(), [(0xfee0_1000, 0x42)]);
    assert!(!driver.is_high());
    // Another one before the first was seen is no news; but it is told when only the summary was cleared.
    driver.issue(0, &Slot::of(0xe7));
    driver.disk.pump();
    assert_eq!(sent(), 1);
    driver.set(0x08, 1);
    assert_eq!((sent(), driver.get(0x08)), (2, 1));
    driver.acknowledge();
    assert_eq!((sent(), driver.get(0x08)), (2, 0));
}

#[test]
fn the_pin_follows_the_registers() {
    let driver = Driver::with_disk();
    assert!(!driver.is_high());
    driver.issue(0, &Slot::of(0xe7));
    assert!(!driver.is_high());
    driver.disk.pump();
    assert!(driver.is_high());
    driver.set(0x04, 1 << 31);
    assert!(!driver.is_high());
    driver.set(0x04, 1 << 31 | 2);
    assert!(driver.is_high());
    driver.write(0x10, u32::MAX);
    assert!(driver.is_high(), "the summary is cleared apart");
    driver.set(0x08, 1);
    assert!(!driver.is_high());
}

#[test]
fn nothing_is_done_without_bus_mastering() {
    let driver = Driver::with_disk();
    driver.ahci.lock().write_config(4, &[2, 0]);
    driver.issue(0, &Slot::of(0xe7));
    assert_eq!((driver.disk.waiting(), driver.read(0x38)), (0, 1));
    driver.ahci.lock().write_config(4, &[6, 0]);
    driver.disk.pump();
    assert_eq!(driver.read(0x38), 0);
}

#[test]
fn a_reset_clears_everything() {
    let driver = Driver::with_disk();
    driver.issue(0, &Slot::blocks(0x25, 0, 8));
    driver.ahci.lock().reset();
    driver.disk.pump();
    assert_eq!((driver.read(0), driver.read(0x18) & 0xffff_fff9, driver.get(8)), (0, 0, 0));
    assert!(!driver.is_high());
    assert_eq!(driver.peek(RECEIVED + 0x40, 1), [0x34], "of the greeting");
}

#[test]
fn state_is_saved_with_commands_on_their_way() {
    let driver = Driver::with_disk();
    driver.queue(3, &Slot::queued(0x60, 3, 5, 8));
    driver.queue(7, &Slot::queued(0x61, 7, 900, 2));
    let saved = driver.ahci.lock().save();
    assert_eq!(driver.disk.drains.load(Ordering::Relaxed), 1);
    let other = Driver::new();
    other.ahci.lock().attach_disk(0, identity(), other.port()).unwrap();
    let mut memory = vec![0; 4 << 20];
    driver.ram.read(Gpa(0), &mut memory).unwrap();
    other.poke(0, &memory);
    other.ahci.lock().restore(&saved).unwrap();
    assert_eq!((other.disk.waiting(), other.read(0x34)), (2, 1 << 3 | 1 << 7));
    other.disk.pump();
    assert_eq!((other.read(0x34), other.acknowledge() & 8), (0, 8));
    assert_eq!(other.peek(DATA + 3 * 0x1_0000, 4096), other.on_disk(5, 8));
    // The first one goes on, too.
    driver.disk.pump();
    assert_eq!(driver.read(0x34), 0);
    let empty = Driver::new();
    assert!(empty.ahci.lock().restore(&saved).is_err());
}
