//! Endpoints come and go, on either side and in any order.

use std::time::Duration;

use crate::sockets::{
    Context, Dealer, Event, Pub, Pull, Push, RecvError, Routed, Router, Sub, UnbindError, WaitError,
};

use crate::arena::{Transport, nimble, on_every_transport};
use crate::common::deadline::DEADLINE;
use crate::common::until::{GLANCE, until};
use crate::pairs::{Pairing, PubSub, Socket};

macro_rules! suite {
    ($name:ident: $pairing:ident) => {
        on_every_transport!($name: $pairing =>
            taker_binds, giver_binds, taker_connects_first, giver_connects_first,
            one_taker_many_endpoints, one_giver_many_takers, both_bind_and_connect,
            taker_restarts, giver_restarts, unbinds, disconnects, connects_twice, waits_for_peers, names_are_taken_once,
        );
    };
}

suite!(push_pull: PushPull);
suite!(pub_sub: PubSub);
suite!(req_rep: ReqRep);
suite!(dealer_rep: DealerRep);
suite!(dealer_dealer: DealerDealer);
suite!(dealer_router: DealerRouter);
suite!(req_router: ReqRouter);
suite!(router_router: RouterRouter);
suite!(xpub_sub: XpubSub);
suite!(pub_xsub: PubXsub);
suite!(xpub_xsub: XpubXsub);
suite!(client_server: ClientServer);
suite!(peer_peer: PeerPeer);
suite!(radio_dish: RadioDish);
suite!(scatter_gather: ScatterGather);

// Without those where a socket has more than one peer.
on_every_transport!(pair_pair: PairPair =>
    taker_binds, giver_binds, taker_connects_first, giver_connects_first, taker_restarts, giver_restarts, unbinds, disconnects,
    connects_twice, waits_for_peers, names_are_taken_once,
);

on_every_transport!(channel_channel: ChannelChannel =>
    taker_binds, giver_binds, taker_connects_first, giver_connects_first, taker_restarts, giver_restarts, unbinds, disconnects,
    connects_twice, waits_for_peers, names_are_taken_once,
);

on_every_transport!(
    what_came_before_unbind_is_received,
    what_came_to_a_router_before_unbind_bears_its_name,
    what_came_before_disconnect_is_counted,
);

fn open<P: Pairing>(context: &Context) -> (P::Giver, P::Taker) {
    (P::Giver::open(context), taker::<P>(context))
}

fn taker<P: Pairing>(context: &Context) -> P::Taker {
    let taker = P::Taker::open(context);
    P::prepare(&taker);
    taker
}

fn taker_binds<P: Pairing>(transport: Transport) {
    let (giver, taker) = open::<P>(&Context::new());
    giver.connect(&taker.bind(&transport.endpoint()));
    P::pass(&giver, &taker, "one");
    P::pass(&giver, &taker, "two");
}

fn giver_binds<P: Pairing>(transport: Transport) {
    let (giver, taker) = open::<P>(&Context::new());
    taker.connect(&giver.bind(&transport.endpoint()));
    P::pass(&giver, &taker, "one");
    P::pass(&giver, &taker, "two");
}

fn taker_connects_first<P: Pairing>(transport: Transport) {
    let (giver, taker) = open::<P>(&Context::new());
    let endpoint = transport.endpoint();
    taker.connect(&endpoint);
    assert_eq!(giver.bind(&endpoint), endpoint);
    P::pass(&giver, &taker, "one");
}

fn giver_connects_first<P: Pairing>(transport: Transport) {
    let (giver, taker) = open::<P>(&Context::new());
    let endpoint = transport.endpoint();
    giver.connect(&endpoint);
    assert_eq!(taker.bind(&endpoint), endpoint);
    P::pass(&giver, &taker, "one");
}

fn one_taker_many_endpoints<P: Pairing>(transport: Transport) {
    let context = Context::new();
    let taker = taker::<P>(&context);
    let givers: Vec<P::Giver> = (0..3)
        .map(|_| {
            let giver = P::Giver::open(&context);
            giver.connect(&taker.bind(&transport.endpoint()));
            giver
        })
        .collect();
    taker.wait_for_peers(3, DEADLINE).expect("all givers");
    for (number, giver) in givers.iter().enumerate() {
        P::pass(giver, &taker, &number.to_string());
    }
}

fn one_giver_many_takers<P: Pairing>(transport: Transport) {
    let context = Context::new();
    let giver = P::Giver::open(&context);
    let takers: Vec<P::Taker> = (0..3)
        .map(|_| {
            let taker = taker::<P>(&context);
            giver.connect(&taker.bind(&transport.endpoint()));
            taker
        })
        .collect();
    giver.wait_for_peers(3, DEADLINE).expect("all takers");
    for (number, taker) in takers.iter().enumerate() {
        P::pass(&giver, taker, &number.to_string());
    }
}

/// A socket may bind one endpoint and connect to another, here to one and the same peer.
fn both_bind_and_connect<P: Pairing>(transport: Transport) {
    let (giver, taker) = open::<P>(&Context::new());
    giver.connect(&taker.bind(&transport.endpoint()));
    taker.connect(&giver.bind(&transport.endpoint()));
    giver.wait_for_peers(2, DEADLINE).expect("both ways");
    taker.wait_for_peers(2, DEADLINE).expect("both ways");
    P::pass(&giver, &taker, "one");
    P::pass(&giver, &taker, "two");
}

fn taker_restarts<P: Pairing>(transport: Transport) {
    let context = Context::new();
    let giver = P::Giver::open(&context);
    let endpoint = transport.endpoint();
    giver.connect(&endpoint);
    for life in 0..3 {
        let taker = taker::<P>(&context);
        taker.bind(&endpoint);
        P::pass(&giver, &taker, &format!("life {life}"));
        drop(taker);
        giver.settle_at(0);
    }
}

fn giver_restarts<P: Pairing>(transport: Transport) {
    let context = Context::new();
    let taker = taker::<P>(&context);
    let endpoint = taker.bind(&transport.endpoint());
    for life in 0..3 {
        let giver = P::Giver::open(&context);
        giver.connect(&endpoint);
        P::pass(&giver, &taker, &format!("life {life}"));
        drop(giver);
        taker.settle_at(0);
    }
}

fn unbinds<P: Pairing>(transport: Transport) {
    let context = Context::new();
    let (giver, first) = open::<P>(&context);
    let endpoint = first.bind(&transport.endpoint());
    giver.connect(&endpoint);
    P::pass(&giver, &first, "first");

    first.unbind(&endpoint).expect("unbound");
    first.settle_at(0);
    giver.settle_at(0);
    let again = first.unbind(&endpoint);
    assert!(
        matches!(again, Err(UnbindError::NotFound { .. })),
        "{again:?}"
    );

    // The endpoint is free, and who connected to it looks for a successor.
    let second = taker::<P>(&context);
    assert_eq!(second.bind(&endpoint), endpoint);
    P::pass(&giver, &second, "second");
}

fn disconnects<P: Pairing>(transport: Transport) {
    let (giver, taker) = open::<P>(&Context::new());
    let endpoint = taker.bind(&transport.endpoint());
    giver.connect(&endpoint);
    P::pass(&giver, &taker, "one");

    giver.disconnect(&endpoint).expect("disconnected");
    taker.settle_at(0);
    giver.settle_at(0);
    let again = giver.disconnect(&endpoint);
    assert!(
        matches!(again, Err(UnbindError::NotFound { .. })),
        "{again:?}"
    );

    giver.connect(&endpoint);
    P::pass(&giver, &taker, "two");
}

/// Waits until so many messages have come, received or not.
fn await_arrivals(socket: &impl Socket, messages: u64) {
    until("the messages have come", || {
        let _ = socket.wait_for_peers(usize::MAX, Duration::from_millis(1));
        (socket.stats().messages_in == messages).then_some(())
    });
}

/// What can be awaited to have come by a connection of which nothing is received. Within the process more than the first may stay where both sides
/// have it, until that is received.
fn texts_to_await(transport: Transport) -> &'static [&'static str] {
    match transport {
        Transport::Inproc => &["one"],
        _ => &["one", "two", "three"],
    }
}

/// What has come before `unbind` is received after it, in order, and nothing that is sent later. Then nothing is left of the peer.
fn what_came_before_unbind_is_received(transport: Transport) {
    let context = Context::new();
    let pull = Pull::with_options(&context, nimble()).expect("a PULL");
    let push = Push::with_options(&context, nimble()).expect("a PUSH");
    let endpoint = Socket::bind(&pull, &transport.endpoint());
    Socket::connect(&push, &endpoint);
    let sent = texts_to_await(transport);
    for text in sent {
        push.send_timeout(*text, DEADLINE).expect("sent");
    }
    let count = sent.len() as u64;
    await_arrivals(&pull, count);
    // Of two connections that ended this way after each other, too.
    Socket::unbind(&pull, &endpoint).expect("unbound");
    pull.settle_at(0);
    push.settle_at(0);
    Socket::bind(&pull, &endpoint);
    push.send_timeout("four", DEADLINE).expect("sent");
    await_arrivals(&pull, count + 1);
    Socket::unbind(&pull, &endpoint).expect("unbound");
    push.settle_at(0);
    push.send_timeout("later", DEADLINE).expect("queued");
    let mut texts: Vec<zerohop::Message> = (0..=count)
        .map(|_| pull.recv_timeout(DEADLINE).expect("a message"))
        .collect();
    let four = texts.iter().position(|text| *text == "four");
    texts.remove(four.expect("what came last"));
    assert_eq!(texts, sent);
    assert_eq!(pull.recv_timeout(GLANCE), Err(RecvError::TimedOut));
    let stats = pull.stats();
    assert_eq!((stats.peers, stats.dropped.total()), (Vec::new(), 0));
}

/// It still bears the name of its peer, and is answered by nobody.
fn what_came_to_a_router_before_unbind_bears_its_name(transport: Transport) {
    let context = Context::new();
    let router = Router::with_options(&context, nimble()).expect("a ROUTER");
    let dealer = Dealer::with_options(&context, nimble().routing_id("dealer")).expect("a DEALER");
    let endpoint = Socket::bind(&router, &transport.endpoint());
    Socket::connect(&dealer, &endpoint);
    dealer.send_timeout("question", DEADLINE).expect("sent");
    await_arrivals(&router, 1);
    Socket::unbind(&router, &endpoint).expect("unbound");
    let incoming = router.recv_timeout(DEADLINE).expect("the question");
    assert_eq!(incoming.peer, "dealer");
    assert_eq!(incoming.message, "question");
    let answered = router.send_to_timeout("dealer", "answer", DEADLINE);
    assert_eq!(answered.expect("said"), Routed::Unroutable);
    assert_eq!(router.stats().peers, Vec::new());
}

/// What has come and was not received before `disconnect` is dropped, and that shows.
fn what_came_before_disconnect_is_counted(transport: Transport) {
    let context = Context::new();
    let pull = Pull::with_options(&context, nimble()).expect("a PULL");
    let push = Push::with_options(&context, nimble()).expect("a PUSH");
    let endpoint = Socket::bind(&push, &transport.endpoint());
    Socket::connect(&pull, &endpoint);
    let sent = texts_to_await(transport);
    for text in sent {
        push.send_timeout(*text, DEADLINE).expect("sent");
    }
    await_arrivals(&pull, sent.len() as u64);
    let mut left = sent.len() as u64;
    if left > 1 {
        assert_eq!(pull.recv_timeout(DEADLINE).expect("the first"), "one");
        left -= 1;
    }
    Socket::disconnect(&pull, &endpoint).expect("disconnected");
    assert_eq!(pull.recv_timeout(GLANCE), Err(RecvError::TimedOut));
    let dropped = pull.stats().dropped;
    assert_eq!((dropped.unreceived, dropped.total()), (left, left));
}

/// To one endpoint: another connection where that is of use, and nothing where it would only repeat messages.
fn connects_twice<P: Pairing>(transport: Transport) {
    let (givers, takers) = P::CONNECTIONS_OF_TWO;
    let (giver, taker) = open::<P>(&Context::new());
    let endpoint = taker.bind(&transport.endpoint());
    connect_twice(&giver, &endpoint, givers);
    P::pass(&giver, &taker, "one");
    // One call ends them all.
    giver.disconnect(&endpoint).expect("disconnected");
    taker.settle_at(0);
    let again = giver.disconnect(&endpoint);
    assert!(
        matches!(again, Err(UnbindError::NotFound { .. })),
        "{again:?}"
    );
    giver.connect(&endpoint);
    P::pass(&giver, &taker, "two");

    let (giver, taker) = open::<P>(&Context::new());
    connect_twice(&taker, &giver.bind(&transport.endpoint()), takers);
    P::pass(&giver, &taker, "three");
}

fn connect_twice(socket: &impl Socket, endpoint: &str, connections: usize) {
    socket.connect(endpoint);
    socket.connect(endpoint);
    let none = socket.wait_for_peers(connections + 1, Duration::ZERO);
    none.expect_err("no more than these");
    assert_eq!(socket.stats().peers.len(), connections);
    socket
        .wait_for_peers(connections, DEADLINE)
        .expect("all of them");
}

fn waits_for_peers<P: Pairing>(transport: Transport) {
    let context = Context::new();
    let taker = taker::<P>(&context);
    let endpoint = taker.bind(&transport.endpoint());
    let none = taker.wait_for_peers(1, Duration::from_millis(1));
    assert_eq!(none, Err(WaitError::TimedOut { have: 0, wanted: 1 }));

    let giver = P::Giver::open(&context);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| taker.wait_for_peers(1, DEADLINE));
        giver.connect(&endpoint);
        waiting
            .join()
            .expect("the waiting thread")
            .expect("one peer");
    });
    giver.wait_for_peers(1, DEADLINE).expect("one peer");
    let two = taker.wait_for_peers(2, Duration::from_millis(1));
    assert_eq!(two, Err(WaitError::TimedOut { have: 1, wanted: 2 }));
}

fn names_are_taken_once<P: Pairing>(transport: Transport) {
    let context = Context::new();
    let (giver, first) = open::<P>(&context);
    let endpoint = first.bind(&transport.endpoint());
    let second = taker::<P>(&context);
    let refused = second.try_bind(&endpoint);
    assert!(
        matches!(refused, Err(zerohop::BindError::AddrInUse { .. })),
        "{refused:?}"
    );
    // And whoever was there first is none the worse.
    giver.connect(&endpoint);
    P::pass(&giver, &first, "one");
}

/// Who connects a second time where nothing is dialed again by itself wants another attempt.
#[test]
fn connecting_again_dials_again_if_nothing_else_does() {
    for transport in [Transport::Tcp, Transport::Ipc] {
        let context = Context::new();
        let options = nimble().reconnect_interval(None);
        let sub = <Sub as Socket>::with_options(&context, options);
        sub.subscribe("").expect("subscribed");
        let (monitor, endpoint) = (sub.monitor(), transport.endpoint());
        Socket::connect(&sub, &endpoint);
        until("the attempt has failed", || {
            let event = monitor.recv_timeout(DEADLINE).expect("an event");
            matches!(event, Event::ConnectFailed { .. }).then_some(())
        });
        let publisher = Pub::open(&context);
        Socket::bind(&publisher, &endpoint);
        Socket::connect(&sub, &endpoint);
        PubSub::pass(&publisher, &sub, "one");
        assert_eq!(sub.stats().peers.len(), 1);
    }
}

/// A name that is bound by a socket of a type that does not fit is waited for until another one binds it.
#[test]
fn a_name_is_waited_for_while_a_misfit_has_it() {
    let context = Context::new();
    let endpoint = Transport::Inproc.endpoint();
    let (sub, misfit, publisher) = (
        Sub::open(&context),
        Pull::open(&context),
        Pub::open(&context),
    );
    sub.subscribe("").expect("subscribed");
    Socket::connect(&sub, &endpoint);
    Socket::bind(&misfit, &endpoint);
    drop(misfit);
    Socket::bind(&publisher, &endpoint);
    PubSub::pass(&publisher, &sub, "one");

    Socket::unbind(&publisher, &endpoint).expect("unbound");
    let misfit = Pull::open(&context);
    Socket::bind(&misfit, &endpoint);
    Socket::unbind(&misfit, &endpoint).expect("unbound");
    Socket::bind(&publisher, &endpoint);
    PubSub::pass(&publisher, &sub, "two");
}
