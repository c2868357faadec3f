//! STI shields the instruction behind it: an interrupt between STI and HLT would be slept over.
use std::sync::Arc;

use platform::{GuestRam, Stop, Vcpu};
use translator::CodeCache;

use crate::guest::{CODE_BYTES, Engine, Nothing, PROGRAMS, cpu};

/// Runs code, which ends with STI and HLT, while an interrupt waits that nobody could deliver.
fn halts_before_the_interrupt(engine: Engine, before: &[u8]) {
    let ram = GuestRam::new(16 << 20).unwrap();
    let program = [before, &[0xfb, 0xf4]].concat();
    let code = Arc::new(CodeCache::new(&ram, CODE_BYTES).unwrap());
    let mut cpu = cpu(engine, &ram, &code, 0, 1, &program);
    let io = Nothing { interrupts: true, ..Nothing::default() };
    assert_eq!(cpu.run(&io), Stop::Halted { interrupts_enabled: true }, "{engine:?}");
    assert_eq!(cpu.save().rip, PROGRAMS + program.len() as u64);
}

#[test]
fn no_interrupt_comes_between_sti_and_hlt() {
    for engine in [Engine::Translator, Engine::Young, Engine::Light, Engine::Interpreter] {
        halts_before_the_interrupt(engine, &[]);
        halts_before_the_interrupt(engine, &[0x31, 0xc0]);
        // STI is the last instruction of its block, or of its page.
        halts_before_the_interrupt(engine, &[0x90; 63]);
        halts_before_the_interrupt(engine, &[0x90; 0xfff]);
    }
}
