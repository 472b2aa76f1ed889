//! Endpoints: the addresses that sockets bind and connect, parsed once and strictly.
//!
//! ```text
//! endpoint = "tcp://" [ source ";" ] host ":" port      source = host ":" port
//!          | "ipc://" ( "*" | "@" name | path )
//!          | "inproc://" name
//! host     = "*" | IPv4 | "[" IPv6 [ "%" zone ] "]" | name
//! port     = "*" | 0..=65535                            0 means the same as "*": any free port
//! ```
//!
//! libzmq reads ports leniently: `70000` becomes 4464, and junk after the digits is dropped. Both end in a
//! socket on a port nobody asked for, so here both are errors.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use super::error::EndpointError;

/// `sun_path` of the platform holds this many bytes, one of them for the terminating NUL of a path or the
/// leading NUL of an abstract name.
#[cfg(any(target_os = "linux", target_os = "android"))]
const IPC_PATH_CAPACITY: usize = 108;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const IPC_PATH_CAPACITY: usize = 104;

/// DNS allows no longer host name.
const HOST_NAME_LIMIT: usize = 255;

/// An address to bind or connect: `tcp://127.0.0.1:5555`, `ipc:///run/app.sock`, `inproc://workers`.
///
/// Get one by parsing, or from `bind`; calls take endpoints and text alike. Two endpoints are equal when they mean the same address, even if they were spelled
/// differently (`tcp://[::1]:5555` and `tcp://[0:0::1]:5555`); an IPv4 address that is mapped into IPv6
/// (`tcp://[::ffff:127.0.0.1]:5555`) is that IPv4 address. Names are compared as written and never
/// looked up. [`Display`](fmt::Display) gives the canonical spelling, which parses back to an equal endpoint.
///
/// Whether an endpoint suits `bind` or `connect` is decided there: `tcp://*:5555` can only be bound.
///
/// | form | meaning |
/// |---|---|
/// | `tcp://host:port` | an address or a name; IPv6 addresses in brackets, `%zone` allowed |
/// | `tcp://*:port`, `tcp://eth0:port` | bind: all interfaces, or the address of one |
/// | `tcp://host:*`, `tcp://host:0` | bind: any free port |
/// | `tcp://source:0;host:port` | connect: from this local address |
/// | `ipc://path` | a Unix domain socket |
/// | `ipc://@name` | an abstract Unix domain socket (Linux) |
/// | `ipc://*` | bind: a fresh path in the directory for temporary files |
/// | `inproc://name` | within this context |
///
/// ```
/// # fn main() -> Result<(), zerohop::EndpointError> {
/// let endpoint: zerohop::Endpoint = "tcp://localhost:5555".parse()?;
/// assert_eq!(endpoint.port(), Some(5555));
/// assert_eq!(endpoint.to_string(), "tcp://localhost:5555");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    address: Address,
}

/// What an endpoint says, by scheme.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    Tcp(TcpAddress),
    Ipc(IpcAddress),
    Inproc(String),
}

/// The parts of a `tcp` endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TcpAddress {
    /// The local address to connect from, with port 0 for any.
    pub(crate) source: Option<(Host, u16)>,
    pub(crate) host: Host,
    /// 0 stands for any free port.
    pub(crate) port: u16,
}

/// A host as it was written: nothing is looked up when parsing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    /// `*`: every interface.
    Any,
    V4(Ipv4Addr),
    V6 {
        address: Ipv6Addr,
        zone: Option<String>,
    },
    /// A host name or, for bind and for a source, the name of a network interface.
    Name(String),
}

/// The forms of an `ipc` endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum IpcAddress {
    /// `*`: a fresh path, chosen when binding.
    Any,
    Path(PathBuf),
    /// A name without a file, in the abstract namespace of Linux.
    Abstract(String),
}

impl Endpoint {
    /// The port of a `tcp` endpoint; of one that `bind` returned, the port that was chosen. `None` for a wildcard, and for
    /// other transports.
    pub fn port(&self) -> Option<u16> {
        match &self.address {
            Address::Tcp(tcp) => Some(tcp.port).filter(|port| *port != 0),
            Address::Ipc(_) | Address::Inproc(_) => None,
        }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Whether what is said there stays on this machine, as far as the address tells.
    pub(crate) fn is_local(&self) -> bool {
        match self.address() {
            Address::Ipc(_) | Address::Inproc(_) => true,
            Address::Tcp(tcp) => match &tcp.host {
                Host::V4(address) => address.is_loopback(),
                Host::V6 { address, .. } => address.to_canonical().is_loopback(),
                Host::Name(name) => name == "localhost",
                Host::Any => false,
            },
        }
    }

    /// Whether this can be bound on this platform; says why if not.
    pub(crate) fn check_bind(&self) -> Result<(), EndpointError> {
        match &self.address {
            Address::Tcp(tcp) if tcp.source.is_some() => Err(EndpointError::SourceInBind {
                endpoint: self.to_string(),
            }),
            Address::Tcp(_) | Address::Inproc(_) => Ok(()),
            Address::Ipc(ipc) => self.check_ipc(ipc),
        }
    }

    /// Whether it is of TCP, which is all that bytes without ZMTP travel by.
    pub(crate) fn check_tcp(&self) -> Result<(), EndpointError> {
        match &self.address {
            Address::Tcp(_) => Ok(()),
            Address::Ipc(_) | Address::Inproc(_) => Err(EndpointError::TcpOnly {
                endpoint: self.to_string(),
            }),
        }
    }

    /// Whether this can be connected to on this platform; says why if not.
    pub(crate) fn check_connect(&self) -> Result<(), EndpointError> {
        let wildcard = match &self.address {
            Address::Tcp(tcp) => tcp.host == Host::Any || tcp.port == 0,
            Address::Ipc(ipc) => *ipc == IpcAddress::Any,
            Address::Inproc(_) => false,
        };
        if wildcard {
            return Err(EndpointError::WildcardInConnect {
                endpoint: self.to_string(),
            });
        }
        match &self.address {
            Address::Ipc(ipc) => self.check_ipc(ipc),
            Address::Tcp(_) | Address::Inproc(_) => Ok(()),
        }
    }

    fn check_ipc(&self, ipc: &IpcAddress) -> Result<(), EndpointError> {
        let length = match ipc {
            IpcAddress::Any => 0,
            IpcAddress::Path(path) => path.as_os_str().len(),
            IpcAddress::Abstract(_) if !cfg!(any(target_os = "linux", target_os = "android")) => {
                return Err(EndpointError::AbstractUnsupported {
                    endpoint: self.to_string(),
                });
            }
            IpcAddress::Abstract(name) => name.len(),
        };
        let limit = IPC_PATH_CAPACITY - 1;
        if length > limit {
            return Err(EndpointError::PathTooLong {
                endpoint: self.to_string(),
                length,
                limit,
            });
        }
        Ok(())
    }
}

impl From<Address> for Endpoint {
    fn from(address: Address) -> Endpoint {
        Endpoint { address }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Endpoint, EndpointError> {
        let endpoint = || text.to_owned();
        let (scheme, rest) = text
            .split_once("://")
            .filter(|(scheme, _)| !scheme.is_empty())
            .ok_or_else(|| EndpointError::MissingScheme {
                endpoint: endpoint(),
            })?;
        let parse: fn(&str, &str) -> Result<Address, EndpointError> = match scheme {
            "tcp" => parse_tcp,
            "ipc" => parse_ipc,
            "inproc" => |_, name| Ok(Address::Inproc(name.to_owned())),
            _ => {
                return Err(EndpointError::UnknownScheme {
                    endpoint: endpoint(),
                    scheme: scheme.to_owned(),
                });
            }
        };
        if rest.is_empty() {
            return Err(EndpointError::EmptyAddress {
                endpoint: endpoint(),
            });
        }
        parse(text, rest).map(Endpoint::from)
    }
}

impl TryFrom<&str> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: &str) -> Result<Endpoint, EndpointError> {
        text.parse()
    }
}

impl TryFrom<&String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: &String) -> Result<Endpoint, EndpointError> {
        text.parse()
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Endpoint, EndpointError> {
        text.parse()
    }
}

impl From<&Endpoint> for Endpoint {
    fn from(endpoint: &Endpoint) -> Endpoint {
        endpoint.clone()
    }
}

/// As it is written, in quotes.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp(tcp) => {
                f.write_str("tcp://")?;
                if let Some((host, port)) = &tcp.source {
                    write!(f, "{host}:{};", Port(*port))?;
                }
                write!(f, "{}:{}", tcp.host, Port(tcp.port))
            }
            Address::Ipc(IpcAddress::Any) => f.write_str("ipc://*"),
            Address::Ipc(IpcAddress::Path(path)) => write!(f, "ipc://{}", path.display()),
            Address::Ipc(IpcAddress::Abstract(name)) => write!(f, "ipc://@{name}"),
            Address::Inproc(name) => write!(f, "inproc://{name}"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Any => f.write_str("*"),
            Host::V4(address) => address.fmt(f),
            Host::V6 {
                address,
                zone: None,
            } => write!(f, "[{address}]"),
            Host::V6 {
                address,
                zone: Some(zone),
            } => write!(f, "[{address}%{zone}]"),
            Host::Name(name) => f.write_str(name),
        }
    }
}

/// A port as endpoints spell it.
struct Port(u16);

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("*"),
            port => port.fmt(f),
        }
    }
}

// The parsers below get the whole endpoint besides their part of it, only to quote it in errors.

fn parse_tcp(endpoint: &str, rest: &str) -> Result<Address, EndpointError> {
    let (source, destination) = match rest.split_once(';') {
        Some((source, destination)) => (Some(parse_host_port(endpoint, source)?), destination),
        None => (None, rest),
    };
    let (host, port) = parse_host_port(endpoint, destination)?;
    Ok(Address::Tcp(TcpAddress { source, host, port }))
}

fn parse_host_port(endpoint: &str, text: &str) -> Result<(Host, u16), EndpointError> {
    // Inside brackets a colon belongs to the address.
    let colon = text
        .rfind(':')
        .filter(|&colon| text.rfind(']').is_none_or(|bracket| bracket < colon));
    let Some(colon) = colon else {
        return Err(EndpointError::MissingPort {
            endpoint: endpoint.to_owned(),
        });
    };
    // Splitting at an ASCII character is always on a boundary.
    let (host, port) = (&text[..colon], &text[colon + 1..]);
    Ok((parse_host(endpoint, host)?, parse_port(endpoint, port)?))
}

fn parse_port(endpoint: &str, text: &str) -> Result<u16, EndpointError> {
    if text == "*" {
        return Ok(0);
    }
    // The integer parser would also take a leading `+`.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| EndpointError::InvalidPort {
            endpoint: endpoint.to_owned(),
            port: text.to_owned(),
        })
}

fn parse_host(endpoint: &str, text: &str) -> Result<Host, EndpointError> {
    if text == "*" {
        return Ok(Host::Any);
    }
    if let Ok(address) = text.parse() {
        return Ok(Host::V4(address));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(EndpointError::UnbracketedIpv6 {
            endpoint: endpoint.to_owned(),
            address: text.to_owned(),
        });
    }
    let host = match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').and_then(parse_ipv6),
        None => is_host_name(text).then(|| Host::Name(text.to_owned())),
    };
    host.ok_or_else(|| EndpointError::InvalidHost {
        endpoint: endpoint.to_owned(),
        host: text.to_owned(),
    })
}

fn parse_ipv6(text: &str) -> Option<Host> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    if zone.is_some_and(|zone| !is_label(zone)) {
        return None;
    }
    let address: Ipv6Addr = address.parse().ok()?;
    match (address.to_ipv4_mapped(), zone) {
        // An IPv6 socket that is not for both families cannot be bound to it.
        (Some(address), None) => Some(Host::V4(address)),
        (Some(_), Some(_)) => None,
        (None, zone) => Some(Host::V6 {
            address,
            zone: zone.map(str::to_owned),
        }),
    }
}

/// Host names and interface names, such as `eth0.100`. What begins with a digit and ends with a label of digits
/// is a mistyped IPv4 address, which the system's resolver reads in surprising ways (`127.1`, `0x7f.1`).
fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or(name);
    let numeric = name.starts_with(|first: char| first.is_ascii_digit())
        && last.bytes().all(|byte| byte.is_ascii_digit());
    name.len() <= HOST_NAME_LIMIT && !numeric && name.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' || byte == b'.'
        })
}

fn parse_ipc(endpoint: &str, rest: &str) -> Result<Address, EndpointError> {
    if rest.contains('\0') {
        return Err(EndpointError::NulInPath {
            endpoint: endpoint.to_owned(),
        });
    }
    let address = match rest.strip_prefix('@') {
        Some("") => {
            return Err(EndpointError::EmptyAbstractName {
                endpoint: endpoint.to_owned(),
            });
        }
        Some(name) => IpcAddress::Abstract(name.to_owned()),
        None if rest == "*" => IpcAddress::Any,
        None => IpcAddress::Path(PathBuf::from(rest)),
    };
    Ok(Address::Ipc(address))
}

#[cfg(test)]
mod tests;
