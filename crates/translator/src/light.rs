//! The light interpreter: executes common 64-bit instructions straight from their bytes, before anything is made of them.
//!
//! Half of the code of a boot runs a few times only; translating it costs more than executing it so often like this.
//! [`crate::vcpu`] lets new code begin here ([`seen::Seen`]). What this file does not know, and every fault, is left to
//! [`crate::interp`]: an instruction is either executed as a whole or not begun.

mod alu;
mod arithmetic;
mod code;
mod flow;
mod memory;
mod moves;
pub mod seen;
mod shift;

use x86::address::{PAGE_OFFSET, PAGE_SIZE};
use x86::reg::RAX;
use x86::{Gpa, Gva};

use self::code::{Code, LONGEST};
use crate::cpu::Cpu;
use crate::mmu::Mmu;
use crate::mmu::table::Ring;

/// Instructions that are executed before somebody looks for attention.
const STRETCH: u32 = 64;

/// What the light interpreter works on. The CPU is in 64-bit mode, nothing watches single instructions, and vector
/// registers are put away.
pub struct Light<'a> {
    /// The register file.
    pub cpu: &'a mut Cpu,
    /// Memory.
    pub mmu: &'a mut Mmu,
    /// The table that accesses look up.
    pub ring: Ring,
    /// Instructions that were executed.
    pub executed: u64,
}

/// Why a stretch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A jump was taken, the page ended, or it was long enough: [`Cpu::rip`] is where a block may begin.
    Jump,
    /// The instruction at [`Cpu::rip`] is the interpreter's.
    Interpret,
    /// It is of a kind that comes in numbers, and takes longer to interpret than all others: translate it.
    Translate,
}

/// The instruction is another's to execute; nothing of it was done.
struct NotServed;
type Served<T = ()> = Result<T, NotServed>;

impl Light<'_> {
    /// Executes instructions from [`Cpu::rip`] on, whose page leads to a frame; `None` if that is not in RAM.
    pub fn run(&mut self, frame: Gpa) -> Option<End> {
        let code = self.mmu.ram().host_address(frame, PAGE_SIZE)?;
        Some(self.run_page(code))
    }

    /// `code` is where the host has the page.
    fn run_page(&mut self, code: *const u8) -> End {
        let page = self.cpu.rip & !PAGE_OFFSET;
        for _ in 0..STRETCH {
            let rip = self.cpu.rip;
            if rip & !PAGE_OFFSET != page {
                return End::Jump;
            }
            let offset = rip & PAGE_OFFSET;
            if offset > PAGE_SIZE - LONGEST as u64 {
                return End::Interpret;
            }
            let bytes = code::read(code, offset as usize);
            let Ok(next) = self.step(Code::new(bytes)) else {
                return if code::comes_in_numbers(&bytes) { End::Translate } else { End::Interpret };
            };
            self.executed += 1;
            self.cpu.rip = next.rip;
            if next.is_jump {
                return End::Jump;
            }
        }
        End::Jump
    }

    /// Executes one instruction, but for the change of [`Cpu::rip`].
    #[inline(always)]
    fn step(&mut self, mut code: Code) -> Served<Next> {
        let opcode = code.prefixes()?;
        let code = &mut code;
        match opcode {
            code::TWO_BYTES => return self.two_bytes(code),
            code::ENDBR => {}
            0x00..=0x3f => self.two_operands(code, opcode)?,
            0x50..=0x57 => self.push_register(code, opcode)?,
            0x58..=0x5f => self.pop_register(code, opcode)?,
            0x63 => self.move_sign_extended(code)?,
            0x68 | 0x6a => self.push_immediate(code, opcode)?,
            0x69 | 0x6b => self.multiply_immediate(code, opcode)?,
            0x70..=0x7f => {
                let by = code.i8();
                return self.jump_if(opcode, by, code);
            }
            0x80 | 0x81 | 0x83 => self.group_1(code, opcode)?,
            0x84 | 0x85 => self.test(code, opcode)?,
            0x86 | 0x87 => self.exchange_registers(code, opcode)?,
            0x88 | 0x89 => self.move_from_register(code, opcode)?,
            0x8a | 0x8b => self.move_to_register(code, opcode)?,
            0x8d => self.load_address(code)?,
            // NOP clears no upper half.
            0x90 if code.low_register(opcode) == RAX => {}
            0x90..=0x97 => self.exchange(RAX, code.low_register(opcode), code),
            0x98 => self.extend_accumulator(code),
            0x99 => self.extend_into_data_register(code),
            0xa8 | 0xa9 => self.test_accumulator(code, opcode),
            0xb0..=0xbf => self.move_immediate_to_register(code, opcode),
            0xc0 | 0xc1 | 0xd0..=0xd3 => self.shift(code, opcode)?,
            0xc2 | 0xc3 => return self.return_near(code, opcode),
            0xc6 | 0xc7 => self.move_immediate(code, opcode)?,
            0xc9 => self.leave(code)?,
            0xe8 => return self.call(code),
            0xe9 | 0xeb => return self.jump(code, opcode),
            0xf6 | 0xf7 => self.group_3(code, opcode)?,
            0xfe | 0xff => return self.group_5(code, opcode),
            _ => return Err(NotServed),
        }
        Ok(Next::after(self.after(code)))
    }

    fn two_bytes(&mut self, code: &mut Code) -> Served<Next> {
        let opcode = code.u8();
        match opcode {
            0x0d | 0x18 | 0x1f => self.hint(code)?,
            0x40..=0x4f => self.move_if(code, opcode)?,
            0x80..=0x8f => {
                let by = code.i32();
                return self.jump_if(opcode, by, code);
            }
            0x90..=0x9f => self.set_if(code, opcode)?,
            0xa3 | 0xba => self.bit_test(code, opcode)?,
            0xaf => self.multiply_register(code)?,
            0xb6 | 0xb7 | 0xbe | 0xbf => self.move_extended(code, opcode)?,
            0xc8..=0xcf => self.swap_bytes(code, opcode)?,
            _ => return Err(NotServed),
        }
        Ok(Next::after(self.after(code)))
    }

    /// The address behind an instruction that was read to its end.
    fn after(&self, code: &Code) -> u64 {
        self.cpu.rip.wrapping_add(code.length())
    }
}

/// Where the CPU goes on.
struct Next {
    rip: u64,
    is_jump: bool,
}

impl Next {
    const fn after(rip: u64) -> Self {
        Self { rip, is_jump: false }
    }
    const fn jump(rip: u64) -> Self {
        Self { rip, is_jump: true }
    }
}

/// Faults of jumps are another's.
fn canonical(target: u64) -> Served<u64> {
    if Gva(target).is_canonical() { Ok(target) } else { Err(NotServed) }
}
