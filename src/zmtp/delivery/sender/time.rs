//! What time brings about.

use std::cmp::Reverse;
use std::time::Instant;

use super::{DeadLine, Fate, Sender};

impl<T> Sender<T> {
    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let delayed = self.delayed.peek().map(|Reverse((at, ..))| *at);
        let graces = self.graces.iter().map(|grace| grace.until);
        graces.chain(delayed).chain(self.expiry.deadline()).min()
    }

    /// Finishes messages whose time is over and that are not out, and has those given back that are.
    pub(crate) fn expire(&mut self, now: Instant) {
        let mut out = Vec::new();
        while let Some((number, key)) = self.expiry.next(now) {
            // Any other message may have the key by now.
            if !self.store.is(key, number) {
                continue;
            }
            self.store.set_expired(key);
            match self.store.is_out(key) {
                true => out.push(key),
                false => self.expiry.lost(),
            }
        }
        let store = &self.store;
        self.expiry.skip(|key, number| store.is(key, number));
        if !out.is_empty() {
            out.sort_unstable();
            for (connection, line) in self.lines.iter().enumerate() {
                let tags = line.iter().flat_map(|line| line.out.iter());
                let tags = tags.filter(|(_, key)| out.binary_search(key).is_ok());
                self.expiry.revoke(connection, tags.map(|(tag, _)| tag));
            }
        }
        // They are the first of all as a rule.
        while let Some(key) = self.store.first_fresh()
            && self.store.is_expired(key)
        {
            self.finish(key, Fate::Dead(DeadLine::Expired));
        }
        if self.expiry.is_search_due(now) {
            self.search_expired();
        }
    }

    /// Finishes what has expired, wherever it waits.
    fn search_expired(&mut self) {
        let mut over = Vec::new();
        let store = &self.store;
        let stays = |over: &mut Vec<usize>, key: &usize| {
            let expired = store.is_expired(*key);
            if expired {
                over.push(*key);
            }
            !expired
        };
        self.again.retain(|key| stays(&mut over, key));
        self.delayed
            .retain(|Reverse((.., key))| stays(&mut over, key));
        for grace in &mut self.graces {
            grace.keys.retain(|key| stays(&mut over, key));
        }
        self.graces.retain(|grace| !grace.keys.is_empty());
        for line in self.lines.iter_mut().flatten() {
            line.back.retain(|key| stays(&mut over, key));
        }
        self.order.retain(|key| stays(&mut over, key));
        if over.len() < self.expiry.len_lost() {
            over.extend(self.store.fresh_expired());
        }
        for key in over {
            self.finish(key, Fate::Dead(DeadLine::Expired));
        }
    }

    /// What has waited for long enough can be sent again.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some(&Reverse((at, _, key))) = self.delayed.peek() {
            if at > now {
                break;
            }
            self.delayed.pop();
            self.again.push_back(key);
        }
        let mut over = Vec::new();
        self.graces.retain_mut(|grace| {
            let is_over = grace.until <= now;
            if is_over {
                over.append(&mut grace.keys);
            }
            !is_over
        });
        self.give_to_others(over);
    }
}
