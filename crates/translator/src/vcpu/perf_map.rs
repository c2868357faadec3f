//! A map of translated code for `perf`: a line for each block in `/tmp/perf-PID.map`, as perf expects it of JIT compilers
//! (linux/tools/perf/Documentation/jit-interface.txt).
use std::fs::File;
use std::io::Write;
use std::sync::Mutex;

use crate::cache::shared::Place;

static MAP: Mutex<Option<File>> = Mutex::new(None);

/// Opens this process's map, which all its CPUs share.
pub fn start() -> std::io::Result<()> {
    let mut map = MAP.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if map.is_none() {
        *map = Some(File::create(format!("/tmp/perf-{}.map", std::process::id()))?);
    }
    Ok(())
}

/// Adds a block of so many bytes at a guest address. A map that cannot be written ends there.
pub fn add(place: &Place, size: u32, rip: u64) {
    let mut map = MAP.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(file) = map.as_mut() else { return };
    let kind = match place.key.mode {
        mode if mode.legacy.is_some() => "legacy",
        mode if mode.settled => "settled",
        mode if mode.user && mode.windows => "windows",
        mode if mode.user => "user",
        mode if mode.windows => "kernel-windows",
        _ => "kernel",
    };
    if writeln!(file, "{:x} {size:x} {kind}:{rip:x}", place.checked).is_err() {
        *map = None;
    }
}
