//! From lines and messages to CPUs.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use platform::{Clock, IrqLine, IrqSink, MsiSink};

use super::cpu::CpuInterrupts;
use crate::apic::{Command, DeliveryMode, GuestTsc, LocalApic, Message, Shorthand};
use crate::ioapic::IoApic;
use crate::pic::{Pair, Register};

/// The I/O APIC's input of the ISA timer (the MADT's override says so).
const TIMER_PIN: usize = 2;
/// Lines from here on go to the 8259A pair only.
const PIC_ONLY: u32 = 0x100;
const ISA_LINES: u32 = 16;

/// The 8259A pair, the I/O APIC and every CPU's local APIC.
pub struct Interrupts {
    pub(super) pic: Mutex<PicInputs>,
    /// The pair's output, kept so that CPUs can look without its lock.
    pub(super) pic_output: AtomicBool,
    pub(super) ioapic: Mutex<IoApic>,
    pub(super) cpus: Vec<CpuInterrupts>,
}

/// The pair and who drives its inputs: an ISA device and routed PCI lines can share one.
#[derive(Default)]
pub(super) struct PicInputs {
    pub(super) pair: Pair,
    pub(super) isa: u16,
    pub(super) routed: u16,
}

impl Interrupts {
    /// The controllers of a machine with `cpus` CPUs; the first is the bootstrap CPU, and APIC ids count from 0.
    pub fn new(cpus: u32, clock: Arc<dyn Clock>, tsc: Arc<dyn GuestTsc>) -> Arc<Self> {
        Arc::new_cyclic(|machine: &Weak<Self>| {
            let cpu = |index: u32| {
                let on_timer = Weak::clone(machine);
                let callback = move || {
                    if let Some(machine) = on_timer.upgrade() {
                        machine.cpus[index as usize].timer_fired();
                    }
                };
                let (clock, tsc) = (Arc::clone(&clock), Arc::clone(&tsc));
                let apic = LocalApic::new(index, index == 0, clock, tsc, Arc::new(callback));
                CpuInterrupts::new(Weak::clone(machine), apic)
            };
            Self {
                pic: Mutex::default(),
                pic_output: AtomicBool::new(false),
                ioapic: Mutex::default(),
                cpus: (0..cpus).map(cpu).collect(),
            }
        })
    }
    /// The interrupts of one CPU.
    pub fn cpu(&self, index: usize) -> Option<&CpuInterrupts> {
        self.cpus.get(index)
    }
    /// The interrupts of every CPU.
    pub fn all(&self) -> impl Iterator<Item = &CpuInterrupts> {
        self.cpus.iter()
    }
    /// The line of ISA interrupt `irq`, 0 to 15: the 8259A input and the I/O APIC input (the timer's is 2).
    pub fn isa_line(self: &Arc<Self>, irq: u8) -> IrqLine {
        IrqLine::new(u32::from(irq), Arc::<Self>::clone(self))
    }
    /// The line of global system interrupt `gsi`, 16 to 23: an input of the I/O APIC alone.
    pub fn gsi_line(self: &Arc<Self>, gsi: u32) -> IrqLine {
        IrqLine::new(gsi, Arc::<Self>::clone(self))
    }
    /// An input of the 8259A pair alone, for PCI lines that the LPC bridge routes there; shared with the ISA device.
    pub fn pic_line(self: &Arc<Self>, irq: u8) -> IrqLine {
        IrqLine::new(PIC_ONLY + u32::from(irq), Arc::<Self>::clone(self))
    }
    /// Power-on reset of all controllers. Reset devices after it, so that lines that are high then are seen.
    pub fn reset(&self) {
        *self.pic.lock() = PicInputs::default();
        self.pic_output.store(false, Ordering::Release);
        *self.ioapic.lock() = IoApic::default();
        self.cpus.iter().for_each(CpuInterrupts::reset);
    }

    pub(super) fn pic_output(&self) -> bool {
        self.pic_output.load(Ordering::Acquire)
    }
    /// What the CPU's acknowledgement gets; `None` if the pair does not ask any more.
    pub(super) fn acknowledge_pic(&self) -> Option<u8> {
        let mut pic = self.pic.lock();
        let vector = pic.pair.output().then(|| pic.pair.acknowledge());
        self.publish(&pic);
        vector
    }
    pub(super) fn read_pic(&self, register: Register) -> u8 {
        let mut pic = self.pic.lock();
        let value = pic.pair.read(register);
        self.publish(&pic);
        value
    }
    pub(super) fn write_pic(&self, register: Register, value: u8) {
        let mut pic = self.pic.lock();
        pic.pair.write(register, value);
        self.publish(&pic);
    }
    fn set_pic_input(&self, irq: u8, drive: impl FnOnce(&mut PicInputs)) {
        let mut pic = self.pic.lock();
        drive(&mut pic);
        let high = (pic.isa | pic.routed) & 1 << irq != 0;
        pic.pair.set_input(irq, high);
        self.publish(&pic);
    }
    /// Makes the pair's output known, with its lock held so that outputs are published in order.
    pub(super) fn publish(&self, pic: &PicInputs) {
        let output = pic.pair.output();
        if output != self.pic_output.swap(output, Ordering::AcqRel) && output {
            self.cpus.iter().for_each(CpuInterrupts::external_rises);
        }
    }

    /// The I/O APIC under its lock, and where its messages go.
    pub(super) fn with_ioapic<T>(&self, act: impl FnOnce(&mut IoApic, &mut dyn FnMut(Message)) -> T) -> T {
        act(&mut self.ioapic.lock(), &mut |message| self.deliver(&message, false))
    }
    pub(super) fn end_of_level(&self, vector: u8) {
        self.with_ioapic(|ioapic, send| ioapic.end_of_interrupt(vector, send));
    }
    pub(super) fn send_command(&self, sender: &CpuInterrupts, command: Command) {
        let Command { shorthand, message } = command;
        let is_sender = |cpu: &CpuInterrupts| std::ptr::eq(cpu, sender);
        match shorthand {
            Shorthand::None => {
                let wide = sender.apic.lock().state().is_x2apic();
                self.deliver(&message, wide);
            }
            Shorthand::Myself => sender.receive(&message),
            Shorthand::All => self.cpus.iter().for_each(|cpu| cpu.receive(&message)),
            Shorthand::Others => {
                self.cpus.iter().filter(|cpu| !is_sender(cpu)).for_each(|cpu| cpu.receive(&message));
            }
        }
    }
    /// Sends a message to whom it is addressed; `wide` says that destinations have 32 bits.
    fn deliver(&self, message: &Message, wide: bool) {
        let addressed = self.cpus.iter().filter(|cpu| cpu.apic.lock().is_addressed(message, wide));
        if message.mode == DeliveryMode::LowestPriority {
            let idlest = addressed
                .filter_map(|cpu| Some((cpu.apic.lock().arbitration()?, cpu)))
                .min_by_key(|(priority, _)| *priority);
            if let Some((_, cpu)) = idlest {
                cpu.receive(message);
            }
        } else {
            addressed.for_each(|cpu| cpu.receive(message));
        }
    }
}

impl IrqSink for Interrupts {
    fn set_level(&self, line: u32, high: bool) {
        let bit = |irq: u32| 1_u16 << irq;
        let driven = |lines: u16, irq: u32| lines & !bit(irq) | if high { bit(irq) } else { 0 };
        match line {
            0..ISA_LINES => {
                self.set_pic_input(line as u8, |pic| pic.isa = driven(pic.isa, line));
                let pin = if line == 0 { TIMER_PIN } else { line as usize };
                self.with_ioapic(|ioapic, send| ioapic.set_input(pin, high, send));
            }
            PIC_ONLY.. => {
                let irq = (line - PIC_ONLY) % ISA_LINES;
                self.set_pic_input(irq as u8, |pic| pic.routed = driven(pic.routed, irq));
            }
            _ => self.with_ioapic(|ioapic, send| ioapic.set_input(line as usize, high, send)),
        }
    }
}

impl MsiSink for Interrupts {
    fn send(&self, address: u64, data: u32) {
        match Message::from_msi(address, data) {
            Some(message) => self.deliver(&message, false),
            None => tracing::debug!("message to {address:#x} reaches no APIC"),
        }
    }
}
