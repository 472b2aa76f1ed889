//! The channel between two sockets of one process (`src/engine/inproc/channel.rs`), and the lane past its lock
//! (`src/sync/lane.rs`), under a model checker.
//!
//! The two barriers of unequal weight stand here as two full fences, which is what they amount to together. The lane
//! has room for two messages, so that few steps pass through all states.

use std::collections::VecDeque;
use std::process::Command;

use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use loom::thread;

/// What `src/sync.rs` gives the hand-overs.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering, fence};
    pub(crate) use loom::sync::{Mutex, MutexGuard};

    pub(crate) use super::lane::{Lane, Pushed, Writer};

    /// Like the one of the standard library, which loom does not know.
    pub(crate) struct OnceLock<T> {
        value: std::sync::OnceLock<T>,
        is_set: AtomicUsize,
    }

    impl<T> OnceLock<T> {
        pub(crate) fn new() -> Self {
            OnceLock {
                value: std::sync::OnceLock::new(),
                is_set: AtomicUsize::new(0),
            }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            match self.is_set.load(Ordering::Acquire) {
                0 => None,
                _ => self.value.get(),
            }
        }

        pub(crate) fn get_or_init(&self, init: impl FnOnce() -> T) -> &T {
            let value = self.value.get_or_init(init);
            self.is_set.store(1, Ordering::Release);
            value
        }
    }

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().expect("nobody panics while holding a lock")
    }
}

#[path = "../../src/engine/inproc/channel.rs"]
mod channel;
#[path = "../../src/sync/lane.rs"]
mod lane;
#[path = "sleeper.rs"]
mod sleeper;

const LANE_WORDS: usize = 4;
const LANE_BODY: usize = 8;

#[path = "barrier.rs"]
mod barrier;

/// No more than a hint to the processor.
fn prefetch_to_write(_word: &AtomicU64) {}

/// Where the channel looks for what stands here in place of the engine's buffers.
mod engine {
    pub(crate) mod peer {
        pub(crate) use crate::{out_buffer, out_buffer as outgoing, pool, withdraw};
    }
}

mod withdraw {
    #[derive(Debug, PartialEq, Eq)]
    pub(crate) enum Found {
        TakenOut,
        No,
    }
}

/// Stands in for the encoded bytes: a message is its number.
mod out_buffer {
    use super::lane::Blocks;
    use super::withdraw::Found;
    use super::{VecDeque, pool::ChunkPool};

    pub(crate) type Segment = u8;
    pub(crate) type Unsent = u8;

    pub(crate) enum Outgoing<'a> {
        Slice(&'a [u8]),
    }

    pub(crate) fn frame_len(_body_len: usize) -> usize {
        1
    }

    #[derive(Default)]
    pub(crate) struct OutBuffer {
        messages: Vec<u8>,
    }

    impl OutBuffer {
        pub(crate) fn push(&mut self, outgoing: Outgoing<'_>, _pool: &mut ChunkPool) {
            let Outgoing::Slice(body) = outgoing;
            self.messages.push(body[0]);
        }

        pub(crate) fn push_blocks(&mut self, len: usize, body: Blocks<'_>, _pool: &mut ChunkPool) {
            let body: Vec<u8> = body.flatten().take(len).collect();
            assert_eq!(body.len(), 1);
            self.messages.push(body[0]);
        }

        pub(crate) fn messages(&self) -> usize {
            self.messages.len()
        }

        pub(crate) fn unwritten(&self) -> usize {
            self.messages.len()
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.messages.is_empty()
        }

        pub(crate) fn drop_unstarted(&mut self, _pool: &mut ChunkPool) -> usize {
            std::mem::take(&mut self.messages).len()
        }

        pub(crate) fn withdraw(
            &mut self,
            wanted: impl Fn(&[u8]) -> bool,
            _pool: &mut ChunkPool,
        ) -> Found {
            let newest = self
                .messages
                .iter()
                .rposition(|message| wanted(&[*message]));
            match newest {
                Some(at) => {
                    self.messages.remove(at);
                    Found::TakenOut
                }
                None => Found::No,
            }
        }

        pub(crate) fn unwanted(&self) -> usize {
            0
        }

        pub(crate) fn drain(&mut self, _pool: &mut ChunkPool) -> Vec<Unsent> {
            std::mem::take(&mut self.messages)
        }

        pub(crate) fn clear(&mut self, _pool: &mut ChunkPool) {
            self.messages.clear();
        }

        pub(crate) fn take_segments(
            &mut self,
            into: &mut VecDeque<Segment>,
            _pool: &mut ChunkPool,
        ) -> usize {
            let messages = self.messages.len();
            into.extend(self.messages.drain(..));
            messages
        }
    }
}

mod pool {
    #[derive(Default)]
    pub(crate) struct ChunkPool;

    impl ChunkPool {
        pub(crate) fn refill(&mut self, _other: &mut ChunkPool) {}
    }
}

use channel::Channel;
use out_buffer::{OutBuffer, Outgoing};
use pool::ChunkPool;
use sleeper::Sleeper;
use sync::Writer;
use withdraw::Found;

fn check(preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(run);
}

/// Receives, and notes what came; whether there was anything.
fn receive(channel: &Channel, received: &mut VecDeque<u8>, stream: bool) -> bool {
    let before = received.len();
    let got = channel.receive(received, &mut ChunkPool, stream);
    assert_eq!(got.messages, received.len() - before);
    assert_eq!(got.bytes, got.messages);
    got.messages > 0 || got.has_news
}

/// A reader that takes all, and sleeps when there is nothing, gets every message, and in order: by the lock, by the
/// lane, by the lock as the lane is full. `before` have been sent when the reader first looks.
fn reader_is_told(before: u8, messages: u8) {
    let channel = Channel::new();
    let sleeper = Sleeper::new();
    let mut writer = Writer::default();
    for number in 0..before {
        let _ = channel.append_frame(&mut writer, &[number]);
    }
    let mut received = VecDeque::new();
    receive(&channel, &mut received, true);
    let sender = {
        let (channel, sleeper) = (std::sync::Arc::clone(&channel), sleeper.clone());
        thread::spawn(move || {
            for number in before..messages {
                let appended = channel.append_frame(&mut writer, &[number]);
                assert_eq!((appended.bytes, appended.replaced), (1, 0));
                if appended.tell {
                    sleeper.wake();
                }
            }
        })
    };
    while received.len() < usize::from(messages) {
        if !receive(&channel, &mut received, true) {
            sleeper.until_woken();
        }
    }
    sender.join().expect("sent");
    assert!(received.into_iter().eq(0..messages));
    assert_eq!(channel.queued(), 0);
    assert!(channel.reclaim(&mut ChunkPool).messages.is_empty());
}

#[test]
fn channel_tells_its_reader() {
    check(4, || reader_is_told(0, 3));
}

#[test]
fn lane_tells_its_reader() {
    check(4, || reader_is_told(1, 3));
    check(3, || reader_is_told(1, 5));
}

/// Topics and the end go by the lock, and overtake nothing.
#[test]
fn channel_ends_after_the_last_message() {
    check(4, || {
        let channel = Channel::new();
        let sleeper = Sleeper::new();
        let mut writer = Writer::default();
        let _ = channel.append_frame(&mut writer, &[0]);
        let mut received = VecDeque::new();
        receive(&channel, &mut received, true);
        let sender = {
            let (channel, sleeper) = (std::sync::Arc::clone(&channel), sleeper.clone());
            thread::spawn(move || {
                let push = |buffer: &mut OutBuffer, pool: &mut ChunkPool| {
                    buffer.push(Outgoing::Slice(&[1]), pool);
                };
                if channel.append(&mut writer, false, push).tell {
                    sleeper.wake();
                }
                channel.append_topic(b"topic", true);
                channel.close();
                sleeper.wake();
            })
        };
        let mut topics = 0;
        loop {
            let got = channel.receive(&mut received, &mut ChunkPool, true);
            if got.has_news {
                let news = channel.news();
                topics += news.topics.len();
                if news.closed {
                    break;
                }
            } else if got.messages == 0 {
                sleeper.until_woken();
            }
        }
        sender.join().expect("sent");
        assert_eq!((received, topics), (VecDeque::from([0, 1]), 1));
    });
}

/// What nobody has received comes back in order, wherever it was.
#[test]
fn what_is_left_is_reclaimed() {
    loom::model(|| {
        let channel = Channel::new();
        let mut writer = Writer::default();
        let _ = channel.append_frame(&mut writer, &[0]);
        let mut received = VecDeque::new();
        receive(&channel, &mut received, true);
        assert!(channel.lane_is_empty());
        for number in 1..5 {
            assert!(!channel.append_frame(&mut writer, &[number]).tell);
        }
        let long = [5; 2 * LANE_BODY];
        assert!(!channel.append_frame(&mut writer, &long).tell);
        assert_eq!(channel.queued(), 5);
        let reclaimed = channel.reclaim(&mut ChunkPool);
        assert_eq!(
            (reclaimed.messages, reclaimed.unwanted),
            (vec![1, 2, 3, 4, 5], 0)
        );
        assert_eq!(channel.queued(), 0);
    });
}

/// A message is received or withdrawn, never both; and neither keeps the reader from what comes after it.
#[test]
fn what_is_withdrawn_is_not_received() {
    check(4, || {
        let channel = Channel::new();
        let sleeper = Sleeper::new();
        let sender = {
            let (channel, sleeper) = (std::sync::Arc::clone(&channel), sleeper.clone());
            thread::spawn(move || {
                let mut writer = Writer::default();
                let mut send = |number| {
                    let push = |buffer: &mut OutBuffer, pool: &mut ChunkPool| {
                        buffer.push(Outgoing::Slice(&[number]), pool);
                    };
                    if channel.append(&mut writer, false, push).tell {
                        sleeper.wake();
                    }
                };
                send(1);
                let found = channel.withdraw(|body| body == [1]);
                send(2);
                found
            })
        };
        let mut received = VecDeque::new();
        while received.back() != Some(&2) {
            if !receive(&channel, &mut received, true) {
                sleeper.until_woken();
            }
        }
        let expected: &[u8] = match sender.join().expect("sent") {
            Found::TakenOut => &[2],
            Found::No => &[1, 2],
        };
        assert_eq!(received, expected);
    });
}

/// A sender with room for two messages waits until at least one is taken.
#[test]
fn channel_tells_its_starved_sender() {
    const MESSAGES: usize = 4;
    const ROOM: usize = 2;
    check(3, || {
        let channel = Channel::new();
        let (reader_sleeps, sender_sleeps) = (Sleeper::new(), Sleeper::new());
        let sender = {
            let channel = std::sync::Arc::clone(&channel);
            let (reader_sleeps, sender_sleeps) = (reader_sleeps.clone(), sender_sleeps.clone());
            thread::spawn(move || {
                let mut writer = Writer::default();
                for appended in 0..MESSAGES {
                    while appended - channel.released() >= ROOM
                        && appended - channel.await_released(appended - ROOM / 2) >= ROOM
                    {
                        sender_sleeps.until_woken();
                    }
                    if channel.append_frame(&mut writer, &[0]).tell {
                        reader_sleeps.wake();
                    }
                }
            })
        };
        let mut received = VecDeque::new();
        let mut taken = 0;
        while taken < MESSAGES {
            if !receive(&channel, &mut received, true) {
                reader_sleeps.until_woken();
                continue;
            }
            assert!(
                received.len() <= taken + ROOM,
                "no more than there was room for"
            );
            while taken < received.len() {
                taken += 1;
                if channel.release(taken) {
                    sender_sleeps.wake();
                }
            }
        }
        sender.join().expect("sent");
    });
}

/// A sender that forgets to note an append by the lock takes the lane while the reader has yet to take that.
fn sender_that_notes_nothing() {
    let channel = Channel::new();
    let mut writer = Writer::default();
    let _ = channel.append_frame(&mut writer, &[0]);
    let mut received = VecDeque::new();
    receive(&channel, &mut received, true);
    let push = |buffer: &mut OutBuffer, pool: &mut ChunkPool| {
        buffer.push(Outgoing::Slice(&[1]), pool);
    };
    let _ = channel.append(&mut Writer::default(), false, push);
    let _ = channel.append_frame(&mut writer, &[2]);
    receive(&channel, &mut received, true);
    assert_eq!(received, [0, 1, 2], "overtaken");
}

/// Set in a process of its own to the name of the rule that its model leaves out.
const WITHOUT: &str = "ZEROHOP_MODEL_WITHOUT";

/// The rules, and what happens without them.
const RULES: [(&str, &str); 2] = [("barriers", "deadlock"), ("order", "overtaken")];

fn check_without(rule: &str) {
    match rule {
        "barriers" => {
            barrier::BROKEN.store(true, std::sync::atomic::Ordering::Relaxed);
            check(4, || reader_is_told(1, 2));
        }
        "order" => check(4, sender_that_notes_nothing),
        unknown => panic!("no rule {unknown}"),
    }
}

/// The model sees what it is there to see. In processes of their own, since loom may abort over a deadlock.
#[test]
fn each_rule_of_the_lane_is_needed() {
    if let Ok(rule) = std::env::var(WITHOUT) {
        return check_without(&rule);
    }
    for (rule, end) in RULES {
        let this = std::env::current_exe().expect("this test binary");
        let output = Command::new(this)
            .args(["--exact", "each_rule_of_the_lane_is_needed", "--nocapture"])
            .env(WITHOUT, rule)
            .env("RUST_BACKTRACE", "0")
            .output()
            .expect("a child process");
        let text = String::from_utf8_lossy(&output.stderr);
        let found = !output.status.success() && text.contains(end);
        assert!(found, "without {rule} there was no {end}: {text}");
    }
}
