//! Sequences of random instructions, with jumps among them.
use iced_x86::{InstructionInfoFactory, OpAccess, OpKind, Register};
use rand::RngExt;
use rand::rngs::SmallRng;
use x86::segment::{CS, Segment};

use super::instruction::{Drawn, decode, draw};
use super::setup::{CODE, DATA, END, LINUX_SELECTORS, SELECTORS, STACK, World};
use crate::row::parse::flag_effects;
use crate::state::Vectors;

/// One case.
pub struct Case {
    /// Bits of code.
    pub bits: u32,
    /// The code; HLTs surround it.
    pub code: Vec<u8>,
    /// Its offset in CS.
    pub start: u64,
    /// General-purpose registers.
    pub gpr: [u64; 16],
    /// RFLAGS.
    pub rflags: u64,
    /// Segment registers.
    pub segments: [Segment; 6],
    /// x87, SSE and AVX.
    pub xsave: Vec<u8>,
}

impl Case {
    /// Offset in CS of the HLT at the end, or the one behind it.
    pub fn end(&self) -> u64 {
        self.start + self.code.len() as u64 + 1
    }
    /// Linear address of the code.
    pub fn linear_start(&self) -> u64 {
        (self.segments[CS].base + self.start) & 0xffff_ffff
    }
}

/// A piece of a sequence.
struct Item {
    bytes: Vec<u8>,
    /// Which item a displacement or address at an offset, of so many bytes, leads to.
    target: Option<Target>,
}

struct Target {
    item: usize,
    at: usize,
    size: usize,
    /// So many bytes into it.
    inside: usize,
    /// Relative to the end of the bytes rather than an offset in CS.
    relative: bool,
}

struct Maker<'a> {
    rng: &'a mut SmallRng,
    world: World,
    bits: u32,
    known: [Option<u32>; 8],
    items: Vec<Item>,
    factory: InstructionInfoFactory,
    /// CX counts a loop.
    counting: bool,
    /// Loops, from the item that loads CX to the last.
    loops: Vec<(usize, usize)>,
}

/// Makes a case.
pub fn make(rng: &mut SmallRng, world: World) -> Case {
    let segments = world.segments(rng);
    let across = rng.random_ratio(1, 4);
    let offset =
        if across { 0x1000 - rng.random_range(1..60) } else { u64::from(rng.random_range(0..0x3000_u32)) };
    let start = if world.is_flat() { CODE + offset } else { offset };
    let rflags = world.rflags(rng);
    let mut gpr = [0; 16];
    for (number, value) in gpr.iter_mut().enumerate() {
        *value = match number {
            4 => u64::from(rng.random_range(0x100..0xff00_u32) & !1),
            8.. => rng.random(),
            _ => u64::from(rng.random_range(0..0xfe00_u32)),
        };
        if world.is_flat() && number < 8 {
            *value += if number == 4 { STACK } else { DATA };
        } else if number < 8 && rng.random_ratio(1, 6) {
            *value |= u64::from(rng.random::<u32>()) << 16 & 0xffff_0000;
        }
        if rng.random_ratio(1, 10) && number != 4 {
            *value = rng.random::<u32>().into();
        }
    }
    let mut xsave = Vectors::default().0.to_vec();
    xsave[160..416].iter_mut().for_each(|byte| *byte = rng.random());
    xsave[576..].iter_mut().for_each(|byte| *byte = rng.random());
    let known = std::array::from_fn(|number| Some(gpr[number] as u32));
    let mut maker = Maker {
        bits: world.bits(),
        rng,
        world,
        known,
        items: Vec::new(),
        factory: InstructionInfoFactory::new(),
        counting: false,
        loops: Vec::new(),
    };
    maker.sequence();
    let code = maker.encode(start);
    Case { bits: world.bits(), code, start, gpr, rflags, segments, xsave }
}

impl Maker<'_> {
    fn sequence(&mut self) {
        let length = self.rng.random_range(1..=16);
        while self.items.len() < length {
            match self.rng.random_range(0..40) {
                0..3 => self.jump(),
                3 => self.call(),
                4 => self.indirect(),
                5 if !self.counting => self.counted(),
                6 => self.load_segment(),
                7 => self.patch(),
                _ => self.plain(),
            }
        }
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.items.push(Item { bytes: bytes.to_vec(), target: None });
    }

    /// With an operand size of 16 or 32 bits, whatever is the default.
    fn sized(&self, wide: bool, bytes: &[u8]) -> Vec<u8> {
        let mut all = if wide == (self.bits == 32) { Vec::new() } else { vec![0x66] };
        all.extend_from_slice(bytes);
        all
    }

    /// Where an access shall go: an offset in a segment.
    fn place(&mut self) -> u32 {
        let offset = match self.rng.random_range(0..40_u32) {
            0..3 => 0x1000 * self.rng.random_range(1..5) - self.rng.random_range(0..17),
            3 => 0x1_0000 - self.rng.random_range(0..17),
            4 => 0x8000 + self.rng.random_range(0..0x1000),
            5 => 0x4000 - self.rng.random_range(0..17),
            6 if self.world.is_flat() => {
                return (CODE + u64::from(self.rng.random_range(0..0x4000_u32))) as u32;
            }
            7 => return self.rng.random(),
            _ => self.rng.random_range(0..0xff00),
        };
        if self.world.is_flat() { DATA as u32 + offset } else { offset }
    }

    fn set(&mut self, register: usize, value: u32, wide: bool) {
        let mut bytes = vec![0xb8 | register as u8];
        bytes.extend_from_slice(&value.to_le_bytes()[..if wide { 4 } else { 2 }]);
        let bytes = self.sized(wide, &bytes);
        self.raw(&bytes);
        self.known[register] = match (wide, self.known[register]) {
            (true, _) => Some(value),
            (false, Some(old)) => Some(old & 0xffff_0000 | value & 0xffff),
            (false, None) => None,
        };
    }

    fn plain(&mut self) {
        for _ in 0..20 {
            let mut drawn = draw(self.rng, self.bits, self.world == World::Linux);
            if self.is_unwanted(&drawn) {
                continue;
            }
            let repeats = drawn.instruction.is_string_instruction()
                && (drawn.instruction.has_rep_prefix() || drawn.instruction.has_repne_prefix());
            // Without a count it may take long.
            if repeats && self.counting {
                continue;
            }
            if repeats || self.rng.random_ratio(14, 15) {
                self.steer(&mut drawn);
            }
            self.follow(&drawn);
            self.raw(&drawn.bytes);
            if flag_effects(&drawn.instruction).0 != 0 {
                self.raw(&[0x39, 0xc8]); // cmp eax, ecx
            }
            return;
        }
    }

    /// Whether it moves the stack pointer anywhere, or the counter of a loop at all.
    fn is_unwanted(&mut self, drawn: &Drawn) -> bool {
        let (counting, anything) = (self.counting, self.rng.random_ratio(1, 30));
        let by_stack = drawn.instruction.is_stack_instruction();
        let is_leave = drawn.instruction.mnemonic() == iced_x86::Mnemonic::Leave;
        let info = self.factory.info(&drawn.instruction);
        info.used_registers().iter().any(|used| {
            let full = used.register().full_register();
            let writes = !matches!(used.access(), OpAccess::Read | OpAccess::CondRead);
            writes
                && (counting && full == Register::RCX
                    || full == Register::RSP && (!by_stack || is_leave) && !anything)
        })
    }

    fn follow(&mut self, drawn: &Drawn) {
        let info = self.factory.info(&drawn.instruction);
        for used in info.used_registers().iter().filter(|used| used.register().is_gpr()) {
            if !matches!(used.access(), OpAccess::Read | OpAccess::CondRead) {
                let number = used.register().full_register().number();
                if let Some(known) = self.known.get_mut(number) {
                    *known = None;
                }
            }
        }
    }

    /// Makes memory operands lead somewhere.
    fn steer(&mut self, drawn: &mut Drawn) {
        let instruction = drawn.instruction;
        let mut pointers = Vec::new();
        for operand in 0..instruction.op_count() {
            match instruction.op_kind(operand) {
                OpKind::MemorySegSI | OpKind::MemorySegESI => pointers.push(6),
                OpKind::MemoryESDI | OpKind::MemoryESEDI | OpKind::MemorySegDI | OpKind::MemorySegEDI => {
                    pointers.push(7);
                }
                OpKind::Memory => return self.steer_operand(drawn),
                _ => {}
            }
        }
        for pointer in pointers {
            let place = self.place();
            self.set(pointer, place, true);
        }
        let repeats = instruction.has_rep_prefix() || instruction.has_repne_prefix();
        if instruction.is_string_instruction() && repeats {
            let count = if self.rng.random_ratio(1, 8) {
                self.rng.random_range(0..0x2000)
            } else {
                self.rng.random_range(0..40)
            };
            self.set(1, count, true);
        }
    }

    fn steer_operand(&mut self, drawn: &mut Drawn) {
        let instruction = drawn.instruction;
        let (base, index) = (instruction.memory_base(), instruction.memory_index());
        if base.is_xmm() || index.is_xmm() || index.is_ymm() {
            return;
        }
        let place = self.place();
        let part = |known: &[Option<u32>; 8], register: Register, scale: u32| match register {
            Register::None => Some(0),
            _ => known[register.full_register().number() & 7].map(|value| value.wrapping_mul(scale)),
        };
        let scale = instruction.memory_index_scale();
        let wide = base.size() == 4 || index.size() == 4;
        if let Some((at, size)) = drawn.displacement
            && let (Some(base), Some(index)) = (part(&self.known, base, 1), part(&self.known, index, scale))
        {
            let value = place.wrapping_sub(base).wrapping_sub(index);
            drawn.bytes[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
            if let Some(again) = decode(self.bits, &drawn.bytes.clone()) {
                drawn.instruction = again.instruction;
            }
            return;
        }
        let number = base.full_register().number();
        if base == Register::None || number == 4 || (self.counting && number == 1) {
            return;
        }
        let displacement = instruction.memory_displacement64() as u32;
        let same = index.full_register() == base.full_register();
        let rest = if same { None } else { part(&self.known, index, scale) };
        let Some(rest) = rest else { return };
        self.set(number, place.wrapping_sub(displacement).wrapping_sub(rest), wide);
    }

    /// Whether a jump has the default operand size. With another it leads into tables where code is flat.
    fn usual_size(&mut self) -> bool {
        let seldom = if self.world.is_flat() { 200 } else { 10 };
        !self.rng.random_ratio(1, seldom)
    }

    fn target(&mut self, at: usize, size: usize, relative: bool) -> Option<Target> {
        let item = self.items.len() + 1 + self.rng.random_range(0..4);
        Some(Target { item, inside: 0, at, size, relative })
    }

    /// A jump forward, conditional or not, of either length.
    fn jump(&mut self) {
        let condition: u8 = self.rng.random_range(0..16);
        let wide = self.usual_size() == (self.bits == 32);
        let (near, short) = match self.rng.random_range(0..10) {
            0 => (vec![0xe9], true),
            1 => (vec![0xe9], false),
            2 => {
                let bytes = [0xe0 + self.rng.random_range(0..4_u8), 0];
                let target = self.target(1, 1, true);
                self.known[1] = None;
                self.items.push(Item { bytes: bytes.to_vec(), target });
                return;
            }
            3..6 => (vec![0x0f, 0x80 | condition], false),
            _ => (vec![0x70 | condition], true),
        };
        let mut bytes =
            if short { vec![if near == [0xe9] { 0xeb } else { near[0] }] } else { self.sized(wide, &near) };
        let (at, size) = (
            bytes.len(),
            if short {
                1
            } else if wide {
                4
            } else {
                2
            },
        );
        bytes.extend(vec![0; size]);
        let target = self.target(at, size, true);
        self.items.push(Item { bytes, target });
    }

    /// `call f; jmp over; f: …; ret; over:`.
    fn call(&mut self) {
        let wide = self.usual_size() == (self.bits == 32);
        let size = if wide { 4 } else { 2 };
        let mut bytes = self.sized(wide, &[0xe8]);
        let at = bytes.len();
        bytes.extend(vec![0; size]);
        let here = self.items.len();
        self.items.push(Item {
            bytes,
            target: Some(Target { item: here + 2, inside: 0, at, size, relative: true }),
        });
        self.items.push(Item { bytes: vec![0xeb, 0], target: None });
        for _ in 0..self.rng.random_range(0..3) {
            self.plain();
        }
        let pops: [&[u8]; 2] = [&[0xc3], &[0xc2, 4, 0]];
        let releases = self.rng.random_ratio(1, 5);
        let ret = self.sized(wide, pops[usize::from(releases)]);
        self.raw(&ret);
        let over = self.items.len();
        self.items[here + 1].target = Some(Target { item: over, inside: 0, at: 1, size: 1, relative: true });
    }

    /// A jump or call by a register, or a return to an address that was pushed.
    fn indirect(&mut self) {
        let wide = self.usual_size() == (self.bits == 32);
        let size = if wide { 4 } else { 2 };
        let register = loop {
            let register = self.rng.random_range(0..8_u8);
            if register != 4 && !(self.counting && register == 1) {
                break register;
            }
        };
        let by_return = self.rng.random_ratio(1, 3);
        let first = if by_return { 0x68 } else { 0xb8 | register };
        let mut bytes = self.sized(wide, &[first]);
        let at = bytes.len();
        bytes.extend(vec![0; size]);
        let target = self.target(at, size, false).map(|target| Target { item: target.item + 1, ..target });
        self.items.push(Item { bytes, target });
        self.known[usize::from(register)] = None;
        let go = match (by_return, self.rng.random_ratio(1, 2)) {
            (true, _) => vec![0xc3],
            (false, true) => vec![0xff, 0xe0 | register],
            (false, false) => vec![0xff, 0xd0 | register],
        };
        let go = self.sized(wide, &go);
        self.raw(&go);
    }

    /// A loop back that CX counts.
    fn counted(&mut self) {
        let count = self.rng.random_range(1..6);
        self.set(1, count, true);
        let start = self.items.len();
        self.counting = true;
        for _ in 0..self.rng.random_range(1..3) {
            self.plain();
        }
        self.counting = false;
        self.known[1] = None;
        let opcode = 0xe0 + self.rng.random_range(0..3_u8);
        let target = Some(Target { item: start, inside: 0, at: 1, size: 1, relative: true });
        self.items.push(Item { bytes: vec![opcode, 0], target });
        self.loops.push((start - 1, self.items.len() - 1));
    }

    /// A data segment register gets another selector.
    fn load_segment(&mut self) {
        let number = [0, 3, 4, 5][self.rng.random_range(0..4)];
        let selector = match self.world {
            World::Linux => u32::from(LINUX_SELECTORS[self.rng.random_range(0..LINUX_SELECTORS.len())]),
            World::Real => (DATA >> 4) as u32 + self.rng.random_range(0..0x400),
            _ => u32::from(SELECTORS[self.rng.random_range(0..SELECTORS.len())]),
        };
        self.set(0, selector, false);
        self.raw(&[0x8e, 0xc0 | number << 3]);
    }

    /// Stores into the immediate of an instruction that comes later, through CS where that can be written.
    fn patch(&mut self) {
        if !self.world.is_flat() && self.world != World::Real {
            return;
        }
        let wide = self.world.is_flat();
        let value: u8 = self.rng.random();
        // mov byte cs:[…], value
        let mut bytes = vec![0x2e, 0xc6, if wide { 0x05 } else { 0x06 }];
        if wide {
            bytes[0] = 0x3e;
        }
        let (at, size) = (bytes.len(), if wide { 4 } else { 2 });
        bytes.extend(vec![0; size]);
        bytes.push(value);
        let patch = self.items.len();
        self.items.push(Item { bytes, target: None });
        for _ in 0..self.rng.random_range(0..3) {
            self.plain();
        }
        let register = 0xb0 | self.rng.random_range(0..8_u8);
        let patched = Item { bytes: vec![register, 0], target: None };
        let item = self.items.len();
        self.items[patch].target = Some(Target { item, inside: 1, at, size, relative: false });
        if !(self.counting && register & 3 == 1) {
            self.known[usize::from(register & 3)] = None;
            self.items.push(patched);
        }
    }

    /// Where a jump from one item to another lands: not in a loop whose count was not loaded.
    fn landing(&self, from: usize, to: usize) -> usize {
        let enters = |(first, last): &&(usize, usize)| from < *first && (*first..=*last).contains(&to);
        self.loops.iter().find(enters).map_or(to, |(first, _)| *first)
    }

    /// Lays the items out; targets beyond the last lead to the end.
    fn encode(&self, start: u64) -> Vec<u8> {
        let mut starts = vec![0];
        for item in &self.items {
            starts.push(starts[starts.len() - 1] + item.bytes.len());
        }
        let mut code = Vec::new();
        for (number, item) in self.items.iter().enumerate() {
            let at = code.len();
            code.extend_from_slice(&item.bytes);
            if let Some(target) = &item.target {
                let to = starts[self.landing(number, target.item).min(self.items.len())] + target.inside;
                let value =
                    if target.relative { (to as i64 - code.len() as i64) as u64 } else { start + to as u64 };
                code[at + target.at..at + target.at + target.size]
                    .copy_from_slice(&value.to_le_bytes()[..target.size]);
            }
        }
        debug_assert!(start + (code.len() as u64) < END);
        code
    }
}
