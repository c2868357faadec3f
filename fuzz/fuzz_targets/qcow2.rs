//! Damaged qcow2 images: opened, used, checked and mended.
#![no_main]

use libfuzzer_sys::fuzz_target;
use storage::Format;

fuzz_target!(init: gasang_fuzz::limit_memory(), |bytes: &[u8]| gasang_fuzz::use_image(Format::Qcow2, bytes));
