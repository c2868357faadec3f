use std::sync::Arc;

use parking_lot::Mutex;
use platform::net::{FrameHeader, Mac, NetCard, NetPort, Offloads, Segmentation};
use platform::{Device, GuestRam, IrqLine, IrqSink, Region, device};
use x86::Gpa;

use super::{E1000, E1000Options, card, checksum};
use crate::manual_port::ManualPort;
use crate::pci::PciFunction;

mod hostile;
mod receive;
mod send;

const OWN: Mac = Mac([0x52, 0x54, 0, 1, 2, 3]);
const RX_RING: u64 = 0x1000;
const TX_RING: u64 = 0x2000;
const BUFFERS: u64 = 0x1_0000;
/// Descriptors of each ring.
const COUNT: u32 = 16;

#[derive(Default)]
struct Pin(Mutex<bool>);

impl IrqSink for Pin {
    fn set_level(&self, _line: u32, high: bool) {
        *self.0.lock() = high;
    }
}

/// A controller with its driver and the other end of its cable.
struct Bench {
    ram: GuestRam,
    port: Arc<ManualPort>,
    pin: Arc<Pin>,
    function: Arc<Mutex<E1000>>,
    card: Arc<dyn NetCard>,
    tail: u32,
}

impl Bench {
    /// As after power-on, but for configuration space.
    fn new() -> Self {
        let ram = GuestRam::new(1 << 20).unwrap();
        let (port, pin) = (ManualPort::new(), Arc::<Pin>::default());
        let cable: Arc<dyn NetPort> = Arc::<ManualPort>::clone(&port);
        let line = IrqLine::new(0, Arc::<Pin>::clone(&pin));
        let function = E1000::new(cable, E1000Options { mac: OWN }, ram.clone(), line);
        function.lock().write_config(4, &[7, 0]);
        let card = card(&function);
        Self { ram, port, pin, function, card, tail: 0 }
    }
    /// With rings, receiving and sending.
    fn started() -> Self {
        let mut bench = Self::new();
        bench.start();
        bench
    }
    fn start(&mut self) {
        for (ring, base) in [(0x2800, RX_RING), (0x3800, TX_RING)] {
            self.write(ring, base as u32);
            self.write(ring + 4, 0);
            self.write(ring + 8, COUNT * 16);
            self.write(ring + 0x10, 0);
            self.write(ring + 0x18, 0);
        }
        self.tail = 0;
        for number in 0..u64::from(COUNT) {
            self.poke(RX_RING + number * 16, &(BUFFERS + number * 0x1000).to_le_bytes());
            self.poke(RX_RING + number * 16 + 8, &[0; 8]);
        }
        self.write(0x2818, COUNT - 1);
        self.write(0x100, 1 << 1 | 1 << 15);
        self.write(0x400, 1 << 1);
        self.write(0xd0, 0x9f);
    }
    fn read(&mut self, register: u64) -> u32 {
        let mut data = [0xff; 4];
        self.function.lock().read(Region(0), register, &mut data);
        device::get_register(&data) as u32
    }
    fn write(&mut self, register: u64, value: u32) {
        self.function.lock().write(Region(0), register, &value.to_le_bytes());
    }
    fn poke(&self, address: u64, bytes: &[u8]) {
        self.ram.write(Gpa(address), bytes).unwrap();
    }
    fn peek(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.ram.read(Gpa(address), &mut bytes).unwrap();
        bytes
    }
    /// Adds a transmit descriptor: its two halves.
    fn describe(&mut self, low: u64, high: u64) {
        let at = TX_RING + u64::from(self.tail) * 16;
        self.poke(at, &low.to_le_bytes());
        self.poke(at + 8, &high.to_le_bytes());
        self.tail = (self.tail + 1) % COUNT;
    }
    fn go(&mut self) {
        let tail = self.tail;
        self.write(0x3818, tail);
    }
    fn arrive(&mut self, header: FrameHeader, frame: &[u8]) {
        self.port.push(header, frame);
        self.card.frames_wait();
    }
    /// Length, status and tag of a receive descriptor.
    fn received(&self, number: u64) -> (u16, u8, u16) {
        let result = self.peek(RX_RING + number * 16 + 8, 8);
        let word = |at: usize| u16::from_le_bytes([result[at], result[at + 1]]);
        (word(0), result[4], word(6))
    }
    fn is_high(&self) -> bool {
        *self.pin.0.lock()
    }
}

/// A frame from somewhere.
fn frame_to(to: Mac, length: usize) -> Vec<u8> {
    let mut frame = to.0.to_vec();
    frame.extend([2, 0, 0, 0, 0, 9, 8, 0]);
    frame.extend((frame.len()..length).map(|at| at as u8));
    frame
}

fn plain() -> FrameHeader {
    FrameHeader::default()
}

#[test]
fn the_eeprom_is_read_bit_by_bit_and_by_register() {
    let mut bench = Bench::new();
    let mut sum = 0_u16;
    for address in 0..64_u32 {
        bench.write(0x10, 1 << 6 | 2);
        let clock = |bench: &mut Bench, bit: u32| {
            bench.write(0x10, 2 | bit << 2);
            bench.write(0x10, 2 | bit << 2 | 1);
            bench.write(0x10, 2 | bit << 2);
        };
        for bit in (0..9).rev() {
            clock(&mut bench, (0b110 << 6 | address) >> bit & 1);
        }
        let mut word = 0;
        for _ in 0..16 {
            clock(&mut bench, 0);
            word = word << 1 | (bench.read(0x10) >> 3 & 1) as u16;
        }
        bench.write(0x10, 0);
        bench.write(0x14, address << 8 | 1);
        assert_eq!(bench.read(0x14), u32::from(word) << 16 | address << 8 | 0x10, "word {address}");
        sum = sum.wrapping_add(word);
        if address < 3 {
            assert_eq!(word.to_le_bytes(), OWN.0[address as usize * 2..][..2]);
        }
    }
    assert_eq!(sum, 0xbaba);
}

#[test]
fn the_phy_tells_of_itself_and_the_link() {
    let mut bench = Bench::new();
    let read = |bench: &mut Bench, register: u32| {
        bench.write(0x20, 2 << 26 | 1 << 21 | register << 16);
        let value = bench.read(0x20);
        assert_eq!(value >> 28 & 5, 1, "ready, no error");
        value as u16
    };
    assert_eq!((read(&mut bench, 2), read(&mut bench, 3)), (0x0141, 0x0c20));
    assert_eq!(read(&mut bench, 1) & 0x24, 0x24);
    assert_eq!(bench.read(8) & 0x83, 0x83);
    bench.write(0xd0, 4);
    bench.card.link_changed(false, false);
    assert!(bench.is_high());
    assert_eq!((bench.read(0xc0), bench.is_high()), (4, false));
    assert_eq!(read(&mut bench, 1) & 0x24, 0);
    assert_eq!(bench.read(8) & 2, 0);
    bench.write(0x20, 2 << 26 | 2 << 21 | 2 << 16);
    assert_ne!(bench.read(0x20) & 1 << 30, 0, "no such phy");
}

#[test]
fn registers_are_reached_over_ports() {
    let mut bench = Bench::new();
    let mut function = bench.function.lock();
    function.write(Region(1), 0, &0x5400_u32.to_le_bytes());
    let mut data = [0; 4];
    function.read(Region(1), 4, &mut data);
    assert_eq!(data, OWN.0[..4]);
    function.write(Region(1), 4, &[9, 8, 7, 6]);
    drop(function);
    assert_eq!(bench.read(0x5400), 0x0607_0809);
    bench.write(0, 1 << 26);
    assert_eq!(bench.read(0x5400), 0x0100_5452, "the eeprom's again");
}
