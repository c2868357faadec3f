//! The register window (AHCI §3): accesses of any length, as double words.
use super::device::Ahci;
use super::port::Port;
use super::spec::{CAPABILITIES, PORTS, VERSION, generic, ghc};

/// What an offset in the window means.
enum Place {
    Generic(u64),
    /// Number of the port and offset in it.
    Port(usize, u64),
}

fn place(offset: u64) -> Place {
    match offset.checked_sub(generic::PORTS) {
        None => Place::Generic(offset),
        Some(beyond) => Place::Port((beyond / generic::PORT_BYTES) as usize, beyond % generic::PORT_BYTES),
    }
}

impl Ahci {
    pub(super) fn read_window(&self, offset: u64, data: &mut [u8]) {
        for (offset, byte) in (offset..).zip(data) {
            *byte = self.read_register(offset & !3).to_le_bytes()[(offset & 3) as usize];
        }
    }
    pub(super) fn write_window(&mut self, offset: u64, data: &[u8]) {
        let end = offset + data.len() as u64;
        for register in (offset & !3..end).step_by(4) {
            let is_whole = register >= offset && register + 4 <= end;
            let rest = if is_whole || self.is_sticky(register) { 0 } else { self.read_register(register) };
            let mut bytes = rest.to_le_bytes();
            for (at, byte) in (register..).zip(&mut bytes) {
                if let Some(written) = at.checked_sub(offset).and_then(|index| data.get(index as usize)) {
                    *byte = *written;
                }
            }
            self.write_register(register, u32::from_le_bytes(bytes));
        }
    }

    fn is_sticky(&self, register: u64) -> bool {
        match place(register) {
            Place::Generic(offset) => offset == generic::IS,
            Place::Port(_, offset) => Port::is_sticky(offset),
        }
    }
    fn read_register(&self, register: u64) -> u32 {
        match place(register) {
            Place::Generic(generic::CAP) => CAPABILITIES,
            Place::Generic(generic::GHC) => self.control,
            Place::Generic(generic::IS) => self.interrupts,
            Place::Generic(generic::PI) => (1 << PORTS) - 1,
            Place::Generic(generic::VS) => VERSION,
            Place::Generic(_) => 0,
            Place::Port(number, offset) => self.ports.get(number).map_or(0, |port| port.read(offset)),
        }
    }
    fn write_register(&mut self, register: u64, value: u32) {
        match place(register) {
            Place::Generic(generic::GHC) if value & ghc::RESET != 0 => self.reset_controller(),
            Place::Generic(generic::GHC) => {
                let turned_on = value & !self.control & ghc::INTERRUPTS != 0;
                self.control = ghc::AHCI | value & ghc::INTERRUPTS;
                self.signal(turned_on);
            }
            // Ones clear; what a port still asks for is there again at once, and is told again (§10.6.2.1).
            Place::Generic(generic::IS) => {
                self.interrupts &= !value;
                self.interrupts |= self.asking();
                self.signal(true);
            }
            Place::Generic(_) => {}
            Place::Port(number, offset) => {
                if let Some(port) = self.ports.get_mut(number) {
                    port.write(offset, value);
                    self.update();
                }
            }
        }
    }
    fn reset_controller(&mut self) {
        self.ports.iter_mut().for_each(Port::reset_controller);
        self.control = ghc::AHCI;
        self.interrupts = 0;
        self.update();
    }
}
