//! From the INTx pins of slots to PIRQ lines, and from those to the I/O APIC and, as the LPC bridge says, the 8259A.
//!
//! Lock order: inner to functions, outer to the interrupt controllers.
use std::sync::Arc;

use parking_lot::Mutex;
use platform::{IrqLine, IrqSink};

use super::spec::lpc;

/// Lines that slots are wired to: PIRQA to PIRQD. E to H have nobody.
const WIRED: usize = 4;
/// Lines that the LPC bridge can route.
pub(super) const LINES: usize = 8;
/// 8259A inputs that a line can be routed to (ICH9 §13.1.17).
const ROUTABLE: u16 = 0xdef8;

/// The wires.
pub struct PirqRouter {
    gsis: [IrqLine; LINES],
    isa: [IrqLine; 16],
    state: Mutex<State>,
}

struct State {
    /// The pins that assert each line: bit `4 * slot + pin`.
    asserted: [u128; WIRED],
    route: [u8; LINES],
}

impl PirqRouter {
    /// Wires with `gsis` for PIRQA to PIRQH, and `isa` the 8259A inputs by number.
    pub fn new(gsis: [IrqLine; LINES], isa: [IrqLine; 16]) -> Arc<Self> {
        let state = State { asserted: [0; WIRED], route: [lpc::PIRQ_DISABLED; LINES] };
        Arc::new(Self { gsis, isa, state: Mutex::new(state) })
    }
    /// The wire of interrupt pin `pin` (0 is INTA) of slot `device`: PIRQ number `(device + pin) % 4`.
    pub fn line(self: &Arc<Self>, device: u8, pin: u8) -> IrqLine {
        let number = u32::from(device & 31) * 4 + u32::from(pin & 3);
        IrqLine::new(number, Arc::<Self>::clone(self))
    }
    pub(super) fn set_route(&self, line: usize, route: u8) {
        let mut state = self.state.lock();
        let old = std::mem::replace(&mut state.route[line], route);
        self.drive_isa(&state, old);
        self.drive_isa(&state, route);
    }
    /// Drives the 8259A input that `route` means by all lines that are routed there.
    fn drive_isa(&self, state: &State, route: u8) {
        let Some(input) = isa_input(route) else { return };
        let any = (0..WIRED)
            .any(|line| isa_input(state.route[line]) == Some(input) && state.asserted[line] != 0);
        self.isa[input].set(any);
    }
}

fn isa_input(route: u8) -> Option<usize> {
    let input = usize::from(route & 0xf);
    (route & lpc::PIRQ_DISABLED == 0 && ROUTABLE & 1 << input != 0).then_some(input)
}

impl IrqSink for PirqRouter {
    fn set_level(&self, number: u32, high: bool) {
        let (slot, pin) = (number / 4 % 32, number % 4);
        let line = (slot + pin) as usize % WIRED;
        let bit = 1_u128 << (number % 128);
        let mut state = self.state.lock();
        let asserted = &mut state.asserted[line];
        let was = *asserted != 0;
        *asserted = *asserted & !bit | if high { bit } else { 0 };
        let is = *asserted != 0;
        if was != is {
            self.gsis[line].set(is);
            self.drive_isa(&state, state.route[line]);
        }
    }
}
