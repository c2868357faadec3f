//! Where an engine is picked: the only file that knows which one runs a CPU.
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use platform::{GuestRam, Vcpu};

use crate::config::CodeRoom;
use crate::tsc::GuestTsc;

/// What an engine is built from.
pub struct EngineSetup {
    /// Guest RAM.
    pub ram: GuestRam,
    /// Number of the CPU, from 0; its APIC id too.
    pub cpu_index: u32,
    /// How many CPUs the machine has.
    pub cpu_count: u32,
    /// The guest's time-stamp counter.
    pub tsc: GuestTsc,
    /// Memory for translated code of all CPUs.
    pub code_room: CodeRoom,
    /// Interpret everything: slow, for finding the engine's own bugs.
    pub interpret_only: bool,
    /// Measure where time goes; costs a little.
    pub timed: bool,
    /// Keep a map of translated code for `perf`.
    pub perf_map: bool,
}

/// The host cannot run this engine.
#[derive(Debug, thiserror::Error)]
#[error("the engine cannot be set up")]
pub struct EngineError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// How often code begins to run before it is translated: more, and executing it costs more than translating it would.
const NEW_CODE: u8 = 6;

/// Builds the engine of one CPU.
pub type EngineFactory = dyn Fn(EngineSetup) -> Result<Box<dyn Vcpu>, EngineError>;

/// What the engines of one machine share: the code that any of them has translated.
#[derive(Clone, Default)]
pub struct Translations {
    /// The code that they run; the first one makes room for it.
    code: Arc<OnceLock<Arc<translator::CodeCache>>>,
    /// What outlives it.
    store: Option<Arc<translator::Store>>,
}

impl Translations {
    /// None yet, but for those that are kept in a directory. If the host has no room to store more, none outlive the room
    /// for code.
    pub fn open(directory: Option<PathBuf>) -> Self {
        let store = translator::Store::open(directory);
        let store = store.inspect_err(|error| tracing::warn!(%error, "translations are not stored"));
        Self { store: store.ok().map(Arc::new), ..Self::default() }
    }
    /// Keeps them for the next machine. What cannot be kept is made anew.
    pub fn keep(&self) {
        if let Some(Err(error)) = self.store.as_ref().map(|store| store.keep()) {
            tracing::warn!(%error, "translations are not kept");
        }
    }
    /// The code that engines over this memory share.
    fn code(&self, setup: &EngineSetup) -> Result<Arc<translator::CodeCache>, EngineError> {
        if let Some(code) = self.code.get() {
            return Ok(Arc::clone(code));
        }
        let code = translator::CodeCache::new(&setup.ram, code_room(setup));
        let code = Arc::new(code.map_err(|error| EngineError(Box::new(error)))?);
        Ok(Arc::clone(self.code.get_or_init(|| code)))
    }
}

fn code_room(setup: &EngineSetup) -> translator::CodeRoom {
    let CodeRoom { least, most, process } = setup.code_room;
    translator::CodeRoom { least, most, process }
}

/// The engine that needs nothing but the CPU: binary translation.
pub fn binary_translator(
    setup: EngineSetup,
    translations: &Translations,
) -> Result<Box<dyn Vcpu>, EngineError> {
    let code = translations.code(&setup)?;
    let config = translator::Config {
        code_room: code_room(&setup),
        tsc: translator::TscModel { frequency_hz: setup.tsc.frequency_hz, offset: setup.tsc.offset },
        cpu_index: setup.cpu_index,
        cpu_count: setup.cpu_count,
        windows: translator::WindowPolicy::Adaptive,
        new_code: NEW_CODE,
        interpret_only: setup.interpret_only,
        perf_map: setup.perf_map,
        timed: setup.timed,
    };
    let vcpu = translator::BtVcpu::sharing(setup.ram, config, code);
    let mut vcpu = vcpu.map_err(|error| EngineError(Box::new(error)))?;
    if let Some(store) = &translations.store {
        vcpu.share(Arc::clone(store));
    }
    Ok(Box::new(vcpu))
}
