//! Hand-over: look-ups, and verdicts to be made, from whoever asks to the threads that do them.
//!
//! Workers are started on demand and end when there is nothing left to do. Invariant: **whoever releases the
//! lock with a job in the queue knows of a worker, counted in `workers`, that will lock and look at the queue
//! again.** It holds because [`push`](Queue::push) counts the worker that its caller is to start under the lock
//! that it adds the job under, and a worker stops being counted under the lock that it finds the queue empty under.

use std::collections::VecDeque;

use crate::sync::{Mutex, lock};

/// See the module.
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    max_workers: usize,
}

struct State<J> {
    jobs: VecDeque<J>,
    /// Threads that will look at the queue again before they end.
    workers: usize,
}

impl<J> Queue<J> {
    pub(crate) fn new(max_workers: usize) -> Self {
        let state = State {
            jobs: VecDeque::new(),
            workers: 0,
        };
        Queue {
            state: Mutex::new(state),
            max_workers,
        }
    }

    /// Adds a job. `true`: the caller has to start a worker, which is counted already.
    #[must_use]
    pub(crate) fn push(&self, job: J) -> bool {
        let mut state = lock(&self.state);
        state.jobs.push_back(job);
        let start = state.workers < self.max_workers;
        state.workers += usize::from(start);
        start
    }

    /// The worker could not be started. Gives back the jobs that nobody is left to do.
    pub(crate) fn not_started(&self) -> VecDeque<J> {
        let mut state = lock(&self.state);
        state.workers -= 1;
        if state.workers == 0 {
            std::mem::take(&mut state.jobs)
        } else {
            VecDeque::new()
        }
    }

    /// The next job. `None` ends the worker that asks: it is no longer counted.
    pub(crate) fn next(&self) -> Option<J> {
        let mut state = lock(&self.state);
        let job = state.jobs.pop_front();
        if job.is_none() {
            state.workers -= 1;
        }
        job
    }

    /// Takes all jobs that have not begun.
    pub(crate) fn drain(&self) -> VecDeque<J> {
        std::mem::take(&mut lock(&self.state).jobs)
    }

    /// Threads that work, or are about to.
    #[cfg(test)]
    pub(super) fn workers(&self) -> usize {
        lock(&self.state).workers
    }
}
