//! Sense data: why a command was not done (SPC-4 §4.5).
use platform::DiskError;
use serde::{Deserialize, Serialize};

use super::spec::{code, key};

/// Why a command was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sense {
    /// The key, 4 bits.
    pub key: u8,
    /// Additional code and its qualifier.
    pub code: (u8, u8),
    /// The block that it is about.
    pub information: Option<u64>,
    /// The byte of the command block that is wrong.
    pub field: Option<u16>,
    /// Its bytes are descriptors rather than the fixed form.
    pub as_descriptors: bool,
}

impl Sense {
    pub(super) const fn new(key: u8, code: (u8, u8)) -> Self {
        Self { key, code, information: None, field: None, as_descriptors: false }
    }
    /// Nothing to tell.
    pub(super) const fn none() -> Self {
        Self::new(key::NO_SENSE, code::NONE)
    }
    pub(super) const fn illegal(code: (u8, u8)) -> Self {
        Self::new(key::ILLEGAL_REQUEST, code)
    }
    pub(super) const fn opcode() -> Self {
        Self::illegal(code::OPCODE)
    }
    /// A byte of the command block is wrong.
    pub(super) const fn field(byte: u16) -> Self {
        Self { field: Some(byte), ..Self::illegal(code::FIELD_IN_CDB) }
    }
    pub(super) const fn out_of_range(block: u64) -> Self {
        Self { information: Some(block), ..Self::illegal(code::OUT_OF_RANGE) }
    }
    pub(super) const fn write_protected() -> Self {
        Self::new(key::DATA_PROTECT, code::WRITE_PROTECTED)
    }
    pub(super) const fn attention(code: (u8, u8)) -> Self {
        Self::new(key::UNIT_ATTENTION, code)
    }
    /// What a disk's error is called. `block` is the command's first one.
    pub(super) fn of_error(error: &DiskError, writes: bool, block: u64) -> Self {
        let failed = if writes { code::WRITE_ERROR } else { code::READ_ERROR };
        match error {
            DiskError::ReadOnly => Self::write_protected(),
            DiskError::OutOfRange { .. } => Self::out_of_range(block),
            DiskError::NoSpace(_) | DiskError::Damaged(_) | DiskError::Host(_) => {
                Self { information: Some(block), ..Self::new(key::MEDIUM_ERROR, failed) }
            }
        }
    }

    /// The bytes of sense data.
    pub fn bytes(&self) -> Vec<u8> {
        if self.as_descriptors { self.descriptors() } else { self.fixed() }
    }
    /// Fixed format (§4.5.3).
    fn fixed(&self) -> Vec<u8> {
        let mut bytes = vec![0; 18];
        bytes[0] = 0x70;
        if let Some(information) = self.information.and_then(|wide| u32::try_from(wide).ok()) {
            bytes[0] |= 0x80;
            bytes[3..7].copy_from_slice(&information.to_be_bytes());
        }
        bytes[2] = self.key;
        bytes[7] = 10;
        (bytes[12], bytes[13]) = self.code;
        if let Some(field) = self.field {
            bytes[15..18].copy_from_slice(&field_pointer(field));
        }
        bytes
    }
    /// Descriptor format (§4.5.2).
    fn descriptors(&self) -> Vec<u8> {
        let mut bytes = vec![0x72, self.key, self.code.0, self.code.1, 0, 0, 0, 0];
        if let Some(information) = self.information {
            bytes.extend([0x00, 0x0a, 0x80, 0]);
            bytes.extend(information.to_be_bytes());
        }
        if let Some(field) = self.field {
            bytes.extend([0x02, 0x06, 0, 0]);
            bytes.extend(field_pointer(field));
            bytes.push(0);
        }
        bytes[7] = (bytes.len() - 8) as u8;
        bytes
    }
}

/// Sense-key specific: a byte of the command block (§4.5.2.4.2).
fn field_pointer(field: u16) -> [u8; 3] {
    let [high, low] = field.to_be_bytes();
    [0xc0, high, low]
}
