//! zerohop and libzmq: every scenario over every transport, each side in each role, either side binding.

mod common {
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

use common::libzmq::Libzmq;
use common::ours::Zerohop;
use common::peer::Role::{Dealer, Pair, Pub, Pull, Push, Rep, Req, Router, Sub, XPub, XSub};
use common::peer::{Peer, Role, each_way};
use common::routers::Setting;
use common::{routers, scenarios};

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
    both((XPub, Sub), scenarios::tells_subscriptions);
}

#[test]
fn xpub_selects_topics() {
    both((XPub, Sub), scenarios::selects_topics);
}

#[test]
fn xsub_subscribes_to_all() {
    both((Pub, XSub), scenarios::subscribes_to_all);
}

#[test]
fn xsub_talks_up() {
    both((XPub, XSub), scenarios::xsub_talks_up);
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
fn pairs_talk() {
    both((Pair, Pair), scenarios::pairs_talk);
}

#[test]
fn dealers_talk() {
    both((Dealer, Dealer), scenarios::dealers_talk);
}

#[test]
fn router_answers_dealer() {
    both((Dealer, Router), scenarios::router_answers_dealer);
}

#[test]
fn router_answers_req() {
    both((Req, Router), scenarios::router_answers_req);
}

#[test]
fn a_router_makes_up_names_for_their_dealers() {
    routers::a_router_makes_up_names_for_their_dealers(&open);
}

#[test]
fn our_router_probes_theirs() {
    routers::our_router_probes_theirs(&open);
}

#[test]
fn their_router_probes_ours() {
    routers::their_router_probes_ours(&open);
}

#[test]
fn their_second_dealer_of_a_name_waits_for_the_first_to_leave() {
    routers::their_second_dealer_of_a_name_waits_for_the_first_to_leave(&open);
}

#[test]
fn a_name_is_handed_over_to_their_newcomer() {
    routers::a_name_is_handed_over_to_their_newcomer(&open);
}

#[test]
fn their_router_hands_a_name_over_to_ours() {
    routers::their_router_hands_a_name_over_to_ours(&open);
}
