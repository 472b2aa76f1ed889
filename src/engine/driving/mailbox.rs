//! Hand-over: notes from any thread to the one that drives.
//!
//! Invariant: **while the mailbox holds notes, a wake-up has been issued since it was last emptied, or the driver has said since
//! then that it comes back soon by itself, and none of the notes was in a hurry.** So whoever is woken, or comes back, and takes the
//! notes misses none, and a crowd of notes costs one wake-up. Who has left a note may take it back until the driver has taken it: it is with one of the
//! two.

use crate::sync::{AtomicBool, Mutex, Ordering, lock};

/// Wakes the thread that drives.
pub(crate) trait Wake {
    /// Makes the current or the next wait of the driver return.
    fn wake(&self);
}

/// See the module.
pub(crate) struct Mailbox<T, W> {
    notes: Mutex<Notes<T>>,
    /// A hint for calls, each of which could do it: true while there are notes, or a call is to drive.
    pending: AtomicBool,
    /// It stays true, notes or not.
    always_pending: AtomicBool,
    waker: W,
}

struct Notes<T> {
    waiting: Vec<T>,
    /// A wake-up has been issued since they were last taken.
    woken: bool,
    /// The driver has said since then that it comes back soon.
    comes_back: bool,
}

impl<T, W: Wake> Mailbox<T, W> {
    pub(crate) fn new(waker: W) -> Self {
        Mailbox {
            notes: Mutex::new(Notes {
                waiting: Vec::new(),
                woken: false,
                comes_back: false,
            }),
            pending: AtomicBool::new(false),
            always_pending: AtomicBool::new(false),
            waker,
        }
    }

    /// Leaves a note, and wakes the driver unless that has been done already.
    pub(crate) fn post(&self, note: T) {
        self.add(note, true);
    }

    /// Leaves a note for which it is soon enough when the driver comes back by itself, if it has said that it does.
    pub(crate) fn post_unhurried(&self, note: T) {
        self.add(note, false);
    }

    fn add(&self, note: T, hurry: bool) {
        let wake = {
            let mut notes = lock(&self.notes);
            notes.waiting.push(note);
            self.pending.store(true, Ordering::Relaxed);
            let wake = !notes.woken && (hurry || !notes.comes_back);
            notes.woken |= wake;
            wake
        };
        if wake {
            self.waker.wake();
        }
    }

    /// Takes all notes.
    pub(crate) fn take(&self) -> Vec<T> {
        let mut notes = lock(&self.notes);
        let always = self.always_pending.load(Ordering::Relaxed);
        self.pending.store(always, Ordering::Relaxed);
        notes.woken = false;
        notes.comes_back = false;
        std::mem::take(&mut notes.waiting)
    }

    /// Takes the last note back that is such a one, if the driver has not taken it yet.
    pub(crate) fn withdraw(&self, is_it: impl FnMut(&T) -> bool) -> Option<T> {
        let mut notes = lock(&self.notes);
        let index = notes.waiting.iter().rposition(is_it)?;
        Some(notes.waiting.remove(index))
    }

    /// The driver is about to sleep, and will be back soon and take the notes whether it is woken or not.
    pub(crate) fn will_come_back(&self) {
        lock(&self.notes).comes_back = true;
    }

    /// Whether there seem to be notes. May be late; the wake-up is not.
    #[inline]
    pub(crate) fn has_notes(&self) -> bool {
        self.pending.load(Ordering::Relaxed)
    }

    /// Makes [`has_notes`](Self::has_notes) true, so that the next call looks what there is to do.
    pub(crate) fn set_pending(&self) {
        self.pending.store(true, Ordering::Relaxed);
    }

    /// Makes [`has_notes`](Self::has_notes) true from now on, so that every call goes the general way, or no longer.
    pub(crate) fn set_always_pending(&self, always: bool) {
        // Under the lock of whoever takes notes meanwhile.
        let notes = lock(&self.notes);
        self.always_pending.store(always, Ordering::Relaxed);
        self.pending
            .store(always || !notes.waiting.is_empty(), Ordering::Relaxed);
    }

    /// Wakes the driver without a note.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }
}
