//! Vector accesses element by element: masked moves and gathers, which touch only the elements that their mask selects.
use iced_x86::{Instruction, Mnemonic, OpKind, Register};
use x86::Exception;
use x86::reg::RDI;

use super::core::{Core, Fallible, mask, sign_extend};
use super::host::Stub;
use super::operand::address_size;
use crate::cpu::Cpu;
use crate::mmu::Access;

/// Offsets in the XSAVE area.
const TAGS: usize = 4;
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
        if count == 8 {
            // The registers must be in order before they are read.
            self.reset_top();
        }
        let data = vector(self.cpu, instruction.op1_register());
        let selector = vector(self.cpu, instruction.op2_register());
        let segment = self.implied_segment(instruction);
        let offset = self.gpr(RDI, width);
        let active = |index: &usize| selector[*index] & 0x80 != 0;
        for index in (0..count).filter(active) {
            self.probe_write(segment, offset.wrapping_add(index as u64) & mask(width), 1)?;
        }
        for index in (0..count).filter(active) {
            self.write_bytes(segment, offset.wrapping_add(index as u64) & mask(width), &data[index..=index])?;
        }
        if count == 8 {
            self.cpu.xsave.0[TAGS] = 0xff;
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
        let (index_size, size) = gather_sizes(instruction.mnemonic());
        let count = (register_bytes(target) / size).min(register_bytes(indices) / index_size);
        let width = address_size(instruction);
        let base = match instruction.memory_base() {
            Register::None => 0,
            register => self.register(register),
        };
        let segment = self.memory_segment(instruction);
        let (mut value, mut selected) = (vector(self.cpu, target), vector(self.cpu, selector));
        let offsets = vector(self.cpu, indices);
        normalize_mask(&mut selected, size, count);
        let mut some_loaded = false;
        for index in 0..count {
            let at = sign_extend(element(&offsets, index, index_size), index_size)
                .wrapping_mul(u64::from(instruction.memory_index_scale()))
                .wrapping_add(base)
                .wrapping_add(instruction.memory_displacement64());
            if selected[index * size] != 0 {
                let loaded = self.gathered(segment, at & mask(width), size).inspect_err(|_| {
                    if some_loaded {
                        value[register_bytes(target)..].fill(0);
                    }
                    set_vector(self.cpu, target, &value);
                    set_vector(self.cpu, selector, &selected);
                })?;
                value[index * size..(index + 1) * size].copy_from_slice(&loaded[..size]);
                some_loaded = true;
            }
            selected[index * size..(index + 1) * size].fill(0);
        }
        value[count * size..].fill(0);
        set_vector(self.cpu, target, &value);
        set_vector(self.cpu, selector, &[0; 32]);
        Ok(())
    }
    /// One element; gathers are exempt from alignment checks.
    fn gathered(&mut self, segment: usize, offset: u64, size: usize) -> Fallible<[u8; 8]> {
        let mut data = [0; 8];
        let address = self.linear(segment, offset, size as u64, Access::Read)?;
        let privilege = self.privilege();
        self.mmu.read(self.cpu, self.io, address, &mut data[..size], privilege)?;
        Ok(data)
    }
}

/// Bytes of a gather's indices and elements.
fn gather_sizes(mnemonic: Mnemonic) -> (usize, usize) {
    use Mnemonic as M;
    match mnemonic {
        M::Vgatherdps | M::Vpgatherdd => (4, 4),
        M::Vgatherdpd | M::Vpgatherdq => (4, 8),
        M::Vgatherqps | M::Vpgatherqd => (8, 4),
        _ => (8, 8),
    }
}

fn register_bytes(register: Register) -> usize {
    if register.is_ymm() { 32 } else { 16 }
}

/// Elements of a gather's mask become all ones or all zeros before the first load, those beyond the operand zeros.
fn normalize_mask(selected: &mut [u8; 32], size: usize, count: usize) {
    for (index, part) in selected.chunks_exact_mut(size).enumerate() {
        let chosen = index < count && part[size - 1] & 0x80 != 0;
        part.fill(if chosen { 0xff } else { 0 });
    }
}
