//! The queue of commands (§5.1.6.5).
use platform::net::Mac;

use super::super::{Chains, Reply, VirtioError};
use super::config;
use super::device::VirtioNet;
use super::spec::{command, feature};

/// Bytes of a command at most: two tables of addresses that are far too long.
const COMMAND_MAX: u32 = 64 << 10;

impl VirtioNet {
    /// Does what the driver's commands say.
    pub(super) fn serve_control(&mut self, chains: &mut Chains<'_>) -> Result<(), VirtioError> {
        while let Some(chain) = chains.take()? {
            let length = chain.readable().length();
            let room = chain.writable().length();
            let at = room.checked_sub(1).ok_or(VirtioError::Request("no room for an answer"))?;
            let mut bytes = vec![0; length.min(COMMAND_MAX) as usize];
            chain.readable().get(chains.ram(), 0, &mut bytes);
            let done = length <= COMMAND_MAX && self.command(&bytes);
            let answer = if done { command::OK } else { command::ERR };
            chains.reply(&Reply::new(chain, at, &[answer], room))?;
        }
        Ok(())
    }
    fn command(&mut self, bytes: &[u8]) -> bool {
        let &[class, number, ref data @ ..] = bytes else { return false };
        let has = |bit: u64| self.rules.accepted & bit != 0;
        match (class, number, data) {
            (command::RX, command::RX_PROMISC | command::RX_ALLMULTI, [on]) if has(feature::CTRL_RX) => {
                self.rules_mut().filter.set_mode(number, *on != 0)
            }
            (command::RX, command::RX_ALLUNI.., [on]) if has(feature::CTRL_RX_EXTRA) => {
                self.rules_mut().filter.set_mode(number, *on != 0)
            }
            (command::MAC, command::MAC_TABLE_SET, _) if has(feature::CTRL_RX) => {
                self.rules_mut().filter.set_tables(data)
            }
            (command::MAC, command::MAC_ADDR_SET, data) if has(feature::CTRL_MAC_ADDR) => {
                let Ok(mac) = data.try_into().map(Mac) else { return false };
                self.rules_mut().mac = mac;
                true
            }
            (command::VLAN, _, &[low, high]) if has(feature::CTRL_VLAN) => {
                self.rules_mut().filter.set_vlan(number, u16::from_le_bytes([low, high]))
            }
            (command::ANNOUNCE, command::ANNOUNCE_ACK, _) if has(feature::GUEST_ANNOUNCE) => {
                self.announce = false;
                true
            }
            (command::OFFLOADS, command::OFFLOADS_SET, data) if has(feature::CTRL_GUEST_OFFLOADS) => {
                let Ok(wanted) = data.try_into().map(u64::from_le_bytes) else { return false };
                if wanted & !(self.rules.accepted & feature::GUEST_OFFLOADS) != 0 {
                    return false;
                }
                self.set_offloads(wanted);
                true
            }
            _ => false,
        }
    }
    /// Takes other offloads into use, of those that were accepted.
    pub(super) fn set_offloads(&mut self, wanted: u64) {
        self.rules_mut().offloads = wanted;
        self.port.tell(config::offloads(wanted));
    }
}
