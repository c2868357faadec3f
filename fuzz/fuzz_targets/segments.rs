//! TCP segments of a hostile guest, and a host's socket that fails when it likes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: gasang_fuzz::limit_memory(), |bytes: &[u8]| gasang_fuzz::take_segments(bytes));
