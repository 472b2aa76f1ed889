//! In which order lines are given messages.

/// Less is sooner.
pub(super) type Rank = (u16, u64);

/// The lines that may be given a message: a heap in which each is found by its connection, so that whoever is first is known at once, and a change
/// costs some comparisons.
#[derive(Default)]
pub(super) struct Ranking {
    /// Each is no sooner than the one at half its place.
    heap: Vec<(Rank, usize)>,
    /// Where each connection is in there.
    places: Vec<Option<usize>>,
}

impl Ranking {
    /// The connection that is first; of those of equal rank, the one with the lowest number.
    pub(super) fn first(&self) -> Option<usize> {
        self.heap.first().map(|&(_, connection)| connection)
    }

    pub(super) fn clear(&mut self) {
        self.heap.clear();
        self.places.clear();
    }

    /// A connection has this rank from now on, or is in it no longer.
    pub(super) fn set(&mut self, connection: usize, rank: Option<Rank>) {
        let place = self.places.get(connection).copied().flatten();
        match (place, rank) {
            (None, None) => {}
            (None, Some(rank)) => {
                if connection >= self.places.len() {
                    self.places.resize(connection + 1, None);
                }
                self.heap.push((rank, connection));
                self.settle(self.heap.len() - 1);
            }
            (Some(place), Some(rank)) => {
                self.heap[place].0 = rank;
                if self.heap.len() > 1 {
                    self.settle(place);
                }
            }
            (Some(place), None) => {
                self.heap.swap_remove(place);
                self.places[connection] = None;
                if place < self.heap.len() {
                    self.settle(place);
                }
            }
        }
    }

    /// Moves what is at this place to where it belongs.
    fn settle(&mut self, mut place: usize) {
        let moved = self.heap[place];
        while place > 0 && moved < self.heap[(place - 1) / 2] {
            self.put(place, self.heap[(place - 1) / 2]);
            place = (place - 1) / 2;
        }
        loop {
            let below = 2 * place + 1..(2 * place + 3).min(self.heap.len());
            match below.min_by_key(|&below| self.heap[below]) {
                Some(below) if self.heap[below] < moved => {
                    self.put(place, self.heap[below]);
                    place = below;
                }
                Some(_) | None => break,
            }
        }
        self.put(place, moved);
    }

    fn put(&mut self, place: usize, what: (Rank, usize)) {
        self.heap[place] = what;
        self.places[what.1] = Some(place);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_first_is_that_of_a_sorted_list() {
        let mut random = 42_u64;
        let mut below = |limit: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 33) % limit
        };
        let mut ranking = Ranking::default();
        let mut list = BTreeMap::new();
        for _ in 0..50_000 {
            let connection = below(20) as usize;
            let rank = (below(5) > 0).then(|| (below(2) as u16, below(6)));
            ranking.set(connection, rank);
            match rank {
                Some(rank) => drop(list.insert(connection, rank)),
                None => drop(list.remove(&connection)),
            }
            let first = list
                .iter()
                .min_by_key(|&(connection, rank)| (rank, connection));
            assert_eq!(ranking.first(), first.map(|(&connection, _)| connection));
        }
    }
}
