//! VHD images, of Virtual PC and Hyper-V: the disk's bytes and a footer, or blocks of 2 MiB, a table and the footer twice.
mod check;
mod footer;
mod geometry;
mod header;
mod image;
mod spec;
mod table;

pub use image::VhdImage;
