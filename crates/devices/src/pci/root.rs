//! The root: both ways to configuration space, and the functions' windows on the platform's buses.
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use platform::{Bus, Device, Region, SavedError, SavedState, SharedDevice, device};
use serde::{Deserialize, Serialize};

use super::spec::{BARS, mechanism};
use super::{PciFunction, Space, Window};
use crate::reset_control::ResetControl;

/// Ports 0xcf8 to 0xcff: configuration address and data, and the reset control register among them.
pub const PCI_PORTS_REGION: Region = Region(0);
/// PCI Express configuration space: 1 MiB for each of 256 buses.
pub const ECAM_REGION: Region = Region(1);
const VERSION: u32 = 1;
/// Bytes of a function in ECAM.
const ECAM_FUNCTION_BYTES: u64 = 0x1000;

/// Where a function is on bus 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    /// Slot, 0 to 31.
    pub slot: u8,
    /// Function in the slot, 0 to 7.
    pub function: u8,
}

/// A function that the root cannot take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PciError {
    /// There is one already, or no such slot.
    #[error("pci slot {slot:02x}.{function} is taken or does not exist")]
    Slot {
        /// Slot asked for.
        slot: u8,
        /// Function asked for.
        function: u8,
    },
}

/// The root of PCI: one bus. It resets, saves and restores its functions with itself.
pub struct PciRoot {
    /// What was written to port 0xcf8.
    selected: u32,
    functions: BTreeMap<Address, Attached>,
    reset_control: ResetControl,
    ports: Weak<Bus>,
    memory: Weak<Bus>,
}

struct Attached {
    function: Arc<Mutex<dyn PciFunction>>,
    on_bus: SharedDevice,
    windows: [Option<Window>; BARS],
}

#[derive(Serialize, Deserialize)]
struct Saved {
    selected: u32,
    reset_control: SavedState,
    functions: Vec<(Address, String, SavedState)>,
}

impl PciRoot {
    /// A root without functions, whose windows will be on these buses.
    pub fn new(ports: &Arc<Bus>, memory: &Arc<Bus>, reset_control: ResetControl) -> Self {
        let (ports, memory) = (Arc::downgrade(ports), Arc::downgrade(memory));
        Self { selected: 0, functions: BTreeMap::new(), reset_control, ports, memory }
    }
    /// Puts a function into a slot.
    pub fn attach<F: PciFunction + 'static>(
        &mut self,
        address: Address,
        function: Arc<Mutex<F>>,
    ) -> Result<(), PciError> {
        let Address { slot, function: number } = address;
        if slot > 31 || number > 7 || self.functions.contains_key(&address) {
            return Err(PciError::Slot { slot, function: number });
        }
        let on_bus: SharedDevice = Arc::<Mutex<F>>::clone(&function);
        self.functions.insert(address, Attached { function, on_bus, windows: [None; BARS] });
        self.place_windows();
        Ok(())
    }
    /// Takes a function out of its slot, and its windows off the buses. An access that has found it before still reaches
    /// it.
    pub fn detach(&mut self, address: Address) -> Option<SharedDevice> {
        let attached = self.functions.remove(&address)?;
        if let (Some(ports), Some(memory)) = (self.ports.upgrade(), self.memory.upgrade()) {
            for window in attached.windows.iter().flatten() {
                let bus = if window.space == Space::Io { &ports } else { &memory };
                if let Err(error) = bus.remove(window.first) {
                    tracing::warn!(%error, "pci window was not where it should be");
                }
            }
        }
        Some(attached.on_bus)
    }
    /// Where functions are.
    pub fn addresses(&self) -> Vec<Address> {
        self.functions.keys().copied().collect()
    }
    /// Reads a function's configuration space; all ones where there is none.
    pub fn read_config(&mut self, address: Address, register: u16, data: &mut [u8]) {
        data.fill(0xff);
        if let Some(attached) = self.functions.get(&address) {
            attached.function.lock().read_config(register, data);
        }
    }
    /// Writes a function's configuration space, and moves its windows.
    pub fn write_config(&mut self, address: Address, register: u16, data: &[u8]) {
        if let Some(attached) = self.functions.get(&address) {
            attached.function.lock().write_config(register, data);
            self.place_windows();
        }
    }
    /// What a function's window asks for.
    pub fn bar(&self, address: Address, index: usize) -> Option<(super::BarKind, u64)> {
        self.functions.get(&address)?.function.lock().config().bar(index)
    }

    /// Puts all windows where the functions' registers say: first those that leave, then those that come. A window
    /// whose place is taken stays off the bus until the place is free.
    fn place_windows(&mut self) {
        let (Some(ports), Some(memory)) = (self.ports.upgrade(), self.memory.upgrade()) else { return };
        let bus_of = |window: &Window| if window.space == Space::Io { &ports } else { &memory };
        let mut missing = Vec::new();
        for (address, attached) in &mut self.functions {
            let function = attached.function.lock();
            for (index, placed) in attached.windows.iter_mut().enumerate() {
                let wanted = function.config().window(index);
                if let Some(window) = placed.filter(|window| Some(*window) != wanted) {
                    if let Err(error) = bus_of(&window).remove(window.first) {
                        tracing::warn!(%error, "pci window was not where it should be");
                    }
                    *placed = None;
                }
                if let Some(window) = wanted.filter(|_| placed.is_none()) {
                    missing.push((*address, index, window));
                }
            }
        }
        for (address, index, window) in missing {
            let Some(attached) = self.functions.get_mut(&address) else { continue };
            let device = Arc::clone(&attached.on_bus);
            match bus_of(&window).add(window.first, window.length, Region(index as u16), device) {
                Ok(()) => attached.windows[index] = Some(window),
                Err(error) => tracing::debug!(?address, index, %error, "pci window cannot be there"),
            }
        }
    }

    /// What a configuration access by port means: function and register.
    fn selected(&self, offset: u64) -> Option<(Address, u16)> {
        let selected = self.selected;
        let on_bus_0 = selected >> 16 & 0xff == 0;
        let address = Address { slot: (selected >> 11 & 31) as u8, function: (selected >> 8 & 7) as u8 };
        let register = (selected & 0xfc) as u16 + (offset - mechanism::DATA_PORT) as u16;
        (selected & mechanism::ENABLE != 0 && on_bus_0).then_some((address, register))
    }
    /// What an access in ECAM means, and how many of its bytes are the function's.
    fn in_ecam(offset: u64, length: usize) -> Option<(Address, u16, usize)> {
        let on_bus_0 = offset >> 20 == 0;
        let address = Address { slot: (offset >> 15 & 31) as u8, function: (offset >> 12 & 7) as u8 };
        let register = offset % ECAM_FUNCTION_BYTES;
        let owned = length.min((ECAM_FUNCTION_BYTES - register) as usize);
        on_bus_0.then_some((address, register as u16, owned))
    }
}

impl Device for PciRoot {
    fn name(&self) -> &'static str {
        "pci"
    }
    fn reset(&mut self) {
        self.selected = 0;
        self.reset_control.reset();
        self.functions.values().for_each(|attached| attached.function.lock().reset());
        self.place_windows();
    }
    fn read(&mut self, region: Region, offset: u64, data: &mut [u8]) {
        match (region, offset, data.len()) {
            (ECAM_REGION, ..) => {
                if let Some((address, register, owned)) = Self::in_ecam(offset, data.len()) {
                    self.read_config(address, register, &mut data[..owned]);
                }
            }
            (_, mechanism::ADDRESS_PORT, 4) => device::put_register(data, self.selected.into()),
            (_, mechanism::RESET_CONTROL, 1) => self.reset_control.read(Region(0), 0, data),
            (_, mechanism::DATA_PORT.., _) => {
                if let Some((address, register)) = self.selected(offset) {
                    self.read_config(address, register, data);
                }
            }
            _ => {}
        }
    }
    fn write(&mut self, region: Region, offset: u64, data: &[u8]) {
        match (region, offset, data.len()) {
            (ECAM_REGION, ..) => {
                if let Some((address, register, owned)) = Self::in_ecam(offset, data.len()) {
                    self.write_config(address, register, &data[..owned]);
                }
            }
            (_, mechanism::ADDRESS_PORT, 4) => {
                self.selected = device::get_register(data) as u32 & mechanism::ADDRESS;
            }
            (_, mechanism::RESET_CONTROL, 1) => self.reset_control.write(Region(0), 0, data),
            (_, mechanism::DATA_PORT.., _) => {
                if let Some((address, register)) = self.selected(offset) {
                    self.write_config(address, register, data);
                }
            }
            _ => {}
        }
    }
    fn save(&self) -> SavedState {
        let Self { selected, functions, reset_control, ports: _, memory: _ } = self;
        let saved = |(address, attached): (&Address, &Attached)| {
            let function = attached.function.lock();
            (*address, function.name().to_owned(), function.save())
        };
        SavedState::new(
            VERSION,
            &Saved {
                selected: *selected,
                reset_control: reset_control.save(),
                functions: functions.iter().map(saved).collect(),
            },
        )
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        let saved: Saved = saved.take(VERSION)?;
        if saved.functions.len() != self.functions.len() {
            return Err(SavedError::Impossible("another number of pci functions"));
        }
        self.selected = saved.selected & mechanism::ADDRESS;
        self.reset_control.restore(&saved.reset_control)?;
        for (address, name, state) in &saved.functions {
            let attached = self.functions.get(address);
            let found =
                attached.map(|attached| attached.function.lock()).filter(|found| found.name() == *name);
            found.ok_or_else(|| SavedError::Missing(name.clone()))?.restore(state)?;
        }
        self.place_windows();
        Ok(())
    }
}
