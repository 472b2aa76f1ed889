//! libzmq in this process, through the `zmq` crate, as a [`Peer`].

use std::time::Duration;

use super::deadline::DEADLINE;
use super::part::Part;
use super::peer::{Implementation, Peer, Role};

/// The reference implementation.
pub(crate) struct Libzmq {
    context: zmq::Context,
}

impl Libzmq {
    pub(crate) fn new() -> Libzmq {
        Libzmq {
            context: zmq::Context::new(),
        }
    }
}

impl Implementation for Libzmq {
    fn name(&self) -> &str {
        "libzmq"
    }

    fn open(&self, role: Role) -> Box<dyn Peer> {
        Box::new(self.start(role))
    }
}

impl Libzmq {
    /// A socket whose options can be set.
    pub(crate) fn start(&self, role: Role) -> LibzmqPeer {
        let socket = self
            .context
            .socket(socket_type(role))
            .expect("a libzmq socket");
        let patience = DEADLINE.as_millis() as i32;
        // Without the linger of zero, the end of a failed test would wait for messages nobody takes.
        socket.set_linger(0).expect("linger");
        socket.set_sndtimeo(patience).expect("send timeout");
        LibzmqPeer { socket, role }
    }
}

/// A socket of it.
pub(crate) struct LibzmqPeer {
    pub(crate) socket: zmq::Socket,
    role: Role,
}

impl Peer for LibzmqPeer {
    fn bind(&mut self, endpoint: &str) -> String {
        self.socket.bind(endpoint).expect("libzmq binds");
        let bound = self.socket.get_last_endpoint().expect("the bound endpoint");
        bound.expect("an endpoint in UTF-8")
    }

    fn connect(&mut self, endpoint: &str) {
        self.socket.connect(endpoint).expect("libzmq connects");
    }

    fn send(&mut self, message: &[Part]) {
        let frames = message.iter().map(Part::to_frame);
        self.socket
            .send_multipart(frames, 0)
            .expect("libzmq sends before the deadline");
    }

    fn recv_within(&mut self, patience: Duration) -> Option<Vec<Part>> {
        let readable = self
            .socket
            .poll(zmq::POLLIN, patience.as_millis() as i64)
            .expect("libzmq polls");
        if readable == 0 {
            return None;
        }
        let frames = self
            .socket
            .recv_multipart(zmq::DONTWAIT)
            .expect("libzmq receives");
        Some(frames.iter().map(|frame| Part::from_frame(frame)).collect())
    }

    fn subscribe(&mut self, topic: &str) {
        if self.role == Role::XSub {
            return self.send(&[Part::from(format!("\u{1}{topic}").as_str())]);
        }
        self.socket
            .set_subscribe(topic.as_bytes())
            .expect("libzmq subscribes");
    }

    fn unsubscribe(&mut self, topic: &str) {
        if self.role == Role::XSub {
            return self.send(&[Part::from(format!("\0{topic}").as_str())]);
        }
        self.socket
            .set_unsubscribe(topic.as_bytes())
            .expect("libzmq unsubscribes");
    }
}

fn socket_type(role: Role) -> zmq::SocketType {
    match role {
        Role::Push => zmq::PUSH,
        Role::Pull => zmq::PULL,
        Role::Pub => zmq::PUB,
        Role::Sub => zmq::SUB,
        Role::Req => zmq::REQ,
        Role::Rep => zmq::REP,
        Role::Router => zmq::ROUTER,
        Role::Dealer => zmq::DEALER,
        Role::Pair => zmq::PAIR,
        Role::XPub => zmq::XPUB,
        Role::XSub => zmq::XSUB,
    }
}
