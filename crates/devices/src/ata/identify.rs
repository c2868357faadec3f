//! Who devices are: IDENTIFY DEVICE and IDENTIFY PACKET DEVICE (ACS-3 §7.12, §7.13).
use platform::DiskShape;

use super::spec::{self, SECTOR};

const WORDS: usize = 256;

/// Who a device says it is; ASCII, cut off at the lengths of IDENTIFY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// 40 characters.
    pub model: String,
    /// 8 characters.
    pub firmware: String,
    /// 20 characters.
    pub serial: String,
}

/// The data of IDENTIFY, by words.
struct Words([u16; WORDS]);

impl Words {
    fn new() -> Self {
        Self([0; WORDS])
    }
    fn set<const N: usize>(&mut self, first: usize, words: [u16; N]) {
        self.0[first..first + N].copy_from_slice(&words);
    }
    /// Text, the first character of a word in its high byte.
    fn text<const N: usize>(&mut self, first: usize, text: &str) {
        let printable = text.bytes().map(|byte| if (0x20..0x7f).contains(&byte) { byte } else { b'?' });
        let mut bytes = printable.chain(std::iter::repeat(b' '));
        self.set(
            first,
            [(); N].map(|()| {
                let high = bytes.next().unwrap_or(b' ');
                u16::from_be_bytes([high, bytes.next().unwrap_or(b' ')])
            }),
        );
    }
    fn identity(&mut self, identity: &Identity) {
        let Identity { model, firmware, serial } = identity;
        self.text::<10>(10, serial);
        self.text::<4>(23, firmware);
        self.text::<20>(27, model);
    }
    /// What disks and packet devices have in common: modes of transfer, and a SATA link of the third generation.
    fn link(&mut self) {
        // Words 64 to 70 and 88 are valid.
        self.set(53, [0x0006]);
        self.set(63, [0x0007, 0x0003, 120, 120, 120, 120]);
        self.set(76, [0x000e, 0x0006]);
        // ATA-4 to ACS-2: ACS-3 wants a log of all this.
        self.set(80, [0x03f0]);
        // Ultra DMA up to 6, which is on.
        self.set(88, [0x407f]);
        self.set(222, [0x107f]);
    }
    /// The bytes, with a checksum at the end.
    fn bytes(mut self) -> Vec<u8> {
        self.set(255, [0x00a5]);
        let mut bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
        let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        bytes[WORDS * 2 - 1] = sum.wrapping_neg();
        bytes
    }
}

/// A disk. `multiple` is what SET MULTIPLE set, 0 for nothing.
pub(super) fn identify(identity: &Identity, shape: &DiskShape, write_cache: bool, multiple: u8) -> Vec<u8> {
    let mut words = Words::new();
    words.set(0, [0x0040]);
    words.identity(identity);
    sizes(&mut words, shape);
    words.set(47, [0x8000 | u16::from(spec::MULTIPLE_MAX)]);
    // Timers, IORDY, addresses that are numbers, DMA.
    words.set(49, [0x2f00, 0x4000]);
    words.set(59, [if multiple > 0 { 0x0100 | u16::from(multiple) } else { 0 }]);
    words.link();
    words.set(53, [0x0007]);
    words.set(75, [spec::QUEUE_DEPTH - 1, 0x010e]);
    // Supported, then enabled: power management, look-ahead and write cache; 48 bits and flushing; logs and FUA.
    words.set(82, [0x0068, 0x7400, 0x4060]);
    words.set(85, [if write_cache { 0x0068 } else { 0x0048 }, 0xb400, 0x4060]);
    words.set(119, [0x4000, 0x4000]);
    if shape.discard_unit.is_some() {
        // What was trimmed reads as zeros, always.
        words.set(69, [0x4020]);
        words.set(105, [spec::TRIM_BLOCKS_MAX]);
        words.set(169, [0x0001]);
    }
    // Nothing turns.
    words.set(217, [1]);
    words.bytes()
}

/// Numbers of sectors, and their lengths.
fn sizes(words: &mut Words, shape: &DiskShape) {
    let sectors = shape.length / SECTOR;
    let track = spec::HEADS * spec::SECTORS_PER_TRACK;
    let cylinders = (sectors / track).min(16383);
    let old = (cylinders * track) as u32;
    let geometry = [cylinders as u16, spec::HEADS as u16, spec::SECTORS_PER_TRACK as u16];
    words.set(1, [geometry[0], 0, geometry[1], 0, 0, geometry[2]]);
    words.set(54, geometry);
    words.set(57, [old as u16, (old >> 16) as u16]);
    let short = sectors.min(0x0fff_ffff);
    words.set(60, [short as u16, (short >> 16) as u16]);
    words.set(100, [0, 16, 32, 48].map(|shift| (sectors >> shift) as u16));
    let physical = (u64::from(shape.physical_block) / SECTOR).max(1).ilog2().min(15) as u16;
    // Several sectors of 512 bytes in each physical one, aligned at the disk's start.
    words.set(106, [0x4000 | if physical > 0 { 0x2000 | physical } else { 0 }]);
    words.set(209, [0x4000]);
}

/// A CD-ROM drive.
pub(crate) fn identify_packet(identity: &Identity) -> Vec<u8> {
    let mut words = Words::new();
    // Command blocks of 12 bytes; removable media.
    words.set(0, [0x85c0]);
    words.identity(identity);
    words.set(49, [0x0f00, 0x4000]);
    words.link();
    // Supported, then enabled: DEVICE RESET, packets, power management.
    words.set(82, [0x0218, 0x4000, 0x4000]);
    words.set(85, [0x0218, 0, 0x4000]);
    words.bytes()
}
