//! One random instruction: bytes that a decoder calls valid and that user code may run without looking outside itself.
use iced_x86::{Decoder, DecoderOptions, EncodingKind, FlowControl, Instruction, Mnemonic, OpKind};
use rand::RngExt;
use rand::rngs::SmallRng;

/// Bytes of one instruction, and what they mean.
pub struct Drawn {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What a decoder makes of them.
    pub instruction: Instruction,
    /// Where the displacement of a memory operand is, and its bytes.
    pub displacement: Option<(usize, usize)>,
}

/// Draws one; for the bare CPU, one that shows nothing of the host.
pub fn draw(rng: &mut SmallRng, bits: u32, for_bare_cpu: bool) -> Drawn {
    loop {
        let bytes = random_bytes(rng);
        if let Some(drawn) = decode(bits, &bytes).filter(|drawn| {
            let instruction = &drawn.instruction;
            is_allowed(instruction) && (!for_bare_cpu || hides_host(instruction))
        }) {
            return drawn;
        }
    }
}

/// Takes the first instruction of some bytes.
pub fn decode(bits: u32, bytes: &[u8]) -> Option<Drawn> {
    let mut decoder = Decoder::new(bits, bytes, DecoderOptions::NONE);
    let instruction = decoder.decode();
    if instruction.is_invalid() {
        return None;
    }
    let offsets = decoder.get_constant_offsets(&instruction);
    let displacement = offsets
        .has_displacement()
        .then(|| (offsets.displacement_offset(), offsets.displacement_size()))
        .filter(|(_, size)| *size > 1);
    Some(Drawn { bytes: bytes[..instruction.len()].to_vec(), instruction, displacement })
}

fn random_bytes(rng: &mut SmallRng) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(24);
    let chance = |rng: &mut SmallRng, one_in: u32| rng.random_ratio(1, one_in);
    if chance(rng, 5) {
        bytes.push(0x66);
    }
    if chance(rng, 8) {
        bytes.push(0x67);
    }
    if chance(rng, 8) {
        bytes.push([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65][rng.random_range(0..6)]);
    }
    if chance(rng, 16) {
        bytes.push([0xf0, 0xf2, 0xf3, 0xf3][rng.random_range(0..4)]);
    }
    match rng.random_range(0..100) {
        // Two operands, increments, pushes and pops, moves: what programs are made of.
        0..18 => bytes.push(rng.random_range(0..8) << 3 | rng.random_range(0..6)),
        18..28 => bytes.push(rng.random_range(0x40..0x60)),
        28..44 => bytes.push(
            [0x88, 0x89, 0x8a, 0x8b, 0x8d, 0xc7, 0xc6, 0xa0, 0xa1, 0xa2, 0xa3, 0x81, 0x83, 0xf7, 0xff, 0x84]
                [rng.random_range(0..16)],
        ),
        44..70 => bytes.push(rng.random()),
        70..90 => bytes.extend([0x0f, rng.random()]),
        90..94 => bytes.extend([0x0f, [0x38, 0x3a][rng.random_range(0..2)], rng.random()]),
        _ => bytes.extend([[0xc4, 0xc5][rng.random_range(0..2)], rng.random::<u8>() | 0xc0, rng.random()]),
    }
    bytes.extend((0..10).map(|_| rng.random::<u8>()));
    bytes
}

fn is_allowed(instruction: &Instruction) -> bool {
    use Mnemonic as M;
    let ends_up_elsewhere = !matches!(instruction.flow_control(), FlowControl::Next);
    let writes_segment = instruction.op_count() > 0
        && instruction.op0_kind() == OpKind::Register
        && (instruction.op0_register().is_segment_register() && instruction.mnemonic() != M::Push);
    let touches_control = (0..instruction.op_count()).any(|operand| {
        instruction.op_kind(operand) == OpKind::Register && {
            let register = instruction.op_register(operand);
            register.is_cr() || register.is_dr() || register.is_tr()
        }
    });
    let shows_host_or_ends = matches!(
        instruction.mnemonic(),
        M::Cpuid
            | M::Rdtsc
            | M::Rdtscp
            | M::Rdpmc
            | M::Rdrand
            | M::Rdseed
            | M::Xgetbv
            | M::Lds
            | M::Les
            | M::Lss
            | M::Lfs
            | M::Lgs
            | M::Popf
            | M::Popfd
            | M::Rdpid
            | M::Frstor
            | M::Fldenv
            | M::Fxrstor
            | M::Xrstor
    );
    // Interrupts and their flag: what user code gets is #GP.
    let privileged = instruction.is_privileged() && !matches!(instruction.mnemonic(), M::Cli);
    !ends_up_elsewhere
        && !writes_segment
        && !touches_control
        && !shows_host_or_ends
        && !privileged
        && !matches!(instruction.encoding(), EncodingKind::EVEX | EncodingKind::XOP | EncodingKind::D3NOW)
}

/// Whether it exists in the guest's CPU model, and means the same in another process.
fn hides_host(instruction: &Instruction) -> bool {
    use Mnemonic as M;
    let shows = matches!(
        instruction.mnemonic(),
        M::Sgdt
            | M::Sidt
            | M::Sldt
            | M::Str
            | M::Smsw
            | M::Lar
            | M::Lsl
            | M::Verr
            | M::Verw
            | M::Fxsave
            | M::Fnsave
            | M::Fnstenv
            | M::Cli
    );
    // With a mask of zero they may fault or not (SDM 2B, MASKMOVDQU).
    let open = matches!(instruction.mnemonic(), M::Maskmovq | M::Maskmovdqu | M::Vmaskmovdqu);
    !open && !shows && crate::generate::catalogue::cpuid_known(instruction.code())
}
