//! Instructions that save and restore x87, SSE and AVX state, on the image that the interpreter keeps in the standard XSAVE
//! format (SDM 1 §8.1.10, §10.5, §13.4 to 13.8). Instruction and operand pointers always read as zero: the real ones would be
//! the host's.
use iced_x86::{Instruction, MemorySize, Mnemonic};
use x86::control::{CR0_EM, CR0_TS, CR4_OSFXSR, CR4_OSXSAVE};
use x86::exception::vector;
use x86::reg::{RAX, RDX};
use x86::{Exception, Gva};

use super::core::{Core, Fallible, gp0};
use crate::mmu::Access;

/// Offsets in the XSAVE area.
const MXCSR: usize = 24;
const REGISTERS: usize = 32;
const XMM: usize = 160;
const LEGACY_END: usize = 416;
const HEADER: usize = 512;
const AVX: usize = 576;
const AVX_BYTES: usize = 256;
/// The bits of MXCSR that exist.
pub(crate) const MXCSR_DEFINED: u32 = 0xffff;
/// Components of XCR0.
const X87_COMPONENT: u64 = 1;
const SSE_COMPONENT: u64 = 2;
const AVX_COMPONENT: u64 = 4;
const ALL_COMPONENTS: u8 = 7;

impl Core<'_> {
    /// VZEROUPPER and VZEROALL: outside 64-bit mode, of eight registers only.
    fn zero_vectors(&mut self, all: bool) {
        let bytes = if self.is_64() { AVX_BYTES } else { AVX_BYTES / 2 };
        self.cpu.xsave.0[AVX..AVX + bytes].fill(0);
        if all {
            self.cpu.xsave.0[XMM..XMM + bytes].fill(0);
        }
    }

    /// The instructions of this file.
    pub fn float_state(&mut self, instruction: &Instruction) -> Fallible {
        // Every component of the image is valid data; say so before anything is read or changed.
        self.cpu.xsave.0[HEADER] |= ALL_COMPONENTS;
        let result = self.run_float_state(instruction);
        self.mark_clean_upper_halves();
        result
    }

    /// Upper halves that are zero are in their initial state: say so. Were they loaded as values, the host would take
    /// its registers for dirty, and each change from VEX to SSE instructions would cost it up to a hundred ns.
    fn mark_clean_upper_halves(&mut self) {
        let own = &mut self.cpu.xsave.0;
        if own[AVX..].iter().all(|byte| *byte == 0) {
            own[HEADER] &= !(AVX_COMPONENT as u8);
        }
    }

    fn run_float_state(&mut self, instruction: &Instruction) -> Fallible {
        match instruction.mnemonic() {
            Mnemonic::Vzeroupper | Mnemonic::Vzeroall => {
                self.zero_vectors(instruction.mnemonic() == Mnemonic::Vzeroall);
                Ok(())
            }
            Mnemonic::Ldmxcsr | Mnemonic::Vldmxcsr => {
                let value = self.read_operand(instruction, 0, 4)? as u32;
                if value & !MXCSR_DEFINED != 0 {
                    return Err(gp0());
                }
                self.set_mxcsr(value);
                Ok(())
            }
            Mnemonic::Stmxcsr | Mnemonic::Vstmxcsr => {
                let value = u64::from(self.mxcsr());
                self.write_operand(instruction, 0, 4, value)
            }
            Mnemonic::Fnstenv => self.store_environment(instruction, false),
            Mnemonic::Fnsave => self.store_environment(instruction, true),
            Mnemonic::Fldenv => self.load_environment(instruction, false),
            Mnemonic::Frstor => self.load_environment(instruction, true),
            Mnemonic::Fxsave | Mnemonic::Fxsave64 => self.fxsave(instruction),
            Mnemonic::Fxrstor | Mnemonic::Fxrstor64 => self.fxrstor(instruction),
            Mnemonic::Xrstor | Mnemonic::Xrstor64 => self.xrstor(instruction),
            _ => self.xsave(instruction),
        }
    }

    fn state_address(
        &mut self,
        instruction: &Instruction,
        length: u64,
        align: u64,
        access: Access,
    ) -> Fallible<Gva> {
        let offset = self.effective_offset(instruction);
        let segment = self.memory_segment(instruction);
        let address = self.linear(segment, offset, length, access)?;
        if !address.0.is_multiple_of(align) { Err(gp0()) } else { Ok(address) }
    }
    fn read_linear(&mut self, address: Gva, data: &mut [u8]) -> Fallible {
        let privilege = self.privilege();
        self.mmu.read(self.cpu, self.io, address, data, privilege)
    }
    fn write_linear(&mut self, address: Gva, data: &[u8]) -> Fallible {
        let privilege = self.privilege();
        self.mmu.write(self.cpu, self.io, address, data, privilege)
    }

    // FXSAVE and FXRSTOR.

    fn check_fxsr(&self) -> Fallible {
        if self.cpu.cr0 & CR0_EM != 0 || self.cpu.cr0 & CR0_TS != 0 {
            return Err(Exception::plain(vector::NM));
        }
        Ok(())
    }
    /// How many bytes of the XMM registers exist in this mode.
    fn xmm_bytes(&self) -> usize {
        if self.is_64() { 256 } else { 128 }
    }
    fn fxsave(&mut self, instruction: &Instruction) -> Fallible {
        self.check_fxsr()?;
        let address = self.state_address(instruction, 512, 16, Access::Write)?;
        let mut image = [0; LEGACY_END];
        image.copy_from_slice(&self.cpu.xsave.0[..LEGACY_END]);
        image[6..24].fill(0);
        image[28..32].copy_from_slice(&MXCSR_DEFINED.to_le_bytes());
        let end = if self.cpu.cr4 & CR4_OSFXSR != 0 { XMM + self.xmm_bytes() } else { XMM };
        self.probe_linear(address, 512, Access::Write, self.privilege())?;
        self.write_linear(address, &image[..end])
    }
    fn fxrstor(&mut self, instruction: &Instruction) -> Fallible {
        self.check_fxsr()?;
        let address = self.state_address(instruction, 512, 16, Access::Read)?;
        let mut image = [0; 512];
        self.read_linear(address, &mut image)?;
        self.check_mxcsr(&image)?;
        let xmm = if self.cpu.cr4 & CR4_OSFXSR != 0 { self.xmm_bytes() } else { 0 };
        let own = &mut self.cpu.xsave.0;
        load_x87(own, &image);
        own[MXCSR..MXCSR + 4].copy_from_slice(&image[MXCSR..MXCSR + 4]);
        own[XMM..XMM + xmm].copy_from_slice(&image[XMM..XMM + xmm]);
        Ok(())
    }
    fn check_mxcsr(&self, image: &[u8]) -> Fallible {
        let value = u32::from_le_bytes([image[MXCSR], image[MXCSR + 1], image[MXCSR + 2], image[MXCSR + 3]]);
        if value & !MXCSR_DEFINED != 0 { Err(gp0()) } else { Ok(()) }
    }

    // XSAVE, XSAVEOPT and XRSTOR.

    fn requested_components(&self) -> Fallible<u64> {
        if self.cpu.cr4 & CR4_OSXSAVE == 0 {
            return Err(Exception::invalid_opcode());
        }
        if self.cpu.cr0 & CR0_TS != 0 {
            return Err(Exception::plain(vector::NM));
        }
        let mask = (self.cpu.gpr[RDX] << 32) | (self.cpu.gpr[RAX] & 0xffff_ffff);
        Ok(mask & self.cpu.xcr0)
    }
    fn xsave(&mut self, instruction: &Instruction) -> Fallible {
        let requested = self.requested_components()?;
        let length = if requested & AVX_COMPONENT != 0 { AVX + AVX_BYTES } else { AVX };
        let address = self.state_address(instruction, length as u64, 64, Access::Write)?;
        self.probe_linear(address, length, Access::Write, self.privilege())?;
        let mut area = [0; AVX + AVX_BYTES];
        self.read_linear(address, &mut area[..length])?;
        let own = &self.cpu.xsave.0;
        if requested & X87_COMPONENT != 0 {
            area[..MXCSR].copy_from_slice(&own[..MXCSR]);
            area[6..MXCSR].fill(0);
            area[REGISTERS..XMM].copy_from_slice(&own[REGISTERS..XMM]);
        }
        if requested & (SSE_COMPONENT | AVX_COMPONENT) != 0 {
            area[MXCSR..MXCSR + 4].copy_from_slice(&own[MXCSR..MXCSR + 4]);
            area[28..32].copy_from_slice(&MXCSR_DEFINED.to_le_bytes());
        }
        let xmm = self.xmm_bytes();
        if requested & SSE_COMPONENT != 0 {
            area[XMM..XMM + xmm].copy_from_slice(&own[XMM..XMM + xmm]);
        }
        if requested & AVX_COMPONENT != 0 {
            area[AVX..AVX + xmm].copy_from_slice(&own[AVX..AVX + xmm]);
        }
        area[HEADER] = (area[HEADER] & !(requested as u8)) | requested as u8;
        self.write_linear(address, &area[..length])
    }
    fn xrstor(&mut self, instruction: &Instruction) -> Fallible {
        let requested = self.requested_components()?;
        let length = if requested & AVX_COMPONENT != 0 { AVX + AVX_BYTES } else { AVX };
        let address = self.state_address(instruction, length as u64, 64, Access::Read)?;
        let mut area = [0; AVX + AVX_BYTES];
        self.read_linear(address, &mut area[..AVX])?;
        let mut present = [0; 8];
        present.copy_from_slice(&area[HEADER..HEADER + 8]);
        let present = u64::from_le_bytes(present);
        // Compacted format is not offered; XCOMP_BV and the reserved part of the header must be zero (SDM 1 §13.8.1).
        let rest_is_zero = area[HEADER + 8..HEADER + 24].iter().all(|byte| *byte == 0);
        if present & !self.cpu.xcr0 != 0 || !rest_is_zero {
            return Err(gp0());
        }
        if requested & present & AVX_COMPONENT != 0 {
            let (_, tail) = area.split_at_mut(AVX);
            let privilege = self.privilege();
            let place = Gva(address.0.wrapping_add(AVX as u64));
            self.mmu.read(self.cpu, self.io, place, tail, privilege)?;
        }
        if requested & (SSE_COMPONENT | AVX_COMPONENT) != 0 {
            self.check_mxcsr(&area)?;
            self.cpu.xsave.0[MXCSR..MXCSR + 4].copy_from_slice(&area[MXCSR..MXCSR + 4]);
        }
        self.restore_components(requested, present, &area);
        Ok(())
    }
    fn restore_components(&mut self, requested: u64, present: u64, area: &[u8]) {
        let xmm = self.xmm_bytes();
        let own = &mut self.cpu.xsave.0;
        if requested & X87_COMPONENT != 0 {
            if present & X87_COMPONENT != 0 {
                load_x87(own, area);
            } else {
                own[..MXCSR].fill(0);
                own[..2].copy_from_slice(&0x37f_u16.to_le_bytes());
                own[REGISTERS..XMM].fill(0);
            }
        }
        for (component, start) in [(SSE_COMPONENT, XMM), (AVX_COMPONENT, AVX)] {
            if requested & component == 0 {
                continue;
            }
            if present & component != 0 {
                own[start..start + xmm].copy_from_slice(&area[start..start + xmm]);
            } else {
                own[start..start + xmm].fill(0);
            }
        }
    }

    // FNSTENV, FLDENV, FNSAVE and FRSTOR.

    fn environment_is_32(&self, instruction: &Instruction) -> bool {
        matches!(instruction.memory_size(), MemorySize::FpuEnv28 | MemorySize::FpuState108)
    }
    fn store_environment(&mut self, instruction: &Instruction, with_registers: bool) -> Fallible {
        let wide = self.environment_is_32(instruction);
        let word = if wide { 4 } else { 2 };
        let own = &self.cpu.xsave.0;
        let (control, status) = (u16::from_le_bytes([own[0], own[1]]), u16::from_le_bytes([own[2], own[3]]));
        let mut area = [0_u8; 108];
        let top = usize::from(status >> 11 & 7);
        let fields = [control, status, full_tags(own, top)];
        for (index, field) in fields.into_iter().enumerate() {
            area[index * word..index * word + 2].copy_from_slice(&field.to_le_bytes());
            if wide {
                area[index * word + 2..index * word + 4].fill(0xff);
            }
        }
        if wide {
            area[26..28].fill(0xff);
        }
        let environment = 7 * word;
        let mut length = environment;
        if with_registers {
            for register in 0..8 {
                let from = REGISTERS + 16 * register;
                area[length..length + 10].copy_from_slice(&own[from..from + 10]);
                length += 10;
            }
        }
        let address = self.state_address(instruction, length as u64, 1, Access::Write)?;
        self.write_linear(address, &area[..length])?;
        let own = &mut self.cpu.xsave.0;
        if with_registers {
            own[..24].fill(0);
            own[..2].copy_from_slice(&0x37f_u16.to_le_bytes());
        } else {
            // FNSTENV masks all exceptions; then none is pending.
            own[0] |= 0x3f;
            own[2] &= 0x7f;
            own[3] &= 0x7f;
        }
        Ok(())
    }
    fn load_environment(&mut self, instruction: &Instruction, with_registers: bool) -> Fallible {
        let wide = self.environment_is_32(instruction);
        let word = if wide { 4 } else { 2 };
        let environment = 7 * word;
        let length = environment + if with_registers { 80 } else { 0 };
        let mut area = [0_u8; 108];
        let address = self.state_address(instruction, length as u64, 1, Access::Read)?;
        self.read_linear(address, &mut area[..length])?;
        let field = |index: usize| u16::from_le_bytes([area[index * word], area[index * word + 1]]);
        let (control, status, tags) = (field(0), field(1), field(2));
        let mut image = [0_u8; XMM];
        image[..2].copy_from_slice(&control.to_le_bytes());
        image[2..4].copy_from_slice(&status.to_le_bytes());
        image[4] = (0..8)
            .filter(|register| tags >> (2 * register) & 3 != 3)
            .fold(0, |tags, register| tags | 1 << register);
        if with_registers {
            for register in 0..8 {
                let (from, to) = (environment + 10 * register, REGISTERS + 16 * register);
                image[to..to + 10].copy_from_slice(&area[from..from + 10]);
            }
        } else {
            image[REGISTERS..XMM].copy_from_slice(&self.cpu.xsave.0[REGISTERS..XMM]);
        }
        load_x87(&mut self.cpu.xsave.0, &image);
        Ok(())
    }
}

/// Takes x87 state from a legacy image; the summary of pending exceptions is computed anew, pointers are dropped.
fn load_x87(own: &mut [u8], image: &[u8]) {
    own[..6].copy_from_slice(&image[..6]);
    own[0] |= 0x40; // FCW bit 6 is always one
    own[1] &= 0x1f;
    own[5..24].fill(0);
    let pending = own[2] & !own[0] & 0x3f != 0;
    own[2] &= 0x7f;
    own[3] &= 0x7f;
    if pending {
        own[2] |= 0x80; // ES
        own[3] |= 0x80; // B
    }
    for register in 0..8 {
        let at = REGISTERS + 16 * register;
        own[at..at + 10].copy_from_slice(&image[at..at + 10]);
        own[at + 10..at + 16].fill(0);
    }
}

/// The 16-bit tag word (SDM 1 §8.1.7) from the abridged one and the registers.
fn full_tags(own: &[u8], top: usize) -> u16 {
    (0..8).fold(0, |tags, physical| {
        let at = REGISTERS + 16 * ((physical + 8 - top) % 8);
        let tag = if own[4] >> physical & 1 == 0 { 3 } else { tag_of(&own[at..at + 10]) };
        tags | tag << (2 * physical)
    })
}

/// 0 valid, 1 zero, 2 special.
fn tag_of(register: &[u8]) -> u16 {
    let exponent = u16::from_le_bytes([register[8], register[9]]) & 0x7fff;
    let zero = register[..8].iter().all(|byte| *byte == 0);
    let integer_bit = register[7] & 0x80 != 0;
    match exponent {
        0 if zero => 1,
        1..=0x7ffe if integer_bit => 0,
        _ => 2,
    }
}
