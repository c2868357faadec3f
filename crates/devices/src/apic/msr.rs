//! The APIC's MSRs (SDM 3A §11.12.1.2).
use x86::msr;

use super::device::{Effect, LocalApic};
use super::spec::{self, icr};

impl LocalApic {
    /// Reads one of the APIC's MSRs; `None` raises `#GP(0)`.
    pub fn read_msr(&self, number: u32) -> Option<u64> {
        match number {
            msr::APIC_BASE => Some(self.state.base),
            msr::TSC_DEADLINE => Some(self.tsc_deadline()),
            msr::X2APIC_FIRST..=msr::X2APIC_LAST if self.state.is_x2apic() => {
                self.read_x2apic(number - msr::X2APIC_FIRST)
            }
            _ => None,
        }
    }
    /// Writes one of the APIC's MSRs; `None` raises `#GP(0)`.
    pub fn write_msr(&mut self, number: u32, value: u64) -> Option<Effect> {
        match number {
            msr::APIC_BASE => self.set_base(value).map(|()| Effect::None),
            msr::TSC_DEADLINE => {
                self.set_tsc_deadline(value);
                Some(Effect::None)
            }
            msr::X2APIC_FIRST..=msr::X2APIC_LAST if self.state.is_x2apic() => {
                self.write_x2apic(number - msr::X2APIC_FIRST, value)
            }
            _ => None,
        }
    }

    fn read_x2apic(&self, register: u32) -> Option<u64> {
        match register {
            spec::ICR_LOW => Some(u64::from(self.state.icr_high) << 32 | u64::from(self.state.icr_low)),
            spec::EOI | spec::DFR | spec::ICR_HIGH | spec::SELF_IPI | spec::APR | spec::REMOTE_READ => None,
            _ => self.read_register(register).map(u64::from),
        }
    }
    fn write_x2apic(&mut self, register: u32, value: u64) -> Option<Effect> {
        if register == spec::ICR_LOW {
            let low = value as u32;
            if low & !icr::WRITABLE != 0 {
                return None;
            }
            self.state.icr_high = (value >> 32) as u32;
            return Some(self.send(low, self.state.icr_high));
        }
        let value = u32::try_from(value).ok()?;
        match register {
            spec::EOI | spec::ESR if value != 0 => None,
            spec::TPR if value > 0xff => None,
            spec::SVR if value & !spec::SVR_WRITABLE != 0 => None,
            spec::SELF_IPI if value > 0xff => None,
            // Shorthand "self", fixed.
            spec::SELF_IPI => {
                let (low, high) = (self.state.icr_low, self.state.icr_high);
                let effect = self.send(value | 1 << icr::SHORTHAND_SHIFT, 0);
                (self.state.icr_low, self.state.icr_high) = (low, high);
                Some(effect)
            }
            spec::TPR
            | spec::EOI
            | spec::SVR
            | spec::ESR
            | spec::LVT_TIMER..=spec::LVT_ERROR
            | spec::INITIAL_COUNT
            | spec::DIVIDE => self.write_register(register, value),
            _ => None,
        }
    }
}
