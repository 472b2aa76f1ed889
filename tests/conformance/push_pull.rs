//! PUSH and PULL: frames, order, turns.

use std::time::{Duration, Instant};

use crate::sockets::{Context, Message, Options, Pull, Push, RecvError, WAYS};

use crate::arena::{Transport, nimble, on_every_transport};
use crate::common::deadline::DEADLINE;
use crate::common::until::until;
use crate::pairs::Socket;

on_every_transport!(
    keeps_frames,
    carries_sizes,
    mixes_long_and_short,
    keeps_order,
    looks_before_it_sleeps,
    streams_all_sorts,
    carries_batches,
    iterates,
    iterates_again_after_a_time_out,
    takes_turns,
    passes_over_the_full,
    conflates,
    what_was_read_is_replaced,
    immediate_waits_for_a_connection,
    says_what_is_wanting,
);

fn pair(transport: Transport, options: Options) -> (Push, Pull) {
    pair_in(&Context::new(), transport, options)
}

fn pair_in(context: &Context, transport: Transport, options: Options) -> (Push, Pull) {
    let push = Push::with_options(context, options.clone()).expect("a PUSH");
    let pull = Pull::with_options(context, options).expect("a PULL");
    Socket::connect(&push, &Socket::bind(&pull, &transport.endpoint()));
    push.wait_for_peers(1, DEADLINE).expect("a peer");
    (push, pull)
}

/// A peer that is slow is no peer that is not there.
fn says_what_is_wanting(transport: Transport) {
    let context = Context::new();
    let options = nimble().send_hwm(1).recv_hwm(1);
    let push = Push::with_options(&context, options.clone()).expect("a PUSH");
    let told = || {
        let now = push.try_send("x").expect_err("unsent").to_string();
        let in_time = push.send_timeout("x", Duration::from_millis(5));
        (now, in_time.expect_err("unsent").to_string())
    };
    let texts = |now: &str, in_time: &str| (now.to_owned(), in_time.to_owned());
    assert_eq!(told(), texts("there is no peer", "no peer came in time"));
    let endpoint = transport.endpoint();
    Socket::connect(&push, &endpoint);
    while push.try_send("x").is_ok() {}
    assert_eq!(
        told(),
        texts(
            "no peer is connected, and no more messages may wait for one",
            "no peer was connected in time"
        )
    );
    let pull = Pull::with_options(&context, options).expect("a PULL");
    Socket::bind(&pull, &endpoint);
    push.wait_for_peers(1, DEADLINE).expect("a peer");
    // All buffers in between are full when one message has waited for long.
    let body = vec![0; 1 << 16];
    while push.send_timeout(&body, Duration::from_millis(200)).is_ok() {}
    assert_eq!(
        told(),
        texts(
            "no peer has room for the message now",
            "no peer had room for the message in time"
        )
    );
}

fn next(pull: &Pull) -> Message {
    pull.recv_timeout(DEADLINE).expect("a message")
}

fn keeps_frames(transport: Transport) {
    let (push, pull) = pair(transport, nimble());
    let hundred: Message = (0..100).map(|number: u32| number.to_string()).collect();
    let messages = [
        Message::from("one"),
        Message::from(["two", "frames"]),
        Message::from(""),
        Message::from(["", "empty first"]),
        Message::from(["empty last", ""]),
        Message::from(["", "", ""]),
        Message::from([vec![b'l'; 100_000], b"short".to_vec(), vec![b'L'; 9_000]]),
        hundred,
    ];
    for message in &messages {
        push.send_timeout(message, DEADLINE).expect("sent");
    }
    for message in &messages {
        assert_eq!(next(&pull), *message);
    }
}

/// Around every length at which the encoding, a buffer or the way of copying changes; borrowed and owned.
fn carries_sizes(transport: Transport) {
    let (push, pull) = pair(transport, nimble());
    for edge in [
        0,
        31,
        64,
        255,
        8192,
        16_384,
        32_768,
        65_536,
        131_072,
        262_144,
        1 << 20,
    ] {
        for size in [edge, edge + 1, edge + 9] {
            let body: Vec<u8> = (0..=250).cycle().take(size).collect();
            push.send_timeout(&body, DEADLINE).expect("sent");
            push.send_timeout(body.clone(), DEADLINE).expect("sent");
            push.send_timeout([&body[..], b"", &body], DEADLINE)
                .expect("sent");
            for _ in 0..2 {
                let message = next(&pull);
                assert_eq!(message.parts(), 1);
                assert!(message == body, "{size} bytes came as others");
            }
            let message = next(&pull);
            let sizes: Vec<usize> = message.frames().map(|frame| frame.len()).collect();
            assert_eq!(sizes, [size, 0, size]);
            assert!(
                message.get(2).is_some_and(|frame| *frame == body),
                "{size} bytes came as others"
            );
        }
    }
}

/// More than the kernel takes before the receiver begins: some go out whole, one in part, and the others wait.
fn mixes_long_and_short(transport: Transport) {
    const LENGTHS: [usize; 7] = [200_000, 10, 40_000, 1 << 20, 0, 33_000, 700];
    const MESSAGES: usize = 70 / WAYS as usize;
    let body = |number: usize| -> Vec<u8> {
        let length = LENGTHS[number % LENGTHS.len()];
        (number..).map(|byte| byte as u8).take(length).collect()
    };
    for buffer in [4_000, 300_000] {
        let options = nimble().recv_timeout(DEADLINE);
        let options = options.send_buffer(buffer).recv_buffer(buffer);
        let (push, pull) = pair(transport, options);
        for start in [0, MESSAGES] {
            for number in start..start + MESSAGES {
                let body = body(number);
                push.send_timeout(&body[..], DEADLINE).expect("sent");
            }
            let mut message = Message::new();
            for number in start..start + MESSAGES {
                let received = pull.recv_into(&mut message);
                received.expect("a message");
                assert!(message == body(number), "message {number}");
            }
        }
        assert_eq!(pull.try_recv(), Err(RecvError::WouldBlock));
    }
}

/// In bursts that fill the queues and in single steps.
fn keeps_order(transport: Transport) {
    let (push, pull) = pair(transport, nimble());
    let mut expected = 0..;
    for burst in [1, 900, 1, 2, 500, 1, 1000] {
        let numbers: Vec<u32> = expected.by_ref().take(burst).collect();
        for number in &numbers {
            push.send_timeout(number.to_be_bytes(), DEADLINE)
                .expect("sent");
        }
        for number in numbers {
            assert_eq!(next(&pull), number.to_be_bytes());
        }
    }
}

/// With `busy_poll` a PULL looks for messages, and a PUSH for room, before they sleep; and neither misses anything, the end included.
fn looks_before_it_sleeps(transport: Transport) {
    const MESSAGES: u32 = 5_000;
    let options = nimble().busy_poll(Duration::from_millis(2)).send_hwm(10);
    let context = Context::new();
    let (push, pull) = pair_in(&context, transport, options);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..MESSAGES {
                let sent = push.send_timeout(number.to_be_bytes(), DEADLINE);
                sent.expect("sent");
            }
        });
        for number in 0..MESSAGES {
            assert_eq!(next(&pull), number.to_be_bytes());
        }
        let waits = scope.spawn(|| pull.recv_timeout(DEADLINE));
        context.shutdown();
        let ended = waits.join().expect("no panic");
        assert_eq!(ended, Err(RecvError::ContextClosed));
    });
}

/// Bursts of all lengths, of small messages, long ones and such of several frames, from one thread to another: each
/// kind may go another way, and none overtakes another.
fn streams_all_sorts(transport: Transport) {
    const BURSTS: u64 = 300 / WAYS as u64;
    let (push, pull) = pair(transport, nimble());
    let sort = |number: u64| -> Message {
        let stamp = number.to_be_bytes();
        let long = |len: u64| stamp.repeat(len as usize);
        match number % 1_009 {
            3 => Message::from([&stamp[..], b"", b"two more"]),
            5 => Message::from(long(40)),
            7 => Message::from(long(1_500)),
            9 => Message::from(&stamp[..5]),
            _ => Message::from(long(1 + number % 9)),
        }
    };
    let ends = (0..BURSTS).scan(0, |end, burst| {
        *end += burst * burst % 1_777;
        Some(*end)
    });
    let ends: Vec<u64> = ends.collect();
    let total = ends.last().copied().unwrap_or_default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            for end in ends {
                for number in number..end {
                    push.send_timeout(sort(number), DEADLINE).expect("sent");
                }
                number = end;
                std::thread::yield_now();
            }
        });
        for number in 0..total {
            assert_eq!(next(&pull), sort(number), "message {number} of {total}");
        }
    });
    assert_eq!(push.stats().messages_out, total);
    assert_eq!(pull.stats().messages_in, total);
}

fn carries_batches(transport: Transport) {
    let (push, pull) = pair(transport, nimble());
    let sent = push.send_batch((0..1000_u32).map(u32::to_be_bytes));
    assert_eq!(sent.expect("sent"), 1000);
    let mut received = Vec::new();
    while received.len() < 1000 {
        let batch = pull.recv_batch(64).expect("received");
        assert!((1..=64).contains(&batch.len()), "{}", batch.len());
        received.extend(batch);
    }
    for (number, message) in (0..1000_u32).zip(&received) {
        assert_eq!(*message, number.to_be_bytes());
    }
}

fn iterates(transport: Transport) {
    let (push, pull) = pair(transport, nimble().recv_timeout(DEADLINE));
    for text in ["a", "b", "c"] {
        push.send_timeout(text, DEADLINE).expect("sent");
    }
    let mut messages = pull.iter();
    let texts: Vec<Message> = messages.by_ref().take(3).collect();
    assert_eq!(texts, ["a", "b", "c"].map(Message::from));
    assert_eq!(messages.end(), None);
    pull.shutdown();
    assert_eq!(messages.next(), None);
    assert_eq!(messages.end(), Some(RecvError::Closed));
}

fn iterates_again_after_a_time_out(transport: Transport) {
    let (push, pull) = pair(transport, nimble().recv_timeout(Duration::from_millis(1)));
    let mut messages = pull.iter();
    assert_eq!(messages.next(), None);
    assert_eq!(messages.end(), Some(RecvError::TimedOut));
    push.send_timeout("late", DEADLINE).expect("sent");
    let late = Instant::now() + DEADLINE;
    let message = std::iter::repeat_with(|| messages.next())
        .take_while(|_| Instant::now() < late)
        .find_map(|message| message);
    assert_eq!(message, Some(Message::from("late")));
    assert_eq!(messages.end(), None);
}

/// With room everywhere, messages go round strictly.
fn takes_turns(transport: Transport) {
    let context = Context::new();
    let push = Push::open(&context);
    let pulls: Vec<Pull> = (0..3).map(|_| Pull::open(&context)).collect();
    for pull in &pulls {
        Socket::connect(&push, &Socket::bind(pull, &transport.endpoint()));
    }
    push.wait_for_peers(3, DEADLINE).expect("all peers");
    for number in 0..300_u32 {
        push.send_timeout(number.to_be_bytes(), DEADLINE)
            .expect("sent");
    }
    for pull in &pulls {
        let message = next(pull);
        let mut number =
            u32::from_be_bytes(message.first().as_slice().try_into().expect("a number"));
        for _ in 1..100 {
            number += 3;
            assert_eq!(next(pull), number.to_be_bytes());
        }
    }
}

/// A peer that does not read costs the others nothing.
fn passes_over_the_full(transport: Transport) {
    let context = Context::new();
    let options = nimble().send_hwm(5).recv_hwm(5);
    let push = Push::with_options(&context, options.clone()).expect("a PUSH");
    let stuck = Pull::with_options(&context, options.clone()).expect("a PULL");
    let busy = Pull::with_options(&context, options).expect("a PULL");
    for pull in [&stuck, &busy] {
        Socket::connect(&push, &Socket::bind(pull, &transport.endpoint()));
    }
    push.wait_for_peers(2, DEADLINE).expect("both peers");
    let body = vec![b'x'; 100_000];
    let total = 1_000;
    let received = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut received = 0;
            while next(&busy) != b"end" {
                received += 1;
            }
            received
        });
        for _ in 0..total {
            push.send_timeout(&body, DEADLINE).expect("sent");
        }
        // Sent to whoever has room: until the busy one gets it.
        while !reading.is_finished() {
            let _ = push.send_timeout("end", std::time::Duration::from_millis(1));
        }
        reading.join().expect("the reading thread")
    });
    // The stuck one has its share of the start: both queues, and what the kernel takes in between.
    assert!(received >= total - 200, "{received} of {total}");
}

/// Only the newest counts, on either side.
fn conflates(transport: Transport) {
    let (push, pull) = pair(transport, nimble().conflate(true));
    for number in 0..2000_u32 {
        push.send_timeout(number.to_be_bytes(), DEADLINE)
            .expect("sent");
    }
    let mut last = None;
    let mut count = 0;
    while last != Some(1999) {
        let message = next(&pull);
        let number = u32::from_be_bytes(message.first().as_slice().try_into().expect("a number"));
        assert!(last < Some(number), "{number} after {last:?}");
        (last, count) = (Some(number), count + 1);
    }
    assert!(count <= 2000);
    assert!(pull.try_recv().is_err());
}

/// In one process the newest message is there once it is sent, also where an older one has been read already.
fn what_was_read_is_replaced(transport: Transport) {
    if transport != Transport::Inproc {
        return;
    }
    let (push, pull) = pair(transport, nimble().conflate(true));
    for number in 0..100_u32 {
        push.send_timeout("older", DEADLINE).expect("sent");
        until("the background thread reads", || {
            (pull.stats().messages_in > u64::from(2 * number)).then_some(())
        });
        push.send_timeout(number.to_be_bytes(), DEADLINE)
            .expect("sent");
        assert_eq!(next(&pull), number.to_be_bytes());
    }
    let replaced = pull.stats().dropped.conflated + push.stats().dropped.conflated;
    assert_eq!(replaced, 100);
}

fn immediate_waits_for_a_connection(transport: Transport) {
    if transport == Transport::Inproc {
        // There is nothing to wait for: a queue to a name is as good before it is bound. So does libzmq.
        return;
    }
    let context = Context::new();
    let options = nimble().immediate(true);
    let push = Push::with_options(&context, options).expect("a PUSH");
    let endpoint = transport.endpoint();
    Socket::connect(&push, &endpoint);
    let error = push.try_send("too early").expect_err("nobody is there");
    assert_eq!(error.into_message(), *"too early");
    let pull = Pull::open(&context);
    Socket::bind(&pull, &endpoint);
    push.send_timeout("in time", DEADLINE).expect("sent");
    assert_eq!(next(&pull), *"in time");
}
