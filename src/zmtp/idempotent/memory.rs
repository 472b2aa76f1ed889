//! What a REP works on, and what it has replied.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::Key;

/// What remembering a reply costs besides its bytes, about.
const ENTRY_BYTES: usize = 128;

/// How much is remembered. The oldest replies are forgotten for new ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) replies: usize,
    /// All replies together, each with [`ENTRY_BYTES`] more than its frames.
    pub(crate) bytes: usize,
    pub(crate) keep_for: Duration,
}

/// Requests by name: those that are worked on, of which there are as many as the application holds; and the replies to others, which are bounded.
///
/// `R` is a reply, `W` the way back to who asked: of several the greatest, which is the newest connection. What came by an older one may be read later.
#[derive(Debug)]
pub(crate) struct Memory<R, W> {
    limits: Limits,
    entries: HashMap<Key, Entry<R, W>>,
    /// When the replies were given, the oldest first.
    replies: VecDeque<(Instant, Key)>,
    bytes: usize,
    /// To be dropped by whoever may do that.
    forgotten: Vec<R>,
}

#[derive(Debug)]
enum Entry<R, W> {
    Working(W),
    Replied { reply: R, size: usize },
}

/// What is known of a request that comes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked<'a, R> {
    /// Nothing: the application is to work on it.
    New,
    /// The application does; the reply goes by the newest way.
    Working,
    /// It has been replied to.
    Replied(&'a R),
}

impl<R, W: Copy + PartialOrd> Memory<R, W> {
    pub(crate) fn new(limits: Limits) -> Self {
        Memory {
            limits,
            entries: HashMap::new(),
            replies: VecDeque::new(),
            bytes: 0,
            forgotten: Vec::new(),
        }
    }

    /// A request has come this way, for the first time or again.
    pub(crate) fn ask(&mut self, key: &Key, way: W, now: Instant) -> Asked<'_, R> {
        self.expire(now);
        // Looked for again below, as a reply is lent from here.
        match self.entries.get_mut(key) {
            None => {
                self.entries.insert(key.clone(), Entry::Working(way));
                return Asked::New;
            }
            Some(Entry::Working(newest)) => {
                if way > *newest {
                    *newest = way;
                }
                return Asked::Working;
            }
            Some(Entry::Replied { .. }) => {}
        }
        match self.entries.get(key) {
            Some(Entry::Replied { reply, .. }) => Asked::Replied(reply),
            Some(Entry::Working(_)) | None => Asked::Working,
        }
    }

    /// The newest way to who asked, of a request that is worked on.
    pub(crate) fn way(&self, key: &Key) -> Option<W> {
        match self.entries.get(key)? {
            Entry::Working(way) => Some(*way),
            Entry::Replied { .. } => None,
        }
    }

    /// The application has replied to a request that it worked on. `false`: the reply is larger than all that may be remembered, and the request is
    /// forgotten.
    pub(crate) fn reply(&mut self, key: Key, reply: R, size: usize, now: Instant) -> bool {
        let size = size.saturating_add(ENTRY_BYTES);
        let fits = size <= self.limits.bytes && self.limits.replies > 0;
        match self.entries.get_mut(&key) {
            Some(entry @ Entry::Working(_)) if fits => *entry = Entry::Replied { reply, size },
            Some(Entry::Working(_)) => {
                self.entries.remove(&key);
                self.forgotten.push(reply);
                return false;
            }
            Some(Entry::Replied { .. }) | None => {
                self.forgotten.push(reply);
                return false;
            }
        }
        self.bytes += size;
        self.replies.push_back((now, key));
        self.expire(now);
        while self.bytes > self.limits.bytes || self.replies.len() > self.limits.replies {
            self.forget_oldest();
        }
        true
    }

    /// The application will not reply: the request is new if it comes again.
    pub(crate) fn give_up(&mut self, key: &Key) {
        if let Some(Entry::Working(_)) = self.entries.get(key) {
            self.entries.remove(key);
        }
    }

    /// When replies are to be forgotten.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let (since, _) = self.replies.front()?;
        since.checked_add(self.limits.keep_for)
    }

    /// Forgets the replies whose time is over.
    pub(crate) fn expire(&mut self, now: Instant) {
        while self.deadline().is_some_and(|at| at <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, key)) = self.replies.pop_front() else {
            return;
        };
        if let Some(Entry::Replied { reply, size }) = self.entries.remove(&key) {
            self.bytes -= size;
            self.forgotten.push(reply);
        }
    }

    /// The replies that have been forgotten.
    pub(crate) fn forgotten(&mut self) -> impl Iterator<Item = R> {
        self.forgotten.drain(..)
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        while !self.replies.is_empty() {
            self.forget_oldest();
        }
        self.entries.clear();
    }

    #[cfg(test)]
    fn len(&self) -> (usize, usize, usize) {
        (self.entries.len(), self.replies.len(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Requester;
    use super::*;
    use crate::zmtp::Principal;

    const LIMITS: Limits = Limits {
        replies: 3,
        bytes: 1000,
        keep_for: Duration::from_secs(60),
    };

    fn key(number: u64) -> Key {
        key_of(None, number)
    }

    fn key_of(principal: Option<Principal>, number: u64) -> Key {
        let id = [1; 16];
        Key {
            requester: Arc::new(Requester { id, principal }),
            number,
        }
    }

    fn memory() -> (Memory<&'static str, u8>, Instant) {
        (Memory::new(LIMITS), Instant::now())
    }

    #[test]
    fn a_request_is_new_once() {
        let (mut memory, now) = memory();
        assert_eq!(memory.ask(&key(1), 1, now), Asked::New);
        assert_eq!(memory.ask(&key(1), 2, now), Asked::Working);
        assert_eq!(memory.ask(&key(1), 1, now), Asked::Working);
        assert_eq!(memory.way(&key(1)), Some(2), "by the newest");
        assert!(memory.reply(key(1), "one", 3, now));
        assert_eq!(memory.ask(&key(1), 3, now), Asked::Replied(&"one"));
        assert_eq!(memory.way(&key(1)), None);
        assert_eq!(memory.ask(&key(2), 3, now), Asked::New);
        assert!(!memory.reply(key(1), "another", 3, now), "it has one");
        assert_eq!(memory.forgotten().collect::<Vec<_>>(), ["another"]);
    }

    #[test]
    fn what_was_given_up_is_new_again() {
        let (mut memory, now) = memory();
        assert_eq!(memory.ask(&key(1), 1, now), Asked::New);
        memory.give_up(&key(1));
        assert_eq!(memory.ask(&key(1), 1, now), Asked::New);
        assert!(memory.reply(key(1), "one", 3, now));
        memory.give_up(&key(1));
        assert_eq!(memory.ask(&key(1), 1, now), Asked::Replied(&"one"));
        memory.give_up(&key(2));
        assert!(!memory.reply(key(2), "never asked", 3, now));
    }

    #[test]
    fn the_name_of_another_is_of_no_use_where_peers_show_who_they_are() {
        let (mut memory, now) = memory();
        let owner = key_of(Some(Principal::Key([7; 32])), 1);
        assert_eq!(memory.ask(&owner, 1, now), Asked::New);
        assert!(memory.reply(owner.clone(), "secret", 6, now));
        let strangers = [
            Some(Principal::Key([8; 32])),
            Some(Principal::User("a".into())),
            None,
        ];
        for stranger in strangers {
            assert_eq!(memory.ask(&key_of(stranger, 1), 1, now), Asked::New);
        }
        assert_eq!(memory.ask(&owner, 1, now), Asked::Replied(&"secret"));
    }

    #[test]
    fn the_oldest_are_forgotten_for_number_bytes_and_time() {
        let (mut memory, now) = memory();
        for number in 1..=4 {
            assert_eq!(memory.ask(&key(number), 1, now), Asked::New);
            assert!(memory.reply(key(number), "reply", 5, now));
        }
        assert_eq!(memory.len(), (3, 3, 3 * (5 + ENTRY_BYTES)));
        assert_eq!(memory.ask(&key(1), 1, now), Asked::New);
        assert_eq!(memory.ask(&key(2), 1, now), Asked::Replied(&"reply"));

        assert!(memory.reply(key(1), "large", 1000 - ENTRY_BYTES, now));
        assert_eq!(memory.len(), (1, 1, 1000));
        assert_eq!(memory.ask(&key(5), 1, now), Asked::New);
        assert!(!memory.reply(key(5), "too large", 1001 - ENTRY_BYTES, now));
        assert_eq!(memory.ask(&key(5), 1, now), Asked::New);
        assert_eq!(memory.ask(&key(1), 1, now), Asked::Replied(&"large"));

        assert_eq!(memory.deadline(), Some(now + LIMITS.keep_for));
        let later = now + LIMITS.keep_for;
        assert_eq!(memory.ask(&key(1), 1, later), Asked::New);
        assert_eq!((memory.deadline(), memory.bytes), (None, 0));
        let forgotten = memory.forgotten().count();
        assert_eq!(forgotten, 4 + 2, "each is handed out to be dropped");
    }

    #[test]
    fn nothing_is_left_when_all_is_forgotten() {
        let (mut memory, now) = memory();
        assert_eq!(memory.ask(&key(1), 1, now), Asked::New);
        assert_eq!(memory.ask(&key(2), 1, now), Asked::New);
        assert!(memory.reply(key(1), "one", 3, now));
        memory.clear();
        assert_eq!(memory.len(), (0, 0, 0));
        assert_eq!(memory.forgotten().count(), 1);
    }
}
