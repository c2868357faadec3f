//! Receiving: what the cable's thread does.
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use platform::GuestRam;
use platform::net::{FrameHeader, NetCard, NetPort};

use super::super::{Chains, VirtioError, VirtioPci};
use super::device::{Rules, VirtioNet};
use super::intake::{Intake, Pause};
use super::spec::{feature, queue};

/// What its cable tells a network device through.
pub fn card(function: &Arc<Mutex<VirtioPci<VirtioNet>>>) -> Arc<dyn NetCard> {
    Arc::new(Card(Arc::downgrade(function)))
}

struct Card(Weak<Mutex<VirtioPci<VirtioNet>>>);

/// What to do without the transport's lock.
struct Work {
    port: Arc<dyn NetPort>,
    intake: Arc<Intake>,
    /// What the frames are for; nothing if they are to be dropped.
    rules: Option<(Arc<Rules>, GuestRam)>,
}

impl NetCard for Card {
    fn frames_wait(&self) {
        let mut pause = Pause::Turn;
        loop {
            let Some(function) = self.0.upgrade() else { return };
            let work = function.lock().turn(pause);
            drop(function);
            let Some(Work { port, intake, rules }) = work else { return };
            let Some((rules, ram)) = rules else { return intake.discard(&*port) };
            pause = intake.fill(&*port, &ram, &rules);
        }
    }
    fn room(&self) {
        if let Some(function) = self.0.upgrade() {
            function.lock().serve(queue::TRANSMIT);
        }
    }
    fn link_changed(&self, up: bool, anew: bool) {
        if let Some(function) = self.0.upgrade() {
            let mut function = function.lock();
            function.device.link_changed(up, anew);
            function.config_changed();
        }
    }
}

impl VirtioPci<VirtioNet> {
    /// Gives back what has frames, after the intake has paused, and takes chains ahead. Nothing if there is no more to do.
    fn turn(&mut self, pause: Pause) -> Option<Work> {
        let mut goes_on = None;
        self.with_chains(queue::RECEIVE, |device, chains| {
            device.give_back(chains)?;
            goes_on = Some(pause != Pause::NoFrames && device.take_ahead(pause, chains)?);
            Ok(())
        });
        let VirtioNet { port, intake, rules, .. } = &self.device;
        let rules = match goes_on {
            Some(true) => Some((Arc::clone(rules), self.ram.clone())),
            Some(false) => return None,
            None => None,
        };
        Some(Work { port: Arc::clone(port), intake: Arc::clone(intake), rules })
    }
}

impl VirtioNet {
    fn give_back(&self, chains: &mut Chains<'_>) -> Result<(), VirtioError> {
        self.intake.take_done().iter().try_for_each(|(chain, written)| chains.complete(chain, *written))
    }
    /// Takes chains until there is room for the largest frames. Whether frames can be taken.
    fn take_ahead(&mut self, pause: Pause, chains: &mut Chains<'_>) -> Result<bool, VirtioError> {
        self.intake.add(self.aside.drain(..));
        let mut missing = self.intake.missing();
        let mut came = false;
        while missing > 0 {
            let Some(chain) = chains.take()? else { break };
            let bytes = chain.writable().length();
            if (bytes as usize) < FrameHeader::BYTES {
                return Err(VirtioError::Request("no room for a frame's header"));
            }
            missing = missing.saturating_sub(bytes);
            came = true;
            self.intake.add([chain]);
        }
        // A frame that needed more room than there was needs more still.
        let has_room = !self.intake.is_empty() && (came || pause == Pause::Turn);
        if !has_room {
            self.starved = true;
            self.port.listen(false);
        }
        Ok(has_room)
    }
    /// The driver has new buffers.
    pub(super) fn serve_receive(&mut self) {
        if std::mem::take(&mut self.starved) {
            self.port.listen(true);
        }
    }
    fn link_changed(&mut self, up: bool, anew: bool) {
        self.is_up = up;
        self.announce |= up && anew && self.rules.accepted & feature::GUEST_ANNOUNCE != 0;
    }
}
