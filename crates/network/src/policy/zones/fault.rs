//! What firewalld says when it does not do something: a name that is also an exit code, and details.
use std::fmt;

/// A refusal, or a remark about what was so already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which.
    pub code: FaultCode,
    /// About what; may be empty.
    pub detail: String,
}

impl Fault {
    /// A fault with details.
    pub fn new(code: FaultCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
    /// It was so already, so nothing is wrong.
    pub fn is_remark(&self) -> bool {
        use FaultCode::{AlreadyEnabled, AlreadySet, NotEnabled, ZoneAlreadySet};
        matches!(self.code, AlreadyEnabled | NotEnabled | ZoneAlreadySet | AlreadySet)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail.as_str() {
            "" => formatter.write_str(self.code.name()),
            detail => write!(formatter, "{}: {detail}", self.code.name()),
        }
    }
}

impl std::error::Error for Fault {}

/// One row a code: ours, firewalld's name and number.
macro_rules! codes {
    ($($variant:ident $name:literal $number:literal,)*) => {
        /// Firewalld's codes, as far as they occur here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum FaultCode {
            $(#[doc = $name] $variant,)*
        }
        impl FaultCode {
            /// As it is printed.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
            /// As exit code.
            pub fn number(self) -> u8 {
                match self { $(Self::$variant => $number,)* }
            }
        }
    };
}

codes! {
    AlreadyEnabled "ALREADY_ENABLED" 11,
    NotEnabled "NOT_ENABLED" 12,
    ZoneAlreadySet "ZONE_ALREADY_SET" 16,
    UnknownInterface "UNKNOWN_INTERFACE" 17,
    ZoneConflict "ZONE_CONFLICT" 18,
    BuiltinZone "BUILTIN_ZONE" 23,
    BuiltinService "BUILTIN_SERVICE" 24,
    NameConflict "NAME_CONFLICT" 26,
    UnknownSource "UNKNOWN_SOURCE" 30,
    RuntimeToPermanentFailed "RT_TO_PERM_FAILED" 31,
    AlreadySet "ALREADY_SET" 34,
    InvalidService "INVALID_SERVICE" 101,
    InvalidPort "INVALID_PORT" 102,
    InvalidProtocol "INVALID_PROTOCOL" 103,
    InvalidInterface "INVALID_INTERFACE" 104,
    InvalidAddress "INVALID_ADDR" 105,
    InvalidForward "INVALID_FORWARD" 106,
    InvalidIcmpType "INVALID_ICMPTYPE" 107,
    InvalidTarget "INVALID_TARGET" 110,
    InvalidZone "INVALID_ZONE" 112,
    InvalidName "INVALID_NAME" 116,
    InvalidRule "INVALID_RULE" 122,
    InvalidLimit "INVALID_LIMIT" 123,
    InvalidFamily "INVALID_FAMILY" 124,
    InvalidLogLevel "INVALID_LOG_LEVEL" 125,
    InvalidPriority "INVALID_PRIORITY" 139,
    MissingFamily "MISSING_FAMILY" 207,
    Unknown "UNKNOWN_ERROR" 254,
}
