//! Hand-over: look-ups, and verdicts to be made, from whoever asks to the threads that do them.
//!
//! Workers are started on demand and end when there is nothing left to do. Invariant: **whoever releases the
//! lock with a job in the queue knows of a worker, counted in `workers`, that will lock and look at the queue
//! again.** It holds because [`push`](Queue::push) counts the worker that its caller is to start under the lock
//! that it adds the job under, and a worker stops being counted under the lock that it finds the queue empty under.

use std::collections::VecDeque;

use crate::sync::{Mutex, lock};

/// So many jobs that nobody wants any more may wait at least.
const UNWANTED: usize = 64;

/// See the module.
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    max_workers: usize,
}

struct State<J> {
    jobs: VecDeque<J>,
    /// Threads that will look at the queue again before they end.
    workers: usize,
    swept: Swept,
}

/// How many of the jobs of a queue were wanted when it was last asked.
#[derive(Default)]
pub(crate) struct Swept(usize);

impl Swept {
    /// Takes out the jobs that nobody wants any more, for the caller to drop with no lock held. They are looked for only once there may be more
    /// of them than of the others, so that it costs each job the same, however many there are.
    pub(crate) fn sweep<J>(
        &mut self,
        jobs: &mut VecDeque<J>,
        is_wanted: impl Fn(&J) -> bool,
    ) -> Vec<J> {
        if jobs.len() < 2 * self.0 + UNWANTED {
            return Vec::new();
        }
        let (wanted, unwanted): (Vec<J>, Vec<J>) = jobs.drain(..).partition(is_wanted);
        self.0 = wanted.len();
        *jobs = wanted.into();
        unwanted
    }
}

impl<J> Queue<J> {
    pub(crate) fn new(max_workers: usize) -> Self {
        let state = State {
            jobs: VecDeque::new(),
            workers: 0,
            swept: Swept::default(),
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

    /// Takes out jobs that nobody wants any more, if there may be many of them. To be dropped with no lock held.
    pub(crate) fn sweep(&self, is_wanted: impl Fn(&J) -> bool) -> Vec<J> {
        let mut state = lock(&self.state);
        let State { jobs, swept, .. } = &mut *state;
        swept.sweep(jobs, is_wanted)
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

    /// Jobs that have not begun.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        lock(&self.state).jobs.len()
    }

    /// Threads that work, or are about to.
    #[cfg(test)]
    pub(super) fn workers(&self) -> usize {
        lock(&self.state).workers
    }
}
