//! Checksums against accidents: torn writes, bad disks. Who may write the user's files may do worse than to forge one.

const LANES: usize = 4;

fn mixed(sum: u64, word: u64) -> u64 {
    let mixed = (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 32
}

/// Of 64-bit words.
pub fn of_words(words: impl IntoIterator<Item = u64>) -> u64 {
    words.into_iter().fold(0x243f_6a88_85a3_08d3, mixed)
}

/// Of bytes; what is left over at the end counts as words that end with zeroes. Four sums go on side by side.
pub fn of(bytes: &[u8]) -> u64 {
    let (lines, rest) = bytes.as_chunks::<{ LANES * 8 }>();
    let mut last = [0; LANES * 8];
    last[..rest.len()].copy_from_slice(rest);
    let mut sums = std::array::from_fn::<u64, LANES, _>(|lane| lane as u64);
    for line in lines.iter().chain([&last]) {
        for (sum, word) in sums.iter_mut().zip(line.as_chunks::<8>().0) {
            *sum = mixed(*sum, u64::from_le_bytes(*word));
        }
    }
    of_words(sums.into_iter().chain([bytes.len() as u64]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_counts() {
        let bytes = [0x5a; 77];
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes;
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(of(&bytes), of(&other), "bit {bit}");
        }
        assert_ne!(of(&[0; 3]), of(&[0; 4]));
    }
}
