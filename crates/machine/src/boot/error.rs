//! Why a machine's kernel could not be loaded.
use std::path::PathBuf;

/// Which of the user's files an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The kernel.
    Kernel,
    /// An initrd or module.
    Initrd,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kernel => "kernel",
            Self::Initrd => "initrd",
        })
    }
}

/// Why a machine's kernel could not be loaded. Sizes and addresses are in bytes.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A file could not be opened.
    #[error("cannot open the {role} {}", path.display())]
    Open {
        /// Which file.
        role: Role,
        /// Its path.
        path: PathBuf,
        /// The host's reason.
        source: std::io::Error,
    },
    /// A file could not be read to its end.
    #[error("cannot read the {role} {}", path.display())]
    Read {
        /// Which file.
        role: Role,
        /// Its path.
        path: PathBuf,
        /// The host's reason.
        source: std::io::Error,
    },
    /// A directory, pipe or device.
    #[error("the {role} {} is not a regular file", path.display())]
    NotAFile {
        /// Which file.
        role: Role,
        /// Its path.
        path: PathBuf,
    },
    /// A file of no bytes.
    #[error("the {role} {} is empty", path.display())]
    Empty {
        /// Which file.
        role: Role,
        /// Its path.
        path: PathBuf,
    },
    /// More initrds than any boot protocol's table here has room for.
    #[error("{0} initrds or modules are more than the {max} that can be passed", max = super::images::MAX_INITRDS)]
    TooManyInitrds(usize),
    /// Nothing that boots.
    #[error("the kernel is {found}, not a Linux bzImage, a Multiboot image or an ELF file with a PVH entry")]
    UnknownFormat {
        /// What it seems to be.
        found: &'static str,
    },
    /// For some other CPU.
    #[error("the kernel is for {0}, not for x86")]
    WrongArchitecture(&'static str),
    /// The file ends too early.
    #[error("the kernel is truncated: {what} needs {needed} bytes, the file has {length}")]
    Truncated {
        /// What lies beyond the end.
        what: &'static str,
        /// How long the file would have to be.
        needed: u64,
        /// How long it is.
        length: u64,
    },
    /// A field of the kernel's headers makes no sense.
    #[error("the kernel is damaged: {0}")]
    Damaged(&'static str),
    /// Linux before boot protocol 2.12.
    #[error("the Linux kernel speaks boot protocol {}.{:02}, at least 2.12 is needed (Linux 3.8 or later)", version >> 8, version & 0xff)]
    OldProtocol {
        /// Major in bits 15:8, minor in bits 7:0.
        version: u16,
    },
    /// A 32-bit Linux kernel.
    #[error("the Linux kernel is a 32-bit one; a 64-bit kernel is needed")]
    Not64Bit,
    /// An ELF file without any way in.
    #[error(
        "the ELF file has neither a PVH entry note nor a Multiboot header (Linux: build with CONFIG_PVH, or use the bzImage)"
    )]
    NoEntry,
    /// An entry point that 32-bit code cannot reach.
    #[error("the kernel's entry point {0:#x} does not lie below 4 GiB")]
    EntryTooHigh(u64),
    /// The kernel does not fit.
    #[error(
        "the kernel needs guest RAM up to {} MiB, the machine has {} MiB below 4 GiB; give it more memory",
        needed.div_ceil(1 << 20), have >> 20
    )]
    NotEnoughRam {
        /// One past the last address that the kernel needs.
        needed: u64,
        /// One past the last byte of low RAM.
        have: u64,
    },
    /// A segment in the area that the machine's tables occupy.
    #[error("the kernel wants to be loaded at {0:#x}, below 1 MiB, where the boot information lies")]
    BelowOneMebibyte(u64),
    /// The initrd does not fit beside the kernel.
    #[error(
        "the initrd of {} KiB does not fit into guest RAM: {} KiB are free beside the kernel; give the machine more memory",
        length.div_ceil(1024), room >> 10
    )]
    InitrdTooLarge {
        /// All initrds together.
        length: u64,
        /// What is free where the kernel accepts one.
        room: u64,
    },
    /// The command line does not fit.
    #[error("the kernel command line has {length} bytes, at most {limit} are possible")]
    CommandLineTooLong {
        /// Its length.
        length: usize,
        /// The kernel's or the machine's limit.
        limit: usize,
    },
    /// The command line cannot be passed as a C string.
    #[error("the kernel command line contains a zero byte")]
    CommandLineZero,
    /// Features that a Multiboot kernel insists on and nobody offers.
    #[error("the Multiboot kernel requires features {0:#x} that do not exist here")]
    MultibootFeatures(u32),
}
