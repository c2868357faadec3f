//! The saved form of a device: named, versioned, and self-describing.
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a device wrote down of itself. The value's shape belongs to the device and its version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedState {
    version: u32,
    value: Value,
}

/// A saved state that its device cannot take.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// Written by another version of the device.
    #[error("saved state has version {found}, this device takes version {expected}")]
    Version {
        /// What the device takes.
        expected: u32,
        /// What was saved.
        found: u32,
    },
    /// Right version, wrong shape.
    #[error("saved state does not have the shape of its version")]
    Shape(#[source] serde_json::Error),
    /// Well formed, but not a state that the device can be in.
    #[error("saved state is impossible: {0}")]
    Impossible(&'static str),
    /// The state belongs to a device that this machine does not have, or one of its devices has none.
    #[error("no state for device {0}")]
    Missing(String),
}

impl SavedState {
    /// Saves `state` as version `version`.
    pub fn new<T: Serialize>(version: u32, state: &T) -> Self {
        let value = serde_json::to_value(state).unwrap_or_else(|error| {
            // A number of more than 64 bits, or a map with keys that are no strings: every `restore` refuses the null.
            tracing::error!("a device cannot be saved: {error}");
            Value::Null
        });
        Self { version, value }
    }
    /// A device without state.
    pub fn empty() -> Self {
        Self { version: 0, value: Value::Null }
    }
    /// The state again, if it was saved as version `version`.
    pub fn take<T: DeserializeOwned>(&self, version: u32) -> Result<T, SavedError> {
        if self.version != version {
            return Err(SavedError::Version { expected: version, found: self.version });
        }
        T::deserialize(&self.value).map_err(SavedError::Shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_version_and_shape_come_back() {
        let saved = SavedState::new(2, &(1_u8, 2_u16));
        assert_eq!(saved.take::<(u8, u16)>(2).unwrap(), (1, 2));
        assert!(matches!(saved.take::<(u8, u16)>(3), Err(SavedError::Version { expected: 3, found: 2 })));
        assert!(matches!(saved.take::<Vec<String>>(2), Err(SavedError::Shape(_))));
    }
}
