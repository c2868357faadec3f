//! Programs of a few instructions, one for each CPU, in 64-bit mode over identity-mapped memory.
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gasang_machine::boot::entry;
use platform::{Attention, GuestRam, Stop, Vcpu};
use translator::{ALWAYS_NEW, BtVcpu, CodeCache, Config, TscModel, WindowPolicy};
use x86::{Gpa, reg};

pub use super::nothing::Nothing;

/// Where the program of the first CPU lies; each has 64 KiB.
pub const PROGRAMS: u64 = 0x10_0000;
/// Where stacks end; each has a page.
const STACKS: u64 = 0x20_0000;
/// The counter by which programs wait for one another.
pub const BARRIER: u64 = 0x30_0000;
/// For whatever a test wants, zero at first.
pub const CELLS: u64 = 0x31_0000;
/// One slot of [`SLOT`] bytes for each round.
pub const SLOTS: u64 = 0x40_0000;
/// Bytes of a slot.
pub const SLOT: u64 = 256;
const RAM_BYTES: u64 = 16 << 20;
/// After this a guest has hung.
const PATIENCE: Duration = Duration::from_secs(100);

/// Who executes the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The binary translator, each CPU with room of its own for code.
    Translator,
    /// The same with one room for all.
    Sharing,
    /// The same, with code translated once it has run twice.
    Young,
    /// Its interpreter of new code, which never grows old.
    Light,
    /// Its interpreter alone.
    Interpreter,
}

/// Room for translated code.
pub const CODE_BYTES: usize = 1 << 20;

/// All, with the rounds that each gets done soon.
pub const ENGINES: [(Engine, u32); 5] = [
    (Engine::Translator, 3000),
    (Engine::Sharing, 3000),
    (Engine::Young, 3000),
    (Engine::Light, 500),
    (Engine::Interpreter, 500),
];

/// Machine code in the making.
#[derive(Default)]
pub struct Code(Vec<u8>);

impl Code {
    /// Any bytes.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }
    /// `mov register, value`, for the first eight registers.
    pub fn load(&mut self, register: usize, value: u64) -> &mut Self {
        self.raw(&[0x48, 0xb8 + register as u8]).raw(&value.to_le_bytes())
    }
    /// Where the next byte goes.
    pub fn here(&self) -> usize {
        self.0.len()
    }
    /// A jump with 32 bits of displacement, whose opcode is given, back to a place.
    pub fn back(&mut self, opcode: &[u8], to: usize) -> &mut Self {
        self.raw(opcode);
        let distance = to as i32 - (self.here() as i32 + 4);
        self.raw(&distance.to_le_bytes())
    }
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A program that does `body` once a round, all CPUs at about the same time. RBX points to the round's slot, ESI counts
/// rounds down; RDI, RCX and RDX are taken.
pub fn rounds(index: u32, cpus: u32, count: u32, body: &[u8]) -> Vec<u8> {
    let mut code = Code::default();
    code.load(reg::RBX, SLOTS).load(reg::RDI, BARRIER).load(reg::RSI, u64::from(count));
    code.raw(&[0x31, 0xc9]); // xor ecx, ecx
    let start = code.here();
    code.raw(&[0x83, 0xc1, cpus as u8]); // add ecx, cpus
    code.raw(&[0xf0, 0xff, 0x07]); // lock inc dword [rdi]
    code.raw(&[0x39, 0x0f, 0x73, 0x04, 0xf3, 0x90, 0xeb, 0xf8]); // cmp [rdi], ecx; jae +4; pause; jmp -8
    // A little delay that is different in each round and for each CPU.
    let mask = [0x0f, 0x15, 0x1a, 0x07][index as usize & 3];
    code.raw(&[0x8b, 0xd6, 0x83, 0xe2, mask, 0xff, 0xca, 0x7f, 0xfc]); // mov edx, esi; and edx; dec edx; jg -4
    code.raw(body);
    code.raw(&[0x48, 0x81, 0xc3]).raw(&(SLOT as u32).to_le_bytes()); // add rbx, SLOT
    code.raw(&[0xff, 0xce]).back(&[0x0f, 0x85], start); // dec esi; jnz
    code.raw(&[0xf4]); // hlt
    code.bytes().to_vec()
}

/// Runs one program a CPU until all have halted; returns the memory.
pub fn run(engine: Engine, programs: &[Vec<u8>], prepare: impl FnOnce(&GuestRam)) -> GuestRam {
    let ram = GuestRam::new(RAM_BYTES).unwrap();
    prepare(&ram);
    let io = Arc::new(Nothing::default());
    let mut threads = Vec::new();
    let code = Arc::new(CodeCache::new(&ram, CODE_BYTES).unwrap());
    for (index, program) in programs.iter().enumerate() {
        threads.push((cpu(engine, &ram, &code, index, programs.len(), program), Arc::clone(&io)));
    }
    let attentions: Vec<_> = threads.iter().map(|(cpu, _)| cpu.attention()).collect();
    let running: Vec<_> = threads
        .into_iter()
        .map(|(mut cpu, io)| std::thread::spawn(move || (cpu.run(&*io), cpu.save().rip)))
        .collect();
    watch(&running, &io, &attentions);
    for thread in running {
        let (stop, rip) = thread.join().unwrap();
        assert_eq!(stop, Stop::Halted { interrupts_enabled: false }, "at {rip:#x}");
    }
    ram
}

/// A CPU before its program, which is put into memory.
pub fn cpu(
    engine: Engine,
    ram: &GuestRam,
    code: &Arc<CodeCache>,
    index: usize,
    cpus: usize,
    program: &[u8],
) -> BtVcpu {
    let at = PROGRAMS + index as u64 * 0x1_0000;
    ram.write(Gpa(at), program).unwrap();
    let config = Config {
        code_room: CODE_BYTES.into(),
        tsc: TscModel { frequency_hz: 1_000_000_000, offset: 0 },
        cpu_index: index as u32,
        cpu_count: cpus as u32,
        windows: WindowPolicy::Never,
        new_code: match engine {
            Engine::Young => 2,
            Engine::Light => ALWAYS_NEW,
            _ => 0,
        },
        perf_map: false,
        interpret_only: engine == Engine::Interpreter,
        timed: false,
    };
    let mut cpu = match engine {
        Engine::Sharing | Engine::Young => BtVcpu::sharing(ram.clone(), config, Arc::clone(code)).unwrap(),
        _ => BtVcpu::new(ram.clone(), config).unwrap(),
    };
    let mut state = entry::long_mode(ram, at).unwrap();
    state.gpr[reg::RSP] = STACKS + (index as u64 + 1) * 0x1000;
    cpu.restore(&state).unwrap();
    cpu
}

fn watch<T>(running: &[std::thread::JoinHandle<T>], io: &Nothing, attentions: &[Arc<dyn Attention>]) {
    let start = Instant::now();
    while !running.iter().all(|thread| thread.is_finished()) {
        std::thread::sleep(Duration::from_millis(1));
        if start.elapsed() > PATIENCE {
            io.stop.store(true, Ordering::SeqCst);
            attentions.iter().for_each(|attention| attention.raise());
        }
    }
}

/// A 32-bit word of memory.
pub fn word(ram: &GuestRam, address: u64) -> u32 {
    let mut bytes = [0; 4];
    ram.read(Gpa(address), &mut bytes).unwrap();
    u32::from_le_bytes(bytes)
}
