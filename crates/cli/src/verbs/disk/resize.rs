//! `gasang disk resize`.
use std::path::PathBuf;

use clap::Args;
use storage::{Format, OpenOptions};

use crate::exit::{Code, Usage};
use crate::output::say;
use crate::quantity::{self, show_size};

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang disk resize data.qcow2 20G\n  \
                         gasang disk resize --shrink data.qcow2 5G")]
pub struct Resize {
    /// The image
    file: PathBuf,
    /// The new length of its disk, for example 20G
    #[arg(value_name = "SIZE", value_parser = quantity::size)]
    size: u64,
    /// Allow a shorter disk: what is beyond its new end is lost
    #[arg(long)]
    shrink: bool,
    /// Format of the image [default: by what is in it]
    #[arg(long, value_name = "FORMAT")]
    image_format: Option<Format>,
}

impl Resize {
    /// Changes the length.
    pub fn execute(self) -> anyhow::Result<Code> {
        let options = OpenOptions { format: self.image_format, ..OpenOptions::writable() };
        let image = storage::open(&self.file, options)?;
        let before = image.shape().length;
        if self.size < before && !self.shrink {
            return Err(Usage {
                what: format!(
                    "that would cut the disk from {} to {}",
                    show_size(before),
                    show_size(self.size)
                ),
                advice: "if what is beyond may be lost, give --shrink".to_owned(),
            }
            .into());
        }
        image.resize(self.size)?;
        image.flush()?;
        say(&format!("{}: {} before, {} now", self.file.display(), show_size(before), show_size(self.size)));
        Ok(Code::OK)
    }
}
