//! Control flow, and other things that take more than one instruction: jumps, loops, calls, flag words, frames, and
//! code that changes code ahead of itself.
use iced_x86::{Code, Instruction, MemoryOperand, Register};
use rand::RngExt;
use x86::flags;
use x86::reg::{RBP, RCX, RSP};

use super::operands::GPR64;
use super::program::{Fix, Item};
use super::{Generator, program};
use crate::layout::LOW;

/// A jump to an item that has not come yet.
pub struct Pending {
    /// The jump's own index.
    pub jump: usize,
    /// The item's index.
    pub target: usize,
    /// Flags undefined at the jump.
    pub undefined: u64,
    /// Registers known at the jump.
    pub known: [Option<u64>; 16],
}

/// The flags that sequences load by POPFQ; not TF and AC, which would stop the harness's own code.
const LOADED_FLAGS: u64 = flags::STATUS | flags::DF | flags::NT | flags::ID;

impl Generator {
    /// Appends one of the patterns.
    pub(super) fn control_flow(&mut self) {
        self.land();
        match self.rng.random_range(0..10) {
            0..=3 => self.forward_jump(),
            4 | 5 => self.counted_loop(),
            6 | 7 => self.call(),
            8 if self.rng.random_bool(0.5) => self.patch_ahead(),
            8 => self.frame(),
            _ => self.load_flags(),
        }
    }

    /// Jumps that are under way come here: none leads into the middle of a pattern, past a loop's counter.
    fn land(&mut self) {
        let here = self.program.items.len();
        for pending in self.pending.iter_mut().filter(|pending| pending.target > here) {
            pending.target = here;
            self.program.items[pending.jump].target = Some(here);
        }
    }

    /// Jumps past the end go to the end.
    pub(super) fn finish_flow(&mut self) {
        let end = self.program.items.len();
        let targets = self.program.items.iter_mut().filter_map(|item| item.target.as_mut());
        targets.for_each(|target| *target = (*target).min(end));
        self.pending.iter_mut().for_each(|pending| pending.target = pending.target.min(end));
    }

    fn forward_jump(&mut self) {
        let skipped = self.rng.random_range(1..4);
        let kind = self.rng.random_range(0..20);
        let code = match kind {
            0 => Code::Jmp_rel8_64,
            1 => Code::Jmp_rel32_64,
            2 => Code::Jrcxz_rel8_64,
            3 => return self.indirect_jump(skipped),
            _ => jcc(self.rng.random_range(0..16), self.rng.random_bool(0.6)),
        };
        self.append(Item::branch(code, 0));
        let jump = self.program.items.len() - 1;
        self.program.items[jump].target = Some(jump + 1 + skipped);
        self.expect(jump, jump + 1 + skipped);
    }

    fn expect(&mut self, jump: usize, target: usize) {
        self.pending.push(Pending { jump, target, undefined: self.undefined(), known: self.known });
    }

    fn free_register(&mut self) -> usize {
        loop {
            let number = self.rng.random_range(0..16);
            if number != RSP && !self.reserved.contains(&number) {
                return number;
            }
        }
    }

    fn address_of_item(&mut self, register: usize, target: usize) {
        let memory = MemoryOperand::with_base_displ(Register::RIP, 0);
        if let Ok(lea) = Instruction::with2(Code::Lea_r64_m, GPR64[register], memory) {
            self.append(Item { instruction: lea, target: Some(target), fix: Fix::Address });
        }
    }

    fn indirect_jump(&mut self, skipped: usize) {
        let register = self.free_register();
        let load = self.program.items.len();
        let target = load + 2 + skipped;
        self.address_of_item(register, target);
        if let Ok(jump) = Instruction::with1(Code::Jmp_rm64, GPR64[register]) {
            self.append(Item::plain(jump));
        }
        self.expect(load, target);
    }

    fn counted_loop(&mut self) {
        let by_loop = self.rng.random_ratio(1, 4) && !self.reserved.contains(&RCX);
        let counter = if by_loop { RCX } else { self.free_register() };
        let count = self.rng.random_range(1..6_u64);
        self.set_known(counter, count);
        self.define_flags();
        let start = self.program.items.len() - 1;
        self.known[counter] = None;
        self.reserved.push(counter);
        let before = self.known[RSP];
        for _ in 0..self.rng.random_range(1..4) {
            self.plain();
        }
        if self.known[RSP] != before {
            self.known[RSP] = None;
        }
        self.reserved.pop();
        if by_loop {
            self.append(Item::branch(Code::Loop_rel8_64_RCX, start));
            return;
        }
        let decrement = match self.rng.random_range(0..3) {
            0 => Instruction::with1(Code::Dec_rm64, GPR64[counter]),
            1 => Instruction::with2(Code::Sub_rm64_imm8, GPR64[counter], 1),
            _ => Instruction::with2(Code::Add_rm64_imm8, GPR64[counter], -1),
        };
        if let Ok(decrement) = decrement {
            self.append(Item::plain(decrement));
            self.append(Item::branch(Code::Jne_rel32_64, start));
        }
    }

    /// `jmp over; f: …; ret; over: call f`: registers are known as if the body stood where the call is.
    fn call(&mut self) {
        let jump = self.program.items.len();
        self.append(Item::branch(Code::Jmp_rel32_64, jump));
        let function = self.program.items.len();
        let stack = self.known[RSP];
        self.known[RSP] = stack.map(|rsp| rsp.wrapping_sub(8));
        self.define_flags();
        for _ in 0..self.rng.random_range(0..4) {
            self.plain();
        }
        let ret = if self.rng.random_ratio(1, 6) {
            Instruction::with1(Code::Retnq_imm16, 8)
        } else {
            Ok(Instruction::with(Code::Retnq))
        };
        if let Ok(ret) = ret {
            self.append(Item::plain(ret));
        }
        let over = self.program.items.len();
        if let Some(item) = self.program.items.get_mut(jump) {
            item.target = Some(over);
        }
        self.call_function(function);
        self.define_flags();
    }

    fn call_function(&mut self, function: usize) {
        match self.rng.random_range(0..4) {
            0 => {
                let register = self.free_register();
                self.address_of_item(register, function);
                if let Ok(call) = Instruction::with1(Code::Call_rm64, GPR64[register]) {
                    self.append(Item::plain(call));
                }
            }
            1 => {
                let register = self.free_register();
                self.address_of_item(register, function);
                let place = LOW.base + self.rng.random_range(0..4000);
                let memory = MemoryOperand::with_displ(place, 8);
                let store = Instruction::with2(Code::Mov_rm64_r64, memory, GPR64[register]);
                let call = Instruction::with1(Code::Call_rm64, memory);
                if let (Ok(store), Ok(call)) = (store, call) {
                    self.append(Item::plain(store));
                    self.append(Item::plain(call));
                }
            }
            _ => self.append(Item::branch(Code::Call_rel32_64, function)),
        }
    }

    /// Stores into the immediate of an instruction that comes later.
    fn patch_ahead(&mut self) {
        let memory = MemoryOperand::with_base_displ(Register::RIP, 0);
        let Ok(store) = Instruction::with2(Code::Mov_rm8_imm8, memory, self.rng.random_range(0..256_u32))
        else {
            return;
        };
        let patch = self.program.items.len();
        self.append(Item { instruction: store, target: Some(patch), fix: Fix::LastByte });
        for _ in 0..self.rng.random_range(0..3) {
            self.plain();
        }
        let register = self.free_register();
        let value = i32::from(self.rng.random::<i8>());
        let patched = match self.rng.random_range(0..2) {
            0 => Instruction::with2(Code::Add_rm64_imm8, GPR64[register], value),
            _ => Instruction::with2(Code::Mov_rm64_imm32, GPR64[register], value),
        };
        if let Ok(patched) = patched {
            self.append(Item::plain(patched));
            let target = self.program.items.len() - 1;
            if let Some(item) = self.program.items.get_mut(patch) {
                item.target = Some(target);
            }
        }
    }

    fn load_flags(&mut self) {
        let value = self.rng.random::<u64>() & LOADED_FLAGS;
        // Programs seldom have DF, NT and ID set.
        let value = if self.rng.random_bool(0.7) { value & flags::STATUS } else { value };
        if let Ok(push) = Instruction::with1(Code::Pushq_imm32, value as i32) {
            self.append(Item::plain(push));
            self.append(Item::plain(Instruction::with(Code::Popfq)));
        }
    }

    fn frame(&mut self) {
        if self.reserved.contains(&RBP) {
            return;
        }
        let room = self.rng.random_range(0..64);
        if self.rng.random_bool(0.3) {
            let level = u32::from(self.rng.random_ratio(1, 4));
            if let Ok(enter) = Instruction::with2(Code::Enterq_imm16_imm8, room, level) {
                self.append(Item::plain(enter));
            }
        } else {
            let push = Instruction::with1(Code::Push_r64, Register::RBP);
            let copy = Instruction::with2(Code::Mov_r64_rm64, Register::RBP, Register::RSP);
            let sub = Instruction::with2(Code::Sub_rm64_imm8, Register::RSP, room);
            for instruction in [push, copy, sub].into_iter().flatten().filter(program::encodes) {
                self.append(Item::plain(instruction));
            }
        }
        self.reserved.push(RBP);
        for _ in 0..self.rng.random_range(0..3) {
            self.plain();
        }
        self.reserved.pop();
        self.append(Item::plain(Instruction::with(Code::Leaveq)));
    }
}

fn jcc(condition: usize, short: bool) -> Code {
    let (first, step) =
        if short { (Code::Jo_rel8_64, Code::Jno_rel8_64) } else { (Code::Jo_rel32_64, Code::Jno_rel32_64) };
    let stride = step as usize - first as usize;
    Code::try_from(first as usize + condition * stride).unwrap_or(first)
}
