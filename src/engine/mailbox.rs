//! Hand-over: notes from any thread to the one that drives.
//!
//! Invariant: **while the mailbox holds notes, a wake-up has been issued since it was last emptied.** So
//! whoever is woken and takes the notes misses none, and a crowd of notes costs one wake-up.

use crate::sync::{AtomicBool, Mutex, Ordering, lock};

/// Wakes the thread that drives.
pub(crate) trait Wake {
    /// Makes the current or the next wait of the driver return.
    fn wake(&self);
}

/// See the module.
pub(crate) struct Mailbox<T, W> {
    notes: Mutex<Vec<T>>,
    /// A hint, true while there are notes or something else to see to: for callers who pass by and could do it.
    pending: AtomicBool,
    waker: W,
}

impl<T, W: Wake> Mailbox<T, W> {
    pub(crate) fn new(waker: W) -> Self {
        Mailbox {
            notes: Mutex::new(Vec::new()),
            pending: AtomicBool::new(false),
            waker,
        }
    }

    /// Leaves a note, and wakes the driver if it is the first one.
    pub(crate) fn post(&self, note: T) {
        let first = {
            let mut notes = lock(&self.notes);
            notes.push(note);
            self.pending.store(true, Ordering::Relaxed);
            notes.len() == 1
        };
        if first {
            self.waker.wake();
        }
    }

    /// Takes all notes.
    pub(crate) fn take(&self) -> Vec<T> {
        let mut notes = lock(&self.notes);
        self.pending.store(false, Ordering::Relaxed);
        std::mem::take(&mut *notes)
    }

    /// Whether there seem to be notes. May be late; the wake-up is not.
    #[inline]
    pub(crate) fn has_notes(&self) -> bool {
        self.pending.load(Ordering::Relaxed)
    }

    /// Makes it seem that there are notes, to a caller who passes by.
    pub(crate) fn beckon(&self) {
        self.pending.store(true, Ordering::Relaxed);
    }

    /// Wakes the driver without a note.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }
}
