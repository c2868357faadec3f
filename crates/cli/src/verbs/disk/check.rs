//! `gasang disk check`.
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use storage::{CheckReport, Format, OpenOptions, Repair};

use crate::exit::Code;
use crate::output;

/// What may be mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mend {
    /// Only room that nothing uses
    Leaks,
    /// Everything that can be mended without guessing
    All,
}

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang disk check data.qcow2\n  \
                         gasang disk check --repair leaks data.qcow2\n\n\
                         Ends with exit code 1 if contradictions are left.")]
pub struct Check {
    /// The image
    file: PathBuf,
    /// Mend what is found
    #[arg(long, value_name = "WHAT")]
    repair: Option<Mend>,
    /// Format of the image [default: by what is in it]
    #[arg(long, value_name = "FORMAT")]
    image_format: Option<Format>,
    /// How to print what is found
    #[arg(long, default_value = "table")]
    format: output::Format,
}

impl Check {
    /// Looks, and mends.
    pub fn execute(self) -> anyhow::Result<Code> {
        let repair = match self.repair {
            None => Repair::None,
            Some(Mend::Leaks) => Repair::Leaks,
            Some(Mend::All) => Repair::All,
        };
        let open = if repair == Repair::None { OpenOptions::read_only() } else { OpenOptions::writable() };
        let image = storage::open(&self.file, OpenOptions { format: self.image_format, ..open })?;
        let report = image.check(repair)?;
        output::print(self.format, &report, text)?;
        Ok(if report.corruption_count > 0 { Code::FAILURE } else { Code::OK })
    }
}

fn text(report: &CheckReport) -> String {
    let mut text: String = report.corruptions.iter().map(|line| format!("{line}\n")).collect();
    let unshown = report.corruption_count.saturating_sub(report.corruptions.len() as u64);
    if unshown > 0 {
        text += &format!("… and {unshown} more\n");
    }
    if report.mended > 0 {
        text += &format!("{} were mended\n", report.mended);
    }
    if report.leaks > 0 {
        text += &format!("{} clusters belong to nothing; --repair leaks lets them go\n", report.leaks);
    }
    text += match (report.corruption_count, report.leaks) {
        (0, 0) => "the image is sound\n",
        (0, _) => "no data is at risk\n",
        _ => "the image contradicts itself\n",
    };
    text
}
