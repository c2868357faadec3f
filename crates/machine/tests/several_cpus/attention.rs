//! A CPU that never comes to an end, whatever it goes round by, stops when somebody asks it to.
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use platform::{GuestRam, Stop, Vcpu};
use translator::CodeCache;

use crate::guest::{CODE_BYTES, Engine, Nothing, PROGRAMS, cpu};

/// How often each is stopped and goes on.
const TIMES: u64 = 20;
/// After this a CPU does not hear.
const PATIENCE: Duration = Duration::from_secs(60);

fn stops(engine: Engine, program: &'static [u8]) {
    let ram = GuestRam::new(16 << 20).unwrap();
    let code = Arc::new(CodeCache::new(&ram, CODE_BYTES).unwrap());
    let mut cpu = cpu(engine, &ram, &code, 0, 1, program);
    let (io, attention) = (Arc::new(Nothing::default()), cpu.attention());
    for time in 0..TIMES {
        io.stop.store(false, Ordering::SeqCst);
        let its = Arc::clone(&io);
        let running = std::thread::spawn(move || (cpu.run(&*its), cpu));
        // Before it runs, while it is translated, in the middle of its rounds.
        std::thread::sleep(Duration::from_micros(time * 50));
        io.stop.store(true, Ordering::SeqCst);
        attention.raise();
        let start = Instant::now();
        while !running.is_finished() {
            assert!(start.elapsed() < PATIENCE, "{engine:?} goes on and on in {program:x?}");
            std::thread::yield_now();
        }
        let (stop, stopped) = running.join().unwrap();
        cpu = stopped;
        assert_eq!(stop, Stop::Requested, "{engine:?} {program:x?}");
        let place = cpu.save().rip.wrapping_sub(PROGRAMS);
        assert!(place < program.len() as u64, "{engine:?} {program:x?} at {place:#x}");
    }
}

#[test]
fn no_way_round_is_too_short_for_attention() {
    let rounds: [&[u8]; 8] = [
        &[0xeb, 0xfe],                                           // jmp -2
        &[0xeb, 0x00, 0xeb, 0xfc],                               // jmp +0; jmp -4
        &[0x39, 0xc0, 0x74, 0xfe],                               // cmp eax, eax; je -2: flags are live
        &[0x31, 0xc9, 0xe3, 0xfe],                               // xor ecx, ecx; jrcxz -2
        &[0x39, 0xc0, 0x74, 0x01, 0xf4, 0x74, 0xfb],             // cmp eax, eax; je +1; hlt; je -5
        &[0x48, 0x8d, 0x05, 0xf9, 0xff, 0xff, 0xff, 0xff, 0xe0], // lea rax, [rip-7]; jmp rax
        &[0x48, 0x8d, 0x05, 0xf9, 0xff, 0xff, 0xff, 0x50, 0xc3], // lea rax, [rip-7]; push rax; ret
        &[0xe8, 0x02, 0x00, 0x00, 0x00, 0xeb, 0xf9, 0xc3],       // call +2; jmp -7; ret
    ];
    for engine in [Engine::Translator, Engine::Young, Engine::Light, Engine::Interpreter] {
        rounds.iter().for_each(|program| stops(engine, program));
    }
}
