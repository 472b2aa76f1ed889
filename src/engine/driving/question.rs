//! Hand-over: whether a peer is let in, from whoever decides that → the driver of the peer's socket.
//!
//! A handshake that has learned what its peer shows of itself puts a [`Question`], and rests. Somebody answers it on any thread, at once or
//! much later, and then leaves a note for the driver; or nobody does, and the handshake's time is up.
//!
//! Invariant: **a question ends once, by its first answer or by being withdrawn.** Only who has ended it by an answer posts a note, and the
//! answer is there before the note is; so a driver that takes the note finds the answer, unless it has withdrawn the question since. An
//! answer that comes later, or after the withdrawal, is dropped where it is given, and no note comes of it.

use crate::sync::{Mutex, lock};

/// See the module.
#[derive(Debug)]
pub(crate) struct Question<A> {
    state: Mutex<State<A>>,
}

#[derive(Debug)]
enum State<A> {
    Open,
    Answered(A),
    /// Its answer has been taken, or nobody wants one any more.
    Closed,
}

impl<A> Question<A> {
    pub(crate) fn new() -> Self {
        Question {
            state: Mutex::new(State::Open),
        }
    }

    /// Gives the answer. `true`: it is the first that somebody still wants, and the caller has to post a note.
    #[must_use]
    pub(crate) fn answer(&self, answer: A) -> bool {
        let mut state = lock(&self.state);
        let open = matches!(*state, State::Open);
        if open {
            *state = State::Answered(answer);
        }
        open
    }

    /// The answer, if there is one that has not been taken.
    pub(crate) fn take(&self) -> Option<A> {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut *state, State::Closed) {
            State::Answered(answer) => Some(answer),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Nobody wants an answer any more.
    pub(crate) fn withdraw(&self) {
        let answer = {
            let mut state = lock(&self.state);
            std::mem::replace(&mut *state, State::Closed)
        };
        drop(answer);
    }

    /// Whether an answer would still be taken. May be late.
    pub(crate) fn is_open(&self) -> bool {
        matches!(*lock(&self.state), State::Open)
    }
}
