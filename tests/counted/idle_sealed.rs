//! Two thousand peers with CURVE that have nothing to say.

use zerohop::{Context, KeyPair, Options, Pull, Push, SecretKey};

use crate::common::deadline::DEADLINE;
use crate::gate::missing;
use crate::idle::{ROOMY, is_roomy, resident};
use crate::worker::{Worker, hear, say};

const PEERS: u64 = 2_000;

/// The first ones bring in code and buffers.
const FIRST: u64 = 100;

/// On either side, with all that belongs to a peer. What the kernel holds is not in it.
const MOST: u64 = 2048;

fn keys(seed: u8) -> KeyPair {
    KeyPair::from(SecretKey::from_bytes([seed; 32]))
}

#[test]
fn idle_sealed_peers_cost_next_to_nothing() {
    if !is_roomy() {
        return missing(
            "2,000 idle peers with CURVE",
            "a limit of 10,500 open files",
        );
    }
    let mut server = Worker::start_behind(&ROOMY, "accept_sealed");
    let mut client = Worker::start_behind(&ROOMY, &format!("connect_sealed {}", server.next()));
    let mut hold = |peers: u64| {
        for side in [&mut client, &mut server] {
            side.tell(&peers.to_string());
        }
        [&client, &server].map(|side| {
            assert_eq!(side.next(), "connected");
            resident(side.id())
        })
    };
    let (before, after) = (hold(FIRST), hold(PEERS));
    for ((before, after), side) in before.into_iter().zip(after).zip(["client", "server"]) {
        let (Some(before), Some(after)) = (before, after) else {
            continue;
        };
        let each = after.saturating_sub(before) / (PEERS - FIRST);
        println!("{each} bytes for each of {PEERS} idle connections with CURVE, {side}");
        assert!(each <= MOST, "{each} bytes for each, {side}");
    }
    // They are there, and served.
    server.tell("receive");
    client.tell("send");
    assert_eq!(server.next(), "hello");
}

/// Accepts whoever has the key.
pub(crate) fn accept() {
    let options = Options::new()
        .curve_server(keys(1))
        .allow([keys(2).public()])
        .max_pending_handshakes(20_000);
    let pull = Pull::with_options(&Context::new(), options).expect("a PULL");
    say(pull.bind("tcp://127.0.0.1:*").expect("bound"));
    while let Some(line) = hear() {
        if line == "receive" {
            let message = pull.recv_timeout(DEADLINE).expect("a message");
            say(message.first().to_string_lossy());
            continue;
        }
        let peers = line.parse().expect("a number");
        pull.wait_for_peers(peers, 2 * DEADLINE).expect("all peers");
        say("connected");
    }
}

/// Has as many connections as it is told.
pub(crate) fn connect(endpoint: &str) {
    let options = Options::new().curve_client(&keys(2), keys(1).public());
    let push = Push::with_options(&Context::new(), options).expect("a PUSH");
    let mut connections = 0;
    while let Some(line) = hear() {
        if line == "send" {
            push.send("hello").expect("sent");
            continue;
        }
        let peers = line.parse().expect("a number");
        // A few at a time: memory for handshakes is to be had again afterwards.
        while connections < peers {
            connections += 1;
            push.connect(endpoint).expect("connected");
            if connections % 10 == 0 {
                push.wait_for_peers(connections, DEADLINE)
                    .expect("all peers");
            }
        }
        say("connected");
    }
}
