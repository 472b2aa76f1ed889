//! Calls of tasks: they do not wait in a thread, but leave a waker and are made again when it has been woken.
//!
//! While tasks wait, the caretaker drives, unless a caller sits in the seat: see [`attention`](crate::engine::driving::attention).

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::{Core, State};
use crate::engine::Shut;
use crate::engine::driving::attention::{Changes, Deregistered, Interest, Key};
use crate::engine::driving::runtime_load::TaskWait;
use crate::engine::peer::net::Net;
use crate::pattern::Pattern;

/// A call of a task. If it is dropped before it has what it waits for, it has taken nothing, and passes on what it was woken for.
pub(crate) struct TaskCall<'a, P: Pattern> {
    core: &'a Core<P>,
    key: Option<Key>,
}

impl<'a, P: Pattern> TaskCall<'a, P> {
    pub(crate) fn new(core: &'a Core<P>) -> Self {
        TaskCall { core, key: None }
    }

    pub(crate) fn core(&self) -> &'a Core<P> {
        self.core
    }

    /// Whether it has not waited yet.
    pub(crate) fn is_new(&self) -> bool {
        self.key.is_none()
    }

    /// For [`Core::poll_task`].
    pub(crate) fn waits(&mut self) -> &mut Option<Key> {
        &mut self.key
    }

    /// Does `attempt`, and has the task woken when it is worth another one if that gives nothing.
    pub(crate) fn poll<T>(
        &mut self,
        context: &Context<'_>,
        interest: Interest,
        attempt: impl FnMut(&mut P, &mut Net) -> Option<T>,
    ) -> Poll<Result<T, Shut>> {
        self.core
            .poll_task(context, &mut self.key, interest, attempt)
    }
}

impl<P: Pattern> Drop for TaskCall<'_, P> {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.core.cancel(key);
        }
    }
}

impl<P: Pattern> Core<P> {
    /// Does `attempt`, and has the task woken when it is worth another one if that gives nothing. `key` is what it has from the last time.
    pub(crate) fn poll_task<T>(
        &self,
        context: &Context<'_>,
        key: &mut Option<Key>,
        interest: Interest,
        mut attempt: impl FnMut(&mut P, &mut Net) -> Option<T>,
    ) -> Poll<Result<T, Shut>> {
        let mut result = None;
        let attempt = &mut |pattern: &mut P, net: &mut Net| {
            result = attempt(pattern, net);
            result.is_some()
        };
        match self.poll(context, key, interest, attempt) {
            Ok(()) => result.map_or(Poll::Pending, |result| Poll::Ready(Ok(result))),
            Err(shut) => Poll::Ready(Err(shut)),
        }
    }

    /// Does `attempt`; if that gives nothing, also when the kernel has been asked, the task is registered.
    fn poll(
        &self,
        context: &Context<'_>,
        key: &mut Option<Key>,
        interest: Interest,
        attempt: &mut dyn FnMut(&mut P, &mut Net) -> bool,
    ) -> Result<(), Shut> {
        // Code of the application: not under the lock.
        let waker = context.waker().clone();
        let mut state = self.enter()?;
        if self.mailbox.has_notes() {
            self.catch_up(&mut state);
        }
        let State { pattern, net, .. } = &mut *state;
        let dialogue = interest.is_in_peers() && pattern.in_dialogue();
        let alone = key.is_none() && self.context.reactor().is_some();
        let mut done = attempt(pattern, net);
        if !done && dialogue && alone && !state.waiting.is_anybody_outside() {
            let wait;
            (state, wait) = self.wait_for_a_while(state);
            match wait {
                TaskWait::Sleep => {}
                TaskWait::Poll(_) => {
                    if let Err(shut) = self.check_open(&state) {
                        self.unlock(state);
                        return Err(shut);
                    }
                    let State { pattern, net, .. } = &mut *state;
                    done = attempt(pattern, net);
                    if done && !self.presence.has_reactor() {
                        state.leave_reactor();
                    }
                }
                TaskWait::GiveWay => {
                    state.net.later().wake(waker);
                    self.do_chores(state);
                    return Ok(());
                }
            }
        } else if done && dialogue && key.is_some() {
            self.note_round(&state);
        }
        let mut worked = false;
        if !done {
            self.arm_reactor(&mut state);
            worked = self.poll_and_process(&mut state);
            let State { pattern, net, .. } = &mut *state;
            done = attempt(pattern, net);
            if !done && interest.is_in_peers() {
                // What has gathered may be what it waits for the answer to.
                net.write_now(pattern);
            }
        }
        let mut tell = false;
        let unused = if done {
            let registered = key.take().map(|key| self.deregister(&mut state, &key));
            if interest == Interest::Message && state.pattern.has_more() {
                // For another task.
                state.net.note_change(Changes::READABLE);
            }
            if let Some(Deregistered::Waker(waker)) = registered {
                state.net.later().drop_waker(waker);
            }
            Some(waker)
        } else {
            let State { net, waiting, .. } = &mut *state;
            let discard = |waker| net.later().drop_waker(waker);
            let presence = &self.presence;
            tell = self
                .attention
                .register(waiting, presence, key, interest, waker, discard);
            None
        };
        if worked || state.net.has_chores() || state.net.has_changes() {
            let mut turn = state.turn();
            turn.settle();
            turn.arm_delivery();
            self.notify_all(&mut state);
        }
        if tell && state.enlisted {
            self.caretaker.take_over(self.id);
        }
        self.report_work(&state);
        self.unlock(state);
        drop(unused);
        Ok(())
    }

    /// A wait in a dialogue is over for which the task has slept.
    fn note_round(&self, state: &State<P>) {
        if let Some(mut seat) = self.try_seat(state) {
            seat.busy_poll.woken(Instant::now());
        }
    }

    /// Processes what the kernel has, if nobody sits in the seat, and what there is to do in any case. `false`: there was nothing.
    fn poll_and_process(&self, state: &mut State<P>) -> bool {
        if let Some(mut seat) = self.try_seat(state) {
            seat.poll_events(Some(Duration::ZERO));
            state.net.poll_failed(seat.failed.take());
            let worked = state.net.has_work() || !seat.events.is_empty();
            state.turn().process(&seat.events);
            return worked;
        }
        let worked = state.net.has_work() || self.mailbox.has_notes();
        let mut turn = state.turn();
        turn.take_notes();
        turn.settle();
        worked
    }

    /// A task waits no longer.
    pub(crate) fn cancel(&self, key: &Key) {
        if !self.process().is_current() {
            return;
        }
        let mut state = self.state.lock();
        match self.deregister(&mut state, key) {
            Deregistered::Waker(waker) => state.net.later().drop_waker(waker),
            Deregistered::WakeUp => {
                state.net.note_change(Changes::READABLE);
                self.notify(&mut state);
            }
            Deregistered::Nothing => {}
        }
        self.unlock(state);
    }

    fn deregister(&self, state: &mut State<P>, key: &Key) -> Deregistered {
        self.attention
            .deregister(&mut state.waiting, &self.presence, key)
    }
}
