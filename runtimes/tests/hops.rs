//! Who takes in what comes for a task, or for a poller: no other thread. In a process of its own, as its threads are watched.
#![cfg(target_os = "linux")]

mod common {
    pub(crate) mod block_on;
    pub(crate) mod deadline;
}
mod place;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::thread;

use zerohop::{Context, Poller, Pull, Push, Rep, Req};

use common::deadline::DEADLINE;
use place::Place;

/// One test at a time.
static WATCHED: Mutex<()> = Mutex::new(());

/// The runtime's thread takes in what comes, and the background thread sleeps. (One that is woken for each message is switched to for
/// each.)
#[test]
fn a_message_wakes_its_task_without_the_background_thread() {
    const COUNT: u64 = 3_000;
    let _watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    for place in Place::with_reactors() {
        let contexts = [place.context(), place.context()];
        let (rep, req) = (Rep::new(&contexts[0]), Req::new(&contexts[1]));
        let (rep, req) = (rep.expect("a REP"), req.expect("a REQ"));
        req.connect(rep.bind("tcp://127.0.0.1:*").expect("bound"))
            .expect("connected");
        let ask = || async {
            let answer = async {
                let request = rep.recv_async().await.expect("a request");
                request.reply("9.99").expect("replied");
            };
            let ask = async { req.request_async("price?").await.expect("a reply") };
            futures_lite::future::zip(ask, answer).await;
        };
        place.run(ask());
        let before = switches_of_background_threads();
        place.run(async {
            for _ in 0..COUNT {
                ask().await;
            }
        });
        assert_slept(COUNT, &before);
    }
}

/// The thread that polls takes in what comes.
#[test]
fn a_message_wakes_a_poller_without_the_background_thread() {
    const COUNT: u64 = 3_000;
    let _watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    let contexts = [Context::new(), Context::new()];
    let pulls = contexts.each_ref().map(Pull::new);
    let pulls = pulls.map(|pull| pull.expect("a PULL"));
    let pushes = contexts.each_ref().map(Push::new);
    let pushes = pushes.map(|push| push.expect("a PUSH"));
    for (push, pull) in pushes.iter().rev().zip(&pulls) {
        let bound = pull.bind("tcp://127.0.0.1:*").expect("bound");
        push.connect(bound).expect("connected");
    }
    let rounds = |count: u64| {
        thread::scope(|scope| {
            for (push, pull) in pushes.iter().zip(&pulls) {
                scope.spawn(move || {
                    let mut poller = Poller::new().expect("a poller");
                    poller.add_recv(0, pull).expect("added");
                    for _ in 0..count {
                        let ready = poller.wait(Some(DEADLINE)).expect("waited");
                        assert_eq!(ready.len(), 1, "a message");
                        let message = pull.try_recv().expect("it is ready");
                        push.send(message).expect("sent");
                    }
                });
            }
        });
    };
    pushes[0].send("ball").expect("sent");
    rounds(1);
    let before = switches_of_background_threads();
    rounds(COUNT);
    assert_slept(COUNT, &before);
}

/// The background threads have slept through most of so many round trips since.
fn assert_slept(rounds: u64, before: &HashMap<u64, u64>) {
    let after = switches_of_background_threads();
    let more = |(thread, count): (&u64, &u64)| count - before.get(thread).unwrap_or(&0);
    let switches: u64 = after.iter().map(more).sum();
    // They look at the sockets every few milliseconds.
    assert!(
        switches < rounds / 2,
        "{switches} switches in {rounds} round trips"
    );
}

/// How often each of our threads has slept that wait for sockets.
fn switches_of_background_threads() -> HashMap<u64, u64> {
    let mut switches = HashMap::new();
    for task in std::fs::read_dir("/proc/self/task")
        .expect("threads")
        .flatten()
    {
        let read = |file| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if read("comm").trim() == "zerohop" {
            let status = read("status");
            let count = |line: &str| {
                line.strip_prefix("voluntary_ctxt_switches:")?
                    .trim()
                    .parse()
                    .ok()
            };
            let thread = task.file_name().to_string_lossy().parse();
            let count = status.lines().find_map(count).unwrap_or(0);
            switches.insert(thread.expect("a number"), count);
        }
    }
    switches
}
