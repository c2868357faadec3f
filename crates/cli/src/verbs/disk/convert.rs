//! `gasang disk convert`.
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use storage::{CreateOptions, Format, OpenOptions};

use super::create::format_of;
use crate::exit::{Code, Usage};
use crate::output::say;
use crate::quantity::show_size;

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang disk convert appliance.vmdk appliance.qcow2\n  \
                         gasang disk convert --image-format raw disk.qcow2 /tmp/disk")]
pub struct Convert {
    /// The image to copy
    source: PathBuf,
    /// The image to make; a file that is there already stays as it is
    target: PathBuf,
    /// Format of the new image: raw, qcow2, vdi, vmdk or vhd [default: by the file's name, or else qcow2]
    #[arg(long, value_name = "FORMAT")]
    image_format: Option<Format>,
    /// Format of the image to copy [default: by what is in it]
    #[arg(long, value_name = "FORMAT")]
    source_format: Option<Format>,
}

impl Convert {
    /// Copies the image. The target appears when it is whole.
    pub fn execute(self) -> anyhow::Result<Code> {
        if fs::symlink_metadata(&self.target).is_ok() {
            return Err(Usage {
                what: format!("{} is there already", self.target.display()),
                advice: "choose another name, or remove it first".to_owned(),
            }
            .into());
        }
        let format = self.image_format.unwrap_or_else(|| format_of(&self.target));
        let options = OpenOptions { format: self.source_format, ..OpenOptions::read_only() };
        let source = storage::open(&self.source, options)?;
        let length = source.shape().length;
        let unfinished = Unfinished::beside(&self.target);
        let target = storage::create(&unfinished.0, &CreateOptions { format, length, backing: None })?;
        let bar = progress_bar(length);
        storage::convert(source.as_ref(), target.as_ref(), &mut |done, _| bar.set_position(done))?;
        bar.finish_and_clear();
        drop(target);
        fs::rename(&unfinished.0, &self.target)?;
        say(&format!("{}: {format}, {}", self.target.display(), show_size(length)));
        Ok(Code::OK)
    }
}

/// A file that is removed unless it was renamed.
struct Unfinished(PathBuf);

impl Unfinished {
    fn beside(target: &Path) -> Self {
        let name = target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self(target.with_file_name(format!(".{name}.{}", std::process::id())))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Not there any more if all went well.
        let _ = fs::remove_file(&self.0);
    }
}

/// A bar on stderr if that is a terminal, else nothing.
fn progress_bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left");
    let bar = ProgressBar::new(length);
    style.map_or(bar.clone(), |style| bar.with_style(style))
}
