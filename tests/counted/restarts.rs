//! Millions of numbered messages, while the receiver is killed and restarted and the link is cut and restored.
//!
//! ZeroMQ promises that a message goes out once, in order, and is lost only with a connection that had it already. So
//! of what the kernel was given on one connection a first part arrives, without a gap, and the rest may be lost; and
//! what it was not given whole goes out on the next connection. Each number is held to that.

use std::ops::Range;
use std::time::Duration;

use crate::common::loopback;
use crate::common::until::until;
use crate::gate::missing;
use crate::network::{Network, RECEIVER};
use crate::roles::{MOST_LOST, SHARES};
use crate::worker::{Ended, Worker};

const MESSAGES: u64 = if cfg!(debug_assertions) {
    1_000_000
} else {
    10_000_000
};

/// What was heard of one stream.
#[derive(Debug, Default)]
struct Account {
    /// Runs of numbers, in the order received.
    received: Vec<Range<u64>>,
    /// For each connection that broke: how many messages had been written by then, ever.
    written: Vec<u64>,
    /// Connections that the sender has had.
    linked: usize,
    /// Those that the present receiver has had, and those of them that broke.
    joined: usize,
    parted: usize,
    sent: u64,
    ended: bool,
    /// Nothing more is to be heard of the sender.
    over: bool,
}

impl Account {
    fn note(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<u64>().expect("a number");
        match words[0] {
            "run" => self.received.push(number(1)..number(2)),
            // The word that ends the stream is no number of it.
            "break" => self.written.push(number(1).min(MESSAGES)),
            "sent" => self.sent = number(1),
            "all" => self.sent = MESSAGES,
            "linked" => self.linked += 1,
            "joined" => self.joined += 1,
            "parted" => self.parted += 1,
            "end" => self.ended = true,
            "over" => self.over = true,
            "bound" => {}
            _ => panic!("what is {line:?}?"),
        }
    }

    /// Listens to both for a while, until `done`.
    fn follow(&mut self, workers: [&Worker; 2], done: impl Fn(&Account) -> bool) {
        until("the stream goes on", || {
            for worker in workers {
                // Not for ever: the other one has something to say, too.
                for _ in 0..16 {
                    match worker.next_within(Duration::from_millis(1)) {
                        Ok(Some(line)) => self.note(&line),
                        Ok(None) | Err(Ended) => break,
                    }
                }
            }
            done(self).then_some(())
        });
    }

    /// Neither side has a connection.
    fn is_apart(&self) -> bool {
        self.linked == self.written.len() && self.joined == self.parted
    }

    /// Holds every number to what is promised; gives how many were lost.
    fn check(&self) -> u64 {
        let mut lost = 0;
        let mut expected = 0;
        let mut runs = self
            .received
            .iter()
            .filter(|run| !run.is_empty())
            .peekable();
        let breaks = self.written.iter().map(|&end| (end, false));
        // The last connection did not break: all that was left went over it. That may be nothing, where the one before broke at the end.
        for (end, is_last) in breaks.chain([(MESSAGES, true)]) {
            while let Some(run) = runs.next_if(|run| run.start < end) {
                assert_eq!(
                    run.start, expected,
                    "of {:?}, breaks at {:?}",
                    self.received, self.written
                );
                expected = run.end;
            }
            assert!(expected <= end, "{expected} received of {end} written");
            lost += end - expected;
            if is_last {
                assert_eq!(expected, end, "lost without having been written: {self:?}");
            }
            expected = end;
        }
        assert!(runs.next().is_none(), "more than was sent");
        lost
    }

    fn report(&self, what: &str) {
        let lost = self.check();
        let received: u64 = self.received.iter().map(|run| run.end - run.start).sum();
        let breaks = self.written.len();
        // By the library's own count these had been written. That this is true shows in how few they are.
        assert!(
            lost <= breaks as u64 * MOST_LOST,
            "{lost} lost in {breaks} breaks"
        );
        println!(
            "{what}: {MESSAGES} sent, {received} received, 0 twice, {lost} lost in {breaks} breaks"
        );
        assert_eq!(received + lost, MESSAGES);
    }
}

/// Brings the sender so far that it is in mid-stream, with the current receiver, of which nothing has been heard before. It waits for us at each of these
/// shares, so that however fast it is, there is something left to be sent when the next one is to be reached.
fn go_on(share: u64, account: &mut Account, sender: &mut Worker, receiver: &Worker) {
    let runs = account.received.len();
    account.follow([&*sender, receiver], |account| {
        account.sent >= MESSAGES / 100 * share
    });
    sender.tell("go");
    account.follow([&*sender, receiver], |account| {
        account.received.len() > runs
    });
}

/// The receiver is killed three times in mid-stream, and another takes its place.
#[test]
fn a_killed_receiver_loses_only_what_was_written() {
    let endpoint = loopback::tcp_endpoint();
    let receiver = format!("receive {endpoint}");
    let mut account = Account::default();
    let mut sender = Worker::start(&format!("stream {endpoint} {MESSAGES}"));
    let mut current = Worker::start(&receiver);
    for share in SHARES {
        go_on(share, &mut account, &mut sender, &current);
        for line in current.kill() {
            account.note(&line);
        }
        let breaks = account.written.len();
        current = Worker::start(&receiver);
        account.follow([&sender, &current], |account| {
            account.written.len() > breaks
        });
    }
    finish(&mut account, &mut sender, &current);
    account.report("killed receivers");
}

/// The cable is pulled out for as long as it takes to be noticed, and put in again; and a receiver is killed, too.
#[test]
fn a_cut_link_loses_only_what_was_written() {
    let Some(network) = Network::lay() else {
        return missing("a cut link", "right to make network namespaces");
    };
    let endpoint = format!("tcp://{RECEIVER}:5555");
    let receiver = format!("receive {endpoint}");
    let mut account = Account::default();
    let mut sender = Worker::start_behind(
        &network.on_sender(),
        &format!("stream {endpoint} {MESSAGES}"),
    );
    let mut current = Worker::start_behind(&network.on_receiver(), &receiver);
    for share in SHARES {
        go_on(share, &mut account, &mut sender, &current);
        network.cut();
        // What the kernel still has of the old connection could otherwise come after the first of the new one. On a busy machine that one may have
        // broken before the cut, and then nothing more is heard of it.
        account.follow([&sender, &current], Account::is_apart);
        if share == 40 {
            for line in current.kill() {
                account.note(&line);
            }
            (account.joined, account.parted) = (0, 0);
            current = Worker::start_behind(&network.on_receiver(), &receiver);
        }
        network.mend();
    }
    finish(&mut account, &mut sender, &current);
    account.report("cut link");
}

fn finish(account: &mut Account, sender: &mut Worker, receiver: &Worker) {
    account.follow([&*sender, receiver], |account| account.sent == MESSAGES);
    sender.tell("end");
    account.follow([&*sender, receiver], |account| account.ended);
    sender.tell("over");
    account.follow([&*sender, receiver], |account| account.over);
}
