//! Supervisor code in the upper half that changes the mappings it uses: with windows as without, it sees what the page
//! tables say once it has flushed them.
#[path = "several_cpus/nothing.rs"]
mod nothing;

use gasang_machine::boot::entry;
use nothing::Nothing;
use platform::{GuestRam, ShutdownCause, Stop, Vcpu};
use translator::{ALWAYS_NEW, BtVcpu, Config, TscModel, WindowPolicy};
use x86::control::{CR0_WP, CR4_PGE};
use x86::paging::{PTE_A, PTE_D, PTE_G, PTE_P, PTE_PS, PTE_U, PTE_W};
use x86::reg::{RAX, RBX, RCX, RSP};
use x86::{Gpa, Gva};

const RAM_BYTES: u64 = 16 << 20;
/// All of memory, in large pages.
const DIRECT: u64 = 0xffff_8000_0000_0000;
/// One page, at first [`FRAMES`]`[0]`, and behind it nothing.
const SMALL: Gva = Gva(0xffff_8000_4000_0000);
/// One large page, at first the first of [`LARGE_FRAMES`].
const LARGE: Gva = Gva(0xffff_8000_8000_0000);
const TABLES: u64 = 0x10_0000;
const SMALL_ENTRY: u64 = TABLES + 0x5000;
const LARGE_ENTRY: u64 = TABLES + 0x4000;
const PROGRAM: u64 = 0x11_0000;
const STACK: u64 = 0x12_0000;
const RESULTS: u64 = 0x13_0000;
const FRAMES: [u64; 2] = [0x40_0000, 0x41_0000];
const LARGE_FRAMES: [u64; 2] = [0x80_0000, 0xa0_0000];
/// A page of the large one, and another one.
const DEEP: u64 = 0x12_3000;
const ELSEWHERE: u64 = 0x4000;

const SMALL_RIGHTS: u64 = PTE_P | PTE_W | PTE_G | PTE_A | PTE_D;
const LARGE_RIGHTS: u64 = SMALL_RIGHTS | PTE_PS;

/// Machine code in the making.
#[derive(Default)]
struct Code(Vec<u8>);

impl Code {
    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
    /// `mov register, value`.
    fn load(self, register: usize, value: u64) -> Self {
        self.raw(&[0x48, 0xb8 + register as u8]).raw(&value.to_le_bytes())
    }
    /// A word of memory is kept as the result of this number.
    fn keep(self, address: u64, result: u64) -> Self {
        let code = self.load(RBX, address).raw(&[0x48, 0x8b, 0x03]); // mov rax, [rbx]
        code.load(RCX, DIRECT + RESULTS + 8 * result).raw(&[0x48, 0x89, 0x01]) // mov [rcx], rax
    }
    /// A word of memory gets a value.
    fn put(self, address: u64, value: u64) -> Self {
        self.load(RCX, address).load(RAX, value).raw(&[0x48, 0x89, 0x01]) // mov [rcx], rax
    }
    /// INVLPG.
    fn flush_page(self, address: u64) -> Self {
        self.load(RBX, address).raw(&[0x0f, 0x01, 0x3b])
    }
    /// CR4.PGE off and on.
    fn flush_all(self) -> Self {
        let off = [0x0f, 0x20, 0xe2, 0x81, 0xe2, 0x7f, 0xff, 0xff, 0xff, 0x0f, 0x22, 0xe2];
        self.raw(&off).raw(&[0x81, 0xca, 0x80, 0, 0, 0, 0x0f, 0x22, 0xe2])
    }
    fn halt(self) -> Vec<u8> {
        self.raw(&[0xf4]).0
    }
}

fn put(ram: &GuestRam, address: u64, value: u64) {
    ram.write(Gpa(address), &value.to_le_bytes()).unwrap();
}

fn get(ram: &GuestRam, address: u64) -> u64 {
    let mut bytes = [0; 8];
    ram.read(Gpa(address), &mut bytes).unwrap();
    u64::from_le_bytes(bytes)
}

fn memory(program: &[u8]) -> GuestRam {
    let ram = GuestRam::new(RAM_BYTES).unwrap();
    let link = |table: u64| table | PTE_P | PTE_W;
    put(&ram, TABLES + 8 * 256, link(TABLES + 0x1000));
    for (index, directory) in [TABLES + 0x2000, TABLES + 0x3000, LARGE_ENTRY].into_iter().enumerate() {
        put(&ram, TABLES + 0x1000 + 8 * index as u64, link(directory));
    }
    for region in 0..RAM_BYTES >> 21 {
        put(&ram, TABLES + 0x2000 + 8 * region, region << 21 | LARGE_RIGHTS);
    }
    put(&ram, TABLES + 0x3000, link(SMALL_ENTRY));
    put(&ram, SMALL_ENTRY, FRAMES[0] | SMALL_RIGHTS);
    put(&ram, LARGE_ENTRY, LARGE_FRAMES[0] | LARGE_RIGHTS);
    for (index, frame) in FRAMES.into_iter().enumerate() {
        put(&ram, frame, 0x1111 * (index as u64 + 1));
    }
    for (index, frame) in LARGE_FRAMES.into_iter().enumerate() {
        put(&ram, frame + DEEP, 0x1_0000 * (index as u64 + 1));
    }
    ram.write(Gpa(PROGRAM), program).unwrap();
    ram
}

/// Runs a program interpreted, as new code, and with and without windows; its memory and how it ended must be the same.
fn run(program: &[u8]) -> (GuestRam, Stop) {
    let ways = [
        (true, 0, WindowPolicy::Never),
        (false, ALWAYS_NEW, WindowPolicy::Never),
        (false, 0, WindowPolicy::Never),
        (false, 0, WindowPolicy::Always),
    ];
    let mut ends = ways.map(|(interpret_only, new, windows)| run_with(program, interpret_only, new, windows));
    let [first, rest @ ..] = &mut ends;
    for (ram, stop) in rest {
        assert_eq!(*stop, first.1);
        for result in 0..16 {
            assert_eq!(get(ram, RESULTS + 8 * result), get(&first.0, RESULTS + 8 * result), "{result}");
        }
    }
    let [.., last] = ends;
    last
}

fn run_with(program: &[u8], interpret_only: bool, new_code: u8, windows: WindowPolicy) -> (GuestRam, Stop) {
    let ram = memory(program);
    let tsc = TscModel { frequency_hz: 1_000_000_000, offset: 0 };
    let mut cpu = BtVcpu::new(
        ram.clone(),
        Config {
            code_room: (1 << 20).into(),
            tsc,
            cpu_index: 0,
            cpu_count: 1,
            windows,
            new_code,
            perf_map: false,
            interpret_only,
            timed: false,
        },
    )
    .unwrap();
    let mut state = entry::long_mode(&ram, 0).unwrap();
    (state.rip, state.cr3) = (DIRECT + PROGRAM, TABLES);
    state.cr4 |= CR4_PGE;
    state.cr0 |= CR0_WP;
    state.gpr[RSP] = DIRECT + STACK;
    cpu.restore(&state).unwrap();
    let stop = cpu.run(&Nothing::default());
    let shown = cpu.statistics().iter().find(|row| row.0 == "pages shown in windows").map(|row| row.1);
    assert_eq!(shown > Some(0), windows == WindowPolicy::Always, "{shown:?}");
    (ram, stop)
}

const HALTED: Stop = Stop::Halted { interrupts_enabled: false };

fn results(ram: &GuestRam, count: u64) -> Vec<u64> {
    (0..count).map(|result| get(ram, RESULTS + 8 * result)).collect()
}

#[test]
fn a_page_that_is_flushed_shows_its_new_frame() {
    let code = Code::default().keep(SMALL.0, 0);
    let code =
        code.put(DIRECT + SMALL_ENTRY, FRAMES[1] | SMALL_RIGHTS).flush_page(SMALL.0 + 8).keep(SMALL.0, 1);
    let code = code.put(SMALL.0, 5).keep(DIRECT + FRAMES[1], 2).keep(DIRECT + FRAMES[0], 3);
    let (ram, stop) = run(&code.halt());
    assert_eq!(stop, HALTED);
    assert_eq!(results(&ram, 4), [0x1111, 0x2222, 5, 0x1111]);
}

#[test]
fn a_large_page_goes_as_a_whole() {
    let code = Code::default().keep(LARGE.0 + DEEP, 0);
    let code = code.put(DIRECT + LARGE_ENTRY, LARGE_FRAMES[1] | LARGE_RIGHTS).flush_page(LARGE.0 + ELSEWHERE);
    let (ram, stop) = run(&code.keep(LARGE.0 + DEEP, 1).halt());
    assert_eq!(stop, HALTED);
    assert_eq!(results(&ram, 2), [0x1_0000, 0x2_0000]);
}

#[test]
fn a_flush_of_everything_counts_for_global_pages() {
    let code = Code::default().keep(SMALL.0, 0).keep(LARGE.0 + DEEP, 1);
    let code = code.put(DIRECT + SMALL_ENTRY, FRAMES[1] | SMALL_RIGHTS);
    let code = code.put(DIRECT + LARGE_ENTRY, LARGE_FRAMES[1] | LARGE_RIGHTS).flush_all();
    let (ram, stop) = run(&code.keep(SMALL.0, 2).keep(LARGE.0 + DEEP, 3).halt());
    assert_eq!(stop, HALTED);
    assert_eq!(results(&ram, 4), [0x1111, 0x1_0000, 0x2222, 0x2_0000]);
}

#[test]
fn a_page_that_lost_the_right_to_write_cannot_be_written() {
    for flush in [Code::flush_all as fn(Code) -> Code, |code| code.flush_page(SMALL.0)] {
        let code = Code::default().put(SMALL.0, 7);
        let code = flush(code.put(DIRECT + SMALL_ENTRY, FRAMES[0] | SMALL_RIGHTS & !PTE_W));
        let (ram, stop) = run(&code.put(SMALL.0, 8).halt());
        assert!(matches!(stop, Stop::Shutdown(ShutdownCause::TripleFault { .. })), "{stop:?}");
        assert_eq!(get(&ram, FRAMES[0]), 7);
    }
}

#[test]
fn a_page_that_user_mode_may_touch_is_reached_all_the_same() {
    let code = Code::default().put(DIRECT + TABLES + 8 * 256, (TABLES + 0x1000) | PTE_P | PTE_W | PTE_U);
    let code = code.put(DIRECT + TABLES + 0x1000 + 8, (TABLES + 0x3000) | PTE_P | PTE_W | PTE_U);
    let code = code.put(DIRECT + TABLES + 0x3000, SMALL_ENTRY | PTE_P | PTE_W | PTE_U);
    let code = code.put(DIRECT + SMALL_ENTRY, FRAMES[0] | SMALL_RIGHTS | PTE_U).flush_all();
    let (ram, stop) = run(&code.put(SMALL.0, 9).keep(SMALL.0, 0).keep(SMALL.0, 1).halt());
    assert_eq!(stop, HALTED);
    assert_eq!(results(&ram, 2), [9, 9]);
}

#[test]
fn code_that_is_written_through_a_large_page_runs_as_it_was_written() {
    // At SMALL: mov eax, 1; ret. Then its first instruction's operand becomes 2, by way of the direct map.
    let code = Code::default().put(DIRECT + FRAMES[0], 0xc300_0000_01b8);
    let mut code = code.load(RBX, SMALL.0);
    for result in 0..2 {
        code = code.raw(&[0xff, 0xd3]).load(RCX, DIRECT + RESULTS + 8 * result).raw(&[0x48, 0x89, 0x01]);
        code = code.load(RCX, DIRECT + FRAMES[0] + 1).raw(&[0xc6, 0x01, 0x02]); // mov byte [rcx], 2
    }
    let (ram, stop) = run(&code.halt());
    assert_eq!(stop, HALTED);
    assert_eq!(results(&ram, 2), [1, 2]);
}
