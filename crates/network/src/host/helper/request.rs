//! What a net helper is asked for: its arguments.
use ipnet::IpNet;

use crate::host::interface_name::NoName;
use crate::host::tap::TapConfig;

/// Addresses of one interface at most.
const ADDRESSES_MAX: usize = 8;
/// `IFNAMSIZ` without the zero at the end.
const INTERFACE_BYTES_MAX: usize = 15;

/// What to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `tap NAME [mtu=BYTES] [mac=ADDRESS] ADDRESS/PREFIX…`
    Tap(TapConfig),
    /// `bridged INTERFACE`
    Bridged(String),
}

/// Arguments that make no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// Neither of the two forms.
    #[error(
        "usage: net-helper tap NAME [mtu=BYTES] [mac=ADDRESS] ADDRESS/PREFIX...  or  net-helper bridged INTERFACE"
    )]
    Usage,
    /// A name that no interface of ours has.
    #[error(transparent)]
    Name(#[from] NoName),
    /// A name that no interface has.
    #[error("{0:?} is no name of an interface")]
    Interface(String),
    /// Not what it should be.
    #[error(
        "{0:?} is neither an address with a prefix, such as 192.168.56.1/24, nor mtu=BYTES nor mac=ADDRESS"
    )]
    Word(String),
    /// More than anybody needs.
    #[error("an interface has {ADDRESSES_MAX} addresses at most")]
    Addresses,
}

impl Request {
    /// As arguments of a net helper.
    pub fn to_arguments(&self) -> Vec<String> {
        match self {
            Self::Bridged(interface) => vec!["bridged".to_owned(), interface.clone()],
            Self::Tap(config) => {
                let mut arguments = vec!["tap".to_owned(), config.name.to_string()];
                arguments.extend(config.mtu.map(|mtu| format!("mtu={mtu}")));
                arguments.extend(config.mac.map(|mac| format!("mac={mac}")));
                arguments.extend(config.addresses.iter().map(IpNet::to_string));
                arguments
            }
        }
    }
    /// Of a net helper's arguments.
    pub fn of_arguments(arguments: &[String]) -> Result<Self, BadRequest> {
        match arguments {
            [verb, name, rest @ ..] if verb == "tap" => tap(name, rest).map(Self::Tap),
            [verb, interface] if verb == "bridged" => {
                let is_name = !interface.is_empty()
                    && interface.len() <= INTERFACE_BYTES_MAX
                    && interface.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
                is_name
                    .then(|| Self::Bridged(interface.clone()))
                    .ok_or_else(|| BadRequest::Interface(interface.clone()))
            }
            _ => Err(BadRequest::Usage),
        }
    }
}

fn tap(name: &str, words: &[String]) -> Result<TapConfig, BadRequest> {
    let mut config = TapConfig { name: name.parse()?, addresses: Vec::new(), mtu: None, mac: None };
    for word in words {
        let wrong = || BadRequest::Word(word.clone());
        match word.split_once('=') {
            Some(("mtu", bytes)) if config.mtu.is_none() => {
                config.mtu = Some(bytes.parse().map_err(|_| wrong())?)
            }
            Some(("mac", address)) if config.mac.is_none() => {
                config.mac = Some(address.parse().map_err(|_| wrong())?);
            }
            Some(_) => return Err(wrong()),
            None => config.addresses.push(word.parse().map_err(|_| wrong())?),
        }
    }
    if config.addresses.len() > ADDRESSES_MAX { Err(BadRequest::Addresses) } else { Ok(config) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn requests_come_back() {
        for text in [
            "tap gasang-lab mtu=9000 mac=52:54:00:12:34:56 192.168.56.1/24 fd00:56::1/64",
            "tap gasang-lab",
            "bridged enp3s0",
        ] {
            let request = Request::of_arguments(&words(text)).unwrap();
            assert_eq!(request.to_arguments(), words(text));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "tap",
            "tap eth0 192.168.56.1/24",
            "tap gasang-lab 192.168.56.1",
            "tap gasang-lab mtu=-1",
            "tap gasang-lab mtu=1500 mtu=1500",
            "tap gasang-lab up=1",
            "bridged",
            "bridged eth0 eth1",
            "bridged ../../etc/passwd",
            "bridged averyveryverylongname",
            "bridge eth0",
        ] {
            assert!(Request::of_arguments(&words(text)).is_err(), "{text}");
        }
        let many = format!("tap gasang-lab {}", "10.0.0.1/24 ".repeat(9));
        assert_eq!(Request::of_arguments(&words(&many)), Err(BadRequest::Addresses));
    }
}
