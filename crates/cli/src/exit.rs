//! Exit codes, and which error gets which. `docs/exit-codes.md` says the same for readers.
//!
//! Codes of our own beyond 2 are even: those of `--debug-exit` are always odd, so the two cannot be confused.
use std::process::ExitCode;

use api::FailureKind;
use inspect::InspectError;
use machine::MachineError;
use machine::boot::BootError;
use machine::boot::error::Role;
use machine::config::ConfigError;
use manager::archive::ArchiveError;
use manager::images::ImageError;
use manager::networks::{DefinitionError, StartError};
use manager::running::{Kind, Place, RunningError};
use network::policy::groups::GroupsError;

use crate::remote::Refused;

/// What `--help` says about exit codes.
pub const HELP: &str = "Exit codes:
  0    ok: the guest powered off, or what was asked for was done
  1    failure
  2    usage: the command line makes no sense, or asks for what this host does not have
  4    not found: a kernel, an image, a file in it, a package or a machine is missing
  6    timeout: --timeout passed
  8    guest crash: triple fault or kernel panic
  10   guest halted for ever: halted with interrupts disabled
  12   engine error: the engine met something that it cannot execute
  14   unsupported host: this host cannot run guests (see 'gasang doctor')
  16   wrong state: what is asked for cannot be done now, such as writing an image that is in use
  odd  with --debug-exit: the guest's own code, (value << 1) | 1
  128+n  ended by signal n (closed output pipe: 141)";

/// An exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u8);

impl Code {
    pub const OK: Self = Self(0);
    pub const FAILURE: Self = Self(1);
    pub const USAGE: Self = Self(2);
    pub const NOT_FOUND: Self = Self(4);
    pub const TIMEOUT: Self = Self(6);
    pub const GUEST_CRASH: Self = Self(8);
    pub const GUEST_HALTED: Self = Self(10);
    pub const ENGINE: Self = Self(12);
    pub const HOST: Self = Self(14);
    pub const WRONG_STATE: Self = Self(16);

    /// As a shell reports a program that a signal ended.
    pub const fn of_signal(signal: u8) -> Self {
        Self(128 + signal)
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        ExitCode::from(code.0)
    }
}

/// An error that is about the command line: exit code 2.
#[derive(Debug)]
pub struct Usage {
    /// What is wrong.
    pub what: String,
    /// What to do instead.
    pub advice: String,
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Usage {}

/// The exit code of an error.
pub fn code_of(error: &anyhow::Error) -> Code {
    for cause in error.chain() {
        if cause.is::<Usage>() {
            return Code::USAGE;
        }
        let code = None
            .or_else(|| cause.downcast_ref().map(of_machine))
            .or_else(|| cause.downcast_ref().map(of_image))
            .or_else(|| cause.downcast_ref().map(of_disk_image))
            .or_else(|| cause.downcast_ref().map(of_inspected))
            .or_else(|| cause.downcast_ref().map(of_running))
            .or_else(|| cause.downcast_ref().map(of_groups))
            .or_else(|| cause.downcast_ref().map(of_refused))
            .or_else(|| cause.downcast_ref().map(of_definition))
            .or_else(|| cause.downcast_ref().map(of_start));
        if let Some(code) = code {
            return code;
        }
    }
    Code::FAILURE
}

fn of_disk_image(error: &storage::ImageError) -> Code {
    use storage::ImageError::{Cannot, InUse, Length, Open};
    match error {
        Open { source, .. } if is_missing(source) => Code::NOT_FOUND,
        InUse(_) => Code::WRONG_STATE,
        Length { .. } | Cannot { .. } => Code::USAGE,
        _ => Code::FAILURE,
    }
}

fn of_inspected(error: &InspectError) -> Code {
    if error.is_missing() { Code::NOT_FOUND } else { Code::FAILURE }
}

fn of_running(error: &RunningError) -> Code {
    match error {
        RunningError::NotRunning(..) => Code::NOT_FOUND,
        RunningError::NameTaken(..) => Code::WRONG_STATE,
        RunningError::Name(..) => Code::USAGE,
        _ => Code::FAILURE,
    }
}

fn of_definition(error: &DefinitionError) -> Code {
    match error {
        DefinitionError::Missing(_) => Code::NOT_FOUND,
        DefinitionError::Exists(_) | DefinitionError::OtherMode { .. } => Code::WRONG_STATE,
        DefinitionError::Plan(_) => Code::USAGE,
        DefinitionError::Name(error) => of_running(error),
        _ => Code::FAILURE,
    }
}

fn of_start(error: &StartError) -> Code {
    match error {
        StartError::Definition(error) => of_definition(error),
        StartError::Running(error) => of_running(error),
        StartError::Failed(failure) => of_kind(failure.kind),
        StartError::Trunk(_) => Code::HOST,
        _ => Code::FAILURE,
    }
}

fn of_groups(error: &GroupsError) -> Code {
    match error {
        GroupsError::NoGroup(_) | GroupsError::NoRule { .. } | GroupsError::NotAssigned { .. } => {
            Code::NOT_FOUND
        }
        GroupsError::Name(_) => Code::USAGE,
        _ => Code::WRONG_STATE,
    }
}

fn of_refused(refused: &Refused) -> Code {
    of_kind(refused.kind())
}

fn of_kind(kind: FailureKind) -> Code {
    match kind {
        FailureKind::NotFound => Code::NOT_FOUND,
        FailureKind::WrongState => Code::WRONG_STATE,
        FailureKind::Invalid => Code::USAGE,
        FailureKind::Other => Code::FAILURE,
    }
}

fn of_machine(error: &MachineError) -> Code {
    match error {
        MachineError::Config(_) => Code::USAGE,
        MachineError::Engine(_) => Code::HOST,
        MachineError::CpuDied(_) => Code::ENGINE,
        MachineError::Boot(BootError::Open { source, .. }) if is_missing(source) => Code::NOT_FOUND,
        _ => Code::FAILURE,
    }
}

fn of_image(error: &ImageError) -> Code {
    match error {
        ImageError::Archive { source, .. } => match source {
            ArchiveError::NoProgram(_) | ArchiveError::NoSource | ArchiveError::NoPackage { .. } => {
                Code::NOT_FOUND
            }
            _ => Code::FAILURE,
        },
        ImageError::NoIds => Code::NOT_FOUND,
        ImageError::Cache(_) | ImageError::Disk(_) => Code::FAILURE,
    }
}

fn is_missing(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::NotFound
}

/// What the user can do about an error, where that is known.
pub fn advice(error: &anyhow::Error) -> Option<String> {
    for cause in error.chain() {
        if let Some(usage) = cause.downcast_ref::<Usage>() {
            return Some(usage.advice.clone());
        }
        if let Some(error) = cause.downcast_ref::<MachineError>() {
            return of_what_machine(error).map(str::to_owned);
        }
        if let Some(error) = cause.downcast_ref::<storage::ImageError>() {
            return of_what_disk_image(error).map(str::to_owned);
        }
        if let Some(error) = cause.downcast_ref::<InspectError>() {
            return of_what_inspected(error).map(str::to_owned);
        }
        if let Some(error) = cause.downcast_ref::<RunningError>() {
            return of_what_running(error);
        }
        if let Some(StartError::Trunk(error)) = cause.downcast_ref::<StartError>() {
            return error.advice();
        }
        if let Some(DefinitionError::Missing(_)) = cause.downcast_ref::<DefinitionError>() {
            return Some("'gasang net ls' lists what there is, 'gasang net create' makes one".to_owned());
        }
        match cause.downcast_ref() {
            Some(ImageError::Cache(_)) => {
                return Some(
                    "choose a writable directory with --guests-dir, or give --kernel and --initrd".to_owned(),
                );
            }
            Some(ImageError::NoIds) => {
                return Some("install Debian's package uidmap, or make the guest as root".to_owned());
            }
            Some(ImageError::Disk(_)) => return Some("is there room where guests are kept?".to_owned()),
            Some(ImageError::Archive { .. }) => {
                return Some("to boot a kernel of your own, give --kernel and --initrd".to_owned());
            }
            None => {}
        }
    }
    None
}

fn of_what_disk_image(error: &storage::ImageError) -> Option<&'static str> {
    use storage::ImageError::{BackingOutside, Cannot, InUse, Malformed};
    match error {
        InUse(_) => Some("stop whatever uses it; read-only, an image can be used many times (option 'ro')"),
        BackingOutside { .. } => {
            Some("move both into one directory, and make the image name its backing file relative to that")
        }
        Malformed { .. } => {
            Some("'gasang disk check' says more if it can be opened at all; is the format right?")
        }
        Cannot { .. } => Some("'gasang disk convert' makes an image of another format"),
        _ => None,
    }
}

fn of_what_inspected(error: &InspectError) -> Option<&'static str> {
    match error {
        InspectError::NoPartition(_) | InspectError::NoFileSystem(_) | InspectError::NothingToLookInto => {
            Some("'gasang disk ls IMAGE' lists what is there")
        }
        InspectError::CannotLookInto(_) => {
            Some("give the disk to a guest that knows it: 'gasang run --disk'")
        }
        _ => None,
    }
}

fn of_what_running(error: &RunningError) -> Option<String> {
    match error {
        RunningError::NotRunning(kind, _) => {
            let names = Place::of(*kind).names();
            Some(match (names.is_empty(), kind) {
                (false, _) => format!("these are: {}", names.join(", ")),
                (true, Kind::Machine) => {
                    "none is; 'gasang run --name NAME' starts one that can be found".to_owned()
                }
                (true, Kind::Network) => "none is; a network runs as long as a machine is on it".to_owned(),
            })
        }
        RunningError::NameTaken(Kind::Machine, _) => Some("choose another --name".to_owned()),
        RunningError::Foreign(_) => Some("set XDG_RUNTIME_DIR to a directory of your own".to_owned()),
        _ => None,
    }
}

fn of_what_machine(error: &MachineError) -> Option<&'static str> {
    match error {
        MachineError::Engine(_) => Some("'gasang doctor' says what this host offers"),
        MachineError::Ram(_) => {
            Some("choose a smaller --memory, or look at this process's limits with 'ulimit -a'")
        }
        MachineError::Boot(error) => of_what_kernel(error),
        MachineError::CpuDied(_) => Some("please report it with the guest's kernel and command line"),
        MachineError::Config(error) => Some(match error {
            ConfigError::DebugExitTaken(_) => "choose another port, for example 0xf4",
            ConfigError::Cpus(_) => "leave out --cpus",
            ConfigError::CodeCache(_) => "leave out --code-cache, or choose 8M to 1G",
            _ => "choose a --memory between 64M and 16G",
        }),
        _ => None,
    }
}

fn of_what_kernel(error: &BootError) -> Option<&'static str> {
    match error {
        BootError::Open { role, .. } | BootError::NotAFile { role, .. } | BootError::Empty { role, .. } => {
            Some(match role {
                Role::Kernel => "check the path after --kernel; without --kernel, the default guest boots",
                Role::Initrd => "check the path after --initrd",
            })
        }
        BootError::Truncated { .. } | BootError::Damaged(_) => Some("copy or fetch the file again"),
        BootError::UnknownFormat { .. }
        | BootError::WrongArchitecture(_)
        | BootError::Not64Bit
        | BootError::OldProtocol { .. } => {
            Some("take a kernel for x86-64, for example the host's /boot/vmlinuz-*; or leave out --kernel")
        }
        BootError::NotEnoughRam { .. } | BootError::InitrdTooLarge { .. } => {
            Some("for example with --memory 1G")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_machine_is_a_usage_error() {
        let error = MachineError::Config(machine::config::ConfigError::MemoryTooSmall(3));
        assert_eq!(code_of(&anyhow::Error::new(error).context("outer")), Code::USAGE);
    }

    #[test]
    fn a_missing_package_is_not_found() {
        let source = ArchiveError::NoProgram("apt-get");
        let error = anyhow::Error::new(ImageError::Archive { what: "busybox", source });
        assert_eq!(code_of(&error), Code::NOT_FOUND);
        assert!(advice(&error).unwrap().contains("--kernel"));
    }

    #[test]
    fn a_bug_of_the_engine_has_the_engines_code() {
        let error = anyhow::Error::new(MachineError::CpuDied(0));
        assert_eq!(code_of(&error), Code::ENGINE);
        assert!(advice(&error).unwrap().contains("report"));
    }

    #[test]
    fn anything_else_is_a_failure() {
        assert_eq!(code_of(&anyhow::anyhow!("odd")), Code::FAILURE);
        assert_eq!(advice(&anyhow::anyhow!("odd")), None);
    }
}
