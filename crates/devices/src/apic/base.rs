//! `IA32_APIC_BASE`: where the page is, and the four modes (SDM 3A §11.12.1.1, figure 11-27).
use super::device::LocalApic;
use super::spec::base;
use super::state::ApicState;

impl LocalApic {
    /// The offset in the xAPIC page of an access at `address`, if the page is visible and there.
    pub fn page_offset(&self, address: u64) -> Option<u64> {
        let visible = self.state.is_enabled() && !self.state.is_x2apic();
        let offset = address.wrapping_sub(self.state.base & base::ADDRESS);
        (visible && offset < 0x1000).then_some(offset)
    }
    /// Writes the MSR; `None` raises `#GP(0)`.
    ///
    /// | from | to disabled | to xAPIC | to x2APIC |
    /// |---|---|---|---|
    /// | disabled | yes | yes | no |
    /// | xAPIC | yes | yes | yes |
    /// | x2APIC | yes | no | yes |
    pub(super) fn set_base(&mut self, value: u64) -> Option<()> {
        let writable = base::ADDRESS | base::ENABLED | base::X2APIC;
        if value & !(writable | base::BOOTSTRAP) != 0 {
            return None;
        }
        let (is_on, is_x2) = (self.state.is_enabled(), self.state.is_x2apic());
        let (on, x2) = (value & base::ENABLED != 0, value & base::X2APIC != 0);
        let impossible = x2 && !(on && is_on);
        let backwards = is_x2 && on && !x2;
        if impossible || backwards {
            return None;
        }
        let new = value & writable | self.state.base & base::BOOTSTRAP;
        if is_on && !on {
            let bootstrap = new & base::BOOTSTRAP != 0;
            self.state = ApicState { base: new, ..ApicState::new(self.state.initial_id, bootstrap) };
            self.arm_timer();
        }
        self.state.base = new;
        if x2 && !is_x2 {
            self.enter_x2apic();
        }
        Some(())
    }
}
