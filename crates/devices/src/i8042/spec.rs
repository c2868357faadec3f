//! Commands and bits of controller and keyboard.

/// Status register.
pub mod status {
    /// A byte waits for the CPU.
    pub const OUTPUT_FULL: u8 = 1 << 0;
    /// The self test has passed.
    pub const SYSTEM: u8 = 1 << 2;
    /// The last write was a command.
    pub const COMMAND: u8 = 1 << 3;
    /// The keyboard is not locked.
    pub const UNLOCKED: u8 = 1 << 4;
    /// The waiting byte is the auxiliary device's.
    pub const AUXILIARY: u8 = 1 << 5;
}

/// Configuration byte.
pub mod config {
    /// Keyboard bytes interrupt.
    pub const KEYBOARD_INTERRUPT: u8 = 1 << 0;
    /// The self test has passed; what status shows.
    pub const SYSTEM: u8 = 1 << 2;
    /// The keyboard's clock is held: it cannot send.
    pub const KEYBOARD_DISABLED: u8 = 1 << 4;
    /// The auxiliary device's clock is held.
    pub const AUXILIARY_DISABLED: u8 = 1 << 5;
    /// Scan codes of set 2 become set 1.
    pub const TRANSLATE: u8 = 1 << 6;
}

/// Controller commands.
pub mod command {
    /// Read configuration; to 0x3f the controller's RAM.
    pub const READ_RAM: u8 = 0x20;
    /// Write configuration; to 0x7f the controller's RAM.
    pub const WRITE_RAM: u8 = 0x60;
    /// Disable the auxiliary port.
    pub const DISABLE_AUXILIARY: u8 = 0xa7;
    /// Enable the auxiliary port.
    pub const ENABLE_AUXILIARY: u8 = 0xa8;
    /// Test the auxiliary port.
    pub const TEST_AUXILIARY: u8 = 0xa9;
    /// Self test.
    pub const SELF_TEST: u8 = 0xaa;
    /// Test the keyboard port.
    pub const TEST_KEYBOARD: u8 = 0xab;
    /// Disable the keyboard.
    pub const DISABLE_KEYBOARD: u8 = 0xad;
    /// Enable the keyboard.
    pub const ENABLE_KEYBOARD: u8 = 0xae;
    /// Read the input port.
    pub const READ_INPUT_PORT: u8 = 0xc0;
    /// Read the output port.
    pub const READ_OUTPUT_PORT: u8 = 0xd0;
    /// Write the output port.
    pub const WRITE_OUTPUT_PORT: u8 = 0xd1;
    /// The next byte comes back as the keyboard's.
    pub const ECHO_KEYBOARD: u8 = 0xd2;
    /// The next byte comes back as the auxiliary device's.
    pub const ECHO_AUXILIARY: u8 = 0xd3;
    /// The next byte goes to the auxiliary device.
    pub const WRITE_AUXILIARY: u8 = 0xd4;
    /// From here on: pulse the output lines whose bits are 0; bit 0 is reset.
    pub const PULSE: u8 = 0xf0;
}

/// Answer to the controller's self test.
pub const SELF_TEST_PASSED: u8 = 0x55;
/// Answer to a port's test.
pub const PORT_TEST_PASSED: u8 = 0x00;
/// Answer to the auxiliary port's test when there is none.
pub const PORT_TEST_CLOCK_STUCK: u8 = 0x01;
/// Output port: the CPU is not in reset.
pub const OUTPUT_NOT_RESET: u8 = 1 << 0;
/// Output port: address line 20 is open.
pub const OUTPUT_A20: u8 = 1 << 1;
/// Input port: nothing is jumpered or locked.
pub const INPUT_PORT: u8 = 0x80;

/// What the keyboard says.
pub mod answer {
    /// Understood.
    pub const ACK: u8 = 0xfa;
    /// Not understood.
    pub const RESEND: u8 = 0xfe;
    /// Its self test passed.
    pub const TEST_PASSED: u8 = 0xaa;
    /// An echo.
    pub const ECHO: u8 = 0xee;
    /// The identity of an MF2 keyboard, and as translation shows it.
    pub const IDENTITY: [u8; 2] = [0xab, 0x83];
    /// The second byte of the identity with translation on.
    pub const IDENTITY_TRANSLATED: u8 = 0x41;
}
