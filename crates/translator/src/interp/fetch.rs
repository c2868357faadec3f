//! Fetching and decoding, with a cache of decoded instructions.
//!
//! A cached decoding is used only if the very same bytes are still in memory, so nothing has to be told about writes to
//! code.
use iced_x86::{Decoder, DecoderError, DecoderOptions, Instruction};
use x86::address::PAGE_SIZE;
use x86::segment::CS;
use x86::{Exception, Gpa, Gva};

use super::class::{self, Class, Family};
use super::core::{Fallible, gp0};
use super::host::Stub;
use super::{Env, debug};
use crate::cpu::Mode;
use crate::cpuid::CpuidModel;
use crate::mmu::{Access, Privilege};

/// Bytes of the longest instruction.
const LONGEST: usize = 15;
/// Entries of the cache; a power of two.
const ENTRIES: usize = 4096;

/// One decoded instruction.
#[derive(Clone, Copy)]
pub(super) struct Decoded {
    /// Decoded as if it lay at address 0.
    pub instruction: Instruction,
    pub family: Family,
    pub class: Class,
    pub stub: Option<Stub>,
    bytes: [u8; LONGEST],
    length: usize,
    gpa: Gpa,
    mode: Mode,
}

/// The page from which instructions were fetched last.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FetchPage {
    page: u64,
    privilege: Privilege,
    /// Counts of the MMU's flushes and switches: the translation holds while none happened.
    epoch: (u64, u64, u64),
}

/// The cache.
pub(super) struct Decodings {
    entries: Box<[Decoded]>,
    page: Option<(FetchPage, Gpa)>,
}

impl Decodings {
    pub fn new() -> Self {
        let empty = Decoded {
            instruction: Instruction::default(),
            family: Family::Invalid,
            class: Class::Plain,
            stub: None,
            bytes: [0; LONGEST],
            length: 0,
            gpa: Gpa(u64::MAX),
            mode: Mode::Bits16,
        };
        Self { entries: vec![empty; ENTRIES].into_boxed_slice(), page: None }
    }

    /// The instruction at CS:RIP, or the exception of its fetch; `breakpoints` says whether one may stop it.
    pub fn fetch(
        &mut self,
        env: &mut Env<'_>,
        model: &CpuidModel,
        breakpoints: bool,
    ) -> Fallible<&mut Decoded> {
        let (address, room) = code_address(env)?;
        if breakpoints
            && env.cpu.dr[7] & 0xff != 0
            && env.cpu.other_flags & x86::flags::RF == 0
            && let Some(exception) = debug::instruction_breakpoint(env.cpu, address)
        {
            return Err(exception);
        }
        let gpa = self.translate(env, address)?;
        let mode = env.cpu.mode();
        let index = (gpa.0 ^ gpa.0 >> 12) as usize & (ENTRIES - 1);
        let in_page = (PAGE_SIZE - address.page_offset()) as usize;
        let mut bytes = [0; LONGEST];
        let first = in_page.min(LONGEST).min(room);
        env.mmu.read_physical(env.io, gpa, &mut bytes[..first]);
        let cached = &self.entries[index];
        let length = cached.length;
        let same = cached.gpa == gpa
            && cached.mode == mode
            && length <= first
            && cached.bytes[..length] == bytes[..length];
        if !same {
            self.entries[index] = decode(env, model, address, gpa, &mut bytes, first, room)?;
        }
        Ok(&mut self.entries[index])
    }

    fn translate(&mut self, env: &mut Env<'_>, address: Gva) -> Fallible<Gpa> {
        let counters = env.mmu.counters();
        let key = FetchPage {
            page: address.page_start().0,
            privilege: Privilege::of_cpl(env.cpu.cpl()),
            epoch: (counters.page_flushes, counters.flushes, counters.switches),
        };
        if let Some((cached, page)) = self.page
            && cached == key
        {
            return Ok(Gpa(page.0 | address.page_offset()));
        }
        let gpa = env.mmu.translate(env.cpu, address, Access::Execute, key.privilege)?;
        self.page = Some((key, gpa.frame_start()));
        Ok(gpa)
    }
}

/// The linear address of CS:RIP and how many bytes the segment has from there.
fn code_address(env: &Env<'_>) -> Fallible<(Gva, usize)> {
    let rip = env.cpu.rip;
    if env.cpu.mode() == Mode::Bits64 {
        return if Gva(rip).is_canonical() { Ok((Gva(rip), LONGEST)) } else { Err(gp0()) };
    }
    let code = &env.cpu.segments[CS];
    let left = u64::from(code.limit).checked_sub(rip).ok_or(gp0())?;
    Ok((Gva(code.base.wrapping_add(rip) & 0xffff_ffff), (left + 1).min(LONGEST as u64) as usize))
}

fn decode(
    env: &mut Env<'_>,
    model: &CpuidModel,
    address: Gva,
    gpa: Gpa,
    bytes: &mut [u8; LONGEST],
    first: usize,
    room: usize,
) -> Fallible<Decoded> {
    let mode = env.cpu.mode();
    let (mut instruction, mut complete) = decode_bytes(mode, &bytes[..first]);
    let mut crosses = false;
    if !complete && first < room {
        // The rest lies in the next page.
        let next = Gva(address.0.wrapping_add(first as u64));
        let next = if mode == Mode::Bits64 { next } else { Gva(next.0 & 0xffff_ffff) };
        if !next.is_canonical() {
            return Err(gp0());
        }
        let privilege = Privilege::of_cpl(env.cpu.cpl());
        let rest = env.mmu.translate(env.cpu, next, Access::Execute, privilege)?;
        env.mmu.read_physical(env.io, rest, &mut bytes[first..room]);
        (instruction, complete) = decode_bytes(mode, &bytes[..room]);
        crosses = true;
    }
    if !complete {
        // Longer than 15 bytes, or beyond the segment's limit.
        return Err(Exception::general_protection(0));
    }
    let (family, class) = class::classify(&instruction, model);
    let length = instruction.len();
    let gpa = if crosses { Gpa(u64::MAX) } else { gpa };
    Ok(Decoded { instruction, family, class, stub: None, bytes: *bytes, length, gpa, mode })
}

/// Decodes one instruction; `false` if there are too few bytes.
fn decode_bytes(mode: Mode, bytes: &[u8]) -> (Instruction, bool) {
    let bitness = match mode {
        Mode::Bits16 => 16,
        Mode::Bits32 => 32,
        Mode::Bits64 => 64,
    };
    let mut decoder = Decoder::with_ip(bitness, bytes, 0, DecoderOptions::FORCE_RESERVED_NOP);
    let instruction = decoder.decode();
    // The decoder calls an instruction that goes on after 15 bytes invalid.
    let too_long = instruction.is_invalid() && instruction.len() >= LONGEST;
    (instruction, decoder.last_error() != DecoderError::NoMoreBytes && !too_long)
}
