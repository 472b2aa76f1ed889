//! The context: what the sockets of a process share.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};

use crate::engine::{Caretaker, Driven, Names, SocketMailbox, lock};
use crate::process::Process;
use crate::transport::Resolver;

/// The background thread and the inproc names that a process's sockets share.
///
/// One context per process is the rule. Clones are handles to the same context. Sockets keep what they
/// need of it alive, so a context may be dropped before its sockets.
///
/// **Dropping the last handle waits** for sockets that have been dropped with messages still to send, each
/// for at most its linger time ([`Options::linger`](crate::Options::linger), 30 s unless set): a `main`
/// that ends with its sockets and context dropped does not lose what it has sent.
///
/// **A process that forks** keeps its sockets: nothing that the child does to its copies of them, dropping and
/// exiting included, reaches a connection of the parent. In the child every call on them fails with `Forked`, and dropping them is
/// immediate. The child makes a context of its own. What the parent closes is closed, whatever copies children hold; but if the
/// parent dies, its peers see that only when its children have dropped their copies, or ended, or run another program. Children
/// are recognised that `fork` of the C library made, as Python's `os.fork` and `multiprocessing` do, and not those of a bare `clone`.
///
/// ```
/// use zerohop::{Context, Pull, Push};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let pull = Pull::new(&context)?;
/// pull.bind("inproc://work")?;
/// let push = Push::new(&context)?;
/// push.connect("inproc://work")?;
/// push.send("hello")?;
/// assert_eq!(pull.recv()?, "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Context {
    inner: Arc<ContextInner>,
}

impl Context {
    /// Makes a context. Its background thread starts with the first socket.
    pub fn new() -> Context {
        Context {
            inner: Arc::new(ContextInner::new()),
        }
    }

    /// Ends every blocking call on the context's sockets, now and in future, with `ContextClosed`.
    ///
    /// What was accepted is still sent, but for requests whose callers waited for a reply: the sockets are to be closed or dropped as usual.
    ///
    /// Does nothing in a forked child.
    pub fn shutdown(&self) {
        if self.inner.process.is_current() {
            self.inner.shut_down();
        }
    }

    pub(crate) fn inner(&self) -> &Arc<ContextInner> {
        &self.inner
    }
}

impl Default for Context {
    fn default() -> Context {
        Context::new()
    }
}

impl Clone for Context {
    fn clone(&self) -> Context {
        self.inner.handles.fetch_add(1, Ordering::Relaxed);
        Context {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if !self.inner.process.is_current() {
            // Nobody in this process finishes what lingers, and what is in there may be locked for ever.
            std::mem::forget(Arc::clone(&self.inner));
            return;
        }
        if self.inner.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.inner.lingering.wait();
        }
    }
}

/// See [`Context`].
pub(crate) struct ContextInner {
    /// Where it was made, and can be used.
    pub(crate) process: Process,
    /// Started with the first socket.
    caretaker: Mutex<Option<Arc<Caretaker>>>,
    pub(crate) resolver: Resolver,
    pub(crate) names: Mutex<Names>,
    lingering: Lingering,
    sockets: Mutex<Vec<Weak<dyn Driven>>>,
    shut_down: AtomicBool,
    /// Handles of the application.
    handles: AtomicUsize,
}

/// Hand-over: sockets that still have something to send, from whoever closes them to who drives them to the end.
///
/// Invariant: `count` is the number of sockets announced by [`Lingering::add`] that are not closed yet;
/// it is changed under the lock, and whoever brings it down notifies.
#[derive(Default)]
struct Lingering {
    count: Mutex<usize>,
    done: Condvar,
}

impl Lingering {
    fn add(&self) {
        *lock(&self.count) += 1;
    }

    fn remove(&self) {
        let mut count = lock(&self.count);
        *count = count.saturating_sub(1);
        self.done.notify_all();
    }

    fn wait(&self) {
        let mut count = lock(&self.count);
        while *count > 0 {
            count = self
                .done
                .wait(count)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl ContextInner {
    fn new() -> Self {
        ContextInner {
            process: Process::current(),
            caretaker: Mutex::new(None),
            resolver: Resolver::new(),
            names: Mutex::new(Names::default()),
            lingering: Lingering::default(),
            sockets: Mutex::new(Vec::new()),
            shut_down: AtomicBool::new(false),
            handles: AtomicUsize::new(1),
        }
    }

    /// The caretaker, started if it is not running yet.
    pub(crate) fn caretaker(&self) -> io::Result<Arc<Caretaker>> {
        let mut caretaker = lock(&self.caretaker);
        if let Some(running) = &*caretaker {
            return Ok(Arc::clone(running));
        }
        let started = Arc::new(Caretaker::start()?);
        *caretaker = Some(Arc::clone(&started));
        Ok(started)
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

    fn shut_down(&self) {
        self.shut_down.store(true, Ordering::SeqCst);
        let sockets: Vec<_> = lock(&self.sockets)
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        for socket in sockets {
            socket.wake();
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
