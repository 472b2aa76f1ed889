//! zerohop and libzmq: every scenario over every transport, each side in each role, either side binding.

mod common {
    pub(crate) mod both_ways;
    pub(crate) mod deadline;
    pub(crate) mod endpoints;
    pub(crate) mod libzmq;
    pub(crate) mod ours;
    pub(crate) mod part;
    pub(crate) mod peer;
    pub(crate) mod routers;
    pub(crate) mod scenarios;
    pub(crate) mod unique;
    pub(crate) mod until;
}

use common::both_ways::both_ways;
use common::libzmq::Libzmq;
use common::ours::Zerohop;
use common::peer::{Peer, Role, each_way};
use common::routers::{Open, Setting};

/// Either of the two in each role.
fn both(roles: (Role, Role), scenario: fn(&mut dyn Peer, &mut dyn Peer)) {
    each_way(&Zerohop::new(), &Libzmq::new(), roles, scenario);
}

/// libzmq for the tests of routers.
fn open(role: Role, settings: &[Setting]) -> Box<dyn Peer> {
    let peer = Libzmq::new().start(role);
    for setting in settings {
        let set = match *setting {
            Setting::Name(name) => peer.socket.set_identity(name.as_bytes()),
            Setting::Probe => peer.socket.set_probe_router(true),
            Setting::Handover => peer.socket.set_router_handover(true),
        };
        set.expect("an option of libzmq");
    }
    Box::new(peer)
}

/// A test with routers.
fn routed(test: fn(Open<'_>)) {
    test(&open);
}

both_ways!(both, routed);
