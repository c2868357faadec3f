//! String instructions with and without REP: MOVS and STOS page by page where memory is RAM, the rest element by element.
//!
//! One step executes a bounded batch and leaves the instruction pointer in place while there is more to do, so that
//! interrupts get in between.
#![expect(unsafe_code, reason = "copies and fills guest RAM in bulk")]
use std::sync::atomic::Ordering;

use iced_x86::{Instruction, Mnemonic, OpKind};
use platform::Port;
use x86::address::PAGE_SIZE;
use x86::reg::{RAX, RCX, RDI, RDX, RSI};
use x86::segment::{CS, ES};
use x86::{Gva, flags};

use super::core::{Core, Fallible, mask};
use crate::mmu::Access;

/// Elements that one step executes one by one, at most.
const BATCH: u64 = 1024;

/// What a string instruction does with each element.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Move,
    Store,
    Load,
    Compare,
    Scan,
    Input,
    Output,
}

/// A decoded string instruction.
#[derive(Clone, Copy)]
struct StringOperation {
    action: Action,
    /// Bytes of an element.
    size: usize,
    /// Bytes of the address registers and the counter.
    width: usize,
    /// The segment of the source.
    source: usize,
    /// Stops when ZF differs from this.
    while_zero: Option<bool>,
}

impl StringOperation {
    fn of(instruction: &Instruction, source: usize) -> Option<Self> {
        use Mnemonic as M;
        let (action, size) = match instruction.mnemonic() {
            M::Movsb => (Action::Move, 1),
            M::Movsw => (Action::Move, 2),
            M::Movsd => (Action::Move, 4),
            M::Movsq => (Action::Move, 8),
            M::Stosb => (Action::Store, 1),
            M::Stosw => (Action::Store, 2),
            M::Stosd => (Action::Store, 4),
            M::Stosq => (Action::Store, 8),
            M::Lodsb => (Action::Load, 1),
            M::Lodsw => (Action::Load, 2),
            M::Lodsd => (Action::Load, 4),
            M::Lodsq => (Action::Load, 8),
            M::Cmpsb => (Action::Compare, 1),
            M::Cmpsw => (Action::Compare, 2),
            M::Cmpsd => (Action::Compare, 4),
            M::Cmpsq => (Action::Compare, 8),
            M::Scasb => (Action::Scan, 1),
            M::Scasw => (Action::Scan, 2),
            M::Scasd => (Action::Scan, 4),
            M::Scasq => (Action::Scan, 8),
            M::Insb => (Action::Input, 1),
            M::Insw => (Action::Input, 2),
            M::Insd => (Action::Input, 4),
            M::Outsb => (Action::Output, 1),
            M::Outsw => (Action::Output, 2),
            M::Outsd => (Action::Output, 4),
            _ => return None,
        };
        let width = (0..instruction.op_count()).find_map(|operand| match instruction.op_kind(operand) {
            OpKind::MemorySegSI | OpKind::MemorySegDI | OpKind::MemoryESDI => Some(2),
            OpKind::MemorySegESI | OpKind::MemorySegEDI | OpKind::MemoryESEDI => Some(4),
            OpKind::MemorySegRSI | OpKind::MemorySegRDI | OpKind::MemoryESRDI => Some(8),
            _ => None,
        })?;
        let compares = matches!(action, Action::Compare | Action::Scan);
        let while_zero = compares.then_some(instruction.has_repe_prefix());
        Some(Self { action, size, width, source, while_zero })
    }
    fn reads_source(&self) -> bool {
        matches!(self.action, Action::Move | Action::Load | Action::Compare | Action::Output)
    }
    fn uses_destination(&self) -> bool {
        !matches!(self.action, Action::Load | Action::Output)
    }
}

impl Core<'_> {
    /// A string instruction; `None` if it is not one.
    pub fn string_instruction(&mut self, instruction: &Instruction) -> Option<Fallible> {
        let operation = StringOperation::of(instruction, self.implied_segment(instruction))?;
        Some(if instruction.has_rep_prefix() || instruction.has_repne_prefix() {
            // A fault in mid-way leaves the flags as they were (SDM 2B, REP).
            let status = self.cpu.status_flags;
            let result = self.repeat(&operation);
            if result.is_err() {
                self.cpu.status_flags = status;
            }
            result
        } else {
            self.check_string_port(&operation).and_then(|()| {
                self.note_string_port(&operation);
                self.string_element(&operation)
            })
        })
    }
    fn check_string_port(&mut self, operation: &StringOperation) -> Fallible {
        if matches!(operation.action, Action::Input | Action::Output) {
            self.check_port(self.cpu.gpr[RDX] as u16, operation.size)?;
        }
        Ok(())
    }

    fn note_string_port(&mut self, operation: &StringOperation) {
        if matches!(operation.action, Action::Input | Action::Output) {
            self.note_port_breakpoints(self.cpu.gpr[RDX] as u16, operation.size);
        }
    }

    /// Whether the next element may overwrite the running instruction, which then must be fetched again.
    fn writes_own_page(&self, operation: &StringOperation) -> bool {
        let writes = matches!(operation.action, Action::Move | Action::Store | Action::Input);
        let to = self.cpu.segments[ES].base.wrapping_add(self.gpr(RDI, operation.width));
        writes && (to ^ self.cpu.segments[CS].base.wrapping_add(self.cpu.rip)) < 2 * PAGE_SIZE
    }

    fn repeat(&mut self, operation: &StringOperation) -> Fallible {
        let width = operation.width;
        self.check_string_port(operation)?;
        if self.gpr(RCX, width) == 0 {
            self.cut_pointers(operation);
            return Ok(());
        }
        self.note_string_port(operation);
        let stepping = self.cpu.other_flags & flags::TF != 0 || self.cpu.dr[7] & 0xff != 0;
        // Comparisons go on to the end or to the next interrupt, so that a fault can take the flags back.
        let limit = match operation.while_zero {
            _ if stepping => 1,
            Some(_) => u64::MAX,
            None => BATCH,
        };
        let mut done = 0;
        while done < limit {
            let count = self.gpr(RCX, width);
            let careful = stepping || self.writes_own_page(operation);
            let bulk = if careful { 0 } else { self.string_bulk(operation, count)? };
            if bulk == 0 {
                self.string_element(operation)?;
            }
            let left = count.wrapping_sub(bulk.max(1)) & mask(width);
            self.set_pointer(RCX, width, left);
            let zero = self.status() & flags::ZF != 0;
            if left == 0 || operation.while_zero.is_some_and(|wanted| zero != wanted) {
                return Ok(());
            }
            done += if bulk > 0 { BATCH / 16 } else { 1 };
            if careful || self.cpu.attention.load(Ordering::Relaxed) != 0 {
                break;
            }
        }
        self.next_rip = self.cpu.rip;
        // What comes between two elements finds RF set, so that a breakpoint does not strike again (SDM 3B §17.3.1.1).
        self.cpu.other_flags |= flags::RF;
        self.keeps_resume_flag = true;
        Ok(())
    }

    /// A count of zero in ECX has one effect on CPUs: registers lose their upper halves in 64-bit mode.
    fn cut_pointers(&mut self, operation: &StringOperation) {
        if operation.width != 4 {
            return;
        }
        let registers = match operation.action {
            Action::Move => &[RCX, RSI, RDI][..],
            Action::Store => &[RCX, RDI],
            _ => &[RCX],
        };
        for register in registers {
            self.set_pointer(*register, 4, self.gpr(*register, 4));
        }
    }

    fn step_of(&self, size: usize) -> u64 {
        if self.cpu.direction_flag != 0 { (size as u64).wrapping_neg() } else { size as u64 }
    }
    fn string_element(&mut self, operation: &StringOperation) -> Fallible {
        let (size, width) = (operation.size, operation.width);
        let (source, destination) = (self.gpr(RSI, width), self.gpr(RDI, width));
        let accumulator = self.gpr(RAX, 8) & mask(size);
        match operation.action {
            Action::Move => {
                let value = self.read_number(operation.source, source, size)?;
                self.write_number(ES, destination, size, value)?;
            }
            Action::Store => self.write_number(ES, destination, size, accumulator)?,
            Action::Load => {
                let value = self.read_number(operation.source, source, size)?;
                let kept = if size < 4 { self.cpu.gpr[RAX] & !mask(size) } else { 0 };
                self.cpu.gpr[RAX] = kept | value;
            }
            Action::Compare => {
                let left = self.read_number(operation.source, source, size)?;
                let right = self.read_number(ES, destination, size)?;
                self.compare(left, right, size);
            }
            Action::Scan => {
                let right = self.read_number(ES, destination, size)?;
                self.compare(accumulator, right, size);
            }
            Action::Input => {
                self.probe_write(ES, destination, size)?;
                let mut data = [0; 4];
                self.io.port_read(Port(self.cpu.gpr[RDX] as u16), &mut data[..size]);
                self.write_bytes(ES, destination, &data[..size])?;
            }
            Action::Output => {
                let value = self.read_number(operation.source, source, size)?;
                self.io.port_write(Port(self.cpu.gpr[RDX] as u16), &value.to_le_bytes()[..size]);
            }
        }
        let step = self.step_of(size);
        if operation.reads_source() {
            self.set_pointer(RSI, width, source.wrapping_add(step));
        }
        if operation.uses_destination() {
            self.set_pointer(RDI, width, destination.wrapping_add(step));
        }
        Ok(())
    }

    /// The flags of `left - right`.
    pub fn compare(&mut self, left: u64, right: u64, size: usize) {
        let bits = 8 * size as u32;
        let result = left.wrapping_sub(right) & mask(size);
        let sign = 1_u64 << (bits - 1);
        let overflow = (left ^ right) & (left ^ result) & sign != 0;
        self.set_status(flags::CF, left < right);
        self.set_status(flags::ZF, result == 0);
        self.set_status(flags::SF, result & sign != 0);
        self.set_status(flags::OF, overflow);
        self.set_status(flags::AF, (left ^ right ^ result) & 0x10 != 0);
        self.set_status(flags::PF, (result as u8).count_ones().is_multiple_of(2));
    }

    /// MOVS and STOS inside one page of RAM; the number of elements done, 0 if it must go one by one.
    fn string_bulk(&mut self, operation: &StringOperation, count: u64) -> Fallible<u64> {
        if !matches!(operation.action, Action::Move | Action::Store) {
            return Ok(0);
        }
        if self.cpu.other_flags & flags::AC != 0 {
            return Ok(0);
        }
        let (size, width) = (operation.size as u64, operation.width);
        let (source, destination) = (self.gpr(RSI, width), self.gpr(RDI, width));
        let is_move = operation.action == Action::Move;
        let to = self.linear(ES, destination, size, Access::Write)?;
        let from = if is_move { self.linear(operation.source, source, size, Access::Read)? } else { to };
        let downwards = self.cpu.direction_flag != 0;
        let room = room_in_page(to, size, downwards).min(room_in_page(from, size, downwards));
        let wrap = room_in_segment(destination, size, width, downwards);
        let wrap = if is_move { wrap.min(room_in_segment(source, size, width, downwards)) } else { wrap };
        let elements = (room.min(wrap) / size).min(count);
        let bytes = elements * size;
        // From the first element's address to the lowest one's.
        let down = if downwards { bytes.saturating_sub(size) } else { 0 };
        if elements < 2 || !self.bulk_fits(operation, source - down, destination - down, bytes) {
            return Ok(0);
        }
        let done = if is_move {
            self.bulk_move(Gva(from.0 - down), Gva(to.0 - down), bytes, size, downwards)
        } else {
            self.bulk_store(Gva(to.0 - down), bytes, size)
        };
        // A fault is one of the first element, which is the last one in memory.
        let done = if downwards { done.unwrap_or(0) } else { done? };
        let step = if downwards { done.wrapping_neg() } else { done };
        if is_move {
            self.set_pointer(RSI, width, source.wrapping_add(step));
        }
        if done > 0 {
            self.set_pointer(RDI, width, destination.wrapping_add(step));
        }
        Ok(done / size)
    }
    fn bulk_fits(&mut self, operation: &StringOperation, source: u64, destination: u64, bytes: u64) -> bool {
        let is_move = operation.action == Action::Move;
        self.linear(ES, destination, bytes, Access::Write).is_ok()
            && (!is_move || self.linear(operation.source, source, bytes, Access::Read).is_ok())
    }
    /// Moves elements from and to the ranges that begin at two addresses; the bytes done, from the top if `downwards`.
    fn bulk_move(&mut self, from: Gva, to: Gva, bytes: u64, size: u64, downwards: bool) -> Fallible<u64> {
        let privilege = self.privilege();
        let length = bytes as usize;
        let Some(source) = self.mmu.host_range(self.cpu, from, length, Access::Read, privilege)? else {
            return Ok(0);
        };
        let Some(target) = self.mmu.host_range(self.cpu, to, length, Access::Write, privilege)? else {
            return Ok(0);
        };
        // A copy into its own source repeats the first elements: no more than the distance at a time.
        let (source_at, target_at) = (source as u64, target as u64);
        let distance =
            if downwards { source_at.wrapping_sub(target_at) } else { target_at.wrapping_sub(source_at) };
        let done = if distance < bytes { distance - distance % size } else { bytes };
        let left = if downwards { (bytes - done) as usize } else { 0 };
        // SAFETY: `host_range` vouches for both ranges; they may overlap, hence `copy`.
        unsafe { std::ptr::copy(source.add(left), target.add(left), done as usize) };
        Ok(done)
    }
    fn bulk_store(&mut self, to: Gva, bytes: u64, size: u64) -> Fallible<u64> {
        let privilege = self.privilege();
        let Some(target) = self.mmu.host_range(self.cpu, to, bytes as usize, Access::Write, privilege)?
        else {
            return Ok(0);
        };
        let pattern = self.cpu.gpr[RAX].to_le_bytes();
        // SAFETY: `host_range` vouches for the range; other CPUs may touch it meanwhile, as on a real machine.
        unsafe {
            if size == 1 {
                std::ptr::write_bytes(target, pattern[0], bytes as usize);
            } else {
                for at in (0..bytes as usize).step_by(size as usize) {
                    std::ptr::copy_nonoverlapping(pattern.as_ptr(), target.add(at), size as usize);
                }
            }
        }
        Ok(bytes)
    }
}

/// Bytes of whole elements of a page from an element on.
fn room_in_page(element: Gva, size: u64, downwards: bool) -> u64 {
    let offset = element.page_offset();
    match downwards {
        false => PAGE_SIZE - offset,
        true if offset + size <= PAGE_SIZE => offset + size,
        true => 0,
    }
}

/// Bytes of elements from one on before its address of `width` bytes wraps.
fn room_in_segment(element: u64, size: u64, width: usize, downwards: bool) -> u64 {
    if downwards { element.saturating_add(size) } else { mask(width) - element }
}
