//! Names of the interfaces that this program makes on a host.
use std::fmt;

/// `IFNAMSIZ` without the zero at the end.
const BYTES_MAX: usize = 15;
/// In front of each.
const PREFIX: &str = "gasang-";

/// The name of an interface of ours: `gasang-` and letters, digits and dashes, 15 bytes at most.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct InterfaceName(String);

/// No name for an interface of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name for an interface: it has to be {PREFIX:?} and 1 to 8 letters, digits or dashes")]
pub struct NoName(String);

impl InterfaceName {
    /// For a network: what its name has in common with names of interfaces, cut to what fits.
    ///
    /// Two networks may come to the same name; making the second interface fails then.
    pub fn of_network(network: &str) -> Self {
        let fitting = network.chars().map(|c| if is_fitting(c) { c } else { '-' });
        let rest: String = fitting.take(BYTES_MAX - PREFIX.len()).collect();
        Self(format!("{PREFIX}{}", if rest.is_empty() { "0" } else { &rest }))
    }
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_fitting(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

impl std::str::FromStr for InterfaceName {
    type Err = NoName;
    fn from_str(text: &str) -> Result<Self, NoName> {
        let rest = text.strip_prefix(PREFIX).filter(|rest| !rest.is_empty() && text.len() <= BYTES_MAX);
        match rest {
            Some(rest) if rest.chars().all(is_fitting) => Ok(Self(text.to_owned())),
            _ => Err(NoName(text.to_owned())),
        }
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for InterfaceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_and_checked() {
        assert_eq!(InterfaceName::of_network("lab").as_str(), "gasang-lab");
        assert_eq!(InterfaceName::of_network("a/long name").as_str(), "gasang-a-long-n");
        assert_eq!(InterfaceName::of_network("").as_str(), "gasang-0");
        assert_eq!("gasang-lab".parse::<InterfaceName>().unwrap().as_str(), "gasang-lab");
        for wrong in ["eth0", "gasang-", "gasang-../x", "gasang-%d", "gasang-123456789", "gasang-é"] {
            assert!(wrong.parse::<InterfaceName>().is_err(), "{wrong}");
        }
    }
}
