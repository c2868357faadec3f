//! Network cards whose cables are inherited: for tests, and for peers that start gasang themselves.
#![expect(unsafe_code, reason = "takes over descriptors that this process was started with")]
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::str::FromStr;

use anyhow::Context;
use machine::{CableEnd, NicConfig, NicModel};
use platform::net::Mac;

/// Bytes of the largest packet if nothing is said.
const MTU: u16 = 1500;
/// The first descriptor that is not one of the standard streams.
const FIRST: RawFd = 3;

/// A card as it is written: `3,model=e1000,mac=52:54:00:12:34:56`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InheritedNic {
    descriptor: RawFd,
    model: NicModel,
    mac: Option<Mac>,
    mtu: u16,
    name: Option<String>,
}

impl FromStr for InheritedNic {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split(',');
        let first = words.next().unwrap_or_default();
        let descriptor = first.parse().ok().filter(|number| *number >= FIRST);
        let descriptor = descriptor.ok_or_else(|| format!("'{first}' is no descriptor from {FIRST} on"))?;
        let mut nic = Self { descriptor, model: NicModel::Virtio, mac: None, mtu: MTU, name: None };
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let wrong = || format!("'{value}' is no {key}");
            match key {
                "model" => nic.model = NicModel::of_name(value).ok_or_else(wrong)?,
                "mac" => nic.mac = Some(value.parse().map_err(|_| wrong())?),
                "mtu" => nic.mtu = value.parse().map_err(|_| wrong())?,
                "name" => nic.name = Some(value.to_owned()),
                _ => return Err(format!("'{key}' is no option of a card: model, mac, mtu and name are")),
            }
        }
        Ok(nic)
    }
}

impl InheritedNic {
    /// The card, which is the machine's so many from 0 on. Takes its descriptor over.
    pub fn open(&self, number: usize) -> anyhow::Result<NicConfig> {
        let Self { descriptor, model, mac, mtu, ref name } = *self;
        let socket = inherited(descriptor)
            .with_context(|| format!("descriptor {descriptor} was not inherited or is in use"))?;
        Ok(NicConfig {
            name: name.clone().unwrap_or_else(|| format!("nic{number}")),
            model,
            mac: mac.unwrap_or(Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56 + number as u8])),
            mtu,
            cable: Some(CableEnd::new(socket)),
        })
    }
}

/// Takes over a descriptor that came with the process; descriptors that it has opened itself are closed on exec, which
/// tells the ones from the others.
fn inherited(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: a system call that fails for what is no descriptor.
    let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    if flags & libc::FD_CLOEXEC != 0 {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    // SAFETY: as above.
    if unsafe { libc::fcntl(descriptor, libc::F_SETFD, flags | libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, was not opened by this process, and from now on is taken: it is closed on exec.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_read() {
        let nic: InheritedNic = "7,model=e1000,mac=52:54:00:00:00:09,mtu=9000,name=lan".parse().unwrap();
        let mac = Some(Mac([0x52, 0x54, 0, 0, 0, 9]));
        let name = Some("lan".to_owned());
        assert_eq!(nic, InheritedNic { descriptor: 7, model: NicModel::E1000, mac, mtu: 9000, name });
        for wrong in ["", "2", "x", "3,model=ne2000", "3,mac=1", "3,mtu=", "3,speed=9"] {
            assert!(wrong.parse::<InheritedNic>().is_err(), "{wrong}");
        }
        assert!(InheritedNic { descriptor: 4000, ..nic }.open(0).is_err());
    }
}
