//! Each command against itself and against pyzmq in both directions, over every transport, with either side binding.

use std::time::Duration;

use super::program::Program;
use crate::common::deadline::DEADLINE;
use crate::common::part::{Part, message};
use crate::common::peer::Role::{Dealer, Pair, Pub, Pull, Push, Rep, Req, Sub, XPub, XSub};
use crate::common::peer::{Implementation, Peer, Role, each_transport};
use crate::common::pyzmq::Pyzmq;

/// The program as an implementation like any other. Its frames are text without tabs; a REP echoes by itself.
struct Zerohop;

impl Implementation for Zerohop {
    fn name(&self) -> &str {
        "zerohop's program"
    }

    fn open(&self, role: Role) -> Box<dyn Peer> {
        Box::new(Command {
            role,
            topics: Vec::new(),
            program: None,
        })
    }
}

/// A program, started once it is known where it is to bind or connect.
struct Command {
    role: Role,
    topics: Vec<String>,
    program: Option<Program>,
}

impl Command {
    fn start(&mut self, how: &str, endpoint: &str) -> &mut Program {
        let role = format!("{:?}", self.role).to_lowercase();
        let mut args = vec![role.as_str(), how, endpoint];
        args.extend(match self.role {
            Push => &["--parts", "\\t"][..],
            Pub | XPub => &["--parts", "\\t", "--wait-subscribers", "1"],
            Req | Dealer | Pair => &["--parts", "\\t", "--format", "json"],
            Rep => &["--echo"],
            Pull | Sub | XSub => &["--format", "json"],
            Role::Router => panic!("its lines are not frames alone"),
        });
        args.extend(self.topics.iter().flat_map(|topic| ["--topic", topic]));
        self.program.insert(Program::start(&args))
    }

    fn program(&mut self) -> &mut Program {
        self.program.as_mut().expect("a program that was started")
    }
}

impl Peer for Command {
    fn bind(&mut self, endpoint: &str) -> String {
        let wildcard = endpoint.ends_with('*');
        let program = self.start("--bind", endpoint);
        if wildcard {
            program.bound()
        } else {
            endpoint.to_owned()
        }
    }

    fn connect(&mut self, endpoint: &str) {
        self.start("--connect", endpoint);
    }

    fn send(&mut self, message: &[Part]) {
        let frames: Vec<Vec<u8>> = message.iter().map(Part::to_frame).collect();
        let mut line = frames.join(&b'\t');
        line.push(b'\n');
        self.program().write_bytes(&line);
    }

    fn recv_within(&mut self, patience: Duration) -> Option<Vec<Part>> {
        let line = self.program().line_within(patience)?;
        let frames: Vec<String> = serde_json::from_str(&line).expect("an array of text");
        Some(
            frames
                .iter()
                .map(|frame| Part::from(frame.as_str()))
                .collect(),
        )
    }

    fn subscribe(&mut self, topic: &str) {
        self.topics.push(topic.to_owned());
    }
}

/// The program on both sides, and then with pyzmq in one place and in the other.
fn against_all(roles: (Role, Role), scenario: fn(&mut dyn Peer, &mut dyn Peer)) {
    each_transport(&Zerohop, &Zerohop, roles, scenario);
    if let Some(pyzmq) = Pyzmq::available() {
        each_transport(&Zerohop, &pyzmq, roles, scenario);
        each_transport(&pyzmq, &Zerohop, roles, scenario);
    }
}

#[test]
fn push_and_pull() {
    against_all((Push, Pull), |push, pull| {
        for text in [["order 1", "tea"], ["", "grüße"], ["order 3", ""]] {
            push.send(&message(text));
            assert_eq!(pull.recv(), message(text));
        }
    });
}

/// What each says the other hears.
#[test]
fn dealer_and_pair() {
    for role in [Dealer, Pair] {
        against_all((role, role), |one, other| {
            for text in [["order 1", "tea"], ["", "grüße"], ["order 3", ""]] {
                one.send(&message(text));
                assert_eq!(other.recv(), message(text));
                other.send(&message(text));
                assert_eq!(one.recv(), message(text));
            }
        });
    }
}

#[test]
fn pub_and_sub() {
    publish((Pub, Sub));
}

#[test]
fn xpub_and_xsub() {
    publish((XPub, XSub));
}

fn publish(roles: (Role, Role)) {
    /// A subscriber that has subscribed before it is bound or connected, whatever its implementation.
    struct Subscribing<'a>(&'a dyn Implementation);

    impl Implementation for Subscribing<'_> {
        fn name(&self) -> &str {
            self.0.name()
        }

        fn open(&self, role: Role) -> Box<dyn Peer> {
            let mut peer = self.0.open(role);
            peer.subscribe("news");
            peer
        }
    }

    let once: fn(&mut dyn Peer, &mut dyn Peer) = |publisher, sub| {
        publisher.send(&message(["weather", "rain"]));
        publisher.send(&message(["news", "hello"]));
        publisher.send(&message(["newsreel"]));
        assert_eq!(sub.recv(), message(["news", "hello"]));
        assert_eq!(sub.recv(), message(["newsreel"]));
    };
    each_transport(&Zerohop, &Subscribing(&Zerohop), roles, once);
    if let Some(pyzmq) = Pyzmq::available() {
        each_transport(&Zerohop, &Subscribing(&pyzmq), roles, once);
        // pyzmq's publisher can't wait for subscribers: it says the same until somebody listens.
        each_transport(&pyzmq, &Subscribing(&Zerohop), roles, |publisher, sub| {
            let heard = (0..DEADLINE.as_millis()).step_by(10).any(|_| {
                publisher.send(&message(["weather", "rain"]));
                publisher.send(&message(["news", "hello"]));
                let heard = sub.recv_within(Duration::from_millis(10));
                heard.is_some_and(|heard| heard == message(["news", "hello"]))
            });
            assert!(heard, "nothing came");
        });
    }
}

#[test]
fn req_and_rep() {
    let echo: fn(&mut dyn Peer, &mut dyn Peer) = |req, _rep| {
        for text in [["price of", "42?"], ["price of", "43?"]] {
            req.send(&message(text));
            assert_eq!(req.recv(), message(text));
        }
    };
    each_transport(&Zerohop, &Zerohop, (Req, Rep), echo);
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    each_transport(&pyzmq, &Zerohop, (Req, Rep), echo);
    each_transport(&Zerohop, &pyzmq, (Req, Rep), |req, rep| {
        for price in ["9.99", "19.99"] {
            req.send(&message(["price?"]));
            assert_eq!(rep.recv(), message(["price?"]));
            rep.send(&message([price, "euros"]));
            assert_eq!(req.recv(), message([price, "euros"]));
        }
    });
}
