//! What others may ask of the machine that runs here.
use std::sync::Arc;

use api::{AttachDisk, Disk, Failure, FailureKind, MachineInfo, Nic, Reply, Request};
use machine::{DiskPlaceError, MachineHandle};
use manager::running::{Kind, Listener, Place, RunningError, Talk};
use parking_lot::Mutex;

use crate::disks::{self, DiskOption, OpenDisk};

/// The machine, for those who ask.
pub struct Control {
    info: MachineInfo,
    handle: MachineHandle,
    /// Held while disks come and go, so that one follows the other.
    disks: Mutex<Disks>,
    /// As they were at first; their links are asked for.
    nics: Vec<Nic>,
}

struct Disks {
    all: Vec<Disk>,
    /// How many there have been.
    count: usize,
}

impl Control {
    /// For a machine with these disks.
    pub fn new(info: MachineInfo, handle: MachineHandle, disks: &[OpenDisk], nics: Vec<Nic>) -> Self {
        let all: Vec<Disk> = disks.iter().map(described).collect();
        let count = all.len();
        Self { info, handle, disks: Mutex::new(Disks { all, count }), nics }
    }

    /// Listens under the machine's name.
    pub fn listen(self) -> Result<Listener, RunningError> {
        let name = self.info.name.clone();
        let handler = Arc::new(move |request, talk: &Talk<'_>| self.answer(request, talk));
        Listener::start(&Place::of(Kind::Machine), &name, handler)
    }

    fn answer(&self, request: Request, talk: &Talk<'_>) -> Reply {
        let done = match request {
            Request::Info => Ok(Reply::Info(self.info.clone())),
            Request::Disks => Ok(Reply::Disks(self.disks.lock().all.clone())),
            Request::AttachDisk(wanted) => self.attach(wanted),
            Request::DetachDisk { name } => self.detach(&name),
            Request::Nics => Ok(Reply::Nics(self.nics())),
            Request::ConnectNic { name } => self.connect(&name, talk),
        };
        done.unwrap_or_else(Reply::Failed)
    }

    fn attach(&self, wanted: AttachDisk) -> Result<Reply, Failure> {
        let option = option_of(wanted).map_err(|message| failure(FailureKind::Invalid, message))?;
        let mut disks = self.disks.lock();
        let open = option.open(disks.count).map_err(|error| {
            let error = anyhow::Error::new(error);
            failure(kind_of(&error), format!("{error:#}"))
        })?;
        self.handle.attach_disk(&open.config).map_err(of_place)?;
        disks.count += 1;
        let disk = described(&open);
        disks.all.push(disk.clone());
        Ok(Reply::Attached(disk))
    }

    fn detach(&self, name: &str) -> Result<Reply, Failure> {
        let mut disks = self.disks.lock();
        self.handle.detach_disk(name).map_err(of_place)?;
        disks.all.retain(|disk| disk.name != name);
        Ok(Reply::Done)
    }

    fn nics(&self) -> Vec<Nic> {
        let link = |name: &str| self.handle.nic_link(name).unwrap_or(false);
        self.nics.iter().map(|nic| Nic { link: link(&nic.name), ..nic.clone() }).collect()
    }
    fn connect(&self, name: &str, talk: &Talk<'_>) -> Result<Reply, Failure> {
        if !self.nics.iter().any(|nic| nic.name == name) {
            return Err(failure(FailureKind::NotFound, format!("there is no network card called {name:?}")));
        }
        let cable = talk.receive(Reply::Ready);
        let cable = cable.map_err(|error| failure(FailureKind::Invalid, error.to_string()))?;
        let connected = self.handle.connect_nic(name, cable);
        connected.map_err(|error| failure(FailureKind::WrongState, error.to_string()))?;
        Ok(Reply::Done)
    }
}

fn failure(kind: FailureKind, message: String) -> Failure {
    Failure { kind, message }
}

/// As the exit code of the same error here.
fn kind_of(error: &anyhow::Error) -> FailureKind {
    use crate::exit::{Code, code_of};
    match code_of(error) {
        Code::NOT_FOUND => FailureKind::NotFound,
        Code::WRONG_STATE => FailureKind::WrongState,
        Code::USAGE => FailureKind::Invalid,
        _ => FailureKind::Other,
    }
}

fn of_place(error: DiskPlaceError) -> Failure {
    use DiskPlaceError::{CdRomBus, Full, Held, Missing, NameTaken, Over, Thread};
    let kind = match error {
        Missing(_) => FailureKind::NotFound,
        NameTaken(_) | Full(_) | Held(_) | Over => FailureKind::WrongState,
        CdRomBus => FailureKind::Invalid,
        Thread(_) => FailureKind::Other,
    };
    failure(kind, error.to_string())
}

fn option_of(wanted: AttachDisk) -> Result<DiskOption, String> {
    let AttachDisk { path, format, bus, read_only, cdrom, name, serial } = wanted;
    let format = format.map(|format| format.parse()).transpose();
    let format = format.map_err(|error: storage::UnknownFormat| error.to_string())?;
    Ok(DiskOption { path, format, bus: disks::bus(&bus)?, read_only, cdrom, name, serial })
}

fn described(open: &OpenDisk) -> Disk {
    let shape = open.config.image.shape();
    Disk {
        name: open.config.name.clone(),
        path: open.path.clone(),
        format: open.format.name().to_owned(),
        bus: open.config.bus.name().to_owned(),
        length: shape.length,
        read_only: shape.read_only,
        cdrom: open.config.kind == machine::DiskKind::CdRom,
    }
}
