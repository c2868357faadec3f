use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use platform::{Device, IrqLine, IrqSink, ManualClock, Region};

use super::calendar::Date;
use super::*;

#[derive(Default)]
struct Wire(AtomicBool);

impl IrqSink for Wire {
    fn set_level(&self, _line: u32, high: bool) {
        self.0.store(high, Ordering::SeqCst);
    }
}

struct Bench {
    clock: ManualClock,
    rtc: Arc<Mutex<Rtc>>,
    wire: Arc<Wire>,
}

/// Starts at 2024-02-28 23:59:58.5 UTC.
fn bench() -> Bench {
    let (clock, wire) = (ManualClock::new(), Arc::<Wire>::default());
    let config = RtcConfig {
        unix_start_ns: 1_709_164_798_500_000_000,
        low_ram_bytes: 0xc000_0000,
        high_ram_bytes: 1 << 30,
    };
    let irq = IrqLine::new(8, Arc::<Wire>::clone(&wire));
    Bench { rtc: Rtc::new(config, Arc::new(clock.clone()), irq), clock, wire }
}

impl Bench {
    fn read(&self, index: u8) -> u8 {
        let mut rtc = self.rtc.lock();
        rtc.write(Region(0), 0, &[index]);
        let mut data = [0];
        rtc.read(Region(0), 1, &mut data);
        data[0]
    }
    fn write(&self, index: u8, value: u8) {
        let mut rtc = self.rtc.lock();
        rtc.write(Region(0), 0, &[index]);
        rtc.write(Region(0), 1, &[value]);
    }
    /// Century, year, month, day, hours, minutes, seconds.
    fn time(&self) -> [u8; 7] {
        [0x32, 9, 8, 7, 4, 2, 0].map(|index| self.read(index))
    }
    fn irq(&self) -> bool {
        self.wire.0.load(Ordering::SeqCst)
    }
    fn ms(&self, ms: u64) {
        self.clock.advance(ms * 1_000_000);
    }
}

#[test]
fn dates_go_both_ways() {
    for (seconds, year, month, day, weekday) in [
        (0, 1970, 1, 1, 5),
        (951_782_400, 2000, 2, 29, 3),
        (1_709_164_798, 2024, 2, 28, 4),
        (4_102_444_800, 2100, 1, 1, 6),
        (-1, 1969, 12, 31, 4),
    ] {
        let date = Date::from_unix(seconds);
        assert_eq!((date.year, date.month, date.day, date.weekday), (year, month, day, weekday), "{seconds}");
        assert_eq!(date.to_unix(), seconds);
    }
}

#[test]
fn the_hosts_time_in_decimal_digits() {
    let bench = bench();
    assert_eq!(bench.time(), [0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x58]);
    assert_eq!(bench.read(6), 4);
    bench.ms(1_500);
    assert_eq!(bench.time(), [0x20, 0x24, 0x02, 0x29, 0, 0, 0], "a leap year");
    assert_eq!(bench.read(0xd), 0x80);
}

#[test]
fn binary_and_twelve_hours() {
    let bench = bench();
    bench.write(0xb, 0x04);
    assert_eq!(bench.time(), [20, 24, 2, 28, 11 | 0x80, 59, 58]);
    bench.ms(1_500);
    assert_eq!(bench.read(4), 12, "midnight");
}

/// `mc146818_get_time` waits while an update is in progress.
#[test]
fn update_in_progress_warns_and_ends() {
    let bench = bench();
    assert_eq!(bench.read(0xa), 0x26);
    bench.clock.advance(499_757_000);
    assert_eq!(bench.read(0xa), 0xa6);
    let before = bench.read(0);
    bench.clock.advance(243_000);
    assert_eq!(bench.read(0xa), 0x26);
    assert_eq!((before, bench.read(0)), (0x58, 0x59));
}

#[test]
fn setting_the_time_holds_it() {
    let bench = bench();
    bench.write(0xb, 0x82);
    for (index, value) in [(0x32, 0x20), (9, 0x30), (8, 0x12), (7, 0x31), (4, 0x10), (2, 0x20), (0, 0x30)] {
        bench.write(index, value);
    }
    bench.ms(10_000);
    assert_eq!(bench.time(), [0x20, 0x30, 0x12, 0x31, 0x10, 0x20, 0x30]);
    assert_eq!(bench.read(0xa) & 0x80, 0);
    bench.write(0xb, 0x02);
    bench.ms(2_000);
    assert_eq!(bench.time(), [0x20, 0x30, 0x12, 0x31, 0x10, 0x20, 0x32]);
}

#[test]
fn nonsense_dates_do_no_harm() {
    let bench = bench();
    bench.write(0xb, 0x82);
    for index in [0, 2, 4, 6, 7, 8, 9, 0x32] {
        bench.write(index, 0xff);
    }
    bench.write(0xb, 0x02);
    bench.time();
    bench.write(0xb, 0x32);
    bench.ms(100_000);
}

#[test]
fn update_interrupts_come_each_second_when_acknowledged() {
    let bench = bench();
    bench.write(0xb, 0x12);
    assert!(!bench.irq());
    bench.ms(501);
    assert!(bench.irq());
    assert_eq!(bench.read(0xc) & 0x90, 0x90);
    assert!(!bench.irq());
    bench.ms(998);
    assert!(!bench.irq());
    bench.ms(2);
    assert!(bench.irq());
}

#[test]
fn the_alarm_matches_and_wildcards_do_too() {
    let bench = bench();
    for (index, value) in [(1, 0x05), (3, 0x00), (5, 0x00)] {
        bench.write(index, value);
    }
    bench.write(0xb, 0x22);
    bench.ms(6_000);
    assert!(!bench.irq());
    bench.ms(501);
    assert!(bench.irq());
    assert_eq!(bench.read(0xc) & 0xa0, 0xa0);
    bench.write(1, 0xff);
    bench.write(3, 0xc0);
    bench.write(5, 0xff);
    bench.ms(1_001);
    assert!(bench.irq(), "every second");
    bench.read(0xc);
    bench.write(5, 0x77);
    bench.ms(100_000_000);
    assert!(!bench.irq(), "there is no such hour");
}

#[test]
fn periodic_interrupts_at_the_rate_of_register_a() {
    let bench = bench();
    bench.write(0xb, 0x42);
    let count = (0..1_000)
        .filter(|_| {
            bench.ms(1);
            bench.irq() && bench.read(0xc) & 0x40 != 0
        })
        .count();
    assert!((970..=1_000).contains(&count), "{count}");
    bench.write(0xa, 0x20);
    bench.read(0xc);
    bench.ms(100);
    assert!(!bench.irq());
}

#[test]
fn flags_are_seen_without_interrupts() {
    let bench = bench();
    bench.ms(1_000);
    assert_eq!(bench.read(0xc), 0x50);
    assert!(!bench.irq());
}

#[test]
fn memory_sizes_and_free_bytes() {
    let bench = bench();
    assert_eq!([0x15, 0x16].map(|index| bench.read(index)), [0x80, 0x02]);
    assert_eq!([0x17, 0x18, 0x30, 0x31].map(|index| bench.read(index)), [0xff; 4]);
    assert_eq!([0x34, 0x35].map(|index| bench.read(index)), [0x00, 0xbf]);
    assert_eq!([0x5b, 0x5c, 0x5d].map(|index| bench.read(index)), [0x00, 0x40, 0x00]);
    bench.write(0x0f, 0x0a);
    assert_eq!(bench.read(0x8f), 0x0a, "bit 7 is the NMI mask");
}

#[test]
fn state_comes_back() {
    let first = bench();
    first.write(0x40, 7);
    first.write(0, 0x10);
    let second = bench();
    second.rtc.lock().restore(&first.rtc.lock().save()).unwrap();
    assert_eq!((second.read(0x40), second.read(0)), (7, 0x10));
    second.rtc.lock().reset();
    assert_eq!(second.read(0), 0x10, "a battery keeps the time");
}
