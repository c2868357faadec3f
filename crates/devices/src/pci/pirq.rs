//! The wires PIRQA# to PIRQD#: shared by functions, they end at the I/O APIC and, where routed, at the 8259As.
//!
//! Lock order: the router is inner to functions and outer to the interrupt controllers.
use std::sync::Arc;

use parking_lot::Mutex;
use platform::{IrqLine, IrqSink};

use super::spec::lpc;

/// Wires.
const PIRQS: usize = 4;
const PIC_INPUTS: usize = 16;

/// A slot's interrupt pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// INTA#.
    A = 1,
    /// INTB#.
    B,
    /// INTC#.
    C,
    /// INTD#.
    D,
}

/// Where the wires end.
pub struct PirqOutputs {
    /// Inputs of the I/O APIC, of PIRQA# to PIRQD#.
    pub ioapic: [IrqLine; PIRQS],
    /// Inputs 0 to 15 of the 8259As, for routed wires only.
    pub pic: [IrqLine; PIC_INPUTS],
}

/// The wires.
pub struct PirqRouter {
    wires: Mutex<Wires>,
    outputs: PirqOutputs,
}

struct Wires {
    /// Of each source: which wire it is on, and its level.
    sources: Vec<(usize, bool)>,
    routes: [u8; PIRQS],
    /// Levels driven to the 8259As.
    pic: u16,
}

impl PirqRouter {
    /// Wires that nobody drives.
    pub fn new(outputs: PirqOutputs) -> Arc<Self> {
        let wires = Wires { sources: Vec::new(), routes: [lpc::ROUTE_DISABLED; PIRQS], pic: 0 };
        Arc::new(Self { wires: Mutex::new(wires), outputs })
    }
    /// A line for a function in `slot`: pin A of slot 0 is on PIRQA#, and every slot is one wire further (the DSDT's
    /// `_PRT` says the same). Each call makes a line of its own; those on one wire are or-ed.
    pub fn line(self: &Arc<Self>, slot: u8, pin: Pin) -> IrqLine {
        let mut wires = self.wires.lock();
        let number = wires.sources.len();
        wires.sources.push(((usize::from(slot) + pin as usize - 1) % PIRQS, false));
        IrqLine::new(number as u32, Arc::<Self>::clone(self))
    }
    /// Takes the routes of PIRQA# to PIRQD# to the 8259As.
    pub(super) fn set_routes(&self, routes: [u8; PIRQS]) {
        let mut wires = self.wires.lock();
        wires.routes = routes;
        self.drive_pic(&mut wires);
    }

    fn drive_pic(&self, wires: &mut Wires) {
        let before = wires.pic;
        wires.pic = (0..PIRQS)
            .filter(|pirq| wires.is_high(*pirq))
            .fold(0, |levels, pirq| levels | wires.route(pirq).map_or(0, |irq| 1 << irq));
        for (irq, line) in self.outputs.pic.iter().enumerate() {
            if (before ^ wires.pic) & 1 << irq != 0 {
                line.set(wires.pic & 1 << irq != 0);
            }
        }
    }
}

impl Wires {
    fn is_high(&self, pirq: usize) -> bool {
        self.sources.iter().any(|(wire, high)| *wire == pirq && *high)
    }
    fn route(&self, pirq: usize) -> Option<u8> {
        let route = self.routes[pirq];
        let irq = route & lpc::ROUTE_IRQ;
        (route & lpc::ROUTE_DISABLED == 0 && lpc::ROUTABLE & 1 << irq != 0).then_some(irq)
    }
}

impl IrqSink for PirqRouter {
    fn set_level(&self, line: u32, high: bool) {
        let mut wires = self.wires.lock();
        let Some(source) = wires.sources.get_mut(line as usize) else { return };
        source.1 = high;
        let pirq = source.0;
        self.outputs.ioapic[pirq].set(wires.is_high(pirq));
        self.drive_pic(&mut wires);
    }
}
