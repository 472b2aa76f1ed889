//! The ways in which programs come to have children: pools of workers, other programs, many threads that fork.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Barrier;
use std::thread;

use zerohop::{Context, Options, Pull, Push};

use crate::child::{Forked, Leaving, inherit};
use crate::common::deadline::DEADLINE;

/// Four threads fork in the middle of a stream, each for another reason, and the children overlap.
#[test]
fn threads_may_fork_side_by_side_in_the_middle_of_a_stream() {
    const MESSAGES: u64 = 100_000;
    for endpoint in ["tcp://127.0.0.1:*", "ipc://*"] {
        let context = Context::new();
        let pull = Pull::new(&context).expect("a PULL");
        let endpoint = pull.bind(endpoint).expect("bound");
        let push = Push::with_options(&context, Options::new().send_hwm(100)).expect("a PUSH");
        push.connect(&endpoint).expect("connected");
        let children: [fn(&Context, &Push, &Pull); 4] = [
            |_, _, _| {},
            |context, push, pull| {
                drop(inherit(context));
                drop(inherit(push));
                drop(inherit(pull));
            },
            |_, _, pull| {
                let error = pull.recv().expect_err("the parent's");
                assert_eq!(error, zerohop::RecvError::Forked);
            },
            |_, _, _| {
                let error = Command::new(OsStr::new("true")).exec();
                panic!("no such program: {error}");
            },
        ];
        let begin = Barrier::new(children.len());
        thread::scope(|scope| {
            let sender = scope.spawn(|| {
                for number in 0..MESSAGES {
                    let sent = push.send_timeout(number.to_be_bytes(), DEADLINE);
                    sent.expect("sent");
                }
            });
            let receiver = scope.spawn(|| {
                for number in 0..MESSAGES {
                    let message = pull.recv_timeout(DEADLINE).expect("received");
                    assert_eq!(message, number.to_be_bytes());
                }
            });
            for child in children {
                let (context, push, pull, begin) = (&context, &push, &pull, &begin);
                scope.spawn(move || {
                    begin.wait();
                    for round in 0..8 {
                        let leaving = match round % 2 {
                            0 => Leaving::AtOnce,
                            _ => Leaving::Normally,
                        };
                        Forked::start(leaving, || child(context, push, pull)).succeed();
                    }
                });
            }
            sender.join().expect("sent");
            receiver.join().expect("received");
        });
        assert_eq!(push.stats().reconnects, 0);
    }
}

/// As a server does that waits for requests in one thread while another starts helpers.
#[test]
fn children_come_and_go_while_the_parent_waits() {
    for endpoint in ["tcp://127.0.0.1:*", "ipc://*", "inproc://waits"] {
        let context = Context::new();
        let pull = Pull::new(&context).expect("a PULL");
        let endpoint = pull.bind(endpoint).expect("bound");
        let push = Push::new(&context).expect("a PUSH");
        push.connect(&endpoint).expect("connected");
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let mut received = 0;
                while pull.recv_timeout(DEADLINE).expect("received") != "end" {
                    received += 1;
                }
                received
            });
            for round in 0..10 {
                let leaving = match round % 2 {
                    0 => Leaving::AtOnce,
                    _ => Leaving::Normally,
                };
                Forked::start(leaving, || drop(inherit(&pull))).succeed();
                push.send_timeout("one", DEADLINE).expect("sent");
                Forked::start(leaving, || drop(inherit(&push))).succeed();
            }
            push.send_timeout("end", DEADLINE).expect("sent");
            assert_eq!(waiting.join().expect("received"), 10);
        });
        assert_eq!(push.stats().reconnects, 0);
    }
}

/// A pool as Python's `multiprocessing` makes it: the parent has its sockets before it forks, and its workers make
/// contexts of their own and talk to it.
#[test]
fn a_pool_of_workers_talks_to_its_parent() {
    const WORKERS: usize = 4;
    const TASKS: usize = 400;
    let context = Context::new();
    let tasks = Push::new(&context).expect("a PUSH");
    let task_endpoint = tasks.bind("tcp://127.0.0.1:*").expect("bound");
    let results = Pull::new(&context).expect("a PULL");
    let result_endpoint = results.bind("ipc://*").expect("bound");
    let work = || {
        let own = Context::new();
        let todo = Pull::new(&own).expect("a PULL");
        todo.connect(&task_endpoint).expect("connected");
        let done = Push::new(&own).expect("a PUSH");
        done.connect(&result_endpoint).expect("connected");
        loop {
            let task = todo.recv_timeout(DEADLINE).expect("a task");
            if task == "end" {
                break;
            }
            done.send_timeout(task, DEADLINE).expect("sent");
        }
        done.close(DEADLINE).expect("all is delivered");
    };
    let workers: Vec<Forked> = (0..WORKERS)
        .map(|_| Forked::start(Leaving::AtOnce, work))
        .collect();
    tasks.wait_for_peers(WORKERS, DEADLINE).expect("workers");
    for number in 0..TASKS {
        tasks
            .send_timeout(number.to_string(), DEADLINE)
            .expect("sent");
    }
    let mut done: Vec<usize> = (0..TASKS)
        .map(|_| {
            let result = results.recv_timeout(DEADLINE).expect("a result");
            result.first().to_string_lossy().parse().expect("a number")
        })
        .collect();
    done.sort_unstable();
    assert!(done.into_iter().eq(0..TASKS));
    for _ in 0..WORKERS {
        tasks.send_timeout("end", DEADLINE).expect("sent");
    }
    workers.into_iter().for_each(Forked::succeed);
}
