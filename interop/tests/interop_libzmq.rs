//! zerohop and libzmq: every scenario over every transport, each side in each role, either side binding.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod endpoints;
    pub(crate) mod libzmq;
    pub(crate) mod ours;
    pub(crate) mod part;
    pub(crate) mod peer;
    pub(crate) mod scenarios;
    pub(crate) mod unique;
    pub(crate) mod until;
}

use common::libzmq::Libzmq;
use common::ours::Zerohop;
use common::peer::Role::{Dealer, Pub, Pull, Push, Rep, Req, Router, Sub, XPub};
use common::peer::{Peer, Role, each_transport, each_way};
use common::scenarios;

/// Either of the two in each role.
fn both(roles: (Role, Role), scenario: fn(&mut dyn Peer, &mut dyn Peer)) {
    each_way(&Zerohop::new(), &Libzmq::new(), roles, scenario);
}

#[test]
fn keeps_frames() {
    both((Push, Pull), scenarios::keeps_frames);
}

#[test]
fn carries_sizes() {
    both((Push, Pull), scenarios::carries_sizes);
}

#[test]
fn carries_100_mib() {
    both((Push, Pull), scenarios::carries_100_mib);
}

#[test]
fn keeps_order() {
    both((Push, Pull), scenarios::keeps_order);
}

#[test]
fn selects_topics() {
    both((Pub, Sub), scenarios::selects_topics);
}

#[test]
fn subscribes_to_all() {
    both((Pub, Sub), scenarios::subscribes_to_all);
}

#[test]
fn tells_subscriptions() {
    each_transport(
        &Libzmq::new(),
        &Zerohop::new(),
        (XPub, Sub),
        scenarios::tells_subscriptions,
    );
}

#[test]
fn asks_and_answers() {
    both((Req, Rep), scenarios::asks_and_answers);
}

#[test]
fn dealer_asks_rep() {
    both((Dealer, Rep), scenarios::dealer_asks_rep);
}

#[test]
fn dealers_talk() {
    both((Dealer, Dealer), scenarios::dealers_talk);
}

#[test]
fn router_answers_dealer() {
    each_transport(
        &Zerohop::new(),
        &Libzmq::new(),
        (Dealer, Router),
        scenarios::router_answers_dealer,
    );
}

#[test]
fn router_answers_req() {
    each_transport(
        &Zerohop::new(),
        &Libzmq::new(),
        (Req, Router),
        scenarios::router_answers_req,
    );
}
