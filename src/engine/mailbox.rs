//! Hand-over: notes from any thread to the one that drives.
//!
//! Invariant: **while the mailbox holds notes, a wake-up has been issued since it was last emptied.** So
//! whoever is woken and takes the notes misses none, and a crowd of notes costs one wake-up.

use super::sync::{Mutex, lock};

/// Wakes the thread that drives.
pub(crate) trait Wake {
    /// Makes the current or the next wait of the driver return.
    fn wake(&self);
}

/// See the module.
pub(crate) struct Mailbox<T, W> {
    notes: Mutex<Vec<T>>,
    waker: W,
}

impl<T, W: Wake> Mailbox<T, W> {
    pub(crate) fn new(waker: W) -> Self {
        Mailbox {
            notes: Mutex::new(Vec::new()),
            waker,
        }
    }

    /// Leaves a note, and wakes the driver if it is the first one.
    pub(crate) fn post(&self, note: T) {
        let first = {
            let mut notes = lock(&self.notes);
            notes.push(note);
            notes.len() == 1
        };
        if first {
            self.waker.wake();
        }
    }

    /// Takes all notes.
    pub(crate) fn take(&self) -> Vec<T> {
        std::mem::take(&mut *lock(&self.notes))
    }

    /// Wakes the driver without a note.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }
}
