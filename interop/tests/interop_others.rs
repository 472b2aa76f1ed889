//! zerohop and implementations of ZMTP that are not libzmq, so that not one reading of the protocol is agreed with alone: the scenarios of
//! each pair of socket types that both have, each side in each role, either side binding.

mod common {
    pub(crate) mod child;
    pub(crate) mod deadline;
    pub(crate) mod endpoints;
    pub(crate) mod line_peer;
    pub(crate) mod others;
    pub(crate) mod ours;
    pub(crate) mod part;
    pub(crate) mod peer;
    #[allow(dead_code, reason = "100 MiB are for libzmq and pyzmq")]
    pub(crate) mod scenarios;
    pub(crate) mod unique;
    pub(crate) mod until;
}

#[path = "others/drafts.rs"]
mod drafts;

use common::endpoints::Transport;
use common::others::Other;
use common::ours::Zerohop;
use common::peer::{Peer, Role, each_way};

/// What the draft types are tested over.
const TRANSPORTS: &[Transport] = &[Transport::Tcp];

/// A socket of omq of a draft type, by its name.
fn draft(socket_type: &str) -> Option<Box<dyn Peer>> {
    let omq = Other::Omq.available()?;
    Some(Box::new(omq.start(socket_type)))
}

/// Either of the two in each role.
fn both(other: Other, roles: (Role, Role), scenario: fn(&mut dyn Peer, &mut dyn Peer)) {
    if let Some(other) = other.available() {
        each_way(&Zerohop::new(), &other, roles, scenario);
    }
}

macro_rules! with {
    ($module:ident, $other:ident: $($test:ident($one:ident, $two:ident): $scenario:ident;)*) => {
        mod $module {
            $(#[test]
            fn $test() {
                let roles = (crate::Role::$one, crate::Role::$two);
                crate::both(crate::Other::$other, roles, crate::common::scenarios::$scenario);
            })*
        }
    };
}

with! { jeromq, Jeromq:
    keeps_frames(Push, Pull): keeps_frames;
    carries_sizes(Push, Pull): carries_sizes;
    keeps_order(Push, Pull): keeps_order;
    selects_topics(Pub, Sub): selects_topics;
    subscribes_to_all(Pub, Sub): subscribes_to_all;
    tells_subscriptions(XPub, Sub): tells_subscriptions;
    // Its XSUB sends nothing but subscriptions.
    xsub_subscribes_to_all(Pub, XSub): subscribes_to_all;
    asks_and_answers(Req, Rep): asks_and_answers;
    dealer_asks_rep(Dealer, Rep): dealer_asks_rep;
    router_answers_req(Req, Router): router_answers_req;
    router_answers_dealer(Dealer, Router): router_answers_dealer;
    dealers_talk(Dealer, Dealer): dealers_talk;
    pairs_talk(Pair, Pair): pairs_talk;
}

with! { czmq, Czmq:
    keeps_frames(Push, Pull): keeps_frames;
    carries_sizes(Push, Pull): carries_sizes;
    keeps_order(Push, Pull): keeps_order;
    selects_topics(Pub, Sub): selects_topics;
    subscribes_to_all(Pub, Sub): subscribes_to_all;
    tells_subscriptions(XPub, Sub): tells_subscriptions;
    xsub_talks_up(XPub, XSub): xsub_talks_up;
    asks_and_answers(Req, Rep): asks_and_answers;
    dealer_asks_rep(Dealer, Rep): dealer_asks_rep;
    router_answers_req(Req, Router): router_answers_req;
    router_answers_dealer(Dealer, Router): router_answers_dealer;
    dealers_talk(Dealer, Dealer): dealers_talk;
    pairs_talk(Pair, Pair): pairs_talk;
}

with! { zeromq, Zeromq:
    keeps_frames(Push, Pull): keeps_frames;
    carries_sizes(Push, Pull): carries_sizes;
    keeps_order(Push, Pull): keeps_order;
    selects_topics(Pub, Sub): selects_topics;
    subscribes_to_all(Pub, Sub): subscribes_to_all;
    tells_subscriptions(XPub, Sub): tells_subscriptions;
    xsub_subscribes_to_all(Pub, XSub): subscribes_to_all;
    asks_and_answers(Req, Rep): asks_and_answers;
    dealer_asks_rep(Dealer, Rep): dealer_asks_rep;
    router_answers_req(Req, Router): router_answers_req;
    router_answers_dealer(Dealer, Router): router_answers_dealer;
    dealers_talk(Dealer, Dealer): dealers_talk;
}

with! { omq, Omq:
    keeps_frames(Push, Pull): keeps_frames;
    carries_sizes(Push, Pull): carries_sizes;
    keeps_order(Push, Pull): keeps_order;
    selects_topics(Pub, Sub): selects_topics;
    subscribes_to_all(Pub, Sub): subscribes_to_all;
    tells_subscriptions(XPub, Sub): tells_subscriptions;
    // Nor does this one's send anything else.
    xsub_subscribes_to_all(Pub, XSub): subscribes_to_all;
    asks_and_answers(Req, Rep): asks_and_answers;
    dealer_asks_rep(Dealer, Rep): dealer_asks_rep;
    router_answers_req(Req, Router): router_answers_req;
    router_answers_dealer(Dealer, Router): router_answers_dealer;
    dealers_talk(Dealer, Dealer): dealers_talk;
    pairs_talk(Pair, Pair): pairs_talk;
}
