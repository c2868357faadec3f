//! The Internet checksum (RFC 1071).

/// Adds the bytes, as big-endian words, to a sum.
pub fn add(sum: u32, bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<2>();
    let total = words.iter().fold(u64::from(sum), |sum, word| sum + u64::from(u16::from_be_bytes(*word)));
    let total = total + rest.first().map_or(0, |last| u64::from(*last) << 8);
    // At most 2^32 plus 2^15 words of 16 bits: two folds leave less than 17 bits.
    let once = (total & 0xffff) + (total >> 16);
    ((once & 0xffff) + (once >> 16)) as u32
}

/// The checksum of what was added.
pub fn finish(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    !(((once & 0xffff) + (once >> 16)) as u16)
}

/// Puts the checksum of the bytes from `start` to `end` at `at`, where a part of the sum is already; nothing if that is not
/// all in the frame.
pub fn complete(frame: &mut [u8], start: usize, end: usize, at: usize) {
    let Some(sum) = frame.get(start..end.max(start)).map(|bytes| finish(add(0, bytes))) else { return };
    if let Some(place) = frame.get_mut(at..at + 2) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
}
