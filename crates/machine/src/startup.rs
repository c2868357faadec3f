//! What INIT and the start-up message make of a CPU (SDM 3A §9.1, table 9-1, and §9.4.4).
use x86::segment::CS;
use x86::{CpuState, Segment, msr};

/// After INIT: as after power-up, but for x87, SSE and AVX registers, XCR0 and most model-specific registers. The
/// time-stamp counter is set to where the other CPUs have theirs.
pub fn after_init(before: &CpuState) -> CpuState {
    let mut msrs = before.msrs.clone();
    msrs.retain(|(number, _)| !matches!(*number, msr::TSC | msr::TSC_ADJUST));
    CpuState { msrs, xcr0: before.xcr0, xsave: before.xsave.clone(), ..CpuState::default() }
}

/// The state in which a CPU that waited after INIT begins at a page: real mode, at offset 0 of the page's segment.
pub fn after_startup(waiting: &CpuState, page: u8) -> CpuState {
    let mut state = waiting.clone();
    let selector = u16::from(page) << 8;
    let segment = &mut state.segments[CS];
    *segment =
        Segment { selector, base: u64::from(selector) << 4, limit: 0xffff, attributes: segment.attributes };
    state.rip = 0;
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn init_keeps_what_it_shall_and_the_counters_in_step() {
        let mut before = CpuState { rip: 0x1234, cr3: 0x5000, xcr0: 7, ..CpuState::default() };
        before.msrs = vec![(msr::TSC, 5), (msr::TSC_ADJUST, 6), (msr::PAT, 7)];
        before.xsave[160] = 0x5a;
        let after = after_init(&before);
        assert_eq!((after.rip, after.cr3, after.xcr0), (0xfff0, 0, 7));
        assert_eq!(after.msrs, [(msr::PAT, 7)]);
        assert_eq!(after.xsave[160], 0x5a);
    }

    #[test]
    fn the_startup_page_becomes_the_code_segment() {
        let state = after_startup(&CpuState::default(), 0x9a);
        let code = state.segments[CS];
        assert_eq!((state.rip, code.selector, code.base, code.limit), (0, 0x9a00, 0x9a000, 0xffff));
    }
}
