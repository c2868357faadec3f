//! Control, debug and table registers, and the privileged instructions around them.
use iced_x86::{Code, Instruction, Mnemonic, OpKind, Register};
use x86::control::*;
use x86::reg::{RAX, RCX, RDX};
use x86::segment::{CS, FS, GS};
use x86::state::TableRegister;
use x86::{Exception, Gva, flags};

use super::core::{Core, Fallible, gp0, mask};
use super::debug::{self, DR6_GUARD, DR7_GUARD};
use super::operand::operand_size;
use crate::cpuid::PHYSICAL_BITS;
use crate::mmu::Access;

/// The bits of CR4 that the CPU model has.
const CR4_OFFERED: u64 = CR4_TSD
    | CR4_DE
    | CR4_PSE
    | CR4_PAE
    | CR4_MCE
    | CR4_PGE
    | CR4_PCE
    | CR4_OSFXSR
    | CR4_OSXMMEXCPT
    | CR4_UMIP
    | CR4_FSGSBASE
    | CR4_PCIDE
    | CR4_OSXSAVE
    | CR4_SMEP;
/// Changes of these CR4 bits invalidate cached translations.
const CR4_PAGING: u64 = CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP;
/// IA32_APIC_BASE: globally enabled.
const APIC_ENABLED: u64 = 1 << 11;
/// CPUID leaf 1, EDX: there is a local APIC, unless it is switched off (SDM 3A §10.4.3).
const CPUID_APIC: u32 = 1 << 9;
/// Bits of DR6 and DR7 that are always one.
const DR6_FIXED: u64 = 0xffff_0ff0;
const DR7_FIXED: u64 = 0x400;

impl Core<'_> {
    /// With CR4.UMIP, `#GP(0)` outside ring 0.
    pub fn check_umip(&self) -> Fallible {
        if self.cpu.cr4 & CR4_UMIP != 0 && self.cpu.cpl() > 0 { Err(gp0()) } else { Ok(()) }
    }

    /// MOV CR0, with everything that follows from it.
    pub fn write_cr0(&mut self, value: u64) -> Fallible {
        let long_value = value >> 32 != 0;
        let paging = value & CR0_PG != 0;
        if long_value || (paging && value & CR0_PE == 0) || (value & CR0_NW != 0 && value & CR0_CD == 0) {
            return Err(gp0());
        }
        let value = (value & CR0_DEFINED) | CR0_ET;
        let old = self.cpu.cr0;
        let was_paging = old & CR0_PG != 0;
        let mut efer = self.cpu.efer;
        if paging && !was_paging && efer & EFER_LME != 0 {
            if self.cpu.cr4 & CR4_PAE == 0 || self.cpu.segments[CS].is_long() {
                return Err(gp0());
            }
            efer |= EFER_LMA;
        } else if !paging && was_paging {
            if self.is_64() || self.cpu.cr4 & CR4_PCIDE != 0 {
                return Err(gp0());
            }
            efer &= !EFER_LMA;
        }
        if paging && (!was_paging || (old ^ value) & (CR0_CD | CR0_NW) != 0) && efer & EFER_LMA == 0 {
            self.check_pdptes(self.cpu.cr3)?;
        }
        self.cpu.efer = efer;
        self.cpu.cr0 = value;
        if (old ^ value) & (CR0_PG | CR0_WP | CR0_PE) != 0 {
            self.mmu.flush_all();
        }
        Ok(())
    }
    /// Reserved bits in the four page-directory pointers of PAE paging (SDM 3A §4.4.1).
    fn check_pdptes(&mut self, cr3: u64) -> Fallible {
        if self.cpu.cr4 & CR4_PAE == 0 {
            return Ok(());
        }
        let reserved = !((1 << PHYSICAL_BITS) - 1) | 0x1e6;
        for index in 0..4 {
            let mut data = [0; 8];
            self.mmu.read_physical(self.io, x86::Gpa((cr3 & 0xffff_ffe0) + 8 * index), &mut data);
            let entry = u64::from_le_bytes(data);
            if entry & 1 != 0 && entry & reserved != 0 {
                return Err(gp0());
            }
        }
        Ok(())
    }
    fn write_cr3(&mut self, value: u64) -> Fallible {
        let pcid = self.cpu.cr4 & CR4_PCIDE != 0;
        let (value, keep) =
            if pcid { (value & !CR3_NOFLUSH, value & CR3_NOFLUSH != 0) } else { (value, false) };
        if self.cpu.is_long_mode() {
            if value >> PHYSICAL_BITS != 0 {
                return Err(gp0());
            }
        } else if self.cpu.is_paging() {
            self.check_pdptes(value)?;
        }
        self.cpu.cr3 = value;
        self.mmu.switch_address_space(self.cpu, !keep);
        Ok(())
    }
    fn write_cr4(&mut self, value: u64) -> Fallible {
        let changed = self.cpu.cr4 ^ value;
        if value & !(CR4_OFFERED & self.model.cr4_bits()) != 0 {
            return Err(gp0());
        }
        let long = self.cpu.is_long_mode();
        if long && value & CR4_PAE == 0 {
            return Err(gp0());
        }
        if changed & value & CR4_PCIDE != 0 && (!long || self.cpu.cr3 & CR3_PCID != 0) {
            return Err(gp0());
        }
        let old = self.cpu.cr4;
        self.cpu.cr4 = value;
        if self.cpu.is_paging() && !long && changed & (CR4_PAE | CR4_PSE | CR4_PGE | CR4_SMEP) != 0 {
            self.check_pdptes(self.cpu.cr3).inspect_err(|_| self.cpu.cr4 = old)?;
        }
        if changed & CR4_PAGING != 0 {
            self.mmu.flush_all();
        }
        if changed & CR4_PCIDE != 0 {
            self.mmu.switch_address_space(self.cpu, true);
        }
        Ok(())
    }

    fn move_control(&mut self, instruction: &Instruction) -> Fallible {
        let writes = instruction.op0_register().is_cr();
        let control = if writes { instruction.op0_register() } else { instruction.op1_register() };
        let supported =
            matches!(control, Register::CR0 | Register::CR2 | Register::CR3 | Register::CR4 | Register::CR8);
        if !supported {
            return Err(Exception::invalid_opcode());
        }
        self.require_ring_0()?;
        if !writes {
            let value = match control {
                Register::CR0 => self.cpu.cr0,
                Register::CR2 => self.cpu.cr2,
                Register::CR3 => self.cpu.cr3,
                Register::CR4 => self.cpu.cr4,
                _ => u64::from(self.io.task_priority() & 15),
            };
            self.set_register(instruction.op0_register(), value);
            return Ok(());
        }
        let value = self.register(instruction.op1_register());
        match control {
            Register::CR0 => self.write_cr0(value),
            Register::CR2 => {
                self.cpu.cr2 = value;
                Ok(())
            }
            Register::CR3 => self.write_cr3(value),
            Register::CR4 => self.write_cr4(value),
            _ if value > 15 => Err(gp0()),
            _ => {
                self.io.set_task_priority(value as u8);
                Ok(())
            }
        }
    }
    fn move_debug(&mut self, instruction: &Instruction) -> Fallible {
        let writes = instruction.op0_register().is_dr();
        let register = if writes { instruction.op0_register() } else { instruction.op1_register() };
        let mut number = register as usize - Register::DR0 as usize;
        if number > 7 || (matches!(number, 4 | 5) && self.cpu.cr4 & CR4_DE != 0) {
            return Err(Exception::invalid_opcode());
        }
        self.require_ring_0()?;
        if self.cpu.dr[7] & DR7_GUARD != 0 {
            return Err(debug::trap(self.cpu, DR6_GUARD));
        }
        if matches!(number, 4 | 5) {
            number += 2;
        }
        if !writes {
            let value = self.cpu.dr[number];
            self.set_register(instruction.op0_register(), value);
            return Ok(());
        }
        let value = self.register(instruction.op1_register());
        if number >= 6 && value >> 32 != 0 {
            return Err(gp0());
        }
        self.cpu.dr[number] = match number {
            6 => (value & 0xe00f) | DR6_FIXED,
            7 => (value & 0xffff_23ff) | DR7_FIXED,
            _ => value,
        };
        Ok(())
    }

    fn load_table(&mut self, instruction: &Instruction) -> Fallible {
        self.require_ring_0()?;
        let offset = self.effective_offset(instruction);
        let segment = self.memory_segment(instruction);
        let limit = self.read_number(segment, offset, 2)? as u16;
        let wide = self.is_64();
        let mut base = self.read_number(segment, offset.wrapping_add(2), if wide { 8 } else { 4 })?;
        if matches!(instruction.code(), Code::Lgdt_m1632_16 | Code::Lidt_m1632_16) {
            base &= 0xff_ffff;
        }
        if wide && !Gva(base).is_canonical() {
            return Err(gp0());
        }
        let table = TableRegister { base, limit };
        if instruction.mnemonic() == Mnemonic::Lgdt {
            self.cpu.gdtr = table
        } else {
            self.cpu.idtr = table
        }
        Ok(())
    }
    fn store_table(&mut self, instruction: &Instruction) -> Fallible {
        self.check_umip()?;
        let table = if instruction.mnemonic() == Mnemonic::Sgdt { self.cpu.gdtr } else { self.cpu.idtr };
        let offset = self.effective_offset(instruction);
        let segment = self.memory_segment(instruction);
        let mut data = [0; 10];
        data[..2].copy_from_slice(&table.limit.to_le_bytes());
        data[2..].copy_from_slice(&table.base.to_le_bytes());
        let length = if self.is_64() { 10 } else { 6 };
        self.write_bytes(segment, offset, &data[..length])
    }
    fn store_machine_status(&mut self, instruction: &Instruction) -> Fallible {
        self.check_umip()?;
        let size = if instruction.op0_kind() == OpKind::Register { operand_size(instruction, 0) } else { 2 };
        self.write_operand(instruction, 0, size, self.cpu.cr0 & mask(size))
    }
    fn load_machine_status(&mut self, instruction: &Instruction) -> Fallible {
        self.require_ring_0()?;
        let value = self.read_operand(instruction, 0, 2)?;
        // PE can be set but not cleared.
        let cr0 = (self.cpu.cr0 & !(CR0_MP | CR0_EM | CR0_TS)) | (value & 0xf);
        self.write_cr0(cr0)
    }

    fn set_interrupts(&mut self, on: bool) -> Fallible {
        let protected = self.cpu.is_protected() || self.cpu.is_virtual_8086();
        if protected && self.cpu.cpl() > self.iopl() || (self.cpu.is_virtual_8086() && self.iopl() < 3) {
            return Err(gp0());
        }
        let old = self.cpu.rflags();
        if on && old & flags::IF == 0 {
            self.cpu.interrupt_shadow = super::SHADOW_INTERRUPTS;
        }
        self.cpu.set_rflags(if on { old | flags::IF } else { old & !flags::IF });
        Ok(())
    }

    fn invalidate_page(&mut self, instruction: &Instruction) -> Fallible {
        self.require_ring_0()?;
        let offset = self.effective_offset(instruction);
        let segment = self.memory_segment(instruction);
        let base =
            if self.is_64() && segment != FS && segment != GS { 0 } else { self.cpu.segments[segment].base };
        let address = base.wrapping_add(offset) & if self.is_64() { u64::MAX } else { 0xffff_ffff };
        if Gva(address).is_canonical() {
            self.mmu.flush_page(Gva(address));
        }
        Ok(())
    }
    fn invalidate_pcid(&mut self, instruction: &Instruction) -> Fallible {
        if self.cpu.is_virtual_8086() {
            return Err(gp0());
        }
        self.require_ring_0()?;
        let kind = self.register(instruction.op0_register());
        let offset = self.effective_offset(instruction);
        let segment = self.memory_segment(instruction);
        let mut data = [0; 16];
        self.read_bytes(segment, offset, &mut data)?;
        let descriptor = u128::from_le_bytes(data);
        let (pcid, address) = (descriptor as u64, Gva((descriptor >> 64) as u64));
        let pcid_enabled = self.cpu.cr4 & CR4_PCIDE != 0;
        if kind > 3 || pcid >> 12 != 0 || (kind < 2 && !pcid_enabled && pcid != 0) {
            return Err(gp0());
        }
        match kind {
            0 if !address.is_canonical() => return Err(gp0()),
            0 => self.mmu.flush_page(address),
            1 => self.mmu.flush_pcid(pcid as u16),
            2 => self.mmu.flush_all(),
            _ => self.mmu.flush_all_non_global(),
        }
        Ok(())
    }

    fn move_fs_gs_base(&mut self, instruction: &Instruction) -> Fallible {
        if !self.is_64() || self.cpu.cr4 & CR4_FSGSBASE == 0 {
            return Err(Exception::invalid_opcode());
        }
        let mnemonic = instruction.mnemonic();
        let segment = if matches!(mnemonic, Mnemonic::Rdfsbase | Mnemonic::Wrfsbase) { FS } else { GS };
        let register = instruction.op0_register();
        if matches!(mnemonic, Mnemonic::Rdfsbase | Mnemonic::Rdgsbase) {
            let base = self.cpu.segments[segment].base;
            self.set_register(register, base);
            return Ok(());
        }
        let base = self.register(register);
        if !Gva(base).is_canonical() {
            return Err(gp0());
        }
        self.cpu.segments[segment].base = base;
        Ok(())
    }
    fn swap_gs(&mut self) -> Fallible {
        if !self.is_64() {
            return Err(Exception::invalid_opcode());
        }
        self.require_ring_0()?;
        std::mem::swap(&mut self.cpu.segments[GS].base, &mut self.cpu.kernel_gs_base);
        Ok(())
    }

    fn write_xcr0(&mut self) -> Fallible {
        if self.cpu.cr4 & CR4_OSXSAVE == 0 {
            return Err(Exception::invalid_opcode());
        }
        self.require_ring_0()?;
        let value = (self.cpu.gpr[RDX] << 32) | (self.cpu.gpr[RAX] & 0xffff_ffff);
        let offered = self.model.xcr0();
        let avx_without_sse = value & (XCR0_SSE | XCR0_AVX) == XCR0_AVX;
        if self.gpr(RCX, 4) != 0 || value & XCR0_X87 == 0 || value & !offered != 0 || avx_without_sse {
            return Err(gp0());
        }
        self.cpu.xcr0 = value;
        Ok(())
    }
    fn read_xcr0(&mut self) -> Fallible {
        if self.cpu.cr4 & CR4_OSXSAVE == 0 {
            return Err(Exception::invalid_opcode());
        }
        if self.gpr(RCX, 4) != 0 {
            return Err(gp0());
        }
        self.set_pair(self.cpu.xcr0);
        Ok(())
    }
    /// Puts a 64-bit value into EDX:EAX.
    pub fn set_pair(&mut self, value: u64) {
        self.cpu.gpr[RAX] = value & 0xffff_ffff;
        self.cpu.gpr[RDX] = value >> 32;
    }

    /// The TSC as the guest sees it.
    pub fn guest_tsc(&self) -> u64 {
        super::host_tsc().wrapping_add(self.cpu.tsc_offset)
    }
    fn read_tsc(&mut self, with_aux: bool) -> Fallible {
        if self.cpu.cr4 & CR4_TSD != 0 && self.cpu.cpl() > 0 {
            return Err(gp0());
        }
        self.set_pair(self.guest_tsc());
        if with_aux {
            self.cpu.gpr[RCX] = self.cpu.tsc_aux & 0xffff_ffff;
        }
        Ok(())
    }
    fn cpuid(&mut self) {
        let (function, index) = (self.gpr(RAX, 4) as u32, self.gpr(RCX, 4) as u32);
        let mut registers = self.model.query(function, index, self.cpu);
        let apic_off = |base: u64| base & APIC_ENABLED == 0;
        if function == 1 && self.io.msr_read(x86::msr::APIC_BASE).is_some_and(apic_off) {
            registers.edx &= !CPUID_APIC;
        }
        self.cpu.gpr[RAX] = u64::from(registers.eax);
        self.cpu.gpr[x86::reg::RBX] = u64::from(registers.ebx);
        self.cpu.gpr[RCX] = u64::from(registers.ecx);
        self.cpu.gpr[RDX] = u64::from(registers.edx);
    }
    /// CLFLUSH and its kin read the byte and do nothing else.
    fn flush_line(&mut self, instruction: &Instruction) -> Fallible {
        let offset = self.effective_offset(instruction);
        let address = self.linear(self.memory_segment(instruction), offset, 1, Access::Read)?;
        self.probe_linear(address, 1, Access::Read, self.privilege())
    }

    /// System instructions by mnemonic; `None` if the instruction is something else.
    pub fn system_instruction(&mut self, instruction: &Instruction) -> Option<Fallible> {
        Some(match instruction.mnemonic() {
            Mnemonic::Lgdt | Mnemonic::Lidt => self.load_table(instruction),
            Mnemonic::Sgdt | Mnemonic::Sidt => self.store_table(instruction),
            Mnemonic::Smsw => self.store_machine_status(instruction),
            Mnemonic::Lmsw => self.load_machine_status(instruction),
            Mnemonic::Clts => self.require_ring_0().map(|()| self.cpu.cr0 &= !CR0_TS),
            Mnemonic::Invd | Mnemonic::Wbinvd | Mnemonic::Wbnoinvd => self.require_ring_0(),
            Mnemonic::Invlpg => self.invalidate_page(instruction),
            Mnemonic::Invpcid => self.invalidate_pcid(instruction),
            Mnemonic::Swapgs => self.swap_gs(),
            Mnemonic::Rdfsbase | Mnemonic::Rdgsbase | Mnemonic::Wrfsbase | Mnemonic::Wrgsbase => {
                self.move_fs_gs_base(instruction)
            }
            Mnemonic::Xsetbv => self.write_xcr0(),
            Mnemonic::Xgetbv => self.read_xcr0(),
            Mnemonic::Rdtsc => self.read_tsc(false),
            Mnemonic::Rdtscp => self.read_tsc(true),
            Mnemonic::Rdpmc => Err(gp0()),
            Mnemonic::Rdpid => {
                let value = self.cpu.tsc_aux;
                self.set_register(instruction.op0_register(), value);
                Ok(())
            }
            Mnemonic::Rdmsr => self.read_msr_instruction(),
            Mnemonic::Wrmsr => self.write_msr_instruction(),
            Mnemonic::Cpuid => {
                self.cpuid();
                Ok(())
            }
            Mnemonic::Hlt => self.require_ring_0().map(|()| self.halts = true),
            Mnemonic::Cli => self.set_interrupts(false),
            Mnemonic::Sti => self.set_interrupts(true),
            Mnemonic::In | Mnemonic::Out => self.port_instruction(instruction),
            Mnemonic::Clflush | Mnemonic::Clflushopt | Mnemonic::Clwb => self.flush_line(instruction),
            Mnemonic::Ud0 | Mnemonic::Ud1 | Mnemonic::Ud2 => Err(Exception::invalid_opcode()),
            _ => return None,
        })
    }
    /// MOV to or from control, debug and segment registers; `None` for any other MOV.
    pub fn special_move(&mut self, instruction: &Instruction) -> Option<Fallible> {
        let registers = [(0, instruction.op0_kind()), (1, instruction.op1_kind())];
        let any = |kind: fn(Register) -> bool| {
            registers
                .iter()
                .any(|(operand, at)| *at == OpKind::Register && kind(instruction.op_register(*operand)))
        };
        if any(Register::is_cr) {
            Some(self.move_control(instruction))
        } else if any(Register::is_dr) {
            Some(self.move_debug(instruction))
        } else if any(Register::is_tr) {
            Some(Err(Exception::invalid_opcode()))
        } else if any(Register::is_segment_register) {
            let loads = instruction.op0_kind() == OpKind::Register
                && instruction.op0_register().is_segment_register();
            Some(if loads { self.move_to_segment(instruction) } else { self.move_from_segment(instruction) })
        } else {
            None
        }
    }
}
