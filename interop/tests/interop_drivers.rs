//! The yardstick measured against itself: the scenarios hold between libzmq and pyzmq, without zerohop.
//!
//! When an interop test fails and these pass, the fault is in zerohop, not in a scenario or a driver.

mod common {
    pub(crate) mod child;
    pub(crate) mod deadline;
    pub(crate) mod endpoints;
    pub(crate) mod libzmq;
    pub(crate) mod line_peer;
    pub(crate) mod part;
    pub(crate) mod peer;
    pub(crate) mod pyzmq;
    pub(crate) mod scenarios;
    pub(crate) mod unique;
    pub(crate) mod until;
}

use common::libzmq::Libzmq;
use common::peer::Role::{Dealer, Pair, Pub, Pull, Push, Rep, Req, Router, Sub, XPub, XSub};
use common::peer::{Peer, Role, each_way};
use common::pyzmq::Pyzmq;
use common::scenarios;

fn check(roles: (Role, Role), scenario: fn(&mut dyn Peer, &mut dyn Peer)) {
    if let Some(pyzmq) = Pyzmq::available() {
        each_way(&Libzmq::new(), &pyzmq, roles, scenario);
    }
}

#[test]
fn keeps_frames() {
    check((Push, Pull), scenarios::keeps_frames);
}

#[test]
fn carries_sizes() {
    check((Push, Pull), scenarios::carries_sizes);
}

#[test]
fn carries_100_mib() {
    check((Push, Pull), scenarios::carries_mib::<100>);
}

#[test]
fn keeps_order() {
    check((Push, Pull), scenarios::keeps_order);
}

#[test]
fn selects_topics() {
    check((Pub, Sub), scenarios::selects_topics);
}

#[test]
fn subscribes_to_all() {
    check((Pub, Sub), scenarios::subscribes_to_all);
}

#[test]
fn tells_subscriptions() {
    check((XPub, Sub), scenarios::tells_subscriptions);
}

#[test]
fn xpub_selects_topics() {
    check((XPub, Sub), scenarios::selects_topics);
}

#[test]
fn xsub_subscribes_to_all() {
    check((Pub, XSub), scenarios::subscribes_to_all);
}

#[test]
fn xsub_talks_up() {
    check((XPub, XSub), scenarios::xsub_talks_up);
}

#[test]
fn asks_and_answers() {
    check((Req, Rep), scenarios::asks_and_answers);
}

#[test]
fn dealer_asks_rep() {
    check((Dealer, Rep), scenarios::dealer_asks_rep);
}

#[test]
fn pairs_talk() {
    check((Pair, Pair), scenarios::pairs_talk);
}

#[test]
fn dealers_talk() {
    check((Dealer, Dealer), scenarios::dealers_talk);
}

#[test]
fn router_answers_dealer() {
    check((Dealer, Router), scenarios::router_answers_dealer);
}

#[test]
fn router_answers_req() {
    check((Req, Router), scenarios::router_answers_req);
}
