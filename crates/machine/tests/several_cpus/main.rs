//! Several virtual CPUs over one memory, running small programs at the same time: what they may see of one another's
//! stores, and what they must see of changed code.

mod attention;
mod code;
mod guest;
mod locks;
mod nothing;
mod order;
mod shadow;
