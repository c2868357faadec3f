//! Where a queue's parts are in memory.
use platform::GuestRam;
use serde::{Deserialize, Serialize};
use x86::Gpa;

use super::super::spec::{QUEUE_SIZE_MAX, descriptor, packed, split};
use super::QueueError;

/// What the driver says of a queue. The names are those of the common configuration: a driver writes one area, the
/// device the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Entries.
    pub size: u16,
    /// The descriptors: a table, or the packed ring.
    pub descriptors: u64,
    /// The available ring, or the driver's event suppression.
    pub driver: u64,
    /// The used ring, or the device's event suppression.
    pub device: u64,
}

impl Place {
    /// Checks the parts of a split queue.
    pub fn check_split(&self, ram: &GuestRam) -> Result<(), QueueError> {
        let size = u64::from(self.size);
        let is_right = self.size.is_power_of_two()
            && self.size <= QUEUE_SIZE_MAX
            && fits(ram, self.descriptors, size * descriptor::BYTES, 16)
            && fits(ram, self.driver, split::OTHER_BYTES + size * split::AVAILABLE_BYTES, 2)
            && fits(ram, self.device, split::OTHER_BYTES + size * split::USED_BYTES, 4);
        if is_right { Ok(()) } else { Err(QueueError::Place) }
    }
    /// Checks the parts of a packed queue.
    pub fn check_packed(&self, ram: &GuestRam) -> Result<(), QueueError> {
        let is_right = (1..=QUEUE_SIZE_MAX).contains(&self.size)
            && fits(ram, self.descriptors, u64::from(self.size) * descriptor::BYTES, 16)
            && fits(ram, self.driver, packed::EVENT_BYTES, 4)
            && fits(ram, self.device, packed::EVENT_BYTES, 4);
        if is_right { Ok(()) } else { Err(QueueError::Place) }
    }
}

fn fits(ram: &GuestRam, address: u64, length: u64, alignment: u64) -> bool {
    address.is_multiple_of(alignment) && ram.layout().contains(Gpa(address), length)
}
