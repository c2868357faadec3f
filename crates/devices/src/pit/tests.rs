use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use platform::{Device, IrqLine, IrqSink, ManualClock};

use super::*;

/// Counts rising edges.
#[derive(Default)]
struct Edges(AtomicU32, Mutex<bool>);

impl IrqSink for Edges {
    fn set_level(&self, _line: u32, high: bool) {
        let mut level = self.1.lock();
        if high && !*level {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        *level = high;
    }
}

struct Bench {
    clock: ManualClock,
    pit: Arc<Mutex<Pit>>,
    edges: Arc<Edges>,
}

fn bench() -> Bench {
    let (clock, edges) = (ManualClock::new(), Arc::<Edges>::default());
    let irq = IrqLine::new(0, Arc::<Edges>::clone(&edges));
    Bench { pit: Pit::new(Arc::new(clock.clone()), irq), clock, edges }
}

impl Bench {
    fn inb(&self, offset: u64) -> u8 {
        let mut data = [0];
        self.pit.lock().read(PIT_REGION, offset, &mut data);
        data[0]
    }
    fn outb(&self, offset: u64, value: u8) {
        self.pit.lock().write(PIT_REGION, offset, &[value]);
    }
    fn set_count(&self, channel: u64, control: u8, count: u16) {
        self.outb(3, control);
        self.outb(channel, count as u8);
        self.outb(channel, (count >> 8) as u8);
    }
    fn port_b(&self) -> u8 {
        let mut data = [0];
        self.pit.lock().read(PIT_PORT_B_REGION, 0, &mut data);
        data[0]
    }
    fn set_port_b(&self, value: u8) {
        self.pit.lock().write(PIT_PORT_B_REGION, 0, &[value]);
    }
    fn count(&self, channel: u64) -> u16 {
        let low = self.inb(channel);
        u16::from(low) | u16::from(self.inb(channel)) << 8
    }
    fn edges(&self) -> u32 {
        self.edges.0.swap(0, Ordering::SeqCst)
    }
    fn ticks(&self, ticks: u64) {
        self.clock.advance((ticks * 1_000_000_000).div_ceil(1_193_182));
    }
}

/// `pit_calibrate_tsc` of Linux: channel 2, mode 0, 50 ms, polling OUT2.
#[test]
fn tsc_calibration_by_channel_2_takes_its_time() {
    let bench = bench();
    bench.set_port_b(0x01);
    bench.set_count(2, 0xb0, 59_659);
    assert_eq!(bench.port_b() & 0x20, 0);
    bench.clock.advance(49_999_000);
    assert_eq!(bench.port_b() & 0x20, 0);
    bench.clock.advance(2_000);
    assert_eq!(bench.port_b() & 0x20, 0x20);
    assert_eq!(bench.port_b() & 0x0f, 1);
}

/// `quick_pit_calibrate`: the high byte of a free-running count is watched.
#[test]
fn quick_calibration_sees_the_high_byte_count_down() {
    let bench = bench();
    bench.set_port_b(0x01);
    bench.set_count(2, 0xb0, 0xffff);
    for expected in [0xff, 0xfe, 0xfd] {
        bench.inb(2);
        assert_eq!(bench.inb(2), expected);
        bench.ticks(256);
    }
}

#[test]
fn periodic_modes_interrupt_at_their_rate() {
    for control in [0x34, 0x36] {
        let bench = bench();
        bench.set_count(0, control, 4_772);
        bench.edges();
        bench.clock.advance(1_000_000_000);
        assert_eq!(bench.edges(), 250, "{control:#x}");
        bench.outb(3, 0x30);
        bench.edges();
        bench.clock.advance(1_000_000_000);
        assert_eq!(bench.edges(), 0, "Linux stops it so");
    }
}

#[test]
fn one_shot_interrupts_once() {
    let bench = bench();
    bench.set_count(0, 0x38, 1_193);
    bench.edges();
    bench.clock.advance(10_000_000);
    assert_eq!(bench.edges(), 1);
    bench.set_count(0, 0x30, 1_193);
    bench.edges();
    bench.clock.advance(999_000);
    assert_eq!(bench.edges(), 0);
    bench.clock.advance(10_000_000);
    assert_eq!(bench.edges(), 1);
}

#[test]
fn a_tiny_period_cannot_occupy_the_host() {
    let bench = bench();
    bench.set_count(0, 0x34, 1);
    bench.edges();
    bench.clock.advance(1_000_000);
    assert!(bench.edges() <= 101);
}

#[test]
fn latched_counts_stand_still() {
    let bench = bench();
    bench.set_count(0, 0x34, 10_000);
    bench.ticks(1_000);
    bench.outb(3, 0x00);
    bench.ticks(500);
    bench.outb(3, 0x00);
    assert_eq!(bench.count(0), 9_000);
    assert_eq!(bench.count(0), 8_500);
}

#[test]
fn read_back_latches_status_and_count() {
    let bench = bench();
    bench.set_count(0, 0x34, 1_000);
    bench.outb(3, 0xb6);
    bench.ticks(100);
    bench.outb(3, 0xc2);
    assert_eq!(bench.inb(0), 0xb4);
    assert_eq!(bench.count(0), 900);
    bench.outb(3, 0xe8);
    assert_eq!(bench.inb(2) & 0x7f, 0x76, "no count was written");
}

#[test]
fn square_waves_count_by_two() {
    let bench = bench();
    bench.set_port_b(1);
    bench.set_count(2, 0xb6, 1_000);
    bench.ticks(100);
    assert_eq!(bench.count(2), 800);
    assert_eq!(bench.port_b() & 0x20, 0x20);
    bench.ticks(450);
    assert_eq!(bench.port_b() & 0x20, 0);
    assert_eq!(bench.count(2), 900);
}

#[test]
fn decimal_counting() {
    let bench = bench();
    bench.set_count(0, 0x35, 0x1000);
    bench.ticks(1);
    assert_eq!(bench.count(0), 0x0999);
    bench.set_count(0, 0x35, 0);
    bench.ticks(1);
    assert_eq!(bench.count(0), 0x9999);
}

#[test]
fn single_byte_access() {
    let bench = bench();
    bench.outb(3, 0x14);
    bench.outb(0, 200);
    bench.ticks(50);
    assert_eq!((bench.inb(0), bench.inb(0)), (150, 150));
    bench.outb(3, 0x20);
    bench.outb(0, 2);
    bench.ticks(1);
    assert_eq!(bench.inb(0), 1, "high byte of 511");
}

#[test]
fn the_gate_holds_and_triggers() {
    let bench = bench();
    bench.set_count(2, 0xb0, 1_000);
    bench.ticks(5_000);
    assert_eq!(bench.port_b() & 0x20, 0, "the gate is low");
    bench.set_port_b(1);
    bench.ticks(400);
    bench.set_port_b(0);
    bench.ticks(5_000);
    assert_eq!(bench.count(2), 600);
    bench.set_port_b(1);
    bench.ticks(601);
    assert_eq!(bench.port_b() & 0x20, 0x20);
    bench.set_count(2, 0xb2, 100);
    bench.set_port_b(0);
    assert_eq!(bench.port_b() & 0x20, 0x20, "mode 1 waits for its trigger");
    bench.set_port_b(1);
    assert_eq!(bench.port_b() & 0x20, 0);
    bench.ticks(101);
    assert_eq!(bench.port_b() & 0x20, 0x20);
}

#[test]
fn refresh_toggles_forever() {
    let bench = bench();
    let levels: Vec<u8> = (0..4)
        .map(|_| {
            bench.clock.advance(15_085);
            bench.port_b() & 0x10
        })
        .collect();
    assert_eq!(levels, [0x10, 0, 0x10, 0]);
}

#[test]
fn a_restored_timer_goes_on() {
    let first = bench();
    first.set_count(0, 0x34, 11_932);
    let saved = first.pit.lock().save();
    let second = bench();
    second.pit.lock().restore(&saved).unwrap();
    second.clock.advance(100_000_000);
    assert!(second.edges() >= 9);
    second.pit.lock().reset();
    second.edges();
    second.clock.advance(100_000_000);
    assert_eq!(second.edges(), 0);
}
