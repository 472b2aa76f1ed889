//! A peer made of bytes: a stream and just enough ZMTP to write golden conversations.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::deadline::DEADLINE;

/// The flag of a frame that another of the same message follows.
pub(crate) const MORE: u8 = 0x01;
/// The flag of a frame whose length takes eight bytes.
pub(crate) const LONG: u8 = 0x02;
/// The flag of a command.
pub(crate) const COMMAND: u8 = 0x04;

/// Our end of a connection to a zerohop socket. Every read and write is bounded by the deadline.
pub(crate) struct RawPeer {
    stream: Box<dyn Stream>,
}

/// Both directions of a connection.
trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

impl RawPeer {
    /// Connects to what a socket bound: `tcp://ADDRESS:PORT` or `ipc://PATH`.
    pub(crate) fn connect(endpoint: &str) -> RawPeer {
        if let Some(path) = endpoint.strip_prefix("ipc://") {
            let stream = UnixStream::connect(path).expect("the socket accepts");
            bound_by_deadline(&stream, UnixStream::set_read_timeout);
            bound_by_deadline(&stream, UnixStream::set_write_timeout);
            let stream = Box::new(stream);
            return RawPeer { stream };
        }
        let address = endpoint.strip_prefix("tcp://").expect("a tcp endpoint");
        RawPeer::new(TcpStream::connect(address).expect("the socket accepts"))
    }

    /// Takes the connection a socket makes to us.
    pub(crate) fn accept(listener: &TcpListener) -> RawPeer {
        RawPeer::new(listener.accept().expect("the socket connects").0)
    }

    /// Takes a connection that somebody else has made.
    pub(crate) fn new(stream: TcpStream) -> RawPeer {
        // Bytes written one by one then travel one by one.
        stream.set_nodelay(true).expect("no delay");
        bound_by_deadline(&stream, TcpStream::set_read_timeout);
        bound_by_deadline(&stream, TcpStream::set_write_timeout);
        let stream = Box::new(stream);
        RawPeer { stream }
    }

    /// Writes all of it to a socket that must stay there.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        assert!(self.pour(bytes), "the socket hung up");
    }

    /// Writes to a socket that may have hung up already; says whether it had not.
    pub(crate) fn pour(&mut self, bytes: &[u8]) -> bool {
        match self.stream.write_all(bytes) {
            Ok(()) => true,
            Err(error) if is_closed(error.kind()) => false,
            Err(error) => panic!("the socket neither reads nor hangs up: {error}"),
        }
    }

    /// Reads so many bytes.
    pub(crate) fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream
            .read_exact(&mut bytes)
            .expect("the socket writes");
        bytes
    }

    /// Reads one frame: its flags as written and its body.
    pub(crate) fn read_frame(&mut self) -> (u8, Vec<u8>) {
        let flags = self.read(1)[0];
        let length = if flags & LONG == 0 {
            u64::from(self.read(1)[0])
        } else {
            let length = self.read(8).try_into().expect("eight bytes");
            u64::from_be_bytes(length)
        };
        (flags, self.read(length as usize))
    }

    /// Exchanges greetings and READY commands of the NULL mechanism; gives the socket's READY frame.
    pub(crate) fn shake_hands(&mut self, minor: u8, socket_type: &str) -> (u8, Vec<u8>) {
        self.write(&greeting(minor, "NULL"));
        self.write(&ready(socket_type));
        let theirs = self.read(64);
        // Everything but the padding, whose content the protocol leaves open.
        assert_eq!(
            (theirs[0], &theirs[9..]),
            (0xff, &greeting(1, "NULL")[9..]),
            "the greeting"
        );
        self.read_frame()
    }

    /// Waits for the socket to close the connection, whatever it still writes before.
    pub(crate) fn expect_closed(&mut self) {
        self.rest();
    }

    /// What the socket still writes before it closes the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let (mut rest, mut bytes) = (Vec::new(), [0; 4096]);
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return rest,
                Ok(count) => rest.extend_from_slice(&bytes[..count]),
                Err(error) if is_closed(error.kind()) => return rest,
                Err(error) => panic!("the socket does not close the connection: {error}"),
            }
        }
    }
}

fn bound_by_deadline<S>(stream: &S, set: fn(&S, Option<Duration>) -> std::io::Result<()>) {
    set(stream, Some(DEADLINE)).expect("a timeout");
}

fn is_closed(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe
    )
}

/// A 3.x greeting.
pub(crate) fn greeting(minor: u8, mechanism: &str) -> Vec<u8> {
    let mut bytes = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, minor];
    bytes.extend_from_slice(mechanism.as_bytes());
    bytes.resize(64, 0);
    bytes
}

/// A READY command with nothing but the socket type.
pub(crate) fn ready(socket_type: &str) -> Vec<u8> {
    command("READY", &property("Socket-Type", socket_type.as_bytes()))
}

/// A metadata property.
pub(crate) fn property(name: &str, value: &[u8]) -> Vec<u8> {
    let length = (value.len() as u32).to_be_bytes();
    [&[name.len() as u8], name.as_bytes(), &length, value].concat()
}

/// A command frame.
pub(crate) fn command(name: &str, data: &[u8]) -> Vec<u8> {
    frame(
        COMMAND,
        &[&[name.len() as u8], name.as_bytes(), data].concat(),
    )
}

/// A frame in its canonical encoding: LONG only when needed.
pub(crate) fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    match u8::try_from(body.len()) {
        Ok(length) => [&[flags, length], body].concat(),
        Err(_) => [
            &[flags | LONG][..],
            &(body.len() as u64).to_be_bytes(),
            body,
        ]
        .concat(),
    }
}
