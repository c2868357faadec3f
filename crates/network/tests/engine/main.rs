//! A whole network at work: real cables, real sockets of the host, and guests with a TCP of somebody else's.

mod errors;
mod faults;
mod floods;
mod guest;
mod leading;
mod opening;
mod segment;
mod torture;
mod world;
