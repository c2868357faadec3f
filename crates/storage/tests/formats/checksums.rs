//! Checksums, written down again here so that damage gets past them.

/// CRC-32C, bit by bit.
pub fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0x82f6_3b78 * (sum & 1)))
    })
}

/// Puts the right checksum into a structure of VHDX.
pub fn seal_vhdx(structure: &mut [u8]) {
    structure[4..8].fill(0);
    let sum = crc32c(structure);
    structure[4..8].copy_from_slice(&sum.to_le_bytes());
}

/// Puts the right checksum into a structure of VHD, where it is at an offset.
pub fn seal_vhd(structure: &mut [u8], at: usize) {
    structure[at..at + 4].fill(0);
    let sum = !structure.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    structure[at..at + 4].copy_from_slice(&sum.to_be_bytes());
}
