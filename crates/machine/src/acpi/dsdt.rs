//! The differentiated description table: what an operating system cannot find by itself, in AML.
use acpi_tables::aml::{
    AddressSpace, AddressSpaceCacheable, And, Arg, CreateDWordField, Device, EISAName, Else, Equal, IO, If,
    Local, Memory32Fixed, Method, Name, Or, Package, PackageBuilder, Path, ResourceTemplate, Return, Scope,
    Store, Uuid, ZERO,
};
use acpi_tables::sdt::Sdt;
use acpi_tables::{Aml, AmlSink};

use super::hotplug;
use super::resource::IrqNoFlags;
use devices::pci::HOTPLUG_BYTES;

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID};
use crate::board::{gsi, irq, mmio, port};

/// AML of 64-bit integers needs revision 2 (ACPI 6.5 §5.2.11.1).
const REVISION: u8 = 2;
const HEADER_BYTES: u32 = 36;
/// What goes into PM1 control's SLP_TYP for soft off.
pub const SLEEP_TYPE_S5: u8 = 0;
/// PCI slots that may use interrupt lines.
const SLOTS: u32 = 32;
/// Lines of a PCI slot, INTA to INTD.
const PINS: u32 = 4;

/// The DSDT of `cpus` CPUs, as bytes.
pub fn dsdt(cpus: u8) -> Vec<u8> {
    let mut table = Sdt::new(*b"DSDT", HEADER_BYTES, REVISION, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    let mut body = Vec::new();
    soft_off().to_aml_bytes(&mut body);
    system_bus(&mut body, cpus);
    hotplug::event().to_aml_bytes(&mut body);
    table.append_slice(&body);
    table.as_slice().to_vec()
}

/// `\_S5`: the values for PM1a and PM1b control.
fn soft_off() -> Name {
    Name::new("_S5_".into(), &Package::new(vec![&SLEEP_TYPE_S5, &SLEEP_TYPE_S5, &ZERO, &ZERO]))
}

fn system_bus(sink: &mut dyn AmlSink, cpus: u8) {
    let isa = isa_devices();
    let mut children: Vec<&dyn Aml> = vec![];
    let mut names: Vec<Box<dyn Aml>> = Vec::new();
    names.push(Box::new(host_bridge()));
    names.push(Box::new(motherboard()));
    names.push(Box::new(hpet()));
    names.extend(isa.into_iter().map(|device| Box::new(device) as Box<dyn Aml>));
    names.extend((0..cpus).map(|cpu| Box::new(processor(cpu)) as Box<dyn Aml>));
    children.extend(names.iter().map(|name| name.as_ref()));
    Scope::new("\\_SB_".into(), children).to_aml_bytes(sink);
}

/// AML that was already put together.
pub(super) struct Encoded(Vec<u8>);

impl Aml for Encoded {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.vec(&self.0);
    }
}

pub(super) fn encoded(aml: &dyn Aml) -> Encoded {
    let mut bytes = Vec::new();
    aml.to_aml_bytes(&mut bytes);
    Encoded(bytes)
}

fn plug_and_play_id(id: &str) -> Name {
    Name::new("_HID".into(), &EISAName::new(id))
}

/// A device with a plug-and-play id, a unique number and resources.
fn device(name: &str, id: &str, unique: u8, resources: Vec<&dyn Aml>) -> Encoded {
    encoded(&Device::new(
        name.into(),
        vec![
            &plug_and_play_id(id),
            &Name::new("_UID".into(), &unique),
            &Name::new("_CRS".into(), &ResourceTemplate::new(resources)),
        ],
    ))
}

fn processor(cpu: u8) -> Encoded {
    let name = format!("C{cpu:03X}");
    encoded(&Device::new(
        name.as_str().into(),
        vec![&Name::new("_HID".into(), &"ACPI0007"), &Name::new("_UID".into(), &cpu)],
    ))
}

fn ports(first: u16, count: u8) -> IO {
    IO::new(first, first, 0, count)
}

/// The chips that a PC has had since the AT.
fn isa_devices() -> Vec<Encoded> {
    vec![
        device(
            "PIC_",
            "PNP0000",
            0,
            vec![
                &ports(port::PIC_MASTER, 2),
                &ports(port::PIC_SLAVE, 2),
                &ports(port::ELCR, 2),
                &IrqNoFlags(irq::CASCADE),
            ],
        ),
        device("TIMR", "PNP0100", 0, vec![&ports(port::PIT, 4), &IrqNoFlags(irq::TIMER)]),
        device("RTC_", "PNP0B00", 0, vec![&ports(port::RTC, 2), &IrqNoFlags(irq::RTC)]),
        device(
            "PS2K",
            "PNP0303",
            0,
            vec![
                &ports(port::KEYBOARD_DATA, 1),
                &ports(port::KEYBOARD_COMMAND, 1),
                &IrqNoFlags(irq::KEYBOARD),
            ],
        ),
        device("COM1", "PNP0501", 1, vec![&ports(port::COM1, 8), &IrqNoFlags(irq::COM1)]),
    ]
}

fn hpet() -> Encoded {
    let range = Memory32Fixed::new(true, mmio::HPET_BASE as u32, mmio::HPET_BYTES as u32);
    device("HPET", "PNP0103", 0, vec![&range])
}

/// What belongs to the board itself and must not be given to anything else.
fn motherboard() -> Encoded {
    let memory = |base: u64, bytes: u64| Memory32Fixed::new(true, base as u32, bytes as u32);
    device(
        "MBRD",
        "PNP0C02",
        0,
        vec![
            &memory(mmio::ECAM_BASE, mmio::ECAM_BYTES),
            &memory(mmio::IOAPIC_BASE, mmio::IOAPIC_BYTES),
            &memory(mmio::LAPIC_BASE, mmio::LAPIC_BYTES),
            &ports(port::PORT_B, 1),
            &ports(port::POST, 1),
            &ports(port::FAST_A20, 1),
            &ports(port::PM_BASE, port::PM_PORTS as u8),
            &ports(port::PCI_HOTPLUG, HOTPLUG_BYTES as u8),
        ],
    )
}

/// The PCI Express host bridge with its windows, interrupt routing and `_OSC`.
fn host_bridge() -> Encoded {
    let window_end = mmio::PCI_WINDOW_BASE + mmio::PCI_WINDOW_BYTES - 1;
    let not_cacheable = AddressSpaceCacheable::NotCacheable;
    let resources = ResourceTemplate::new(vec![
        &AddressSpace::<u16>::new_bus_number(0, (mmio::ECAM_BUSES - 1) as u16),
        &IO::new(port::PCI_ADDRESS, port::PCI_ADDRESS, 1, 8),
        &AddressSpace::<u16>::new_io(0, port::PCI_ADDRESS - 1, None),
        &AddressSpace::<u16>::new_io(port::PCI_ADDRESS + 8, 0xffff, None),
        &AddressSpace::<u32>::new_memory(
            not_cacheable,
            true,
            mmio::PCI_WINDOW_BASE as u32,
            window_end as u32,
            None,
        ),
    ])
    .to_encoded();
    let slots = hotplug::in_host_bridge();
    let (id, compatible) = (plug_and_play_id("PNP0A08"), Name::new("_CID".into(), &EISAName::new("PNP0A03")));
    let number = |name: &str| Name::new(name.into(), &ZERO);
    let (unique, segment, bus) = (number("_UID"), number("_SEG"), number("_BBN"));
    let windows = Name::new("_CRS".into(), &resources);
    let (routing, capabilities) =
        (Name::new("_PRT".into(), &interrupt_routing()), operating_system_capabilities());
    let mut children: Vec<&dyn Aml> =
        vec![&id, &compatible, &unique, &segment, &bus, &windows, &routing, &capabilities];
    children.extend(slots.iter().map(|slot| slot as &dyn Aml));
    encoded(&Device::new("PCI0".into(), children))
}

trait ToEncoded {
    fn to_encoded(&self) -> Encoded;
}

impl<T: Aml> ToEncoded for T {
    fn to_encoded(&self) -> Encoded {
        encoded(self)
    }
}

/// `_PRT`: which global system interrupt each line of each slot arrives at (§6.2.13).
fn interrupt_routing() -> PackageBuilder {
    let mut routes = PackageBuilder::new();
    for slot in 0..SLOTS {
        for pin in 0..PINS {
            let address = slot << 16 | 0xffff;
            let gsi = gsi::PIRQ_A + pirq(slot, pin);
            routes.add_element(&Package::new(vec![&address, &(pin as u8), &ZERO, &gsi]));
        }
    }
    routes
}

/// Which of the lines PIRQA (0) to PIRQH (7) a slot's pin is wired to.
fn pirq(slot: u32, pin: u32) -> u32 {
    (slot + pin) % PINS
}

/// `_OSC` for PCI hosts (PCI Firmware 3.3 §4.5.1): the operating system may have what it asks for of the capability
/// structure's control, and nothing else.
fn operating_system_capabilities() -> Encoded {
    const PCI_HOST_BRIDGE: &str = "33DB4D5B-1FF7-401C-9657-7441C03DD766";
    const UNRECOGNIZED_UUID: u8 = 1 << 2;
    const CAPABILITY_STRUCTURE_CONTROL: u8 = 1 << 4;
    let (status, control) = (Path::new("CDW1"), Path::new("CDW3"));
    let recognized = Equal::new(&Arg(0), &Uuid::new(PCI_HOST_BRIDGE)).to_encoded();
    encoded(&Method::new(
        "_OSC".into(),
        4,
        false,
        vec![
            &CreateDWordField::new(&status, &Arg(3), &ZERO),
            &If::new(
                &recognized,
                vec![
                    &CreateDWordField::new(&control, &Arg(3), &8_u8),
                    &And::new(&Local(0), &control, &CAPABILITY_STRUCTURE_CONTROL),
                    &Store::new(&control, &Local(0)),
                ],
            ),
            &Else::new(vec![&Or::new(&status, &status, &UNRECOGNIZED_UUID)]),
            &Return::new(&Arg(3)),
        ],
    ))
}
