//! What is said to a running network, and what it answers.
//!
//! Values of JSON are what `gasang-network` makes of its own types: `groups` is its `Groups`, `firewall` its `Firewall`,
//! and so on.
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Failure;

/// What a network is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetRequest {
    /// Other security groups.
    SetGroups {
        /// All of them, and who is in which.
        groups: Value,
        /// Flows that are known are judged again.
        cut: bool,
    },
    /// The firewall as it is in force.
    Firewall,
    /// Another state of the firewall.
    SetFirewall {
        /// All of it.
        firewall: Value,
        /// Flows that are known are judged again.
        cut: bool,
    },
    /// Counters of the policy.
    PolicyStats,
    /// Which rule decides about a flow.
    Trace(TraceFlow),
}

/// A flow that somebody asks about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceFlow {
    /// To or from which machine.
    pub vm: String,
    /// "ingress" or "egress".
    pub direction: String,
    /// The protocol's number.
    pub protocol: u8,
    /// The receiver's port; of ICMP, type and code, 8 bits each; else zero.
    pub number: u16,
    /// The other end.
    pub peer: IpAddr,
}

/// What a network answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetReply {
    /// The firewall as it is in force.
    Firewall(Value),
    /// Counters of the policy.
    PolicyStats(Value),
    /// What would become of a flow; none if the machine is not on this network.
    Traced(Option<Value>),
    /// It was done.
    Done,
    /// It was not done.
    Failed(Failure),
}
