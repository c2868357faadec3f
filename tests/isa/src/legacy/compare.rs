//! Whether all engines ended a case alike.
use iced_x86::{Decoder, DecoderOptions, Formatter, NasmFormatter};
use platform::Stop;
use x86::flags;

use super::machine::{Machine, Outcome};
use super::open_flags::dead_flags;
use super::sequence::Case;
use super::setup::CODE;
use crate::state::Vectors;

/// What differs from the first machine, added to `lines`; `None` if nothing does.
pub fn difference(
    case: &Case,
    machines: &[Machine],
    ends: &[Outcome],
    mut lines: Vec<String>,
) -> Option<String> {
    if ends.iter().any(|end| end.stop == Stop::Requested) {
        // An endless loop ends anywhere.
        return None;
    }
    let first = &ends[0];
    for (machine, end) in machines.iter().zip(ends).skip(1) {
        let mut dead = 0;
        if matches!(first.stop, Stop::Shutdown(_)) {
            dead = dead_flags(case, machines[0].bytes(), first.state.rip);
        } else if first.frame.is_none() && !first.completed(case) {
            // The frame is nowhere.
            dead = flags::STATUS;
        }
        let same_frame = first.frame.zip(end.frame).filter(|(a, b)| a.flags_at == b.flags_at);
        if let Some((frame, _)) = same_frame {
            dead = dead_flags(case, machines[0].bytes(), frame.offset);
            let written = machines[0].bytes()[CODE as usize..][..0x1_0000] != machine_code(case)[..];
            if written {
                // Flags were dead for the code that was there before.
                dead = flags::STATUS;
            }
            if (machines[0].saved_flags(&frame) ^ machine.saved_flags(&frame)) & !dead == 0 {
                machines[0].clear_saved_flags(&frame, dead);
                machine.clear_saved_flags(&frame, dead);
            }
        }
        // Between two elements of a string instruction RF may be set.
        registers(first, end, dead | flags::RF, machine.name(), &mut lines);
        if end.frame.is_none() && !end.completed(case) {
            // Frames with dead flags may be anywhere.
            continue;
        }
        let ((low, high), (other_low, other_high)) = (machines[0].compared(), machine.compared());
        for (base, a, b) in [(0, low, other_low), (CODE, high, other_high)] {
            if a != b
                && let Some(at) = a.iter().zip(b).position(|(a, b)| a != b)
            {
                let shown = at..(at + 8).min(a.len());
                let (name, place) = (machine.name(), base + at as u64);
                lines.push(format!(
                    "{name}: memory at {place:#x}: {:x?}, {:x?}",
                    &a[shown.clone()],
                    &b[shown]
                ));
            }
        }
    }
    (!lines.is_empty()).then(|| {
        format!(
            "{}\n{:x?} {:x?} rip {:x}\n{}",
            listing(case),
            first.stop,
            first.frame,
            first.state.rip,
            lines.join("\n")
        )
    })
}

fn machine_code(case: &Case) -> Vec<u8> {
    let mut image = vec![0xf4; 0x1_0000];
    let start = (case.linear_start() - CODE) as usize;
    image[start..start + case.code.len()].copy_from_slice(&case.code);
    image
}

fn registers(first: &Outcome, end: &Outcome, dead: u64, name: &str, lines: &mut Vec<String>) {
    let mut add = |what: &str, a: String, b: String| {
        if a != b {
            lines.push(format!("{name}: {what}: {a}, {b}"));
        }
    };
    let (a, b) = (&first.state, &end.state);
    add("stop", format!("{:?}", first.stop), format!("{:?}", end.stop));
    let vector = |end: &Outcome| end.frame.map(|frame| (frame.vector, frame.offset));
    add("exception", format!("{:x?}", vector(first)), format!("{:x?}", vector(end)));
    for number in 0..16 {
        add(&format!("gpr {number}"), format!("{:#x}", a.gpr[number]), format!("{:#x}", b.gpr[number]));
    }
    add("rip", format!("{:#x}", a.rip), format!("{:#x}", b.rip));
    add("rflags", format!("{:#x}", a.rflags & !dead), format!("{:#x}", b.rflags & !dead));
    add("cr2", format!("{:#x}", a.cr2), format!("{:#x}", b.cr2));
    add("segments", format!("{:x?}", a.segments), format!("{:x?}", b.segments));
    let vectors = |state: &x86::CpuState| Vectors::normalized(&state.xsave).0.to_vec();
    if vectors(a) != vectors(b) {
        let at = vectors(a).iter().zip(vectors(b)).position(|(a, b)| *a != b);
        add("vectors", String::from("one"), format!("another, from {at:?}"));
    }
}

fn listing(case: &Case) -> String {
    let mut text = format!("{}-bit code at {:#x}, gpr {:x?}", case.bits, case.start, &case.gpr[..8]);
    for (segment, name) in case.segments.iter().zip(["es", "cs", "ss", "ds", "fs", "gs"]) {
        text += &format!(
            "\n  {name} base {:#x} limit {:#x} attributes {:#x}",
            segment.base, segment.limit, segment.attributes
        );
    }
    let mut decoder = Decoder::with_ip(case.bits, &case.code, case.start, DecoderOptions::NONE);
    while decoder.can_decode() {
        let at = decoder.position();
        let instruction = decoder.decode();
        let bytes: Vec<String> =
            case.code[at..decoder.position()].iter().map(|byte| format!("{byte:02x}")).collect();
        let mut line = String::new();
        NasmFormatter::new().format(&instruction, &mut line);
        text += &format!("\n  {:#x} [{}] {line}", instruction.ip(), bytes.join(" "));
    }
    text
}
