//! Tests of the side that sends.

use super::super::DeliveryError;
use super::super::wire;
use super::*;
use crate::zmtp::Principal;

const POLICY: Policy = Policy {
    grace: Duration::from_secs(1),
    backoff: (Duration::from_millis(100), Duration::from_secs(60)),
    limit: 4,
};

const PLAIN: Terms = Terms {
    expires: None,
    order: None,
};

fn until(at: Instant) -> Terms {
    Terms {
        expires: Some(at),
        ..PLAIN
    }
}

fn sender() -> (Sender<u32>, Instant) {
    (Sender::new(POLICY, 1), Instant::now())
}

fn receiver(number: u8, window: u64) -> Option<(Party, u64)> {
    Some(([number; 16].into(), window))
}

/// Sends all that can be sent: connection, payload and what was said before.
fn sent(sender: &mut Sender<u32>) -> Vec<(usize, u32, Option<Run>)> {
    let mut sent = Vec::new();
    while let Some(next) = sender.next(|_, _| Room::Free) {
        let payload = match sender.payload(next.key) {
            Some(Held::Whole(&payload)) => payload,
            other => panic!("{other:?}"),
        };
        sent.push((next.connection, payload, next.run));
        if next.plain {
            sender.handed_over(next.key);
        }
    }
    sent
}

fn payloads(sender: &mut Sender<u32>) -> Vec<u32> {
    let sent = sent(sender);
    sent.into_iter().map(|(_, payload, _)| payload).collect()
}

fn settle(
    sender: &mut Sender<u32>,
    connection: usize,
    now: Instant,
    put: impl FnOnce(&mut Vec<u8>),
) -> Result<(), DeliveryError> {
    let mut frame = Vec::new();
    put(&mut frame);
    // Header, and the name with its length.
    sender.settle(connection, &frame[2 + 7..], now)
}

fn fates(sender: &mut Sender<u32>) -> Vec<(u32, Fate)> {
    let finished = sender.finished();
    finished.map(|done| (whole(done.left), done.fate)).collect()
}

fn whole(left: Left<u32>) -> u32 {
    match left {
        Left::Whole(payload) => payload,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_steady_stream_says_one_run() {
    let (mut sender, now) = sender();
    sender.opened(0, receiver(1, 2));
    (0..4).for_each(|payload| {
        sender.offer(Content::Whole(payload), false, PLAIN);
    });
    let first = Run {
        tag: 0,
        number: 1,
        stride: 1,
        deliveries: 0,
    };
    assert_eq!(sent(&mut sender), [(0, 0, Some(first)), (0, 1, None)]);
    settle(&mut sender, 0, now, |out| wire::put_done(out, &[(0, 2)])).expect("settled");
    assert_eq!(sent(&mut sender), [(0, 2, None), (0, 3, None)]);
    assert_eq!(fates(&mut sender), [(0, Fate::Settled), (1, Fate::Settled)]);
    assert_eq!(sender.len(), 2);
}

#[test]
fn whoever_may_have_most_is_next() {
    let (mut sender, _) = sender();
    sender.opened(0, receiver(1, 1));
    sender.opened(3, receiver(2, 3));
    (0..5).for_each(|payload| {
        sender.offer(Content::Whole(payload), false, PLAIN);
    });
    let sent = sent(&mut sender);
    let to: Vec<usize> = sent.iter().map(|(connection, ..)| *connection).collect();
    assert_eq!(to, [3, 3, 0, 3]);
    assert_eq!(sender.len(), 5);
}

#[test]
fn who_has_the_id_of_another_worker_does_not_get_its_messages() {
    let (mut sender, now) = sender();
    let worker = |user: &str| {
        let principal = Some(Principal::User(user.into()));
        Some((
            Party {
                id: [1; 16],
                principal,
            },
            10,
        ))
    };
    sender.opened(0, worker("ann"));
    sender.offer(Content::Whole(0), false, PLAIN);
    assert_eq!(payloads(&mut sender), [0]);
    sender.closed(0, 0, now);
    sender.opened(1, worker("bob"));
    assert_eq!(payloads(&mut sender), [0; 0], "ann may be back");
    sender.opened(2, worker("ann"));
    let to: Vec<usize> = sent(&mut sender).iter().map(|(to, ..)| *to).collect();
    assert_eq!(to, [2]);
}

#[test]
fn what_a_lost_receiver_had_waits_for_it_and_then_goes_to_others() {
    let (mut sender, now) = sender();
    sender.opened(0, receiver(1, 10));
    (0..3).for_each(|payload| {
        sender.offer(Content::Whole(payload), false, PLAIN);
    });
    assert_eq!(payloads(&mut sender), [0, 1, 2]);
    sender.closed(0, 1, now);
    sender.opened(1, receiver(2, 10));
    assert_eq!(payloads(&mut sender), [0; 0]);
    assert_eq!(sender.deadline(), Some(now + POLICY.grace));
    // It comes back, and gets them again, first of all; and is gone again.
    sender.offer(Content::Whole(3), false, PLAIN);
    sender.opened(2, receiver(1, 10));
    let again = sent(&mut sender);
    let to: Vec<_> = again
        .iter()
        .map(|&(to, payload, _)| (to, payload))
        .collect();
    assert_eq!(to, [(2, 0), (2, 1), (2, 2), (1, 3)]);
    let deliveries: Vec<_> = again
        .iter()
        .map(|(.., run)| run.map(|run| run.deliveries))
        .collect();
    assert_eq!(deliveries, [Some(1), None, Some(0), Some(0)]);
    sender.closed(2, 0, now);
    sender.handle_timeout(now + POLICY.grace);
    assert_eq!(payloads(&mut sender), [0, 1, 2]);
    assert_eq!(sender.deadline(), None);
}

#[test]
fn a_retry_waits_and_the_last_one_is_dead() {
    let (mut sender, mut now) = sender();
    sender.opened(0, receiver(1, 10));
    sender.offer(Content::Whole(7), false, PLAIN);
    for tag in 0..3 {
        assert_eq!(payloads(&mut sender), [7]);
        settle(&mut sender, 0, now, |out| wire::put_retry(out, tag, None)).expect("settled");
        assert_eq!(payloads(&mut sender), [0; 0]);
        let due = sender.deadline().expect("a wait");
        let wait = due - now;
        let most = Duration::from_millis(100 << tag);
        assert!(wait >= most / 2 && wait <= most, "{wait:?}");
        now = due;
        sender.handle_timeout(now);
    }
    assert_eq!(payloads(&mut sender), [7]);
    settle(&mut sender, 0, now, |out| {
        wire::put_retry(out, 3, Some(5));
    })
    .expect("settled");
    assert_eq!(fates(&mut sender), [(7, Fate::Dead(DeadLine::Limit))]);
    assert_eq!(sender.len(), 0);
}

#[test]
fn a_rejected_message_is_dead_with_its_reason() {
    let (mut sender, now) = sender();
    sender.opened(0, receiver(1, 10));
    sender.offer(Content::Whole(7), false, PLAIN);
    assert_eq!(payloads(&mut sender), [7]);
    settle(&mut sender, 0, now, |out| wire::put_rejected(out, 0, "no")).expect("settled");
    let dead = Fate::Dead(DeadLine::Rejected("no".into()));
    assert_eq!(fates(&mut sender), [(7, dead)]);
}

#[test]
fn what_breaks_connections_goes_alone() {
    let (mut sender, now) = sender();
    for payload in 0..3 {
        sender.offer(Content::Whole(payload), false, PLAIN);
    }
    for _ in 0..3 {
        sender.opened(0, receiver(1, 10));
        assert_eq!(payloads(&mut sender), [0, 1, 2]);
        sender.closed(0, 0, now);
    }
    sender.opened(0, receiver(1, 10));
    assert_eq!(payloads(&mut sender), [0]);
    sender.closed(0, 0, now);
    // It was delivered four times, and the others three.
    assert_eq!(fates(&mut sender), [(0, Fate::Dead(DeadLine::Limit))]);
    sender.opened(0, receiver(1, 10));
    assert_eq!(payloads(&mut sender), [1]);
    settle(&mut sender, 0, now, |out| wire::put_done(out, &[(0, 1)])).expect("settled");
    assert_eq!(payloads(&mut sender), [2]);
}

#[test]
fn what_nobody_takes_is_dead() {
    let (mut sender, _) = sender();
    sender.offer(Content::Whole(1), false, PLAIN);
    assert!(sender.next(|_, _| Room::Refuses).is_none());
    assert_eq!(sender.len(), 1, "there is nobody yet");
    sender.opened(0, receiver(1, 10));
    assert!(sender.next(|_, _| Room::Refuses).is_none());
    assert_eq!(fates(&mut sender), [(1, Fate::Dead(DeadLine::TooLarge))]);
}

#[test]
fn a_plain_peer_comes_last_and_settles_nothing() {
    let (mut sender, now) = sender();
    sender.opened(0, None);
    sender.opened(1, receiver(1, 1));
    (0..3).for_each(|payload| {
        sender.offer(Content::Whole(payload), false, PLAIN);
    });
    let to: Vec<_> = sent(&mut sender).iter().map(|(to, ..)| *to).collect();
    assert_eq!(to, [1, 0, 0]);
    assert_eq!(
        fates(&mut sender),
        [(1, Fate::Unacknowledged), (2, Fate::Unacknowledged)]
    );
    let premature = settle(&mut sender, 0, now, |out| wire::put_done(out, &[(0, 1)]));
    assert_eq!(premature, Err(DeliveryError::NeverSent { tag: 0 }));
}

#[test]
fn what_was_never_sent_or_is_settled_cannot_be_settled() {
    let (mut sender, now) = sender();
    let never = |tag| Err(DeliveryError::NeverSent { tag });
    let again = |tag| Err(DeliveryError::Repeated { tag });
    sender.opened(0, receiver(1, 2));
    (0..3).for_each(|payload| {
        sender.offer(Content::Whole(payload), false, PLAIN);
    });
    let mut done = |ranges: &[(u64, u64)]| {
        sent(&mut sender);
        settle(&mut sender, 0, now, |out| wire::put_done(out, ranges))
    };
    assert_eq!(done(&[(2, 1)]), never(2));
    assert_eq!(done(&[(0, u64::MAX)]), never(2));
    assert_eq!(done(&[(1, 1)]), Ok(()));
    assert_eq!(done(&[(1, 1)]), again(1));
    assert_eq!(done(&[(0, 3)]), again(0));
    assert_eq!(done(&[(0, 1), (2, 1)]), Ok(()));
    let retry = settle(&mut sender, 0, now, |out| {
        wire::put_retry(out, 2, Some(u64::MAX - 1));
    });
    assert_eq!(retry, again(2));
    let rejected = settle(&mut sender, 0, now, |out| wire::put_rejected(out, 3, ""));
    assert_eq!(rejected, never(3));
    let unknown = settle(&mut sender, 9, now, |out| wire::put_rejected(out, 0, ""));
    assert_eq!(unknown, never(0));
    assert_eq!(sender.len(), 0);
}

#[test]
fn the_longest_delay_is_no_overflow() {
    let (mut sender, now) = sender();
    sender.opened(0, receiver(1, 2));
    sender.offer(Content::Whole(1), false, PLAIN);
    sent(&mut sender);
    settle(&mut sender, 0, now, |out| {
        wire::put_retry(out, 0, Some(u64::MAX - 1));
    })
    .expect("settled");
    assert!(sender.deadline() > Some(now));
}

/// In proportion to weights, and to a higher priority only when those before have no room; who has none yet comes behind all.
#[test]
fn shares_divide_messages() {
    let (mut sender, _) = sender();
    sender.set_weighs(true);
    for connection in 0..4 {
        sender.opened(connection, receiver(connection as u8, 12));
    }
    sender.set_share(0, 1, 1);
    sender.set_share(1, 0, 1);
    sender.set_share(2, 0, 3);
    let mut counts = |messages: u32| {
        (0..messages).for_each(|payload| {
            sender.offer(Content::Whole(payload), false, PLAIN);
        });
        let mut counts = [0; 4];
        for (connection, ..) in sent(&mut sender) {
            counts[connection] += 1;
        }
        counts
    };
    assert_eq!(counts(16), [0, 4, 12, 0]);
    assert_eq!(counts(9), [1, 8, 0, 0], "its window is full");
    assert_eq!(counts(12), [11, 0, 0, 1]);
}

const TTL: Duration = Duration::from_millis(100);

#[test]
fn what_has_had_its_time_is_dead_wherever_it_waits() {
    let (mut sender, now) = sender();
    sender.opened(0, receiver(1, 3));
    for payload in 0..3 {
        sender.offer(Content::Whole(payload), false, until(now + TTL));
    }
    assert_eq!(payloads(&mut sender), [0, 1, 2]);
    let hour = Some(3_600_000);
    settle(&mut sender, 0, now, |out| wire::put_retry(out, 0, hour)).expect("settled");
    settle(&mut sender, 0, now, |out| wire::put_done(out, &[(1, 1)])).expect("settled");
    sender.closed(0, 0, now);
    // 0 waits for its time, 2 for its worker, 3 for anybody.
    sender.offer(Content::Whole(3), false, until(now + TTL));
    sender.offer(Content::Whole(4), false, PLAIN);
    sender.expire(now);
    assert_eq!(fates(&mut sender), [(1, Fate::Settled)]);
    assert_eq!(sender.deadline(), Some(now + TTL));
    sender.expire(now + TTL);
    let expired = |payload| (payload, Fate::Dead(DeadLine::Expired));
    assert_eq!(fates(&mut sender), [expired(3), expired(0), expired(2)]);
    assert_eq!((sender.len(), sender.deadline()), (1, None));
    assert!(sender.revoked().is_empty(), "nobody has any");
}

#[test]
fn what_is_out_comes_back_or_is_settled() {
    let (mut sender, now) = sender();
    let later = now + TTL;
    sender.opened(0, receiver(1, 5));
    for payload in 0..5 {
        sender.offer(Content::Whole(payload), false, until(later));
    }
    sent(&mut sender);
    let unasked = Err(DeliveryError::Unasked { command: "SETTLE" });
    let early = settle(&mut sender, 0, now, |out| wire::put_revoked(out, 4));
    assert_eq!(early, unasked);
    assert_eq!(payloads(&mut sender), [4], "it goes out again");
    sender.expire(later);
    assert_eq!(sender.revoked(), [(0, vec![0, 1, 2, 3, 5])]);
    assert_eq!((sender.len(), sender.deadline()), (5, None));
    settle(&mut sender, 0, later, |out| wire::put_done(out, &[(0, 1)])).expect("settled");
    settle(&mut sender, 0, later, |out| wire::put_retry(out, 1, None)).expect("settled");
    settle(&mut sender, 0, later, |out| wire::put_revoked(out, 2)).expect("settled");
    let expired = |payload| (payload, Fate::Dead(DeadLine::Expired));
    assert_eq!(
        fates(&mut sender),
        [(0, Fate::Settled), expired(1), expired(2)]
    );
    sender.closed(0, 1, later);
    assert_eq!(fates(&mut sender), [expired(3), expired(4)]);
    assert_eq!(sender.len(), 0);
    let counts = sender.counts();
    assert_eq!((counts.settled, counts.dead), (1, 4));
}

/// However many are settled before their time, no more is kept of them than of those that are held.
#[test]
fn times_of_what_is_settled_are_forgotten() {
    let (mut sender, now) = sender();
    sender.opened(0, receiver(1, 2));
    sender.offer(Content::Whole(0), false, until(now + TTL));
    sent(&mut sender);
    for payload in 1..10_000 {
        sender.offer(Content::Whole(payload), false, until(now + TTL));
        sent(&mut sender);
        let tag = u64::from(payload);
        settle(&mut sender, 0, now, |out| wire::put_done(out, &[(tag, 1)])).expect("settled");
    }
    assert!(sender.expiry.len() < 100, "{}", sender.expiry.len());
    settle(&mut sender, 0, now, |out| wire::put_done(out, &[(0, 1)])).expect("settled");
    sender.expire(now);
    assert_eq!(sender.deadline(), None);
}

#[test]
fn of_each_order_one_message_is_out() {
    let (mut sender, now) = sender();
    let ordered = |order| Terms {
        order: Some(order),
        ..PLAIN
    };
    sender.opened(0, receiver(1, 9));
    for (payload, order) in [(0, 7), (1, 7), (2, 8), (3, 7)] {
        sender.offer(Content::Whole(payload), false, ordered(order));
    }
    sender.offer(Content::Whole(4), false, PLAIN);
    sender.offer(Content::Whole(5), false, until(now + TTL));
    let short = Terms {
        order: Some(8),
        ..until(now + TTL)
    };
    sender.offer(Content::Whole(6), false, short);
    assert_eq!(payloads(&mut sender), [0, 2, 4, 5]);
    settle(&mut sender, 0, now, |out| wire::put_retry(out, 0, Some(50))).expect("settled");
    assert!(payloads(&mut sender).is_empty(), "it holds the others back");
    sender.handle_timeout(now + Duration::from_millis(50));
    assert_eq!(payloads(&mut sender), [0]);
    settle(&mut sender, 0, now, |out| wire::put_rejected(out, 4, "")).expect("settled");
    assert_eq!(
        payloads(&mut sender),
        [1],
        "those behind a dead letter go on"
    );
    sender.closed(0, 0, now);
    sender.expire(now + TTL);
    let fates: Vec<_> = fates(&mut sender);
    let fates: Vec<u32> = fates.iter().map(|(payload, _)| *payload).collect();
    assert_eq!(fates, [0, 5, 6], "also one whose turn it was not");
    sender.opened(0, receiver(1, 9));
    assert_eq!(payloads(&mut sender), [2, 4, 1]);
    settle(&mut sender, 0, now, |out| wire::put_done(out, &[(0, 2)])).expect("settled");
    assert!(payloads(&mut sender).is_empty());
    settle(&mut sender, 0, now, |out| wire::put_done(out, &[(2, 1)])).expect("settled");
    assert_eq!(payloads(&mut sender), [3]);
    settle(&mut sender, 0, now, |out| wire::put_done(out, &[(3, 1)])).expect("settled");
    assert_eq!(sender.len(), 0);
}

/// What an earlier sender has left keeps its order, and its waits.
#[test]
fn order_goes_on_after_a_restart() {
    let (mut sender, now) = sender();
    let ordered = Terms {
        order: Some(7),
        ..PLAIN
    };
    let soon = now + Duration::from_millis(5);
    sender.resume(Content::Whole(1), 10, 1, Some(soon), ordered);
    sender.resume(Content::Whole(2), 11, 0, Some(soon), ordered);
    sender.hold(Content::Whole(3), 12, ordered);
    sender.opened(0, receiver(1, 9));
    assert!(payloads(&mut sender).is_empty());
    sender.handle_timeout(soon);
    assert_eq!(payloads(&mut sender), [1]);
    settle(&mut sender, 0, now, |out| wire::put_done(out, &[(0, 1)])).expect("settled");
    assert!(
        payloads(&mut sender).is_empty(),
        "its time has not been looked at"
    );
    sender.handle_timeout(soon);
    assert_eq!(payloads(&mut sender), [2]);
    settle(&mut sender, 0, now, |out| wire::put_done(out, &[(1, 1)])).expect("settled");
    assert_eq!(payloads(&mut sender), [3]);
}

/// Waiting, out, delayed, held for a receiver or behind another of its order.
#[test]
fn what_is_given_up_is_dead_wherever_it_waits() {
    let (mut sender, now) = sender();
    let ordered = Terms {
        order: Some(7),
        ..PLAIN
    };
    sender.opened(0, receiver(1, 3));
    for payload in 0..2 {
        sender.offer(Content::Whole(payload), false, PLAIN);
    }
    sender.offer(Content::Whole(2), false, ordered);
    assert_eq!(payloads(&mut sender), [0, 1, 2]);
    sender.offer(Content::Whole(3), false, ordered);
    sender.offer(
        Content::Whole(4),
        false,
        until(now + Duration::from_secs(5)),
    );
    settle(&mut sender, 0, now, |out| wire::put_retry(out, 1, None)).expect("given back");
    sender.closed(0, 0, now);
    sender.abandon();
    assert_eq!(sender.len(), 0);
    let finished: Vec<_> = sender
        .finished()
        .map(|done| (whole(done.left), done.fate))
        .collect();
    let gone = Fate::Dead(DeadLine::Gone);
    let expected: Vec<_> = (0..5).map(|payload| (payload, gone.clone())).collect();
    assert_eq!(finished, expected);
    assert_eq!(sender.counts().dead, 5);
    // It goes on with the next one.
    sender.opened(0, receiver(2, 3));
    sender.offer(Content::Whole(5), false, ordered);
    assert_eq!(payloads(&mut sender), [5]);
    sender.handle_timeout(now + Duration::from_secs(60));
    sender.expire(now + Duration::from_secs(60));
    assert!(payloads(&mut sender).is_empty());
}
