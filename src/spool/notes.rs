//! Hand-over: whoever learns what has become of a socket's messages → the thread that writes it into the spool.
//!
//! Notes are added under the state lock of a socket, where no file may be touched. A thread that is there for that waits until there is something
//! to do, takes all notes, and writes them.
//!
//! Invariants: notes are taken in the order in which they were added, each once. The thread waits only while there are no notes, nobody has
//! asked for anything since it last looked, and the notes are not closed. What was added before they were closed can be taken afterwards; what is
//! added later is dropped.

use std::mem;

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
    /// The same, for somebody who waits for that in any case, and need not be told.
    hastened: u64,
    /// The thread has not looked at these yet.
    asked: bool,
    closed: bool,
    /// The thread waits.
    waits: bool,
}

/// What the thread has waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// All messages with lower numbers are to be made safe; never less than before.
    pub(crate) wanted: u64,
    /// The same of those that nobody is to be told of.
    pub(crate) hastened: u64,
    /// Nothing more is added: this is the last time.
    pub(crate) closed: bool,
}

impl<N> Notes<N> {
    pub(crate) fn new() -> Notes<N> {
        Notes {
            state: Mutex::new(State {
                notes: Vec::new(),
                wanted: 0,
                hastened: 0,
                asked: false,
                closed: false,
                waits: false,
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
            state.asked |= state.wanted < upto;
            state.wanted = state.wanted.max(upto);
        });
    }

    /// Asks that making all messages with lower numbers safe begin, for somebody who is going to see to that.
    pub(crate) fn hasten(&self, upto: u64) {
        self.change(|state| {
            state.asked |= state.hastened < upto;
            state.hastened = state.hastened.max(upto);
        });
    }

    /// Nothing more will be added.
    pub(crate) fn close(&self) {
        self.change(|state| state.closed = true);
    }

    fn change(&self, change: impl FnOnce(&mut State<N>)) {
        let mut state = lock(&self.state);
        change(&mut state);
        let wakes = state.waits && state.has_work();
        state.waits &= !wakes;
        drop(state);
        // With the lock held, the thread would wake to wait for that, and twice.
        if wakes {
            self.changed.notify_one();
        }
    }

    /// Waits until there is something to do. For one thread.
    pub(crate) fn wait(&self) -> Asked {
        let mut state = lock(&self.state);
        while !state.has_work() {
            state.waits = true;
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.waits = false;
        state.asked = false;
        Asked {
            wanted: state.wanted,
            hastened: state.hastened,
            closed: state.closed,
        }
    }

    /// Takes the notes that are there.
    pub(crate) fn take(&self) -> Vec<N> {
        mem::take(&mut lock(&self.state).notes)
    }
}

impl<N> State<N> {
    fn has_work(&self) -> bool {
        self.asked || self.closed || !self.notes.is_empty()
    }
}
