//! Whole machines of real chips, whose engine is a script.
use std::sync::mpsc;

use parking_lot::Mutex;
use platform::{CpuIo, Port, ShutdownCause, Stop};
use tempfile::TempDir;
use x86::{Gpa, msr};

use super::*;
use crate::boot::{BootError, BootFiles, samples};
use crate::scripted::{Scripted, Step, act, stop};

const RAM_BYTES: u64 = 64 << 20;
const HALT: Stop = Stop::Halted { interrupts_enabled: true };
const HALT_FOR_GOOD: Stop = Stop::Halted { interrupts_enabled: false };
/// x2APIC registers: spurious vector, timer entry, end of interrupt (SDM 3A table 11-6).
const X2APIC_SVR: u32 = 0x80f;
const X2APIC_TIMER: u32 = 0x832;
const X2APIC_EOI: u32 = 0x80b;
const TIMER_DEADLINE_MODE: u64 = 2 << 17;
const TIMER_VECTOR: u8 = 0x40;

/// A machine that runs a script, and the directory of its kernel.
struct Rig {
    machine: Machine,
    directory: TempDir,
    console: mpsc::Receiver<Vec<u8>>,
}

impl Rig {
    fn new(steps: Vec<Step>) -> Self {
        Self::with(steps, |_| {})
    }

    fn with(steps: Vec<Step>, choose: impl FnOnce(&mut MachineConfig)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let kernel = samples::file(directory.path(), "kernel", &samples::bzimage());
        let mut config = MachineConfig::new(RAM_BYTES, BootFiles { kernel, ..BootFiles::default() });
        choose(&mut config);
        let (sender, console) = mpsc::channel();
        let output = move |bytes: &[u8]| sender.send(bytes.to_vec()).unwrap();
        let engine: Mutex<Option<Box<dyn Vcpu>>> = Mutex::new(Some(Box::new(Scripted::new(steps))));
        let factory = move |_: EngineSetup| Ok(engine.lock().take().unwrap());
        let machine = Machine::with_engine(&config, Box::new(output), &factory).unwrap();
        Self { machine, directory, console }
    }

    fn outcome(&mut self) -> Outcome {
        self.machine.run().unwrap()
    }

    fn counter(&self, name: &str) -> u64 {
        let rows = &self.machine.statistics()[0];
        rows.iter().find(|(row, _)| *row == name).unwrap().1
    }
}

fn enable_x2apic(io: &dyn CpuIo) {
    let base = io.msr_read(msr::APIC_BASE).unwrap();
    io.msr_write(msr::APIC_BASE, base | 1 << 11).unwrap();
    io.msr_write(msr::APIC_BASE, base | 3 << 10).unwrap();
    io.msr_write(X2APIC_SVR, 0x1ff).unwrap();
}

#[test]
fn a_halted_cpu_sleeps_until_its_timer_and_takes_the_interrupt() {
    let (sender, vectors) = mpsc::channel();
    let mut rig = Rig::new(vec![
        act(|io| {
            enable_x2apic(io);
            io.msr_write(X2APIC_TIMER, TIMER_DEADLINE_MODE | u64::from(TIMER_VECTOR)).unwrap();
            // A few milliseconds of any clock rate, later than now in the guest's time.
            io.msr_write(msr::TSC_DEADLINE, u64::MAX / 4).unwrap();
            assert!(!io.interrupt_pending());
            io.msr_write(msr::TSC_DEADLINE, 1).unwrap();
        }),
        stop(HALT),
        act(move |io| {
            sender.send(io.acknowledge_interrupt()).unwrap();
            io.msr_write(X2APIC_EOI, 0).unwrap();
        }),
        stop(HALT_FOR_GOOD),
    ]);
    assert!(matches!(rig.outcome(), Outcome::HaltedForever { cpu: 0, .. }));
    assert_eq!(vectors.recv(), Ok(Some(TIMER_VECTOR)));
}

#[test]
fn halting_with_interrupts_off_ends_the_machine() {
    let mut rig = Rig::new(vec![stop(HALT_FOR_GOOD)]);
    let rip = samples::BZIMAGE_ADDRESS + 0x200;
    assert_eq!(rig.outcome(), Outcome::HaltedForever { cpu: 0, rip });
    assert_eq!(rig.machine.handle().state(), State::Stopped);
    assert_eq!(rig.counter("halts"), 1);
}

#[test]
fn a_halted_cpu_does_not_ask_the_engine_again_until_it_is_stopped() {
    let mut rig = Rig::new(vec![stop(HALT), act(|_| panic!("ran while halted"))]);
    let handle = rig.machine.handle();
    let stopper = std::thread::spawn(move || {
        while handle.statistics().first().is_none_or(|rows| !rows.contains(&("halts", 1))) {
            std::thread::yield_now();
        }
        handle.stop();
    });
    assert_eq!(rig.outcome(), Outcome::Stopped);
    stopper.join().unwrap();
    assert_eq!(rig.counter("steps_left"), 1);
}

#[test]
fn a_running_cpu_is_stopped() {
    let mut rig = Rig::new(vec![]);
    let handle = rig.machine.handle();
    let stopper = std::thread::spawn(move || {
        while handle.state() != State::Running {
            std::thread::yield_now();
        }
        handle.stop();
    });
    assert_eq!(rig.outcome(), Outcome::Stopped);
    stopper.join().unwrap();
}

#[test]
fn a_stop_before_the_start_is_kept() {
    let mut rig = Rig::new(vec![act(|_| panic!("ran"))]);
    rig.machine.handle().stop();
    assert_eq!(rig.outcome(), Outcome::Stopped);
}

#[test]
fn shutdowns_are_outcomes() {
    let cause = ShutdownCause::TripleFault { rip: 0x1234, vector: 13 };
    let mut rig = Rig::new(vec![stop(Stop::Shutdown(cause))]);
    assert_eq!(rig.outcome(), Outcome::TripleFault { cpu: 0, rip: 0x1234, vector: 13 });
    let mut rig = Rig::new(vec![stop(Stop::Shutdown(ShutdownCause::EngineError { rip: 5 }))]);
    assert_eq!(rig.outcome(), Outcome::EngineError { cpu: 0, rip: 5 });
}

#[test]
fn a_reset_by_the_user_starts_again_with_fresh_ram_and_kernel() {
    const ELSEWHERE: u64 = 0x30_0000;
    let slot: Arc<Mutex<Option<(GuestRam, MachineHandle)>>> = Arc::default();
    let (first, second) = (Arc::clone(&slot), Arc::clone(&slot));
    let (sender, seen) = mpsc::channel();
    let mut rig = Rig::new(vec![
        act(move |io| {
            let (ram, handle) = first.lock().clone().unwrap();
            ram.write(Gpa(samples::BZIMAGE_ADDRESS), b"overwritten").unwrap();
            ram.write(Gpa(ELSEWHERE), b"left behind").unwrap();
            io.port_write(Port(0x21), &[0x5a]);
            handle.reset();
        }),
        act(move |io| {
            let (ram, _) = second.lock().clone().unwrap();
            let (mut kernel, mut elsewhere, mut mask) = ([0; 1], [0xcc; 11], [0]);
            ram.read(Gpa(samples::BZIMAGE_ADDRESS), &mut kernel).unwrap();
            ram.read(Gpa(ELSEWHERE), &mut elsewhere).unwrap();
            io.port_read(Port(0x21), &mut mask);
            sender.send((kernel[0], elsewhere, mask[0])).unwrap();
        }),
        stop(HALT_FOR_GOOD),
    ]);
    *slot.lock() = Some((rig.machine.ram.clone(), rig.machine.handle()));
    assert!(matches!(rig.outcome(), Outcome::HaltedForever { .. }));
    let (kernel, elsewhere, mask) = seen.recv().unwrap();
    assert_eq!((kernel, elsewhere), (samples::BZIMAGE_CODE[0], [0; 11]));
    assert_ne!(mask, 0x5a, "the interrupt controller kept its mask");
}

#[test]
fn a_kernel_that_vanished_before_a_reset_is_an_error() {
    let mut rig = Rig::new(vec![]);
    std::fs::write(rig.directory.path().join("kernel"), b"").unwrap();
    let handle = rig.machine.handle();
    let resetter = std::thread::spawn(move || {
        while handle.state() != State::Running {
            std::thread::yield_now();
        }
        handle.reset();
    });
    let error = rig.machine.run().unwrap_err();
    assert!(matches!(error, MachineError::Boot(BootError::Read { .. })), "{error}");
    resetter.join().unwrap();
    assert_eq!(rig.machine.handle().state(), State::Stopped);
}

#[test]
fn a_dying_cpu_thread_ends_the_machine_with_an_error() {
    let mut rig = Rig::new(vec![act(|_| panic!("on purpose, by this test"))]);
    assert!(matches!(rig.machine.run(), Err(MachineError::CpuDied(0))));
}

#[test]
fn a_machine_runs_once() {
    let mut rig = Rig::new(vec![stop(HALT_FOR_GOOD)]);
    rig.outcome();
    assert!(matches!(rig.machine.run(), Err(MachineError::Over)));
    assert!(rig.machine.handle().statistics().is_empty());
}

#[test]
fn the_console_carries_everything_before_the_end_is_known() {
    let mut rig = Rig::new(vec![
        act(|io| b"hello\n".iter().for_each(|byte| io.port_write(Port(0x3f8), &[*byte]))),
        stop(HALT_FOR_GOOD),
    ]);
    rig.outcome();
    let said: Vec<u8> = rig.console.try_iter().flatten().collect();
    assert_eq!(said, b"hello\n");
}

#[test]
fn typed_bytes_reach_the_guest_as_fast_as_it_reads() {
    let typed: Vec<u8> = (0..10_000).map(|n| (n % 251) as u8).collect();
    let expected = typed.clone();
    let mut rig = Rig::new(vec![
        act(move |io| {
            // FIFOs on, then read by polling.
            io.port_write(Port(0x3fa), &[1]);
            for expected in &expected {
                let mut status = [0];
                while status[0] & 1 == 0 {
                    io.port_read(Port(0x3fd), &mut status);
                }
                let mut byte = [0];
                io.port_read(Port(0x3f8), &mut byte);
                assert_eq!(byte[0], *expected);
            }
        }),
        stop(HALT_FOR_GOOD),
    ]);
    let handle = rig.machine.handle();
    let typist = std::thread::spawn(move || (handle.feed(&typed), handle));
    assert!(matches!(rig.outcome(), Outcome::HaltedForever { .. }));
    let (all, handle) = typist.join().unwrap();
    assert!(all);
    assert!(!handle.feed(b"too late"));
}

#[test]
fn a_dropped_machine_leaves_nothing_behind_its_handle() {
    let rig = Rig::new(vec![]);
    let handle = rig.machine.handle();
    assert!(handle.serial.upgrade().is_some());
    drop(rig);
    assert!(handle.serial.upgrade().is_none());
    assert!(!handle.feed(b"x"));
    handle.stop();
}

#[test]
fn acpi_soft_off_ends_the_machine_before_the_next_instruction() {
    let mut rig = Rig::new(vec![
        // SLP_EN with the sleep type of the DSDT.
        act(|io| io.port_write(Port(0x604), &(1_u16 << 13).to_le_bytes())),
        act(|_| panic!("ran without power")),
    ]);
    assert_eq!(rig.outcome(), Outcome::PowerOff);
    assert_eq!(rig.counter("steps_left"), 1);
}

#[test]
fn guests_reset_themselves_by_port() {
    for (port, value) in [(0xcf9, 0x06), (0x92, 0x03), (0x64, 0xfe)] {
        let mut rig = Rig::new(vec![
            act(move |io| io.port_write(Port(port), &[value])),
            act(move |io| {
                let mut data = [0];
                io.port_read(Port(port), &mut data);
                assert_ne!(data[0], value, "the chip was not reset");
            }),
            stop(HALT_FOR_GOOD),
        ]);
        assert!(matches!(rig.outcome(), Outcome::HaltedForever { .. }), "port {port:#x}");
        assert_eq!(rig.counter("steps_left"), 0);
    }
}

#[test]
fn debug_exit_gives_its_code() {
    let steps = vec![act(|io| io.port_write(Port(0xf4), &[3])), stop(HALT)];
    let mut rig = Rig::with(steps, |config| config.debug_exit = Some(0xf4));
    assert_eq!(rig.outcome(), Outcome::DebugExit(7));
}

#[test]
fn a_debug_exit_port_that_is_taken_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let kernel = samples::file(directory.path(), "kernel", &samples::bzimage());
    let mut config = MachineConfig::new(RAM_BYTES, BootFiles { kernel, ..BootFiles::default() });
    config.debug_exit = Some(0x3f6);
    let factory = |_: EngineSetup| Ok(Box::new(Scripted::new(vec![])) as Box<dyn Vcpu>);
    let error = Machine::with_engine(&config, Box::new(|_: &[u8]| {}), &factory).err().unwrap();
    let taken = crate::config::ConfigError::DebugExitTaken(0x3f6);
    assert!(matches!(error, MachineError::Config(error) if error == taken), "{error}");
}

#[test]
fn the_debug_console_speaks_when_wanted_only() {
    let say = || vec![act(|io| io.port_write(Port(0xe9), b"!")), stop(HALT_FOR_GOOD)];
    for (wanted, said) in [(true, &b"!"[..]), (false, b"")] {
        let mut rig = Rig::with(say(), |config| config.debug_console = wanted);
        rig.outcome();
        assert_eq!(rig.console.try_iter().flatten().collect::<Vec<_>>(), said);
    }
}

#[test]
fn the_timer_chip_interrupts_through_the_io_apic() {
    let (sender, vectors) = mpsc::channel();
    let mut rig = Rig::new(vec![
        act(|io| {
            enable_x2apic(io);
            // Input 2 of the I/O APIC, edge, to CPU 0.
            for (register, value) in [(0x15_u32, 0_u32), (0x14, TIMER_VECTOR.into())] {
                io.mmio_write(Gpa(0xfec0_0000), &register.to_le_bytes());
                io.mmio_write(Gpa(0xfec0_0010), &value.to_le_bytes());
            }
            // Channel 0, both bytes, rate generator, about 1 kHz.
            for (port, value) in [(0x43, 0x34), (0x40, 0xa9), (0x40, 0x04)] {
                io.port_write(Port(port), &[value]);
            }
        }),
        stop(HALT),
        act(move |io| sender.send(io.acknowledge_interrupt()).unwrap()),
        stop(HALT_FOR_GOOD),
    ]);
    assert!(matches!(rig.outcome(), Outcome::HaltedForever { .. }));
    assert_eq!(vectors.recv(), Ok(Some(TIMER_VECTOR)));
}

#[test]
fn the_power_button_interrupts_a_guest_that_listens() {
    let mut rig = Rig::new(vec![
        act(|io| {
            enable_x2apic(io);
            // Input 9, level, and the button's enable.
            for (register, value) in [(0x23_u32, 0_u32), (0x22, 1 << 15 | u32::from(TIMER_VECTOR))] {
                io.mmio_write(Gpa(0xfec0_0000), &register.to_le_bytes());
                io.mmio_write(Gpa(0xfec0_0010), &value.to_le_bytes());
            }
            io.port_write(Port(0x602), &(1_u16 << 8).to_le_bytes());
        }),
        stop(HALT),
        act(|io| {
            assert_eq!(io.acknowledge_interrupt(), Some(TIMER_VECTOR));
            io.port_write(Port(0x604), &(1_u16 << 13).to_le_bytes());
        }),
    ]);
    let handle = rig.machine.handle();
    let presser = std::thread::spawn(move || {
        while handle.statistics().first().is_none_or(|rows| !rows.contains(&("halts", 1))) {
            std::thread::yield_now();
        }
        handle.press_power_button();
    });
    assert_eq!(rig.outcome(), Outcome::PowerOff);
    presser.join().unwrap();
}

#[test]
fn the_hpet_is_what_its_table_says() {
    let mut rig = Rig::new(vec![
        act(|io| {
            let mut data = [0; 4];
            io.mmio_read(Gpa(0xfed0_0000), &mut data);
            let table = crate::acpi::timers::hpet();
            assert_eq!(data, table[36..40]);
        }),
        stop(HALT_FOR_GOOD),
    ]);
    assert!(matches!(rig.outcome(), Outcome::HaltedForever { .. }));
}

#[test]
fn the_real_time_clock_shows_the_hosts_year() {
    let (sender, centuries) = mpsc::channel();
    let mut rig = Rig::new(vec![
        act(move |io| {
            let mut data = [0];
            io.port_write(Port(0x70), &[0x32]);
            io.port_read(Port(0x71), &mut data);
            sender.send(data[0]).unwrap();
        }),
        stop(HALT_FOR_GOOD),
    ]);
    rig.outcome();
    assert_eq!(centuries.recv(), Ok(0x20));
}

/// Reads a dword of configuration space by port and by ECAM.
fn config_dword(io: &dyn CpuIo, slot: u32, register: u32) -> [u32; 2] {
    let (mut by_port, mut by_ecam) = ([0; 4], [0; 4]);
    io.port_write(Port(0xcf8), &(1 << 31 | slot << 11 | register).to_le_bytes());
    io.port_read(Port(0xcfc), &mut by_port);
    io.mmio_read(Gpa(0xe000_0000 + u64::from(slot << 15 | register)), &mut by_ecam);
    [u32::from_le_bytes(by_port), u32::from_le_bytes(by_ecam)]
}

#[test]
fn pci_functions_are_in_their_slots_both_ways() {
    let mut rig = Rig::new(vec![
        act(|io| {
            for (slot, id) in [(0, 0x29c0_8086), (1, 0x1044_1af4), (31, 0x2918_8086), (2, 0xffff_ffff)] {
                assert_eq!(config_dword(io, slot, 0), [id, id], "slot {slot}");
            }
        }),
        stop(HALT_FOR_GOOD),
    ]);
    assert!(matches!(rig.outcome(), Outcome::HaltedForever { .. }));
}

#[test]
fn a_bar_in_the_pci_window_answers_there_until_the_reset() {
    const BAR: u32 = 0x10;
    let present = |io: &dyn CpuIo| {
        let mut data = [0; 4];
        io.mmio_read(Gpa(0xc000_0000), &mut data);
        data != [0xff; 4]
    };
    let mut rig = Rig::new(vec![
        act(move |io| {
            let ecam = |register: u32| Gpa(0xe000_0000 + u64::from(1_u32 << 15 | register));
            assert!(!present(io));
            let memory_bar = (0..6).map(|bar| BAR + bar * 4).find(|register| {
                io.mmio_write(ecam(*register), &[0xff; 4]);
                !matches!(config_dword(io, 1, *register)[1], 0 | 0xffff_ffff)
            });
            io.mmio_write(ecam(memory_bar.unwrap()), &0xc000_0000_u32.to_le_bytes());
            if config_dword(io, 1, memory_bar.unwrap())[1] & 6 == 4 {
                io.mmio_write(ecam(memory_bar.unwrap() + 4), &[0; 4]);
            }
            io.mmio_write(ecam(4), &[2, 0]);
            assert!(present(io));
            io.port_write(Port(0xcf9), &[6]);
        }),
        act(move |io| assert!(!present(io), "the window outlived the reset")),
        stop(HALT_FOR_GOOD),
    ]);
    assert!(matches!(rig.outcome(), Outcome::HaltedForever { .. }));
}

#[test]
fn time_stands_while_the_machine_does() {
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(600);
    // Of the power-management timer (ACPI 6.5 §4.8.2.1).
    const TICKS_A_SECOND: u64 = 3_579_545;
    let (sender, times) = mpsc::channel();
    let (pause, paused) = mpsc::channel();
    let later = sender.clone();
    let read = |io: &dyn CpuIo| {
        let mut data = [0; 4];
        io.port_read(Port(crate::board::port::PM_TIMER), &mut data);
        u32::from_le_bytes(data)
    };
    let mut rig = Rig::new(vec![
        act(move |io| sender.send(read(io)).unwrap()),
        act(move |_| paused.recv().unwrap()),
        act(move |io| later.send(read(io)).unwrap()),
        stop(HALT_FOR_GOOD),
    ]);
    let shared = rig.machine.handle().shared;
    let before = shared.standstill.tsc_offset();
    let other = std::thread::spawn(move || {
        let start = times.recv().unwrap();
        shared.pause_all();
        pause.send(()).unwrap();
        std::thread::sleep(PAUSE);
        shared.resume_all();
        (start, times.recv().unwrap(), before.wrapping_sub(shared.standstill.tsc_offset()))
    });
    assert!(matches!(rig.outcome(), Outcome::HaltedForever { .. }));
    let (start, end, lost_ticks) = other.join().unwrap();
    let passed_ms = u64::from(end.wrapping_sub(start)) * 1000 / TICKS_A_SECOND;
    assert!(passed_ms < 300, "{passed_ms} ms");
    assert!(lost_ticks > 0);
}
