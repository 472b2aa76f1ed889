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

const RUNS: usize = 3;

/// Buffers of the socket, and what the allocator is left with, however many peers there are.
const BESIDE: u64 = 512 << 10;

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
    // What the allocator is left with differs from run to run, and what a connection takes does not.
    let held = (0..RUNS).any(|_| most_of_either_side() <= MOST);
    assert!(held, "more than {MOST} bytes for each, {RUNS} times");
}

/// The bytes for each connection, on the side that takes more.
fn most_of_either_side() -> u64 {
    let mut server = Worker::start_behind(&ROOMY, "accept_sealed");
    let mut client = Worker::start_behind(&ROOMY, &format!("connect_sealed {}", server.next()));
    let mut hold = |peers: u64| {
        client.tell(&format!("connect {peers}"));
        assert_eq!(client.next(), "connected");
        let of_client = resident(client.id());
        // What a message takes has to go when it has passed. At the client that is less than what the allocator keeps of it.
        client.tell(&format!("send {peers}"));
        server.tell(&peers.to_string());
        assert_eq!(server.next(), "received");
        [of_client, resident(server.id())]
    };
    let (before, after) = (hold(FIRST), hold(PEERS));
    let mut most = 0;
    for ((before, after), side) in before.into_iter().zip(after).zip(["client", "server"]) {
        let (Some(before), Some(after)) = (before, after) else {
            continue;
        };
        let each = after.saturating_sub(before + BESIDE) / (PEERS - FIRST);
        println!("{each} bytes for each of {PEERS} idle connections with CURVE, {side}");
        most = most.max(each);
    }
    most
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
        let peers = line.parse().expect("a number");
        pull.wait_for_peers(peers, 2 * DEADLINE).expect("all peers");
        for _ in 0..peers {
            pull.recv_timeout(DEADLINE).expect("one from each");
        }
        say("received");
    }
}

/// Has as many connections as it is told, and sends as many messages.
pub(crate) fn connect(endpoint: &str) {
    let options = Options::new().curve_client(&keys(2), keys(1).public());
    let push = Push::with_options(&Context::new(), options).expect("a PUSH");
    let mut connections = 0;
    while let Some(line) = hear() {
        let (what, count) = line.split_once(' ').expect("two words");
        let count = count.parse().expect("a number");
        if what == "send" {
            for _ in 0..count {
                push.send("passes").expect("sent");
            }
            continue;
        }
        // A few at a time: memory for handshakes is to be had again afterwards.
        while connections < count {
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
