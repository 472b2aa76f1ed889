//! Tests of the side that receives.

use super::streams::MAX_STREAMS;
use super::*;
use crate::zmtp::Principal;
use crate::zmtp::delivery::wire::put_run;

const TIMEOUT: Duration = Duration::from_secs(30);

fn receiver(window: u64) -> (Receiver, Instant) {
    let mut receiver = Receiver::new(window, Some(TIMEOUT));
    receiver.opened(0, [1; 16].into());
    (receiver, Instant::now())
}

/// Tells of a RUN.
fn run(
    receiver: &mut Receiver,
    connection: usize,
    tag: u64,
    number: u64,
    deliveries: u64,
) -> Result<(), DeliveryError> {
    let mut frame = Vec::new();
    put_run(
        &mut frame,
        Run {
            tag,
            number,
            stride: 1,
            deliveries,
        },
    );
    // Header, and the name with its length.
    receiver.run(connection, &frame[2 + 4..])
}

fn take(receiver: &mut Receiver, connection: usize) -> Job {
    match receiver.take(connection) {
        Some(Taken::New(job)) => job,
        other => panic!("{other:?}"),
    }
}

fn said(receiver: &mut Receiver, connection: usize, now: Instant) -> String {
    let mut out = Vec::new();
    receiver.report(connection, now, &mut out);
    out.escape_ascii().to_string()
}

#[test]
fn messages_have_the_numbers_that_runs_give_them() {
    let (mut receiver, now) = receiver(40);
    run(&mut receiver, 0, 0, 5, 0).expect("a run");
    run(&mut receiver, 0, 2, 100, 1).expect("a run");
    let jobs: Vec<_> = (0..4).map(|_| take(&mut receiver, 0)).collect();
    let numbers: Vec<_> = jobs
        .iter()
        .map(|job| (job.number, job.deliveries))
        .collect();
    assert_eq!(numbers, [(5, 0), (6, 0), (100, 1), (101, 1)]);
    for job in [jobs[3], jobs[0], jobs[1]] {
        receiver.done(job);
    }
    assert!(receiver.is_due(0, 1, now), "nothing has been said yet");
    assert_eq!(
        said(&mut receiver, 0, now),
        r"\x04\x0c\x06SETTLE\x00\x00\x02\x01\x01"
    );
    assert_eq!(said(&mut receiver, 0, now), "");
    receiver.done(jobs[2]);
    assert!(!receiver.is_due(0, 1, now));
    assert!(receiver.is_due(0, 0, now), "nothing more is there");
    let due = now + REPORT_AFTER;
    assert_eq!(receiver.deadline(), Some(due));
    assert!(receiver.is_due(0, 1, due));
    receiver.handle_timeout(due);
    assert_eq!((receiver.hurried(), receiver.deadline()), (Some(0), None));
}

#[test]
fn what_the_sender_wants_back_nobody_gets() {
    let (mut receiver, now) = receiver(4);
    let revoke = |receiver: &mut Receiver, tags: &[u64]| {
        let mut frame = Vec::new();
        wire::put_revoke(&mut frame, tags);
        receiver.revoke(0, &frame[2 + 7..])
    };
    run(&mut receiver, 0, 0, 1, 0).expect("a run");
    let first = take(&mut receiver, 0);
    revoke(&mut receiver, &[0, 1, 3]).expect("within the window");
    let beyond = Err(DeliveryError::OutOfWindow { window: 4 });
    assert_eq!(revoke(&mut receiver, &[4]), beyond);
    assert!(receiver.is_next_revoked(0));
    assert_eq!(receiver.take(0), Some(Taken::Known));
    assert!(!receiver.is_next_revoked(0));
    let third = take(&mut receiver, 0);
    assert_eq!(receiver.take(0), Some(Taken::Known));
    assert!(receiver.is_due(0, 1, now));
    assert_eq!(
        said(&mut receiver, 0, now),
        r"\x04\t\x06SETTLE\x03\x01\x04\t\x06SETTLE\x03\x03"
    );
    // The application has had them.
    receiver.done(first);
    receiver.done(third);
    assert_eq!(
        said(&mut receiver, 0, now),
        r"\x04\x0c\x06SETTLE\x00\x00\x01\x01\x01"
    );
    let malformed = DeliveryError::Malformed { command: "REVOKE" };
    assert_eq!(receiver.revoke(0, b""), Err(malformed));
    assert_eq!(receiver.revoke(9, b"\0\x01"), Err(malformed));
}

#[test]
fn what_does_not_fit_ends_the_connection() {
    let (mut receiver, now) = receiver(2);
    assert_eq!(receiver.arrived(0, 1), Err(DeliveryError::Unnumbered));
    let malformed = Err(DeliveryError::Malformed { command: "RUN" });
    assert_eq!(
        run(&mut receiver, 0, 1, 1, 0),
        malformed,
        "not from the first on"
    );
    assert_eq!(run(&mut receiver, 0, 0, u64::MAX - 1, 0), malformed);
    assert_eq!(
        run(&mut receiver, 9, 0, 1, 0),
        malformed,
        "no such connection"
    );
    run(&mut receiver, 0, 0, 1, 0).expect("a run");
    let repeated = Err(DeliveryError::Repeated { tag: 0 });
    assert_eq!(run(&mut receiver, 0, 0, 1, 0), repeated);
    let beyond = Err(DeliveryError::OutOfWindow { window: 2 });
    assert_eq!(run(&mut receiver, 0, 2, 1, 0), beyond, "premature");
    assert_eq!(receiver.arrived(0, 2), Ok(()));
    assert_eq!(receiver.arrived(0, 3), beyond);
    // What is settled gives credit back when that is said.
    let job = take(&mut receiver, 0);
    receiver.done(job);
    assert_eq!(receiver.arrived(0, 2), beyond);
    said(&mut receiver, 0, now);
    assert_eq!(receiver.arrived(0, 2), Ok(()));
    assert_eq!(
        run(&mut receiver, 0, 0, 1, 0),
        repeated,
        "it has been taken"
    );
}

#[test]
fn runs_without_end_are_cut_off() {
    let (mut receiver, _) = receiver(100);
    let mut told = 0;
    let error = loop {
        match run(&mut receiver, 0, told, 1, 0) {
            Ok(()) => told += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, DeliveryError::OutOfWindow { window: 100 });
    assert_eq!(told, 100);
}

#[test]
fn what_comes_again_is_known() {
    let (mut receiver, now) = receiver(10);
    run(&mut receiver, 0, 0, 1, 0).expect("a run");
    let jobs: Vec<_> = (0..4).map(|_| take(&mut receiver, 0)).collect();
    receiver.done(jobs[0]);
    let held = receiver.hold(jobs[1], now);
    let bad = receiver.hold(jobs[2], now);
    let late = receiver.hold(jobs[3], now);
    receiver.closed(0);
    let lost = Err(Unsettled::Lost);
    let reason = Settling::Rejected("bad".into());
    assert_eq!(receiver.settle(bad, &reason), lost);
    // It comes again over another connection, and so do two that the receiver has not seen.
    receiver.opened(1, [1; 16].into());
    run(&mut receiver, 1, 0, 1, 1).expect("a run");
    assert_eq!(receiver.take(1), Some(Taken::Known));
    assert_eq!(receiver.take(1), Some(Taken::Known));
    assert_eq!(receiver.take(1), Some(Taken::Known));
    assert_eq!(
        said(&mut receiver, 1, now),
        r"\x04\x0c\x06SETTLE\x02\x02bad\x04\n\x06SETTLE\x00\x00\x01"
    );
    assert_eq!(receiver.settle(held, &Settling::Done), Ok(1));
    assert_eq!(said(&mut receiver, 1, now), r"\x04\n\x06SETTLE\x00\x01\x01");
    // What was given back comes again as new, and so does another stream's.
    assert_eq!(receiver.settle(late, &Settling::Retry(None)), lost);
    assert_eq!(take(&mut receiver, 1).number, 4);
    receiver.opened(2, [2; 16].into());
    run(&mut receiver, 2, 0, 1, 1).expect("a run");
    assert_eq!(take(&mut receiver, 2).number, 1);
}

#[test]
fn a_job_that_takes_too_long_goes_back() {
    let (mut receiver, now) = receiver(10);
    run(&mut receiver, 0, 0, 1, 0).expect("a run");
    let (first, second) = (take(&mut receiver, 0), take(&mut receiver, 0));
    let first = receiver.hold(first, now);
    let second = receiver.hold(second, now);
    assert_eq!(receiver.deadline(), Some(now + TIMEOUT));
    let later = now + TIMEOUT / 2;
    assert!(receiver.extend(second, later));
    receiver.handle_timeout(now + TIMEOUT);
    assert_eq!(receiver.hurried(), Some(0));
    assert_eq!(said(&mut receiver, 0, now), r"\x04\n\x06SETTLE\x01\x00\x00");
    assert!(!receiver.extend(first, now));
    assert_eq!(
        receiver.settle(first, &Settling::Done),
        Err(Unsettled::TimedOut)
    );
    assert_eq!(receiver.deadline(), Some(later + TIMEOUT));
    assert_eq!(receiver.settle(second, &Settling::Done), Ok(0));
    receiver.handle_timeout(later + TIMEOUT);
    assert_eq!(receiver.deadline(), None);
}

#[test]
fn what_is_watched_does_not_pile_up() {
    let (mut receiver, now) = receiver(4);
    run(&mut receiver, 0, 0, 1, 0).expect("a run");
    for _ in 0..1000 {
        let job = take(&mut receiver, 0);
        let key = receiver.hold(job, now);
        receiver.settle(key, &Settling::Done).expect("settled");
        said(&mut receiver, 0, now);
    }
    assert_eq!(receiver.deadlines.len(), 1);
    assert_eq!(receiver.streams.settled_len(), 16);
}

/// So many that those which came before are forgotten.
fn many_come_and_go(receiver: &mut Receiver) {
    for stream in 0..1000_u64 {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&stream.to_le_bytes());
        receiver.opened(1, id.into());
        receiver.closed(1);
    }
}

#[test]
fn streams_without_a_connection_are_forgotten_in_the_end() {
    let (mut receiver, _) = receiver(4);
    many_come_and_go(&mut receiver);
    assert_eq!(receiver.streams.len(), MAX_STREAMS + 1);
    assert!(receiver.is_acknowledged(0));
}

#[test]
fn a_stream_whose_messages_are_worked_on_is_not_forgotten() {
    let (mut receiver, now) = receiver(4);
    receiver.opened(1, [2; 16].into());
    run(&mut receiver, 1, 0, 7, 0).expect("a run");
    let job = take(&mut receiver, 1);
    let held = receiver.hold(job, now);
    receiver.closed(1);
    many_come_and_go(&mut receiver);
    assert_eq!(receiver.streams.len(), MAX_STREAMS + 1);
    receiver.opened(1, [2; 16].into());
    run(&mut receiver, 1, 0, 7, 1).expect("a run");
    assert_eq!(receiver.take(1), Some(Taken::Known));
    assert_eq!(receiver.settle(held, &Settling::Done), Ok(1));
}

#[test]
fn a_stream_of_another_user_is_another_one() {
    let (mut receiver, now) = receiver(4);
    let party = |user: Option<&str>| Party {
        id: [2; 16],
        principal: user.map(|user| Principal::User(user.into())),
    };
    let mut held = Vec::new();
    for user in [Some("ann"), Some("bob"), None] {
        receiver.opened(1, party(user));
        run(&mut receiver, 1, 0, 7, 1).expect("a run");
        let settled = take(&mut receiver, 1);
        receiver.done(settled);
        let job = take(&mut receiver, 1);
        assert_eq!((job.stream, job.number), ([2; 16], 8));
        held.push(receiver.hold(job, now));
        receiver.closed(1);
    }
    // Each finds again what is its own.
    for (user, held) in [Some("ann"), Some("bob"), None].into_iter().zip(held) {
        receiver.opened(1, party(user));
        run(&mut receiver, 1, 0, 7, 1).expect("a run");
        assert_eq!(receiver.take(1), Some(Taken::Known));
        assert_eq!(receiver.take(1), Some(Taken::Known));
        assert_eq!(receiver.settle(held, &Settling::Done), Ok(1));
        receiver.closed(1);
    }
}

#[test]
fn the_clock_is_looked_at_where_the_time_is_not_known() {
    for (timeout, looks) in [(COARSE, 1), (COARSE / 2, 2)] {
        let mut receiver = Receiver::new(100, Some(timeout));
        receiver.opened(0, [1; 16].into());
        let now = Instant::now();
        run(&mut receiver, 0, 0, 1, 0).expect("a run");
        let looked = std::cell::Cell::new(0);
        let clock = || {
            looked.set(looked.get() + 1);
            now
        };
        let first = take(&mut receiver, 0);
        let first = receiver.hold_by(first, clock);
        said(&mut receiver, 0, now);
        receiver.settle(first, &Settling::Done).expect("in time");
        assert!(!receiver.is_due(0, 50, now), "it waits for others");
        let second = take(&mut receiver, 0);
        let second = receiver.hold_by(second, clock);
        assert_eq!(looked.get(), looks);
        receiver.handle_timeout(now + timeout - Duration::from_millis(1));
        assert!(receiver.extend(second, now), "it has its time");
        receiver.handle_timeout(now + timeout + 2 * REPORT_AFTER);
        let settled = receiver.settle(second, &Settling::Done);
        assert_eq!(settled, Err(Unsettled::TimedOut));
    }
    let mut receiver = Receiver::new(100, None);
    receiver.opened(0, [1; 16].into());
    run(&mut receiver, 0, 0, 1, 0).expect("a run");
    let job = take(&mut receiver, 0);
    receiver.hold_by(job, || panic!("nobody asks how late it is"));
}

#[test]
fn numbers_that_have_come_to_their_end_do_no_harm() {
    let (mut receiver, now) = receiver(2);
    // Beyond what was looked at when the run came, all messages have the last number that there is.
    run(&mut receiver, 0, 0, u64::MAX - 4, 0).expect("a run");
    let mut last = 0;
    for _ in 0..40 {
        let job = take(&mut receiver, 0);
        last = job.number;
        receiver.done(job);
        said(&mut receiver, 0, now);
    }
    assert_eq!((last, receiver.streams.settled_len()), (u64::MAX, 8));
}

#[test]
fn a_job_has_all_its_time_though_nobody_has_looked_at_the_clock_for_long() {
    // The process is stopped meanwhile, and goes on with the next job.
    for stopped in [TIMEOUT / 2, TIMEOUT * 2] {
        let (mut receiver, now) = receiver(100);
        run(&mut receiver, 0, 0, 1, 0).expect("a run");
        said(&mut receiver, 0, now);
        let before = take(&mut receiver, 0);
        let before = receiver.hold(before, now);
        let done = take(&mut receiver, 0);
        receiver.done(done);
        assert!(!receiver.is_due(0, 50, now), "it waits for others");
        let then = now + stopped;
        let late = take(&mut receiver, 0);
        let late = receiver.hold_by(late, || then);
        receiver.handle_timeout(then);
        receiver.handle_timeout(then + TIMEOUT - Duration::from_millis(1));
        assert!(!receiver.extend(before, then), "its time is over");
        assert!(receiver.extend(late, then), "it has been taken for less");
    }
}
