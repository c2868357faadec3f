//! `--stats`: the engine's counters as an aligned table.
use std::fmt::Write as _;

use machine::Statistics;

/// One table per CPU.
pub fn table(cpus: &[Statistics]) -> String {
    let mut text = String::new();
    for (index, rows) in cpus.iter().enumerate() {
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "cpu{index}");
        for (name, value) in rows {
            let _ = writeln!(text, "  {name:width$}  {:>15}", grouped(*value));
        }
    }
    text
}

/// A number with its thousands set apart.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1 234 567");
    }

    #[test]
    fn columns_are_aligned() {
        let text = table(&[vec![("a", 1), ("longer", 2000)]]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "cpu0");
        assert_eq!(lines[1].len(), lines[2].len());
    }
}
