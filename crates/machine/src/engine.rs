//! Where an engine is picked: the only file that knows which one runs a CPU.
use std::path::PathBuf;
use std::sync::Arc;

use platform::{GuestRam, Vcpu};

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
    /// Bound on the memory for translated code.
    pub code_cache_bytes: usize,
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

/// Builds the engine of one CPU.
pub type EngineFactory = dyn Fn(EngineSetup) -> Result<Box<dyn Vcpu>, EngineError>;

/// What the engines of one machine share: the code that any of them has translated.
#[derive(Clone)]
pub struct Translations(Arc<translator::Store>);

impl Translations {
    /// Those that are kept in a directory, or none yet. `None` if the host has no room for them.
    pub fn open(directory: Option<PathBuf>) -> Option<Self> {
        let store = translator::Store::open(directory);
        let store = store.inspect_err(|error| tracing::warn!(%error, "translations are not stored"));
        Some(Self(Arc::new(store.ok()?)))
    }
    /// Keeps them for the next machine. What cannot be kept is made anew.
    pub fn keep(&self) {
        if let Err(error) = self.0.keep() {
            tracing::warn!(%error, "translations are not kept");
        }
    }
}

/// The engine that needs nothing but the CPU: binary translation.
pub fn binary_translator(
    setup: EngineSetup,
    translations: Option<&Translations>,
) -> Result<Box<dyn Vcpu>, EngineError> {
    let config = translator::Config {
        code_cache_bytes: setup.code_cache_bytes,
        tsc: translator::TscModel { frequency_hz: setup.tsc.frequency_hz, offset: setup.tsc.offset },
        cpu_index: setup.cpu_index,
        cpu_count: setup.cpu_count,
        windows: translator::WindowPolicy::Adaptive,
        interpret_only: setup.interpret_only,
        perf_map: setup.perf_map,
        timed: setup.timed,
    };
    let mut vcpu =
        translator::BtVcpu::new(setup.ram, config).map_err(|error| EngineError(Box::new(error)))?;
    if let Some(Translations(store)) = translations {
        vcpu.share(Arc::clone(store));
    }
    Ok(Box::new(vcpu))
}
