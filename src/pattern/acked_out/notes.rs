//! What is kept beside messages that are to be settled.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::Settled;
use crate::engine::Outgoing;

/// Tells which messages go one after the other: those in which this frame is the same.
pub(super) struct Orders {
    frame: usize,
    hasher: RandomState,
}

impl Orders {
    pub(super) fn by(frame: usize) -> Orders {
        Orders {
            frame,
            hasher: RandomState::new(),
        }
    }

    /// Others may have the same number by chance, which makes them wait for each other, too.
    pub(super) fn of(&self, outgoing: Outgoing<'_>) -> Option<u64> {
        let key = outgoing.frame(self.frame)?;
        Some(self.hasher.hash_one(key))
    }
}

/// Messages that somebody has a receipt of.
#[derive(Default)]
pub(in crate::pattern) struct Receipts {
    /// What has become of them, by their numbers.
    pub(super) fates: HashMap<u64, Option<Settled>>,
    /// Those that have been settled since somebody last asked which; those that have no receipt any more do no harm.
    pub(super) told: Vec<u64>,
}

impl Receipts {
    pub(in crate::pattern) fn add(&mut self, number: u64) {
        self.fates.insert(number, None);
    }

    pub(in crate::pattern) fn tell(&mut self, number: u64, settled: &Settled) {
        if self.fates.is_empty() {
            return;
        }
        let Some(fate) = self.fates.get_mut(&number) else {
            return;
        };
        *fate = Some(settled.clone());
        if self.told.len() > 2 * self.fates.len() + 16 {
            // Nobody asks, as only threads wait.
            let fates = &self.fates;
            self.told.retain(|number| fates.contains_key(number));
        }
        self.told.push(number);
    }

    /// What has become of this one, if that is known.
    pub(in crate::pattern) fn fate(&self, number: u64) -> Option<Settled> {
        self.fates.get(&number).cloned().flatten()
    }

    /// There is no receipt of this one any more.
    pub(in crate::pattern) fn forget(&mut self, number: u64) {
        self.fates.remove(&number);
    }

    /// Those that have been settled since this was last asked.
    pub(in crate::pattern) fn take_told(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.told)
    }
}
