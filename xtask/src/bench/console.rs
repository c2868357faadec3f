//! A guest's serial console, typed at and listened to.
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// A guest behind a console. Dropping it kills it.
pub struct Console {
    child: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    /// What was said and not asked for yet.
    ahead: Vec<u8>,
}

impl Console {
    /// Starts a contender, whose standard input and output are the console.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start it")?;
        let input = child.stdin.take().context("it has no input")?;
        let mut stream = child.stdout.take().context("it has no output")?;
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut buffer)
                && sender.send(buffer[..length].to_vec()).is_ok()
            {}
        });
        Ok(Self { child, input, output, ahead: Vec::new() })
    }
    /// Waits for a text and returns what came before it.
    pub fn expect(&mut self, text: &str) -> anyhow::Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.ahead.windows(text.len()).position(|part| part == text.as_bytes()) {
                let before = String::from_utf8_lossy(&self.ahead[..at]).into_owned();
                self.ahead.drain(..at + text.len());
                return Ok(before);
            }
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.ahead.extend(bytes),
                Err(_) => bail!("it never said {text:?}, but {}", String::from_utf8_lossy(&self.ahead)),
            }
        }
    }
    /// Types a line.
    pub fn type_line(&mut self, line: &str) -> anyhow::Result<()> {
        self.input.write_all(format!("{line}\n").as_bytes()).context("it takes no input")
    }
    /// Logs root in, on a shell that neither echoes nor prompts.
    pub fn log_in(&mut self) -> anyhow::Result<()> {
        self.type_line("root")?;
        self.expect("root@")?;
        self.type_line("PS1=; stty -echo; echo 'rea''dy'")?;
        self.expect("ready\r\n").map(drop)
    }
    /// What a command prints.
    pub fn ask(&mut self, command: &str) -> anyhow::Result<String> {
        self.type_line(&format!("echo 'be''gin'; {command}; echo 'e''nd'"))?;
        self.expect("begin\r\n")?;
        self.expect("end\r\n")
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
