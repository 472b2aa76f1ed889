//! Peers that say anything of acknowledged delivery, of logs and of requests that are sent again: what they say is refused, or means something, and never more than was
//! promised.
//!
//! An input is a script: a byte that says what happens, and for a command its length and its fields.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::zmtp::delivery::wire::{Settled, parse_settle};
use crate::zmtp::delivery::{
    Content, HeldKey, Job, Notice, Policy, Receiver, Room, Sender, Settling, Taken, Terms,
};
use crate::zmtp::idempotent::{self, Asked, Key, Limits, Memory, Requester};
use crate::zmtp::replay::{Feed, Follower, LogNotice, Progress, feed};
use crate::zmtp::{Command, decode_header};

const WINDOW: u64 = 5;

/// More is not offered, so that an input takes no time to speak of.
const MOST: usize = 64;

/// What happens, one thing after the other.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// As many bytes as the next one says, or as there are.
    fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte().unwrap_or(0)).min(self.0.len());
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        bytes
    }
}

/// The commands in these frames.
fn each_command(mut frames: &[u8], mut each: impl FnMut(Command<'_>)) {
    while !frames.is_empty() {
        let header = decode_header(frames).expect("whole headers");
        let (frame, rest) = frames.split_at(header.frame_len() as usize);
        each(Command::parse(&frame[header.header_len..]).expect("a command"));
        frames = rest;
    }
}

/// Any bytes as what a receiver says to a sender, and a sender to a receiver; and as what a REQ and a REP say of themselves.
pub fn delivery(data: &[u8]) {
    handshakes(data);
    let mut script = Script(data);
    let mut ends = Ends::new();
    while let Some(what) = script.byte() {
        ends.step(what, &mut script);
    }
}

fn handshakes(data: &[u8]) {
    if let Some(id) = idempotent::parse_requester(data) {
        let said = idempotent::requester_value(id);
        assert_eq!(said[1..], data[1..17]);
        let limits = Limits {
            replies: 2,
            bytes: 400,
            keep_for: Duration::from_secs(1),
        };
        let now = Instant::now();
        let requester = Arc::new(Requester {
            id,
            principal: None,
        });
        let mut memory = Memory::new(limits);
        for byte in &data[17..] {
            let key = Key {
                requester: Arc::clone(&requester),
                number: u64::from(byte % 16),
            };
            if memory.ask(&key, (), now) == Asked::New && byte & 0x10 != 0 {
                let size = usize::from(*byte) * 2;
                assert_eq!(
                    memory.reply(key.clone(), *byte, size, now),
                    size + 128 <= 400
                );
            }
            match byte & 0xe0 {
                0x20 => memory.give_up(&key),
                0x40 => memory.expire(now + Duration::from_secs(1)),
                _ => {}
            }
            memory.forgotten().for_each(drop);
        }
    }
    assert_eq!(
        idempotent::parse_replier(data).is_some(),
        data.first().is_some_and(|version| *version > 0)
    );
}

/// A sender and a receiver, each with a peer that says anything.
struct Ends {
    now: Instant,
    sender: Sender<usize>,
    offered: usize,
    finished: usize,
    receiver: Receiver,
    waiting: u64,
    /// Messages that have come on this connection, and what was said of them.
    taken: u64,
    settled: u64,
    held: Vec<HeldKey>,
}

impl Ends {
    fn new() -> Ends {
        let policy = Policy {
            grace: Duration::from_millis(10),
            backoff: (Duration::from_millis(1), Duration::from_millis(5)),
            limit: 3,
        };
        let mut ends = Ends {
            now: Instant::now(),
            sender: Sender::new(policy, 1),
            offered: 0,
            finished: 0,
            receiver: Receiver::new(WINDOW, Some(Duration::from_millis(20))),
            waiting: 0,
            taken: 0,
            settled: 0,
            held: Vec::new(),
        };
        ends.sender.opened(0, Some(([1; 16].into(), WINDOW)));
        ends.receiver.opened(0, [2; 16].into());
        ends
    }

    fn step(&mut self, what: u8, script: &mut Script<'_>) {
        match what % 10 {
            0 if self.offered < MOST => {
                // Some are copied, and some are not.
                let content = match self.offered % 3 {
                    0 => Content::Whole(self.offered),
                    _ => Content::Short(&[7; 40]),
                };
                self.sender.offer(content, false, Terms::default());
                self.offered += 1;
            }
            1 => {
                let said = script.bytes();
                if self.sender.settle(0, said, self.now).is_err() {
                    self.sender.closed(0, 0, self.now);
                    self.sender.opened(0, Some(([1; 16].into(), WINDOW)));
                }
            }
            2 => {
                let unwritten = usize::from(what / 10);
                self.sender.closed(0, unwritten, self.now);
                let id = script.byte().unwrap_or(0);
                self.sender
                    .opened(0, Some(([id; 16].into(), u64::from(id % 8))));
            }
            3 => {
                let said = script.bytes();
                let fits = self.receiver.run(0, said).is_ok();
                self.or_close(fits);
            }
            4 => {
                self.waiting += 1;
                let fits = self.receiver.arrived(0, self.waiting).is_ok();
                assert!(!fits || self.waiting <= WINDOW, "out of the window");
                self.or_close(fits);
            }
            5 if self.waiting > 0 => self.take(what >= 128),
            6 if !self.held.is_empty() => {
                let key = self.held.swap_remove(usize::from(what) % self.held.len());
                let settling = match what % 3 {
                    0 => Settling::Done,
                    1 => Settling::Retry(None),
                    _ => Settling::Rejected("no".to_owned()),
                };
                // It may have come too late.
                let _ = self.receiver.settle(key, &settling);
            }
            7 => self.or_close(false),
            _ => {
                self.now += Duration::from_millis(u64::from(what));
                if self.sender.deadline().is_some_and(|at| at <= self.now) {
                    self.sender.handle_timeout(self.now);
                }
                if self.receiver.deadline().is_some_and(|at| at <= self.now) {
                    self.receiver.handle_timeout(self.now);
                }
            }
        }
        while self.sender.next(|_, _| Room::Free).is_some() {}
        self.finished += self.sender.finished().count();
        let settled = self.sender.settled().map(|(_, count)| count as usize);
        self.finished += settled.sum::<usize>();
        assert_eq!(self.sender.len() + self.finished, self.offered);
        self.report();
    }

    fn take(&mut self, at_once: bool) {
        self.waiting -= 1;
        self.taken += 1;
        match self.receiver.take(0) {
            Some(Taken::New(job)) if at_once => self.receiver.done(job),
            Some(Taken::New(job)) => self.hold(job),
            Some(Taken::Known) | None => {}
        }
    }

    fn hold(&mut self, job: Job) {
        assert!(job.number > 0 || job.deliveries < u64::MAX);
        self.held.push(self.receiver.hold(job, self.now));
    }

    /// Without it the connection ends, and there is another one.
    fn or_close(&mut self, fits: bool) {
        if !fits {
            self.receiver.closed(0);
            self.receiver.opened(0, [2; 16].into());
            (self.waiting, self.taken, self.settled) = (0, 0, 0);
        }
    }

    /// Each message is settled once at the most, and only what has been taken.
    fn report(&mut self) {
        while self.receiver.hurried().is_some() {}
        let mut said = Vec::new();
        self.receiver.report(0, self.now, &mut said);
        each_command(&said, |command| {
            let Command::Delivery(Notice::Settle(data)) = command else {
                panic!("{command:?}");
            };
            self.settled += match parse_settle(data).expect("what is said makes sense") {
                Settled::Done(ranges) => ranges.map(|(_, length)| length).sum(),
                Settled::Retry(..) | Settled::Rejected(..) => 1,
                // It was not taken.
                Settled::Revoked(_) => 0,
            };
        });
        assert!(self.settled <= self.taken, "settled what was not taken");
    }
}

/// Any bytes as what a subscriber says to a publisher with a log, and a publisher to a subscriber. What the publisher says of it an honest subscriber understands.
pub fn replay(data: &[u8]) {
    let mut script = Script(data);
    let mut log = Published::new();
    let mut subscriber = Subscriber::default();
    while let Some(what) = script.byte() {
        match what % 12 {
            0 => log.asked(script.bytes()),
            1 => log.cancelled(script.bytes()),
            2 | 3 => log.publish(script.bytes()),
            4 | 5 => log.read(),
            6 => subscriber.said(LogNotice::Start(script.bytes())),
            7 => subscriber.said(LogNotice::At(script.bytes())),
            8 => subscriber.said(LogNotice::Gap(script.bytes())),
            9 => subscriber.said(LogNotice::Next(script.bytes())),
            10 if what >= 128 => subscriber.ask(script.bytes()),
            10 => subscriber.arrive(),
            _ => {
                subscriber.take();
            }
        }
    }
}

/// A publisher, of whom anything is asked; and a subscriber that has asked for that.
struct Published {
    firsts: Vec<Vec<u8>>,
    feed: Feed,
    honest: Subscriber,
}

impl Published {
    fn new() -> Published {
        Published {
            firsts: Vec::new(),
            feed: Feed::new(0),
            honest: Subscriber::default(),
        }
    }

    fn next(&self) -> u64 {
        self.firsts.len() as u64
    }

    fn asked(&mut self, data: &[u8]) {
        let Ok((start, topic)) = feed::parse(LogNotice::Replay(data)) else {
            return;
        };
        if self.feed.topics() >= MOST {
            return;
        }
        self.honest.ask(topic);
        let next = self.next();
        if let Some(search) = self.feed.replay(topic, start, next) {
            self.feed.found(search.number, next / 2);
        }
        let mut said = Vec::new();
        while self.feed.answer(next, &mut said).is_some() {}
        self.say(&said);
    }

    fn cancelled(&mut self, topic: &[u8]) {
        self.feed.cancel(topic);
        self.honest.cancel(topic);
    }

    fn publish(&mut self, first: &[u8]) {
        if self.firsts.len() >= 4 * MOST {
            return;
        }
        let offset = self.next();
        self.firsts.push(first.to_vec());
        if self.feed.is_live() {
            // It has no room for it, and reads it later.
            self.feed.fall_behind(offset);
        }
    }

    /// The next message of the log goes, or is passed over.
    fn read(&mut self) {
        let (progress, _) = self.feed.to_read();
        let (offset, next) = (progress.position(), self.next());
        let mut said = Vec::new();
        match self.firsts.get(offset as usize) {
            Some(first) if progress.wants(offset, first) => {
                self.feed.send(offset, &mut said);
                self.say(&said);
                self.honest.arrive();
                let had = self.honest.take();
                assert_eq!(had, Some(offset), "another message than was sent");
            }
            Some(_) => {
                self.feed.pass(offset + 1, next);
                self.feed.tell_next(next, 2, &mut said);
                self.say(&said);
            }
            None => self.feed.pass(next, next),
        }
    }

    fn say(&mut self, frames: &[u8]) {
        let honest = &mut self.honest;
        each_command(frames, |command| {
            let Command::Log(notice) = command else {
                panic!("{command:?}");
            };
            assert_eq!(honest.follower.notice(notice), Ok(()));
        });
        self.honest.settle();
    }
}

/// One to whom anything is said.
#[derive(Default)]
struct Subscriber {
    follower: Follower,
    progress: Progress,
    waiting: u64,
    asked: usize,
}

impl Subscriber {
    fn ask(&mut self, topic: &[u8]) {
        if self.asked < MOST {
            self.asked += 1;
            self.follower.ask(topic);
        }
    }

    fn cancel(&mut self, topic: &[u8]) {
        self.follower.cancel(topic);
        self.progress.end(topic);
    }

    fn said(&mut self, notice: LogNotice<'_>) {
        let fits = self.follower.notice(notice).is_ok();
        self.or_close(fits);
    }

    fn arrive(&mut self) {
        self.waiting += 1;
        let fits = self.follower.arrived(self.waiting).is_ok();
        self.or_close(fits);
    }

    /// Without it the connection ends. What has come before is still taken, by whoever gets there.
    fn or_close(&mut self, fits: bool) {
        if !fits {
            self.asked = 0;
            self.settle();
            while self.waiting > 0 {
                self.take();
            }
            self.follower = Follower::default();
        }
    }

    fn settle(&mut self) {
        let before = self.progress.position();
        while self.follower.settle(&mut self.progress).is_some() {
            assert!(self.progress.position() >= before, "a gap leads back");
        }
    }

    fn take(&mut self) -> Option<u64> {
        self.settle();
        self.waiting = self.waiting.checked_sub(1)?;
        let numbered = self.follower.take(&mut self.progress, b"abc")?;
        assert!(self.progress.position() > numbered.offset || numbered.offset == u64::MAX);
        Some(numbered.offset)
    }
}
