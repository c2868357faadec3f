//! Vector accesses element by element: masked moves and gathers, which touch only the elements that their mask selects.
use iced_x86::{Instruction, Mnemonic, OpKind, Register};
use x86::Exception;
use x86::reg::RDI;
use x86::segment::DS;

use super::core::{Core, Fallible, mask, segment_number, sign_extend};
use super::host::Stub;
use super::operand::address_size;
use crate::cpu::Cpu;
use crate::mmu::Access;

/// Offsets in the XSAVE area.
const MM: usize = 32;
const XMM: usize = 160;
const YMM_HIGH: usize = 576;

/// A vector register's bytes: 8 of MMX, 32 of XMM and YMM.
pub(super) fn vector(cpu: &Cpu, register: Register) -> [u8; 32] {
    let mut value = [0; 32];
    let area = &cpu.xsave.0;
    if register.is_mm() {
        let at = MM + 16 * (register as usize - Register::MM0 as usize);
        value[..8].copy_from_slice(&area[at..at + 8]);
        return value;
    }
    let number = register.number() & 15;
    value[..16].copy_from_slice(&area[XMM + 16 * number..XMM + 16 * number + 16]);
    value[16..].copy_from_slice(&area[YMM_HIGH + 16 * number..YMM_HIGH + 16 * number + 16]);
    value
}

/// Writes all 32 bytes of a YMM register.
pub(super) fn set_vector(cpu: &mut Cpu, register: Register, value: &[u8; 32]) {
    let number = register.number() & 15;
    let area = &mut cpu.xsave.0;
    area[512] |= 7;
    area[XMM + 16 * number..XMM + 16 * number + 16].copy_from_slice(&value[..16]);
    area[YMM_HIGH + 16 * number..YMM_HIGH + 16 * number + 16].copy_from_slice(&value[16..]);
}

fn element(bytes: &[u8; 32], index: usize, size: usize) -> u64 {
    let mut value = [0; 8];
    value[..size].copy_from_slice(&bytes[index * size..(index + 1) * size]);
    u64::from_le_bytes(value)
}

impl Core<'_> {
    /// VMASKMOV, VPMASKMOV, MASKMOVQ and MASKMOVDQU, and AVX2 gathers. `stub` serves the first two.
    pub fn masked_instruction(&mut self, instruction: &Instruction, stub: Option<&Stub>) -> Fallible {
        match instruction.mnemonic() {
            Mnemonic::Maskmovq | Mnemonic::Maskmovdqu | Mnemonic::Vmaskmovdqu => {
                self.masked_bytes(instruction)
            }
            Mnemonic::Vmaskmovps | Mnemonic::Vpmaskmovd => self.masked_move(instruction, 4, stub),
            Mnemonic::Vmaskmovpd | Mnemonic::Vpmaskmovq => self.masked_move(instruction, 8, stub),
            _ => self.gather(instruction),
        }
    }

    fn masked_move(&mut self, instruction: &Instruction, size: usize, stub: Option<&Stub>) -> Fallible {
        let Some(stub) = stub else { return Err(Exception::invalid_opcode()) };
        let stores = instruction.op0_kind() == OpKind::Memory;
        let selector = vector(self.cpu, instruction.op1_register());
        let length = instruction.memory_size().size().min(32);
        let offset = self.effective_offset(instruction);
        let width = address_size(instruction);
        let segment = self.memory_segment(instruction);
        let active: Vec<(usize, u64)> = (0..length / size)
            .filter(|index| selector[index * size + size - 1] & 0x80 != 0)
            .map(|index| (index, offset.wrapping_add((index * size) as u64) & mask(width)))
            .collect();
        let mut data = [0_u8; 64];
        for (index, at) in &active {
            let bytes = &mut data[index * size..(index + 1) * size];
            if stores {
                self.probe_write(segment, *at, size)?;
            } else {
                self.read_bytes(segment, *at, bytes)?;
            }
        }
        self.run_on_bytes(stub, &mut data)?;
        if stores {
            for (index, at) in &active {
                self.write_bytes(segment, *at, &data[index * size..(index + 1) * size])?;
            }
        }
        Ok(())
    }

    fn masked_bytes(&mut self, instruction: &Instruction) -> Fallible {
        let width = match instruction.op0_kind() {
            OpKind::MemorySegDI => 2,
            OpKind::MemorySegEDI => 4,
            _ => 8,
        };
        let count = if instruction.mnemonic() == Mnemonic::Maskmovq { 8 } else { 16 };
        let data = vector(self.cpu, instruction.op1_register());
        let selector = vector(self.cpu, instruction.op2_register());
        let segment = segment_number(instruction.memory_segment()).unwrap_or(DS);
        let offset = self.gpr(RDI, width);
        let active = |index: &usize| selector[*index] & 0x80 != 0;
        for index in (0..count).filter(active) {
            self.probe_write(segment, offset.wrapping_add(index as u64) & mask(width), 1)?;
        }
        for index in (0..count).filter(active) {
            self.write_bytes(segment, offset.wrapping_add(index as u64) & mask(width), &data[index..=index])?;
        }
        Ok(())
    }

    /// AVX2 gathers (SDM 2C, VGATHERDPS): elements that were loaded before a fault stay, their mask is cleared.
    fn gather(&mut self, instruction: &Instruction) -> Fallible {
        let (target, selector) = (instruction.op0_register(), instruction.op2_register());
        let indices = instruction.memory_index();
        if target == selector || target.number() == indices.number() || selector.number() == indices.number()
        {
            return Err(Exception::invalid_opcode());
        }
        use Mnemonic as M;
        let (index_size, size) = match instruction.mnemonic() {
            M::Vgatherdps | M::Vpgatherdd => (4, 4),
            M::Vgatherdpd | M::Vpgatherdq => (4, 8),
            M::Vgatherqps | M::Vpgatherqd => (8, 4),
            _ => (8, 8),
        };
        let register_bytes = |register: Register| if register.is_ymm() { 32 } else { 16 };
        let count = (register_bytes(target) / size).min(register_bytes(indices) / index_size);
        let width =
            if instruction.memory_base() == Register::None { 8 } else { instruction.memory_base().size() };
        let base = match instruction.memory_base() {
            Register::None => 0,
            register => self.register(register),
        };
        let segment = self.memory_segment(instruction);
        let (mut value, mut selected) = (vector(self.cpu, target), vector(self.cpu, selector));
        let offsets = vector(self.cpu, indices);
        for index in 0..count {
            let at = sign_extend(element(&offsets, index, index_size), index_size)
                .wrapping_mul(u64::from(instruction.memory_index_scale()))
                .wrapping_add(base)
                .wrapping_add(instruction.memory_displacement64());
            if selected[index * size + size - 1] & 0x80 != 0 {
                let mut data = [0; 8];
                let loaded =
                    self.linear(segment, at & mask(width), size as u64, Access::Read).and_then(|address| {
                        let privilege = self.privilege();
                        self.mmu.read(self.cpu, self.io, address, &mut data[..size], privilege)
                    });
                if let Err(exception) = loaded {
                    set_vector(self.cpu, target, &value);
                    set_vector(self.cpu, selector, &selected);
                    return Err(exception);
                }
                value[index * size..(index + 1) * size].copy_from_slice(&data[..size]);
            }
            selected[index * size..(index + 1) * size].fill(0);
        }
        value[count * size..].fill(0);
        set_vector(self.cpu, target, &value);
        set_vector(self.cpu, selector, &[0; 32]);
        Ok(())
    }
}
