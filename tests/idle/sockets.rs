//! Idle sockets of every type, and how each shows that it still serves good peers.

use std::thread;
use std::time::{Duration, Instant};

use zerohop::{
    AnySocket, Context, Dealer, Monitor, Options, Pub, Pull, Push, RecvSocket, Rep, Req, Router,
    SendSocket, Sub, Xpub, Xsub,
};

use crate::common::deadline::DEADLINE;

/// A socket of any type that is bound and idle.
pub(crate) struct Idle {
    /// The type of a peer that goes with it.
    pub(crate) peer: &'static str,
    pub(crate) endpoint: String,
    pub(crate) monitor: Monitor,
    pub(crate) socket: Box<dyn Serve>,
}

/// An idle socket of each type, one after the other.
pub(crate) fn for_every_type(options: &Options, check: impl Fn(&Idle)) {
    macro_rules! idle {
        ($socket:ident, $peer:literal) => {{
            // Dropped last: that waits until the socket is gone.
            let context = Context::new();
            let socket = $socket::with_options(&context, options.clone()).expect("a socket");
            check(&Idle {
                peer: $peer,
                endpoint: socket.bind("tcp://127.0.0.1:*").expect("bound").to_string(),
                monitor: socket.monitor(),
                socket: Box::new(socket),
            });
        }};
    }
    idle!(Pull, "PUSH");
    idle!(Push, "PULL");
    idle!(Pub, "SUB");
    idle!(Sub, "PUB");
    idle!(Dealer, "DEALER");
    idle!(Router, "DEALER");
    idle!(Xpub, "SUB");
    idle!(Xsub, "PUB");
    idle!(Rep, "REQ");
    idle!(Req, "REP");
}

/// Shows that a socket serves a good peer, which connects to it there, and has gone by the end.
pub(crate) trait Serve {
    fn serve(&self, endpoint: &str);
}

fn connected<S: AnySocket>(context: &Context, endpoint: &str) -> S {
    let socket = S::new(context).expect("a socket");
    socket.connect(endpoint).expect("connected");
    socket
}

fn passes(from: &impl SendSocket, to: &impl RecvSocket) {
    from.send_timeout("good", DEADLINE).expect("sent");
    let got = to.recv_timeout(DEADLINE).expect("a message");
    assert_eq!(got, *"good");
}

impl Serve for Pull {
    fn serve(&self, endpoint: &str) {
        let context = Context::new();
        passes(&connected::<Push>(&context, endpoint), self);
    }
}

impl Serve for Push {
    fn serve(&self, endpoint: &str) {
        let context = Context::new();
        let pull = connected::<Pull>(&context, endpoint);
        // Others may be there, whom it gives to in turn.
        let end = Instant::now() + DEADLINE;
        while pull.recv_timeout(Duration::from_millis(20)).is_err() {
            self.send_timeout("good", DEADLINE).expect("sent");
            assert!(Instant::now() < end, "nothing comes");
        }
    }
}

impl Serve for Pub {
    fn serve(&self, endpoint: &str) {
        let context = Context::new();
        let sub = connected::<Sub>(&context, endpoint);
        sub.subscribe("good").expect("subscribed");
        let subscribed = self.wait_for_subscribers("good", 1, DEADLINE);
        subscribed.expect("a subscriber");
        passes(self, &sub);
    }
}

impl Serve for Sub {
    fn serve(&self, endpoint: &str) {
        let context = Context::new();
        let publisher = connected::<Pub>(&context, endpoint);
        self.subscribe("good").expect("subscribed");
        let subscribed = publisher.wait_for_subscribers("good", 1, DEADLINE);
        subscribed.expect("a subscriber");
        passes(&publisher, self);
    }
}

impl Serve for Xpub {
    fn serve(&self, endpoint: &str) {
        let context = Context::new();
        let sub = connected::<Sub>(&context, endpoint);
        sub.subscribe("good").expect("subscribed");
        let subscribed = self.wait_for_subscribers("good", 1, DEADLINE);
        subscribed.expect("a subscriber");
        passes(self, &sub);
    }
}

impl Serve for Xsub {
    fn serve(&self, endpoint: &str) {
        let context = Context::new();
        let publisher = connected::<Pub>(&context, endpoint);
        self.subscribe("good").expect("subscribed");
        let subscribed = publisher.wait_for_subscribers("good", 1, DEADLINE);
        subscribed.expect("a subscriber");
        passes(&publisher, self);
    }
}

impl Serve for Dealer {
    fn serve(&self, endpoint: &str) {
        let context = Context::new();
        passes(&connected::<Dealer>(&context, endpoint), self);
    }
}

impl Serve for Router {
    fn serve(&self, endpoint: &str) {
        let context = Context::new();
        let dealer = connected::<Dealer>(&context, endpoint);
        dealer.send_timeout("good", DEADLINE).expect("sent");
        let got = self.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(got.message, *"good");
    }
}

impl Serve for Rep {
    fn serve(&self, endpoint: &str) {
        let context = Context::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                let request = self.recv_timeout(DEADLINE).expect("a request");
                request.reply("good").expect("replied");
            });
            let req = connected::<Req>(&context, endpoint);
            let reply = req.request_timeout("?", DEADLINE).expect("a reply");
            assert_eq!(reply, *"good");
        });
    }
}

impl Serve for Req {
    fn serve(&self, endpoint: &str) {
        let context = Context::new();
        thread::scope(|scope| {
            let rep = connected::<Rep>(&context, endpoint);
            rep.wait_for_peers(1, DEADLINE).expect("connected");
            scope.spawn(move || {
                let request = rep.recv_timeout(DEADLINE).expect("a request");
                request.reply("good").expect("replied");
            });
            // Others may be there, who do not answer.
            let end = Instant::now() + DEADLINE;
            while self
                .request_timeout("?", Duration::from_millis(20))
                .is_err()
            {
                assert!(Instant::now() < end, "no reply");
            }
        });
    }
}
