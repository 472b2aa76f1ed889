//! The network interfaces of this machine: their numbers and their addresses.
//!
//! The usual way is `getifaddrs` of the C library: raw pointers all the way. On Linux the same answer comes from
//! the kernel as plain bytes over a netlink socket, which needs no `unsafe` at all:
//!
//! ```text
//! request   | nlmsghdr: length 4, type 2, flags 2, sequence 4, port 4 | ifaddrmsg: 8 |
//! reply     | nlmsghdr: 16 | ifaddrmsg: family 1, prefix 1, flags 1, scope 1, index 4 | attributes |  repeated
//! attribute | length 2 (with this header), type 2 | value | padding to 4 |
//! ```
//!
//! All numbers are in the machine's byte order.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// The number of the interface called `zone`, or the number that `zone` spells.
pub(super) fn index(zone: &str) -> io::Result<u32> {
    if let Ok(number) = zone.parse() {
        return Ok(number);
    }
    // The system's address parser is the one safe way to its interface table. It reads this as a numeric
    // address, so no name service is asked.
    let scoped = (format!("fe80::1%{zone}").as_str(), 0)
        .to_socket_addrs()?
        .next();
    match scoped {
        Some(SocketAddr::V6(address)) if address.scope_id() != 0 => Ok(address.scope_id()),
        _ => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("no interface is called {zone}"),
        )),
    }
}

/// The addresses of the interface called `name`, with `port`; those of IPv4 first. None: it has no address.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn addresses(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut found = netlink::addresses(index(name)?, port)?;
    found.sort_by_key(SocketAddr::is_ipv6);
    Ok(found)
}

/// Elsewhere the interface's address must be written out.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn addresses(name: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
    index(name)?;
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        format!("interface names work on Linux only: write the address of {name}"),
    ))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod netlink {
    use std::io::{self, Read};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

    use socket2::{Domain, Socket, Type};

    const AF_NETLINK: i32 = 16;
    const NLMSG_ERROR: u16 = 2;
    const NLMSG_DONE: u16 = 3;
    const RTM_NEWADDR: u16 = 20;
    const RTM_GETADDR: u16 = 22;
    /// `NLM_F_REQUEST` and `NLM_F_DUMP`: all there are.
    const REQUEST_DUMP: u16 = 0x301;
    const IFA_ADDRESS: u16 = 1;
    /// On a point-to-point link `IFA_ADDRESS` is the other end's, and this is ours.
    const IFA_LOCAL: u16 = 2;
    const MESSAGE_HEADER: usize = 16;
    const ADDRESS_HEADER: usize = 8;
    const ATTRIBUTE_HEADER: usize = 4;
    /// The kernel puts no more into one datagram of a dump.
    const DATAGRAM: usize = 32 * 1024;

    pub(super) fn addresses(interface: u32, port: u16) -> io::Result<Vec<SocketAddr>> {
        let socket = Socket::new(Domain::from(AF_NETLINK), Type::DGRAM, None)?;
        socket.send(&request())?;
        let mut found = Vec::new();
        let mut datagram = vec![0; DATAGRAM];
        loop {
            let length = (&socket).read(&mut datagram)?;
            let mut rest = datagram.get(..length).unwrap_or_default();
            if rest.is_empty() {
                return Err(malformed());
            }
            while let Some((kind, body, next)) = split_message(rest) {
                match kind {
                    NLMSG_DONE => return Ok(found),
                    NLMSG_ERROR => return Err(refusal(body)),
                    RTM_NEWADDR => found.extend(parse_address(body, interface, port)),
                    _ => {}
                }
                rest = next;
            }
        }
    }

    fn request() -> [u8; MESSAGE_HEADER + ADDRESS_HEADER] {
        let mut request = [0; MESSAGE_HEADER + ADDRESS_HEADER];
        let length = request.len() as u32;
        request[0..4].copy_from_slice(&length.to_ne_bytes());
        request[4..6].copy_from_slice(&RTM_GETADDR.to_ne_bytes());
        request[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
        request
    }

    /// The first message's type and body, and what follows it.
    fn split_message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
        let length = u32_at(bytes, 0)? as usize;
        let body = bytes.get(MESSAGE_HEADER..length)?;
        let next = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16_at(bytes, 4)?, body, next))
    }

    fn parse_address(body: &[u8], interface: u32, port: u16) -> Option<SocketAddr> {
        if u32_at(body, 4)? != interface {
            return None;
        }
        let mut attributes = body.get(ADDRESS_HEADER..)?;
        let mut found = None;
        while let Some(length) = u16_at(attributes, 0) {
            let length = usize::from(length);
            let kind = u16_at(attributes, 2)?;
            let address = attributes.get(ATTRIBUTE_HEADER..length).and_then(parse_ip);
            if kind == IFA_LOCAL || (kind == IFA_ADDRESS && found.is_none()) {
                found = address.or(found);
            }
            attributes = attributes
                .get(length.max(ATTRIBUTE_HEADER).next_multiple_of(4)..)
                .unwrap_or_default();
        }
        found.map(|address| match address {
            IpAddr::V4(address) => (address, port).into(),
            IpAddr::V6(address) if address.is_unicast_link_local() => {
                SocketAddrV6::new(address, port, 0, interface).into()
            }
            IpAddr::V6(address) => (address, port).into(),
        })
    }

    fn parse_ip(bytes: &[u8]) -> Option<IpAddr> {
        let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).into());
        let v6 = || <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).into());
        v4.or_else(|_| v6()).ok()
    }

    /// The body of an error message begins with the negated code.
    fn refusal(body: &[u8]) -> io::Error {
        match u32_at(body, 0) {
            Some(code) => io::Error::from_raw_os_error((code as i32).wrapping_neg()),
            None => malformed(),
        }
    }

    fn malformed() -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, "malformed netlink reply")
    }

    fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
        Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
    }

    fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
        Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
    }
}
