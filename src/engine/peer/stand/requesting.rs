//! REQ and REP: each request reaches one REP, once and no more, and ends in its own reply, unless its connection has ended; and one that
//! was taken back reaches nobody.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::engine::Outgoing;
use crate::pattern::{Outcome, RepPattern, ReqPattern, ReturnAddress, Ticket};

struct Rig {
    random: Random,
    req: Stand<ReqPattern>,
    reps: Vec<Stand<RepPattern>>,
    wires: Vec<Wire>,
    asked: u32,
    /// What is under way, and its number.
    waiting: HashMap<Ticket, u32>,
    cancelled: HashSet<u32>,
    taken_back: HashSet<u32>,
    /// What REPs have to reply to.
    requests: Vec<(usize, ReturnAddress, u32)>,
    received: HashSet<u32>,
    /// Connections do break.
    breaks: bool,
    replies: usize,
    gone: usize,
    job: Job,
    log: Log,
}

impl Rig {
    fn new(seed: u64) -> Rig {
        let context = Context::new();
        let options_of_req = options().balancing(balancing(seed));
        let pattern = ReqPattern::with_options(&options_of_req, u32::MAX - 5);
        let req = Stand::new(&context, options_of_req, pattern);
        let reps: Vec<_> = (0..3)
            .map(|_| Stand::new(&context, options(), RepPattern::new()))
            .collect();
        Rig {
            random: Random::new(seed),
            wires: reps.iter().map(|rep| join(&req, rep, None)).collect(),
            req,
            reps,
            asked: 0,
            waiting: HashMap::new(),
            cancelled: HashSet::new(),
            taken_back: HashSet::new(),
            requests: Vec::new(),
            received: HashSet::new(),
            breaks: !seed.is_multiple_of(3),
            replies: 0,
            gone: 0,
            job: Job::default(),
            log: Log::new(format_args!("seed {seed}")),
        }
    }

    fn ask(&mut self) {
        let body = numbered(self.asked, &mut self.random);
        let asked = self.req.look(|pattern, net| {
            let outgoing = Outgoing::Slice(&body);
            let asked = pattern.send(&mut net.peers, outgoing);
            net.pause();
            net.pace(pattern, outgoing, asked.is_ok());
            asked
        });
        if let Ok(ticket) = asked {
            assert_eq!(self.waiting.insert(ticket, self.asked), None);
            self.asked += 1;
        }
    }

    fn receive(&mut self, index: usize) {
        let received = self.reps[index].look(|pattern, net| pattern.recv(&mut net.peers));
        if let Some((address, body)) = received {
            let number = number_of(body.first());
            assert!(self.received.insert(number), "{number} came twice");
            assert!(
                !self.taken_back.contains(&number),
                "{number} was taken back"
            );
            self.requests.push((index, address, number));
        }
    }

    /// Replies to any of the requests. If the connection is gone, or is full, nobody gets that.
    fn reply(&mut self) {
        if self.requests.is_empty() {
            return;
        }
        let place = self.random.below(self.requests.len());
        let (index, mut address, number) = self.requests.swap_remove(place);
        let body = numbered(number, &mut self.random);
        let replied = self.reps[index].look(|pattern, net| {
            let outgoing = Outgoing::Slice(&body);
            let replied = pattern.reply(&mut net.peers, &mut address, outgoing);
            net.pace(pattern, outgoing, replied.is_ok());
            replied
        });
        if replied == Err(crate::pattern::Undeliverable::NoRoom) {
            self.requests.push((index, address, number));
        }
    }

    fn look_for_outcomes(&mut self) {
        let tickets: Vec<Ticket> = self.waiting.keys().copied().collect();
        for ticket in tickets {
            let outcome = self
                .req
                .look(|pattern, net| pattern.outcome(&mut net.peers, ticket));
            let Some(outcome) = outcome else {
                continue;
            };
            let number = self.waiting.remove(&ticket).expect("it was under way");
            match outcome {
                Outcome::Reply(body) => {
                    assert_eq!(number_of(body.first()), number);
                    assert!(self.received.contains(&number));
                    self.replies += 1;
                }
                Outcome::PeerGone => {
                    assert!(self.breaks);
                    self.gone += 1;
                }
                Outcome::Refused { .. } => panic!("nothing is refused"),
            }
        }
    }

    fn cancel(&mut self) {
        let tickets: Vec<Ticket> = self.waiting.keys().copied().collect();
        if tickets.is_empty() {
            return;
        }
        // In an order that is the same for the same seed.
        let newest = tickets
            .iter()
            .copied()
            .max_by_key(|ticket| self.waiting[ticket]);
        let ticket = newest.expect("there is one");
        let number = self.waiting.remove(&ticket).expect("it was under way");
        let done = self
            .req
            .look(|pattern, net| pattern.cancel(&mut net.peers, ticket));
        self.cancelled.insert(number);
        if done {
            assert!(!self.received.contains(&number));
            self.taken_back.insert(number);
        }
    }

    fn redial(&mut self) {
        self.req.wait(Duration::from_millis(20));
        for id in self.req.to_dial() {
            let index = self.wires.iter().position(|wire| wire.ids.0 == id);
            let index = index.expect("known");
            self.wires[index] = join(&self.req, &self.reps[index], Some(id));
        }
    }

    fn step(&mut self) {
        let index = self.random.below(self.reps.len());
        let choice = self.random.below(20);
        self.log.step(choice, index);
        match choice {
            0..=3 => self.ask(),
            4 | 5 => self.receive(index),
            6 | 7 => self.reply(),
            8 | 9 => self.reps[index].go_on(),
            10 | 11 => self.req.go_on(),
            12 => self.wires[index].vary(&mut self.random),
            13 if self.breaks && self.random.below(2) == 0 => self.wires[index].break_off(),
            13 | 14 => self.redial(),
            15 | 16 => self.job.step(&self.req, &mut self.random),
            17 if self.random.below(2) == 0 => self.cancel(),
            18 => self.wires[index].widen(),
            _ => self.look_for_outcomes(),
        }
    }

    /// In the end every request that somebody waits for has ended.
    fn end(&mut self) {
        self.job.end(&self.req);
        for _ in 0..60 {
            self.redial();
            self.wires.iter().for_each(Wire::widen);
            self.req.go_on();
            for index in 0..self.reps.len() {
                self.reps[index].go_on();
                for _ in 0..4 {
                    self.receive(index);
                }
            }
            for _ in 0..12 {
                self.reply();
            }
            self.look_for_outcomes();
        }
        assert_eq!(self.waiting, HashMap::new());
        assert_eq!(self.req.turn(|turn| turn.unsent()), 0);
        let ended = self.replies + self.gone + self.cancelled.len();
        assert_eq!(ended, self.asked as usize);
    }
}

#[test]
fn each_request_ends_once_whatever_connections_do() {
    let (mut replies, mut gone, mut taken_back) = (0, 0, 0);
    for seed in 1..=150 {
        let mut rig = Rig::new(seed);
        for _ in 0..150 {
            rig.step();
        }
        rig.end();
        replies += rig.replies;
        gone += rig.gone;
        taken_back += rig.taken_back.len();
    }
    let seen = (replies, gone, taken_back);
    assert!(replies > 500 && gone > 50 && taken_back > 50, "{seen:?}");
}
