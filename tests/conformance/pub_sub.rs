//! PUB and SUB: who gets what.

use std::time::Duration;

use crate::sockets::{Context, Options, Pub, SendErrorKind, Sub, WaitError, Xpub};

use crate::arena::{Transport, nimble, on_every_transport};
use crate::common::deadline::DEADLINE;
use crate::common::until::until;
use crate::pairs::Socket;

on_every_transport!(
    selects_by_prefix,
    subscribes_before_and_after_connecting,
    counts_subscriptions,
    receives_once_however_often_it_connects,
    serves_each_subscriber_alone,
    subscribes_again_with_a_new_publisher,
    counts_what_the_slow_miss,
    blocks_for_the_slow_if_told_to,
    sends_what_is_not_subscribed_if_inverted,
    inverted_waits_for_the_slow_if_told_to,
);

fn pair(transport: Transport, options: Options) -> (Pub, Sub) {
    let context = Context::new();
    let publisher = Pub::with_options(&context, options.clone()).expect("a PUB");
    let sub = Sub::with_options(&context, options).expect("a SUB");
    Socket::connect(&sub, &Socket::bind(&publisher, &transport.endpoint()));
    (publisher, sub)
}

fn wait_for(publisher: &Pub, topic: &str, count: usize) {
    publisher
        .wait_for_subscribers(topic, count, DEADLINE)
        .expect("subscribers");
}

fn next(sub: &Sub) -> zerohop::Message {
    sub.recv_timeout(DEADLINE).expect("a message")
}

fn selects_by_prefix(transport: Transport) {
    let (publisher, sub) = pair(transport, nimble());
    sub.subscribe("news.").expect("subscribed");
    wait_for(&publisher, "news.", 1);
    for topic in ["other", "news", "", "New.", "news,"] {
        assert_eq!(publisher.send([topic, "body"]).expect("published").sent, 0);
    }
    for topic in ["news.", "news.today"] {
        let published = publisher.send([topic, "body"]).expect("published");
        assert_eq!((published.sent, published.skipped), (1, 0));
        assert_eq!(next(&sub), [topic, "body"]);
    }
    assert_eq!(
        publisher.send(["body", "news."]).expect("published").sent,
        0
    );
}

fn subscribes_before_and_after_connecting(transport: Transport) {
    let context = Context::new();
    let publisher = Pub::open(&context);
    let sub = Sub::open(&context);
    sub.subscribe("before").expect("subscribed");
    sub.subscribe("gone").expect("subscribed");
    sub.unsubscribe("gone").expect("unsubscribed");
    Socket::connect(&sub, &Socket::bind(&publisher, &transport.endpoint()));
    wait_for(&publisher, "before", 1);
    sub.subscribe("after").expect("subscribed");
    wait_for(&publisher, "after", 1);
    assert_eq!(publisher.send("gone").expect("published").sent, 0);
    for topic in ["before", "after"] {
        assert_eq!(publisher.send(topic).expect("published").sent, 1);
        assert_eq!(next(&sub), *topic);
    }
}

/// Two subscriptions to a topic end with the second unsubscription, and nobody gets a message twice.
fn counts_subscriptions(transport: Transport) {
    let (publisher, sub) = pair(transport, nimble());
    sub.subscribe("z").expect("subscribed");
    wait_for(&publisher, "z", 1);
    // From here on, changes take effect in the order they are made.
    for topic in ["a", "a", "ab", ""] {
        sub.subscribe(topic).expect("subscribed");
    }
    wait_for(&publisher, "anything", 1);
    assert_eq!(publisher.send("abc").expect("published").sent, 1);
    sub.unsubscribe("").expect("unsubscribed");
    sub.unsubscribe("a").expect("unsubscribed");
    sub.unsubscribe("never subscribed").expect("ignored");
    until("the empty topic is gone", || {
        let wanted = publisher.wait_for_subscribers("other", 2, Duration::from_millis(1));
        (wanted == Err(WaitError::TimedOut { have: 0, wanted: 2 })).then_some(())
    });
    assert_eq!(publisher.send("a").expect("published").sent, 1);
    publisher.send("z end").expect("published");
    assert_eq!(next(&sub), *"abc");
    assert_eq!(next(&sub), *"a");
    assert_eq!(next(&sub), *"z end");
}

fn receives_once_however_often_it_connects(transport: Transport) {
    let (publisher, sub) = pair(transport, nimble());
    let endpoint = sub.last_endpoint().expect("connected").to_string();
    for _ in 0..3 {
        Socket::connect(&sub, &endpoint);
    }
    sub.subscribe("").expect("subscribed");
    wait_for(&publisher, "", 1);
    for text in ["one", "two"] {
        assert_eq!(publisher.send(text).expect("published").sent, 1);
        assert_eq!(next(&sub), *text);
    }
}

fn serves_each_subscriber_alone(transport: Transport) {
    let context = Context::new();
    let publisher = Pub::open(&context);
    let endpoint = Socket::bind(&publisher, &transport.endpoint());
    let subs: Vec<Sub> = ["a", "b", "ab", ""]
        .iter()
        .map(|topic| {
            let sub = Sub::open(&context);
            sub.subscribe(topic).expect("subscribed");
            Socket::connect(&sub, &endpoint);
            sub
        })
        .collect();
    wait_for(&publisher, "", 1);
    wait_for(&publisher, "ab", 3);
    wait_for(&publisher, "b", 2);
    for (topic, count) in [("abc", 3), ("b", 2), ("c", 1)] {
        assert_eq!(publisher.send(topic).expect("published").sent, count);
    }
    let expected: [&[&str]; 4] = [&["abc"], &["b"], &["abc"], &["abc", "b", "c"]];
    for (sub, topics) in subs.iter().zip(expected) {
        for topic in topics {
            assert_eq!(next(sub), **topic);
        }
    }
}

fn subscribes_again_with_a_new_publisher(transport: Transport) {
    let context = Context::new();
    let sub = Sub::open(&context);
    sub.subscribe("topic").expect("subscribed");
    let endpoint = transport.endpoint();
    Socket::connect(&sub, &endpoint);
    for life in 0..3 {
        let publisher = Pub::open(&context);
        Socket::bind(&publisher, &endpoint);
        wait_for(&publisher, "topic", 1);
        let text = format!("topic {life}");
        assert_eq!(publisher.send(&text).expect("published").sent, 1);
        assert_eq!(next(&sub), *text);
    }
}

/// What a subscriber misses is counted, in the result and in the statistics; the rest arrives.
fn counts_what_the_slow_miss(transport: Transport) {
    let options = nimble().send_hwm(10).recv_hwm(10);
    let (publisher, sub) = pair(transport, options);
    sub.subscribe("").expect("subscribed");
    wait_for(&publisher, "", 1);
    let body = vec![b'x'; 50_000];
    let (mut sent, mut skipped) = (Vec::new(), 0);
    for number in 0_u32.. {
        let message = [number.to_be_bytes().to_vec(), body.clone()];
        let published = publisher.send(message).expect("published");
        assert_eq!(published.sent + published.skipped, 1);
        if published.sent == 1 {
            sent.push(number);
        }
        skipped += published.skipped as u64;
        if skipped == 100 {
            break;
        }
    }
    let stats = publisher.stats();
    assert_eq!(stats.dropped.high_water_mark, 100);
    assert_eq!(stats.peers[0].dropped.high_water_mark, 100);
    assert_eq!(stats.messages_out, sent.len() as u64);
    for number in sent {
        assert_eq!(*next(&sub).first(), number.to_be_bytes());
    }
    assert!(sub.try_recv().is_err());
    // With the queues empty, the next one is taken again.
    until("there is room again", || {
        let published = publisher.send("again").expect("published");
        (published.sent == 1).then_some(())
    });
    assert_eq!(next(&sub), *"again");
}

fn blocks_for_the_slow_if_told_to(transport: Transport) {
    let options = nimble().send_hwm(10).recv_hwm(10).pub_block(true);
    let (publisher, sub) = pair(transport, options);
    sub.subscribe("").expect("subscribed");
    wait_for(&publisher, "", 1);
    let body = vec![b'x'; 50_000];
    let mut sent = 0;
    let error = loop {
        match publisher.send_timeout(&body, Duration::from_millis(50)) {
            Ok(published) => sent += published.sent,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), SendErrorKind::TimedOut);
    assert!(error.into_message() == body);
    let error = publisher.try_send("no room").expect_err("full");
    assert_eq!(error.kind(), SendErrorKind::WouldBlock);
    assert_eq!(error.into_message(), *"no room");
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| publisher.send_timeout("room", DEADLINE));
        for _ in 0..sent {
            assert!(next(&sub) == body);
        }
        assert_eq!(next(&sub), *"room");
        publishing
            .join()
            .expect("the publishing thread")
            .expect("published");
    });
    assert_eq!(publisher.stats().dropped.total(), 0);
}

/// Each is sent what it has not subscribed to, also by an XPUB, and again on its next connection.
fn sends_what_is_not_subscribed_if_inverted(transport: Transport) {
    let options = nimble().invert_matching(true);
    let (publisher, one) = pair(transport, options.clone());
    let context = Context::new();
    let other = Sub::with_options(&context, options.clone()).expect("a SUB");
    let endpoint = transport.endpoint();
    Socket::connect(&other, &endpoint);
    publisher.wait_for_peers(1, DEADLINE).expect("a peer");
    assert_eq!(publisher.send("before").expect("published").sent, 1);
    assert_eq!(next(&one), *"before");

    one.subscribe("news").expect("subscribed");
    one.subscribe("new").expect("subscribed");
    until("the subscription is there", || {
        let wanted = publisher.wait_for_subscribers("newspaper", 1, Duration::ZERO);
        wanted.is_err().then_some(())
    });
    for topic in ["news", "new", "newspaper"] {
        assert_eq!(publisher.send([topic, "body"]).expect("published").sent, 0);
    }
    for topic in ["other", "ne", ""] {
        assert_eq!(publisher.send([topic, "new"]).expect("published").sent, 1);
        assert_eq!(next(&one), [topic, "new"]);
    }

    for _ in 0..2 {
        let xpub = Xpub::with_options(&context, options.clone()).expect("an XPUB");
        Socket::bind(&xpub, &endpoint);
        other.subscribe("mine").expect("subscribed");
        let message = xpub.recv_timeout(DEADLINE).expect("a subscription");
        assert_eq!(message, *"\u{1}mine");
        assert_eq!(xpub.send("mine").expect("published").sent, 0);
        assert_eq!(xpub.send("not mine").expect("published").sent, 1);
        assert_eq!(next(&other), *"not mine");
        other.unsubscribe("mine").expect("unsubscribed");
        let message = xpub.recv_timeout(DEADLINE).expect("its end");
        assert_eq!(message, *"\0mine");
        assert_eq!(xpub.send("mine").expect("published").sent, 1);
        assert_eq!(next(&other), *"mine");
    }
}

fn inverted_waits_for_the_slow_if_told_to(transport: Transport) {
    let options = nimble().invert_matching(true).send_hwm(10).recv_hwm(10);
    let (publisher, sub) = pair(transport, options.pub_block(true));
    sub.subscribe("not this").expect("subscribed");
    until("the subscription is there", || {
        publisher.wait_for_peers(1, DEADLINE).expect("a peer");
        let others = publisher.wait_for_subscribers("not this", 1, Duration::ZERO);
        others.is_err().then_some(())
    });
    let body = vec![b'x'; 50_000];
    let mut sent = 0;
    let error = loop {
        match publisher.send_timeout(&body, Duration::from_millis(50)) {
            Ok(published) => sent += published.sent,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), SendErrorKind::TimedOut);
    // Nobody is to have it, so nobody is waited for.
    let published = publisher.send_timeout("not this", Duration::ZERO);
    assert_eq!(published.expect("published").sent, 0);
    for _ in 0..sent {
        assert_eq!(next(&sub).size(), body.len());
    }
    assert_eq!(
        publisher.send_timeout("room", DEADLINE).expect("sent").sent,
        1
    );
    assert_eq!(next(&sub), *"room");
    assert_eq!(publisher.stats().dropped.total(), 0);
}
