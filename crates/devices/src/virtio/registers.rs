//! The common configuration: negotiation and queues (VirtIO 1.2 §4.1.4.3), without interrupts.
use platform::GuestRam;
use platform::device::get_register;

use super::ring::{Queue, RingKind};
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
    /// The driver starts over with a queue.
    ResetQueue(usize),
    /// The driver broke the rules.
    Broken,
}

impl Registers {
    /// The registers after reset.
    pub fn new(offered: u64, queue_sizes: &[u16], vectors: u16) -> Self {
        let slot = |(number, size): (u16, &u16)| Slot { queue: Queue::new(number, *size), vector: NO_VECTOR };
        Self {
            offered,
            accepted: 0,
            device_feature_select: 0,
            driver_feature_select: 0,
            config_vector: NO_VECTOR,
            status: 0,
            generation: 0,
            queue_select: 0,
            queues: (0..).zip(queue_sizes).map(slot).collect(),
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
            put(common::QUEUE_SIZE, &queue.place().size.to_le_bytes());
            put(common::QUEUE_MSIX_VECTOR, &vector.to_le_bytes());
            put(common::QUEUE_ENABLE, &u16::from(queue.is_enabled()).to_le_bytes());
            put(common::QUEUE_NOTIFY_OFF, &self.queue_select.to_le_bytes());
            put(common::QUEUE_DESC, &queue.place().descriptors.to_le_bytes());
            put(common::QUEUE_DRIVER, &queue.place().driver.to_le_bytes());
            put(common::QUEUE_DEVICE, &queue.place().device.to_le_bytes());
        }
        bytes
    }
    /// Writes a register in its own width, or half of one of 8 bytes (§4.1.3.1); other accesses are nothing.
    pub fn write(&mut self, offset: u64, data: &[u8], ram: &GuestRam) -> Effect {
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
                self.write_queue(offset, value as u32, ram);
                return self.write_queue(offset + 4, (value >> 32) as u32, ram);
            }
            (common::QUEUE_SIZE | common::QUEUE_ENABLE, 2) | (common::QUEUE_DESC..0x38, 4) => {
                return self.write_queue(offset, value as u32, ram);
            }
            (common::QUEUE_RESET, 2) if value == 1 => return self.reset_queue(),
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
        if after & !before & status::DRIVER_OK != 0 { Effect::Activate } else { Effect::None }
    }
    /// §2.6.1: the queue is done with when the register reads as zero again, which is at once.
    fn reset_queue(&self) -> Effect {
        let selected = usize::from(self.queue_select);
        let is_enabled = self.queues.get(selected).is_some_and(|slot| slot.queue.is_enabled());
        if is_enabled && self.accepted & feature::RING_RESET != 0 {
            Effect::ResetQueue(selected)
        } else {
            Effect::None
        }
    }
    /// Writes to the selected queue, which must not be in use.
    fn write_queue(&mut self, offset: u64, value: u32, ram: &GuestRam) -> Effect {
        let kind = self.ring_kind();
        let selected = self.queues.get_mut(usize::from(self.queue_select));
        let Some(queue) = selected.map(|slot| &mut slot.queue) else { return Effect::None };
        let Some(place) = queue.place_mut() else { return Effect::None };
        let is_low = offset.is_multiple_of(8);
        match offset {
            common::QUEUE_SIZE => place.size = value as u16,
            common::QUEUE_ENABLE if value == 1 => {
                return queue.enable(ram, kind).map_or(Effect::Broken, |()| Effect::None);
            }
            common::QUEUE_DESC..common::QUEUE_DRIVER => put_half(&mut place.descriptors, is_low, value),
            common::QUEUE_DRIVER..common::QUEUE_DEVICE => put_half(&mut place.driver, is_low, value),
            common::QUEUE_DEVICE.. => put_half(&mut place.device, is_low, value),
            _ => {}
        }
        Effect::None
    }
    fn ring_kind(&self) -> RingKind {
        let has = |feature| self.accepted & feature != 0;
        RingKind { packed: has(feature::RING_PACKED), event_idx: has(feature::EVENT_IDX) }
    }
}

fn put_half(address: &mut u64, is_low: bool, value: u32) {
    *address = if is_low {
        *address & !0xffff_ffff | u64::from(value)
    } else {
        *address & 0xffff_ffff | u64::from(value) << 32
    };
}

/// 32 of 64 feature bits.
fn half(features: u64, select: u32) -> u32 {
    match select {
        0 => features as u32,
        1 => (features >> 32) as u32,
        _ => 0,
    }
}
