//! `--disk`: an image and how a machine has it.
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use machine::{DiskBus, DiskConfig, DiskKind};
use storage::{BackingPolicy, CreateOptions, Format, Image, OpenOptions};

/// What `--disk` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskOption {
    pub path: PathBuf,
    pub format: Option<Format>,
    pub bus: DiskBus,
    pub read_only: bool,
    pub cdrom: bool,
    pub name: Option<String>,
    pub serial: Option<String>,
}

/// Longest name of a disk.
const NAME_MAX: usize = 64;
/// Longest serial number that all kinds of disks have room for.
const SERIAL_MAX: usize = 20;

impl DiskOption {
    /// A disk on the usual bus.
    pub fn of_file(path: PathBuf) -> Self {
        let cdrom = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("iso"));
        Self { path, format: None, bus: DiskBus::Sata, read_only: cdrom, cdrom, name: None, serial: None }
    }

    /// Opens the image. `number` is the disk's among all of its machine.
    pub fn open(&self, number: usize) -> Result<OpenDisk, storage::ImageError> {
        let options = OpenOptions {
            read_only: self.read_only,
            format: self.format,
            backing: BackingPolicy::SameDirectory,
        };
        let image: Arc<dyn Image> = Arc::from(storage::open(&self.path, options)?);
        let format = image.info()?.format;
        let name = self.name.clone().unwrap_or_else(|| format!("disk{number}"));
        let serial = self.serial.clone().unwrap_or_else(|| format!("GASANG{number:04}"));
        let kind = if self.cdrom { DiskKind::CdRom } else { DiskKind::Disk };
        let config = DiskConfig { name, image, bus: self.bus, kind, serial, throw_away: false };
        Ok(OpenDisk { config, format, path: self.path.clone() })
    }
}

/// A guest's disk, whose image stays as it is: what is written goes to an image in front of it, one of that name that is
/// kept, or one that is gone with the machine.
pub fn overlay_of(disk: &Path, kept: Option<&str>, bus: DiskBus) -> anyhow::Result<OpenDisk> {
    let directory = disk.parent().unwrap_or(Path::new("."));
    let file = match kept {
        Some(name) => {
            manager::running::check_name(manager::running::Kind::Machine, name)?;
            format!("kept-{name}.qcow2")
        }
        None => format!(".run-{}.qcow2", std::process::id()),
    };
    let path = directory.join(file);
    let image = match kept {
        Some(_) if path.exists() => storage::open(&path, OpenOptions::writable())?,
        _ => new_overlay(disk, &path)?,
    };
    if kept.is_none() {
        // Its bytes stay until it is closed, even if this program is killed.
        std::fs::remove_file(&path)?;
    }
    let image: Arc<dyn Image> = Arc::from(image);
    let (name, serial) = ("root".to_owned(), "GASANG0000".to_owned());
    let throw_away = kept.is_none();
    let config = DiskConfig { name, image, bus, kind: DiskKind::Disk, serial, throw_away };
    Ok(OpenDisk { config, format: Format::Qcow2, path })
}

fn new_overlay(disk: &Path, path: &Path) -> Result<Box<dyn Image>, storage::ImageError> {
    let length = storage::open(disk, OpenOptions::read_only())?.shape().length;
    let name = disk.file_name().map(PathBuf::from).unwrap_or_default();
    storage::create(
        path,
        &CreateOptions { format: Format::Qcow2, length, backing: Some((name, Format::Qcow2)) },
    )
}

/// A disk whose image is open.
pub struct OpenDisk {
    pub config: DiskConfig,
    pub format: Format,
    pub path: PathBuf,
}

/// Reads the name of a bus.
pub fn bus(name: &str) -> Result<DiskBus, String> {
    match name {
        "sata" => Ok(DiskBus::Sata),
        "scsi" => Ok(DiskBus::Scsi),
        "virtio" => Ok(DiskBus::Virtio),
        _ => Err(format!("{name:?} is no bus, only sata, scsi and virtio are")),
    }
}

impl FromStr for DiskOption {
    type Err = String;

    /// `FILE[,OPTION…]`; a comma in a file's name is written twice.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = split(text).into_iter();
        let file = words.next().filter(|file| !file.is_empty()).ok_or("there is no file")?;
        let mut option = Self::of_file(file.into());
        for word in words {
            option.set(&word)?;
        }
        if option.cdrom && option.bus == DiskBus::Virtio {
            return Err("a CD-ROM hangs on sata or scsi".to_owned());
        }
        Ok(option)
    }
}

impl DiskOption {
    fn set(&mut self, word: &str) -> Result<(), String> {
        let (key, value) = word.split_once('=').map_or((word, None), |(key, value)| (key, Some(value)));
        match (key, value) {
            ("ro", None) => self.read_only = true,
            ("cdrom", None) => (self.cdrom, self.read_only) = (true, true),
            ("bus", Some("cdrom")) => (self.cdrom, self.read_only) = (true, true),
            ("bus", Some(name)) => self.bus = bus(name)?,
            ("format", Some(name)) => {
                self.format = Some(name.parse().map_err(|error: storage::UnknownFormat| error.to_string())?);
            }
            ("name", Some(name)) if is_printable(name, NAME_MAX) => self.name = Some(name.to_owned()),
            ("serial", Some(serial)) if is_printable(serial, SERIAL_MAX) => {
                self.serial = Some(serial.to_owned());
            }
            ("name" | "serial", Some(_)) => {
                return Err(format!("{key} is 1 to {SERIAL_MAX} printable characters"));
            }
            _ => {
                return Err(format!(
                    "{word:?} is no option of a disk, only bus=sata|scsi|virtio|cdrom, ro, cdrom, format=…, name=… \
                     and serial=… are"
                ));
            }
        }
        Ok(())
    }
}

fn is_printable(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic())
}

/// Splits at single commas.
fn split(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == ',' && rest.next_if_eq(&',').is_none() {
            words.push(String::new());
        } else if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let disk: DiskOption = "a,,b.vmdk,bus=scsi,ro,name=data,serial=S1,format=vmdk".parse().unwrap();
        assert_eq!(disk.path, PathBuf::from("a,b.vmdk"));
        assert_eq!((disk.bus, disk.read_only, disk.cdrom), (DiskBus::Scsi, true, false));
        assert_eq!(disk.format, Some(Format::Vmdk));
        assert_eq!((disk.name.as_deref(), disk.serial.as_deref()), (Some("data"), Some("S1")));
    }

    #[test]
    fn an_iso_image_is_a_cdrom() {
        let disk: DiskOption = "debian.ISO".parse().unwrap();
        assert!(disk.cdrom && disk.read_only);
        assert!("debian.iso,bus=virtio".parse::<DiskOption>().is_err());
        assert!("x.img,bus=cdrom".parse::<DiskOption>().unwrap().cdrom);
    }

    #[test]
    fn nonsense_is_refused_with_what_there_is() {
        for text in
            ["", ",ro", "a,bus=ide", "a,rw", "a,serial=", "a,serial=123456789012345678901", "a,format=x"]
        {
            assert!(text.parse::<DiskOption>().is_err(), "{text}");
        }
        let error = "a,writable".parse::<DiskOption>().unwrap_err();
        assert!(error.contains("bus="), "{error}");
    }
}
