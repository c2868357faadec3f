//! Targets that come and go.
use super::super::VirtioPci;
use super::device::VirtioScsi;
use super::spec::{event, feature, queue, response};
use crate::scsi::Unit;

/// A target that cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// There is a unit already.
    #[error("scsi target {0} is taken")]
    Taken(u8),
    /// The driver would not look for it.
    #[error("scsi target {0} is beyond the host's last one")]
    Beyond(u8),
    /// There is none.
    #[error("there is no scsi target {0}")]
    Missing(u8),
}

impl VirtioScsi {
    /// Puts a unit at a target before the machine runs.
    pub fn insert(&mut self, target: u8, unit: Unit) -> Result<(), TargetError> {
        if u16::from(target) > self.max_target {
            return Err(TargetError::Beyond(target));
        }
        if self.targets.contains_key(&target) {
            return Err(TargetError::Taken(target));
        }
        self.targets.insert(target, unit);
        Ok(())
    }
    /// The unit of a target.
    pub fn unit(&mut self, target: u8) -> Option<&mut Unit> {
        self.targets.get_mut(&target)
    }
    /// Targets that have a unit.
    pub fn targets(&self) -> impl Iterator<Item = u8> + '_ {
        self.targets.keys().copied()
    }
    fn raise(&mut self, wanted: u64, kind: u32, target: u8, reason: u32) {
        if self.accepted & wanted != 0 {
            self.events.add(kind, target, reason);
        }
    }
}

impl VirtioPci<VirtioScsi> {
    /// Puts a unit at a target; the driver is told to look for it.
    pub fn attach(&mut self, target: u8, unit: Unit) -> Result<(), TargetError> {
        self.device.insert(target, unit)?;
        self.device.raise(feature::HOTPLUG, event::TRANSPORT_RESET, target, event::RESCAN);
        self.serve(queue::EVENT);
        Ok(())
    }
    /// Takes a target's unit away, whatever it is doing; the driver is told. Its disk touches guest memory no more.
    pub fn detach(&mut self, target: u8) -> Result<Unit, TargetError> {
        self.with_chains(queue::EVENT, |device, chains| {
            device.give_up(target, None, response::BAD_TARGET, chains)
        });
        let unit = self.device.targets.remove(&target).ok_or(TargetError::Missing(target))?;
        // Also what the driver forgot by itself.
        if let Some(port) = unit.port() {
            port.drain();
        }
        self.device.raise(feature::HOTPLUG, event::TRANSPORT_RESET, target, event::REMOVED);
        self.serve(queue::EVENT);
        Ok(unit)
    }
    /// A target's disk has another length now; the driver is told.
    pub fn resized(&mut self, target: u8) -> Result<(), TargetError> {
        let unit = self.device.unit(target).ok_or(TargetError::Missing(target))?;
        unit.capacity_changed();
        self.device.raise(feature::CHANGE, event::PARAM_CHANGE, target, event::CAPACITY_CHANGED);
        self.serve(queue::EVENT);
        Ok(())
    }
}
