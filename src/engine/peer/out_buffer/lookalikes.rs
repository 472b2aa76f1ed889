//! Which frames of a buffer are subscriptions that look like messages, as peers of before ZMTP 3.1 know them.

use std::collections::VecDeque;

/// The subscriptions among the messages of a buffer, in its order.
#[derive(Debug, Default)]
pub(super) struct Lookalikes {
    runs: VecDeque<Run>,
    /// Messages ahead of the last run: the sum of those of all runs.
    ahead: usize,
}

/// Subscriptions with no message in between.
#[derive(Debug)]
struct Run {
    /// Messages between these subscriptions and those before.
    messages: usize,
    subscriptions: usize,
}

impl Lookalikes {
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// A subscription has been appended behind so many messages.
    pub(super) fn push(&mut self, messages: usize) {
        self.push_run(messages - self.ahead, 1);
    }

    fn push_run(&mut self, messages: usize, subscriptions: usize) {
        match self.runs.back_mut() {
            Some(last) if messages == 0 => last.subscriptions += subscriptions,
            Some(_) | None => self.runs.push_back(Run {
                messages,
                subscriptions,
            }),
        }
        self.ahead += messages;
    }

    /// The first of all that looks like a message is gone: says whether it was a subscription.
    pub(super) fn pass(&mut self) -> bool {
        let Some(first) = self.runs.front_mut() else {
            return false;
        };
        if first.messages > 0 {
            first.messages -= 1;
            self.ahead -= 1;
            return false;
        }
        first.subscriptions -= 1;
        if first.subscriptions == 0 {
            self.runs.pop_front();
        }
        true
    }

    /// Whether the first of all that looks like a message is a subscription.
    pub(super) fn is_next(&self) -> bool {
        self.runs.front().is_some_and(|first| first.messages == 0)
    }

    /// Those of a buffer have been appended behind so many messages.
    pub(super) fn append(&mut self, messages: usize, later: Lookalikes) {
        let mut between = messages - self.ahead;
        for run in later.runs {
            self.push_run(between + run.messages, run.subscriptions);
            between = 0;
        }
    }
}
