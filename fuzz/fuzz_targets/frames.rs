//! Frames of a hostile guest: switched, filtered, answered.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: gasang_fuzz::limit_memory(), |bytes: &[u8]| gasang_fuzz::send_frames(bytes));
