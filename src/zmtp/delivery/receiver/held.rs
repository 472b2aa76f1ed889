//! What the application works on.
//!
//! Each message is written to its place word by word, and read from there: of what has just been written in words the processor can read no
//! more than a word at a time without waiting for it, and a record that is put together first, and then moved, is read 16 bytes at a time.

use std::num::NonZeroUsize;
use std::time::Instant;

use super::{Job, StreamKey};

/// By which a message is settled that the application works on. It is given out again when that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HeldKey(NonZeroUsize);

impl HeldKey {
    fn of(place: usize) -> HeldKey {
        HeldKey(NonZeroUsize::MIN.saturating_add(place))
    }

    fn place(self) -> usize {
        self.0.get() - 1
    }
}

/// A message that the application works on.
#[derive(Default)]
pub(super) struct Held {
    /// Somebody has the key.
    is_held: bool,
    /// Something is known to be due at a time that is no later than the deadline. It outlasts the message.
    pub(super) watched: bool,
    /// The connection is there that it came over, or has come again over.
    pub(super) connected: bool,
    pub(super) timed_out: bool,
    pub(super) connection: usize,
    pub(super) tag: u64,
    /// As in [`Job`].
    pub(super) key: StreamKey,
    pub(super) number: u64,
    pub(super) deadline: Option<Instant>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Table {
    places: Vec<Held>,
    free: Vec<HeldKey>,
}

impl Held {
    /// Whether it is the message of this stream with this number, and the application has it still.
    #[inline]
    pub(super) fn is_of(&self, key: StreamKey, number: u64) -> bool {
        !self.timed_out && self.number == number && self.key == key
    }
}

impl Table {
    #[inline]
    pub(super) fn add(&mut self, job: Job, deadline: Option<Instant>) -> HeldKey {
        let key = self.free.pop().unwrap_or_else(|| {
            self.places.push(Held::default());
            HeldKey::of(self.places.len() - 1)
        });
        if let Some(held) = self.places.get_mut(key.place()) {
            held.is_held = true;
            held.connected = true;
            held.timed_out = false;
            held.connection = job.connection;
            held.tag = job.tag;
            held.key = job.key;
            held.number = job.number;
            held.deadline = deadline;
        }
        key
    }

    /// What was held under this key, until another one is added.
    #[inline]
    pub(super) fn remove(&mut self, key: HeldKey) -> Option<&Held> {
        let held = self.places.get_mut(key.place())?;
        if !std::mem::replace(&mut held.is_held, false) {
            return None;
        }
        self.free.push(key);
        Some(held)
    }

    pub(super) fn get_mut(&mut self, key: HeldKey) -> Option<&mut Held> {
        self.place_mut(key).filter(|held| held.is_held)
    }

    /// Whether somebody has the key or not.
    #[inline]
    pub(super) fn place_mut(&mut self, key: HeldKey) -> Option<&mut Held> {
        self.places.get_mut(key.place())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Held> {
        self.places.iter().filter(|held| held.is_held)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (HeldKey, &mut Held)> {
        let places = self.places.iter_mut().enumerate();
        let held = places.filter(|(_, held)| held.is_held);
        held.map(|(place, held)| (HeldKey::of(place), held))
    }
}
