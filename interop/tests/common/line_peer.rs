//! A socket in a process of its own that is driven line by line, as a [`Peer`]. The protocol is that of `tests/python/peer.py`.

use std::process::Command;
use std::time::Duration;

use super::child::LineChild;
use super::part::Part;
use super::peer::{Peer, Role};

/// Dropping it kills its process with SIGKILL.
pub(crate) struct LinePeer {
    name: &'static str,
    child: LineChild,
}

impl LinePeer {
    /// Starts the program, and opens its socket.
    pub(crate) fn open(name: &'static str, command: &mut Command, role: Role) -> LinePeer {
        let socket_type = format!("{role:?}").to_uppercase();
        LinePeer::open_type(name, command, &socket_type)
    }

    /// The same with a type that is no [`Role`], by its name in zmq.h.
    pub(crate) fn open_type(
        name: &'static str,
        command: &mut Command,
        socket_type: &str,
    ) -> LinePeer {
        let child = LineChild::spawn(command);
        let mut peer = LinePeer { name, child };
        peer.ask(&format!("open {socket_type}"));
        peer
    }

    /// Sets a socket option by its name in zmq.h, without the prefix: to a number, or to the bytes of a [`Part`].
    #[allow(dead_code, reason = "not all implementations have options")]
    pub(crate) fn set(&mut self, option: &str, value: impl std::fmt::Display) {
        self.ask(&format!("set {option} {value}"));
    }

    /// The answer to a command, without the word that says it succeeded.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        let answer = self.child.ask(command);
        match answer.strip_prefix("ok") {
            Some(rest) => rest.trim().to_owned(),
            None => panic!("{} answers {command:?} with {answer:?}", self.name),
        }
    }
}

impl Peer for LinePeer {
    fn bind(&mut self, endpoint: &str) -> String {
        self.ask(&format!("bind {endpoint}"))
    }

    fn connect(&mut self, endpoint: &str) {
        self.ask(&format!("connect {endpoint}"));
    }

    fn send(&mut self, message: &[Part]) {
        let frames: Vec<String> = message.iter().map(Part::to_string).collect();
        self.ask(&format!("send {}", frames.join(" ")));
    }

    fn recv_within(&mut self, patience: Duration) -> Option<Vec<Part>> {
        let answer = self.child.ask(&format!("recv {}", patience.as_millis()));
        if answer == "none" {
            return None;
        }
        let frames = answer
            .strip_prefix("msg ")
            .and_then(|tokens| tokens.split(' ').map(parse_frame).collect());
        Some(frames.unwrap_or_else(|| panic!("{} answers recv with {answer:?}", self.name)))
    }

    fn subscribe(&mut self, topic: &str) {
        self.ask(&format!("subscribe {}", Part::from(topic)));
    }

    fn unsubscribe(&mut self, topic: &str) {
        self.ask(&format!("unsubscribe {}", Part::from(topic)));
    }
}

/// Reads a frame the way the programs print it.
fn parse_frame(token: &str) -> Option<Part> {
    if token == "-" {
        return Some(Part::Bytes(Vec::new()));
    }
    if let Some(length) = token.strip_prefix('@') {
        return length.parse().ok().map(Part::Pattern);
    }
    let byte = |at: usize| u8::from_str_radix(token.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..token.len()).step_by(2).map(byte).collect();
    bytes.map(Part::Bytes)
}
