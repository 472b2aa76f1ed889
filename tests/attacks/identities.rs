//! Peers that play with the names by which a ROUTER knows them, and more of them than a PAIR has.

use zerohop::{
    Context, DisconnectCause, Event, Incoming, Monitor, Options, Pair, PeerRefusal, Routed, Router,
    RoutingId,
};

use crate::common::deadline::DEADLINE;
use crate::common::events::wait_for_end;
use crate::common::memory::Watch;
use crate::common::raw::{RawPeer, command, frame, greeting, property, ready};
use crate::{ANY_PORT, GROWTH};

struct Target {
    router: Router,
    endpoint: String,
    monitor: Monitor,
}

fn target(options: Options) -> Target {
    let router = Router::with_options(&Context::new(), options).expect("a ROUTER");
    let endpoint = router.bind(ANY_PORT).expect("bound").to_string();
    let monitor = router.monitor();
    Target {
        router,
        endpoint,
        monitor,
    }
}

impl Target {
    /// Greets the ROUTER as a DEALER of this name.
    fn greet(&self, name: &[u8]) -> RawPeer {
        let mut raw = RawPeer::connect(&self.endpoint);
        let properties = [
            property("Socket-Type", b"DEALER"),
            property("Identity", name),
        ];
        raw.write(&greeting(1, "NULL"));
        raw.write(&command("READY", &properties.concat()));
        raw.read(64);
        raw.read_frame();
        raw
    }

    /// The same, and says something; gives the name by which the ROUTER knows it.
    fn join(&self, name: &[u8], text: &str) -> (RawPeer, RoutingId) {
        let mut raw = self.greet(name);
        raw.write(&frame(0, text.as_bytes()));
        (raw, self.hear(text))
    }

    fn hear(&self, text: &str) -> RoutingId {
        let Incoming { peer, message } = self.router.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(message, *text);
        peer
    }

    /// The peer of this name, and no other, hears what is sent to it.
    fn reach(&self, name: impl AsRef<[u8]>, raw: &mut RawPeer, text: &str) {
        let routed = self.router.send_to(name, text).expect("sent");
        assert_eq!(routed, Routed::Queued);
        assert_eq!(raw.read_frame(), (0, text.as_bytes().to_vec()));
    }

    #[track_caller]
    fn assert_refused(&self, raw: &mut RawPeer, refusal: PeerRefusal) {
        assert_eq!(
            wait_for_end(&self.monitor),
            DisconnectCause::Refused(refusal)
        );
        raw.expect_closed();
    }
}

#[test]
fn a_name_stays_with_its_owner() {
    let target = target(Options::new());
    let (mut owner, name) = target.join(b"owner", "here");
    assert_eq!(name, "owner");
    for _ in 0..100 {
        let mut thief = target.greet(b"owner");
        // What it says is not heard.
        thief.pour(&frame(0, b"I am the owner"));
        target.assert_refused(&mut thief, PeerRefusal::RoutingIdTaken);
        target.reach("owner", &mut owner, "yours");
    }
    owner.write(&frame(0, b"still here"));
    assert_eq!(target.hear("still here"), "owner");
    assert_eq!(target.router.stats().peers.len(), 1);
}

#[test]
fn a_name_falls_free_with_its_owner() {
    let target = target(Options::new());
    for number in 0..100 {
        let (mut raw, name) = target.join(b"same", &number.to_string());
        target.reach(&name, &mut raw, "yours");
        drop(raw);
        wait_for_end(&target.monitor);
    }
}

#[test]
fn a_name_is_taken_over_only_if_that_is_asked_for() {
    let target = target(Options::new().router_handover(true));
    let (mut former, _) = target.join(b"same", "here");
    for number in 0..100 {
        let (mut newcomer, name) = target.join(b"same", &number.to_string());
        assert_eq!(name, "same");
        target.assert_refused(&mut former, PeerRefusal::RoutingIdHandedOver);
        target.reach("same", &mut newcomer, "yours");
        former = newcomer;
    }
    assert_eq!(target.router.routing_ids(), [RoutingId::from("same")]);
}

/// They start with a zero byte: who could choose one could have what is meant for another that has gone, or keep one out that comes.
#[test]
fn names_that_a_router_makes_up_cannot_be_asked_for() {
    let target = target(Options::new());
    let (mut owner, made_up) = target.join(b"", "here");
    let next = {
        let mut bytes: [u8; 5] = made_up.as_bytes().try_into().expect("five bytes");
        let number = u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
        bytes[1..].copy_from_slice(&number.wrapping_add(1).to_be_bytes());
        bytes
    };
    for reserved in [made_up.as_bytes(), &next, b"\0", b"\0name"] {
        let mut thief = target.greet(reserved);
        target.assert_refused(&mut thief, PeerRefusal::RoutingIdReserved);
    }
    target.reach(&made_up, &mut owner, "yours");
    let (mut second, name) = target.join(b"", "me too");
    assert_eq!(name.as_bytes(), next);
    target.reach(next, &mut second, "yours, too");
}

#[test]
fn names_have_up_to_255_bytes_of_any_value() {
    let target = target(Options::new());
    let all: Vec<u8> = (1..=255).collect();
    let names: [&[u8]; 5] = [b"\x01", b"\xff\0\xff", &[b'x'; 254], &all, b" "];
    let mut peers = names.map(|name| {
        let (raw, known) = target.join(name, "here");
        assert_eq!(known.as_bytes(), name);
        raw
    });
    for (name, raw) in names.iter().zip(&mut peers) {
        target.reach(name, raw, "yours");
    }
    for long in [256, 10_000] {
        let mut raw = target.greet(&vec![b'x'; long]);
        target.assert_refused(&mut raw, PeerRefusal::RoutingIdReserved);
    }
}

#[test]
fn peers_without_end_leave_nothing_behind() {
    let memory = Watch::start();
    let target = target(Options::new());
    let (mut owner, _) = target.join(b"owner", "here");
    for number in 0..2_000_u32 {
        // Each with a long name of its own, a name that is taken, or none.
        let mut name = vec![b'n'; 255];
        name[..4].copy_from_slice(&(number + 0x0101_0101).to_be_bytes());
        match number % 3 {
            0 => drop(target.greet(&name)),
            1 => drop(target.greet(b"owner")),
            _ => drop(target.greet(b"")),
        }
        let mut ended = false;
        while !ended {
            let event = target.monitor.recv_timeout(DEADLINE).expect("an event");
            ended = matches!(event, Event::Disconnected { .. });
        }
    }
    memory.assert_growth_below(GROWTH);
    assert_eq!(target.router.stats().peers.len(), 1);
    target.reach("owner", &mut owner, "yours");
}

/// Whatever they say, and when.
#[test]
fn a_pair_hears_nobody_but_its_peer() {
    let memory = Watch::start();
    let pair = Pair::new(&Context::new()).expect("a PAIR");
    let endpoint = pair.bind(ANY_PORT).expect("bound").to_string();
    let monitor = pair.monitor();
    let mut peer = RawPeer::connect(&endpoint);
    peer.shake_hands(1, "PAIR");
    pair.wait_for_peers(1, DEADLINE).expect("the peer");
    let hello = [
        greeting(1, "NULL"),
        ready("PAIR"),
        frame(0, b"not heard").repeat(1_000),
    ];
    for _ in 0..500 {
        let mut stranger = RawPeer::connect(&endpoint);
        // All in one piece, so that the messages come with the end of the handshake.
        stranger.pour(&hello.concat());
        assert_eq!(
            wait_for_end(&monitor),
            DisconnectCause::Refused(PeerRefusal::HasPeer)
        );
        stranger.expect_closed();
    }
    peer.write(&frame(0, b"heard"));
    assert_eq!(pair.recv_timeout(DEADLINE).expect("a message"), "heard");
    pair.send_timeout("yours", DEADLINE).expect("sent");
    assert_eq!(peer.read_frame(), (0, b"yours".to_vec()));
    assert_eq!(pair.stats().peers.len(), 1);
    memory.assert_growth_below(GROWTH);
}
