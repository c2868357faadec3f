//! What happens off the straight path of a block: it is emitted after it, so that the straight path stays straight.
use std::mem::offset_of;

use super::block::Lowering;
use crate::cache::blocks::{FlagPlace, Link};
use crate::cpu::Cpu;
use crate::emit::asm::{Mem, Offset, Reg, T0, T1, cond};
use crate::mmu::table::{Ring, SECOND_JUMP};
use crate::mmu::view;
use crate::runtime::thunks::Exit;
use x86::reg::RCX;

/// One thing that happens off the straight path.
pub enum Cold {
    /// A look-up missed.
    Slow {
        /// The jump that leads here.
        from: Offset,
        /// Read or write.
        exit: Exit,
        /// The register with the address (exclusive-ored with the tag).
        address: Reg,
        /// The register with the index.
        index: Reg,
        /// Offset of the tag field of entry 0 in the view.
        tag: usize,
        /// Start of the instruction.
        retry: Offset,
        /// Where the flags are.
        flags: FlagPlace,
        /// It is the instruction's only one: two could drive each other out of the first entry for ever.
        alone: bool,
    },
    /// A direct jump that is not linked.
    Link {
        /// The place of the jump's displacement.
        from: Offset,
        /// Offset of the target from the page.
        target: i64,
        /// It goes back.
        backward: bool,
    },
    /// A conditional jump out of the page of a position-independent block.
    Far {
        /// The jump that leads here.
        from: Offset,
        /// Offset of the target from the page.
        target: i64,
    },
    /// The first of two entries of a jump table is not that of the target in T0.
    Target {
        /// The jump that leads here.
        from: Offset,
        /// Where to go on if the second one is.
        back: Offset,
        /// Which table.
        ring: Ring,
        /// Start of the instruction, if it has done nothing yet.
        retry: Option<Offset>,
    },
    /// Attention at the head.
    Attention {
        /// The jump that leads here.
        from: Offset,
        /// The guest's RCX is in T1.
        by_count_register: bool,
    },
    /// An unusual case of an instruction that is the interpreter's after all.
    Unusual {
        /// The jump that leads here.
        from: Offset,
        /// Start of the instruction; nothing of it was done.
        start: Offset,
        /// Where the flags are.
        flags: FlagPlace,
    },
    /// The vector registers have to be loaded.
    Vectors {
        /// The jump that leads here.
        from: Offset,
        /// Where to go on.
        resume: Offset,
    },
}

impl Lowering {
    pub(super) fn emit_cold(&mut self) {
        let cold = std::mem::take(&mut self.cold);
        let (spilled, own_ring) = (offset_of!(Cpu, spilled_flags), self.ring());
        for item in &cold {
            let asm = &mut self.asm;
            match *item {
                Cold::Slow { from, exit, address, index, tag, retry, flags, alone } => {
                    asm.bind(from);
                    asm.xor_mem(address, Mem::gs_base(index, tag));
                    if address != T0 {
                        asm.mov(T0, address);
                    }
                    if flags == FlagPlace::Spilled {
                        asm.restore_flags(spilled, T1);
                    }
                    asm.lea_here(T1, retry);
                    let write = usize::from(exit == Exit::Write);
                    let misses = self.thunks.misses[own_ring as usize];
                    asm.jmp_thunk(if alone { misses[write] } else { self.thunks.exit(exit) });
                }
                Cold::Link { from, target, backward } => {
                    asm.bind(from);
                    let stub = asm.here() as u16;
                    asm.leave_by(T1, from, self.thunks.exit(Exit::Link));
                    self.links.push(Link { place: from as u16, stub, target, backward });
                }
                Cold::Far { from, target } => {
                    asm.bind(from);
                    self.flags = FlagPlace::Eflags;
                    self.table_exit(target);
                }
                Cold::Target { from, back, ring, retry } => {
                    asm.bind(from);
                    asm.lea32(T1, Mem::base(T1, SECOND_JUMP));
                    asm.cmp_mem(T0, Mem::gs_jump(T1, view::jump_target_offset(ring)));
                    let back = asm.address(back);
                    asm.jcc_address(cond::E, back);
                    if let Some(start) = retry {
                        asm.leave_by(T1, start, self.thunks.exit(Exit::Target));
                    } else {
                        asm.jmp_thunk(self.thunks.exit(Exit::Jump));
                    }
                }
                Cold::Attention { from, by_count_register } => {
                    asm.bind(from);
                    if by_count_register {
                        asm.mov(RCX as Reg, T1);
                    }
                    asm.leave_by(T1, self.body, self.thunks.exit(Exit::Attention));
                }
                Cold::Unusual { from, start, flags } => {
                    asm.bind(from);
                    if flags == FlagPlace::Spilled {
                        asm.restore_flags(spilled, T1);
                    }
                    asm.leave_by(T1, start, self.thunks.exit(Exit::Interpret));
                }
                Cold::Vectors { from, resume } => {
                    asm.bind(from);
                    asm.leave_by(T1, resume, self.thunks.load_vectors);
                }
            }
        }
        self.cold = cold;
    }
}
