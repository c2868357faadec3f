use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use platform::{Device, IrqLine, IrqSink, Region};

use super::*;
use crate::reset_control::BoardSignal;

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
    chip: Arc<Mutex<I8042>>,
    edges: Arc<Edges>,
    resets: Arc<AtomicU32>,
}

fn bench() -> Bench {
    let (edges, resets) = (Arc::<Edges>::default(), Arc::<AtomicU32>::default());
    let counted = Arc::clone(&resets);
    let reset: BoardSignal = Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    Bench { chip: I8042::new(IrqLine::new(1, Arc::<Edges>::clone(&edges)), reset), edges, resets }
}

impl Bench {
    fn read(&self, region: Region) -> u8 {
        let mut data = [0];
        self.chip.lock().read(region, 0, &mut data);
        data[0]
    }
    fn command(&self, value: u8) {
        self.chip.lock().write(I8042_COMMAND_REGION, 0, &[value]);
    }
    fn data(&self, value: u8) {
        self.chip.lock().write(I8042_DATA_REGION, 0, &[value]);
    }
    /// Everything that waits.
    fn drain(&self) -> Vec<u8> {
        let ready = || self.read(I8042_COMMAND_REGION) & 1 != 0;
        std::iter::from_fn(|| ready().then(|| self.read(I8042_DATA_REGION))).collect()
    }
    fn resets(&self) -> u32 {
        self.resets.swap(0, Ordering::SeqCst)
    }
}

/// `i8042_controller_check`, `_selftest` and `_init` of Linux.
#[test]
fn linux_finds_and_tests_the_controller() {
    let bench = bench();
    assert!(bench.drain().is_empty());
    bench.command(0xaa);
    assert_eq!(bench.drain(), [0x55]);
    bench.command(0x20);
    let config = bench.drain()[0];
    assert_eq!(config & 0x44, 0x44);
    bench.command(0x60);
    bench.data(config & !1 | 0x10);
    bench.command(0x20);
    assert_eq!(bench.drain(), [config & !1 | 0x10]);
    bench.command(0xab);
    assert_eq!(bench.drain(), [0]);
}

/// `i8042_check_aux`: loop back, then whether disable and enable show in the configuration.
#[test]
fn linux_finds_no_auxiliary_port() {
    let bench = bench();
    bench.command(0xd3);
    bench.data(0x5a);
    assert!(bench.drain().is_empty());
    bench.command(0xa9);
    assert_eq!(bench.drain(), [1]);
    bench.command(0xa8);
    bench.command(0x20);
    assert_eq!(bench.drain()[0] & 0x20, 0x20, "cannot be enabled");
    bench.command(0xd4);
    bench.data(0xf2);
    assert!(bench.drain().is_empty());
}

/// `atkbd_probe`.
#[test]
fn the_keyboard_answers() {
    let bench = bench();
    bench.data(0xff);
    assert_eq!(bench.drain(), [0xfa, 0xaa]);
    bench.data(0xf2);
    assert_eq!(bench.drain(), [0xfa, 0xab, 0x41], "translated");
    bench.command(0x60);
    bench.data(0x01);
    bench.data(0xf2);
    assert_eq!(bench.drain(), [0xfa, 0xab, 0x83]);
    for (bytes, answers) in [
        (&[0xed_u8, 0x07][..], &[0xfa_u8, 0xfa][..]),
        (&[0xf3, 0x00], &[0xfa, 0xfa]),
        (&[0xf0, 0x00], &[0xfa, 0xfa, 0x02]),
        (&[0xf0, 0x01, 0xf0, 0x00], &[0xfa, 0xfa, 0xfa, 0xfa, 0x01]),
        (&[0xee], &[0xee]),
        (&[0xf4], &[0xfa]),
        (&[0xed, 0xf4, 0x07], &[0xfa, 0xfa, 0xfe]),
        (&[0x00], &[0xfe]),
    ] {
        bytes.iter().for_each(|byte| bench.data(*byte));
        assert_eq!(bench.drain(), answers, "{bytes:x?}");
    }
}

#[test]
fn each_byte_is_an_edge() {
    let bench = bench();
    bench.data(0xff);
    assert_eq!(bench.edges.0.load(Ordering::SeqCst), 1);
    bench.drain();
    assert_eq!(bench.edges.0.load(Ordering::SeqCst), 2);
    bench.command(0x60);
    bench.data(0x44);
    bench.data(0xff);
    assert_eq!(bench.edges.0.load(Ordering::SeqCst), 2, "interrupts are off");
}

#[test]
fn two_ways_to_reset() {
    let bench = bench();
    bench.command(0xfe);
    assert_eq!(bench.resets(), 1);
    bench.command(0xff);
    assert_eq!(bench.resets(), 0, "pulses nothing");
    bench.command(0xd1);
    bench.data(0x02);
    assert_eq!(bench.resets(), 1);
}

#[test]
fn address_line_20() {
    let bench = bench();
    bench.command(0xd1);
    bench.data(0x01);
    assert!(!bench.chip.lock().a20());
    bench.command(0xd0);
    assert_eq!(bench.drain()[0] & 3, 1);
    bench.command(0xd1);
    bench.data(0x03);
    assert!(bench.chip.lock().a20());
    assert_eq!(bench.resets(), 0);
}

#[test]
fn a_guest_that_never_reads_fills_nothing_up() {
    let bench = bench();
    (0..1_000).for_each(|_| bench.data(0xf2));
    assert_eq!(bench.drain().len(), 16);
    let saved = bench.chip.lock().save();
    bench.chip.lock().restore(&saved).unwrap();
    bench.chip.lock().reset();
}
