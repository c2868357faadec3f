//! Messages for DNS and DHCP.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: gasang_fuzz::limit_memory(), |bytes: &[u8]| gasang_fuzz::ask_services(bytes));
