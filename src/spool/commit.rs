//! Hand-over: group commit, the thread that writes for others → those whose messages it has written.
//!
//! Whoever wants its messages on the disk joins. One of those who have joined becomes the *leader*: it has the writer, a value that there is
//! once, writes what all have appended so far, and syncs it, holding no lock. The others wait; when the leader is done, each of them finds
//! its messages written, or one of them leads next, for all that has come meanwhile.
//!
//! Invariants: there is one leader at most. A thread waits only while there is one. What has been reached never goes back, and after
//! a leader has failed it never goes on: what was not durable by then never becomes so.

use crate::sync::{Condvar, Mutex, PoisonError, lock};

/// How far the log has got: all messages with lower numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    /// They are with the system, and survive this process.
    pub(crate) written: u64,
    /// They are on the disk.
    pub(crate) synced: u64,
}

/// How safe a message is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Written,
    Synced,
}

impl Reached {
    pub(crate) fn at(&self, level: Level) -> u64 {
        match level {
            Level::Written => self.written,
            Level::Synced => self.synced,
        }
    }
}

/// See the module. `W` is what the leader needs and nobody else may touch.
#[derive(Debug)]
pub(crate) struct GroupCommit<W> {
    state: Mutex<State<W>>,
    done: Condvar,
}

#[derive(Debug)]
struct State<W> {
    /// `None`: somebody leads.
    writer: Option<W>,
    reached: Reached,
    failed: bool,
    /// So many threads wait. To wake where nobody waits would be a system call with each commit.
    waiting: usize,
}

/// What becomes of who joins.
#[derive(Debug)]
pub(crate) enum Turn<'a, W> {
    /// Its messages are as safe as it wants them.
    Reached,
    /// It has to write.
    Lead(Lead<'a, W>),
    /// They were not when writing failed.
    Failed,
}

/// The leader's right to write. Dropped without being finished, it counts as failed.
#[derive(Debug)]
pub(crate) struct Lead<'a, W> {
    group: &'a GroupCommit<W>,
    writer: Option<W>,
}

impl<W> GroupCommit<W> {
    pub(crate) fn new(writer: W, reached: Reached) -> GroupCommit<W> {
        GroupCommit {
            state: Mutex::new(State {
                writer: Some(writer),
                reached,
                failed: false,
                waiting: 0,
            }),
            done: Condvar::new(),
        }
    }

    /// Waits until all messages below `target` are as safe as that, or it is this thread's turn to make them so. Nothing ever reaches
    /// `u64::MAX`: who asks for it leads.
    pub(crate) fn join(&self, level: Level, target: u64) -> Turn<'_, W> {
        let mut state = lock(&self.state);
        loop {
            if state.reached.at(level) >= target {
                return Turn::Reached;
            }
            if state.failed {
                return Turn::Failed;
            }
            if let Some(writer) = state.writer.take() {
                let writer = Some(writer);
                return Turn::Lead(Lead {
                    group: self,
                    writer,
                });
            }
            state.waiting += 1;
            state = self
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }

    /// The lead, if nobody has it and it is of use.
    pub(crate) fn try_lead(&self) -> Option<Lead<'_, W>> {
        let mut state = lock(&self.state);
        if state.failed {
            return None;
        }
        let writer = Some(state.writer.take()?);
        Some(Lead {
            group: self,
            writer,
        })
    }

    /// How far the log has got.
    pub(crate) fn reached(&self) -> Reached {
        lock(&self.state).reached
    }
}

impl<W> Lead<'_, W> {
    /// What only the leader has.
    pub(crate) fn writer(&mut self) -> Option<&mut W> {
        self.writer.as_mut()
    }

    /// It has been written so far.
    pub(crate) fn finish(mut self, reached: Reached) {
        let mut state = lock(&self.group.state);
        state.writer = self.writer.take();
        state.reached.written = state.reached.written.max(reached.written);
        state.reached.synced = state.reached.synced.max(reached.synced);
        let wakes = state.waiting > 0;
        drop(state);
        if wakes {
            // With the lock held, the others would wake to wait for that.
            self.group.done.notify_all();
        }
    }
}

impl<W> Drop for Lead<'_, W> {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            let mut state = lock(&self.group.state);
            state.writer = Some(writer);
            state.failed = true;
            self.group.done.notify_all();
        }
    }
}
