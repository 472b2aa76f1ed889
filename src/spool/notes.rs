//! Hand-over: whoever learns what has become of a socket's messages → the thread that writes it into the spool.
//!
//! Notes are added under the state lock of a socket, where no file may be touched. A thread that is there for that waits until there is something
//! to do, takes all notes, and writes them.
//!
//! Notes alone are not urgent, nor are messages that nobody waits for: the thread lets them gather for a while, so that it is not woken, and does not
//! write, with each one.
//!
//! Invariants: notes are taken in the order in which they were added, each once. The thread waits without an end only while there are no notes, nobody
//! has asked for anything since it last looked, and the notes are not closed; and while there is nothing urgent only until the time is over for which
//! the rest gathers. What was added before they were closed can be taken afterwards; what is added later is dropped.

use std::mem;
use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex, PoisonError, lock};

/// See the module.
#[derive(Debug)]
pub(crate) struct Notes<N> {
    state: Mutex<State<N>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<N> {
    notes: Vec<N>,
    /// All messages with lower numbers are to be made safe.
    wanted: u64,
    /// The thread has not looked at these yet, and somebody waits.
    asked: bool,
    /// It has not looked, and nobody waits.
    asked_later: bool,
    closed: bool,
    waits: Waits,
}

/// What the thread is to be woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// It does not wait.
    Not,
    ForAnything,
    /// It lets the rest gather.
    ForUrgent,
}

/// What the thread has waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// All messages with lower numbers are to be made safe; never less than before.
    pub(crate) wanted: u64,
    /// Nothing more is added: this is the last time.
    pub(crate) closed: bool,
}

impl<N> Notes<N> {
    pub(crate) fn new() -> Notes<N> {
        Notes {
            state: Mutex::new(State {
                notes: Vec::new(),
                wanted: 0,
                asked: false,
                asked_later: false,
                closed: false,
                waits: Waits::Not,
            }),
            changed: Condvar::new(),
        }
    }

    /// Adds notes, which leaves `notes` empty.
    pub(crate) fn add(&self, notes: &mut Vec<N>) {
        self.change(|state| match state.closed {
            true => notes.clear(),
            false => state.notes.append(notes),
        });
    }

    /// Asks that all messages with lower numbers be made safe.
    pub(crate) fn want(&self, upto: u64) {
        self.change(|state| {
            state.asked |= state.wanted < upto || state.asked_later;
            state.wanted = state.wanted.max(upto);
        });
    }

    /// The same, and there is time: nobody waits for it yet.
    pub(crate) fn want_later(&self, upto: u64) {
        self.change(|state| {
            state.asked_later |= state.wanted < upto;
            state.wanted = state.wanted.max(upto);
        });
    }

    /// Nothing more will be added.
    pub(crate) fn close(&self) {
        self.change(|state| state.closed = true);
    }

    fn change(&self, change: impl FnOnce(&mut State<N>)) {
        let mut state = lock(&self.state);
        change(&mut state);
        let wakes = match state.waits {
            Waits::Not => false,
            Waits::ForAnything => state.is_urgent() || state.gathers(),
            Waits::ForUrgent => state.is_urgent(),
        };
        if wakes {
            state.waits = Waits::Not;
        }
        drop(state);
        // With the lock held, the thread would wake to wait for that, and twice.
        if wakes {
            self.changed.notify_one();
        }
    }

    /// Waits until there is something to do, and lets what is not urgent gather for so long. For one thread.
    pub(crate) fn wait(&self, gather: Duration) -> Asked {
        let mut state = lock(&self.state);
        let mut gathered = None;
        while !state.is_urgent() {
            if !state.gathers() {
                gathered = None;
                state.waits = Waits::ForAnything;
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let now = Instant::now();
            let until = *gathered.get_or_insert(now + gather);
            if until <= now {
                break;
            }
            state.waits = Waits::ForUrgent;
            let waited = self.changed.wait_timeout(state, until - now);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.waits = Waits::Not;
        state.asked = false;
        state.asked_later = false;
        Asked {
            wanted: state.wanted,
            closed: state.closed,
        }
    }

    /// Takes the notes that are there.
    pub(crate) fn take(&self) -> Vec<N> {
        mem::take(&mut lock(&self.state).notes)
    }
}

impl<N> State<N> {
    fn is_urgent(&self) -> bool {
        self.asked || self.closed
    }

    fn gathers(&self) -> bool {
        self.asked_later || !self.notes.is_empty()
    }
}
