//! By what peers announce: a message that one does not take is refused before it is queued, or goes to another.

use std::thread;
use std::time::Duration;

use zerohop::{
    Context, Dealer, Message, Pair, Pub, Pull, Push, RefusalCause, Rep, ReplyErrorKind, Req,
    RequestError, Routed, Router, SendErrorKind, SendSocket, Sub,
};

use crate::common::deadline::DEADLINE;
use crate::common::loopback;
use crate::common::raw::{self, COMMAND, RawPeer};
use crate::common::until::{GLANCE, until};
use crate::{ANY_PORT, LIMIT, ipc, limited, options, refusal};

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
            raw.write(&raw::greeting(1, "NULL"));
            let socket_type = raw::property("Socket-Type", b"PULL");
            let limit = raw::property(name, value);
            raw.write(&raw::command("READY", &[socket_type, limit].concat()));
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
