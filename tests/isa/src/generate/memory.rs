//! Memory operands: first where the access shall go, then an addressing form that leads there.
use iced_x86::{Instruction, Mnemonic, Register};
use rand::RngExt;
use x86::reg::RSP;

use super::Generator;
use super::operands::GPR64;
use crate::layout::{DATA, LOW, READ_ONLY, STACK};

impl Generator {
    /// Fills in the memory part of an instruction, steered to mapped memory as a rule.
    pub(super) fn memory_operand(&mut self, instruction: &mut Instruction, absolute64: bool) {
        let size = instruction.memory_size().size().max(1) as u64;
        if absolute64 {
            let target = self.target(instruction, size);
            instruction.set_memory_displ_size(8);
            instruction.set_memory_displacement64(target);
            return;
        }
        if self.rng.random_ratio(1, 60) {
            self.wild(instruction);
            return;
        }
        match self.rng.random_range(0..20) {
            0 => {
                let target = self.target(instruction, size);
                instruction.set_memory_base(Register::RIP);
                instruction.set_memory_displ_size(8);
                instruction.set_memory_displacement64(target);
            }
            1 => {
                let target = LOW.base + self.rng.random_range(0..4096 - 32);
                instruction.set_memory_displ_size(8);
                instruction.set_memory_displacement64(target);
            }
            2 => self.narrow(instruction),
            _ => self.by_registers(instruction, size),
        }
    }

    /// Any base, any index, any displacement: faults as a rule.
    fn wild(&mut self, instruction: &mut Instruction) {
        instruction.set_memory_base(GPR64[self.rng.random_range(0..16)]);
        self.index(instruction, Register::None);
        instruction.set_memory_displ_size(1);
        instruction.set_memory_displacement64(i64::from(self.rng.random::<i8>()) as u64);
    }

    fn target(&mut self, instruction: &Instruction, size: u64) -> u64 {
        let border = |base: u64, back: u64| base.wrapping_sub(back);
        let mut target = match self.rng.random_range(0..40) {
            0..=3 => border(DATA.base + 4096, self.rng.random_range(0..=size)),
            4 => border(DATA.end(), self.rng.random_range(0..=size)),
            5 => border(READ_ONLY.end(), self.rng.random_range(0..=size)),
            6 => READ_ONLY.base + self.rng.random_range(0..4096 - 64),
            7 => border(STACK.base + 4096, self.rng.random_range(0..=size)),
            8 => STACK.base + 0x1000 + self.rng.random_range(0..0xf00) - 0x780,
            9 => DATA.base + self.rng.random_range(0..size.max(2)),
            _ => DATA.base + self.rng.random_range(0..2 * 4096 - 64),
        };
        let aligned = matches!(
            instruction.mnemonic(),
            Mnemonic::Movaps
                | Mnemonic::Movapd
                | Mnemonic::Movdqa
                | Mnemonic::Vmovaps
                | Mnemonic::Vmovdqa
                | Mnemonic::Cmpxchg16b
        );
        let legacy_vector = size == 16 && !instruction.code().op_code().op_code_string().starts_with("VEX");
        if (aligned || legacy_vector) && self.rng.random_ratio(19, 20) {
            target &= !(size.next_power_of_two() - 1);
        }
        target
    }

    fn by_registers(&mut self, instruction: &mut Instruction, size: u64) {
        let target = self.target(instruction, size);
        let with_index = self.rng.random_bool(0.4);
        let start = self.rng.random_range(0..16);
        for turn in 0..16 {
            let number = (start + turn) % 16;
            let Some(base) = self.known[number] else { continue };
            let index = if with_index { self.index_for(target, base) } else { None };
            let (index_register, scale, part) = index.unwrap_or((Register::None, 1, 0));
            let offset = target.wrapping_sub(base).wrapping_sub(part) as i64;
            if i32::try_from(offset).is_err() {
                continue;
            }
            instruction.set_memory_base(GPR64[number]);
            if index_register != Register::None {
                instruction.set_memory_index(index_register);
                instruction.set_memory_index_scale(scale);
            }
            self.displacement(instruction, offset);
            return;
        }
        let segment = self.rng.random_bool(0.3);
        self.reload(instruction, target, segment);
    }

    /// A register, times a scale, such that a 32-bit displacement still leads from base to target.
    fn index_for(&mut self, target: u64, base: u64) -> Option<(Register, u32, u64)> {
        let start = self.rng.random_range(0..16);
        let scale = 1_u32 << self.rng.random_range(0..4);
        (0..16).map(|turn| (start + turn) % 16).filter(|number| *number != RSP).find_map(|number| {
            let part = self.known[number]?.wrapping_mul(u64::from(scale));
            let offset = target.wrapping_sub(base).wrapping_sub(part) as i64;
            i32::try_from(offset).is_ok().then_some((GPR64[number], scale, part))
        })
    }

    fn displacement(&mut self, instruction: &mut Instruction, offset: i64) {
        // Size 1 lets the encoder take what is enough; 4 forces a long form (8 in 64-bit addressing, iced's word for it).
        let long = i8::try_from(offset).is_err() || self.rng.random_ratio(1, 6);
        let size = if long { 8 } else { u32::from(offset != 0 || self.rng.random_bool(0.3)) };
        instruction.set_memory_displ_size(size);
        instruction.set_memory_displacement64(offset as u64);
    }

    /// No register leads there any more: loads one, and goes through it.
    fn reload(&mut self, instruction: &mut Instruction, target: u64, long: bool) {
        let number =
            (0..8).map(|_| self.rng.random_range(0..16)).find(|n| *n != RSP && !self.reserved.contains(n));
        let Some(number) = number else { return };
        let offset = if long { self.rng.random::<i16>() as i64 } else { self.rng.random::<i8>() as i64 };
        self.set_known(number, target.wrapping_sub(offset as u64));
        instruction.set_memory_base(GPR64[number]);
        self.displacement(instruction, offset);
    }

    /// A 32-bit address: any known register leads to the low page.
    fn narrow(&mut self, instruction: &mut Instruction) {
        let target = LOW.base + self.rng.random_range(0..4096 - 32);
        let number = self.rng.random_range(0..16);
        let Some(base) = self.known[number] else {
            instruction.set_memory_displ_size(8);
            instruction.set_memory_displacement64(target);
            return;
        };
        let offset = (target as u32).wrapping_sub(base as u32);
        instruction.set_memory_base(narrow_register(number));
        instruction.set_memory_displ_size(4);
        instruction.set_memory_displacement64(u64::from(offset));
    }

    fn index(&mut self, instruction: &mut Instruction, otherwise: Register) {
        let number = self.rng.random_range(0..16);
        let register = if number == RSP { otherwise } else { GPR64[number] };
        if register != Register::None {
            instruction.set_memory_index(register);
            instruction.set_memory_index_scale(1 << self.rng.random_range(0..4));
        }
    }
}

fn narrow_register(number: usize) -> Register {
    Register::try_from(Register::EAX as usize + number).unwrap_or(Register::EAX)
}
