//! Host execution: an instruction without control flow or privilege runs as itself, in a stub that loads the guest's
//! registers around it, with its memory operand redirected. Results and flags are exact by construction.
#![expect(unsafe_code, reason = "calls generated stubs")]
use iced_x86::{Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};
use parking_lot::{Mutex, MutexGuard};
use x86::exception::vector;
use x86::segment::{FS, GS};
use x86::{Exception, control};

use super::core::{Core, Fallible};
use super::host_code::{self, Plan};
use crate::cache::code::CodeBuffer;
use crate::cpu::Cpu;
use crate::emit::long_form;
use crate::mmu::Access;
use crate::runtime::fault::{self, FaultGuard};

/// Bytes of stubs before all of them are thrown away.
const CAPACITY: usize = 4 << 20;
/// More than any stub needs.
const STUB_ROOM: usize = 1024;
/// Offset of MXCSR in the XSAVE area.
const MXCSR: usize = 24;
/// Offset of the x87 status word in the XSAVE area.
const FSW: usize = 2;
/// Offset of ST(0) in the XSAVE area.
const STACK: usize = 32;
/// The summary bit of the x87 status word: an unmasked exception is pending.
const FSW_ES: u8 = 0x80;

/// A memory operand as a stub sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemoryUse {
    pub size: usize,
    pub reads: bool,
    pub writes: bool,
}

/// One prepared instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stub {
    entry: u64,
    /// Where it goes on after an exception.
    resume: u64,
    memory: Option<MemoryUse>,
    vectors: bool,
    generation: u32,
}

/// Stubs and the place where operands are put that cannot be used in place.
pub(super) struct HostExecution {
    code: CodeBuffer,
    bounce: Box<Bounce>,
    generation: u32,
    information: InstructionInfoFactory,
    host_mxcsr: u32,
    _faults: FaultGuard,
}

#[repr(C, align(64))]
struct Bounce([u8; 256]);

/// Where a stub's memory operand is.
enum Place {
    /// In guest RAM.
    Direct(*mut u8),
    /// In the bounce buffer, at an offset. A locked operation holds [`BOUNCED_LOCK`] from before it was read.
    Bounced(usize, Option<MutexGuard<'static, ()>>),
}

/// Held by a locked operation whose operand is not the host's to lock: it crosses a page or is no RAM. Such operations
/// are atomic against one another. They are *not* against other instructions, locked or not, that touch one of the two
/// pages at the same time: those run on the host's own memory and know nothing of this lock. On real CPUs a split lock is
/// atomic against everything; no operating system relies on one that crosses a page.
static BOUNCED_LOCK: Mutex<()> = Mutex::new(());

/// Takes [`BOUNCED_LOCK`] if an instruction is a locked one: by its prefix, or as XCHG with memory always is.
pub(super) fn lock_bounced(instruction: &Instruction) -> Option<MutexGuard<'static, ()>> {
    let locked = instruction.has_lock_prefix() || instruction.mnemonic() == Mnemonic::Xchg;
    locked.then(|| BOUNCED_LOCK.lock())
}

impl HostExecution {
    pub fn new() -> std::io::Result<Self> {
        let code = CodeBuffer::new(CAPACITY, 1)?;
        Ok(Self {
            _faults: FaultGuard::new(code.range(), 0, fault::CALLED)?,
            code,
            bounce: Box::new(Bounce([0; 256])),
            generation: 1,
            information: InstructionInfoFactory::new(),
            host_mxcsr: host_code::host_mxcsr(),
        })
    }

    /// Whether a stub is still there.
    pub fn is_current(&self, stub: &Stub) -> bool {
        stub.generation == self.generation
    }

    /// Makes the stub of an instruction; `None` if it cannot run this way.
    pub fn prepare(&mut self, instruction: &Instruction) -> Option<Stub> {
        if self.code.room() < STUB_ROOM {
            self.code.clear();
            self.generation = self.generation.wrapping_add(1);
        }
        let mut rewritten = *instruction;
        rewritten.set_has_rep_prefix(false);
        rewritten.set_has_repne_prefix(false);
        rewritten.set_code(long_form::code(instruction.code()));
        let memory = self.detach_memory(instruction, &mut rewritten);
        let info = self.information.info(&rewritten);
        let plan = Plan::new(&mut rewritten, info, memory.is_some())?;
        let assembled = host_code::assemble(&plan, &rewritten, self.code.next_address())?;
        if assembled.bytes.len() > STUB_ROOM {
            return None;
        }
        let entry = self.code.append(&assembled.bytes, &[])?;
        let resume = entry + assembled.resume as u64;
        Some(Stub { entry, resume, memory, vectors: plan.vectors, generation: self.generation })
    }

    /// Takes the address out of the memory operand; it becomes the plan's register later.
    fn detach_memory(&mut self, original: &Instruction, rewritten: &mut Instruction) -> Option<MemoryUse> {
        let operand =
            (0..original.op_count()).find(|operand| original.op_kind(*operand) == OpKind::Memory)?;
        let access = self.information.info(original).op_access(operand);
        rewritten.set_memory_base(Register::None);
        rewritten.set_memory_index(Register::None);
        rewritten.set_memory_displacement64(0);
        rewritten.set_memory_displ_size(0);
        rewritten.set_segment_prefix(Register::None);
        let writes = matches!(
            access,
            OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
        );
        let reads = !matches!(access, OpAccess::Write | OpAccess::NoMemAccess);
        Some(MemoryUse { size: original.memory_size().size().clamp(1, 128), reads, writes })
    }

    /// Runs a stub with the guest's own MXCSR and x87 control word; the vector of the exception that it raised, if it did.
    fn call(&mut self, cpu: &mut Cpu, stub: &Stub, memory: *mut u8) -> Option<u8> {
        cpu.host_mxcsr = self.host_mxcsr;
        let raised = fault::catching(stub.resume, || {
            // SAFETY: `prepare` assembled a complete function of this signature, and `is_current` was checked by the
            // caller. It touches the CPU it is given, `memory` as far as the operand's size reaches, and no other memory.
            unsafe {
                let run: extern "sysv64" fn(*mut Cpu, *mut u8) = std::mem::transmute(stub.entry);
                run(cpu, memory);
            }
        });
        if stub.vectors {
            hide_pointers(cpu);
        }
        raised
    }
    fn bounce_at(&mut self, offset: usize) -> *mut u8 {
        self.bounce.0[offset..].as_mut_ptr()
    }
}

/// FOP, FIP and FDP in a saved image are the host's business.
fn hide_pointers(cpu: &mut Cpu) {
    cpu.xsave.0[6..24].fill(0);
}

impl Core<'_> {
    /// Runs an instruction by its stub.
    pub fn run_on_host(&mut self, instruction: &Instruction, stub: &Stub) -> Fallible {
        let place = match stub.memory {
            Some(usage) => match self.place_memory(instruction, usage) {
                Ok(place) => Some((usage, place)),
                Err(fault) if usage.writes && !usage.reads => {
                    return self.store_without_place(instruction, stub, fault);
                }
                Err(fault) => return Err(fault),
            },
            None => None,
        };
        let pointer = match &place {
            None => std::ptr::null_mut(),
            Some((_, (_, Place::Direct(pointer)))) => *pointer,
            Some((_, (_, Place::Bounced(offset, _)))) => self.host.bounce_at(*offset),
        };
        self.call_guarded(stub, pointer)?;
        if let Some((usage, (address, Place::Bounced(offset, _lock)))) = place
            && usage.writes
        {
            let data = &self.host.bounce.0[offset..offset + usage.size];
            self.mmu.write(
                self.cpu,
                self.io,
                address,
                data,
                crate::mmu::Privilege::of_cpl(self.cpu.cpl()),
            )?;
        }
        Ok(())
    }

    fn place_memory(&mut self, instruction: &Instruction, usage: MemoryUse) -> Fallible<(x86::Gva, Place)> {
        let offset = self.effective_offset(instruction);
        let segment = self.memory_segment(instruction);
        if super::class::needs_alignment(instruction) {
            // This comes before all other faults.
            let has_base = !self.is_64() || segment == FS || segment == GS;
            let base = if has_base { self.cpu.segments[segment].base } else { 0 };
            if !base.wrapping_add(offset).is_multiple_of(usage.size as u64) {
                return Err(Exception::general_protection(0));
            }
        }
        let access = if usage.writes { Access::Write } else { Access::Read };
        if usage.writes && usage.reads && !self.is_64() {
            // A read-modify-write needs a readable segment too.
            self.linear(segment, offset, usage.size as u64, Access::Read)?;
        }
        let address = self.linear(segment, offset, usage.size as u64, access)?;
        match usage.size {
            10 => self.check_alignment(address, 8)?,
            size => self.check_alignment(address, size)?,
        }
        let privilege = self.privilege();
        if let Some(pointer) = self.mmu.host_range(self.cpu, address, usage.size, access, privilege)? {
            return Ok((address, Place::Direct(pointer)));
        }
        self.probe_linear(address, usage.size, access, privilege)?;
        let lock = lock_bounced(instruction);
        // As it is aligned in the guest, so that the host checks that. But a locked one across the end of a cache line would
        // stop the whole host, and hosts slow that down on purpose: 16 is as much as such instructions ask for.
        let alignment = if lock.is_some() { 16 } else { 64 };
        let at = (address.0 % alignment) as usize;
        // An x87 store may turn out to store nothing.
        if usage.reads || super::class::touches_x87(instruction) {
            let data = &mut self.host.bounce.0[at..at + usage.size];
            self.mmu.read(self.cpu, self.io, address, data, privilege)?;
        }
        Ok((address, Place::Bounced(at, lock)))
    }

    /// Runs a stub on bytes of the caller instead of guest memory.
    pub fn run_on_bytes(&mut self, stub: &Stub, data: &mut [u8; 64]) -> Fallible {
        self.host.bounce.0[..64].copy_from_slice(data);
        let pointer = self.host.bounce_at(0);
        self.call_guarded(stub, pointer)?;
        data.copy_from_slice(&self.host.bounce.0[..64]);
        Ok(())
    }

    /// Calls a stub; what it raises on the host is the guest's exception.
    fn call_guarded(&mut self, stub: &Stub, pointer: *mut u8) -> Fallible {
        match self.host.call(self.cpu, stub, pointer) {
            None => Ok(()),
            Some(vector::XM) if self.cpu.cr4 & control::CR4_OSXMMEXCPT != 0 => {
                Err(Exception::plain(vector::XM))
            }
            Some(vector::XM | vector::UD) => Err(Exception::invalid_opcode()),
            Some(vector::GP) => Err(Exception::general_protection(0)),
            Some(other) => Err(Exception::plain(other)),
        }
    }

    /// The destination of an instruction faulted. Some instructions have had an effect by then: an x87 store whose operand
    /// raises an unmasked exception leaves memory alone and the exception pending, VCVTPS2PH has set MXCSR, and a store
    /// from an MMX register has reset the x87 stack's top.
    fn store_without_place(&mut self, instruction: &Instruction, stub: &Stub, fault: Exception) -> Fallible {
        let is_x87 = super::class::touches_x87(instruction);
        if instruction.op1_kind() == OpKind::Register && instruction.op1_register().is_mm() {
            self.reset_top();
        }
        if !is_x87 && instruction.mnemonic() != Mnemonic::Vcvtps2ph {
            return Err(fault);
        }
        const UNTOUCHED: u8 = 0xa5;
        self.host.bounce.0.fill(UNTOUCHED);
        let image = self.cpu.xsave.clone();
        let pointer = self.host.bounce_at(0);
        self.call_guarded(stub, pointer)?;
        let mxcsr = self.mxcsr();
        let raised = self.cpu.xsave.0[FSW] & !image.0[FSW] & FSW_ES != 0;
        if is_x87 && raised && self.host.bounce.0.iter().all(|byte| *byte == UNTOUCHED) {
            return Ok(());
        }
        self.cpu.xsave = image;
        self.set_mxcsr(mxcsr);
        Err(fault)
    }

    /// TOP = 0, as any MMX instruction sets it; registers are kept in the order of the stack.
    pub fn reset_top(&mut self) {
        let image = &mut self.cpu.xsave.0;
        let top = usize::from(image[FSW + 1] >> 3 & 7);
        image[FSW + 1] &= !0x38;
        image[STACK..STACK + 8 * 16].rotate_right(top * 16);
    }

    /// MXCSR in the guest's image.
    pub fn mxcsr(&self) -> u32 {
        let image = &self.cpu.xsave.0;
        u32::from_le_bytes([image[MXCSR], image[MXCSR + 1], image[MXCSR + 2], image[MXCSR + 3]])
    }
    /// Changes MXCSR in the guest's image.
    pub fn set_mxcsr(&mut self, value: u32) {
        self.cpu.xsave.0[MXCSR..MXCSR + 4].copy_from_slice(&value.to_le_bytes());
    }
}
