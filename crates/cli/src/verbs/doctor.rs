//! `gasang doctor`: what this host offers.
use clap::Args;

use crate::doctor::{Finding, Level, probe_all};
use crate::exit::Code;
use crate::output;

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang doctor\n  gasang doctor --format json\n\n\
                         Ends with exit code 14 if this host cannot run guests at all.")]
pub struct Doctor {
    /// How to print the findings
    #[arg(long, default_value = "table")]
    format: output::Format,
}

impl Doctor {
    /// Looks at the host and prints what there is.
    pub fn execute(self) -> anyhow::Result<Code> {
        let findings = probe_all();
        output::print(self.format, &findings, |findings| table(findings))?;
        let fatal = findings.iter().any(|finding| finding.level == Level::Missing);
        Ok(if fatal { Code::HOST } else { Code::OK })
    }
}

fn table(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let Finding { name, level, found, meaning, advice } = finding;
        text += &format!("{:7}  {name:width$}  {found}: {meaning}\n", level.word());
        if let Some(advice) = advice {
            text += &format!("{:7}  {:width$}  -> {advice}\n", "", "");
        }
    }
    let fatal = findings.iter().filter(|finding| finding.level == Level::Missing).count();
    text += &match fatal {
        0 => "\nThis host runs guests.\n".to_owned(),
        count => format!("\nThis host cannot run guests: {count} of the above are missing.\n"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_stands_under_its_finding() {
        let finding = Finding {
            name: "/dev/kvm",
            level: Level::Note,
            found: "not there".to_owned(),
            meaning: "not needed",
            advice: Some("load it".to_owned()),
        };
        let text = table(&[finding]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "note     /dev/kvm  not there: not needed");
        assert_eq!(lines[1].find("->"), lines[0].find("not there"));
    }
}
