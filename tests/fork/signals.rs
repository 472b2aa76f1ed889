//! Signals: none ends the application because of a peer, and none ends a call.

#![allow(unsafe_code)]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use zerohop::spool::{Spool, Sync as Safe};
use zerohop::{
    Context, Delivery, Log, Options, Poller, Pub, Pull, Push, RecvError, Rep, ReplayFrom, Req, Sub,
};

use crate::child::{Forked, Leaving, Over};
use crate::common::block_on::block_on;
use crate::common::deadline::DEADLINE;
use crate::common::unique;

mod system {
    use std::ffi::c_int;

    unsafe extern "C" {
        pub(super) fn signal(signal: c_int, handler: usize) -> usize;
        pub(super) fn siginterrupt(signal: c_int, interrupts: c_int) -> c_int;
        pub(super) fn tgkill(process: c_int, thread: c_int, signal: c_int) -> c_int;
    }

    pub(super) const SIG_DFL: usize = 0;
    pub(super) const SIGUSR1: c_int = 10;
    pub(super) const SIGPIPE: c_int = 13;
}

/// A Rust program ignores `SIGPIPE`; another that has a library written in Rust does not.
#[test]
fn a_peer_that_dies_raises_no_signal() {
    Forked::start(Leaving::AtOnce, || {
        // SAFETY: nothing in this child counts on the signal's being ignored.
        unsafe { system::signal(system::SIGPIPE, system::SIG_DFL) };
        for round in 0..30 {
            let endpoint = ["tcp://127.0.0.1:*", "ipc://*"][round % 2];
            let context = Context::new();
            let options = Options::new()
                .linger(Duration::ZERO)
                .send_timeout(Duration::from_millis(5));
            let push = Push::with_options(&context, options).expect("a PUSH");
            let pull = Pull::new(&context).expect("a PULL");
            push.connect(pull.bind(endpoint).expect("bound"))
                .expect("connected");
            push.send("x").expect("sent");
            pull.recv_timeout(DEADLINE).expect("received");
            thread::scope(|scope| {
                let sending = scope.spawn(|| {
                    let mut sent = 0;
                    while push.send(vec![0; 30_000]).is_ok() {
                        sent += 1;
                    }
                    sent
                });
                pull.recv_timeout(DEADLINE).expect("received");
                // With data that it has not read: the end is a reset.
                drop(pull);
                assert!(sending.join().expect("it sent") > 0);
            });
        }
    })
    .succeed();
}

static CAUGHT: AtomicUsize = AtomicUsize::new(0);

extern "C" fn caught(_: std::ffi::c_int) {
    CAUGHT.fetch_add(1, Ordering::Relaxed);
}

/// Has signals interrupt all other threads of this process, again and again.
fn storm(over: &AtomicBool) {
    let process = i32::try_from(std::process::id()).expect("a number");
    let name = fs::read_link("/proc/thread-self").expect("this thread");
    let myself = name.file_name().expect("its number").to_owned();
    while !over.load(Ordering::Relaxed) {
        for thread in fs::read_dir("/proc/self/task").expect("threads") {
            let name = thread.expect("a thread").file_name();
            let number = name.to_string_lossy().parse().expect("a number");
            if name != myself {
                // SAFETY: it is caught. A thread that has gone meanwhile gets none.
                unsafe { system::tgkill(process, number, system::SIGUSR1) };
            }
        }
        thread::sleep(Duration::from_micros(200));
    }
}

/// With a handler that has no call of the system go on.
#[test]
fn no_signal_ends_a_call() {
    const WHILE: Duration = Duration::from_millis(1500);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique::name());
    // In a child, whose threads are those of this test alone.
    let child = Forked::start(Leaving::AtOnce, || {
        let handler: extern "C" fn(std::ffi::c_int) = caught;
        // SAFETY: the handler does what handlers may.
        unsafe {
            system::signal(system::SIGUSR1, handler as usize);
            system::siginterrupt(system::SIGUSR1, 1);
        }
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| storm(&over));
            let _ended = Over(&over);
            let end = Instant::now() + WHILE;
            let mut round = 0;
            while Instant::now() < end {
                let folder = folder.join(round.to_string());
                fs::create_dir_all(&folder).expect("a folder");
                call_everything(&folder);
                round += 1;
            }
        });
        let caught = CAUGHT.load(Ordering::Relaxed);
        assert!(caught > 1000, "no more than {caught} signals");
    });
    child.succeed();
    fs::remove_dir_all(&folder).expect("removed");
}

fn call_everything(folder: &Path) {
    let names = ["tcp://lo:*", "tcp://localhost:*"];
    let plain = ["tcp://127.0.0.1:*", "ipc://*", "inproc://signals"];
    for endpoint in plain.into_iter().chain(names) {
        let context = Context::new();
        let (pull, push) = (Pull::new(&context), Push::new(&context));
        let (pull, push) = (pull.expect("a PULL"), push.expect("a PUSH"));
        push.connect(pull.bind(endpoint).expect("bound"))
            .expect("connected");
        stream(&push, &pull);
        wait_in_time(&pull);
        ask(&context, endpoint);
        push.close(DEADLINE).expect("closed");
    }
    store(folder);
    publish(folder);
}

/// Messages in a thread, by a poller, and in a task.
fn stream(push: &Push, pull: &Pull) {
    const MESSAGES: u32 = 150;
    let mut poller = Poller::new().expect("a poller");
    poller.add_recv(0, pull).expect("added");
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..MESSAGES {
                let mut message = vec![0; if number % 2 == 0 { 4 } else { 100_000 }];
                message[..4].copy_from_slice(&number.to_be_bytes());
                push.send(message).expect("sent");
            }
        });
        for number in 0..MESSAGES {
            let message = match number % 3 {
                0 => pull.recv_timeout(DEADLINE),
                1 => block_on(pull.recv_async()),
                _ => {
                    let ready = poller.wait(Some(DEADLINE)).expect("waited");
                    assert_eq!(ready.len(), 1);
                    pull.try_recv()
                }
            };
            let message = message.expect("received");
            assert_eq!(message.first()[..4], number.to_be_bytes());
        }
    });
}

/// What is interrupted waits on, for the rest of the time.
fn wait_in_time(pull: &Pull) {
    let time = Duration::from_millis(20);
    let begun = Instant::now();
    assert_eq!(pull.recv_timeout(time), Err(RecvError::TimedOut));
    assert!(begun.elapsed() >= time);
    let mut poller = Poller::new().expect("a poller");
    poller.add_recv(0, pull).expect("added");
    let begun = Instant::now();
    assert!(poller.wait(Some(time)).expect("waited").is_empty());
    assert!(begun.elapsed() >= time);
}

fn ask(context: &Context, endpoint: &str) {
    let (req, rep) = (Req::new(context), Rep::new(context));
    let (req, rep) = (req.expect("a REQ"), rep.expect("a REP"));
    let endpoint = endpoint.replace("signals", "questions");
    req.connect(rep.bind(endpoint).expect("bound"))
        .expect("connected");
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..30 {
                let request = rep.recv_timeout(DEADLINE).expect("a request");
                request.reply("here").expect("replied");
            }
        });
        for _ in 0..30 {
            let reply = req.request_timeout("?", DEADLINE).expect("a reply");
            assert_eq!(reply, "here");
        }
    });
}

fn store(folder: &Path) {
    let context = Context::new();
    let delivery = Delivery::at_least_once();
    let pull = Pull::with_options(&context, Options::new().delivery(delivery.clone()));
    let pull = pull.expect("a PULL");
    let spool = Spool::at(folder.join("spool")).sync(Safe::Disk);
    let push = Push::with_options(&context, Options::new().delivery(delivery.spool(spool)));
    let push = push.expect("a PUSH");
    push.connect(pull.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    for _ in 0..5 {
        push.send(vec![1; 5000]).expect("stored");
    }
    let sent = push.send_batch((0..20).map(|_| vec![2; 100]));
    sent.expect("stored");
    for _ in 0..25 {
        let job = pull.recv_job_timeout(DEADLINE).expect("received");
        job.settle().expect("settled");
    }
    push.close(DEADLINE).expect("closed");
}

fn publish(folder: &Path) {
    let context = Context::new();
    let log = Options::new().log(Log::at(folder.join("log")));
    let publisher = Pub::with_options(&context, log).expect("a PUB");
    let sub = Sub::new(&context).expect("a SUB");
    let cursor = folder.join("cursor");
    sub.subscribe_from("", ReplayFrom::Resume(cursor))
        .expect("subscribed");
    for _ in 0..20 {
        publisher.send("x").expect("published");
    }
    publisher.commit().expect("written");
    sub.connect(publisher.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    for _ in 0..20 {
        sub.recv_timeout(DEADLINE).expect("received");
    }
    sub.save_cursors().expect("saved");
    publisher.close(DEADLINE).expect("closed");
}
