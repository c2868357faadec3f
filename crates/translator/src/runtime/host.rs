//! What the host must be able to do for translated code to run.
#![expect(unsafe_code, reason = "reads the auxiliary vector")]

/// In AT_HWCAP2: the kernel lets user mode use RDFSBASE and friends (Linux 5.9 and later).
const HWCAP2_FSGSBASE: u64 = 1 << 1;

/// What is missing on this host, by name; `None` if nothing is.
pub fn missing() -> Option<&'static str> {
    // SAFETY: a plain look-up in this process's auxiliary vector.
    let user_bases = unsafe { libc::getauxval(libc::AT_HWCAP2) } & HWCAP2_FSGSBASE != 0;
    let needs = [
        (
            "BMI2 (RORX, SHRX; Intel since Haswell, AMD since Excavator)",
            std::arch::is_x86_feature_detected!("bmi2"),
        ),
        ("XSAVE", std::arch::is_x86_feature_detected!("xsave")),
        ("FSGSBASE in user mode (Linux 5.9 or later on a CPU that has it)", user_bases),
    ];
    needs.into_iter().find(|(_, there)| !there).map(|(name, _)| name)
}
