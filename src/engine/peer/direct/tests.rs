//! What becomes of a long message that the kernel takes all of, a part of, or nothing, and of what is queued around it.

use super::*;
use crate::engine::Outgoing;
use crate::engine::peer::stand::{Stand, Wire, connect};
use crate::message::Message;
use crate::pattern::{PubPattern, PullPattern, PushPattern, Receiving, Sending, SubPattern};
use crate::{Context, Options};

fn long(first: u8) -> Vec<u8> {
    vec![first; 2 * DIRECT]
}

/// Sends as a socket does.
fn send<P: Sending + 'static>(stand: &Stand<P>, body: &[u8]) -> Option<P::Sent> {
    stand.look(|pattern, net| {
        let outgoing = Outgoing::Slice(body);
        let sent = pattern.send(&mut net.peers, outgoing);
        net.pace(pattern, outgoing, sent.is_some());
        sent
    })
}

fn receive<P: Receiving + 'static>(stand: &Stand<P>) -> Vec<Message> {
    stand.go_on();
    let mut messages = Vec::new();
    stand.look(|pattern, net| {
        let mut message = Message::new();
        while pattern.recv(&mut net.peers, &mut message).is_some() {
            messages.push(std::mem::take(&mut message));
        }
    });
    messages
}

/// Messages and bytes that have been accepted and written, and messages that are queued.
fn counts(stand: &Stand<PushPattern>, wire: &Wire) -> (u64, u64, usize) {
    stand.look(|_, net| {
        let peer = &net.peers.slab[wire.ids.0];
        let counters = &peer.counters;
        (
            counters.messages_out,
            counters.bytes_out,
            peer.outbound.messages(),
        )
    })
}

fn push_and_pull() -> (Stand<PushPattern>, Stand<PullPattern>, Wire) {
    let context = Context::new();
    let push = Stand::new(&context, Options::new().send_hwm(3), PushPattern::new());
    let pull = Stand::new(&context, Options::new(), PullPattern::new());
    let wire = connect(&push, &pull, None);
    (push, pull, wire)
}

#[test]
fn patterns_write_nothing_and_the_call_writes_before_it_returns() {
    let (push, pull, wire) = push_and_pull();
    let before = wire.out.written();
    let body = long(1);
    let frame = body.len() + 9;
    push.look(|pattern, net| {
        let outgoing = Outgoing::Slice(&body);
        assert!(pattern.send(&mut net.peers, outgoing).is_some());
        assert_eq!(wire.out.written(), before, "a pattern does no I/O");
        net.pace(pattern, outgoing, true);
        assert_eq!(wire.out.written(), before + frame);
        assert!(net.peers.dirty.is_empty());
        assert_eq!(net.peers.written_directly, 1);
        assert_eq!(net.peers.due, Due::default());
    });
    assert_eq!(counts(&push, &wire), (1, frame as u64, 0));
    assert_eq!(receive(&pull), [body]);
}

/// Whatever the kernel takes: what was queued goes first, and what comes later goes behind.
#[test]
fn the_order_is_kept_and_each_message_counts_once() {
    let (first, body, last) = (b"first", long(2), b"last");
    let total = first.len() + 2 + body.len() + 9 + last.len() + 2;
    for room in [0, 1, 6, 7, 8, 16, 17, 5_000, 7 + body.len() + 9, total] {
        let (push, pull, wire) = push_and_pull();
        let (_, before, _) = counts(&push, &wire);
        wire.out.set_room(0);
        push.look(|pattern, net| {
            // Queued, and not written yet.
            let sent = pattern.send(&mut net.peers, Outgoing::Slice(first));
            assert!(sent.is_some());
        });
        wire.out.set_room(room);
        assert!(send(&push, &body).is_some());
        assert!(send(&push, last).is_some());
        let (messages, bytes, queued) = counts(&push, &wire);
        assert_eq!(messages, 3, "{room}");
        assert!(bytes - before <= room as u64);
        let full = send(&push, b"one too many").is_none();
        assert_eq!(full, queued == 3, "{room}");
        wire.out.set_room(usize::MAX);
        push.go_on();
        let mut received = receive(&pull);
        if !full {
            assert_eq!(received.pop(), Some("one too many".into()));
        }
        let all: [&[u8]; 3] = [first, &body, last];
        assert_eq!(received, all.map(Message::from), "{room}");
        let (_, bytes, queued) = counts(&push, &wire);
        let more = if full { 0 } else { "one too many".len() + 2 };
        assert_eq!(bytes - before, (total + more) as u64);
        assert_eq!(queued, 0);
    }
}

#[test]
fn what_another_thread_is_writing_goes_first() {
    let (push, pull, wire) = push_and_pull();
    let job = push.look(|pattern, net| {
        let sent = pattern.send(&mut net.peers, Outgoing::Slice(b"first"));
        assert!(sent.is_some());
        net.begin_write()
    });
    let mut job = job.expect("something to write");
    let before = wire.out.written();
    assert!(send(&push, &long(3)).is_some());
    assert_eq!(wire.out.written(), before, "the stream is another's");
    let result = job.run();
    push.turn(|turn| turn.end_write(job, result));
    push.go_on();
    assert_eq!(receive(&pull), [Message::from("first"), long(3).into()]);
}

/// The rest of a message is of no use to the next connection: it begins anew.
#[test]
fn a_message_that_is_half_written_goes_out_again_whole() {
    let (mut push, pull, wire) = push_and_pull();
    wire.out.set_room(DIRECT);
    assert!(send(&push, &long(4)).is_some());
    wire.out.close();
    wire.back.close();
    pull.go_on();
    push.go_on();
    assert_eq!((push.connected(), pull.connected()), (0, 0));
    assert_eq!(counts(&push, &wire).2, 1);
    push.wait(std::time::Duration::from_secs(1));
    assert_eq!(push.to_dial(), [wire.ids.0]);
    connect(&push, &pull, Some(wire.ids.0));
    assert_eq!(receive(&pull), [long(4)]);
}

#[test]
fn each_subscriber_takes_what_it_can() {
    let context = Context::new();
    let publisher = PubPattern::new(&Options::new());
    let publisher = Stand::new(&context, Options::new(), publisher);
    let subscribers: Vec<_> = (0..4)
        .map(|_| Stand::new(&context, Options::new(), SubPattern::new(None, false)))
        .collect();
    let wires: Vec<_> = subscribers
        .iter()
        .map(|subscriber| {
            let wire = connect(&publisher, subscriber, None);
            subscriber.look(|pattern, net| pattern.subscribe(&mut net.peers, b""));
            subscriber.go_on();
            wire
        })
        .collect();
    publisher.go_on();
    for (wire, room) in wires.iter().zip([usize::MAX, 0, 10, 50_000]) {
        wire.out.set_room(room);
    }
    let published = send(&publisher, &long(5)).expect("never waits");
    assert_eq!(published.sent, 4);
    for wire in &wires {
        wire.out.set_room(usize::MAX);
    }
    publisher.go_on();
    for subscriber in &subscribers {
        assert_eq!(receive(subscriber), [long(5)]);
    }
}
