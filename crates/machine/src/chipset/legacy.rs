//! Interrupt controllers, timers, the keyboard controller and the serial port.
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use devices::hpet::{Hpet, HpetLines, LegacyLine};
use devices::i8042::{I8042, I8042_COMMAND_REGION, I8042_DATA_REGION};
use devices::interrupts::{
    IOAPIC_REGION, Interrupts, IoApicWindow, PIC_ELCR_REGION, PIC_MASTER_REGION, PIC_SLAVE_REGION, PicPorts,
};
use devices::pit::{PIT_PORT_B_REGION, PIT_REGION, Pit};
use devices::reset_control::BoardSignal;
use devices::rtc::{Rtc, RtcConfig};
use devices::uart::Uart;
use parking_lot::Mutex;
use platform::{BusError, Clock, RamLayout, Region, TimerCallback};

use super::Chipset;
use crate::board::{irq, mmio, port};
use crate::console::{BufferedOutput, OutputBuffer};

/// A 16550A on COM1's interrupt.
pub fn serial_port(
    clock: &Arc<dyn Clock>,
    interrupts: &Arc<Interrupts>,
    output: &Arc<OutputBuffer>,
    input_room: &TimerCallback,
) -> Arc<Mutex<Uart>> {
    let output = Box::new(BufferedOutput(Arc::clone(output)));
    Uart::new(Arc::clone(clock), interrupts.isa_line(irq::COM1), output, Arc::clone(input_room))
}

/// A real-time clock that shows the host's time.
fn rtc_config(clock: &dyn Clock, ram: RamLayout) -> RtcConfig {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    RtcConfig {
        unix_start_ns: now_ns.saturating_sub(clock.now_ns()),
        low_ram_bytes: ram.low,
        high_ram_bytes: ram.high,
    }
}

impl Chipset {
    /// The 8259A pair and the I/O APIC. Local APICs are part of each CPU's view.
    pub(super) fn add_interrupt_controllers(&mut self) -> Result<(), BusError> {
        let pic = self.add(PicPorts(Arc::clone(&self.interrupts)));
        self.ports.add(port::PIC_MASTER.into(), 2, PIC_MASTER_REGION, Arc::clone(&pic))?;
        self.ports.add(port::PIC_SLAVE.into(), 2, PIC_SLAVE_REGION, Arc::clone(&pic))?;
        self.ports.add(port::ELCR.into(), 2, PIC_ELCR_REGION, pic)?;
        let ioapic = self.add(IoApicWindow(Arc::clone(&self.interrupts)));
        self.memory.add(mmio::IOAPIC_BASE, mmio::IOAPIC_BYTES, IOAPIC_REGION, ioapic)
    }

    /// The 8254, the RTC, and the HPET, which can take their interrupts over.
    pub(super) fn add_timers(&mut self, clock: &Arc<dyn Clock>, ram: RamLayout) -> Result<(), BusError> {
        let irq0 = LegacyLine::new(self.interrupts.isa_line(irq::TIMER));
        let irq8 = LegacyLine::new(self.interrupts.isa_line(irq::RTC));
        let pit = Pit::new(Arc::clone(clock), irq0.legacy_end());
        let pit = self.add_shared(&pit);
        self.ports.add(port::PIT.into(), 4, PIT_REGION, Arc::clone(&pit))?;
        self.ports.add(port::PORT_B.into(), 1, PIT_PORT_B_REGION, pit)?;
        let rtc = Rtc::new(rtc_config(clock.as_ref(), ram), Arc::clone(clock), irq8.legacy_end());
        let rtc = self.add_shared(&rtc);
        self.ports.add(port::RTC.into(), 2, Region(0), rtc)?;
        let gsi = |index| self.interrupts.gsi_line(HpetLines::FIRST_GSI + index as u32);
        let lines = HpetLines { irq0, irq8, gsis: std::array::from_fn(gsi) };
        let hpet = Hpet::new(Arc::clone(clock), lines);
        let hpet = self.add_shared(&hpet);
        self.memory.add(mmio::HPET_BASE, mmio::HPET_BYTES, Region(0), hpet)
    }

    /// The keyboard controller, which can reset the machine.
    pub(super) fn add_keyboard(&mut self, reset: BoardSignal) -> Result<(), BusError> {
        let keyboard = I8042::new(self.interrupts.isa_line(irq::KEYBOARD), reset);
        let keyboard = self.add_shared(&keyboard);
        self.ports.add(port::KEYBOARD_DATA.into(), 1, I8042_DATA_REGION, Arc::clone(&keyboard))?;
        self.ports.add(port::KEYBOARD_COMMAND.into(), 1, I8042_COMMAND_REGION, keyboard)
    }

    /// The serial port's registers.
    pub(super) fn add_serial_port(&mut self) -> Result<(), BusError> {
        let serial = self.add_shared(&Arc::clone(&self.serial));
        self.ports.add(port::COM1.into(), port::COM1_PORTS, Region(0), serial)
    }
}
