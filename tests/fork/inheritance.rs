//! Sockets in a child that has inherited them, and in the parent meanwhile and after it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Instant;

use zerohop::{
    BindError, ConnectError, Context, Event, Options, Pub, Pull, Push, RecvError, Rep,
    ReplyErrorKind, Req, RequestError, SendErrorKind, SocketError, Sub, SubscribeError,
    UnbindError, WaitError,
};

use crate::child::{Forked, Leaving, inherit};
use crate::common::block_on::block_on;
use crate::common::deadline::DEADLINE;
use crate::common::unique;

/// A PUSH and a PULL in a context each, and a message that has gone from one to the other.
struct Pair {
    pull: Pull,
    pull_context: Context,
    push: Push,
    push_context: Context,
}

impl Pair {
    fn over(endpoint: &str) -> Pair {
        let (push_context, pull_context) = (Context::new(), Context::new());
        let pull = Pull::new(&pull_context).expect("a PULL");
        let endpoint = pull.bind(endpoint).expect("bound");
        let push = Push::new(&push_context).expect("a PUSH");
        push.connect(&endpoint).expect("connected");
        let pair = Pair {
            pull,
            pull_context,
            push,
            push_context,
        };
        pair.pass("first");
        pair
    }

    /// Sends a message and receives it.
    fn pass(&self, text: &str) {
        self.push.send_timeout(text, DEADLINE).expect("sent");
        let received = self.pull.recv_timeout(DEADLINE).expect("received");
        assert_eq!(received, text);
    }

    /// Everything works, by the same connection as before.
    fn goes_on(&self) {
        self.pass("second");
        self.pass("third");
        assert_eq!(self.push.stats().reconnects, 0);
        assert_eq!(self.pull.stats().peers.len(), 1);
    }
}

/// The parent's connection is what it was, whatever a child drops, in any order, and however it ends.
#[test]
fn a_child_that_drops_what_it_inherited_leaves_the_parent_alone() {
    for endpoint in ["tcp://127.0.0.1:*", "ipc://*"] {
        for leaving in [Leaving::AtOnce, Leaving::Normally] {
            let pair = Pair::over(endpoint);
            Forked::start(leaving, || drop(inherit(&pair.push))).succeed();
            pair.goes_on();
            Forked::start(leaving, || drop(inherit(&pair.pull))).succeed();
            pair.goes_on();
            Forked::start(leaving, || {
                let pair = inherit(&pair);
                drop(pair.push_context);
                drop(pair.push);
                drop(pair.pull);
                drop(pair.pull_context);
            })
            .succeed();
            pair.goes_on();
            Forked::start(leaving, || {
                let pair = inherit(&pair);
                let closed = pair.push.close(DEADLINE).expect_err("the parent's");
                assert!(closed.is_forked());
                let closed = pair.pull.close(DEADLINE).expect_err("the parent's");
                assert!(closed.is_forked());
                pair.push_context.shutdown();
                pair.pull_context.shutdown();
            })
            .succeed();
            pair.goes_on();
            // Nothing dropped at all.
            Forked::start(leaving, || {}).succeed();
            pair.goes_on();
        }
    }
}

/// The listeners too, with the files of theirs.
#[test]
fn a_child_leaves_the_parents_endpoints_alone() {
    let folder = std::env::temp_dir();
    let path = folder.join(unique::name());
    let context = Context::new();
    let pull = Pull::new(&context).expect("a PULL");
    let mut endpoints = vec![
        format!("ipc://{}", path.display()),
        "ipc://*".to_owned(),
        "tcp://127.0.0.1:*".to_owned(),
    ];
    if cfg!(target_os = "linux") {
        endpoints.push(format!("ipc://@{}", unique::name()));
    }
    let bound: Vec<String> = endpoints
        .iter()
        .map(|endpoint| pull.bind(endpoint.as_str()).expect("bound").to_string())
        .collect();
    Forked::start(Leaving::Normally, || {
        drop(inherit(&pull));
        drop(inherit(&context));
    })
    .succeed();
    for endpoint in bound {
        let path = endpoint.strip_prefix("ipc://");
        let path = path.filter(|path| !path.starts_with('@'));
        assert!(
            path.is_none_or(|path| Path::new(path).exists()),
            "{endpoint}"
        );
        let other = Context::new();
        let push = Push::new(&other).expect("a PUSH");
        push.connect(endpoint.as_str()).expect("connected");
        push.send_timeout(&endpoint, DEADLINE).expect("sent");
        assert_eq!(pull.recv_timeout(DEADLINE).expect("received"), endpoint);
    }
}

/// A child that lives on, having dropped its copies or not, keeps neither a connection nor a port from ending.
#[test]
fn what_the_parent_closes_is_closed_whatever_a_child_holds() {
    for drops in [true, false] {
        let pair = Pair::over("tcp://127.0.0.1:*");
        let endpoint = pair.pull.last_endpoint().expect("bound");
        let monitor = pair.push.monitor();
        // They talk by files, since a child has nothing else that is not a socket of ours.
        let (begun, ended) = (Flag::new(), Flag::new());
        let child = Forked::start(Leaving::AtOnce, || {
            if drops {
                drop(inherit(&pair.pull));
                drop(inherit(&pair.push));
            }
            begun.raise();
            ended.wait();
        });
        begun.wait();
        drop(pair.pull);
        let gone = |event: &Event| matches!(event, Event::Disconnected { .. });
        while !gone(&monitor.recv_timeout(DEADLINE).expect("the connection ends")) {}
        let next = Pull::new(&pair.pull_context).expect("a PULL");
        next.bind(&endpoint).expect("bound again");
        pair.push.send_timeout("again", DEADLINE).expect("sent");
        assert_eq!(next.recv_timeout(DEADLINE).expect("received"), "again");
        ended.raise();
        child.succeed();
    }
}

/// A parent that is killed is gone for its peers once its child has dropped the copies.
#[test]
fn a_child_that_dropped_its_copies_holds_nothing_of_a_dead_parent() {
    let context = Context::new();
    let pull = Pull::new(&context).expect("a PULL");
    let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound");
    let monitor = pull.monitor();
    let (begun, ended) = (Flag::new(), Flag::new());
    let grandchild_ended = Flag::new();
    let parent = Forked::start(Leaving::AtOnce, || {
        let own = Context::new();
        let push = Push::new(&own).expect("a PUSH");
        push.connect(&endpoint).expect("connected");
        push.send_timeout("x", DEADLINE).expect("sent");
        push.wait_for_peers(1, DEADLINE).expect("connected");
        let child = Forked::start(Leaving::AtOnce, || {
            drop(inherit(&push));
            begun.raise();
            ended.wait();
            grandchild_ended.raise();
        });
        begun.wait();
        // It dies without a word, and its child lives.
        std::mem::forget(child);
    });
    parent.succeed();
    let gone = |event: &Event| matches!(event, Event::Disconnected { .. });
    while !gone(&monitor.recv_timeout(DEADLINE).expect("the connection ends")) {}
    ended.raise();
    grandchild_ended.wait();
}

/// Something that one process says and another hears.
struct Flag(PathBuf);

impl Flag {
    fn new() -> Flag {
        Flag(std::env::temp_dir().join(unique::name()))
    }

    fn raise(&self) {
        std::fs::write(&self.0, "").expect("a file");
    }

    fn wait(&self) {
        let end = Instant::now() + DEADLINE;
        while !self.0.exists() {
            assert!(Instant::now() < end, "never told");
            thread::yield_now();
        }
    }
}

impl Drop for Flag {
    fn drop(&mut self) {
        // It is not there if nobody has raised it.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A future that waits when its process forks waits on; the child's copy of it does nothing, and a future made there fails.
#[test]
fn a_child_leaves_the_parents_futures_alone() {
    let pair = Pair::over("tcp://127.0.0.1:*");
    let waker = std::task::Waker::noop();
    let mut context = std::task::Context::from_waker(waker);
    let mut waits = Box::pin(pair.pull.recv_async());
    assert!(waits.as_mut().poll(&mut context).is_pending());
    Forked::start(Leaving::AtOnce, || {
        let mut inherited = inherit(&waits);
        let mut context = std::task::Context::from_waker(waker);
        let polled = inherited.as_mut().poll(&mut context);
        assert_eq!(polled, Poll::Ready(Err(RecvError::Forked)));
        drop(inherited);
        let received = block_on(pair.pull.recv_async());
        assert_eq!(received, Err(RecvError::Forked));
        let refused = block_on(pair.push.send_async("x")).expect_err("the parent's");
        assert_eq!(refused.kind(), SendErrorKind::Forked);
        assert_eq!(refused.into_message(), "x");
    })
    .succeed();
    pair.push.send("for who waits").expect("sent");
    assert_eq!(block_on(waits).expect("a message"), "for who waits");
    pair.goes_on();
}

/// Every call says what is wrong, and none waits.
#[test]
fn a_child_is_told_that_the_socket_is_its_parents() {
    let pair = Pair::over("tcp://127.0.0.1:*");
    let context = &pair.push_context;
    let subscriber = Sub::new(context).expect("a SUB");
    let publisher = Pub::new(context).expect("a PUB");
    let rep = Rep::new(context).expect("a REP");
    let req = Req::new(context).expect("a REQ");
    let endpoint = rep.bind("tcp://127.0.0.1:*").expect("bound");
    req.connect(&endpoint).expect("connected");
    let monitor = pair.push.monitor();
    // A thread that has ended left the bias of both locks behind.
    let user = thread::scope(|scope| {
        let using = scope.spawn(|| (0..100).for_each(|_| pair.pass("again and again")));
        using.join()
    });
    user.expect("used");
    let request = thread::scope(|scope| {
        let asking = scope.spawn(|| req.request_timeout("?", DEADLINE));
        let request = rep.recv_timeout(DEADLINE).expect("a request");
        Forked::start(Leaving::AtOnce, || {
            let refused = inherit(&request).reply("!").expect_err("the parent's");
            assert_eq!(refused.kind(), ReplyErrorKind::Forked);
        })
        .succeed();
        request.reply("!").expect("replied");
        asking.join().expect("asked").expect("a reply")
    });
    assert_eq!(request, "!");
    Forked::start(Leaving::AtOnce, || {
        let (push, pull) = (&pair.push, &pair.pull);
        // Often enough that a thread with the bias would be found.
        for _ in 0..100 {
            let refused = push.send("x").expect_err("the parent's");
            assert_eq!(refused.kind(), SendErrorKind::Forked);
            assert_eq!(refused.into_message(), "x");
            assert_eq!(pull.recv(), Err(RecvError::Forked));
        }
        assert_eq!(pull.try_recv(), Err(RecvError::Forked));
        assert_eq!(pull.recv_batch(3), Err(RecvError::Forked));
        assert!(matches!(req.request("?"), Err(RequestError::Send(error)) if error.kind() == SendErrorKind::Forked));
        assert!(matches!(rep.recv(), Err(RecvError::Forked)));
        let refused = publisher.send("x").expect_err("the parent's");
        assert_eq!(refused.kind(), SendErrorKind::Forked);
        assert_eq!(subscriber.subscribe("x"), Err(SubscribeError::Forked));
        assert_eq!(subscriber.unsubscribe("x"), Err(SubscribeError::Forked));
        assert!(matches!(pull.bind("tcp://127.0.0.1:*"), Err(BindError::Forked)));
        assert!(matches!(pull.bind("inproc://x"), Err(BindError::Forked)));
        assert_eq!(push.connect("tcp://127.0.0.1:9"), Err(ConnectError::Forked));
        assert_eq!(push.connect("inproc://x"), Err(ConnectError::Forked));
        assert_eq!(push.disconnect("tcp://127.0.0.1:9"), Err(UnbindError::Forked));
        assert_eq!(pull.unbind("tcp://127.0.0.1:9"), Err(UnbindError::Forked));
        assert_eq!(push.wait_for_peers(1, DEADLINE), Err(WaitError::Forked));
        assert_eq!(push.last_endpoint(), None);
        assert_eq!(push.stats(), zerohop::Stats::default());
        assert_eq!(monitor.recv(), Err(RecvError::Forked));
        assert_eq!(monitor.try_recv(), Err(RecvError::Forked));
        assert_eq!(push.monitor().recv(), Err(RecvError::Forked));
        drop(inherit(&monitor));
        push.shutdown();
        context.shutdown();
        assert!(matches!(Push::new(context), Err(SocketError::Forked)));
    })
    .succeed();
    pair.goes_on();
    let reply = thread::scope(|scope| {
        let asking = scope.spawn(|| req.request_timeout("again", DEADLINE));
        let request = rep.recv_timeout(DEADLINE).expect("a request");
        request.reply("here").expect("replied");
        asking.join().expect("asked").expect("a reply")
    });
    assert_eq!(reply, "here");
}

/// A child, and a child of that, talk by contexts of their own.
#[test]
fn a_child_makes_a_context_of_its_own() {
    fn talk() {
        let own = Pair::over("tcp://127.0.0.1:*");
        for _ in 0..1_000 {
            own.push.send_timeout("own", DEADLINE).expect("sent");
        }
        for _ in 0..1_000 {
            assert_eq!(own.pull.recv_timeout(DEADLINE).expect("received"), "own");
        }
        own.goes_on();
    }
    let pair = Pair::over("tcp://127.0.0.1:*");
    Forked::start(Leaving::AtOnce, || {
        talk();
        let own = Pair::over("ipc://*");
        Forked::start(Leaving::AtOnce, || {
            assert_eq!(own.pull.recv(), Err(RecvError::Forked));
            assert_eq!(pair.pull.recv(), Err(RecvError::Forked));
            talk();
        })
        .succeed();
        own.goes_on();
    })
    .succeed();
    pair.goes_on();
}

/// Forked while threads send and receive and the background thread writes: whatever lock is held just then, no child waits for
/// it, and the parent's messages all arrive, in order, once.
#[test]
fn a_child_may_be_forked_in_the_middle_of_a_stream() {
    for endpoint in ["tcp://127.0.0.1:*", "ipc://*", "inproc://stream"] {
        let context = Context::new();
        let pull = Pull::new(&context).expect("a PULL");
        let endpoint = pull.bind(endpoint).expect("bound");
        let push = Push::with_options(&context, Options::new().send_hwm(100)).expect("a PUSH");
        push.connect(&endpoint).expect("connected");
        let monitor = push.monitor();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let mut number = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    let body = vec![
                        number as u8;
                        if number.is_multiple_of(7) {
                            20_000
                        } else {
                            100
                        }
                    ];
                    let frames = [number.to_be_bytes().to_vec(), body];
                    push.send_timeout(frames, DEADLINE).expect("sent");
                    number += 1;
                }
                push.send_timeout("end", DEADLINE).expect("sent");
                number
            });
            let receiver = scope.spawn(|| {
                let mut number = 0_u64;
                loop {
                    match pull.recv_timeout(DEADLINE).expect("received") {
                        end if end == "end" => return number,
                        message => assert_eq!(message.first(), &number.to_be_bytes()),
                    }
                    number += 1;
                }
            });
            for _ in 0..20 {
                Forked::start(Leaving::AtOnce, || {
                    assert!(push.send("x").is_err());
                    assert_eq!(pull.recv(), Err(RecvError::Forked));
                    drop(inherit(&monitor));
                    drop(inherit(&pull));
                    drop(inherit(&push));
                    drop(inherit(&context));
                    Pair::over("tcp://127.0.0.1:*").goes_on();
                })
                .succeed();
            }
            stop.store(true, Ordering::Relaxed);
            let (sent, received) = (sender.join(), receiver.join());
            assert_eq!(sent.expect("sent"), received.expect("received"));
        });
    }
}
