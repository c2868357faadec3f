//! One machine from its description to its end: see [`crate::lifecycle`] for the states.
use std::sync::{Arc, Weak};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use devices::apic::HostTsc;
use platform::{GuestRam, HostClock, Vcpu};
use x86::CpuState;

use crate::acpi::Tables;
use crate::boot::{self, BootImages};
use crate::chipset::{Chipset, Parts};
use crate::config::MachineConfig;
use crate::console::ConsoleOutput;
use crate::control::Statistics;
use crate::cpu_io::CpuPort;
use crate::disks::Trouble;
use crate::engine::{self, EngineFactory, EngineSetup, Translations};
use crate::error::MachineError;
use crate::handle::{MachineHandle, Shared};
use crate::lifecycle::{Event, Outcome, State};
use crate::nics::LinkWatch;
use crate::sleepers::Sleepers;
use crate::standstill::Standstill;
use crate::tsc::GuestTsc;
use crate::vcpu::{Counters, CpuThread, Report, statistics};

/// A virtual machine. Dropping it frees everything; its threads live only inside [`Machine::run`].
pub struct Machine {
    images: BootImages,
    tables: Tables,
    ram: GuestRam,
    chipset: Chipset,
    /// `None` once the machine has run.
    console: Option<Box<dyn ConsoleOutput>>,
    cpus: Vec<Cpu>,
    /// What its CPUs have translated, if that is to be shared or kept.
    translations: Option<Translations>,
    shared: Arc<Shared>,
    /// State of the boot processor for the next run; set while a kernel is loaded.
    entry: Option<CpuState>,
}

/// One CPU between runs.
struct Cpu {
    io: Arc<CpuPort>,
    /// `None` while its thread has it.
    engine: Option<Box<dyn Vcpu>>,
    counters: Counters,
    thread: Option<JoinHandle<(Box<dyn Vcpu>, Counters)>>,
}

/// When a machine has run for so long, it has done what is done once.
const START: Duration = Duration::from_secs(8);

impl Machine {
    /// Builds a machine under binary translation, with its kernel loaded. `console` takes what the guest writes to its
    /// first serial port.
    pub fn new(config: &MachineConfig, console: Box<dyn ConsoleOutput>) -> Result<Self, MachineError> {
        config.validate()?;
        let translations = match config.interpret_only {
            true => Translations::default(),
            false => Translations::open(config.translations.clone()),
        };
        let shared = translations.clone();
        let factory = move |setup| engine::binary_translator(setup, &shared);
        let mut machine = Self::with_engine(config, console, &factory)?;
        machine.translations = Some(translations);
        Ok(machine)
    }

    /// Builds a machine whose CPUs come from `factory`.
    pub fn with_engine(
        config: &MachineConfig,
        console: Box<dyn ConsoleOutput>,
        factory: &EngineFactory,
    ) -> Result<Self, MachineError> {
        config.validate()?;
        let images = BootImages::open(&config.boot)?;
        let ram = GuestRam::new(config.memory_bytes)?;
        let tsc = GuestTsc::starting_now();
        let clock = Arc::new(HostClock::start().map_err(MachineError::Clock)?);
        let counter = Arc::new(HostTsc::new(tsc.frequency_hz, tsc.offset));
        let standstill = Standstill::new(config.cpus.into(), Arc::clone(&clock), Arc::clone(&counter));
        let shared = Arc::new(Shared::new(standstill, config.cpus.into()));
        let report: Arc<dyn Report> = Arc::<Shared>::clone(&shared);
        let trouble: Arc<dyn Trouble> = Arc::<Shared>::clone(&shared);
        let links: Arc<dyn LinkWatch> = Arc::<Shared>::clone(&shared);
        let room = Arc::clone(&shared);
        let input_room = Arc::new(move || room.input_room.wake());
        let parts = Parts { config, ram: &ram, clock, tsc: counter, report, trouble, links, input_room };
        let chipset = Chipset::build(parts)?;
        let mut cpus = Vec::new();
        for index in 0..usize::from(config.cpus) {
            let setup = EngineSetup {
                ram: ram.clone(),
                cpu_index: index as u32,
                cpu_count: config.cpus.into(),
                tsc,
                code_room: config.code_room(),
                interpret_only: config.interpret_only,
                timed: config.timed,
                perf_map: config.perf_map,
            };
            let engine = factory(setup)?;
            cpus.push(Cpu::new(index, engine, &chipset, &shared)?);
        }
        if let Some(nics) = chipset.nics() {
            shared.connect_nics(nics);
        }
        let tables = Tables::build(config.cpus);
        let mut machine = Self {
            images,
            tables,
            ram,
            chipset,
            console: Some(console),
            cpus,
            translations: None,
            shared,
            entry: None,
        };
        machine.load()?;
        Ok(machine)
    }

    /// A handle for other threads.
    pub fn handle(&self) -> MachineHandle {
        MachineHandle {
            shared: Arc::clone(&self.shared),
            serial: Arc::downgrade(self.chipset.serial()),
            power: Arc::downgrade(self.chipset.power()),
            channel: self.chipset.channel().cloned(),
            disks: self.chipset.disks().map_or_else(Weak::new, Arc::downgrade),
            nics: self.chipset.nics().map_or_else(Weak::new, Arc::downgrade),
        }
    }

    /// Runs the machine on threads of its own until it ends, through any number of resets. Can be called once.
    pub fn run(&mut self) -> Result<Outcome, MachineError> {
        let console = self.console.take().ok_or(MachineError::Over)?;
        let writer = self.chipset.start_console(console).map_err(MachineError::Console)?;
        let result = self.run_until_end();
        // Everything that the guest said is out before its end is known.
        drop(writer);
        // From here on there is nobody to answer.
        let _ = self.shared.events.enter(State::Stopped);
        self.shared.cpus.iter().for_each(|cpu| cpu.refuse());
        self.shared.input_room.wake();
        if let Some(channel) = self.chipset.channel() {
            channel.close();
        }
        if let Some(nics) = self.chipset.nics() {
            nics.stop();
        }
        if let Some(translations) = &self.translations {
            translations.keep();
        }
        result
    }

    /// The counters of each CPU, while the machine does not run.
    pub fn statistics(&self) -> Vec<Statistics> {
        let rows = |cpu: &Cpu| Some(statistics(cpu.engine.as_deref()?, cpu.counters));
        self.cpus.iter().filter_map(rows).collect()
    }

    fn run_until_end(&mut self) -> Result<Outcome, MachineError> {
        loop {
            if self.shared.events.is_stop_due() {
                return Ok(Outcome::Stopped);
            }
            let event = self.run_once()?;
            match event {
                Event::End(outcome) => return Ok(outcome),
                Event::Reset(cause) => tracing::info!(?cause, "machine resets"),
            }
            self.shared.events.enter(State::Resetting).ok_or(MachineError::Over)?;
            self.chipset.reset();
            self.ram.clear()?;
            self.load()?;
        }
    }

    /// From the start of the CPUs to the end of their threads.
    fn run_once(&mut self) -> Result<Event, MachineError> {
        let entry = self.entry.take().ok_or(MachineError::Over)?;
        self.shared.events.enter(State::Running).ok_or(MachineError::Over)?;
        self.shared.release_all();
        let event = self.start(&entry).map(|()| self.wait());
        self.shared.hold_all();
        self.join()?;
        event
    }

    /// Waits for the first event of this run.
    fn wait(&self) -> Event {
        let events = &self.shared.events;
        events.wait_for(START).unwrap_or_else(|| {
            platform::program::put_aside();
            events.wait()
        })
    }

    /// Starts a thread for each CPU. On failure some may have started; [`Machine::join`] ends them.
    fn start(&mut self, entry: &CpuState) -> Result<(), MachineError> {
        let shared = &self.shared;
        let sleepers = Arc::new(Sleepers::new(self.cpus.len()));
        // The others begin where the first one will send them.
        let idle = CpuState::default();
        self.cpus.iter_mut().enumerate().try_for_each(|(index, cpu)| {
            let state = if index == 0 { entry } else { &idle };
            cpu.start(index, state, shared, &sleepers)
        })
    }

    /// Waits for the threads of all CPUs, which are held.
    fn join(&mut self) -> Result<(), MachineError> {
        let mut died = None;
        for (index, cpu) in self.cpus.iter_mut().enumerate() {
            match cpu.thread.take().map(JoinHandle::join) {
                Some(Ok((engine, counters))) => (cpu.engine, cpu.counters) = (Some(engine), counters),
                Some(Err(_)) => died = Some(index),
                None => {}
            }
        }
        died.map_or(Ok(()), |index| Err(MachineError::CpuDied(index)))
    }

    /// Puts tables and kernel into RAM, which is all zero.
    fn load(&mut self) -> Result<(), MachineError> {
        let rsdp = self.tables.write(&self.ram)?;
        self.entry = Some(boot::load(&self.images, &self.ram, rsdp)?);
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Whoever still holds a handle sees a machine that is over.
        let _ = self.shared.events.enter(State::Stopped);
        self.shared.input_room.wake();
    }
}

impl Cpu {
    fn new(
        index: usize,
        engine: Box<dyn Vcpu>,
        chipset: &Chipset,
        shared: &Shared,
    ) -> Result<Self, MachineError> {
        let control = shared.cpus.get(index).ok_or(MachineError::CpuDied(index))?;
        control.set_attention(engine.attention());
        let io =
            chipset.connect_cpu(index, engine.attention(), control).ok_or(MachineError::CpuDied(index))?;
        Ok(Self { io: Arc::new(io), engine: Some(engine), counters: Counters::default(), thread: None })
    }

    fn start(
        &mut self,
        index: usize,
        entry: &CpuState,
        shared: &Arc<Shared>,
        sleepers: &Arc<Sleepers>,
    ) -> Result<(), MachineError> {
        let mut vcpu = self.engine.take().ok_or(MachineError::CpuDied(index))?;
        if let Err(error) = vcpu.restore(entry) {
            self.engine = Some(vcpu);
            return Err(error.into());
        }
        let report: Arc<dyn Report> = Arc::<Shared>::clone(shared);
        let control = shared.cpus.get(index).ok_or(MachineError::CpuDied(index))?;
        let thread = CpuThread {
            index,
            vcpu,
            io: Arc::<CpuPort>::clone(&self.io),
            control: Arc::clone(control),
            report: Arc::clone(&report),
            counters: self.counters,
            waits_for_startup: index != 0,
            sleepers: Arc::clone(sleepers),
            standstill: Arc::clone(&shared.standstill),
        };
        let mourner = Mourner { index, report };
        let body = move || {
            let _mourner = mourner;
            thread.run()
        };
        let spawned = Builder::new().name(format!("cpu{index}")).spawn(body);
        self.thread = Some(spawned.map_err(|source| MachineError::Thread { cpu: index, source })?);
        Ok(())
    }
}

/// Ends the machine if a CPU's thread panics, so that nobody waits for it for ever.
struct Mourner {
    index: usize,
    report: Arc<dyn Report>,
}

impl Drop for Mourner {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.report.post(Event::End(Outcome::EngineError { cpu: self.index, rip: 0 }));
        }
    }
}

#[cfg(test)]
mod guest_code;
#[cfg(test)]
mod tests;
