//! XPUB and XSUB: what is said of subscriptions, and to whom they are passed on.

use std::thread;
use std::time::Duration;

use crate::sockets::{
    Context, Message, Options, Pub, RecvError, SendErrorKind, Sub, SubscribeError, Subscription,
    Upstream, WaitError, Xpub, Xsub,
};

use crate::arena::{Transport, nimble, on_every_transport};
use crate::common::deadline::DEADLINE;
use crate::common::until::{GLANCE, until};
use crate::pairs::Socket;

on_every_transport!(
    tells_of_the_first_and_the_last,
    tells_of_all_if_asked,
    tells_what_a_peer_that_goes_wanted,
    waits_for_the_application,
    gives_peers_what_the_application_says,
    sends_the_last_value_to_who_asked,
    forgets_whose_subscription_it_was,
    welcomes_each_connection,
    carries_messages_up,
    sends_subscriptions_as_messages,
    counts_references,
    tells_of_every_end_if_told_to,
    tells_later_publishers_each_topic_once,
    passes_on_through_a_proxy,
    blocks_for_the_slow_if_told_to,
);

fn xpub_in(context: &Context, options: Options) -> Xpub {
    Xpub::with_options(context, options).expect("an XPUB")
}

/// An XPUB, its endpoint, and a SUB that is connected to it.
fn pair(transport: Transport, options: Options) -> (Context, Xpub, String, Sub) {
    let context = Context::new();
    let xpub = xpub_in(&context, options);
    let endpoint = Socket::bind(&xpub, &transport.endpoint());
    let sub = connected_sub(&context, &endpoint);
    xpub.wait_for_peers(1, DEADLINE).expect("a peer");
    (context, xpub, endpoint, sub)
}

fn connected_sub(context: &Context, endpoint: &str) -> Sub {
    let sub = Sub::open(context);
    Socket::connect(&sub, endpoint);
    sub.wait_for_peers(1, DEADLINE).expect("a publisher");
    sub
}

fn next(xpub: &Xpub) -> Upstream {
    xpub.recv_upstream_timeout(DEADLINE).expect("news")
}

fn subscription(upstream: Upstream) -> Subscription {
    match upstream {
        Upstream::Subscribe(subscription) => subscription,
        other => panic!("no subscription: {other:?}"),
    }
}

/// As text: `+topic`, `-topic`, or the message.
fn told(xpub: &Xpub) -> String {
    text(next(xpub))
}

fn text(upstream: Upstream) -> String {
    match upstream {
        Upstream::Subscribe(it) => format!("+{}", it.topic().to_string_lossy()),
        Upstream::Unsubscribe(it) => format!("-{}", it.topic().to_string_lossy()),
        Upstream::Message(message) => message.to_str().expect("text").to_owned(),
        other => panic!("{other:?}"),
    }
}

fn quiet(xpub: &Xpub) {
    let none = xpub.recv_upstream_timeout(GLANCE);
    assert_eq!(none, Err(RecvError::TimedOut));
}

fn tells_of_the_first_and_the_last(transport: Transport) {
    let (context, xpub, endpoint, one) = pair(transport, nimble());
    let other = connected_sub(&context, &endpoint);
    one.subscribe("topic").expect("subscribed");
    assert_eq!(told(&xpub), "+topic");
    other.subscribe("topic").expect("subscribed");
    other.subscribe("").expect("subscribed");
    assert_eq!(told(&xpub), "+");
    assert_eq!(xpub.send("topic of both").expect("published").sent, 2);
    for sub in [&one, &other] {
        let message = sub.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(message, "topic of both");
    }
    one.unsubscribe("topic").expect("unsubscribed");
    one.subscribe("mark").expect("subscribed");
    // In the other form.
    let message = xpub.recv_timeout(DEADLINE).expect("a message");
    assert_eq!(message, "\u{1}mark");
    other.unsubscribe("topic").expect("unsubscribed");
    let message = xpub.recv_timeout(DEADLINE).expect("a message");
    assert_eq!(message, "\0topic");
    quiet(&xpub);
    assert_eq!(xpub.try_recv(), Err(RecvError::WouldBlock));
    assert_eq!(xpub.try_recv_upstream(), Err(RecvError::WouldBlock));
}

fn tells_of_all_if_asked(transport: Transport) {
    for (verboser, expected) in [(false, "+a +a -a +z"), (true, "+a +a -a -a +z")] {
        let options = nimble().xpub_verbose(true).xpub_verboser(verboser);
        let (context, xpub, endpoint, one) = pair(transport, options);
        let other = connected_sub(&context, &endpoint);
        let mut seen = Vec::new();
        for sub in [&one, &other] {
            sub.subscribe("a").expect("subscribed");
            seen.push(told(&xpub));
        }
        one.unsubscribe("a").expect("unsubscribed");
        if verboser {
            seen.push(told(&xpub));
        }
        // One that ends with its peer is told of as well.
        let own = one.stats();
        assert_eq!(own.dropped.total(), 0);
        until("the first one's has ended", || {
            xpub.wait_for_subscribers("a", 2, Duration::from_millis(1))
                .is_err()
                .then_some(())
        });
        drop(other);
        seen.push(told(&xpub));
        one.subscribe("z").expect("subscribed");
        seen.push(told(&xpub));
        assert_eq!(seen.join(" "), expected);
    }
}

/// Few are ended at once, and many some at a time.
fn tells_what_a_peer_that_goes_wanted(transport: Transport) {
    for topics in [3, 2_000] {
        let (_context, xpub, _, sub) = pair(transport, nimble().recv_hwm(0));
        let names: Vec<String> = (0..topics).map(|number| format!("t{number:05}")).collect();
        for name in &names {
            sub.subscribe(name).expect("subscribed");
        }
        for name in &names {
            assert_eq!(told(&xpub), format!("+{name}"));
        }
        drop(sub);
        let mut ended: Vec<String> = names.iter().map(|_| told(&xpub)).collect();
        ended.sort();
        let all = names.iter().map(|name| format!("-{name}"));
        assert!(ended.into_iter().eq(all), "not each topic once");
        quiet(&xpub);
        // Its place is free: there is nothing left of it.
        until("the peer is forgotten", || {
            xpub.stats().peers.is_empty().then_some(())
        });
    }
}

/// A peer is not read from while what it has said waits, and nothing is lost by that.
fn waits_for_the_application(transport: Transport) {
    const TOPICS: usize = 4_000;
    let (_context, xpub, _, sub) = pair(transport, nimble().recv_hwm(10));
    let topic = |number: usize| format!("{number:05}").repeat(200);
    for number in 0..TOPICS {
        sub.subscribe(topic(number)).expect("subscribed");
    }
    if transport != Transport::Inproc {
        let last = xpub.wait_for_subscribers(topic(TOPICS - 1), 1, 5 * GLANCE);
        assert_eq!(last, Err(WaitError::TimedOut { have: 0, wanted: 1 }));
    }
    for number in 0..TOPICS {
        let subscription = subscription(next(&xpub));
        assert_eq!(*subscription.topic(), topic(number));
    }
    xpub.wait_for_subscribers(topic(TOPICS - 1), 1, DEADLINE)
        .expect("all of them");
    if transport == Transport::Inproc {
        // Who has gone by the time that it would be heard has said nothing there.
        return;
    }
    // What it says at last is heard although it has gone, and so are the ends.
    let (_context, xpub, _, sub) = pair(transport, nimble().recv_hwm(1));
    for number in 0..100 {
        sub.subscribe(number.to_string()).expect("subscribed");
    }
    drop(sub);
    let mut heard: Vec<String> = (0..200).map(|_| told(&xpub)).collect();
    assert!(
        heard[..100]
            .iter()
            .enumerate()
            .all(|(number, it)| *it == format!("+{number}"))
    );
    heard[100..].sort();
    let mut ends: Vec<String> = (0..100).map(|number| format!("-{number}")).collect();
    ends.sort();
    assert_eq!(heard[100..], ends);
    until("the peer is forgotten", || {
        xpub.stats().peers.is_empty().then_some(())
    });
}

fn gives_peers_what_the_application_says(transport: Transport) {
    let (context, xpub, endpoint, one) = pair(transport, nimble().xpub_manual(true));
    let none = xpub.subscribe("before anybody asked");
    assert_eq!(none, Err(SubscribeError::SubscriberGone));
    let other = connected_sub(&context, &endpoint);
    one.subscribe("").expect("subscribed");
    let its = subscription(next(&xpub));
    assert_eq!(*its.topic(), "");
    assert_eq!(xpub.send("anything").expect("published").sent, 0);
    xpub.subscribe("granted").expect("its peer is there");
    assert_eq!(xpub.send("granted 1").expect("published").sent, 1);
    // Another one asks in between.
    other.subscribe("").expect("subscribed");
    assert_eq!(told(&xpub), "+", "a second peer is told of as well");
    xpub.subscribe_for(&its, "too").expect("the first is there");
    assert_eq!(xpub.send("too").expect("published").sent, 1);
    assert_eq!(xpub.send("granted 2").expect("published").sent, 1);
    one.unsubscribe("").expect("unsubscribed");
    assert_eq!(told(&xpub), "-");
    assert_eq!(
        xpub.send("granted 3").expect("published").sent,
        1,
        "it says when"
    );
    xpub.unsubscribe("granted").expect("the first is there");
    assert_eq!(xpub.send("granted 4").expect("published").sent, 0);
    xpub.unsubscribe_for(&its, "too")
        .expect("the first is there");
    assert_eq!(xpub.send("too").expect("published").sent, 0);
    drop(one);
    other.subscribe("last").expect("subscribed");
    assert_eq!(told(&xpub), "+last");

    let plain = xpub_in(&context, nimble());
    assert_eq!(plain.subscribe("all"), Err(SubscribeError::NotManual));
    assert_eq!(plain.unsubscribe("all"), Err(SubscribeError::NotManual));
}

fn sends_the_last_value_to_who_asked(transport: Transport) {
    let options = nimble().xpub_manual_last_value(true);
    let (context, xpub, endpoint, one) = pair(transport, options);
    let other = connected_sub(&context, &endpoint);
    for (sub, value) in [(&one, "value 1"), (&other, "value 2")] {
        sub.subscribe("value").expect("subscribed");
        let topic = subscription(next(&xpub)).into_topic();
        xpub.subscribe(&topic).expect("its peer is there");
        assert_eq!(xpub.send(value).expect("published").sent, 1);
        assert_eq!(sub.recv_timeout(DEADLINE).expect("a message"), value);
    }
    // From then on to all.
    assert_eq!(xpub.send("value 3").expect("published").sent, 2);
    for sub in [&one, &other] {
        assert_eq!(sub.recv_timeout(DEADLINE).expect("a message"), "value 3");
    }
}

/// A subscription received from a peer that has gone since grants nobody else anything.
fn forgets_whose_subscription_it_was(transport: Transport) {
    let (context, xpub, endpoint, one) = pair(transport, nimble().xpub_manual(true));
    one.subscribe("a").expect("subscribed");
    let its = subscription(next(&xpub));
    drop(one);
    let end = match next(&xpub) {
        Upstream::Unsubscribe(subscription) => subscription,
        other => panic!("{other:?}"),
    };
    assert_eq!(*end.topic(), "a");
    until("its place is free", || {
        xpub.stats().peers.is_empty().then_some(())
    });
    let other = connected_sub(&context, &endpoint);
    other.subscribe("b").expect("subscribed");
    xpub.wait_for_peers(1, DEADLINE).expect("a peer");
    for gone in [&its, &end] {
        let granted = xpub.subscribe_for(gone, "secret");
        assert_eq!(granted, Err(SubscribeError::SubscriberGone));
        xpub.unsubscribe_for(gone, "secret")
            .expect("nothing to take back");
    }
    assert_eq!(xpub.send("secret").expect("published").sent, 0);
    assert_eq!(told(&xpub), "+b");
}

fn welcomes_each_connection(transport: Transport) {
    let context = Context::new();
    let options = nimble().xpub_welcome_message("welcome");
    let xpub = xpub_in(&context, options);
    let endpoint = transport.endpoint();
    // Whoever is at the other end: it has subscribed to nothing, and does not filter.
    for _ in 0..3 {
        let xsub = Xsub::open(&context);
        Socket::bind(&xsub, &endpoint);
        Socket::connect(&xpub, &endpoint);
        assert_eq!(xsub.recv_timeout(DEADLINE).expect("a message"), "welcome");
        xpub.disconnect(&*endpoint).expect("disconnected");
    }
    let endpoint = Socket::bind(&xpub, &transport.endpoint());
    let sub = Sub::open(&context);
    sub.subscribe("wel").expect("subscribed");
    Socket::connect(&sub, &endpoint);
    assert_eq!(sub.recv_timeout(DEADLINE).expect("a message"), "welcome");
    assert_eq!(sub.recv_timeout(GLANCE), Err(RecvError::TimedOut));
    assert_eq!(told(&xpub), "+wel");
}

fn carries_messages_up(transport: Transport) {
    let context = Context::new();
    let (xpub, publisher, xsub) = (
        Xpub::open(&context),
        Pub::open(&context),
        Xsub::open(&context),
    );
    assert_eq!(xsub.send("nobody").expect("dropped").sent, 0);
    let endpoint = Socket::bind(&xpub, &transport.endpoint());
    Socket::connect(&xsub, &endpoint);
    Socket::connect(&xsub, &Socket::bind(&publisher, &transport.endpoint()));
    xsub.wait_for_peers(2, DEADLINE).expect("both publishers");
    let messages = [
        Message::from("a message"),
        Message::from(["\u{2}two", "\u{1}frames", "\0"]),
        Message::from(""),
        Message::from(vec![b'x'; 1 << 20]),
    ];
    for message in &messages {
        assert_eq!(xsub.send(message).expect("sent").sent, 2);
    }
    for message in &messages {
        assert_eq!(next(&xpub), Upstream::Message(message.clone()));
    }
    quiet(&xpub);
    assert_eq!(publisher.send("anything").expect("published").sent, 0);
}

fn sends_subscriptions_as_messages(transport: Transport) {
    let (context, xpub, endpoint, _sub) = pair(transport, nimble());
    let xsub = Xsub::open(&context);
    Socket::connect(&xsub, &endpoint);
    xsub.wait_for_peers(1, DEADLINE).expect("a publisher");
    assert_eq!(xsub.send("\u{1}one").expect("sent").sent, 1);
    assert_eq!(told(&xpub), "+one");
    // In one message, with something else.
    xsub.send(["\u{1}two", "else", "\0one"]).expect("sent");
    let mut heard = [(); 3].map(|()| told(&xpub));
    heard.sort();
    assert_eq!(heard, ["+two", "-one", "else"]);
    xsub.unsubscribe("two").expect("unsubscribed");
    assert_eq!(told(&xpub), "-two");
    let none = xsub.recv_timeout(GLANCE);
    assert_eq!(none, Err(RecvError::TimedOut));
}

/// Each subscription is sent, and only the end of the last one; for SUB only the first.
fn counts_references(transport: Transport) {
    let (context, xpub, endpoint, _sub) = pair(transport, nimble().xpub_verboser(true));
    let xsub = Xsub::open(&context);
    Socket::connect(&xsub, &endpoint);
    xsub.wait_for_peers(1, DEADLINE).expect("a publisher");
    for _ in 0..3 {
        xsub.subscribe("a").expect("subscribed");
        assert_eq!(told(&xpub), "+a");
    }
    for _ in 0..2 {
        xsub.unsubscribe("a").expect("unsubscribed");
        xsub.send("\0never there").expect("ignored");
    }
    quiet(&xpub);
    assert_eq!(xpub.send("a").expect("published").sent, 1);
    xsub.send("\0a").expect("sent");
    assert_eq!(told(&xpub), "-a");
    assert_eq!(xpub.send("a").expect("published").sent, 0);
    assert_eq!(xsub.recv_timeout(DEADLINE).expect("a message"), "a");
}

/// Also of what was never there. An XPUB that is manual hears all of it.
fn tells_of_every_end_if_told_to(transport: Transport) {
    let (context, xpub, endpoint, _sub) = pair(transport, nimble().xpub_manual(true));
    let options = nimble().xsub_verbose_unsubscribe(true);
    let xsub = Xsub::with_options(&context, options).expect("an XSUB");
    Socket::connect(&xsub, &endpoint);
    xsub.wait_for_peers(1, DEADLINE).expect("a publisher");
    for _ in 0..2 {
        xsub.subscribe("a").expect("subscribed");
        assert_eq!(told(&xpub), "+a");
    }
    for _ in 0..2 {
        xsub.unsubscribe("a").expect("unsubscribed");
        assert_eq!(told(&xpub), "-a");
    }
    assert_eq!(xsub.send("\0never there").expect("sent").sent, 1);
    assert_eq!(told(&xpub), "-never there");
    quiet(&xpub);
}

fn tells_later_publishers_each_topic_once(transport: Transport) {
    let context = Context::new();
    let xsub = Xsub::open(&context);
    for topic in ["a", "a", "b", "gone"] {
        xsub.subscribe(topic).expect("subscribed");
    }
    xsub.unsubscribe("gone").expect("unsubscribed");
    let endpoint = transport.endpoint();
    Socket::connect(&xsub, &endpoint);
    for _ in 0..3 {
        let xpub = xpub_in(&context, nimble().xpub_verboser(true));
        Socket::bind(&xpub, &endpoint);
        let mut heard = [told(&xpub), told(&xpub)];
        heard.sort();
        assert_eq!(heard, ["+a", "+b"]);
        quiet(&xpub);
        assert_eq!(xpub.send("a1").expect("published").sent, 1);
        assert_eq!(xsub.recv_timeout(DEADLINE).expect("a message"), "a1");
        drop(xpub);
        xsub.settle_at(0);
    }
}

/// Two subscribers behind a proxy: the publisher hears of a topic once, and no more when both have gone.
fn passes_on_through_a_proxy(transport: Transport) {
    let context = Context::new();
    let publisher = Pub::open(&context);
    let (xsub, xpub) = (Xsub::open(&context), Xpub::open(&context));
    Socket::connect(&xsub, &Socket::bind(&publisher, &transport.endpoint()));
    let endpoint = Socket::bind(&xpub, &transport.endpoint());
    thread::scope(|scope| {
        scope.spawn(|| {
            for message in &xsub {
                xpub.send(message).expect("sent");
            }
        });
        scope.spawn(|| {
            for message in &xpub {
                xsub.send(message).expect("sent");
            }
        });
        let subs = [(); 2].map(|()| {
            let sub = Sub::open(&context);
            sub.subscribe("topic").expect("subscribed");
            Socket::connect(&sub, &endpoint);
            xpub.wait_for_subscribers("topic", 1, DEADLINE)
                .expect("one");
            sub
        });
        xpub.wait_for_subscribers("topic", 2, DEADLINE)
            .expect("both");
        publisher
            .wait_for_subscribers("topic", 1, DEADLINE)
            .expect("the proxy");
        for number in 0..100 {
            let message = ["topic", &number.to_string()];
            assert_eq!(publisher.send(message).expect("published").sent, 1);
            for sub in &subs {
                assert_eq!(sub.recv_timeout(DEADLINE).expect("a message"), message);
            }
        }
        let [one, other] = subs;
        drop(one);
        until("one has gone", || {
            let two = xpub.wait_for_subscribers("topic", 2, Duration::from_millis(1));
            two.is_err().then_some(())
        });
        publisher.send("topic once more").expect("published");
        let message = other.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(message, "topic once more");
        drop(other);
        until("nobody wants it any more", || {
            let _ = publisher.wait_for_peers(2, Duration::from_millis(1));
            (publisher.send("topic").expect("published").sent == 0).then_some(())
        });
        context.shutdown();
    });
}

fn blocks_for_the_slow_if_told_to(transport: Transport) {
    let options = nimble().send_hwm(10).pub_block(true);
    let context = Context::new();
    let xpub = xpub_in(&context, options);
    let endpoint = Socket::bind(&xpub, &transport.endpoint());
    let sub = Sub::with_options(&context, nimble().recv_hwm(10)).expect("a SUB");
    sub.subscribe("").expect("subscribed");
    Socket::connect(&sub, &endpoint);
    xpub.wait_for_subscribers("", 1, DEADLINE)
        .expect("a subscriber");
    let body = vec![b'x'; 50_000];
    let mut sent = 0;
    let error = loop {
        match xpub.send_timeout(&body, Duration::from_millis(50)) {
            Ok(published) => sent += published.sent,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), SendErrorKind::TimedOut);
    assert_eq!(error.into_message().size(), body.len());
    // It goes on listening to its peers.
    assert_eq!(told(&xpub), "+");
    thread::scope(|scope| {
        let publishing = scope.spawn(|| xpub.send_timeout("room", DEADLINE));
        for _ in 0..sent {
            assert_eq!(
                sub.recv_timeout(DEADLINE).expect("a message").size(),
                body.len()
            );
        }
        assert_eq!(sub.recv_timeout(DEADLINE).expect("a message"), "room");
        publishing
            .join()
            .expect("the publishing thread")
            .expect("published");
    });
    assert_eq!(xpub.stats().dropped.total(), 0);
}
