//! Damaged partition tables and file systems: surveyed, listed and read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: gasang_fuzz::limit_memory(), |bytes: &[u8]| gasang_fuzz::look_into(bytes));
