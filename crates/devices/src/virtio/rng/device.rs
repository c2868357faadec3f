//! The device.
use platform::GuestRam;

use super::super::{Chain, Chains, VirtioDevice, VirtioError};

/// Number of the kind of device.
const KIND: u16 = 4;
/// PCI class: none of those that have a number.
const CLASS: u32 = 0x00_ff_00;
const QUEUE_SIZES: &[u16] = &[64];
/// Bytes given at most for one chain, however long it is; drivers ask again.
const CHAIN_BYTES_MAX: u32 = 64 << 10;
const PIECE_BYTES: usize = 4096;

/// Where random bytes come from.
pub trait Entropy: Send {
    /// Fills `bytes`.
    fn fill(&mut self, bytes: &mut [u8]) -> std::io::Result<()>;
}

/// The entropy device.
pub struct VirtioRng<E> {
    entropy: E,
}

impl<E: Entropy> VirtioRng<E> {
    /// A device that gives what `entropy` gives.
    pub fn new(entropy: E) -> Self {
        Self { entropy }
    }

    /// Fills the writable buffers of a chain; returns the bytes written.
    fn fill(&mut self, chain: &Chain, ram: &GuestRam) -> Result<u32, VirtioError> {
        let wanted = chain.writable().length().min(CHAIN_BYTES_MAX);
        let mut piece = [0; PIECE_BYTES];
        let mut written = 0;
        while written < wanted {
            let part = &mut piece[..PIECE_BYTES.min((wanted - written) as usize)];
            self.entropy.fill(part).map_err(VirtioError::Host)?;
            chain.writable().put(ram, written, part);
            written += part.len() as u32;
        }
        Ok(written)
    }
}

impl<E: Entropy> VirtioDevice for VirtioRng<E> {
    fn name(&self) -> &'static str {
        "virtio-rng"
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
    fn serve(&mut self, _queue: usize, chains: &mut Chains<'_>) -> Result<(), VirtioError> {
        while let Some(chain) = chains.take()? {
            let written = self.fill(&chain, chains.ram())?;
            chains.complete(&chain, written)?;
        }
        Ok(())
    }
}
