//! What any two implementations must be able to do with one another. See [`each_way`](super::peer::each_way).

use std::time::Duration;

use super::part::{Part, message};
use super::peer::Peer;
use super::until::{GLANCE, until};

/// Around every length at which the encoding or a buffer changes.
const SIZES: [usize; 8] = [0, 1, 255, 256, 8191, 8192, 65536, 1 << 20];

/// Frame boundaries survive: single, multipart, empty at every place.
pub(crate) fn keeps_frames(push: &mut dyn Peer, pull: &mut dyn Peer) {
    let messages = [
        message(["one"]),
        message(["two", "frames"]),
        message([""]),
        message(["", "empty first"]),
        message(["empty last", ""]),
        message(["empty", "", "between"]),
        message(["", "", ""]),
        (0..100)
            .map(|number| Part::from(number.to_string().as_str()))
            .collect(),
    ];
    for message in &messages {
        push.send(message);
    }
    for message in &messages {
        assert_eq!(&pull.recv(), message);
    }
}

/// Every size arrives whole, alone and as a part of a longer message.
pub(crate) fn carries_sizes(push: &mut dyn Peer, pull: &mut dyn Peer) {
    for size in SIZES {
        let alone = vec![Part::sized(size)];
        push.send(&alone);
        assert_eq!(pull.recv(), alone);
    }
    let together: Vec<Part> = SIZES.into_iter().map(Part::sized).collect();
    push.send(&together);
    assert_eq!(pull.recv(), together);
}

/// A message far larger than any buffer on its way, and one after it.
pub(crate) fn carries_mib<const MIB: usize>(push: &mut dyn Peer, pull: &mut dyn Peer) {
    let huge = vec![Part::sized(MIB << 20)];
    push.send(&huge);
    push.send(&message(["after"]));
    assert_eq!(pull.recv(), huge);
    assert_eq!(pull.recv(), message(["after"]));
}

/// Many small messages, batched or not: none lost, none twice, in order.
pub(crate) fn keeps_order(push: &mut dyn Peer, pull: &mut dyn Peer) {
    for turn in 0..10 {
        let numbers = turn * 100..(turn + 1) * 100;
        for number in numbers.clone() {
            push.send(&message([number.to_string().as_str(), "body"]));
        }
        for number in numbers {
            assert_eq!(pull.recv(), message([number.to_string().as_str(), "body"]));
        }
    }
}

/// Subscriptions select by prefix of the first frame; taking one back stops the flow.
pub(crate) fn selects_topics(publisher: &mut dyn Peer, subscriber: &mut dyn Peer) {
    subscriber.subscribe("news.");
    subscriber.subscribe("sync");
    settle(publisher, subscriber);

    publisher.send(&message(["other"]));
    publisher.send(&message(["news"]));
    publisher.send(&message(["news.", "", "the topic itself"]));
    publisher.send(&message(["news.today", "body"]));
    publisher.send(&message(["body", "news.today"]));
    publisher.send(&message([""]));
    publisher.send(&message(["sync end"]));
    assert_eq!(
        subscriber.recv(),
        message(["news.", "", "the topic itself"])
    );
    assert_eq!(subscriber.recv(), message(["news.today", "body"]));
    assert_eq!(subscriber.recv(), message(["sync end"]));

    subscriber.unsubscribe("news.");
    // Made last, so that it takes effect after the end of the other.
    subscriber.subscribe("end");
    publisher.send(&message(["news.later"]));
    settle_by(publisher, subscriber, "end");
    publisher.send(&message(["news.late"]));
    publisher.send(&message(["sync end"]));
    assert_eq!(subscriber.recv(), message(["sync end"]));
}

/// The empty subscription takes all, the empty message too.
pub(crate) fn subscribes_to_all(publisher: &mut dyn Peer, subscriber: &mut dyn Peer) {
    subscriber.subscribe("");
    settle(publisher, subscriber);
    for message in [message([""]), message(["any"]), message(["", "topic"])] {
        publisher.send(&message);
        assert_eq!(subscriber.recv(), message);
    }
}

/// Requests and replies alternate and match, whatever their frames.
pub(crate) fn asks_and_answers(req: &mut dyn Peer, rep: &mut dyn Peer) {
    let bodies = [
        message(["question"]),
        message([""]),
        message(["a", "", "b"]),
        vec![Part::sized(65536)],
    ];
    for body in bodies {
        req.send(&body);
        assert_eq!(rep.recv(), body);
        let mut answer = body;
        answer.push(Part::from("answer"));
        rep.send(&answer);
        assert_eq!(req.recv(), answer);
    }
}

/// A DEALER reaches a REP when it writes the envelope itself, and gets it back.
pub(crate) fn dealer_asks_rep(dealer: &mut dyn Peer, rep: &mut dyn Peer) {
    for envelope in [&[""][..], &["hop", ""], &["hop 2", "hop 1", ""]] {
        let framed = |body: &str| {
            envelope
                .iter()
                .chain([&body])
                .map(|part| Part::from(*part))
                .collect::<Vec<_>>()
        };
        dealer.send(&framed("question"));
        assert_eq!(rep.recv(), message(["question"]));
        rep.send(&message(["answer"]));
        assert_eq!(dealer.recv(), framed("answer"));
    }
}

/// A ROUTER sees a REQ's envelope, and answers through it: its identity, a number if the REQ correlates, and the
/// delimiter.
pub(crate) fn router_answers_req(req: &mut dyn Peer, router: &mut dyn Peer) {
    for body in ["first", "second"] {
        req.send(&message([body]));
        let asked = router.recv();
        let (envelope, rest) = asked.split_at(asked.len() - 1);
        assert_eq!(rest, message([body]));
        assert!(
            (2..=3).contains(&envelope.len()),
            "not an envelope: {envelope:?}"
        );
        assert_eq!(envelope.last(), Some(&Part::from("")));
        router.send(&[envelope, &message(["answer", body])].concat());
        assert_eq!(req.recv(), message(["answer", body]));
    }
}

/// What a DEALER sends arrives as it is, and what it is sent as well.
pub(crate) fn dealers_talk(one: &mut dyn Peer, other: &mut dyn Peer) {
    keeps_frames(one, other);
    keeps_frames(other, one);
    carries_sizes(one, other);
    keeps_order(other, one);
}

/// A ROUTER sees of a DEALER an identity and then the message as it is, and answers several in any order.
pub(crate) fn router_answers_dealer(dealer: &mut dyn Peer, router: &mut dyn Peer) {
    for round in ["first", "second"] {
        let questions = [
            message([round]),
            message(["", round]),
            message(["number", "", round, ""]),
            vec![Part::sized(65536), Part::from(round)],
        ];
        for question in &questions {
            dealer.send(question);
        }
        let asked = questions.each_ref().map(|question| {
            let asked = router.recv();
            assert_eq!(&asked[1..], &question[..]);
            asked
        });
        for asked in asked.iter().rev() {
            router.send(&[&asked[..], &message(["answer"])].concat());
        }
        for question in questions.iter().rev() {
            assert_eq!(
                dealer.recv(),
                [&question[..], &message(["answer"])].concat()
            );
        }
    }
}

/// A PAIR carries everything both ways at once.
pub(crate) fn pairs_talk(one: &mut dyn Peer, other: &mut dyn Peer) {
    keeps_frames(one, other);
    keeps_frames(other, one);
    carries_sizes(one, other);
    carries_sizes(other, one);
    for round in ["first", "second"] {
        one.send(&message([round, "there"]));
        other.send(&message([round, "back"]));
        assert_eq!(other.recv(), message([round, "there"]));
        assert_eq!(one.recv(), message([round, "back"]));
    }
}

/// An XPUB learns of each subscription and of its end from a SUB.
pub(crate) fn tells_subscriptions(publisher: &mut dyn Peer, subscriber: &mut dyn Peer) {
    subscriber.subscribe("topic");
    assert_eq!(hear(publisher, subscriber), message(["\u{1}topic"]));
    subscriber.subscribe("");
    assert_eq!(hear(publisher, subscriber), message(["\u{1}"]));
    subscriber.unsubscribe("topic");
    assert_eq!(hear(publisher, subscriber), message(["\0topic"]));
    publisher.send(&message(["anything"]));
    assert_eq!(subscriber.recv(), message(["anything"]));
}

/// An XSUB says the same, as often as it is told to but for the last end; and what else it sends arrives as a message.
pub(crate) fn xsub_talks_up(publisher: &mut dyn Peer, subscriber: &mut dyn Peer) {
    subscriber.subscribe("topic");
    assert_eq!(hear(publisher, subscriber), message(["\u{1}topic"]));
    subscriber.subscribe("topic");
    subscriber.send(&message(["up"]));
    assert_eq!(hear(publisher, subscriber), message(["up"]));
    subscriber.send(&message(["up", "", "in three frames"]));
    assert_eq!(
        hear(publisher, subscriber),
        message(["up", "", "in three frames"])
    );
    subscriber.unsubscribe("topic");
    subscriber.subscribe("mark");
    assert_eq!(hear(publisher, subscriber), message(["\u{1}mark"]));
    publisher.send(&message(["topic", "still wanted"]));
    assert_eq!(subscriber.recv(), message(["topic", "still wanted"]));
    subscriber.unsubscribe("topic");
    assert_eq!(hear(publisher, subscriber), message(["\0topic"]));
    publisher.send(&message(["topic", "no longer"]));
    publisher.send(&message(["mark"]));
    assert_eq!(subscriber.recv(), message(["mark"]));
}

/// What `publisher` receives next. A libzmq SUB that binds greets a new peer only while its application is inside
/// the library, so the subscriber is made to look as well.
fn hear(publisher: &mut dyn Peer, subscriber: &mut dyn Peer) -> Vec<Part> {
    until("the publisher hears of the subscription", || {
        assert_eq!(
            subscriber.recv_within(Duration::ZERO),
            None,
            "nothing was published"
        );
        publisher.recv_within(GLANCE)
    })
}

/// Waits until what `subscriber` has subscribed to so far has taken effect at `publisher`, and nothing is under way.
///
/// ZMTP acknowledges no subscription, so this asks by publishing: subscriptions of one peer take effect in order.
/// The subscriber needs one that matches `sync`, made last or before a change already known to have arrived.
pub(crate) fn settle(publisher: &mut dyn Peer, subscriber: &mut dyn Peer) {
    settle_by(publisher, subscriber, "sync");
}

/// The same by messages of another topic.
fn settle_by(publisher: &mut dyn Peer, subscriber: &mut dyn Peer, topic: &str) {
    let mut round = 0;
    until("the subscriptions take effect", || {
        round += 1;
        publisher.send(&message([topic, round.to_string().as_str()]));
        let heard = subscriber.recv_within(GLANCE)?;
        // Others may still be under way.
        (heard[0] == Part::from(topic)).then_some(())
    });
    let last = message([topic, "settled"]);
    publisher.send(&last);
    until("the subscriber has read all that was published", || {
        (subscriber.recv() == last).then_some(())
    });
}
