//! Several threads on one socket.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use crate::sockets::{Context, Options, Pull, Push, RecvError, Rep, Req, WAYS};

use crate::arena::{Transport, nimble, on_every_transport};
use crate::common::deadline::DEADLINE;
use crate::pairs::Socket;

on_every_transport!(
    four_senders_four_receivers,
    multipart_is_atomic,
    each_message_wakes_a_receiver,
    bursts_of_many_threads,
    passes_from_thread_to_thread,
    asked_and_answered_by_many_threads,
    asked_by_many_threads_without_ids,
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
    const EACH: u32 = 25_000 / WAYS;
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
        let bytes = message.first().as_slice().try_into().expect("eight bytes");
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
                assert_eq!(message, round.to_be_bytes());
            }
        }
    });
}

/// More threads than can be favoured one after the other, in bursts long and short: each has a socket to itself for a
/// while, and is then interrupted. Marks are low, so that they wait for each other, too.
fn bursts_of_many_threads(transport: Transport) {
    const MANY: u32 = 8;
    const EACH: u32 = 4_000 / WAYS;
    let (push, pull) = pair(transport, nimble().send_hwm(500).recv_hwm(500));
    let left = AtomicU32::new(MANY * EACH);
    let sum = AtomicU32::new(0);
    thread::scope(|scope| {
        for thread in 1..=MANY {
            let (push, pull, left, sum) = (&push, &pull, &left, &sum);
            scope.spawn(move || {
                for number in 0..EACH {
                    push.send_timeout(number.to_be_bytes(), DEADLINE)
                        .expect("sent");
                    if number % (37 * thread) == 0 {
                        thread::yield_now();
                    }
                }
            });
            scope.spawn(move || {
                while claim(left) {
                    let message = pull.recv_timeout(DEADLINE).expect("a message");
                    let number = message.first().as_slice().try_into().expect("four bytes");
                    sum.fetch_add(u32::from_be_bytes(number), Ordering::Relaxed);
                    if left.load(Ordering::Relaxed).is_multiple_of(41 * thread) {
                        let _ = pull.stats();
                        thread::yield_now();
                    }
                }
            });
        }
    });
    assert_eq!(sum.into_inner(), MANY * (EACH * (EACH - 1) / 2));
    assert_eq!(pull.try_recv(), Err(RecvError::WouldBlock));
}

/// Sockets that are used by one thread after the other, each of which ends: long enough to be favoured, and once more.
fn passes_from_thread_to_thread(transport: Transport) {
    let (mut push, mut pull) = pair(transport, nimble());
    for life in 0..20_u32 {
        let sending = thread::spawn(move || {
            for number in 0..300 {
                let message = (life * 300 + number).to_be_bytes();
                push.send_timeout(message, DEADLINE).expect("sent");
            }
            push
        });
        let receiving = thread::spawn(move || {
            for number in 0..300 {
                let message = pull.recv_timeout(DEADLINE).expect("a message");
                assert_eq!(message, (life * 300 + number).to_be_bytes());
            }
            pull
        });
        push = sending.join().expect("the sending thread");
        pull = receiving.join().expect("the receiving thread");
    }
}

/// Every question gets its own answer, whoever of many asks and whoever of many answers.
fn asked_and_answered_by_many_threads(transport: Transport) {
    const EACH: u32 = 500;
    let context = Context::new();
    let (req, rep) = (Req::open(&context), Rep::open(&context));
    Socket::connect(&req, &Socket::bind(&rep, &transport.endpoint()));
    let left = AtomicU32::new(THREADS * EACH);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (req, rep, left) = (&req, &rep, &left);
            scope.spawn(move || {
                for number in 0..EACH {
                    let question = (thread << 16 | number).to_be_bytes();
                    let answer = req.request_timeout(question, DEADLINE).expect("an answer");
                    assert_eq!(answer, question);
                }
            });
            scope.spawn(move || {
                while claim(left) {
                    let mut request = rep.recv_timeout(DEADLINE).expect("a question");
                    let question = request.take_message();
                    request.reply(question).expect("its peer is there");
                }
            });
        }
    });
    assert_eq!(req.stats().dropped.total(), 0);
}

/// Without ids there is one request at a time: whoever has its reply lets the next of those who wait go on.
fn asked_by_many_threads_without_ids(transport: Transport) {
    const EACH: u32 = 300;
    let context = Context::new();
    let options = nimble().req_correlate(false);
    let req = Req::with_options(&context, options).expect("a REQ");
    let rep = Rep::open(&context);
    Socket::connect(&req, &Socket::bind(&rep, &transport.endpoint()));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let req = &req;
            scope.spawn(move || {
                for number in 0..EACH {
                    let question = (thread << 16 | number).to_be_bytes();
                    let answer = req.request_timeout(question, DEADLINE).expect("an answer");
                    assert_eq!(answer, question);
                }
            });
        }
        for _ in 0..THREADS * EACH {
            let mut request = rep.recv_timeout(DEADLINE).expect("a question");
            let question = request.take_message();
            request.reply(question).expect("its peer is there");
        }
    });
}
