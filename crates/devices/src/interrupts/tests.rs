use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use platform::{Attention, Clock, Device, ManualClock, MsiSink};
use x86::msr;

use super::*;
use crate::apic::GuestTsc;

struct TestTsc;

impl GuestTsc for TestTsc {
    fn now(&self) -> u64 {
        0
    }
    fn frequency_hz(&self) -> u64 {
        1_000_000_000
    }
}

#[derive(Default)]
struct Counter(AtomicUsize);

impl Attention for Counter {
    fn raise(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Counter {
    fn take(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

struct Bench {
    clock: ManualClock,
    all: Arc<Interrupts>,
    raised: Vec<Arc<Counter>>,
}

/// `count` CPUs with software-enabled APICs.
fn bench(count: u32) -> Bench {
    let clock = ManualClock::new();
    let all = Interrupts::new(count, Arc::new(clock.clone()), Arc::new(TestTsc));
    let raised: Vec<Arc<Counter>> = (0..count).map(|_| Arc::default()).collect();
    for (index, raised) in raised.iter().enumerate() {
        let cpu = all.cpu(index).unwrap();
        cpu.connect(Arc::<Counter>::clone(raised), Arc::new(|| {}));
        assert!(cpu.mmio_write(0xfee0_00f0, &[0xff, 1, 0, 0]));
    }
    Bench { clock, all, raised }
}

impl Bench {
    fn cpu(&self, index: usize) -> &CpuInterrupts {
        self.all.cpu(index).unwrap()
    }
    fn apic(&self, index: usize, offset: u64, value: u32) {
        assert!(self.cpu(index).mmio_write(0xfee0_0000 + offset, &value.to_le_bytes()));
    }
    fn route(&self, pin: u8, low: u32, high: u32) {
        let mut window = IoApicWindow(Arc::clone(&self.all));
        for (index, value) in [(0x11 + pin * 2, high), (0x10 + pin * 2, low)] {
            window.write(IOAPIC_REGION, 0, &[index, 0, 0, 0]);
            window.write(IOAPIC_REGION, 0x10, &value.to_le_bytes());
        }
    }
    fn start_pic(&self) {
        let mut ports = PicPorts(Arc::clone(&self.all));
        for value in [0x30, 4, 1, 0] {
            if value == 0x30 {
                ports.write(PIC_MASTER_REGION, 0, &[0x11]);
            }
            ports.write(PIC_MASTER_REGION, 1, &[value]);
        }
    }
}

#[test]
fn the_timer_check_of_linux_finds_irq_0_on_pin_2() {
    let bench = bench(1);
    let timer = bench.all.isa_line(0);
    bench.route(2, 0x30, 0);
    timer.rise();
    assert!(bench.raised[0].take() > 0);
    assert!(bench.cpu(0).interrupt_pending());
    assert_eq!(bench.cpu(0).acknowledge(), Some(0x30));
    assert!(!bench.cpu(0).interrupt_pending());
    bench.apic(0, 0xb0, 0);
    timer.rise();
    assert_eq!(bench.cpu(0).acknowledge(), Some(0x30));
}

#[test]
fn the_8259a_comes_in_by_lint0_of_the_bootstrap_cpu() {
    let bench = bench(2);
    bench.start_pic();
    bench.all.isa_line(4).set(true);
    assert!(bench.raised[0].take() > 0);
    assert_eq!(bench.raised[1].take(), 0);
    assert!(!bench.cpu(1).interrupt_pending());
    assert_eq!(bench.cpu(0).acknowledge(), Some(0x34));
    assert_eq!(bench.cpu(0).acknowledge(), None, "went away");
    bench.apic(0, 0x350, 0x1_0700);
    bench.all.isa_line(3).set(true);
    assert!(!bench.cpu(0).interrupt_pending(), "masked at LINT0");
}

#[test]
fn an_end_of_interrupt_travels_to_the_ioapic() {
    let bench = bench(1);
    bench.route(9, 0x8039, 0);
    let sci = bench.all.isa_line(9);
    sci.set(true);
    assert_eq!(bench.cpu(0).acknowledge(), Some(0x39));
    bench.raised[0].take();
    bench.apic(0, 0xb0, 0);
    assert!(bench.raised[0].take() > 0);
    assert_eq!(bench.cpu(0).acknowledge(), Some(0x39), "still asserted");
    sci.set(false);
    bench.apic(0, 0xb0, 0);
    assert!(!bench.cpu(0).interrupt_pending());
}

#[test]
fn shared_8259a_inputs_are_wired_or() {
    let bench = bench(1);
    bench.start_pic();
    let (isa, routed) = (bench.all.isa_line(5), bench.all.pic_line(5));
    isa.set(true);
    routed.set(true);
    assert_eq!(bench.cpu(0).acknowledge(), Some(0x35));
    isa.set(false);
    PicPorts(Arc::clone(&bench.all)).write(PIC_MASTER_REGION, 0, &[0x20]);
    assert!(!bench.cpu(0).interrupt_pending());
    routed.set(false);
    isa.set(true);
    assert_eq!(bench.cpu(0).acknowledge(), Some(0x35));
}

#[test]
fn init_and_startup_reach_another_cpu_in_order() {
    let bench = bench(2);
    bench.apic(0, 0x310, 0x0100_0000);
    bench.apic(0, 0x300, 0xc500);
    bench.apic(0, 0x300, 0x8500);
    bench.apic(0, 0x300, 0x0699);
    assert!(bench.raised[1].take() > 0);
    assert_eq!(bench.cpu(1).take_event(), Some(CpuEvent::Init));
    assert_eq!(bench.cpu(1).take_event(), Some(CpuEvent::Startup(0x99)));
    assert_eq!(bench.cpu(1).take_event(), None);
    assert_eq!(bench.cpu(0).take_event(), None);
    for _ in 0..100 {
        bench.apic(0, 0x300, 0x0699);
    }
    assert_eq!(std::iter::from_fn(|| bench.cpu(1).take_event()).count(), 4, "bounded");
}

#[test]
fn shorthands_and_nmi() {
    let bench = bench(3);
    bench.apic(1, 0x300, 0xc_0440);
    assert!(bench.cpu(0).take_nmi() && bench.cpu(2).take_nmi());
    assert!(!bench.cpu(1).take_nmi());
    bench.apic(1, 0x300, 0x8_0041);
    for index in 0..3 {
        assert_eq!(bench.cpu(index).acknowledge(), Some(0x41));
    }
    bench.apic(1, 0x300, 0x4_0052);
    assert_eq!(bench.cpu(1).acknowledge(), Some(0x52));
    assert!(!bench.cpu(0).interrupt_pending());
}

#[test]
fn logical_destinations_select_cpus_flat_and_by_cluster() {
    let bench = bench(3);
    for (index, ldr) in [(0, 0x01), (1, 0x02), (2, 0x04)] {
        bench.apic(index, 0xd0, ldr << 24);
    }
    // Flat model: CPUs 0 and 2.
    bench.apic(1, 0x310, 0x0500_0000);
    bench.apic(1, 0x300, 0x0845);
    let taken = || [0, 1, 2].map(|index| bench.cpu(index).acknowledge());
    assert_eq!(taken(), [Some(0x45), None, Some(0x45)]);
    // Cluster model: CPUs 0 and 1 in cluster 1, CPU 2 in cluster 2.
    for (index, ldr) in [(0, 0x11), (1, 0x12), (2, 0x21)] {
        bench.apic(index, 0xe0, 0);
        bench.apic(index, 0xd0, ldr << 24);
    }
    bench.apic(2, 0x310, 0x1300_0000);
    bench.apic(2, 0x300, 0x0856);
    assert_eq!(taken(), [Some(0x56), Some(0x56), None]);
}

#[test]
fn x2apic_messages_go_by_number_cluster_and_broadcast() {
    const ICR: u32 = 0x830;
    let bench = bench(3);
    for index in 0..3 {
        let base = bench.cpu(index).msr_read(msr::APIC_BASE).unwrap();
        bench.cpu(index).msr_write(msr::APIC_BASE, base | 1 << 10).unwrap();
    }
    let taken = || [0, 1, 2].map(|index| bench.cpu(index).acknowledge());
    bench.cpu(0).msr_write(ICR, 2 << 32 | 0x45).unwrap();
    assert_eq!(taken(), [None, None, Some(0x45)]);
    // Logical: CPUs 0 and 1 of cluster 0.
    bench.cpu(2).msr_write(ICR, 0b011 << 32 | 0x856).unwrap();
    assert_eq!(taken(), [Some(0x56), Some(0x56), None]);
    bench.cpu(1).msr_write(ICR, 0xffff_ffff << 32 | 0x67).unwrap();
    assert_eq!(taken(), [Some(0x67); 3]);
    bench.cpu(1).msr_write(ICR, 2 << 32 | 0x400).unwrap();
    assert!(bench.cpu(2).take_nmi());
    // Its own register for messages to itself.
    bench.cpu(1).msr_write(0x83f, 0x78).unwrap();
    assert_eq!(taken(), [None, Some(0x78), None]);
}

#[test]
fn init_takes_away_what_waited_in_an_apic() {
    let bench = bench(2);
    bench.apic(0, 0x310, 0x0100_0000);
    bench.apic(0, 0x300, 0x0045);
    bench.apic(0, 0x300, 0x0400);
    bench.apic(0, 0x300, 0x4500);
    assert!(!bench.cpu(1).interrupt_pending() && !bench.cpu(1).nmi_pending());
    assert!(bench.cpu(1).event_pending());
}

#[test]
fn lowest_priority_goes_to_one_idle_cpu() {
    let bench = bench(2);
    bench.cpu(0).set_task_priority(8);
    bench.all.send(0xfeef_f00c, 0x0161);
    assert_eq!(bench.cpu(1).acknowledge(), Some(0x61));
    bench.cpu(0).set_task_priority(0);
    assert_eq!(bench.cpu(0).acknowledge(), None);
}

#[test]
fn lowering_the_task_priority_asks_for_attention() {
    let bench = bench(1);
    bench.cpu(0).set_task_priority(15);
    bench.all.send(0xfee0_0000, 0x61);
    assert_eq!(bench.raised[0].take(), 0);
    assert!(!bench.cpu(0).interrupt_pending());
    bench.cpu(0).set_task_priority(0);
    assert!(bench.raised[0].take() > 0);
    assert_eq!(bench.cpu(0).acknowledge(), Some(0x61));
}

#[test]
fn the_apic_timer_wakes_its_cpu() {
    let bench = bench(1);
    bench.apic(0, 0x3e0, 0xb);
    bench.apic(0, 0x320, 0xec);
    bench.apic(0, 0x380, 500);
    bench.clock.advance(49_999);
    assert_eq!(bench.raised[0].take(), 0);
    bench.clock.advance(1);
    assert_eq!(bench.raised[0].take(), 1);
    assert_eq!(bench.cpu(0).acknowledge(), Some(0xec));
    assert_eq!(bench.clock.now_ns(), 50_000);
}

#[test]
fn state_comes_back_and_impossible_state_does_not() {
    let first = bench(1);
    first.route(9, 0x8039, 0);
    first.all.isa_line(9).set(true);
    let saved = first.all.save();
    let second = bench(1);
    second.all.restore(&saved).unwrap();
    assert_eq!(second.cpu(0).acknowledge(), Some(0x39));
    assert!(bench(2).all.restore(&saved).is_err());
    second.all.reset();
    assert!(!second.cpu(0).interrupt_pending());
    assert_eq!(second.cpu(0).msr_read(msr::APIC_BASE), Some(0xfee0_0900));
}
