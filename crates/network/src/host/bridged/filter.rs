//! Which frames a bridged network's socket wants, as a classic BPF program (socket(7), `SO_ATTACH_FILTER`).
use platform::net::Mac;

use crate::host::packet_socket::Instruction;

/// With more stations than this, the program would be longer than the kernel allows (`BPF_MAXINSNS`, 4096).
const STATIONS_MAX: usize = 800;

const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const LOAD_HALF: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_BITS: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Where the kernel shows whether a VLAN tag was taken out of the frame.
const TAG_TAKEN: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_VLAN_TAG_PRESENT) as u32;

const ACCEPT: Instruction = plain(RETURN, u32::MAX);
const DROP: Instruction = plain(RETURN, 0);

const fn plain(code: u16, operand: u32) -> Instruction {
    Instruction { code, if_true: 0, if_false: 0, operand }
}

const fn jump(code: u16, operand: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction { code, if_true, if_false, operand }
}

/// Passes frames to the stations and to groups of stations. Frames of VLANs belong to other networks and are dropped:
/// without their tags they would look like frames of this one.
pub fn program(stations: &[Mac]) -> Vec<Instruction> {
    let mut program = vec![
        plain(LOAD_BYTE, TAG_TAKEN),
        jump(IF_EQUAL, 0, 1, 0),
        DROP,
        plain(LOAD_BYTE, 0),
        jump(IF_BITS, 1, 0, 1),
        ACCEPT,
    ];
    if stations.len() > STATIONS_MAX {
        // The switch looks at addresses anyway.
        program.push(ACCEPT);
        return program;
    }
    for Mac([a, b, c, d, e, f]) in stations {
        program.extend([
            plain(LOAD_WORD, 2),
            jump(IF_EQUAL, u32::from_be_bytes([*c, *d, *e, *f]), 0, 3),
            plain(LOAD_HALF, 0),
            jump(IF_EQUAL, u16::from_be_bytes([*a, *b]).into(), 0, 1),
            ACCEPT,
        ]);
    }
    program.push(DROP);
    program
}

/// Passes everything.
pub const EVERYTHING: [Instruction; 1] = [ACCEPT];

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel would.
    fn accepts(program: &[Instruction], frame: &[u8], tagged: bool) -> bool {
        let (mut at, mut value) = (0, 0_u32);
        loop {
            let Instruction { code, if_true, if_false, operand } = program[at];
            let place = operand as usize;
            let branch = |taken| usize::from(if taken { if_true } else { if_false });
            at += 1;
            match code {
                LOAD_BYTE if operand == TAG_TAKEN => value = tagged.into(),
                LOAD_BYTE => value = frame[place].into(),
                LOAD_HALF => value = u16::from_be_bytes([frame[place], frame[place + 1]]).into(),
                LOAD_WORD => value = u32::from_be_bytes(frame[place..place + 4].try_into().unwrap()),
                IF_EQUAL => at += branch(value == operand),
                IF_BITS => at += branch(value & operand != 0),
                RETURN => return operand != 0,
                _ => panic!("{code:#x}"),
            }
        }
    }

    #[test]
    fn only_frames_to_stations_and_groups_pass() {
        let station = |last| Mac([0x52, 0x54, 0, 0, 0, last]);
        let stations: Vec<_> = (0..100).map(station).collect();
        let program = program(&stations);
        for last in 0..100 {
            assert!(accepts(&program, &station(last).0, false), "{last}");
            assert!(!accepts(&program, &station(last).0, true), "{last}");
        }
        assert!(!accepts(&program, &station(100).0, false));
        assert!(!accepts(&program, &[0x54, 0x54, 0, 0, 0, 1], false));
        assert!(accepts(&program, &[0xff; 6], false));
        assert!(accepts(&program, &[1, 0, 0x5e, 0, 0, 1], false));
    }

    #[test]
    fn programs_stay_short_enough_for_the_kernel() {
        assert!(program(&vec![Mac([2; 6]); STATIONS_MAX]).len() <= 4096);
        assert!(accepts(&program(&vec![Mac([2; 6]); STATIONS_MAX + 1]), &[4; 6], false));
    }
}
