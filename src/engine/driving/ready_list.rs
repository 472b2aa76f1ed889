//! Hand-over: which of many levels are high: whoever changes a socket's state → the thread that waits in a poller.
//!
//! Invariant: **while the list is not empty, or somebody wants the thread back, the thread does not sleep, or it has been woken since
//! it began to.** It looks at the list and says that it is about to sleep under one lock; whoever adds something takes back what it
//! has said, under the same lock, and wakes it.
//!
//! The list has what is high, and nothing else: so a look at it costs no more if there are thousands of levels that are low.

use std::collections::BTreeMap;

use super::levels::Side;
use super::mailbox::Wake;
use crate::sync::{Mutex, lock};

/// See the module.
#[derive(Debug)]
pub(crate) struct ReadyList<W> {
    list: Mutex<List>,
    waker: W,
}

#[derive(Debug, Default)]
struct List {
    /// By the keys of the application: how many are high of each side.
    high: BTreeMap<usize, Counts>,
    /// The thread is about to sleep, or sleeps, and has not been woken.
    sleeps: bool,
    /// Somebody wants the thread back.
    called: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) receive: usize,
    pub(crate) send: usize,
}

impl Counts {
    fn of(&mut self, side: Side) -> &mut usize {
        match side {
            Side::Receive => &mut self.receive,
            Side::Send => &mut self.send,
        }
    }
}

impl<W: Wake> ReadyList<W> {
    pub(crate) fn new(waker: W) -> Self {
        ReadyList {
            list: Mutex::new(List::default()),
            waker,
        }
    }

    /// A level has become high, or low again.
    pub(crate) fn set(&self, key: usize, side: Side, high: bool) {
        let mut list = lock(&self.list);
        if high {
            *list.high.entry(key).or_default().of(side) += 1;
            self.wake(list);
        } else if let Some(counts) = list.high.get_mut(&key) {
            let count = counts.of(side);
            *count = count.saturating_sub(1);
            if *counts == Counts::default() {
                list.high.remove(&key);
            }
        }
    }

    /// Nobody has anything under this key any more.
    pub(crate) fn forget(&self, key: usize) {
        lock(&self.list).high.remove(&key);
    }

    /// Makes the current or the next wait of the thread return.
    pub(crate) fn call(&self) {
        let mut list = lock(&self.list);
        list.called = true;
        self.wake(list);
    }

    fn wake(&self, mut list: crate::sync::MutexGuard<'_, List>) {
        let wake = std::mem::take(&mut list.sleeps);
        drop(list);
        if wake {
            self.waker.wake();
        }
    }

    /// The thread is about to sleep. `false`: it need not, there is something in the list.
    pub(crate) fn begin_sleep(&self) -> bool {
        let mut list = lock(&self.list);
        list.sleeps = list.high.is_empty() && !list.called;
        list.sleeps
    }

    /// It is awake, for whatever reason, and adds to the list itself before it looks at it.
    pub(crate) fn is_awake(&self) {
        lock(&self.list).sleeps = false;
    }

    /// It is awake, for whatever reason. `each` is given what is high; `true`: somebody has called.
    pub(crate) fn end_sleep(&self, mut each: impl FnMut(usize, Counts)) -> bool {
        let mut list = lock(&self.list);
        list.sleeps = false;
        list.high
            .iter()
            .for_each(|(&key, &counts)| each(key, counts));
        std::mem::take(&mut list.called)
    }
}
