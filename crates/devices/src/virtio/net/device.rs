//! The device, and sending.
use std::collections::VecDeque;
use std::sync::Arc;

use platform::net::{FRAME_BYTES_MAX, FrameHeader, Mac, NetPort, Offloads, Sent};
use platform::{Buffers, GuestRam, SavedError, SavedState, Span};

use super::super::spec::feature::RING_PACKED;
use super::super::{Chain, Chains, VirtioDevice, VirtioError};
use super::filter::Filter;
use super::intake::Intake;
use super::spec::{self, feature, queue};
use super::{config, header};

const QUEUE_SIZES: &[u16] = &[256, 256, 64];

/// What a network device is like, beside its cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetOptions {
    /// Its address until the driver sets another.
    pub mac: Mac,
    /// Bytes of the largest packet that the network takes, 68 to 65,535.
    pub mtu: u16,
    /// Packed queues are on offer.
    pub packed: bool,
}

/// The network device.
pub struct VirtioNet {
    pub(super) port: Arc<dyn NetPort>,
    pub(super) options: NetOptions,
    pub(super) rules: Arc<Rules>,
    pub(super) is_up: bool,
    /// The driver is asked to announce itself.
    pub(super) announce: bool,
    /// A frame that the cable has no room for.
    pub(super) held: Option<Chain>,
    pub(super) intake: Arc<Intake>,
    /// Chains taken ahead while the intake may not touch them.
    pub(super) aside: VecDeque<Chain>,
    /// The driver's buffers are used up.
    pub(super) starved: bool,
}

/// What the driver has said about frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Features.
    pub accepted: u64,
    /// Those of them that are offloads and are on.
    pub offloads: u64,
    /// The card's address.
    pub mac: Mac,
    /// Which frames are wanted.
    pub filter: Filter,
}

impl Rules {
    fn after_reset(mac: Mac) -> Arc<Self> {
        Arc::new(Self { accepted: 0, offloads: 0, mac, filter: Filter::default() })
    }
}

impl VirtioNet {
    /// A card at a cable.
    pub fn new(port: Arc<dyn NetPort>, options: NetOptions) -> Self {
        let (rules, is_up) = (Rules::after_reset(options.mac), port.is_up());
        Self {
            port,
            options,
            rules,
            is_up,
            announce: false,
            held: None,
            intake: Arc::default(),
            aside: VecDeque::new(),
            starved: false,
        }
    }
    /// What the driver has said, to be changed.
    pub(super) fn rules_mut(&mut self) -> &mut Rules {
        Arc::make_mut(&mut self.rules)
    }

    fn serve_transmit(&mut self, chains: &mut Chains<'_>) -> Result<(), VirtioError> {
        loop {
            let next = self.held.take().map_or_else(|| chains.take(), |held| Ok(Some(held)))?;
            let Some(chain) = next else { return Ok(()) };
            if self.send(&chain, chains.ram())? == Sent::Busy {
                // The cable has the queue served again.
                self.held = Some(chain);
                return Ok(());
            }
            chains.complete(&chain, 0)?;
        }
    }
    fn send(&self, chain: &Chain, ram: &GuestRam) -> Result<Sent, VirtioError> {
        let raw = chain.readable().first(ram).ok_or(VirtioError::Request("no header before a frame"))?;
        let end = chain.readable().length();
        let length = end as usize - FrameHeader::BYTES;
        let header = header::outgoing(FrameHeader::of_bytes(&raw), self.rules.accepted);
        let segments = chain.readable().part(FrameHeader::BYTES as u32..end);
        let (Some(header), 1..=FRAME_BYTES_MAX) = (header, length) else { return Ok(Sent::Done) };
        if chain.readable().list().len() > Span::PIECES_MAX {
            return Ok(Sent::Done);
        }
        let buffers =
            Buffers::of_ram(ram, segments).ok_or(VirtioError::Request("a frame is not in memory"))?;
        Ok(self.port.send(&header, &[], buffers.all()))
    }
}

impl VirtioDevice for VirtioNet {
    fn name(&self) -> &'static str {
        "virtio-net"
    }
    fn kind(&self) -> u16 {
        spec::KIND
    }
    fn class(&self) -> u32 {
        spec::CLASS
    }
    fn queue_sizes(&self) -> &[u16] {
        QUEUE_SIZES
    }
    fn features(&self) -> u64 {
        feature::OFFERED | if self.options.packed { RING_PACKED } else { 0 }
    }
    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let state = config::state(self.is_up, self.announce);
        let bytes = config::bytes(self.rules.mac, self.options.mtu, state);
        for (to, from) in data.iter_mut().zip(bytes.iter().skip(offset as usize)) {
            *to = *from;
        }
    }
    fn activate(&mut self, features: u64) {
        self.rules_mut().accepted = features;
        self.set_offloads(features & feature::GUEST_OFFLOADS);
        self.starved = false;
        self.port.listen(true);
    }
    fn serve(&mut self, number: usize, chains: &mut Chains<'_>) -> Result<(), VirtioError> {
        match number {
            queue::RECEIVE => self.serve_receive(),
            queue::TRANSMIT => self.serve_transmit(chains)?,
            _ => self.serve_control(chains)?,
        }
        Ok(())
    }
    fn drain(&mut self) {
        self.aside.extend(self.intake.take_chains());
    }
    fn reset_queue(&mut self, number: usize) {
        match number {
            queue::RECEIVE => {
                self.aside.clear();
                self.intake.clear();
                self.serve_receive();
            }
            queue::TRANSMIT => self.held = None,
            _ => {}
        }
    }
    fn put_back(&mut self, number: usize, chains: &mut Chains<'_>) -> Result<(), VirtioError> {
        match number {
            queue::RECEIVE => {
                self.drain();
                for (chain, written) in self.intake.take_done() {
                    chains.complete(&chain, written)?;
                }
                while let Some(chain) = self.aside.pop_back() {
                    chains.put_back(&chain);
                }
                self.serve_receive();
            }
            queue::TRANSMIT => {
                if let Some(chain) = self.held.take() {
                    chains.put_back(&chain);
                }
            }
            _ => {}
        }
        Ok(())
    }
    fn reset(&mut self) {
        self.aside.clear();
        self.intake.clear();
        self.held = None;
        self.announce = false;
        self.starved = false;
        self.rules = Rules::after_reset(self.options.mac);
        self.port.tell(Offloads::default());
        // What comes is dropped, but what the network says of the link counts.
        self.port.listen(true);
    }
    fn save(&self) -> SavedState {
        self.save_state()
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        self.restore_state(saved)
    }
}
