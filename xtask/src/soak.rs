//! `cargo xtask soak`: hours of mixed work in one guest, with every result checked and the process watched for growth.
mod memory;
mod watch;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;
use manager::images::{COMMAND_LINE, Kernel, Script};

use crate::programs::{self, PROGRAMS};
use crate::{guests, project};
use memory::{Memory, Sample};
use watch::Watch;

/// How long a piece of work may take before the guest counts as hung.
const PATIENCE: Duration = Duration::from_secs(300);
/// Guest memory. The script touches all of it at first.
const MEMORY: &str = "1536M";

#[derive(Args, Debug)]
pub struct Soak {
    /// How long
    #[arg(long, default_value_t = 60)]
    minutes: u32,
    /// Virtual CPUs of the guest
    #[arg(long, default_value_t = 2)]
    cpus: u32,
    /// Seconds between two looks at the process
    #[arg(long, default_value_t = 5)]
    every: u64,
}

impl Soak {
    /// Runs the guest to its end.
    pub fn execute(self) -> anyhow::Result<()> {
        let mut child = self.command()?.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let lines = lines(child.stdout.take().context("the guest has no output")?);
        let result = self.follow(&child, &lines);
        if result.is_err() {
            // It may have ended by itself.
            let _ = child.kill();
        }
        let status = child.wait()?;
        let (watch, memory) = result?;
        ensure!(status.success(), "gasang ended with {status}");
        println!("{}; {}", watch.summary(), memory.summary());
        memory.judge()
    }

    fn command(&self) -> anyhow::Result<Command> {
        let text = std::fs::read_to_string(project::root().join("tests/soak/round.sh"));
        let text = text.context("cannot read tests/soak/round.sh")?;
        let script = Script::of("soak", format!("MINUTES={}\nCPUS={}\n{text}", self.minutes, self.cpus));
        let script = programs::with_files(script, "tests/soak")?;
        let (kernel, initrd) = guests::with_images(|images| {
            anyhow::Ok((images.kernel(Kernel::Cloud61)?, images.package_initramfs(&PROGRAMS, &script)?))
        })?;
        let mut command = Command::new(project::build_gasang()?);
        command.args(["run", "--memory", MEMORY, "--cpus", &self.cpus.to_string()]);
        command.arg("--kernel").arg(kernel).arg("--initrd").arg(initrd).args(["--append", COMMAND_LINE]);
        Ok(command)
    }

    /// Reads what the guest says until it ends.
    fn follow(&self, child: &Child, lines: &Receiver<String>) -> anyhow::Result<(Watch, Memory)> {
        let (mut watch, mut memory) = (Watch::default(), Memory::default());
        let (start, mut progress) = (Instant::now(), Instant::now());
        loop {
            match lines.recv_timeout(Duration::from_secs(self.every)) {
                Ok(line) if watch.read(&line)? => progress = Instant::now(),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if progress.elapsed() > PATIENCE {
                bail!("no progress for {} s; {}", PATIENCE.as_secs(), watch.last_words());
            }
            if memory.due(start.elapsed(), Duration::from_secs(self.every)) {
                // Gone already if it is ending.
                memory.extend(Sample::of(child.id()).map(|sample| (start.elapsed(), sample)));
            }
            if let Some(round) = watch.finished_round() {
                println!("{:6} s  round {round}  {}", start.elapsed().as_secs(), memory.last());
            }
        }
        ensure!(watch.ended(), "the guest ended before its time; {}", watch.last_words());
        Ok((watch, memory))
    }
}

/// Lines as they come, from a thread.
fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n') {
            let Ok(line) = line else { return };
            if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                return;
            }
        }
    });
    receiver
}
