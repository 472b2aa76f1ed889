//! REQ and REP where requests are sent again: whatever connections do, and whoever dies, each request ends in its own reply; and no REP hands one to
//! its application twice.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::Idempotent;
use crate::engine::Outgoing;
use crate::pattern::{Outcome, RepPattern, ReqPattern, ReturnAddress, Ticket, Undeliverable};

/// As many as run with every test. `ZEROHOP_SCHEDULES` says otherwise.
const SCHEDULES: u64 = 120;

/// In which a request that had come by an older connection was read after the same by a newer one, and the reply went the older way.
const FOUND: u64 = 439;

const ATTEMPT: Duration = Duration::from_millis(100);

struct Server {
    stand: Stand<RepPattern>,
    wire: Wire,
    /// What it has to reply to.
    requests: Vec<(ReturnAddress, u32)>,
    /// What it has been given in this life.
    received: HashSet<u32>,
}

struct Rig {
    random: Random,
    context: Context,
    req: Stand<ReqPattern>,
    servers: Vec<Server>,
    asked: u32,
    /// What is under way, and its number.
    waiting: HashMap<Ticket, u32>,
    cancelled: HashSet<u32>,
    taken_back: HashSet<u32>,
    /// How often each was given to an application, of any server.
    received: HashMap<u32, u32>,
    replies: usize,
    /// Connections do break; and servers die, or leave requests unanswered.
    breaks: bool,
    dies: bool,
    job: Job,
    log: Log,
}

fn idempotent(dies: bool) -> Options {
    let idempotent = Idempotent::new()
        .limit(u32::MAX)
        .keep_for(Duration::from_secs(600))
        .attempt_timeout(dies.then_some(ATTEMPT));
    options().idempotent(idempotent)
}

fn server(context: &Context, req: &Stand<ReqPattern>, at: Option<PeerId>) -> Server {
    let options = idempotent(false);
    let pattern = RepPattern::with_options(&options);
    let stand = Stand::new(context, options, pattern);
    Server {
        wire: join(req, &stand, at),
        stand,
        requests: Vec::new(),
        received: HashSet::new(),
    }
}

impl Rig {
    fn new(seed: u64) -> Rig {
        let context = Context::new();
        let dies = seed.is_multiple_of(2);
        let options = idempotent(dies);
        let pattern = ReqPattern::with_options(&options, u32::MAX - 5);
        let req = Stand::new(&context, options, pattern);
        let servers = (0..3).map(|_| server(&context, &req, None)).collect();
        Rig {
            random: Random::new(seed),
            context,
            req,
            servers,
            asked: 0,
            waiting: HashMap::new(),
            cancelled: HashSet::new(),
            taken_back: HashSet::new(),
            received: HashMap::new(),
            replies: 0,
            breaks: !seed.is_multiple_of(3),
            dies,
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
        let server = &mut self.servers[index];
        let received = server
            .stand
            .look(|pattern, net| pattern.recv(&mut net.peers));
        if let Some((address, body)) = received {
            let number = number_of(body.first());
            let fresh = server.received.insert(number);
            assert!(fresh, "{number} came twice to the same server");
            assert!(
                !self.taken_back.contains(&number),
                "{number} was taken back"
            );
            *self.received.entry(number).or_default() += 1;
            server.requests.push((address, number));
        }
        server.stand.go_on();
    }

    /// Replies to any of the requests of a server, or drops it.
    fn reply(&mut self, index: usize) {
        let server = &mut self.servers[index];
        if server.requests.is_empty() {
            return;
        }
        let place = self.random.below(server.requests.len());
        let (mut address, number) = server.requests.swap_remove(place);
        if self.dies && self.random.below(8) == 0 {
            server
                .stand
                .look(|pattern, _| pattern.give_up(&mut address));
            // It may come again, as a new one.
            server.received.remove(&number);
            return;
        }
        let body = numbered(number, &mut self.random);
        let replied = server.stand.look(|pattern, net| {
            let outgoing = Outgoing::Slice(&body);
            let replied = pattern.reply(&mut net.peers, &mut address, outgoing);
            net.pace(pattern, outgoing, replied.is_ok());
            replied
        });
        match replied {
            Ok(()) => {}
            Err(Undeliverable::NoRoom) => server.requests.push((address, number)),
            Err(error) => assert!(self.breaks || self.dies, "{error:?}"),
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
            let Outcome::Reply(body) = outcome else {
                panic!("{number}: {outcome:?}");
            };
            assert_eq!(number_of(body.first()), number, "the reply to another");
            assert!(self.received.contains_key(&number));
            self.replies += 1;
        }
    }

    fn cancel(&mut self) {
        // The same for the same seed.
        let newest = self.waiting.iter().max_by_key(|(_, number)| **number);
        let Some((&ticket, &number)) = newest else {
            return;
        };
        self.waiting.remove(&ticket);
        let done = self
            .req
            .look(|pattern, net| pattern.cancel(&mut net.peers, ticket));
        self.cancelled.insert(number);
        if done {
            assert!(!self.received.contains_key(&number));
            self.taken_back.insert(number);
        }
    }

    fn redial(&mut self) {
        self.req.wait(Duration::from_millis(20));
        for id in self.req.to_dial() {
            let at = self.servers.iter().position(|s| s.wire.ids.0 == id);
            let server = &mut self.servers[at.expect("known")];
            server.wire = join(&self.req, &server.stand, Some(id));
        }
    }

    /// A server dies, with all that it knew, and another takes its place.
    fn kill(&mut self, index: usize) {
        self.servers[index].wire.break_off();
        self.req.go_on();
        self.req.wait(Duration::from_millis(20));
        for id in self.req.to_dial() {
            let at = self.servers.iter().position(|s| s.wire.ids.0 == id);
            let at = at.expect("known");
            self.servers[at] = match at == index {
                true => server(&self.context, &self.req, Some(id)),
                false => {
                    let wire = join(&self.req, &self.servers[at].stand, Some(id));
                    self.servers[at].wire = wire;
                    continue;
                }
            };
        }
    }

    /// The time of requests is over at those who have them.
    fn time_out(&mut self) {
        self.req.wait(ATTEMPT);
        self.req.turn(|turn| turn.delivery_due());
    }

    fn step(&mut self) {
        let index = self.random.below(self.servers.len());
        let choice = self.random.below(22);
        self.log.step(choice, index);
        match choice {
            0..=3 => self.ask(),
            4 | 5 => self.receive(index),
            6 | 7 => self.reply(index),
            8 | 9 => self.servers[index].stand.go_on(),
            10 | 11 => self.req.go_on(),
            12 => self.servers[index].wire.vary(&mut self.random),
            13 if self.breaks && self.random.below(2) == 0 => self.servers[index].wire.break_off(),
            13 | 14 => self.redial(),
            15 | 16 => self.job.step(&self.req, &mut self.random),
            17 if self.random.below(2) == 0 => self.cancel(),
            18 => self.servers[index].wire.widen(),
            19 if self.dies && self.random.below(3) == 0 => self.kill(index),
            20 if self.dies => self.time_out(),
            _ => self.look_for_outcomes(),
        }
    }

    /// In the end each request that somebody waits for has its reply.
    fn end(&mut self) {
        self.job.end(&self.req);
        for _ in 0..200 {
            if self.waiting.is_empty() {
                break;
            }
            self.redial();
            self.req.go_on();
            for index in 0..self.servers.len() {
                self.servers[index].wire.widen();
                self.servers[index].stand.go_on();
                for _ in 0..4 {
                    self.receive(index);
                    self.reply(index);
                }
                self.servers[index].stand.go_on();
            }
            if self.dies {
                self.time_out();
            }
            self.req.go_on();
            self.look_for_outcomes();
        }
        assert_eq!(self.waiting, HashMap::new());
        assert_eq!(self.req.turn(|turn| turn.unsent()), 0);
        assert_eq!(self.replies + self.cancelled.len(), self.asked as usize);
        if !self.breaks && !self.dies {
            let twice = self.received.iter().find(|(_, times)| **times > 1);
            assert_eq!(twice, None, "came again though nothing has happened");
        }
    }
}

#[test]
fn each_request_is_answered_whoever_dies() {
    let schedules = std::env::var("ZEROHOP_SCHEDULES").ok();
    let schedules = schedules.and_then(|number| number.parse().ok());
    let (mut replies, mut again, mut from_memory, mut taken_back) = (0, 0, 0, 0);
    for seed in (1..=schedules.unwrap_or(SCHEDULES)).chain([FOUND]) {
        let mut rig = Rig::new(seed);
        for _ in 0..150 {
            rig.step();
        }
        rig.end();
        replies += rig.replies;
        again += rig.received.values().filter(|&&times| times > 1).count();
        taken_back += rig.taken_back.len();
        for server in &rig.servers {
            let stats = server.stand.look(|pattern, _| pattern.delivery_stats());
            from_memory += stats.retried;
        }
    }
    let seen = (replies, again, from_memory, taken_back);
    assert!(
        replies > 1000 && again > 100 && from_memory > 100 && taken_back > 20,
        "{seen:?}"
    );
}
