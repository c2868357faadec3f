//! How an image is cut into clusters, tables and refcount blocks.
use super::spec;

/// What the header says about sizes; all of it has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// 2 or 3.
    pub version: u32,
    /// A cluster has two to the power of these bytes, 9 to 21.
    pub cluster_bits: u32,
    /// L2 entries have a bitmap of subclusters.
    pub extended: bool,
    /// A refcount has two to the power of these bits, 0 to 6.
    pub refcount_order: u32,
}

impl Geometry {
    /// Bytes of a cluster, and of every L2 table and refcount block.
    pub fn cluster(self) -> u64 {
        1 << self.cluster_bits
    }
    /// Where an offset's cluster begins.
    pub fn start(self, offset: u64) -> u64 {
        offset & !(self.cluster() - 1)
    }
    /// How far an offset is into its cluster.
    pub fn within(self, offset: u64) -> u64 {
        offset & (self.cluster() - 1)
    }
    /// Whether a cluster can begin there.
    pub fn is_start(self, offset: u64) -> bool {
        self.within(offset) == 0
    }
    /// Clusters that so many bytes take.
    pub fn clusters(self, bytes: u64) -> u64 {
        bytes.div_ceil(self.cluster())
    }
    /// The end of the cluster before an offset.
    pub fn round_up(self, offset: u64) -> u64 {
        self.clusters(offset).saturating_mul(self.cluster())
    }
    /// Bytes of an L2 entry.
    pub fn slot_bytes(self) -> u64 {
        if self.extended { 16 } else { 8 }
    }
    /// Entries of an L2 table.
    pub fn slots(self) -> u64 {
        self.cluster() / self.slot_bytes()
    }
    /// Bytes of the disk that one L2 table maps.
    pub fn table_span(self) -> u64 {
        self.slots() << self.cluster_bits
    }
    /// L1 entries that a disk of so many bytes needs.
    pub fn l1_entries(self, length: u64) -> u64 {
        length.div_ceil(self.table_span())
    }
    /// Bytes that are mapped together: those of a cluster or subcluster.
    pub fn unit(self) -> u64 {
        if self.extended { self.cluster() / spec::SUBCLUSTERS } else { self.cluster() }
    }
    /// Refcounts of a block.
    pub fn refcounts(self) -> u64 {
        (self.cluster() * 8) >> self.refcount_order
    }
    /// The highest refcount.
    pub fn refcount_max(self) -> u64 {
        u64::MAX >> (64 - (1 << self.refcount_order))
    }
    /// Whether an entry can say that a cluster is zeros.
    pub fn has_zeroes(self) -> bool {
        self.version >= 3
    }
}
