//! The functions of bus 0, and the places of their BARs on the machine's buses.
//!
//! Lock order: the map of functions, then a function, then a bus.
use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use platform::{Bus, Region, SharedDevice};

use super::config::BarKind;
use super::function::{Address, PciFunction};
use super::spec::{self, command, offset};

/// Bus 0 of segment 0; there are no others.
pub struct Segment {
    memory: Arc<Bus>,
    ports: Arc<Bus>,
    slots: Mutex<BTreeMap<Address, Slot>>,
}

struct Slot {
    function: Arc<Mutex<dyn PciFunction>>,
    device: SharedDevice,
    /// Where each BAR is on its bus.
    mapped: [Option<u64>; spec::BARS],
}

/// Addresses to give to BARs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first.
    pub first: u64,
    /// One past the last.
    pub end: u64,
}

/// A function or a resource that cannot be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// There is a function already.
    #[error("PCI slot {:02x}.{} is taken", .0.device, .0.function)]
    Taken(Address),
    /// Device above 31 or function above 7.
    #[error("there is no PCI slot {:02x}.{}", .0.device, .0.function)]
    NoSuchSlot(Address),
    /// The windows are full.
    #[error("no room for {size:#x} addresses of PCI function {:02x}.{}", .address.device, .address.function)]
    NoRoom {
        /// Whose.
        address: Address,
        /// How many.
        size: u64,
    },
}

impl Segment {
    /// An empty bus whose functions' BARs go to these buses.
    pub fn new(memory: Arc<Bus>, ports: Arc<Bus>) -> Arc<Self> {
        Arc::new(Self { memory, ports, slots: Mutex::default() })
    }
    /// Plugs a function in.
    pub fn add<F: PciFunction + 'static>(
        &self,
        address: Address,
        function: Arc<Mutex<F>>,
    ) -> Result<(), SegmentError> {
        if address.device > 31 || address.function > 7 {
            return Err(SegmentError::NoSuchSlot(address));
        }
        let mut slots = self.slots.lock();
        if slots.contains_key(&address) {
            return Err(SegmentError::Taken(address));
        }
        let device = Arc::<Mutex<F>>::clone(&function);
        slots.insert(address, Slot { function, device, mapped: [None; spec::BARS] });
        Ok(())
    }
    /// Reads configuration space of `bus`; absent functions read all ones.
    pub fn read(&self, bus: u8, address: Address, at: usize, data: &mut [u8]) {
        data.fill(0xff);
        let function = self.slots.lock().get(&address).filter(|_| bus == 0).map(|slot| Arc::clone(&slot.function));
        let Some(function) = function else { return };
        if at < spec::CONFIG_BYTES {
            function.lock().config_read(at, data);
            self.show_multifunction(address, at, data);
        }
    }
    /// Writes configuration space of `bus`, and moves what the write moved.
    pub fn write(&self, bus: u8, address: Address, at: usize, data: &[u8]) {
        if bus != 0 || at >= spec::CONFIG_BYTES {
            return;
        }
        let mut slots = self.slots.lock();
        let Some(slot) = slots.get_mut(&address) else { return };
        slot.function.lock().config_write(at, data);
        let moves = at < offset::BAR0 + 4 * spec::BARS && at + data.len() > offset::COMMAND;
        if moves {
            self.remap(slot);
        }
    }
    /// Puts BARs where the functions say, after functions were reset or restored.
    pub fn remap_all(&self) {
        self.slots.lock().values_mut().for_each(|slot| self.remap(slot));
    }
    /// Gives every BAR an address and turns decoding on, as firmware does before it hands over.
    pub fn assign(&self, mut memory: Window, mut ports: Window) -> Result<(), SegmentError> {
        let mut slots = self.slots.lock();
        for (address, slot) in slots.iter_mut() {
            let mut function = slot.function.lock();
            for index in 0..spec::BARS {
                let Some((kind, size)) = function.config().bar(index) else { continue };
                let window = if kind == BarKind::Ports { &mut ports } else { &mut memory };
                let no_room = SegmentError::NoRoom { address: *address, size };
                let first = window.take(size).ok_or(no_room)?;
                let width = if kind == BarKind::Memory64 { 8 } else { 4 };
                function.config_write(offset::BAR0 + 4 * index, &first.to_le_bytes()[..4]);
                if width == 8 {
                    function.config_write(offset::BAR0 + 4 * index + 4, &first.to_le_bytes()[4..]);
                }
            }
            let decoding = function.config().command() | command::IO | command::MEMORY;
            function.config_write(offset::COMMAND, &decoding.to_le_bytes());
            drop(function);
            self.remap(slot);
        }
        Ok(())
    }

    /// Function 0 tells whether there are others; the others know nothing of one another.
    fn show_multifunction(&self, address: Address, at: usize, data: &mut [u8]) {
        let header = offset::HEADER_TYPE.checked_sub(at).and_then(|index| data.get_mut(index));
        let Some(byte) = header.filter(|_| address.function == 0) else { return };
        let slots = self.slots.lock();
        let others = Address { function: 1, ..address }..=Address { function: 7, ..address };
        if slots.range(others).next().is_some() {
            *byte |= spec::HEADER_MULTIFUNCTION;
        }
    }
    fn remap(&self, slot: &mut Slot) {
        let places: [Option<(BarKind, u64, u64)>; spec::BARS] = {
            let function = slot.function.lock();
            std::array::from_fn(|index| {
                let (kind, size) = function.config().bar(index)?;
                Some((kind, size, function.config().bar_address(index)?))
            })
        };
        for (index, place) in places.into_iter().enumerate() {
            let wanted = place.map(|(.., first)| first);
            if slot.mapped[index] == wanted {
                continue;
            }
            if let Some(old) = slot.mapped[index].take() {
                let kind = place.map(|(kind, ..)| kind);
                self.unmap(slot, index, kind, old);
            }
            let Some((kind, size, first)) = place else { continue };
            let device = Arc::clone(&slot.device);
            match self.bus(kind).add(first, size, Region(index as u16), device) {
                Ok(()) => slot.mapped[index] = Some(first),
                Err(error) => tracing::debug!("PCI BAR not mapped: {error}"),
            }
        }
    }
    fn unmap(&self, slot: &Slot, index: usize, kind: Option<BarKind>, first: u64) {
        let kind = kind.or_else(|| slot.function.lock().config().bar(index).map(|(kind, _)| kind));
        if let Some(Err(error)) = kind.map(|kind| self.bus(kind).remove(first)) {
            tracing::error!("PCI BAR was not where it was put: {error}");
        }
    }
    fn bus(&self, kind: BarKind) -> &Bus {
        if kind == BarKind::Ports { &self.ports } else { &self.memory }
    }
}

impl Window {
    /// Takes `size` addresses, aligned to their size.
    fn take(&mut self, size: u64) -> Option<u64> {
        let first = self.first.checked_next_multiple_of(size)?;
        let end = first.checked_add(size).filter(|end| *end <= self.end)?;
        self.first = end;
        Some(first)
    }
}
