//! The messages that are held, close together: 8 bytes for each, beside its own.
//!
//! ```text
//!   chunk    first number, entries (number from there, start of its bytes, flags) ..., bytes of messages one after the other
//!   tail     the chunk that messages are added to
//!   fresh    the chunks with messages that nobody has been sent yet, the oldest first
//!   wholes   messages that are not copied: the bytes of such an entry are its place in here
//!   pasts    what there is to be known of those that have been delivered before
//! ```
//!
//! The key of a message is that of its chunk and its place there, and stays the same. A chunk is let go when all in it is removed. One that has little left is
//! made as small as that: as the others are as full as four times what they hold, messages that stay for long take no more than that.

use std::collections::{HashMap, VecDeque};

use slab::Slab;

/// Where messages begin in a chunk is below this.
const CHUNK: usize = 64 * 1024;

/// There are no more messages in a chunk.
const ENTRIES: usize = 8 * 1024;

/// No chunk has less room, unless it has been made small.
const LEAST: usize = 1024;

/// So much room may be left in a chunk that is empty, with none held.
const EMPTY: usize = 4 * LEAST;

/// So many chunks of full size are kept for the next messages, as long as some are held.
const SPARE: usize = 2;

/// Tables of so many places are kept for the next messages.
const FEW: usize = 16;

/// What is not yet removed.
const LIVE: u16 = 1;
/// It has not been taken out of the queue of those that are to be sent for the first time.
const FRESH: u16 = 1 << 1;
/// It is among the wholes.
const WHOLE: u16 = 1 << 2;
/// It has a past.
const PAST: u16 = 1 << 3;
const SENT: u16 = 1 << 4;
const OUT: u16 = 1 << 5;
const EXPIRED: u16 = 1 << 6;

/// A message that is to be held.
#[derive(Debug)]
pub(crate) enum Content<'a, T> {
    /// It is copied.
    Short(&'a [u8]),
    Whole(T),
}

/// A message that is held.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Held<'a, T> {
    Short(&'a [u8]),
    Whole(&'a T),
}

impl<T> Clone for Held<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Held<'_, T> {}

/// What is left of a message that is held no longer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left<T> {
    /// It was short, and is needed no more.
    Nothing,
    Short(Vec<u8>),
    Whole(T),
}

/// A message that has been removed.
#[derive(Debug)]
pub(super) struct Removed<T> {
    pub(super) left: Left<T>,
    pub(super) number: u64,
    pub(super) deliveries: u32,
    pub(super) out: bool,
    pub(super) expired: bool,
}

#[derive(Clone, Copy)]
struct Entry {
    /// From the first one of the chunk.
    number: u32,
    start: u16,
    flags: u16,
}

const _: () = assert!(size_of::<Entry>() == 8);

#[derive(Clone, Copy, Default)]
struct Past {
    deliveries: u32,
    /// Connections that ended while it was out on them.
    deaths: u8,
}

#[derive(Default)]
struct Chunk {
    first: u64,
    entries: Vec<Entry>,
    /// Where it has been made small: which places these are the entries of.
    places: Option<Vec<u16>>,
    bytes: Vec<u8>,
    live: usize,
    live_bytes: usize,
    /// What is fresh is at this place, or behind it.
    fresh_at: usize,
    /// It is among the chunks that have fresh messages.
    queued: bool,
}

impl Chunk {
    /// Which entry is the one of this place.
    #[inline]
    fn at(&self, place: usize) -> Option<usize> {
        match &self.places {
            None => Some(place),
            Some(places) => {
                let place = u16::try_from(place).ok()?;
                places.binary_search(&place).ok()
            }
        }
    }

    #[inline]
    fn entry(&self, place: usize) -> Option<&Entry> {
        let entry = self.entries.get(self.at(place)?);
        entry.filter(|entry| entry.flags & LIVE != 0)
    }

    #[inline]
    fn entry_mut(&mut self, place: usize) -> Option<&mut Entry> {
        let at = self.at(place)?;
        let entry = self.entries.get_mut(at);
        entry.filter(|entry| entry.flags & LIVE != 0)
    }

    #[inline]
    fn bytes_of(&self, at: usize) -> &[u8] {
        let start = self.entries.get(at).map_or(0, |entry| entry.start.into());
        let next = self.entries.get(at + 1);
        let end = next.map_or(self.bytes.len(), |next| next.start.into());
        self.bytes.get(start..end).unwrap_or_default()
    }

    fn takes(&self, number: u64, len: usize) -> bool {
        let number = number.checked_sub(self.first);
        let fits = number.is_some_and(|number| number <= u32::MAX.into());
        self.entries.len() < ENTRIES
            && self.bytes.len() < CHUNK
            && self.bytes.capacity() - self.bytes.len() >= len
            && (fits || self.entries.is_empty())
    }

    /// How much of its memory is in use, and how much there is.
    fn use_of(&self) -> (usize, usize) {
        let entry = size_of::<Entry>();
        (
            self.live * entry + self.live_bytes,
            self.entries.len() * entry + self.bytes.len(),
        )
    }

    /// Takes no more memory than what is left in it needs.
    fn make_small(&mut self) {
        let (mut entries, mut places) = (Vec::new(), Vec::new());
        let mut bytes = Vec::with_capacity(self.live_bytes);
        entries.reserve_exact(self.live);
        places.reserve_exact(self.live);
        for (at, entry) in self.entries.iter().enumerate() {
            if entry.flags & LIVE == 0 {
                continue;
            }
            let place = match &self.places {
                Some(places) => places.get(at).copied().unwrap_or(u16::MAX),
                None => at as u16,
            };
            places.push(place);
            entries.push(Entry {
                start: bytes.len() as u16,
                ..*entry
            });
            bytes.extend_from_slice(self.bytes_of(at));
        }
        self.entries = entries;
        self.places = Some(places);
        self.bytes = bytes;
    }
}

/// See the module.
pub(super) struct Store<T> {
    chunks: Slab<Chunk>,
    tail: Option<usize>,
    fresh: VecDeque<usize>,
    wholes: Slab<T>,
    pasts: HashMap<usize, Past>,
    spare: Vec<Chunk>,
    /// A chunk with little left. It is made small when there is another one: mostly it is let go before.
    thin: Option<usize>,
    len: usize,
    bytes: usize,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Store {
            chunks: Slab::new(),
            tail: None,
            fresh: VecDeque::new(),
            wholes: Slab::new(),
            pasts: HashMap::new(),
            spare: Vec::new(),
            thin: None,
            len: 0,
            bytes: 0,
        }
    }
}

const fn split(key: usize) -> (usize, usize) {
    (key / ENTRIES, key % ENTRIES)
}

impl<T> Store<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Another message. Those that are `fresh` are queued.
    pub(super) fn insert(
        &mut self,
        number: u64,
        content: Content<'_, T>,
        fresh: bool,
        sent: bool,
    ) -> usize {
        let place;
        let mut flags = LIVE;
        let bytes = match content {
            Content::Short(bytes) => bytes,
            Content::Whole(whole) => {
                flags |= WHOLE;
                place = self.wholes.insert(whole).to_ne_bytes();
                &place[..]
            }
        };
        if sent {
            flags |= SENT;
        }
        let key = self.add(number, bytes, flags);
        if fresh {
            self.queue_last();
        }
        key
    }

    #[inline]
    fn add(&mut self, number: u64, bytes: &[u8], flags: u16) -> usize {
        let tail = self.tail.and_then(|tail| self.chunks.get(tail));
        let slot = match self.tail {
            Some(slot) if tail.is_some_and(|tail| tail.takes(number, bytes.len())) => slot,
            _ => self.add_chunk(bytes.len()),
        };
        let Some(chunk) = self.chunks.get_mut(slot) else {
            debug_assert!(false, "the tail is a chunk");
            return usize::MAX;
        };
        let place = chunk.entries.len();
        if place == 0 {
            chunk.first = number;
        }
        chunk.entries.push(Entry {
            number: (number - chunk.first) as u32,
            start: chunk.bytes.len() as u16,
            flags,
        });
        chunk.bytes.extend_from_slice(bytes);
        chunk.live += 1;
        chunk.live_bytes += bytes.len();
        self.len += 1;
        self.bytes += bytes.len();
        slot * ENTRIES + place
    }

    /// Queues the message that has been inserted last as one that is fresh.
    pub(super) fn queue_last(&mut self) {
        let Some(slot) = self.tail else {
            return;
        };
        if let Some(chunk) = self.chunks.get_mut(slot)
            && let Some(place) = chunk.entries.len().checked_sub(1)
        {
            chunk.entries[place].flags |= FRESH;
            if !chunk.queued {
                chunk.queued = true;
                chunk.fresh_at = place;
                self.fresh.push_back(slot);
            }
        }
    }

    /// A new tail, with room for this one.
    #[cold]
    fn add_chunk(&mut self, len: usize) -> usize {
        let before = self.tail.take();
        if let Some(slot) = before {
            self.seal(slot);
        }
        // As much as there is, so that few messages take little.
        let room = (self.bytes + self.len * size_of::<Entry>()).next_power_of_two();
        let room = room.clamp(LEAST, CHUNK);
        let spare = self.spare.pop_if(|_| room == CHUNK && len <= CHUNK);
        let mut chunk = spare.unwrap_or_default();
        chunk.bytes.reserve_exact(room.max(len));
        let slot = self.chunks.insert(chunk);
        self.tail = Some(slot);
        slot
    }

    /// Nothing is added to a chunk any more.
    fn seal(&mut self, slot: usize) {
        let Some(chunk) = self.chunks.get_mut(slot) else {
            return;
        };
        let room = chunk.bytes.capacity();
        if room - chunk.bytes.len() > 2 * chunk.entries.len() {
            chunk.bytes.shrink_to_fit();
        }
        chunk.entries.shrink_to_fit();
        self.look_after(slot);
    }

    /// Lets a chunk go with nothing left, and sees to it that one with little left becomes small.
    fn look_after(&mut self, slot: usize) {
        let Some(chunk) = self.chunks.get_mut(slot) else {
            return;
        };
        if chunk.queued {
            return;
        }
        let is_tail = self.tail == Some(slot);
        if chunk.live > 0 {
            let (used, all) = chunk.use_of();
            if !is_tail && all > 4 * used + LEAST / 4 && self.thin != Some(slot) {
                let thin = self.thin.replace(slot);
                if let Some(thin) = thin.and_then(|thin| self.chunks.get_mut(thin)) {
                    thin.make_small();
                }
            }
            return;
        }
        if is_tail && (self.len > 0 || chunk.bytes.capacity() <= EMPTY) {
            chunk.bytes.clear();
            chunk.entries.clear();
            chunk.live_bytes = 0;
            return;
        }
        let mut chunk = self.chunks.remove(slot);
        if self.thin == Some(slot) {
            self.thin = None;
        }
        if is_tail {
            self.tail = None;
        }
        if chunk.bytes.capacity() >= CHUNK && self.spare.len() < SPARE {
            chunk.bytes.clear();
            chunk.entries.clear();
            self.spare.push(Chunk {
                bytes: chunk.bytes,
                entries: chunk.entries,
                ..Chunk::default()
            });
        }
    }

    fn chunk(&self, key: usize) -> Option<(&Chunk, usize)> {
        let (slot, place) = split(key);
        Some((self.chunks.get(slot)?, place))
    }

    fn entry(&self, key: usize) -> Option<&Entry> {
        let (chunk, place) = self.chunk(key)?;
        chunk.entry(place)
    }

    fn entry_mut(&mut self, key: usize) -> Option<&mut Entry> {
        let (slot, place) = split(key);
        self.chunks.get_mut(slot)?.entry_mut(place)
    }

    pub(super) fn number(&self, key: usize) -> Option<u64> {
        let (chunk, place) = self.chunk(key)?;
        Some(chunk.first + u64::from(chunk.entry(place)?.number))
    }

    /// Whether this is still the message of that number.
    pub(super) fn is(&self, key: usize, number: u64) -> bool {
        self.number(key) == Some(number)
    }

    pub(super) fn get(&self, key: usize) -> Option<Held<'_, T>> {
        let (chunk, place) = self.chunk(key)?;
        let at = chunk.at(place)?;
        let entry = chunk.entries.get(at)?;
        let bytes = chunk.bytes_of(at);
        match entry.flags & (LIVE | WHOLE) {
            LIVE => Some(Held::Short(bytes)),
            flags if flags & LIVE != 0 => {
                let whole = usize::from_ne_bytes(bytes.try_into().ok()?);
                Some(Held::Whole(self.wholes.get(whole)?))
            }
            _ => None,
        }
    }

    pub(super) fn deliveries(&self, key: usize) -> u32 {
        self.past(key).deliveries
    }

    /// Connections that ended while the message was out on them.
    pub(super) fn deaths(&self, key: usize) -> u8 {
        self.past(key).deaths
    }

    fn past(&self, key: usize) -> Past {
        let has = self.entry(key).is_some_and(|entry| entry.flags & PAST != 0);
        let past = has.then(|| self.pasts.get(&key)).flatten();
        past.copied().unwrap_or_default()
    }

    /// A message has been delivered so often, and was out on so many connections that ended.
    pub(super) fn add_past(&mut self, key: usize, deliveries: u32, deaths: u8) {
        let Some(entry) = self.entry_mut(key) else {
            return;
        };
        entry.flags |= PAST;
        let past = self.pasts.entry(key).or_default();
        past.deliveries = past.deliveries.saturating_add(deliveries);
        past.deaths = past.deaths.saturating_add(deaths);
    }

    /// The message is sent. Says whether it was before.
    pub(super) fn set_sent(&mut self, key: usize) -> bool {
        self.set(key, SENT)
    }

    pub(super) fn set_out(&mut self, key: usize) {
        self.set(key, OUT);
    }

    pub(super) fn set_expired(&mut self, key: usize) {
        self.set(key, EXPIRED);
    }

    fn set(&mut self, key: usize, flag: u16) -> bool {
        let Some(entry) = self.entry_mut(key) else {
            return false;
        };
        let before = entry.flags & flag != 0;
        entry.flags |= flag;
        before
    }

    pub(super) fn set_back(&mut self, key: usize) {
        if let Some(entry) = self.entry_mut(key) {
            entry.flags &= !OUT;
        }
    }

    pub(super) fn is_out(&self, key: usize) -> bool {
        self.entry(key).is_some_and(|entry| entry.flags & OUT != 0)
    }

    pub(super) fn is_expired(&self, key: usize) -> bool {
        let entry = self.entry(key);
        entry.is_some_and(|entry| entry.flags & EXPIRED != 0)
    }

    /// The first one in the queue of those that are fresh.
    pub(super) fn first_fresh(&mut self) -> Option<usize> {
        while let Some(&slot) = self.fresh.front() {
            if let Some(chunk) = self.chunks.get_mut(slot) {
                // It has not been made small.
                while let Some(entry) = chunk.entries.get(chunk.fresh_at) {
                    if entry.flags & (FRESH | LIVE) == FRESH | LIVE {
                        return Some(slot * ENTRIES + chunk.fresh_at);
                    }
                    chunk.fresh_at += 1;
                }
                chunk.queued = false;
            }
            self.fresh.pop_front();
            self.look_after(slot);
        }
        None
    }

    /// Takes a message out of that queue.
    pub(super) fn take_fresh(&mut self, key: usize) {
        if let Some(entry) = self.entry_mut(key) {
            entry.flags &= !FRESH;
        }
    }

    /// The keys of all messages that are in that queue and have expired.
    pub(super) fn fresh_expired(&self) -> Vec<usize> {
        self.keys_of(FRESH | EXPIRED)
    }

    /// The keys of all, in no order.
    pub(super) fn keys(&self) -> Vec<usize> {
        self.keys_of(0)
    }

    fn keys_of(&self, flags: u16) -> Vec<usize> {
        let flags = flags | LIVE;
        let mut keys = Vec::new();
        for (slot, chunk) in &self.chunks {
            for (at, entry) in chunk.entries.iter().enumerate() {
                if entry.flags & flags == flags {
                    let place = chunk.places.as_ref().and_then(|places| places.get(at));
                    let place = place.map_or(at, |&place| place.into());
                    keys.push(slot * ENTRIES + place);
                }
            }
        }
        keys
    }

    /// A message is held no longer. If it is short, its bytes are given only if they are `needed`.
    pub(super) fn remove(&mut self, key: usize, needed: bool) -> Option<Removed<T>> {
        let (slot, place) = split(key);
        let chunk = self.chunks.get_mut(slot)?;
        let at = chunk.at(place)?;
        let entry = *chunk.entries.get(at)?;
        if entry.flags & LIVE == 0 {
            return None;
        }
        let bytes = chunk.bytes_of(at);
        let len = bytes.len();
        let left = match entry.flags & WHOLE == 0 {
            true if needed => Left::Short(bytes.to_vec()),
            true => Left::Nothing,
            false => {
                let whole = bytes.try_into().map(usize::from_ne_bytes).ok();
                let whole = whole.and_then(|whole| self.wholes.try_remove(whole));
                whole.map_or(Left::Nothing, Left::Whole)
            }
        };
        if let Some(entry) = chunk.entries.get_mut(at) {
            entry.flags = 0;
        }
        chunk.live -= 1;
        chunk.live_bytes -= len;
        self.len -= 1;
        self.bytes -= len;
        let removed = Removed {
            left,
            number: chunk.first + u64::from(entry.number),
            deliveries: match entry.flags & PAST != 0 {
                true => self.pasts.remove(&key).unwrap_or_default().deliveries,
                false => 0,
            },
            out: entry.flags & OUT != 0,
            expired: entry.flags & EXPIRED != 0,
        };
        self.look_after(slot);
        if self.len == 0 {
            self.release();
        }
        Some(removed)
    }

    /// None is held: what that leaves behind is let go.
    fn release(&mut self) {
        self.spare = Vec::new();
        if self.wholes.capacity() > FEW {
            self.wholes = Slab::new();
        }
        if self.pasts.capacity() > FEW {
            self.pasts = HashMap::new();
        }
        if self.chunks.capacity() > FEW && self.chunks.is_empty() {
            self.chunks = Slab::new();
        }
    }

    /// Removes short messages that are out, with this key and those behind it, up to `most` of them, as far as there is nothing else to be known of them. Their
    /// numbers go to `note`, as the first of some that follow each other, and how many these are. Gives how many there were.
    pub(super) fn remove_run(
        &mut self,
        key: usize,
        most: usize,
        mut note: impl FnMut(u64, u64),
    ) -> usize {
        let (slot, place) = split(key);
        let Some(chunk) = self
            .chunks
            .get_mut(slot)
            .filter(|chunk| chunk.places.is_none())
        else {
            return 0;
        };
        let end = chunk.entries.len().min(place.saturating_add(most));
        let Some(entries) = chunk.entries.get_mut(place..end) else {
            return 0;
        };
        let (mut run, mut count) = (None, 0);
        for entry in entries {
            if entry.flags != LIVE | SENT | OUT {
                break;
            }
            entry.flags = 0;
            count += 1;
            let number = chunk.first + u64::from(entry.number);
            run = match run {
                Some((first, numbers)) if first + numbers == number => Some((first, numbers + 1)),
                Some((first, numbers)) => {
                    note(first, numbers);
                    Some((number, 1))
                }
                None => Some((number, 1)),
            };
        }
        let Some((first, numbers)) = run else {
            return 0;
        };
        note(first, numbers);
        let start = chunk
            .entries
            .get(place)
            .map_or(0, |entry| entry.start.into());
        let next = chunk.entries.get(place + count);
        let len = next.map_or(chunk.bytes.len(), |next| next.start.into()) - start;
        chunk.live -= count;
        chunk.live_bytes -= len;
        self.len -= count;
        self.bytes -= len;
        self.look_after(slot);
        if self.len == 0 {
            self.release();
        }
        count
    }

    /// Whether none is fresh.
    pub(super) fn has_no_fresh(&mut self) -> bool {
        self.fresh.is_empty() || self.first_fresh().is_none()
    }

    /// Another short message, which is sent at once.
    pub(super) fn insert_out(&mut self, number: u64, bytes: &[u8]) -> usize {
        self.add(number, bytes, LIVE | SENT | OUT)
    }

    /// Gives those that are not copied. None is held from then on.
    pub(super) fn take_wholes(&mut self) -> impl Iterator<Item = T> {
        let all = std::mem::take(self);
        all.wholes.into_iter().map(|(_, whole)| whole)
    }
}

#[cfg(test)]
mod tests;
