//! The package archive of the host's distribution, by its ordinary clients, as any user.
//!
//! apt gets a configuration of its own inside the cache: its own source list for one suite, its own package lists and
//! archives directory. Nothing under `/etc` or `/var` is written, so root is not needed; the host's own apt settings
//! (proxies, certificates) still apply.
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::cache::{CacheError, replace};
use crate::sources::{Source, Sources};

/// Where the host's apt keeps its settings.
const APT_SETTINGS: &str = "/etc/apt";
/// Directory below an archive's for what is needed for a moment only.
const SCRATCH: &str = "scratch";

/// A suite of the archive that guests are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// Debian 12, with its security updates.
    Bookworm,
    /// Debian 12 with newer packages made for it, which win.
    BookwormBackports,
    /// Debian 12 for 32-bit PCs, as released: tests run what is in it.
    BookwormI386,
}

impl Suite {
    /// The archive's name for it, and what it is called here.
    pub const fn name(self) -> &'static str {
        match self {
            Suite::Bookworm => "bookworm",
            Suite::BookwormBackports => "bookworm-backports",
            Suite::BookwormI386 => "bookworm-i386",
        }
    }

    /// The architecture of its packages.
    const fn architecture(self) -> &'static str {
        match self {
            Suite::BookwormI386 => "i386",
            _ => "amd64",
        }
    }

    /// Whether security updates are wanted: not for what only tests run.
    const fn has_security(self) -> bool {
        !matches!(self, Suite::BookwormI386)
    }

    /// The source list that apt gets.
    fn list(self, sources: &Sources) -> Result<String, ArchiveError> {
        let main = sources.main.as_ref().ok_or(ArchiveError::NoSource)?;
        let architecture = self.architecture();
        let mut list = line(main, architecture, "bookworm");
        if let Some(security) = &sources.security
            && self.has_security()
        {
            list += &line(security, architecture, "bookworm-security");
        }
        if self == Suite::BookwormBackports {
            list += &line(main, architecture, self.name());
        }
        Ok(list)
    }
}

fn line(source: &Source, architecture: &str, suite: &str) -> String {
    let signed_by = source.signed_by.as_ref().map(|key| format!(" signed-by={key}")).unwrap_or_default();
    format!("deb [arch={architecture}{signed_by}] {} {suite} main\n", source.uri)
}

/// A package could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A program is missing.
    #[error("{0} is not installed; guests are made from Debian's packages with apt-get, apt-cache and dpkg")]
    NoProgram(&'static str),
    /// apt is there but not Debian's archive.
    #[error("apt on this host knows no Debian archive, so guests cannot be fetched")]
    NoSource,
    /// The suite does not have it.
    #[error("the archive has no package '{package}' in {suite}")]
    NoPackage {
        /// Its name.
        package: String,
        /// Where it was looked for.
        suite: &'static str,
    },
    /// A client reported an error.
    #[error("{command} failed: {message}")]
    Client {
        /// What was run.
        command: String,
        /// The last lines of what it said.
        message: String,
    },
    /// The package's contents are not as expected.
    #[error("package '{package}' has no {what}")]
    Contents {
        /// Its name.
        package: String,
        /// What was looked for.
        what: &'static str,
    },
    /// Writing to the cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// One suite, reached with a private apt configuration.
#[derive(Debug)]
pub struct Archive {
    suite: Suite,
    directory: PathBuf,
    /// Locked. Clients inherit it as their stdin, so that one that outlives a killed gasang still keeps others off.
    lock: File,
}

impl Archive {
    /// Opens `suite` with its working files below `apt_directory`. Asks the network for nothing yet.
    pub fn open(apt_directory: &Path, suite: Suite) -> Result<Self, ArchiveError> {
        let list = suite.list(&Sources::of_host(Path::new(APT_SETTINGS)))?;
        let directory = place(apt_directory, suite)?;
        for part in ["lists/partial", "archives/partial"] {
            let part = directory.join(part);
            fs::create_dir_all(&part).map_err(CacheError::io("create", &part))?;
        }
        let lock = lock(&directory.join("lock"))?;
        // What a killed gasang has left behind.
        let _ = fs::remove_dir_all(directory.join(SCRATCH));
        let archive = Self { suite, directory, lock };
        replace(&archive.directory.join("sources.list"), list.as_bytes())?;
        replace(&archive.settings(), archive.configuration().as_bytes())?;
        Ok(archive)
    }

    /// The source list, for other programs that fetch packages.
    pub fn source_list(&self) -> PathBuf {
        self.directory.join("sources.list")
    }

    /// Runs a program that fetches packages with [`Archive::source_list`], while others are kept off.
    pub fn run_client(&self, program: &'static str, command: &mut Command) -> Result<(), ArchiveError> {
        self.run(program, command).map(drop)
    }

    fn settings(&self) -> PathBuf {
        self.directory.join("apt.conf")
    }

    fn configuration(&self) -> String {
        let mut text = String::new();
        let own = [
            ("Dir::Etc::sourcelist", "sources.list"),
            ("Dir::State::lists", "lists"),
            ("Dir::Cache", "."),
            ("Dir::Cache::archives", "archives"),
        ];
        for (name, file) in own {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name} \"{}\";", self.directory.join(file).display());
        }
        if self.suite.architecture() != "amd64" {
            let architecture = self.suite.architecture();
            let _ = writeln!(text, "APT::Architecture \"{architecture}\";");
            let _ = writeln!(text, "APT::Architectures {{\"{architecture}\";}};");
        }
        if self.suite == Suite::BookwormBackports {
            // Backports yield to everything else unless asked for.
            let _ = writeln!(text, "APT::Default-Release \"{}\";", self.suite.name());
        }
        // The cache may be closed to the user that apt would become.
        text + "Dir::Etc::sourceparts \"-\";\nAPT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\n"
    }

    /// Fetches the suite's package lists.
    pub fn update(&self) -> Result<(), ArchiveError> {
        let mut command = self.apt("apt-get");
        command.args(["--quiet", "--error-on=any", "update"]);
        self.run("apt-get", &mut command).map(drop)
    }

    /// The package that `package` depends on whose name starts with `prefix`, as a metapackage does.
    pub fn dependency(&self, package: &str, prefix: &str) -> Result<String, ArchiveError> {
        let arguments = ["depends", "--important", package];
        let text =
            self.with_lists(package, || self.stdout("apt-cache", self.apt("apt-cache").args(arguments)))?;
        let names = text.lines().filter_map(|line| line.trim().strip_prefix("Depends:")).map(str::trim);
        let mut names = names.filter(|name| name.starts_with(prefix));
        names.next().map(str::to_owned).ok_or_else(|| self.no_package(package))
    }

    /// The version that the suite offers.
    pub fn version(&self, package: &str) -> Result<String, ArchiveError> {
        let arguments = ["show", "--no-all-versions", package];
        let text =
            self.with_lists(package, || self.stdout("apt-cache", self.apt("apt-cache").args(arguments)))?;
        let version = text.lines().find_map(|line| line.strip_prefix("Version:"));
        version.map(|version| version.trim().to_owned()).ok_or_else(|| self.no_package(package))
    }

    /// A directory for what is needed for a moment only.
    pub fn scratch(&self) -> Result<tempfile::TempDir, CacheError> {
        let directory = self.directory.join(SCRATCH);
        fs::create_dir_all(&directory).map_err(CacheError::io("create", &directory))?;
        tempfile::tempdir_in(&directory).map_err(CacheError::io("write to", &directory))
    }

    /// Downloads a package and unpacks its files below `into`, which exists. apt checks the signed checksum.
    pub fn unpack(&self, package: &str, into: &Path) -> Result<(), ArchiveError> {
        let scratch = self.scratch()?;
        self.with_lists(package, || {
            let mut command = self.apt("apt-get");
            self.run("apt-get", command.args(["--quiet", "download", package]).current_dir(scratch.path()))
        })?;
        let entries = fs::read_dir(scratch.path()).map_err(CacheError::io("read", scratch.path()))?;
        let files = entries.flatten().map(|entry| entry.path());
        let mut files = files.filter(|path| path.extension().is_some_and(|extension| extension == "deb"));
        let file = files.next().ok_or_else(|| self.no_package(package))?;
        self.run("dpkg", Command::new("dpkg").arg("-x").arg(file).arg(into)).map(drop)
    }

    /// Unpacks a package and everything that it needs and this host does not have, below `into`, which exists.
    pub fn unpack_with_dependencies(&self, package: &str, into: &Path) -> Result<(), ArchiveError> {
        self.download_with_dependencies(&[package], &[])?;
        self.unpack_all(&self.directory.join("archives"), into)
    }

    /// Unpacks packages and everything that they need, down to the C library, below `into`, which exists: what they
    /// need to run where nothing of this host is at hand.
    pub fn unpack_closure(&self, packages: &[&str], into: &Path) -> Result<(), ArchiveError> {
        let scratch = self.scratch()?;
        let (status, archives) = (scratch.path().join("status"), scratch.path().join("archives"));
        fs::write(&status, b"").map_err(CacheError::io("write", &status))?;
        fs::create_dir_all(archives.join("partial")).map_err(CacheError::io("create", &archives))?;
        let nothing_installed = format!("Dir::State::status={}", status.display());
        let place = format!("Dir::Cache::archives={}", archives.display());
        self.download_with_dependencies(packages, &[&nothing_installed, &place])?;
        self.unpack_all(&archives, into)
    }

    /// Downloads packages and what they need, with further settings of apt.
    fn download_with_dependencies(&self, packages: &[&str], settings: &[&str]) -> Result<(), ArchiveError> {
        self.with_lists(&packages.join(" "), || {
            let mut command = self.apt("apt-get");
            command.args(settings.iter().flat_map(|setting| ["-o", setting]));
            // Nothing is installed, so the package database needs no lock, and this no root.
            command.args(["-o", "Debug::NoLocking=1", "--quiet", "--yes", "--no-install-recommends"]);
            self.run("apt-get", command.args(["install", "--download-only"]).args(packages))
        })
        .map(drop)
    }

    /// Unpacks every package in a directory.
    fn unpack_all(&self, archives: &Path, into: &Path) -> Result<(), ArchiveError> {
        for entry in fs::read_dir(archives).map_err(CacheError::io("read", archives))?.flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "deb") {
                self.run("dpkg", Command::new("dpkg").arg("-x").arg(entry.path()).arg(into))?;
            }
        }
        Ok(())
    }

    /// Tries with the package lists that are there, and once more with fresh ones: they may be missing, or so old
    /// that the archive has replaced what they name.
    fn with_lists<T>(
        &self,
        package: &str,
        attempt: impl Fn() -> Result<T, ArchiveError>,
    ) -> Result<T, ArchiveError> {
        match attempt() {
            Err(ArchiveError::Client { .. }) => {}
            result => return result,
        }
        self.update()?;
        match attempt() {
            Err(ArchiveError::Client { message, .. }) if message.contains("Unable to locate") => {
                Err(self.no_package(package))
            }
            Err(ArchiveError::Client { message, .. }) if message.contains("No packages found") => {
                Err(self.no_package(package))
            }
            result => result,
        }
    }

    fn no_package(&self, package: &str) -> ArchiveError {
        ArchiveError::NoPackage { package: package.to_owned(), suite: self.suite.name() }
    }

    fn apt(&self, program: &'static str) -> Command {
        let mut command = Command::new(program);
        command.arg("--config-file").arg(self.settings()).env("LC_ALL", "C");
        command
    }

    fn stdout(&self, program: &'static str, command: &mut Command) -> Result<String, ArchiveError> {
        Ok(String::from_utf8_lossy(&self.run(program, command)?.stdout).into_owned())
    }

    /// Runs a client, which reads from the lock's file: nothing.
    fn run(&self, program: &'static str, command: &mut Command) -> Result<Output, ArchiveError> {
        let input = self.lock.try_clone().map_err(CacheError::io("lock", &self.directory))?;
        run(program, command.stdin(input))
    }
}

/// Where a suite's files are. apt takes a relative path for one below its own directories.
fn place(apt_directory: &Path, suite: Suite) -> Result<PathBuf, CacheError> {
    let directory = std::path::absolute(apt_directory).map_err(CacheError::io("find", apt_directory))?;
    Ok(directory.join(suite.name()))
}

/// Opens and locks a file, which waits for whoever holds it.
fn lock(path: &Path) -> Result<File, CacheError> {
    let file = File::options().create(true).truncate(true).read(true).write(true).open(path);
    let file = file.map_err(CacheError::io("write to", path))?;
    file.lock().map_err(CacheError::io("lock", path))?;
    Ok(file)
}

fn run(program: &'static str, command: &mut Command) -> Result<Output, ArchiveError> {
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ArchiveError::NoProgram(program),
        _ => ArchiveError::Client { command: program.to_owned(), message: error.to_string() },
    })?;
    if output.status.success() {
        return Ok(output);
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<_> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
    let message = lines.into_iter().rev().collect::<Vec<_>>().join("; ");
    let words = command.get_args().filter(|word| !word.to_string_lossy().contains('/'));
    let words: Vec<_> =
        words.map(|word| word.to_string_lossy()).filter(|word| !word.starts_with('-')).collect();
    Err(ArchiveError::Client { command: format!("{program} {}", words.join(" ")), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> Sources {
        let source = |uri: &str| Some(Source { uri: uri.to_owned(), signed_by: Some("/k.gpg".to_owned()) });
        Sources {
            main: source("http://m.example/debian"),
            security: source("http://m.example/debian-security"),
        }
    }

    #[test]
    fn a_suite_comes_from_the_hosts_own_mirror() {
        let list = Suite::Bookworm.list(&sources()).unwrap();
        assert_eq!(
            list,
            "deb [arch=amd64 signed-by=/k.gpg] http://m.example/debian bookworm main\n\
             deb [arch=amd64 signed-by=/k.gpg] http://m.example/debian-security bookworm-security main\n"
        );
        let backports = Suite::BookwormBackports.list(&sources()).unwrap();
        assert_eq!(
            backports.strip_prefix(&list),
            Some("deb [arch=amd64 signed-by=/k.gpg] http://m.example/debian bookworm-backports main\n")
        );
        let i386 = Suite::BookwormI386.list(&sources()).unwrap();
        assert_eq!(i386, "deb [arch=i386 signed-by=/k.gpg] http://m.example/debian bookworm main\n");
    }

    #[test]
    fn a_host_without_debians_archive_is_told_so() {
        assert!(matches!(Suite::Bookworm.list(&Sources::default()), Err(ArchiveError::NoSource)));
    }

    #[test]
    fn a_relative_directory_becomes_absolute_for_apt() {
        let directory = place(Path::new("guests/apt"), Suite::Bookworm).unwrap();
        assert!(directory.is_absolute() && directory.ends_with("guests/apt/bookworm"), "{directory:?}");
    }

    /// As after a kill.
    #[test]
    fn a_client_that_outlives_us_keeps_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let archive = Archive {
            suite: Suite::Bookworm,
            directory: directory.path().into(),
            lock: lock(&path).unwrap(),
        };
        let input = archive.lock.try_clone().unwrap();
        let mut client = Command::new("sleep").arg("60").stdin(input).spawn().unwrap();
        drop(archive);
        let file = File::open(&path).unwrap();
        assert!(matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)));
        client.kill().unwrap();
        client.wait().unwrap();
        // Waits: a process that another test is starting may hold a copy for a moment.
        file.lock().unwrap();
    }

    #[test]
    fn a_failing_client_is_quoted() {
        let error = run("sh", Command::new("sh").args(["-c", "echo first >&2; echo why >&2; exit 3"]));
        assert_eq!(error.unwrap_err().to_string().split_once("failed: ").unwrap().1, "first; why");
        let error = run("no-such-program", &mut Command::new("no-such-program")).unwrap_err();
        assert!(matches!(error, ArchiveError::NoProgram("no-such-program")));
    }
}
