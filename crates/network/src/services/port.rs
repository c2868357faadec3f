//! Where a frame came from.
use platform::net::Mac;

pub use crate::switch::PortId;

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
