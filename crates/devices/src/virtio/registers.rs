//! The common configuration: negotiation and queues (VirtIO 1.2 §4.1.4.3), without interrupts.
use platform::device::get_register;
use platform::ram::Memory;
use virtio_queue::{Queue, QueueT};

use super::spec::{NO_VECTOR, common, feature, status};

/// What the driver has chosen.
pub struct Registers {
    /// Features on offer.
    pub offered: u64,
    /// Features accepted.
    pub accepted: u64,
    pub device_feature_select: u32,
    pub driver_feature_select: u32,
    pub config_vector: u16,
    pub status: u8,
    pub generation: u8,
    pub queue_select: u16,
    pub queues: Vec<Slot>,
    /// Vectors that exist.
    pub vectors: u16,
}

/// A queue and its vector.
pub struct Slot {
    pub queue: Queue,
    pub vector: u16,
}

/// What a write means for the rest of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// The driver starts over.
    Reset,
    /// The driver is ready.
    Activate,
    /// The driver broke the rules.
    Broken,
}

impl Registers {
    /// The registers after reset. Panics for queue sizes that cannot be.
    pub fn new(offered: u64, queue_sizes: &[u16], vectors: u16) -> Self {
        let slot = |size: &u16| Slot {
            queue: Queue::new(*size).expect("a queue's size is a power of two"),
            vector: NO_VECTOR,
        };
        Self {
            offered,
            accepted: 0,
            device_feature_select: 0,
            driver_feature_select: 0,
            config_vector: NO_VECTOR,
            status: 0,
            generation: 0,
            queue_select: 0,
            queues: queue_sizes.iter().map(slot).collect(),
            vectors,
        }
    }
    /// Back to the state after power-on, but for the generation.
    pub fn reset(&mut self) {
        self.accepted = 0;
        (self.device_feature_select, self.driver_feature_select) = (0, 0);
        self.config_vector = NO_VECTOR;
        self.status = 0;
        self.queue_select = 0;
        for slot in &mut self.queues {
            slot.queue.reset();
            slot.queue.set_event_idx(false);
            slot.vector = NO_VECTOR;
        }
    }
    /// Whether queues are to be served.
    pub fn is_running(&self) -> bool {
        self.status & (status::DRIVER_OK | status::NEEDS_RESET) == status::DRIVER_OK
    }

    /// All registers as bytes.
    pub fn bytes(&self) -> [u8; common::BYTES] {
        let mut bytes = [0; common::BYTES];
        let mut put = |offset: u64, value: &[u8]| {
            let offset = offset as usize;
            bytes[offset..offset + value.len()].copy_from_slice(value);
        };
        put(common::DEVICE_FEATURE_SELECT, &self.device_feature_select.to_le_bytes());
        put(common::DEVICE_FEATURE, &half(self.offered, self.device_feature_select).to_le_bytes());
        put(common::DRIVER_FEATURE_SELECT, &self.driver_feature_select.to_le_bytes());
        put(common::DRIVER_FEATURE, &half(self.accepted, self.driver_feature_select).to_le_bytes());
        put(common::CONFIG_MSIX_VECTOR, &self.config_vector.to_le_bytes());
        put(common::NUM_QUEUES, &(self.queues.len() as u16).to_le_bytes());
        put(common::DEVICE_STATUS, &[self.status]);
        put(common::CONFIG_GENERATION, &[self.generation]);
        put(common::QUEUE_SELECT, &self.queue_select.to_le_bytes());
        if let Some(Slot { queue, vector }) = self.queues.get(usize::from(self.queue_select)) {
            put(common::QUEUE_SIZE, &queue.size().to_le_bytes());
            put(common::QUEUE_MSIX_VECTOR, &vector.to_le_bytes());
            put(common::QUEUE_ENABLE, &u16::from(queue.ready()).to_le_bytes());
            put(common::QUEUE_NOTIFY_OFF, &self.queue_select.to_le_bytes());
            put(common::QUEUE_DESC, &queue.desc_table().to_le_bytes());
            put(common::QUEUE_DRIVER, &queue.avail_ring().to_le_bytes());
            put(common::QUEUE_DEVICE, &queue.used_ring().to_le_bytes());
        }
        bytes
    }
    /// Writes a register in its own width, or half of one of 8 bytes (§4.1.3.1); other accesses are nothing.
    pub fn write(&mut self, offset: u64, data: &[u8], memory: &Memory) -> Effect {
        let value = get_register(data);
        match (offset, data.len()) {
            (common::DEVICE_FEATURE_SELECT, 4) => self.device_feature_select = value as u32,
            (common::DRIVER_FEATURE_SELECT, 4) => self.driver_feature_select = value as u32,
            (common::DRIVER_FEATURE, 4) => self.accept(value as u32),
            (common::CONFIG_MSIX_VECTOR, 2) => self.config_vector = self.vector(value as u16),
            (common::DEVICE_STATUS, 1) => return self.write_status(value as u8),
            (common::QUEUE_SELECT, 2) => self.queue_select = value as u16,
            (common::QUEUE_MSIX_VECTOR, 2) => {
                let vector = self.vector(value as u16);
                if let Some(slot) = self.queues.get_mut(usize::from(self.queue_select)) {
                    slot.vector = vector;
                }
            }
            (common::QUEUE_DESC..0x38, 8) if offset.is_multiple_of(8) => {
                self.write_queue(offset, value as u32, memory);
                return self.write_queue(offset + 4, (value >> 32) as u32, memory);
            }
            (common::QUEUE_SIZE | common::QUEUE_ENABLE, 2) | (common::QUEUE_DESC..0x38, 4) => {
                return self.write_queue(offset, value as u32, memory);
            }
            _ => {}
        }
        Effect::None
    }

    fn accept(&mut self, bits: u32) {
        let shift = match self.driver_feature_select {
            0 => 0,
            1 => 32,
            _ => return,
        };
        if self.status & status::FEATURES_OK == 0 {
            self.accepted = self.accepted & !(0xffff_ffff << shift) | u64::from(bits) << shift;
        }
    }
    fn vector(&self, value: u16) -> u16 {
        if value < self.vectors { value } else { NO_VECTOR }
    }
    fn write_status(&mut self, value: u8) -> Effect {
        if value == 0 {
            return Effect::Reset;
        }
        let before = self.status;
        // §3.1.1: bits are only added; reset clears.
        let mut after = before | value & status::DRIVERS;
        let may_accept = self.accepted & !self.offered == 0 && self.accepted & feature::VERSION_1 != 0;
        if !may_accept {
            after &= !(status::FEATURES_OK | status::DRIVER_OK);
        }
        if after & status::FEATURES_OK == 0 {
            after &= !status::DRIVER_OK;
        }
        self.status = after;
        if after & !before & status::FEATURES_OK != 0 {
            let event_idx = self.accepted & feature::EVENT_IDX != 0;
            self.queues.iter_mut().for_each(|slot| slot.queue.set_event_idx(event_idx));
        }
        if after & !before & status::DRIVER_OK != 0 { Effect::Activate } else { Effect::None }
    }
    /// Writes to the selected queue, which must not be in use.
    fn write_queue(&mut self, offset: u64, value: u32, memory: &Memory) -> Effect {
        let Some(Slot { queue, .. }) = self.queues.get_mut(usize::from(self.queue_select)) else {
            return Effect::None;
        };
        if queue.ready() {
            return Effect::None;
        }
        let (low, high) = if offset.is_multiple_of(8) { (Some(value), None) } else { (None, Some(value)) };
        match offset & !7 {
            _ if offset == common::QUEUE_SIZE => queue.set_size(value as u16),
            _ if offset == common::QUEUE_ENABLE => {
                queue.set_ready(value == 1);
                if value == 1 && !queue.is_valid(memory) {
                    queue.set_ready(false);
                    return Effect::Broken;
                }
            }
            common::QUEUE_DESC => queue.set_desc_table_address(low, high),
            common::QUEUE_DRIVER => queue.set_avail_ring_address(low, high),
            common::QUEUE_DEVICE => queue.set_used_ring_address(low, high),
            _ => {}
        }
        Effect::None
    }
}

/// 32 of 64 feature bits.
fn half(features: u64, select: u32) -> u32 {
    match select {
        0 => features as u32,
        1 => (features >> 32) as u32,
        _ => 0,
    }
}
