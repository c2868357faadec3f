//! MSI-X (PCI 3.0 §6.8.2): a table of messages, and bits for those that wait.
use std::sync::Arc;

use platform::{MsiSink, SavedError};
use serde::{Deserialize, Serialize};

use super::ConfigSpace;
use super::spec::{self, msix};

/// The vectors of a function.
pub struct Msix {
    state: State,
    /// Where the capability is in configuration space.
    capability: u8,
    sink: Arc<dyn MsiSink>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    entries: Vec<Entry>,
    /// A bit a vector: it waits to be unmasked.
    pending: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    address: u64,
    data: u32,
    control: u32,
}

impl Entry {
    const RESET: Self = Self { address: 0, data: 0, control: msix::VECTOR_MASKED };
}

/// The saved form of [`Msix`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedMsix(State);

/// What message control says.
struct Control {
    enabled: bool,
    masked: bool,
}

impl State {
    fn new(vectors: u16) -> Self {
        let words = usize::from(vectors).div_ceil(64);
        Self { entries: vec![Entry::RESET; vectors.into()], pending: vec![0; words] }
    }
}

impl Msix {
    /// `vectors` vectors, 1 to 2048, whose table is at `table` and whose pending bits are at `pending`: number of the
    /// window and offset in it, a multiple of 8. Adds the capability to `config`.
    pub fn new(
        config: &mut ConfigSpace,
        vectors: u16,
        table: (u8, u32),
        pending: (u8, u32),
        sink: Arc<dyn MsiSink>,
    ) -> Self {
        assert!((1..=2048).contains(&vectors), "{vectors} vectors");
        let mut body = (vectors - 1).to_le_bytes().to_vec();
        for (window, offset) in [table, pending] {
            body.extend((offset | u32::from(window)).to_le_bytes());
        }
        let writable = (msix::ENABLE | msix::FUNCTION_MASK).to_le_bytes();
        let capability = config.add_capability(spec::CAPABILITY_MSIX, &body, &writable);
        Self { state: State::new(vectors), capability, sink }
    }
    /// Whether messages are used rather than the pin.
    pub fn is_enabled(&self, config: &ConfigSpace) -> bool {
        self.control(config).enabled
    }
    /// Number of vectors.
    pub fn vectors(&self) -> u16 {
        self.state.entries.len() as u16
    }
    /// Sends a vector's message, or has it wait while masked. Vectors that do not exist are nothing.
    pub fn notify(&mut self, config: &ConfigSpace, vector: u16) {
        let Control { enabled, masked } = self.control(config);
        let Some(entry) = self.state.entries.get(usize::from(vector)).filter(|_| enabled) else { return };
        if masked || entry.control & msix::VECTOR_MASKED != 0 {
            self.state.pending[usize::from(vector / 64)] |= 1 << (vector % 64);
        } else if config.is_bus_master() {
            self.sink.send(entry.address, entry.data);
        }
    }
    /// To be called after configuration space was written: sends what waited and is not masked any more.
    pub fn config_written(&mut self, config: &ConfigSpace) {
        let Control { enabled, masked } = self.control(config);
        if enabled && !masked {
            (0..self.vectors()).for_each(|vector| self.send_waiting(config, vector));
        }
    }

    /// Reads the table.
    pub fn read_table(&self, offset: u64, data: &mut [u8]) {
        for (offset, byte) in (offset..).zip(data) {
            let entry =
                usize::try_from(offset / msix::ENTRY_BYTES).ok().and_then(|i| self.state.entries.get(i));
            *byte = entry.map_or(0, |entry| entry.bytes()[(offset % msix::ENTRY_BYTES) as usize]);
        }
    }
    /// Writes the table.
    pub fn write_table(&mut self, config: &ConfigSpace, offset: u64, data: &[u8]) {
        let first = offset / msix::ENTRY_BYTES;
        for (offset, value) in (offset..).zip(data) {
            let index = usize::try_from(offset / msix::ENTRY_BYTES).unwrap_or(usize::MAX);
            if let Some(entry) = self.state.entries.get_mut(index) {
                let mut bytes = entry.bytes();
                bytes[(offset % msix::ENTRY_BYTES) as usize] = *value;
                *entry = Entry::of(bytes);
            }
        }
        let Control { enabled, masked } = self.control(config);
        if enabled && !masked {
            let last = (offset + data.len() as u64) / msix::ENTRY_BYTES;
            let vectors = first..=last.min(self.vectors().into());
            vectors.for_each(|vector| self.send_waiting(config, vector as u16));
        }
    }
    /// Reads the pending bits.
    pub fn read_pending(&self, offset: u64, data: &mut [u8]) {
        for (offset, byte) in (offset..).zip(data) {
            let word = usize::try_from(offset / 8).ok().and_then(|index| self.state.pending.get(index));
            *byte = word.map_or(0, |word| word.to_le_bytes()[(offset % 8) as usize]);
        }
    }
    /// Back to the state after power-on.
    pub fn reset(&mut self) {
        self.state = State::new(self.vectors());
    }
    /// What is saved.
    pub fn save(&self) -> SavedMsix {
        SavedMsix(self.state.clone())
    }
    /// Takes what was saved.
    pub fn restore(&mut self, saved: SavedMsix) -> Result<(), SavedError> {
        let SavedMsix(state) = saved;
        let fits = |mine: usize, theirs: usize| mine == theirs;
        if !fits(self.state.entries.len(), state.entries.len())
            || !fits(self.state.pending.len(), state.pending.len())
        {
            return Err(SavedError::Impossible("another number of MSI-X vectors"));
        }
        self.state = state;
        Ok(())
    }

    fn control(&self, config: &ConfigSpace) -> Control {
        let word = config.word(usize::from(self.capability + msix::MESSAGE_CONTROL));
        Control { enabled: word & msix::ENABLE != 0, masked: word & msix::FUNCTION_MASK != 0 }
    }
    fn send_waiting(&mut self, config: &ConfigSpace, vector: u16) {
        let Some(word) = self.state.pending.get_mut(usize::from(vector / 64)) else { return };
        let bit = 1 << (vector % 64);
        let Some(entry) = self.state.entries.get(usize::from(vector)) else { return };
        if *word & bit != 0 && entry.control & msix::VECTOR_MASKED == 0 {
            *word &= !bit;
            self.notify(config, vector);
        }
    }
}

impl Entry {
    fn bytes(self) -> [u8; msix::ENTRY_BYTES as usize] {
        let mut bytes = [0; msix::ENTRY_BYTES as usize];
        bytes[..8].copy_from_slice(&self.address.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.data.to_le_bytes());
        bytes[12..].copy_from_slice(&self.control.to_le_bytes());
        bytes
    }
    fn of(bytes: [u8; msix::ENTRY_BYTES as usize]) -> Self {
        let wide = u128::from_le_bytes(bytes);
        let control = (wide >> 96) as u32 & msix::VECTOR_MASKED;
        Self { address: wide as u64 & !3, data: (wide >> 64) as u32, control }
    }
}
