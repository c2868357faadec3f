//! The device.
use std::collections::BTreeMap;

use platform::{Buffers, GuestRam, SavedError, SavedState};

use super::super::spec::feature::RING_PACKED;
use super::super::{Chain, Chains, VirtioDevice, VirtioError};
use super::command::{self, CDB_MAX, Received, SENSE_MAX, Shape, Sizes};
use super::events::Events;
use super::spec::{self, config, feature, queue, response};
use super::tasks::{Task, Tasks};
use crate::scsi::{self, Command, Data, Outcome, Step, Transfer, Unit};

/// Entries of the control and of the event queue.
const SMALL_QUEUE: u16 = 64;
/// Entries of each queue that carries commands.
const QUEUE_SIZE: u16 = 256;
const QUEUES_MAX: u16 = 16;
/// Sectors of one command: nearly 32 MiB.
const SECTORS_MAX: u32 = 0xffff;
/// Bytes that come with a command and are not data of a disk.
const PARAMETERS_MAX: u32 = 64 << 10;

/// What a SCSI host is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScsiOptions {
    /// Queues that carry commands, 1 to 16: best as many as there are CPUs.
    pub queues: u16,
    /// Targets that the driver looks for, 1 to 256.
    pub targets: u16,
    /// Packed queues are on offer.
    pub packed: bool,
}

/// The SCSI host.
pub struct VirtioScsi {
    pub(super) targets: BTreeMap<u8, Unit>,
    pub(super) events: Events,
    pub(super) tasks: Tasks,
    pub(super) accepted: u64,
    pub(super) sizes: Sizes,
    pub(super) queue_sizes: Vec<u16>,
    pub(super) max_target: u16,
    pub(super) packed: bool,
}

/// What a command has led to.
enum Begun {
    /// It is to be answered so: outcome, bytes sent and received.
    Done(Outcome, u32, u32),
    /// It is to be answered without one.
    Failed(u8),
    /// Its disk has work, with so many bytes sent and received.
    Transfer(Transfer, Buffers, u32, u32),
}

impl Sizes {
    const DEFAULT: Self = Self { cdb: config::CDB_SIZE_DEFAULT, sense: config::SENSE_SIZE_DEFAULT };
}

impl VirtioScsi {
    /// A host without targets.
    pub fn new(options: ScsiOptions) -> Self {
        let requests = usize::from(options.queues.clamp(1, QUEUES_MAX));
        let mut queue_sizes = vec![SMALL_QUEUE; queue::REQUEST];
        queue_sizes.resize(queue::REQUEST + requests, QUEUE_SIZE);
        Self {
            targets: BTreeMap::new(),
            events: Events::default(),
            tasks: Tasks::default(),
            accepted: 0,
            sizes: Sizes::DEFAULT,
            queue_sizes,
            max_target: options.targets.clamp(1, 256) - 1,
            packed: options.packed,
        }
    }
    /// Returns once no disk touches guest memory any more.
    pub(super) fn drain_all(&self) {
        self.targets.values().filter_map(Unit::port).for_each(|port| port.drain());
    }

    fn config(&self) -> [u8; config::BYTES] {
        let mut bytes = [0; config::BYTES];
        let mut put =
            |offset: usize, value: u32| bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        put(config::NUM_QUEUES, (self.queue_sizes.len() - queue::REQUEST) as u32);
        put(config::SEG_MAX, u32::from(QUEUE_SIZE) - 2);
        put(config::MAX_SECTORS, SECTORS_MAX);
        put(config::CMD_PER_LUN, u32::from(QUEUE_SIZE) / 2);
        put(config::EVENT_INFO_SIZE, spec::event::BYTES);
        put(config::SENSE_SIZE, self.sizes.sense);
        put(config::CDB_SIZE, self.sizes.cdb);
        put(config::MAX_LUN, 0);
        // One channel, 0.
        bytes[config::MAX_TARGET..config::MAX_LUN].copy_from_slice(&self.max_target.to_le_bytes());
        bytes
    }
    fn begin(&mut self, chain: Chain, chains: &mut Chains<'_>) -> Result<(), VirtioError> {
        let received = Received::of(&chain, chains.ram(), self.sizes)?;
        let shape = received.shape(&chain);
        match self.run(&received, &chain, &shape, chains.ram()) {
            Begun::Done(outcome, sent, got) => chains.reply(&shape.outcome(chain, &outcome, sent, got)),
            Begun::Failed(response) => chains.reply(&command::failed(chain, response)),
            Begun::Transfer(transfer, buffers, sent, got) => {
                let (completions, kept) = (chains.completions().clone(), chain.clone());
                let done = Box::new(move |outcome: Outcome| {
                    let (sent, got) = if outcome.is_good() { (sent, got) } else { (0, 0) };
                    completions.complete(shape.outcome(kept, &outcome, sent, got));
                });
                if let Err(outcome) = transfer.start(buffers, done) {
                    return chains.reply(&shape.outcome(chain, &outcome, 0, 0));
                }
                let target = received.address.map_or(0, |address| address.target);
                self.tasks.add(Task { target, tag: received.tag, chain }, chains);
                Ok(())
            }
        }
    }
    /// Has a unit look at a command.
    fn run(&mut self, received: &Received, chain: &Chain, shape: &Shape, ram: &GuestRam) -> Begun {
        let Some(address) = received.address else { return Begun::Failed(response::BAD_TARGET) };
        let Some(unit) = self.targets.get_mut(&address.target) else {
            return Begun::Failed(response::BAD_TARGET);
        };
        let cdb = received.cdb();
        let told = |outcome: Outcome| {
            let got = shape.put(chain, ram, &outcome.data_in);
            Begun::Done(outcome, shape.out_room, got)
        };
        if address.lun != 0 {
            return told(scsi::no_unit(cdb, &[0]));
        }
        let Some(parameters) = shape.outgoing(chain, ram, PARAMETERS_MAX) else {
            return Begun::Failed(response::OVERRUN);
        };
        match unit.execute(&Command { cdb, data_out: parameters.all() }) {
            Step::Done(outcome) => told(outcome),
            Step::Transfer(transfer) => match transfer.data() {
                Data::None => Begun::Transfer(transfer, Buffers::none(), 0, 0),
                Data::In(bytes) => match shape.incoming(chain, ram, bytes) {
                    Some(buffers) if bytes <= shape.in_room => Begun::Transfer(transfer, buffers, 0, bytes),
                    _ => Begun::Failed(response::OVERRUN),
                },
                Data::Out(bytes) => match outgoing(parameters, chain, shape, ram, bytes) {
                    Some(buffers) if bytes <= shape.out_room => Begun::Transfer(transfer, buffers, bytes, 0),
                    _ => Begun::Failed(response::OVERRUN),
                },
            },
        }
    }
}

/// What a command writes: mostly all that the unit has seen already.
fn outgoing(seen: Buffers, chain: &Chain, shape: &Shape, ram: &GuestRam, bytes: u32) -> Option<Buffers> {
    if seen.len() == bytes as usize { Some(seen) } else { shape.outgoing(chain, ram, bytes) }
}

impl VirtioDevice for VirtioScsi {
    fn name(&self) -> &'static str {
        "virtio-scsi"
    }
    fn kind(&self) -> u16 {
        spec::KIND
    }
    fn class(&self) -> u32 {
        spec::CLASS
    }
    fn queue_sizes(&self) -> &[u16] {
        &self.queue_sizes
    }
    fn features(&self) -> u64 {
        feature::HOTPLUG | feature::CHANGE | if self.packed { RING_PACKED } else { 0 }
    }
    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let bytes = self.config();
        for (to, from) in data.iter_mut().zip(bytes.iter().skip(offset as usize)) {
            *to = *from;
        }
    }
    fn write_config(&mut self, offset: u64, data: &[u8]) {
        let Ok(value) = data.try_into().map(u32::from_le_bytes) else { return };
        match offset as usize {
            config::SENSE_SIZE if value <= SENSE_MAX => self.sizes.sense = value,
            config::CDB_SIZE if value <= CDB_MAX => self.sizes.cdb = value,
            _ => {}
        }
    }
    fn activate(&mut self, features: u64) {
        self.accepted = features;
    }
    fn serve(&mut self, number: usize, chains: &mut Chains<'_>) -> Result<(), VirtioError> {
        match number {
            queue::CONTROL => self.serve_control(chains),
            queue::EVENT => self.events.tell(chains),
            _ => {
                while let Some(chain) = chains.take()? {
                    self.begin(chain, chains)?;
                }
                Ok(())
            }
        }
    }
    fn drain(&mut self) {
        self.drain_all();
    }
    fn reset(&mut self) {
        self.accepted = 0;
        self.sizes = Sizes::DEFAULT;
        self.events.clear();
        self.tasks.clear();
        self.targets.values_mut().for_each(Unit::reset);
    }
    fn save(&self) -> SavedState {
        self.save_state()
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        self.restore_state(saved)
    }
}
