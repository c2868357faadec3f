//! PCI: the root, the bridges of the board, and the devices in its slots.
use std::sync::Arc;

use devices::interrupts::Interrupts;
use devices::pci::{
    Address, ECAM_REGION, HostBridge, LpcBridge, PCI_PORTS_REGION, PciRoot, Pin, PirqOutputs, PirqRouter,
};
use devices::reset_control::ResetControl;
use devices::virtio::VirtioPci;
use devices::virtio::rng::{HostEntropy, VirtioRng};
use parking_lot::Mutex;
use platform::{GuestRam, MsiSink};

use super::Chipset;
use crate::board::{gsi, mmio, port, slot};
use crate::error::MachineError;

/// The function 0 of a slot.
const fn first_in(slot: u8) -> Address {
    Address { slot, function: 0 }
}

impl Chipset {
    /// The root with everything on it. `reset_control` is the register inside the root's ports.
    pub(super) fn add_pci(
        &mut self,
        ram: &GuestRam,
        reset_control: ResetControl,
    ) -> Result<(), MachineError> {
        let router = PirqRouter::new(PirqOutputs {
            ioapic: std::array::from_fn(|line| self.interrupts.gsi_line(gsi::PIRQ_A + line as u32)),
            pic: std::array::from_fn(|irq| self.interrupts.pic_line(irq as u8)),
        });
        let mut root = PciRoot::new(&self.ports, &self.memory, reset_control);
        let host = Arc::new(Mutex::new(HostBridge::new(mmio::ECAM_BASE)));
        root.attach(first_in(slot::HOST_BRIDGE), host)?;
        let lpc = Arc::new(Mutex::new(LpcBridge::new(port::PM_BASE, Arc::clone(&router))));
        root.attach(first_in(slot::LPC_BRIDGE), lpc)?;
        let messages: Arc<dyn MsiSink> = Arc::<Interrupts>::clone(&self.interrupts);
        let line = router.line(slot::RNG, Pin::A);
        let rng = VirtioPci::new(VirtioRng::new(HostEntropy), ram.clone(), line, messages);
        root.attach(first_in(slot::RNG), rng)?;
        let root = self.add(root);
        self.ports.add(port::PCI_ADDRESS.into(), 8, PCI_PORTS_REGION, Arc::clone(&root))?;
        self.memory.add(mmio::ECAM_BASE, mmio::ECAM_BYTES, ECAM_REGION, root)?;
        Ok(())
    }
}
