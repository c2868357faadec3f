//! Operands in a kernel's own bytes that change when its code is moved: Linux lies at another place in each boot (KASLR), and
//! its code is the same there but for 32-bit addresses in its image, and for RIP-relative operands that lie elsewhere (its
//! per-CPU variables). Where they are in the guest's bytes, and where in the host code, is noted, so that a stored block
//! fits wherever the image lies.
use std::ops::Range;

use iced_x86::{Decoder, Instruction, OpKind, Register};

use super::block::Lowering;
use crate::cache::block::CodeMode;
use crate::emit::asm::Offset;
use crate::emit::fixups::FixupKind;

/// Where a Linux kernel's image is mapped (Documentation/arch/x86/x86_64/mm.rst); nothing is in the first 16 MiB, whose
/// address the kernel's code knows by itself.
const IMAGES: Range<u64> = 0xffff_ffff_8100_0000..0xffff_ffff_c000_0000;
/// What else is within reach of RIP-relative operands in an image, and stays where it is.
const ELSEWHERE: Range<u64> = 0..0x8000_0000;
/// What an image is moved by is a multiple of this (`CONFIG_PHYSICAL_ALIGN` is no less for x86-64).
pub const STEP: u64 = 2 << 20;
/// An instruction's first bytes that hold nothing of an address but its lower 16 bits, which are the same everywhere.
pub const STEADY_BYTES: usize = 3;

/// Whether code may be part of a kernel's image whose addresses are followed.
pub fn may_move(address: u64, mode: CodeMode) -> bool {
    IMAGES.contains(&address) && mode.windows && !mode.user && mode.legacy.is_none()
}

/// A place in a block's source whose 32 bits change when the code is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moving(u16);

/// They are the distance to something that stays.
const IS_DISTANCE: u16 = 1 << 15;

impl Moving {
    /// From two bytes.
    pub fn unpack(bytes: [u8; 2]) -> Self {
        Self(u16::from_le_bytes(bytes))
    }
    /// As two bytes.
    pub fn pack(self) -> [u8; 2] {
        self.0.to_le_bytes()
    }
    /// Offset in the source.
    pub fn place(self) -> usize {
        usize::from(self.0 & !IS_DISTANCE)
    }
    fn is_distance(self) -> bool {
        self.0 & IS_DISTANCE != 0
    }
    /// What of an operand of code in a page is the same wherever the code lies.
    pub fn lift(self, operand: u32, page: u64) -> u32 {
        if self.is_distance() { operand.wrapping_add(page as u32) } else { operand.wrapping_sub(page as u32) }
    }
    /// The operand that code in a page has. `None` if it would not be of its kind there.
    pub fn set_down(self, lifted: u32, page: u64) -> Option<u32> {
        if self.is_distance() {
            // From the last 2 GiB to the first ones.
            Some(lifted.wrapping_sub(page as u32)).filter(|distance| *distance as i32 >= 0)
        } else {
            Some(lifted.wrapping_add(page as u32)).filter(|address| is_address(*address))
        }
    }
}

/// Whether a 32-bit operand is an address in an image.
pub fn is_address(operand: u32) -> bool {
    IMAGES.contains(&(i64::from(operand as i32) as u64))
}

/// Where in an instruction such operands are; 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operands {
    displacement: u8,
    immediate: u8,
    /// A displacement that is the distance to something that stays.
    distance: u8,
}

impl Operands {
    /// Those of the instruction that was decoded last.
    #[inline]
    pub fn of(decoder: &Decoder<'_>, instruction: &Instruction) -> Self {
        // An opcode and 32 bits. Branches have neither.
        if instruction.len() < 5 || instruction.op0_kind() == OpKind::NearBranch64 {
            return Self::default();
        }
        Self::of_long(decoder, instruction)
    }

    fn of_long(decoder: &Decoder<'_>, instruction: &Instruction) -> Self {
        let is_relative = instruction.is_ip_rel_memory_operand();
        let address = instruction.memory_displacement64();
        let has_displacement = !is_relative && IMAGES.contains(&address);
        let has_distance = instruction.memory_base() == Register::RIP && ELSEWHERE.contains(&address);
        let is_immediate = |index| {
            instruction.op_kind(index) == OpKind::Immediate32to64
                && IMAGES.contains(&instruction.immediate(index))
        };
        let has_immediate = (0..instruction.op_count()).any(is_immediate);
        if !has_displacement && !has_immediate && !has_distance {
            return Self::default();
        }
        let places = decoder.get_constant_offsets(instruction);
        let place = |is_there, size, offset| if is_there && size == 4 { offset as u8 } else { 0 };
        let displacement =
            |is_there| place(is_there, places.displacement_size(), places.displacement_offset());
        Self {
            displacement: displacement(has_displacement),
            immediate: place(has_immediate, places.immediate_size(), places.immediate_offset()),
            distance: displacement(has_distance),
        }
    }

    /// Whether there are none.
    pub fn is_none(self) -> bool {
        self.displacement | self.immediate | self.distance == 0
    }
}

/// What is known of the block so far.
#[derive(Default)]
pub struct Noted {
    /// Where they are in the block's source.
    source: Vec<Moving>,
    /// Where they are in its host code.
    host: Vec<Offset>,
    /// Those of the running instruction that were not emitted yet.
    due: Operands,
    /// The running instruction has a RIP-relative operand that stays where it is.
    has_distance: bool,
    /// Some were emitted otherwise than as they are.
    is_unclear: bool,
}

impl Noted {
    /// Nothing was emitted yet.
    pub(super) fn clear(&mut self) {
        self.source.clear();
        self.host.clear();
        self.end();
        self.is_unclear = false;
    }
    /// An instruction at an offset of the source begins.
    pub(super) fn begin(&mut self, offset: usize, operands: Operands) {
        if operands.is_none() {
            return;
        }
        let kinds = [(operands.displacement, 0), (operands.distance, IS_DISTANCE), (operands.immediate, 0)];
        let there = kinds.into_iter().filter(|(place, _)| *place != 0);
        self.source.extend(there.map(|(place, kind)| Moving((offset as u16 + u16::from(place)) | kind)));
        self.has_distance = operands.distance != 0;
        self.due = Operands { distance: 0, ..operands };
    }
    /// It is over.
    pub(super) fn end(&mut self) {
        self.is_unclear |= !self.due.is_none();
        self.due = Operands::default();
        self.has_distance = false;
    }
    /// Whether the address of the running instruction's RIP-relative operand is the same wherever the code lies.
    pub(super) fn has_distance(&self) -> bool {
        self.has_distance
    }
    /// Host code does not depend on the running instruction's.
    pub(super) fn need_none(&mut self) {
        self.due = Operands::default();
    }
}

impl Lowering {
    /// Where in the last block's source addresses are that may be others elsewhere: what the host code has of them is
    /// among [`Lowering::fixups`].
    pub fn moving(&self) -> &[Moving] {
        if self.noted.is_unclear || self.is_fixed() { &[] } else { &self.noted.source }
    }

    /// The running instruction's displacement, if it is an address, is at a place.
    pub(super) fn note_displacement_at(&mut self, place: Offset) {
        if std::mem::take(&mut self.noted.due.displacement) != 0 {
            self.noted.host.push(place);
        }
    }

    /// The running instruction's immediate, if it is an address, is what was emitted last.
    pub(super) fn note_last_immediate(&mut self) {
        if std::mem::take(&mut self.noted.due.immediate) != 0 {
            self.noted.host.push(self.asm.here() - 4);
        }
    }

    /// The block is complete.
    pub(super) fn fix_up_moving(&mut self) {
        if !self.moving().is_empty() {
            for place in &self.noted.host {
                self.asm.fix_up(*place, FixupKind::Address32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use iced_x86::DecoderOptions;

    use super::*;
    use crate::cache::block::Link;
    use crate::emit::fixups::{lift, set_down};
    use crate::lower::block::Source;
    use crate::lower::samples;
    use crate::lower::sites::Sites;
    use crate::runtime::thunks::Thunks;

    const HERE: u64 = 0xffff_ffff_8123_4000;

    fn lowering() -> Lowering {
        Lowering::new(Thunks::nowhere())
    }

    fn mode() -> CodeMode {
        let all = CodeMode { syscall: true, time_stamp: true, bases: true, ..CodeMode::default() };
        CodeMode { vectors: true, windows: true, ..all }
    }

    /// A block's host code.
    fn lower(lowering: &mut Lowering, bytes: &[u8], page: u64) -> Vec<u8> {
        let (address, sites) = (page + 0x100, Sites::default());
        let source = Source {
            address,
            gpa: 0x5100,
            bytes,
            next_gpa: None,
            mode: mode(),
            space: 0,
            sites: &sites,
            looks: false,
        };
        lowering.lower(&source).unwrap();
        lowering.host_code().to_vec()
    }

    /// Starts and jumps of the last block.
    fn places(lowering: &Lowering) -> (Vec<u8>, Vec<Link>) {
        let (marks, links) = lowering.places();
        (marks.to_vec(), links.to_vec())
    }

    /// Puts an address in the image where an instruction at an address has 32-bit operands, or the distance to what is not.
    fn plant(bytes: &mut [u8], at: u64, address: u32) {
        let mut decoder = Decoder::with_ip(64, bytes, at, DecoderOptions::NONE);
        let instruction = decoder.decode();
        let places = decoder.get_constant_offsets(&instruction);
        let distance = (address & 0xf_ffff).wrapping_sub(instruction.next_ip() as u32);
        let displacement = if instruction.is_ip_rel_memory_operand() { distance } else { address };
        let fields = [
            (places.displacement_size(), places.displacement_offset(), displacement),
            (places.immediate_size(), places.immediate_offset(), address),
        ];
        for (_, offset, operand) in fields.into_iter().filter(|(size, ..)| *size == 4) {
            bytes[offset..offset + 4].copy_from_slice(&operand.to_le_bytes());
        }
    }

    /// The same bytes in a page elsewhere. `None` if an operand would not be of its kind there.
    fn moved(bytes: &[u8], noted: &[Moving], page: u64) -> Option<Vec<u8>> {
        let mut moved = bytes.to_vec();
        for moving in noted {
            let place = moving.place();
            let operand = u32::from_le_bytes(*moved[place..].first_chunk()?);
            let operand = moving.set_down(moving.lift(operand, HERE), page)?;
            moved[place..place + 4].copy_from_slice(&operand.to_le_bytes());
        }
        Some(moved)
    }

    #[test]
    fn a_block_of_an_image_is_the_same_wherever_that_lies() {
        let mut lowering = lowering();
        // Forms that kernels have addresses in, and random ones.
        let first = [0x48, 0x81, 0xc7, 0x8b, 0xff, 0x68, 0x65, 0x69];
        let (mut with_addresses, mut with_distances) = (0, 0);
        for (round, (mut bytes, _, instruction)) in samples::instructions(7, 1_000_000, first).enumerate() {
            // An operand relative to EIP is the interpreter's in some pages and not in others, which is right in all.
            if instruction.is_invalid() || bytes.contains(&0x67) {
                continue;
            }
            let address = 0x8100_0000 + (round as u32).wrapping_mul(0x9e37_79b1) % 0x0200_0000;
            plant(&mut bytes, HERE + 0x100, address);
            let bytes = [&bytes[..], &[0xc3]].concat();
            let mut code = lower(&mut lowering, &bytes, HERE);
            let (here, fixups) = (places(&lowering), lowering.fixups().to_vec());
            let noted = lowering.moving().to_vec();
            let page = HERE + (1 + round as u64 % 400) * STEP;
            let Some(elsewhere) = moved(&bytes, &noted, page).filter(|_| !noted.is_empty()) else {
                continue;
            };
            lift(&mut code, fixups.iter().copied(), HERE).unwrap();
            if set_down(&mut code, &fixups, page).is_none() {
                continue;
            }
            with_addresses += 1;
            with_distances += u32::from(noted.iter().any(|moving| moving.is_distance()));
            let there = lower(&mut lowering, &elsewhere, page);
            assert!(there == code, "{bytes:x?} {there:x?} {code:x?}");
            assert_eq!(places(&lowering), here, "{bytes:x?}");
        }
        assert!(with_addresses > 10_000 && with_distances > 500, "{with_addresses} {with_distances}");
    }

    #[test]
    fn addresses_of_common_forms_are_followed() {
        let forms: [(&[u8], &[u16]); 10] = [
            (&[0x48, 0xc7, 0xc7, 1, 2, 3, 0x81], &[3]),       // mov rdi, address
            (&[0x48, 0x81, 0xfb, 1, 2, 3, 0x81], &[3]),       // cmp rbx, address
            (&[0x48, 0x8b, 0x04, 0xc5, 1, 2, 3, 0x82], &[4]), // mov rax, [rax*8+address]
            (&[0x48, 0x03, 0x80, 1, 2, 3, 0x82], &[3]),       // add rax, [rax+address]
            (&[0x48, 0xc7, 0x40, 8, 1, 2, 3, 0x81], &[4]),    // mov qword [rax+8], address
            (&[0x48, 0x81, 0x80, 1, 2, 3, 0x81, 4, 5, 6, 0x82], &[3, 7]), // add qword [rax+address], address
            (&[0x68, 1, 2, 3, 0x81], &[1]),                   // push address
            (&[0xff, 0x24, 0xc5, 1, 2, 3, 0x81], &[3]),       // jmp [rax*8+address]
            (&[0x48, 0x8d, 0x90, 1, 2, 3, 0x81], &[3]),       // lea rdx, [rax+address]
            (&[0x65, 0x8b, 0x05, 1, 2, 0xdd, 0x7e], &[3 | IS_DISTANCE]), // mov eax, gs:[rip+distance]
        ];
        for (bytes, noted) in forms {
            let bytes = [bytes, &[0xc3]].concat();
            let mut lowering = lowering();
            lower(&mut lowering, &bytes, HERE);
            let noted: Vec<_> = noted.iter().map(|place| Moving(*place)).collect();
            assert_eq!(lowering.moving(), noted, "{bytes:x?}");
        }
    }

    #[test]
    fn what_is_no_address_stays() {
        // mov edi, …; mov rdi, …: beyond the image, and where Linux begins; and rdi, 0x40000000; mov eax, [rip+…]
        for bytes in [
            &[0xbf, 1, 2, 3, 0x81][..],
            &[0x48, 0xc7, 0xc7, 1, 2, 3, 0xc1],
            &[0x48, 0xc7, 0xc7, 0, 0, 0, 0x80],
            &[0x48, 0x81, 0xe7, 0, 0, 0, 0x40],
            &[0x8b, 0x05, 1, 2, 3, 0],
        ] {
            let bytes = [bytes, &[0xc3]].concat();
            let mut lowering = lowering();
            lower(&mut lowering, &bytes, HERE);
            assert!(lowering.moving().is_empty(), "{bytes:x?}");
        }
    }
}
