//! The code that comes out, and the ways that are chosen.
use iced_x86::{Decoder, DecoderOptions, Formatter, NasmFormatter};

use crate::cache::blocks::CodeMode;
use crate::legacy::Legacy;
use crate::lower::block::{Lowering, Source};
use crate::lower::decode::{Way, decode};
use crate::lower::sites::Sites;
use crate::runtime::thunks::Thunks;

const FLAT: Legacy =
    Legacy { code_32: true, stack_32: true, protected: true, flat: 0b1101, base: 0, limit: u32::MAX };
const REAL: Legacy =
    Legacy { code_32: false, stack_32: false, protected: false, flat: 0, base: 0xf_0000, limit: 0xffff };

fn mode(legacy: Legacy, user: bool, windows: bool) -> CodeMode {
    CodeMode { user, windows, vectors: true, legacy: Some(legacy), ..CodeMode::default() }
}

fn ways(legacy: Legacy, bytes: &[u8]) -> Vec<Way> {
    let mut code = Vec::new();
    decode(bytes, u64::from(legacy.base) + 0x1000, mode(legacy, false, false), &mut code);
    code.iter().map(|decoded| decoded.way).collect()
}

/// The straight path of a block, from its body on.
fn listing(mode: CodeMode, bytes: &[u8], instructions: usize) -> Vec<String> {
    let thunks = Thunks::nowhere();
    let mut lowering = Lowering::new(thunks);
    let base = mode.legacy.map_or(0, |legacy| u64::from(legacy.base));
    let sites = Sites::default();
    let source = Source {
        address: base + 0x1000,
        gpa: 0x1000,
        bytes,
        next_gpa: None,
        mode,
        space: 1,
        sites: &sites,
        looks: false,
    };
    let lowered = lowering.lower(&source).unwrap();
    let start = lowered.block.entries.body as usize;
    let mut decoder =
        Decoder::with_ip(64, &lowering.host_code()[start..], 0x10_0000 + start as u64, DecoderOptions::NONE);
    let mut formatter = NasmFormatter::new();
    (0..instructions)
        .map(|_| {
            let mut line = String::new();
            formatter.format(&decoder.decode(), &mut line);
            line
        })
        .collect()
}

#[test]
fn flat_user_code_with_windows_pays_one_lea() {
    // mov eax, [ebx+8]; add [ecx], eax; push eax; pop ebx; ret
    let code = [0x8b, 0x43, 0x08, 0x01, 0x01, 0x50, 0x5b, 0xc3];
    let lines = listing(mode(FLAT, true, true), &code, 10);
    assert!(lines[1].starts_with("mov r11,[gs:"), "{lines:?}");
    let rest: Vec<&str> = [0, 2, 3, 4, 5, 6, 7, 8, 9].map(|index| lines[index].as_str()).to_vec();
    assert_eq!(
        rest,
        [
            "lea r10d,[rbx+8]",
            "mov eax,[r10+r11]",
            "mov r10d,ecx",
            "add [r10+r11],eax",
            "lea r10d,[rsp-4]",
            "mov [r10+r11],eax",
            "lea esp,[rsp-4]",
            "mov r10d,esp",
            "mov ebx,[r10+r11]",
        ]
    );
}

#[test]
fn segments_that_are_not_flat_are_checked_before_the_look_up() {
    // mov ax, [bx+si+4]; hlt
    let lines = listing(mode(REAL, false, false), &[0x8b, 0x40, 0x04, 0xf4], 12);
    // Flags are live at a HLT: they are put aside first.
    let at = lines.iter().position(|line| line == "lea r10d,[rbx+rsi+4]").unwrap();
    assert_eq!(lines[at + 1], "movzx r10d,r10w");
    assert_eq!(lines[at + 2], "lea r11,[r10+2]");
    assert!(lines[at + 3].starts_with("cmp r11,[gs:"), "{lines:?}");
    assert!(lines[at + 4].starts_with("ja"), "{lines:?}");
    assert!(lines[at + 5].starts_with("add r10d,[gs:"), "{lines:?}");
}

#[test]
fn targets_of_16_bits_are_for_code_that_stays_where_it_is() {
    // jmp rel16 in 32-bit code
    let ways = |user| {
        let mut code = Vec::new();
        decode(&[0x66, 0xe9, 0, 0], 0x1000, mode(FLAT, user, false), &mut code);
        code.iter().map(|decoded| decoded.way).collect::<Vec<_>>()
    };
    assert_eq!(ways(false), [Way::Jump]);
    assert_eq!(ways(true), [Way::Interpret]);
}

#[test]
fn what_the_host_lacks_or_a_segment_forbids_is_interpreted() {
    assert_eq!(ways(FLAT, &[0x60]), [Way::Interpret]);
    assert_eq!(ways(FLAT, &[0x27]), [Way::Interpret]);
    assert_eq!(ways(FLAT, &[0xcd, 0x80]), [Way::Interpret]);
    assert_eq!(ways(FLAT, &[0x8e, 0xd8]), [Way::Interpret]);
    assert_eq!(ways(FLAT, &[0x40, 0xf4]), [Way::Copy, Way::Interpret]);
    // jmp rel32 out of a 64 KiB segment; rel16 wraps in it
    assert_eq!(ways(REAL, &[0x66, 0xe9, 0, 0, 1, 0]), [Way::Interpret]);
    assert_eq!(ways(REAL, &[0xe9, 0, 0xf0]), [Way::Jump]);
    // VEX does not exist in real mode
    assert_eq!(ways(REAL, &[0xc5, 0xe9, 0xfe, 0xcb]), [Way::Interpret]);
    assert_eq!(ways(FLAT, &[0xc5, 0xe9, 0xfe, 0xcb]), [Way::Copy]);
    // SYSCALL is for 64-bit code
    assert_eq!(ways(FLAT, &[0x0f, 0x05]), [Way::Interpret]);
}
