//! What tests are made with: the command under test, kernels, and guests with a script.
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use manager::cache::Cache;
use manager::images::{COMMAND_LINE, Images, Kernel, Recipe, Script};

use boot_tests::console::{Finished, Guest};

/// The command under test and its guests.
pub struct Lab {
    gasang: PathBuf,
    guests: PathBuf,
    /// Translations that one test leaves for the next.
    translations: tempfile::TempDir,
}

/// A guest to be, with sensible defaults.
pub struct Setup {
    pub kernel: Kernel,
    pub script: Script,
    pub memory: &'static str,
    /// Added to the kernel's command line.
    pub append: String,
    pub options: Vec<String>,
}

impl Setup {
    /// The default kernel with a script.
    pub fn script(name: &str, text: &str) -> Self {
        Self { script: Script::of(format!("test-{name}"), text), ..Self::shell() }
    }

    /// The default kernel with a shell on the console.
    pub fn shell() -> Self {
        Self {
            kernel: Kernel::Cloud61,
            script: Script::shell(),
            memory: "512M",
            append: String::new(),
            options: Vec::new(),
        }
    }

    /// With more on the kernel's command line.
    pub fn append(mut self, append: &str) -> Self {
        self.append = append.to_owned();
        self
    }

    /// With more options of the command.
    pub fn options(mut self, options: &[&str]) -> Self {
        self.options = options.iter().map(|option| (*option).to_owned()).collect();
        self
    }
}

impl Lab {
    /// For a built command, with guests kept in a directory.
    pub fn new(gasang: PathBuf, guests: PathBuf) -> anyhow::Result<Self> {
        let translations = tempfile::tempdir().context("no directory for translations")?;
        Ok(Self { gasang, guests, translations })
    }

    /// The guests.
    pub fn images(&self) -> Images<'static> {
        Images::new(Cache::at(&self.guests), |step| println!("{step}"))
    }

    /// The command alone.
    pub fn gasang(&self) -> Command {
        let mut command = Command::new(&self.gasang);
        command.env("GASANG_TRANSLATIONS", self.translations.path());
        command
    }

    /// Where guests are kept.
    pub fn guests_directory(&self) -> &Path {
        &self.guests
    }

    /// Removes the disk that machines of a name have kept.
    pub fn remove_kept(&self, name: &str) -> anyhow::Result<()> {
        let recipe = Recipe::of("debian-12").context("no recipe")?;
        let guest = self.images().disk_guest(recipe).context("no guest")?;
        Ok(std::fs::remove_file(guest.disk.with_file_name(format!("kept-{name}.qcow2")))?)
    }

    /// `gasang run` with the default guest.
    pub fn default_guest(&self) -> Command {
        let mut command = self.run();
        command.arg("--guests-dir").arg(&self.guests);
        command
    }

    fn run(&self) -> Command {
        let mut command = self.gasang();
        command.args(["run", "--net", "none"]);
        command
    }

    /// The command that boots a guest.
    pub fn command(&self, setup: &Setup) -> anyhow::Result<Command> {
        let images = self.images();
        let mut command = self.run();
        command.arg("--kernel").arg(images.kernel(setup.kernel)?);
        command.arg("--initrd").arg(images.initramfs(&setup.script)?);
        command.args(["--memory", setup.memory, "--append", &format!("{COMMAND_LINE} {}", setup.append)]);
        command.args(&setup.options);
        Ok(command)
    }

    /// Boots a guest.
    pub fn start(&self, setup: &Setup) -> anyhow::Result<Guest> {
        Guest::start(&mut self.command(setup)?)
    }

    /// Boots a guest whose script ends by itself, and returns what the script said.
    pub fn run_script(&self, setup: &Setup) -> anyhow::Result<String> {
        let mut guest = self.start(setup)?;
        guest.expect(manager::images::INIT_MARKER)?;
        let said = guest.expect("gasang: script ended with ").context("the script did not end")?;
        let finished = guest.finish()?;
        ensure!(finished.status.code() == Some(0), "it ended with {}: {}", finished.status, finished.errors);
        Ok(said.replace('\r', ""))
    }

    /// Lets a guest run to its end without input.
    pub fn finish(&self, setup: &Setup) -> anyhow::Result<Finished> {
        self.start(setup)?.finish()
    }
}
