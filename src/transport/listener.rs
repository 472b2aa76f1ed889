//! Listeners: bound endpoints that streams are accepted from.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::dial::{self, SocketAddress};
use super::endpoint::{Address, Endpoint, Host, IpcAddress, TcpAddress};
use super::error::BindError;
use super::interface;
use super::options::{self, StreamOptions};
use super::socket_file::{self, DirectoryLock, Occupant, SocketFile, TemporaryDirectory};
use super::stream::{self, Stream};
use crate::process::Process;

/// How often a path that keeps changing hands is tried.
const PATH_ATTEMPTS: usize = 4;

// Codes that mean "no room for another connection just now" and have no `ErrorKind` of their own.
const ENOMEM: i32 = 12;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
#[cfg(any(target_os = "linux", target_os = "android"))]
const ENOBUFS: i32 = 105;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const ENOBUFS: i32 = 55;

/// A bound endpoint. Dropping it closes it and removes the `ipc` file that it made.
#[derive(Debug)]
pub(crate) struct Listener {
    /// First, so that the name is gone before the socket closes: nobody finds it refused in between.
    _file: Option<SocketFile>,
    io: Io,
    endpoint: Endpoint,
    options: StreamOptions,
    /// What is accepted has them already.
    inherited: Inherited,
    process: Process,
    /// Somebody else has opened it, and may have it still.
    adopted: bool,
}

#[derive(Debug)]
enum Io {
    Tcp(TcpListener),
    /// With the address that its streams are labelled by.
    Unix(UnixListener, SocketAddress),
}

/// Which options of a stream over TCP are the listener's, so that they need not be set again. Linux copies a listener's options of
/// TCP and its keep-alive to each stream that it accepts; the type of service it may take from the peer instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inherited {
    None,
    /// All but what is for peers on this machine.
    AllButLocal,
    All,
}

impl Inherited {
    /// For a listener at that address, which has these options.
    fn from(address: &SocketAddress, options: &StreamOptions) -> Self {
        match address {
            SocketAddress::Inet(address) if cfg!(target_os = "linux") && options.tos.is_none() => {
                match is_reachable(address) {
                    true => Inherited::AllButLocal,
                    false => Inherited::All,
                }
            }
            _ => Inherited::None,
        }
    }
}

/// Whether an error of [`Listener::accept`] means that the process or the system is out of descriptors or
/// memory. The connection is still waiting, and so is the readiness: pause and try again, or it spins.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(EMFILE | ENFILE | ENOBUFS | ENOMEM)
    )
}

impl Listener {
    /// Binds and listens. Blocks while a host name is looked up.
    pub(crate) fn bind(
        endpoint: &Endpoint,
        options: &StreamOptions,
    ) -> Result<Listener, BindError> {
        endpoint.check_bind()?;
        match endpoint.address() {
            Address::Tcp(tcp) => bind_tcp(endpoint, tcp, options),
            Address::Ipc(ipc) => bind_ipc(endpoint, ipc, options),
            Address::Inproc(_) => {
                let error = io::Error::new(io::ErrorKind::Unsupported, "inproc has no listener");
                Err(BindError::from_io(endpoint, error))
            }
        }
    }

    /// Takes over a socket that somebody else has bound and that listens already. A file that it has in the file system is theirs.
    pub(crate) fn adopt(
        descriptor: OwnedFd,
        options: &StreamOptions,
    ) -> Result<Listener, BindError> {
        let socket = Socket::from(descriptor);
        let address = address_of_listener(&socket).map_err(BindError::not_a_listener)?;
        let endpoint = adopted_endpoint(&address);
        if let SocketAddress::Inet(address) = &address
            && options.loopback_only
            && is_reachable(address)
        {
            return Err(BindError::Insecure { endpoint });
        }
        let io = take_over(socket, address, options)
            .map_err(|error| BindError::from_io(&endpoint, error))?;
        Ok(Listener {
            _file: None,
            io,
            endpoint,
            options: options.clone(),
            // Others may change what it has.
            inherited: Inherited::None,
            process: Process::current(),
            adopted: true,
        })
    }

    /// The next waiting stream. `WouldBlock` if there is none; see [`is_exhaustion`] for the error to prepare for.
    /// A connection that died while it waited is passed over.
    /// `passed_over` is told why.
    pub(crate) fn accept(&mut self, mut passed_over: impl FnMut(&io::Error)) -> io::Result<Stream> {
        loop {
            match self.accept_one() {
                Err(error) if concerns_one_connection(&error) => passed_over(&error),
                result => return result,
            }
        }
    }

    /// What was bound, with everything resolved: `tcp://0.0.0.0:49152` for `tcp://*:*`.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What is accepted from now on has these options. Where it listens, for whom, and how many may wait, stays.
    pub(crate) fn set_options(&mut self, options: &StreamOptions) -> io::Result<()> {
        let buffers = (options.send_buffer, options.recv_buffer);
        let new_buffers = buffers != (self.options.send_buffer, self.options.recv_buffer);
        if *options != self.options {
            self.inherited = Inherited::None;
        }
        self.options = options.clone();
        if !new_buffers {
            return Ok(());
        }
        match &self.io {
            Io::Tcp(listener) => options.apply_buffers(&SockRef::from(listener)),
            Io::Unix(..) => Ok(()),
        }
    }

    /// Whether other machines can reach it.
    pub(crate) fn is_reachable(&self) -> bool {
        match &self.io {
            // One whose address cannot be told counts as one that can be reached.
            Io::Tcp(listener) => listener
                .local_addr()
                .map_or(true, |address| is_reachable(&address)),
            Io::Unix(..) => false,
        }
    }

    fn accept_one(&self) -> io::Result<Stream> {
        match &self.io {
            Io::Tcp(listener) => {
                let (socket, peer) = listener.accept()?;
                let handle = SockRef::from(&socket);
                // The same options were taken by the listener, so a refusal is about this connection: some
                // systems refuse them all once the peer has reset it.
                stream::prepare(&handle)
                    .and_then(|()| self.apply_tcp(&handle, peer.ip()))
                    .map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, error))?;
                Ok(Stream::tcp(socket, SocketAddress::Inet(peer)))
            }
            Io::Unix(listener, address) => {
                let (socket, _unnamed) = listener.accept()?;
                let handle = SockRef::from(&socket);
                stream::prepare(&handle)
                    .and_then(|()| self.options.apply_unix_buffers(&handle))
                    .map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, error))?;
                Ok(Stream::unix(socket, address.clone()))
            }
        }
    }

    fn apply_tcp(&self, socket: &SockRef<'_>, peer: IpAddr) -> io::Result<()> {
        match self.inherited {
            Inherited::All => Ok(()),
            Inherited::AllButLocal => {
                options::unpace_local(socket, peer);
                Ok(())
            }
            Inherited::None => self.options.apply_tcp(socket, peer),
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match &mut self.io {
            Io::Tcp(listener) => listener,
            Io::Unix(listener, _) => listener,
        }
    }
}

impl Drop for Listener {
    /// Closing alone would keep the address as long as a forked child has a copy of the descriptor, and connections
    /// would be made there that nobody accepts. What was adopted others may listen on.
    fn drop(&mut self) {
        if self.process.has_forked() && !self.adopted {
            let socket = match &self.io {
                Io::Tcp(listener) => SockRef::from(listener),
                Io::Unix(listener, _) => SockRef::from(listener),
            };
            // Fails on systems that know this for connections only.
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Source for Listener {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.source().register(registry, token, interests)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.source().reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }
}

/// Linux reports what befell a waiting connection as an error of `accept`; the next one may be fine.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
    )
}

fn bind_tcp(
    endpoint: &Endpoint,
    tcp: &TcpAddress,
    options: &StreamOptions,
) -> Result<Listener, BindError> {
    let failed = |error| BindError::from_io(endpoint, error);
    let candidates = bind_candidates(endpoint, tcp, options)?;
    if options.loopback_only && candidates.iter().any(is_reachable) {
        return Err(BindError::Insecure {
            endpoint: endpoint.clone(),
        });
    }
    let listener = listen_on_first(&candidates, options).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok(Listener {
        _file: None,
        io: Io::Tcp(listener),
        endpoint: bound_endpoint(tcp, bound),
        options: options.clone(),
        inherited: Inherited::from(&SocketAddress::Inet(bound), options),
        process: Process::current(),
        adopted: false,
    })
}

/// Whether other machines can reach it.
fn is_reachable(address: &SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

/// Where a socket listens, if it is one of ours to accept from.
fn address_of_listener(socket: &Socket) -> io::Result<SocketAddress> {
    let unfit = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    if socket.r#type()? != Type::STREAM {
        return unfit("it is not a stream socket");
    }
    // Elsewhere accepting fails.
    #[cfg(any(target_os = "android", target_os = "freebsd", target_os = "linux"))]
    if !socket.is_listener()? {
        return unfit("the socket does not listen");
    }
    let address = socket.local_addr()?;
    if let Some(address) = address.as_socket() {
        return Ok(SocketAddress::Inet(address));
    }
    if let Some(path) = address.as_pathname() {
        return Ok(SocketAddress::Unix(path.to_owned()));
    }
    match address.as_abstract_namespace().map(str::from_utf8) {
        Some(Ok(name)) => Ok(SocketAddress::Abstract(name.to_owned())),
        Some(Err(_)) => unfit("its name is not UTF-8"),
        None => unfit("it is neither of tcp nor a Unix domain socket with a name"),
    }
}

fn adopted_endpoint(address: &SocketAddress) -> Endpoint {
    let ipc = match address {
        SocketAddress::Inet(address) => {
            let asked = TcpAddress {
                source: None,
                host: Host::Any,
                port: address.port(),
            };
            return bound_endpoint(&asked, *address);
        }
        SocketAddress::Unix(path) => IpcAddress::Path(path.clone()),
        SocketAddress::Abstract(name) => IpcAddress::Abstract(name.clone()),
    };
    Endpoint::from(Address::Ipc(ipc))
}

/// Gives a listening socket the options that its streams are to inherit.
fn take_over(socket: Socket, address: SocketAddress, options: &StreamOptions) -> io::Result<Io> {
    socket.set_nonblocking(true)?;
    // Whoever hands it down has left that off.
    socket.set_cloexec(true)?;
    options.apply_buffers(&SockRef::from(&socket))?;
    match address {
        SocketAddress::Inet(address) => {
            options.apply_tcp(&SockRef::from(&socket), address.ip())?;
            Ok(Io::Tcp(TcpListener::from(OwnedFd::from(socket))))
        }
        address => Ok(Io::Unix(UnixListener::from(OwnedFd::from(socket)), address)),
    }
}

/// The addresses that the host stands for, the preferred first.
fn bind_candidates(
    endpoint: &Endpoint,
    tcp: &TcpAddress,
    options: &StreamOptions,
) -> Result<Vec<SocketAddr>, BindError> {
    let unknown = |source| BindError::UnknownHost {
        endpoint: endpoint.clone(),
        source: Arc::new(source),
    };
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, tcp.port));
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, tcp.port));
    match &tcp.host {
        // The second for a system that was built or started without IPv6.
        Host::Any if options.ipv6 => Ok(vec![v6, v4]),
        Host::Any => Ok(vec![v4]),
        Host::Name(name) if interface::index(name).is_ok() => interface::addresses(name, tcp.port)
            .map_err(|error| BindError::from_io(endpoint, error)),
        Host::Name(name) => dial::lookup(name, tcp.port, options.ipv6).map_err(unknown),
        literal @ (Host::V4(_) | Host::V6 { .. }) => {
            let address = dial::literal_address(literal, tcp.port).map_err(unknown)?;
            Ok(vec![address])
        }
    }
}

/// Listens on the first address that this machine has. Any other failure counts: to go on after "in use" would
/// quietly bind less than was asked for.
fn listen_on_first(candidates: &[SocketAddr], options: &StreamOptions) -> io::Result<TcpListener> {
    let mut missing = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for &address in candidates {
        let socket = match dial::new_socket(Domain::for_address(address)) {
            Ok(socket) => socket,
            Err(error) => {
                missing = error;
                continue;
            }
        };
        match listen_tcp(&socket, address, options) {
            Ok(()) => return Ok(TcpListener::from(OwnedFd::from(socket))),
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => missing = error,
            Err(error) => return Err(error),
        }
    }
    Err(missing)
}

fn listen_tcp(socket: &Socket, address: SocketAddr, options: &StreamOptions) -> io::Result<()> {
    let handle = SockRef::from(socket);
    // A restarted server gets its port although connections of its last life are still in TIME_WAIT. On Unix
    // this does not let two listeners share a port.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // Whatever the system's default is: `[::]` means every interface in both families.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    options.apply_buffers(&handle)?;
    options.apply_tcp(&handle, address.ip())?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(options.backlog)
}

fn bound_endpoint(asked: &TcpAddress, bound: SocketAddr) -> Endpoint {
    let host = match bound {
        SocketAddr::V4(address) => Host::V4(*address.ip()),
        SocketAddr::V6(address) => Host::V6 {
            address: *address.ip(),
            zone: match (address.scope_id(), &asked.host) {
                (0, _) => None,
                (
                    _,
                    Host::V6 {
                        zone: Some(zone), ..
                    }
                    | Host::Name(zone),
                ) => Some(zone.clone()),
                (scope, _) => Some(scope.to_string()),
            },
        },
    };
    Endpoint::from(Address::Tcp(TcpAddress {
        source: None,
        host,
        port: bound.port(),
    }))
}

fn bind_ipc(
    endpoint: &Endpoint,
    ipc: &IpcAddress,
    options: &StreamOptions,
) -> Result<Listener, BindError> {
    match ipc {
        IpcAddress::Any => {
            let directory = TemporaryDirectory::create()
                .map_err(|error| BindError::from_io(endpoint, error))?;
            let path = directory.path().join("socket");
            let concrete = Endpoint::from(Address::Ipc(IpcAddress::Path(path.clone())));
            concrete.check_bind()?;
            bind_path(&concrete, &path, Some(directory), options)
        }
        IpcAddress::Path(path) => bind_path(endpoint, path, None, options),
        IpcAddress::Abstract(name) => {
            let address = SocketAddress::Abstract(name.clone());
            let listener = listen_unix(&address, options)
                .map_err(|error| BindError::from_io(endpoint, error))?;
            Ok(Listener {
                _file: None,
                io: Io::Unix(listener, address),
                endpoint: endpoint.clone(),
                options: options.clone(),
                inherited: Inherited::None,
                process: Process::current(),
                adopted: false,
            })
        }
    }
}

fn bind_path(
    endpoint: &Endpoint,
    path: &Path,
    directory: Option<TemporaryDirectory>,
    options: &StreamOptions,
) -> Result<Listener, BindError> {
    let failed = |error| BindError::from_io(endpoint, error);
    let address = SocketAddress::Unix(path.to_owned());
    let _lock = DirectoryLock::take(path);
    for _ in 0..PATH_ATTEMPTS {
        match listen_unix(&address, options) {
            Ok(listener) => {
                return Ok(Listener {
                    _file: Some(claim(endpoint, path, directory)?),
                    io: Io::Unix(listener, address),
                    endpoint: endpoint.clone(),
                    options: options.clone(),
                    inherited: Inherited::None,
                    process: Process::current(),
                    adopted: false,
                });
            }
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => return Err(failed(error)),
            Err(_) => {}
        }
        match socket_file::occupant(path).map_err(failed)? {
            Occupant::Live => break,
            Occupant::Stale(identity) => socket_file::remove_if(path, identity).map_err(failed)?,
            Occupant::StaleOfOthers(uid) => {
                return Err(BindError::OthersSocket {
                    endpoint: endpoint.clone(),
                    uid,
                });
            }
            Occupant::NotASocket => {
                return Err(BindError::NotASocket {
                    endpoint: endpoint.clone(),
                });
            }
            Occupant::Nothing => {}
        }
    }
    Err(BindError::AddrInUse {
        endpoint: endpoint.clone(),
    })
}

/// Takes charge of the file that has just been made. That it is gone means that somebody else has taken the path.
fn claim(
    endpoint: &Endpoint,
    path: &Path,
    directory: Option<TemporaryDirectory>,
) -> Result<SocketFile, BindError> {
    SocketFile::claim(path, directory).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => BindError::AddrInUse {
            endpoint: endpoint.clone(),
        },
        _ => BindError::from_io(endpoint, error),
    })
}

/// Nothing but the permissions of its file comes between `bind` and `listen`: meanwhile the socket looks stale to others, see
/// [`socket_file`].
fn listen_unix(address: &SocketAddress, options: &StreamOptions) -> io::Result<UnixListener> {
    let socket = dial::new_socket(Domain::UNIX)?;
    options.apply_buffers(&SockRef::from(&socket))?;
    if let SocketAddress::Unix(path) = address {
        socket_file::restrict(&socket, options.ipc_mode)?;
        socket.bind(&address.to_system()?)?;
        socket_file::set_mode(path, options.ipc_mode)?;
    } else {
        socket.bind(&address.to_system()?)?;
    }
    socket.listen(options.backlog)?;
    Ok(UnixListener::from(OwnedFd::from(socket)))
}
