//! Instructions of 16-bit and 32-bit code as the host runs them in 64-bit mode: encoded anew, because operand-size
//! prefixes, short forms and addresses mean something else there.
use iced_x86::{Code, Encoder, Instruction, Mnemonic, Register};

use super::rewrite::{self, Operand};

/// The same operation in a form that 64-bit mode has; most have the very same.
pub fn code(code: Code) -> Code {
    match code {
        Code::Inc_r16 => Code::Inc_rm16,
        Code::Inc_r32 => Code::Inc_rm32,
        Code::Dec_r16 => Code::Dec_rm16,
        Code::Dec_r32 => Code::Dec_rm32,
        Code::Add_rm8_imm8_82 => Code::Add_rm8_imm8,
        Code::Or_rm8_imm8_82 => Code::Or_rm8_imm8,
        Code::Adc_rm8_imm8_82 => Code::Adc_rm8_imm8,
        Code::Sbb_rm8_imm8_82 => Code::Sbb_rm8_imm8,
        Code::And_rm8_imm8_82 => Code::And_rm8_imm8,
        Code::Sub_rm8_imm8_82 => Code::Sub_rm8_imm8,
        Code::Xor_rm8_imm8_82 => Code::Xor_rm8_imm8,
        Code::Cmp_rm8_imm8_82 => Code::Cmp_rm8_imm8,
        // 64-bit mode has them with other addresses only.
        Code::Mov_AL_moffs8 => Code::Mov_r8_rm8,
        Code::Mov_AX_moffs16 => Code::Mov_r16_rm16,
        Code::Mov_EAX_moffs32 => Code::Mov_r32_rm32,
        Code::Mov_moffs8_AL => Code::Mov_rm8_r8,
        Code::Mov_moffs16_AX => Code::Mov_rm16_r16,
        Code::Mov_moffs32_EAX => Code::Mov_rm32_r32,
        same => same,
    }
}

/// Whether 64-bit mode has the operation at all; asked for instructions that the host could run otherwise.
pub fn exists(instruction: &Instruction) -> bool {
    use Mnemonic::{Aaa, Aad, Aam, Aas, Arpl, Bound, Daa, Das, Lds, Les, Salc};
    !matches!(instruction.mnemonic(), Aaa | Aad | Aam | Aas | Arpl | Bound | Daa | Das | Lds | Les | Salc)
}

/// Writes an instruction without control flow, with its memory operand (if it has one) replaced. `None` if that cannot be
/// done, or if what a decoder makes of the result is not the same.
pub fn encode(instruction: &Instruction, operand: Option<Operand>, out: &mut Vec<u8>) -> Option<()> {
    let mut long = *instruction;
    long.set_code(code(instruction.code()));
    // What prefixes mean is in the code by now; others were without effect.
    long.set_has_rep_prefix(false);
    long.set_has_repne_prefix(false);
    long.set_segment_prefix(Register::None);
    if let Some(operand) = operand {
        long.set_memory_base(wide(operand.base));
        long.set_memory_index(operand.index.map_or(Register::None, wide));
        long.set_memory_index_scale(1 << operand.scale);
        long.set_memory_displacement64(operand.disp as u64);
        long.set_memory_displ_size(u32::from(operand.disp != 0));
    }
    let mut encoder = Encoder::new(64);
    out.clear();
    encoder.set_buffer(std::mem::take(out));
    let encoded = encoder.encode(&long, 0).is_ok();
    *out = encoder.take_buffer();
    let same = match operand {
        Some(operand) => rewrite::is_same(&long, operand, out),
        None => rewrite::has_same_registers(&long, out),
    };
    (encoded && same).then_some(())
}

fn wide(number: u8) -> Register {
    Register::try_from(Register::RAX as usize + usize::from(number)).unwrap_or(Register::None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::decode::may_copy;
    use iced_x86::{Decoder, DecoderOptions, FlowControl, Formatter, NasmFormatter};

    fn encoded(bits: u32, bytes: &[u8]) -> Option<String> {
        let instruction = Decoder::with_ip(bits, bytes, 0x1000, DecoderOptions::NONE).decode();
        assert_eq!(instruction.len(), bytes.len());
        let memory = (0..instruction.op_count()).any(|i| instruction.op_kind(i) == iced_x86::OpKind::Memory);
        let mut out = Vec::new();
        encode(&instruction, memory.then_some(Operand::at(10)), &mut out)?;
        let mut text = String::new();
        NasmFormatter::new().format(&Decoder::new(64, &out, DecoderOptions::NONE).decode(), &mut text);
        Some(text)
    }

    #[test]
    fn operand_sizes_and_short_forms_are_translated() {
        assert_eq!(encoded(32, &[0x40]).as_deref(), Some("inc eax"));
        assert_eq!(encoded(16, &[0x4f]).as_deref(), Some("dec di"));
        assert_eq!(encoded(16, &[0x01, 0xd8]).as_deref(), Some("add ax,bx"));
        assert_eq!(encoded(16, &[0x66, 0x01, 0xd8]).as_deref(), Some("add eax,ebx"));
        assert_eq!(encoded(32, &[0x66, 0x01, 0xd8]).as_deref(), Some("add ax,bx"));
        assert_eq!(encoded(32, &[0x82, 0xc0, 0x05]).as_deref(), Some("add al,5"));
        assert_eq!(encoded(32, &[0x88, 0xe5]).as_deref(), Some("mov ch,ah"));
        assert_eq!(encoded(32, &[0xc5, 0xe9, 0xfe, 0xcb]).as_deref(), Some("vpaddd xmm1,xmm2,xmm3"));
    }

    #[test]
    fn memory_operands_of_any_form_are_replaced() {
        assert_eq!(encoded(16, &[0x8b, 0x47, 0x05]).as_deref(), Some("mov ax,[r10]"));
        assert_eq!(encoded(32, &[0xa1, 1, 2, 3, 4]).as_deref(), Some("mov eax,[r10]"));
        assert_eq!(encoded(32, &[0xa2, 1, 2, 3, 4]).as_deref(), Some("mov [r10],al"));
        assert_eq!(encoded(32, &[0x65, 0x8b, 0x0d, 4, 0, 0, 0]).as_deref(), Some("mov ecx,[r10]"));
        assert_eq!(encoded(32, &[0xf0, 0x0f, 0xb1, 0x17]).as_deref(), Some("lock cmpxchg [r10],edx"));
        assert_eq!(encoded(16, &[0xd9, 0x07]).as_deref(), Some("fld dword [r10]"));
        assert_eq!(encoded(32, &[0x66, 0x0f, 0x6f, 0x04, 0x8b]).as_deref(), Some("movdqa xmm0,[r10]"));
        // AH has no encoding beside R10.
        assert_eq!(encoded(32, &[0x8a, 0x27]), None);
    }

    #[test]
    fn what_64_bit_mode_lacks_is_refused() {
        let exists = |bytes: &[u8]| super::exists(&Decoder::new(32, bytes, DecoderOptions::NONE).decode());
        assert!(exists(&[0x40]) && exists(&[0xa1, 0, 0, 0, 0]) && exists(&[0x01, 0xd8]));
        for bytes in [&[0x27][..], &[0xd6], &[0x62, 0x07], &[0xc4, 0x07], &[0x63, 0xd8]] {
            assert!(!exists(bytes), "{bytes:x?}");
        }
    }

    #[test]
    fn what_64_bit_mode_does_not_have_is_known() {
        let mut missing = 0;
        for original in Code::values() {
            let mut instruction = Instruction::default();
            instruction.set_code(original);
            let is_legacy = original.op_code().mode16() || original.op_code().mode32();
            let goes_on = original.flow_control() == FlowControl::Next && !original.is_stack_instruction();
            if is_legacy && goes_on && !original.is_privileged() && may_copy(&instruction) {
                assert_eq!(exists(&instruction), code(original).op_code().mode64(), "{original:?}");
                missing += u32::from(!exists(&instruction));
            }
        }
        assert!(missing >= 9, "{missing}");
    }
}
