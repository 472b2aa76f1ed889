//! Connections that we have ended, and whose peers have yet to read to the end.
//!
//! Closing outright can take away from a peer what it has not read yet. Of a Unix socket it sees the hang-up at once;
//! and libzmq, if it is at its high-water mark just then, throws away what is unread. Over TCP the end travels behind
//! the data; but if the peer says one word meanwhile, a PING, the system answers for the closed socket with a reset, and
//! forgets what it had not delivered yet. So we end a connection that has carried messages in two
//! steps: we say that nothing more comes (*half-close*), and keep the stream until the peer has closed its side, which it
//! does when it has read to that end, or until the time for it is up.
//!
//! ```text
//!  Up ──▶ half-closed ──▶ the peer has closed, or is gone ──▶ closed
//!              └────────▶ no time left ─────────────────────▶ closed
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Interest;
use slab::Slab;

use super::net::{LazyRegistry, Net, farewell_token};
use super::turn::Turn;
use crate::engine::driving::time_slice::TimeSlice;
use crate::engine::driving::timers::Timer;
use crate::engine::{Deadline, Wait};
use crate::transport::Stream;

/// What is read and thrown away at once from a peer that goes on sending.
const READS_AT_ONCE: usize = 4;

const READ: usize = 8 * 1024;

/// How long a peer that has broken the protocol may read what it was sent before, at the most: enough for one that reads at all,
/// and one that only wants to keep our descriptors gains little.
const VIOLATORS_TIME: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Default)]
pub(crate) struct Farewells {
    /// Made with the first: few sockets that are open have any.
    under_way: Option<Box<UnderWay>>,
    /// The socket is closed: nobody would look after another one.
    over: bool,
}

#[derive(Default)]
struct UnderWay {
    slab: Slab<Farewell>,
    /// Those of which the system has reported something.
    waiting: VecDeque<usize>,
}

struct Farewell {
    stream: Arc<Stream>,
    until: Deadline,
    /// Among those that wait.
    queued: bool,
}

impl Farewells {
    /// Whether no peer has anything left to read.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        let under_way = self.under_way.as_ref();
        under_way.map_or(0, |under_way| under_way.slab.len())
    }

    pub(crate) fn contains(&self, index: usize) -> bool {
        let under_way = self.under_way.as_ref();
        under_way.is_some_and(|under_way| under_way.slab.contains(index))
    }

    /// Ends them all, and those to come.
    pub(crate) fn end(&mut self) {
        self.over = true;
        self.under_way = None;
    }

    /// The peer has done something: closed its side, unless it has only sent.
    pub(crate) fn ready(&mut self, index: usize) {
        if let Some(under_way) = &mut self.under_way
            && let Some(farewell) = under_way.slab.get_mut(index)
            && !std::mem::replace(&mut farewell.queued, true)
        {
            under_way.waiting.push_back(index);
        }
    }

    /// Whether there is something to see to.
    #[inline]
    pub(crate) fn waiting_len(&self) -> usize {
        let under_way = self.under_way.as_ref();
        under_way.map_or(0, |under_way| under_way.waiting.len())
    }

    /// Looks what the peers have done, until the turn is over.
    pub(crate) fn see_to(&mut self, slice: TimeSlice, registry: &LazyRegistry) {
        let Some(under_way) = &mut self.under_way else {
            return;
        };
        while let Some(index) = under_way.waiting.pop_front() {
            under_way.see_to_one(index, registry);
            if slice.half().is_over() {
                return;
            }
        }
    }

    /// The time of one of them may be up.
    pub(crate) fn timer(&mut self, index: usize, now: Instant) {
        if let Some(under_way) = &mut self.under_way
            && let Some(Farewell { until, .. }) = under_way.slab.get(index)
            && until.has_passed(now)
        {
            under_way.slab.remove(index);
        }
    }
}

impl UnderWay {
    fn see_to_one(&mut self, index: usize, registry: &LazyRegistry) {
        let Some(farewell) = self.slab.get_mut(index) else {
            return;
        };
        farewell.queued = false;
        let ended = match farewell.stream.discard(READS_AT_ONCE, READ) {
            Ok(true) => true,
            // It sends and sends. Its next turn comes with the event that this asks for.
            Ok(false) => {
                let token = farewell_token(index);
                let watched = registry.get().and_then(|registry| {
                    farewell.stream.watch(registry, token, Interest::READABLE)
                });
                watched.is_err()
            }
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        };
        if ended {
            self.slab.remove(index);
        }
    }
}

impl Turn<'_> {
    /// Whether a peer has yet to read what it was sent on a connection that we have ended.
    pub(crate) fn has_farewells(&self) -> bool {
        !self.net.farewells.is_empty()
    }

    /// The end of the socket: nobody is waited for any longer, and no more happens that a monitor could tell.
    pub(crate) fn end(&mut self) {
        self.net.farewells.end();
        self.pattern.clear(&mut self.net.peers);
        self.net.peers.monitors.close();
    }

    /// The time that peers have to read what has been sent to them, when their connection is ended while the socket lives
    /// on.
    pub(crate) fn farewell_time(&self) -> Deadline {
        Wait::from_option(self.net.options.linger).starting_at(self.now)
    }

    /// The same for a peer that has broken the protocol.
    pub(crate) fn violators_time(&self) -> Deadline {
        let linger = self.net.options.linger.unwrap_or(VIOLATORS_TIME);
        Wait::from_option(Some(linger.min(VIOLATORS_TIME))).starting_at(self.now)
    }
}

impl Net {
    /// Ends a connection by which messages have left, so that the peer can read them all; it has `until` for that.
    pub(crate) fn bid_farewell(&mut self, stream: Arc<Stream>, until: Deadline) {
        if self.farewells.over || until == Deadline::Now || stream.shutdown_write().is_err() {
            return;
        }
        let under_way = self.farewells.under_way.get_or_insert_default();
        let index = under_way.slab.insert(Farewell {
            stream: Arc::clone(&stream),
            until,
            queued: false,
        });
        // What is there already is reported anew, the end too.
        let token = farewell_token(index);
        let registry = self.registry.get();
        let watched =
            registry.and_then(|registry| stream.watch(registry, token, Interest::READABLE));
        if let Err(error) = watched {
            under_way.slab.remove(index);
            self.warn(format_args!(
                "cannot wait until a peer has read to the end: {error}"
            ));
            return;
        }
        if let Deadline::At(at) = until {
            self.timers.arm(at, Timer::Farewell(index));
        }
    }
}
