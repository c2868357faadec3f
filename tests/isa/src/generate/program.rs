//! A sequence under construction: instructions that may refer to one another, and their encoding.
use iced_x86::{Code, Encoder, FlowControl, Instruction};

use crate::row::parse::{flag_effects, from_iced};

/// What is filled in once all places are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fix {
    /// Nothing.
    None,
    /// A relative jump: its last 1 or 4 bytes.
    Branch,
    /// A RIP-relative address in the last 4 bytes.
    Address,
    /// A RIP-relative address of the target's last byte, before a byte of immediate.
    LastByte,
}

/// One instruction.
#[derive(Clone, Debug)]
pub struct Item {
    /// The instruction; what [`Fix`] names is meaningless in it.
    pub instruction: Instruction,
    /// The item that it refers to; one past the last item is the end.
    pub target: Option<usize>,
    /// How it refers to it.
    pub fix: Fix,
}

impl Item {
    /// An instruction that refers to no other.
    pub fn plain(instruction: Instruction) -> Self {
        Self { instruction, target: None, fix: Fix::None }
    }
    /// A relative jump or call.
    pub fn branch(code: Code, target: usize) -> Self {
        let instruction = Instruction::with_branch(code, 0).unwrap_or_default();
        Self { instruction, target: Some(target), fix: Fix::Branch }
    }
}

/// A sequence of instructions.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The instructions in order.
    pub items: Vec<Item>,
    /// Flags undefined before each, and at the end.
    pub undefined: Vec<u64>,
    /// Where each was placed by the last [`Program::encode`], and the end.
    pub places: Vec<u64>,
}

impl Program {
    /// Makes it empty.
    pub fn clear(&mut self) {
        self.items.clear();
        self.undefined.clear();
        self.places.clear();
    }

    /// The flags that are undefined at an instruction; all that ever are, if none begins there.
    pub fn undefined_at(&self, rip: u64) -> u64 {
        match self.places.binary_search(&rip) {
            Ok(index) => self.undefined.get(index).copied().unwrap_or_default(),
            Err(_) => self.undefined.iter().fold(0, |all, flags| all | flags),
        }
    }

    /// Encodes everything for a place into `code`. Items that cannot be encoded there vanish.
    pub fn encode(&mut self, rip: u64, code: &mut Vec<u8>) {
        code.clear();
        self.places.clear();
        let mut encoder = Encoder::new(64);
        encoder.set_buffer(std::mem::take(code));
        let mut place = rip;
        for item in &self.items {
            self.places.push(place);
            let mut instruction = item.instruction;
            match item.fix {
                Fix::None => {}
                Fix::Branch => instruction.set_near_branch64(place),
                Fix::Address | Fix::LastByte => instruction.set_memory_displacement64(place),
            }
            place += encoder.encode(&instruction, place).unwrap_or(0) as u64;
        }
        self.places.push(place);
        *code = encoder.take_buffer();
        self.link(rip, code);
    }

    fn link(&self, rip: u64, code: &mut [u8]) {
        for (index, item) in self.items.iter().enumerate() {
            let Some(target) = item.target else { continue };
            let target = target.min(self.items.len());
            let next = self.places[index + 1];
            let end = (next - rip) as usize;
            let length = (next - self.places[index]) as usize;
            let aim = if item.fix == Fix::LastByte {
                self.places.get(target + 1).map_or(self.places[target], |after| after - 1)
            } else {
                self.places[target]
            };
            let distance = aim.wrapping_sub(next) as i32;
            let short = item.fix == Fix::Branch && length == 2;
            if short {
                code[end - 1] = distance as u8;
            } else {
                let end = if item.fix == Fix::LastByte { end - 1 } else { end };
                code[end - 4..end].copy_from_slice(&distance.to_le_bytes());
            }
        }
    }

    /// Finds the flags that are undefined at each instruction anew, on every way there. Whether none is read.
    pub fn trace_undefined(&mut self) -> bool {
        let mut at = vec![0; self.items.len() + 1];
        let addresses: Vec<usize> = self
            .items
            .iter()
            .filter(|item| item.fix == Fix::Address)
            .filter_map(|item| item.target)
            .collect();
        let mut changed = true;
        while std::mem::take(&mut changed) {
            for (index, item) in self.items.iter().enumerate() {
                let (undefined, defined) = flag_effects(&item.instruction);
                let after = (at[index] & !defined) | undefined;
                let mut reach = |target: usize| {
                    let target = target.min(self.items.len());
                    changed |= after & !at[target] != 0;
                    at[target] |= after;
                };
                let flow = item.instruction.flow_control();
                if flow != FlowControl::UnconditionalBranch {
                    reach(index + 1);
                }
                if item.fix == Fix::Branch {
                    item.target.into_iter().for_each(&mut reach);
                }
                if matches!(flow, FlowControl::IndirectBranch | FlowControl::IndirectCall) {
                    addresses.iter().copied().for_each(&mut reach);
                }
            }
        }
        let reads = |item: &Item| from_iced(item.instruction.rflags_read());
        let fine = self.items.iter().zip(&at).all(|(item, undefined)| reads(item) & undefined == 0);
        self.undefined = at;
        fine
    }

    /// The program without the instructions of a range; references to them go to what follows.
    pub fn without(&self, range: std::ops::Range<usize>) -> Self {
        let mut shorter = self.clone();
        shorter.items.drain(range.clone());
        for target in shorter.items.iter_mut().filter_map(|item| item.target.as_mut()) {
            if *target >= range.end {
                *target -= range.len();
            } else if *target > range.start {
                *target = range.start;
            }
        }
        shorter
    }
}

/// Whether an instruction can be encoded at all.
pub fn encodes(instruction: &Instruction) -> bool {
    let rip = crate::layout::CODE.base;
    Encoder::new(64).encode(instruction, rip).is_ok_and(|length| length <= 15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::Register;

    #[test]
    fn references_survive_removal() {
        let nop = || Item::plain(Instruction::with(Code::Nopd));
        let add = Instruction::with2(Code::Add_rm64_imm8, Register::RAX, 1).unwrap();
        let mut program = Program {
            items: vec![Item::branch(Code::Jmp_rel8_64, 3), nop(), nop(), Item::plain(add)],
            undefined: vec![0; 5],
            places: Vec::new(),
        };
        let mut code = Vec::new();
        program.encode(0x1000, &mut code);
        assert_eq!(code[..2], [0xeb, 2]);
        let mut shorter = program.without(1..2);
        shorter.encode(0x1000, &mut code);
        assert_eq!(code[..2], [0xeb, 1]);
        assert_eq!(shorter.places.last(), Some(&(0x1000 + code.len() as u64)));
    }
}
