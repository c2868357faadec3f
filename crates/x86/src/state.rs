//! The saved form of a CPU, the same whichever engine runs it.
use crate::control::CR0_ET;
use crate::flags::FIXED;
use crate::segment::{ATTR_ACCESSED, ATTR_CODE, ATTR_P, ATTR_RW, ATTR_S, CS, Segment};
use serde::{Deserialize, Serialize};

/// A descriptor-table register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C)]
pub struct TableRegister {
    /// Linear address of the table.
    pub base: u64,
    /// Last valid byte of it.
    pub limit: u16,
}

/// Everything that makes up one CPU between two instructions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuState {
    /// General-purpose registers in encoding order ([`crate::reg`]).
    pub gpr: [u64; 16],
    /// Instruction pointer.
    pub rip: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// ES, CS, SS, DS, FS, GS ([`crate::segment`]).
    pub segments: [Segment; 6],
    /// Local descriptor table.
    pub ldtr: Segment,
    /// Task register.
    pub tr: Segment,
    /// Global descriptor table.
    pub gdtr: TableRegister,
    /// Interrupt descriptor table.
    pub idtr: TableRegister,
    /// CR0.
    pub cr0: u64,
    /// CR2.
    pub cr2: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// Task priority (CR8).
    pub cr8: u64,
    /// DR0 to DR7; 4 and 5 are unused.
    pub dr: [u64; 8],
    /// XCR0.
    pub xcr0: u64,
    /// EFER.
    pub efer: u64,
    /// Model-specific registers other than EFER, as pairs of number and value, sorted by number.
    pub msrs: Vec<(u32, u64)>,
    /// x87, SSE and AVX in the standard XSAVE format (SDM 1 §13.4), as many bytes as XCR0 asks for.
    pub xsave: Vec<u8>,
    /// The next instruction is shielded from interrupts (after STI, MOV SS, POP SS).
    pub interrupt_shadow: bool,
    /// NMIs wait for an IRET.
    pub nmi_blocked: bool,
    /// Stopped by HLT.
    pub halted: bool,
}

impl Default for CpuState {
    /// The state after power-up or INIT of the boot processor (SDM 3A table 9-1).
    fn default() -> Self {
        let data = Segment::real_mode(0);
        let mut segments = [data; 6];
        segments[CS] = Segment {
            base: 0xffff_0000,
            limit: 0xffff,
            attributes: ATTR_P | ATTR_S | ATTR_CODE | ATTR_RW | ATTR_ACCESSED,
            selector: 0xf000,
        };
        let system = |kind| Segment { base: 0, limit: 0xffff, attributes: ATTR_P | kind, selector: 0 };
        let table = TableRegister { base: 0, limit: 0xffff };
        let mut xsave = vec![0; 576];
        xsave[0..2].copy_from_slice(&0x037f_u16.to_le_bytes()); // FCW after FNINIT
        xsave[24..28].copy_from_slice(&0x1f80_u32.to_le_bytes()); // MXCSR
        Self {
            gpr: [0; 16],
            rip: 0xfff0,
            rflags: FIXED,
            segments,
            ldtr: system(2),
            tr: system(11),
            gdtr: table,
            idtr: table,
            cr0: CR0_ET | 0x6000_0000,
            cr2: 0,
            cr3: 0,
            cr4: 0,
            cr8: 0,
            dr: [0, 0, 0, 0, 0, 0, 0xffff_0ff0, 0x400],
            xcr0: 1,
            efer: 0,
            msrs: Vec::new(),
            xsave,
            interrupt_shadow: false,
            nmi_blocked: false,
            halted: false,
        }
    }
}
