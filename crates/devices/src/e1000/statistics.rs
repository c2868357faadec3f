//! Counters (SDM §13.7): each is cleared when it is read, and stays at its highest value.
use platform::net::Mac;
use serde::{Deserialize, Serialize};

use super::spec::register::STATISTICS;

/// Counters of frames, bytes (64 bits) and sizes, by their offsets. Of the pairs, the first is what was received.
mod counter {
    /// Frames for which there was no room.
    pub const MISSED: u32 = 0x4010;
    /// The first of six, for frames of up to 64, 127, 255, 511, 1023, and more bytes.
    pub const SIZES: [u32; 2] = [0x405c, 0x40d8];
    pub const GOOD: [u32; 2] = [0x4074, 0x4080];
    pub const BROADCAST: [u32; 2] = [0x4078, 0x40f4];
    pub const GROUPS: [u32; 2] = [0x407c, 0x40f0];
    pub const GOOD_BYTES: [u32; 2] = [0x4088, 0x4090];
    /// Frames that were too long.
    pub const OVERSIZE: u32 = 0x40ac;
    pub const ALL_BYTES: [u32; 2] = [0x40c0, 0x40c8];
    pub const ALL: [u32; 2] = [0x40d0, 0x40d4];
    /// Frames that were cut.
    pub const SEGMENTED: u32 = 0x40f8;
}

const COUNT: usize = (STATISTICS.end - STATISTICS.start) as usize / 4;
/// Bytes of a check sequence, which count.
const FCS: usize = 4;

/// The counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics(Vec<u32>);

impl Default for Statistics {
    fn default() -> Self {
        Self(vec![0; COUNT])
    }
}

impl Statistics {
    /// Reads a counter.
    pub fn take(&mut self, register: u32) -> u32 {
        self.0.get_mut(index(register)).map_or(0, std::mem::take)
    }
    /// A frame was received.
    pub fn received(&mut self, to: Mac, length: usize) {
        self.count(0, to, length);
    }
    /// A frame was sent; `segmented`: it is cut into several.
    pub fn sent(&mut self, to: Mac, length: usize, segmented: bool) {
        self.count(1, to, length);
        if segmented {
            self.add(counter::SEGMENTED, 1);
        }
    }
    /// A frame had no room in the guest's buffers.
    pub fn missed(&mut self) {
        self.add(counter::MISSED, 1);
    }
    /// A frame was longer than the guest takes.
    pub fn too_long(&mut self) {
        self.add(counter::OVERSIZE, 1);
    }
    /// Whether saved ones can be.
    pub fn is_possible(&self) -> bool {
        self.0.len() == COUNT
    }

    fn count(&mut self, way: usize, to: Mac, length: usize) {
        let length = length.max(60) + FCS;
        self.add(counter::GOOD[way], 1);
        self.add(counter::ALL[way], 1);
        self.add_bytes(counter::GOOD_BYTES[way], length);
        self.add_bytes(counter::ALL_BYTES[way], length);
        let class = [64, 127, 255, 511, 1023].iter().filter(|most| length > **most).count();
        self.add(counter::SIZES[way] + 4 * class as u32, 1);
        if to == Mac::BROADCAST {
            self.add(counter::BROADCAST[way], 1);
        } else if to.is_multicast() {
            self.add(counter::GROUPS[way], 1);
        }
    }
    fn add(&mut self, register: u32, count: u32) {
        if let Some(counter) = self.0.get_mut(index(register)) {
            *counter = counter.saturating_add(count);
        }
    }
    fn add_bytes(&mut self, register: u32, count: usize) {
        let at = index(register);
        if let Some([low, high]) = self.0.get_mut(at..at + 2) {
            let sum = (u64::from(*high) << 32 | u64::from(*low)).saturating_add(count as u64);
            (*low, *high) = (sum as u32, (sum >> 32) as u32);
        }
    }
}

fn index(register: u32) -> usize {
    (register.wrapping_sub(STATISTICS.start) / 4) as usize
}
