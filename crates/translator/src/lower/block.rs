//! One block: its entries, its body, its exits.
use std::mem::offset_of;

use super::cold::Cold;
use super::decode::{Decoded, MAX_INSTRUCTIONS, STATUS, Way, decode};
use super::liveness::{self, Flags};
use super::moving::Noted;
use super::narrow::Narrow;
use super::needs::Needs;
use super::portable::Portable;
use super::scratch::Scratch;
use super::sites::Sites;
use super::system::System;
use crate::cache::blocks::{
    ANY_PAGE, Block, CodeMode, Entries, FlagPlace, Key, Link, Made, Mark, Pointers, Sources,
};
use crate::cache::marks::Packed;
use crate::cache::record::Record;
use crate::cpu::Cpu;
use crate::emit::asm::{Asm, Mem, Offset, Reg, T1, cond};
use crate::mmu::table::Ring;
use crate::runtime::thunks::{Exit, Thunks};
use x86::address::{PAGE_OFFSET, PAGE_SIZE};
use x86::reg::RCX;

/// What to translate.
pub struct Source<'a> {
    /// Linear address of the first instruction.
    pub address: u64,
    /// Its guest-physical address.
    pub gpa: u64,
    /// Bytes from there on: to the end of the page, or beyond it if the next page is known too.
    pub bytes: &'a [u8],
    /// Where the bytes beyond the page come from.
    pub next_gpa: Option<u64>,
    /// The mode.
    pub mode: CodeMode,
    /// What tells the pinned code of the running address space from that of all others ([`CodeMode::is_pinned`]).
    pub space: u32,
    /// Instructions that reach memory by look-up even in code with windows.
    pub sites: &'a Sites,
    /// Jumps back lead here, which have to look for attention.
    pub looks: bool,
}

impl Source<'_> {
    /// What a block of it is found by.
    pub fn key(&self) -> Key {
        Lowering::key(self.address, self.gpa, self.mode, self.space)
    }
    /// Where the first `length` bytes of it come from.
    pub fn origin(&self, length: usize) -> Sources {
        let to_page_end = (PAGE_SIZE - (self.gpa & PAGE_OFFSET)) as usize;
        let sources = Sources::new(self.gpa, length.min(to_page_end) as u16);
        match (self.next_gpa, length.checked_sub(to_page_end)) {
            (Some(next), Some(beyond)) => sources.and(next, beyond as u16),
            _ => sources,
        }
    }
}

/// The translator of blocks: buffers that are used again and again.
pub struct Lowering {
    pub(super) asm: Asm,
    pub(super) thunks: Thunks,
    pub(super) code: Vec<Decoded>,
    pub(super) scratch: Vec<u8>,
    pub(super) cold: Vec<Cold>,
    pub(super) flags: FlagPlace,
    pub(super) mode: CodeMode,
    /// Linear address of the block's page.
    pub(super) page: u64,
    /// Start of the instruction that is being lowered, in host code.
    pub(super) start: Offset,
    /// The same in the guest, as an offset from the page.
    guest_start: i64,
    pub(super) source_address: u64,
    pub(super) source_bytes: Vec<u8>,
    pub(super) held: Scratch,
    pub(super) narrow: Narrow,
    pub(super) portable: Portable,
    pub(super) noted: Noted,
    /// The running instruction reaches its memory operand by window.
    pub(super) by_window: bool,
    /// The running instruction has two memory operands.
    pub(super) looks_up_twice: bool,
    /// Some access up to the next conditional jump, or since the last one, is near the stack pointer.
    pub(super) anchored: bool,
    /// STI was lowered: direct jumps out of the block look for attention.
    pub(super) wants_attention: bool,
    /// The instruction after the block lies across the end of the page.
    next_crosses: bool,
    attention: Option<Offset>,
    pub(super) body: Offset,
    vectors_checked: bool,
    pub(super) links: Vec<Link>,
    marks: Packed,
    peeked: Vec<Decoded>,
    needs_no_rights: bool,
    /// End of the furthest byte that was looked at, from the start of the source.
    looked_at: usize,
}

/// A finished block, which lies nowhere yet ([`Lowering::made`]).
pub struct Lowered {
    /// The description.
    pub block: Block,
    /// Bytes of the source that it was made from, those that were only looked at included.
    pub looked_at: usize,
}

impl Lowering {
    /// A translator that leaves code by these thunks.
    pub fn new(thunks: Thunks) -> Self {
        Self {
            asm: Asm::new(),
            thunks,
            code: Vec::with_capacity(MAX_INSTRUCTIONS),
            scratch: Vec::new(),
            cold: Vec::new(),
            flags: FlagPlace::Eflags,
            mode: CodeMode::default(),
            page: 0,
            start: 0,
            guest_start: 0,
            source_address: 0,
            source_bytes: Vec::new(),
            held: Scratch::default(),
            narrow: Narrow::default(),
            portable: Portable::default(),
            noted: Noted::default(),
            by_window: false,
            looks_up_twice: false,
            anchored: false,
            wants_attention: false,
            next_crosses: false,
            attention: None,
            body: 0,
            vectors_checked: false,
            links: Vec::new(),
            marks: Packed::default(),
            peeked: Vec::new(),
            needs_no_rights: false,
            looked_at: 0,
        }
    }

    /// The key that a block of this source has.
    pub fn key(source_address: u64, gpa: u64, mode: CodeMode, space: u32) -> Key {
        let page = if mode.is_pinned() { source_address & !PAGE_OFFSET } else { ANY_PAGE };
        Key { gpa, page, space: if mode.is_pinned() { space } else { 0 }, mode }
    }

    /// The host code of the last block.
    pub fn host_code(&self) -> &[u8] {
        self.asm.code()
    }
    /// The marks ([`Packed::bytes`]) and the direct jumps of the last block.
    pub fn places(&self) -> (&[u8], &[Link]) {
        (self.marks.bytes(), &self.links)
    }
    /// The last block, as a whole.
    pub fn made(&self, block: Block) -> Made<'_> {
        let (code, fixups) = (self.asm.code(), self.asm.fixups());
        Made { block, code, fixups, marks: self.marks.bytes(), links: &self.links }
    }

    /// Whether the last block is the same whatever the mode says of what does not fault.
    pub fn needs_no_rights(&self) -> bool {
        self.needs_no_rights
    }

    /// The table that this block's accesses look up.
    pub(super) fn ring(&self) -> Ring {
        if self.mode.user { Ring::User } else { Ring::Supervisor }
    }

    /// Whether addresses of code are built in rather than relative to [`Cpu::code_page`], and jumps out of the page are
    /// linked.
    pub(super) fn is_pinned(&self) -> bool {
        self.mode.is_pinned()
    }

    /// Translates one block. `None` if not even one instruction lies in the bytes as a whole.
    pub fn lower(&mut self, source: &Source<'_>) -> Option<Lowered> {
        self.restart(source);
        let mut code = std::mem::take(&mut self.code);
        decode(source.bytes, source.address, source.mode, &mut code);
        let to_page_end = (PAGE_SIZE - (source.address & PAGE_OFFSET)) as usize;
        self.next_crosses = clip(&mut code, source.address, to_page_end);
        if code.is_empty() {
            self.code = code;
            return None;
        }
        source.sites.mark(&mut code, source.address, source.gpa);
        let last = code[code.len() - 1];
        self.looked_at = (last.instruction.next_ip() - source.address) as usize;
        self.source_address = source.address;
        self.source_bytes.clear();
        self.source_bytes.extend_from_slice(&source.bytes[..self.looked_at]);
        self.source_bytes.extend_from_slice(&[0; 16]);
        let at_end = self.live_at_end(&last, source);
        liveness::analyse(&mut code, at_end);
        self.emit_entries(source, &code);
        let has = Needs::of(&code);
        // Without windows there was a look at what follows.
        self.needs_no_rights = !has.rights && source.mode.windows && source.mode.legacy.is_none();
        let mut rest = &code[..];
        self.anchored = has.steps && super::window::is_anchored(rest);
        while let Some(first) = rest.first() {
            let alone = self.mode.windows || self.mode.legacy.is_some();
            let together = if alone { 1 } else { super::stack::run_length(rest) };
            match together {
                1 => {
                    self.lower_instruction(first);
                    if has.elements {
                        self.narrow.follow(first);
                    }
                }
                length => self.stack_run(&rest[..length]),
            }
            rest = &rest[together..];
            if has.steps && first.way == Way::JumpIf {
                self.anchored = super::window::is_anchored(rest);
            }
        }
        if !last.way.ends_block() {
            self.fall_through(&last);
        }
        let end = (last.instruction.next_ip() - source.address) as usize;
        let crosses = end > to_page_end && !self.is_pinned();
        let linked = if crosses { Some(self.emit_way_through_table(source)) } else { None };
        self.emit_cold();
        self.fix_up_moving();
        self.code = code;
        let lowered = self.finish(source, linked);
        // No block comes near it.
        Record::has_room_for(&lowered.block.entries).then_some(lowered)
    }

    fn restart(&mut self, source: &Source<'_>) {
        self.asm.restart(self.thunks.start);
        self.cold.clear();
        self.links.clear();
        self.marks.begin((source.address & PAGE_OFFSET) as i16);
        self.flags = FlagPlace::Eflags;
        self.vectors_checked = false;
        self.clobber_both();
        self.narrow = Narrow::default();
        self.wants_attention = false;
        self.mode = source.mode;
        self.page = source.address & !PAGE_OFFSET;
        self.portable = Portable::at(self.page);
        self.noted.clear();
    }

    /// The entry for jumps through the table (flags put aside), the entry that looks for attention, if jumps lead back here,
    /// and the body (flags in EFLAGS). The first instruction is not shorter than the jump that takes its place when the
    /// block is dead ([`crate::cache::code::CodeBuffer::patch_jump`]).
    fn emit_entries(&mut self, source: &Source<'_>, code: &[Decoded]) {
        let live_in = code[0].live_before;
        let asm = &mut self.asm;
        asm.room_for_jump(live_in != 0);
        if live_in != 0 {
            asm.restore_flags(offset_of!(Cpu, spilled_flags), T1);
        }
        self.attention = None;
        if source.looks || code.iter().any(|decoded| self.leads_to(decoded, source.address)) {
            self.look_for_attention(live_in != 0);
        }
        self.body = self.asm.here();
        // The entries belong to the first instruction.
        let guest = (source.address & PAGE_OFFSET) as i16;
        self.marks.note(Mark { host: 0, guest, flags: FlagPlace::Eflags, pointers: Pointers::Guest });
        self.guest_start = i64::from(guest);
    }

    fn leads_to(&self, decoded: &Decoded, address: u64) -> bool {
        matches!(decoded.way, Way::Jump | Way::JumpIf) && self.branch_target(&decoded.instruction) == address
    }

    /// The look leaves flags that are live alone: JRCXZ needs none.
    fn look_for_attention(&mut self, flags_live: bool) {
        let (asm, flag) = (&mut self.asm, Mem::gs(offset_of!(Cpu, attention)));
        self.attention = Some(asm.here());
        let from = if flags_live {
            asm.mov(T1, RCX as Reg);
            asm.load32(RCX as Reg, flag);
            asm.raw(&[0xe3, 5]); // jrcxz over the jump
            let from = asm.jmp();
            asm.mov(RCX as Reg, T1);
            from
        } else {
            asm.cmp_zero32(flag);
            asm.jcc(cond::NE)
        };
        self.cold.push(Cold::Attention { from, by_count_register: flags_live });
    }

    /// From here on host code belongs to the running guest instruction, with the flags where they are.
    pub(super) fn mark(&mut self) {
        self.mark_pointers(Pointers::Guest);
    }

    /// The same while RDI and RSI hold something else.
    pub(super) fn mark_pointers(&mut self, pointers: Pointers) {
        let (host, guest) = (self.asm.here() as u16, self.guest_start as i16);
        self.marks.note(Mark { host, guest, flags: self.flags, pointers });
    }

    /// From here on host code belongs to another guest instruction. Nobody asks about one at which it is never left.
    pub(super) fn begin(&mut self, decoded: &Decoded) {
        self.start = self.asm.here();
        self.guest_start = self.offset_of(decoded.instruction.ip());
        if !decoded.is_harmless {
            self.mark();
        }
    }

    fn lower_instruction(&mut self, decoded: &Decoded) {
        self.begin(decoded);
        if decoded.vectors && decoded.way != Way::Interpret {
            self.check_vectors(decoded);
        }
        if decoded.way == Way::Copy && self.copy_as_it_is(decoded) {
            return;
        }
        self.by_window = self.mode.windows && !decoded.by_lookup;
        self.looks_up_twice = decoded.looks_up_twice();
        self.noted.begin((decoded.instruction.ip() - self.source_address) as usize, decoded.moving);
        let keeps_scratch = decoded.way.keeps_scratch(self.mode);
        if !keeps_scratch {
            self.clobber_both();
        }
        match decoded.way {
            _ if self.mode.legacy.is_some() => self.lower_legacy(decoded),
            Way::Nothing => self.noted.need_none(),
            Way::Copy => self.copy(decoded),
            Way::CopyMemory { size, access } => self.copy_memory(decoded, size, access),
            Way::BitString => self.bit_string(decoded),
            Way::Lea => self.lea(decoded),
            Way::Push => self.push(decoded),
            Way::Pop => self.pop(decoded),
            Way::Leave => self.leave(decoded),
            Way::Jump => self.jump(decoded),
            Way::JumpIf => self.jump_if(decoded),
            Way::Call => self.call(decoded),
            Way::JumpIndirect => self.jump_indirect(decoded),
            Way::CallIndirect => self.call_indirect(decoded),
            Way::Return => self.return_near(decoded),
            Way::System(what) => self.system(decoded, what),
            Way::String(what) => self.string(decoded, what),
            Way::CountedJump | Way::Interpret => self.interpret(),
        }
        if self.mode.legacy.is_none() && !decoded.way.follows_stack_pointer() {
            self.follow_stack_pointer(decoded);
        }
        self.noted.end();
        if keeps_scratch {
            self.forget_deltas(decoded);
        } else {
            self.clobber_both();
        }
    }

    /// Before the first vector instruction of a block: are the guest's vector registers loaded?
    fn check_vectors(&mut self, decoded: &Decoded) {
        if std::mem::replace(&mut self.vectors_checked, true) {
            return;
        }
        self.spill_if_live(decoded);
        self.asm.cmp_zero32(Mem::gs(offset_of!(Cpu, vectors_loaded)));
        let from = self.asm.jcc(cond::E);
        let resume = self.asm.here();
        self.clobber(T1);
        self.cold.push(Cold::Vectors { from, resume });
    }

    /// Offset of a linear address from the block's page.
    pub(super) fn offset_of(&self, address: u64) -> i64 {
        address.wrapping_sub(self.page) as i64
    }

    /// Puts the flags aside if somebody still wants them and what follows destroys them.
    pub(super) fn spill_if_live(&mut self, decoded: &Decoded) {
        if decoded.live_before != 0 && self.flags == FlagPlace::Eflags {
            self.asm.spill_flags(offset_of!(Cpu, spilled_flags), T1);
            self.clobber(T1);
            self.flags = FlagPlace::Spilled;
            self.mark();
        }
    }

    /// Just before the instruction itself: takes the flags back if it reads them or changes only some of those that are
    /// live; `via` is clobbered.
    pub(super) fn settle_flags(&mut self, decoded: &Decoded, via: Reg) {
        if self.flags == FlagPlace::Eflags {
            return;
        }
        let Flags { reads, writes, kills } = decoded.flags;
        let keeps = decoded.live_after & !kills;
        if reads != 0 || (writes != 0 && keeps != 0) {
            self.asm.restore_flags(offset_of!(Cpu, spilled_flags), via);
            self.clobber(via);
            self.flags = FlagPlace::Eflags;
        } else if writes != 0 {
            self.flags = FlagPlace::Eflags;
        }
    }

    /// Takes the flags back for whoever comes next.
    pub(super) fn restore_flags(&mut self) {
        if self.flags == FlagPlace::Spilled {
            self.asm.restore_flags(offset_of!(Cpu, spilled_flags), T1);
            self.clobber(T1);
            self.flags = FlagPlace::Eflags;
        }
    }

    /// Leaves the flags where the entry for jumps through the table expects them.
    pub(super) fn spill_for_table(&mut self) {
        if self.flags == FlagPlace::Eflags {
            self.asm.spill_flags(offset_of!(Cpu, spilled_flags), T1);
            self.clobber(T1);
            self.flags = FlagPlace::Spilled;
            self.mark();
        }
    }

    /// Leaves the instruction to the interpreter.
    pub(super) fn interpret(&mut self) {
        self.restore_flags();
        // It reads the guest's own bytes.
        self.noted.need_none();
        if self.wants_attention {
            // STI shields this instruction. An interrupt between STI and HLT would be slept over: its handler has asked
            // for work by the time that HLT stops the CPU.
            let shadow = Mem::gs(offset_of!(Cpu, interrupt_shadow));
            self.asm.store_imm32(shadow, crate::interp::SHADOW_INTERRUPTS);
        }
        self.asm.leave_by(T1, self.start, self.thunks.exit(Exit::Interpret));
    }

    fn fall_through(&mut self, last: &Decoded) {
        let next = last.instruction.next_ip();
        self.start = self.asm.here();
        self.guest_start = self.offset_of(next);
        self.mark();
        if last.way == Way::System(System::SetInterruptFlag) {
            // The instruction that STI shields is the next one.
            self.interpret();
        } else if self.next_crosses && !self.is_pinned() {
            // Whoever goes there has to look up both pages.
            self.table_exit(self.offset_of(next));
        } else {
            self.direct_exit(next);
        }
    }

    /// The flags that are live after the last instruction, as far as the code that follows can be seen.
    fn live_at_end(&mut self, last: &Decoded, source: &Source<'_>) -> u8 {
        if source.mode.windows {
            // Hardly anything destroys them: not worth a look.
            return STATUS;
        }
        let target = match last.way {
            Way::Jump | Way::Call => self.branch_target(&last.instruction),
            way if !way.ends_block() => last.instruction.next_ip(),
            _ => return STATUS,
        };
        let (Some(start), true) = (target.checked_sub(source.address), target & !PAGE_OFFSET == self.page)
        else {
            return STATUS;
        };
        let to_page_end = (PAGE_SIZE - (source.address & PAGE_OFFSET)) as usize;
        let inside = &source.bytes[..source.bytes.len().min(to_page_end)];
        let Some(bytes) = inside.get(start as usize..) else { return STATUS };
        let bytes = &bytes[..bytes.len().min(48)];
        let mut peeked = std::mem::take(&mut self.peeked);
        decode(bytes, target, source.mode, &mut peeked);
        let needed = liveness::needed_by(&peeked);
        if let Some(last) = peeked.last() {
            let end = (last.instruction.next_ip() - source.address) as usize;
            self.looked_at = self.looked_at.max(end.min(source.bytes.len()));
        }
        self.peeked = peeked;
        needed
    }

    pub(super) fn link(&mut self, from: Offset, target: i64) {
        let backward = target <= self.guest_start || self.wants_attention;
        self.cold.push(Cold::Link { from, target, backward });
    }

    /// Where jumps inside the page enter a block across its end.
    fn emit_way_through_table(&mut self, source: &Source<'_>) -> Offset {
        let start = self.asm.here();
        self.flags = FlagPlace::Eflags;
        self.table_exit((source.address & PAGE_OFFSET) as i64);
        start
    }

    fn finish(&mut self, source: &Source<'_>, linked: Option<Offset>) -> Lowered {
        let asm = &self.asm;
        let entries = Entries {
            attention: linked.or(self.attention).map(|at| at as u32),
            linked: linked.unwrap_or(self.body) as u32,
            body: self.body as u32,
            end: asm.here() as u32,
        };
        let origin = source.origin(self.looked_at);
        let instructions = self.code.len() as u32;
        let block = Block { key: source.key(), entries, sources: origin, instructions };
        Lowered { block, looked_at: self.looked_at }
    }
}

/// Drops what lies beyond the page: only an instruction that begins in it belongs to the block, and one across its end
/// stands alone, so that whoever enters it has looked up both pages. Whether such a one was dropped.
fn clip(code: &mut Vec<Decoded>, address: u64, to_page_end: usize) -> bool {
    let limit = address + to_page_end as u64;
    if code.last().is_none_or(|last| last.instruction.next_ip() <= limit) {
        return false;
    }
    let inside = code.iter().position(|decoded| decoded.instruction.ip() >= limit).unwrap_or(code.len());
    code.truncate(inside);
    let crossing = code.iter().position(|decoded| decoded.instruction.next_ip() > limit);
    let drop = crossing.filter(|position| *position > 0);
    if let Some(position) = drop {
        code.truncate(position);
    }
    drop.is_some()
}
