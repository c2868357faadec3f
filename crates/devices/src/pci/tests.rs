use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use platform::{Bus, Device, IrqLine, IrqSink, MsiSink, Region, SavedError, SavedState, device};

use super::*;
use crate::reset_control::ResetControl;

/// A function with ports, memory and messages, whose registers read as the number of the window.
struct Sample {
    config: ConfigSpace,
    msix: Msix,
}

impl Sample {
    fn new(sink: Arc<dyn MsiSink>) -> Self {
        let identity =
            Identity { vendor: 0x1234, device: 0x5678, revision: 1, class: 0xff_0000, subsystem: (1, 2) };
        let mut config = ConfigSpace::new(&identity);
        config.add_bar(0, BarKind::Io, 0x20);
        config.add_bar(1, BarKind::Memory32, 0x1000);
        config.add_bar(2, BarKind::Memory64, 0x1_0000);
        let msix = Msix::new(&mut config, 3, (1, 0), (1, 0x800), sink);
        Self { config, msix }
    }
}

impl Device for Sample {
    fn name(&self) -> &'static str {
        "sample"
    }
    fn reset(&mut self) {
        self.config.reset();
        self.msix.reset();
    }
    fn read(&mut self, region: Region, _offset: u64, data: &mut [u8]) {
        data.fill(region.0 as u8);
    }
    fn save(&self) -> SavedState {
        SavedState::new(1, &(self.config.save(), self.msix.save()))
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        let (config, msix) = saved.take(1)?;
        self.config.restore(&config)?;
        self.msix.restore(msix)
    }
}

impl PciFunction for Sample {
    fn config(&self) -> &ConfigSpace {
        &self.config
    }
    fn write_config(&mut self, register: u16, data: &[u8]) {
        self.config.write(register, data);
        self.msix.config_written(&self.config);
    }
}

#[derive(Default)]
struct Wires {
    messages: Mutex<Vec<(u64, u32)>>,
    levels: Mutex<[bool; 32]>,
    resets: AtomicU32,
}

impl MsiSink for Wires {
    fn send(&self, address: u64, data: u32) {
        self.messages.lock().push((address, data));
    }
}

impl IrqSink for Wires {
    fn set_level(&self, line: u32, high: bool) {
        self.levels.lock()[line as usize] = high;
    }
}

/// A board with the bridges and the sample in slot 3.
struct Bench {
    ports: Arc<Bus>,
    memory: Arc<Bus>,
    wires: Arc<Wires>,
    router: Arc<PirqRouter>,
    sample: Arc<Mutex<Sample>>,
    root: Arc<Mutex<PciRoot>>,
}

const ECAM: u64 = 0xe000_0000;
const SLOT: Address = Address { slot: 3, function: 0 };

impl Bench {
    fn new() -> Self {
        let (ports, memory) = (Arc::new(Bus::of_ports()), Arc::new(Bus::of_memory()));
        let wires = Arc::<Wires>::default();
        let line = |number: usize| IrqLine::new(number as u32, Arc::<Wires>::clone(&wires));
        let outputs = PirqOutputs {
            ioapic: std::array::from_fn(|pirq| line(16 + pirq)),
            pic: std::array::from_fn(line),
        };
        let router = PirqRouter::new(outputs);
        let sample = Arc::new(Mutex::new(Sample::new(Arc::<Wires>::clone(&wires))));
        let count = Arc::clone(&wires);
        let reset = ResetControl::new(Arc::new(move || {
            count.resets.fetch_add(1, Ordering::SeqCst);
        }));
        let mut root = PciRoot::new(&ports, &memory, reset);
        let host = Arc::new(Mutex::new(HostBridge::new(ECAM)));
        let lpc = Arc::new(Mutex::new(LpcBridge::new(0x600, Arc::clone(&router))));
        root.attach(Address { slot: 0, function: 0 }, host).unwrap();
        root.attach(Address { slot: 0x1f, function: 0 }, lpc).unwrap();
        root.attach(SLOT, Arc::clone(&sample)).unwrap();
        let root = Arc::new(Mutex::new(root));
        ports.add(0xcf8, 8, PCI_PORTS_REGION, Arc::<Mutex<PciRoot>>::clone(&root)).unwrap();
        memory.add(ECAM, 256 << 20, ECAM_REGION, Arc::<Mutex<PciRoot>>::clone(&root)).unwrap();
        Self { ports, memory, wires, router, sample, root }
    }
    fn port_read(&self, port: u64, length: usize) -> u64 {
        let mut data = [0; 8];
        self.ports.read(port, &mut data[..length]);
        device::get_register(&data[..length])
    }
    fn port_write(&self, port: u64, length: usize, value: u64) {
        self.ports.write(port, &value.to_le_bytes()[..length]);
    }
    fn memory_read(&self, address: u64, length: usize) -> u64 {
        let mut data = [0; 8];
        self.memory.read(address, &mut data[..length]);
        device::get_register(&data[..length])
    }
    fn config_write(&self, slot: u64, register: u64, length: usize, value: u64) {
        self.memory.write(ECAM + (slot << 15) + register, &value.to_le_bytes()[..length]);
    }
    fn config_read(&self, slot: u64, register: u64, length: usize) -> u64 {
        self.memory_read(ECAM + (slot << 15) + register, length)
    }
}

#[test]
fn linux_finds_configuration_mechanism_1_and_the_bridges() {
    let bench = Bench::new();
    bench.port_write(0xcfb, 1, 1);
    let before = bench.port_read(0xcf8, 4);
    bench.port_write(0xcf8, 4, 0x8000_0000);
    assert_eq!(bench.port_read(0xcf8, 4), 0x8000_0000);
    assert_eq!(bench.port_read(0xcfc, 4), 0x29c0_8086);
    bench.port_write(0xcf8, 4, 0x8000_f808);
    assert_eq!(bench.port_read(0xcfc, 4), 0x0601_0002);
    assert_eq!(bench.port_read(0xcfe, 2), 0x0601);
    bench.port_write(0xcf8, 4, 0x8000_f80c);
    assert_eq!(bench.port_read(0xcfe, 1), 0x80, "several functions");
    bench.port_write(0xcf8, 4, 0x8000_0800);
    assert_eq!(bench.port_read(0xcfc, 4), 0xffff_ffff, "nobody in slot 1");
    bench.port_write(0xcf8, 4, 0x8001_0000);
    assert_eq!(bench.port_read(0xcfc, 4), 0xffff_ffff, "no bus 1");
    bench.port_write(0xcf8, 4, before);
    assert_eq!(bench.port_read(0xcfc, 4), 0xffff_ffff, "not enabled");
}

#[test]
fn the_reset_register_hides_in_the_address_port() {
    let bench = Bench::new();
    bench.port_write(0xcf8, 4, 0x8000_0600);
    bench.port_write(0xcf9, 2, 0x0606);
    assert_eq!(bench.wires.resets.load(Ordering::SeqCst), 0, "only a byte at the register itself");
    bench.port_write(0xcf9, 1, 6);
    assert_eq!(bench.wires.resets.load(Ordering::SeqCst), 1);
    assert_eq!(bench.port_read(0xcf9, 1), 6);
    assert_eq!(bench.port_read(0xcf8, 4), 0x8000_0600);
}

#[test]
fn both_ways_lead_to_the_same_registers() {
    let bench = Bench::new();
    assert_eq!(bench.config_read(3, 0, 8), 0x10_0000_5678_1234);
    assert_eq!(bench.config_read(0, 0x60, 8), ECAM | 1);
    assert_eq!(bench.config_read(3, 0x100, 4), 0xffff_ffff, "no extended space");
    assert_eq!(bench.config_read(3, 0xfff, 2), 0xffff, "across the end");
    assert_eq!(bench.config_read(32, 0, 4), 0xffff_ffff, "bus 1");
    bench.config_write(3, 0x3c, 1, 11);
    bench.port_write(0xcf8, 4, 0x8000_183c);
    assert_eq!(bench.port_read(0xcfc, 1), 11);
    bench.config_write(3, 0, 4, 0);
    assert_eq!(bench.config_read(3, 0, 2), 0x1234, "identification is fixed");
}

#[test]
fn windows_tell_their_size_and_move_on_the_bus() {
    let bench = Bench::new();
    for register in [0x10, 0x14, 0x18, 0x1c, 0x20] {
        bench.config_write(3, register, 4, 0xffff_ffff);
    }
    assert_eq!(bench.config_read(3, 0x10, 4), 0xffff_ffe1);
    assert_eq!(bench.config_read(3, 0x14, 4), 0xffff_f000);
    assert_eq!(bench.config_read(3, 0x18, 8), 0xffff_ffff_ffff_0004);
    assert_eq!(bench.config_read(3, 0x20, 4), 0, "no fifth window");
    bench.config_write(3, 0x10, 4, 0x1000);
    bench.config_write(3, 0x14, 4, 0xc000_0000);
    bench.config_write(3, 0x18, 8, 0x40_0000_0000);
    assert_eq!(bench.port_read(0x1000, 1), 0xff, "not enabled yet");
    bench.config_write(3, 4, 2, 3);
    assert_eq!(bench.port_read(0x101f, 1), 0);
    assert_eq!(bench.memory_read(0xc000_0fff, 1), 1);
    assert_eq!(bench.memory_read(0x40_0000_8000, 1), 2);
    bench.config_write(3, 0x14, 4, 0xc001_0000);
    assert_eq!(bench.memory_read(0xc000_0000, 1), 0xff);
    assert_eq!(bench.memory_read(0xc001_0000, 1), 1);
    bench.config_write(3, 4, 2, 1);
    assert_eq!(bench.memory_read(0xc001_0000, 1), 0xff);
    assert_eq!(bench.port_read(0x1000, 1), 0);
}

#[test]
fn a_window_on_anothers_place_waits_for_it() {
    let bench = Bench::new();
    let other = Arc::new(Mutex::new(Sample::new(Arc::<Wires>::clone(&bench.wires))));
    bench.root.lock().attach(Address { slot: 4, function: 0 }, other).unwrap();
    for slot in [3, 4] {
        bench.config_write(slot, 0x14, 4, 0xc000_0000);
        bench.config_write(slot, 4, 2, 2);
    }
    bench.config_write(4, 0x18, 4, 0xfff8_0000);
    assert_eq!(bench.memory_read(0xc000_0000, 1), 1);
    bench.config_write(3, 0x14, 4, ECAM);
    assert_eq!(bench.config_read(3, 0, 2), 0x1234, "not over configuration space");
    assert_eq!(bench.memory_read(0xc000_0000, 1), 1, "slot 4 has it now");
    bench.config_write(4, 4, 2, 0);
    assert_eq!(bench.memory_read(0xc000_0000, 1), 0xff);
}

#[test]
fn windows_find_aligned_places_of_their_own() {
    let bench = Bench::new();
    let other = Arc::new(Mutex::new(Sample::new(Arc::<Wires>::clone(&bench.wires))));
    bench.root.lock().attach(Address { slot: 4, function: 0 }, other).unwrap();
    let apertures = Apertures { memory: 0xc000_0100..0xc002_3000, ports: 0x1001..0x1100 };
    bench.root.lock().assign_windows(apertures);
    assert_eq!(bench.config_read(3, 0x10, 8), 0xc000_1000_0000_1021);
    assert_eq!(bench.config_read(3, 0x18, 8), 0xc001_0004);
    assert_eq!(bench.config_read(4, 0x10, 8), 0xc002_0000_0000_1041);
    assert_eq!(bench.config_read(4, 0x18, 8), 4, "no place was left");
    assert_eq!(bench.config_read(4, 4, 2), 3);
    assert_eq!(bench.memory_read(0xc002_0000, 1), 1);
    assert_eq!(bench.port_read(0x1040, 1), 0);
}

#[test]
fn slots_are_taken_once() {
    let bench = Bench::new();
    let sample = Arc::clone(&bench.sample);
    assert_eq!(bench.root.lock().attach(SLOT, sample), Err(PciError::Slot { slot: 3, function: 0 }));
    let sample = Arc::clone(&bench.sample);
    assert!(bench.root.lock().attach(Address { slot: 32, function: 0 }, sample).is_err());
}

#[test]
fn lines_on_a_wire_are_ored_and_routed() {
    let bench = Bench::new();
    let level = |line: usize| bench.wires.levels.lock()[line];
    let (first, second) = (bench.router.line(2, Pin::B), bench.router.line(3, Pin::A));
    first.set(true);
    second.set(true);
    assert!(level(19));
    first.set(false);
    assert!(level(19), "the other still asks");
    bench.config_write(0x1f, 0x63, 1, 0x0b);
    assert!(level(11));
    bench.config_write(0x1f, 0x63, 1, 0x0a);
    assert_eq!((level(10), level(11)), (true, false));
    bench.config_write(0x1f, 0x63, 1, 0x08);
    assert!(!level(10), "input 8 is not to be had");
    assert!(!level(8));
    bench.config_write(0x1f, 0x63, 1, 0x05);
    second.set(false);
    assert_eq!((level(19), level(5)), (false, false));
}

#[test]
fn messages_wait_while_masked() {
    let bench = Bench::new();
    let notify = |vector: u16| {
        let mut sample = bench.sample.lock();
        let Sample { config, msix } = &mut *sample;
        msix.notify(config, vector);
    };
    let write = |offset: u64, value: u32| {
        let mut sample = bench.sample.lock();
        let Sample { config, msix } = &mut *sample;
        msix.write_table(config, offset, &value.to_le_bytes());
    };
    let pending = || {
        let mut data = [0];
        bench.sample.lock().msix.read_pending(0, &mut data);
        data[0]
    };
    let sent = || std::mem::take(&mut *bench.wires.messages.lock());
    assert_eq!(bench.config_read(3, 0x40, 4), 0x0002_0011, "three vectors");
    assert_eq!(bench.config_read(3, 0x44, 8), 0x801_0000_0001);
    write(16, 0xfee0_0003);
    write(24, 0x41);
    notify(1);
    assert_eq!(pending(), 0, "not enabled: the pin is used");
    bench.config_write(3, 4, 2, 4);
    bench.config_write(3, 0x42, 2, 0x8000);
    notify(1);
    notify(77);
    assert_eq!((sent(), pending()), (vec![], 2), "masked after reset");
    write(28, 0);
    assert_eq!((sent(), pending()), (vec![(0xfee0_0000, 0x41)], 0));
    bench.config_write(3, 0x42, 2, 0xc000);
    notify(1);
    assert_eq!((sent(), pending()), (vec![], 2), "all are masked");
    bench.config_write(3, 0x42, 2, 0x8000);
    assert_eq!((sent(), pending()), (vec![(0xfee0_0000, 0x41)], 0));
    bench.config_write(3, 4, 2, 0);
    notify(1);
    assert_eq!(sent(), [], "only a bus master writes");
}

#[test]
fn a_saved_root_has_its_windows_again() {
    let bench = Bench::new();
    bench.config_write(3, 0x14, 4, 0xc000_0000);
    bench.config_write(3, 4, 2, 2);
    bench.port_write(0xcf8, 4, 0x8000_0000);
    let saved = bench.root.lock().save();
    bench.root.lock().reset();
    assert_eq!(bench.memory_read(0xc000_0000, 1), 0xff);
    assert_eq!(bench.config_read(3, 0x14, 4), 0);
    bench.root.lock().restore(&saved).unwrap();
    assert_eq!(bench.memory_read(0xc000_0000, 1), 1);
    assert_eq!(bench.port_read(0xcfc, 4), 0x29c0_8086);
    let smaller = PciRoot::new(&bench.ports, &bench.memory, ResetControl::new(Arc::new(|| {})));
    assert!(bench.root.lock().restore(&smaller.save()).is_err());
}

proptest::proptest! {
    #[test]
    fn any_configuration_access_is_harmless(
        accesses in proptest::collection::vec((0_u64..0x100, 1_usize..=8, 0_usize..2, 0_u64..), 1..200)
    ) {
        let bench = Bench::new();
        for (register, length, slot, value) in accesses {
            let slot = [3, 0x1f][slot];
            bench.config_write(slot, register, length, value);
            bench.config_read(slot, register, length);
            bench.port_write(0xcf8 + register % 8, length, value);
            let mut sample = bench.sample.lock();
            let Sample { config, msix } = &mut *sample;
            msix.write_table(config, register, &value.to_le_bytes()[..length]);
            msix.notify(config, register as u16);
        }
    }
}
