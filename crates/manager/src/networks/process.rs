//! The process of a network: it is told what to be on its standard input, says on its standard output whether it is, and
//! works until nobody is on the network any more.
mod answers;

use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use network::engine::{Network, Setup};
use network::host::jail::{self, JailPaths};
use network::nat::outside::Outside;
use network::policy::Filter;
use network::policy::groups::Groups;
use network::policy::zones::Firewall;
use network::services::{Gateway, Leases, Mode as PlanMode, Now, Plan, Reservation};
use platform::net::Mac;
use serde::{Deserialize, Serialize};

use super::definition::Mode;
use super::start::TRUNK;
use crate::cache;
use crate::running::{Bound, Kind, Listener, Place};

/// What a network's process is to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// What it is called.
    pub name: String,
    /// What it is for.
    pub mode: Mode,
    /// Its addresses.
    pub plan: Plan,
    /// Guests reach the host.
    pub allow_host: bool,
    /// Where leases are kept, if they are.
    pub state: Option<PathBuf>,
    /// Security groups.
    pub groups: Groups,
    /// The firewall.
    pub firewall: Firewall,
}

/// What it says once it is there, or why it is not.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It works.
    Ready,
    /// It does not.
    Failed {
        /// For people.
        message: String,
    },
}

/// How long a network waits for somebody to come, or to come back if others may be on it.
const LINGER: Duration = Duration::from_secs(5);
/// Bytes of an order at most.
const ORDER_BYTES_MAX: u64 = 16 << 20;

/// A network's process from its beginning to its end.
pub fn main() -> anyhow::Result<()> {
    let mut text = String::new();
    io::stdin().lock().take(ORDER_BYTES_MAX).read_to_string(&mut text)?;
    let begun = serde_json::from_str::<Order>(&text).map_err(anyhow::Error::from).and_then(begin);
    let outcome = match &begun {
        Ok(_) => Outcome::Ready,
        Err(error) => Outcome::Failed { message: format!("{error:#}") },
    };
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, &outcome)?;
    stdout.write_all(b"\n")?;
    stdout.flush()?;
    drop(stdout);
    // Whoever has started it waits for the end of what it says.
    let null = fs::File::options().write(true).open("/dev/null");
    if let Ok(null) = null {
        rustix::stdio::dup2_stdout(null)?;
    }
    let (mut network, _listener, linger) = begun?;
    work(&mut network, linger)?;
    Ok(())
}

fn begin(order: Order) -> anyhow::Result<(Network, Listener, Duration)> {
    raise_file_limit();
    let leases_path = order.state.as_ref().map(|directory| directory.join("leases.json"));
    if let Some(directory) = &order.state {
        fs::create_dir_all(directory)?;
    }
    let leases = leases_path.as_ref().map(load_leases).unwrap_or_default();
    let outside = match order.plan.mode {
        PlanMode::Nat | PlanMode::Natnet => Some(Outside::new(order.allow_host)?),
        PlanMode::Hostonly | PlanMode::Internal => None,
    };
    let leads_outside6 = outside.as_ref().is_some_and(Outside::has_ipv6);
    let no_reservations: [Reservation; 0] = [];
    let has_addresses = order.plan.v4.as_ref().is_some_and(|v4| v4.dhcp.is_some());
    let is_nat = order.plan.mode == PlanMode::Nat;
    let mut gateway =
        Gateway::new(order.plan.clone(), gateway_mac(&order.name), leases, &no_reservations, Now::read())?;
    gateway.set_default_route6(leads_outside6, &mut Default::default());
    let save: Box<dyn FnMut(&Leases)> = match leases_path {
        Some(path) => Box::new(move |leases| {
            let written = serde_json::to_vec_pretty(leases).map_err(io::Error::from);
            if let Err(error) = written.map(|text| cache::replace(&path, &text)) {
                tracing::warn!(%error, "leases are not kept");
            }
        }),
        None => Box::new(|_| {}),
    };
    let filter = Filter::new(order.groups, order.firewall, Instant::now());
    // The only guest of a NAT can harm nobody by another address.
    let strict = has_addresses && !is_nat;
    let (network, handle) = Network::new(Setup { gateway, filter, outside, strict, save })?;
    let bound = Bound::new(&Place::of(Kind::Network), &order.name)?;
    let jail = enter_jail(order.state.as_ref())?;
    tracing::info!(?jail, "the jail is closed");
    let answers = answers::Answers::new(order.name, order.mode, handle);
    let listener = bound.listen(Arc::new(move |request, talk| answers.answer(request, talk)))?;
    // Ports of the host that lead to the only guest there is are free again as soon as it is gone.
    let linger = if is_nat { Duration::ZERO } else { LINGER };
    Ok((network, listener, linger))
}

/// Works as long as somebody is there, and for so long after the last one has left.
fn work(network: &mut Network, linger: Duration) -> io::Result<()> {
    let mut alone_since = Some(Instant::now());
    let mut patience = LINGER;
    let mut news = Vec::new();
    while !network.is_stopped() {
        network.turn(alone_since.map(|_| LINGER / 5), &mut news)?;
        // The host's own port is no reason to stay; a command that is on the network is.
        let somebody = network.members().any(|(_, member, _)| member.nic != TRUNK);
        alone_since = match (somebody, alone_since) {
            (true, _) => {
                patience = linger;
                None
            }
            (false, None) => Some(Instant::now()),
            (false, since) => since,
        };
        if alone_since.is_some_and(|since| since.elapsed() >= patience) {
            return Ok(());
        }
    }
    Ok(())
}

/// Leases of earlier; none if nobody can read them.
fn load_leases(path: &PathBuf) -> Leases {
    let read = fs::read(path).ok().map(|text| serde_json::from_slice(&text));
    match read {
        Some(Ok(leases)) => leases,
        Some(Err(error)) => {
            tracing::warn!(%error, path = %path.display(), "the leases make no sense");
            Leases::default()
        }
        None => Leases::default(),
    }
}

/// The gateway's card: stable, and not one that guests have by default.
fn gateway_mac(name: &str) -> Mac {
    let sum = cache::checksum(name.as_bytes()).to_be_bytes();
    Mac([0x52, 0x55, sum[0], sum[1], sum[2], sum[3]])
}

/// Each connection is a file.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays");
    }
}

/// What the process may do from now on: the network, and keeping leases.
fn enter_jail(state: Option<&PathBuf>) -> Result<jail::Report, jail::JailError> {
    match state {
        Some(directory) => jail::enter(&JailPaths::with_state(directory)),
        None => jail::enter(&JailPaths { writable: Vec::new(), ..JailPaths::with_state("/") }),
    }
}
