//! A PUSH whose disk hangs, fails, is full, or crashes. Those on a real disk are in `tests/stored.rs`.

use std::time::{Duration, Instant};

use super::super::{Pull, Push, Socket};
use super::SocketSpool;
use crate::engine::Wait;
use crate::pattern::PushPattern;
use crate::spool::memory::{MemoryDisk, Random};
use crate::spool::{OpenSpool, Spool, SpoolError, Sync};
use crate::{
    Context, DeadReason, Delivery, Job, Message, Options, ReceiptError, SendErrorKind, Settled,
};

const DEADLINE: Duration = Duration::from_secs(60);

fn options() -> Options {
    let delivery = Delivery::at_least_once()
        .grace(Duration::ZERO)
        .backoff(Duration::ZERO, Duration::ZERO);
    Options::new().delivery(delivery).send_timeout(DEADLINE)
}

fn push_with(context: &Context, disk: &MemoryDisk, sync: Sync, options: Options) -> Push {
    let settings = Spool::at("memory").sync(sync).segment_size(4096);
    push_by(context, disk, settings, options)
}

fn push_by(context: &Context, disk: &MemoryDisk, settings: Spool, options: Options) -> Push {
    let spool = settings.open_on(disk.boxed()).expect("a spool");
    let mut pattern = PushPattern::with_options(&options);
    let spool = SocketSpool::of(spool, &mut pattern);
    let socket = Socket::assemble(context.inner(), options, pattern, Some(spool));
    Push {
        socket: socket.expect("a socket"),
    }
}

fn push(context: &Context, disk: &MemoryDisk, sync: Sync) -> Push {
    push_with(context, disk, sync, options())
}

/// A worker of what is bound here.
fn worker(context: &Context, push: &Push) -> Pull {
    let endpoint = push.bind("tcp://127.0.0.1:*").expect("bound");
    let pull = Pull::with_options(context, options()).expect("a PULL");
    pull.connect(endpoint).expect("connected");
    push.wait_for_peers(1, DEADLINE).expect("a worker");
    pull
}

fn job(pull: &Pull) -> Job {
    pull.recv_job_timeout(DEADLINE).expect("a job")
}

fn until(mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < end, "it is not so in time");
        std::thread::yield_now();
    }
}

#[test]
fn a_message_travels_while_the_disk_syncs() {
    let (context, disk) = (Context::new(), MemoryDisk::new());
    let push = push(&context, &disk, Sync::Disk);
    let pull = worker(&context, &push);
    disk.hang_sync(true);
    let receipt = push.send_later("order").expect("sent");
    let order = job(&pull);
    assert_eq!(*order.message(), "order");
    assert_eq!(order.id(), receipt.id());
    assert_eq!(receipt.try_durable(), Err(ReceiptError::WouldBlock));
    order.settle().expect("settled");
    assert_eq!(receipt.settled_timeout(DEADLINE), Ok(Settled::Done));
    // Nobody holds the lock of the socket meanwhile.
    assert_eq!(push.stats().delivery.settled, 1);
    let short = receipt.durable_timeout(Duration::from_millis(1));
    assert_eq!(short, Err(ReceiptError::TimedOut));
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| push.send("waits for the disk"));
        job(&pull).settle().expect("settled");
        assert!(!sending.is_finished(), "it is not safe");
        disk.hang_sync(false);
        sending.join().expect("no panic").expect("sent");
    });
    receipt.durable().expect("safe");
    receipt.try_durable().expect("safe");
    push.close(DEADLINE).expect("all is settled");
    receipt.durable().expect("it still is");
}

#[test]
fn a_batch_has_one_sync() {
    let (context, disk) = (Context::new(), MemoryDisk::new());
    let settings = Spool::at("memory").sync(Sync::Disk).segment_size(1 << 22);
    let plain = options().send_hwm(10_000);
    let push = push_by(&context, &disk, settings, plain.linger(Duration::ZERO));
    let syncs = |messages: usize| {
        let before = disk.syncs();
        let sent = push.send_batch((0..messages).map(|number| number.to_string()));
        assert_eq!(sent.expect("sent"), messages);
        disk.syncs() - before
    };
    // The next segment may be synced as well, a piece at a time.
    assert!((1..=2).contains(&syncs(1000)));
    assert_eq!(syncs(0), 0, "nothing is to be made safe");
    assert!((2..=4).contains(&syncs(5000)), "of 4096 and of the others");
}

#[test]
fn a_batch_is_on_its_way_to_the_disk_while_it_is_sent() {
    let (context, disk) = (Context::new(), MemoryDisk::new());
    let push = push(&context, &disk, Sync::Disk);
    let pull = worker(&context, &push);
    let send = |messages: u32| push.send_batch((0..messages).map(|number| number.to_string()));
    assert_eq!(send(8).expect("sent"), 8);
    assert_eq!(disk.begun(), 0, "they are sent sooner than that");
    disk.hang_sync(true);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| send(100));
        for _ in 0..108 {
            job(&pull).settle().expect("settled");
        }
        assert!(disk.begun() > 100, "each has more than a byte");
        assert!(!sending.is_finished(), "it is not safe");
        disk.hang_sync(false);
        assert_eq!(sending.join().expect("no panic").expect("sent"), 100);
    });
    push.close(DEADLINE).expect("all is settled");
}

#[test]
fn a_batch_that_cannot_be_written_is_not_sent_as_safe() {
    let (context, disk) = (Context::new(), MemoryDisk::new());
    let push = push(&context, &disk, Sync::Disk);
    disk.fail_write(Some(0));
    let error = push
        .send_batch((0..100).map(|number| number.to_string()))
        .expect_err("it is not on the disk");
    assert_eq!(error.sent(), 0);
    assert!(push.send("another").is_err(), "nothing is safe any more");
}

#[test]
fn a_batch_is_safe_before_it_waits_and_ends_with_what_is_not() {
    let (context, disk) = (Context::new(), MemoryDisk::new());
    let settings = || Spool::at("memory").sync(Sync::Disk).segment_size(1 << 22);
    let few = options().send_hwm(3).linger(Duration::ZERO);
    let push = push_by(
        &context,
        &disk,
        settings(),
        few.clone().send_timeout(Duration::ZERO),
    );
    let mut messages = ["a", "b", "c", "d", "e"].into_iter();
    let error = push
        .send_batch(&mut messages)
        .expect_err("there is no room");
    assert_eq!(
        (error.sent(), error.error().kind()),
        (3, SendErrorKind::WouldBlock)
    );
    assert_eq!(error.into_error().into_message(), "d");
    assert_eq!(messages.next(), Some("e"));
    // They are safe.
    let disk = disk.crash(&mut Random(7));
    drop(push);
    let push = push_by(
        &context,
        &disk,
        settings(),
        options().linger(Duration::ZERO),
    );
    let pull = worker(&context, &push);
    for expected in ["a", "b", "c"] {
        let job = job(&pull);
        assert_eq!(*job.message(), expected);
        job.settle().expect("settled");
    }
    push.send("f").expect("sent");
    disk.fail_sync(Some(0));
    let error = push.send_batch(["g", "h", "i"]).expect_err("none is safe");
    assert_eq!(
        (error.sent(), error.error().kind()),
        (0, SendErrorKind::SpoolFailed)
    );
    assert_eq!(error.into_error().into_message(), "g");
}

#[test]
fn a_batch_that_unwinds_gives_its_places_back() {
    let (context, disk) = (Context::new(), MemoryDisk::new());
    let few = options().send_hwm(3).linger(Duration::ZERO);
    let push = push_with(&context, &disk, Sync::Os, few);
    let messages = (0..3).map(|number| {
        assert!(number < 1, "there is no more");
        number.to_string()
    });
    let batch = std::panic::AssertUnwindSafe(|| push.send_batch(messages));
    std::panic::catch_unwind(batch).expect_err("it panics");
    for message in ["a", "b", "c"] {
        push.try_send(message).expect("there is room");
    }
    let error = push.try_send("d").expect_err("there is no more room");
    assert_eq!(error.kind(), SendErrorKind::WouldBlock);
    let pull = worker(&context, &push);
    for expected in ["a", "b", "c"] {
        let job = job(&pull);
        assert_eq!(*job.message(), expected);
        job.settle().expect("settled");
    }
}

/// Who waits for the next message of a batch keeps none back.
#[test]
fn a_batch_does_not_wait_for_its_iterator() {
    let (context, disk) = (Context::new(), MemoryDisk::new());
    let push = push(&context, &disk, Sync::Os);
    let pull = worker(&context, &push);
    let (ask, asked) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| push.send_batch(asked));
        for number in 0..3 {
            ask.send(number.to_string()).expect("it is taken");
            let job = job(&pull);
            assert_eq!(*job.message(), *number.to_string());
            job.settle().expect("settled");
        }
        drop(ask);
        let sent = sending.join().expect("no panic");
        assert_eq!(sent.expect("all were sent"), 3);
    });
    push.close(DEADLINE).expect("all is settled");
}

#[test]
fn a_batch_without_end_is_sent_until_there_is_no_room() {
    let (context, disk) = (Context::new(), MemoryDisk::new());
    let few = options().send_hwm(100).send_timeout(Duration::ZERO);
    let push = push_with(&context, &disk, Sync::Os, few.linger(Duration::ZERO));
    let numbers = (0_usize..).map(|number| number.to_string());
    assert_eq!(numbers.size_hint().0, usize::MAX);
    let error = push.send_batch(numbers).expect_err("there is no room");
    assert_eq!(
        (error.sent(), error.error().kind()),
        (100, SendErrorKind::WouldBlock)
    );
    assert_eq!(error.into_error().into_message(), "100");
}

/// Whatever was taken from the iterator is sent, or given back.
#[test]
fn a_batch_that_the_spool_has_no_room_for_loses_nothing() {
    const COUNT: usize = 5_000;
    let (context, disk) = (Context::new(), MemoryDisk::new());
    let settings = Spool::at("memory").segment_size(1 << 20).limit(1 << 21);
    let few = options().send_hwm(COUNT).linger(Duration::ZERO);
    let push = push_by(&context, &disk, settings, few);
    let all: Vec<String> = (0..COUNT).map(|number| format!("{number:0900}")).collect();
    let mut messages = all.iter();
    let error = push.send_batch(&mut messages).expect_err("no room");
    let sent = error.sent();
    assert!(0 < sent && sent < COUNT, "{sent}");
    let unsent = error.into_messages();
    assert!(unsent.len() > 1, "only {}", unsent.len());
    let (given_back, rest) = all[sent..].split_at(unsent.len());
    assert!(unsent.iter().eq(given_back));
    assert!(messages.eq(rest));
}

#[test]
fn messages_of_a_batch_of_all_kinds_stay_in_order() {
    let (context, disk) = (Context::new(), MemoryDisk::new());
    let settings = Spool::at("memory").segment_size(1 << 22);
    let push = push_by(&context, &disk, settings, options().send_hwm(40));
    let pull = worker(&context, &push);
    let message = |number: usize| match number % 50 {
        7 => Message::from(["two", "frames"]),
        13 => Message::from(vec![number as u8; 40_000]),
        23 => Message::from(vec![number as u8; 9_000]),
        _ => Message::from(number.to_string()),
    };
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| push.send_batch((0..500).map(message)));
        for number in 0..500 {
            let job = job(&pull);
            assert_eq!(*job.message(), message(number));
            job.settle().expect("settled");
        }
        let sent = sending.join().expect("no panic");
        assert_eq!(sent.expect("all were sent"), 500);
    });
    push.close(DEADLINE).expect("all is settled");
}

#[test]
fn nothing_is_durable_after_a_sync_has_failed() {
    let (context, disk) = (Context::new(), MemoryDisk::new());
    let push = push(&context, &disk, Sync::Disk);
    push.send("kept").expect("sent");
    disk.fail_sync(Some(0));
    let error = push.send("order").expect_err("it is not safe");
    assert_eq!(error.kind(), SendErrorKind::SpoolFailed);
    assert!(matches!(
        error.spool_error(),
        Some(SpoolError::Failed { .. })
    ));
    assert_eq!(error.into_message(), "order");
    disk.fail_sync(None);
    let error = push
        .send("another")
        .expect_err("the disk is not trusted any more");
    assert_eq!(
        (error.kind(), error.message()),
        (SendErrorKind::SpoolFailed, &"another".into())
    );
    let error = push.try_send("another").expect_err("the same");
    assert_eq!(error.kind(), SendErrorKind::SpoolFailed);
    let error = push.send_later("another").expect_err("the same");
    assert_eq!(error.kind(), SendErrorKind::SpoolFailed);
    // What is there is delivered, and that of which nothing is known, too.
    let pull = worker(&context, &push);
    for expected in ["kept", "order"] {
        let job = job(&pull);
        assert_eq!(*job.message(), expected);
        job.settle().expect("settled");
    }
    push.close(DEADLINE).expect("all is settled");
}

#[test]
fn a_receipt_is_told_that_the_sync_has_failed() {
    let (context, disk) = (Context::new(), MemoryDisk::new());
    let push = push(&context, &disk, Sync::Disk);
    disk.fail_sync(Some(0));
    let receipt = push.send_later("order").expect("it is sent");
    let failed = Err(ReceiptError::SpoolFailed);
    assert_eq!(receipt.durable_timeout(DEADLINE), failed);
    assert_eq!(receipt.durable(), failed);
    disk.fail_sync(None);
    assert_eq!(receipt.durable(), failed);
    assert_eq!(receipt.try_durable(), failed);
    drop(push);
    assert!(receipt.durable().is_err());
}

#[test]
fn a_full_disk_gives_the_message_back() {
    let (context, disk) = (Context::new(), MemoryDisk::new());
    let push = push_with(&context, &disk, Sync::Disk, options().send_hwm(0));
    disk.room(Some(20_000));
    let mut kept = 0;
    let error = loop {
        match push.send([1; 500]) {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), SendErrorKind::SpoolFull);
    assert!(matches!(error.spool_error(), Some(SpoolError::Full { .. })));
    assert_eq!(error.into_message(), [1; 500]);
    assert_eq!(push.stats().delivery.unsettled, kept);
    let pull = worker(&context, &push);
    for _ in 0..kept {
        job(&pull).settle().expect("settled");
    }
    // There is room when that has been written.
    while let Err(error) = push.send("there is room") {
        assert_eq!(error.kind(), SendErrorKind::SpoolFull);
    }
    job(&pull).settle().expect("settled");
    push.close(DEADLINE).expect("all is settled");
}

/// What becomes of messages finds no room for a while: that is no reason to take none, or to say of others that they are not safe.
#[test]
fn what_is_not_noted_for_a_while_makes_no_receipt_fail() {
    let (context, disk) = (Context::new(), MemoryDisk::new());
    let settings = Spool::at("memory").sync(Sync::Os).segment_size(4096);
    let settings = settings.limit(64 << 10);
    let push = push_by(&context, &disk, settings, options().send_hwm(0));
    let pull = worker(&context, &push);
    let mut jobs = Vec::new();
    while push.send([1; 500]).is_ok() {
        jobs.push(job(&pull));
    }
    let total = jobs.len() as u64;
    let settled = jobs.split_off(jobs.len() / 8);
    for job in jobs {
        job.reject("a long reason ".repeat(30)).expect("rejected");
    }
    let rejected = total - settled.len() as u64;
    until(|| push.stats().delivery.dead == rejected);
    for job in settled {
        job.settle().expect("settled");
    }
    until(|| push.stats().delivery.settled == total - rejected);
    for _ in 0..10 {
        let receipt = loop {
            match push.send_later([1; 500]) {
                Ok(receipt) => break receipt,
                Err(error) => assert_eq!(error.kind(), SendErrorKind::SpoolFull),
            }
        };
        assert_eq!(receipt.durable_timeout(DEADLINE), Ok(()));
        job(&pull).settle().expect("settled");
    }
    assert_eq!(push.dead_letters().len() as u64, rejected);
    push.close(DEADLINE).expect("all is settled, or dead");
    let spool = Spool::at("memory").open_on(disk.kill().boxed());
    assert_eq!(spool.expect("a spool").dead_count(), rejected);
}

/// What it is that fails is no matter of the place that the message had.
#[test]
fn a_place_is_given_back_when_the_spool_is_full() {
    let (context, disk) = (Context::new(), MemoryDisk::new());
    let push = push_with(&context, &disk, Sync::Os, options().send_hwm(3));
    push.send("first").expect("sent");
    disk.room(Some(0));
    for _ in 0..5 {
        let error = push.try_send([0; 10_000]).expect_err("no room on the disk");
        assert_eq!(error.kind(), SendErrorKind::SpoolFull);
    }
    disk.room(None);
    push.try_send("second").expect("sent");
    push.try_send("third").expect("sent");
    let error = push.try_send("fourth").expect_err("no room");
    assert_eq!(error.kind(), SendErrorKind::WouldBlock);
}

#[test]
fn what_was_sent_survives_a_crash() {
    let context = Context::new();
    for (sync, seed) in [(Sync::Os, 1), (Sync::Disk, 1), (Sync::Disk, 2)] {
        let disk = MemoryDisk::new();
        let before = push(&context, &disk, sync);
        let pull = worker(&context, &before);
        for number in 0..30 {
            before.send(number.to_string()).expect("sent");
        }
        let stream = job(&pull);
        let id = stream.id().expect("it is settled");
        stream.settle().expect("settled");
        job(&pull).reject("no such article").expect("rejected");
        while before.stats().delivery.unsettled > 28 {
            std::thread::yield_now();
        }
        // All that has been settled is noted, as it may be at any time.
        assert_eq!(before.dead_letters().len(), 1);
        drop(pull);
        let disk = match sync {
            Sync::Os => disk.kill(),
            Sync::Disk => disk.crash(&mut Random(seed)),
        };
        let after = push(&context, &disk, sync);
        let pull = worker(&context, &after);
        after.send("new").expect("sent");
        let mut seen = Vec::new();
        while seen.last().is_none_or(|last| last != "new") {
            let job = job(&pull);
            let text = job.message().to_str().expect("text").to_owned();
            let again = job.id().expect("it is settled");
            assert_eq!(again.stream, id.stream);
            match text.parse::<u64>() {
                Ok(number) => assert_eq!((again.number, job.deliveries()), (id.number + number, 1)),
                // Nobody can have seen it before.
                Err(_) => assert!(again.number >= 1 << 32 && job.deliveries() == 0),
            }
            seen.push(text);
            job.settle().expect("settled");
        }
        // What was settled and noted may come again after the loss of power, as that is not synced.
        let first = usize::from(seen[0] != "0") * 2;
        assert!(sync == Sync::Disk || first == 2, "{seen:?}");
        let expected: Vec<String> = (first..30).map(|number| number.to_string()).collect();
        assert_eq!(seen[..seen.len() - 1], expected);
        if first == 2 {
            let dead = after.dead_letters();
            let reason = DeadReason::Rejected("no such article".into());
            assert_eq!((dead.len(), &dead[0].reason), (1, &reason));
        }
        after.close(DEADLINE).expect("all is settled");
        assert!(before.close(Duration::ZERO).is_err());
    }
}

#[test]
fn a_call_that_is_halted_stores_nothing() {
    let (context, disk) = (Context::new(), MemoryDisk::new());
    let push = push_with(&context, &disk, Sync::Os, options().send_hwm(1));
    let message = crate::Message::from("order");
    let send = |halted| push.socket.send_unless(&message, Wait::Forever, &|| halted);
    assert_eq!(send(false), Ok(true));
    assert_eq!(send(true), Ok(false));
    assert_eq!(push.stats().delivery.unsettled, 1);
}

/// A job was given back while the clock was years ahead.
#[test]
fn a_clock_that_was_set_back_makes_no_wait_longer() {
    let (context, disk) = (Context::new(), MemoryDisk::new());
    let settings = Spool::at("memory").segment_size(4096);
    let spool = settings.open_on(disk.boxed()).expect("a spool");
    let ahead = OpenSpool::now() + 3650 * 24 * 3600 * 1000;
    let appended = spool.append_some([&b"order"[..]], ahead);
    assert_eq!(appended, Ok(1..2));
    let noted = (ahead + 5000, ahead + 5200);
    spool.retry_from(1, noted, 1).expect("noted");
    spool.close().expect("closed");
    let push = push(&context, &disk.kill(), Sync::Os);
    let pull = worker(&context, &push);
    let order = job(&pull);
    assert_eq!(*order.message(), "order");
    order.settle().expect("settled");
    push.close(DEADLINE).expect("all is settled");
}
