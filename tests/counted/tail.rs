//! The case in which libzmq loses messages: a sender pushes, closes and exits while the receiver is still reading.

use zerohop::{Context, Options, Pull};

use crate::common::deadline::DEADLINE;
use crate::common::unique;
use crate::worker::Worker;

const COUNT: u64 = 200_000;

/// Reads slowly: only after the sender has gone, as far as the queues between them allow for that.
fn all_arrive(endpoint: &str, send_hwm: usize, recv_hwm: usize) {
    let context = Context::new();
    let pull = Pull::with_options(&context, Options::new().recv_hwm(recv_hwm)).expect("a PULL");
    let endpoint = pull.bind(endpoint).expect("bound").to_string();
    let sender = Worker::start(&format!("push_and_exit {endpoint} {COUNT} {send_hwm}"));
    let next = |number: u64| {
        let message = pull.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(message, number.to_be_bytes());
    };
    let mut number = 0;
    while number < COUNT {
        // A step at a time while the sender is there, and looking elsewhere in between.
        next(number);
        number += 1;
        if number % 1000 == 0 && number < COUNT / 2 {
            std::thread::yield_now();
        }
    }
    assert_eq!(sender.next(), "gone");
    sender.finish();
    assert!(pull.try_recv().is_err(), "more than was sent");
}

/// Nothing is read before the sender's process has ended.
fn all_arrive_after_the_end(endpoint: &str) {
    let context = Context::new();
    let pull = Pull::with_options(&context, Options::new().recv_hwm(0)).expect("a PULL");
    let endpoint = pull.bind(endpoint).expect("bound").to_string();
    let sender = Worker::start(&format!("push_and_exit {endpoint} {COUNT} 0"));
    assert_eq!(sender.next(), "gone");
    sender.finish();
    for number in 0..COUNT {
        let message = pull.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(message, number.to_be_bytes());
    }
    assert!(pull.try_recv().is_err(), "more than was sent");
}

fn ipc() -> String {
    let folder = std::env::temp_dir();
    format!("ipc://{}/{}", folder.display(), unique::name())
}

#[test]
fn over_tcp() {
    all_arrive("tcp://127.0.0.1:*", 1000, 1000);
    all_arrive("tcp://127.0.0.1:*", 0, 10);
}

#[test]
fn over_ipc() {
    all_arrive(&ipc(), 1000, 1000);
    all_arrive(&ipc(), 0, 10);
}

#[test]
fn over_tcp_after_the_end() {
    all_arrive_after_the_end("tcp://127.0.0.1:*");
}

#[test]
fn over_ipc_after_the_end() {
    all_arrive_after_the_end(&ipc());
}
