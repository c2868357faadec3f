//! A function with a driver for each of its queues, for the tests of devices.
use std::sync::Arc;

use parking_lot::Mutex;
use platform::{Device, GuestRam, IrqLine, Region, device};
use x86::Gpa;

use super::Wires;
use crate::pci::PciFunction;
use crate::virtio::ring::driver::{Driver, Form, QUEUE_BYTES, driver, place_at};
use crate::virtio::ring::{RingKind, Segment};
use crate::virtio::{VirtioDevice, VirtioPci};

const QUEUES: u64 = 0x10_0000;
const QUEUE_SIZE: u16 = 32;
const VERSION_1: u64 = 1 << 32;

/// A machine with nothing but a virtio function.
pub struct Board<D> {
    pub ram: GuestRam,
    pub wires: Arc<Wires>,
    pub function: Arc<Mutex<VirtioPci<D>>>,
    pub drivers: Vec<Box<dyn Driver>>,
}

impl<D: VirtioDevice + 'static> Board<D> {
    /// After power-on.
    pub fn new(device: D) -> Self {
        let ram = GuestRam::new(4 << 20).unwrap();
        let wires = Arc::<Wires>::default();
        let line = IrqLine::new(0, Arc::<Wires>::clone(&wires));
        let function = VirtioPci::new(device, ram.clone(), line, Arc::<Wires>::clone(&wires));
        function.lock().write_config(4, &[6, 0]);
        Self { ram, wires, function, drivers: Vec::new() }
    }
    /// With these features and all queues in use.
    pub fn started(device: D, kind: RingKind, features: u64) -> Self {
        let mut board = Self::new(device);
        board.start(kind, features);
        board
    }
    pub fn start(&mut self, kind: RingKind, features: u64) {
        let features = features
            | VERSION_1
            | if kind.event_idx { 1 << 29 } else { 0 }
            | if kind.packed { 1 << 34 } else { 0 };
        self.write(0x14, 1, 0);
        self.write(0x14, 1, 3);
        for half in 0..2 {
            self.write(8, 4, half);
            self.write(0xc, 4, features >> (half * 32) & 0xffff_ffff);
        }
        self.write(0x14, 1, 0xb);
        assert_eq!(self.read(0x14, 1), 0xb, "features are accepted");
        let queues = self.read(0x12, 2);
        self.drivers = (0..queues).map(|queue| self.enable(queue, kind)).collect();
        self.write(0x14, 1, 0xf);
    }
    /// Takes a queue into use.
    pub fn enable(&mut self, queue: u64, kind: RingKind) -> Box<dyn Driver> {
        let place = place_at(QUEUES + queue * QUEUE_BYTES, QUEUE_SIZE);
        let driver = driver(&self.ram, place, kind);
        self.write(0x16, 2, queue);
        self.write(0x18, 2, QUEUE_SIZE.into());
        self.write(0x20, 8, place.descriptors);
        self.write(0x28, 8, place.driver);
        self.write(0x30, 8, place.device);
        self.write(0x1c, 2, 1);
        assert_eq!(self.read(0x1c, 2), 1);
        driver
    }
    pub fn read(&mut self, offset: u64, length: usize) -> u64 {
        let mut data = [0xff; 8];
        self.function.lock().read(Region(0), offset, &mut data[..length]);
        device::get_register(&data[..length])
    }
    pub fn write(&mut self, offset: u64, length: usize, value: u64) {
        self.function.lock().write(Region(0), offset, &value.to_le_bytes()[..length]);
    }
    /// The device's own configuration.
    pub fn config(&mut self, offset: u64, length: usize) -> u64 {
        self.read(0x2000 + offset, length)
    }
    /// Gives a chain and notifies.
    pub fn give(&mut self, queue: usize, readable: &[Segment], writable: &[Segment], form: Form) -> u16 {
        let id = self.drivers[queue].add(readable, writable, form).expect("room in the queue");
        self.notify(queue);
        id
    }
    pub fn notify(&mut self, queue: usize) {
        self.write(0x3000 + queue as u64 * 4, 2, queue as u64);
    }
    pub fn used(&mut self, queue: usize) -> Option<(u16, u32)> {
        self.drivers[queue].used()
    }
    /// Whether the pin was high; it falls.
    pub fn interrupted(&mut self) -> bool {
        let was_high = *self.wires.high.lock();
        self.read(0x1000, 1);
        was_high
    }
    pub fn poke(&self, address: u64, bytes: &[u8]) {
        self.ram.write(Gpa(address), bytes).unwrap();
    }
    pub fn peek(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.ram.read(Gpa(address), &mut bytes).unwrap();
        bytes
    }
}
