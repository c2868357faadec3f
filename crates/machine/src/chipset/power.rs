//! What ends or restarts the machine: ACPI, the reset registers, the debug devices.
use std::sync::Arc;

use devices::debug_console::DebugConsole;
use devices::debug_exit::{DEBUG_EXIT_PORTS, DebugExit};
use devices::interrupts::Interrupts;
use devices::pm::Pm;
use devices::port92::Port92;
use devices::post_port::PostPort;
use devices::reset_control::{BoardSignal, ResetControl};
use parking_lot::Mutex;
use platform::{BusError, Clock, Region};

use super::Chipset;
use crate::acpi::dsdt::SLEEP_TYPE_S5;
use crate::board::{irq, port};
use crate::config::{ConfigError, MachineConfig};
use crate::error::MachineError;
use crate::lifecycle::{Event, Outcome, ResetCause};
use crate::vcpu::Report;

/// A wire that posts an event.
fn signal(report: &Arc<dyn Report>, event: Event) -> BoardSignal {
    let report = Arc::clone(report);
    Arc::new(move || report.post(event))
}

/// The wire by which the guest resets the machine.
pub fn reset_signal(report: &Arc<dyn Report>) -> BoardSignal {
    signal(report, Event::Reset(ResetCause::Guest))
}

/// The reset control register.
pub fn reset_control(report: &Arc<dyn Report>) -> ResetControl {
    ResetControl::new(reset_signal(report))
}

/// ACPI's fixed hardware, whose soft-off state ends the machine.
pub fn management(
    clock: &Arc<dyn Clock>,
    interrupts: &Arc<Interrupts>,
    report: &Arc<dyn Report>,
) -> Arc<Mutex<Pm>> {
    let off = signal(report, Event::End(Outcome::PowerOff));
    Pm::new(Arc::clone(clock), interrupts.isa_line(irq::SCI), SLEEP_TYPE_S5, off)
}

impl Chipset {
    /// The power-management block.
    pub(super) fn add_power_management(&mut self) -> Result<(), BusError> {
        let power = self.add_shared(&Arc::clone(&self.power));
        self.ports.add(port::PM_BASE.into(), port::PM_PORTS.into(), Region(0), power)
    }

    /// Port 0x92 and the POST port.
    pub(super) fn add_resets(&mut self, report: &Arc<dyn Report>) -> Result<(), BusError> {
        let fast = self.add(Port92::new(reset_signal(report)));
        self.ports.add(port::FAST_A20.into(), 1, Region(0), fast)?;
        let post = self.add(PostPort::default());
        self.ports.add(port::POST.into(), 1, Region(0), post)
    }

    /// The debug console and the debug-exit port, as far as the user wants them. Comes after all others, so that a port
    /// that is taken is known.
    pub(super) fn add_debug_devices(
        &mut self,
        config: &MachineConfig,
        report: &Arc<dyn Report>,
    ) -> Result<(), MachineError> {
        if config.debug_console {
            let output = Arc::clone(&self.output);
            let console = self.add(DebugConsole::new(Box::new(move |bytes| output.push_all(bytes))));
            self.ports.add(port::DEBUG_CONSOLE.into(), 1, Region(0), console)?;
        }
        if let Some(first) = config.debug_exit {
            let report = Arc::clone(report);
            let exit =
                DebugExit::new(Arc::new(move |code| report.post(Event::End(Outcome::DebugExit(code)))));
            let exit = self.add(exit);
            let added = self.ports.add(first.into(), DEBUG_EXIT_PORTS, Region(0), exit);
            added.map_err(|_| ConfigError::DebugExitTaken(first))?;
        }
        Ok(())
    }
}
