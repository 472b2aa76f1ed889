//! Acknowledged delivery from PUSH to PULL: what is settled, what comes again, and what ends as a dead letter.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod delivering;
    pub(crate) mod events;
    pub(crate) mod raw;
    pub(crate) mod relay;
    pub(crate) mod until;
}

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use zerohop::{
    Allow, CloseError, Context, DeadReason, Delivery, DeliveryError, DisconnectCause, Event, Job,
    Message, PeerRefusal, ProtocolError, Pull, Push, ReceiptError, RecvError, SendErrorKind,
    SettleError, Settled, SocketError,
};

use common::deadline::DEADLINE;
use common::delivering::{options, quick};
use common::events::wait_for_end;
use common::raw::{self, MORE, RawPeer, command, frame, greeting, property};
use common::relay::Relay;
use common::until::{GLANCE, until};

const ANY_PORT: &str = "tcp://127.0.0.1:*";

/// A PUSH that has bound an endpoint.
fn push(context: &Context, delivery: Delivery) -> (Push, String) {
    let push = Push::with_options(context, options(delivery)).expect("a PUSH");
    let endpoint = push.bind(ANY_PORT).expect("bound").to_string();
    (push, endpoint)
}

fn worker(context: &Context, delivery: Delivery, endpoint: &str) -> Pull {
    let pull = Pull::with_options(context, options(delivery)).expect("a PULL");
    pull.connect(endpoint).expect("connected");
    pull
}

#[test]
fn a_job_may_come_with_who_sent_it() {
    let context = Context::new();
    let (push, endpoint) = push(&context, quick());
    let pull = worker(&context, quick(), &endpoint);
    push.send("order 1").expect("sent");
    let (job, origin) = pull.recv_job_from_timeout(DEADLINE).expect("a job");
    assert_eq!(job.message(), "order 1");
    assert_eq!(origin.endpoint(), endpoint);
    assert!(origin.socket_address().is_some());
    job.settle().expect("settled");
    let none = pull.try_recv_job_from().expect_err("nothing more");
    assert_eq!(none, RecvError::WouldBlock);

    // The same of a sender that knows nothing of delivery.
    let plain = Push::new(&context).expect("a PUSH");
    pull.connect(plain.bind(ANY_PORT).expect("bound"))
        .expect("connected");
    plain.send("order 2").expect("sent");
    let (job, origin) = pull.recv_job_from().expect("a job");
    assert_eq!(job.message(), "order 2");
    assert_eq!(job.id(), None);
    assert!(origin.socket_address().is_some());
}

fn job(pull: &Pull) -> Job {
    pull.recv_job_timeout(DEADLINE).expect("a job")
}

fn text(job: &Job) -> String {
    job.message().to_str().expect("text").to_owned()
}

/// Waits until the PUSH holds no message.
fn all_settled(push: &Push) {
    until("all is settled", || {
        thread::sleep(Duration::from_millis(1));
        (push.stats().delivery.unsettled == 0).then_some(())
    });
}

#[test]
fn a_stream_is_settled_message_by_message() {
    let context = Context::new();
    let (push, endpoint) = push(&context, quick().window(100));
    let pull = worker(&context, quick().window(100), &endpoint);
    let sending = thread::spawn(move || {
        for number in 0..20_000_u32 {
            push.send(number.to_be_bytes()).expect("sent");
        }
        push.send(["two", "frames"]).expect("sent");
        push.send(vec![7; 100_000]).expect("sent");
        all_settled(&push);
        push
    });
    for number in 0..20_000_u32 {
        if number % 2 == 0 {
            let message = pull.recv_timeout(DEADLINE).expect("a message");
            assert_eq!(message, number.to_be_bytes());
            continue;
        }
        let job = job(&pull);
        assert_eq!(*job.message(), number.to_be_bytes());
        assert_eq!(job.deliveries(), 0);
        assert_eq!(job.id().map(|id| id.number), Some(u64::from(number) + 1));
        job.settle().expect("settled");
    }
    let two = job(&pull);
    assert_eq!(*two.message(), ["two", "frames"]);
    two.settle().expect("settled");
    assert_eq!(
        pull.recv_timeout(DEADLINE).expect("a message").size(),
        100_000
    );
    let push = sending.join().expect("no panic");
    let stats = push.stats();
    assert_eq!(stats.delivery.settled, 20_002);
    assert_eq!((stats.delivery.retried, stats.messages_out), (0, 20_002));
    assert!(push.dead_letters().is_empty());
    push.close(DEADLINE).expect("nothing is left");
}

/// Nothing can come of waiting.
#[test]
fn a_socket_without_an_endpoint_closes_at_once() {
    let context = Context::new();
    let options = options(quick()).linger(None);
    let push = Push::with_options(&context, options.clone()).expect("a PUSH");
    push.send("order").expect("it is held");
    let error = push.close(Duration::MAX).expect_err("it has not left");
    assert_eq!(error.unsent(), 1);
    let push = Push::with_options(&context, options).expect("a PUSH");
    push.send("order").expect("it is held");
    drop(push);
    drop(context);
}

#[test]
fn a_dead_workers_jobs_go_to_others() {
    let context = Context::new();
    let (push, endpoint) = push(&context, quick().window(8));
    let dies = worker(&context, quick().window(8), &endpoint);
    push.wait_for_peers(1, DEADLINE).expect("connected");
    for number in 0..8 {
        push.send(number.to_string()).expect("sent");
    }
    let done = job(&dies);
    let id = done.id();
    assert_eq!(text(&done), "0");
    done.settle().expect("settled");
    let lost = job(&dies);
    let lost_id = lost.id();
    assert_ne!(lost_id, id);
    until("the first is settled", || {
        thread::sleep(Duration::from_millis(1));
        (push.stats().delivery.settled == 1).then_some(())
    });
    drop(dies);
    assert_eq!(lost.settle(), Err(SettleError::Closed));
    let other = worker(&context, quick().window(8), &endpoint);
    let mut seen = HashMap::new();
    for _ in 0..7 {
        let job = job(&other);
        assert!(job.deliveries() > 0);
        seen.insert(text(&job), job.id());
        job.settle().expect("settled");
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
    assert_eq!(seen["1"], lost_id, "it has the same name");
    all_settled(&push);
    assert_eq!(
        other.try_recv_job().expect_err("all is done"),
        RecvError::WouldBlock
    );
}

#[test]
fn a_job_that_is_dropped_or_given_back_or_takes_too_long_comes_again() {
    let context = Context::new();
    let delivery = quick().job_timeout(Duration::from_millis(100));
    let (push, endpoint) = push(&context, delivery.clone());
    let pull = worker(&context, delivery, &endpoint);
    push.send("job").expect("sent");
    drop(job(&pull));
    let again = job(&pull);
    assert_eq!(again.deliveries(), 1);
    let unwinds = thread::scope(|scope| {
        let working = scope.spawn(move || {
            let _job = again;
            std::panic::resume_unwind(Box::new("the work failed"));
        });
        working.join()
    });
    assert!(unwinds.is_err());
    let again = job(&pull);
    assert_eq!(again.deliveries(), 2);
    again
        .retry_in(Duration::from_millis(1))
        .expect("given back");
    let hangs = job(&pull);
    assert_eq!(hangs.deliveries(), 3);
    // It is delivered again while this worker is still at it.
    let last = job(&pull);
    assert_eq!(last.deliveries(), 4);
    assert_eq!(last.id(), hangs.id());
    assert_eq!(hangs.extend(), Err(SettleError::TimedOut));
    assert_eq!(hangs.settle(), Err(SettleError::TimedOut));
    last.extend().expect("there was time left");
    last.settle().expect("settled");
    all_settled(&push);
    assert_eq!(push.stats().delivery.retried, 4);
}

/// What waits is dead when its time is over, with a worker too; what is worked on by then is not.
#[test]
fn what_is_not_settled_in_its_time_is_a_dead_letter() {
    let context = Context::new();
    let delivery = quick().ttl(Duration::from_secs(1)).window(2);
    let (push, endpoint) = push(&context, delivery);
    let pull = worker(&context, quick().window(2), &endpoint);
    let receipts = ["done", "waits there", "waits here"].map(|text| push.send_later(text));
    let receipts = receipts.map(|receipt| receipt.expect("sent"));
    let done = job(&pull);
    let expired = Ok(Settled::Dead(DeadReason::Expired));
    for receipt in &receipts[1..] {
        assert_eq!(receipt.settled_timeout(DEADLINE), expired);
    }
    assert_eq!(receipts[0].try_settled(), Err(ReceiptError::WouldBlock));
    done.settle().expect("it is at work still");
    assert_eq!(receipts[0].settled_timeout(DEADLINE), Ok(Settled::Done));
    let dead = push.dead_letters();
    let dead: Vec<_> = dead
        .iter()
        .map(|dead| (dead.message.to_str().expect("text"), dead.deliveries))
        .collect();
    assert!(dead.contains(&("waits there", 0)) && dead.contains(&("waits here", 0)));

    let again = push.send_later("comes back too late").expect("sent");
    let next = job(&pull);
    assert_eq!(text(&next), "comes back too late", "nobody gets the others");
    next.retry_in(Duration::from_secs(3600))
        .expect("given back");
    assert_eq!(again.settled_timeout(DEADLINE), expired);
    assert_eq!(push.dead_letters()[0].deliveries, 1);
    push.close(DEADLINE).expect("none is held");
}

#[test]
fn messages_of_one_key_are_done_one_after_the_other() {
    let context = Context::new();
    let (push, endpoint) = push(&context, quick().ordered_by(0));
    let pulls = [0; 2].map(|_| worker(&context, quick(), &endpoint));
    push.wait_for_peers(2, DEADLINE).expect("connected");
    for message in ["a 1", "a 2", "b 1", "a 3"] {
        let frames: Vec<_> = message.split(' ').collect();
        push.send(Message::from_frames(frames)).expect("sent");
    }
    let job = || {
        let mut of = 0;
        let job = until("a job", || {
            of = 1 - of;
            pulls[of].recv_job_timeout(GLANCE).ok()
        });
        let frames: Vec<_> = job
            .message()
            .frames()
            .map(|frame| frame.to_string_lossy().into_owned())
            .collect();
        (frames.join(" "), job)
    };
    let nothing = || {
        let received = pulls.iter().map(|pull| pull.recv_job_timeout(GLANCE));
        received.filter_map(Result::ok).count() == 0
    };
    let mut first = [job(), job()];
    first.sort_by(|(one, _), (other, _)| one.cmp(other));
    let [(a, held), (b, other)] = first;
    assert_eq!((&*a, &*b), ("a 1", "b 1"));
    assert!(nothing(), "the others of a wait");
    held.retry_in(Duration::from_millis(20))
        .expect("given back");
    assert!(push.stats().delivery.unsettled == 4);
    let (a, again) = job();
    assert_eq!(
        (&*a, again.deliveries()),
        ("a 1", 1),
        "nothing has overtaken it"
    );
    again.settle().expect("settled");
    let (a, bad) = job();
    assert_eq!(a, "a 2");
    assert!(nothing());
    bad.reject("bad").expect("rejected");
    let (a, last) = job();
    assert_eq!(a, "a 3", "a dead letter holds up nobody");
    last.settle().expect("settled");
    other.settle().expect("settled");
    all_settled(&push);
}

/// However workers come and go, and whatever they give back: no message of a key is handed out while one that was sent before it is neither
/// settled nor dead.
#[test]
fn order_holds_whatever_workers_do() {
    const KEYS: usize = 5;
    const EACH: usize = 40;
    let context = Context::new();
    let delivery = quick().ordered_by(0).window(8).limit(1000);
    let (push, endpoint) = push(&context, delivery);
    let ended = Mutex::new(vec![0; KEYS]);
    thread::scope(|scope| {
        for number in 0..3 {
            let (context, endpoint, ended) = (&context, &endpoint, &ended);
            scope.spawn(move || {
                let mut turn = number;
                let all = || {
                    ended
                        .lock()
                        .expect("counts")
                        .iter()
                        .all(|&count| count == EACH)
                };
                while !all() {
                    // Each worker has several connections, one after the other.
                    let pull = worker(context, quick().window(8), endpoint);
                    for _ in 0..40 {
                        let Ok(job) = pull.recv_job_timeout(GLANCE) else {
                            break;
                        };
                        let words = [0, 1].map(|frame| {
                            let frame = job.message().get(frame).expect("two frames");
                            frame.to_str().expect("text").parse().expect("a number")
                        });
                        let [key, place]: [usize; 2] = words;
                        let mut ended = ended.lock().expect("counts");
                        assert!(place <= ended[key], "{place} of {key}, not {}", ended[key]);
                        turn += 1;
                        match turn % 7 {
                            0 => drop(job),
                            1 => {
                                ended[key] = ended[key].max(place + 1);
                                let _ = job.reject("bad");
                            }
                            2 if job.deliveries() < 2 => {
                                let _ = job.retry_in(Duration::from_millis(1));
                            }
                            _ => {
                                ended[key] = ended[key].max(place + 1);
                                let _ = job.settle();
                            }
                        }
                    }
                }
            });
        }
        for number in 0..KEYS * EACH {
            let (key, place) = (number % KEYS, number / KEYS);
            let frames = [key.to_string(), place.to_string()];
            push.send(Message::from_frames(frames)).expect("sent");
        }
    });
    // Settlements may have been lost with their connections.
    let pull = worker(&context, quick(), &endpoint);
    while push.stats().delivery.unsettled > 0 {
        if let Ok(job) = pull.recv_job_timeout(GLANCE) {
            let _ = job.settle();
        }
    }
    assert!(push.stats().delivery.retried > 0);
}

#[test]
fn dead_letters_have_a_reason_and_a_bound() {
    let context = Context::new();
    let (push, endpoint) = push(&context, quick().limit(3).keep_dead_letters(2));
    let pull = worker(&context, quick(), &endpoint);
    push.send("bad").expect("sent");
    job(&pull).reject("no such article").expect("rejected");
    all_settled(&push);
    push.send("never done").expect("sent");
    for deliveries in 0..3 {
        let job = job(&pull);
        assert_eq!(job.deliveries(), deliveries);
        job.retry_in(Duration::ZERO).expect("given back");
    }
    all_settled(&push);
    let dead = push.dead_letters();
    let [rejected, given_up] = &dead[..] else {
        panic!("{dead:?}");
    };
    assert_eq!((&rejected.message, rejected.deliveries), (&"bad".into(), 1));
    assert_eq!(
        rejected.reason,
        DeadReason::Rejected("no such article".into())
    );
    assert_eq!(given_up.message, "never done");
    assert_eq!((given_up.deliveries, given_up.id.number), (3, 2));
    assert_eq!(given_up.reason, DeadReason::DeliveryLimit);
    assert!(push.dead_letters().is_empty(), "they have been taken");
    for number in 0..5 {
        push.send(number.to_string()).expect("sent");
        job(&pull).reject("").expect("rejected");
    }
    all_settled(&push);
    let stats = push.stats().delivery;
    assert_eq!((stats.dead, stats.dead_dropped), (7, 3));
    let kept: Vec<_> = push
        .dead_letters()
        .iter()
        .map(|dead| dead.message.clone())
        .collect();
    assert_eq!(kept, ["3", "4"]);
}

/// A worker announces its limit. What is larger dies, however often such a worker comes; and what nobody takes now is refused by `send`.
#[test]
fn what_no_worker_takes_is_a_dead_letter() {
    let context = Context::new();
    let (push, endpoint) = push(&context, quick());
    push.send(vec![0; 2000]).expect("nobody has said anything");
    push.send("small").expect("sent");
    let pull = Pull::with_options(&context, options(quick()).max_message_size(1000));
    let pull = pull.expect("a PULL");
    pull.connect(&*endpoint).expect("connected");
    let small = job(&pull);
    assert_eq!(*small.message(), "small");
    small.settle().expect("settled");
    all_settled(&push);
    let dead = push.dead_letters();
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (dead[0].message.size(), &dead[0].reason),
        (2000, &DeadReason::TooLarge)
    );
    let error = push.send(vec![0; 2000]).expect_err("too large");
    assert!(matches!(error.kind(), SendErrorKind::TooLarge { .. }));
}

/// A worker that hangs up over a message and never says why gets it as often as the limit says, and alone in the end: the others come through.
#[test]
fn what_breaks_connections_dies_alone() {
    let context = Context::new();
    let delivery = quick().grace(Duration::ZERO).limit(6);
    let (push, endpoint) = push(&context, delivery);
    for number in 0..4 {
        let len = if number == 1 { 5000 } else { 10 };
        push.send(vec![number; len]).expect("sent");
    }
    let mut taken = Vec::new();
    let mut broken = 0;
    while taken.len() < 3 {
        let mut peer = RawPeer::connect(&endpoint);
        hello(&mut peer, "PULL", 16);
        let mut tag = 0;
        while taken.len() < 3 {
            let (flags, body) = peer.read_frame();
            if flags & raw::COMMAND != 0 {
                continue;
            }
            if body.len() > 1000 {
                broken += 1;
                break;
            }
            taken.push(body[0]);
            peer.write(&command("SETTLE", &[0, tag, 1]));
            tag += 1;
        }
    }
    all_settled_but_dead(&push, 1);
    taken.sort_unstable();
    assert_eq!(taken, [0, 2, 3]);
    assert!((1..=6).contains(&broken), "{broken}");
    let reason = DeadReason::DeliveryLimit;
    assert_eq!(push.dead_letters()[0].reason, reason);
}

/// Goes on hanging up over what is left until that is dead.
fn all_settled_but_dead(push: &Push, dead: u64) {
    let endpoint = push.last_endpoint().expect("bound").to_string();
    until("the last one is dead", || {
        if push.stats().delivery.dead == dead {
            return Some(());
        }
        let mut peer = RawPeer::connect(&endpoint);
        hello(&mut peer, "PULL", 16);
        if push.stats().delivery.unsettled > 0 {
            while peer.read_frame().0 & raw::COMMAND != 0 {}
        }
        None
    });
}

/// Shakes hands as a peer that knows acknowledged delivery.
fn hello(peer: &mut RawPeer, socket_type: &str, window: u8) {
    let mut value = vec![1];
    value.extend_from_slice(&[window; 16]);
    value.push(window);
    say_hello(peer, socket_type, &value);
}

fn say_hello(peer: &mut RawPeer, socket_type: &str, value: &[u8]) {
    let list = [
        property("Socket-Type", socket_type.as_bytes()),
        property("Delivery", value),
    ];
    peer.write(&greeting(1, "NULL"));
    peer.write(&command("READY", &list.concat()));
    peer.read(64);
    let (_, ready) = peer.read_frame();
    assert!(
        ready.windows(8).any(|name| name == b"Delivery"),
        "it offers it"
    );
}

#[test]
fn hostile_workers_lose_their_connection_and_nothing_else() {
    let malformed = DeliveryError::Malformed { command: "SETTLE" };
    let too_many = [&[0][..], &[1; 2 * 65]].concat();
    let cases: [(&str, &[u8], DeliveryError); 12] = [
        (
            "SETTLE",
            b"\x03\x01",
            DeliveryError::Unasked { command: "SETTLE" },
        ),
        ("SETTLE", b"\x03\x07", DeliveryError::NeverSent { tag: 7 }),
        (
            "REVOKE",
            b"\0\x01",
            DeliveryError::WrongSide { command: "REVOKE" },
        ),
        ("SETTLE", b"", malformed),
        ("SETTLE", b"\x09\0", malformed),
        ("SETTLE", b"\0\0\xff", malformed),
        ("SETTLE", b"\0\x02\x01", DeliveryError::NeverSent { tag: 2 }),
        ("SETTLE", b"\x01\x07\0", DeliveryError::NeverSent { tag: 7 }),
        (
            "SETTLE",
            b"\x02\x07why",
            DeliveryError::NeverSent { tag: 7 },
        ),
        (
            "SETTLE",
            b"\0\0\x01\0\x01",
            DeliveryError::Repeated { tag: 1 },
        ),
        (
            "SETTLE",
            &too_many,
            DeliveryError::TooManyRanges { limit: 64 },
        ),
        (
            "RUN",
            b"\0\x01\x01\0",
            DeliveryError::WrongSide { command: "RUN" },
        ),
    ];
    let context = Context::new();
    for (name, data, expected) in cases {
        let (push, endpoint) = push(&context, quick());
        let monitor = push.monitor();
        for number in 0..2 {
            push.send(number.to_string()).expect("sent");
        }
        let mut peer = RawPeer::connect(&endpoint);
        hello(&mut peer, "PULL", 2);
        for _ in 0..3 {
            peer.read_frame();
        }
        if matches!(expected, DeliveryError::Repeated { .. }) {
            peer.write(&command("SETTLE", b"\0\x01\x01"));
        }
        peer.write(&command(name, data));
        let cause = DisconnectCause::Protocol(ProtocolError::Delivery(expected));
        let told = wait_for_end(&monitor);
        match expected {
            // Of the range the part before is settled.
            DeliveryError::Repeated { .. } => assert!(
                matches!(
                    told,
                    DisconnectCause::Protocol(ProtocolError::Delivery(
                        DeliveryError::Repeated { .. }
                    ))
                ),
                "{told:?}"
            ),
            _ => assert_eq!(told, cause),
        }
        peer.expect_closed();
        // What is left goes to a worker that means well.
        let pull = worker(&context, quick(), &endpoint);
        while push.stats().delivery.unsettled > 0 {
            if let Ok(job) = pull.recv_job_timeout(GLANCE) {
                let _ = job.settle();
            }
        }
        assert_eq!(push.stats().delivery.settled, 2);
    }
}

#[test]
fn hostile_senders_lose_their_connection_and_nothing_else() {
    let run = |tag: u8| command("RUN", &[tag, 1, 1, 0]);
    let message = frame(0, b"message");
    let malformed = DeliveryError::Malformed { command: "RUN" };
    let beyond = DeliveryError::OutOfWindow { window: 4 };
    let cases = [
        (message.clone(), DeliveryError::Unnumbered),
        (run(1), malformed),
        (command("RUN", b""), malformed),
        (command("RUN", b"\0\x01\0\0"), malformed),
        (
            [run(0), run(0)].concat(),
            DeliveryError::Repeated { tag: 0 },
        ),
        ([run(0), run(4)].concat(), beyond),
        ([run(0), message.repeat(5)].concat(), beyond),
        ([run(0), command("REVOKE", b"\x04\x01")].concat(), beyond),
        (
            command("REVOKE", b"\0\0"),
            DeliveryError::Malformed { command: "REVOKE" },
        ),
        (
            command("SETTLE", b"\0\0\x01"),
            DeliveryError::WrongSide { command: "SETTLE" },
        ),
    ];
    let context = Context::new();
    let pull = Pull::with_options(&context, options(quick().window(4))).expect("a PULL");
    let endpoint = pull.bind(ANY_PORT).expect("bound").to_string();
    let monitor = pull.monitor();
    for (bytes, expected) in cases {
        let mut peer = RawPeer::connect(&endpoint);
        hello(&mut peer, "PUSH", 0);
        peer.pour(&bytes);
        let cause = DisconnectCause::Protocol(ProtocolError::Delivery(expected));
        assert_eq!(wait_for_end(&monitor), cause);
        peer.expect_closed();
    }
    let push = Push::with_options(&context, options(quick())).expect("a PUSH");
    push.connect(&endpoint).expect("connected");
    push.send("well meant").expect("sent");
    let job = job(&pull);
    assert_eq!(*job.message(), "well meant");
    job.settle().expect("settled");
    all_settled(&push);
}

#[test]
fn receipts_tell_what_has_become_of_messages() {
    let context = Context::new();
    let (push, endpoint) = push(&context, quick());
    let [done, bad, held] = ["done", "bad", "held"].map(|text| push.send_later(text));
    let done = done.expect("sent");
    let (bad, held) = (bad.expect("sent"), held.expect("sent"));
    assert_eq!(done.try_settled(), Err(ReceiptError::WouldBlock));
    assert_eq!(done.settled_timeout(GLANCE), Err(ReceiptError::TimedOut));
    let pull = worker(&context, quick(), &endpoint);
    let kept = thread::scope(|scope| {
        scope
            .spawn(|| {
                let first = job(&pull);
                assert_eq!(first.id(), done.id());
                first.settle().expect("settled");
                job(&pull).reject("broken").expect("rejected");
                job(&pull)
            })
            .join()
            .expect("no panic")
    });
    assert_eq!(done.settled(), Ok(Settled::Done));
    assert_eq!(done.settled(), Ok(Settled::Done), "as often as one asks");
    let dead = Settled::Dead(DeadReason::Rejected("broken".into()));
    assert_eq!(bad.settled_timeout(DEADLINE), Ok(dead));
    assert_eq!(held.try_settled(), Err(ReceiptError::WouldBlock));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| held.settled());
        push.shutdown();
        assert_eq!(waiting.join().expect("no panic"), Err(ReceiptError::Closed));
    });
    assert_eq!(done.try_settled(), Ok(Settled::Done), "that is still known");
    kept.settle().expect("while the sender closes");
    drop(push);
    let plain = Push::new(&context).expect("a PUSH");
    let other = Pull::new(&context).expect("a PULL");
    plain
        .connect(other.bind(ANY_PORT).expect("bound"))
        .expect("connected");
    let receipt = plain.send_later("plain").expect("sent");
    assert_eq!(receipt.settled(), Ok(Settled::Unacknowledged));
    assert_eq!(other.recv_timeout(DEADLINE).expect("a message"), "plain");
}

/// The window bounds what a worker that never settles gets, and the mark what is held for it.
#[test]
fn a_worker_that_never_settles_holds_the_sender_back() {
    let context = Context::new();
    let bounded = options(quick()).send_hwm(10);
    let push = Push::with_options(&context, bounded).expect("a PUSH");
    let endpoint = push.bind(ANY_PORT).expect("bound").to_string();
    let mut peer = RawPeer::connect(&endpoint);
    hello(&mut peer, "PULL", 4);
    for number in 0..10 {
        push.send(number.to_string()).expect("sent");
    }
    let error = push.try_send("one more").expect_err("the mark");
    assert_eq!(error.kind(), SendErrorKind::WouldBlock);
    assert_eq!(error.into_message(), "one more");
    assert_eq!(peer.read_frame().1, b"\x03RUN\0\x01\x01\0");
    for number in 0..4 {
        assert_eq!(peer.read_frame().1, number.to_string().as_bytes());
    }
    peer.write(&command("SETTLE", b"\0\0\x02"));
    for number in 4..6 {
        assert_eq!(peer.read_frame().1, number.to_string().as_bytes());
    }
    push.send_timeout("one more", DEADLINE)
        .expect("there is room");
    assert_eq!(push.stats().delivery.unsettled, 9);
    let left = push.close(GLANCE);
    assert_eq!(left.map_err(|error: CloseError| error.unsent()), Err(9));
}

#[test]
fn peers_without_it_get_what_they_always_got() {
    let context = Context::new();
    let push = Push::with_options(&context, options(quick())).expect("a PUSH");
    let monitor = push.monitor();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    push.connect(format!("tcp://{address}")).expect("connected");
    let mut peer = RawPeer::accept(&listener);
    peer.shake_hands(1, "PULL");
    push.send("plain").expect("sent");
    push.send("and plain").expect("sent");
    assert_eq!(peer.read_frame(), (0, b"plain".to_vec()));
    assert_eq!(peer.read_frame(), (0, b"and plain".to_vec()));
    all_settled(&push);
    assert_eq!(push.stats().delivery.settled, 0, "nobody has said so");
    until("the monitor is told", || {
        match monitor.recv_timeout(DEADLINE) {
            Ok(Event::Unacknowledged { .. }) => Some(()),
            Ok(_) => None,
            Err(error) => panic!("{error}"),
        }
    });
    let pull = Pull::with_options(&context, options(quick())).expect("a PULL");
    let endpoint = pull.bind(ANY_PORT).expect("bound").to_string();
    let mut peer = RawPeer::connect(&endpoint);
    peer.shake_hands(1, "PUSH");
    peer.write(&[frame(0, b"plain"), frame(MORE, b"again"), frame(0, b"")].concat());
    // What a peer says without having agreed means nothing.
    peer.write(&command("RUN", b""));
    let plain = job(&pull);
    assert_eq!((text(&plain), plain.id()), ("plain".into(), None));
    assert_eq!(plain.reject("why not"), Err(SettleError::Unacknowledged));
    let again = job(&pull);
    assert_eq!(*again.message(), ["again", ""]);
    again.settle().expect("nothing to say");
}

#[test]
fn within_the_process_nothing_is_settled() {
    let context = Context::new();
    let push = Push::with_options(&context, options(quick())).expect("a PUSH");
    push.bind("inproc://jobs").expect("bound");
    let pull = worker(&context, quick(), "inproc://jobs");
    push.send("plain").expect("sent");
    let plain = job(&pull);
    assert_eq!((text(&plain), plain.id()), ("plain".into(), None));
    all_settled(&push);
    let strict = worker(&context, quick().required(), "inproc://jobs");
    push.send("to the other").expect("sent");
    assert_eq!(text(&job(&pull)), "to the other");
    let none = strict.try_recv_job().expect_err("refused");
    assert_eq!(none, RecvError::WouldBlock);
}

/// Where peers show who they are, the id of another one's stream is of no use.
#[test]
fn a_stream_goes_with_its_user() {
    let context = Context::new();
    let users = Allow::new().user("ann", "1").user("bob", "2");
    let options = options(quick()).plain_server(true).allow(users);
    let pull = Pull::with_options(&context, options).expect("a PULL");
    let endpoint = pull.bind(ANY_PORT).expect("bound").to_string();
    let send = |credentials: &[u8], deliveries: u8| {
        let mut peer = RawPeer::connect(&endpoint);
        peer.write(&greeting(1, "PLAIN"));
        peer.write(&command("HELLO", credentials));
        let properties = [
            property("Socket-Type", b"PUSH"),
            property("Delivery", b"\x01sixteen bytes id\0"),
        ];
        peer.write(&command("INITIATE", &properties.concat()));
        // The message of the number 7.
        peer.write(&command("RUN", &[0, 7, 1, deliveries]));
        peer.write(&frame(0, b"order"));
        peer.read(64);
        assert!(peer.read_frame().1.ends_with(b"WELCOME"));
        assert!(peer.read_frame().1.starts_with(b"\x05READY"));
        peer
    };
    let settled = |peer: &mut RawPeer| assert!(peer.read_frame().1.starts_with(b"\x06SETTLE"));
    let (ann, bob) = (b"\x03ann\x011", b"\x03bob\x012");
    // Bob has sent his before, too, as he says.
    for (user, deliveries) in [(ann, 0), (bob, 1)] {
        let mut peer = send(user, deliveries);
        assert_eq!(pull.recv_timeout(DEADLINE).expect("an order"), "order");
        settled(&mut peer);
    }
    for user in [ann, bob] {
        let mut peer = send(user, 1);
        thread::scope(|scope| {
            let told = scope.spawn(|| settled(&mut peer));
            until("settled", || {
                assert!(pull.recv_timeout(GLANCE).is_err(), "it has been received");
                told.is_finished().then_some(())
            });
        });
    }
}

#[test]
fn peers_without_it_are_refused_where_it_is_required() {
    let context = Context::new();
    let (push, push_at) = push(&context, quick().required());
    let pull = Pull::with_options(&context, options(quick().required())).expect("a PULL");
    let pull_at = pull.bind(ANY_PORT).expect("bound").to_string();
    for (monitor, endpoint, theirs) in [
        (push.monitor(), &push_at, "PULL"),
        (pull.monitor(), &pull_at, "PUSH"),
    ] {
        let mut peer = RawPeer::connect(endpoint);
        peer.shake_hands(1, theirs);
        let cause = DisconnectCause::Refused(PeerRefusal::NoDelivery);
        assert_eq!(wait_for_end(&monitor), cause);
        peer.expect_closed();
        let mut peer = RawPeer::connect(endpoint);
        say_hello(&mut peer, theirs, b"\x01too short");
        let cause = DisconnectCause::Refused(PeerRefusal::MalformedDelivery);
        assert_eq!(wait_for_end(&monitor), cause);
    }
    pull.connect(&*push_at).expect("connected");
    push.send("to one who knows it").expect("sent");
    job(&pull).settle().expect("settled");
    all_settled(&push);
}

#[test]
fn nothing_is_conflated_that_is_to_be_settled() {
    let context = Context::new();
    for conflating in [
        Push::with_options(&context, options(quick()).conflate(true)).err(),
        Pull::with_options(&context, options(quick()).conflate(true)).err(),
    ] {
        let Some(SocketError::Option(error)) = conflating else {
            panic!("{conflating:?}");
        };
        assert_eq!(error.option(), "conflate");
    }
}

/// With cuts that are shorter than the grace, each message is received once.
#[test]
fn a_link_that_is_cut_loses_nothing_and_repeats_nothing() {
    const MESSAGES: u32 = 3_000;
    let context = Context::new();
    let patient = quick().grace(DEADLINE).limit(1_000_000).window(64);
    let (push, endpoint) = push(&context, patient.clone());
    let relay = Relay::to(&endpoint);
    let pull = worker(&context, patient, &relay.address);
    let sending = thread::spawn(move || {
        for number in 0..MESSAGES {
            push.send(number.to_be_bytes()).expect("sent");
        }
        all_settled(&push);
        push
    });
    let mut seen = HashMap::new();
    let mut cuts = 0;
    let end = Instant::now() + DEADLINE;
    while seen.len() < MESSAGES as usize {
        assert!(Instant::now() < end, "{} of {MESSAGES}", seen.len());
        let Ok(job) = pull.recv_job_timeout(GLANCE) else {
            continue;
        };
        let number: [u8; 4] = job
            .message()
            .as_bytes()
            .expect("a body")
            .try_into()
            .expect("four");
        *seen.entry(number).or_insert(0) += 1;
        if seen.len() % 300 == 0 {
            cuts += relay.cut();
        }
        match job.settle() {
            Ok(()) | Err(SettleError::Lost) => {}
            Err(error) => panic!("{error}"),
        }
    }
    // What was settled while there was no connection is settled with the next one.
    until("the sender knows", || {
        if let Ok(job) = pull.recv_job_timeout(GLANCE) {
            panic!("again: {job:?}");
        }
        sending.is_finished().then_some(())
    });
    let push = sending.join().expect("no panic");
    assert!(cuts > 4, "{cuts}");
    assert!(seen.values().all(|&times| times == 1), "some came twice");
    assert_eq!(push.stats().delivery.settled, u64::from(MESSAGES));
}
