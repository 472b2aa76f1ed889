//! A simulated pair: two handshakes and scanners joined by two wires, over every split, version and socket
//! type, and two heartbeats on a virtual clock.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{SocketType, greeting, ready};
use crate::fuzzing::{Event, Peer, Seen};
use crate::zmtp::{
    FrameKind, Heartbeat, HeartbeatAction, HeartbeatConfig, ProtocolError, Version, put_cancel,
    put_frame, put_ping, put_pong, put_subscribe,
};

/// How the bytes on a wire are cut into reads.
#[derive(Clone, Copy)]
enum Cuts {
    /// Everything there is at once, but never across this place in the stream.
    At(usize),
    /// One byte at a time.
    Everywhere,
}

/// One direction of the connection: everything ever sent on it, and how much of that has arrived.
struct Wire {
    stream: Vec<u8>,
    arrived: usize,
    cuts: Cuts,
    /// Turns the sender into one of ZMTP 3.0 by changing the minor version in its greeting.
    as_3_0: bool,
}

impl Wire {
    fn new(cuts: Cuts, as_3_0: bool) -> Self {
        Self {
            stream: Vec::new(),
            arrived: 0,
            cuts,
            as_3_0,
        }
    }

    /// Delivers one read; whether there was anything.
    fn deliver(&mut self, to: &mut Peer) -> bool {
        const MINOR_AT: usize = 11;
        if self.as_3_0 && self.stream.len() > MINOR_AT {
            self.stream[MINOR_AT] = 0;
        }
        let end = match self.cuts {
            Cuts::At(place) if place > self.arrived => place.min(self.stream.len()),
            Cuts::At(_) => self.stream.len(),
            Cuts::Everywhere => (self.arrived + 1).min(self.stream.len()),
        };
        if end == self.arrived {
            return false;
        }
        to.feed(&self.stream[self.arrived..end]);
        self.arrived = end;
        true
    }
}

/// What a side sends once it is established.
fn traffic(version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    put_frame(&mut out, FrameKind::Last, b"single");
    put_frame(&mut out, FrameKind::More, b"first");
    if version.has_commands() {
        put_ping(&mut out, Duration::from_millis(1500), b"ctx");
        put_pong(&mut out, b"");
    }
    put_frame(&mut out, FrameKind::Last, &[b'L'; 300]);
    put_subscribe(&mut out, version, b"topic");
    put_cancel(&mut out, version, b"topic");
    put_frame(&mut out, FrameKind::Last, b"");
    out
}

/// What the other side is to see of that.
fn expected_events(version: Version) -> Vec<Event> {
    let part = |body: &[u8], last| Event::Part {
        body: body.to_vec(),
        last,
    };
    let command = |text: &str| Event::Command(text.to_owned());
    let mut events = vec![part(b"single", true), part(b"first", false)];
    if version.has_commands() {
        events.push(command("Ping { ttl: 1.5s, context: [99, 116, 120] }"));
        events.push(command("Pong { context: [] }"));
    }
    events.push(part(&[b'L'; 300], true));
    if version >= Version::V3_1 {
        events.push(command("Subscribe([116, 111, 112, 105, 99])"));
        events.push(command("Cancel([116, 111, 112, 105, 99])"));
    } else {
        events.push(part(b"\x01topic", true));
        events.push(part(b"\x00topic", true));
    }
    events.push(part(b"", true));
    events
}

/// Runs two of our sides against each other until nothing moves any more.
fn join(mut a: Peer, mut b: Peer, mut to_b: Wire, mut to_a: Wire) -> (Seen, Seen, Wire, Wire) {
    let (mut a_sent, mut b_sent) = (false, false);
    loop {
        for (peer, wire, sent) in [
            (&mut a, &mut to_b, &mut a_sent),
            (&mut b, &mut to_a, &mut b_sent),
        ] {
            wire.stream.append(&mut peer.seen.out);
            if let (Some(established), false) = (&peer.seen.established, *sent) {
                wire.stream.extend(traffic(established.version));
                *sent = true;
            }
        }
        let moved = [to_b.deliver(&mut b), to_a.deliver(&mut a)];
        if moved == [false, false] && a.seen.out.is_empty() && b.seen.out.is_empty() {
            return (a.seen, b.seen, to_b, to_a);
        }
    }
}

fn dealer() -> Peer {
    Peer::with_routing_id(SocketType::Dealer, b"id")
}

fn router() -> Peer {
    let mut router = Peer::connecting(SocketType::Router);
    router.reads_elsewhere = true;
    router
}

/// A dealer and a router of these versions, with the wires cut so.
fn assert_pair(versions: [Version; 2], cuts: [Cuts; 2]) -> usize {
    let [dealer_version, router_version] = versions;
    let to_router = Wire::new(cuts[0], dealer_version < Version::V3_1);
    let to_dealer = Wire::new(cuts[1], router_version < Version::V3_1);
    let (seen_by_dealer, seen_by_router, to_router, _) =
        join(dealer(), router(), to_router, to_dealer);
    let sides = [
        (
            seen_by_dealer,
            router_version,
            dealer_version,
            SocketType::Router,
            &b""[..],
        ),
        (
            seen_by_router,
            dealer_version,
            router_version,
            SocketType::Dealer,
            b"id",
        ),
    ];
    for (seen, theirs, ours, socket_type, routing_id) in sides {
        assert_eq!(seen.error, None);
        let established = seen.established.expect("both sides are established");
        assert_eq!(established.version, theirs);
        assert_eq!(established.facts.version(), theirs);
        assert_eq!(established.facts.socket_type(), socket_type);
        assert_eq!(
            established.facts.routing_id(),
            &Bytes::copy_from_slice(routing_id)
        );
        assert_eq!(established.facts.mechanism(), "NULL");
        // The other side encodes for the version that it takes us for.
        assert_eq!(seen.events, expected_events(ours));
    }
    to_router.stream.len()
}

#[test]
fn every_split_of_every_version_mix() {
    let versions = [Version::V3_0, Version::V3_1];
    for dealer_version in versions {
        for router_version in versions {
            let mix = [dealer_version, router_version];
            assert_pair(mix, [Cuts::Everywhere; 2]);
            assert_pair(mix, [Cuts::Everywhere, Cuts::At(0)]);
            let len = assert_pair(mix, [Cuts::At(0); 2]);
            for place in 0..=len {
                assert_pair(mix, [Cuts::At(place), Cuts::At(0)]);
                assert_pair(mix, [Cuts::At(0), Cuts::At(place)]);
            }
        }
    }
}

#[test]
fn every_pair_of_socket_types_against_the_matrix() {
    let types = SocketType::ALL.into_iter().filter(|t| t.speaks_zmtp());
    for a in types.clone() {
        for b in types.clone() {
            for cuts in [Cuts::At(0), Cuts::Everywhere] {
                let (by_a, by_b, to_b, to_a) = join(
                    Peer::connecting(a),
                    Peer::connecting(b),
                    Wire::new(cuts, false),
                    Wire::new(cuts, false),
                );
                for (seen, wire, ours, theirs) in [(by_a, to_b, a, b), (by_b, to_a, b, a)] {
                    if a.accepts(b) {
                        assert_eq!(seen.error, None);
                        assert_eq!(seen.events, expected_events(Version::V3_1));
                        continue;
                    }
                    assert_eq!(seen.established, None);
                    let error = ProtocolError::IncompatibleSocketType { ours, theirs };
                    assert_eq!(seen.error, Some(error));
                    assert!(
                        wire.stream
                            .ends_with(b"\x05ERROR\x18incompatible socket type")
                    );
                }
            }
        }
    }
}

#[test]
fn every_split_of_every_legal_pairs_handshake() {
    for ours in SocketType::ALL {
        for theirs in SocketType::ALL
            .into_iter()
            .filter(|theirs| ours.accepts(*theirs))
        {
            let stream = [&greeting(3, 1, "NULL")[..], &ready(theirs), b"\0\x01m"].concat();
            for place in 0..=stream.len() {
                let mut peer = Peer::connecting(ours);
                peer.feed(&stream[..place]);
                peer.feed(&stream[place..]);
                let established = peer.seen.established.expect("established");
                assert_eq!(established.facts.socket_type(), theirs);
                assert_eq!(
                    peer.seen.events,
                    [Event::Part {
                        body: b"m".to_vec(),
                        last: true
                    }]
                );
            }
        }
    }
}

/// The 2.0 side is scripted: there is no way to make ours that old.
#[test]
fn every_split_with_a_2_0_peer() {
    for with_id in [&b""[..], b"me", &[b'i'; 255]] {
        let mut stream = b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x05".to_vec();
        put_frame(&mut stream, FrameKind::Last, with_id);
        stream.extend(traffic(Version::V2_0));
        for place in 0..=stream.len() {
            let mut peer = Peer::with_routing_id(SocketType::Router, b"us");
            peer.feed(&stream[..place]);
            peer.feed(&stream[place..]);
            let seen = peer.seen;
            let established = seen.established.expect("established");
            assert_eq!(established.version, Version::V2_0);
            assert_eq!(established.facts.socket_type(), SocketType::Dealer);
            assert_eq!(established.facts.routing_id(), with_id);
            assert_eq!(seen.events, expected_events(Version::V2_0));
            assert_eq!(seen.out, b"\xff\0\0\0\0\0\0\0\0\x7f\x03\x06\x00\x02us");
        }
    }
}

/// The bytes of a whole DEALER handshake, and when they come: 11 at once, the rest of the greeting and READY on the peer's
/// 11th byte.
#[test]
fn golden_bytes_of_a_handshake() {
    let mut peer = Peer::connecting(SocketType::Dealer);
    let mut golden = b"\xff\0\0\0\0\0\0\0\0\x7f\x03".to_vec();
    assert_eq!(peer.seen.out, golden);
    let input = greeting(3, 1, "NULL");
    peer.feed(&input[..10]);
    assert_eq!(peer.seen.out, golden);
    peer.feed(&input[10..11]);
    golden.extend_from_slice(b"\x01NULL");
    golden.resize(64, 0);
    golden
        .extend_from_slice(b"\x04\x29\x05READY\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0");
    assert_eq!(peer.seen.out, golden);
    peer.feed(&input[11..]);
    assert_eq!(peer.seen.out, golden);
    peer.feed(&ready(SocketType::Router));
    assert_eq!(peer.seen.out, golden);
    assert!(peer.seen.established.is_some());
}

const SECOND: Duration = Duration::from_secs(1);

/// Both sides' heartbeats on a virtual clock, over a link with a delay that dies after a while. Gives
/// the time at which each side gave the other up, from the start on.
fn beat(
    configs: [HeartbeatConfig; 2],
    dies_after: Duration,
    end: Duration,
) -> [Option<Duration>; 2] {
    const DELAY: Duration = Duration::from_millis(3);
    let start = Instant::now();
    let mut beats = configs.map(|config| Heartbeat::new(config, start));
    let mut expired = [None; 2];
    // Arrivals: when, at whom, and with a time-to-live if it is a PING.
    let mut on_the_way: Vec<(Instant, usize, Option<Duration>)> = Vec::new();
    let mut now = start;
    while now < start + end {
        let mut arrived: Vec<_> = on_the_way.extract_if(.., |(at, ..)| *at <= now).collect();
        arrived.sort();
        for (_, side, ping) in arrived {
            beats[side].received(now);
            if let Some(ttl) = ping {
                beats[side].peer_ttl(ttl, now);
                on_the_way.push((now + DELAY, 1 - side, None));
            }
        }
        for side in 0..2 {
            if expired[side].is_some() {
                continue;
            }
            match beats[side].handle_timeout(now) {
                HeartbeatAction::Nothing => {}
                HeartbeatAction::SendPing => {
                    on_the_way.push((now + DELAY, 1 - side, Some(TTL)));
                }
                // Nothing but PINGs is sent.
                HeartbeatAction::Doubt | HeartbeatAction::Expired => {
                    expired[side] = Some(now - start);
                }
            }
        }
        on_the_way.retain(|(at, ..)| *at < start + dies_after);
        let arrivals = on_the_way.iter().map(|(at, ..)| *at);
        let deadlines = (0..2).filter(|side| expired[*side].is_none());
        let deadlines = deadlines.filter_map(|side| beats[side].deadline());
        let Some(next) = arrivals.chain(deadlines).min() else {
            break;
        };
        assert!(next > now, "a deadline that was acted on must move");
        now = next;
    }
    expired
}

/// What PINGs ask a peer to hold us to.
const TTL: Duration = Duration::from_secs(5);

#[test]
fn heartbeats_keep_a_live_link_and_end_a_dead_one() {
    let pinging = HeartbeatConfig {
        interval: Some(SECOND),
        timeout: 2 * SECOND,
    };
    let silent = HeartbeatConfig {
        interval: None,
        timeout: SECOND,
    };
    let hour = 3600 * SECOND;

    assert_eq!(beat([pinging, pinging], hour, hour), [None, None]);
    assert_eq!(beat([pinging, silent], hour, hour), [None, None]);
    assert_eq!(beat([silent, silent], SECOND, hour), [None, None]);

    // The link dies at 10.5 s: the PING of 11 s is not answered within 2 s; the silent side last
    // heard of us at 10.003 s and holds us to the 5 s of that PING.
    let dies = Duration::from_millis(10_500);
    let expired = beat([pinging, silent], dies, hour);
    assert_eq!(
        expired,
        [Some(13 * SECOND), Some(Duration::from_millis(15_003))]
    );
}
