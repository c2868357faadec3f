//! MSI-X: a table of messages and a bit for each that waits (PCI 3.0 §6.8.2).
use std::sync::Arc;

use platform::{MsiSink, device};
use serde::{Deserialize, Serialize};

use super::config::ConfigSpace;
use super::spec;

/// Bytes of a table entry.
const ENTRY_BYTES: u64 = 16;
/// Message control: MSI-X is on.
const ENABLE: u16 = 1 << 15;
/// Message control: all vectors are masked.
const MASK_ALL: u16 = 1 << 14;
/// Vector control: masked.
const MASKED: u32 = 1;

/// The table of a function.
pub struct Msix {
    entries: Vec<Entry>,
    /// Where the capability is in configuration space.
    capability: usize,
    sink: Arc<dyn MsiSink>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Entry {
    address: u64,
    data: u32,
    control: u32,
    pending: bool,
}

const RESET_ENTRY: Entry = Entry { address: 0, data: 0, control: MASKED, pending: false };

/// What is saved of a table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MsixState(Vec<Entry>);

impl Msix {
    /// Adds the capability to `config`: `vectors` (1 to 2048) entries in BAR `bar` at `table`, pending bits at `pending`.
    pub fn new(
        config: &mut ConfigSpace,
        vectors: u16,
        bar: u8,
        table: u32,
        pending: u32,
        sink: Arc<dyn MsiSink>,
    ) -> Self {
        let mut body = Vec::with_capacity(10);
        body.extend((vectors - 1).to_le_bytes());
        body.extend((table | u32::from(bar)).to_le_bytes());
        body.extend((pending | u32::from(bar)).to_le_bytes());
        let capability = config.add_capability(spec::CAPABILITY_MSIX, &body);
        config.allow(capability + 2, &(ENABLE | MASK_ALL).to_le_bytes());
        Self { entries: vec![RESET_ENTRY; usize::from(vectors)], capability, sink }
    }
    fn control(&self, config: &ConfigSpace) -> u16 {
        config.word(self.capability + 2)
    }
    /// Whether messages take the place of INTx.
    pub fn is_enabled(&self, config: &ConfigSpace) -> bool {
        self.control(config) & ENABLE != 0
    }
    /// How many vectors there are.
    pub fn vectors(&self) -> u16 {
        self.entries.len() as u16
    }
    /// Sends a vector's message, or keeps it until it is unmasked.
    pub fn trigger(&mut self, vector: u16, config: &ConfigSpace) {
        let control = self.control(config);
        let Some(entry) = self.entries.get_mut(usize::from(vector)) else { return };
        if control & ENABLE == 0 {
            return;
        }
        if control & MASK_ALL != 0 || entry.control & MASKED != 0 {
            entry.pending = true;
        } else {
            self.sink.send(entry.address, entry.data);
        }
    }
    /// Sends what waited for an unmasking; to be called after configuration writes.
    pub fn send_pending(&mut self, config: &ConfigSpace) {
        if self.control(config) & (ENABLE | MASK_ALL) != ENABLE {
            return;
        }
        for entry in self.entries.iter_mut().filter(|entry| entry.pending && entry.control & MASKED == 0) {
            entry.pending = false;
            self.sink.send(entry.address, entry.data);
        }
    }
    /// Reads the table.
    pub fn read_table(&self, offset: u64, data: &mut [u8]) {
        let entry = self.entries.get((offset / ENTRY_BYTES) as usize).copied().unwrap_or(RESET_ENTRY);
        let value = match offset % ENTRY_BYTES {
            0..8 => entry.address >> (offset % 8 * 8),
            _ => (u64::from(entry.control) << 32 | u64::from(entry.data)) >> (offset % 8 * 8),
        };
        device::put_register(data, value);
    }
    /// Writes the table: aligned dwords and qwords (§6.8.2), others are ignored.
    pub fn write_table(&mut self, offset: u64, data: &[u8], config: &ConfigSpace) {
        if !matches!(data.len(), 4 | 8) || !offset.is_multiple_of(data.len() as u64) {
            return;
        }
        for (offset, dword) in (offset..).step_by(4).zip(data.chunks_exact(4)) {
            let value = device::get_register(dword);
            let Some(entry) = self.entries.get_mut((offset / ENTRY_BYTES) as usize) else { return };
            match offset % ENTRY_BYTES {
                0 => entry.address = entry.address & !0xffff_ffff | value & !3,
                4 => entry.address = entry.address & 0xffff_ffff | value << 32,
                8 => entry.data = value as u32,
                _ => entry.control = value as u32 & MASKED,
            }
        }
        self.send_pending(config);
    }
    /// Reads the pending bits.
    pub fn read_pending(&self, offset: u64, data: &mut [u8]) {
        for (byte_at, byte) in (offset as usize..).zip(data) {
            let entries = self.entries.iter().skip(byte_at.saturating_mul(8)).take(8);
            *byte = entries.enumerate().fold(0, |bits, (bit, entry)| bits | u8::from(entry.pending) << bit);
        }
    }
    /// Forgets all messages.
    pub fn reset(&mut self) {
        self.entries.fill(RESET_ENTRY);
    }
    /// What is saved.
    pub fn save(&self) -> MsixState {
        MsixState(self.entries.clone())
    }
    /// Takes what was saved of a table of the same length.
    pub fn restore(&mut self, state: MsixState) -> Option<()> {
        (state.0.len() == self.entries.len()).then(|| self.entries = state.0)
    }
}
