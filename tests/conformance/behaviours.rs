//! What libzmq's own test programs pin and no other scenario here has; each says by which name it is known there.

use std::thread;
use std::time::Duration;

use crate::sockets::{
    Context, Dealer, Message, Options, Pub, Pull, Push, RecvSocket, Rep, Req, Routed, Router,
    SendErrorKind, SendSocket, Sub, UnbindError, Xpub, Xsub,
};

use crate::arena::{Transport, nimble, on_every_transport};
use crate::common::deadline::DEADLINE;
use crate::common::until::until;
use crate::pairs::Socket;

on_every_transport!(
    fresh_dealers_are_answered_one_after_the_other,
    a_queue_by_hand_keeps_requests_and_replies_whole,
    threads_connect_and_close_while_the_context_ends,
    topics_match_on_either_side_of_a_longer_header,
    nothing_is_sent_without_an_endpoint,
    topics_are_counted_once_each,
);

/// `issue_566`.
fn fresh_dealers_are_answered_one_after_the_other(transport: Transport) {
    let context = Context::new();
    let options = nimble().router_mandatory(true);
    let router = Router::with_options(&context, options).expect("a ROUTER");
    let endpoint = Socket::bind(&router, &transport.endpoint());
    for number in 0..40 {
        let elsewhere = match transport {
            Transport::Inproc => context.clone(),
            _ => Context::new(),
        };
        let name = format!("dealer {number}");
        let options = nimble().routing_id(name.as_str());
        let dealer = Dealer::with_options(&elsewhere, options).expect("a DEALER");
        Socket::connect(&dealer, &endpoint);
        dealer.send_timeout("hello", DEADLINE).expect("sent");
        let hello = router.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(hello.message, "hello");
        let routed = router.send_to(&hello.peer, "welcome");
        assert_eq!(routed.expect("it is there"), Routed::Queued);
        assert_eq!(dealer.recv_timeout(DEADLINE).expect("an answer"), "welcome");
    }
}

/// `reqrep_device`.
fn a_queue_by_hand_keeps_requests_and_replies_whole(transport: Transport) {
    const QUESTIONS: usize = 10;
    let context = Context::new();
    let (front, back) = (Router::open(&context), Dealer::open(&context));
    let (req, rep) = (Req::open(&context), Rep::open(&context));
    Socket::connect(&req, &Socket::bind(&front, &transport.endpoint()));
    Socket::connect(&rep, &Socket::bind(&back, &transport.endpoint()));
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..QUESTIONS {
                let request = RecvSocket::recv_timeout(&front, DEADLINE).expect("a request");
                back.send_timeout(request, DEADLINE).expect("sent on");
                let reply = back.recv_timeout(DEADLINE).expect("a reply");
                SendSocket::send_timeout(&front, reply, DEADLINE).expect("sent back");
            }
        });
        scope.spawn(|| {
            for number in 0..QUESTIONS {
                let request = rep.recv_timeout(DEADLINE).expect("a request");
                let parts = [number.to_string(), String::new(), "asked".into()];
                assert_eq!(*request.message(), Message::from(parts));
                let reply = [String::new(), "answered".into(), number.to_string()];
                request.reply(reply).expect("replied");
            }
        });
        for number in 0..QUESTIONS {
            let question = [number.to_string(), String::new(), "asked".into()];
            let reply = req.request_timeout(question, DEADLINE).expect("a reply");
            let parts = [String::new(), "answered".into(), number.to_string()];
            assert_eq!(reply, Message::from(parts));
        }
    });
}

/// `shutdown_stress`.
fn threads_connect_and_close_while_the_context_ends(transport: Transport) {
    for _ in 0..3 {
        let context = Context::new();
        let publisher = Pub::open(&context);
        let endpoint = Socket::bind(&publisher, &transport.endpoint());
        let threads: Vec<_> = (0..16)
            .map(|_| {
                let (context, endpoint) = (context.clone(), endpoint.clone());
                thread::spawn(move || {
                    // Either may come too late.
                    let sub = Sub::with_options(&context, nimble()).ok()?;
                    sub.connect(&*endpoint).ok()
                })
            })
            .collect();
        context.shutdown();
        assert!(Sub::new(&context).is_err(), "it is shut down");
        drop(publisher);
        drop(context);
        for thread in threads {
            thread.join().expect("no panic");
        }
    }
}

/// `xpub_topic`: with them, a subscription has a short header or a long one.
fn topics_match_on_either_side_of_a_longer_header(transport: Transport) {
    let context = Context::new();
    let (publisher, sub) = (Pub::open(&context), Sub::open(&context));
    Socket::connect(&sub, &Socket::bind(&publisher, &transport.endpoint()));
    for length in [1, 243, 244, 245, 246, 254, 255, 256, 257, 1_000] {
        let topic = format!("{length:0length$}");
        sub.subscribe(&topic).expect("subscribed");
        publisher
            .wait_for_subscribers(&topic, 1, DEADLINE)
            .expect("it is known");
        let shorter = &topic[..length - 1];
        assert_eq!(publisher.send(shorter).expect("published").sent, 0);
        let longer = format!("{topic} and more");
        assert_eq!(publisher.send(&longer).expect("published").sent, 1);
        assert_eq!(sub.recv_timeout(DEADLINE).expect("a message"), longer);
        sub.unsubscribe(&topic).expect("unsubscribed");
    }
}

/// `term_endpoint`.
fn nothing_is_sent_without_an_endpoint(transport: Transport) {
    let refuses = |push: &Push| {
        push.settle_at(0);
        let error = push.try_send("nobody").expect_err("there is nobody");
        assert_eq!(error.kind(), SendErrorKind::WouldBlock);
    };
    for push_binds in [true, false] {
        let context = Context::new();
        let (push, pull) = (Push::open(&context), Pull::open(&context));
        let wanted = transport.endpoint();
        let endpoint = match push_binds {
            true => Socket::bind(&push, &wanted),
            false => Socket::bind(&pull, &wanted),
        };
        match push_binds {
            true => Socket::connect(&pull, &endpoint),
            false => Socket::connect(&push, &endpoint),
        }
        push.send_timeout("one", DEADLINE).expect("sent");
        assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), "one");
        match push_binds {
            true => Socket::unbind(&push, &endpoint).expect("unbound"),
            false => Socket::disconnect(&push, &endpoint).expect("disconnected"),
        }
        refuses(&push);
    }
}

/// `unbind_wildcard`: what was asked for is no name of what there is.
#[test]
fn a_wildcard_is_unbound_by_what_it_became() {
    let pull = Pull::with_options(&Context::new(), Options::new()).expect("a PULL");
    for wildcard in ["tcp://127.0.0.1:*", "tcp://[::1]:*", "ipc://*"] {
        let Ok(bound) = pull.bind(wildcard) else {
            // A system without IPv6.
            assert!(wildcard.contains("::1"), "{wildcard}");
            continue;
        };
        let error = pull.unbind(wildcard).expect_err("that is not there");
        assert!(matches!(error, UnbindError::NotFound { .. }), "{error:?}");
        pull.unbind(&bound).expect("unbound");
    }
}

/// `pubsub_topics_count`.
fn topics_are_counted_once_each(transport: Transport) {
    let context = Context::new();
    let (publisher, xpub) = (Pub::open(&context), Xpub::open(&context));
    let (sub, xsub) = (Sub::open(&context), Xsub::open(&context));
    let endpoints = [
        Socket::bind(&publisher, &transport.endpoint()),
        Socket::bind(&xpub, &transport.endpoint()),
    ];
    for endpoint in endpoints {
        Socket::connect(&sub, &endpoint);
        Socket::connect(&xsub, &endpoint);
    }
    let known = |count: usize| {
        until("the publishers know", || {
            let known = [publisher.topics_count(), xpub.topics_count()];
            // Nothing tells of topics that end: look again soon.
            let _ = xpub.wait_for_peers(usize::MAX, Duration::from_millis(1));
            (known == [count; 2]).then_some(())
        });
    };
    let counts = |of_sub, of_xsub, of_both| {
        assert_eq!([sub.topics_count(), xsub.topics_count()], [of_sub, of_xsub]);
        known(of_both);
    };
    counts(0, 0, 0);
    for (topic, of_sub) in [("a", 1), ("ab", 2), ("a", 2), ("", 3)] {
        sub.subscribe(topic).expect("subscribed");
        counts(of_sub, 0, of_sub);
    }
    xsub.subscribe("ab").expect("subscribed");
    counts(3, 1, 3);
    xsub.send("\x01b").expect("subscribed");
    counts(3, 2, 4);
    for (topic, of_sub, of_both) in [("a", 3, 4), ("a", 2, 3), ("ab", 1, 3), ("x", 1, 3)] {
        sub.unsubscribe(topic).expect("unsubscribed");
        counts(of_sub, 2, of_both);
    }
    drop(sub);
    known(2);
}
