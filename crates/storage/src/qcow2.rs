//! qcow2, QEMU's format: a disk cut into clusters that are stored wherever there is room, found by two levels of tables
//! (L1, L2), and counted by refcounts.
//!
//! What is written in which order, so that neither the end of this process nor that of the host damages an image:
//!
//! 1. Data goes to the file at once; tables are kept and changed in memory.
//! 2. Refcounts in memory are never lower than what any table refers to, so they may be written at any time.
//! 3. L2 tables are written after the refcounts and the data they refer to were synced, L1 entries after L2 tables.
//! 4. A cluster that nothing refers to any more is let go once the tables that say so are synced. Until then it counts
//!    as used, and nothing else is put there.
//!
//! So a file always has all of its last flush, and whatever came later is there, or takes room that
//! [`crate::Repair::Leaks`] gives back.

mod backing;
mod check;
mod compressed;
mod create;
mod flush;
mod geometry;
mod header;
mod image;
mod mapping;
mod read;
mod rebuild;
mod refcounts;
mod resize;
mod slot;
mod snapshots;
mod spec;
mod tables;
mod write;
mod zero;

pub use create::Layout;
pub use image::Qcow2Image;

#[cfg(test)]
mod tests;
