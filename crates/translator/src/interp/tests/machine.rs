//! A machine of a few pages: identity-mapped long mode, flat protected mode or real mode, and a log of device accesses.
use std::sync::Mutex;

use platform::{CpuIo, GuestRam, Port};
use x86::control::*;
use x86::segment::{CS, SS, Segment};
use x86::state::TableRegister;
use x86::{CpuState, Exception, Gpa, exception};

use crate::cpu::Cpu;
use crate::cpuid::CpuidModel;
use crate::interp::{Env, Interpreter, InterruptKind, Step, TripleFault};
use crate::mmu::Mmu;
use crate::{Config, TscModel};

/// Where programs lie.
pub const CODE: u64 = 0x10000;
/// Top of the kernel's stack.
pub const STACK: u64 = 0x20000;
/// Free for data.
pub const DATA: u64 = 0x30000;
/// The global descriptor table.
pub const GDT: u64 = 0x4000;
/// The interrupt descriptor table.
pub const IDT: u64 = 0x5000;
/// The task-state segment.
pub const TSS: u64 = 0x6000;
/// Page tables of long mode: identity, 2 MiB pages for the first GiB.
pub const PML4: u64 = 0x7000;
/// Where handlers of all vectors begin, 16 bytes each: `hlt`.
pub const HANDLERS: u64 = 0x18000;
const RAM: u64 = 16 << 20;

pub const KERNEL_CODE: u16 = 0x08;
pub const KERNEL_DATA: u16 = 0x10;

pub const USER_DATA: u16 = 0x23;
pub const USER_CODE: u16 = 0x2b;
pub const TASK: u16 = 0x30;

/// Remembers port and MMIO writes; reads return a pattern.
#[derive(Default)]
pub struct Devices {
    pub log: Mutex<Vec<(u64, Vec<u8>)>>,
    /// IA32_APIC_BASE, if there is one.
    pub apic_base: Option<u64>,
}

impl CpuIo for Devices {
    fn port_read(&self, port: Port, data: &mut [u8]) {
        data.fill(port.0 as u8);
    }
    fn port_write(&self, port: Port, data: &[u8]) {
        self.log.lock().unwrap().push((u64::from(port.0), data.to_vec()));
    }
    fn mmio_read(&self, address: Gpa, data: &mut [u8]) {
        for (index, byte) in data.iter_mut().enumerate() {
            *byte = address.0 as u8 + index as u8;
        }
    }
    fn mmio_write(&self, address: Gpa, data: &[u8]) {
        self.log.lock().unwrap().push((address.0, data.to_vec()));
    }
    fn msr_read(&self, number: u32) -> Option<u64> {
        self.apic_base.filter(|_| number == x86::msr::APIC_BASE)
    }
    fn msr_write(&self, _: u32, _: u64) -> Option<()> {
        None
    }
    fn task_priority(&self) -> u8 {
        0
    }
    fn set_task_priority(&self, _: u8) {}
    fn interrupt_pending(&self) -> bool {
        false
    }
    fn acknowledge_interrupt(&self) -> Option<u8> {
        None
    }
    fn take_nmi(&self) -> bool {
        false
    }
    fn stop_requested(&self) -> bool {
        false
    }
}

/// The machine.
pub struct Machine {
    pub cpu: Box<Cpu>,
    pub mmu: Mmu,
    pub ram: GuestRam,
    pub devices: Devices,
    pub interpreter: Interpreter,
}

/// A flat descriptor: access byte and flags nibble.
pub const fn flat(access: u64, nibble: u64) -> u64 {
    0x000f_0000_0000_ffff | access << 40 | nibble << 52
}

impl Machine {
    /// In real mode, CS:IP at [`CODE`].
    pub fn real(code: &[u8]) -> Self {
        let ram = GuestRam::new(RAM).unwrap();
        let config = Config {
            windows: crate::WindowPolicy::Never,
            code_room: (1 << 20).into(),
            tsc: TscModel { frequency_hz: 1_000_000_000, offset: 0 },
            cpu_index: 0,
            cpu_count: 1,
            interpret_only: true,
            new_code: 0,
            perf_map: false,
            timed: false,
        };
        let model = CpuidModel::new(&config);
        let mmu = Mmu::new(ram.clone(), model.physical_bits(), crate::WindowPolicy::Never).unwrap();
        let interpreter = Interpreter::new(model, &config).unwrap();
        let mut cpu = zeroed_cpu();
        crate::save::restore(&mut cpu, &CpuState::default()).unwrap();
        cpu.segments[CS] = Segment { selector: (CODE >> 4) as u16, base: CODE, ..cpu.segments[CS] };
        cpu.rip = 0;
        cpu.gpr[4] = 0x8000;
        let mut machine = Self { cpu, mmu, ram, devices: Devices::default(), interpreter };
        machine.put(CODE, code);
        machine
    }
    /// In ring 0 of 64-bit mode with tables for exceptions and ring 3.
    pub fn long(code: &[u8]) -> Self {
        let mut machine = Self::real(code);
        machine.build_tables();
        let cpu = &mut machine.cpu;
        cpu.cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_WP | CR0_MP;
        cpu.cr3 = PML4;
        cpu.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE;
        cpu.xcr0 = 7;
        cpu.efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
        cpu.segments = [Segment::from_descriptor(KERNEL_DATA, flat(0x93, 0xc)); 6];
        cpu.segments[CS] = Segment::from_descriptor(KERNEL_CODE, flat(0x9b, 0xa));
        cpu.gdtr = TableRegister { base: GDT, limit: 0x7f };
        cpu.idtr = TableRegister { base: IDT, limit: 0xfff };
        cpu.tr = Segment { base: TSS, limit: 0x67, attributes: 0x8b, selector: TASK };
        cpu.rip = CODE;
        cpu.gpr[4] = STACK;
        machine
    }
    /// In ring 3 of 64-bit mode.
    pub fn user(code: &[u8]) -> Self {
        let mut machine = Self::long(code);
        machine.cpu.segments[CS] = Segment::from_descriptor(USER_CODE, flat(0xfb, 0xa));
        machine.cpu.segments[SS] = Segment::from_descriptor(USER_DATA, flat(0xf3, 0xc));
        machine.cpu.gpr[4] = STACK - 0x1000;
        machine
    }
    /// In ring 0 of 32-bit protected mode without paging; gates are 32-bit interrupt gates.
    pub fn protected(code: &[u8]) -> Self {
        let mut machine = Self::long(code);
        let cpu = &mut machine.cpu;
        cpu.cr0 = CR0_PE | CR0_ET | CR0_NE;
        cpu.cr4 = CR4_OSFXSR;
        cpu.efer = 0;
        cpu.idtr.limit = 0x7ff;
        cpu.segments[CS] = Segment::from_descriptor(KERNEL_CODE, flat(0x9b, 0xc));
        machine.put_u64(GDT + u64::from(KERNEL_CODE), flat(0x9b, 0xc));
        machine.put_u64(GDT + u64::from(TASK), 0x0000_8b00_0000_0067 | TSS << 16);
        for vector in 0..256_u64 {
            let offset = HANDLERS + 16 * vector;
            let gate = offset & 0xffff | u64::from(KERNEL_CODE) << 16 | 0x8e << 40 | (offset >> 16) << 48;
            machine.put_u64(IDT + 8 * vector, gate);
        }
        machine.put(TSS + 4, &(STACK as u32).to_le_bytes());
        machine.put(TSS + 8, &u32::from(KERNEL_DATA).to_le_bytes());
        machine
    }

    fn build_tables(&mut self) {
        let descriptors = [
            0,
            flat(0x9b, 0xa),
            flat(0x93, 0xc),
            flat(0xfb, 0xc),
            flat(0xf3, 0xc),
            flat(0xfb, 0xa),
            0x0000_8b00_0000_0067 | (TSS & 0xffff) << 16,
            0,
        ];
        for (index, descriptor) in descriptors.into_iter().enumerate() {
            self.put_u64(GDT + 8 * index as u64, descriptor);
        }
        for vector in 0..=255 {
            self.set_gate(vector, 0x8e, 0);
            self.put(HANDLERS + 16 * u64::from(vector), &[0xf4]);
        }
        self.put_u64(TSS + 4, STACK);
        self.put(TSS + 0x66, &0x68_u16.to_le_bytes());
        self.put_u64(TSS + 36, STACK + 0x8000);
        self.put_u64(PML4, (PML4 + 0x1000) | 7);
        self.put_u64(PML4 + 0x1000, (PML4 + 0x2000) | 7);
        for page in 0..512 {
            self.put_u64(PML4 + 0x2000 + 8 * page, page << 21 | 0x87);
        }
    }
    /// A 64-bit gate to the vector's handler.
    pub fn set_gate(&mut self, vector: u8, kind: u64, stack_index: u64) {
        let offset = HANDLERS + 16 * u64::from(vector);
        let low = offset & 0xffff
            | u64::from(KERNEL_CODE) << 16
            | stack_index << 32
            | kind << 40
            | (offset >> 16 & 0xffff) << 48;
        self.put_u64(IDT + 16 * u64::from(vector), low);
        self.put_u64(IDT + 16 * u64::from(vector) + 8, offset >> 32);
    }

    pub fn put(&mut self, gpa: u64, bytes: &[u8]) {
        self.ram.write(Gpa(gpa), bytes).unwrap();
    }
    pub fn put_u64(&mut self, gpa: u64, value: u64) {
        self.put(gpa, &value.to_le_bytes());
    }
    pub fn get(&self, gpa: u64) -> u64 {
        let mut data = [0; 8];
        self.ram.read(Gpa(gpa), &mut data).unwrap();
        u64::from_le_bytes(data)
    }
    /// Maps the 4 KiB page at `address` (below 2 MiB) with the given entry instead of the large page.
    pub fn map_small(&mut self, address: u64, entry: u64) {
        let table = PML4 + 0x3000;
        for page in 0..512_u64 {
            if self.get(table + 8 * page) == 0 {
                self.put_u64(table + 8 * page, page << 12 | 7);
            }
        }
        self.put_u64(table + 8 * (address >> 12), entry);
        self.put_u64(PML4 + 0x2000, table | 7);
        self.mmu.flush_all();
    }

    pub fn step(&mut self) -> Result<Step, Exception> {
        let mut env = Env { cpu: &mut self.cpu, mmu: &mut self.mmu, io: &self.devices };
        self.interpreter.step(&mut env)
    }
    pub fn deliver(&mut self, exception: Exception) -> Result<(), TripleFault> {
        let mut env = Env { cpu: &mut self.cpu, mmu: &mut self.mmu, io: &self.devices };
        self.interpreter.deliver_exception(&mut env, exception)
    }
    pub fn interrupt(&mut self, vector: u8) -> Result<(), TripleFault> {
        let mut env = Env { cpu: &mut self.cpu, mmu: &mut self.mmu, io: &self.devices };
        self.interpreter.deliver_interrupt(&mut env, vector, InterruptKind::External)
    }
    /// Steps, delivering exceptions, until HLT; panics after too many steps or a shutdown.
    pub fn run(&mut self) {
        for _ in 0..100_000 {
            match self.step() {
                Ok(Step::Next) => {}
                Ok(Step::Halt) => return,
                Err(exception) => self.deliver(exception).unwrap(),
            }
        }
        panic!("no HLT; rip is {:#x}", self.cpu.rip);
    }
    /// Steps that must all succeed.
    pub fn steps(&mut self, count: usize) {
        for number in 0..count {
            let outcome = self.step();
            assert!(outcome.is_ok(), "step {number} at {:#x}: {outcome:?}", self.cpu.rip);
        }
    }
    /// The vector whose handler halted.
    pub fn halted_vector(&self) -> u64 {
        (self.cpu.rip - 1 - HANDLERS) / 16
    }
}

/// `#PF` and `#GP` in short.
pub fn gp(code: u32) -> Exception {
    Exception::general_protection(code)
}
pub fn ud() -> Exception {
    Exception::plain(exception::vector::UD)
}

#[expect(unsafe_code, reason = "a register file is plain data of which all zeroes are valid")]
fn zeroed_cpu() -> Box<Cpu> {
    // SAFETY: every field of `Cpu` is an integer, an array of integers or a structure of such.
    unsafe { Box::<Cpu>::new_zeroed().assume_init() }
}
