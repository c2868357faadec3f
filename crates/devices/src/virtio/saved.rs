//! Saving and restoring a virtio function.
//!
//! A chain that a device has not completed is in no saved state: whoever saves calls [`VirtioPci::settle`] first, with
//! all CPUs stopped. What was saved with chains on their way is refused.
use platform::{SavedError, SavedState};
use serde::{Deserialize, Serialize};

use super::VirtioDevice;
use super::registers::{Registers, Slot};
use super::ring::SavedQueue;
use super::spec::{NO_VECTOR, isr, status};
use super::transport::VirtioPci;
use crate::pci::{SavedConfig, SavedMsix};

const VERSION: u32 = 2;

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
    queues: Vec<SavedSlot>,
    device: SavedState,
}

#[derive(Serialize, Deserialize)]
struct SavedSlot {
    vector: u16,
    queue: SavedQueue,
}

impl SavedSlot {
    fn of(slot: &Slot) -> Self {
        let Slot { queue, vector } = slot;
        Self { vector: *vector, queue: queue.save() }
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
            queues: queues.iter().map(SavedSlot::of).collect(),
            device: self.device.save(),
        };
        SavedState::new(VERSION, &saved)
    }
    pub(super) fn restore_state(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        let saved: SavedFunction = saved.take(VERSION)?;
        self.check(&saved)?;
        // What is on its way now has no place in the restored state.
        self.device.drain();
        let registers = &mut self.registers;
        let vector = |vector: u16| if vector < registers.vectors { vector } else { NO_VECTOR };
        for (slot, saved) in registers.queues.iter_mut().zip(saved.queues) {
            slot.vector = vector(saved.vector);
            slot.queue.restore(saved.queue);
        }
        registers.config_vector = vector(saved.config_vector);
        registers.accepted = saved.accepted;
        registers.device_feature_select = saved.device_feature_select;
        registers.driver_feature_select = saved.driver_feature_select;
        registers.status = saved.status;
        registers.generation = saved.generation;
        registers.queue_select = saved.queue_select;
        self.config.restore(&saved.config)?;
        self.msix.restore(saved.msix)?;
        if saved.status & status::DRIVER_OK != 0 {
            self.device.activate(saved.accepted);
        }
        self.device.restore(&saved.device)?;
        self.isr = saved.isr & (isr::QUEUE | isr::CONFIG);
        self.drive_line();
        Ok(())
    }

    fn check(&self, saved: &SavedFunction) -> Result<(), SavedError> {
        let slots = &self.registers.queues;
        if saved.queues.len() != slots.len() || saved.accepted & !self.registers.offered != 0 {
            return Err(SavedError::Impossible("virtio queues or features"));
        }
        for (slot, saved) in slots.iter().zip(&saved.queues) {
            if !slot.queue.can_be(&saved.queue, &self.ram) {
                return Err(SavedError::Impossible("virtio queue"));
            }
        }
        let gave_up = saved.status & status::NEEDS_RESET != 0;
        if !gave_up && saved.queues.iter().any(|slot| slot.queue.lost() > 0) {
            return Err(SavedError::Impossible("virtio requests were on their way"));
        }
        Ok(())
    }
}
