//! IRETQ of supervisor code with windows, to where kernels return: to the same 64-bit code segment, or to a flat 64-bit one
//! of user mode. Everything else about it (a trap flag, other descriptors, a blocked NMI) is the interpreter's, with nothing
//! changed.
use std::mem::offset_of;

use super::block::Lowering;
use super::system::{CODE_64, DPL_3, STACK, segment};
use crate::cpu::Cpu;
use crate::emit::asm::{Mem, Reg, T0, T1, cond};
use crate::mmu::table::Ring;
use x86::flags;
use x86::reg::RSP;
use x86::segment::{CS, DS, ES, FS, GS, SS, Segment};
use x86::state::TableRegister;

/// What is on the stack (SDM 3A §6.14.3), by offset.
const RIP: i32 = 0;
const SELECTOR: i32 = 8;
const FLAGS: i32 = 16;
const POINTER: i32 = 24;
const STACK_SELECTOR: i32 = 32;

/// Where the parts of the frame wait once they are checked.
const fn kept(index: usize) -> Mem {
    Mem::gs(offset_of!(Cpu, spill) + 8 * index)
}
const TARGET: Mem = kept(0);
const IMAGE: Mem = kept(1);
const STACK_POINTER: Mem = kept(2);
const CODE_SELECTOR: Mem = kept(3);

/// Flat descriptors as Linux has them (SDM 3A §3.4.5): 64-bit code and data, present and accessed, of privilege 0.
const CODE_DESCRIPTOR: u64 = 0x00af_9b00_0000_ffff;
const DATA_DESCRIPTOR: u64 = 0x00cf_9300_0000_ffff;
const DESCRIPTOR_DPL_3: u64 = 3 << 45;

/// Flags that only the interpreter sets. RF matters only where breakpoints do.
const UNUSUAL: u64 = flags::TF | flags::NT | flags::VM | flags::VIF | flags::VIP;
/// The flags that are taken from the image.
const TAKEN: u64 = flags::DEFINED & !(flags::RF | flags::VM);

impl Lowering {
    pub(super) fn interrupt_return(&mut self) {
        self.spill_for_table();
        self.check_interrupt_return();
        for (offset, place) in [(RIP, TARGET), (FLAGS, IMAGE), (POINTER, STACK_POINTER)] {
            self.asm.load(T1, self.frame(offset));
            self.asm.store(place, T1);
        }
        self.asm.load(T1, IMAGE);
        self.asm.op_reg(false, &[0xf7], 0, T1); // test r11d, …
        self.asm.raw(&(UNUSUAL as u32).to_le_bytes());
        self.unusual_if(cond::NE);
        self.load_selector(SELECTOR);
        self.asm.store(CODE_SELECTOR, T1);
        self.asm.op_mem(0x66, false, &[0x3b], T1, selector(CS)); // cmp r11w, …
        let outer = self.asm.jcc(cond::NE);
        self.return_to_same_privilege();
        self.asm.bind(outer);
        self.return_to_user();
    }

    /// What has to be usual whatever is on the stack.
    fn check_interrupt_return(&mut self) {
        self.asm.cmp_zero32(Mem::gs(offset_of!(Cpu, nmi_blocked)));
        self.unusual_if(cond::NE);
        for (field, mask) in [(offset_of!(Cpu, other_flags), flags::NT), (offset_of!(Cpu, dr) + 8 * 7, 0xff)]
        {
            self.asm.op_mem(0, false, &[0xf7], 0, Mem::gs(field)); // test dword, …
            self.asm.raw(&(mask as u32).to_le_bytes());
            self.unusual_if(cond::NE);
        }
        self.windowed_stack(0);
    }

    /// A part of the frame; T0 has the stack's delta.
    fn frame(&self, offset: i32) -> Mem {
        Mem { base: Some(RSP as Reg), index: Some((T0, 0)), disp: offset, gs: false }
    }

    /// T1 = a selector of the frame.
    fn load_selector(&mut self, offset: i32) {
        self.asm.op_mem(0, false, &[0x0f, 0xb7], T1, self.frame(offset)); // movzx r11d, word
    }

    fn unusual_if(&mut self, condition: u8) {
        let from = self.asm.jcc(condition);
        self.unusual(from);
    }

    /// The selector in T1 names this very descriptor in the GDT. Clobbers T0 and T1.
    fn check_descriptor(&mut self, descriptor: u64) {
        let table = offset_of!(Cpu, gdtr);
        let asm = &mut self.asm;
        asm.op_reg(false, &[0xf7], 0, T1); // test r11d, 4: the LDT
        asm.raw(&4_u32.to_le_bytes());
        let local = asm.jcc(cond::NE);
        asm.and_imm32(T1, 0xfff8);
        let null = asm.jcc(cond::E);
        asm.lea32(T0, Mem::base(T1, 7));
        let limit = Mem::gs(table + offset_of!(TableRegister, limit));
        asm.op_mem(0x66, false, &[0x3b], T0, limit); // cmp r10w, …
        let beyond = asm.jcc(cond::A);
        asm.add_mem(T1, Mem::gs(table + offset_of!(TableRegister, base)));
        self.window_of(T0, T1);
        let asm = &mut self.asm;
        asm.load(T1, Mem { base: Some(T1), index: Some((T0, 0)), disp: 0, gs: false });
        asm.mov_imm(T0, descriptor);
        asm.op_reg(true, &[0x39], T0, T1); // cmp r11, r10
        let other = asm.jcc(cond::NE);
        for from in [local, null, beyond, other] {
            self.unusual(from);
        }
    }

    /// The selector in T1 is that of CS: neither segment changes.
    fn return_to_same_privilege(&mut self) {
        self.check_descriptor(CODE_DESCRIPTOR);
        self.clobber_both();
        self.windowed_stack(0);
        self.load_selector(STACK_SELECTOR);
        self.asm.op_mem(0x66, false, &[0x3b], T1, selector(SS)); // cmp r11w, …
        self.unusual_if(cond::NE);
        self.asm.op_reg(false, &[0x85], T1, T1); // test r11d, r11d: 64-bit code may have none
        let none = self.asm.jcc(cond::E);
        self.check_descriptor(DATA_DESCRIPTOR);
        self.asm.bind(none);
        self.asm.load(T1, TARGET);
        self.asm.raw(&[0x49, 0xc1, 0xfb, 47]); // sar r11, 47
        self.asm.cmp_imm(T1, -1);
        self.unusual_if(cond::NE);
        self.take_frame(Ring::Supervisor);
    }

    /// The selector in T1 is another one than that of CS.
    fn return_to_user(&mut self) {
        self.asm.raw(&[0x41, 0x83, 0xf3, 3]); // xor r11d, 3
        self.asm.op_reg(false, &[0xf7], 0, T1); // test r11d, 3
        self.asm.raw(&3_u32.to_le_bytes());
        self.unusual_if(cond::NE);
        self.check_descriptor(CODE_DESCRIPTOR | DESCRIPTOR_DPL_3);
        self.clobber_both();
        self.windowed_stack(0);
        self.load_selector(STACK_SELECTOR);
        self.asm.lea32(T0, Mem::base(T1, 8));
        self.asm.cmp_mem(T0, CODE_SELECTOR);
        self.unusual_if(cond::NE);
        self.check_descriptor(DATA_DESCRIPTOR | DESCRIPTOR_DPL_3);
        // A data segment of the kernel's would have to go.
        self.asm.op_mem(0, false, &[0x0f, 0xb7], T1, selector(DS)); // movzx r11d, word
        for number in [ES, FS, GS] {
            self.asm.op_mem(0x66, false, &[0x0b], T1, selector(number)); // or r11w, …
        }
        self.asm.op_reg(false, &[0x85], T1, T1); // test r11d, r11d
        self.unusual_if(cond::NE);
        self.asm.op_mem(0, false, &[0xf7], 0, IMAGE); // test dword, …
        self.asm.raw(&(flags::AC as u32).to_le_bytes());
        self.unusual_if(cond::NE);
        self.asm.load(T1, TARGET);
        self.asm.raw(&[0x49, 0xc1, 0xeb, 47]); // shr r11, 47
        self.unusual_if(cond::NE);
        self.asm.load(T0, CODE_SELECTOR);
        Self::load_flat(&mut self.asm, CODE_64 | DPL_3, STACK | DPL_3, -8);
        self.take_frame(Ring::User);
    }

    /// Everything is as usual: the kept parts of the frame come into force.
    fn take_frame(&mut self, ring: Ring) {
        self.asm.load(T1, IMAGE);
        self.asm.op_reg(false, &[0x81], 4, T1); // and r11d, …
        self.asm.raw(&(TAKEN as u32).to_le_bytes());
        Self::scatter_flags(&mut self.asm);
        self.asm.load(RSP as Reg, STACK_POINTER);
        self.call_for_attention();
        self.renew_stack_window_for(ring);
        self.asm.load(T0, TARGET);
        self.go_to(ring);
    }
}

const fn selector(number: usize) -> Mem {
    Mem::gs(segment(number) + offset_of!(Segment, selector))
}
