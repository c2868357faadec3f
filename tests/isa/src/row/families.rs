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
];
