//! Where a frame came from.
use platform::net::Mac;

/// A port of the network's switch; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(pub u32);

/// What services want to know of a port.
#[derive(Clone, Copy, Debug)]
pub struct PortView<'a> {
    /// Which one.
    pub id: PortId,
    /// The address of the card that is plugged in.
    pub mac: Mac,
    /// The name of the VM that has the card; the host's port has none.
    pub name: Option<&'a str>,
}
