//! What the sockets of a context share: the caretaker, the resolver, the inproc names, and the count of those that linger.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::budget::Budget;
use super::latest::Latest;
use super::lingering::Lingering;
use super::polls::Polls;
use super::reactor::Reactor;
use crate::auth::{Authenticator, Deciding, HANDLER, Zap};
use crate::engine::{Caretaker, Driven, Names, SocketMailbox, lock};
use crate::options::Options;
use crate::process::Process;
use crate::transport::Resolver;
use crate::zmtp::{HandshakeConfig, PeerFacts, SocketType};

/// See the module.
pub(crate) struct ContextInner {
    /// Where it was made, and can be used.
    pub(crate) process: Process,
    /// Started with the first sockets, up to so many.
    caretakers: Mutex<Vec<Arc<Caretaker>>>,
    io_threads: usize,
    pub(crate) resolver: Resolver,
    pub(crate) names: Mutex<Names>,
    /// Where verdicts are made that take code of the application.
    pub(crate) deciding: Arc<Deciding>,
    /// Drives sockets that tasks wait for.
    reactor: Option<Arc<dyn Reactor>>,
    /// Where a ZAP handler is asked.
    pub(crate) zap: Arc<Zap>,
    /// What the queues of its peers may hold.
    pub(crate) budget: Option<Arc<Budget>>,
    /// For sockets that get their first endpoint.
    pub(crate) polls: Polls,
    lingering: Lingering,
    sockets: Mutex<Vec<Weak<dyn Driven>>>,
    /// What its sockets have alike.
    pub(crate) alike: Alike,
    shut_down: AtomicBool,
    /// Handles of the application.
    handles: AtomicUsize,
}

/// What one socket after the other has alike, or one peer.
#[derive(Debug, Default)]
pub(crate) struct Alike {
    pub(crate) options: Latest<Options>,
    pub(crate) handshakes: Latest<HandshakeConfig>,
    pub(crate) authenticators: Latest<Authenticator>,
    pub(crate) facts: Latest<PeerFacts>,
}

impl ContextInner {
    /// The memory that all sockets share, if that is limited.
    pub(crate) fn budget(&self) -> Option<&Budget> {
        self.budget.as_deref()
    }

    /// With one handle. A budget of 0 is none.
    pub(crate) fn new(
        io_threads: usize,
        reactor: Option<Arc<dyn Reactor>>,
        memory_budget: usize,
    ) -> Self {
        ContextInner {
            process: Process::current(),
            caretakers: Mutex::new(Vec::new()),
            io_threads,
            resolver: Resolver::new(),
            names: Mutex::new(Names::default()),
            deciding: Arc::default(),
            reactor,
            zap: Arc::default(),
            budget: (memory_budget > 0).then(|| Arc::new(Budget::new(memory_budget))),
            polls: Polls::default(),
            lingering: Lingering::default(),
            sockets: Mutex::new(Vec::new()),
            alike: Alike::default(),
            shut_down: AtomicBool::new(false),
            handles: AtomicUsize::new(1),
        }
    }

    /// The caretaker for one more socket: that which has the fewest, or one that is started for it.
    pub(crate) fn caretaker(&self) -> io::Result<Arc<Caretaker>> {
        let mut caretakers = lock(&self.caretakers);
        // Each of its sockets holds it as often.
        let idlest = caretakers.iter().min_by_key(|one| Arc::strong_count(one));
        if let Some(idlest) = idlest
            && (caretakers.len() >= self.io_threads || Arc::strong_count(idlest) == 1)
        {
            return Ok(Arc::clone(idlest));
        }
        let started = Arc::new(Caretaker::start()?);
        caretakers.push(Arc::clone(&started));
        Ok(started)
    }

    /// What drives sockets that tasks wait for, if it is not the caretaker.
    pub(crate) fn reactor(&self) -> Option<&dyn Reactor> {
        self.reactor.as_deref()
    }

    /// Notes a new socket, to be woken when the context shuts down.
    pub(crate) fn enlist(&self, socket: Weak<dyn Driven>) {
        let mut sockets = lock(&self.sockets);
        sockets.retain(|socket| socket.strong_count() > 0);
        sockets.push(socket);
    }

    #[inline]
    pub(crate) fn is_shut_down(&self) -> bool {
        self.shut_down.load(Ordering::Relaxed)
    }

    /// Whether somebody in this context decides who is let in (RFC 27).
    pub(crate) fn has_zap_handler(&self) -> bool {
        lock(&self.names).is_bound_for(HANDLER, SocketType::Dealer)
    }

    /// Ends every blocking call on the context's sockets.
    pub(crate) fn shut_down(&self) {
        self.shut_down.store(true, Ordering::SeqCst);
        let sockets: Vec<_> = lock(&self.sockets)
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        for socket in sockets {
            socket.wake();
        }
    }

    pub(crate) fn handle_cloned(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// The last handle waits for the sockets that linger.
    pub(crate) fn handle_dropped(&self) {
        if self.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.lingering.wait();
        }
    }

    /// A closing socket gives its inproc names up.
    pub(crate) fn forget_names(&self, mailbox: &Arc<SocketMailbox>) {
        lock(&self.names).forget(mailbox);
    }

    /// A socket is about to be left to the caretaker for closing.
    pub(crate) fn socket_lingers(&self) {
        self.lingering.add();
    }

    /// A socket that lingered is closed.
    pub(crate) fn socket_closed(&self) {
        self.lingering.remove();
    }

    /// Waits for the sockets that linger, if nobody holds a handle of the context any more who would.
    pub(crate) fn socket_dropped(&self) {
        if self.handles.load(Ordering::Acquire) == 0 {
            self.lingering.wait();
        }
    }
}

impl std::fmt::Debug for ContextInner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContextInner").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_spread_over_as_many_threads_as_there_may_be() {
        let context = ContextInner::new(3, None, 0);
        let taken: Vec<_> = (0..9).map(|_| context.caretaker().expect("one")).collect();
        let all = lock(&context.caretakers).clone();
        assert_eq!(all.len(), 3);
        for one in &all {
            let sockets = taken.iter().filter(|taken| Arc::ptr_eq(taken, one));
            assert_eq!(sockets.count(), 3);
        }
        // What has become free is used again.
        let (_, kept) = taken.split_at(3);
        let kept = kept.to_vec();
        drop(taken);
        let more: Vec<_> = (0..3).map(|_| context.caretaker().expect("one")).collect();
        for one in &all {
            assert!(more.iter().any(|more| Arc::ptr_eq(more, one)));
        }
        drop(kept);
    }

    #[test]
    fn no_thread_is_started_before_it_is_needed() {
        let context = ContextInner::new(3, None, 0);
        for _ in 0..5 {
            drop(context.caretaker().expect("one"));
        }
        assert_eq!(lock(&context.caretakers).len(), 1);
    }
}
