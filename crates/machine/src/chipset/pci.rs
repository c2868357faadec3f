//! PCI: the root, the bridges of the board, and the devices in its slots.
use std::sync::Arc;

use devices::interrupts::Interrupts;
use devices::pci::{
    Address, ECAM_REGION, HOTPLUG_BYTES, HostBridge, LpcBridge, PCI_PORTS_REGION, PciRoot, Pin, PirqOutputs,
    PirqRouter,
};
use devices::reset_control::ResetControl;
use devices::virtio::VirtioPci;
use devices::virtio::console::{Channel, VirtioConsole};
use devices::virtio::rng::{HostEntropy, VirtioRng};
use parking_lot::Mutex;
use platform::{MsiSink, Region};

use super::channel::GuestChannel;
use super::disks::{DiskBoard, Wiring};
use super::nics::NicBoard;
use super::{Chipset, Parts};
use crate::board::{GPE_PCI_HOTPLUG, gsi, mmio, port, slot};
use crate::error::MachineError;

/// The function 0 of a slot.
pub(super) const fn first_in(slot: u8) -> Address {
    Address { slot, function: 0 }
}

impl Chipset {
    /// The root with everything on it. `reset_control` is the register inside the root's ports.
    pub(super) fn add_pci(
        &mut self,
        parts: &Parts<'_>,
        reset_control: ResetControl,
    ) -> Result<(), MachineError> {
        let ram = parts.ram;
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
        if parts.config.channel {
            let messages: Arc<dyn MsiSink> = Arc::<Interrupts>::clone(&self.interrupts);
            let channel = Arc::<Channel>::default();
            let line = router.line(slot::CONSOLE, Pin::A);
            let console = VirtioConsole::new(Arc::clone(&channel));
            let function = VirtioPci::new(console, ram.clone(), line, messages);
            self.channel = Some(GuestChannel { channel, function: Arc::downgrade(&function) });
            root.attach(first_in(slot::CONSOLE), function)?;
        }
        let root = Arc::new(Mutex::new(root));
        let on_bus = self.add_shared(&root);
        self.ports.add(port::PCI_ADDRESS.into(), 8, PCI_PORTS_REGION, Arc::clone(&on_bus))?;
        self.memory.add(mmio::ECAM_BASE, mmio::ECAM_BYTES, ECAM_REGION, on_bus)?;
        let interrupts = Arc::clone(&self.interrupts);
        let wiring = Wiring { ram: ram.clone(), root, router, interrupts };
        self.nics = Some(Arc::new(NicBoard::new(&wiring, &parts.config.nics, &parts.links)?));
        self.add_disks(parts, wiring)
    }

    /// The disks, and the registers by which some of them come and go.
    fn add_disks(&mut self, parts: &Parts<'_>, wiring: Wiring) -> Result<(), MachineError> {
        let power = Arc::clone(&self.power);
        let event = Arc::new(move || power.lock().raise_event(GPE_PCI_HOTPLUG));
        let queues = parts.config.cpus.into();
        let board = DiskBoard::new(wiring, queues, Arc::clone(&parts.trouble), event)?;
        for disk in &parts.config.disks {
            board.attach(disk, false)?;
        }
        let slots = self.add_shared(board.slots());
        self.ports.add(port::PCI_HOTPLUG.into(), HOTPLUG_BYTES, Region(0), slots)?;
        self.disks = Some(board);
        Ok(())
    }
}
