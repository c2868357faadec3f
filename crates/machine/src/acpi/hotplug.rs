//! PCI slots whose functions come and go (ACPI 6.5 §6.3): a device for each, and the method of the event that tells.
use acpi_tables::Aml;
use acpi_tables::aml::{
    And, Device, Field, FieldAccessType, FieldEntry, FieldLockRule, FieldUpdateRule, If, Local, Method,
    MethodCall, Name, Notify, OpRegion, OpRegionSpace, Path, Scope, Store, ZERO,
};
use devices::pci::{HOTPLUG_BYTES, SLOTS_DOWN, SLOTS_EJECT, SLOTS_UP};

use super::dsdt::{Encoded, encoded};
use crate::board::{port, slot};

/// Notification: look whether something has come (§5.6.6).
const DEVICE_CHECK: u8 = 1;
/// Notification: let go of it.
const EJECT_REQUEST: u8 = 3;

// The order of the fields below.
const _: () = assert!(SLOTS_UP == 0 && SLOTS_DOWN == 4 && SLOTS_EJECT == 8);

/// What belongs into the host bridge's scope.
pub fn in_host_bridge() -> Vec<Encoded> {
    let mut all = vec![
        encoded(&OpRegion::new(
            "HPRG".into(),
            OpRegionSpace::SystemIO,
            &port::PCI_HOTPLUG,
            &(HOTPLUG_BYTES as u8),
        )),
        encoded(&Field::new(
            "HPRG".into(),
            FieldAccessType::DWord,
            FieldLockRule::NoLock,
            FieldUpdateRule::WriteAsZeroes,
            vec![
                FieldEntry::Named(*b"SLUP", 32),
                FieldEntry::Named(*b"SLDN", 32),
                FieldEntry::Named(*b"SLEJ", 32),
            ],
        )),
    ];
    all.extend(slot::HOT.map(slot_device));
    all.push(look());
    all
}

/// The method of general-purpose event [`crate::board::GPE_PCI_HOTPLUG`].
pub fn event() -> Encoded {
    let name = format!("_E{:02X}", crate::board::GPE_PCI_HOTPLUG);
    let call = MethodCall::new("\\_SB_.PCI0.HPLK".into(), vec![]);
    let method = encoded(&Method::new(name.as_str().into(), 0, true, vec![&call]));
    encoded(&Scope::new("\\_GPE".into(), vec![&method]))
}

fn name_of(slot: u8) -> String {
    format!("S{slot:03X}")
}

fn slot_device(slot: u8) -> Encoded {
    let (address, bit) = (u32::from(slot) << 16, 1_u32 << slot);
    let eject = Path::new("SLEJ");
    let store = Store::new(&eject, &bit);
    encoded(&Device::new(
        name_of(slot).as_str().into(),
        vec![
            &Name::new("_ADR".into(), &address),
            &Name::new("_SUN".into(), &slot),
            &Method::new("_EJ0".into(), 1, true, vec![&store]),
        ],
    ))
}

/// HPLK: tells the operating system which slots have changed.
fn look() -> Encoded {
    let (up, down) = (Path::new("SLUP"), Path::new("SLDN"));
    let mut body = vec![encoded(&Store::new(&Local(0), &up)), encoded(&Store::new(&Local(1), &down))];
    for slot in slot::HOT {
        body.push(notify(slot, 0, DEVICE_CHECK));
        body.push(notify(slot, 1, EJECT_REQUEST));
    }
    encoded(&Method::new("HPLK".into(), 0, true, body.iter().map(|part| part as &dyn Aml).collect()))
}

fn notify(slot: u8, local: u8, value: u8) -> Encoded {
    let (bit, device) = (1_u32 << slot, Path::new(&name_of(slot)));
    let has = encoded(&And::new(&ZERO, &Local(local), &bit));
    encoded(&If::new(&has, vec![&Notify::new(&device, &value)]))
}
