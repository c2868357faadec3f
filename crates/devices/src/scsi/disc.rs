//! What a drive can do: features and profiles (MMC-6 §5, §6.5), and its mechanism (§6.10).
use super::cdb::Cdb;
use super::spec::{CD_BLOCKS_MAX, CDROM_BLOCK, profile};
use super::transfer::Step;
use super::unit::Unit;

/// Features are there whatever the medium is.
const PERSISTENT: u8 = 1 << 1;
/// A feature works at the moment.
const CURRENT: u8 = 1 << 0;
/// Where a feature's version is.
const VERSION_SHIFT: u8 = 2;
/// The door is open.
const DOOR_OPEN: u8 = 1 << 4;

/// A feature descriptor.
struct Feature {
    code: u16,
    flags: u8,
    data: Vec<u8>,
}

impl Unit {
    /// GET CONFIGURATION.
    pub(super) fn get_configuration(&self, cdb: &Cdb) -> Step {
        let (kind, first) = (cdb.byte(1) & 3, cdb.number(2, 2) as u16);
        let current = self.profile();
        let mut body = [&[0; 2][..], &current.to_be_bytes()].concat();
        for Feature { code, flags, data } in features(current) {
            let wanted = match kind {
                0 => code >= first,
                1 => code >= first && flags & CURRENT != 0,
                _ => code == first,
            };
            if wanted {
                body.extend(code.to_be_bytes());
                body.extend([flags, data.len() as u8]);
                body.extend(data);
            }
        }
        let bytes = [&(body.len() as u32).to_be_bytes()[..], &body].concat();
        Step::data(bytes, cdb.number(7, 2))
    }
    /// MECHANISM STATUS.
    pub(super) fn mechanism_status(&self, cdb: &Cdb) -> Step {
        let door = if self.state.tray_open { DOOR_OPEN } else { 0 };
        Step::data(vec![0, door, 0, 0, 0, 1, 0, 0], cdb.number(8, 2))
    }

    fn profile(&self) -> u16 {
        match self.disc_blocks() {
            Ok(blocks) if blocks <= CD_BLOCKS_MAX => profile::CD_ROM,
            Ok(_) => profile::DVD_ROM,
            Err(_) => profile::NONE,
        }
    }
}

/// All features, in the order of their codes.
fn features(current: u16) -> Vec<Feature> {
    let feature = |code, version: u8, flags: u8, data: &[u8]| {
        let flags = version << VERSION_SHIFT | flags;
        Feature { code, flags, data: data.to_vec() }
    };
    let always = PERSISTENT | CURRENT;
    let with = |is_current: bool| if is_current { CURRENT } else { 0 };
    let profiles = [profile::DVD_ROM, profile::CD_ROM].map(|listed| {
        let [high, low] = listed.to_be_bytes();
        [high, low, u8::from(listed == current), 0]
    });
    let block = (CDROM_BLOCK as u32).to_be_bytes();
    vec![
        feature(0x0000, 0, always, profiles.as_flattened()),
        // Core: a SCSI family interface, and device-busy events.
        feature(0x0001, 2, always, &[0, 0, 0, 1, 1, 0, 0, 0]),
        // Morphing: operational changes are told.
        feature(0x0002, 1, always, &[2, 0, 0, 0]),
        // Removable medium: a tray that locks and opens.
        feature(0x0003, 0, always, &[0x29, 0, 0, 0]),
        // Random readable: one block at a time.
        feature(0x0010, 0, with(current != profile::NONE), &[&block[..], &[0, 1, 0, 0]].concat()),
        // CD read.
        feature(0x001e, 2, with(current == profile::CD_ROM), &[0; 4]),
        // DVD read.
        feature(0x001f, 0, with(current == profile::DVD_ROM), &[]),
    ]
}
