//! Options that are changed while a socket is in use: what holds at once, what for the next connections, and what is refused.

use std::thread;
use std::time::{Duration, Instant};

use crate::sockets::{
    Allow, BindError, Change, Context, Dealer, OPTION_TABLE, Options, Pair, Pub, Pull, Push,
    ReconfigureError, RecvError, Req, Routed, Router, SendErrorKind, SendSocket, Sub, Xpub, Xsub,
};

use crate::arena::{Transport, nimble, on_every_transport};
use crate::common::deadline::DEADLINE;
use crate::common::until::{GLANCE, until};
use crate::pairs::Socket;

on_every_transport!(
    a_mark_holds_at_once_and_drops_nothing,
    a_call_that_waits_for_room_goes_on,
    a_name_holds_for_the_next_connection,
    what_a_router_and_a_publisher_do_changes_at_once,
);

fn open<S: Socket>(context: &Context, options: Options) -> S {
    <S as Socket>::with_options(context, options)
}

/// As `test_sockopt_hwm` of libzmq: over inproc the mark of the receiver stays what it was, and comes on top.
fn a_mark_holds_at_once_and_drops_nothing(transport: Transport) {
    let context = Context::new();
    let push: Push = open(&context, nimble().send_hwm(1));
    let endpoint = transport.endpoint();
    Socket::connect(&push, &endpoint);
    let fill = |start: usize| {
        let sent = (start..).take_while(|number| push.try_send(number.to_string()).is_ok());
        sent.count()
    };
    assert_eq!(fill(0), 1);
    push.set("send_hwm", "5").expect("changed");
    assert_eq!(push.options().send_hwm, 5);
    assert_eq!(fill(1), 4);
    push.reconfigure(|options| options.send_hwm(2))
        .expect("changed");
    assert_eq!(fill(5), 0);
    let pull: Pull = open(&context, nimble().recv_hwm(1));
    Socket::bind(&pull, &endpoint);
    for number in 0..5 {
        let message = pull.recv_timeout(DEADLINE).expect("kept");
        assert_eq!(message, *number.to_string());
    }
    if transport == Transport::Inproc {
        push.wait_for_peers(1, DEADLINE).expect("a peer");
        until("the reader's count has come", || {
            assert_eq!(pull.recv_timeout(GLANCE), Err(RecvError::TimedOut));
            push.try_send("x").ok()
        });
        assert_eq!(fill(1), 2, "2 and 1, less the one before");
        push.set("send_hwm", "5").expect("changed");
        assert_eq!(fill(3), 3, "5 and 1");
        push.set("send_hwm", "0").expect("changed");
        assert_eq!(
            (0..2000).filter(|_| push.try_send("y").is_ok()).count(),
            2000
        );
    }
}

fn a_call_that_waits_for_room_goes_on(transport: Transport) {
    let context = Context::new();
    let push: Push = open(&context, nimble().send_hwm(1));
    Socket::connect(&push, &transport.endpoint());
    push.try_send("fills it").expect("sent");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| push.send_timeout("waits", DEADLINE));
        until("it waits", || {
            let full = push.send_timeout("not this", GLANCE);
            full.is_err().then_some(())
        });
        push.set("send_hwm", "2").expect("changed");
        waiting.join().expect("the thread").expect("sent");
    });
}

fn a_name_holds_for_the_next_connection(transport: Transport) {
    let context = Context::new();
    let router: Router = open(&context, nimble());
    let endpoint = Socket::bind(&router, &transport.endpoint());
    let dealer: Dealer = open(&context, nimble().routing_id("first"));
    Socket::connect(&dealer, &endpoint);
    let name_is = |expected: &str| {
        dealer.send_timeout("who", DEADLINE).expect("sent");
        let incoming = router.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(incoming.peer, *expected);
    };
    name_is("first");
    dealer.set("routing_id", "second").expect("changed");
    name_is("first");
    Socket::disconnect(&dealer, &endpoint).expect("disconnected");
    Socket::connect(&dealer, &endpoint);
    name_is("second");
    let error = dealer.set("routing_id", "\0").expect_err("reserved");
    assert!(matches!(error, ReconfigureError::Option(_)), "{error:?}");
    assert_eq!(dealer.options().routing_id, "second");
}

fn what_a_router_and_a_publisher_do_changes_at_once(transport: Transport) {
    let context = Context::new();
    let router: Router = open(&context, nimble());
    let dropped = router.send_to("nobody", "x");
    assert_eq!(dropped.expect("dropped"), Routed::Unroutable);
    router.set("router_mandatory", "true").expect("changed");
    let error = router.send_to("nobody", "x").expect_err("mandatory");
    assert_eq!(error.kind(), SendErrorKind::Unroutable);

    let publisher: Xpub = open(&context, nimble());
    let endpoint = Socket::bind(&publisher, &transport.endpoint());
    let subscribers: Vec<Xsub> = (0..2).map(|_| open(&context, nimble())).collect();
    let subscribe = |subscriber: &Xsub| {
        Socket::connect(subscriber, &endpoint);
        subscriber.wait_for_peers(1, DEADLINE).expect("a peer");
        subscriber.subscribe("a").expect("subscribed");
    };
    subscribe(&subscribers[0]);
    assert!(publisher.recv_upstream_timeout(DEADLINE).is_ok());
    publisher.set("xpub_verbose", "true").expect("changed");
    subscribe(&subscribers[1]);
    assert!(publisher.recv_upstream_timeout(DEADLINE).is_ok());
    assert_eq!(publisher.send("a").expect("sent").sent, 2);
    publisher.set("invert_matching", "true").expect("changed");
    assert_eq!(publisher.send("a").expect("sent").sent, 0);
    assert_eq!(publisher.send("b").expect("sent").sent, 2);
    publisher.set("invert_matching", "false").expect("changed");
    assert_eq!(publisher.send("b").expect("sent").sent, 0);
    assert_eq!(publisher.send("a").expect("sent").sent, 2);
}

#[test]
fn times_of_calls_and_of_closing_change_at_once() {
    let context = Context::new();
    let pair: Pair = open(&context, Options::new().linger(None));
    pair.set("recv_timeout", "20 ms").expect("changed");
    let start = Instant::now();
    assert_eq!(pair.recv(), Err(RecvError::TimedOut));
    assert!(start.elapsed() >= Duration::from_millis(20));
    pair.reconfigure(|options| options.recv_timeout(Duration::ZERO))
        .expect("changed");
    assert_eq!(pair.recv(), Err(RecvError::WouldBlock));
    pair.set("send_timeout", "0").expect("changed");
    let error = pair.send("to nobody").expect_err("nobody is there");
    assert_eq!(error.kind(), SendErrorKind::WouldBlock);
    Socket::connect(&pair, "tcp://127.0.0.1:1");
    pair.send("never delivered").expect("queued");
    pair.set("linger", "0").expect("changed");
    drop(pair);
    // Would wait without end for what is unsent.
    drop(context);
}

#[test]
fn a_larger_mark_lets_a_reader_read_on() {
    let context = Context::new();
    let pull: Pull = open(&context, nimble().recv_hwm(1));
    let endpoint = Socket::bind(&pull, &Transport::Tcp.endpoint());
    let push: Push = open(&context, nimble().linger(None));
    Socket::connect(&push, &endpoint);
    let body = vec![b'x'; 100_000];
    let most = |wanted: usize| {
        until("so many are taken in", || {
            let _ = push.try_send(&body);
            let _ = pull.wait_for_peers(usize::MAX, Duration::from_millis(1));
            let peers = pull.stats().peers;
            let waiting = peers.iter().map(|peer| peer.queued_in).sum::<usize>();
            (waiting >= wanted).then_some(waiting)
        })
    };
    let few = most(1);
    pull.set("recv_hwm", "0").expect("changed");
    assert!(most(few + 20) > few);
}

#[test]
fn subscribers_and_requests_change_at_once() {
    let context = Context::new();
    let publisher: Pub = open(&context, nimble());
    let endpoint = Socket::bind(&publisher, &Transport::Inproc.endpoint());
    let sub: Sub = open(&context, nimble());
    Socket::connect(&sub, &endpoint);
    sub.subscribe("a").expect("subscribed");
    publisher
        .wait_for_subscribers("a", 1, DEADLINE)
        .expect("a subscriber");
    sub.set("invert_matching", "true").expect("changed");
    publisher.set("invert_matching", "true").expect("changed");
    for topic in ["a", "b"] {
        publisher.send(topic).expect("sent");
    }
    assert_eq!(sub.recv_timeout(DEADLINE).expect("the other"), "b");

    let req: Req = open(&context, nimble());
    Socket::connect(&req, &Transport::Inproc.endpoint());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| req.request_timeout("is anybody there?", DEADLINE));
        let mut correlate = true;
        let error = until("the request is under way", || {
            correlate = !correlate;
            thread::yield_now();
            req.set("req_correlate", &correlate.to_string()).err()
        });
        assert!(error.to_string().contains("a request is under way"));
        req.shutdown();
        waiting
            .join()
            .expect("the thread")
            .expect_err("it was closed");
    });
    let closed = req.set("linger", "0");
    assert_eq!(closed, Err(ReconfigureError::Closed));
}

#[test]
fn what_cannot_be_changed_says_why() {
    let context = Context::new();
    let push: Push = open(&context, nimble());
    let before = push.options();
    let said = |name: &str, value: &str| {
        let error = push.set(name, value).expect_err("refused");
        error.to_string()
    };
    assert_eq!(
        said("conflate", "true"),
        "option conflate can't be changed on a socket that is in use: queues that are there hold more than their newest message"
    );
    assert_eq!(
        said("send_hvm", "1"),
        "there is no option \"send_hvm\"; is it send_hwm?"
    );
    assert!(said("xpub_verbose", "true").contains("does nothing on a PUSH socket"));
    assert!(said("backlog", "0").contains("allowed is 1 to"));
    let both = push.reconfigure(|options| options.send_hwm(7).conflate(true));
    assert!(both.is_err());
    assert_eq!(push.options(), before, "nothing has changed");
    for row in OPTION_TABLE {
        let same = before.get(row.name).expect("a value");
        if row.applies_to(zerohop::SocketType::Push) {
            push.set(row.name, &same).expect("it is that already");
        }
        if let Change::Fixed(why) = row.change {
            assert!(!why.is_empty(), "{}", row.name);
        }
    }
}

#[test]
fn two_threads_change_two_options() {
    let context = Context::new();
    let push: Push = open(&context, nimble());
    thread::scope(|scope| {
        for name in ["send_hwm", "backlog", "max_pending_handshakes"] {
            let push = &push;
            scope.spawn(move || {
                for value in 1..=100 {
                    push.set(name, &value.to_string()).expect("changed");
                }
            });
        }
    });
    let options = push.options();
    assert_eq!(
        (
            options.send_hwm,
            options.backlog,
            options.max_pending_handshakes
        ),
        (100, 100, 100)
    );
}

/// Who is let in changes for those who come then; and an open port is not opened to everyone by that.
#[test]
fn who_is_let_in_changes_for_those_who_come_then() {
    let context = Context::new();
    let users = |name: &str| Allow::new().user(name, "tiger");
    let options = nimble().plain_server(true).allow(users("alice"));
    let pull: Pull = open(&context, options);
    let endpoint = pull.bind("tcp://*:*").expect("bound").to_string();
    let endpoint = endpoint.replace("0.0.0.0", "127.0.0.1");
    let client = |name: &str| {
        let push: Push = open(&context, nimble().plain_client(name, "tiger"));
        Socket::connect(&push, &endpoint);
        push
    };
    let alice = client("alice");
    alice.send("from alice").expect("queued");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("hers"), "from alice");
    pull.reconfigure(|options| options.allow(users("bob")))
        .expect("changed");
    let bob = client("bob");
    bob.send("from bob").expect("queued");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("his"), "from bob");
    alice.send("still here").expect("queued");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("hers"), "still here");
    let late = client("alice");
    let monitor = pull.monitor();
    until("she is kept out", || {
        let denied = pull.stats().denied;
        let _ = monitor.recv_timeout(GLANCE);
        (denied > 0).then_some(())
    });
    drop(late);

    let opened = pull.reconfigure(|options| options.plain_server(false).allow(Allow::anyone()));
    assert!(
        matches!(opened, Err(ReconfigureError::Insecure { .. })),
        "{opened:?}"
    );
    assert!(pull.options().plain_server);
    let meant = pull.reconfigure(|options| {
        let options = options.plain_server(false).allow(Allow::anyone());
        options.insecure()
    });
    meant.expect("meant");
    let anyone: Push = open(&context, nimble());
    Socket::connect(&anyone, &endpoint);
    anyone.send("from anyone").expect("queued");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("it"), "from anyone");
    let again = pull.set("allow_insecure", "false");
    assert!(matches!(again, Err(ReconfigureError::Insecure { .. })));
    assert!(!matches!(
        pull.bind("tcp://*:*"),
        Err(BindError::Insecure { .. })
    ));
}

/// A message that was small enough for one connection may be too large for the next.
#[test]
fn limits_hold_for_the_next_connection() {
    let context = Context::new();
    let pull: Pull = open(&context, nimble());
    let endpoint = Socket::bind(&pull, &Transport::Tcp.endpoint());
    let push: Push = open(&context, nimble());
    Socket::connect(&push, &endpoint);
    pull.wait_for_peers(1, DEADLINE).expect("a peer");
    pull.set("max_message_size", "10").expect("changed");
    push.send_timeout("more than ten bytes", DEADLINE)
        .expect("sent");
    let message = pull.recv_timeout(DEADLINE).expect("a message");
    assert_eq!(message, "more than ten bytes");
    Socket::disconnect(&push, &endpoint).expect("disconnected");
    Socket::connect(&push, &endpoint);
    push.wait_for_peers(1, DEADLINE).expect("a peer");
    let error = push
        .send_timeout("more than ten bytes", DEADLINE)
        .expect_err("too large");
    assert!(
        matches!(error.kind(), SendErrorKind::TooLarge { .. }),
        "{error}"
    );
    SendSocket::send(&push, "fits").expect("sent");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), "fits");
}
