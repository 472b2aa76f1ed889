//! The engine: one [`Core`] per socket, and one [`Caretaker`] per context.
//!
//! **The caller does the work; the caretaker only finishes what callers leave behind.** A socket has one
//! state under a [`StateLock`](crate::sync::StateLock), and one poll, the *driver's seat*, under a mutex. The thread in the seat polls
//! without the state lock, then locks the state and processes. A caller that must wait takes the seat, so
//! that the kernel wakes the very thread that wants the message.
//!
//! ```text
//!   threads of the application                         the context's caretaker
//!        │ send, recv                                        │ polls the polls
//!        ▼                                                   ▼
//!   ┌─ Core ───────────────────────────────────────────────────────┐
//!   │ state: Pattern + Net (peers, listeners, timers)  [state lock]│
//!   │ seat:  the poll                                     [mutex]  │
//!   │ presence, mailbox                                [hand-overs]│
//!   └──────────────────────────────────────────────────────────────┘
//! ```
//!
//! Locks are taken in one order: state, then seat (tried, never waited for), then a mailbox or channel. A thread that has the state of one
//! socket tries for that of another only to pass messages on, and never waits for it.
//! The seat is held while its holder waits for the kernel, and no other lock across a system call that blocks. No code of the
//! application runs under any of them: what would run some waits until they are released (`later`).

mod driving;
mod inproc;
mod peer;
mod tempo;

use std::io;
use std::sync::{Arc, OnceLock};

pub(crate) use self::driving::attention::{Interest, Key};
pub(crate) use self::driving::caretaker::Caretaker;
pub(crate) use self::driving::context::ContextInner;
pub(crate) use self::driving::core::{Core, Driven, Observable, TaskCall};
pub(crate) use self::driving::later::contain;
pub(crate) use self::driving::levels::{Observer, ObserverId, Side};
use self::driving::mailbox::{Mailbox, Wake};
pub(crate) use self::driving::question::Question;
#[cfg(any(feature = "tokio", feature = "async-io"))]
pub(crate) use self::driving::reactor::Added;
pub(crate) use self::driving::reactor::Reactor;
pub(crate) use self::driving::ready_list::ReadyList;
pub(crate) use self::driving::wait::{Deadline, Shut, Stop, Wait};
pub(crate) use self::inproc::names::{Accepted, Names, Offer};
pub use self::peer::addresses::AddressLimit;
use self::peer::dialer::Attempt;
pub(crate) use self::peer::limits::{Excess, Tried};
pub(crate) use self::peer::link::unlimited;
pub(crate) use self::peer::net::Net;
#[cfg(feature = "cli-internals")]
pub(crate) use self::peer::net::stream_options;
pub(crate) use self::peer::out_buffer::Unsent;
pub(crate) use self::peer::outgoing::{Envelope, Enveloped, Outgoing};
pub(crate) use self::peer::passing::Passed;
pub(crate) use self::peer::peers::Peers;
pub(crate) use self::peer::state::{PeerId, Place};
pub(crate) use self::peer::turn::Turn;
#[cfg(all(any(test, feature = "fuzzing"), feature = "curve"))]
pub(crate) use self::peer::wire::fuzzing::sealed as fuzz_sealed;
pub(crate) use self::peer::withdraw::Withdrawal;
use crate::options::Share;
pub(crate) use crate::sync::lock;
use crate::transport::dial::SocketAddress;

pub(crate) type SocketMailbox = Mailbox<Note, PollWaker>;

/// What other threads and other sockets have to tell a socket.
pub(crate) enum Note {
    /// The look-up of a dialer's name is done.
    Resolved {
        id: PeerId,
        attempt: Attempt,
        addresses: io::Result<Vec<SocketAddress>>,
    },
    /// A socket of this process connects to a name that we have bound.
    InprocConnect(Box<Offer>),
    /// Our inproc connection has been taken up; this is the other end.
    InprocAccepted {
        place: Place,
        accepted: Box<Accepted>,
    },
    /// Our inproc connection has not been taken up, or is given up: it is not to be made again at once.
    InprocRefused(Place),
    /// There is something in a peer's channel.
    InprocReadable(Place),
    /// A peer's channel has room again.
    InprocWritable(Place),
    /// A subscriber has no room, and is to go.
    TooSlow(Place),
    /// Whether a peer is let in has been decided.
    Verdict(Place),
    /// Code of the application has said how much a peer is to get.
    Share(Place, Share),
}

/// Makes a poll return.
///
/// A socket's has none until the socket has its first endpoint, and until then nobody knows its mailbox.
#[derive(Debug, Clone, Default)]
pub(crate) struct PollWaker(Arc<OnceLock<Arc<mio::Waker>>>);

impl Wake for PollWaker {
    fn wake(&self) {
        // It writes to a counter of the system, which does not fail; nor may it be logged here, under a lock.
        if let Some(waker) = self.0.get() {
            let _ = waker.wake();
        }
    }
}

impl PollWaker {
    pub(crate) fn new(registry: &mio::Registry) -> io::Result<Self> {
        let waker = PollWaker::default();
        waker.open(Arc::new(mio::Waker::new(registry, peer::net::WAKER)?));
        Ok(waker)
    }

    /// The waker, once there is one.
    fn shared(&self) -> Option<Arc<mio::Waker>> {
        self.0.get().map(Arc::clone)
    }

    /// From now on it wakes that waker's poll.
    fn open(&self, waker: Arc<mio::Waker>) {
        // There is one already only if it was opened twice, which its owner does not do.
        let _ = self.0.set(waker);
    }
}
