//! The end: of a socket, of a context, and of calls that wait meanwhile.

use std::thread;
use std::time::{Duration, Instant};

use crate::sockets::{
    BindError, ConnectError, Context, Options, Pull, Push, RecvError, SendErrorKind,
};

use crate::arena::{Transport, on_every_transport};
use crate::common::deadline::DEADLINE;
use crate::pairs::{Pairing, Socket};

on_every_transport!(push_pull: PushPull => closes_at_once_when_idle);
on_every_transport!(pub_sub: PubSub => closes_at_once_when_idle);
on_every_transport!(req_rep: ReqRep => closes_at_once_when_idle);
on_every_transport!(dealer_rep: DealerRep => closes_at_once_when_idle);
on_every_transport!(dealer_dealer: DealerDealer => closes_at_once_when_idle);
on_every_transport!(xpub_xsub: XpubXsub => closes_at_once_when_idle);
on_every_transport!(dealer_router: DealerRouter => closes_at_once_when_idle);
on_every_transport!(router_router: RouterRouter => closes_at_once_when_idle);
on_every_transport!(pair_pair: PairPair => closes_at_once_when_idle);
on_every_transport!(
    close_reports_the_unsent,
    close_waits_for_the_last,
    drop_delivers_within_linger,
    context_drop_waits_for_lingering_sockets,
    context_drop_waits_no_longer_than_linger,
    shutdown_ends_waiting_calls,
    shutdown_of_a_socket_ends_its_calls_and_no_others,
    what_was_sent_before_a_shutdown_arrives,
    what_was_received_outlives_the_sender,
);

const MESSAGES: u32 = 500;

fn send_numbers(push: &Push) {
    for number in 0..MESSAGES {
        push.send_timeout(number.to_be_bytes(), DEADLINE)
            .expect("sent");
    }
}

fn expect_numbers(pull: &Pull) {
    for number in 0..MESSAGES {
        let message = pull.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(message, number.to_be_bytes());
    }
}

fn closes_at_once_when_idle<P: Pairing>(transport: Transport) {
    let start = Instant::now();
    let context = Context::new();
    let (giver, taker) = (P::Giver::open(&context), P::Taker::open(&context));
    P::prepare(&taker);
    giver.connect(&taker.bind(&transport.endpoint()));
    P::pass(&giver, &taker, "one");
    giver.close(DEADLINE).expect("nothing is left");
    taker.close(DEADLINE).expect("nothing is left");
    drop(context);
    assert!(start.elapsed() < DEADLINE, "waited out");
}

fn close_reports_the_unsent(transport: Transport) {
    let push = Push::open(&Context::new());
    Socket::connect(&push, &transport.endpoint());
    for number in 0..7_u32 {
        push.send_timeout(number.to_be_bytes(), DEADLINE)
            .expect("queued");
    }
    let error = push
        .close(Duration::from_millis(20))
        .expect_err("nobody was there");
    assert_eq!(error.unsent(), 7);
}

/// Closing while nobody is there yet: done as soon as somebody has come and got all.
fn close_waits_for_the_last(transport: Transport) {
    let context = Context::new();
    let push = Push::open(&context);
    let endpoint = transport.endpoint();
    Socket::connect(&push, &endpoint);
    send_numbers(&push);
    thread::scope(|scope| {
        let start = Instant::now();
        let closing = scope.spawn(|| push.close(DEADLINE));
        let pull = Pull::open(&context);
        Socket::bind(&pull, &endpoint);
        expect_numbers(&pull);
        let closed = closing.join().expect("the closing thread");
        closed.expect("all has left");
        assert!(start.elapsed() < DEADLINE, "waited out");
    });
}

/// The same in the background.
fn drop_delivers_within_linger(transport: Transport) {
    let context = Context::new();
    let options = Options::new().reconnect_interval(Duration::from_millis(5));
    let push = Push::with_options(&context, options).expect("a PUSH");
    let endpoint = transport.endpoint();
    Socket::connect(&push, &endpoint);
    send_numbers(&push);
    drop(push);
    let pull = Pull::open(&context);
    Socket::bind(&pull, &endpoint);
    expect_numbers(&pull);
}

/// A `main` that ends does not lose what it has sent.
fn context_drop_waits_for_lingering_sockets(transport: Transport) {
    if transport == Transport::Inproc {
        // Whoever would receive it is a socket of the same context.
        return;
    }
    let endpoint = transport.endpoint();
    let others = Context::new();
    let pull = Pull::open(&others);
    thread::scope(|scope| {
        let ending = scope.spawn(|| {
            let context = Context::new();
            let options = Options::new()
                .linger(DEADLINE)
                .reconnect_interval(Duration::from_millis(5));
            let push = Push::with_options(&context, options).expect("a PUSH");
            Socket::connect(&push, &endpoint);
            send_numbers(&push);
            let start = Instant::now();
            drop(push);
            drop(context);
            assert!(start.elapsed() < DEADLINE, "waited out");
        });
        Socket::bind(&pull, &endpoint);
        ending.join().expect("the ending thread");
    });
    expect_numbers(&pull);
}

fn context_drop_waits_no_longer_than_linger(transport: Transport) {
    const LINGER: Duration = Duration::from_millis(50);
    let context = Context::new();
    let options = Options::new().linger(LINGER);
    let push = Push::with_options(&context, options).expect("a PUSH");
    Socket::connect(&push, &transport.endpoint());
    push.send_timeout("nobody will come", DEADLINE)
        .expect("queued");
    let start = Instant::now();
    drop(push);
    assert!(start.elapsed() < DEADLINE, "the drop of a socket waits");
    drop(context);
    let waited = start.elapsed();
    assert!((LINGER..DEADLINE).contains(&waited), "{waited:?}");
}

fn shutdown_ends_waiting_calls(transport: Transport) {
    let context = Context::new();
    let pull = Pull::open(&context);
    let push = Push::open(&context);
    Socket::bind(&pull, &transport.endpoint());
    Socket::bind(&push, &transport.endpoint());
    thread::scope(|scope| {
        let receiving: Vec<_> = (0..3).map(|_| scope.spawn(|| pull.recv())).collect();
        let sending: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| push.send("nobody")))
            .collect();
        context.shutdown();
        for thread in receiving {
            let ended = thread.join().expect("a receiving thread");
            assert_eq!(ended, Err(RecvError::ContextClosed));
        }
        for thread in sending {
            let ended = thread.join().expect("a sending thread");
            let error = ended.expect_err("nobody was there");
            assert_eq!(error.kind(), SendErrorKind::ContextClosed);
        }
    });
    assert_eq!(pull.try_recv(), Err(RecvError::ContextClosed));
    assert!(Push::new(&context).is_err());
    let bound = pull.bind(transport.endpoint());
    assert!(matches!(bound, Err(BindError::ContextClosed)), "{bound:?}");
}

fn shutdown_of_a_socket_ends_its_calls_and_no_others(transport: Transport) {
    let context = Context::new();
    let (pull, other) = (Pull::open(&context), Pull::open(&context));
    let endpoint = Socket::bind(&pull, &transport.endpoint());
    thread::scope(|scope| {
        let receiving: Vec<_> = (0..3).map(|_| scope.spawn(|| pull.recv())).collect();
        let unaffected = scope.spawn(|| other.recv());
        pull.shutdown();
        for thread in receiving {
            let ended = thread.join().expect("a receiving thread");
            assert_eq!(ended, Err(RecvError::Closed));
        }
        let push = Push::open(&context);
        Socket::connect(&push, &Socket::bind(&other, &transport.endpoint()));
        push.send_timeout("for the other", DEADLINE).expect("sent");
        let message = unaffected.join().expect("the other thread");
        assert_eq!(message, Ok("for the other".into()));
    });
    assert_eq!(pull.try_recv(), Err(RecvError::Closed));
    let bound = pull.bind(transport.endpoint());
    assert!(matches!(bound, Err(BindError::Closed)), "{bound:?}");
    assert_eq!(pull.connect(&endpoint), Err(ConnectError::Closed));
    // Its name is free again.
    Socket::bind(&other, &endpoint);
    pull.close(DEADLINE).expect("nothing is left");
}

fn what_was_sent_before_a_shutdown_arrives(transport: Transport) {
    let context = Context::new();
    let pull = Pull::open(&context);
    let options = Options::new().linger(DEADLINE);
    let push = Push::with_options(&context, options).expect("a PUSH");
    Socket::connect(&push, &Socket::bind(&pull, &transport.endpoint()));
    send_numbers(&push);
    push.shutdown();
    let error = push.try_send("late").expect_err("shut down");
    assert_eq!(error.kind(), SendErrorKind::Closed);
    expect_numbers(&pull);
    push.close(DEADLINE).expect("all has left");
}

/// A sender that has gone in good order takes nothing with it.
fn what_was_received_outlives_the_sender(transport: Transport) {
    let context = Context::new();
    let pull = Pull::open(&context);
    let endpoint = Socket::bind(&pull, &transport.endpoint());
    for _ in 0..3 {
        let push = Push::open(&context);
        Socket::connect(&push, &endpoint);
        send_numbers(&push);
        push.close(DEADLINE).expect("all has left");
    }
    let mut next = [0; 3].map(|_: u32| 0);
    let mut turns = Vec::new();
    for _ in 0..3 * MESSAGES {
        let message = pull.recv_timeout(DEADLINE).expect("a message");
        let number = u32::from_be_bytes(message.first().as_slice().try_into().expect("a number"));
        let peer = next.iter().position(|next| *next == number);
        let peer = peer.expect("a number that some peer is at");
        next[peer] += 1;
        turns.push(peer);
    }
    assert_eq!(next, [MESSAGES; 3]);
    pull.settle_at(0);
}
