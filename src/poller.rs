//! Waiting for many sockets, and for descriptors beside them.
//!
//! The poller's own poll has the polls of its sockets among what it waits for, so the kernel wakes the thread that waits, which drives the socket itself: a
//! message makes no hop from thread to thread. See [`levels`](crate::engine::Observer::hears).

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use slab::Slab;

use crate::engine::{Observable, Observer, ObserverId, PollWaker, ReadyList, Side};
use crate::error::WatchError;
use crate::monitor::IoFailure;
use crate::process::Process;
use crate::socket::{PollRecv, PollSend};

/// Waits for any number of sockets, to receive or to have room for a message, and for any other descriptors beside them.
///
/// What is waited for has a key, which the application chooses. Several things may have the same one.
///
/// It is **level-triggered**: what is ready and not seen to is ready again the next time. A wait costs what is ready, and not what is
/// waited for: with a thousand sockets of which one has a message it costs what it costs with ten. The thread that waits takes in what comes for its sockets by itself,
/// as one in [`recv`](crate::Pull::recv) does; what comes while no call is under way, the context's background thread takes in, some milliseconds later.
///
/// If several threads receive from a socket, one of them may come too late: use [`try_recv`](crate::Pull::try_recv). A socket that has been
/// shut down, or dropped, is ready until it is [removed](Self::remove): calls on it fail at once.
///
/// ```
/// use std::time::Duration;
/// use zerohop::{Context, Poller, Pull, Push, Rep};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// const ORDERS: usize = 1;
/// const QUESTIONS: usize = 2;
///
/// # let context = Context::new();
/// let (orders, questions) = (Pull::new(&context)?, Rep::new(&context)?);
/// # let push = Push::new(&context)?;
/// # push.connect(orders.bind("tcp://127.0.0.1:*")?)?;
/// # push.send("42")?;
/// let mut poller = Poller::new()?;
/// poller.add_recv(ORDERS, &orders)?;
/// poller.add_recv(QUESTIONS, &questions)?;
///
/// # let mut came = 0;
/// for ready in poller.wait(Some(Duration::from_secs(10)))? {
///     match ready.key() {
///         ORDERS => println!("ordered: {:?}", orders.try_recv()),
///         QUESTIONS => questions.try_recv()?.reply("9.99")?,
///         _ => unreachable!(),
///     }
/// #   came += 1;
/// }
/// # assert_eq!(came, 1);
/// # Ok(())
/// # }
/// ```
///
/// libzmq: `zmq_poll`, `zmq_poller`.
pub struct Poller {
    poll: Poll,
    events: Events,
    list: Arc<ReadyList<PollWaker>>,
    watches: HashMap<usize, Vec<Watch>>,
    sources: Slab<Source>,
    /// The places of sockets there, by their addresses.
    sockets: HashMap<usize, usize>,
    /// By which the polls of sockets come and go while the thread waits.
    registry: Arc<Registry>,
    /// Descriptors that were ready: the system says so once, and is asked again each time.
    told: Vec<usize>,
    ready: Vec<Ready>,
    process: Process,
}

/// What is waited for.
enum Watch {
    /// The place among the sources, and what the socket knows it by.
    Socket(usize, ObserverId),
    Descriptor(usize),
}

/// What events come from.
enum Source {
    Socket(Watched),
    Descriptor(Descriptor),
}

/// A socket, for one or several watches.
struct Watched {
    /// As long as this is here, no other socket has the same address.
    socket: Weak<dyn Observable>,
    link: Weak<Link>,
    watches: usize,
}

struct Descriptor {
    key: usize,
    /// A copy, which nobody else closes.
    fd: OwnedFd,
    interest: Interest,
}

/// What is ready, as [`Poller::wait`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    key: usize,
    readable: bool,
    writable: bool,
}

impl Ready {
    /// What it is, as the application has named it.
    pub fn key(&self) -> usize {
        self.key
    }

    /// A call that receives would not wait; a descriptor can be read from, or has ended, or failed.
    pub fn is_readable(&self) -> bool {
        self.readable
    }

    /// A call that sends would not wait; a descriptor can be written to, or has ended, or failed.
    pub fn is_writable(&self) -> bool {
        self.writable
    }
}

/// Makes [`Poller::wait`] return, from any thread.
#[derive(Clone)]
pub struct PollerWaker {
    list: Arc<ReadyList<PollWaker>>,
    process: Process,
}

impl PollerWaker {
    /// Makes the wait that is under way, or the next one, return at once, with whatever is ready. Does nothing in a forked child.
    pub fn wake(&self) {
        if self.process.is_current() {
            self.list.call();
        }
    }
}

impl fmt::Debug for PollerWaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollerWaker").finish_non_exhaustive()
    }
}

/// An entry in the list of a poller.
#[derive(Debug)]
struct Entry {
    list: Arc<ReadyList<PollWaker>>,
    key: usize,
    side: Side,
    link: Arc<Link>,
}

impl Observer for Entry {
    fn set(&self, high: bool) {
        self.list.set(self.key, self.side, high);
    }

    fn hears(&self, poll: RawFd) -> bool {
        self.link.hears(poll)
    }
}

/// A socket's poll among what the poller waits for. Only the entries own it, which go before that poll does.
#[derive(Debug)]
struct Link {
    registry: Arc<Registry>,
    token: Token,
    poll: OnceLock<RawFd>,
    process: Process,
}

impl Link {
    /// Under the socket's state lock. `false`: the system has refused, and the background thread drives.
    fn hears(&self, poll: RawFd) -> bool {
        if self.poll.get().is_some() {
            // By the other entry of the socket.
            return true;
        }
        let mut source = SourceFd(&poll);
        let added = self
            .registry
            .register(&mut source, self.token, Interest::READABLE);
        added.is_ok() && self.poll.set(poll).is_ok()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(poll) = self.poll.get()
            && self.process.is_current()
        {
            // It was registered, and is open.
            let _ = self.registry.deregister(&mut SourceFd(poll));
        }
    }
}

impl Poller {
    /// Makes a poller that waits for nothing yet. It takes three descriptors.
    ///
    /// # Errors
    ///
    /// The system refused descriptors.
    pub fn new() -> Result<Poller, WatchError> {
        let poll = Poll::new().map_err(failed)?;
        let waker = PollWaker::new(poll.registry()).map_err(failed)?;
        let registry = poll.registry().try_clone().map_err(failed)?;
        Ok(Poller {
            poll,
            events: Events::with_capacity(256),
            list: Arc::new(ReadyList::new(waker)),
            watches: HashMap::new(),
            sources: Slab::new(),
            sockets: HashMap::new(),
            registry: Arc::new(registry),
            told: Vec::new(),
            ready: Vec::new(),
            process: Process::current(),
        })
    }

    /// Waits for something to receive from a socket as well.
    ///
    /// # Errors
    ///
    /// Closed, or this is a forked child of the process that made the poller.
    pub fn add_recv(&mut self, key: usize, socket: &impl PollRecv) -> Result<(), WatchError> {
        self.add_socket(key, socket.observable(), Side::Receive)
    }

    /// Waits for room for a message of a socket as well; see [`PollSend::send_fd`] for what that means with each type.
    ///
    /// # Errors
    ///
    /// Closed, or this is a forked child of the process that made the poller.
    pub fn add_send(&mut self, key: usize, socket: &impl PollSend) -> Result<(), WatchError> {
        self.add_socket(key, socket.observable(), Side::Send)
    }

    /// Waits as well until a descriptor can be read from. It is any that can be polled: a pipe, a network socket, a timer. The poller keeps a
    /// copy of it until it is [removed](Self::remove).
    ///
    /// # Errors
    ///
    /// The descriptor cannot be polled, as that of a file, or the system refused the copy; or this is a forked child, as with [`wait`](Self::wait).
    pub fn add_readable(&mut self, key: usize, fd: &impl AsFd) -> Result<(), WatchError> {
        self.add_descriptor(key, fd, Interest::READABLE)
    }

    /// The same until it can be written to.
    ///
    /// # Errors
    ///
    /// As [`add_readable`](Self::add_readable).
    pub fn add_writable(&mut self, key: usize, fd: &impl AsFd) -> Result<(), WatchError> {
        self.add_descriptor(key, fd, Interest::WRITABLE)
    }

    /// Waits no longer for what has this key. Says whether there was anything; in a forked child there is nothing.
    pub fn remove(&mut self, key: usize) -> bool {
        if !self.process.is_current() {
            return false;
        }
        let Some(watches) = self.watches.remove(&key) else {
            return false;
        };
        watches.into_iter().for_each(|watch| self.end(watch));
        // A socket that is gone does not say any more that it is not ready.
        self.list.forget(key);
        true
    }

    /// Waits until something is ready, and says what; not longer than `timeout` (`None`: without end), then nothing is.
    ///
    /// A signal does not end it.
    ///
    /// # Errors
    ///
    /// The system failed, or this is a forked child of the process that made the poller.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<&[Ready], WatchError> {
        self.check_process()?;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let sleeps = self.list.begin_sleep();
            let left = match (sleeps, deadline) {
                (false, _) => Some(Duration::ZERO),
                (true, Some(at)) => Some(at.saturating_duration_since(Instant::now())),
                (true, None) => None,
            };
            self.poll(left)?;
            self.list.is_awake();
            self.take_in();
            let called = self.collect();
            let expired = || deadline.is_some_and(|at| at <= Instant::now());
            if called || !self.ready.is_empty() || expired() {
                return Ok(&self.ready);
            }
        }
    }

    /// Makes the wait of this poller return, from another thread.
    pub fn waker(&self) -> PollerWaker {
        PollerWaker {
            list: Arc::clone(&self.list),
            process: self.process,
        }
    }

    /// In a forked child what it waits by is the parent's, and may be locked for ever.
    fn check_process(&self) -> Result<(), WatchError> {
        match self.process.is_current() {
            true => Ok(()),
            false => Err(WatchError::Forked),
        }
    }

    fn add_socket(
        &mut self,
        key: usize,
        socket: Arc<dyn Observable>,
        side: Side,
    ) -> Result<(), WatchError> {
        self.check_process()?;
        let address = Arc::as_ptr(&socket).addr();
        let slot = self.sockets.get(&address).copied();
        let slot = slot.unwrap_or_else(|| self.sources.vacant_key());
        let known = match self.sources.get(slot) {
            Some(Source::Socket(watched)) => watched.link.upgrade(),
            Some(Source::Descriptor(_)) | None => None,
        };
        let link = known.unwrap_or_else(|| {
            Arc::new(Link {
                registry: Arc::clone(&self.registry),
                token: Token(slot),
                poll: OnceLock::new(),
                process: self.process,
            })
        });
        let entry = Entry {
            list: Arc::clone(&self.list),
            key,
            side,
            link: Arc::clone(&link),
        };
        let id = socket.observe(side, Arc::new(entry))?;
        match self.sources.get_mut(slot) {
            Some(Source::Socket(watched)) => watched.watches += 1,
            Some(Source::Descriptor(_)) | None => {
                self.sources.insert(Source::Socket(Watched {
                    socket: Arc::downgrade(&socket),
                    link: Arc::downgrade(&link),
                    watches: 1,
                }));
                self.sockets.insert(address, slot);
            }
        }
        let watch = Watch::Socket(slot, id);
        self.watches.entry(key).or_default().push(watch);
        Ok(())
    }

    fn add_descriptor(
        &mut self,
        key: usize,
        fd: &impl AsFd,
        interest: Interest,
    ) -> Result<(), WatchError> {
        self.check_process()?;
        let fd = fd.as_fd().try_clone_to_owned().map_err(failed)?;
        let place = self.sources.vacant_entry();
        let slot = place.key();
        let registry = self.poll.registry();
        registry
            .register(&mut SourceFd(&fd.as_raw_fd()), Token(slot), interest)
            .map_err(failed)?;
        place.insert(Source::Descriptor(Descriptor { key, fd, interest }));
        let watch = Watch::Descriptor(slot);
        self.watches.entry(key).or_default().push(watch);
        Ok(())
    }

    fn end(&mut self, watch: Watch) {
        match watch {
            Watch::Socket(slot, id) => {
                let Some(Source::Socket(watched)) = self.sources.get_mut(slot) else {
                    return;
                };
                watched.watches -= 1;
                let (socket, last) = (Weak::clone(&watched.socket), watched.watches == 0);
                if last {
                    self.sockets.remove(&socket.as_ptr().addr());
                    self.sources.remove(slot);
                }
                if let Some(socket) = socket.upgrade() {
                    socket.forget(id);
                }
            }
            Watch::Descriptor(slot) => {
                if let Some(Source::Descriptor(descriptor)) = self.sources.try_remove(slot) {
                    // It was registered, and goes with its copy at the latest.
                    let fd = descriptor.fd.as_raw_fd();
                    let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
                }
                self.told.retain(|&told| told != slot);
            }
        }
    }

    fn poll(&mut self, timeout: Option<Duration>) -> Result<(), WatchError> {
        for slot in std::mem::take(&mut self.told) {
            if let Some(Source::Descriptor(descriptor)) = self.sources.get(slot) {
                let fd = descriptor.fd.as_raw_fd();
                let registry = self.poll.registry();
                registry
                    .reregister(&mut SourceFd(&fd), Token(slot), descriptor.interest)
                    .map_err(failed)?;
            }
        }
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            polled => polled.map_err(failed),
        }
    }

    /// Drives the sockets that have events.
    fn take_in(&self) {
        for event in &self.events {
            // The waker's number is no place.
            if let Some(Source::Socket(watched)) = self.sources.get(event.token().0)
                && let Some(socket) = watched.socket.upgrade()
            {
                socket.take_in();
            }
        }
    }

    /// Notes all that is ready; says whether somebody has called.
    fn collect(&mut self) -> bool {
        let ready = &mut self.ready;
        ready.clear();
        let called = self.list.end_sleep(|key, high| {
            ready.push(Ready {
                key,
                readable: high.receive > 0,
                writable: high.send > 0,
            });
        });
        for event in &self.events {
            let slot = event.token().0;
            if let Some(Source::Descriptor(descriptor)) = self.sources.get(slot) {
                self.told.push(slot);
                ready.push(Ready {
                    key: descriptor.key,
                    readable: descriptor.interest.is_readable(),
                    writable: descriptor.interest.is_writable(),
                });
            }
        }
        ready.sort_by_key(|ready| ready.key);
        ready.dedup_by(|next, ready| {
            let same = next.key == ready.key;
            if same {
                ready.readable |= next.readable;
                ready.writable |= next.writable;
            }
            same
        });
        called
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        if !self.process.is_current() {
            return;
        }
        let watches = std::mem::take(&mut self.watches);
        for watch in watches.into_values().flatten() {
            self.end(watch);
        }
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller")
            .field("waits_for", &self.watches.len())
            .finish_non_exhaustive()
    }
}

fn failed(error: io::Error) -> WatchError {
    WatchError::Io(IoFailure::from(&error))
}
