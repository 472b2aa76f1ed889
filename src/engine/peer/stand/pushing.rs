//! PUSH and PULL: each message that was accepted arrives once, whatever connections do, in the order of its peer.

use super::*;
use crate::engine::Outgoing;
use crate::message::Message;
use crate::pattern::{PullPattern, PushPattern, Receiving, Sending};

struct Rig {
    random: Random,
    push: Stand<PushPattern>,
    pulls: Vec<Stand<PullPattern>>,
    /// One for each PULL.
    wires: Vec<Wire>,
    /// It is the PUSH that dials.
    dials: bool,
    accepted: u32,
    /// What each PULL has received.
    received: Vec<Vec<u32>>,
    /// Connections do break.
    breaks: bool,
    job: Job,
    log: Log,
}

impl Rig {
    fn new(seed: u64) -> Rig {
        let mut random = Random::new(seed);
        let context = Context::new();
        let options_of_push = options().balancing(balancing(seed));
        let pattern = PushPattern::with_options(&options_of_push);
        let push = Stand::new(&context, options_of_push, pattern);
        let pulls: Vec<_> = (0..3)
            .map(|_| Stand::new(&context, options(), PullPattern::new()))
            .collect();
        let dials = random.below(2) == 0;
        let wires = pulls.iter().map(|pull| match dials {
            true => join(&push, pull, None),
            false => join(pull, &push, None),
        });
        Rig {
            random,
            dials,
            wires: wires.collect(),
            received: vec![Vec::new(); pulls.len()],
            breaks: !seed.is_multiple_of(3),
            push,
            pulls,
            accepted: 0,
            job: Job::default(),
            log: Log::new(format_args!("seed {seed}, PUSH dials: {dials}")),
        }
    }

    fn send(&mut self) {
        let body = numbered(self.accepted, &mut self.random);
        let message = match self.random.below(3) {
            0 => Message::from_frames([body.clone(), numbered(0, &mut self.random)]),
            _ => Message::from(body.clone()),
        };
        let outgoing = match self.random.below(2) {
            0 => Outgoing::Slice(&body),
            _ => Outgoing::Message(&message),
        };
        let sent = self.push.look(|pattern, net| {
            let sent = pattern.send(&mut net.peers, outgoing);
            net.pace(pattern, outgoing, sent.is_some());
            sent
        });
        self.accepted += u32::from(sent.is_some());
    }

    fn receive(&mut self, index: usize, most: usize) {
        let received = &mut self.received[index];
        self.pulls[index].look(|pattern, net| {
            let mut message = Message::new();
            for _ in 0..most {
                if pattern.recv(&mut net.peers, &mut message).is_none() {
                    break;
                }
                received.push(number_of(message.first()));
            }
        });
    }

    /// Whoever dials does it again, where it is time.
    fn redial(&mut self) {
        let wait = Duration::from_millis(20);
        if self.dials {
            self.push.wait(wait);
            for id in self.push.to_dial() {
                let index = self.wires.iter().position(|wire| wire.ids.0 == id);
                let index = index.expect("known");
                self.wires[index] = join(&self.push, &self.pulls[index], Some(id));
            }
            return;
        }
        for (index, pull) in self.pulls.iter_mut().enumerate() {
            pull.wait(wait);
            for id in pull.to_dial() {
                self.wires[index] = join(pull, &self.push, Some(id));
            }
        }
    }

    fn step(&mut self) {
        let index = self.random.below(self.pulls.len());
        let choice = self.random.below(16);
        self.log.step(choice, index);
        match choice {
            0..=3 => self.send(),
            4 | 5 => {
                let most = self.random.below(4);
                self.receive(index, most);
            }
            6 | 7 => self.pulls[index].go_on(),
            8 | 9 => self.push.go_on(),
            10 => self.wires[index].vary(&mut self.random),
            11 if self.breaks && self.random.below(2) == 0 => {
                self.wires[index].break_off();
            }
            11 | 12 => self.redial(),
            _ => self.job.step(&self.push, &mut self.random),
        }
        let received: usize = self.received.iter().map(Vec::len).sum();
        let unsent = self.push.turn(|turn| turn.unsent());
        assert!(unsent + received <= self.accepted as usize);
    }

    /// In the end all that was accepted arrives.
    fn end(&mut self) {
        self.job.end(&self.push);
        for _ in 0..60 {
            self.redial();
            self.wires.iter().for_each(Wire::widen);
            self.push.go_on();
            for index in 0..self.pulls.len() {
                self.pulls[index].go_on();
                self.receive(index, usize::MAX);
            }
        }
        let mut all = self.received.concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..self.accepted), "{:?}", self.received);
        assert_eq!(self.push.turn(|turn| turn.unsent()), 0);
        // A PULL takes turns between what an earlier connection has left and what comes by the next.
        if !self.breaks {
            let in_order = self.received.iter().all(|numbers| numbers.is_sorted());
            assert!(in_order, "{:?}", self.received);
        }
    }
}

#[test]
fn each_message_arrives_once_whatever_connections_do() {
    let (mut accepted, mut by_each) = (0, [0; 3]);
    for seed in 1..=150 {
        let mut rig = Rig::new(seed);
        for _ in 0..seed {
            rig.step();
        }
        rig.end();
        accepted += rig.accepted;
        for (sum, received) in by_each.iter_mut().zip(&rig.received) {
            *sum += received.len();
        }
    }
    assert!(accepted > 1_000, "{accepted}");
    assert!(by_each.iter().all(|&sum| sum > 200), "{by_each:?}");
}
