//! `gasang disk info`.
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use storage::{BackingPolicy, Format, ImageInfo, OpenOptions};

use crate::exit::Code;
use crate::output;
use crate::quantity::show_size;

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang disk info data.qcow2\n  gasang disk info --format json *.vmdk")]
pub struct Info {
    /// Images
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Format of the images [default: by what is in them]
    #[arg(long, value_name = "FORMAT")]
    image_format: Option<Format>,
    /// How to print it
    #[arg(long, default_value = "table")]
    format: output::Format,
}

#[derive(Serialize)]
struct Described<'a> {
    file: &'a Path,
    #[serde(flatten)]
    info: ImageInfo,
}

impl Info {
    /// Prints what the images are.
    pub fn execute(self) -> anyhow::Result<Code> {
        let mut all = Vec::new();
        for file in &self.files {
            let options = OpenOptions {
                read_only: true,
                format: self.image_format,
                // Nothing of the backing file is shown but its name.
                backing: BackingPolicy::Anywhere,
            };
            all.push(Described { file, info: storage::open(file, options)?.info()? });
        }
        output::print(self.format, &all, |all| all.iter().map(text).collect::<Vec<_>>().join("\n"))?;
        Ok(Code::OK)
    }
}

fn text(described: &Described<'_>) -> String {
    let Described { file, info } = described;
    let variant = info.variant.as_ref().map(|variant| format!(", {variant}")).unwrap_or_default();
    let mut rows = vec![
        ("image".to_owned(), file.display().to_string()),
        ("format".to_owned(), format!("{}{variant}", info.format)),
        ("disk".to_owned(), format!("{} ({} bytes)", show_size(info.length), info.length)),
        (
            "file".to_owned(),
            format!("{}, {} on its host", show_size(info.file_length), show_size(info.allocated)),
        ),
    ];
    rows.extend(info.cluster.map(|bytes| ("cluster".to_owned(), show_size(bytes.into()))));
    rows.extend(info.backing.iter().map(|path| ("backing".to_owned(), path.display().to_string())));
    rows.extend(info.snapshots.iter().map(|name| ("snapshot".to_owned(), name.clone())));
    rows.extend(info.details.iter().cloned());
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}
