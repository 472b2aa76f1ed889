//! Polls of closed sockets, kept for the next sockets of the same context.
//!
//! A poll is three descriptors (the poll, a second one by which others register with it, and its waker), and takes seven system calls to make
//! and to close. Where sockets come and go, that was a tenth of the time of each.
//!
//! Invariant: **a poll that is kept has nothing registered but its waker, nobody else holds that, and no event is pending.** So its new
//! owner hears of nothing that was meant for the old one. The core of a socket gives its poll back when it is dropped, closed: all streams and
//! listeners that were registered are, too; no other socket and no thread knows the mailbox, through which alone others wake the poll; and
//! nobody watches the poll itself: the caretaker lets go of a socket only after it has stopped watching, pollers are rid of it together with the socket's observers,
//! and where a context has a reactor no poll is kept. [`give`](Polls::give) takes out what is pending.
//!
//! A stream that has been closed stays registered as long as another process has a copy of its descriptor. So nothing is kept once this
//! process has forked. A child on its way to `exec` has copies for a moment, too: what is reported of those is recognized by its token, as it is
//! within one socket, since no two connections of a process have the same number ([`ConnectionId`](crate::monitor::ConnectionId)).

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mio::{Events, Poll, Registry, Waker};

use crate::engine::lock;
use crate::engine::peer::net::WAKER;
use crate::process::Process;

/// So many are kept at most: a caretaker lets go of some dozens at once where sockets come and go.
const KEPT: usize = 32;

/// What a socket waits for the kernel with.
pub(crate) struct SeatPoll {
    pub(crate) poll: Poll,
    /// By which streams are registered while somebody polls.
    pub(crate) registry: Registry,
    /// Makes the poll return.
    pub(crate) waker: Arc<Waker>,
}

impl SeatPoll {
    pub(crate) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = Arc::new(Waker::new(&registry, WAKER)?);
        Ok(SeatPoll {
            poll,
            registry,
            waker,
        })
    }

    /// Takes out what is pending. `false`: that cannot be told.
    fn drain(&mut self, events: &mut Events) -> bool {
        let polled = self.poll.poll(events, Some(Duration::ZERO));
        polled.is_ok() && events.iter().all(|event| event.token() == WAKER)
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Polls(Mutex<Vec<SeatPoll>>);

impl Polls {
    /// One that was kept, or a new one.
    pub(crate) fn take(&self) -> io::Result<SeatPoll> {
        let kept = lock(&self.0).pop();
        kept.map_or_else(SeatPoll::new, Ok)
    }

    /// Keeps a poll in which nothing is registered any more, unless there are enough. `process` is the one that it was made in; `events` is
    /// room for what is pending.
    pub(crate) fn give(&self, mut poll: SeatPoll, process: Process, events: &mut Events) {
        let sole = process.is_current() && !process.has_forked();
        if sole && poll.drain(events) {
            let mut kept = lock(&self.0);
            if kept.len() < KEPT {
                return kept.push(poll);
            }
            drop(kept);
        }
        // What is not kept is closed here, with no lock held.
        drop(poll);
    }
}

#[cfg(test)]
impl Polls {
    pub(super) fn kept(&self) -> usize {
        lock(&self.0).len()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    fn is_silent(poll: &mut SeatPoll) -> bool {
        let mut events = Events::with_capacity(4);
        let polled = poll.poll.poll(&mut events, Some(Duration::ZERO));
        polled.is_ok() && events.is_empty()
    }

    fn give(polls: &Polls, poll: SeatPoll) {
        polls.give(poll, Process::current(), &mut Events::with_capacity(4));
    }

    #[test]
    fn a_poll_is_used_again_and_its_pending_wake_up_is_gone() {
        let polls = Polls::default();
        let poll = polls.take().expect("a poll");
        let fd = poll.poll.as_raw_fd();
        poll.waker.wake().expect("a wake-up");
        give(&polls, poll);
        let mut again = polls.take().expect("the same");
        assert_eq!(again.poll.as_raw_fd(), fd);
        assert!(is_silent(&mut again));
        again.waker.wake().expect("a wake-up");
        assert!(!is_silent(&mut again), "its waker still wakes it");
    }

    #[test]
    fn no_more_are_kept_than_there_may_be() {
        let polls = Polls::default();
        let all: Vec<_> = (0..KEPT + 2)
            .map(|_| polls.take().expect("a poll"))
            .collect();
        all.into_iter().for_each(|poll| give(&polls, poll));
        assert_eq!(polls.kept(), KEPT);
    }

    #[test]
    fn a_poll_with_events_of_something_registered_is_not_kept() {
        use mio::event::Source as _;
        let polls = Polls::default();
        let poll = polls.take().expect("a poll");
        let (mut stream, _other) = mio::net::UnixStream::pair().expect("a pair");
        let token = mio::Token(7);
        stream
            .register(&poll.registry, token, mio::Interest::WRITABLE)
            .expect("registered");
        give(&polls, poll);
        assert_eq!(polls.kept(), 0);
    }
}
