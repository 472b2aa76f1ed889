//! What zerohop must be able to do with every other implementation, as a list of tests.

/// A test of each scenario, which `$both` runs with one implementation in either role; and of each test of routers, which `$routed` runs.
macro_rules! both_ways {
    ($both:ident, $routed:ident) => {
        both_ways! {
            $both, $routed;
            fn keeps_frames(Push, Pull): keeps_frames;
            fn carries_sizes(Push, Pull): carries_sizes;
            fn carries_100_mib(Push, Pull): carries_mib::<100>;
            fn keeps_order(Push, Pull): keeps_order;
            fn selects_topics(Pub, Sub): selects_topics;
            fn subscribes_to_all(Pub, Sub): subscribes_to_all;
            fn tells_subscriptions(XPub, Sub): tells_subscriptions;
            fn xpub_selects_topics(XPub, Sub): selects_topics;
            fn xsub_subscribes_to_all(Pub, XSub): subscribes_to_all;
            fn xsub_talks_up(XPub, XSub): xsub_talks_up;
            fn asks_and_answers(Req, Rep): asks_and_answers;
            fn dealer_asks_rep(Dealer, Rep): dealer_asks_rep;
            fn pairs_talk(Pair, Pair): pairs_talk;
            fn dealers_talk(Dealer, Dealer): dealers_talk;
            fn router_answers_dealer(Dealer, Router): router_answers_dealer;
            fn router_answers_req(Req, Router): router_answers_req;
            routers:
            fn a_router_makes_up_names_for_their_dealers();
            fn our_router_probes_theirs();
            fn their_router_probes_ours();
            fn their_second_dealer_of_a_name_waits_for_the_first_to_leave();
            fn a_name_is_handed_over_to_their_newcomer();
            fn their_router_hands_a_name_over_to_ours();
        }
    };
    (
        $both:ident, $routed:ident;
        $(fn $name:ident($one:ident, $other:ident): $scenario:ident $(::<$mib:literal>)?;)*
        routers:
        $(fn $test:ident();)*
    ) => {
        $(
            #[test]
            fn $name() {
                let roles = (
                    $crate::common::peer::Role::$one,
                    $crate::common::peer::Role::$other,
                );
                $both(roles, $crate::common::scenarios::$scenario $(::<$mib>)?);
            }
        )*
        $(
            #[test]
            fn $test() {
                $routed($crate::common::routers::$test);
            }
        )*
    };
}

pub(crate) use both_ways;
