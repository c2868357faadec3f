//! The EEPROM: 64 words behind a Microwire interface (SDM §5), which software drives bit by bit, or has read by the
//! controller. Writing it is not possible.
use platform::net::Mac;
use serde::{Deserialize, Serialize};

use super::spec::{eecd, eerd, pci};

/// Words.
const WORDS: usize = 64;
/// What all words add up to (§5.6.35).
const SUM: u16 = 0xbaba;
/// Bits of a command: start, operation, address.
const COMMAND_BITS: u8 = 9;
/// Start bit and the operation of a read.
const READ: u16 = 0b110;

/// The words of a card.
pub fn words(mac: Mac) -> [u16; WORDS] {
    let mut words = [0xffff; WORDS];
    for (word, bytes) in words.iter_mut().zip(mac.0.as_chunks().0) {
        *word = u16::from_le_bytes(*bytes);
    }
    // Compatibility, board number, and the two initialization control words (§5.6.2 to §5.6.12).
    words[3..0x10].copy_from_slice(&[
        0x0000,
        0xffff,
        0x0000,
        0x0000,
        0x0000,
        0x3000,
        0x1000,
        0x640b,
        pci::SUBSYSTEM,
        pci::VENDOR,
        pci::DEVICE,
        pci::VENDOR,
        0x3040,
    ]);
    let sum = words[..WORDS - 1].iter().fold(0_u16, |sum, word| sum.wrapping_add(*word));
    words[WORDS - 1] = SUM.wrapping_sub(sum);
    words
}

/// The wires.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Microwire {
    /// What software drives.
    wires: u32,
    /// Bits of a command so far, from its start bit on.
    command: u16,
    bits: u8,
    /// Bits that the clock has brought out of a word that is read, the zero before it included.
    out: Option<u16>,
}

impl Microwire {
    /// The register.
    pub fn read(&self, words: &[u16; WORDS]) -> u32 {
        let is_high = match self.out {
            // A zero comes before the word; words follow one another.
            Some(0) => false,
            Some(count) => {
                let (word, bit) = ((count - 1) / 16, (count - 1) % 16);
                let address = usize::from((self.command & 0x3f).wrapping_add(word)) % WORDS;
                words[address] >> (15 - bit) & 1 != 0
            }
            // Ready.
            None => true,
        };
        eecd::FIXED | self.wires | if is_high { eecd::OUT } else { 0 }
    }
    /// Drives the wires.
    pub fn write(&mut self, value: u32) {
        let before = std::mem::replace(&mut self.wires, value & eecd::WRITABLE);
        let has = |bit: u32| self.wires & bit != 0;
        if !has(eecd::SELECT) || before & eecd::SELECT == 0 {
            (self.command, self.bits, self.out) = (0, 0, None);
        }
        let rises = has(eecd::CLOCK) && before & eecd::CLOCK == 0;
        if !rises || !has(eecd::SELECT) {
            return;
        }
        if let Some(count) = &mut self.out {
            *count = (*count + 1) % (16 * WORDS as u16 + 1);
            return;
        }
        let bit = u16::from(has(eecd::IN));
        // Zeros before the start bit are nothing; after a command that is no read, everything is.
        if (self.bits > 0 || bit == 1) && self.bits < COMMAND_BITS {
            self.command = self.command << 1 | bit;
            self.bits += 1;
        }
        if self.bits == COMMAND_BITS && self.command >> 6 == READ {
            self.out = Some(0);
        }
    }
}

/// What the read register says after `value` was written to it.
pub fn read_by_register(words: &[u16; WORDS], value: u32) -> u32 {
    if value & eerd::START == 0 {
        return value & !eerd::DONE;
    }
    let address = value >> 8 & 0xff;
    let word = words.get(address as usize).copied().unwrap_or(0xffff);
    u32::from(word) << 16 | address << 8 | eerd::DONE
}
