//! CRC-32C, the checksum of everything in a VHDX image.
use super::spec;
use crate::fields::le32;

/// Castagnoli's polynomial, lowest bit first.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The remainder of every byte.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            remainder = (remainder >> 1) ^ (POLYNOMIAL * (remainder & 1));
            bit += 1;
        }
        table[byte] = remainder;
        byte += 1;
    }
    table
};

/// The CRC-32C of all pieces together.
pub fn crc32c<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let bytes = pieces.into_iter().flatten();
    !bytes.fold(!0_u32, |sum, byte| (sum >> 8) ^ TABLE[usize::from(sum as u8 ^ *byte)])
}

/// The checksum of a structure, whose own field counts as zeros.
pub fn of_structure(bytes: &[u8]) -> u32 {
    crc32c([&bytes[..spec::CHECKSUM], &[0; 4], &bytes[spec::CHECKSUM + 4..]])
}

/// Whether a structure has a signature, and the right checksum.
pub fn is_sound(bytes: &[u8], signature: &[u8]) -> bool {
    bytes.starts_with(signature) && (le32(bytes, spec::CHECKSUM) == of_structure(bytes) || cfg!(fuzzing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_example() {
        assert_eq!(crc32c([&b"1234"[..], b"56789"]), 0xe306_9283);
    }
}
