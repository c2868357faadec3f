//! Interrupt messages between APICs, I/O APIC and devices, and the interrupt command register.
use super::spec::icr;

/// How a message is delivered (SDM 3A §11.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryMode {
    /// To all that are addressed.
    Fixed,
    /// To one of those that are addressed.
    LowestPriority,
    /// System management; this machine has none.
    Smi,
    /// Non-maskable.
    Nmi,
    /// INIT.
    Init,
    /// Start-up: the vector is the page to start at.
    Startup,
    /// From the 8259A, which also gives the vector.
    ExtInt,
    /// No meaning.
    Reserved,
}

impl DeliveryMode {
    /// From the low three bits.
    pub fn from_bits(bits: u8) -> Self {
        match bits & 7 {
            0 => Self::Fixed,
            1 => Self::LowestPriority,
            2 => Self::Smi,
            4 => Self::Nmi,
            5 => Self::Init,
            6 => Self::Startup,
            7 => Self::ExtInt,
            _ => Self::Reserved,
        }
    }
}

/// One interrupt message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// APIC id, or set of APICs if `logical`.
    pub destination: u32,
    /// How `destination` is meant.
    pub logical: bool,
    /// How it is delivered.
    pub mode: DeliveryMode,
    /// The vector.
    pub vector: u8,
    /// Whether its end is reported to the I/O APIC.
    pub level_triggered: bool,
}

impl Message {
    /// The message that a write of `data` to `address` is (SDM 3A §11.11); `None` if that is not in the APICs' range.
    pub fn from_msi(address: u64, data: u32) -> Option<Self> {
        const LOGICAL: u64 = 1 << 2;
        const LEVEL: u32 = 1 << 15;
        (address >> 20 == 0xfee).then(|| Self {
            destination: (address >> 12) as u8 as u32,
            logical: address & LOGICAL != 0,
            mode: DeliveryMode::from_bits((data >> 8) as u8),
            vector: data as u8,
            level_triggered: data & LEVEL != 0,
        })
    }
}

/// Destinations that need no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shorthand {
    /// None: the message's destination counts.
    None,
    /// The sender.
    Myself,
    /// All with the sender.
    All,
    /// All but the sender.
    Others,
}

/// What a write to the interrupt command register sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// To whom.
    pub shorthand: Shorthand,
    /// What.
    pub message: Message,
}

impl Command {
    /// From the register's low half and the destination. `None` for the INIT level de-assert of old, which has no
    /// effect (SDM 3A §11.6.1), and for modes without a meaning here.
    pub(super) fn from_register(low: u32, destination: u32) -> Option<Self> {
        let mode = DeliveryMode::from_bits((low >> 8) as u8);
        let shorthand = match low >> icr::SHORTHAND_SHIFT & 3 {
            0 => Shorthand::None,
            1 => Shorthand::Myself,
            2 => Shorthand::All,
            _ => Shorthand::Others,
        };
        match mode {
            DeliveryMode::Smi | DeliveryMode::ExtInt | DeliveryMode::Reserved => return None,
            DeliveryMode::Init if low & icr::LEVEL != 0 && low & icr::ASSERT == 0 => return None,
            _ => {}
        }
        let message = Message {
            destination,
            logical: low & icr::LOGICAL != 0,
            mode,
            vector: low as u8,
            level_triggered: false,
        };
        Some(Self { shorthand, message })
    }
}
