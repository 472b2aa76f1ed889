//! A stream is the work of the thread that receives it.

use std::fs;

use zerohop::{Context, Pull, Push};

use crate::common::deadline::DEADLINE;
use crate::gate::missing;
use crate::worker::{Worker, say};

/// Long enough that reading what has arrived takes longer than a turn, and is never done.
const LENGTH: usize = 16 * 1024;

const MESSAGES: usize = 100_000;

/// The background thread's part of the time that the process has spent, in a hundred.
const MOST: u64 = 5;

/// If the background thread reads as well, the two fight for the socket, and messages pass from one processor to the other.
#[test]
fn the_background_thread_keeps_out_of_a_stream() {
    let receiver = Worker::start("receive_stream");
    let sender = Worker::start(&format!("send_stream {}", receiver.next()));
    let line = receiver.next();
    let Some((background, whole)) = line.split_once(' ') else {
        return missing("the time of each thread", "/proc/self/task");
    };
    println!("{background} ns of {whole} ns in the background");
    let [background, whole] = [background, whole].map(|time| time.parse::<u64>().expect("a time"));
    assert!(whole > 0, "no time spent on {MESSAGES} messages");
    assert!(
        background * 100 <= whole * MOST,
        "{background} ns of {whole} ns in the background"
    );
    sender.finish();
    receiver.finish();
}

pub(crate) fn send_stream(endpoint: &str) {
    let context = Context::new();
    let push = Push::new(&context).expect("a PUSH");
    push.connect(endpoint).expect("connected");
    let body = vec![7; LENGTH];
    for _ in 0..MESSAGES {
        push.send(&body).expect("sent");
    }
    push.close(DEADLINE).expect("all sent");
}

pub(crate) fn receive_stream() {
    let context = Context::new();
    let pull = Pull::new(&context).expect("a PULL");
    say(pull.bind("tcp://127.0.0.1:*").expect("bound"));
    for _ in 0..MESSAGES {
        assert_eq!(pull.recv().expect("a message").size(), LENGTH);
    }
    match spent() {
        Some((background, whole)) => say(format!("{background} {whole}")),
        None => say("unknown"),
    }
}

/// The time on a processor in nanoseconds: of the library's thread, and of all of this process's.
fn spent() -> Option<(u64, u64)> {
    let (mut background, mut whole) = (0, 0);
    for thread in fs::read_dir("/proc/self/task").ok()? {
        let thread = thread.ok()?.path();
        let times = fs::read_to_string(thread.join("schedstat")).ok()?;
        let time: u64 = times.split(' ').next()?.parse().ok()?;
        if fs::read_to_string(thread.join("comm")).ok()?.trim() == "zerohop" {
            background += time;
        }
        whole += time;
    }
    Some((background, whole))
}
