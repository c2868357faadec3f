//! No file over 800 lines, no function over 100.
use anyhow::{Context, bail};

use crate::project;

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 100;

/// Uniform catalogues that read better whole: path and reason.
const EXEMPT: &[(&str, &str)] =
    &[("crates/translator/src/interp/class.rs", "one catalogue of mnemonics by family")];

/// Checks the project's Rust files.
pub fn check() -> anyhow::Result<()> {
    let mut faults = Vec::new();
    let mut count = 0;
    for directory in ["crates", "xtask", "tests", "fuzz/src", "fuzz/fuzz_targets", "fuzz/examples"] {
        for path in project::files(&project::root().join(directory), "rs")? {
            let name = project::relative(&path);
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {name}"))?;
            count += 1;
            if !EXEMPT.iter().any(|(exempt, _)| *exempt == name) {
                faults.extend(faults_of(&text).into_iter().map(|fault| format!("{name}: {fault}")));
            }
        }
    }
    for (exempt, _) in EXEMPT.iter().filter(|(exempt, _)| !project::root().join(exempt).is_file()) {
        faults.push(format!("{exempt} is exempt, but does not exist"));
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n  "));
    }
    println!("{count} files");
    Ok(())
}

fn faults_of(text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().collect();
    let mut faults = Vec::new();
    if lines.len() > FILE_LINES_MAX {
        faults.push(format!("{} lines, more than {FILE_LINES_MAX}", lines.len()));
    }
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = function(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        // rustfmt puts the closing brace below the start of the function.
        let is_end = |line: &&str| line.strip_prefix(indent).is_some_and(|rest| rest.starts_with('}'));
        let has_body = !line.trim_end().ends_with(';') && !line.trim_end().ends_with('}');
        let length = lines[index..].iter().position(is_end).map_or(0, |end| end + 1);
        if has_body && length > FUNCTION_LINES_MAX {
            faults.push(format!("function {name} has {length} lines, more than {FUNCTION_LINES_MAX}"));
        }
    }
    faults
}

/// The name of the function that starts on this line.
fn function(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    for word in words.by_ref() {
        match word {
            "fn" => return words.next()?.split(['(', '<']).next(),
            "pub" | "const" | "unsafe" | "async" | "extern" => {}
            word if word.starts_with("pub(") || word.starts_with('"') => {}
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function_of(lines: usize) -> String {
        format!(
            "impl A {{\n    pub(crate) const fn long<T>(\n    ) {{\n{}    }}\n}}\n",
            "        x;\n".repeat(lines - 3)
        )
    }

    #[test]
    fn long_functions_are_found() {
        assert_eq!(faults_of(&function_of(100)), [""; 0]);
        assert_eq!(faults_of(&function_of(101)), ["function long has 101 lines, more than 100"]);
    }

    #[test]
    fn long_files_are_found() {
        assert_eq!(faults_of(&"// x\n".repeat(800)), [""; 0]);
        assert_eq!(faults_of(&"// x\n".repeat(801)), ["801 lines, more than 800"]);
    }

    #[test]
    fn only_functions_start_functions() {
        assert_eq!(function("    pub unsafe extern \"C\" fn go<T>(x: T) {"), Some("go"));
        assert_eq!(function("let f: fn(u8) = go;"), None);
        assert_eq!(function("// fn comment"), None);
    }
}
