use super::{IoApic, spec};
use crate::apic::{DeliveryMode, Message};

/// A chip and what it sent.
#[derive(Default)]
struct Bench {
    chip: IoApic,
    sent: Vec<Message>,
}

impl Bench {
    fn write(&mut self, index: u8, value: u32) {
        let sent = &mut self.sent;
        self.chip.write(spec::IOREGSEL, index.into(), &mut |message| sent.push(message));
        self.chip.write(spec::IOWIN, value, &mut |message| sent.push(message));
    }
    fn read(&mut self, index: u8) -> u32 {
        self.chip.write(spec::IOREGSEL, index.into(), &mut |_| {});
        self.chip.read(spec::IOWIN)
    }
    fn input(&mut self, pin: usize, high: bool) {
        let sent = &mut self.sent;
        self.chip.set_input(pin, high, &mut |message| sent.push(message));
    }
    fn eoi(&mut self, vector: u8) {
        let sent = &mut self.sent;
        self.chip.write(spec::EOI, vector.into(), &mut |message| sent.push(message));
    }
    fn vectors(&mut self) -> Vec<u8> {
        self.sent.drain(..).map(|message| message.vector).collect()
    }
}

#[test]
fn identification_and_size() {
    let mut bench = Bench::default();
    assert_eq!(bench.read(1), 0x0017_0020);
    bench.write(0, 0xffff_ffff);
    assert_eq!(bench.read(0), 0x0f00_0000);
    assert_eq!(bench.read(0x10), 0x1_0000, "masked after reset");
    bench.write(0x3e, 0xffff_ffff);
    assert_eq!(bench.read(0x3e), 0x1_afff);
    assert_eq!(bench.read(0x40), 0, "no entry 24");
    bench.write(0xff, 1);
}

#[test]
fn an_edge_is_sent_once_with_its_entry() {
    let mut bench = Bench::default();
    bench.write(0x15, 0x0300_0000);
    bench.write(0x14, 0x0930);
    bench.input(2, true);
    bench.input(2, true);
    let expected = Message {
        destination: 3,
        logical: true,
        mode: DeliveryMode::LowestPriority,
        vector: 0x30,
        level_triggered: false,
    };
    assert_eq!(bench.sent, [expected]);
    bench.input(2, false);
    bench.input(2, true);
    assert_eq!(bench.sent.len(), 2);
}

#[test]
fn a_masked_edge_is_lost() {
    let mut bench = Bench::default();
    bench.input(4, true);
    bench.write(0x18, 0x34);
    assert!(bench.sent.is_empty());
}

#[test]
fn a_level_is_sent_again_after_its_end_while_asserted() {
    let mut bench = Bench::default();
    bench.write(0x22, 0x8039);
    bench.input(9, true);
    assert_eq!(bench.vectors(), [0x39]);
    assert_eq!(bench.read(0x22), 0xc039, "remote IRR");
    bench.input(9, false);
    bench.input(9, true);
    assert!(bench.sent.is_empty(), "not before its end");
    bench.eoi(0x38);
    assert!(bench.sent.is_empty());
    bench.eoi(0x39);
    assert_eq!(bench.vectors(), [0x39]);
    bench.input(9, false);
    bench.eoi(0x39);
    assert!(bench.sent.is_empty());
    assert_eq!(bench.read(0x22), 0x8039);
}

#[test]
fn unmasking_an_asserted_level_sends_it() {
    let mut bench = Bench::default();
    bench.write(0x22, 0x1_8039);
    bench.input(9, true);
    assert!(bench.sent.is_empty());
    bench.write(0x22, 0x8039);
    assert_eq!(bench.vectors(), [0x39]);
}

#[test]
fn switching_to_edge_clears_remote_irr() {
    let mut bench = Bench::default();
    bench.write(0x22, 0x8039);
    bench.input(9, true);
    bench.input(9, false);
    bench.write(0x22, 0x1_0039);
    assert_eq!(bench.read(0x22), 0x1_0039);
}
