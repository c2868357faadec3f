//! Starting a network's process, and coming onto the network.
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use api::{AttachCard, AttachTrunk, Failure, NetReply, NetRequest, NetworkInfo};
use ipnet::IpNet;
use network::host::helper::{self, HelperError};
use network::host::interface_name::InterfaceName;
use network::host::tap::TapConfig;
use network::host::trunk::{Trunk, TrunkKind};
use network::policy::groups::Groups;
use network::policy::zones::Firewall;
use network::services::Plan;
use platform::net::Mac;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};
use serde::{Deserialize, Serialize};

use super::definition::{Definition, DefinitionError, Mode};
use super::process::{Order, Outcome};
use crate::cache::CacheError;
use crate::running::{Client, Kind, Place, RunningError};

/// What a network's process is started with.
pub const VERB: &str = "network-process";
/// How long a network that is starting or ending is waited for.
const PATIENCE: Duration = Duration::from_secs(15);
/// What the kernel holds of one direction of a cable; less if it allows less.
const CABLE_BYTES: usize = 4 << 20;
/// Bytes of what a process says at its start.
const OUTCOME_BYTES_MAX: u64 = 64 << 10;

/// A card that is to come onto a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The machine.
    pub vm: String,
    /// What the machine calls it.
    pub nic: String,
    /// Its address.
    pub mac: Mac,
    /// The IP address that it shall have.
    pub address: Option<IpAddr>,
}

/// A network that does not start, or that nobody can come onto.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What it is makes no sense.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// It cannot be reached.
    #[error(transparent)]
    Running(#[from] RunningError),
    /// The host gives no process.
    #[error("cannot start the process of a network")]
    Process(#[source] io::Error),
    /// It said why.
    #[error("the network did not start: {0}")]
    Refused(String),
    /// It said nothing.
    #[error("the network did not start; {} may say why", .0.display())]
    Silent(PathBuf),
    /// It answered "no".
    #[error("{}", .0.message)]
    Failed(Failure),
    /// The host gives no sockets.
    #[error("cannot make a cable")]
    Cable(#[source] io::Error),
    /// An interface of the host cannot be had.
    #[error(transparent)]
    Trunk(#[from] HelperError),
    /// Files cannot be made.
    #[error(transparent)]
    File(#[from] CacheError),
    /// Groups or zones cannot be read.
    #[error("the security groups or the firewall cannot be read")]
    Policy(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What came of starting.
pub struct Joined {
    /// The card's end of its cable.
    pub cable: OwnedFd,
    /// Why the host is not on the network, if it should be.
    pub without_host: Option<HelperError>,
}

/// Brings a card onto a network, which is started if it does not run.
pub fn join(definition: &Definition, plan: &Plan, card: &Card) -> Result<Joined, StartError> {
    let mut client = running(definition, plan)?;
    let without_host = match join_host(definition, plan, &mut client) {
        Ok(()) => None,
        Err(StartError::Trunk(error)) if definition.mode == Mode::Hostonly => Some(error),
        Err(error) => return Err(error),
    };
    let Card { vm, nic, mac, address } = card.clone();
    let request = AttachCard { vm, nic, mac: mac.to_string(), address };
    let (own, other) = cable().map_err(StartError::Cable)?;
    pass(&mut client, NetRequest::Attach(request), other)?;
    Ok(Joined { cable: own, without_host })
}

/// A connection to a network, which is started if it does not run.
pub fn running(definition: &Definition, plan: &Plan) -> Result<Client, StartError> {
    let place = Place::of(Kind::Network);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Client::connect(&place, &definition.name) {
            Ok(client) => return Ok(client),
            Err(RunningError::NotRunning(..)) => {}
            Err(error) => return Err(error.into()),
        }
        match start(&place, definition, plan) {
            // Somebody else may have started it at the same time, or it is just ending.
            Err(StartError::Refused(_)) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(50));
            }
            other => other?,
        }
    }
}

/// What a network says of itself.
pub fn info(client: &mut Client) -> Result<NetworkInfo, StartError> {
    match client.ask(NetRequest::Info)? {
        NetReply::Info(info) => Ok(info),
        NetReply::Failed(failure) => Err(StartError::Failed(failure)),
        _ => Err(odd()),
    }
}

/// Asks for something that needs a descriptor, and passes it.
pub fn pass(client: &mut Client, request: NetRequest, descriptor: impl AsFd) -> Result<(), StartError> {
    match client.ask(request)? {
        NetReply::Ready => {}
        NetReply::Failed(failure) => return Err(StartError::Failed(failure)),
        _ => return Err(odd()),
    }
    match client.pass(descriptor.as_fd())? {
        NetReply::Done => Ok(()),
        NetReply::Failed(failure) => Err(StartError::Failed(failure)),
        _ => Err(odd()),
    }
}

fn odd() -> StartError {
    StartError::Refused("it gave an answer that does not fit the question".to_owned())
}

/// Both ends of a cable.
fn cable() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    for end in [&one, &other] {
        sockopt::set_socket_send_buffer_size(end, CABLE_BYTES)?;
    }
    Ok((one, other))
}

/// Brings the host onto a network that it should be on.
fn join_host(definition: &Definition, plan: &Plan, client: &mut Client) -> Result<(), StartError> {
    let is_there = |client: &mut Client| -> Result<bool, StartError> {
        Ok(info(client)?.ports.iter().any(|port| port.vm == "host" && port.nic == TRUNK))
    };
    let trunk = match &definition.mode {
        Mode::Hostonly if !is_there(client)? => helper::open_tap(&host_tap(&definition.name, plan))?,
        Mode::Bridged { interface } if !is_there(client)? => helper::open_bridged(interface)?,
        _ => return Ok(()),
    };
    attach_trunk(client, trunk_of(TRUNK.to_owned(), &trunk, host_mac(&definition.name)), &trunk)
}

/// Gives a network the interface of a room (see [`Room`](network::host::namespace::Room)), for as long as the connection
/// lives.
pub fn attach_room(client: &mut Client, name: String, trunk: &Trunk, mac: Mac) -> Result<(), StartError> {
    let request = AttachTrunk { while_connected: true, ..trunk_of(name, trunk, mac) };
    attach_trunk(client, request, trunk)
}

fn attach_trunk(client: &mut Client, request: AttachTrunk, trunk: &Trunk) -> Result<(), StartError> {
    pass(client, NetRequest::AttachTrunk(request), trunk.as_fd())
}

fn trunk_of(name: String, trunk: &Trunk, mac: Mac) -> AttachTrunk {
    let kind = match trunk.kind() {
        TrunkKind::Tap => "tap",
        TrunkKind::Packet => "packet",
    };
    AttachTrunk { name, kind: kind.to_owned(), mac: Some(mac.to_string()), while_connected: false }
}

/// What the host's own port of a network is called.
pub(super) const TRUNK: &str = "trunk";

/// The interface that the host has on a network.
pub fn host_tap(name: &str, plan: &Plan) -> TapConfig {
    let v4 = plan.v4.as_ref().and_then(|v4| Some((v4.host?, v4.prefix.prefix_len())));
    let v6 = plan.v6.as_ref().and_then(|v6| Some((v6.host?, v6.prefix.prefix_len())));
    let v4 = v4.and_then(|(address, length)| IpNet::new(address.into(), length).ok());
    let v6 = v6.and_then(|(address, length)| IpNet::new(address.into(), length).ok());
    TapConfig {
        name: InterfaceName::of_network(name),
        addresses: v4.into_iter().chain(v6).collect(),
        mtu: Some(plan.mtu),
        mac: Some(host_mac(name)),
    }
}

/// The address of the card that the host has on a network.
pub fn host_mac(name: &str) -> Mac {
    let sum = crate::cache::checksum(name.as_bytes()).to_be_bytes();
    Mac([0x52, 0x56, sum[0], sum[1], sum[2], sum[3]])
}

fn start(place: &Place, definition: &Definition, plan: &Plan) -> Result<(), StartError> {
    let policy = |error: &dyn std::error::Error| StartError::Policy(error.to_string().into());
    let (groups, firewall) = match super::config_directory() {
        Some(directory) => {
            let groups = Groups::load(&directory.join("security-groups.json"));
            let groups = groups.map_err(|error| policy(&error))?;
            (groups, firewall_of(definition).map_err(|error| policy(&*error))?)
        }
        None => (Groups::default(), Firewall::default()),
    };
    let state = match definition.mode {
        Mode::Nat => None,
        _ => super::state_directory().map(|directory| directory.join("networks").join(&definition.name)),
    };
    let order = Order {
        name: definition.name.clone(),
        mode: definition.mode.clone(),
        plan: plan.clone(),
        allow_host: definition.allow_host,
        state,
        groups,
        firewall,
    };
    std::fs::create_dir_all(place.directory()).map_err(CacheError::io("create", place.directory()))?;
    let log = place.directory().join(format!("{}.log", definition.name));
    let errors = File::create(&log).map_err(CacheError::io("write", &log))?;
    let mut child = Command::new("/proc/self/exe")
        .arg(VERB)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors)
        // What is typed to stop a machine is not for its network.
        .process_group(0)
        .spawn()
        .map_err(StartError::Process)?;
    let text = serde_json::to_vec(&order).map_err(|error| StartError::Process(error.into()))?;
    let given = child.stdin.take().map(|mut stdin| stdin.write_all(&text));
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        // A process that ends without a word is noticed below.
        let _ = BufReader::new(stdout.take(OUTCOME_BYTES_MAX)).read_line(&mut line);
    }
    // It lives on; nobody here waits for it. A thread that did would get this process's signals before they are blocked.
    drop(child);
    match serde_json::from_str(&line) {
        Ok(Outcome::Ready) => {
            // Nobody needs what it has not said.
            let _ = given;
            Ok(())
        }
        Ok(Outcome::Failed { message }) => Err(StartError::Refused(message)),
        Err(_) => Err(StartError::Silent(log)),
    }
}

/// The state of the firewall at a network's start.
fn firewall_of(definition: &Definition) -> Result<Firewall, Box<dyn std::error::Error>> {
    let directory = Definition::directory(&definition.name)?.join("firewall");
    if !directory.exists() {
        return Ok(Firewall::default());
    }
    Ok(network::policy::zones::Permanent::load(&directory)?.to_firewall())
}
