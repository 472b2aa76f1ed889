//! One side of a conversation, whoever implements it: zerohop, libzmq in this process, or pyzmq and others in their own.
//!
//! A scenario is written once against [`Peer`] and then runs over every transport with either side binding and
//! either implementation in each role: [`each_way`].

use std::time::Duration;

use super::deadline::DEADLINE;
use super::endpoints::Transport;
use super::part::Part;

/// A socket type by its ZMTP name. Those that zerohop lacks are for the foreign side only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Push,
    Pull,
    Pub,
    Sub,
    Req,
    Rep,
    Router,
    Dealer,
    Pair,
    XPub,
    XSub,
}

/// A socket of some implementation. Every method panics with the reason when it can't do its work in time, and
/// those that a type lacks when they are called at all.
pub(crate) trait Peer {
    /// Binds and says what to connect to.
    fn bind(&mut self, endpoint: &str) -> String;

    /// Connects; like everywhere in ZeroMQ, nobody need be there yet.
    fn connect(&mut self, endpoint: &str);

    /// Sends one message; REP answers the request received last.
    fn send(&mut self, _message: &[Part]) {
        panic!("this type does not send");
    }

    /// The next message, if it comes within `patience`.
    fn recv_within(&mut self, _patience: Duration) -> Option<Vec<Part>> {
        panic!("this type does not receive");
    }

    /// Adds a subscription of a SUB or XSUB.
    fn subscribe(&mut self, _topic: &str) {
        panic!("this type does not subscribe");
    }

    /// Takes back a subscription of a SUB or XSUB.
    fn unsubscribe(&mut self, _topic: &str) {
        panic!("this type does not subscribe");
    }

    /// The next message, which must come.
    fn recv(&mut self) -> Vec<Part> {
        self.recv_within(DEADLINE)
            .expect("a message before the deadline")
    }
}

/// Makes sockets of one implementation.
pub(crate) trait Implementation {
    /// For the name of a failing case.
    fn name(&self) -> &str;

    /// What it can be reached over.
    fn transports(&self) -> &[Transport] {
        Transport::FOREIGN
    }

    /// A new socket.
    fn open(&self, role: Role) -> Box<dyn Peer>;
}

/// Runs `scenario` with a fresh pair of sockets over every transport, with either implementation in each role
/// and either role binding.
pub(crate) fn each_way(
    one: &dyn Implementation,
    other: &dyn Implementation,
    roles: (Role, Role),
    scenario: fn(&mut dyn Peer, &mut dyn Peer),
) {
    each_transport(one, other, roles, scenario);
    each_transport(other, one, roles, scenario);
}

/// Runs `scenario` over every transport, `first` and `second` in the roles given, with either of them binding.
pub(crate) fn each_transport(
    first: &dyn Implementation,
    second: &dyn Implementation,
    roles: (Role, Role),
    scenario: fn(&mut dyn Peer, &mut dyn Peer),
) {
    let both = |transport: &&Transport| second.transports().contains(transport);
    for &transport in first.transports().iter().filter(both) {
        for binder in [roles.0, roles.1] {
            // The harness shows this only when the case fails.
            let (from, to) = (first.name(), second.name());
            println!(
                "{from} {:?} and {to} {:?} over {transport:?}, {binder:?} binds",
                roles.0, roles.1
            );
            let (mut left, mut right) = (first.open(roles.0), second.open(roles.1));
            if binder == roles.0 {
                join(left.as_mut(), right.as_mut(), transport);
            } else {
                join(right.as_mut(), left.as_mut(), transport);
            }
            scenario(left.as_mut(), right.as_mut());
        }
    }
}

/// Binds one, connects the other.
pub(crate) fn join(binder: &mut dyn Peer, connector: &mut dyn Peer, transport: Transport) {
    let endpoint = binder.bind(&transport.endpoint());
    connector.connect(&endpoint);
}
