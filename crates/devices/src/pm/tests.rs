use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::Mutex;
use platform::{Device, IrqLine, IrqSink, ManualClock, Region};

use super::*;
use crate::reset_control::BoardSignal;

#[derive(Default)]
struct Wire(AtomicBool);

impl IrqSink for Wire {
    fn set_level(&self, _line: u32, high: bool) {
        self.0.store(high, Ordering::SeqCst);
    }
}

struct Bench {
    clock: ManualClock,
    pm: Arc<Mutex<Pm>>,
    wire: Arc<Wire>,
    offs: Arc<AtomicU32>,
}

fn bench() -> Bench {
    let (clock, wire, offs) = (ManualClock::new(), Arc::<Wire>::default(), Arc::<AtomicU32>::default());
    let counted = Arc::clone(&offs);
    let power_off: BoardSignal = Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let sci = IrqLine::new(9, Arc::<Wire>::clone(&wire));
    Bench { pm: Pm::new(Arc::new(clock.clone()), sci, 5, power_off), clock, wire, offs }
}

impl Bench {
    fn inl(&self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.pm.lock().read(Region(0), offset, &mut data);
        u32::from_le_bytes(data)
    }
    fn outw(&self, offset: u64, value: u16) {
        self.pm.lock().write(Region(0), offset, &value.to_le_bytes());
    }
    fn outb(&self, offset: u64, value: u8) {
        self.pm.lock().write(Region(0), offset, &[value]);
    }
    fn sci(&self) -> bool {
        self.wire.0.load(Ordering::SeqCst)
    }
}

#[test]
fn the_timer_runs_at_3_579545_mhz_and_wraps_at_32_bits() {
    let bench = bench();
    assert_eq!(bench.inl(8), 0);
    bench.clock.advance(1_000_000_000);
    assert_eq!(bench.inl(8), 3_579_545);
    bench.clock.advance(1_199_000_000_000);
    assert_eq!(bench.inl(8), (3_579_545_u64 * 1_200 % (1 << 32)) as u32);
    let mut high = [0];
    bench.pm.lock().read(Region(0), 0xb, &mut high);
    assert_eq!(high[0], (bench.inl(8) >> 24) as u8);
}

#[test]
fn its_top_bit_is_an_event() {
    let bench = bench();
    bench.outw(2, 1);
    bench.clock.advance(599_000_000_000);
    assert!(!bench.sci());
    bench.clock.advance(2_000_000_000);
    assert!(bench.sci());
    bench.outw(0, 1);
    assert!(!bench.sci());
    bench.clock.advance(600_000_000_000);
    assert!(bench.sci(), "and when it goes down again");
}

#[test]
fn only_soft_off_powers_off() {
    let bench = bench();
    assert_eq!(bench.inl(4) as u16, 1, "ACPI mode");
    bench.outw(4, 5 << 10);
    bench.outw(4, 1 << 13 | 3 << 10);
    assert_eq!(bench.offs.load(Ordering::SeqCst), 0);
    bench.outw(4, 1 << 13 | 5 << 10);
    assert_eq!(bench.offs.load(Ordering::SeqCst), 1);
    assert_eq!(bench.inl(4) as u16, 5 << 10 | 1, "the sleep bit reads as 0");
}

#[test]
fn bytewise_writes_of_the_high_half_power_off_too() {
    let bench = bench();
    bench.outb(5, 5 << 2 | 1 << 5);
    assert_eq!(bench.offs.load(Ordering::SeqCst), 1);
}

#[test]
fn the_power_button_asks_until_it_is_heard() {
    let bench = bench();
    bench.pm.lock().press_power_button();
    assert!(!bench.sci());
    assert_eq!(bench.inl(0), 0x100);
    bench.outw(2, 0x100);
    assert!(bench.sci());
    bench.outw(0, 0x100);
    assert!(!bench.sci());
}

#[test]
fn general_purpose_events() {
    let bench = bench();
    bench.outb(0x29, 0x02);
    bench.pm.lock().raise_event(9);
    assert!(bench.sci());
    assert_eq!(bench.inl(0x20), 0x200);
    bench.outb(0x21, 0x02);
    assert!(!bench.sci());
    bench.pm.lock().raise_event(200);
    bench.outb(0x7f, 0xff);
    assert_eq!(bench.inl(0x40), 0);
}

#[test]
fn state_comes_back() {
    let first = bench();
    first.outw(2, 0x100);
    first.pm.lock().press_power_button();
    let second = bench();
    second.pm.lock().restore(&first.pm.lock().save()).unwrap();
    assert!(second.sci());
    second.pm.lock().reset();
    assert!(!second.sci());
}
