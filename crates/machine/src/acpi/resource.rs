//! Resource descriptors that `acpi_tables` does not have.
use acpi_tables::{Aml, AmlSink};

/// `IRQNoFlags`: one ISA interrupt, edge, active high (ACPI 6.5 §6.4.2.1).
pub struct IrqNoFlags(pub u8);

impl Aml for IrqNoFlags {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        const SMALL_IRQ_2_BYTES: u8 = 0x22;
        sink.byte(SMALL_IRQ_2_BYTES);
        sink.word(1 << self.0);
    }
}
