//! The typed sockets behind one trait, and which of them go together.

use std::thread;
use std::time::Duration;

use crate::sockets::{
    AnySocket, BindError, Channel, Client, CloseError, Context, Dealer, Dish, Gather, Monitor,
    Options, Pair, Peer, Pub, Pull, Push, Radio, Rep, Req, Router, Scatter, Server, Stats, Sub,
    UnbindError, WaitError, Xpub, Xsub,
};

use crate::arena::nimble;
use crate::common::until::{GLANCE, until};

/// What all socket types have.
pub(crate) trait Socket: Sized + Send + Sync {
    fn with_options(context: &Context, options: Options) -> Self;
    fn try_bind(&self, endpoint: &str) -> Result<String, BindError>;
    fn connect(&self, endpoint: &str);
    fn unbind(&self, endpoint: &str) -> Result<(), UnbindError>;
    fn disconnect(&self, endpoint: &str) -> Result<(), UnbindError>;
    fn wait_for_peers(&self, count: usize, timeout: Duration) -> Result<(), WaitError>;
    fn monitor(&self) -> Monitor;
    fn stats(&self) -> Stats;
    fn close(self, timeout: Duration) -> Result<(), CloseError>;

    fn open(context: &Context) -> Self {
        Self::with_options(context, nimble())
    }

    fn bind(&self, endpoint: &str) -> String {
        self.try_bind(endpoint).expect("bound")
    }

    /// Waits until there are exactly so many connections.
    fn settle_at(&self, peers: usize) {
        until("the number of peers is right", || {
            let all = self.stats().peers;
            let connected = all.iter().filter(|peer| peer.connection.is_some());
            if connected.count() == peers {
                return Some(());
            }
            // Nothing tells of a number that falls: look again soon.
            let _ = self.wait_for_peers(usize::MAX, Duration::from_millis(1));
            None
        });
    }
}

impl<S: AnySocket> Socket for S {
    fn with_options(context: &Context, options: Options) -> Self {
        <S as AnySocket>::with_options(context, options).expect("a socket")
    }
    fn try_bind(&self, endpoint: &str) -> Result<String, BindError> {
        AnySocket::bind(self, endpoint).map(|endpoint| endpoint.to_string())
    }
    fn connect(&self, endpoint: &str) {
        AnySocket::connect(self, endpoint).expect("connected");
    }
    fn unbind(&self, endpoint: &str) -> Result<(), UnbindError> {
        AnySocket::unbind(self, endpoint)
    }
    fn disconnect(&self, endpoint: &str) -> Result<(), UnbindError> {
        AnySocket::disconnect(self, endpoint)
    }
    fn wait_for_peers(&self, count: usize, timeout: Duration) -> Result<(), WaitError> {
        AnySocket::wait_for_peers(self, count, timeout)
    }
    fn monitor(&self) -> Monitor {
        AnySocket::monitor(self)
    }
    fn stats(&self) -> Stats {
        AnySocket::stats(self)
    }
    fn close(self, timeout: Duration) -> Result<(), CloseError> {
        AnySocket::close(self, timeout)
    }
}

/// Two socket types that talk to each other, and how.
pub(crate) trait Pairing {
    /// The side that speaks first.
    type Giver: Socket;
    /// The side that listens.
    type Taker: Socket;

    /// The connections of a giver, and of a taker, that has connected to one endpoint twice.
    const CONNECTIONS_OF_TWO: (usize, usize);

    /// What a fresh taker needs before messages come.
    fn prepare(_taker: &Self::Taker) {}

    /// Gets `text` across, trying again while connections come and go: what was in a connection that broke may be
    /// lost with it. Each text is for one call.
    fn pass(giver: &Self::Giver, taker: &Self::Taker, text: &str);
}

/// PUSH to PULL.
pub(crate) struct PushPull;

/// PUB to SUB.
pub(crate) struct PubSub;

/// XPUB to SUB.
pub(crate) struct XpubSub;

/// PUB to XSUB.
pub(crate) struct PubXsub;

/// XPUB to XSUB.
pub(crate) struct XpubXsub;

/// REQ to REP, and back.
pub(crate) struct ReqRep;

/// DEALER to REP, and back.
pub(crate) struct DealerRep;

/// DEALER to DEALER, and back.
pub(crate) struct DealerDealer;

impl Pairing for PushPull {
    const CONNECTIONS_OF_TWO: (usize, usize) = (2, 2);
    type Giver = Push;
    type Taker = Pull;

    fn pass(push: &Push, pull: &Pull, text: &str) {
        until("the message arrives", || {
            let _ = push.send_timeout(text, GLANCE);
            received(|| pull.recv_timeout(GLANCE).ok(), text)
        });
    }
}

impl Pairing for PubSub {
    const CONNECTIONS_OF_TWO: (usize, usize) = (1, 1);
    type Giver = Pub;
    type Taker = Sub;

    fn prepare(sub: &Sub) {
        sub.subscribe("").expect("subscribed");
    }

    fn pass(publisher: &Pub, sub: &Sub, text: &str) {
        until("the message arrives", || {
            publisher.send(text).expect("published");
            received(|| sub.recv_timeout(GLANCE).ok(), text)
        });
    }
}

/// PAIR to PAIR.
pub(crate) struct PairPair;

/// DEALER to ROUTER, and back.
pub(crate) struct DealerRouter;

/// REQ to ROUTER, and back.
pub(crate) struct ReqRouter;

/// ROUTER to ROUTER, neither with a name.
pub(crate) struct RouterRouter;

impl Pairing for ReqRouter {
    const CONNECTIONS_OF_TWO: (usize, usize) = (1, 2);
    type Giver = Req;
    type Taker = Router;

    fn pass(req: &Req, router: &Router, text: &str) {
        thread::scope(|scope| {
            let asking = scope.spawn(|| {
                until("the request is answered", || {
                    req.request_timeout(text, 10 * GLANCE).ok()
                })
            });
            until("the answer is accepted", || {
                if let Ok(incoming) = router.recv_timeout(GLANCE) {
                    let _ = router.try_send_to(&incoming.peer, incoming.message);
                }
                asking.is_finished().then_some(())
            });
            assert_eq!(asking.join().expect("the asking thread"), *text);
        });
    }
}

impl Pairing for PairPair {
    const CONNECTIONS_OF_TWO: (usize, usize) = (1, 1);
    type Giver = Pair;
    type Taker = Pair;

    fn pass(giver: &Pair, taker: &Pair, text: &str) {
        until("the message arrives", || {
            let _ = giver.send_timeout(text, GLANCE);
            received(|| taker.recv_timeout(GLANCE).ok(), text)
        });
    }
}

impl Pairing for DealerRouter {
    const CONNECTIONS_OF_TWO: (usize, usize) = (1, 2);
    type Giver = Dealer;
    type Taker = Router;

    fn pass(dealer: &Dealer, router: &Router, text: &str) {
        until("the message comes back", || {
            let _ = dealer.send_timeout(text, GLANCE);
            if let Ok(incoming) = router.recv_timeout(GLANCE) {
                let _ = router.try_send_to(&incoming.peer, incoming.message);
            }
            received(|| dealer.recv_timeout(GLANCE).ok(), text)
        });
    }
}

impl Pairing for RouterRouter {
    const CONNECTIONS_OF_TWO: (usize, usize) = (2, 2);
    type Giver = Router;
    type Taker = Router;

    fn pass(giver: &Router, taker: &Router, text: &str) {
        until("the message arrives", || {
            for id in giver.routing_ids() {
                let _ = giver.try_send_to(id, text);
            }
            let _ = giver.wait_for_peers(usize::MAX, Duration::from_millis(1));
            let next = || taker.recv_timeout(GLANCE).ok();
            received(|| next().map(|incoming| incoming.message), text)
        });
    }
}

/// Takes what has come until it is `text`; what an earlier call has repeated is passed over.
fn received(mut next: impl FnMut() -> Option<zerohop::Message>, text: &str) -> Option<()> {
    while let Some(message) = next() {
        if message == *text {
            return Some(());
        }
    }
    None
}

impl Pairing for ReqRep {
    const CONNECTIONS_OF_TWO: (usize, usize) = (1, 2);
    type Giver = Req;
    type Taker = Rep;

    fn pass(req: &Req, rep: &Rep, text: &str) {
        let reply = format!("re: {text}");
        thread::scope(|scope| {
            let asking = scope.spawn(|| {
                until("the request is answered", || {
                    req.request_timeout(text, 10 * GLANCE).ok()
                })
            });
            until("the answer is accepted", || {
                if let Ok(request) = rep.recv_timeout(GLANCE)
                    && *request.message() == *text
                {
                    let _ = request.reply(&reply);
                }
                asking.is_finished().then_some(())
            });
            let got = asking.join().expect("the asking thread");
            assert_eq!(got, *reply);
        });
    }
}

impl Pairing for DealerRep {
    const CONNECTIONS_OF_TWO: (usize, usize) = (1, 2);
    type Giver = Dealer;
    type Taker = Rep;

    fn pass(dealer: &Dealer, rep: &Rep, text: &str) {
        let answer = zerohop::Message::from(["", &format!("re: {text}")]);
        until("the question is answered", || {
            let _ = dealer.send_timeout(["", text], GLANCE);
            if let Ok(request) = rep.recv_timeout(GLANCE)
                && *request.message() == *text
            {
                let _ = request.reply(format!("re: {text}"));
            }
            while let Ok(message) = dealer.recv_timeout(GLANCE) {
                if message == answer {
                    return Some(());
                }
            }
            None
        });
    }
}

impl Pairing for DealerDealer {
    const CONNECTIONS_OF_TWO: (usize, usize) = (1, 1);
    type Giver = Dealer;
    type Taker = Dealer;

    fn pass(giver: &Dealer, taker: &Dealer, text: &str) {
        until("the message arrives", || {
            let _ = giver.send_timeout(text, GLANCE);
            received(|| taker.recv_timeout(GLANCE).ok(), text)
        });
        let back = format!("re: {text}");
        until("the answer arrives", || {
            let _ = taker.send_timeout(&back, GLANCE);
            received(|| giver.recv_timeout(GLANCE).ok(), &back)
        });
    }
}

/// Publishes until it arrives. What an XPUB is told meanwhile is taken.
fn publish(xpub: &Xpub, text: &str, next: impl Fn() -> Option<zerohop::Message>) {
    until("the message arrives", || {
        while xpub.try_recv().is_ok() {}
        xpub.send(text).expect("published");
        received(&next, text)
    });
}

impl Pairing for XpubSub {
    const CONNECTIONS_OF_TWO: (usize, usize) = (2, 1);
    type Giver = Xpub;
    type Taker = Sub;

    fn prepare(sub: &Sub) {
        sub.subscribe("").expect("subscribed");
    }

    fn pass(xpub: &Xpub, sub: &Sub, text: &str) {
        publish(xpub, text, || sub.recv_timeout(GLANCE).ok());
    }
}

impl Pairing for PubXsub {
    const CONNECTIONS_OF_TWO: (usize, usize) = (1, 2);
    type Giver = Pub;
    type Taker = Xsub;

    fn prepare(xsub: &Xsub) {
        xsub.subscribe("").expect("subscribed");
    }

    fn pass(publisher: &Pub, xsub: &Xsub, text: &str) {
        until("the message arrives", || {
            publisher.send(text).expect("published");
            received(|| xsub.recv_timeout(GLANCE).ok(), text)
        });
    }
}

impl Pairing for XpubXsub {
    const CONNECTIONS_OF_TWO: (usize, usize) = (2, 2);
    type Giver = Xpub;
    type Taker = Xsub;

    fn prepare(xsub: &Xsub) {
        xsub.send([1_u8]).expect("subscribed");
    }

    fn pass(xpub: &Xpub, xsub: &Xsub, text: &str) {
        publish(xpub, text, || xsub.recv_timeout(GLANCE).ok());
        // And up.
        let up = format!("up: {text}");
        until("the answer arrives", || {
            xsub.send(&up).expect("sent");
            received(|| xpub.recv_timeout(GLANCE).ok(), &up)
        });
    }
}

/// CLIENT to SERVER, and back.
pub(crate) struct ClientServer;

/// PEER to PEER.
pub(crate) struct PeerPeer;

/// RADIO to DISH.
pub(crate) struct RadioDish;

/// SCATTER to GATHER.
pub(crate) struct ScatterGather;

/// CHANNEL to CHANNEL.
pub(crate) struct ChannelChannel;

impl Pairing for ClientServer {
    const CONNECTIONS_OF_TWO: (usize, usize) = (2, 2);
    type Giver = Client;
    type Taker = Server;

    fn pass(client: &Client, server: &Server, text: &str) {
        until("the message comes back", || {
            let _ = client.send_timeout(text, GLANCE);
            if let Ok(incoming) = server.recv_timeout(GLANCE) {
                let _ = server.try_send_to(incoming.peer, incoming.message);
            }
            received(|| client.recv_timeout(GLANCE).ok(), text)
        });
    }
}

impl Pairing for PeerPeer {
    const CONNECTIONS_OF_TWO: (usize, usize) = (2, 2);
    type Giver = Peer;
    type Taker = Peer;

    fn pass(giver: &Peer, taker: &Peer, text: &str) {
        until("the message arrives", || {
            for number in giver.peers() {
                let _ = giver.try_send_to(number, text);
            }
            let _ = giver.wait_for_peers(usize::MAX, Duration::from_millis(1));
            let next = || taker.recv_timeout(GLANCE).ok();
            received(|| next().map(|incoming| incoming.message), text)
        });
    }
}

impl Pairing for RadioDish {
    const CONNECTIONS_OF_TWO: (usize, usize) = (2, 2);
    type Giver = Radio;
    type Taker = Dish;

    fn prepare(dish: &Dish) {
        dish.join("group").expect("joined");
    }

    fn pass(radio: &Radio, dish: &Dish, text: &str) {
        until("the message arrives", || {
            radio.send("group", text).expect("sent");
            let next = || dish.recv_timeout(GLANCE).ok();
            received(|| next().map(|received| received.message), text)
        });
    }
}

impl Pairing for ScatterGather {
    const CONNECTIONS_OF_TWO: (usize, usize) = (2, 2);
    type Giver = Scatter;
    type Taker = Gather;

    fn pass(scatter: &Scatter, gather: &Gather, text: &str) {
        until("the message arrives", || {
            let _ = scatter.send_timeout(text, GLANCE);
            received(|| gather.recv_timeout(GLANCE).ok(), text)
        });
    }
}

impl Pairing for ChannelChannel {
    const CONNECTIONS_OF_TWO: (usize, usize) = (1, 1);
    type Giver = Channel;
    type Taker = Channel;

    fn pass(giver: &Channel, taker: &Channel, text: &str) {
        until("the message arrives", || {
            let _ = giver.send_timeout(text, GLANCE);
            received(|| taker.recv_timeout(GLANCE).ok(), text)
        });
    }
}
