//! zerohop and libzmq: the draft types, over every transport, each side in each role, either side binding.
//!
//! `.cargo/config.toml` has libzmq built with its draft API.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod draft_libzmq;
    pub(crate) mod endpoints;
    pub(crate) mod part;
    #[allow(dead_code, reason = "roles are for types that all know")]
    pub(crate) mod peer;
    pub(crate) mod unique;
    pub(crate) mod until;
}

#[path = "others/drafts.rs"]
mod drafts;

use common::deadline::DEADLINE;
use common::draft_libzmq::{Draft, HELLO, number};
use common::endpoints::Transport;
use common::part::message;
use common::peer::Peer;
use zerohop::{Client, Context, Options, Server};

/// What the draft types are tested over.
const TRANSPORTS: &[Transport] = Transport::FOREIGN;

/// A socket of libzmq of a draft type, by its name.
fn draft(socket_type: &str) -> Option<Box<dyn Peer>> {
    Some(Box::new(Draft::open(number(socket_type))?))
}

/// As a message of theirs greets ours, and ours theirs.
#[test]
fn hello_messages_are_first_both_ways() {
    let context = Context::new();
    for &transport in TRANSPORTS {
        let Some(mut server) = Draft::open(number("SERVER")) else {
            return;
        };
        server.set(HELLO, b"their hello");
        let endpoint = server.bind(&transport.endpoint());
        let options = Options::new().hello_message("our hello");
        let client = Client::with_options(&context, options.clone()).expect("a CLIENT");
        client.connect(&endpoint).expect("connected");
        client.send("question").expect("sent");
        for expected in ["our hello", "question"] {
            assert_eq!(server.recv(), message([expected]));
        }
        let greeting = client.recv_timeout(DEADLINE).expect("a greeting");
        assert_eq!(greeting, "their hello");

        let server = Server::with_options(&context, options).expect("a SERVER");
        let endpoint = server.bind(transport.endpoint()).expect("bound");
        let mut client = Draft::open(number("CLIENT")).expect("drafts, as before");
        client.set(HELLO, b"their hello");
        client.connect(&endpoint.to_string());
        client.send(&message(["question"]));
        for expected in ["their hello", "question"] {
            let incoming = server.recv_timeout(DEADLINE).expect(expected);
            assert_eq!(incoming.message, expected);
        }
        assert_eq!(client.recv(), message(["our hello"]));
    }
}
