//! How other threads reach a machine that runs.
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use devices::pm::Pm;
use devices::uart::Uart;
use parking_lot::Mutex;

use crate::chipset::channel::GuestChannel;
use crate::chipset::disks::{DiskBoard, DiskPlaceError};
use crate::chipset::nics::{NicBoard, NicError, NicState};
use crate::control::{CpuControl, Statistics};
use crate::disks::{DiskConfig, Trouble};
use crate::lifecycle::{Event, Events, Outcome, ResetCause, State};
use crate::nics::LinkWatch;
use crate::parking::Parking;
use crate::standstill::Standstill;
use crate::vcpu::Report;

/// How long an answer of a CPU's thread is awaited; it comes in microseconds unless the CPU has just ended.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What all threads of a machine share.
pub(crate) struct Shared {
    pub events: Events,
    pub cpus: Vec<Arc<CpuControl>>,
    /// When all CPUs and time stop.
    pub standstill: Arc<Standstill>,
    /// Woken when the first serial port has room for input again, and at the end.
    pub input_room: Parking,
    /// Who wants to know what happens.
    pub listener: Mutex<Option<Listener>>,
    /// What stands still with the CPUs; set once the board is built.
    nics: OnceLock<Weak<NicBoard>>,
}

/// Something that the machine's user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The host's file system is full: the guest stands still until a disk has room.
    DiskFull {
        /// The disk's name.
        disk: String,
    },
    /// The disk has room again, and the guest goes on.
    DiskHasRoom {
        /// The disk's name.
        disk: String,
    },
    /// The network of a card is gone: the guest sees its cable pulled out and runs on.
    LinkLost {
        /// The card's name.
        nic: String,
    },
}

/// Takes news, from any thread; it must not wait for the machine.
pub type Listener = Box<dyn Fn(&News) + Send + Sync>;

impl Shared {
    pub fn new(standstill: Standstill, cpus: usize) -> Self {
        Self {
            events: Events::default(),
            cpus: (0..cpus).map(|_| Arc::default()).collect(),
            standstill: Arc::new(standstill),
            input_room: Parking::default(),
            listener: Mutex::default(),
            nics: OnceLock::new(),
        }
    }

    /// Names the network cards; the first call counts.
    pub fn connect_nics(&self, nics: &Arc<NicBoard>) {
        // A second board for the same machine is not made.
        let _ = self.nics.set(Arc::downgrade(nics));
    }

    /// All CPUs stand still and time with them, and no frames are received, until this was taken back as often.
    pub fn pause_all(&self) {
        self.standstill.begin();
        self.cpus.iter().for_each(|cpu| cpu.pause());
        self.with_nics(NicBoard::pause);
    }

    pub fn resume_all(&self) {
        self.standstill.end();
        self.with_nics(NicBoard::resume);
        self.cpus.iter().for_each(|cpu| cpu.resume());
    }

    fn with_nics(&self, act: impl FnOnce(&NicBoard)) {
        if let Some(nics) = self.nics.get().and_then(Weak::upgrade) {
            act(&nics);
        }
    }

    fn tell(&self, news: &News) {
        if let Some(listener) = &*self.listener.lock() {
            listener(news);
        }
    }

    pub fn hold_all(&self) {
        self.cpus.iter().for_each(|cpu| cpu.hold());
    }

    pub fn release_all(&self) {
        self.cpus.iter().for_each(|cpu| cpu.release());
    }
}

impl Report for Shared {
    fn post(&self, event: Event) {
        if self.events.post(event) {
            self.hold_all();
        }
    }
}

impl Trouble for Shared {
    fn full(&self, disk: &str) {
        self.pause_all();
        self.tell(&News::DiskFull { disk: disk.to_owned() });
    }
    fn over(&self, disk: &str) {
        self.tell(&News::DiskHasRoom { disk: disk.to_owned() });
        self.resume_all();
    }
}

impl LinkWatch for Shared {
    fn lost(&self, nic: &str) {
        self.tell(&News::LinkLost { nic: nic.to_owned() });
    }
}

/// A handle to a machine, for any thread. Cheap to clone; it keeps nothing of the machine alive but its state.
#[derive(Clone)]
pub struct MachineHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) serial: Weak<Mutex<Uart>>,
    pub(crate) power: Weak<Mutex<Pm>>,
    pub(crate) disks: Weak<DiskBoard>,
    pub(crate) nics: Weak<NicBoard>,
    pub(crate) channel: Option<GuestChannel>,
}

impl MachineHandle {
    /// Ends the machine; `Machine::run` returns [`Outcome::Stopped`] unless it has ended by itself.
    pub fn stop(&self) {
        self.shared.post(Event::End(Outcome::Stopped));
    }

    /// Starts the machine again, as its reset button would. Without effect while it does not run.
    pub fn reset(&self) {
        if self.shared.events.state() == State::Running {
            self.shared.post(Event::Reset(ResetCause::User));
        }
    }

    /// Names who is told what the user should know.
    pub fn listen(&self, listener: Listener) {
        *self.shared.listener.lock() = Some(listener);
    }

    /// Presses the power button for a moment: a guest that listens shuts itself down.
    pub fn press_power_button(&self) {
        if let Some(power) = self.power.upgrade() {
            power.lock().press_power_button();
        }
    }

    /// The host's end of the machine's virtio console, if it has one.
    pub fn channel(&self) -> Option<GuestChannel> {
        self.channel.clone()
    }

    /// Gives the running machine a disk.
    pub fn attach_disk(&self, config: &DiskConfig) -> Result<(), DiskPlaceError> {
        self.disks.upgrade().ok_or(DiskPlaceError::Over)?.attach(config, self.state() == State::Running)
    }

    /// Takes a disk away from the running machine.
    pub fn detach_disk(&self, name: &str) -> Result<(), DiskPlaceError> {
        self.disks.upgrade().ok_or(DiskPlaceError::Over)?.detach(name)
    }

    /// The network cards, in the order of their configuration.
    pub fn nics(&self) -> Vec<NicState> {
        self.nics.upgrade().map(|nics| nics.states()).unwrap_or_default()
    }

    /// Puts a new cable into a network card, in the place of one whose other end is gone or shall be left; the guest sees
    /// the link go down, if it was not, and come up.
    pub fn connect_nic(&self, name: &str, cable: OwnedFd) -> Result<(), NicError> {
        self.nics.upgrade().ok_or(NicError::Over)?.connect(name, cable)
    }

    /// Plugs a network card's cable in or pulls it out, as the guest sees it; the cable itself stays.
    pub fn set_nic_link(&self, name: &str, plugged: bool) -> Result<(), NicError> {
        self.nics.upgrade().ok_or(NicError::Over)?.plug(name, plugged)
    }

    /// Whether the guest sees a network card's link up.
    pub fn nic_link(&self, name: &str) -> Result<bool, NicError> {
        self.nics.upgrade().ok_or(NicError::Over)?.is_up(name)
    }

    /// Types bytes into the guest's first serial port, as fast as the guest takes them: blocks while it does not. Only
    /// one thread may do so. Returns whether all were taken; `false` means that the machine has ended.
    pub fn feed(&self, mut bytes: &[u8]) -> bool {
        loop {
            if self.state() == State::Stopped {
                return false;
            }
            let taken = self.try_feed(bytes);
            bytes = &bytes[taken..];
            if bytes.is_empty() {
                return true;
            }
            self.shared.input_room.wait();
        }
    }

    /// Types as many bytes as there is room for now, and returns how many that was.
    pub fn try_feed(&self, bytes: &[u8]) -> usize {
        self.serial.upgrade().map_or(0, |serial| serial.lock().feed(bytes))
    }

    /// Where the machine is in its life.
    pub fn state(&self) -> State {
        self.shared.events.state()
    }

    /// The counters of each CPU that runs now; nothing for one that does not.
    pub fn statistics(&self) -> Vec<Statistics> {
        if self.state() != State::Running {
            return Vec::new();
        }
        let answers: Vec<_> = self.shared.cpus.iter().map(|cpu| cpu.ask_statistics()).collect();
        answers.iter().map(|answer| answer.recv_timeout(ANSWER_TIMEOUT).unwrap_or_default()).collect()
    }
}
