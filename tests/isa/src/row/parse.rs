//! Reading rows.
use iced_x86::{Decoder, DecoderOptions, OpKind};

use super::print::{EXCEPTION_NAMES, FLAG_NAMES, GPR_NAMES, clear};
use super::{Expectation, Row};
use crate::case::Case;
use crate::layout::{CODE, DATA, Image, LOW, READ_ONLY, STACK};
use crate::state::UserState;
use x86::flags;

/// A row that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct RowError {
    /// Line in the file, from 1.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

/// Reads a file of rows; empty lines and lines that begin with `#` are skipped.
pub fn file(text: &str) -> Result<Vec<Row>, RowError> {
    let lines = text.lines().enumerate();
    let rows = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    rows.map(|(index, line)| row(line, index + 1).map_err(|why| RowError { line: index + 1, why })).collect()
}

fn row(line: &str, number: usize) -> Result<Row, String> {
    let rest = line.trim().strip_prefix('[').ok_or("a row begins with its code in brackets")?;
    let (code, rest) = rest.split_once(']').ok_or("the code has no closing bracket")?;
    let code = hex_bytes(code)?;
    let rest = rest.trim_start().strip_prefix('"').ok_or("no disassembly in quotes")?;
    let (text, rest) = rest.split_once('"').ok_or("the disassembly has no closing quote")?;
    let (left, right) = match rest.split_once("=>") {
        Some((left, right)) => (left, Some(right)),
        None => (rest, None),
    };
    let mut side = Side::new(Row::defaults(), Image::default());
    side.read(left)?;
    side.undefined |= undefined_at_end(&code, side.state.rip);
    let case = Case { code, state: side.state, memory: side.memory, undefined_flags: side.undefined };
    let expected = right.map(|right| expectation(&case, right)).transpose()?;
    let source = line.trim().split("=>").next().unwrap_or_default().trim_end().to_owned();
    Ok(Row { line: number, text: text.to_owned(), case, bare: side.bare, expected, source })
}

fn expectation(case: &Case, right: &str) -> Result<Expectation, String> {
    let mut side = Side::new(case.state.clone(), case.memory.clone());
    side.state.rip = case.end();
    side.code_at = case.state.rip;
    side.read(right)?;
    let rip_matters = side.exception.is_none() || side.rip_given;
    Ok(Expectation { state: side.state, memory: side.memory, exception: side.exception, rip_matters })
}

/// Flags that the code leaves undefined, were it to run straight through. A shift by CL may leave what was there.
pub fn undefined_at_end(code: &[u8], ip: u64) -> u64 {
    let mut undefined = 0;
    for instruction in &mut Decoder::with_ip(64, code, ip, DecoderOptions::NONE) {
        let (now, written) = flag_effects(&instruction);
        undefined = (undefined & !written) | now;
    }
    undefined
}

/// The flags that an instruction leaves undefined, and those that it surely defines.
pub fn flag_effects(instruction: &iced_x86::Instruction) -> (u64, u64) {
    use iced_x86::Mnemonic::{Rcl, Rcr, Rol, Ror, Sal, Sar, Shl, Shld, Shr, Shrd};
    let mut undefined = from_iced(instruction.rflags_undefined());
    if matches!(instruction.mnemonic(), Rcl | Rcr) && full_turns(instruction) {
        // Intel's CPUs leave it, AMD's compute it as they do for every other count.
        undefined |= flags::OF;
    }
    let shift = matches!(instruction.mnemonic(), Rcl | Rcr | Rol | Ror | Sal | Sar | Shl | Shld | Shr | Shrd);
    let by_register = shift && instruction.op_kind(instruction.op_count() - 1) == OpKind::Register;
    let conditional = by_register || instruction.has_rep_prefix() || instruction.has_repne_prefix();
    let modified = instruction.rflags_written() | instruction.rflags_cleared() | instruction.rflags_set();
    (undefined, if conditional { 0 } else { from_iced(modified) & !undefined })
}

/// Whether a rotation through CF turns its operand around as a whole: iced says that it leaves the flags alone.
fn full_turns(instruction: &iced_x86::Instruction) -> bool {
    let by_immediate = instruction.op1_kind() == OpKind::Immediate8;
    by_immediate && instruction.rflags_modified() == 0 && instruction.immediate8() & 0x1f != 0
}

/// iced's flag bits as bits of RFLAGS.
pub fn from_iced(bits: u32) -> u64 {
    use iced_x86::RflagsBits as I;
    let pairs = [
        (I::CF, flags::CF),
        (I::PF, flags::PF),
        (I::AF, flags::AF),
        (I::ZF, flags::ZF),
        (I::SF, flags::SF),
        (I::OF, flags::OF),
        (I::DF, flags::DF),
    ];
    pairs.iter().filter(|(theirs, _)| bits & theirs != 0).fold(0, |all, (_, ours)| all | ours)
}

struct Side {
    state: UserState,
    memory: Image,
    undefined: u64,
    bare: bool,
    exception: Option<(u8, u32, u64)>,
    rip_given: bool,
    code_at: u64,
}

impl Side {
    fn new(state: UserState, memory: Image) -> Self {
        let code_at = state.rip;
        Self { state, memory, undefined: 0, bare: true, exception: None, rip_given: false, code_at }
    }

    fn read(&mut self, text: &str) -> Result<(), String> {
        for word in text.split_whitespace() {
            self.word(word).map_err(|why| format!("{word:?}: {why}"))?;
        }
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), String> {
        if word == "!bare" {
            self.bare = false;
            return Ok(());
        }
        if word == "!amd" {
            self.bare &= !crate::amd::is_here();
            return Ok(());
        }
        if word == "unchanged" {
            return Ok(());
        }
        if word.starts_with('#') {
            self.exception = Some(exception(word)?);
            return Ok(());
        }
        let (name, text) = word.split_once('=').ok_or("neither name=value nor an exception")?;
        if let Some(address) = name.strip_prefix("mem[").and_then(|name| name.strip_suffix(']')) {
            let data = hex_bytes(text)?;
            let place = self.memory.at(number(address)?, data.len()).ok_or("not in one region")?;
            place.copy_from_slice(&data);
            return Ok(());
        }
        if let Some(index) = GPR_NAMES.iter().position(|gpr| *gpr == name) {
            self.state.gpr[index] = number(text)?;
            return Ok(());
        }
        self.special(name, text)
    }

    fn special(&mut self, name: &str, text: &str) -> Result<(), String> {
        let vectors = &mut self.state.vectors;
        let narrow = |text| u16::try_from(number(text)?).map_err(|_| "more than 16 bits".to_owned());
        match name {
            "at" => self.state.rip = number(text)?,
            "rip" => {
                self.rip_given = true;
                self.state.rip = match text.strip_prefix('+') {
                    Some(offset) => self.code_at.wrapping_add(number(offset)?),
                    None => number(text)?,
                };
            }
            "flags" => {
                self.state.rflags = (self.state.rflags & !crate::state::COMPARED_FLAGS) | flag_set(text)?;
            }
            "undef" => self.undefined |= flag_set(text)?,
            "fsbase" => self.state.fs_base = number(text)?,
            "gsbase" => self.state.gs_base = number(text)?,
            "upper" | "vectors" if text == "0" => clear(vectors, name == "vectors"),
            "fcw" => vectors.set_fcw(narrow(text)?),
            "fsw" => vectors.set_fsw(narrow(text)?),
            "ftw" => vectors.set_ftw(narrow(text)? as u8),
            "mxcsr" => vectors.set_mxcsr(number(text)? as u32),
            _ => return self.vector(name, text),
        }
        Ok(())
    }

    fn vector(&mut self, name: &str, text: &str) -> Result<(), String> {
        let vectors = &mut self.state.vectors;
        let digits = text.replace('_', "");
        let digits = digits.trim_start_matches("0x");
        let index = |prefix: &str, limit: usize| {
            name.strip_prefix(prefix).and_then(|n| n.parse::<usize>().ok()).filter(|n| *n < limit)
        };
        let wide = |digits: &str| u128::from_str_radix(digits, 16).map_err(|error| error.to_string());
        if let Some(i) = index("st", 8) {
            vectors.set_st(i, wide(digits)?);
        } else if let Some(i) = index("xmm", 16) {
            vectors.set_xmm(i, wide(digits)?);
            vectors.set_upper(i, 0);
        } else if let Some(i) = index("ymm", 16) {
            let (upper, lower) =
                digits.split_at_checked(digits.len().saturating_sub(32)).ok_or("not hexadecimal")?;
            vectors.set_xmm(i, wide(lower)?);
            vectors.set_upper(i, wide(upper)?);
        } else {
            return Err("unknown name".to_owned());
        }
        Ok(())
    }
}

fn flag_set(text: &str) -> Result<u64, String> {
    if text == "none" {
        return Ok(0);
    }
    text.split('|').try_fold(0, |set, name| {
        let found = FLAG_NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, bit)| set | bit).ok_or_else(|| format!("no flag {name:?}"))
    })
}

fn exception(word: &str) -> Result<(u8, u32, u64), String> {
    let (word, cr2) = match word.split_once('@') {
        Some((word, address)) => (word, number(address)?),
        None => (word, 0),
    };
    let (name, code) = match word.split_once('(') {
        Some((name, code)) => (name, number(code.trim_end_matches(')'))?),
        None => (word, 0),
    };
    let vector = EXCEPTION_NAMES.iter().find(|(known, _)| *known == name).map(|(_, vector)| *vector);
    let vector = vector.ok_or("unknown exception")?;
    Ok((vector, u32::try_from(code).map_err(|error| error.to_string())?, cr2))
}

/// A decimal or hexadecimal number, or a place in a region, with `+` and `-`.
fn number(text: &str) -> Result<u64, String> {
    let cut = text.char_indices().skip(1).filter(|(_, c)| *c == '+' || *c == '-').map(|(at, _)| at).last();
    if let Some(at) = cut {
        let (left, right) = (number(&text[..at])?, number(&text[at + 1..])?);
        let minus = text.as_bytes()[at] == b'-';
        return Ok(if minus { left.wrapping_sub(right) } else { left.wrapping_add(right) });
    }
    for region in [CODE, DATA, READ_ONLY, STACK, LOW] {
        if text == region.name {
            return Ok(region.base);
        }
        if text.strip_suffix(".end") == Some(region.name) {
            return Ok(region.end());
        }
    }
    if let Some(rest) = text.strip_prefix('-') {
        return number(rest).map(u64::wrapping_neg);
    }
    let digits = text.replace('_', "");
    match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    }
    .map_err(|error| format!("{text:?} is not a number: {error}"))
}

fn hex_bytes(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace() && *c != '_').collect();
    if !digits.len().is_multiple_of(2) {
        return Err("an odd number of digits".to_owned());
    }
    let byte = |pair: &[char]| {
        let value = pair.iter().try_fold(0, |value, c| Some(value * 16 + c.to_digit(16)?));
        value.map(|value| value as u8).ok_or_else(|| format!("{pair:?} is not hexadecimal"))
    };
    digits.chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read() {
        let rows =
            file("# text\n[48 01 d8] \"add rax,rbx\" rax=1 rbx=data+2 flags=cf|df => rax=data+3 flags=df\n")
                .unwrap();
        let row = &rows[0];
        assert_eq!((row.line, row.case.code.as_slice()), (2, &[0x48, 1, 0xd8][..]));
        assert_eq!(row.case.state.gpr[3], DATA.base + 2);
        assert_eq!(row.case.state.rflags & crate::state::COMPARED_FLAGS, flags::CF | flags::DF);
        let expected = row.expected.as_ref().unwrap();
        assert_eq!(expected.state.gpr[0], DATA.base + 3);
        assert_eq!(expected.state.rip, CODE.base + 3);
    }

    #[test]
    fn exceptions_have_code_and_address() {
        assert_eq!(exception("#PF(0x6)@data+1"), Ok((14, 6, DATA.base + 1)));
        assert_eq!(exception("#DE"), Ok((0, 0, 0)));
        assert!(exception("#ZZ").is_err());
    }

    #[test]
    fn numbers_have_signs_and_ends() {
        assert_eq!(number("-1"), Ok(u64::MAX));
        assert_eq!(number("data.end-4"), Ok(DATA.end() - 4));
        assert!(number("date").is_err());
    }

    #[test]
    fn what_is_wrong_is_named_by_line() {
        let error = file("\n[9] \"nop\"").err().unwrap();
        assert_eq!(error.line, 2);
    }

    #[test]
    fn logic_leaves_af_undefined() {
        assert_eq!(undefined_at_end(&[0x48, 0x21, 0xd8], CODE.base), flags::AF);
        assert_eq!(undefined_at_end(&[0x48, 0x21, 0xd8, 0x48, 0x01, 0xd8], CODE.base), 0);
    }
}
