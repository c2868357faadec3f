//! Rows: one case a line, readable.
//!
//! ```text
//! [48 01 d8] "add rax,rbx" rax=1 rbx=0xffffffffffffffff flags=cf => rax=0 flags=cf|pf|af|zf
//! [8b 04 25 00 00 00 20] "mov eax,[20000000h]" mem[low]=78563412 => rax=0x12345678
//! [0f 28 07] "movaps xmm0,[rdi]" rdi=data+8 => #GP(0) rip=+0
//! ```
//!
//! Left of `=>`: code, its disassembly (checked), and registers, flags and memory that differ from the defaults
//! ([`Row::defaults`]). Right of it: what is different at the end; nothing else may have changed. Flags that an
//! instruction leaves undefined are not compared. Without `=>` the row only says that all must agree.
//!
//! The right sides were recorded on an Intel CPU under Linux. Where another vendor's differs (a null selector keeps its
//! base, a gather its mask), that is a row to think about, not to record anew.
//!
//! | word | meaning |
//! |---|---|
//! | `rax=` … `r15=` | decimal, `0x…`, or `region+offset` (`code`, `data`, `ro`, `stack`, `low`; `data.end` and so on) |
//! | `rip=` | `+n` is relative to the code; absent on the right: at the end, or anywhere for an exception |
//! | `flags=` | `cf\|pf\|af\|zf\|sf\|of\|df\|nt\|ac\|id`, all that are set, or `none`; absent on the right: unchanged |
//! | `xmm0=`, `ymm0=` | 32 or 64 hexadecimal digits, `_` anywhere; `xmm0=` leaves the upper half zero |
//! | `upper=0`, `vectors=0` | the upper halves of all YMM registers, or all of them whole, are zero |
//! | `st0=` | 20 hexadecimal digits; `fcw=`, `fsw=`, `ftw=` (a bit for each register in use), `mxcsr=` |
//! | `fsbase=`, `gsbase=` | as general registers |
//! | `mem[address]=` | bytes in hexadecimal, lowest address first |
//! | `at=` | where the code lies, if not at `code` |
//! | `#GP(0)`, `#PF(2)@address`, `#DE` … | the exception |
//! | `!amd` | not for a bare CPU of AMD's ([`crate::amd`] has the reasons) |
//! | `!bare` | not for the bare CPU (the row says why) |
//! | `undef=` | flags not compared, beside the known ones |

pub mod families;
pub mod parse;
pub mod print;
pub mod run;

use crate::case::Case;
use crate::layout::{self, CODE, LOW, STACK};
use crate::state::UserState;

/// What a row says about the end.
#[derive(Clone)]
pub struct Expectation {
    /// Registers at the end.
    pub state: UserState,
    /// Memory at the end.
    pub memory: layout::Image,
    /// Vector, error code, CR2 of the exception; `None` for the normal end.
    pub exception: Option<(u8, u32, u64)>,
    /// Whether RIP is compared.
    pub rip_matters: bool,
}

/// One row.
#[derive(Clone)]
pub struct Row {
    /// Line in its file, from 1.
    pub line: usize,
    /// The disassembly as written.
    pub text: String,
    /// The case.
    pub case: Case,
    /// Whether the bare CPU runs it.
    pub bare: bool,
    /// What must come out, if the row says so.
    pub expected: Option<Expectation>,
    /// Left side as written, for printing it again.
    pub source: String,
}

impl Row {
    /// Registers that a row does not mention: a value of its own in each, so that a clobbered one shows.
    pub fn defaults() -> UserState {
        let mut state = UserState::default();
        for (index, value) in state.gpr.iter_mut().enumerate() {
            *value = 0xa5a5_0000_0000_0000 | (index as u64 * 0x1111_1111);
        }
        state.gpr[x86::reg::RSP] = STACK.base + 0x1800;
        state.rip = CODE.base;
        state.fs_base = LOW.base + 0x400;
        state.gs_base = LOW.base + 0x800;
        for index in 0..16 {
            let fill = 0x0101_0101_0101_0101_0101_0101_0101_0101 * index as u128;
            state.vectors.set_xmm(index, fill);
            state.vectors.set_upper(index, fill << 4);
        }
        state
    }
}
