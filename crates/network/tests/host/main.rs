//! Trunks against the kernel, in network namespaces that the tests make.

mod bridged;
mod room;
mod stage;
mod station;
mod tap;
