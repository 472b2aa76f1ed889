//! Dialing: from an endpoint to socket addresses, and from one of these to a stream that is connecting.
//!
//! ```text
//! Endpoint --resolve (may block: in the background)--> [SocketAddress] --dial--> Stream --writable-->
//!     finish_connect --> connected
//! ```

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use mio::net::{TcpStream, UnixStream};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::endpoint::{Address, Endpoint, Host, IpcAddress, TcpAddress};
use super::interface;
use super::options::StreamOptions;
use super::stream::{self, Stream};

/// `connect` has begun and goes on in the background.
#[cfg(any(target_os = "linux", target_os = "android"))]
const EINPROGRESS: i32 = 115;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const EINPROGRESS: i32 = 36;

/// An address that the system can connect to: nothing left to look up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SocketAddress {
    Inet(SocketAddr),
    /// The path of a Unix domain socket.
    Unix(PathBuf),
    /// Its name in the abstract namespace of Linux.
    Abstract(String),
}

impl SocketAddress {
    pub(super) fn to_system(&self) -> io::Result<SockAddr> {
        match self {
            SocketAddress::Inet(address) => Ok(SockAddr::from(*address)),
            SocketAddress::Unix(path) => SockAddr::unix(path),
            SocketAddress::Abstract(name) => SockAddr::unix(format!("\0{name}")),
        }
    }
}

/// Spelled as an endpoint. An IPv4 peer of a dual-stack socket is shown as what it is.
impl fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocketAddress::Inet(address) => match address.ip().to_canonical() {
                ip if ip.is_ipv4() => write!(f, "tcp://{ip}:{}", address.port()),
                _ => write!(f, "tcp://{address}"),
            },
            SocketAddress::Unix(path) => write!(f, "ipc://{}", path.display()),
            SocketAddress::Abstract(name) => write!(f, "ipc://@{name}"),
        }
    }
}

/// Whether [`resolve`] needs no look-up of a name, and so cannot block.
pub(crate) fn resolves_instantly(endpoint: &Endpoint) -> bool {
    match endpoint.address() {
        Address::Tcp(tcp) => !matches!(tcp.host, Host::Name(_)),
        Address::Ipc(_) | Address::Inproc(_) => true,
    }
}

/// The addresses to try for an endpoint, in the order of preference that the system's resolver gives; never
/// none. Blocks for as long as the look-up of a name takes: [`Resolver`](super::Resolver) does that elsewhere.
pub(crate) fn resolve(
    endpoint: &Endpoint,
    options: &StreamOptions,
) -> io::Result<Vec<SocketAddress>> {
    let one = |address| Ok(vec![address]);
    match endpoint.address() {
        Address::Ipc(IpcAddress::Path(path)) => one(SocketAddress::Unix(path.clone())),
        Address::Ipc(IpcAddress::Abstract(name)) => one(SocketAddress::Abstract(name.clone())),
        Address::Ipc(IpcAddress::Any) => Err(unsuitable("ipc://* can only be bound")),
        Address::Inproc(_) => Err(unsuitable("inproc has no socket addresses")),
        Address::Tcp(tcp) => match &tcp.host {
            Host::Any => Err(unsuitable("tcp://* can only be bound")),
            Host::Name(name) => {
                let found = lookup(name, tcp.port, options.ipv6)?;
                Ok(found.into_iter().map(SocketAddress::Inet).collect())
            }
            literal => one(SocketAddress::Inet(literal_address(literal, tcp.port)?)),
        },
    }
}

/// The local address that the endpoint asks a connection to `destination` to come from, if it asks for any.
/// Does not block: a source is a literal or an interface of this machine, never a name to look up. An interface
/// gives its address of the destination's family.
pub(crate) fn source_for(
    endpoint: &Endpoint,
    destination: &SocketAddress,
) -> io::Result<Option<SocketAddr>> {
    let (
        Address::Tcp(TcpAddress {
            source: Some(source),
            ..
        }),
        SocketAddress::Inet(destination),
    ) = (endpoint.address(), destination)
    else {
        return Ok(None);
    };
    let (host, port) = source;
    match host {
        Host::Any if destination.is_ipv4() => Ok(Some((Ipv4Addr::UNSPECIFIED, *port).into())),
        Host::Any => Ok(Some((Ipv6Addr::UNSPECIFIED, *port).into())),
        Host::Name(name) => interface::addresses(name, *port)?
            .into_iter()
            .find(|address| address.is_ipv4() == destination.is_ipv4())
            .map(Some)
            .ok_or_else(|| {
                let text = format!("interface {name} has no address of the destination's family");
                io::Error::new(io::ErrorKind::AddrNotAvailable, text)
            }),
        literal => literal_address(literal, *port).map(Some),
    }
}

/// Starts a connection and returns at once. The stream is connected when, after a writable event,
/// [`Stream::finish_connect`] says so.
///
/// Every error here may pass with time; a full backlog of a Unix domain socket is a `ResourceBusy`.
pub(crate) fn dial(
    address: &SocketAddress,
    source: Option<SocketAddr>,
    options: &StreamOptions,
) -> io::Result<Stream> {
    let system_address = address.to_system()?;
    let socket = new_socket(system_address.domain())?;
    let handle = SockRef::from(&socket);
    stream::prepare(&handle)?;
    if let SocketAddress::Inet(inet) = address {
        options.apply_buffers(&handle)?;
        options.apply_tcp(&handle, inet.ip())?;
        // The connection must not bar its local port, not even in TIME_WAIT: it may be that of a server that is to come, and
        // where it is fixed, it is that of the next attempt.
        socket.set_reuse_address(true)?;
        if let Some(source) = source {
            socket.bind(&SockAddr::from(source))?;
        }
    } else {
        options.apply_unix_buffers(&handle)?;
    }
    start_connect(&socket, &system_address)?;
    let descriptor = OwnedFd::from(socket);
    Ok(match address {
        SocketAddress::Inet(_) => Stream::tcp(TcpStream::from(descriptor), address.clone()),
        SocketAddress::Unix(_) | SocketAddress::Abstract(_) => {
            Stream::unix(UnixStream::from(descriptor), address.clone())
        }
    })
}

/// A new stream socket, which does not block.
pub(super) fn new_socket(domain: Domain) -> io::Result<Socket> {
    // One system call in place of three, where there is that.
    #[cfg(any(target_os = "android", target_os = "freebsd", target_os = "linux"))]
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), None)?;
    #[cfg(not(any(target_os = "android", target_os = "freebsd", target_os = "linux")))]
    let socket = {
        let socket = Socket::new(domain, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket
    };
    Ok(socket)
}

fn start_connect(socket: &Socket, address: &SockAddr) -> io::Result<()> {
    match socket.connect(address) {
        Err(error) if error.raw_os_error() == Some(EINPROGRESS) => Ok(()),
        // A signal does not stop what has begun.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        // Not "wait until writable": this socket will never be. It was not queued at all.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let text = match address.domain() {
                Domain::UNIX => "the listener's backlog is full",
                _ => "no local port is free",
            };
            Err(io::Error::new(io::ErrorKind::ResourceBusy, text))
        }
        result => result,
    }
}

/// Looks a host name up. Without `ipv6` a name that has an IPv4 address stands for its IPv4 addresses only; one that has none can
/// mean nothing but its IPv6 addresses. Blocks. Never returns an empty list.
pub(super) fn lookup(name: &str, port: u16, ipv6: bool) -> io::Result<Vec<SocketAddr>> {
    let found = (name, port).to_socket_addrs()?;
    let mut found: Vec<SocketAddr> = found.map(unmapped).collect();
    prefer(&mut found, ipv6);
    if found.is_empty() {
        let text = format!("{name} has no address");
        return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, text));
    }
    Ok(found)
}

/// An IPv4 address that is mapped into IPv6, as a table of hosts may spell it, as what it is; others as they are.
fn unmapped(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip.is_ipv4() => SocketAddr::new(ip, address.port()),
        _ => address,
    }
}

/// See [`lookup`].
fn prefer(found: &mut Vec<SocketAddr>, ipv6: bool) {
    if !ipv6 && found.iter().any(SocketAddr::is_ipv4) {
        found.retain(SocketAddr::is_ipv4);
    }
}

/// The socket address of a host written as an address. Only a zone is looked up, among the interfaces.
pub(super) fn literal_address(host: &Host, port: u16) -> io::Result<SocketAddr> {
    match host {
        Host::V4(address) => Ok((*address, port).into()),
        Host::V6 { address, zone } => {
            let scope = match zone {
                Some(zone) => interface::index(zone)?,
                None => 0,
            };
            Ok(SocketAddrV6::new(*address, port, 0, scope).into())
        }
        Host::Any | Host::Name(_) => Err(unsuitable("not an address literal")),
    }
}

fn unsuitable(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_its_ipv4_addresses_unless_it_has_none() {
        let v4: SocketAddr = (Ipv4Addr::LOCALHOST, 1).into();
        let v6: SocketAddr = (Ipv6Addr::LOCALHOST, 1).into();
        for (found, ipv6, expected) in [
            (&[v6, v4][..], false, &[v4][..]),
            (&[v6, v4], true, &[v6, v4]),
            (&[v6], false, &[v6]),
            (&[v6], true, &[v6]),
            (&[v4], true, &[v4]),
            (&[], false, &[]),
        ] {
            let mut preferred = found.to_vec();
            prefer(&mut preferred, ipv6);
            assert_eq!(preferred, expected, "{found:?} {ipv6}");
        }
    }
}
