//! A message that a peer will never take is given up, told of and counted, and what is behind it goes on: by what the
//! peer has announced, where both sides are zerohop, and by the connections that break over it, whoever the peer is.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod loopback;
    pub(crate) mod raw;
    pub(crate) mod unique;
    pub(crate) mod until;
}

use std::io::Read;
use std::net::TcpListener;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use zerohop::{
    Bytes, Context, Dealer, Event, Message, Monitor, Options, Pair, Pub, Pull, Push, RefusalCause,
    Rep, ReplyErrorKind, Req, RequestError, Routed, Router, SendErrorKind, SendSocket, Sub,
};

use common::deadline::DEADLINE;
use common::raw::{COMMAND, MORE, RawPeer};
use common::until::{GLANCE, until};
use common::{loopback, unique};

const ANY_PORT: &str = "tcp://127.0.0.1:*";

/// More than the buffers of a connection hold, so that a part of it is still here when the peer ends the connection.
const HUGE: usize = 20 << 20;

/// Longer than a connection takes to be used up by what is written at its beginning.
const LONG_LIVED: Duration = Duration::from_millis(5200);

/// What the peers that are limited take.
const LIMIT: usize = 1_000_000;

fn ipc() -> String {
    format!(
        "ipc://{}/{}",
        std::env::temp_dir().display(),
        unique::name()
    )
}

/// No wait for what cannot be delivered at the end of a failed test.
fn options() -> Options {
    Options::new()
        .reconnect_interval(Duration::from_millis(5))
        .reconnect_interval_max(Duration::from_millis(50))
        .linger(Duration::ZERO)
}

fn limited() -> Options {
    options().max_message_size(LIMIT)
}

/// The next refusal of a message: its size and the cause.
fn refusal(monitor: &Monitor) -> (usize, RefusalCause) {
    until("a refusal", || match monitor.recv_timeout(DEADLINE) {
        Ok(Event::MessageRefused { size, cause, .. }) => Some((size, cause)),
        Ok(_) => None,
        Err(error) => panic!("no refusal: {error}"),
    })
}

/// A PUSH that dials a raw peer, and the listener of that peer.
fn push_to_raw(options: Options) -> (Push, Monitor, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let push = Push::with_options(&Context::new(), options).expect("a PUSH");
    let monitor = push.monitor();
    let address = listener.local_addr().expect("an address");
    push.connect(format!("tcp://{address}")).expect("connected");
    (push, monitor, listener)
}

/// Takes the next connection, and ends it when the header of a frame and a bit of its body are there.
fn break_off(listener: &TcpListener, as_type: &str) -> usize {
    let mut raw = RawPeer::accept(listener);
    raw.shake_hands(1, as_type);
    raw.read(100).len()
}

#[test]
fn the_number_of_attempts_is_an_option() {
    let (push, monitor, listener) = push_to_raw(options().max_delivery_attempts(1));
    push.send(vec![1; HUGE]).expect("sent");
    push.send("behind it").expect("sent");
    break_off(&listener, "PULL");
    let cause = RefusalCause::BrokeConnections { count: 1 };
    assert_eq!(refusal(&monitor), (HUGE, cause));
    let mut raw = RawPeer::accept(&listener);
    raw.shake_hands(1, "PULL");
    assert_eq!(raw.read_frame().1, b"behind it");
}

/// A peer may take its time to find out that it does not want a message: how long its connections last is no sign of anything.
#[test]
fn a_peer_that_takes_long_to_refuse_a_message_gets_it_no_more_often() {
    let (push, monitor, listener) = push_to_raw(options());
    push.send(vec![1; HUGE]).expect("sent");
    push.send("behind it").expect("sent");
    for _ in 0..2 {
        let mut raw = RawPeer::accept(&listener);
        raw.shake_hands(1, "PULL");
        let began = Instant::now();
        while began.elapsed() < LONG_LIVED {
            raw.read(100);
            let _ = monitor.recv_timeout(GLANCE);
        }
    }
    let mut raw = RawPeer::accept(&listener);
    raw.shake_hands(1, "PULL");
    assert_eq!(raw.read_frame().1, b"behind it");
    assert_eq!(push.stats().dropped.refused, 1);
}

/// Memory of the application, which uses the socket when it is no longer needed.
struct Owner {
    memory: Vec<u8>,
    user: Weak<Push>,
    dropped: Sender<u64>,
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.memory
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let sent = self.user.upgrade().map(|push| push.stats().messages_out);
        let _ = self.dropped.send(sent.unwrap_or_default());
    }
}

#[test]
fn the_owner_of_what_is_given_up_may_use_the_socket() {
    for announces in [false, true] {
        let (push, _monitor, listener) = push_to_raw(options());
        let push = Arc::new(push);
        let (tell, dropped) = channel();
        let owner = Owner {
            memory: vec![1; HUGE],
            user: Arc::downgrade(&push),
            dropped: tell,
        };
        push.send(Bytes::from_owner(owner)).expect("sent");
        let mut raw = None;
        if announces {
            let raw = raw.insert(RawPeer::accept(&listener));
            raw.write(&common::raw::greeting(1, "NULL"));
            let socket_type = common::raw::property("Socket-Type", b"PULL");
            let limit = common::raw::property("Max-Message-Size", b"1000");
            let ready = common::raw::command("READY", &[socket_type, limit].concat());
            raw.write(&ready);
        } else {
            break_off(&listener, "PULL");
            break_off(&listener, "PULL");
        }
        assert_eq!(dropped.recv_timeout(DEADLINE), Ok(1));
    }
}

/// A socket that is closed goes on until it has given up what is refused, and sent what is behind it.
#[test]
fn closing_does_not_wait_for_what_is_refused() {
    let (push, monitor, listener) = push_to_raw(options());
    push.send("ahead of it").expect("sent");
    push.send(vec![1; HUGE]).expect("sent");
    push.send("behind it").expect("sent");
    let peer = thread::spawn(move || {
        let mut raw = RawPeer::accept(&listener);
        raw.shake_hands(1, "PULL");
        assert_eq!(raw.read_frame().1, b"ahead of it");
        raw.read(100);
        drop(raw);
        break_off(&listener, "PULL");
        let mut raw = RawPeer::accept(&listener);
        raw.shake_hands(1, "PULL");
        assert_eq!(raw.read_frame().1, b"behind it");
    });
    let began = Instant::now();
    push.close(DEADLINE).expect("nothing is left unsent");
    assert!(began.elapsed() < DEADLINE / 2);
    peer.join().expect("a peer");
    let cause = RefusalCause::BrokeConnections { count: 2 };
    assert_eq!(refusal(&monitor), (HUGE, cause));
}

fn number_in(message: &[u8]) -> usize {
    let (number, _) = message.split_first_chunk().expect("a number");
    usize::from_be_bytes(*number)
}

/// One of three refuses what is large: the others have their turns meanwhile, and nothing comes twice.
#[test]
fn who_refuses_messages_holds_nobody_else_up() {
    const MESSAGES: usize = 200;
    for immediate in [false, true] {
        let context = Context::new();
        let push = Push::with_options(&context, options().immediate(immediate)).expect("a PUSH");
        let monitor = push.monitor();
        let pulls = [(); 2].map(|()| {
            let pull = Pull::with_options(&context, options()).expect("a PULL");
            push.connect(pull.bind(ANY_PORT).expect("bound"))
                .expect("connected");
            pull
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        push.connect(format!("tcp://{address}")).expect("connected");
        let (strict, taken) = channel();
        thread::spawn(move || {
            loop {
                let (mut stream, _) = listener.accept().expect("the socket connects");
                let mut raw = RawPeer::new(stream.try_clone().expect("a copy"));
                raw.shake_hands(1, "PULL");
                // A number and its header; what is larger has another.
                let mut frame = [0; 10];
                while stream.read_exact(&mut frame).is_ok() && frame[..2] == [0, 8] {
                    if strict.send(number_in(&frame[2..])).is_err() {
                        return;
                    }
                }
            }
        });
        push.wait_for_peers(3, DEADLINE).expect("peers");
        let mut large = 0;
        for number in 0..MESSAGES {
            let mut message = number.to_be_bytes().to_vec();
            if number % 50 == 0 {
                message.resize(HUGE, 0);
                large += 1;
            }
            push.send_timeout(message, DEADLINE).expect("room");
        }
        let (mut got, mut refused) = (Vec::new(), 0);
        until("all have come or been refused", || {
            for pull in &pulls {
                let message = pull.recv_timeout(GLANCE);
                got.extend(message.map(|message| number_in(message.first())));
            }
            got.extend(taken.try_iter());
            let events = std::iter::from_fn(|| monitor.try_recv().ok());
            let is_refusal = |event: &Event| matches!(event, Event::MessageRefused { .. });
            refused += events.filter(is_refusal).count();
            (got.len() + refused >= MESSAGES).then_some(())
        });
        // With `immediate` one that broke a connection goes to another peer next.
        assert!(refused <= large, "{refused} of {large}");
        got.sort_unstable();
        got.dedup();
        assert_eq!(got.len() + refused, MESSAGES, "nothing comes twice");
    }
}

#[test]
fn a_message_is_kept_for_ever_if_so_told() {
    let (push, _monitor, listener) = push_to_raw(options().max_delivery_attempts(None));
    push.send(vec![1; HUGE]).expect("sent");
    for _ in 0..5 {
        break_off(&listener, "PULL");
    }
    let mut raw = RawPeer::accept(&listener);
    raw.shake_hands(1, "PULL");
    assert_eq!(raw.read_frame().1.len(), HUGE);
    assert_eq!(push.stats().dropped.total(), 0);
}

/// What gets through in the end is acquitted, and so is what was only under way when its peer was restarted.
#[test]
fn messages_that_get_through_at_the_second_attempt_are_not_given_up() {
    let (push, monitor, listener) = push_to_raw(options());
    let wait_for_end = || {
        until("the end of a connection", || {
            match monitor.recv_timeout(DEADLINE) {
                Ok(Event::Disconnected { .. }) => Some(()),
                Ok(_) => None,
                Err(error) => panic!("no end: {error}"),
            }
        });
    };
    for round in 0..3 {
        push.send(vec![round; HUGE]).expect("sent");
        push.send("behind it").expect("sent");
        break_off(&listener, "PULL");
        let mut raw = RawPeer::accept(&listener);
        raw.shake_hands(1, "PULL");
        let (_, body) = raw.read_frame();
        assert_eq!((body.len(), body[0]), (HUGE, round));
        assert_eq!(raw.read_frame().1, b"behind it");
        drop(raw);
        // The one broken off, and this one: what is sent next is not to break the connection that ends here.
        wait_for_end();
        wait_for_end();
    }
    assert_eq!(push.stats().dropped.total(), 0);
}

#[test]
fn a_refused_request_fails_and_the_next_one_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    for correlate in [true, false] {
        let options = options().req_correlate(correlate);
        let req = Req::with_options(&Context::new(), options).expect("a REQ");
        req.connect(format!("tcp://{address}")).expect("connected");
        thread::scope(|scope| {
            scope.spawn(|| {
                break_off(&listener, "REP");
                break_off(&listener, "REP");
                let mut raw = RawPeer::accept(&listener);
                raw.shake_hands(1, "REP");
                let frames = 2 + usize::from(correlate);
                for index in 1..=frames {
                    let (flags, body) = raw.read_frame();
                    raw.write(&common::raw::frame(flags, &body));
                    assert_eq!(flags, if index < frames { MORE } else { 0 });
                }
                raw.expect_closed();
            });
            let began = Instant::now();
            match req.request_timeout(vec![1; HUGE], DEADLINE) {
                Err(RequestError::Refused { size, cause }) => {
                    assert!(size >= HUGE);
                    assert_eq!(cause, RefusalCause::BrokeConnections { count: 2 });
                }
                other => panic!("not refused: {other:?}"),
            }
            assert!(began.elapsed() < DEADLINE / 2);
            assert_eq!(
                req.request_timeout("small", DEADLINE).expect("a reply"),
                "small"
            );
            drop(req);
        });
    }
}

/// Each connection has its handshake, and ends: that is no reason to try again at once.
#[test]
fn the_waits_grow_although_every_handshake_succeeds() {
    let options = options()
        .reconnect_interval(Duration::from_millis(5))
        .reconnect_interval_max(Duration::from_secs(10));
    let (_push, monitor, listener) = push_to_raw(options);
    let mut waits = Vec::new();
    for _ in 0..8 {
        RawPeer::accept(&listener).shake_hands(1, "PULL");
        waits.push(until("a wait", || match monitor.recv_timeout(DEADLINE) {
            Ok(Event::RetryIn { delay, .. }) => Some(delay),
            Ok(_) => None,
            Err(error) => panic!("no wait: {error}"),
        }));
    }
    for (index, wait) in waits.iter().enumerate() {
        let step = Duration::from_millis(5 << index);
        assert!(*wait >= step / 2 && *wait <= step, "{waits:?}");
    }
}

/// A PUSH and a PULL that takes messages of up to [`LIMIT`] bytes.
fn limited_pair(endpoint: &str) -> (Push, Pull) {
    let context = Context::new();
    let pull = Pull::with_options(&context, limited()).expect("a PULL");
    let endpoint = pull.bind(endpoint).expect("bound");
    let push = Push::with_options(&context, options()).expect("a PUSH");
    push.connect(&endpoint).expect("connected");
    push.wait_for_peers(1, DEADLINE).expect("connected");
    (push, pull)
}

#[test]
fn send_refuses_what_the_peer_has_announced_not_to_take() {
    for (endpoint, size) in [
        (ANY_PORT, 6_000_000),
        (&*ipc(), 3_000_000),
        (ANY_PORT, LIMIT + 1),
    ] {
        let (push, pull) = limited_pair(endpoint);
        for wait in [Duration::ZERO, DEADLINE] {
            let error = push
                .send_timeout(vec![1; size], wait)
                .expect_err("too large");
            let expected = SendErrorKind::TooLarge {
                size: size as u64,
                limit: LIMIT as u64,
            };
            assert_eq!(error.kind(), expected);
            assert_eq!(
                error.to_string(),
                format!("the message has {size} bytes, the peer takes at most {LIMIT}")
            );
            assert_eq!(error.into_message().size(), size);
        }
        let in_two = Message::from([vec![1; LIMIT], vec![2]]);
        push.try_send(in_two).expect_err("all frames count");
        push.send(vec![2; LIMIT]).expect("just as large as may be");
        push.send("small").expect("sent");
        assert_eq!(
            pull.recv_timeout(DEADLINE).expect("a message").size(),
            LIMIT
        );
        assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), "small");
        let stats = push.stats();
        assert_eq!((stats.messages_out, stats.dropped.total()), (2, 0));
        assert_eq!((stats.reconnects, pull.stats().protocol_errors), (0, 0));
    }
}

#[test]
fn send_refuses_too_many_frames() {
    let (push, pull) = limited_pair(ANY_PORT);
    let message = |frames: usize| Message::from_frames((0..frames).map(|_| "x"));
    let error = push.try_send(message(5000)).expect_err("too many frames");
    let expected = SendErrorKind::TooManyParts {
        parts: 5000,
        limit: 4096,
    };
    assert_eq!(error.kind(), expected);
    push.send(message(4096)).expect("as many as may be");
    assert_eq!(
        pull.recv_timeout(DEADLINE).expect("a message").parts(),
        4096
    );
}

/// Short messages have a way of their own into the queue, which must not lead past a small limit.
#[test]
fn small_limits_hold_for_streams_of_short_messages() {
    let context = Context::new();
    let pull = Pull::with_options(&context, options().max_message_size(10)).expect("a PULL");
    let endpoint = pull.bind(ANY_PORT).expect("bound");
    let push = Push::with_options(&context, options()).expect("a PUSH");
    push.connect(&endpoint).expect("connected");
    push.wait_for_peers(1, DEADLINE).expect("connected");
    for round in 0..1000 {
        push.send([b'x'; 10]).expect("sent");
        if round % 10 == 9 {
            push.send([b'y'; 11]).expect_err("too large");
        }
    }
    for _ in 0..1000 {
        assert_eq!(
            pull.recv_timeout(DEADLINE).expect("a message"),
            "xxxxxxxxxx"
        );
    }
    assert_eq!(pull.stats().protocol_errors, 0);
}

#[test]
fn what_was_queued_before_the_limit_was_known_is_given_up_at_once() {
    for (endpoint, size) in [(loopback::tcp_endpoint(), 6_000_000), (ipc(), 3_000_000)] {
        let context = Context::new();
        let push = Push::with_options(&context, options()).expect("a PUSH");
        let monitor = push.monitor();
        push.connect(&*endpoint).expect("connected");
        push.send("ahead of it").expect("queued");
        push.send(vec![1; size]).expect("queued");
        push.send("behind it").expect("queued");
        let pull = Pull::with_options(&context, limited()).expect("a PULL");
        pull.bind(&*endpoint).expect("bound");
        assert_eq!(
            pull.recv_timeout(DEADLINE).expect("a message"),
            "ahead of it"
        );
        assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), "behind it");
        let cause = RefusalCause::TooLarge {
            limit: LIMIT as u64,
        };
        assert_eq!(refusal(&monitor), (size, cause));
        let stats = push.stats();
        assert_eq!((stats.dropped.refused, stats.dropped.total()), (1, 1));
        assert_eq!(stats.messages_out, 3);
        assert_eq!(pull.stats().protocol_errors, 0);
    }
}

#[test]
fn a_large_message_goes_to_the_peer_that_takes_it() {
    let context = Context::new();
    let push = Push::with_options(&context, options()).expect("a PUSH");
    let endpoint = push.bind(ANY_PORT).expect("bound");
    let small = Pull::with_options(&context, limited()).expect("a PULL");
    small.connect(&endpoint).expect("connected");
    push.wait_for_peers(1, DEADLINE).expect("one peer");
    push.try_send(vec![1; 2 * LIMIT])
        .expect_err("nobody takes it");
    let large =
        Pull::with_options(&context, options().max_message_size(3 * LIMIT)).expect("a PULL");
    large.connect(&endpoint).expect("connected");
    push.wait_for_peers(2, DEADLINE).expect("two peers");
    for _ in 0..4 {
        push.send(vec![1; 2 * LIMIT]).expect("one takes it");
        assert_eq!(
            large.recv_timeout(DEADLINE).expect("a message").size(),
            2 * LIMIT
        );
    }
    let error = push
        .try_send(vec![1; 4 * LIMIT])
        .expect_err("nobody takes it");
    let expected = SendErrorKind::TooLarge {
        size: 4 * LIMIT as u64,
        limit: 3 * LIMIT as u64,
    };
    assert_eq!(error.kind(), expected);
    push.send("a").expect("sent");
    push.send("b").expect("sent");
    small.recv_timeout(DEADLINE).expect("its share");
    large.recv_timeout(DEADLINE).expect("its share");
}

/// It sends as a PUSH does, and is sent to as a PULL is.
#[test]
fn a_dealer_is_told_of_limits_and_has_its_own() {
    let context = Context::new();
    let dealer = Dealer::with_options(&context, options()).expect("a DEALER");
    let endpoint = dealer.bind(ANY_PORT).expect("bound");
    let small = Dealer::with_options(&context, limited()).expect("a DEALER");
    small.connect(&endpoint).expect("connected");
    dealer.wait_for_peers(1, DEADLINE).expect("one peer");
    let error = dealer.send(vec![1; 2 * LIMIT]).expect_err("too large");
    let expected = SendErrorKind::TooLarge {
        size: 2 * LIMIT as u64,
        limit: LIMIT as u64,
    };
    assert_eq!(error.kind(), expected);
    assert_eq!(error.into_message().size(), 2 * LIMIT);
    let large = Dealer::with_options(&context, options()).expect("a DEALER");
    large.connect(&endpoint).expect("connected");
    dealer.wait_for_peers(2, DEADLINE).expect("two peers");
    for _ in 0..4 {
        dealer.send(vec![1; 2 * LIMIT]).expect("one takes it");
        let message = large.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(message.size(), 2 * LIMIT);
    }
    // It has no limit of its own that matters.
    small.send(vec![1; 2 * LIMIT]).expect("sent");
    let message = dealer.recv_timeout(DEADLINE).expect("a message");
    assert_eq!(message.size(), 2 * LIMIT);
}

/// Whatever its limits are: they do not apply there.
#[test]
fn a_large_message_goes_to_the_peer_within_the_process() {
    let context = Context::new();
    let push = Push::with_options(&context, options()).expect("a PUSH");
    let endpoint = push.bind(ANY_PORT).expect("bound");
    let within = push.bind("inproc://large").expect("bound");
    let pulls = [endpoint, within].map(|endpoint| {
        let pull = Pull::with_options(&context, limited()).expect("a PULL");
        pull.connect(&endpoint).expect("connected");
        pull
    });
    push.wait_for_peers(2, DEADLINE).expect("two peers");
    for _ in 0..3 {
        push.send(vec![1; 2 * LIMIT]).expect("one takes it");
        let large = pulls[1].recv_timeout(DEADLINE).expect("a message");
        assert_eq!(large.size(), 2 * LIMIT);
    }
    for _ in 0..2 {
        push.send("small").expect("sent");
    }
    for pull in &pulls {
        assert_eq!(pull.recv_timeout(DEADLINE).expect("its share"), "small");
    }
    let [_small, within] = pulls;
    within.close(DEADLINE).expect("closed");
    until("only the other one is left", || {
        match push.send_timeout(vec![1; 2 * LIMIT], GLANCE) {
            Err(error) if matches!(error.kind(), SendErrorKind::TooLarge { .. }) => Some(()),
            _ => None,
        }
    });
}

/// What is too large for the peer that is named comes back, to whichever peer, and goes to another that takes it.
#[test]
fn a_router_is_told_of_limits_peer_by_peer() {
    let context = Context::new();
    let router = Router::with_options(&context, options()).expect("a ROUTER");
    let endpoint = router.bind(ANY_PORT).expect("bound");
    let [small, large] = [("small", limited()), ("large", options())].map(|(name, options)| {
        let options = options.routing_id(name).probe_router(true);
        let dealer = Dealer::with_options(&context, options).expect("a DEALER");
        dealer.connect(&endpoint).expect("connected");
        router.recv_timeout(DEADLINE).expect("its probe");
        dealer
    });
    let message = || [vec![1; LIMIT], vec![2; LIMIT]];
    let expected = SendErrorKind::TooLarge {
        size: 2 * LIMIT as u64,
        limit: LIMIT as u64,
    };
    let error = router.send_to("small", message()).expect_err("too large");
    assert_eq!(error.kind(), expected);
    assert_eq!(error.into_message(), Message::from(message()));
    // In libzmq's form the name is not part of the message, and comes back with it.
    let mut enveloped = Message::from(message());
    enveloped.push_front("small");
    let error = SendSocket::send(&router, &enveloped).expect_err("too large");
    assert_eq!(error.kind(), expected);
    assert_eq!(error.into_message(), enveloped);

    let routed = router.send_to("large", message()).expect("sent");
    assert_eq!(routed, Routed::Queued);
    let received = large.recv_timeout(DEADLINE).expect("a message");
    assert_eq!(received, Message::from(message()));
    let routed = router.send_to("small", vec![1; LIMIT]).expect("sent");
    assert_eq!(routed, Routed::Queued);
    let received = small.recv_timeout(DEADLINE).expect("a message");
    assert_eq!(received.size(), LIMIT);
    assert_eq!(router.stats().dropped.total(), 0);
}

#[test]
fn a_pair_is_told_of_limits() {
    let context = Context::new();
    let pair = Pair::with_options(&context, options()).expect("a PAIR");
    let small = Pair::with_options(&context, limited()).expect("a PAIR");
    small
        .connect(pair.bind(ANY_PORT).expect("bound"))
        .expect("connected");
    pair.wait_for_peers(1, DEADLINE).expect("a peer");
    let error = pair.send(vec![1; 2 * LIMIT]).expect_err("too large");
    let expected = SendErrorKind::TooLarge {
        size: 2 * LIMIT as u64,
        limit: LIMIT as u64,
    };
    assert_eq!(error.kind(), expected);
    pair.send(vec![1; LIMIT]).expect("sent");
    let received = small.recv_timeout(DEADLINE).expect("a message");
    assert_eq!(received.size(), LIMIT);
}

#[test]
fn a_publisher_passes_over_who_does_not_take_a_message() {
    let context = Context::new();
    let publisher = Pub::with_options(&context, options()).expect("a PUB");
    let monitor = publisher.monitor();
    let endpoint = publisher.bind(ANY_PORT).expect("bound");
    let subscriber = |options| {
        let sub = Sub::with_options(&context, options).expect("a SUB");
        sub.subscribe("").expect("subscribed");
        sub.connect(&endpoint).expect("connected");
        sub
    };
    let (small, large) = (subscriber(limited()), subscriber(options()));
    publisher
        .wait_for_any_subscribers(2, DEADLINE)
        .expect("two subscribers");
    let published = publisher.send(vec![1; 2 * LIMIT]).expect("published");
    assert_eq!(
        (published.sent, published.skipped, published.refused),
        (1, 0, 1)
    );
    let cause = RefusalCause::TooLarge {
        limit: LIMIT as u64,
    };
    assert_eq!(refusal(&monitor), (2 * LIMIT, cause));
    assert_eq!(publisher.send("small").expect("published").sent, 2);
    assert_eq!(small.recv_timeout(DEADLINE).expect("a message"), "small");
    assert_eq!(
        large.recv_timeout(DEADLINE).expect("a message").size(),
        2 * LIMIT
    );
    let stats = publisher.stats();
    assert_eq!((stats.dropped.refused, stats.messages_out), (1, 3));
}

#[test]
fn requests_and_replies_that_are_too_large_fail_with_both_sizes() {
    let context = Context::new();
    let rep = Rep::with_options(&context, limited()).expect("a REP");
    let endpoint = loopback::tcp_endpoint();
    let req = Req::with_options(&context, limited()).expect("a REQ");
    req.connect(&*endpoint).expect("connected");
    thread::scope(|scope| {
        // The first one is queued before there is anybody to say what it takes.
        let early = scope.spawn(|| req.request_timeout(vec![1; 2 * LIMIT], DEADLINE));
        until("a request in the queue", || {
            thread::yield_now();
            (req.stats().messages_out == 1).then_some(())
        });
        rep.bind(&*endpoint).expect("bound");
        match early.join().expect("no panic") {
            Err(RequestError::Refused { size, cause }) => {
                assert_eq!(size, 2 * LIMIT + 4, "with its envelope");
                let limit = LIMIT as u64;
                assert_eq!(cause, RefusalCause::TooLarge { limit });
            }
            other => panic!("not refused: {other:?}"),
        }
        match req.request_timeout(vec![1; LIMIT], DEADLINE) {
            Err(RequestError::Send(error)) => {
                let (size, limit) = (LIMIT as u64 + 4, LIMIT as u64);
                assert_eq!(error.kind(), SendErrorKind::TooLarge { size, limit });
                assert_eq!(error.into_message().size(), LIMIT);
            }
            other => panic!("not refused: {other:?}"),
        }
        scope.spawn(|| {
            for _ in 0..2 {
                let request = rep.recv_timeout(DEADLINE).expect("a request");
                if *request.message() == "how long may it be?" {
                    request.reply("not that long").expect("replied");
                    return;
                }
                let error = request.reply(vec![1; LIMIT]).expect_err("too large");
                let (size, limit) = (LIMIT as u64 + 4, LIMIT as u64);
                assert_eq!(error.kind(), ReplyErrorKind::TooLarge { size, limit });
                assert_eq!(error.into_message().size(), LIMIT);
            }
        });
        let unanswered = req.request_timeout("tell me all", Duration::from_millis(200));
        assert!(
            matches!(unanswered, Err(RequestError::TimedOut)),
            "{unanswered:?}"
        );
        let reply = req.request_timeout("how long may it be?", DEADLINE);
        assert_eq!(reply.expect("a reply"), "not that long");
    });
    assert_eq!(
        (req.stats().reconnects, rep.stats().protocol_errors),
        (0, 0)
    );
}

#[test]
fn a_topic_that_is_too_long_does_not_cost_the_others() {
    let context = Context::new();
    let publisher =
        Pub::with_options(&context, options().max_subscription_length(10)).expect("a PUB");
    let endpoint = publisher.bind(ANY_PORT).expect("bound");
    let sub = Sub::with_options(&context, options()).expect("a SUB");
    let monitor = sub.monitor();
    sub.subscribe("weather").expect("subscribed");
    sub.subscribe("weather in oslo").expect("subscribed");
    sub.connect(&endpoint).expect("connected");
    sub.subscribe("sports").expect("subscribed");
    for topic in ["weather", "sports"] {
        publisher
            .wait_for_subscribers(topic, 1, DEADLINE)
            .expect("a subscriber");
        publisher.send(topic).expect("published");
        assert_eq!(sub.recv_timeout(DEADLINE).expect("a message"), topic);
    }
    until("a refusal", || match monitor.recv_timeout(DEADLINE) {
        Ok(Event::SubscriptionRefused { length, cause, .. }) => {
            assert_eq!((length, cause), (15, RefusalCause::TooLarge { limit: 10 }));
            Some(())
        }
        Ok(_) => None,
        Err(error) => panic!("no refusal: {error}"),
    });
    sub.unsubscribe("weather in oslo").expect("unsubscribed");
    publisher.send("weather").expect("published");
    assert_eq!(sub.recv_timeout(DEADLINE).expect("a message"), "weather");
    assert_eq!(publisher.stats().protocol_errors, 0);
}

/// The next topic that a publisher was not told of: its length and the cause.
fn withheld(monitor: &Monitor) -> (usize, RefusalCause) {
    until("a refusal", || match monitor.recv_timeout(DEADLINE) {
        Ok(Event::SubscriptionRefused { length, cause, .. }) => Some((length, cause)),
        Ok(_) => None,
        Err(error) => panic!("no refusal: {error}"),
    })
}

/// A publisher of another make: it announces no limits, ends connections over topics of more than 1,000 bytes, and answers PINGs
/// if it is new enough. Publishes when it is told of "news", and says how many other topics it was told of on that connection.
fn strict_publisher(listener: &TcpListener, minor: u8) -> (RawPeer, usize) {
    loop {
        let mut raw = RawPeer::accept(listener);
        raw.shake_hands(minor, "PUB");
        let mut told = 0;
        loop {
            let (_, body) = raw.read_frame();
            match body.strip_prefix(b"\x04PING") {
                Some(_) if minor == 0 => {}
                Some(ping) => raw.write(&common::raw::command("PONG", &ping[2..])),
                None if body.len() > 1000 => break,
                None if body.ends_with(b"news") => {
                    raw.write(&common::raw::frame(0, b"news of today"));
                    return (raw, told);
                }
                None => told += 1,
            }
        }
    }
}

#[test]
fn a_topic_over_which_a_publisher_ends_connections_is_not_sent_for_ever() {
    for (minor, short) in [(1, 0), (1, 100), (0, 0), (0, 1)] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let sub = Sub::with_options(&Context::new(), options()).expect("a SUB");
        let monitor = sub.monitor();
        for number in 0..short {
            sub.subscribe(format!("topic {number}"))
                .expect("subscribed");
        }
        sub.subscribe("x".repeat(5000)).expect("subscribed");
        sub.connect(format!("tcp://{address}")).expect("connected");
        let publisher = thread::spawn(move || strict_publisher(&listener, minor));
        let cause = RefusalCause::BrokeConnections { count: 2 };
        assert_eq!(withheld(&monitor), (5000, cause));
        assert!(sub.stats().subscriptions_withheld > 0);
        sub.subscribe("news").expect("subscribed");
        let news = sub.recv_timeout(DEADLINE).expect("news");
        assert_eq!(news, "news of today");
        assert_eq!(publisher.join().expect("a publisher").1, short);
    }
}

#[test]
fn topics_beyond_a_publishers_number_wait_for_room() {
    for endpoint in [ANY_PORT, &*ipc()] {
        let context = Context::new();
        let publisher = Pub::with_options(&context, options().max_subscriptions(3)).expect("a PUB");
        let endpoint = publisher.bind(endpoint).expect("bound");
        let sub = Sub::with_options(&context, options()).expect("a SUB");
        let monitor = sub.monitor();
        let topics = ["a", "bb", "ccc", "dddd", "eeeee"];
        for topic in topics {
            sub.subscribe(topic).expect("subscribed");
        }
        sub.connect(&endpoint).expect("connected");
        publisher
            .wait_for_any_subscribers(1, DEADLINE)
            .expect("a subscriber");
        let cause = RefusalCause::TooManySubscriptions { limit: 3 };
        let mut missing = [withheld(&monitor), withheld(&monitor)].map(|(length, seen)| {
            assert_eq!(seen, cause);
            topics[length - 1]
        });
        missing.sort_unstable();
        // Each one that is given up makes room for one of those.
        for topic in topics
            .iter()
            .filter(|topic| !missing.contains(topic))
            .take(2)
        {
            publisher
                .wait_for_subscribers(topic, 1, DEADLINE)
                .expect("a subscriber");
            sub.unsubscribe(topic).expect("unsubscribed");
        }
        for topic in missing {
            publisher
                .wait_for_subscribers(topic, 1, DEADLINE)
                .expect("a subscriber");
            publisher.send(topic).expect("published");
            assert_eq!(sub.recv_timeout(DEADLINE).expect("a message"), topic);
        }
        assert_eq!(publisher.stats().protocol_errors, 0);
        assert_eq!(sub.stats().subscriptions_withheld, 2);
    }
}

/// Limits are for strangers.
#[test]
fn a_subscriber_within_the_process_may_want_what_it_likes() {
    let context = Context::new();
    let limits = options().max_subscription_length(3).max_subscriptions(1);
    let publisher = Pub::with_options(&context, limits).expect("a PUB");
    let endpoint = publisher.bind("inproc://news").expect("bound");
    let sub = Sub::with_options(&context, options()).expect("a SUB");
    sub.connect(&endpoint).expect("connected");
    for topic in ["weather", "sports"] {
        sub.subscribe(topic).expect("subscribed");
        publisher
            .wait_for_subscribers(topic, 1, DEADLINE)
            .expect("a subscriber");
        publisher.send(topic).expect("published");
        assert_eq!(sub.recv_timeout(DEADLINE).expect("a message"), topic);
    }
}

/// What a peer announces is its own affair: it gets nothing, and the others get all.
#[test]
fn strange_announcements_harm_nobody_else() {
    let context = Context::new();
    let push = Push::with_options(&context, options()).expect("a PUSH");
    let endpoint = push.bind(ANY_PORT).expect("bound").to_string();
    let values: [&[u8]; 8] = [
        b"0",
        b"",
        b"-1",
        b"99999999999999999999999999",
        b"18446744073709551615",
        b"\xff\0\r\n",
        &[b'9'; 4000],
        b"1 MB",
    ];
    let monitor = push.monitor();
    let mut strangers = Vec::new();
    for name in [
        "Max-Message-Size",
        "max-parts",
        "Max-Subscription-Length",
        "Max-Subscriptions",
    ] {
        for value in values {
            let mut raw = RawPeer::connect(&endpoint);
            raw.write(&common::raw::greeting(1, "NULL"));
            let socket_type = common::raw::property("Socket-Type", b"PULL");
            let limit = common::raw::property(name, value);
            raw.write(&common::raw::command(
                "READY",
                &[socket_type, limit].concat(),
            ));
            strangers.push(raw);
        }
    }
    push.wait_for_peers(strangers.len(), DEADLINE)
        .expect("strangers");
    let (zeros, others): (Vec<_>, Vec<_>) = strangers
        .into_iter()
        .enumerate()
        .partition(|(index, _)| index % values.len() == 0 && *index < 2 * values.len());
    for number in 0..others.len() as u8 {
        push.send([number; 3]).expect("sent");
    }
    for (_, mut raw) in others {
        raw.read(64);
        assert_eq!(raw.read_frame().0, COMMAND);
        assert_eq!(raw.read_frame().1.len(), 3);
    }
    until("the others have gone", || {
        let _ = monitor.recv_timeout(GLANCE);
        (push.stats().peers.len() == zeros.len()).then_some(())
    });
    let error = push.try_send("x").expect_err("nobody is left who takes it");
    let kind = error.kind();
    assert!(
        matches!(
            kind,
            SendErrorKind::TooLarge { .. } | SendErrorKind::TooManyParts { .. }
        ),
        "{kind:?}"
    );
}
