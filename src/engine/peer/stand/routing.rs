//! ROUTER and DEALER: what bears a name comes from the peer of that name, or goes to it; nothing comes twice, and where no connection breaks
//! nothing is lost and all is in order. Who has sent last awaits an answer, or the next question.

use super::*;
use crate::engine::Outgoing;
use crate::message::Message;
use crate::pattern::{DealerPattern, Receiving, Routed, RouterPattern, Sending, Unroutable};

struct Rig {
    random: Random,
    router: Stand<RouterPattern>,
    dealers: Vec<Stand<DealerPattern>>,
    wires: Vec<Wire>,
    /// Connections do break.
    breaks: bool,
    /// What was accepted of each DEALER, and for each of them, and what has arrived of that. A number says whose it is.
    out: Vec<Way>,
    back: Vec<Way>,
    job: Job,
    log: Log,
}

fn name(index: usize) -> Vec<u8> {
    vec![b'd', index as u8]
}

impl Rig {
    fn new(seed: u64) -> Rig {
        let context = Context::new();
        let handover = seed.is_multiple_of(2);
        let pattern = RouterPattern::new(true, handover, false, 1);
        let router = Stand::new(&context, options(), pattern);
        let dealers: Vec<_> = (0..3)
            .map(|index| {
                let options = options().routing_id(name(index));
                let options = options.balancing(balancing(seed));
                let pattern = DealerPattern::with_options(&options);
                Stand::new(&context, options, pattern)
            })
            .collect();
        let wires = dealers.iter().map(|dealer| join(dealer, &router, None));
        Rig {
            random: Random::new(seed),
            wires: wires.collect(),
            out: dealers.iter().map(|_| Way::default()).collect(),
            back: dealers.iter().map(|_| Way::default()).collect(),
            router,
            dealers,
            breaks: !seed.is_multiple_of(3),
            job: Job::default(),
            log: Log::new(format_args!("seed {seed}")),
        }
    }

    fn send(&mut self, index: usize) {
        let body = numbered(self.out[index].next(index), &mut self.random);
        let sent = self.dealers[index].look(|pattern, net| {
            let outgoing = Outgoing::Slice(&body);
            let sent = pattern.send(&mut net.peers, outgoing);
            net.pace(pattern, outgoing, sent.is_some());
            assert_eq!(pattern.in_dialogue(), sent.is_some());
            sent
        });
        self.out[index].accepted += u32::from(sent.is_some());
    }

    fn send_back(&mut self, index: usize) {
        let body = numbered(self.back[index].next(index), &mut self.random);
        let sent = self.router.look(|pattern, net| {
            let outgoing = Outgoing::Slice(&body);
            let sent = pattern.send_to(&mut net.peers, &name(index), outgoing);
            net.pace(pattern, outgoing, sent.is_ok());
            if sent != Err(Unroutable::NoSuchPeer) {
                assert_eq!(pattern.in_dialogue(), sent.is_ok());
            }
            sent
        });
        self.back[index].accepted += u32::from(sent == Ok(Routed::Queued));
    }

    /// Returns how many came.
    fn receive(&mut self, most: usize) -> usize {
        let mut message = Message::new();
        for count in 0..most {
            let from = self.router.look(|pattern, net| {
                let from = pattern.recv(&mut net.peers, &mut message).cloned();
                assert!(from.is_none() || !pattern.in_dialogue());
                from
            });
            let Some(from) = from else {
                return count;
            };
            let index = usize::from(from.as_bytes()[1]);
            assert_eq!(from.as_bytes(), name(index));
            self.out[index].arrived(number_of(message.first()), index);
        }
        most
    }

    fn receive_back(&mut self, index: usize, most: usize) {
        let mut message = Message::new();
        for _ in 0..most {
            let received = self.dealers[index].look(|pattern, net| {
                let received = pattern.recv(&mut net.peers, &mut message);
                assert!(received.is_none() || !pattern.in_dialogue());
                received
            });
            if received.is_none() {
                return;
            }
            self.back[index].arrived(number_of(message.first()), index);
        }
    }

    fn redial(&mut self) {
        for (index, dealer) in self.dealers.iter_mut().enumerate() {
            // Longer each time, where it is refused.
            dealer.wait(Duration::from_millis(200));
            for id in dealer.to_dial() {
                self.wires[index] = join(dealer, &self.router, Some(id));
            }
        }
    }

    fn step(&mut self) {
        let index = self.random.below(self.dealers.len());
        let choice = self.random.below(22);
        self.log.step(choice, index);
        match choice {
            0..=2 => self.send(index),
            3..=5 => self.send_back(index),
            6 | 7 => {
                let most = self.random.below(4);
                self.receive(most);
            }
            8 | 9 => {
                let most = self.random.below(4);
                self.receive_back(index, most);
            }
            10 | 11 => self.dealers[index].go_on(),
            12 | 13 => self.router.go_on(),
            14 => self.wires[index].vary(&mut self.random),
            15 if self.breaks && self.random.below(2) == 0 => self.wires[index].break_off(),
            15..=17 => self.redial(),
            18 => self.wires[index].widen(),
            _ => self.job.step(&self.router, &mut self.random),
        }
    }

    fn end(&mut self) {
        self.job.end(&self.router);
        for _ in 0..60 {
            self.redial();
            self.wires.iter().for_each(Wire::widen);
            self.router.go_on();
            self.receive(usize::MAX);
            for index in 0..self.dealers.len() {
                self.dealers[index].go_on();
                self.receive_back(index, usize::MAX);
            }
        }
        for way in self.out.iter().chain(&self.back) {
            way.check(!self.breaks);
        }
        for index in 0..self.dealers.len() {
            assert_eq!(self.dealers[index].turn(|turn| turn.unsent()), 0);
            let before = self.back[index].arrived.len();
            self.send_back(index);
            self.router.go_on();
            self.dealers[index].go_on();
            self.receive_back(index, usize::MAX);
            assert_eq!(
                self.back[index].arrived.len(),
                before + 1,
                "all know each other"
            );
        }
        assert_eq!(self.router.turn(|turn| turn.unsent()), 0);
    }
}

#[test]
fn names_and_messages_go_together_whatever_connections_do() {
    let (mut out, mut back) = (0, 0);
    for seed in 1..=120 {
        let mut rig = Rig::new(seed);
        for _ in 0..150 {
            rig.step();
        }
        rig.end();
        let arrived = |ways: &[Way]| ways.iter().map(|way| way.arrived.len()).sum::<usize>();
        out += arrived(&rig.out);
        back += arrived(&rig.back);
    }
    assert!(out > 1_000 && back > 1_000, "{out} and {back}");
}
