//! DEALER: both directions at once, turns, and what becomes of messages for a peer that goes.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::sockets::{Context, Dealer, Message, Options, RecvError, Rep, SendErrorKind};

use crate::arena::{Transport, nimble, on_every_transport};
use crate::common::deadline::DEADLINE;
use crate::common::until::{GLANCE, until};
use crate::pairs::Socket;

on_every_transport!(
    keeps_frames_both_ways,
    asks_a_rep_again_before_it_has_answered,
    sends_and_receives_at_once_from_many_threads,
    takes_turns_both_ways,
    a_full_peer_holds_up_no_receiver,
    what_a_peer_that_goes_was_not_sent_goes_to_another,
    what_was_queued_before_anybody_came_arrives,
    conflates,
    probes_with_each_connection,
    close_waits_for_the_last,
);

fn pair(transport: Transport, options: Options) -> (Dealer, Dealer) {
    let context = Context::new();
    let one = Dealer::with_options(&context, options.clone()).expect("a DEALER");
    let other = Dealer::with_options(&context, options).expect("a DEALER");
    Socket::connect(&one, &Socket::bind(&other, &transport.endpoint()));
    one.wait_for_peers(1, DEADLINE).expect("a peer");
    other.wait_for_peers(1, DEADLINE).expect("a peer");
    (one, other)
}

fn next(dealer: &Dealer) -> Message {
    dealer.recv_timeout(DEADLINE).expect("a message")
}

/// Nothing is added and nothing taken away, not even an empty frame.
fn keeps_frames_both_ways(transport: Transport) {
    let (one, other) = pair(transport, nimble());
    let messages = [
        Message::from("one"),
        Message::from(""),
        Message::from(["", "as for a REP"]),
        Message::from(["number", "", "body", ""]),
        Message::from([vec![b'l'; 100_000], b"short".to_vec(), vec![b'L'; 9_000]]),
        Message::from(vec![b'x'; 1 << 20]),
    ];
    for (from, to) in [(&one, &other), (&other, &one)] {
        for message in &messages {
            from.send_timeout(message, DEADLINE).expect("sent");
        }
        for message in &messages {
            assert_eq!(next(to), *message);
        }
    }
}

fn asks_a_rep_again_before_it_has_answered(transport: Transport) {
    const QUESTIONS: usize = 200;
    let context = Context::new();
    let (dealer, rep) = (Dealer::open(&context), Rep::open(&context));
    Socket::connect(&dealer, &Socket::bind(&rep, &transport.endpoint()));
    for number in 0..QUESTIONS {
        let question = [number.to_string(), String::new(), format!("q {number}")];
        dealer.send_timeout(question, DEADLINE).expect("sent");
    }
    for number in 0..QUESTIONS {
        let request = rep.recv_timeout(DEADLINE).expect("a request");
        assert_eq!(*request.message(), format!("q {number}"));
        request.reply(format!("a {number}")).expect("replied");
    }
    for number in 0..QUESTIONS {
        let answer = [number.to_string(), String::new(), format!("a {number}")];
        assert_eq!(next(&dealer), Message::from(answer));
    }
    assert_eq!(rep.stats().dropped.total(), 0);
}

/// Two threads send and two receive on either side, and each message comes once.
fn sends_and_receives_at_once_from_many_threads(transport: Transport) {
    const EACH: usize = 5_000;
    let (one, other) = pair(transport, nimble());
    let receive = |dealer: &Dealer, left: &AtomicUsize| -> Vec<u64> {
        let claim =
            || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |it| it.checked_sub(1));
        let mut numbers = Vec::new();
        while claim().is_ok() {
            let message = next(dealer);
            let bytes = message.as_bytes().and_then(|bytes| bytes.try_into().ok());
            numbers.push(u64::from_be_bytes(bytes.expect("eight bytes")));
        }
        numbers
    };
    let left = [AtomicUsize::new(2 * EACH), AtomicUsize::new(2 * EACH)];
    thread::scope(|scope| {
        for dealer in [&one, &other] {
            for sender in 0..2 {
                scope.spawn(move || {
                    for number in 0..EACH {
                        let number = (sender * EACH + number) as u64;
                        let sent = dealer.send_timeout(number.to_be_bytes(), DEADLINE);
                        sent.expect("sent");
                    }
                });
            }
        }
        for (dealer, left) in [&one, &other].into_iter().zip(&left) {
            let receivers = [(); 2].map(|()| scope.spawn(|| receive(dealer, left)));
            scope.spawn(move || {
                let shares = receivers.map(|thread| thread.join().expect("a receiver"));
                assert_eq!(shares.iter().map(Vec::len).sum::<usize>(), 2 * EACH);
                let all: HashSet<u64> = shares.into_iter().flatten().collect();
                assert_eq!(all.len(), 2 * EACH, "some came twice");
            });
        }
    });
}

/// What goes out goes round; what comes in is taken from each in turn.
fn takes_turns_both_ways(transport: Transport) {
    const EACH: usize = 100;
    let context = Context::new();
    let dealer = Dealer::open(&context);
    let workers: Vec<Dealer> = (0..3).map(|_| Dealer::open(&context)).collect();
    for worker in &workers {
        Socket::connect(&dealer, &Socket::bind(worker, &transport.endpoint()));
    }
    dealer.wait_for_peers(3, DEADLINE).expect("all peers");
    for number in 0..3 * EACH {
        dealer
            .send_timeout(number.to_string(), DEADLINE)
            .expect("sent");
    }
    for worker in &workers {
        let first: usize = next(worker)
            .to_str()
            .expect("text")
            .parse()
            .expect("a number");
        for turn in 1..EACH {
            assert_eq!(next(worker), (first + 3 * turn).to_string());
        }
    }
    for (name, worker) in workers.iter().enumerate() {
        for _ in 0..EACH {
            worker
                .send_timeout(name.to_string(), DEADLINE)
                .expect("sent");
        }
    }
    // Over inproc they are there, and are counted when they are fetched.
    let within = transport == Transport::Inproc;
    until("all answers have come", || {
        let here = dealer.stats().messages_in;
        let _ = dealer.wait_for_peers(4, Duration::from_millis(1));
        (within || here == 3 * EACH as u64).then_some(())
    });
    let names: Vec<Message> = (0..3 * EACH).map(|_| next(&dealer)).collect();
    assert!(
        names.chunks(3).all(|three| three == &names[..3]),
        "{names:?}"
    );
}

/// A thread that waits for room keeps nobody from receiving.
fn a_full_peer_holds_up_no_receiver(transport: Transport) {
    let (one, other) = pair(transport, nimble().send_hwm(10).recv_hwm(10));
    let body = vec![b'x'; 50_000];
    let (mut sent, mut refused) = (0, 0);
    // Full is when nothing has gone for a while: at first the kernel still makes room.
    while refused < 5 {
        match one.send_timeout(&body, Duration::from_millis(20)) {
            Ok(()) => (sent, refused) = (sent + 1, 0),
            Err(error) => {
                assert_eq!(error.kind(), SendErrorKind::TimedOut);
                assert_eq!(error.into_message().size(), body.len());
                refused += 1;
            }
        }
    }
    assert!(sent >= 20, "only {sent} found room");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| one.send_timeout("at last", DEADLINE));
        for number in 0..100 {
            other
                .send_timeout(number.to_string(), DEADLINE)
                .expect("sent");
            assert_eq!(next(&one), number.to_string());
        }
        assert!(!waiting.is_finished(), "nobody has read");
        for _ in 0..sent {
            assert_eq!(next(&other).size(), body.len());
        }
        assert_eq!(next(&other), "at last");
        waiting.join().expect("the waiting thread").expect("sent");
    });
}

fn what_a_peer_that_goes_was_not_sent_goes_to_another(transport: Transport) {
    const MESSAGES: usize = 500;
    if transport == Transport::Inproc {
        // A reader there takes all that is queued.
        return;
    }
    let context = Context::new();
    let dealer = Dealer::open(&context);
    let endpoint = Socket::bind(&dealer, &transport.endpoint());
    let worker = || {
        let options = nimble().recv_hwm(1);
        let worker = Dealer::with_options(&context, options).expect("a DEALER");
        Socket::connect(&worker, &endpoint);
        dealer.wait_for_peers(1, DEADLINE).expect("connected");
        worker
    };
    let first = worker();
    for number in 0..MESSAGES {
        let message = [number.to_string().into_bytes(), vec![0; 100_000]];
        dealer.send_timeout(message, DEADLINE).expect("sent");
    }
    assert_eq!(next(&first).first(), "0");
    drop(first);
    dealer.settle_at(0);
    assert_eq!(dealer.stats().dropped.total(), 0);

    let second = worker();
    let number = |message: Message| -> usize {
        let text = message.first().to_str().expect("text").to_owned();
        text.parse().expect("a number")
    };
    let mut last = number(next(&second));
    assert!(last > 0, "one was received twice");
    while last + 1 < MESSAGES {
        let message = number(next(&second));
        assert_eq!(message, last + 1, "a gap, or out of order");
        last = message;
    }
}

fn what_was_queued_before_anybody_came_arrives(transport: Transport) {
    let context = Context::new();
    let (dealer, other) = (Dealer::open(&context), Dealer::open(&context));
    let endpoint = transport.endpoint();
    let none = dealer.try_send("no peer at all").expect_err("no peer");
    assert_eq!(none.kind(), SendErrorKind::WouldBlock);
    assert_eq!(dealer.try_recv(), Err(RecvError::WouldBlock));
    Socket::connect(&dealer, &endpoint);
    for number in 0..100 {
        dealer.try_send(number.to_string()).expect("queued");
    }
    Socket::bind(&other, &endpoint);
    for number in 0..100 {
        assert_eq!(next(&other), number.to_string());
    }
}

fn conflates(transport: Transport) {
    let (one, other) = pair(transport, nimble().conflate(true).probe_router(true));
    for number in 0..2000_u32 {
        one.send_timeout(number.to_be_bytes(), DEADLINE)
            .expect("sent");
    }
    until("the newest comes", || {
        let message = next(&other);
        (message.as_bytes() == Some(&1999_u32.to_be_bytes()[..])).then_some(())
    });
    assert_eq!(other.try_recv(), Err(RecvError::WouldBlock));
}

/// One empty message with each connection, behind what was queued before that stood.
fn probes_with_each_connection(transport: Transport) {
    let context = Context::new();
    let options = nimble().probe_router(true);
    let prober = Dealer::with_options(&context, options).expect("a DEALER");
    let endpoint = transport.endpoint();
    Socket::connect(&prober, &endpoint);
    prober.try_send("queued before").expect("queued");
    for life in 0..3 {
        let other = Dealer::open(&context);
        Socket::bind(&other, &endpoint);
        if life == 0 {
            assert_eq!(next(&other), "queued before");
        }
        assert_eq!(next(&other), "");
        assert_eq!(other.recv_timeout(GLANCE), Err(RecvError::TimedOut));
        drop(other);
        prober.settle_at(0);
    }
}

fn close_waits_for_the_last(transport: Transport) {
    const MESSAGES: u32 = 500;
    let context = Context::new();
    let dealer = Dealer::open(&context);
    let endpoint = transport.endpoint();
    Socket::connect(&dealer, &endpoint);
    for number in 0..MESSAGES {
        dealer
            .send_timeout(number.to_be_bytes(), DEADLINE)
            .expect("queued");
    }
    thread::scope(|scope| {
        let closing = scope.spawn(|| dealer.close(DEADLINE));
        let other = Dealer::open(&context);
        Socket::bind(&other, &endpoint);
        for number in 0..MESSAGES {
            assert_eq!(next(&other).as_bytes(), Some(&number.to_be_bytes()[..]));
        }
        let closed = closing.join().expect("the closing thread");
        closed.expect("all has left");
    });
}
