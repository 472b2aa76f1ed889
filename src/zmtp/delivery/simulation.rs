//! Both ends over links that are cut anywhere: whatever the schedule, each message is received, and finished, as it is promised.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::receiver::Unsettled;
use super::sender::{Content, Held, Left, Next, Sender};
use super::wire::{put_revoke, put_run};
use super::{
    DeadLine, DeliveryError, Fate, HeldKey, Notice, Policy, Receiver, Room, Settling, Taken, Terms,
};
use crate::zmtp::{Command, decode_header};

/// As many as run with every test. `ZEROHOP_SCHEDULES` says otherwise.
const SCHEDULES: u64 = 2_000;

const WINDOW: u64 = 5;
const GRACE: Duration = Duration::from_millis(50);
const JOB_TIMEOUT: Duration = Duration::from_millis(200);
const TTL: Duration = Duration::from_millis(100);

/// What is on its way to a receiver.
enum Item {
    Command(Vec<u8>),
    Message(u32),
}

/// A connection that both sides take for open, or one of them still does.
struct Link {
    /// Its number on both sides.
    number: usize,
    to: VecDeque<Item>,
    back: VecDeque<Vec<u8>>,
    /// What has come and has not been taken.
    arrived: VecDeque<u32>,
    open_here: bool,
    open_there: bool,
}

struct Worker {
    id: u8,
    receiver: Receiver,
    link: Option<Link>,
    /// Jobs that are being worked on, by key.
    held: Vec<(HeldKey, u32)>,
}

struct Rig {
    random: u64,
    now: Instant,
    sender: Sender<u32>,
    workers: Vec<Worker>,
    connections: usize,
    offered: u32,
    /// How often each message was given to an application, and whether it said anything but that it is done.
    received: HashMap<u32, u32>,
    undone: HashSet<u32>,
    finished: HashMap<u32, Fate>,
    /// Receivers were killed, or were away for longer than the grace; so there may be duplicates.
    kills: bool,
    /// When messages are over, where they have a time.
    expires: Option<HashMap<u32, Instant>>,
    /// Of so many orders one message is out at a time.
    orders: Option<u32>,
    /// So many were sent as they were offered.
    at_once: usize,
}

/// Some messages are not copied.
fn is_whole(message: u32) -> bool {
    message.is_multiple_of(3)
}

/// The others as bytes, which are of different lengths.
fn short(message: u32) -> Vec<u8> {
    let mut bytes = message.to_le_bytes().to_vec();
    bytes.resize(4 + message as usize % 90 * 11, message as u8);
    bytes
}

fn message_of(bytes: &[u8]) -> u32 {
    let (message, _) = bytes.split_first_chunk().expect("a number");
    let message = u32::from_le_bytes(*message);
    assert_eq!(bytes, short(message), "it is another's");
    message
}

fn notice(frames: &[u8]) -> (Notice<'_>, &[u8]) {
    let header = decode_header(frames).expect("a header");
    let (frame, rest) = frames.split_at(header.frame_len() as usize);
    match Command::parse(&frame[header.header_len..]) {
        Ok(Command::Delivery(notice)) => (notice, rest),
        other => panic!("{other:?}"),
    }
}

impl Rig {
    fn new(seed: u64) -> Rig {
        let now = Instant::now();
        let policy = Policy {
            grace: GRACE,
            backoff: (Duration::from_millis(5), Duration::from_millis(40)),
            limit: u32::MAX,
        };
        let mut rig = Rig {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            now,
            sender: Sender::new(policy, seed),
            workers: Vec::new(),
            connections: 0,
            offered: 0,
            received: HashMap::new(),
            undone: HashSet::new(),
            finished: HashMap::new(),
            kills: seed.is_multiple_of(2),
            expires: seed.is_multiple_of(3).then(HashMap::new),
            orders: (seed % 5 < 2).then_some(1 + seed as u32 % 4),
            at_once: 0,
        };
        let workers = 1 + rig.below(3);
        rig.workers = (0..workers).map(|id| Worker::new(id as u8)).collect();
        rig
    }

    fn below(&mut self, limit: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 33) as usize % limit
    }

    /// Which order a message belongs to, if any.
    fn order_of(&self, message: u32) -> Option<u64> {
        let order = self.orders.map(|orders| message % (orders + 1));
        // Some have none.
        order.filter(|&order| order > 0).map(u64::from)
    }

    fn offer(&mut self) {
        let expires = self.expires.is_some().then(|| self.now + TTL);
        let order = self.order_of(self.offered);
        let message = self.offered;
        let (short, terms) = (short(message), Terms { expires, order });
        let may_go_now = terms == Terms::default() && !is_whole(message) && self.below(2) == 0;
        let now = may_go_now.then(|| self.sender.offer_now(&short, None, |_| Room::Free));
        match now.flatten() {
            Some(next) => {
                self.at_once += 1;
                self.put(next);
            }
            None => {
                let content = match is_whole(message) {
                    true => Content::Whole(message),
                    false => Content::Short(&short),
                };
                self.sender.offer(content, false, terms);
            }
        }
        if let (Some(all), Some(at)) = (&mut self.expires, expires) {
            all.insert(self.offered, at);
        }
        self.offered += 1;
    }

    fn send(&mut self) {
        self.sender.expire(self.now);
        for (connection, tags) in self.sender.revoked() {
            let mut links = self.workers.iter_mut().flat_map(|worker| &mut worker.link);
            let link = links
                .find(|link| link.number == connection)
                .expect("a link");
            let mut frames = Vec::new();
            put_revoke(&mut frames, &tags);
            let mut rest = &frames[..];
            while !rest.is_empty() {
                let after = notice(rest).1;
                let frame = rest[..rest.len() - after.len()].to_vec();
                link.to.push_back(Item::Command(frame));
                rest = after;
            }
        }
        while let Some(next) = self.sender.next(|_, _| Room::Free) {
            self.put(next);
        }
        let finished = &mut self.finished;
        let mut finish = |message, fate| {
            let before = finished.insert(message, fate);
            assert_eq!(before, None, "{message} is finished twice");
        };
        for done in self.sender.finished() {
            let message = match done.left {
                Left::Whole(message) => message,
                Left::Short(bytes) => message_of(&bytes),
                Left::Nothing => panic!("{:?} and nothing is left", done.fate),
            };
            assert_eq!(done.number, u64::from(message) + 1);
            finish(message, done.fate);
        }
        for number in self
            .sender
            .settled()
            .flat_map(|(first, count)| first..first + count)
        {
            let message = number as u32 - 1;
            assert!(!is_whole(message), "{message} is to be dropped by somebody");
            finish(message, Fate::Settled);
        }
    }

    /// Puts a message on its way.
    fn put(&mut self, next: Next) {
        let payload = match self.sender.payload(next.key) {
            Some(Held::Whole(&message)) => message,
            Some(Held::Short(bytes)) => message_of(bytes),
            None => panic!("no payload"),
        };
        let mut workers = self.workers.iter_mut();
        let link = workers
            .find_map(|worker| {
                let link = worker.link.as_mut();
                link.filter(|link| link.number == next.connection && link.open_here)
            })
            .expect("a link");
        if let Some(run) = next.run {
            let mut frame = Vec::new();
            put_run(&mut frame, run);
            link.to.push_back(Item::Command(frame));
        }
        link.to.push_back(Item::Message(payload));
    }

    fn connect(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        if worker.link.is_some() {
            return;
        }
        let number = self.connections % 7;
        let taken = |worker: &Worker| {
            worker
                .link
                .as_ref()
                .is_some_and(|link| link.number == number)
        };
        self.connections += 1;
        if self.workers.iter().any(taken) {
            return;
        }
        let worker = &mut self.workers[index];
        worker.receiver.opened(number, [9; 16].into());
        worker.link = Some(Link {
            number,
            to: VecDeque::new(),
            back: VecDeque::new(),
            arrived: VecDeque::new(),
            open_here: true,
            open_there: true,
        });
        self.sender
            .opened(number, Some(([worker.id; 16].into(), WINDOW)));
    }

    /// Both sides notice that the connection is cut, and something is lost of what was on its way.
    fn cut(&mut self, index: usize) {
        let Some(mut link) = self.workers[index].link.take() else {
            return;
        };
        // What the sender still had of it is not lost: it knows that it has not left.
        let mut unwritten = 0;
        let keep = self.below(link.to.len() + 1);
        if self.below(2) == 0 {
            let items = link.to.iter().skip(keep);
            unwritten = items
                .filter(|item| matches!(item, Item::Message(_)))
                .count();
        }
        link.to.truncate(keep);
        if self.below(2) == 0 {
            // The receiver reads what has come before it notices.
            self.workers[index].link = Some(link);
            while self.deliver(index) {}
            link = self.workers[index].link.take().expect("the link");
        }
        if link.open_there {
            self.workers[index].receiver.closed(link.number);
        }
        if link.open_here {
            let heard = self.below(link.back.len() + 1);
            for frames in link.back.drain(..heard) {
                settle(&mut self.sender, link.number, &frames, self.now).expect("honest");
            }
            self.sender.closed(link.number, unwritten, self.now);
        }
    }

    /// One thing arrives at a receiver.
    fn deliver(&mut self, index: usize) -> bool {
        let worker = &mut self.workers[index];
        let Some(link) = &mut worker.link else {
            return false;
        };
        match link.to.pop_front() {
            None => return false,
            Some(Item::Command(frame)) => match notice(&frame).0 {
                Notice::Run(data) => worker.receiver.run(link.number, data).expect("honest"),
                Notice::Revoke(data) => worker.receiver.revoke(link.number, data).expect("honest"),
                Notice::Settle(_) => panic!("a sender settles nothing"),
            },
            Some(Item::Message(message)) => link.arrived.push_back(message),
        }
        let waiting = link.arrived.len() as u64;
        worker
            .receiver
            .arrived(link.number, waiting)
            .expect("honest");
        true
    }

    /// The application takes a message, and settles it at once, or not.
    fn take(&mut self, index: usize) {
        let (at_once, now) = (self.below(2) == 0, self.now);
        let worker = &mut self.workers[index];
        let Some(link) = &mut worker.link else {
            return;
        };
        let Some(message) = link.arrived.pop_front() else {
            return;
        };
        let known = worker.receiver.is_next_known(link.number);
        let taken = worker.receiver.take(link.number).expect("acknowledged");
        assert_eq!(
            known,
            taken == Taken::Known,
            "what is only looked at is the same"
        );
        if let Taken::New(job) = taken {
            assert_eq!(job.number, u64::from(message) + 1, "it is another's number");
            let fate = self.finished.get(&message);
            assert_eq!(fate, None, "{message} is handed out after its end");
            *self.received.entry(message).or_default() += 1;
            if at_once {
                worker.receiver.done(job);
            } else {
                let key = worker.receiver.hold(job, now);
                worker.held.push((key, message));
            }
        }
        self.check_order(message);
        self.report(index);
    }

    /// No message is handed out before those of its order have ended that came before it.
    fn check_order(&self, message: u32) {
        let Some(order) = self.order_of(message) else {
            return;
        };
        for before in (0..message).filter(|&before| self.order_of(before) == Some(order)) {
            let ended = self.finished.contains_key(&before);
            assert!(ended, "{message} is handed out before {before} has ended");
        }
    }

    fn report(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        while worker.receiver.hurried().is_some() {}
        let Some(link) = &mut worker.link else {
            return;
        };
        if worker
            .receiver
            .is_due(link.number, link.arrived.len(), self.now)
        {
            let mut out = Vec::new();
            worker.receiver.report(link.number, self.now, &mut out);
            link.back.push_back(out);
        }
    }

    /// Time has passed: what is to be said at once is.
    fn hurry(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        while let Some(number) = worker.receiver.hurried() {
            let mut out = Vec::new();
            worker.receiver.report(number, self.now, &mut out);
            if let Some(link) = worker.link.as_mut().filter(|link| link.number == number) {
                link.back.push_back(out);
            }
        }
    }

    fn settle_held(&mut self, index: usize) {
        let held = self.workers[index].held.len();
        if held == 0 {
            return;
        }
        let which = self.below(held);
        let choice = self.below(6);
        let worker = &mut self.workers[index];
        let (key, message) = worker.held.swap_remove(which);
        let settling = match choice {
            0 => Settling::Retry(None),
            1 => Settling::Retry(Some(Duration::from_millis(3))),
            2 => Settling::Rejected(format!("{message} is bad")),
            _ => Settling::Done,
        };
        let done = settling == Settling::Done;
        let result = worker.receiver.settle(key, &settling);
        if !done || result == Err(Unsettled::TimedOut) {
            self.undone.insert(message);
        }
        self.report(index);
    }

    fn hear(&mut self, index: usize) {
        if let Some(link) = &mut self.workers[index].link
            && let Some(frames) = link.back.pop_front()
        {
            settle(&mut self.sender, link.number, &frames, self.now).expect("honest");
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        if self.sender.deadline().is_some_and(|at| at <= self.now) {
            self.sender.handle_timeout(self.now);
        }
        for index in 0..self.workers.len() {
            let receiver = &mut self.workers[index].receiver;
            if receiver.deadline().is_some_and(|at| at <= self.now) {
                receiver.handle_timeout(self.now);
                self.hurry(index);
            }
        }
    }

    fn step(&mut self) {
        let index = self.below(self.workers.len());
        match self.below(20) {
            0..=3 => self.offer(),
            4..=6 => {
                self.deliver(index);
            }
            7..=9 => self.take(index),
            10..=12 => self.settle_held(index),
            13..=15 => self.hear(index),
            16 => self.connect(index),
            17 if self.below(3) == 0 => {
                self.cut(index);
                // Without kills it comes back at once.
                if !self.kills {
                    while self.workers[index].link.is_none() {
                        self.connect(index);
                    }
                }
            }
            18 if self.kills && self.below(6) == 0 => {
                self.cut(index);
                let id = self.workers[index].id.wrapping_add(16);
                self.workers[index] = Worker::new(id);
            }
            _ => {
                let millis = self.below(8) as u64;
                self.pass(Duration::from_millis(millis));
            }
        }
        self.send();
        assert_eq!(
            self.sender.len() + self.finished.len(),
            self.offered as usize,
            "held or finished"
        );
        self.check_expired();
    }

    /// What no worker has is over in its time, but for the wait until it is searched for.
    fn check_expired(&self) {
        if self.workers.iter().any(|worker| worker.link.is_some()) {
            return;
        }
        for (message, at) in self.expires.iter().flatten() {
            let lives = !self.finished.contains_key(message);
            assert!(
                !lives || self.now < *at + Duration::from_millis(10),
                "{message} lives"
            );
        }
    }

    fn end(&mut self) {
        for _ in 0..20_000 {
            if self.finished.len() == self.offered as usize {
                break;
            }
            for index in 0..self.workers.len() {
                self.connect(index);
                while self.deliver(index) {}
                self.take(index);
                self.settle_held(index);
                self.hear(index);
            }
            self.pass(Duration::from_millis(1));
            self.send();
        }
        assert_eq!(
            self.finished.len(),
            self.offered as usize,
            "all is finished"
        );
        // What is still worked on has come again when its time was over.
        let held = self.workers.iter().flat_map(|worker| &worker.held);
        self.undone.extend(held.map(|(_, message)| *message));
        for message in 0..self.offered {
            let received = self.received.get(&message).copied().unwrap_or(0);
            let fate = &self.finished[&message];
            match fate {
                Fate::Dead(DeadLine::Expired) => {
                    let at = self.expires.as_ref().map(|all| all[&message]);
                    assert!(at.is_some_and(|at| at <= self.now), "{message} had time");
                    continue;
                }
                Fate::Settled => {}
                Fate::Dead(DeadLine::Rejected(reason)) => {
                    assert_eq!(*reason, format!("{message} is bad"));
                }
                Fate::Dead(_) | Fate::Unacknowledged => panic!("{message}: {fate:?}"),
            }
            assert!(received > 0, "{message} was finished and never received");
            if !self.kills && !self.undone.contains(&message) {
                assert_eq!(received, 1, "{message} came again though nobody was killed");
            }
        }
    }
}

impl Worker {
    fn new(id: u8) -> Worker {
        Worker {
            id,
            receiver: Receiver::new(WINDOW, Some(JOB_TIMEOUT)),
            link: None,
            held: Vec::new(),
        }
    }
}

fn settle(
    sender: &mut Sender<u32>,
    connection: usize,
    mut frames: &[u8],
    now: Instant,
) -> Result<(), DeliveryError> {
    while !frames.is_empty() {
        let (notice, rest) = notice(frames);
        match notice {
            Notice::Settle(data) => sender.settle(connection, data, now)?,
            Notice::Run(_) | Notice::Revoke(_) => panic!("a receiver sends no such command"),
        }
        frames = rest;
    }
    Ok(())
}

struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}", self.0);
        }
    }
}

#[test]
fn whatever_is_cut_nothing_is_lost() {
    let schedules = std::env::var("ZEROHOP_SCHEDULES").ok();
    let schedules = schedules.and_then(|number| number.parse().ok());
    let mut finished = 0;
    let (mut again, mut at_once) = (0, 0);
    let mut expired = [0; 2];
    for seed in 0..schedules.unwrap_or(SCHEDULES) {
        let _told = Told(seed);
        let mut rig = Rig::new(seed);
        for _ in 0..150 {
            rig.step();
        }
        rig.end();
        finished += rig.finished.len();
        at_once += rig.at_once;
        again += rig.received.values().filter(|&&times| times > 1).count();
        for (message, fate) in &rig.finished {
            if *fate == Fate::Dead(DeadLine::Expired) {
                expired[usize::from(rig.received.contains_key(message))] += 1;
            }
        }
    }
    assert!(
        finished > 0 && again > 0 && at_once > 0,
        "{finished} finished, {again} came again, {at_once} were sent at once"
    );
    assert!(
        expired.iter().all(|&messages| messages > 0),
        "{expired:?} expired without and after having been received"
    );
}

/// Bytes of any kind are refused or mean something, and never more than the window allows.
#[test]
fn any_bytes_are_refused_or_within_the_window() {
    let now = Instant::now();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let (mut refused, mut taken) = (0, 0);
    for _ in 0..100_000 {
        let mut sender = Sender::<u32>::new(
            Policy {
                grace: GRACE,
                backoff: (GRACE, GRACE),
                limit: 3,
            },
            1,
        );
        let mut receiver = Receiver::new(WINDOW, None);
        sender.opened(0, Some(([1; 16].into(), WINDOW)));
        receiver.opened(0, [2; 16].into());
        (0..3).for_each(|payload| {
            sender.offer(Content::Whole(payload), false, Terms::default());
        });
        while sender.next(|_, _| Room::Free).is_some() {}
        let mut data = [0; 8];
        for byte in &mut data {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            *byte = match random >> 62 {
                0 => (random >> 32) as u8,
                _ => (random >> 32) as u8 % 4,
            };
        }
        let len = (random >> 16) as usize % (data.len() + 1);
        for result in [
            sender.settle(0, &data[..len], now),
            receiver.run(0, &data[..len]),
            receiver.revoke(0, &data[..len]),
        ] {
            match result {
                Ok(()) => taken += 1,
                Err(_) => refused += 1,
            }
        }
        assert_eq!(sender.len() + sender.finished().count(), 3);
        assert!(receiver.arrived(0, WINDOW + 1).is_err());
    }
    assert!(taken > 0 && refused > 0);
}
