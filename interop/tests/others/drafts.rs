//! The draft types with those of another implementation: either side in each role, either side binding.

use std::time::Duration;

use zerohop::{
    AnySocket, Channel, Client, Context, Dish, Gather, Options, Peer, Radio, Scatter, Server,
};

use crate::common::deadline::DEADLINE;
use crate::common::part::{Part, message};
use crate::common::peer::Peer as Theirs;
use crate::common::until::{GLANCE, until};

/// Around every length at which the encoding or a buffer changes.
const SIZES: [usize; 6] = [1, 255, 256, 8192, 65536, 1 << 20];

/// Runs a test with a socket of ours and one of theirs, of this type, with either of them binding.
fn with<S: AnySocket>(theirs: &str, test: impl Fn(&S, &mut dyn Theirs)) {
    let context = Context::new();
    for &transport in crate::TRANSPORTS {
        for we_bind in [true, false] {
            let options = Options::new().linger(Some(Duration::ZERO));
            let ours = S::with_options(&context, options).expect("a socket");
            let Some(mut theirs) = crate::draft(theirs) else {
                return;
            };
            if we_bind {
                let endpoint = ours.bind(&transport.endpoint()).expect("bound");
                theirs.connect(&endpoint.to_string());
            } else {
                let endpoint = theirs.bind(&transport.endpoint());
                ours.connect(&endpoint).expect("connected");
            }
            ours.wait_for_peers(1, DEADLINE).expect("a peer");
            test(&ours, &mut *theirs);
        }
    }
}

/// One frame, as a message of theirs.
fn theirs(frame: &[u8]) -> Vec<Part> {
    vec![Part::from_frame(frame)]
}

fn sized(length: usize) -> Vec<u8> {
    Part::sized(length).to_frame()
}

#[test]
fn our_client_asks_their_server() {
    with::<Client>("SERVER", |client, server| {
        for size in SIZES {
            client.send_timeout(sized(size), DEADLINE).expect("sent");
            assert_eq!(server.recv(), theirs(&sized(size)));
            server.send(&message(["answer"]));
            let answer = client.recv_timeout(DEADLINE).expect("an answer");
            assert_eq!(answer, "answer");
        }
    });
}

#[test]
fn their_client_asks_our_server() {
    with::<Server>("CLIENT", |server, client| {
        for size in SIZES {
            client.send(&theirs(&sized(size)));
            let asked = server.recv_timeout(DEADLINE).expect("a question");
            assert_eq!(asked.message, sized(size));
            // As many as it likes, and not only in answer.
            for text in ["one", "two"] {
                let sent = server.send_to_timeout(asked.peer, text, DEADLINE);
                sent.expect("sent");
                assert_eq!(client.recv(), message([text]));
            }
        }
    });
}

#[test]
fn our_radio_reaches_their_dish() {
    with::<Radio>("DISH", |radio, dish| {
        dish.subscribe("news");
        let heard = until("it has joined", || {
            radio.send("other", "not for it").expect("sent");
            radio.send("news", "first").expect("sent");
            dish.recv_within(GLANCE)
        });
        assert_eq!(heard, message(["news", "first"]));
        for size in SIZES {
            radio.send("news", sized(size)).expect("sent");
        }
        for size in SIZES {
            let body = Part::sized(size);
            let wanted = vec![Part::from("news"), body];
            until("it comes after those of before", || {
                (dish.recv() == wanted).then_some(())
            });
        }
    });
}

#[test]
fn their_radio_reaches_our_dish() {
    with::<Dish>("RADIO", |dish, radio| {
        dish.join("news").expect("joined");
        let heard = until("it has joined", || {
            radio.send(&message(["other", "not for it"]));
            radio.send(&message(["news", "first"]));
            dish.recv_timeout(GLANCE).ok()
        });
        assert_eq!(
            (&heard.group[..], heard.message),
            (&b"news"[..], "first".into())
        );
        dish.leave("news").expect("left");
        dish.join("weather").expect("joined");
        let heard = until("it has joined another", || {
            radio.send(&message(["weather", "fair"]));
            let heard = dish.recv_timeout(GLANCE).ok()?;
            // Those of the group before may still be under way.
            (&heard.group[..] == b"weather").then_some(heard)
        });
        assert_eq!(heard.message, "fair");
    });
}

#[test]
fn our_scatter_feeds_their_gather() {
    with::<Scatter>("GATHER", |scatter, gather| {
        for size in SIZES {
            scatter.send_timeout(sized(size), DEADLINE).expect("sent");
            assert_eq!(gather.recv(), theirs(&sized(size)));
        }
    });
}

#[test]
fn their_scatter_feeds_our_gather() {
    with::<Gather>("SCATTER", |gather, scatter| {
        for size in SIZES {
            scatter.send(&theirs(&sized(size)));
            let received = gather.recv_timeout(DEADLINE).expect("a message");
            assert_eq!(received, sized(size));
        }
    });
}

#[test]
fn channels_talk() {
    with::<Channel>("CHANNEL", |ours, other| {
        for size in SIZES {
            ours.send_timeout(sized(size), DEADLINE).expect("sent");
            other.send(&theirs(&sized(size)));
            assert_eq!(other.recv(), theirs(&sized(size)));
            let received = ours.recv_timeout(DEADLINE).expect("a message");
            assert_eq!(received, sized(size));
        }
    });
}

#[test]
fn peers_talk() {
    with::<Peer>("PEER", |ours, other| {
        let peers = ours.peers();
        assert_eq!(peers.len(), 1);
        for size in SIZES {
            let sent = ours.send_to_timeout(peers[0], sized(size), DEADLINE);
            sent.expect("sent");
            assert_eq!(other.recv(), theirs(&sized(size)));
            other.send(&message(["answer"]));
            let answer = ours.recv_timeout(DEADLINE).expect("an answer");
            assert_eq!((answer.peer, answer.message), (peers[0], "answer".into()));
        }
    });
}
