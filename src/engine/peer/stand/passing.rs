//! From PUSHes by way of a PULL and a PUSH to PULLs, as through a proxy: what goes on as it has come arrives once, as what is received and sent.

use super::*;
use crate::engine::Outgoing;
use crate::message::Message;
use crate::pattern::{PullPattern, PushPattern, Receiving, Sending};

struct Rig {
    random: Random,
    sources: Vec<Stand<PushPattern>>,
    frontend: Stand<PullPattern>,
    backend: Stand<PushPattern>,
    sinks: Vec<Stand<PullPattern>>,
    into: Vec<Wire>,
    out: Vec<Wire>,
    /// Received and not sent yet.
    held: Option<Message>,
    accepted: u32,
    passed: usize,
    received: Vec<Vec<u32>>,
    job: Job,
    log: Log,
}

impl Rig {
    fn new(seed: u64) -> Rig {
        let context = Context::new();
        let mark = [4, 1_000][seed as usize % 2];
        let options = || options().send_hwm(mark).recv_hwm(mark);
        let frontend = Stand::new(&context, options(), PullPattern::new());
        let pattern = PushPattern::with_options(&options());
        let backend = Stand::new(&context, options(), pattern);
        let ends = 1 + seed as usize % 3;
        let sources: Vec<_> = (0..ends)
            .map(|_| {
                let pattern = PushPattern::with_options(&options());
                Stand::new(&context, options(), pattern)
            })
            .collect();
        let sinks: Vec<_> = (0..1 + seed as usize / 3 % 3)
            .map(|_| Stand::new(&context, options(), PullPattern::new()))
            .collect();
        let into = sources.iter().map(|push| join(push, &frontend, None));
        let out = sinks.iter().map(|pull| join(pull, &backend, None));
        Rig {
            into: into.collect(),
            out: out.collect(),
            random: Random::new(seed),
            received: vec![Vec::new(); sinks.len()],
            sources,
            frontend,
            backend,
            sinks,
            held: None,
            accepted: 0,
            passed: 0,
            job: Job::default(),
            log: Log::new(format_args!("seed {seed}")),
        }
    }

    fn send(&mut self, index: usize) {
        let body = numbered(self.accepted, &mut self.random);
        let message = match self.random.below(20) {
            0 => Message::from_frames([body, vec![1]]),
            _ => Message::from(body),
        };
        self.accepted += u32::from(send(&self.sources[index], &message));
    }

    /// Passes messages on, or if there are none that can be, receives one and sends it.
    fn pass(&mut self) {
        if let Some(message) = self.held.take() {
            if !send(&self.backend, &message) {
                self.held = Some(message);
            }
            return;
        }
        let passed = self.frontend.look(|pull, net| {
            self.backend
                .look(|push, to| pull.pass_on(&mut net.peers, push, &mut to.peers))
        });
        self.backend.look(|pattern, net| net.write_now(pattern));
        self.passed += passed.messages;
        if passed.messages == 0 {
            let mut message = Message::new();
            let received = self
                .frontend
                .look(|pattern, net| pattern.recv(&mut net.peers, &mut message));
            self.held = received.map(|()| message);
        }
    }

    fn receive(&mut self, index: usize) {
        let received = &mut self.received[index];
        self.sinks[index].look(|pattern, net| {
            let mut message = Message::new();
            while pattern.recv(&mut net.peers, &mut message).is_some() {
                received.push(number_of(message.first()));
            }
        });
    }

    fn redial(&mut self) {
        let wait = Duration::from_millis(20);
        for (index, push) in self.sources.iter_mut().enumerate() {
            push.wait(wait);
            for id in push.to_dial() {
                self.into[index] = join(push, &self.frontend, Some(id));
            }
        }
        for (index, pull) in self.sinks.iter_mut().enumerate() {
            pull.wait(wait);
            for id in pull.to_dial() {
                self.out[index] = join(pull, &self.backend, Some(id));
            }
        }
    }

    fn step(&mut self) {
        let source = self.random.below(self.sources.len());
        let sink = self.random.below(self.sinks.len());
        let choice = self.random.below(20);
        self.log.step(choice, source);
        match choice {
            0..=2 => {
                for _ in 0..self.random.of(&[1, 3, 100]) {
                    self.send(source);
                }
            }
            3..=6 => self.pass(),
            7 | 8 => self.frontend.go_on(),
            9 | 10 => self.backend.go_on(),
            11 => self.sources[source].go_on(),
            12 => self.sinks[sink].go_on(),
            13 => self.receive(sink),
            14 => self.out[sink].vary(&mut self.random),
            15 => self.into[source].vary(&mut self.random),
            16 if self.random.below(3) == 0 => self.out[sink].break_off(),
            16 if self.random.below(3) == 0 => self.into[source].break_off(),
            17 => self.redial(),
            _ => self.job.step(&self.backend, &mut self.random),
        }
    }

    fn end(&mut self) {
        self.job.end(&self.backend);
        for _ in 0..200 {
            self.redial();
            self.into.iter().chain(&self.out).for_each(Wire::widen);
            self.sources.iter().for_each(Stand::go_on);
            self.frontend.go_on();
            for _ in 0..20 {
                self.pass();
            }
            self.backend.go_on();
            for index in 0..self.sinks.len() {
                self.sinks[index].go_on();
                self.receive(index);
            }
        }
        let mut all = self.received.concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..self.accepted));
        assert_eq!(self.backend.turn(|turn| turn.unsent()), 0);
    }
}

fn send(push: &Stand<PushPattern>, message: &Message) -> bool {
    let outgoing = Outgoing::of(message);
    push.look(|pattern, net| {
        let sent = pattern.send(&mut net.peers, outgoing);
        net.pace(pattern, outgoing, sent.is_some());
        sent.is_some()
    })
}

#[test]
fn what_is_passed_on_arrives_once_whatever_connections_do() {
    let (mut accepted, mut passed) = (0, 0);
    for seed in 1..=60 {
        let mut rig = Rig::new(seed);
        for _ in 0..2 * seed {
            rig.step();
        }
        rig.end();
        accepted += rig.accepted as usize;
        passed += rig.passed;
    }
    assert!(accepted > 2_000, "{accepted}");
    assert!(passed > accepted / 2, "{passed} of {accepted}");
}
