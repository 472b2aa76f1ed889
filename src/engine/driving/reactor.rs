//! Hand-over: the care of a socket that tasks wait for: caretaker ⇄ the reactor of their runtime.
//!
//! A runtime has a thread that waits in the kernel anyway. If the context knows that [`Reactor`], it waits for the events of a socket that
//! tasks wait for as well, and **drives the socket right there**, from the waker that it was given: so a message wakes its task without a
//! hop from thread to thread. The caretaker then need not watch ([`Presence`](super::presence::Presence)).
//!
//! Invariant: **while [`Presence::has_reactor`](super::presence::Presence::has_reactor), the reactor has our waker, or has woken it and its wake-up
//! has yet to lock the state.** It is armed under the state lock, before the kernel is asked what there is. When no task waits any more, the
//! flag is cleared under that lock, and the next wake-up arms nothing: the caretaker has its usual rules. When the reactor is gone, as its runtime
//! is, whoever finds that out clears the flag and has the caretaker watch.
//!
//! A reactor may also be alive, and nobody runs it. The caretaker comes back to a socket that has events anyway, a little later.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use crate::sync::{AtomicU32, Ordering};

/// A runtime's, of any kind.
pub(crate) trait Reactor: Send + Sync + fmt::Debug {
    /// Begins to wait for a descriptor to be readable, edge-triggered or not.
    fn add(&self, fd: OwnedFd) -> io::Result<Box<dyn Added>>;
}

/// A descriptor that a reactor waits for, until it is dropped.
pub(crate) trait Added: Send + Sync {
    /// Whether it has been readable since this was last asked. If not, the waker will be woken, once. It does not wake it by itself. An error: the
    /// reactor is gone.
    fn poll_event(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// A socket, for the reactor.
pub(crate) trait ReactorDriven: Send + Sync {
    /// The reactor says that there are events.
    fn reactor_event(&self, link: &Arc<Link>);
}

/// What ties a socket to a reactor.
pub(crate) struct Link {
    added: Box<dyn Added>,
    socket: Weak<dyn ReactorDriven>,
    /// Always the same one, so that the reactor knows it again.
    waker: Waker,
    arming: AtomicU32,
    /// Events in a row for which no task waited.
    in_vain: AtomicU32,
}

/// States of `arming`: nobody arms; the thread with the state lock does; it does, and the waker has been woken meanwhile.
const NOBODY: u32 = 0;
const ARMING: u32 = 1;
const WOKEN: u32 = 2;

/// Who has been told so many times in vain ends the link: threads use the socket now.
const IN_VAIN: u32 = 8;

impl Link {
    pub(crate) fn new(added: Box<dyn Added>, socket: Weak<dyn ReactorDriven>) -> Arc<Link> {
        Arc::new_cyclic(|link| Link {
            added,
            socket,
            waker: Waker::from(Arc::new(Alarm(Weak::clone(link)))),
            arming: AtomicU32::new(NOBODY),
            in_vain: AtomicU32::new(0),
        })
    }

    /// Has the reactor tell of the next event, and of all before the kernel is asked after this. Only under the state lock. `false`: the
    /// reactor is gone.
    pub(crate) fn arm(&self) -> bool {
        self.in_vain.store(0, Ordering::Relaxed);
        loop {
            self.arming.store(ARMING, Ordering::SeqCst);
            let polled = self.added.poll_event(&mut Context::from_waker(&self.waker));
            let woken = self.arming.swap(NOBODY, Ordering::SeqCst) == WOKEN;
            match polled {
                Poll::Ready(Err(_)) => return false,
                Poll::Pending if !woken => return true,
                Poll::Pending | Poll::Ready(Ok(())) => {}
            }
        }
    }

    /// There has been an event, and no task waits. `true`: that has been so often enough.
    pub(crate) fn was_in_vain(&self) -> bool {
        self.in_vain.fetch_add(1, Ordering::Relaxed) >= IN_VAIN
    }

    /// The reactor wakes.
    fn woken(self: &Arc<Self>) {
        let arms = self
            .arming
            .compare_exchange(ARMING, WOKEN, Ordering::SeqCst, Ordering::SeqCst);
        if arms.is_ok() {
            // That thread has the state lock, and looks once more.
            return;
        }
        if let Some(socket) = self.socket.upgrade() {
            socket.reactor_event(self);
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

/// What the reactor wakes.
struct Alarm(Weak<Link>);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(link) = self.0.upgrade() {
            link.woken();
        }
    }
}
