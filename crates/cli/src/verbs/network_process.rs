//! The hidden verb that is a network's process.
use crate::exit::Code;
use crate::logging;

/// Works until nobody is on the network any more.
pub fn execute() -> anyhow::Result<Code> {
    logging::start(0);
    manager::networks::process::main()?;
    Ok(Code::OK)
}
