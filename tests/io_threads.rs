//! Several background threads in a context. In a process of its own, as its threads are counted.
#![cfg(target_os = "linux")]

mod common {
    pub(crate) mod block_on;
    pub(crate) mod deadline;
}

use std::num::NonZeroUsize;
use std::thread;
use std::time::Instant;

use zerohop::{Context, ContextOptions, Pull, Push};

use common::block_on::block_on;
use common::deadline::DEADLINE;

fn background_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("threads");
    let names = tasks.flatten().map(|task| {
        let name = std::fs::read_to_string(task.path().join("comm"));
        name.unwrap_or_default()
    });
    names.filter(|name| name.trim() == "zerohop").count()
}

fn wait_for_background_threads(count: usize) {
    let end = Instant::now() + DEADLINE;
    while background_threads() != count {
        let found = background_threads();
        assert!(Instant::now() < end, "{found} threads and not {count}");
        thread::yield_now();
    }
}

/// Tasks wait at sockets of all threads, which take in what comes; when the context and its sockets are gone, so are the threads.
#[test]
fn each_thread_looks_after_its_sockets() {
    let three = NonZeroUsize::new(3).expect("it is not 0");
    let context = Context::with_options(ContextOptions::new().io_threads(three));
    assert_eq!(background_threads(), 0);
    let pairs: Vec<_> = (0..4)
        .map(|_| {
            let pull = Pull::new(&context).expect("a PULL");
            let push = Push::new(&context).expect("a PUSH");
            push.connect(pull.bind("tcp://127.0.0.1:*").expect("bound"))
                .expect("connected");
            (push, pull)
        })
        .collect();
    // A thread takes its name once it runs.
    wait_for_background_threads(3);
    thread::scope(|scope| {
        for (push, pull) in &pairs {
            scope.spawn(|| {
                for number in 0..500_u32 {
                    let message = block_on(pull.recv_async()).expect("a message");
                    assert_eq!(message, number.to_be_bytes());
                }
            });
            scope.spawn(|| {
                for number in 0..500_u32 {
                    push.send(number.to_be_bytes()).expect("sent");
                    thread::yield_now();
                }
            });
        }
    });
    drop(pairs);
    drop(context);
    wait_for_background_threads(0);
}
