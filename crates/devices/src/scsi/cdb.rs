//! A command block as bytes and numbers, high bytes first.
use super::sense::Sense;

/// A command block, zeros after its end.
#[derive(Clone, Copy)]
pub(super) struct Cdb([u8; 16]);

impl Cdb {
    /// The block, if it is as long as its operation code wants (SPC-4 §4.2.5.1).
    pub(super) fn new(bytes: &[u8]) -> Result<Self, Sense> {
        let opcode = *bytes.first().ok_or(Sense::opcode())?;
        let wanted = match opcode >> 5 {
            0 => 6,
            1 | 2 => 10,
            4 => 16,
            5 => 12,
            _ => return Err(Sense::opcode()),
        };
        let given = bytes.get(..wanted).ok_or(Sense::opcode())?;
        let mut block = [0; 16];
        block[..wanted].copy_from_slice(given);
        Ok(Self(block))
    }
    pub(super) fn opcode(&self) -> u8 {
        self.0[0]
    }
    pub(super) fn byte(&self, at: usize) -> u8 {
        self.0[at]
    }
    pub(super) fn has(&self, at: usize, bits: u8) -> bool {
        self.0[at] & bits != 0
    }
    /// `bytes` bytes as a number.
    pub(super) fn number(&self, at: usize, bytes: usize) -> u64 {
        self.0[at..at + bytes].iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }
    /// First block and number of blocks, where the families of 6, 10, 12 and 16 bytes have them.
    pub(super) fn blocks(&self) -> (u64, u64) {
        match self.opcode() >> 5 {
            0 => {
                let blocks = self.number(4, 1);
                (self.number(1, 3) & 0x1f_ffff, if blocks == 0 { 256 } else { blocks })
            }
            5 => (self.number(2, 4), self.number(6, 4)),
            4 => (self.number(2, 8), self.number(10, 4)),
            _ => (self.number(2, 4), self.number(7, 2)),
        }
    }
}
