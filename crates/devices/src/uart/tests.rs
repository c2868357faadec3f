use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use platform::{Device, IrqLine, IrqSink, ManualClock, Region};

use super::*;

#[derive(Default)]
struct Wire(AtomicBool);

impl IrqSink for Wire {
    fn set_level(&self, _line: u32, high: bool) {
        self.0.store(high, Ordering::SeqCst);
    }
}

/// An output with room for a limited number of bytes.
#[derive(Clone, Default)]
struct Slow(Arc<Mutex<(Vec<u8>, usize)>>);

impl SerialOutput for Slow {
    fn write(&mut self, bytes: &[u8]) -> usize {
        let (taken, room) = &mut *self.0.lock();
        let count = bytes.len().min(*room);
        taken.extend_from_slice(&bytes[..count]);
        *room -= count;
        count
    }
}

struct Bench {
    clock: ManualClock,
    uart: Arc<Mutex<Uart>>,
    wire: Arc<Wire>,
    output: Slow,
    rooms: Arc<AtomicUsize>,
}

fn bench() -> Bench {
    let clock = ManualClock::new();
    let (wire, output, rooms) = (Arc::<Wire>::default(), Slow::default(), Arc::<AtomicUsize>::default());
    output.0.lock().1 = usize::MAX;
    let on_room = Arc::clone(&rooms);
    let uart = Uart::new(
        Arc::new(clock.clone()),
        IrqLine::new(4, Arc::<Wire>::clone(&wire)),
        Box::new(output.clone()),
        Arc::new(move || {
            on_room.fetch_add(1, Ordering::SeqCst);
        }),
    );
    Bench { clock, uart, wire, output, rooms }
}

impl Bench {
    fn inb(&self, offset: u64) -> u8 {
        let mut data = [0];
        self.uart.lock().read(Region(0), offset, &mut data);
        data[0]
    }
    fn outb(&self, offset: u64, value: u8) {
        self.uart.lock().write(Region(0), offset, &[value]);
    }
    fn irq(&self) -> bool {
        self.wire.0.load(Ordering::SeqCst)
    }
    fn feed(&self, bytes: &[u8]) -> usize {
        self.uart.lock().feed(bytes)
    }
    fn sent(&self) -> Vec<u8> {
        self.output.0.lock().0.clone()
    }
    fn give_room(&self, room: usize) {
        self.output.0.lock().1 = room;
        self.uart.lock().output_ready();
    }
}

/// The steps of `autoconfig` in Linux's 8250_port.c.
#[test]
fn linux_autoconfig_finds_a_16550a() {
    let bench = bench();
    bench.outb(1, 0);
    bench.outb(0x7, 0x5a);
    assert_eq!((bench.inb(1), bench.inb(7)), (0, 0x5a));
    bench.outb(1, 0x0f);
    assert_eq!(bench.inb(1), 0x0f);
    bench.outb(1, 0);
    bench.outb(4, 0x10 | 0x0a);
    assert_eq!(bench.inb(6) & 0xf0, 0x90, "loopback");
    bench.outb(4, 0);
    bench.outb(3, 0xbf);
    bench.outb(2, 0);
    bench.outb(3, 0);
    bench.outb(2, 1);
    assert_eq!(bench.inb(2) >> 6, 3, "FIFOs that work");
    // autoconfig_16550a: no enhanced feature register, no UUE, no sleep bits.
    bench.outb(3, 0x80);
    bench.outb(2, 0x21);
    assert_eq!(bench.inb(2) >> 5, 6, "not a 16750");
    bench.outb(3, 0);
    bench.outb(1, 0x40);
    assert_eq!(bench.inb(1) & 0x40, 0);
}

/// `serial8250_do_startup`'s test for a bug of old chips.
#[test]
fn enabling_the_transmitter_interrupt_raises_it_every_time() {
    let bench = bench();
    bench.outb(1, 2);
    assert_eq!(bench.inb(2), 0x02);
    assert_eq!(bench.inb(2), 0x01, "reading it ends it");
    bench.outb(1, 0);
    bench.outb(1, 2);
    assert!(bench.irq());
    assert_eq!(bench.inb(2), 0x02);
    assert!(!bench.irq());
    bench.outb(0, b'x');
    assert!(bench.irq());
    assert_eq!(bench.sent(), b"x");
}

#[test]
fn the_divisor_hides_behind_dlab() {
    let bench = bench();
    bench.outb(3, 0x83);
    bench.outb(0, 0x34);
    bench.outb(1, 0x12);
    assert_eq!((bench.inb(0), bench.inb(1)), (0x34, 0x12));
    bench.outb(3, 0x03);
    assert_eq!(bench.inb(1), 0);
    assert!(bench.sent().is_empty());
}

#[test]
fn a_slow_output_makes_the_guest_wait_and_loses_nothing() {
    let bench = bench();
    bench.outb(2, 1);
    bench.outb(1, 2);
    bench.give_room(2);
    for byte in b"abcdefgh" {
        bench.outb(0, *byte);
    }
    assert_eq!(bench.sent(), b"ab");
    assert_eq!(bench.inb(5) & 0x60, 0, "busy");
    assert!(!bench.irq());
    bench.give_room(3);
    assert!(!bench.irq());
    bench.give_room(100);
    assert_eq!(bench.sent(), b"abcdefgh");
    assert_eq!(bench.inb(5) & 0x60, 0x60);
    assert!(bench.irq());
}

#[test]
fn received_data_interrupts_at_the_trigger_level() {
    let bench = bench();
    bench.outb(2, 0x81);
    bench.outb(1, 1);
    bench.feed(b"1234567");
    assert!(!bench.irq());
    bench.feed(b"8");
    assert_eq!(bench.inb(2), 0xc4);
    assert_eq!(bench.inb(0), b'1');
    assert!(!bench.irq());
}

#[test]
fn characters_below_the_trigger_level_time_out() {
    let bench = bench();
    bench.outb(3, 0x83);
    bench.outb(0, 1);
    bench.outb(1, 0);
    bench.outb(3, 0x03);
    bench.outb(2, 0xc1);
    bench.outb(1, 1);
    bench.feed(b"ab");
    bench.clock.advance(347_221);
    assert!(!bench.irq());
    bench.clock.advance(2);
    assert_eq!(bench.inb(2), 0xcc);
    assert_eq!(bench.inb(0), b'a');
    assert!(!bench.irq(), "reading starts it again");
    bench.clock.advance(400_000);
    assert!(bench.irq());
    assert_eq!(bench.inb(0), b'b');
    assert!(!bench.irq());
    assert_eq!(bench.inb(5) & 1, 0);
}

#[test]
fn input_waits_until_the_guest_listens() {
    let bench = bench();
    bench.feed(b"echo hello\n");
    // As Linux probes the port: the interrupts are on for a moment.
    bench.outb(1, 0x0f);
    bench.outb(1, 0);
    // As Linux starts the port: clear the FIFOs, read blindly, then enable.
    bench.outb(2, 7);
    assert_eq!(bench.inb(5) & 1, 0);
    bench.inb(0);
    bench.outb(1, 5);
    let line: Vec<u8> = std::iter::from_fn(|| (bench.inb(5) & 1 != 0).then(|| bench.inb(0))).collect();
    assert_eq!(line, b"echo hello\n");
}

#[test]
fn a_polling_guest_gets_its_input() {
    let bench = bench();
    bench.feed(b"k");
    let polls = (0..200).take_while(|_| bench.inb(5) & 1 == 0).count();
    assert!(polls < 100, "{polls}");
    assert_eq!(bench.inb(0), b'k');
}

#[test]
fn a_long_paste_is_bounded_and_goes_on_when_there_is_room() {
    let bench = bench();
    let paste: Vec<u8> = (0..10_000_u32).map(|index| (index % 251) as u8).collect();
    let mut fed = bench.feed(&paste);
    assert_eq!(fed, 4096);
    assert_eq!(bench.feed(&paste[fed..]), 0);
    bench.outb(2, 0x81);
    bench.outb(1, 1);
    let mut received = Vec::new();
    while received.len() < paste.len() {
        assert_eq!(bench.inb(5) & 1, 1, "after {} bytes", received.len());
        received.push(bench.inb(0));
        if bench.rooms.swap(0, Ordering::SeqCst) > 0 {
            fed += bench.feed(&paste[fed..]);
        }
    }
    assert_eq!(received, paste);
}

#[test]
fn loopback_returns_characters_and_overruns() {
    let bench = bench();
    bench.outb(4, 0x1f);
    bench.outb(0, 0xae);
    assert_eq!(bench.inb(5) & 3, 1);
    bench.outb(0, 0xaf);
    assert_eq!(bench.inb(5) & 3, 3, "one register without FIFOs");
    assert_eq!(bench.inb(5) & 3, 1, "reading clears the overrun");
    assert_eq!(bench.inb(0), 0xae);
    assert!(bench.sent().is_empty());
    bench.feed(b"z");
    bench.outb(1, 1);
    assert_eq!(bench.inb(5) & 1, 0, "the line is cut");
    bench.outb(4, 0x0b);
    assert_eq!(bench.inb(0), b'z');
}

#[test]
fn modem_changes_are_reported_once() {
    let bench = bench();
    assert_eq!(bench.inb(6), 0xb0);
    bench.outb(1, 8);
    bench.outb(4, 0x14);
    assert!(bench.irq());
    assert_eq!(bench.inb(2), 0x00);
    assert_eq!(bench.inb(6), 0x40 | 0x0b);
    assert!(!bench.irq());
    bench.outb(4, 0x10);
    assert_eq!(bench.inb(6), 0x04, "the trailing edge of ring");
}

#[test]
fn state_comes_back_with_its_interrupt() {
    let first = bench();
    first.outb(2, 0x81);
    first.outb(1, 1);
    first.feed(b"ab");
    let saved = first.uart.lock().save();
    let second = bench();
    second.uart.lock().restore(&saved).unwrap();
    second.clock.advance(100_000_000);
    assert!(second.irq());
    assert_eq!((second.inb(0), second.inb(0)), (b'a', b'b'));
    second.uart.lock().reset();
    assert!(!second.irq());
    assert_eq!(second.inb(1), 0);
}
