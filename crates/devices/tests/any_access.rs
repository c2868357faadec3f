//! No sequence of accesses may harm a board: every chip on its buses, driven at random with time going by, and saved and
//! restored in whatever state that led to.
use std::sync::Arc;

use gasang_devices::ahci::Ahci;
use gasang_devices::apic::GuestTsc;
use gasang_devices::ata::Identity;
use gasang_devices::hpet::{Hpet, HpetLines, LegacyLine};
use gasang_devices::i8042::{I8042, I8042_COMMAND_REGION, I8042_DATA_REGION};
use gasang_devices::interrupts::{
    IOAPIC_REGION, Interrupts, IoApicWindow, PIC_ELCR_REGION, PIC_MASTER_REGION, PIC_SLAVE_REGION, PicPorts,
};
use gasang_devices::pci::PciFunction;
use gasang_devices::pit::{PIT_PORT_B_REGION, PIT_REGION, Pit};
use gasang_devices::pm::Pm;
use gasang_devices::rtc::{Rtc, RtcConfig};
use gasang_devices::uart::Uart;
use parking_lot::Mutex;
use platform::{
    Bus, Clock, Device, DiskPort, DiskRequest, DiskShape, GuestRam, IrqLine, ManualClock, MsiSink, Region,
    SavedState, SharedDevice,
};
use proptest::prelude::*;

/// A 3 GHz counter that follows a manual clock.
struct Tsc(ManualClock);

impl GuestTsc for Tsc {
    fn now(&self) -> u64 {
        self.0.now_ns().wrapping_mul(3)
    }
    fn frequency_hz(&self) -> u64 {
        3_000_000_000
    }
}

/// A disk that does nothing, and says so when time goes by.
#[derive(Default)]
struct Idle(Mutex<Vec<DiskRequest>>);

impl DiskPort for Idle {
    fn shape(&self) -> DiskShape {
        DiskShape { length: 1 << 30, read_only: false, physical_block: 4096, discard_unit: Some(4096) }
    }
    fn submit(&self, request: DiskRequest) {
        self.0.lock().push(request);
    }
    fn drain(&self) {}
}

struct NoMessages;

impl MsiSink for NoMessages {
    fn send(&self, _address: u64, _data: u32) {}
}

struct Board {
    clock: ManualClock,
    interrupts: Arc<Interrupts>,
    ports: Bus,
    memory: Bus,
    devices: Vec<SharedDevice>,
    uart: Arc<Mutex<Uart>>,
    disk: Arc<Idle>,
}

impl Board {
    fn new() -> Self {
        let manual = ManualClock::new();
        let clock: Arc<dyn Clock> = Arc::new(manual.clone());
        let interrupts = Interrupts::new(2, Arc::clone(&clock), Arc::new(Tsc(manual.clone())));
        let uart = Uart::new(
            Arc::clone(&clock),
            interrupts.isa_line(4),
            Box::new(Vec::<u8>::new()),
            Arc::new(|| {}),
        );
        let mut board = Self {
            clock: manual,
            interrupts,
            ports: Bus::of_ports(),
            memory: Bus::of_memory(),
            devices: Vec::new(),
            uart,
            disk: Arc::default(),
        };
        board.add_controllers();
        board.add_disks();
        board.add_timers(&clock);
        board.add_others(&clock);
        board
    }
    fn port(&mut self, first: u64, length: u64, region: Region, device: &SharedDevice) {
        self.ports.add(first, length, region, Arc::clone(device)).unwrap();
    }
    fn keep<D: Device + 'static>(&mut self, device: Arc<Mutex<D>>) -> SharedDevice {
        self.devices.push(Arc::<Mutex<D>>::clone(&device));
        device
    }
    fn add_controllers(&mut self) {
        let pic = self.keep(Arc::new(Mutex::new(PicPorts(Arc::clone(&self.interrupts)))));
        self.port(0x20, 2, PIC_MASTER_REGION, &pic);
        self.port(0xa0, 2, PIC_SLAVE_REGION, &pic);
        self.port(0x4d0, 2, PIC_ELCR_REGION, &pic);
        let ioapic = self.keep(Arc::new(Mutex::new(IoApicWindow(Arc::clone(&self.interrupts)))));
        self.memory.add(0xfec0_0000, 0x1000, IOAPIC_REGION, ioapic).unwrap();
    }
    fn add_disks(&mut self) {
        let ram = GuestRam::new(1 << 20).unwrap();
        let ahci = Ahci::new(&ram, IrqLine::unconnected(), Arc::new(NoMessages));
        let identity =
            Identity { model: "DISK".to_owned(), firmware: "1".to_owned(), serial: "1".to_owned() };
        let port = || -> Arc<dyn DiskPort> { Arc::<Idle>::clone(&self.disk) };
        ahci.lock().attach_disk(0, identity.clone(), port()).unwrap();
        ahci.lock().attach_cdrom(1, identity, Some(port())).unwrap();
        ahci.lock().write_config(4, &[6, 0]);
        let ahci = self.keep(ahci);
        self.memory.add(0xfea0_0000, 0x1000, Region(5), ahci).unwrap();
    }
    fn add_timers(&mut self, clock: &Arc<dyn Clock>) {
        let irq0 = LegacyLine::new(self.interrupts.isa_line(0));
        let irq8 = LegacyLine::new(self.interrupts.isa_line(8));
        let pit = self.keep(Pit::new(Arc::clone(clock), irq0.legacy_end()));
        self.port(0x40, 4, PIT_REGION, &pit);
        self.port(0x61, 1, PIT_PORT_B_REGION, &pit);
        let config = RtcConfig { unix_start_ns: 1 << 60, low_ram_bytes: 1 << 28, high_ram_bytes: u64::MAX };
        let rtc = self.keep(Rtc::new(config, Arc::clone(clock), irq8.legacy_end()));
        self.port(0x70, 2, Region(0), &rtc);
        let gsis = std::array::from_fn(|index| self.interrupts.gsi_line(20 + index as u32));
        let hpet = self.keep(Hpet::new(Arc::clone(clock), HpetLines { irq0, irq8, gsis }));
        self.memory.add(0xfed0_0000, 0x400, Region(0), hpet).unwrap();
    }
    fn add_others(&mut self, clock: &Arc<dyn Clock>) {
        let signal: Arc<dyn Fn() + Send + Sync> = Arc::new(|| {});
        let pm = Pm::new(Arc::clone(clock), self.interrupts.isa_line(9), 0, Arc::clone(&signal));
        let pm = self.keep(pm);
        self.port(0x600, 0x80, Region(0), &pm);
        let keyboard = self.keep(I8042::new(self.interrupts.isa_line(1), signal));
        self.port(0x60, 1, I8042_DATA_REGION, &keyboard);
        self.port(0x64, 1, I8042_COMMAND_REGION, &keyboard);
        let uart = self.keep(Arc::clone(&self.uart));
        self.port(0x3f8, 8, Region(0), &uart);
    }

    fn act(&self, action: &Action) {
        let cpu = self.interrupts.cpu(usize::from(action.cpu)).unwrap();
        let mut data = action.value.to_le_bytes();
        let data = &mut data[..action.length];
        match action.kind {
            0 => self.ports.write(PORTS[action.place % PORTS.len()] + action.offset % 16, data),
            1 => self.ports.read(PORTS[action.place % PORTS.len()] + action.offset % 16, data),
            2 => self.memory.write(PAGES[action.place % PAGES.len()] + action.offset % 0x400, data),
            3 => self.memory.read(PAGES[action.place % PAGES.len()] + action.offset % 0x400, data),
            4 => {
                cpu.mmio_write(0xfee0_0000 + action.offset % 0x1000, data);
            }
            5 => {
                cpu.mmio_read(0xfee0_0000 + action.offset % 0x1000, data);
            }
            6 => {
                let msr = [0x1b, 0x6e0, 0x800 + action.offset as u32 % 0x40][action.place % 3];
                let _ = cpu.msr_write(msr, action.value);
                let _ = cpu.msr_read(msr);
            }
            7 => {
                cpu.acknowledge();
                cpu.take_nmi();
                cpu.take_event();
                cpu.set_task_priority(action.value as u8 & 0xf);
            }
            8 => {
                self.uart.lock().feed(data);
                self.uart.lock().output_ready();
            }
            // Mostly short: a periodic timer fires for each of its periods.
            _ => {
                self.clock.advance(action.value % 2_000_000);
                let requests = std::mem::take(&mut *self.disk.0.lock());
                requests.into_iter().for_each(|request| (request.answer)(Ok(())));
            }
        }
    }
    fn save(&self) -> (SavedState, Vec<SavedState>) {
        (self.interrupts.save(), self.devices.iter().map(|device| device.lock().save()).collect())
    }
    /// A second board that takes over.
    fn restored(&self) -> Self {
        let (interrupts, devices) = self.save();
        let other = Self::new();
        other.clock.advance(self.clock.now_ns());
        other.interrupts.restore(&interrupts).unwrap();
        for (device, saved) in other.devices.iter().zip(&devices) {
            let mut device = device.lock();
            device.restore(saved).unwrap_or_else(|error| panic!("{}: {error}", device.name()));
        }
        other
    }
    /// Restoring brings everything up to the present; what is restored from there is the same to the bit.
    fn save_and_restore(&self) {
        let second = self.restored();
        let third = second.restored();
        let (expected, restored) = (second.save(), third.save());
        assert!(expected.0 == restored.0, "interrupt controllers differ");
        for (device, (expected, restored)) in self.devices.iter().zip(expected.1.iter().zip(&restored.1)) {
            assert!(expected == restored, "{} differs", device.lock().name());
        }
        third.clock.advance(1_000_000);
        third.interrupts.reset();
        third.devices.iter().for_each(|device| device.lock().reset());
        third.clock.advance(1_000_000);
    }
}

const PORTS: [u64; 12] = [0x20, 0x40, 0x40, 0x5e, 0x60, 0x64, 0x70, 0xa0, 0x3f8, 0x4d0, 0x600, 0x61c];
const PAGES: [u64; 5] = [0xfea0_0000, 0xfea0_0100, 0xfec0_0000, 0xfed0_0000, 0xfed0_0100];

#[derive(Clone, Debug)]
struct Action {
    kind: u8,
    place: usize,
    cpu: u8,
    offset: u64,
    length: usize,
    value: u64,
}

fn action() -> impl Strategy<Value = Action> {
    let value = prop_oneof![any::<u64>(), 0_u64..0x100, Just(0), Just(u64::MAX), 0_u64..0x10_0000];
    // Offsets of registers are multiples of 8 or 16 more often than not.
    let offset = prop_oneof![0_u64..0x1000, (0_u64..0x40).prop_map(|index| index * 16), 0_u64..8];
    let length = prop_oneof![Just(1_usize), Just(2), Just(4), Just(8), 1_usize..=8];
    (0_u8..10, 0_usize..12, 0_u8..2, offset, length, value).prop_map(
        |(kind, place, cpu, offset, length, value)| Action { kind, place, cpu, offset, length, value },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_sequence_of_accesses_is_harmless(actions in proptest::collection::vec(action(), 1..300)) {
        let board = Board::new();
        actions.iter().for_each(|action| board.act(action));
        board.save_and_restore();
    }
}

#[test]
fn centuries_of_time_are_harmless() {
    let board = Board::new();
    for _ in 0..4 {
        board.clock.advance(u64::MAX / 8);
        for port in [0x40, 0x41, 0x42, 0x61, 0x71, 0x608, 0x600] {
            board.ports.read(port, &mut [0; 4]);
        }
        board.memory.read(0xfed0_00f0, &mut [0; 8]);
    }
    board.save_and_restore();
}
