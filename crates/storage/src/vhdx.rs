//! VHDX images, of Hyper-V, which can only be read. What is in the log of one that was not closed is applied in memory.
mod checksum;
mod header;
mod image;
mod log;
mod metadata;
mod patched;
mod regions;
mod spec;
mod table;

pub use image::VhdxImage;
