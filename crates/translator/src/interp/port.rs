//! IN and OUT, and who may (SDM 1 §19.5).
use iced_x86::{Instruction, Mnemonic, OpKind};
use platform::Port;

use super::core::{Core, Fallible, gp0};
use super::operand::operand_size;

/// Offset of the I/O map's base in a 32-bit or 64-bit TSS.
const IO_MAP_BASE: u64 = 0x66;

impl Core<'_> {
    /// `#GP(0)` unless IOPL or the I/O permission bitmap of the TSS allows `size` ports.
    pub fn check_port(&mut self, port: u16, size: usize) -> Fallible {
        if !self.cpu.is_protected() && !self.cpu.is_virtual_8086() {
            return Ok(());
        }
        if !self.cpu.is_virtual_8086() && self.cpu.cpl() <= self.iopl() {
            return Ok(());
        }
        let tss = self.cpu.tr;
        let wide = tss.is_present() && tss.attributes & 8 != 0;
        if !wide || u64::from(tss.limit) < IO_MAP_BASE + 1 {
            return Err(gp0());
        }
        let map = self.read_system(self.table_address(tss.base, IO_MAP_BASE), 2)?;
        let offset = map + u64::from(port / 8);
        if offset + 1 > u64::from(tss.limit) {
            return Err(gp0());
        }
        let bits = self.read_system(self.table_address(tss.base, offset), 2)?;
        let wanted = ((1_u64 << size) - 1) << (port % 8);
        if bits & wanted != 0 { Err(gp0()) } else { Ok(()) }
    }

    /// IN and OUT.
    pub fn port_instruction(&mut self, instruction: &Instruction) -> Fallible {
        let is_input = instruction.mnemonic() == Mnemonic::In;
        let (data_operand, port_operand) = if is_input { (0, 1) } else { (1, 0) };
        let size = operand_size(instruction, data_operand);
        let port = if instruction.op_kind(port_operand) == OpKind::Register {
            self.register(instruction.op_register(port_operand)) as u16
        } else {
            u16::from(instruction.immediate8())
        };
        self.check_port(port, size)?;
        self.note_port_breakpoints(port, size);
        let register = instruction.op_register(data_operand);
        if is_input {
            let mut data = [0; 4];
            self.io.port_read(Port(port), &mut data[..size]);
            self.set_register(register, u64::from(u32::from_le_bytes(data)));
        } else {
            let value = self.register(register).to_le_bytes();
            self.io.port_write(Port(port), &value[..size]);
        }
        Ok(())
    }
}
