//! The registers of user code, before and after a case.
use x86::flags;

/// Bytes of the standard XSAVE area with x87, SSE and AVX (SDM 1 §13.4).
pub const XSAVE_BYTES: usize = 832;
const XSTATE_BV: usize = 512;
const UPPER_HALVES: usize = 576;

/// x87, SSE and AVX registers.
#[repr(C, align(64))]
#[derive(Clone, PartialEq, Eq)]
pub struct Vectors(pub [u8; XSAVE_BYTES]);

impl Default for Vectors {
    /// After FNINIT, with all SIMD exceptions masked and all registers zero.
    fn default() -> Self {
        let mut vectors = Self([0; XSAVE_BYTES]);
        vectors.set_fcw(0x37f);
        vectors.set_mxcsr(0x1f80);
        vectors.0[XSTATE_BV] = 7;
        vectors
    }
}

impl Vectors {
    /// From what XSAVE wrote: components in their initial state filled in, fields that no program computes with (last
    /// instruction and operand pointers, reserved bytes) made zero.
    pub fn normalized(raw: &[u8]) -> Self {
        let mut vectors = Self::default();
        let present = raw[XSTATE_BV];
        if present & 1 != 0 {
            vectors.0[..5].copy_from_slice(&raw[..5]);
            for st in 0..8 {
                let at = 32 + 16 * st;
                vectors.0[at..at + 10].copy_from_slice(&raw[at..at + 10]);
            }
        }
        vectors.0[24..28].copy_from_slice(&raw[24..28]);
        if present & 2 != 0 {
            vectors.0[160..416].copy_from_slice(&raw[160..416]);
        }
        if present & 4 != 0 {
            let end = UPPER_HALVES + 256;
            vectors.0[UPPER_HALVES..end].copy_from_slice(&raw[UPPER_HALVES..end]);
        }
        vectors
    }
    /// The same without x87 status and tags.
    pub fn without_tags(&self) -> Self {
        let mut bare = self.clone();
        bare.set_fsw(0);
        bare.set_ftw(0);
        bare
    }
    fn word(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }
    /// The x87 control word.
    pub fn fcw(&self) -> u16 {
        self.word(0)
    }
    /// Sets the x87 control word.
    pub fn set_fcw(&mut self, value: u16) {
        self.0[0..2].copy_from_slice(&value.to_le_bytes());
    }
    /// The x87 status word.
    pub fn fsw(&self) -> u16 {
        self.word(2)
    }
    /// Sets the x87 status word.
    pub fn set_fsw(&mut self, value: u16) {
        self.0[2..4].copy_from_slice(&value.to_le_bytes());
    }
    /// The abridged tags: a bit for each physical register that is not empty.
    pub fn ftw(&self) -> u8 {
        self.0[4]
    }
    /// Sets the abridged tags.
    pub fn set_ftw(&mut self, value: u8) {
        self.0[4] = value;
    }
    /// MXCSR.
    pub fn mxcsr(&self) -> u32 {
        u32::from_le_bytes(self.0[24..28].try_into().unwrap_or_default())
    }
    /// Sets MXCSR.
    pub fn set_mxcsr(&mut self, value: u32) {
        self.0[24..28].copy_from_slice(&value.to_le_bytes());
    }
    /// ST(i), 80 bits.
    pub fn st(&self, i: usize) -> u128 {
        let mut bytes = [0; 16];
        bytes[..10].copy_from_slice(&self.0[32 + 16 * i..][..10]);
        u128::from_le_bytes(bytes)
    }
    /// Sets ST(i); bits past 80 are dropped.
    pub fn set_st(&mut self, i: usize, value: u128) {
        self.0[32 + 16 * i..][..10].copy_from_slice(&value.to_le_bytes()[..10]);
    }
    /// The low half of YMM(i).
    pub fn xmm(&self, i: usize) -> u128 {
        u128::from_le_bytes(self.0[160 + 16 * i..][..16].try_into().unwrap_or_default())
    }
    /// Sets the low half of YMM(i).
    pub fn set_xmm(&mut self, i: usize, value: u128) {
        self.0[160 + 16 * i..][..16].copy_from_slice(&value.to_le_bytes());
    }
    /// The upper half of YMM(i).
    pub fn upper(&self, i: usize) -> u128 {
        u128::from_le_bytes(self.0[UPPER_HALVES + 16 * i..][..16].try_into().unwrap_or_default())
    }
    /// Sets the upper half of YMM(i).
    pub fn set_upper(&mut self, i: usize, value: u128) {
        self.0[UPPER_HALVES + 16 * i..][..16].copy_from_slice(&value.to_le_bytes());
    }
}

/// The registers that user code sees.
#[repr(C)]
#[derive(Clone, PartialEq, Eq)]
pub struct UserState {
    /// General-purpose registers in encoding order.
    pub gpr: [u64; 16],
    /// Instruction pointer.
    pub rip: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// FS base.
    pub fs_base: u64,
    /// GS base.
    pub gs_base: u64,
    /// x87, SSE and AVX.
    pub vectors: Vectors,
}

impl Default for UserState {
    fn default() -> Self {
        Self {
            gpr: [0; 16],
            rip: 0,
            rflags: flags::FIXED | flags::IF,
            fs_base: 0,
            gs_base: 0,
            vectors: Vectors::default(),
        }
    }
}

/// The flags of RFLAGS that cases compare: all that user code can change, but for RF and TF.
pub const COMPARED_FLAGS: u64 = flags::STATUS | flags::DF | flags::NT | flags::AC | flags::ID;

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// An exception; a case that runs to its end meets the `#GP(0)` of a HLT there.
    Exception {
        /// Vector.
        vector: u8,
        /// Error code, 0 where there is none.
        code: u32,
        /// CR2 of a page fault, else 0.
        cr2: u64,
    },
    /// Stopped by the watchdog.
    TimedOut,
    /// The engine gave up.
    Failed(String),
}

impl Ending {
    /// An exception; `cr2` counts for page faults only.
    pub fn exception(vector: u8, code: u32, cr2: u64) -> Self {
        let cr2 = if vector == x86::exception::vector::PF { cr2 } else { 0 };
        Self::Exception { vector, code, cr2 }
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exception { vector, code, cr2 } => crate::row::print::exception(f, *vector, *code, *cr2),
            Self::TimedOut => f.write_str("timed-out"),
            Self::Failed(why) => write!(f, "failed({why})"),
        }
    }
}

/// Registers and ending of a case; memory is read from the runner itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Registers at the end; RIP is what the exception reported.
    pub state: UserState,
    /// How it ended.
    pub ending: Ending,
}

impl Default for Outcome {
    fn default() -> Self {
        Self { state: UserState::default(), ending: Ending::TimedOut }
    }
}
