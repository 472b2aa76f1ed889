//! PUB and SUB, RADIO and DISH: a subscriber gets what it has subscribed to, in order and no message twice, and all of it where nothing is in the way.

use super::*;
use crate::engine::{Envelope, Enveloped, Outgoing};
use crate::message::{Frame, Message};
use crate::pattern::{Groups, Matching, PubOf, Receiving, Sending, SubOf, Topics};

const TOPICS: [&[u8]; 4] = [b"", b"a", b"ab", b"b"];

struct Rig<M: Matching> {
    random: Random,
    publisher: Stand<PubOf<M>>,
    subscribers: Vec<Stand<SubOf<M>>>,
    wires: Vec<Wire>,
    /// What each has subscribed to, as often as it has.
    topics: Vec<Vec<&'static [u8]>>,
    published: u32,
    /// What came last to each.
    last: Vec<Option<u32>>,
    received: usize,
    /// How many messages were queued, for how many subscribers.
    sent: usize,
    job: Job,
    log: Log,
}

impl<M: Matching> Rig<M> {
    fn new(seed: u64) -> Self {
        let context = Context::new();
        let pattern = PubOf::new(&options());
        let publisher = Stand::new(&context, options(), pattern);
        let subscribers: Vec<_> = (0..3)
            .map(|_| Stand::new(&context, options(), SubOf::new(None, false)))
            .collect();
        let wires = subscribers
            .iter()
            .map(|subscriber| join(subscriber, &publisher, None));
        Rig {
            random: Random::new(seed),
            wires: wires.collect(),
            topics: vec![Vec::new(); subscribers.len()],
            last: vec![None; subscribers.len()],
            publisher,
            subscribers,
            published: 0,
            received: 0,
            sent: 0,
            job: Job::default(),
            log: Log::new(format_args!("seed {seed}")),
        }
    }

    /// A topic, and then the number: in one frame, or after the group.
    fn publish(&mut self, topic: &[u8]) -> usize {
        let number = numbered(self.published, &mut self.random);
        let message = [topic, b"!", &number].concat();
        let enveloped = Enveloped {
            envelope: Envelope::Slices(&[topic]),
            body: Outgoing::Slice(&number),
        };
        self.published += 1;
        let published = self.publisher.look(|pattern, net| {
            let outgoing = match M::GROUPS {
                true => Outgoing::Enveloped(&enveloped),
                false => Outgoing::Slice(&message),
            };
            let published = pattern.send(&mut net.peers, outgoing);
            net.pace(pattern, outgoing, published.is_some());
            published.expect("it never waits")
        });
        self.sent += published.sent;
        published.sent
    }

    fn receive(&mut self, index: usize, most: usize) -> usize {
        let mut message = Message::new();
        for count in 0..most {
            let received = self.subscribers[index]
                .look(|pattern, net| pattern.recv(&mut net.peers, &mut message));
            if received.is_none() {
                return count;
            }
            let first = message.first().as_slice();
            let mut wanted = self.topics[index].iter();
            let number = match message.get(1).map(Frame::as_slice) {
                Some(body) => {
                    assert!(wanted.any(|wanted| first == *wanted));
                    number_of(body)
                }
                None => {
                    let end = first.iter().position(|&byte| byte == b'!');
                    let (topic, rest) = first.split_at(end.expect("a topic"));
                    assert!(wanted.any(|wanted| topic.starts_with(wanted)));
                    number_of(&rest[1..])
                }
            };
            assert_eq!(message.is_multipart(), M::GROUPS);
            assert!(self.last[index].is_none_or(|last| last < number));
            self.last[index] = Some(number);
            self.received += 1;
        }
        most
    }

    fn subscribe(&mut self, index: usize) {
        let topic = self.random.of(&TOPICS);
        let topics = &mut self.topics[index];
        let subscriber = &self.subscribers[index];
        let held = topics.iter().position(|&held| held == topic);
        match held.filter(|_| self.random.below(3) > 0) {
            Some(held) => {
                topics.remove(held);
                subscriber.look(|pattern, net| pattern.unsubscribe(&mut net.peers, topic));
            }
            None => {
                topics.push(topic);
                subscriber.look(|pattern, net| pattern.subscribe(&mut net.peers, topic));
            }
        }
    }

    fn redial(&mut self) {
        for (index, subscriber) in self.subscribers.iter_mut().enumerate() {
            subscriber.wait(Duration::from_millis(20));
            for id in subscriber.to_dial() {
                self.wires[index] = join(subscriber, &self.publisher, Some(id));
            }
        }
    }

    fn step(&mut self) {
        let index = self.random.below(self.subscribers.len());
        let choice = self.random.below(18);
        self.log.step(choice, index);
        match choice {
            0..=3 => {
                let topic = self.random.of(&TOPICS);
                self.publish(topic);
            }
            4 | 5 => {
                let most = self.random.below(4);
                self.receive(index, most);
            }
            6 | 7 => self.subscribers[index].go_on(),
            8 | 9 => self.publisher.go_on(),
            10 => self.wires[index].vary(&mut self.random),
            11 if self.random.below(3) == 0 => self.wires[index].break_off(),
            11 | 12 => self.redial(),
            13 => self.subscribe(index),
            14 | 15 => self.job.step(&self.publisher, &mut self.random),
            _ => self.wires[index].widen(),
        }
        assert!(self.received <= self.sent);
    }

    /// Where nothing is in the way, each gets all that it wants.
    fn end(&mut self) {
        self.job.end(&self.publisher);
        let settle = |rig: &mut Rig<M>| {
            rig.redial();
            rig.wires.iter().for_each(Wire::widen);
            rig.publisher.go_on();
            (0..rig.subscribers.len())
                .map(|index| {
                    rig.subscribers[index].go_on();
                    rig.receive(index, usize::MAX)
                })
                .collect::<Vec<_>>()
        };
        for _ in 0..60 {
            settle(self);
        }
        for topic in TOPICS {
            let wants = |topics: &&Vec<&[u8]>| {
                topics.iter().any(|wanted| match M::GROUPS {
                    true => topic == *wanted,
                    false => topic.starts_with(wanted),
                })
            };
            let wanted = self.topics.iter().filter(wants).count();
            assert_eq!(self.publish(topic), wanted);
            let got: usize = (0..3).flat_map(|_| settle(self)).sum();
            assert_eq!(got, wanted);
        }
    }
}

#[test]
fn each_gets_what_it_wants_in_order_whatever_connections_do() {
    run::<Topics>();
}

#[test]
fn so_do_members_of_groups() {
    run::<Groups>();
}

fn run<M: Matching>() {
    let mut received = 0;
    for seed in 1..=150 {
        let mut rig = Rig::<M>::new(seed);
        for _ in 0..150 {
            rig.step();
        }
        rig.end();
        received += rig.received;
    }
    assert!(received > 1_000, "{received}");
}
