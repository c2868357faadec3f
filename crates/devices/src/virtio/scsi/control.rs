//! The control queue (§5.6.6.2): task management, and questions about notifications.
use super::super::{Chain, Chains, Reply, VirtioError};
use super::address::Address;
use super::command;
use super::device::VirtioScsi;
use super::spec::{control, response};
use crate::scsi::Unit;

/// A task management function.
struct Function {
    kind: u32,
    address: Address,
    tag: u64,
}

impl VirtioScsi {
    pub(super) fn serve_control(&mut self, chains: &mut Chains<'_>) -> Result<(), VirtioError> {
        while let Some(chain) = chains.take()? {
            let kind: [u8; 4] =
                chain.readable().first(chains.ram()).ok_or(VirtioError::Request("no control request"))?;
            let reply = match u32::from_le_bytes(kind) {
                control::TMF => {
                    let answer = self.manage(&chain, chains)?;
                    Reply::new(chain, 0, &[answer], 1)
                }
                // No notifications there are: none is on its way.
                control::AN_QUERY | control::AN_SUBSCRIBE => {
                    let answer = [0; control::AN_ANSWER_BYTES];
                    Reply::new(chain, 0, &answer, answer.len() as u32)
                }
                _ => Reply::new(chain, 0, &[], 0),
            };
            chains.reply(&reply)?;
        }
        Ok(())
    }

    /// Does what a request asks for; returns the response.
    fn manage(&mut self, chain: &Chain, chains: &mut Chains<'_>) -> Result<u8, VirtioError> {
        let raw: [u8; control::TMF_BYTES] =
            chain.readable().first(chains.ram()).ok_or(VirtioError::Request("no task management"))?;
        let [kind, address, tag] = [0, 8, 16].map(|at| std::array::from_fn(|i| raw[at + i]));
        let Some(address) = Address::of(address) else { return Ok(response::BAD_TARGET) };
        let kind = (u64::from_le_bytes(kind) >> 32) as u32;
        let function = Function { kind, address, tag: u64::from_le_bytes(tag) };
        if !self.targets.contains_key(&address.target) {
            return Ok(response::BAD_TARGET);
        }
        if address.lun != 0 && function.kind != control::NEXUS_RESET {
            return Ok(response::INCORRECT_LUN);
        }
        self.perform(&function, chains)
    }
    fn perform(&mut self, function: &Function, chains: &mut Chains<'_>) -> Result<u8, VirtioError> {
        let Function { kind, address: Address { target, lun: _ }, tag } = *function;
        let found = |found| if found { response::FUNCTION_SUCCEEDED } else { response::OK };
        match kind {
            control::ABORT_TASK => self.give_up(target, Some(tag), response::ABORTED, chains)?,
            control::ABORT_TASK_SET | control::CLEAR_TASK_SET => {
                self.give_up(target, None, response::ABORTED, chains)?;
            }
            control::NEXUS_RESET | control::UNIT_RESET => {
                self.give_up(target, None, response::RESET, chains)?;
                if let Some(unit) = self.targets.get_mut(&target) {
                    unit.reset();
                }
            }
            control::QUERY_TASK => return Ok(found(self.tasks.has(chains, target, Some(tag)))),
            control::QUERY_TASK_SET => return Ok(found(self.tasks.has(chains, target, None))),
            _ => return Ok(response::FUNCTION_REJECTED),
        }
        Ok(response::OK)
    }
    /// Answers a target's commands at once: one of them, or all. The disk is done with their buffers then; what it says
    /// of them later is dropped.
    pub(super) fn give_up(
        &mut self,
        target: u8,
        tag: Option<u64>,
        response: u8,
        chains: &mut Chains<'_>,
    ) -> Result<(), VirtioError> {
        if self.tasks.has(chains, target, tag)
            && let Some(port) = self.targets.get(&target).and_then(Unit::port)
        {
            port.drain();
        }
        for chain in self.tasks.remove(target, tag) {
            chains.reply(&command::failed(chain, response))?;
        }
        Ok(())
    }
}
