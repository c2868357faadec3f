//! A running guest, from the outside: what it says, what is typed, how it ends.
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// How long anything may take before a test fails; generous, since nothing is timed by it.
const PATIENCE: Duration = Duration::from_secs(120);

/// One guest. Dropping it kills it.
pub struct Guest {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<Vec<u8>>,
    errors: Receiver<Vec<u8>>,
    /// Everything said so far.
    said: Vec<u8>,
    /// What [`Guest::expect`] has not passed yet starts here.
    seen: usize,
    /// The same for what gasang itself says.
    complained: Vec<u8>,
    heeded: usize,
    patience: Duration,
}

impl Guest {
    /// Starts the command with pipes on all three streams.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start gasang")?;
        let input = child.stdin.take();
        let output = reader(child.stdout.take().context("no stdout")?);
        let errors = reader(child.stderr.take().context("no stderr")?);
        let (said, complained) = (Vec::new(), Vec::new());
        Ok(Self { child, input, output, errors, said, seen: 0, complained, heeded: 0, patience: PATIENCE })
    }

    /// The same, that may take so long for each answer.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) -> anyhow::Result<()> {
        let input = self.input.as_mut().context("stdin is closed")?;
        input.write_all(format!("{line}\n").as_bytes()).context("the guest takes no input")
    }

    /// Closes stdin.
    pub fn end_input(&mut self) {
        self.input = None;
    }

    /// Waits until the guest says `text`, after what was expected before. Returns what came between.
    pub fn expect(&mut self, text: &str) -> anyhow::Result<String> {
        let deadline = Instant::now() + self.patience;
        loop {
            let rest = &self.said[self.seen..];
            if let Some(at) = rest.windows(text.len()).position(|window| window == text.as_bytes()) {
                let between = String::from_utf8_lossy(&rest[..at]).into_owned();
                self.seen += at + text.len();
                return Ok(between);
            }
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.said.extend(bytes),
                Err(RecvTimeoutError::Timeout) => {
                    bail!("the guest never said '{text}'; {}", self.last_words())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("the guest ended without saying '{text}'; {}", self.last_words())
                }
            }
        }
    }

    /// Logs root in on a serial console, to a shell that neither echoes nor prompts.
    pub fn log_in(&mut self) -> anyhow::Result<()> {
        self.expect("login: ")?;
        self.become_root()
    }

    /// The same, when the prompt for the name is there.
    pub fn become_root(&mut self) -> anyhow::Result<()> {
        self.type_line("root")?;
        self.expect("root@")?;
        self.type_line("PS1=; stty -echo; dmesg -n 1; echo 'rea''dy'")?;
        self.expect("ready\r\n").map(drop)
    }

    /// What a command says on such a shell.
    pub fn ask(&mut self, command: &str) -> anyhow::Result<String> {
        self.type_line(&format!("echo 'be''gin'; {command}; echo 'e''nd'"))?;
        self.expect("begin\r\n")?;
        let said = self.expect("end\r\n")?;
        let lines = said.lines().map(str::trim_end).filter(|line| !line.starts_with('['));
        Ok(lines.map(|line| format!("{line}\n")).collect())
    }

    /// Asserts on what a command says.
    pub fn says(&mut self, command: &str, expected: &str) -> anyhow::Result<()> {
        let said = self.ask(command)?;
        ensure!(said.trim_end() == expected, "'{command}' says:\n{said}rather than:\n{expected}");
        Ok(())
    }

    /// Asks every half second until a command says what is expected, for as long as anything may take.
    pub fn comes_to_say(&mut self, command: &str, expected: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.patience;
        loop {
            let said = self.ask(&format!("{command}; sleep 0.5"))?;
            if said.trim_end() == expected {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "'{command}' still says:\n{said}rather than:\n{expected}");
        }
    }

    /// Waits until gasang itself says `text`, after what was expected of it before.
    pub fn expect_error(&mut self, text: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.patience;
        loop {
            let rest = &self.complained[self.heeded..];
            if let Some(at) = rest.windows(text.len()).position(|window| window == text.as_bytes()) {
                self.heeded += at + text.len();
                return Ok(());
            }
            match self.errors.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.complained.extend(bytes),
                Err(_) => bail!("gasang never said '{text}'; {}", self.last_words()),
            }
        }
    }

    /// Waits for the end, and returns the exit status and all that was said.
    pub fn finish(mut self) -> anyhow::Result<Finished> {
        let deadline = Instant::now() + self.patience;
        loop {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.said.extend(bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!("the guest did not end; {}", self.last_words()),
            }
        }
        let status = self.child.wait()?;
        self.complained.extend(self.errors.iter().flatten());
        Ok(Finished { status, output: text(&self.said), errors: text(&self.complained) })
    }

    /// Kills the command, as nothing can be caught, and returns all that was said.
    pub fn kill(mut self) -> anyhow::Result<String> {
        self.child.kill()?;
        self.child.wait()?;
        self.said.extend(self.output.iter().flatten());
        Ok(text(&self.said))
    }

    fn last_words(&self) -> String {
        let all: Vec<u8> = self.said.iter().copied().chain(self.output.try_iter().flatten()).collect();
        let all = text(&all);
        let lines: Vec<_> = all.lines().collect();
        let errors: Vec<u8> =
            self.complained.iter().copied().chain(self.errors.try_iter().flatten()).collect();
        let tail = lines[lines.len().saturating_sub(15)..].join("\n    ");
        format!("it said at last:\n    {tail}\n  and on stderr: {}", text(&errors).trim())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A guest that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How the command ended.
    pub status: ExitStatus,
    /// All that the guest said.
    pub output: String,
    /// All that gasang said.
    pub errors: String,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\r', "")
}

/// Reads to the end, on a thread.
fn reader(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length) = stream.read(&mut buffer) {
            if length == 0 || sender.send(buffer[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}
