//! What headers may say, given what was negotiated. The frame itself is looked at by whoever gets it.
use platform::net::{FrameHeader, Segmentation};

use super::spec::feature;

/// The three bits that allow what a header says.
struct Allowed {
    checksum: u64,
    tcp4: u64,
    tcp6: u64,
    ecn: u64,
}

const OUTGOING: Allowed = Allowed {
    checksum: feature::CSUM,
    tcp4: feature::HOST_TSO4,
    tcp6: feature::HOST_TSO6,
    ecn: feature::HOST_ECN,
};
const INCOMING: Allowed = Allowed {
    checksum: feature::GUEST_CSUM,
    tcp4: feature::GUEST_TSO4,
    tcp6: feature::GUEST_TSO6,
    ecn: feature::GUEST_ECN,
};

impl Allowed {
    fn permits(&self, header: &FrameHeader, features: u64) -> bool {
        let has = |bit: u64| features & bit != 0;
        let needs_checksum = header.flags & FrameHeader::NEEDS_CHECKSUM != 0;
        let is_cut = header.segmentation != Segmentation::NONE;
        let kind = match header.segmentation.kind() {
            Segmentation::NONE => !is_cut,
            Segmentation::TCP4 => has(self.tcp4),
            Segmentation::TCP6 => has(self.tcp6),
            _ => false,
        };
        let ecn = header.segmentation.0 & Segmentation::ECN == 0 || has(self.ecn);
        let sized = !is_cut || (header.segment_size > 0 && needs_checksum);
        kind && ecn && sized && (!needs_checksum || has(self.checksum))
    }
}

/// A driver's header as the cable gets it; `None` if the driver must not say that (§5.1.6.2).
pub fn outgoing(header: FrameHeader, features: u64) -> Option<FrameHeader> {
    // Flags that a driver does not set are none to the device.
    let flags = header.flags & FrameHeader::NEEDS_CHECKSUM;
    let header = FrameHeader { flags, buffers: 0, ..header };
    OUTGOING.permits(&header, features).then_some(header)
}

/// A network's header as the driver gets it, for a frame in so many buffers; `None` if the driver does not take such
/// frames, as when it has just started over.
pub fn incoming(header: FrameHeader, features: u64, buffers: u16) -> Option<FrameHeader> {
    let known = if features & feature::GUEST_CSUM == 0 { 0 } else { FrameHeader::DATA_VALID };
    let flags = header.flags & (FrameHeader::NEEDS_CHECKSUM | known);
    let mut segmentation = header.segmentation;
    if features & feature::GUEST_ECN == 0 {
        // Its segments are taken all the same: only the first one's CWR would be told apart.
        segmentation = segmentation.kind();
    }
    let header = FrameHeader { flags, segmentation, buffers, ..header };
    INCOMING.permits(&header, features).then_some(header)
}
