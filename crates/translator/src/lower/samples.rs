//! Instructions of all kinds for tests: random bytes, the same for the same seed.
use iced_x86::{Decoder, DecoderOptions, Instruction};

/// So many of them with their bytes and bits, in 64-bit and 32-bit code; each second one begins with one of the bytes
/// `first`.
pub fn instructions(
    mut seed: u64,
    count: usize,
    first: [u8; 8],
) -> impl Iterator<Item = ([u8; 16], u32, Instruction)> {
    (0..count).map(move |round| {
        let mut bytes = [0; 16];
        for byte in &mut bytes {
            seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            *byte = (seed >> 56) as u8;
        }
        if round % 2 == 0 {
            bytes[0] = first[round / 2 % 8];
        }
        let bits = if round % 3 == 0 { 32 } else { 64 };
        (bytes, bits, Decoder::new(bits, &bytes, DecoderOptions::NONE).decode())
    })
}
