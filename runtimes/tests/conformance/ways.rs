//! The ways of waiting: in a task of a runtime that drives the sockets, in one of another executor, or in a poller.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use zerohop::{PollRecv, PollSend, Poller, RecvError, SendError, SendErrorKind};

use crate::common::block_on::block_on_for;
use crate::common::deadline::DEADLINE;
use crate::place::Place;

/// How the calls of a scenario wait.
pub(crate) enum Way {
    /// As a future.
    Task(Place),
    /// In a poller, until a call that does not wait succeeds.
    Poller,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::Task(place) => place.fmt(f),
            Way::Poller => f.write_str("a poller"),
        }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Way>>> = const { RefCell::new(None) };
}

/// How many there are.
pub(crate) const WAYS: u32 = 5;

/// Plays a scenario once by each way.
pub(crate) fn by_each_way(scenario: impl Fn()) {
    let ways = Place::all().into_iter().map(Way::Task);
    for way in ways.chain([Way::Poller]) {
        let way = Arc::new(way);
        CURRENT.set(Some(Arc::clone(&way)));
        let _played = Played(way);
        scenario();
    }
    CURRENT.set(None);
}

/// The way of the contexts that are made in this thread.
pub(crate) fn current() -> Arc<Way> {
    // A thread that a scenario has started makes contexts of its own seldom enough.
    CURRENT.with_borrow(|way| way.clone().unwrap_or_else(|| Arc::new(Way::Poller)))
}

/// Says by which way a scenario failed.
struct Played(Arc<Way>);

impl Drop for Played {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the scenario failed in {}", self.0);
        }
    }
}

impl Way {
    /// Receives in time, which is without end if there is no timeout. `late` is what to do when it is up.
    pub(crate) fn receive<T>(
        &self,
        socket: &impl PollRecv,
        timeout: Option<Duration>,
        task: impl Future<Output = Result<T, RecvError>>,
        mut attempt: impl FnMut() -> Result<T, RecvError>,
        late: impl FnOnce() -> Result<T, RecvError>,
    ) -> Result<T, RecvError> {
        match self {
            Way::Task(place) => run_for(place, timeout, task).unwrap_or_else(late),
            Way::Poller => {
                let add = |poller: &mut Poller| poller.add_recv(0, socket).is_ok();
                let attempt = || match attempt() {
                    Err(RecvError::WouldBlock) => None,
                    done => Some(done),
                };
                poll(add, timeout, attempt).unwrap_or_else(late)
            }
        }
    }

    /// Sends in time.
    pub(crate) fn send<T>(
        &self,
        socket: &impl PollSend,
        timeout: Option<Duration>,
        task: impl Future<Output = Result<T, SendError>>,
        mut attempt: impl FnMut() -> Result<T, SendError>,
        late: impl FnOnce() -> Result<T, SendError>,
    ) -> Result<T, SendError> {
        match self {
            Way::Task(place) => run_for(place, timeout, task).unwrap_or_else(late),
            Way::Poller => {
                let add = |poller: &mut Poller| poller.add_send(0, socket).is_ok();
                let attempt = || match attempt() {
                    Err(error) if error.kind() == SendErrorKind::WouldBlock => None,
                    done => Some(done),
                };
                poll(add, timeout, attempt).unwrap_or_else(late)
            }
        }
    }
}

/// Polls until an attempt gives something. `None`: not in time.
fn poll<T>(
    add: impl Fn(&mut Poller) -> bool,
    timeout: Option<Duration>,
    mut attempt: impl FnMut() -> Option<T>,
) -> Option<T> {
    let end = Instant::now() + timeout.unwrap_or(DEADLINE);
    let mut poller = Poller::new().expect("a poller");
    let added = add(&mut poller);
    loop {
        if let Some(done) = attempt() {
            return Some(done);
        }
        // It may have been closed before; then the attempt has said so.
        assert!(added, "it cannot be polled");
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            assert!(timeout.is_some(), "not within the deadline");
            return None;
        }
        poller.wait(Some(left)).expect("polled");
    }
}

/// Runs a future until it is ready. `None`: not in time.
pub(crate) fn run_for<T>(
    place: &Place,
    timeout: Option<Duration>,
    future: impl Future<Output = T>,
) -> Option<T> {
    let Some(timeout) = timeout else {
        return Some(place.run(future));
    };
    match place {
        Place::Tokio(runtime) => {
            let limited = async { tokio::time::timeout(timeout, future).await };
            runtime.block_on(limited).ok()
        }
        Place::AsyncIo => async_io::block_on(async {
            let expired = async {
                async_io::Timer::after(timeout).await;
                None
            };
            futures_lite::future::or(async { Some(future.await) }, expired).await
        }),
        Place::NoReactor => block_on_for(timeout, future),
    }
}
