//! Refcounts of 1 to 64 bits in the bytes of a block: "Refcount block entry".

/// The refcount at an index; `order` is the width as a power of two of bits.
pub fn count_at(block: &[u8], order: u32, index: usize) -> u64 {
    if order < 3 {
        let (byte, shift, mask) = bits(order, index);
        return u64::from(block[byte] >> shift & mask);
    }
    let size = 1 << (order - 3);
    let bytes = &block[index * size..][..size];
    bytes.iter().fold(0, |count, byte| count << 8 | u64::from(*byte))
}

/// The bytes that have to be put into a block, and where, so that a refcount becomes `count`.
pub fn set_count(block: &[u8], order: u32, index: usize, count: u64) -> (usize, Vec<u8>) {
    if order < 3 {
        let (byte, shift, mask) = bits(order, index);
        let rest = block[byte] & !(mask << shift);
        return (byte, vec![rest | (count as u8 & mask) << shift]);
    }
    let size = 1 << (order - 3);
    (index * size, count.to_be_bytes()[8 - size..].to_vec())
}

/// Byte, shift and mask of a refcount of less than a byte; the lowest bits come first.
fn bits(order: u32, index: usize) -> (usize, usize, u8) {
    let width = 1_usize << order;
    let per_byte = 8 / width;
    (index / per_byte, index % per_byte * width, u8::MAX >> (8 - width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_widths_hold_their_counts() {
        for order in 0..=6 {
            let highest = u64::MAX >> (64 - (1 << order));
            let mut block = [0; 64];
            for index in 0..8 {
                let (at, bytes) = set_count(&block, order, index, highest - index as u64 % 2);
                block[at..at + bytes.len()].copy_from_slice(&bytes);
            }
            for index in 0..8 {
                assert_eq!(count_at(&block, order, index), highest - index as u64 % 2, "order {order}");
            }
        }
    }
}
