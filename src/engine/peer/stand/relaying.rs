//! XPUB and XSUB: what is wanted is told in an order that makes sense and, in the end, as it is; each gets what it wants, and messages go
//! up as well.

use super::*;
use crate::engine::Outgoing;
use crate::message::Message;
use crate::pattern::{Receiving, Sending, Subscriber, Upstream, XpubPattern, XsubPattern};

const TOPICS: [&[u8]; 4] = [b"", b"a", b"ab", b"b"];

/// What an XPUB is to tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telling {
    /// The first and the last subscription to a topic.
    Changes,
    /// All subscriptions, and the end of the last.
    Verbose,
    /// All subscriptions and the ends of all.
    Verboser,
    /// The same, and peers get what they are granted: what they ask for.
    Manual,
}

impl Telling {
    fn options(self) -> Options {
        match self {
            Telling::Changes => options(),
            Telling::Verbose => options().xpub_verbose(true),
            Telling::Verboser => options().xpub_verboser(true),
            Telling::Manual => options().xpub_manual(true),
        }
    }
}

struct Rig {
    random: Random,
    telling: Telling,
    xpub: Stand<XpubPattern>,
    xsubs: Vec<Stand<XsubPattern>>,
    wires: Vec<Wire>,
    /// What each has subscribed to, as often as it has.
    topics: Vec<Vec<&'static [u8]>>,
    /// The subscribers that the XPUB was told of, each with a topic that it wants. Where it is told of changes only, it knows of one, whoever
    /// that is.
    told: Vec<(Option<Subscriber>, Vec<u8>)>,
    events: usize,
    published: u32,
    /// How many messages were queued, for how many of them, and how many came.
    sent: usize,
    received: usize,
    /// What came last to each.
    last: Vec<Option<u32>>,
    /// Messages to the XPUB.
    up: Vec<Way>,
    /// Connections do break.
    breaks: bool,
    job: Job,
    log: Log,
}

impl Rig {
    fn new(seed: u64, telling: Telling) -> Rig {
        let context = Context::new();
        let pattern = XpubPattern::new(&telling.options());
        let xpub = Stand::new(&context, telling.options(), pattern);
        let xsubs: Vec<_> = (0..3)
            .map(|_| Stand::new(&context, options(), XsubPattern::new(None, false)))
            .collect();
        let wires = xsubs.iter().map(|xsub| join(xsub, &xpub, None));
        Rig {
            random: Random::new(seed),
            telling,
            wires: wires.collect(),
            topics: vec![Vec::new(); xsubs.len()],
            told: Vec::new(),
            events: 0,
            published: 0,
            sent: 0,
            received: 0,
            last: vec![None; xsubs.len()],
            up: xsubs.iter().map(|_| Way::default()).collect(),
            breaks: !seed.is_multiple_of(3),
            xpub,
            xsubs,
            job: Job::default(),
            log: Log::new(format_args!("seed {seed}, {telling:?}")),
        }
    }

    /// Says for how many it was queued.
    fn publish(&mut self, topic: &[u8]) -> usize {
        let number = numbered(self.published, &mut self.random);
        let message = [topic, b"!", &number].concat();
        self.published += 1;
        let published = self.xpub.look(|pattern, net| {
            let outgoing = Outgoing::Slice(&message);
            let published = pattern.send(&mut net.peers, outgoing);
            net.pace(pattern, outgoing, published.is_some());
            published.expect("it never waits")
        });
        self.sent += published.sent;
        published.sent
    }

    /// Returns how many came.
    fn receive(&mut self, index: usize, most: usize) -> usize {
        let mut message = Message::new();
        for count in 0..most {
            let received =
                self.xsubs[index].look(|pattern, net| pattern.recv(&mut net.peers, &mut message));
            if received.is_none() {
                return count;
            }
            let body = message.as_bytes().expect("one frame");
            let end = body.iter().position(|&byte| byte == b'!');
            let number = number_of(&body[end.expect("a topic") + 1..]);
            assert!(self.last[index].is_none_or(|last| last < number));
            self.last[index] = Some(number);
            self.received += 1;
        }
        most
    }

    fn send_up(&mut self, index: usize) {
        let number = numbered(self.up[index].next(index), &mut self.random);
        let message = [b"m", &number[..]].concat();
        let sent = self.send_by(index, &message);
        self.up[index].accepted += sent as u32;
    }

    fn send_by(&self, index: usize, bytes: &[u8]) -> usize {
        self.xsubs[index].look(|pattern, net| {
            let outgoing = Outgoing::Slice(bytes);
            let published = pattern.send(&mut net.peers, outgoing);
            net.pace(pattern, outgoing, published.is_some());
            published.expect("it never waits").sent
        })
    }

    /// Subscribes, or takes a subscription back, by a call or by a message.
    fn subscribe(&mut self, index: usize) {
        let topic = self.random.of(&TOPICS);
        let by_message = self.random.below(2) == 0;
        let held = self.topics[index].iter().position(|&held| held == topic);
        let held = held.filter(|_| self.random.below(3) > 0);
        let subscribe = match held {
            Some(held) => {
                self.topics[index].remove(held);
                false
            }
            None => {
                self.topics[index].push(topic);
                true
            }
        };
        if by_message {
            self.send_by(index, &[&[u8::from(subscribe)], topic].concat());
            return;
        }
        self.xsubs[index].look(|pattern, net| match subscribe {
            true => pattern.subscribe(&mut net.peers, topic),
            false => pattern.unsubscribe(&mut net.peers, topic),
        });
    }

    /// Takes what has come to the XPUB.
    fn take(&mut self, most: usize) {
        for _ in 0..most {
            let next = self.xpub.look(|pattern, net| pattern.next(&mut net.peers));
            let (subscription, subscribe) = match next {
                None => return,
                Some(Upstream::Message(message)) => {
                    let body = message.as_bytes().expect("one frame");
                    let number = number_of(body.strip_prefix(b"m").expect("a message"));
                    let index = number as usize % self.up.len();
                    self.up[index].arrived(number, index);
                    continue;
                }
                Some(Upstream::Subscribe(subscription)) => (subscription, true),
                Some(Upstream::Unsubscribe(subscription)) => (subscription, false),
            };
            self.events += 1;
            let subscriber = subscription.subscriber().expect("of a peer");
            let topic = subscription.topic().to_vec();
            if self.telling == Telling::Manual {
                // It may have gone since.
                self.xpub
                    .look(|pattern, _| pattern.grant(subscriber, &topic, subscribe));
            }
            let by_each = matches!(self.telling, Telling::Verboser | Telling::Manual);
            let entry = (by_each.then_some(subscriber), topic);
            let known = self.told.iter().position(|known| *known == entry);
            match (known, subscribe) {
                (None, true) => self.told.push(entry),
                (Some(known), false) => drop(self.told.swap_remove(known)),
                (None, false) => panic!("{entry:?} has ended, and was never made"),
                (Some(_), true) => {
                    let again = self.telling != Telling::Changes;
                    assert!(again, "{entry:?} is made again, and has not ended");
                }
            }
        }
    }

    fn redial(&mut self) {
        for (index, xsub) in self.xsubs.iter_mut().enumerate() {
            xsub.wait(Duration::from_millis(20));
            for id in xsub.to_dial() {
                self.wires[index] = join(xsub, &self.xpub, Some(id));
            }
        }
    }

    fn step(&mut self) {
        let index = self.random.below(self.xsubs.len());
        let choice = self.random.below(22);
        self.log.step(choice, index);
        match choice {
            0..=2 => {
                let topic = self.random.of(&TOPICS);
                self.publish(topic);
            }
            3 | 4 => {
                let most = self.random.below(4);
                self.receive(index, most);
            }
            5 | 6 => self.send_up(index),
            7 | 8 => {
                let most = self.random.below(4);
                self.take(most);
            }
            9 | 10 => self.xsubs[index].go_on(),
            11 | 12 => self.xpub.go_on(),
            13 => self.wires[index].vary(&mut self.random),
            14 if self.breaks && self.random.below(3) == 0 => self.wires[index].break_off(),
            14 | 15 => self.redial(),
            16 | 17 => self.subscribe(index),
            18 => self.job.step(&self.xpub, &mut self.random),
            19 => self.wires[index].widen(),
            _ => {}
        }
        assert!(self.received <= self.sent);
    }

    /// Nothing is in the way, until there is nothing more to do. Returns how many messages came down.
    fn settle(&mut self, rounds: usize) -> usize {
        let before = self.received;
        for _ in 0..rounds {
            self.redial();
            self.wires.iter().for_each(Wire::widen);
            self.xpub.go_on();
            self.take(usize::MAX);
            for index in 0..self.xsubs.len() {
                self.xsubs[index].go_on();
                self.receive(index, usize::MAX);
            }
        }
        self.received - before
    }

    /// In the end the XPUB knows what is wanted, and each gets just that.
    fn end(&mut self) {
        self.job.end(&self.xpub);
        self.settle(60);
        for topic in TOPICS {
            let wanted = self.topics.iter().filter(|topics| topics.contains(&topic));
            let wanted = match self.telling {
                Telling::Changes | Telling::Verbose => usize::from(wanted.count() > 0),
                Telling::Verboser | Telling::Manual => wanted.count(),
            };
            let told = self.told.iter().filter(|(_, told)| told == topic).count();
            assert_eq!(told, wanted, "{topic:?}");

            let wants = |topics: &&Vec<&[u8]>| topics.iter().any(|held| topic.starts_with(held));
            let wanted = self.topics.iter().filter(wants).count();
            assert_eq!(self.publish(topic), wanted, "{topic:?}");
            assert_eq!(self.settle(3), wanted, "{topic:?}");
        }
        for way in &self.up {
            way.check(!self.breaks);
        }
        assert_eq!(self.xpub.turn(|turn| turn.unsent()), 0);
    }
}

fn run(telling: Telling) {
    let (mut received, mut events, mut up) = (0, 0, 0);
    for seed in 1..=80 {
        let mut rig = Rig::new(seed, telling);
        for _ in 0..150 {
            rig.step();
        }
        rig.end();
        received += rig.received;
        events += rig.events;
        up += rig.up.iter().map(|way| way.arrived.len()).sum::<usize>();
    }
    let seen = (received, events, up);
    assert!(received > 500 && events > 300 && up > 500, "{seen:?}");
}

#[test]
fn changes_alternate_and_are_true_in_the_end() {
    run(Telling::Changes);
}

#[test]
fn subscriptions_are_told_as_long_as_they_are_wanted() {
    run(Telling::Verbose);
}

#[test]
fn those_of_each_subscriber_end_with_it() {
    run(Telling::Verboser);
}

#[test]
fn each_gets_what_it_is_granted() {
    run(Telling::Manual);
}

/// Whoever comes to its place is another.
#[test]
fn a_subscriber_that_has_gone_is_granted_nothing() {
    let context = Context::new();
    let manual = Telling::Manual.options();
    let pattern = XpubPattern::new(&manual);
    let mut xpub = Stand::new(&context, manual, pattern);
    let xsub = Stand::new(&context, options(), XsubPattern::new(None, false));
    xsub.look(|pattern, net| pattern.subscribe(&mut net.peers, b"a"));
    let next = |xpub: &Stand<XpubPattern>| {
        let next = xpub.look(|pattern, net| pattern.next(&mut net.peers));
        match next {
            Some(Upstream::Subscribe(subscription)) => (subscription.subscriber(), true),
            Some(Upstream::Unsubscribe(subscription)) => (subscription.subscriber(), false),
            Some(Upstream::Message(_)) | None => panic!("{next:?}"),
        }
    };
    let grant = |xpub: &Stand<XpubPattern>, to: Subscriber| {
        xpub.look(|pattern, _| pattern.grant(to, b"a", true))
    };

    let wire = connect(&xpub, &xsub, None);
    let (first, true) = next(&xpub) else {
        panic!("it has subscribed");
    };
    wire.break_off();
    xpub.go_on();
    xsub.go_on();
    xpub.wait(Duration::from_secs(1));
    assert_eq!(xpub.to_dial(), [wire.ids.0]);
    connect(&xpub, &xsub, Some(wire.ids.0));
    assert_eq!(next(&xpub), (first, false), "its connection has ended");
    assert!(!grant(&xpub, first.expect("a subscriber")));
    let (second, true) = next(&xpub) else {
        panic!("it has subscribed again");
    };
    assert_ne!(first, second);
    assert!(grant(&xpub, second.expect("a subscriber")));
}
