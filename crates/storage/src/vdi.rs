//! VDI images, VirtualBox's own: a header, a table of blocks, and the blocks of 1 MiB in the order of first writes.
mod check;
mod header;
mod image;
mod resize;
mod spec;
mod table;

pub use image::VdiImage;
