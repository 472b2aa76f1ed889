//! Who takes the next message where peers do not just take turns.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::engine::{PeerId, Peers, Tried};
use crate::options::{Choice, Share};

/// What a message adds to the load of a peer of weight 1.
const UNIT: u64 = 1 << 20;

/// A peer whose share is not known yet comes behind those of every priority.
const UNKNOWN: u16 = u8::MAX as u16 + 1;

/// The peers with room, in the order in which they are to be given messages.
///
/// That is by their priority, then by their load, then by who has waited longest. The load is the virtual time of stride scheduling: each
/// message costs a peer the more the smaller its weight is, so peers get messages in proportion to that. Or it is what the peer would have outstanding
/// with one message more, divided by its weight.
#[derive(Debug)]
pub(super) struct Preferences {
    choice: Choice,
    ready: BTreeSet<Rank>,
    standings: Vec<Standing>,
    /// How far the virtual time of each priority is: a peer that was away does not make up for that.
    clocks: BTreeMap<u16, u64>,
    turn: u64,
}

/// Compared from the first field on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    priority: u16,
    load: u64,
    turn: u64,
    id: PeerId,
}

/// What is known of a peer.
#[derive(Debug, Default, Clone)]
struct Standing {
    share: Option<Share>,
    /// Virtual time.
    time: u64,
    outstanding: u64,
    turn: u64,
    /// Its place in the order, while it has room.
    rank: Option<Rank>,
}

impl Preferences {
    pub(super) fn new(choice: Choice) -> Self {
        Preferences {
            choice,
            ready: BTreeSet::new(),
            standings: Vec::new(),
            clocks: BTreeMap::new(),
            turn: 0,
        }
    }

    /// A peer that is new, and has room.
    pub(super) fn add(&mut self, id: PeerId) {
        if id >= self.standings.len() {
            self.standings.resize(id + 1, Standing::default());
        }
        self.remove(id);
        self.standings[id] = Standing {
            share: (!self.choice.weighs).then(Share::default),
            ..Standing::default()
        };
        self.set_ready(id);
    }

    pub(super) fn remove(&mut self, id: PeerId) {
        self.set_full(id);
    }

    pub(super) fn set_full(&mut self, id: PeerId) {
        if let Some(rank) = self.standings.get_mut(id).and_then(|it| it.rank.take()) {
            self.ready.remove(&rank);
        }
    }

    /// Gives it a place behind those that it is equal to; one that has a place keeps it.
    pub(super) fn set_ready(&mut self, id: PeerId) {
        let turn = self.next_turn();
        if let Some(standing) = self.standings.get_mut(id)
            && standing.rank.is_none()
        {
            standing.turn = turn;
            self.place(id);
        }
    }

    fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    /// Puts it where it belongs now.
    fn place(&mut self, id: PeerId) {
        let Some(standing) = self.standings.get_mut(id) else {
            return;
        };
        if let Some(before) = standing.rank.take() {
            self.ready.remove(&before);
        }
        let priority = standing
            .share
            .map_or(UNKNOWN, |share| u16::from(share.priority));
        let clock = self.clocks.get(&priority).copied().unwrap_or(0);
        standing.time = standing.time.max(clock);
        let load = match self.choice.least_outstanding {
            true => (standing.outstanding + 1).saturating_mul(standing.step()),
            false => standing.time,
        };
        let rank = Rank {
            priority,
            load,
            turn: standing.turn,
            id,
        };
        standing.rank = Some(rank);
        self.ready.insert(rank);
    }

    /// Its share is this, or is not known any more.
    pub(super) fn set_share(&mut self, id: PeerId, share: Option<Share>) {
        let share = share.or_else(|| (!self.choice.weighs).then(Share::default));
        if let Some(standing) = self.standings.get_mut(id)
            && standing.share != share
        {
            standing.share = share;
            // Another priority has another clock.
            standing.time = 0;
            self.place_again(id);
        }
    }

    /// So many of the messages that it was given are finished.
    pub(super) fn finished(&mut self, id: PeerId, count: u64) {
        if let Some(standing) = self.standings.get_mut(id) {
            standing.outstanding = standing.outstanding.saturating_sub(count);
            self.place_again(id);
        }
    }

    /// So many messages are outstanding, whatever was known before.
    pub(super) fn set_outstanding(&mut self, id: PeerId, count: u64) {
        if let Some(standing) = self.standings.get_mut(id) {
            standing.outstanding = count;
            self.place_again(id);
        }
    }

    fn place_again(&mut self, id: PeerId) {
        if self.is_ready(id) {
            self.place(id);
        }
    }

    /// A message has been queued for it.
    fn used(&mut self, id: PeerId) {
        let turn = self.next_turn();
        if let Some(standing) = self.standings.get_mut(id) {
            if let Some(rank) = standing.rank {
                let clock = self.clocks.entry(rank.priority).or_default();
                *clock = standing.time.max(*clock);
            }
            standing.time = standing.time.saturating_add(standing.step());
            standing.outstanding += 1;
            standing.turn = turn;
            self.place_again(id);
        }
    }

    /// Gives a message to the best peer that `attempt` can queue it for, as [`LoadBalancer::give`](super::LoadBalancer::give) does.
    pub(super) fn give(
        &mut self,
        peers: &mut Peers,
        attempt: &mut dyn FnMut(&mut Peers, PeerId) -> Tried,
    ) -> Option<PeerId> {
        let mut rank = *self.ready.first()?;
        loop {
            let after = (Bound::Excluded(rank), Bound::Unbounded);
            match attempt(peers, rank.id) {
                Tried::Queued => {
                    self.used(rank.id);
                    return Some(rank.id);
                }
                Tried::NoRoom if !peers.await_room(rank.id) => continue,
                Tried::NoRoom => self.set_full(rank.id),
                Tried::Refused => {}
            }
            rank = *self.ready.range(after).next()?;
        }
    }

    /// Whether a peer has room. Those that have none are set full on the way.
    pub(super) fn has_room(&mut self, peers: &mut Peers) -> bool {
        while let Some(&Rank { id, .. }) = self.ready.first() {
            if peers.has_room(id) || !peers.await_room(id) {
                return true;
            }
            self.set_full(id);
        }
        false
    }

    pub(super) fn is_ready(&self, id: PeerId) -> bool {
        let standing = self.standings.get(id);
        standing.is_some_and(|standing| standing.rank.is_some())
    }

    pub(super) fn choice(&self) -> Choice {
        self.choice
    }
}

impl Standing {
    /// What a message costs.
    fn step(&self) -> u64 {
        UNIT / u64::from(self.share.map_or(1, |share| share.weight))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferences(least_outstanding: bool, shares: &[Share]) -> Preferences {
        let mut preferences = Preferences::new(Choice {
            least_outstanding,
            weighs: true,
        });
        for (id, share) in shares.iter().enumerate() {
            preferences.add(id);
            preferences.set_share(id, Some(*share));
        }
        preferences
    }

    fn next(preferences: &mut Preferences) -> Option<PeerId> {
        let id = preferences.ready.first()?.id;
        preferences.used(id);
        Some(id)
    }

    fn counts(preferences: &mut Preferences, messages: usize) -> Vec<usize> {
        let mut counts = vec![0; preferences.standings.len()];
        for _ in 0..messages {
            if let Some(id) = next(preferences) {
                counts[id] += 1;
            }
        }
        counts
    }

    #[test]
    fn shares_are_in_proportion_to_weights_and_evenly_spread() {
        let shares = [1, 3, 4].map(Share::new);
        let mut preferences = preferences(false, &shares);
        for _ in 0..100 {
            let counts = counts(&mut preferences, 8);
            for (count, expected) in counts.into_iter().zip([1_usize, 3, 4]) {
                assert!(count.abs_diff(expected) <= 1, "{count} of {expected}");
            }
        }
        let total = counts(&mut preferences, 80_000);
        for (count, expected) in total.into_iter().zip([10_000_usize, 30_000, 40_000]) {
            assert!(count.abs_diff(expected) <= 20, "{count} of {expected}");
        }
    }

    #[test]
    fn equal_weights_take_turns() {
        for least_outstanding in [false, true] {
            let mut preferences = preferences(least_outstanding, &[Share::new(7); 3]);
            let turns: Vec<_> = (0..7).filter_map(|_| next(&mut preferences)).collect();
            assert_eq!(turns, [0, 1, 2, 0, 1, 2, 0]);
        }
    }

    #[test]
    fn a_priority_counts_only_when_all_before_are_full() {
        let shares = [2, 0, 1].map(|priority| Share::default().priority(priority));
        let mut preferences = preferences(false, &shares);
        assert_eq!(counts(&mut preferences, 5), [0, 5, 0]);
        preferences.set_full(1);
        assert_eq!(counts(&mut preferences, 5), [0, 0, 5]);
        preferences.remove(2);
        assert_eq!(counts(&mut preferences, 5), [5, 0, 0]);
        preferences.set_ready(1);
        assert_eq!(counts(&mut preferences, 5), [0, 5, 0]);
        preferences.add(3);
        assert_eq!(
            counts(&mut preferences, 5),
            [0, 5, 0, 0],
            "nothing is known of it"
        );
        preferences.set_full(1);
        preferences.set_full(0);
        assert_eq!(
            counts(&mut preferences, 5),
            [0, 0, 0, 5],
            "but it is better than none"
        );
    }

    #[test]
    fn who_was_away_does_not_make_up_for_it() {
        let mut preferences = preferences(false, &[Share::new(1); 2]);
        preferences.set_full(0);
        assert_eq!(counts(&mut preferences, 1_000), [0, 1_000]);
        preferences.set_ready(0);
        let counts = counts(&mut preferences, 10);
        assert!(counts[0].abs_diff(5) <= 1, "{counts:?}");
    }

    #[test]
    fn the_least_outstanding_for_its_weight_is_next() {
        let mut preferences = preferences(true, &[Share::new(1), Share::new(1), Share::new(2)]);
        assert_eq!(counts(&mut preferences, 8), [2, 2, 4]);
        preferences.finished(1, 2);
        assert_eq!(counts(&mut preferences, 2), [0, 2, 0]);
        preferences.set_outstanding(2, 0);
        assert_eq!(counts(&mut preferences, 3), [0, 0, 3]);
        preferences.finished(0, 100);
        assert_eq!(counts(&mut preferences, 1), [1, 0, 0]);
    }
}
