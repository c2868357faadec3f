//! Saving and restoring a virtio function.
use platform::ram::Memory;
use platform::{SavedError, SavedState};
use serde::{Deserialize, Serialize};
use virtio_queue::{Queue, QueueState, QueueT};

use super::VirtioDevice;
use super::registers::{Registers, Slot};
use super::spec::{NO_VECTOR, isr};
use super::transport::VirtioPci;
use crate::pci::{SavedConfig, SavedMsix};

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct SavedFunction {
    config: SavedConfig,
    msix: SavedMsix,
    isr: u8,
    accepted: u64,
    device_feature_select: u32,
    driver_feature_select: u32,
    config_vector: u16,
    status: u8,
    generation: u8,
    queue_select: u16,
    queues: Vec<SavedQueue>,
    device: SavedState,
}

#[derive(Serialize, Deserialize)]
struct SavedQueue {
    vector: u16,
    next_avail: u16,
    next_used: u16,
    event_idx: bool,
    size: u16,
    ready: bool,
    descriptors: u64,
    available: u64,
    used: u64,
}

impl SavedQueue {
    fn of(slot: &Slot) -> Self {
        let Slot { queue, vector } = slot;
        let QueueState {
            max_size: _,
            next_avail,
            next_used,
            event_idx_enabled: event_idx,
            size,
            ready,
            desc_table: descriptors,
            avail_ring: available,
            used_ring: used,
        } = queue.state();
        Self { vector: *vector, next_avail, next_used, event_idx, size, ready, descriptors, available, used }
    }
    /// The queue again, which may have as many entries as `slot` may.
    fn restore(&self, slot: &Slot, memory: &Memory) -> Result<Queue, SavedError> {
        let state = QueueState {
            max_size: slot.queue.state().max_size,
            next_avail: self.next_avail,
            next_used: self.next_used,
            event_idx_enabled: self.event_idx,
            size: self.size,
            ready: self.ready,
            desc_table: self.descriptors,
            avail_ring: self.available,
            used_ring: self.used,
        };
        let queue = Queue::try_from(state).map_err(|_| SavedError::Impossible("virtio queue"))?;
        if queue.ready() && !queue.is_valid(memory) {
            return Err(SavedError::Impossible("virtio rings outside memory"));
        }
        Ok(queue)
    }
}

impl<D: VirtioDevice> VirtioPci<D> {
    pub(super) fn save_state(&self) -> SavedState {
        let Registers {
            offered: _,
            accepted,
            device_feature_select,
            driver_feature_select,
            config_vector,
            status,
            generation,
            queue_select,
            queues,
            vectors: _,
        } = &self.registers;
        let saved = SavedFunction {
            config: self.config.save(),
            msix: self.msix.save(),
            isr: self.isr,
            accepted: *accepted,
            device_feature_select: *device_feature_select,
            driver_feature_select: *driver_feature_select,
            config_vector: *config_vector,
            status: *status,
            generation: *generation,
            queue_select: *queue_select,
            queues: queues.iter().map(SavedQueue::of).collect(),
            device: self.device.save(),
        };
        SavedState::new(VERSION, &saved)
    }
    pub(super) fn restore_state(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        let saved: SavedFunction = saved.take(VERSION)?;
        let registers = &mut self.registers;
        if saved.queues.len() != registers.queues.len() || saved.accepted & !registers.offered != 0 {
            return Err(SavedError::Impossible("virtio queues or features"));
        }
        let vector = |vector: u16| if vector < registers.vectors { vector } else { NO_VECTOR };
        let mut queues = Vec::new();
        for (slot, saved) in registers.queues.iter().zip(&saved.queues) {
            queues
                .push(Slot { queue: saved.restore(slot, self.ram.memory())?, vector: vector(saved.vector) });
        }
        registers.config_vector = vector(saved.config_vector);
        registers.queues = queues;
        registers.accepted = saved.accepted;
        registers.device_feature_select = saved.device_feature_select;
        registers.driver_feature_select = saved.driver_feature_select;
        registers.status = saved.status;
        registers.generation = saved.generation;
        registers.queue_select = saved.queue_select;
        self.config.restore(&saved.config)?;
        self.msix.restore(saved.msix)?;
        self.device.restore(&saved.device)?;
        self.isr = saved.isr & (isr::QUEUE | isr::CONFIG);
        self.drive_line();
        Ok(())
    }
}
