//! The files of rows.

/// Name and text of each file, by family.
pub const FILES: &[(&str, &str)] = &[
    ("alu", include_str!("../../alu.ins")),
    ("shift", include_str!("../../shift.ins")),
    ("muldiv", include_str!("../../muldiv.ins")),
    ("bits", include_str!("../../bits.ins")),
    ("move", include_str!("../../move.ins")),
    ("stack", include_str!("../../stack.ins")),
    ("flow", include_str!("../../flow.ins")),
    ("code", include_str!("../../code.ins")),
    ("string", include_str!("../../string.ins")),
    ("atomic", include_str!("../../atomic.ins")),
    ("segment", include_str!("../../segment.ins")),
    ("x87", include_str!("../../x87.ins")),
    ("mmx", include_str!("../../mmx.ins")),
    ("sse", include_str!("../../sse.ins")),
    ("avx", include_str!("../../avx.ins")),
    ("crypto", include_str!("../../crypto.ins")),
    ("mxcsr", include_str!("../../mxcsr.ins")),
    ("faults", include_str!("../../faults.ins")),
    ("leaks", include_str!("../../leaks.ins")),
];
