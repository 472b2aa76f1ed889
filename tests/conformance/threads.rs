//! Several threads on one socket.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use zerohop::{Context, Options, Pull, Push, RecvError};

use crate::arena::{Transport, nimble, on_every_transport};
use crate::common::deadline::DEADLINE;
use crate::pairs::Socket;

on_every_transport!(
    four_senders_four_receivers,
    multipart_is_atomic,
    each_message_wakes_a_receiver,
);

const THREADS: u32 = 4;

fn pair(transport: Transport, options: Options) -> (Push, Pull) {
    let context = Context::new();
    let push = Push::with_options(&context, options.clone()).expect("a PUSH");
    let pull = Pull::with_options(&context, options).expect("a PULL");
    Socket::connect(&push, &Socket::bind(&pull, &transport.endpoint()));
    (push, pull)
}

/// Every message arrives once, at some receiver, and each sees the messages of one sender in order.
fn four_senders_four_receivers(transport: Transport) {
    const EACH: u32 = 25_000;
    let (push, pull) = pair(transport, nimble());
    let left = AtomicU32::new(THREADS * EACH);
    let received: Vec<Vec<(u32, u32)>> = thread::scope(|scope| {
        for sender in 0..THREADS {
            let push = &push;
            scope.spawn(move || {
                for number in 0..EACH {
                    let message = (u64::from(sender) << 32 | u64::from(number)).to_be_bytes();
                    push.send_timeout(message, DEADLINE).expect("sent");
                }
            });
        }
        let receivers: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| receive_share(&pull, &left)))
            .collect();
        let receivers = receivers.into_iter();
        receivers
            .map(|thread| thread.join().expect("a receiving thread"))
            .collect()
    });
    let mut seen: HashMap<u32, Vec<u32>> = HashMap::new();
    for share in received {
        let mut last = HashMap::new();
        for (sender, number) in share {
            let before = last.insert(sender, number);
            assert!(
                before < Some(number),
                "{number} of {sender} after {before:?}"
            );
            seen.entry(sender).or_default().push(number);
        }
    }
    for numbers in seen.values_mut() {
        numbers.sort_unstable();
    }
    let all: Vec<u32> = (0..EACH).collect();
    assert_eq!(seen.len(), THREADS as usize);
    assert!(
        seen.values().all(|numbers| *numbers == all),
        "lost or doubled"
    );
}

/// Receives until all messages have been taken, by whatever thread.
fn receive_share(pull: &Pull, left: &AtomicU32) -> Vec<(u32, u32)> {
    let mut share = Vec::new();
    while claim(left) {
        let message = pull.recv_timeout(DEADLINE).expect("a message");
        let bytes = message.as_bytes().try_into().expect("eight bytes");
        let both = u64::from_be_bytes(bytes);
        share.push(((both >> 32) as u32, both as u32));
    }
    share
}

fn claim(left: &AtomicU32) -> bool {
    let take = |left: u32| left.checked_sub(1);
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        .is_ok()
}

/// Frames of messages sent and received side by side never mix.
fn multipart_is_atomic(transport: Transport) {
    const EACH: u32 = 1_000;
    let (push, pull) = pair(transport, nimble().send_hwm(20).recv_hwm(20));
    let left = AtomicU32::new(THREADS * EACH);
    thread::scope(|scope| {
        for sender in 0..THREADS {
            let push = &push;
            scope.spawn(move || {
                for number in 0..EACH {
                    let frame = format!("{sender} {number} ").repeat(1 + number as usize % 50);
                    let parts = 1 + number as usize % 7;
                    push.send_timeout(vec![frame; parts], DEADLINE)
                        .expect("sent");
                }
            });
            let (pull, left) = (&pull, &left);
            scope.spawn(move || {
                while claim(left) {
                    let message = pull.recv_timeout(DEADLINE).expect("a message");
                    let first = message.first();
                    assert!(message.frames().all(|frame| frame == first), "{message:?}");
                    let text = first.to_str().expect("text");
                    let number = text.split(' ').nth(1).map(str::parse::<usize>);
                    let number = number.expect("two words").expect("a number");
                    assert_eq!(message.parts(), 1 + number % 7, "{message:?}");
                }
            });
        }
    });
    assert_eq!(pull.try_recv(), Err(RecvError::WouldBlock));
}

/// With more threads waiting than there are seats, none sleeps through a message.
fn each_message_wakes_a_receiver(transport: Transport) {
    let (push, pull) = pair(transport, nimble());
    thread::scope(|scope| {
        for round in 0..200_u32 {
            let waiting: Vec<_> = (0..THREADS)
                .map(|_| scope.spawn(|| pull.recv_timeout(DEADLINE).expect("a message")))
                .collect();
            for _ in 0..THREADS {
                push.send_timeout(round.to_be_bytes(), DEADLINE)
                    .expect("sent");
            }
            for thread in waiting {
                let message = thread.join().expect("a receiving thread");
                assert_eq!(message.as_bytes(), round.to_be_bytes());
            }
        }
    });
}
