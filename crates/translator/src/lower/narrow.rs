//! Which registers hold an index rather than an address: a number of 32 bits, by what the block has done to them. An operand
//! of a pointer and an index then lies in the pointer's window, or in the guard around it.
use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::decode::Decoded;
use super::memory::number;
use super::window::is_small_step_of;
use crate::emit::asm::{Reg, T0, T1};
use x86::reg::RSP;

/// Registers, as bits, that hold no less than -2^31 and no more than 2^32, but for some small steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Narrow(u16);

/// A memory operand that is an element of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Register of the address.
    pub pointer: Reg,
    /// Register of the index.
    pub index: Reg,
    /// log2 of the index's scale.
    pub scale: u8,
    /// Displacement.
    pub disp: i32,
}

impl Narrow {
    fn has(self, register: Reg) -> bool {
        self.0 & 1 << register != 0
    }

    /// What an instruction makes of it.
    pub fn follow(&mut self, decoded: &Decoded) {
        if decoded.writes == 0 {
            return;
        }
        let instruction = &decoded.instruction;
        let target = (instruction.op_count() > 0 && instruction.op0_kind() == OpKind::Register)
            .then(|| instruction.op0_register())
            .filter(|register| register.is_gpr())
            .map(number);
        let stays = match target {
            _ if instruction.mnemonic() == Mnemonic::Cdqe => 1,
            Some(register) if self.makes_narrow(instruction, register) => 1 << register,
            _ => 0,
        };
        self.0 = self.0 & !decoded.writes | stays & decoded.writes;
    }

    fn makes_narrow(self, instruction: &Instruction, target: Reg) -> bool {
        match instruction.op0_register().size() {
            4 => zero_extends(instruction),
            8 => self.narrows(instruction, target),
            _ => false,
        }
    }

    /// Whether an instruction leaves a small number in a 64-bit register.
    fn narrows(self, instruction: &Instruction, target: Reg) -> bool {
        let from_register = instruction.op1_kind() == OpKind::Register;
        match instruction.mnemonic() {
            Mnemonic::Movsxd | Mnemonic::Movsx | Mnemonic::Movzx => true,
            Mnemonic::Mov if from_register && instruction.op1_register().is_gpr64() => {
                self.has(number(instruction.op1_register()))
            }
            Mnemonic::Mov => instruction.op1_kind() == OpKind::Immediate32to64,
            Mnemonic::And => {
                let immediate =
                    matches!(instruction.op1_kind(), OpKind::Immediate8to64 | OpKind::Immediate32to64);
                immediate && instruction.immediate(1) as i64 >= 0
            }
            _ => self.has(target) && is_small_step_of(instruction, target),
        }
    }

    /// The parts of an operand of which one register is an address for all that is known, and the other is an index.
    pub fn pointer_and_index(self, instruction: &Instruction) -> Option<Element> {
        let (base, index) = (instruction.memory_base(), instruction.memory_index());
        let plain = base.is_gpr64()
            && index.is_gpr64()
            && !matches!(instruction.memory_segment(), Register::FS | Register::GS);
        if !plain {
            return None;
        }
        let (base, index) = (number(base), number(index));
        let scale = instruction.memory_index_scale().trailing_zeros() as u8;
        let disp = instruction.memory_displacement64() as i32;
        let (pointer, index) = match (self.has(base), self.has(index)) {
            (_, true) => (base, index),
            (true, false) if scale == 0 && base != RSP as Reg => (index, base),
            _ => return None,
        };
        let scratch = |register| register == T0 || register == T1;
        (!scratch(pointer) && !scratch(index)).then_some(Element { pointer, index, scale, disp })
    }
}

/// Whether an instruction whose target is a register of 32 bits writes it whatever happens, and so clears its upper half.
fn zero_extends(instruction: &Instruction) -> bool {
    use Mnemonic::*;
    matches!(
        instruction.mnemonic(),
        Mov | Movzx
            | Movsx
            | Movsxd
            | Add
            | Sub
            | Adc
            | Sbb
            | And
            | Or
            | Xor
            | Lea
            | Inc
            | Dec
            | Neg
            | Not
            | Imul
            | Popcnt
            | Lzcnt
            | Tzcnt
    ) || matches!(instruction.mnemonic(), Shl | Shr | Sar)
        && instruction.op1_kind() == OpKind::Immediate8
        && instruction.immediate8() & 31 != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::blocks::CodeMode;
    use crate::lower::decode::decode;

    /// What is known of the last instruction's operand.
    fn element(bytes: &[u8]) -> Option<Element> {
        let mut code = Vec::new();
        decode(bytes, 0x1000, CodeMode { user: true, windows: true, ..CodeMode::default() }, &mut code);
        let (last, before) = code.split_last().unwrap();
        let mut narrow = Narrow::default();
        for decoded in before {
            narrow.follow(decoded);
        }
        narrow.pointer_and_index(&last.instruction)
    }

    #[test]
    fn an_index_of_32_bits_leaves_the_choice_to_the_pointer() {
        // mov eax, [rdi]; mov ecx, [rsi+rax*4+8]
        let found = element(&[0x8b, 0x07, 0x8b, 0x4c, 0x86, 0x08]);
        assert_eq!(found, Some(Element { pointer: 6, index: 0, scale: 2, disp: 8 }));
        // movsxd rax, edx; add rax, 1; mov cl, [rax+rsi]
        let found = element(&[0x48, 0x63, 0xc2, 0x48, 0x83, 0xc0, 0x01, 0x8a, 0x0c, 0x30]);
        assert_eq!(found, Some(Element { pointer: 6, index: 0, scale: 0, disp: 0 }));
    }

    #[test]
    fn what_may_be_an_address_is_no_index() {
        // mov rax, [rdi]; mov ecx, [rsi+rax*4]
        assert_eq!(element(&[0x48, 0x8b, 0x07, 0x8b, 0x0c, 0x86]), None);
        // mov eax, [rdi]; add rax, rdx; mov ecx, [rsi+rax*4]
        assert_eq!(element(&[0x8b, 0x07, 0x48, 0x01, 0xd0, 0x8b, 0x0c, 0x86]), None);
        // mov eax, [rdi]; mov ax, dx keeps it; xchg rax, rdx does not; mov ecx, [rsi+rax*4]
        assert_eq!(element(&[0x8b, 0x07, 0x48, 0x92, 0x8b, 0x0c, 0x86]), None);
        // mov edx, [rdi]; mul rcx; mov ecx, [rsi+rdx*4]
        assert_eq!(element(&[0x8b, 0x17, 0x48, 0xf7, 0xe1, 0x8b, 0x0c, 0x96]), None);
        // cmp eax, ecx; mov ecx, [rsi+rax*4]
        assert_eq!(element(&[0x39, 0xc8, 0x8b, 0x0c, 0x86]), None);
        // mov eax, [rdi]; sub rax, 0x7fffffff; mov ecx, [rsi+rax*4]
        assert_eq!(element(&[0x8b, 0x07, 0x48, 0x2d, 0xff, 0xff, 0xff, 0x7f, 0x8b, 0x0c, 0x86]), None);
    }
}
