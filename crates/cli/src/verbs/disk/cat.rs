//! `gasang disk cat`.
use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;

use clap::Args;
use inspect::InspectError;
use storage::Format;

use super::inside::{self, Place};
use crate::exit::Code;

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang disk cat data.qcow2 /etc/os-release\n  \
                         gasang disk cat data.qcow2 1:/EFI/BOOT/BOOTX64.EFI > boot.efi\n\n\
                         Nothing is mounted, and the image stays as it is.")]
pub struct Cat {
    /// The image
    image: PathBuf,
    /// The file; without a number, on the largest partition that can be looked into
    #[arg(value_name = "[PARTITION:]PATH")]
    place: OsString,
    /// Format of the image [default: by what is in it]
    #[arg(long, value_name = "FORMAT")]
    image_format: Option<Format>,
}

impl Cat {
    /// Prints the file's bytes.
    pub fn execute(self) -> anyhow::Result<Code> {
        let disk = inside::open(&self.image, self.image_format)?;
        let place = Place::from(self.place);
        let mut files = inside::files(&disk, &place)?;
        let mut stdout = io::stdout().lock();
        let written = files.read(&place.path, &mut stdout);
        match written.and_then(|()| stdout.flush().map_err(InspectError::Output)) {
            // Whoever reads has enough.
            Err(InspectError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(Code::OK),
            result => Ok(result.map(|()| Code::OK)?),
        }
    }
}
