//! The register window: accesses of any length, as double words (SDM §13.2).
use super::device::E1000;
use super::eeprom;
use super::spec::register::{self, PLAIN};
use super::spec::{cause, ctrl, mdic, status};
use super::state::Ring;

/// Bits of a ring's length that count: whole groups of eight descriptors.
const RING_LENGTH: u32 = 0xf_ff80;

impl E1000 {
    pub(super) fn read_window(&mut self, offset: u64, data: &mut [u8]) {
        let end = offset + data.len() as u64;
        // Each register once: reading may clear it.
        for register in (offset & !3..end).step_by(4) {
            let value = self.read_register(register as u32).to_le_bytes();
            for (at, byte) in (register..).zip(value) {
                if let Some(place) = at.checked_sub(offset).and_then(|index| data.get_mut(index as usize)) {
                    *place = byte;
                }
            }
        }
    }
    /// Registers are written whole; what is not is nothing (§13.2.1).
    pub(super) fn write_window(&mut self, offset: u64, data: &[u8]) {
        if !offset.is_multiple_of(4) {
            return;
        }
        for (register, bytes) in (offset..).step_by(4).zip(data.as_chunks().0) {
            self.write_register(register as u32, u32::from_le_bytes(*bytes));
        }
    }

    fn read_register(&mut self, register: u32) -> u32 {
        let state = &mut self.state;
        let of_table =
            |table: &[u32], first: u32| table.get(((register - first) / 4) as usize).copied().unwrap_or(0);
        match register {
            register::CTRL => state.ctrl,
            register::STATUS => status::FIXED | if self.is_up { status::LINK_UP } else { 0 },
            register::EECD => state.microwire.read(&self.eeprom),
            register::EERD => state.eerd,
            register::MDIC => state.mdic,
            register::VET => state.vet,
            register::ICR => {
                let causes = std::mem::take(&mut state.causes);
                self.drive_line();
                causes
            }
            register::ICS => state.causes,
            register::IMS => state.mask,
            register::RCTL => state.rctl,
            register::TCTL => state.tctl,
            register::RXCSUM => state.rxcsum,
            register::RX_RING..0x2820 => read_ring(&state.rx, register - register::RX_RING),
            register::TX_RING..0x3820 => read_ring(&state.tx, register - register::TX_RING),
            at if register::STATISTICS.contains(&at) => state.statistics.take(at),
            at if register::MTA.contains(&at) => of_table(&state.groups, register::MTA.start),
            at if register::RA.contains(&at) => of_table(&state.addresses, register::RA.start),
            at if register::VFTA.contains(&at) => of_table(&state.vlans, register::VFTA.start),
            at => plain(at).map_or(0, |index| state.plain[index]),
        }
    }
    fn write_register(&mut self, register: u32, value: u32) {
        let state = &mut self.state;
        let put = |table: &mut [u32], first: u32| {
            if let Some(place) = table.get_mut(((register - first) / 4) as usize) {
                *place = value;
            }
        };
        match register {
            register::CTRL if value & ctrl::RESET != 0 => self.start_over(),
            register::CTRL => {
                if value & ctrl::PHY_RESET != 0 {
                    state.phy = super::phy::Phy::default();
                }
                state.ctrl = value & !ctrl::PHY_RESET;
            }
            register::EECD => state.microwire.write(value),
            register::EERD => state.eerd = eeprom::read_by_register(&self.eeprom, value),
            register::MDIC => {
                state.mdic = state.phy.access(value, self.is_up);
                if value & mdic::INTERRUPT != 0 {
                    self.raise(cause::MDI);
                }
            }
            register::VET => state.vet = value & 0xffff,
            register::ICR => self.mask_causes(|causes, _| *causes &= !value),
            register::ICS => self.raise(value),
            register::IMS => self.mask_causes(|_, mask| *mask |= value & cause::ALL),
            register::IMC => self.mask_causes(|_, mask| *mask &= !value),
            register::RCTL => {
                state.rctl = value;
                self.descriptors_came();
            }
            register::TCTL => {
                state.tctl = value;
                self.transmit();
            }
            register::RXCSUM => {
                state.rxcsum = value;
                self.port.tell(state.offloads());
            }
            register::RX_RING..0x2820 => {
                write_ring(&mut state.rx, register - register::RX_RING, value);
                self.descriptors_came();
            }
            register::TX_RING..0x3820 => {
                let offset = register - register::TX_RING;
                write_ring(&mut state.tx, offset, value);
                if offset == register::RING_TAIL {
                    self.transmit();
                }
            }
            at if register::MTA.contains(&at) => put(&mut state.groups, register::MTA.start),
            at if register::RA.contains(&at) => put(&mut state.addresses, register::RA.start),
            at if register::VFTA.contains(&at) => put(&mut state.vlans, register::VFTA.start),
            at => {
                if let Some(index) = plain(at) {
                    state.plain[index] = value;
                }
            }
        }
    }
    fn mask_causes(&mut self, act: impl FnOnce(&mut u32, &mut u32)) {
        act(&mut self.state.causes, &mut self.state.mask);
        self.drive_line();
    }
}

fn plain(register: u32) -> Option<usize> {
    PLAIN.iter().position(|known| *known == register)
}

fn read_ring(ring: &Ring, offset: u32) -> u32 {
    match offset {
        register::RING_LOW => ring.base as u32,
        register::RING_HIGH => (ring.base >> 32) as u32,
        register::RING_LENGTH => ring.length,
        register::RING_HEAD => ring.head,
        register::RING_TAIL => ring.tail,
        _ => 0,
    }
}

fn write_ring(ring: &mut Ring, offset: u32, value: u32) {
    match offset {
        register::RING_LOW => ring.base = ring.base & !0xffff_ffff | u64::from(value & !0xf),
        register::RING_HIGH => ring.base = ring.base & 0xffff_ffff | u64::from(value) << 32,
        register::RING_LENGTH => ring.length = value & RING_LENGTH,
        register::RING_HEAD => ring.head = value & 0xffff,
        register::RING_TAIL => ring.tail = value & 0xffff,
        _ => {}
    }
}
