//! The device.
use std::sync::Arc;

use platform::disk::Answer;
use platform::{DiskError, DiskPort, DiskRequest, DiskShape, SavedError, SavedState};
use serde::{Deserialize, Serialize};

use super::super::spec::feature::RING_PACKED;
use super::super::{Chain, Chains, Completions, Reply, VirtioDevice, VirtioError, VirtioPci};
use super::config;
use super::request::{Request, Work};
use super::spec::{self, feature, request, status};

/// Entries of each queue.
pub const QUEUE_SIZE: u16 = 256;
const QUEUES_MAX: u16 = 16;
const VERSION: u32 = 1;

/// What a block device is like, beside its disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlkOptions {
    /// Queues, 1 to 16: best as many as there are CPUs.
    pub queues: u16,
    /// Packed queues are on offer.
    pub packed: bool,
    /// Serial number; 20 bytes of it are told.
    pub serial: String,
}

/// The block device.
pub struct VirtioBlk {
    port: Arc<dyn DiskPort>,
    /// What the driver knows of it.
    shape: DiskShape,
    serial: [u8; request::ID_BYTES],
    queue_sizes: Vec<u16>,
    packed: bool,
    accepted: u64,
    /// What the driver wrote of caching; it counts if that was negotiated.
    writeback: bool,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    writeback: bool,
}

impl VirtioBlk {
    /// A device for a disk.
    pub fn new(port: Arc<dyn DiskPort>, options: &BlkOptions) -> Self {
        let mut serial = [0; request::ID_BYTES];
        for (to, from) in serial.iter_mut().zip(options.serial.bytes()) {
            *to = from;
        }
        let queue_sizes = vec![QUEUE_SIZE; options.queues.clamp(1, QUEUES_MAX).into()];
        let (shape, packed) = (port.shape(), options.packed);
        Self { port, shape, serial, queue_sizes, packed, accepted: 0, writeback: true }
    }

    fn queues(&self) -> u16 {
        self.queue_sizes.len() as u16
    }
    /// Whether writes have to survive before they are completed (§5.2.6.2).
    fn is_durable(&self) -> bool {
        match self.accepted {
            accepted if accepted & feature::CONFIG_WCE != 0 => !self.writeback,
            accepted => accepted & feature::FLUSH == 0,
        }
    }
    fn begin(&self, chain: Chain, chains: &mut Chains<'_>) -> Result<(), VirtioError> {
        let request = Request::of(&chain, chains.ram())?;
        let at = request.status_at;
        let now = match request.work(&self.shape, self.is_durable()) {
            Ok(Work::Disk(operation, buffers)) => {
                let answer = answer(chain, at, chains.completions());
                self.port.submit(DiskRequest { operation, buffers, answer });
                return Ok(());
            }
            Ok(Work::Batch(batch)) => {
                batch.submit(&self.port, answer(chain, at, chains.completions()));
                return Ok(());
            }
            Ok(Work::Identify) => {
                let room = self.serial.len().min(at as usize);
                chain.writable().put(chains.ram(), 0, &self.serial[..room]);
                status::OK
            }
            Ok(Work::Nothing) => status::OK,
            Err(status) => status,
        };
        chains.reply(&reply(chain, at, now))
    }
}

/// The status byte is the last one; all before it counts as written.
fn reply(chain: Chain, at: u32, status: u8) -> Reply {
    Reply::new(chain, at, &[status], at + 1)
}

/// Completes a chain when the disk is done.
fn answer(chain: Chain, at: u32, completions: &Completions) -> Answer {
    let completions = completions.clone();
    Box::new(move |result: Result<(), DiskError>| {
        if let Err(error) = &result {
            tracing::warn!(%error, "a disk request failed");
        }
        let status = if result.is_ok() { status::OK } else { status::IOERR };
        completions.complete(reply(chain, at, status));
    })
}

impl VirtioDevice for VirtioBlk {
    fn name(&self) -> &'static str {
        "virtio-blk"
    }
    fn kind(&self) -> u16 {
        spec::KIND
    }
    fn class(&self) -> u32 {
        spec::CLASS
    }
    fn queue_sizes(&self) -> &[u16] {
        &self.queue_sizes
    }
    fn features(&self) -> u64 {
        config::features(&self.shape, self.queues()) | if self.packed { RING_PACKED } else { 0 }
    }
    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let bytes = config::bytes(&self.shape, self.queues(), self.writeback);
        for (to, from) in data.iter_mut().zip(bytes.iter().skip(offset as usize)) {
            *to = *from;
        }
    }
    fn write_config(&mut self, offset: u64, data: &[u8]) {
        if let (spec::config::WRITEBACK, [value]) = (offset as usize, data) {
            self.writeback = *value != 0;
        }
    }
    fn activate(&mut self, features: u64) {
        self.accepted = features;
    }
    fn serve(&mut self, _queue: usize, chains: &mut Chains<'_>) -> Result<(), VirtioError> {
        while let Some(chain) = chains.take()? {
            self.begin(chain, chains)?;
        }
        Ok(())
    }
    fn drain(&mut self) {
        self.port.drain();
    }
    fn reset(&mut self) {
        self.accepted = 0;
        self.writeback = true;
    }
    fn save(&self) -> SavedState {
        let Self { port: _, shape: _, serial: _, queue_sizes: _, packed: _, accepted: _, writeback } = self;
        SavedState::new(VERSION, &Saved { writeback: *writeback })
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        let Saved { writeback } = saved.take(VERSION)?;
        self.writeback = writeback;
        Ok(())
    }
}

impl VirtioPci<VirtioBlk> {
    /// The disk has another length now: the driver is told.
    pub fn resized(&mut self) {
        self.device.shape.length = self.device.port.shape().length;
        self.config_changed();
    }
}
