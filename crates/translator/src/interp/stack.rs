//! The stack: a cursor that pushes and pops without moving the stack pointer, so that a fault in the middle leaves
//! nothing half done, and the instructions that only touch the stack.
use iced_x86::{Code, Instruction, Mnemonic, OpKind};
use x86::reg::{RBP, RSP};
use x86::segment::{SS, Segment};
use x86::{Exception, Gva, flags};

use super::address::canonical_range;
use super::core::{Core, Fallible, gp0, mask, segment_number};
use crate::mmu::{Access, Privilege};

/// A stack on which an instruction or event works.
#[derive(Clone, Copy)]
pub(super) struct Cursor {
    /// The stack pointer so far.
    pub pointer: u64,
    /// Bytes of the stack pointer: 2, 4 or 8.
    pub width: usize,
    segment: Segment,
    /// Flat, with canonical checks instead of limits.
    long: bool,
    privilege: Privilege,
    /// What `#SS` says of this stack: 0 for instructions, EXT and a selector for events and gates (SDM 2A, INT n).
    error_code: u32,
}

impl Cursor {
    /// A stack in a segment that is about to be loaded.
    pub fn in_segment(segment: Segment, pointer: u64, privilege: Privilege) -> Self {
        let width = if segment.is_32() { 4 } else { 2 };
        Self { pointer, width, segment, long: false, privilege, error_code: 0 }
    }
    /// A stack in 64-bit mode.
    pub fn long(pointer: u64, privilege: Privilege) -> Self {
        Self { pointer, width: 8, segment: Segment::default(), long: true, privilege, error_code: 0 }
    }
    /// The same stack with another error code in its `#SS`.
    pub fn with_error_code(self, error_code: u32) -> Self {
        Self { error_code, ..self }
    }
}

impl Core<'_> {
    /// The running code's stack.
    pub fn stack(&self) -> Cursor {
        let privilege = self.privilege();
        if self.is_64() {
            return Cursor::long(self.cpu.gpr[RSP], privilege);
        }
        let mut cursor = Cursor::in_segment(self.cpu.segments[SS], 0, privilege);
        cursor.pointer = self.gpr(RSP, cursor.width);
        cursor
    }
    fn stack_address(&mut self, cursor: &Cursor, size: usize, access: Access) -> Fallible<Gva> {
        let address = if cursor.long {
            canonical_range(cursor.pointer, size as u64, true)
        } else {
            self.linear_in(&cursor.segment, true, cursor.pointer, size as u64, access)
        };
        let address = address.map_err(|_| Exception::stack_fault(cursor.error_code))?;
        if self.cpu.dr[7] & 0xff != 0 {
            self.note_data_breakpoints(address, size as u64, access);
        }
        if cursor.privilege == Privilege::User {
            self.check_alignment(address, size)?;
        }
        Ok(address)
    }
    /// Pushes `size` bytes on a cursor.
    pub fn push_on(&mut self, cursor: &mut Cursor, size: usize, value: u64) -> Fallible {
        let mut next = *cursor;
        next.pointer = cursor.pointer.wrapping_sub(size as u64) & mask(cursor.width);
        let address = self.stack_address(&next, size, Access::Write)?;
        self.mmu.write(self.cpu, self.io, address, &value.to_le_bytes()[..size], cursor.privilege)?;
        *cursor = next;
        Ok(())
    }
    /// Pops `size` bytes from a cursor.
    pub fn pop_from(&mut self, cursor: &mut Cursor, size: usize) -> Fallible<u64> {
        let address = self.stack_address(cursor, size, Access::Read)?;
        let mut data = [0; 8];
        self.mmu.read(self.cpu, self.io, address, &mut data[..size], cursor.privilege)?;
        cursor.pointer = cursor.pointer.wrapping_add(size as u64) & mask(cursor.width);
        Ok(u64::from_le_bytes(data))
    }
    /// Makes a cursor's stack pointer the CPU's.
    pub fn commit_stack(&mut self, cursor: &Cursor) {
        self.set_pointer(RSP, cursor.width, cursor.pointer);
    }
    /// Makes a cursor that began at `start` the CPU's stack, upper half of a 16-bit stack pointer included.
    pub fn commit_new_stack(&mut self, cursor: &Cursor, start: u64) {
        if !cursor.long {
            self.set_pointer(RSP, 4, start);
        }
        self.commit_stack(cursor);
    }
    /// Pushes one value on the running code's stack.
    pub fn push(&mut self, size: usize, value: u64) -> Fallible {
        let mut cursor = self.stack();
        self.push_on(&mut cursor, size, value)?;
        self.commit_stack(&cursor);
        Ok(())
    }

    /// PUSH of anything.
    pub fn push_operand(&mut self, instruction: &Instruction) -> Fallible {
        let size = instruction.stack_pointer_increment().unsigned_abs() as usize;
        let size = if size == 0 { self.stack().width } else { size };
        let is_segment = instruction.op0_kind() == OpKind::Register
            && segment_number(instruction.op0_register()).is_some();
        let value = self.read_operand(instruction, 0, size)?;
        // A segment register is pushed as 16 bits, the rest of the slot stays (SDM 2B, PUSH).
        if is_segment && size == 4 {
            let mut cursor = self.stack();
            cursor.pointer = cursor.pointer.wrapping_sub(4) & mask(cursor.width);
            let address = self.stack_address(&cursor, 2, Access::Write)?;
            self.mmu.write(self.cpu, self.io, address, &value.to_le_bytes()[..2], cursor.privilege)?;
            self.commit_stack(&cursor);
            return Ok(());
        }
        self.push(size, value)
    }

    /// POP to a general-purpose register or memory; the address of a memory operand is computed after the pop.
    pub fn pop_operand(&mut self, instruction: &Instruction) -> Fallible {
        let size = instruction.stack_pointer_increment().unsigned_abs() as usize;
        let mut cursor = self.stack();
        let value = self.pop_from(&mut cursor, size)?;
        let old = self.cpu.gpr[RSP];
        self.commit_stack(&cursor);
        self.write_operand(instruction, 0, size, value).inspect_err(|_| self.cpu.gpr[RSP] = old)
    }

    /// PUSHA and PUSHAD.
    pub fn push_all(&mut self, size: usize) -> Fallible {
        let mut cursor = self.stack();
        for register in 0..8 {
            let value = self.gpr(register, size);
            self.push_on(&mut cursor, size, value)?;
        }
        self.commit_stack(&cursor);
        Ok(())
    }
    /// POPA and POPAD; the stack pointer's slot is skipped.
    pub fn pop_all(&mut self, size: usize) -> Fallible {
        let mut cursor = self.stack();
        let mut values = [0; 8];
        for value in values.iter_mut().rev() {
            *value = self.pop_from(&mut cursor, size)?;
        }
        for (register, value) in values.into_iter().enumerate().filter(|(register, _)| *register != RSP) {
            self.set_gpr(register, size, value);
        }
        self.commit_stack(&cursor);
        Ok(())
    }

    /// PUSHF, PUSHFD, PUSHFQ.
    pub fn push_flags(&mut self, size: usize) -> Fallible {
        if self.cpu.is_virtual_8086() && self.iopl() < 3 {
            return Err(gp0());
        }
        let value = self.cpu.rflags() & !(flags::RF | flags::VM);
        self.push(size, value)
    }
    /// POPF, POPFD, POPFQ.
    pub fn pop_flags(&mut self, size: usize) -> Fallible {
        if self.cpu.is_virtual_8086() && self.iopl() < 3 {
            return Err(gp0());
        }
        let mut cursor = self.stack();
        let value = self.pop_from(&mut cursor, size)?;
        let changeable = self.changeable_flags(size);
        let mut cleared = flags::RF;
        if size > 2 && !self.cpu.is_virtual_8086() {
            cleared |= flags::VIF | flags::VIP;
        }
        let old = self.cpu.rflags();
        self.commit_stack(&cursor);
        self.cpu.set_rflags((old & !changeable & !cleared) | (value & changeable));
        Ok(())
    }
    /// The flags that POPF and IRET may change at this privilege (SDM 2B, POPF, table 4-16).
    pub fn changeable_flags(&self, size: usize) -> u64 {
        let mut changeable = flags::STATUS | flags::TF | flags::DF | flags::NT;
        if size > 2 {
            changeable |= flags::AC | flags::ID;
        }
        let cpl = self.cpu.cpl();
        if self.cpu.is_virtual_8086() {
            return changeable | if self.iopl() == 3 { flags::IF } else { 0 };
        }
        if cpl == 0 {
            changeable |= flags::IOPL;
        }
        if cpl <= self.iopl() {
            changeable |= flags::IF;
        }
        changeable
    }

    /// ENTER (SDM 2A): a frame with up to 31 levels of nesting.
    pub fn enter(&mut self, instruction: &Instruction) -> Fallible {
        let size = match instruction.code() {
            Code::Enterw_imm16_imm8 => 2,
            Code::Enterd_imm16_imm8 => 4,
            _ => 8,
        };
        let level = instruction.immediate8_2nd() % 32;
        let mut cursor = self.stack();
        let width = cursor.width;
        let mut frame_link = cursor;
        frame_link.pointer = self.gpr(RBP, width);
        let bp = self.gpr(RBP, size);
        self.push_on(&mut cursor, size, bp)?;
        // All of ESP as it will be, whatever part of it a short stack uses.
        let frame = self.cpu.gpr[RSP] & !mask(width) | cursor.pointer;
        for _ in 1..level {
            frame_link.pointer = frame_link.pointer.wrapping_sub(size as u64) & mask(width);
            let mut at = frame_link;
            let link = self.pop_from(&mut at, size)?;
            self.push_on(&mut cursor, size, link)?;
        }
        if level > 0 {
            self.push_on(&mut cursor, size, frame)?;
        }
        cursor.pointer = cursor.pointer.wrapping_sub(u64::from(instruction.immediate16())) & mask(width);
        // The last byte of the new frame must be writable (SDM 2A, ENTER).
        let address = self.stack_address(&cursor, 1, Access::Write)?;
        self.probe_linear(address, 1, Access::Write, cursor.privilege)?;
        self.set_gpr(RBP, size, frame);
        self.commit_stack(&cursor);
        Ok(())
    }
    /// LEAVE.
    pub fn leave(&mut self, instruction: &Instruction) -> Fallible {
        let size = match instruction.code() {
            Code::Leavew => 2,
            Code::Leaved => 4,
            _ => 8,
        };
        let mut cursor = self.stack();
        cursor.pointer = self.gpr(RBP, cursor.width);
        let value = self.pop_from(&mut cursor, size)?;
        self.commit_stack(&cursor);
        self.set_gpr(RBP, size, value);
        Ok(())
    }

    /// BOUND: `#BR` if a signed index lies outside a pair of bounds.
    pub fn bound(&mut self, instruction: &Instruction) -> Fallible {
        let size = instruction.op0_register().size();
        let offset = self.effective_offset(instruction);
        let segment = self.memory_segment(instruction);
        let signed = |value| super::core::sign_extend(value, size) as i64;
        let lower = signed(self.read_number(segment, offset, size)?);
        let upper = signed(self.read_number(segment, offset.wrapping_add(size as u64), size)?);
        let index = signed(self.register(instruction.op0_register()));
        if index < lower || index > upper {
            return Err(Exception::plain(x86::exception::vector::BR));
        }
        Ok(())
    }

    /// Everything of this file by mnemonic; `None` if the instruction is not one of them.
    pub fn stack_instruction(&mut self, instruction: &Instruction) -> Option<Fallible> {
        Some(match instruction.mnemonic() {
            Mnemonic::Push => self.push_operand(instruction),
            Mnemonic::Pop => self.pop_operand(instruction),
            Mnemonic::Pusha => self.push_all(2),
            Mnemonic::Pushad => self.push_all(4),
            Mnemonic::Popa => self.pop_all(2),
            Mnemonic::Popad => self.pop_all(4),
            Mnemonic::Pushf => self.push_flags(2),
            Mnemonic::Pushfd => self.push_flags(4),
            Mnemonic::Pushfq => self.push_flags(8),
            Mnemonic::Popf => self.pop_flags(2),
            Mnemonic::Popfd => self.pop_flags(4),
            Mnemonic::Popfq => self.pop_flags(8),
            Mnemonic::Enter => self.enter(instruction),
            Mnemonic::Leave => self.leave(instruction),
            Mnemonic::Bound => self.bound(instruction),
            _ => return None,
        })
    }
}
