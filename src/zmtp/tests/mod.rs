//! The protocol layer as a whole: two sides joined in memory, with no socket and no clock but a virtual one.

mod corpus;
mod pair;
mod plain;
mod refusals;
mod traffic;
mod verdict;

use super::SocketType;

/// A 3.x greeting as libzmq sends it, less what differs between its versions.
fn greeting(major: u8, minor: u8, mechanism: &str) -> Vec<u8> {
    let mut out = b"\xff\0\0\0\0\0\0\0\x01\x7f".to_vec();
    out.extend([major, minor]);
    out.extend_from_slice(mechanism.as_bytes());
    out.resize(64, 0);
    out
}

/// A READY with this socket type and nothing else, written by hand.
fn ready(socket_type: SocketType) -> Vec<u8> {
    let name = socket_type.name();
    let mut out = vec![4, 22 + name.len() as u8];
    out.extend_from_slice(b"\x05READY\x0bSocket-Type\0\0\0");
    out.push(name.len() as u8);
    out.extend_from_slice(name.as_bytes());
    out
}

/// A small generator of the xorshift family: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.next() as u8
    }
}
