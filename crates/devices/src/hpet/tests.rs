use std::sync::Arc;

use parking_lot::Mutex;
use platform::{Clock, Device, IrqLine, IrqSink, ManualClock, Region};

use super::*;

/// Remembers rises with their line and time, and levels.
struct Wires(ManualClock, Mutex<(Vec<(u32, u64)>, u32)>);

impl IrqSink for Wires {
    fn set_level(&self, line: u32, high: bool) {
        let (rises, levels) = &mut *self.1.lock();
        if high && *levels & 1 << line == 0 {
            rises.push((line, self.0.now_ns()));
        }
        *levels = *levels & !(1 << line) | u32::from(high) << line;
    }
}

struct Bench {
    clock: ManualClock,
    hpet: Arc<Mutex<Hpet>>,
    wires: Arc<Wires>,
    pit: IrqLine,
}

fn bench() -> Bench {
    let clock = ManualClock::new();
    let wires = Arc::new(Wires(clock.clone(), Mutex::default()));
    let line = |number| IrqLine::new(number, Arc::<Wires>::clone(&wires));
    let (irq0, irq8) = (LegacyLine::new(line(0)), LegacyLine::new(line(8)));
    let pit = irq0.legacy_end();
    let lines = HpetLines { irq0, irq8, gsis: [line(20), line(21), line(22), line(23)] };
    Bench { hpet: Hpet::new(Arc::new(clock.clone()), lines), clock, wires, pit }
}

impl Bench {
    fn read(&self, offset: u64) -> u64 {
        let mut data = [0; 8];
        self.hpet.lock().read(Region(0), offset, &mut data);
        u64::from_le_bytes(data)
    }
    fn write(&self, offset: u64, value: u64) {
        self.hpet.lock().write(Region(0), offset, &value.to_le_bytes());
    }
    fn write32(&self, offset: u64, value: u32) {
        self.hpet.lock().write(Region(0), offset, &value.to_le_bytes());
    }
    fn rises(&self) -> Vec<(u32, u64)> {
        std::mem::take(&mut self.wires.1.lock().0)
    }
    fn level(&self, line: u32) -> bool {
        self.wires.1.lock().1 & 1 << line != 0
    }
}

#[test]
fn capabilities_say_100_mhz() {
    let bench = bench();
    assert_eq!(bench.read(0), 0x0098_9680_8086_a201);
    let mut high = [0; 4];
    bench.hpet.lock().read(Region(0), 4, &mut high);
    assert_eq!(u32::from_le_bytes(high), 10_000_000);
    assert_eq!(bench.read(0x100), 0x00f0_0000_0000_0030);
}

#[test]
fn the_counter_runs_while_enabled_and_keeps_its_value() {
    let bench = bench();
    bench.clock.advance(1_000);
    assert_eq!(bench.read(0xf0), 0);
    bench.write32(0x10, 1);
    bench.clock.advance(1_000);
    assert_eq!(bench.read(0xf0), 100);
    bench.write32(0x10, 0);
    bench.clock.advance(1_000);
    assert_eq!(bench.read(0xf0), 100);
    bench.write32(0xf0, 7);
    bench.write32(0xf4, 1);
    bench.write32(0x10, 1);
    bench.clock.advance(100);
    assert_eq!(bench.read(0xf0), 0x1_0000_0011);
}

/// `hpet_clkevt_set_state_oneshot` and `hpet_clkevt_set_next_event` of Linux, in legacy replacement.
#[test]
fn one_shot_in_the_place_of_the_8254() {
    let bench = bench();
    bench.write32(0x10, 3);
    bench.write32(0x100, 0x0104);
    bench.write32(0x108, bench.read(0xf0) as u32 + 10_000);
    bench.clock.advance(200_000);
    assert_eq!(bench.rises(), [(0, 100_000)]);
    bench.clock.advance(1_000_000);
    assert!(bench.rises().is_empty());
    bench.pit.set(true);
    assert!(bench.rises().is_empty(), "the 8254 is cut off");
    bench.write32(0x10, 1);
    assert_eq!(bench.rises().len(), 1, "and back");
}

/// `hpet_clkevt_set_state_periodic`: accumulator, then period.
#[test]
fn periodic() {
    let bench = bench();
    bench.write32(0x10, 0);
    bench.write32(0x100, 0x014c);
    bench.write32(0x108, 5_000);
    bench.write32(0x108, 100_000);
    bench.write32(0x10, 3);
    bench.clock.advance(3_100_000);
    assert_eq!(bench.rises(), [(0, 50_000), (0, 1_050_000), (0, 2_050_000), (0, 3_050_000)]);
}

#[test]
fn a_tiny_period_cannot_occupy_the_host() {
    let bench = bench();
    bench.write32(0x100, 0x014c);
    bench.write32(0x108, 1);
    bench.write32(0x108, 1);
    bench.write32(0x10, 3);
    bench.clock.advance(1_000_000);
    assert!(bench.rises().len() <= 51);
}

#[test]
fn level_triggered_until_cleared() {
    let bench = bench();
    bench.write32(0x140, 0x6 | 21 << 9);
    bench.write(0x148, 1_000);
    bench.write32(0x10, 1);
    bench.clock.advance(20_000);
    assert_eq!(bench.rises(), [(21, 10_000)]);
    assert_eq!(bench.read(0x20), 4);
    bench.write32(0x20, 1);
    assert!(bench.level(21));
    bench.write32(0x20, 4);
    assert!(!bench.level(21));
    assert_eq!(bench.read(0x20), 0);
}

#[test]
fn a_comparator_behind_the_counter_waits_for_the_wrap() {
    let bench = bench();
    bench.write32(0xf0, 1_000);
    bench.write32(0x100, 0x0104);
    bench.write32(0x108, 10);
    bench.write32(0x10, 3);
    bench.clock.advance(10_000_000_000);
    assert!(bench.rises().is_empty());
    bench.clock.advance(((1_u64 << 32) - 990) * 10 - 10_000_000_000);
    assert_eq!(bench.rises().len(), 1);
}

#[test]
fn absent_timers_and_odd_accesses() {
    let bench = bench();
    assert_eq!(bench.read(0x160), 0);
    bench.write(0x160, u64::MAX);
    bench.hpet.lock().write(Region(0), 0x109, &[1, 2, 3]);
    assert_eq!(bench.read(0x108), 0);
}

#[test]
fn state_comes_back() {
    let first = bench();
    first.write32(0x140, 0x6 | 21 << 9);
    first.write(0x148, 1_000);
    first.write32(0x10, 1);
    let second = bench();
    second.hpet.lock().restore(&first.hpet.lock().save()).unwrap();
    second.clock.advance(20_000);
    assert_eq!(second.rises(), [(21, 10_000)]);
    second.hpet.lock().reset();
    assert!(!second.level(21));
    assert_eq!(second.read(0x10), 0);
}
