//! The device.
use std::sync::Arc;

use super::super::{Chain, Chains, VirtioDevice, VirtioError};
use super::channel::Channel;

/// Number of the kind of device.
const KIND: u16 = 3;
/// PCI class: a communication controller of no particular kind.
const CLASS: u32 = 0x07_80_00;
/// The queue of buffers that the guest reads (§5.3.2).
pub const RECEIVE: usize = 0;
/// The queue of buffers that the guest has written.
pub const TRANSMIT: usize = 1;
const QUEUE_SIZES: &[u16] = &[64, 64];
/// Bytes of one chain at most; Linux sends a page.
const CHAIN_BYTES_MAX: u32 = 256 << 10;

/// The console device.
pub struct VirtioConsole {
    channel: Arc<Channel>,
    /// What the channel has no room for.
    held: Option<Chain>,
}

impl VirtioConsole {
    /// A device at one end of a channel.
    pub fn new(channel: Arc<Channel>) -> Self {
        Self { channel, held: None }
    }

    fn transmit(&mut self, chains: &mut Chains<'_>) -> Result<(), VirtioError> {
        loop {
            let Some(chain) = self.held.take().map_or_else(|| chains.take(), |held| Ok(Some(held)))? else {
                return Ok(());
            };
            let length = chain.readable().length().min(CHAIN_BYTES_MAX);
            let mut bytes = vec![0; length as usize];
            chain.readable().get(chains.ram(), 0, &mut bytes);
            if !self.channel.push(&bytes) {
                // Whoever reads the channel has the queue served again.
                self.held = Some(chain);
                return Ok(());
            }
            chains.complete(&chain, 0)?;
        }
    }
    fn receive(&self, chains: &mut Chains<'_>) -> Result<(), VirtioError> {
        while self.channel.has_input() {
            let Some(chain) = chains.take()? else { return Ok(()) };
            let room = chain.writable().length().min(CHAIN_BYTES_MAX);
            let bytes = self.channel.pull(room as usize);
            let written = chain.writable().put(chains.ram(), 0, &bytes);
            chains.complete(&chain, written as u32)?;
        }
        Ok(())
    }
}

impl VirtioDevice for VirtioConsole {
    fn name(&self) -> &'static str {
        "virtio-console"
    }
    fn kind(&self) -> u16 {
        KIND
    }
    fn class(&self) -> u32 {
        CLASS
    }
    fn queue_sizes(&self) -> &[u16] {
        QUEUE_SIZES
    }
    fn serve(&mut self, queue: usize, chains: &mut Chains<'_>) -> Result<(), VirtioError> {
        if queue == TRANSMIT { self.transmit(chains) } else { self.receive(chains) }
    }
    fn reset(&mut self) {
        self.held = None;
    }
}
