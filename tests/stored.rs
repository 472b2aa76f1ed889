//! Acknowledged delivery with a spool on a real disk: what is there after a restart, and what was sent by several threads, and in tasks.

mod common {
    pub(crate) mod block_on;
    pub(crate) mod deadline;
    pub(crate) mod delivering;
    pub(crate) mod until;
}

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use zerohop::spool::{Spool, SpoolError, Sync};
use zerohop::{
    Context, DeadReason, Dealer, IncomingJob, Job, Message, Options, Pull, Push, ReceiptError,
    RecvError, Router, SendErrorKind, SettleError, Settled, SocketError,
};

use common::block_on::block_on;
use common::deadline::DEADLINE;
use common::delivering::{options, quick};
use common::until::{GLANCE, until};

/// A folder of this test alone, which is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("stored-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    fn spool(&self, sync: Sync) -> Spool {
        Spool::at(&self.0).sync(sync).segment_size(64 * 1024)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path of text")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn push(context: &Context, spool: Spool) -> Push {
    Push::with_options(context, options(quick().spool(spool))).expect("a PUSH with a spool")
}

fn bind(push: &Push) -> String {
    push.bind("tcp://127.0.0.1:*").expect("bound").to_string()
}

fn worker(context: &Context, endpoint: &str) -> Pull {
    let pull = Pull::with_options(context, options(quick())).expect("a PULL");
    pull.connect(endpoint).expect("connected");
    pull
}

fn job(pull: &Pull) -> Job {
    pull.recv_job_timeout(DEADLINE).expect("a job")
}

fn text(job: &Job) -> String {
    job.message().to_str().expect("text").to_owned()
}

fn all_settled(push: &Push) {
    until("all is settled", || {
        thread::sleep(Duration::from_millis(1));
        (push.stats().delivery.unsettled == 0).then_some(())
    });
}

#[test]
fn what_is_not_settled_goes_first_after_a_restart_and_keeps_its_name() {
    for sync in [Sync::Os, Sync::Disk] {
        let (context, folder) = (Context::new(), Folder::new());
        let first = push(&context, folder.spool(sync));
        let mut names = HashMap::new();
        for number in 0..5 {
            let receipt = first.send_later(number.to_string()).expect("sent");
            receipt.durable().expect("safe");
            names.insert(number.to_string(), receipt.id());
        }
        first.send(["two", "frames"]).expect("sent");
        let error = first
            .close(Duration::ZERO)
            .expect_err("nobody has settled it");
        assert_eq!(error.unsent(), 6);

        let second = push(&context, folder.spool(sync));
        second.send("new").expect("sent");
        let pull = worker(&context, &bind(&second));
        for number in 0..5 {
            let job = job(&pull);
            assert_eq!(text(&job), number.to_string());
            assert_eq!(job.id(), names[&number.to_string()]);
            // It may have been.
            assert_eq!(job.deliveries(), 1);
            job.settle().expect("settled");
        }
        let two = job(&pull);
        assert_eq!(*two.message(), ["two", "frames"]);
        two.settle().expect("settled");
        let new = job(&pull);
        assert_eq!((text(&new), new.deliveries()), ("new".into(), 0));
        assert_eq!(new.id().map(|id| id.number), Some(7));
        new.settle().expect("settled");
        all_settled(&second);
        assert_eq!(second.stats().delivery.settled, 7);
        second.close(DEADLINE).expect("all is settled");

        let third = push(&context, folder.spool(sync));
        assert_eq!(third.stats().delivery.unsettled, 0);
        third.close(DEADLINE).expect("there is nothing");
    }
}

/// The worker stays: what it works on, and what it has settled without the sender having heard of it, it does not get again.
#[test]
fn a_worker_gets_nothing_twice_when_the_sender_is_restarted() {
    let (context, folder) = (Context::new(), Folder::new());
    let first = push(&context, folder.spool(Sync::Os));
    let endpoint = bind(&first);
    let pull = worker(&context, &endpoint);
    for number in 0..4 {
        first.send(number.to_string()).expect("sent");
    }
    let held = job(&pull);
    let lost = job(&pull);
    let id = held.id();
    first.close(Duration::ZERO).expect_err("nothing is settled");
    // Whether it is known already that the connection is lost or not: nobody hears of it.
    let settled = lost.settle();
    assert!(matches!(settled, Ok(()) | Err(SettleError::Lost)));
    // What was here and not taken is dropped with the connection, as far as that is known.
    let second = push(&context, folder.spool(Sync::Os));
    second.bind(&*endpoint).expect("bound again");
    let mut seen = HashSet::new();
    until("the others have come", || {
        if let Ok(job) = pull.recv_job_timeout(GLANCE) {
            seen.insert(text(&job));
            assert_ne!(job.id(), id);
            let _ = job.settle();
        }
        (second.stats().delivery.unsettled == 1).then_some(())
    });
    assert_eq!(seen, HashSet::from(["2".into(), "3".into()]));
    held.settle()
        .expect("it has come again, and is settled now");
    all_settled(&second);
    assert_eq!(
        pull.try_recv_job().expect_err("all is done"),
        RecvError::WouldBlock
    );
    second.close(DEADLINE).expect("all is settled");
}

#[test]
fn more_than_fits_waits_in_the_spool_before_all_that_is_sent() {
    let (context, folder) = (Context::new(), Folder::new());
    let first = push(&context, folder.spool(Sync::Os));
    for number in 0..1000 {
        first.send(number.to_string()).expect("sent");
    }
    let full = first.try_send("one more").expect_err("the mark is reached");
    assert_eq!(full.kind(), SendErrorKind::WouldBlock);
    first.close(Duration::ZERO).expect_err("nothing is settled");
    let delivery = quick().spool(folder.spool(Sync::Os));
    let second = Push::with_options(&context, options(delivery).send_hwm(10)).expect("a PUSH");
    assert_eq!(second.stats().delivery.unsettled, 1000);
    let full = second.try_send("one more").expect_err("they go first");
    assert_eq!(full.kind(), SendErrorKind::WouldBlock);
    let pull = worker(&context, &bind(&second));
    thread::scope(|scope| {
        let sending = scope.spawn(|| second.send("one more"));
        for number in 0..1000 {
            let job = job(&pull);
            assert_eq!(text(&job), number.to_string());
            job.settle().expect("settled");
        }
        sending.join().expect("no panic").expect("sent");
    });
    let last = job(&pull);
    assert_eq!(text(&last), "one more");
    last.settle().expect("settled");
    second.close(DEADLINE).expect("all is settled");
}

#[test]
fn threads_that_send_at_once_share_the_disk_and_lose_nothing() {
    let (context, folder) = (Context::new(), Folder::new());
    let push = push(&context, folder.spool(Sync::Disk));
    let pull = worker(&context, &bind(&push));
    let (threads, each) = (2, 50);
    let names = thread::scope(|scope| {
        for thread in 0..threads {
            let push = &push;
            scope.spawn(move || {
                for number in 0..each {
                    push.send(format!("{thread} {number}")).expect("sent");
                }
            });
        }
        let mut names = HashMap::new();
        let mut last = HashMap::new();
        for _ in 0..threads * each {
            let job = job(&pull);
            let text = text(&job);
            let (thread, number) = text.split_once(' ').expect("two words");
            let number: u32 = number.parse().expect("a number");
            let next = last.insert(thread.to_owned(), number + 1).unwrap_or(0);
            assert_eq!(number, next, "a thread's messages keep their order");
            names.insert(job.id(), text);
            job.settle().expect("settled");
        }
        names
    });
    assert_eq!(names.len(), threads * each, "each has a name of its own");
    push.close(DEADLINE).expect("all is settled");
}

#[test]
fn tasks_wait_for_the_disk_without_their_thread() {
    for sync in [Sync::Os, Sync::Disk] {
        let (context, folder) = (Context::new(), Folder::new());
        let push = push(&context, folder.spool(sync));
        let pull = worker(&context, &bind(&push));
        block_on(push.send_async("one")).expect("sent");
        // Nothing is left of what is dropped before it is ready.
        drop(push.send_async("never"));
        block_on(push.send_async(["two", "frames"])).expect("sent");
        drop(push.send_later_async("never"));
        let receipt = block_on(push.send_later_async("three")).expect("sent");
        block_on(receipt.durable_async()).expect("safe");
        let expected = [
            Message::from("one"),
            Message::from(["two", "frames"]),
            Message::from("three"),
        ];
        for expected in expected {
            let job = job(&pull);
            assert_eq!(*job.message(), expected);
            job.settle().expect("settled");
        }
        assert_eq!(block_on(receipt.settled_async()), Ok(Settled::Done));
        push.close(DEADLINE).expect("all is settled");
        block_on(receipt.durable_async()).expect("it still is");
        let left = folder.spool(sync).open().expect("a spool");
        assert!(left.is_empty());
    }
}

#[test]
fn dead_letters_stay_until_they_are_removed_or_replayed() {
    let (context, folder) = (Context::new(), Folder::new());
    let first = push(&context, folder.spool(Sync::Os));
    let pull = worker(&context, &bind(&first));
    for order in ["bad", "worse"] {
        first.send(order).expect("sent");
        job(&pull)
            .reject(format!("{order} order"))
            .expect("rejected");
    }
    all_settled(&first);
    assert_eq!(first.dead_letters().len(), 2);
    assert_eq!(first.dead_letters().len(), 2, "they have only been read");
    let stats = first.stats().delivery;
    assert_eq!((stats.dead, stats.dead_dropped), (2, 0));
    first.close(DEADLINE).expect("none is to be delivered");

    let second = push(&context, folder.spool(Sync::Os));
    let dead = second.dead_letters();
    let [bad, worse] = &dead[..] else {
        panic!("{dead:?}");
    };
    assert_eq!((&bad.message, bad.deliveries), (&"bad".into(), 1));
    assert_eq!(bad.reason, DeadReason::Rejected("bad order".into()));
    second.remove_dead_letter(bad.id).expect("removed");
    let error = second.remove_dead_letter(bad.id).expect_err("it is gone");
    assert!(matches!(error, SpoolError::NoSuchMessage { .. }));
    let pull = worker(&context, &bind(&second));
    second.replay_dead_letter(worse.id).expect("replayed");
    let error = second
        .replay_dead_letter(worse.id)
        .expect_err("it is on its way");
    assert!(matches!(error, SpoolError::NoSuchMessage { .. }));
    let again = job(&pull);
    assert_eq!((text(&again), again.id()), ("worse".into(), Some(worse.id)));
    again.settle().expect("settled");
    assert!(second.dead_letters().is_empty());
    second.close(DEADLINE).expect("all is settled");
}

/// A worker remembers what it has rejected, and rejects it again when it is delivered again; but not when it is replayed.
#[test]
fn a_dead_letter_is_replayed_for_who_has_rejected_it_too() {
    let (context, folder) = (Context::new(), Folder::new());
    let pull = Pull::with_options(&context, options(quick())).expect("a PULL");
    let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound");
    let connected = || {
        let push = push(&context, folder.spool(Sync::Os));
        push.connect(&endpoint).expect("connected");
        push
    };
    let first = connected();
    first.send("order").expect("sent");
    let rejected = job(&pull);
    let id = rejected.id().expect("a name");
    rejected.reject("no such customer").expect("rejected");
    all_settled(&first);
    first.replay_dead_letter(id).expect("replayed");
    let again = job(&pull);
    assert_eq!((again.id(), again.deliveries()), (Some(id), 0));
    again.reject("still none").expect("rejected");
    all_settled(&first);
    first.close(DEADLINE).expect("none is to be delivered");

    let spool = folder.spool(Sync::Os).open().expect("a spool");
    spool.replay(id.number).expect("replayed");
    spool.close().expect("closed");
    let second = connected();
    let at_last = job(&pull);
    assert_eq!((text(&at_last), at_last.id()), ("order".into(), Some(id)));
    at_last.settle().expect("settled");
    all_settled(&second);
    assert_eq!(second.stats().delivery.dead, 0);
    second.close(DEADLINE).expect("all is settled");
}

#[test]
fn the_time_of_a_message_goes_on_while_there_is_no_socket() {
    const TTL: Duration = Duration::from_secs(1);
    let (context, folder) = (Context::new(), Folder::new());
    let push = || {
        let delivery = quick().spool(folder.spool(Sync::Os)).ttl(TTL);
        Push::with_options(&context, options(delivery)).expect("a PUSH with a spool")
    };
    let first = push();
    first.send("yesterday's").expect("sent");
    first
        .close(Duration::ZERO)
        .expect_err("nobody has settled it");
    let begun = Instant::now();
    until("its time is over", || {
        thread::sleep(GLANCE);
        (begun.elapsed() > TTL).then_some(())
    });

    let second = push();
    let pull = worker(&context, &bind(&second));
    second.send("today's").expect("sent");
    let today = job(&pull);
    assert_eq!(text(&today), "today's");
    today.settle().expect("settled");
    all_settled(&second);
    let dead = second.dead_letters();
    let [dead] = &dead[..] else {
        panic!("{dead:?}");
    };
    assert_eq!(dead.message, "yesterday's");
    assert_eq!(dead.reason, DeadReason::Expired);
    second.replay_dead_letter(dead.id).expect("replayed");
    let again = job(&pull);
    assert_eq!(text(&again), "yesterday's", "it has all its time");
    again.settle().expect("settled");
    second.close(DEADLINE).expect("all is settled");
}

#[test]
fn order_goes_on_after_a_restart() {
    let (context, folder) = (Context::new(), Folder::new());
    let push = || {
        let delivery = quick().spool(folder.spool(Sync::Os)).ordered_by(0);
        Push::with_options(&context, options(delivery)).expect("a PUSH with a spool")
    };
    let last = |job: &Job| {
        job.message()
            .get(1)
            .map(|frame| frame.to_string_lossy().into_owned())
    };
    let first = push();
    let pull = worker(&context, &bind(&first));
    for number in ["1", "2", "3"] {
        first.send(["account", number]).expect("sent");
    }
    let one = job(&pull);
    assert_eq!(last(&one).as_deref(), Some("1"));
    one.retry_in(Duration::from_millis(100))
        .expect("given back");
    until("it is known", || {
        thread::sleep(Duration::from_millis(1));
        (first.stats().delivery.retried == 1).then_some(())
    });
    drop(pull);
    first.close(Duration::ZERO).expect_err("it is not settled");

    let second = push();
    second.send(["account", "4"]).expect("sent");
    let pull = worker(&context, &bind(&second));
    for number in ["1", "2", "3", "4"] {
        let next = job(&pull);
        assert_eq!(last(&next).as_deref(), Some(number));
        let other = pull.recv_job_timeout(GLANCE);
        assert_eq!(other.map(drop), Err(RecvError::TimedOut), "the others wait");
        next.settle().expect("settled");
    }
    second.close(DEADLINE).expect("all is settled");
}

#[test]
fn a_wait_for_the_next_delivery_goes_on_after_a_restart() {
    let (context, folder) = (Context::new(), Folder::new());
    let first = push(&context, folder.spool(Sync::Os));
    let pull = worker(&context, &bind(&first));
    first.send("later").expect("sent");
    job(&pull).retry_in(DEADLINE).expect("given back");
    first.send("soon").expect("sent");
    job(&pull).retry_in(Duration::ZERO).expect("given back");
    let soon = job(&pull);
    assert_eq!(text(&soon), "soon");
    drop(pull);
    until("it is known that the worker is gone", || {
        thread::sleep(Duration::from_millis(1));
        (first.stats().delivery.retried == 3).then_some(())
    });
    first
        .close(Duration::ZERO)
        .expect_err("two are to be delivered");
    let looked = folder.spool(Sync::Os).read_only(true).open();
    let looked = looked.expect("a spool");
    let stored = looked.unsettled();
    let stored: Vec<_> = stored
        .map(|stored| stored.expect("it can be read").deliveries)
        .collect();
    drop(looked);
    assert_eq!(stored, [1, 2]);

    let second = push(&context, folder.spool(Sync::Os));
    let pull = worker(&context, &bind(&second));
    let soon = job(&pull);
    assert_eq!((text(&soon), soon.deliveries()), ("soon".into(), 2));
    soon.settle().expect("settled");
    until("that is known", || {
        thread::sleep(Duration::from_millis(1));
        (second.stats().delivery.settled == 1).then_some(())
    });
    assert_eq!(
        pull.try_recv_job().expect_err("not yet"),
        RecvError::WouldBlock
    );
    let error = second.close(Duration::ZERO).expect_err("one is left");
    assert_eq!(error.unsent(), 1);
}

#[test]
fn a_spool_has_one_socket_and_a_folder_of_its_own() {
    let (context, folder) = (Context::new(), Folder::new());
    let first = push(&context, folder.spool(Sync::Os));
    let options = options(quick().spool(folder.spool(Sync::Os)));
    let error = Push::with_options(&context, options.clone()).expect_err("it is in use");
    let SocketError::Spool(SpoolError::Locked { path }) = error else {
        panic!("{error}");
    };
    assert_eq!(path, folder.0);
    // A socket that is dropped lets go of it in the background; one that is closed has.
    first.close(DEADLINE).expect("there is nothing");
    let second = Push::with_options(&context, options.clone()).expect("it is free");
    drop(second);
    let third = until("it is free again", || {
        thread::sleep(Duration::from_millis(1));
        Push::with_options(&context, options.clone()).ok()
    });
    third.close(DEADLINE).expect("there is nothing");
    // For a PULL it means nothing, and neither does its name in text.
    Pull::with_options(&context, options).expect("a PULL has none");

    fs::remove_dir_all(&folder.0).expect("removed");
    fs::create_dir(&folder.0).expect("made");
    fs::write(folder.0.join("letter.txt"), "of somebody else").expect("written");
    let mut named = Options::new();
    let text = format!("at_least_once, spool={}", folder.path());
    named.set("delivery", &text).expect("a value");
    let error = Push::with_options(&context, named).expect_err("somebody else's folder");
    assert!(
        matches!(error, SocketError::Spool(SpoolError::NotASpool { .. })),
        "{error}"
    );
}

#[test]
fn without_a_spool_nothing_is_durable() {
    let context = Context::new();
    let push = Push::with_options(&context, options(quick())).expect("a PUSH");
    let receipt = push.send_later("order").expect("sent");
    let none = Err(ReceiptError::NoSpool);
    assert_eq!((receipt.durable(), receipt.try_durable()), (none, none));
    assert_eq!(receipt.durable_timeout(Duration::ZERO), none);
    assert_eq!(block_on(receipt.durable_async()), none);
    let id = receipt.id().expect("it is held");
    let error = push.replay_dead_letter(id).expect_err("there is no spool");
    assert_eq!(error, SpoolError::NoSuchMessage { seq: 1 });
}

/// A peer that settles nothing gets messages as ever, and none is left behind in the spool.
#[test]
fn what_a_plain_peer_gets_is_not_kept() {
    let (context, folder) = (Context::new(), Folder::new());
    let push = push(&context, folder.spool(Sync::Os));
    let pull = Pull::new(&context).expect("a PULL");
    pull.connect(bind(&push)).expect("connected");
    let receipt = push.send_later("order").expect("sent");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), "order");
    assert_eq!(
        receipt.settled_timeout(DEADLINE),
        Ok(Settled::Unacknowledged)
    );
    push.close(DEADLINE).expect("it has left");
    assert!(folder.spool(Sync::Os).open().expect("a spool").is_empty());
}

fn client(context: &Context, spool: Spool, endpoint: &str) -> Dealer {
    let delivery = quick().spool(spool);
    let options = options(delivery).routing_id("ann");
    let dealer = Dealer::with_options(context, options).expect("a DEALER with a spool");
    dealer.connect(endpoint).expect("connected");
    dealer
}

fn request(router: &Router) -> IncomingJob {
    router.recv_job_timeout(DEADLINE).expect("a request")
}

/// What a ROUTER has not settled comes again from the next DEALER, in its name; what the ROUTER sends back is no matter of the spool.
#[test]
fn a_dealer_keeps_its_requests_over_a_restart() {
    for sync in [Sync::Os, Sync::Disk] {
        let (context, folder) = (Context::new(), Folder::new());
        let router = Router::with_options(&context, options(quick())).expect("a ROUTER");
        let endpoint = router.bind("tcp://127.0.0.1:*").expect("bound").to_string();
        let first = client(&context, folder.spool(sync), &endpoint);
        first.send("done").expect("sent");
        request(&router).job.settle().expect("settled");
        until("it is settled", || {
            thread::sleep(Duration::from_millis(1));
            (first.stats().delivery.settled == 1).then_some(())
        });
        router.unbind(&*endpoint).expect("unbound");
        first.disconnect(&*endpoint).expect("disconnected");
        let receipt = first.send_later("again").expect("sent");
        receipt.durable().expect("safe");
        let batch = first.send_batch(["two", "three"]).expect("sent");
        assert_eq!(batch, 2);
        block_on(first.send_async(["four", "of two frames"])).expect("sent");
        let error = first.close(Duration::ZERO).expect_err("nobody settles it");
        assert_eq!(error.unsent(), 4);

        router.bind(&*endpoint).expect("bound again");
        let second = client(&context, folder.spool(sync), &endpoint);
        for expected in ["again", "two", "three"] {
            let IncomingJob { peer, job } = request(&router);
            assert_eq!((&peer, text(&job)), (&"ann".into(), expected.to_owned()));
            if expected == "again" {
                assert_eq!(job.id(), receipt.id());
                router.send_to(&peer, "an answer").expect("sent");
            }
            job.settle().expect("settled");
        }
        let four = request(&router).job;
        assert_eq!(*four.message(), ["four", "of two frames"]);
        four.reject("too many frames").expect("rejected");
        let answer = second.recv_job_timeout(DEADLINE).expect("an answer");
        assert_eq!(answer.message(), "an answer");
        answer.settle().expect("settled");

        let dead = until("there is a dead letter", || {
            thread::sleep(Duration::from_millis(1));
            second.dead_letters().pop()
        });
        assert_eq!(dead.reason, DeadReason::Rejected("too many frames".into()));
        second.replay_dead_letter(dead.id).expect("replayed");
        let replayed = request(&router).job;
        assert_eq!(replayed.id(), Some(dead.id));
        replayed.reject("still").expect("rejected");
        until("it is dead again", || {
            thread::sleep(Duration::from_millis(1));
            (second.dead_letters().len() == 1).then_some(())
        });
        second.remove_dead_letter(dead.id).expect("removed");
        second.close(DEADLINE).expect("all is settled");
        let left = folder.spool(sync).open().expect("a spool");
        assert!(left.is_empty() && left.dead_letters().next().is_none());
    }
}
