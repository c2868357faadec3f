//! VDI, VMDK, VHD and VHDX images against QEMU's own reading and writing of them, and against damage.
extern crate gasang_storage as storage;

mod checksums;
mod full;
mod hostile;
mod killed;
mod models;
mod qemu;
mod read;
mod stream;
mod threads;
mod vhdx_log;
mod write;
