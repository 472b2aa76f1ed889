//! A message that is kept costs little more than itself: it never pins the buffer it came in.

use zerohop::{Context, Push};

use crate::common::deadline::DEADLINE;
use crate::idle::resident;
use crate::worker::Worker;

/// Messages, and of how many one is kept. A debug build is slower, and the same number kept measures as well.
const MESSAGES: u64 = if cfg!(debug_assertions) {
    1_000_000
} else {
    10_000_000
};
const EVERY: u64 = MESSAGES / 10_000;

const MOST: u64 = 256;

#[test]
fn kept_messages_pin_nothing() {
    let mut keeper = Worker::start(&format!("keep {EVERY}"));
    let endpoint = keeper.next();
    let push = Push::new(&Context::new()).expect("a PUSH");
    push.connect(&endpoint).expect("connected");
    let mut send = |count: u64| {
        keeper.tell(&count.to_string());
        for _ in 0..count {
            push.send_timeout([b'x'; 64], DEADLINE).expect("sent");
        }
        let kept: u64 = keeper.next().parse().expect("a number");
        (kept, resident(keeper.id()))
    };
    // Buffers and code come in first.
    let (before, Some(small)) = send(MESSAGES / 10) else {
        return;
    };
    let (after, Some(large)) = send(MESSAGES) else {
        return;
    };
    let each = large.saturating_sub(small) / (after - before);
    println!("{each} bytes for each of {} messages kept", after - before);
    assert!(each < MOST, "{each} bytes for each message kept");
}
