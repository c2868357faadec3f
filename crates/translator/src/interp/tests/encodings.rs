//! Every encoding that decodes to something that runs on the host has a stub, in every mode.
use super::machine::*;
use crate::interp::class::{Family, classify};
use iced_x86::{Decoder, DecoderOptions};

/// Opcodes after which the operand byte is tried in all forms.
const MAPS: [&[u8]; 4] = [&[], &[0x0f], &[0x0f, 0x38], &[0x0f, 0x3a]];
const PREFIXES: [&[u8]; 6] = [&[], &[0x66], &[0x67], &[0xf2], &[0xf3], &[0x66, 0x67]];

fn encodings() -> impl Iterator<Item = Vec<u8>> {
    let legacy = PREFIXES.into_iter().flat_map(|prefix| {
        MAPS.into_iter().flat_map(move |map| (0..=255).map(move |opcode| [prefix, map, &[opcode]].concat()))
    });
    // Three bytes of VEX: map, then W, vvvv = none or xmm14, L and the implied prefix.
    let vex = (1..=3).flat_map(|map: u8| {
        (0..32).flat_map(move |bits: u8| {
            let last = (bits & 0x10) << 3 | 0x70 | (bits & 8) | (bits & 7);
            (0..=255).map(move |opcode| vec![0xc4, 0xe0 | map, last, opcode])
        })
    });
    legacy.chain(vex)
}

#[test]
fn whatever_runs_on_the_host_has_a_stub_in_every_mode() {
    let mut machine = Machine::long(&[]);
    let mut tried = 0;
    for bitness in [16, 32, 64] {
        for mut code in encodings() {
            let length = code.len();
            for operand in [
                0xc1, 0xca, 0xd3, 0xdc, 0xe5, 0xee, 0xf7, 0xf8, 0x07, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37,
                0x3f, 0x84,
            ] {
                code.truncate(length);
                code.extend([operand, 1, 2, 3, 4, 5, 6, 7, 8]);
                let instruction =
                    Decoder::with_ip(bitness, &code, 0, DecoderOptions::FORCE_RESERVED_NOP).decode();
                let (family, _) = classify(&instruction, machine.interpreter.model());
                if matches!(family, Family::Host | Family::Divide) {
                    tried += 1;
                    let stub = machine.interpreter.host.prepare(&instruction);
                    assert!(stub.is_some(), "{bitness} bits: {instruction} {code:x?}");
                }
            }
        }
    }
    assert!(tried > 10_000, "{tried}");
}
