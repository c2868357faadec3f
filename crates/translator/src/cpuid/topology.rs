//! Caches and processors as CPUID tells of them: one package, one thread a core, caches of a plausible size.
use x86::cpuid::Registers;

/// Bytes of a cache line.
const LINE: u32 = 64;

/// One cache: type (1 data, 2 instruction, 3 unified), level, ways, sets, shared by all CPUs.
struct Cache {
    kind: u32,
    level: u32,
    ways: u32,
    sets: u32,
    shared: bool,
}

/// 48 KiB, 32 KiB, 2 MiB, 16 MiB.
const CACHES: [Cache; 4] = [
    Cache { kind: 1, level: 1, ways: 12, sets: 64, shared: false },
    Cache { kind: 2, level: 1, ways: 8, sets: 64, shared: false },
    Cache { kind: 3, level: 2, ways: 16, sets: 2048, shared: false },
    Cache { kind: 3, level: 3, ways: 16, sets: 16384, shared: true },
];

/// Leaf 4: one cache for each index.
pub(super) fn cache(index: u32, cpu_count: u32) -> Registers {
    let Some(cache) = CACHES.get(index as usize) else { return Registers::default() };
    let last_id = cpu_count.next_power_of_two() - 1;
    let sharing = if cache.shared { last_id & 0xfff } else { 0 };
    let self_initializing = 1 << 8;
    Registers {
        eax: cache.kind | cache.level << 5 | self_initializing | sharing << 14 | (last_id & 0x3f) << 26,
        ebx: (LINE - 1) | (cache.ways - 1) << 22,
        ecx: cache.sets - 1,
        edx: 0,
    }
}

/// Leaf 8000_0006H: the second-level cache, 2 MiB in 16 ways.
pub(super) fn extended_cache() -> Registers {
    Registers { ecx: 2048 << 16 | 8 << 12 | LINE, ..Registers::default() }
}

/// Leaves 0BH and 1FH: threads of a core, then cores of the package.
pub(super) fn level(index: u32, cpu_index: u32, cpu_count: u32) -> Registers {
    const SMT: u32 = 1 << 8;
    const CORE: u32 = 2 << 8;
    let (eax, ebx, kind) = match index {
        0 => (0, 1, SMT),
        1 => (cpu_count.next_power_of_two().trailing_zeros(), cpu_count, CORE),
        _ => (0, 0, 0),
    };
    Registers { eax, ebx, ecx: (index & 0xff) | kind, edx: cpu_index }
}
