//! One address that takes all it can get.

use zerohop::{AddressLimit, Context, DisconnectCause, Options, Pull, Push};

use crate::common::deadline::DEADLINE;
use crate::common::events::wait_for_end;
use crate::common::raw::RawPeer;

fn pull(options: Options) -> (Context, Pull, String) {
    let context = Context::new();
    let pull = Pull::with_options(&context, options).expect("a PULL");
    let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    (context, pull, endpoint)
}

/// The same machine under another address.
fn from_elsewhere(endpoint: &str) -> String {
    endpoint.replace("tcp://", "tcp://127.0.0.2:0;")
}

#[test]
fn connections_of_one_address_leave_room_for_others() {
    let (context, pull, endpoint) = pull(Options::new().max_connections_per_address(3));
    let monitor = pull.monitor();
    let mut crowd: Vec<RawPeer> = (0..3).map(|_| RawPeer::connect(&endpoint)).collect();
    let mut one_more = RawPeer::connect(&endpoint);
    one_more.expect_closed();
    let cause = DisconnectCause::AddressLimit(AddressLimit::Connections);
    assert_eq!(wait_for_end(&monitor), cause);
    let push = Push::new(&context).expect("a PUSH");
    push.connect(&*from_elsewhere(&endpoint))
        .expect("connected");
    push.send("good").expect("queued");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("let in"), "good");
    // Who goes makes room for another.
    crowd.pop();
    let push = Push::new(&context).expect("a PUSH");
    push.connect(&*endpoint).expect("connected");
    push.send("good").expect("queued");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("let in"), "good");
}

#[test]
fn handshakes_of_one_address_leave_room_for_others() {
    let (context, pull, endpoint) = pull(Options::new().max_handshakes_per_address(2));
    let monitor = pull.monitor();
    let _silent: Vec<RawPeer> = (0..2).map(|_| RawPeer::connect(&endpoint)).collect();
    let mut one_more = RawPeer::connect(&endpoint);
    one_more.expect_closed();
    let cause = DisconnectCause::AddressLimit(AddressLimit::Handshakes);
    assert_eq!(wait_for_end(&monitor), cause);
    let push = Push::new(&context).expect("a PUSH");
    push.connect(&*from_elsewhere(&endpoint))
        .expect("connected");
    push.send("good").expect("queued");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("let in"), "good");
    assert_eq!(pull.stats().handshakes_failed, 1);
}

/// Three at once, and then one more each third of a second at the most.
#[test]
fn a_flood_from_one_address_is_cut_off() {
    let (_context, pull, endpoint) = pull(Options::new().max_handshake_rate_per_address(3));
    let monitor = pull.monitor();
    let flood: Vec<RawPeer> = (0..50).map(|_| RawPeer::connect(&endpoint)).collect();
    let cause = DisconnectCause::AddressLimit(AddressLimit::HandshakeRate);
    assert_eq!(wait_for_end(&monitor), cause);
    drop(flood);
}
