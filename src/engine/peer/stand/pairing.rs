//! PAIR and CHANNEL: one peer at a time, and what is for one goes to no other. What was accepted for a peer that this socket dials arrives once,
//! in order; of what was accepted for another, each message arrives once, or is counted when that peer goes.

use super::*;
use crate::engine::Outgoing;
use crate::message::Message;
use crate::pattern::{ChannelPattern, PairPattern, Receiving, Sending};

/// Those that dial, both the same socket.
const DIALERS: usize = 2;

struct Rig<P: Pattern + 'static> {
    random: Random,
    middle: Stand<P>,
    dialers: Vec<Stand<P>>,
    wires: Vec<Wire>,
    /// What was accepted of each dialer, and has arrived.
    out: Vec<Way>,
    /// What the other has accepted, for whichever is its peer, and what has arrived at each.
    accepted: u32,
    back: Vec<Vec<u32>>,
    /// Who has sent the socket in the middle what it received last, and how often that was another.
    from: usize,
    changes: usize,
    /// Connections do break.
    breaks: bool,
    job: Job,
    log: Log,
}

impl<P: Sending<Sent = ()> + Receiving + 'static> Rig<P> {
    fn new(seed: u64, pattern: fn() -> P) -> Rig<P> {
        let context = Context::new();
        let middle = Stand::new(&context, options(), pattern());
        let dialers: Vec<_> = (0..DIALERS)
            .map(|_| Stand::new(&context, options(), pattern()))
            .collect();
        let wires = dialers.iter().map(|dialer| join(dialer, &middle, None));
        Rig {
            random: Random::new(seed),
            wires: wires.collect(),
            out: dialers.iter().map(|_| Way::default()).collect(),
            back: vec![Vec::new(); DIALERS],
            middle,
            dialers,
            accepted: 0,
            from: 0,
            changes: 0,
            breaks: !seed.is_multiple_of(3),
            job: Job::default(),
            log: Log::new(format_args!("seed {seed}")),
        }
    }

    fn send_by(stand: &Stand<P>, body: Vec<u8>, random: &mut Random) -> bool {
        let message = match P::SINGLE || random.below(2) == 0 {
            true => Message::from(body.clone()),
            false => Message::from_frames([body.clone(), numbered(0, random)]),
        };
        let outgoing = match random.below(2) {
            0 => Outgoing::Slice(&body),
            _ => Outgoing::Message(&message),
        };
        stand.look(|pattern, net| {
            let sent = pattern.send(&mut net.peers, outgoing);
            net.pace(pattern, outgoing, sent.is_some());
            assert!(sent.is_none() || pattern.in_dialogue());
            sent.is_some()
        })
    }

    fn send(&mut self, index: usize) {
        let body = numbered(self.out[index].next(index), &mut self.random);
        let sent = Self::send_by(&self.dialers[index], body, &mut self.random);
        self.out[index].accepted += u32::from(sent);
    }

    fn send_back(&mut self) {
        let body = numbered(self.accepted, &mut self.random);
        let sent = Self::send_by(&self.middle, body, &mut self.random);
        self.accepted += u32::from(sent);
    }

    fn receive_by(stand: &Stand<P>) -> Option<u32> {
        let mut message = Message::new();
        stand.look(|pattern, net| {
            let received = pattern.recv(&mut net.peers, &mut message);
            assert!(received.is_none() || !pattern.in_dialogue());
            received
        })?;
        Some(number_of(message.first()))
    }

    fn receive(&mut self, most: usize) {
        for _ in 0..most {
            let Some(number) = Self::receive_by(&self.middle) else {
                return;
            };
            let index = number as usize % 3;
            self.out[index].arrived(number, index);
            self.changes += usize::from(index != self.from);
            self.from = index;
        }
    }

    fn receive_back(&mut self, index: usize, most: usize) {
        for _ in 0..most {
            let Some(number) = Self::receive_by(&self.dialers[index]) else {
                return;
            };
            assert!(number < self.accepted);
            self.back[index].push(number);
        }
    }

    fn redial(&mut self, index: usize) {
        let dialer = &mut self.dialers[index];
        // Longer each time, where it is refused.
        dialer.wait(Duration::from_millis(200));
        for id in dialer.to_dial() {
            self.wires[index] = join(dialer, &self.middle, Some(id));
        }
    }

    fn step(&mut self) {
        let index = self.random.below(DIALERS);
        let choice = self.random.below(20);
        self.log.step(choice, index);
        match choice {
            0..=2 => self.send(index),
            3 | 4 => self.send_back(),
            5 | 6 => {
                let most = self.random.below(4);
                self.receive(most);
            }
            7 | 8 => {
                let most = self.random.below(4);
                self.receive_back(index, most);
            }
            9 | 10 => self.dialers[index].go_on(),
            11 | 12 => self.middle.go_on(),
            13 => self.wires[index].vary(&mut self.random),
            14 if self.breaks && self.random.below(2) == 0 => self.wires[index].break_off(),
            14..=16 => self.redial(index),
            17 => self.wires[index].widen(),
            _ => self.job.step(&self.middle, &mut self.random),
        }
        assert!(self.middle.connected() <= 1, "one at a time");
    }

    /// Nothing is in the way, and those dial that do.
    fn settle(&mut self, dials: impl Fn(usize) -> bool) {
        for _ in 0..60 {
            (0..DIALERS)
                .filter(|&index| dials(index))
                .for_each(|index| self.redial(index));
            self.wires.iter().for_each(Wire::widen);
            self.middle.go_on();
            self.receive(usize::MAX);
            for index in 0..DIALERS {
                self.dialers[index].go_on();
                self.receive_back(index, usize::MAX);
            }
        }
    }

    /// One of them is the peer, and then, when that goes, the other.
    fn end(&mut self) {
        self.job.end(&self.middle);
        self.settle(|_| true);
        let connected = |rig: &Rig<P>, index: usize| rig.dialers[index].connected() == 1;
        let peer = usize::from(connected(self, 1));
        assert!(connected(self, peer) && !connected(self, 1 - peer));
        self.check(peer);
        self.wires[peer].break_off();
        self.settle(|index| index != peer);
        assert!(connected(self, 1 - peer) && !connected(self, peer));
        self.check(1 - peer);

        let mut back = self.back.concat();
        back.sort_unstable();
        assert!(back.is_sorted_by(|one, next| one < next), "one came twice");
        for numbers in &self.back {
            assert!(numbers.is_sorted(), "{numbers:?}");
        }
        let stats = self.middle.look(|pattern, net| net.stats(pattern));
        let dropped = stats.dropped.peer_gone as usize;
        assert_eq!(back.len() + dropped, self.accepted as usize);
        assert!(dropped == 0 || self.breaks);
    }

    /// All that the peer has sent has arrived.
    fn check(&self, peer: usize) {
        self.out[peer].check(true);
        assert_eq!(self.dialers[peer].turn(|turn| turn.unsent()), 0);
        assert_eq!(self.middle.turn(|turn| turn.unsent()), 0);
    }
}

fn run<P: Sending<Sent = ()> + Receiving + 'static>(pattern: fn() -> P) {
    let (mut out, mut back, mut changes) = (0, 0, 0);
    for seed in 1..=120 {
        let mut rig = Rig::new(seed, pattern);
        for _ in 0..150 {
            rig.step();
        }
        rig.end();
        out += rig.out.iter().map(|way| way.arrived.len()).sum::<usize>();
        back += rig.back.concat().len();
        changes += rig.changes;
    }
    let seen = (out, back, changes);
    assert!(out > 1_000 && back > 500 && changes > 100, "{seen:?}");
}

#[test]
fn one_peer_at_a_time_gets_what_is_for_it() {
    run(PairPattern::new);
}

#[test]
fn so_it_is_with_single_frames() {
    run(ChannelPattern::new);
}
