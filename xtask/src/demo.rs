//! `cargo xtask demo`: from a fresh clone to a guest's shell prompt.
use std::process::Command;

use clap::Args;
use manager::images::{Kernel, Script};

use crate::{guests, project};

/// Guests are fetched as any user; nothing is installed on the host.
#[derive(Args, Debug)]
pub struct Demo {
    /// Further options for `gasang run`, after `--`
    #[arg(last = true)]
    options: Vec<String>,
}

impl Demo {
    /// Fetches, builds, boots.
    pub fn execute(self) -> anyhow::Result<()> {
        eprintln!("1/3 a stock Debian kernel and busybox, kept in {}", guests::directory().display());
        guests::with_images(|images| {
            images.kernel(Kernel::Cloud61).and_then(|_| images.initramfs(&Script::shell()))
        })?;
        eprintln!("2/3 building gasang with optimizations");
        let gasang = project::build_gasang()?;
        eprintln!("3/3 booting; 'poweroff -f' ends the guest, Ctrl-] ? shows a menu");
        let mut run = Command::new(gasang);
        run.arg("run").arg("--guests-dir").arg(guests::directory()).args(self.options);
        project::run(&mut run)
    }
}
