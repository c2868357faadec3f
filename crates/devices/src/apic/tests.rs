use std::sync::Arc;

use parking_lot::Mutex;
use platform::{Clock, ManualClock};
use x86::msr;

use super::spec::TICK_NS;
use super::*;

/// A 2 GHz counter that follows a manual clock.
struct TestTsc(ManualClock);

impl GuestTsc for TestTsc {
    fn now(&self) -> u64 {
        self.0.now_ns() * 2
    }
    fn frequency_hz(&self) -> u64 {
        2_000_000_000
    }
}

struct Bench {
    clock: ManualClock,
    apic: Arc<Mutex<LocalApic>>,
}

/// A software-enabled bootstrap APIC.
fn bench() -> Bench {
    let clock = ManualClock::new();
    let apic = Arc::new_cyclic(|apic: &std::sync::Weak<Mutex<LocalApic>>| {
        let on_timer = apic.clone();
        let fired = move || on_timer.upgrade().into_iter().for_each(|apic| apic.lock().timer_fired());
        let tsc = Arc::new(TestTsc(clock.clone()));
        Mutex::new(LocalApic::new(0, true, Arc::new(clock.clone()), tsc, Arc::new(fired)))
    });
    apic.lock().write_page(0xf0, 0x1ff);
    Bench { clock, apic }
}

impl Bench {
    fn read(&self, offset: u64) -> u32 {
        self.apic.lock().read_page(offset)
    }
    fn write(&self, offset: u64, value: u32) -> Effect {
        self.apic.lock().write_page(offset, value)
    }
    fn accept(&self, vector: u8) {
        self.apic.lock().accept(vector, false);
    }
    fn acknowledge(&self) -> Option<u8> {
        self.apic.lock().acknowledge()
    }
    fn rdmsr(&self, number: u32) -> Option<u64> {
        self.apic.lock().read_msr(number)
    }
    fn wrmsr(&self, number: u32, value: u64) -> Option<Effect> {
        self.apic.lock().write_msr(number, value)
    }
    fn enter_x2apic(&self) {
        assert_eq!(self.wrmsr(msr::APIC_BASE, 0xfee0_0d00), Some(Effect::None));
    }
}

#[test]
fn registers_after_reset() {
    let bench = bench();
    bench.apic.lock().reset();
    for (offset, value) in [
        (0x20, 0),
        (0x30, 0x5_0014),
        (0x80, 0),
        (0xd0, 0),
        (0xe0, 0xffff_ffff),
        (0xf0, 0xff),
        (0x320, 0x1_0000),
        (0x350, 0x700),
        (0x360, 0x1_0000),
        (0x390, 0),
    ] {
        assert_eq!(bench.read(offset), value, "{offset:#x}");
    }
    assert_eq!(bench.rdmsr(msr::APIC_BASE), Some(0xfee0_0900));
}

#[test]
fn the_more_urgent_class_interrupts_and_ends_first() {
    let bench = bench();
    bench.accept(0x31);
    bench.accept(0x35);
    assert_eq!(bench.acknowledge(), Some(0x35));
    assert_eq!(bench.acknowledge(), None, "0x31 is of the same class");
    bench.accept(0x41);
    assert_eq!(bench.acknowledge(), Some(0x41));
    assert_eq!(bench.read(0xa0), 0x40);
    assert_eq!(bench.write(0xb0, 0), Effect::None);
    assert_eq!(bench.acknowledge(), None);
    bench.write(0xb0, 0);
    assert_eq!(bench.acknowledge(), Some(0x31));
    assert_eq!(bench.read(0x110), 1 << (0x31 - 0x20));
}

#[test]
fn the_task_priority_holds_its_class_back() {
    let bench = bench();
    bench.apic.lock().set_task_priority(4);
    assert_eq!(bench.read(0x80), 0x40);
    bench.accept(0x4f);
    assert_eq!(bench.acknowledge(), None);
    bench.accept(0x50);
    assert_eq!(bench.acknowledge(), Some(0x50));
    bench.write(0x80, 0);
    assert_eq!(bench.apic.lock().task_priority(), 0);
    assert_eq!(bench.acknowledge(), None);
}

#[test]
fn a_level_end_is_reported() {
    let bench = bench();
    bench.apic.lock().accept(0x39, true);
    assert_eq!(bench.read(0x190), 1 << (0x39 - 0x20));
    bench.acknowledge();
    assert_eq!(bench.write(0xb0, 0), Effect::LevelEnded(0x39));
    assert_eq!(bench.write(0xb0, 0), Effect::None, "nothing in service");
}

#[test]
fn software_disable_masks_and_refuses() {
    let bench = bench();
    bench.write(0x320, 0x30);
    bench.write(0xf0, 0xff);
    assert_eq!(bench.read(0x320), 0x1_0030);
    bench.write(0x320, 0x30);
    assert_eq!(bench.read(0x320), 0x1_0030);
    bench.accept(0x40);
    assert_eq!(bench.acknowledge(), None);
}

#[test]
fn one_shot_timer_counts_input_clocks_times_divider() {
    let bench = bench();
    bench.write(0x320, 0x40);
    bench.write(0x3e0, 0x3);
    bench.write(0x380, 1_000);
    bench.clock.advance(8_000 * TICK_NS);
    assert_eq!(bench.read(0x390), 500);
    assert_eq!(bench.acknowledge(), None);
    bench.clock.advance(8_000 * TICK_NS);
    assert_eq!(bench.read(0x390), 0);
    assert_eq!(bench.acknowledge(), Some(0x40));
    bench.clock.advance(100_000 * TICK_NS);
    bench.write(0xb0, 0);
    assert_eq!(bench.acknowledge(), None);
}

#[test]
fn divider_codes() {
    let bench = bench();
    for (code, divisor) in [(0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64), (0xa, 128), (0xb, 1)] {
        bench.write(0x3e0, code);
        bench.write(0x380, 100_000);
        bench.clock.advance(128 * 100 * TICK_NS);
        assert_eq!(bench.read(0x390), 100_000 - 128 * 100 / divisor, "{code:#x}");
    }
}

#[test]
fn periodic_timer_keeps_its_rate_and_coalesces() {
    let bench = bench();
    bench.write(0x3e0, 0xb);
    bench.write(0x320, 0x2_0040);
    bench.write(0x380, 1_000_000);
    for period in 1..=5 {
        bench.clock.advance(1_000_000 * TICK_NS);
        assert_eq!(bench.acknowledge(), Some(0x40), "{period}");
        bench.write(0xb0, 0);
    }
    bench.clock.advance(250_000 * TICK_NS);
    assert_eq!(bench.read(0x390), 750_000);
    bench.write(0x380, 0);
    assert_eq!(bench.clock.next_deadline_ns(), None);
}

#[test]
fn a_tiny_period_cannot_occupy_the_host() {
    let bench = bench();
    bench.write(0x3e0, 0xb);
    bench.write(0x320, 0x2_0040);
    bench.write(0x380, 3);
    bench.clock.advance(3 * TICK_NS);
    let next = bench.clock.next_deadline_ns().unwrap();
    assert!(next >= 20_000, "{next}");
}

#[test]
fn changing_the_divider_keeps_the_count() {
    let bench = bench();
    bench.write(0x3e0, 0xb);
    bench.write(0x380, 1_000);
    bench.clock.advance(400 * TICK_NS);
    bench.write(0x3e0, 0);
    assert_eq!(bench.read(0x390), 600);
    bench.clock.advance(200 * TICK_NS);
    assert_eq!(bench.read(0x390), 500);
}

#[test]
fn tsc_deadline_fires_at_its_tick_and_disarms_itself() {
    let bench = bench();
    bench.wrmsr(msr::TSC_DEADLINE, 5_000);
    assert_eq!(bench.rdmsr(msr::TSC_DEADLINE), Some(0), "not in deadline mode");
    bench.write(0x320, 0x4_00ec);
    bench.wrmsr(msr::TSC_DEADLINE, 5_001);
    assert_eq!(bench.rdmsr(msr::TSC_DEADLINE), Some(5_001));
    bench.clock.advance(2_500);
    assert_eq!(bench.acknowledge(), None);
    bench.clock.advance(1);
    assert_eq!(bench.acknowledge(), Some(0xec));
    assert_eq!(bench.rdmsr(msr::TSC_DEADLINE), Some(0));
    bench.wrmsr(msr::TSC_DEADLINE, 1 << 20);
    bench.wrmsr(msr::TSC_DEADLINE, 0);
    assert_eq!(bench.clock.next_deadline_ns(), None);
    bench.wrmsr(msr::TSC_DEADLINE, u64::MAX);
    bench.write(0x320, 0xec);
    assert_eq!(bench.clock.next_deadline_ns(), None, "leaving the mode disarms");
}

#[test]
fn commands_and_what_they_send() {
    let bench = bench();
    bench.write(0x310, 0x0300_0000);
    let Effect::Send(command) = bench.write(0x300, 0x4_0630) else { panic!("nothing sent") };
    assert_eq!(command.shorthand, Shorthand::Myself);
    assert_eq!((command.message.mode, command.message.vector), (DeliveryMode::Startup, 0x30));
    assert_eq!(command.message.destination, 3);
    assert_eq!(bench.write(0x300, 0x8500), Effect::None, "INIT level de-assert");
    assert!(matches!(bench.write(0x300, 0xc500), Effect::Send(_)));
    assert_eq!(bench.read(0x300) & 0x1000, 0, "never pending");
}

#[test]
fn illegal_vectors_and_registers_are_errors() {
    let bench = bench();
    bench.write(0x370, 0x50);
    assert_eq!(bench.write(0x300, 0x5), Effect::None);
    assert_eq!(bench.read(0x280), 0, "not before a write");
    bench.write(0x280, 0);
    assert_eq!(bench.read(0x280), 0x20);
    assert_eq!(bench.acknowledge(), Some(0x50));
    bench.accept(3);
    bench.read(0x3f0);
    bench.write(0x280, 0);
    assert_eq!(bench.read(0x280), 0xc0);
    bench.write(0x280, 0);
    assert_eq!(bench.read(0x280), 0);
}

#[test]
fn an_illegal_vector_in_the_error_entry_does_not_recurse() {
    let bench = bench();
    bench.write(0x370, 0x5);
    bench.read(0x3f0);
    bench.write(0x280, 0);
    assert_eq!(bench.read(0x280), 0x80);
}

#[test]
fn lint0_passes_what_its_mode_says() {
    let bench = bench();
    assert!(bench.apic.lock().accepts_external());
    bench.write(0x350, 0x1_0700);
    assert!(!bench.apic.lock().accepts_external());
    bench.write(0x350, 0x33);
    bench.apic.lock().external_rises();
    assert_eq!(bench.acknowledge(), Some(0x33));
    bench.write(0x350, 0x400);
    bench.apic.lock().external_rises();
    assert!(bench.apic.lock().take_nmi());
    assert!(!bench.apic.lock().take_nmi());
}

#[test]
fn base_transitions_follow_the_table() {
    let bench = bench();
    assert_eq!(bench.wrmsr(msr::APIC_BASE, 0xfee0_0400), None, "x2APIC without enable");
    assert_eq!(bench.wrmsr(msr::APIC_BASE, 0xfee0_0801), None, "reserved bit");
    bench.enter_x2apic();
    assert_eq!(bench.wrmsr(msr::APIC_BASE, 0xfee0_0900), None, "back to xAPIC");
    assert!(bench.wrmsr(msr::APIC_BASE, 0xfee0_0100).is_some());
    assert_eq!(bench.wrmsr(msr::APIC_BASE, 0xfee0_0d00), None, "disabled to x2APIC");
    assert!(bench.wrmsr(msr::APIC_BASE, 0xfed9_0800).is_some());
    assert_eq!(bench.rdmsr(msr::APIC_BASE), Some(0xfed9_0900), "the bootstrap bit stays");
    assert_eq!(bench.apic.lock().page_offset(0xfed9_0320), Some(0x320));
    assert_eq!(bench.apic.lock().page_offset(0xfee0_0320), None);
}

#[test]
fn x2apic_registers() {
    let bench = bench();
    assert_eq!(bench.rdmsr(0x802), None, "not before the mode is on");
    bench.enter_x2apic();
    assert_eq!(bench.apic.lock().page_offset(0xfee0_0000), None);
    assert_eq!(bench.rdmsr(0x802), Some(0));
    assert_eq!(bench.rdmsr(0x80d), Some(1));
    for absent in [0x800, 0x80e, 0x831, 0x83f, 0x80b, 0x8ff] {
        assert_eq!(bench.rdmsr(absent), None, "{absent:#x}");
    }
    for (number, value) in
        [(0x802, 0), (0x80b, 1), (0x828, 1), (0x808, 0x100), (0x80d, 1), (0x839, 0), (0x838, 1 << 32)]
    {
        assert_eq!(bench.wrmsr(number, value), None, "{number:#x}");
    }
    let Some(Effect::Send(command)) = bench.wrmsr(0x830, 0x0001_0002_0000_00fd) else { panic!() };
    assert_eq!(command.message.destination, 0x0001_0002);
    assert_eq!(bench.rdmsr(0x830), Some(0x0001_0002_0000_00fd));
    let Some(Effect::Send(command)) = bench.wrmsr(0x83f, 0x77) else { panic!() };
    assert_eq!((command.shorthand, command.message.vector), (Shorthand::Myself, 0x77));
    bench.accept(0x41);
    assert_eq!(bench.rdmsr(0x822), Some(2));
    bench.acknowledge();
    assert_eq!(bench.wrmsr(0x80b, 0), Some(Effect::None));
}

#[test]
fn logical_destinations() {
    let to = |destination| Message {
        destination,
        logical: true,
        mode: DeliveryMode::Fixed,
        vector: 0x40,
        level_triggered: false,
    };
    let bench = bench();
    let is = |destination, wide| bench.apic.lock().is_addressed(&to(destination), wide);
    bench.write(0xd0, 0x2400_0000);
    assert!(is(0x04, false) && is(0x20, false) && is(0xff, false) && !is(0x12, false));
    bench.write(0xe0, 0x0fff_ffff);
    assert!(is(0x24, false) && !is(0x14, false) && !is(0x22, false));
    bench.enter_x2apic();
    assert!(is(1, true) && !is(0x1_0001, true) && is(u32::MAX, true) && !is(2, true));
}

#[test]
fn messages_of_devices() {
    let message = Message::from_msi(0xfee0_300c, 0x8141).unwrap();
    assert_eq!((message.destination, message.logical), (3, true));
    assert_eq!((message.mode, message.vector), (DeliveryMode::LowestPriority, 0x41));
    assert!(message.level_triggered);
    assert_eq!(Message::from_msi(0xfef0_0000, 0), None);
    assert_eq!(Message::from_msi(0x1_fee0_0000, 0), None);
}
