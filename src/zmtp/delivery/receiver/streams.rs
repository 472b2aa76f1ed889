//! What is remembered of streams: which of their messages have been settled for good.

use std::collections::{HashSet, VecDeque};

use slab::Slab;

use crate::zmtp::delivery::Party;

/// Settled messages are remembered for as many windows at the least.
const REMEMBERED_WINDOWS: u64 = 4;

/// Streams that are remembered without a connection; the first of them that came is forgotten first.
pub(super) const MAX_STREAMS: usize = 256;

/// A stream for as long as it is remembered: its place, and a number that no other one has had there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct StreamKey {
    place: u32,
    serial: u32,
}

/// See the module.
pub(super) struct Streams {
    /// So many messages of each are remembered at the least, as far as there have been so many.
    least: u64,
    streams: Slab<Stream>,
    /// The number of the next stream.
    next_serial: u32,
    /// Those without a connection, in the order in which they lost it.
    idle: VecDeque<StreamKey>,
}

/// What is remembered of a stream. One that somebody else begins under the same id is another one.
struct Stream {
    party: Party,
    serial: u32,
    lines: usize,
    /// The messages that have been settled for good, in the order in which they were, and how many these are.
    settled: VecDeque<Settled>,
    settled_len: u64,
}

/// Messages that follow each other in number, and have been settled one after the other.
struct Settled {
    first: u64,
    count: u64,
    /// Of one that was rejected.
    rejected: Option<Box<str>>,
}

impl Stream {
    fn new(party: Party, serial: u32) -> Stream {
        Stream {
            party,
            serial,
            lines: 0,
            settled: VecDeque::new(),
            settled_len: 0,
        }
    }

    /// So many are remembered at the least, and an eighth more at the most.
    #[inline]
    fn remember(&mut self, number: u64, rejected: Option<&str>, least: u64) {
        let at_once = (least / 8).max(1);
        if self.settled_len >= least.saturating_add(at_once - 1) {
            self.forget(at_once);
        }
        self.settled_len += 1;
        match self.settled.back_mut() {
            Some(last)
                if rejected.is_none()
                    && last.rejected.is_none()
                    && last.first.checked_add(last.count) == Some(number) =>
            {
                last.count += 1;
            }
            _ => self.settled.push_back(Settled {
                first: number,
                count: 1,
                rejected: rejected.map(Box::from),
            }),
        }
    }

    /// So many that were settled first are remembered no more.
    #[cold]
    fn forget(&mut self, mut messages: u64) {
        while messages > 0
            && let Some(oldest) = self.settled.front_mut()
        {
            let forgotten = oldest.count.min(messages);
            messages -= forgotten;
            self.settled_len -= forgotten;
            oldest.count -= forgotten;
            match oldest.count {
                0 => drop(self.settled.pop_front()),
                // The last number that there is has none behind it.
                _ => oldest.first += forgotten,
            }
        }
    }

    /// The reason, if the message was rejected, of one that has been settled.
    fn settled(&self, number: u64) -> Option<Option<&str>> {
        let holds = |settled: &&Settled| {
            let place = number.checked_sub(settled.first);
            place.is_some_and(|place| place < settled.count)
        };
        let settled = self.settled.iter().find(holds)?;
        Some(settled.rejected.as_deref())
    }
}

impl Streams {
    /// For a receiver that has so many unsettled at the most.
    pub(super) fn new(window: u64) -> Streams {
        Streams {
            least: window.saturating_mul(REMEMBERED_WINDOWS),
            streams: Slab::new(),
            next_serial: 0,
            idle: VecDeque::new(),
        }
    }

    /// A connection to a sender is there. Its stream is remembered from now on if it was not.
    pub(super) fn opened(&mut self, sender: Party) -> StreamKey {
        let known = self.streams.iter().find(|(_, known)| known.party == sender);
        let (place, serial) = match known {
            Some((place, known)) => (place, known.serial),
            None => {
                let serial = self.next_serial;
                self.next_serial = serial.wrapping_add(1);
                (self.streams.insert(Stream::new(sender, serial)), serial)
            }
        };
        // There are not as many.
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        let key = StreamKey { place, serial };
        if let Some(stream) = self.get_mut(key) {
            stream.lines += 1;
        }
        self.idle.retain(|idle| *idle != key);
        key
    }

    /// A connection is gone. `true`: [one](Self::forget_one) is to be forgotten.
    pub(super) fn closed(&mut self, key: StreamKey) -> bool {
        let Some(stream) = self.get_mut(key) else {
            return false;
        };
        stream.lines = stream.lines.saturating_sub(1);
        if stream.lines > 0 {
            return false;
        }
        self.idle.push_back(key);
        self.idle.len() > MAX_STREAMS
    }

    /// Forgets the first stream that has lost its connection, but none of which the application works on messages: they would not be known if they came again.
    pub(super) fn forget_one(&mut self, worked_on: &HashSet<StreamKey>) {
        let mut idle = self.idle.iter();
        if let Some(at) = idle.position(|key| !worked_on.contains(key))
            && let Some(key) = self.idle.remove(at)
        {
            self.streams.try_remove(key.place as usize);
        }
    }

    fn get_mut(&mut self, key: StreamKey) -> Option<&mut Stream> {
        let stream = self.streams.get_mut(key.place as usize)?;
        (stream.serial == key.serial).then_some(stream)
    }

    /// A message has been settled for good; with a reason, it was rejected.
    #[inline]
    pub(super) fn remember(&mut self, key: StreamKey, number: u64, rejected: Option<&str>) {
        let least = self.least;
        if let Some(stream) = self.get_mut(key) {
            stream.remember(number, rejected, least);
        }
    }

    /// The reason, if the message was rejected, of one that has been settled.
    pub(super) fn settled(&self, key: StreamKey, number: u64) -> Option<Option<&str>> {
        let stream = self.streams.get(key.place as usize)?;
        let same = stream.serial == key.serial;
        same.then(|| stream.settled(number)).flatten()
    }

    /// How many streams are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    /// How many settled messages are, of all.
    #[cfg(test)]
    pub(super) fn settled_len(&self) -> u64 {
        let streams = self.streams.iter();
        streams.map(|(_, stream)| stream.settled_len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_settled_is_remembered_as_ranges() {
        let mut stream = Stream::new([1; 16].into(), 0);
        for number in [3, 4, 5, 9, 8, 10] {
            stream.remember(number, None, 100);
        }
        stream.remember(11, Some("bad"), 100);
        stream.remember(12, None, 100);
        assert_eq!(stream.settled.len(), 6);
        for number in 0..20 {
            let known = match number {
                11 => Some(Some("bad")),
                3..=5 | 8..=10 | 12 => Some(None),
                _ => None,
            };
            assert_eq!(stream.settled(number), known, "{number}");
        }
        // The oldest are forgotten first, in the order in which they were settled.
        for number in 100..104 {
            stream.remember(number, None, 8);
        }
        assert_eq!(stream.settled_len, 8);
        let known: Vec<u64> = (0..200)
            .filter(|&number| stream.settled(number).is_some())
            .collect();
        assert_eq!(known, [8, 10, 11, 12, 100, 101, 102, 103]);
    }
}
