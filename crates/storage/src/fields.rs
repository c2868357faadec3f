//! Numbers in headers and tables. Callers give buffers of their own, as long as the field is far.

/// A little-endian number of 2 bytes.
pub fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}
/// A little-endian number of 4 bytes.
pub fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}
/// A little-endian number of 8 bytes.
pub fn le64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}
/// A big-endian number of 2 bytes.
pub fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(array(bytes, at))
}
/// A big-endian number of 4 bytes.
pub fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array(bytes, at))
}
/// A big-endian number of 8 bytes.
pub fn be64(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(array(bytes, at))
}
/// Some bytes, at a field's place.
pub fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|offset| bytes[at + offset])
}
/// Puts bytes at a field's place.
pub fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders() {
        let bytes = [0, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!((le16(&bytes, 1), be16(&bytes, 1)), (0x0201, 0x0102));
        assert_eq!((le32(&bytes, 1), be32(&bytes, 1)), (0x0403_0201, 0x0102_0304));
        assert_eq!((le64(&bytes, 0), be64(&bytes, 0)), (0x0706_0504_0302_0100, 0x0001_0203_0405_0607));
        let mut out = [0; 4];
        put(&mut out, 1, &[7, 8]);
        assert_eq!(out, [0, 7, 8, 0]);
    }
}
