//! Children that are forked while threads of the parent hold locks of all kinds: none waits for one, and the parent goes on.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use zerohop::spool::{Spool, SpoolError, Sync as Safe};
use zerohop::{
    Allow, Context, Delivery, Log, Options, Poller, Proxy, ProxyControl, ProxyEndCause, Pub, Pull,
    Push, ReceiptError, ReplayFrom, SendErrorKind, Sub, SubscribeError, WatchError,
};

use crate::child::{Forked, Leaving, Over, inherit};
use crate::common::block_on::block_on;
use crate::common::deadline::DEADLINE;
use crate::common::unique;

/// So long each test forks. Where a call in the child waits for a lock, a few children in a hundred hang.
const WHILE: Duration = Duration::from_millis(1200);

/// A path in the folder for temporary files; what is there is removed in the end.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Temporary {
        Temporary(Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique::name()))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Ends a proxy, also if the test fails.
struct Steers(ProxyControl);

impl Drop for Steers {
    fn drop(&mut self) {
        self.0.terminate();
    }
}

/// Calls `fork` again and again, while each of these runs in a thread of its own, again and again.
fn while_busy(busy: &[&(dyn Fn() + Sync)], mut fork: impl FnMut()) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let ended = Over(&over);
        for work in busy {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    work();
                }
            });
        }
        let end = Instant::now() + WHILE;
        while Instant::now() < end {
            fork();
        }
        drop(ended);
    });
}

/// What is known of messages with a spool, and messages that wait to be safe.
#[test]
fn no_child_waits_for_a_spool_of_a_socket() {
    let folder = Temporary::new();
    let context = Context::new();
    let delivery = Delivery::at_least_once();
    let options = Options::new().linger(Duration::ZERO);
    let pull =
        Pull::with_options(&context, options.clone().delivery(delivery.clone())).expect("a PULL");
    let spool = Spool::at(&folder.0).sync(Safe::Os);
    let options = options.delivery(delivery.spool(spool));
    let push = Push::with_options(&context, options.send_timeout(DEADLINE)).expect("a PUSH");
    push.connect(pull.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    let send = || {
        let receipts = (0..32).map(|_| push.send_later("x").expect("sent"));
        for receipt in receipts.collect::<Vec<_>>() {
            let _ = receipt.try_durable();
        }
    };
    // A little longer than the senders, which may wait for it.
    let sent = AtomicBool::new(false);
    thread::scope(|scope| {
        let ended = Over(&sent);
        scope.spawn(|| {
            while !sent.load(Ordering::Relaxed) {
                if let Ok(job) = pull.recv_job_timeout(Duration::from_millis(10)) {
                    job.settle().expect("settled");
                }
            }
        });
        let mut polls = false;
        while_busy(&[&send, &send], || {
            let receipt = push.send_later("with a receipt").expect("sent");
            let mut sending = Box::pin(push.send_async("in a task"));
            let mut task = TaskContext::from_waker(Waker::noop());
            let sent = sending.as_mut().poll(&mut task);
            polls = !polls;
            Forked::start(Leaving::AtOnce, || {
                let forked = Err(ReceiptError::Forked);
                assert_eq!(receipt.try_durable(), forked);
                assert_eq!(receipt.durable_timeout(DEADLINE), forked);
                assert_eq!(receipt.durable(), forked);
                assert_eq!(block_on(receipt.durable_async()), forked);
                assert_eq!(receipt.try_settled(), Err(ReceiptError::Forked));
                let mut inherited = inherit(&sending);
                if polls && sent.is_pending() {
                    let mut task = TaskContext::from_waker(Waker::noop());
                    let Poll::Ready(Err(refused)) = inherited.as_mut().poll(&mut task) else {
                        panic!("the parent's");
                    };
                    assert_eq!(refused.kind(), SendErrorKind::Forked);
                }
                drop(inherited);
                assert_eq!(push.dead_letters(), []);
                let id = receipt.id().expect("it is to be settled");
                for refused in [push.remove_dead_letter(id), push.replay_dead_letter(id)] {
                    assert!(matches!(refused, Err(SpoolError::Forked)));
                }
                drop(inherit(&receipt));
            })
            .succeed();
            if sent.is_pending() {
                block_on(sending).expect("sent");
            }
            receipt.durable().expect("safe");
        });
        drop(ended);
    });
}

/// A spool without a socket, whose threads write and settle.
#[test]
fn no_child_waits_for_an_open_spool() {
    let folder = Temporary::new();
    let spool = Spool::at(&folder.0).sync(Safe::Os).open().expect("opened");
    let work = || {
        let number = spool.append("x").expect("appended");
        spool.commit(number).expect("safe");
        spool.settle([number..=number]).expect("settled");
    };
    while_busy(&[&work, &work], || {
        Forked::start(Leaving::AtOnce, || {
            assert_eq!((spool.len(), spool.dead_count(), spool.size()), (0, 0, 0));
            assert_eq!((spool.next_seq(), spool.committed()), (0, 0));
            assert!(spool.is_empty() && spool.range().is_none());
            assert_eq!(spool.segments(), []);
            let mut stored = spool.unsettled();
            assert!(matches!(stored.next(), Some(Err(SpoolError::Forked))));
            assert!(stored.next().is_none());
            let mut dead = spool.dead_letters();
            assert!(matches!(dead.next(), Some(Err(SpoolError::Forked))));
            assert!(dead.next().is_none());
            assert!(matches!(spool.append("x"), Err(SpoolError::Forked)));
            assert!(matches!(spool.replay(1), Err(SpoolError::Forked)));
            drop(inherit(&spool));
        })
        .succeed();
    });
    work();
}

/// The files of a SUB that say how far it is.
#[test]
fn no_child_waits_for_cursors_or_writes_them() {
    const TOPICS: usize = 20;
    let folder = Temporary::new();
    std::fs::create_dir_all(&folder.0).expect("a folder");
    let cursor = |number| folder.0.join(format!("cursor-{number}"));
    let context = Context::new();
    let options = Options::new().log(Log::at(folder.0.join("log")));
    let publisher = Pub::with_options(&context, options).expect("a PUB");
    let sub = Sub::new(&context).expect("a SUB");
    for number in 0..TOPICS {
        sub.subscribe_from(format!("{number}."), ReplayFrom::Resume(cursor(number)))
            .expect("subscribed");
    }
    sub.connect(publisher.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    publisher
        .wait_for_subscribers("0.", 1, DEADLINE)
        .expect("subscribed");
    let publish = || {
        for number in 0..TOPICS {
            publisher.send(format!("{number}.")).expect("published");
        }
        let _ = sub.recv_timeout(Duration::from_millis(1));
    };
    let save = || sub.save_cursors().expect("saved");
    while_busy(&[&publish, &save], || {
        Forked::start(Leaving::AtOnce, || {
            let saved = sub.save_cursors().expect_err("the parent's");
            assert_eq!(saved.to_string(), SubscribeError::Forked.to_string());
            assert_eq!(sub.unsubscribe("1."), Err(SubscribeError::Forked));
            let resumed = sub.subscribe_from("1.", ReplayFrom::Resume(cursor(1)));
            assert_eq!(resumed, Err(SubscribeError::Forked));
        })
        .succeed();
    });
    sub.unsubscribe("1.").expect("the parent's own");
}

/// A proxy that threads steer.
#[test]
fn no_child_waits_for_a_proxy_or_steers_it() {
    let context = Context::new();
    let (pull, push) = (Pull::new(&context), Push::new(&context));
    let (pull, push) = (pull.expect("a PULL"), push.expect("a PUSH"));
    pull.bind("tcp://127.0.0.1:*").expect("bound");
    push.bind("tcp://127.0.0.1:*").expect("bound");
    let proxy = Proxy::one_way(&pull, &push);
    let control = proxy.control();
    let steer = || {
        control.pause();
        control.resume();
    };
    thread::scope(|scope| {
        let running = scope.spawn(|| proxy.run());
        let steers = Steers(proxy.control());
        while_busy(&[&steer, &steer], || {
            Forked::start(Leaving::AtOnce, || {
                control.pause();
                control.resume();
                control.terminate();
                assert_eq!(control.statistics().frontend.received, 0);
                assert_eq!(proxy.run().cause, ProxyEndCause::Forked);
                let proxy = inherit(&proxy).capture(&push);
                assert_eq!(proxy.run().cause, ProxyEndCause::Forked);
            })
            .succeed();
        });
        assert!(!running.is_finished());
        drop(steers);
        let end = running.join().expect("it ran");
        assert_eq!(end.cause, ProxyEndCause::Terminated);
    });
}

/// A poller that threads wake.
#[test]
fn no_child_waits_for_a_poller() {
    let mut poller = Poller::new().expect("a poller");
    let (watched, mut other) = UnixStream::pair().expect("a pair");
    poller.add_readable(7, &watched).expect("added");
    let waker = poller.waker();
    let wake = || waker.wake();
    while_busy(&[&wake, &wake], || {
        Forked::start(Leaving::AtOnce, || {
            waker.wake();
            let mut poller = inherit(&poller);
            let forked = Err(WatchError::Forked);
            let context = Context::new();
            let own = Pull::new(&context).expect("a PULL");
            assert_eq!(poller.add_recv(9, &own), forked);
            assert!(!poller.remove(7));
            assert_eq!(poller.wait(None).map(<[_]>::len), Err(WatchError::Forked));
            drop(poller);
        })
        .succeed();
    });
    other.write_all(b"x").expect("written");
    let end = Instant::now() + DEADLINE;
    while poller.wait(Some(DEADLINE)).expect("waited").is_empty() {
        assert!(Instant::now() < end, "what is ready is not told");
    }
}

/// The system's part of a poller is shared: what a child takes out of it would be missing in the parent.
#[test]
fn a_child_leaves_what_a_poller_waits_for_alone() {
    let mut poller = Poller::new().expect("a poller");
    let (watched, mut other) = UnixStream::pair().expect("a pair");
    let (unwatched, _unwatched) = UnixStream::pair().expect("a pair");
    poller.add_readable(7, &watched).expect("added");
    Forked::start(Leaving::AtOnce, || {
        let mut poller = inherit(&poller);
        assert!(!poller.remove(7));
        let forked = Err(WatchError::Forked);
        assert_eq!(poller.add_readable(8, &unwatched), forked);
        assert_eq!(poller.add_writable(8, &unwatched), forked);
        drop(poller);
    })
    .succeed();
    other.write_all(b"x").expect("written");
    let ready = poller.wait(Some(DEADLINE)).expect("waited");
    let keys: Vec<usize> = ready.iter().map(|ready| ready.key()).collect();
    assert_eq!(keys, [7]);
    assert!(poller.remove(7) && !poller.remove(8));
}

/// A list in a file, which options have that the parent made and a child goes on with.
#[test]
fn no_child_waits_for_a_list_that_the_parent_reads() {
    let list = Temporary::new();
    let lines = (0..20_000).map(|number| format!("user user-{number} password\n"));
    std::fs::write(&list.0, lines.collect::<String>()).expect("a list");
    let server = Options::new()
        .plain_server(true)
        .allow(Allow::path(&list.0));
    let client = Options::new().plain_client("user-7", "password");
    let meet = || {
        let context = Context::new();
        let pull = Pull::with_options(&context, server.clone()).expect("a PULL");
        let push = Push::with_options(&context, client.clone()).expect("a PUSH");
        push.connect(pull.bind("tcp://127.0.0.1:*").expect("bound"))
            .expect("connected");
        push.send("let in").expect("sent");
        assert_eq!(pull.recv_timeout(DEADLINE).expect("received"), "let in");
    };
    while_busy(&[&meet, &meet], || {
        Forked::start(Leaving::AtOnce, meet).succeed();
    });
}

/// A key whose public one a thread computes just then.
#[cfg(feature = "curve")]
#[test]
fn no_child_waits_for_a_key() {
    use std::sync::Arc;
    use std::sync::mpsc::sync_channel;

    let (give, take) = sync_channel::<Arc<zerohop::SecretKey>>(0);
    thread::scope(|scope| {
        scope.spawn(|| take.into_iter().for_each(|key| _ = key.public_key()));
        let end = Instant::now() + WHILE;
        while Instant::now() < end {
            let key = Arc::new(zerohop::SecretKey::from_bytes([7; 32]));
            give.send(Arc::clone(&key)).expect("it is taken");
            Forked::start(Leaving::AtOnce, || _ = key.public_key()).succeed();
        }
        drop(give);
    });
}
