//! `gasang run`: boot a guest in the foreground.
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use machine::{BootFiles, DiskBus, MachineConfig};
use manager::cache;
use manager::images::{COMMAND_LINE, DISK_COMMAND_LINE, DiskGuest, Kernel, Script};

use crate::console::terminal;
use crate::disks::{self, DiskOption, OpenDisk};
use crate::exit::Code;
use crate::guest_command::GuestCommand;
use crate::memory::HostMemory;
use crate::networks::{self, NetOption, Nic, Publish};
use crate::nics::InheritedNic;
use crate::output::say;
use crate::session::{self, Setting};
use crate::verbs::image;
use crate::{logging, quantity, statistics};

/// The engines that can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// The best that this host allows
    Auto,
    /// Binary translation: needs no /dev/kvm
    Bt,
    /// Only the interpreter of the binary translator: very slow, for finding faults of the translator
    Interpreter,
}

/// Guest memory if the user says nothing.
const MEMORY: u64 = 512 << 20;
/// The same for a guest with a disk.
const MEMORY_WITH_IMAGE: u64 = 1 << 30;

#[derive(Args, Debug)]
#[command(
    before_help = "Examples:\n  gasang run\n  gasang run debian-12\n  gasang run debian-12 -- uname -a\n  echo 'uname -a; poweroff -f' | gasang run\n  \
                         gasang run --memory 2G --timeout 5m --append 'nokaslr'\n  \
                         gasang run --name web --disk data.qcow2 --disk debian.iso,bus=cdrom\n  \
                         gasang run --kernel vmlinuz --initrd initrd.img --append 'console=ttyS0 quiet'\n\n\
                         Without --kernel, the default guest boots: a stock Debian kernel and busybox, fetched on the\n\
                         first run by apt and dpkg. On a terminal, Ctrl-] ? shows what Ctrl-] can do."
)]
pub struct Run {
    /// A guest with a disk, made by 'gasang image build' (and made now if it is not there): debian-12
    #[arg(conflicts_with_all = ["kernel", "initrd"])]
    image: Option<String>,
    /// A command to run in the guest instead of a console; its exit code is gasang's
    #[arg(last = true, requires = "image", value_name = "COMMAND")]
    command: Vec<String>,
    /// Keep what the guest writes to its disk, for the next run with --persist and the same --name
    #[arg(long, requires = "image")]
    persist: bool,
    /// What the disk of the image hangs on: sata, scsi or virtio
    #[arg(long, requires = "image", default_value = "sata", value_parser = disks::bus)]
    image_bus: DiskBus,
    /// Linux bzImage, Multiboot image or ELF file with a PVH entry to boot
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Initial RAM disk (or module); may be given several times
    #[arg(long, value_name = "FILE")]
    initrd: Vec<PathBuf>,
    /// The kernel's command line; added to 'console=ttyS0' for the default kernel
    #[arg(long, value_name = "TEXT")]
    append: Option<String>,
    /// Guest memory, for example 512M or 2G [default: 512M, with an image 1G]
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    memory: Option<u64>,
    /// A disk image, with options after commas: bus=sata|scsi|virtio|cdrom, ro, format=…, name=…, serial=…; may be given
    /// several times
    #[arg(long = "disk", value_name = "FILE[,OPTION…]")]
    disks: Vec<DiskOption>,
    /// What a network card is joined to: nat, natnet:NAME, hostonly:NAME, internal:NAME, bridged:INTERFACE or none, with
    /// options after commas: model=virtio|e1000, mac=…, ip=…; may be given several times [default: nat]
    #[arg(long = "net", value_name = "NETWORK[,OPTION…]")]
    nets: Vec<NetOption>,
    /// Let a port of the host lead to the guest: [HOSTIP:]HOSTPORT:GUESTPORT[/tcp|udp], the host's address 127.0.0.1 if not
    /// given; may be given several times
    #[arg(long, value_name = "PORTS")]
    publish: Vec<Publish>,
    /// A network card at a cable that whoever started gasang holds the other end of: a descriptor, with options after commas:
    /// model=virtio|e1000, mac=…, mtu=…, name=…
    #[arg(long = "nic-fd", value_name = "FD[,OPTION…]", hide = true)]
    nics: Vec<InheritedNic>,
    /// What to call the machine while it runs, for 'gasang disk attach' and the like
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Number of virtual CPUs, 1 to 16; more than the host has are slower than as many
    #[arg(long, value_name = "N", default_value_t = 1)]
    cpus: u8,
    /// End the guest after this time, for example 90s or 5m, with exit code 6
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    timeout: Option<Duration>,
    /// Memory for translated code, which all CPUs share [default: what is left of 64M beside guest RAM,
    /// 8M to 32M, or a 256th of the guest's memory if that is more]; its description takes half of that again
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    code_cache: Option<u64>,
    /// Where translated code is kept, so that the next guest with the same programs starts faster; 'none' keeps nothing
    /// [default: $XDG_CACHE_HOME/gasang/translations]
    #[arg(long, value_name = "DIR", env = "GASANG_TRANSLATIONS")]
    translations: Option<PathBuf>,
    /// What runs the guest's code
    #[arg(long, default_value = "auto")]
    engine: Engine,
    /// Port of a debug-exit device: a guest's write of V ends it with exit code (V << 1) | 1
    #[arg(long, value_name = "PORT", value_parser = quantity::port)]
    debug_exit: Option<u16>,
    /// Give the guest a debug console at port 0xe9; its output joins the serial console's
    #[arg(long)]
    debug_console: bool,
    /// Print the engine's counters to stderr at the end
    #[arg(long)]
    stats: bool,
    /// Keep a map of translated code in /tmp/perf-PID.map, for 'perf report'
    #[arg(long)]
    perf_map: bool,
    /// Where the default guest is kept [default: $XDG_CACHE_HOME/gasang/guests]
    #[arg(long, value_name = "DIR", env = "GASANG_GUESTS")]
    guests_dir: Option<PathBuf>,
    /// Log to stderr; more with -vv and -vvv (the variable GASANG_LOG chooses parts)
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Run {
    /// Runs the guest to its end.
    pub fn execute(self) -> anyhow::Result<Code> {
        logging::start(self.verbose);
        let config = self.config(BootFiles::default());
        // Before anything is fetched for a machine that cannot exist.
        config.validate().map_err(machine::MachineError::Config)?;
        if let Some(host) = HostMemory::read() {
            host.check(self.memory())?;
        }
        let guest = self.image.as_deref().map(|name| self.guest(name)).transpose()?;
        let disks = self.open_disks(guest.as_ref())?;
        let mut config = self.config(self.boot_files(guest.as_ref())?);
        config.disks = disks.iter().map(|disk| disk.config.clone()).collect();
        let nics = networks::connect(self.name.as_deref(), &self.networks(), &self.publish)?;
        let (described, cards): (Vec<_>, Vec<_>) = nics.into_iter().map(Nic::into_config).unzip();
        let inherited = self.nics.iter().enumerate().map(|(number, nic)| nic.open(number));
        config.nics = cards.into_iter().map(Ok).chain(inherited).collect::<Result<_, _>>()?;
        // What a guest may do to a network, it does through its cable.
        if let Err(error) = network::host::jail::give_up_networks() {
            tracing::warn!(%error, "this process keeps the right to make sockets");
        }
        tracing::info!(?config, "starting");
        let ended = session::run(&config, self.setting(disks, described))?;
        if let Some(message) = &ended.verdict.message {
            say(&format!("\ngasang: {message}"));
        }
        if self.stats {
            say(statistics::table(&ended.statistics).trim_end());
        }
        Ok(ended.verdict.code)
    }

    fn memory(&self) -> u64 {
        let usual = if self.image.is_some() { MEMORY_WITH_IMAGE } else { MEMORY };
        self.memory.unwrap_or(usual)
    }

    /// What the cards are joined to: a NAT, if nothing is said.
    fn networks(&self) -> Vec<NetOption> {
        match self.nets.is_empty() && self.nics.is_empty() {
            true => vec![NetOption::nat()],
            false => self.nets.clone(),
        }
    }

    /// The guest of an image, made if need be.
    fn guest(&self, name: &str) -> anyhow::Result<DiskGuest> {
        let recipe = image::recipe(name)?;
        Ok(image::images(self.guests_dir.as_deref())?.made_disk_guest(recipe)?)
    }

    /// The image's disk first, as far as there is one.
    fn open_disks(&self, guest: Option<&DiskGuest>) -> anyhow::Result<Vec<OpenDisk>> {
        let mut all = Vec::new();
        if let Some(guest) = guest {
            let kept = self.persist.then(|| self.name.as_deref().unwrap_or("default"));
            all.push(disks::overlay_of(&guest.disk, kept, self.image_bus)?);
        }
        for disk in &self.disks {
            all.push(disk.open(all.len())?);
        }
        Ok(all)
    }

    fn setting(&self, disks: Vec<OpenDisk>, nics: Vec<api::Nic>) -> Setting {
        let arguments = self.command.clone();
        let command = (!arguments.is_empty()).then_some(GuestCommand { arguments, shut_down: self.persist });
        Setting { timeout: self.timeout, name: self.name.clone(), disks, nics, command }
    }

    fn config(&self, boot: BootFiles) -> MachineConfig {
        let defaults = MachineConfig::new(self.memory(), boot);
        MachineConfig {
            cpus: self.cpus,
            channel: !self.command.is_empty(),
            code_cache_bytes: self.code_cache,
            translations: self.translations(),
            debug_exit: self.debug_exit,
            debug_console: self.debug_console,
            interpret_only: self.engine == Engine::Interpreter,
            timed: self.stats,
            perf_map: self.perf_map,
            ..defaults
        }
    }

    /// Where translations are kept. Without a cache directory, they are not.
    fn translations(&self) -> Option<PathBuf> {
        match &self.translations {
            Some(directory) if directory.as_os_str() == "none" => None,
            Some(directory) => Some(directory.clone()),
            None => Some(cache::of_user()?.join("translations")),
        }
    }

    /// The user's files, or the default guest's where there are none.
    fn boot_files(&self, guest: Option<&DiskGuest>) -> anyhow::Result<BootFiles> {
        let append = self.append.as_deref();
        if let Some(DiskGuest { kernel, initrd, .. }) = guest {
            let more = append.map(|more| format!(" {more}")).unwrap_or_default();
            let cmdline = DISK_COMMAND_LINE.to_owned() + &more;
            return Ok(BootFiles { kernel: kernel.clone(), initrds: vec![initrd.clone()], cmdline });
        }
        let initrds = self.initrd.clone();
        if let Some(kernel) = &self.kernel {
            let cmdline = append.unwrap_or(COMMAND_LINE).to_owned();
            return Ok(BootFiles { kernel: kernel.clone(), initrds, cmdline });
        }
        let images = image::images(self.guests_dir.as_deref())?;
        let kernel = images.kernel(Kernel::Cloud61)?;
        let mut initrds =
            if initrds.is_empty() { vec![images.initramfs(&Script::shell())?] } else { initrds };
        if !self.nics.is_empty() || self.networks().iter().any(NetOption::is_card) {
            initrds.push(images.modules(Kernel::Cloud61)?);
        }
        Ok(BootFiles { kernel, initrds, cmdline: default_cmdline(terminal::size(), append) })
    }
}

/// The default guest's command line. A serial line does not tell how large its terminal is, so this does: the kernel hands
/// on to `/init` what it does not know.
fn default_cmdline(terminal_size: Option<(u16, u16)>, append: Option<&str>) -> String {
    let mut cmdline = COMMAND_LINE.to_owned();
    if let Some((rows, columns)) = terminal_size {
        cmdline += &format!(" LINES={rows} COLUMNS={columns}");
    }
    if let Some(more) = append {
        cmdline += &format!(" {more}");
    }
    cmdline
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_words_come_last() {
        assert_eq!(default_cmdline(None, None), "console=ttyS0");
        let cmdline = default_cmdline(Some((40, 132)), Some("quiet"));
        assert_eq!(cmdline, "console=ttyS0 LINES=40 COLUMNS=132 quiet");
    }
}
