//! VMDK images, of VMware: a text that describes the disk, and its extents, in the same file or in files next to it.
mod check;
mod create;
mod descriptor;
mod export;
mod extents;
mod grains;
mod header;
mod image;
mod spec;
mod stream;

pub use export::export_stream;
pub use image::VmdkImage;
