//! Random registers and memory to start from.
use rand::RngExt;
use rand::rngs::SmallRng;
use x86::flags;
use x86::reg::RSP;

use crate::layout::{DATA, Image, LOW, STACK};
use crate::state::UserState;

/// Memory: a mixture of noise, zeros, small numbers and floating-point numbers.
pub fn image(rng: &mut SmallRng) -> Image {
    let mut image = Image::default();
    for chunk in image.0.chunks_mut(8) {
        chunk.copy_from_slice(&word(rng).to_le_bytes());
    }
    image
}

fn word(rng: &mut SmallRng) -> u64 {
    match rng.random_range(0..8) {
        0 => 0,
        1 => rng.random_range(0..256),
        2 => (rng.random_range(-1000_i32..1000) as f64 / 8.0).to_bits(),
        3 => {
            let pair = [rng.random_range(-99_i32..99) as f32, rng.random_range(-9_i32..9) as f32 * 1.5];
            u64::from(pair[0].to_bits()) | u64::from(pair[1].to_bits()) << 32
        }
        4 => u64::MAX << rng.random_range(0..64),
        _ => rng.random(),
    }
}

/// All registers but RIP.
pub fn registers(rng: &mut SmallRng, state: &mut UserState) {
    for value in &mut state.gpr {
        *value = match rng.random_range(0..10) {
            0..=4 => DATA.base + rng.random_range(0..0x2000),
            5 => STACK.base + 0x1000 + rng.random_range(0..0x800) - 0x400,
            6 => rng.random_range(0..64),
            _ => word(rng),
        };
    }
    let aligned = if rng.random_ratio(1, 8) { rng.random_range(0..8) } else { 0 };
    state.gpr[RSP] = match rng.random_range(0..6) {
        0 => STACK.base + 0x1000 + rng.random_range(0..4) * 8,
        _ => STACK.base + 0x1000 + rng.random_range(0..0x80) * 8,
    } + aligned;
    state.rflags = flags::FIXED | flags::IF | (rng.random::<u64>() & flags::STATUS);
    state.fs_base = LOW.base;
    state.gs_base = DATA.base;
    vectors(rng, state);
}

fn vectors(rng: &mut SmallRng, state: &mut UserState) {
    let vectors = &mut state.vectors;
    let upper = rng.random_bool(0.5);
    for i in 0..16 {
        let wide = |rng: &mut SmallRng| u128::from(word(rng)) | u128::from(word(rng)) << 64;
        vectors.set_xmm(i, wide(rng));
        vectors.set_upper(i, if upper { wide(rng) } else { 0 });
    }
    for i in 0..8 {
        vectors.set_st(i, extended(rng));
    }
    let masked = rng.random_ratio(9, 10);
    let odd = |rng: &mut SmallRng| rng.random_ratio(1, 4);
    let masks = if masked { 0x3f } else { rng.random_range(0..0x40_u16) };
    let rounding = if odd(rng) { rng.random_range(0..4_u16) } else { 0 };
    let precision = if odd(rng) { [0, 2, 3][rng.random_range(0..3)] } else { 3_u16 };
    vectors.set_fcw(0x40 | masks | precision << 8 | rounding << 10);
    vectors.set_fsw(rng.random_range(0..8_u16) << 11);
    vectors.set_ftw(if odd(rng) { rng.random() } else { 0 });
    let zero_modes = if odd(rng) { [0, 0x40, 0x8000, 0x8040][rng.random_range(0..4)] } else { 0 };
    vectors.set_mxcsr(u32::from(masks) << 7 | u32::from(rounding) << 13 | zero_modes);
}

/// An 80-bit number: normal, special or nonsense.
fn extended(rng: &mut SmallRng) -> u128 {
    let sign = u128::from(rng.random::<bool>()) << 79;
    let (exponent, mantissa): (u128, u64) = match rng.random_range(0..8) {
        0 => (0, 0),
        1 => (0x7fff, 1 << 63),
        2 => (0x7fff, rng.random()),
        3 => (0, rng.random()),
        4 => (rng.random_range(0..0x8000), rng.random()),
        _ => (0x3fff + rng.random_range(0..64), rng.random::<u64>() | 1 << 63),
    };
    sign | exponent << 64 | u128::from(mantissa)
}
