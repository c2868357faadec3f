//! Memory operands of code that reaches memory through windows ([`crate::mmu::window`]): the delta of the window is found
//! by the address itself, without a comparison and without touching the flags.
//!
//! [`Cpu::stack_window`] holds the delta of the window that RSP lies in, or has left by so little that an access still
//! falls into the guard around it. Hence an instruction that moves RSP anywhere renews it; one that moves it by a small
//! constant need not, if the code between the same two conditional jumps also accesses the stack near RSP, by a window:
//! then RSP cannot creep past the guard unseen, whichever way the block is left.
use std::mem::offset_of;

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::block::Lowering;
use super::copy::by_window;
use super::decode::{Decoded, Way};
use super::memory::number;
use super::narrow::Element;
use super::scratch::Holds;
use crate::cpu::Cpu;
use crate::emit::asm::{Mem, Reg, T0, T1};
use crate::emit::rewrite::Operand;
use crate::mmu::table::Ring;
use crate::mmu::view::window_offset;
use crate::mmu::window::{self, WINDOW_SHIFT};
use x86::Gva;
use x86::reg::RSP;

const STACK_WINDOW: usize = offset_of!(Cpu, stack_window);
/// The furthest that counts as near the stack pointer, and the largest step that counts as small.
const NEAR: i64 = 1 << 16;

impl Lowering {
    /// `delta` = what is added to the linear address in `address` to make a host address.
    pub(super) fn window_of(&mut self, delta: Reg, address: Reg) {
        self.window_for(self.ring(), delta, address);
    }

    fn window_for(&mut self, ring: Ring, delta: Reg, address: Reg) {
        self.asm.rorx(delta, address, WINDOW_SHIFT as u8);
        self.asm.op_reg(false, &[0x0f, 0xb6], delta, delta); // movzx
        self.asm.load(delta, Mem::gs_index8(delta, window_offset(ring)));
    }

    /// The 8 bytes at a small distance from the stack pointer, by way of T0.
    pub(super) fn windowed_stack(&mut self, distance: i32) -> Mem {
        self.hold_delta(T0, RSP as Reg);
        Mem { base: Some(RSP as Reg), index: Some((T0, 0)), disp: distance, gs: false }
    }

    /// RSP is somewhere else now; by way of T0.
    pub(super) fn renew_stack_window(&mut self) {
        self.renew_stack_window_for(self.ring());
    }

    /// The same on the way to a ring.
    pub(super) fn renew_stack_window_for(&mut self, ring: Ring) {
        self.window_for(ring, T0, RSP as Reg);
        self.asm.store(Mem::gs(STACK_WINDOW), T0);
        self.clobber_both();
        self.set_holds(T0, Holds::Delta(RSP as Reg));
    }

    /// The delta in `delta` becomes that of the stack pointer's window.
    pub(super) fn take_stack_window(&mut self, delta: Reg) {
        self.asm.store(Mem::gs(STACK_WINDOW), delta);
    }

    /// A scratch register gets the delta of a base register's window, unless it has it already.
    fn hold_delta(&mut self, register: Reg, base: Reg) {
        if self.holds(register) == Holds::Delta(base) {
            return;
        }
        if base == RSP as Reg {
            self.asm.load(register, Mem::gs(STACK_WINDOW));
        } else {
            self.window_of(register, base);
        }
        self.set_holds(register, Holds::Delta(base));
    }

    /// The scratch register for the delta of a base register's window: one that has it, or else the one that is missed
    /// least; `address` is free, `other` too unless it is `named`.
    fn place_for_delta(&self, base: Reg, address: Reg, other: Reg, named: bool) -> Reg {
        if base == RSP as Reg && self.holds(other) != Holds::Delta(base) {
            return address;
        }
        self.place_for(Holds::Delta(base), address, other, named)
    }

    fn place_for(&self, what: Holds, address: Reg, other: Reg, named: bool) -> Reg {
        if named || self.holds(address) == what {
            return address;
        }
        if self.holds(other) == what {
            return other;
        }
        // T0 is where pushes and pops look for the stack's.
        let worth = |register: Reg| match self.holds(register) {
            Holds::Nothing => 0,
            Holds::Guest | Holds::LowWindow => 2,
            Holds::Delta(held) if held == RSP as Reg => 3,
            Holds::Delta(_) | Holds::Code => 1,
        };
        if worth(address) <= worth(other) { address } else { other }
    }

    /// The memory operand of an instruction that is copied. Its other operands may name `other`, if it is `named`, but not
    /// `address`.
    pub(super) fn windowed_operand(
        &mut self,
        instruction: &Instruction,
        address: Reg,
        other: Reg,
        named: bool,
    ) -> Operand {
        if instruction.is_ip_rel_memory_operand() && !self.is_pinned() && !has_base(instruction) {
            return self.windowed_code(instruction, address, other, named);
        }
        if let Some(place) = constant_address(instruction) {
            let near = instruction.is_ip_rel_memory_operand();
            return self.windowed_constant(place, near, address, other, named);
        }
        if let Some(base) = plain_base(instruction) {
            let delta = self.place_for_delta(base, address, other, named);
            self.hold_delta(delta, base);
            let disp = instruction.memory_displacement64() as i32;
            return Operand { base, index: Some(delta), scale: 0, disp };
        }
        if let Some(parts) = self.narrow.pointer_and_index(instruction) {
            return self.windowed_element(parts, address, other, named);
        }
        self.effective_address(instruction, address);
        self.window_of(other, address);
        self.clobber_both();
        if !named {
            return Operand { base: address, index: Some(other), scale: 0, disp: 0 };
        }
        self.asm.lea(address, Mem { base: Some(address), index: Some((other, 0)), disp: 0, gs: false });
        Operand::at(address)
    }

    /// An operand of position-independent code near itself: the page that the code runs in selects the window.
    fn windowed_code(&mut self, instruction: &Instruction, address: Reg, other: Reg, named: bool) -> Operand {
        let page = self.place_for(Holds::Code, address, other, named);
        if self.holds(page) != Holds::Code {
            let delta = if page == address { other } else { address };
            self.asm.load(page, Mem::gs(offset_of!(Cpu, code_page)));
            self.window_of(delta, page);
            self.asm.lea(page, Mem { base: Some(page), index: Some((delta, 0)), disp: 0, gs: false });
            self.clobber(delta);
            self.set_holds(page, Holds::Code);
        }
        let disp = self.offset_of(instruction.ip_rel_memory_address()) as i32;
        Operand { base: page, index: None, scale: 0, disp }
    }

    /// An operand at a pointer and an index that cannot lead beyond the guard: the pointer selects the window.
    fn windowed_element(&mut self, parts: Element, address: Reg, other: Reg, named: bool) -> Operand {
        let Element { pointer, index, scale, disp } = parts;
        let delta = self.place_for_delta(pointer, address, other, named);
        self.hold_delta(delta, pointer);
        let host = match delta {
            _ if named => address,
            delta if delta == address => other,
            _ => address,
        };
        self.clobber(host);
        self.asm.lea(host, Mem { base: Some(pointer), index: Some((delta, 0)), disp: 0, gs: false });
        Operand { base: host, index: Some(index), scale, disp }
    }

    /// An operand at a fixed address, which is `near` the code or just there: its window is known.
    fn windowed_constant(
        &mut self,
        place: u64,
        near: bool,
        address: Reg,
        other: Reg,
        named: bool,
    ) -> Operand {
        let delta = Mem::gs(window_offset(self.ring()) + 8 * window::number(Gva(place)));
        self.asm.load(address, delta);
        self.clobber(address);
        if let Ok(disp) = i32::try_from(place as i64) {
            if near {
                self.expect_displacement(place);
            }
            return Operand { base: address, index: None, scale: 0, disp };
        }
        self.asm.mov_imm(other, place);
        if near {
            self.note_immediate(place);
        }
        self.clobber(other);
        if !named {
            return Operand { base: address, index: Some(other), scale: 0, disp: 0 };
        }
        self.asm.lea(address, Mem { base: Some(address), index: Some((other, 0)), disp: 0, gs: false });
        Operand::at(address)
    }

    /// After an instruction that is copied: did it move the stack pointer?
    pub(super) fn follow_stack_pointer(&mut self, decoded: &Decoded) {
        if self.mode.windows && decoded.writes & 1 << RSP != 0 {
            let creeps = self.anchored && is_small_step_of(&decoded.instruction, RSP as Reg);
            if !creeps {
                self.renew_stack_window();
            }
        }
    }
}

/// Whether a segment's base counts in an operand's address.
fn has_base(instruction: &Instruction) -> bool {
    matches!(instruction.memory_segment(), Register::FS | Register::GS)
}

/// The linear address of an operand that is nothing but that.
fn constant_address(instruction: &Instruction) -> Option<u64> {
    let segment = has_base(instruction);
    let none = instruction.memory_base() == Register::None && instruction.memory_index() == Register::None;
    match instruction.memory_displ_size() {
        _ if segment => None,
        _ if instruction.is_ip_rel_memory_operand() => Some(instruction.ip_rel_memory_address()),
        4 if none => Some(u64::from(instruction.memory_displacement32())),
        8 if none => Some(instruction.memory_displacement64()),
        _ => None,
    }
}

/// The base register of an operand that is nothing but a base register and a displacement.
fn plain_base(instruction: &Instruction) -> Option<Reg> {
    let base = instruction.memory_base();
    let plain = base.is_gpr64()
        && instruction.memory_index() == Register::None
        && !matches!(instruction.memory_segment(), Register::FS | Register::GS);
    let number = plain.then(|| number(base))?;
    (number != T0 && number != T1).then_some(number)
}

/// Whether the accesses up to the next conditional jump keep the stack pointer from creeping away: one of them is near it.
pub(super) fn is_anchored(code: &[Decoded]) -> bool {
    let straight = code.iter().take_while(|decoded| decoded.way != Way::JumpIf);
    straight.into_iter().any(|decoded| match decoded.way {
        Way::Push | Way::Pop | Way::Call | Way::CallIndirect | Way::Return => true,
        Way::CopyMemory { .. } => {
            let instruction = &decoded.instruction;
            let near = || (instruction.memory_displacement64() as i64).abs() <= NEAR;
            instruction.memory_base() == Register::RSP
                && plain_base(instruction).is_some()
                && near()
                && by_window(decoded)
                && !is_masked(instruction)
        }
        _ => false,
    })
}

/// Whether an instruction may make no access at all, for a mask of zeroes.
fn is_masked(instruction: &Instruction) -> bool {
    use Mnemonic::{Vmaskmovpd, Vmaskmovps, Vpmaskmovd, Vpmaskmovq};
    matches!(instruction.mnemonic(), Vmaskmovps | Vmaskmovpd | Vpmaskmovd | Vpmaskmovq)
}

/// Whether an instruction moves a register by a small constant.
pub(super) fn is_small_step_of(instruction: &Instruction, register: Reg) -> bool {
    let wide = instruction.op0_kind() == OpKind::Register
        && instruction.op0_register().is_gpr64()
        && number(instruction.op0_register()) == register;
    let small = match instruction.mnemonic() {
        Mnemonic::Add | Mnemonic::Sub if is_immediate(instruction) => {
            (instruction.immediate(1) as i64).abs() <= NEAR
        }
        // Down to a multiple of a power of two that is small.
        Mnemonic::And if is_immediate(instruction) => (-NEAR..0).contains(&(instruction.immediate(1) as i64)),
        Mnemonic::Inc | Mnemonic::Dec => true,
        Mnemonic::Lea => {
            (instruction.memory_displacement64() as i64).abs() <= NEAR
                && instruction.memory_base() == instruction.op0_register()
                && instruction.memory_index() == Register::None
        }
        _ => false,
    };
    wide && small
}

fn is_immediate(instruction: &Instruction) -> bool {
    matches!(instruction.op1_kind(), OpKind::Immediate8to64 | OpKind::Immediate32to64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::blocks::CodeMode;
    use crate::lower::block::Source;
    use crate::lower::decode::decode;
    use crate::lower::sites::Sites;
    use crate::runtime::thunks::Thunks;

    fn anchored(bytes: &[u8]) -> bool {
        let mode = CodeMode { user: true, vectors: true, windows: true, ..CodeMode::default() };
        let mut code = Vec::new();
        decode(bytes, 0x1000, mode, &mut code);
        is_anchored(&code)
    }

    /// Whether the block of an instruction and `push rbx` selects the window of the stack pointer between them.
    fn selects_window(bytes: &[u8], user: bool) -> bool {
        let thunks = Thunks::nowhere();
        let mode = CodeMode {
            user,
            vectors: true,
            windows: true,
            syscall: true,
            time_stamp: true,
            bases: true,
            ..CodeMode::default()
        };
        let (bytes, sites) = ([bytes, &[0x53]].concat(), Sites::default());
        let source = Source {
            address: 0x1000,
            gpa: 0x1000,
            bytes: &bytes,
            next_gpa: None,
            mode,
            space: 0,
            sites: &sites,
            looks: false,
        };
        let mut lowering = Lowering::new(thunks);
        let lowered = lowering.lower(&source).unwrap();
        assert_eq!(lowered.block.instructions, 2, "{bytes:x?}");
        iced_x86::Decoder::new(64, lowering.host_code(), 0).iter().any(|instruction| {
            instruction.mnemonic() == Mnemonic::Mov
                && instruction.op0_kind() == OpKind::Memory
                && instruction.memory_segment() == Register::GS
                && instruction.memory_displacement64() == STACK_WINDOW as u64
        })
    }

    #[test]
    fn whatever_moves_the_stack_pointer_selects_its_window() {
        let moves: [&[u8]; 16] = [
            &[0xf3, 0x48, 0x0f, 0xae, 0xc4],             // rdfsbase rsp
            &[0xf3, 0x48, 0x0f, 0xae, 0xcc],             // rdgsbase rsp
            &[0x48, 0x8c, 0xdc],                         // mov rsp, ds
            &[0x66, 0x8c, 0xdc],                         // mov sp, ds
            &[0x48, 0x89, 0xc4],                         // mov rsp, rax
            &[0x89, 0xc4],                               // mov esp, eax
            &[0x48, 0x8b, 0x20],                         // mov rsp, [rax]
            &[0x48, 0x94],                               // xchg rsp, rax
            &[0x48, 0x01, 0xc4],                         // add rsp, rax
            &[0x48, 0x8d, 0x24, 0xc4],                   // lea rsp, [rsp+rax*8]
            &[0x48, 0x0f, 0x44, 0xe0],                   // cmove rsp, rax
            &[0x48, 0x0f, 0xc1, 0xc4],                   // xadd rsp, rax
            &[0x48, 0x0f, 0xcc],                         // bswap rsp
            &[0x48, 0x81, 0xec, 0x00, 0x00, 0x02, 0x00], // sub rsp, 0x20000
            &[0x5c],                                     // pop rsp
            &[0xc9],                                     // leave
        ];
        for bytes in moves {
            assert!(selects_window(bytes, true) && selects_window(bytes, false), "{bytes:x?}");
        }
        assert!(selects_window(&[0x0f, 0x20, 0xd4], false), "mov rsp, cr2");
        assert!(!selects_window(&[0x48, 0x83, 0xec, 0x10], true), "sub rsp, 16");
    }

    #[test]
    fn only_an_access_on_every_way_out_keeps_the_stack_pointer_near() {
        // add rsp, 16; push rax
        assert!(anchored(&[0x48, 0x83, 0xc4, 0x10, 0x50]));
        // add rsp, 16; mov eax, [rsp+8]
        assert!(anchored(&[0x48, 0x83, 0xc4, 0x10, 0x8b, 0x44, 0x24, 0x08]));
        // add rsp, 16; jne +0; push rax
        assert!(!anchored(&[0x48, 0x83, 0xc4, 0x10, 0x75, 0x00, 0x50]));
        // add rsp, 16; mov [rsp], ah: by look-up
        assert!(!anchored(&[0x48, 0x83, 0xc4, 0x10, 0x88, 0x24, 0x24]));
        // add rsp, 16; vmaskmovps ymm1, ymm0, [rsp]: perhaps no access
        assert!(!anchored(&[0x48, 0x83, 0xc4, 0x10, 0xc4, 0xe2, 0x7d, 0x2c, 0x0c, 0x24]));
        // add rsp, 16; vmovups ymm1, [rsp]
        assert!(anchored(&[0x48, 0x83, 0xc4, 0x10, 0xc5, 0xfc, 0x10, 0x0c, 0x24]));
        // add rsp, 16; mov eax, [rsp+0x100000]: too far
        assert!(!anchored(&[0x48, 0x83, 0xc4, 0x10, 0x8b, 0x84, 0x24, 0, 0, 0x10, 0]));
    }
}
