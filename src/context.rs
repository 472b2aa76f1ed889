//! The context: what the sockets of a process share.

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::engine::{ContextInner, Reactor};

/// The background thread and the inproc names that a process's sockets share.
///
/// One context per process is the rule. Clones are handles to the same context. Sockets keep what they
/// need of it alive, so a context may be dropped before its sockets.
///
/// **Dropping the last handle waits** for sockets that have been dropped with messages still to send, each
/// for at most its linger time ([`Options::linger`](crate::Options::linger), 30 s unless set): a `main`
/// that ends with its sockets and context dropped does not lose what it has sent.
///
/// **What is in a `static` is never dropped**, nor what a thread owns that still runs when `main` returns. The process then ends, and
/// what such a socket has queued is lost. Let `main` own the sockets and lend them, or take them out of the `static` at the end:
///
/// ```
/// use std::sync::Mutex;
/// use std::time::Duration;
/// use zerohop::{Context, Push};
///
/// static LOG: Mutex<Option<Push>> = Mutex::new(None);
///
/// fn log(line: &str) {
///     if let Ok(log) = LOG.lock()
///         && let Some(push) = &*log
///     {
///         let _ = push.try_send(line);
///     }
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let context = Context::new();
/// #   let pull = zerohop::Pull::new(&context)?;
/// #   let collector = pull.bind("tcp://127.0.0.1:*")?;
/// #   let reading = std::thread::spawn(move || pull.recv());
///     let push = Push::new(&context)?;
///     push.connect(collector)?;
///     *LOG.lock()? = Some(push);
///
///     log("started");
///
///     if let Some(push) = LOG.lock()?.take() {
///         push.close(Duration::from_secs(10))?;
///     }
/// #   assert_eq!(reading.join().unwrap()?, "started");
///     Ok(())
/// }
/// ```
///
/// **File descriptors**: a context takes two with its first socket. A socket takes none until it has an endpoint, then three, one for each
/// listener, and one for each connection.
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
            inner: Arc::new(ContextInner::new(1, None, 0)),
        }
    }

    /// Makes a context with these options. Its background threads start with the first sockets.
    pub fn with_options(options: ContextOptions) -> Context {
        let ContextOptions {
            io_threads,
            reactor,
            memory_budget,
        } = options;
        Context {
            inner: Arc::new(ContextInner::new(io_threads.get(), reactor, memory_budget)),
        }
    }

    /// Makes a context whose sockets are driven by a runtime while tasks wait for them; see [`Reactor`](crate::Reactor). With the feature `tokio`
    /// or `async-io`.
    #[cfg(any(feature = "tokio", feature = "async-io"))]
    pub fn with_reactor(reactor: crate::Reactor) -> Context {
        Context::with_options(ContextOptions::new().reactor(reactor))
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

    /// How many bytes of the [memory budget](ContextOptions::memory_budget) are in use; 0 where there is none.
    ///
    /// ```
    /// use zerohop::{Context, ContextOptions};
    ///
    /// let context = Context::with_options(ContextOptions::new().memory_budget(64 << 20));
    /// assert_eq!(context.memory_used(), 0);
    /// ```
    pub fn memory_used(&self) -> usize {
        self.inner.budget.as_ref().map_or(0, |budget| budget.used())
    }

    pub(crate) fn inner(&self) -> &Arc<ContextInner> {
        &self.inner
    }
}

/// What a [`Context`] may be told when it is made, with [`Context::with_options`].
///
/// ```
/// use std::num::NonZeroUsize;
/// use zerohop::{Context, ContextOptions};
///
/// let four = NonZeroUsize::new(4).unwrap();
/// let context = Context::with_options(ContextOptions::new().io_threads(four));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ContextOptions {
    io_threads: NonZeroUsize,
    reactor: Option<Arc<dyn Reactor>>,
    memory_budget: usize,
}

impl ContextOptions {
    /// One background thread, and no limit to memory.
    pub fn new() -> ContextOptions {
        ContextOptions {
            io_threads: NonZeroUsize::MIN,
            reactor: None,
            memory_budget: 0,
        }
    }

    /// The number of background threads, over which the sockets are spread; default: 1. Each socket has one of them, the one with the fewest
    /// sockets when it was made. More of them are for many sockets whose application is elsewhere, or that tasks wait for without a
    /// reactor: a socket whose threads are active drives itself. They start when there are sockets for them. libzmq: `ZMQ_IO_THREADS`.
    pub fn io_threads(mut self, count: NonZeroUsize) -> ContextOptions {
        self.io_threads = count;
        self
    }

    /// How many bytes of messages the context's sockets may hold together, sent or received; default: 0, which is no limit. So an open port can't make the
    /// process grow as it likes, however many peers come.
    ///
    /// At the budget, peers are not read from, and senders find no room: they wait, or drop the message and count it, as at
    /// [`send_hwm`](crate::Options::send_hwm). Both go on when messages have been received or have left.
    ///
    /// - Not in the budget are up to 192 KiB for each connection, and twice that with CURVE, which keep short messages going; 12 MiB of spare memory for each
    ///   socket that is active; messages whose peer has gone, until another takes them, and those that are to be
    ///   [settled](crate::Options::delivery); what an XPUB has taken in of what its peers wish; what the application holds; and inproc.
    /// - A quarter of it is kept for the message of one peer at a time, so that messages which are coming in get finished one after the other when together they
    ///   are too large.
    /// - No message may be larger than a quarter of it, or an eighth with CURVE, whatever [`max_message_size`](crate::Options::max_message_size) says.
    /// - A peer that leaves a message unfinished for longer than [`handshake_timeout`](crate::Options::handshake_timeout), while more than half of the budget is
    ///   in use, is disconnected ([`DisconnectCause::MemoryBudget`](crate::DisconnectCause::MemoryBudget)).
    ///
    /// libzmq has no such limit.
    pub fn memory_budget(mut self, bytes: usize) -> ContextOptions {
        self.memory_budget = bytes;
        self
    }

    /// The runtime that drives sockets while tasks wait for them; default: none. See [`Reactor`](crate::Reactor).
    #[cfg(any(feature = "tokio", feature = "async-io"))]
    pub fn reactor(mut self, reactor: crate::Reactor) -> ContextOptions {
        self.reactor = Some(reactor.0);
        self
    }
}

impl Default for ContextOptions {
    fn default() -> ContextOptions {
        ContextOptions::new()
    }
}

impl Default for Context {
    fn default() -> Context {
        Context::new()
    }
}

impl Clone for Context {
    fn clone(&self) -> Context {
        self.inner.handle_cloned();
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
        self.inner.handle_dropped();
    }
}
