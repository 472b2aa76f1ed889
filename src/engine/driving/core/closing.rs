//! The end of a socket: no more calls, and time for what is queued.

use std::sync::Arc;
use std::time::Instant;

use super::{Core, Phase, State};
use crate::engine::driving::attention::Changes;
use crate::engine::{Deadline, Net};
use crate::pattern::Pattern;

impl<P: Pattern> Core<P> {
    /// Begins to close: no call is accepted any more, and what is queued has until `deadline` to leave. If that has begun
    /// already, the new deadline holds.
    pub(crate) fn begin_close(&self, deadline: Deadline) {
        let mut state = self.state.lock();
        match state.phase {
            Phase::Open => {
                state.phase = Phase::Closing(deadline);
                state.net.note_change(Changes::CLOSED);
                let State { pattern, net, .. } = &mut *state;
                pattern.closing(&mut net.peers);
                self.stop_offering(&mut state);
            }
            Phase::Closing(_) => state.phase = Phase::Closing(deadline),
            Phase::Closed { .. } => {}
        }
        let closed = self.close_if_done(&mut state, Instant::now());
        if !closed && !std::mem::replace(&mut state.lingers, true) {
            self.context.socket_lingers();
        }
        self.notify_all(&mut state);
        let enlisted = state.enlisted;
        self.unlock(state);
        match (enlisted, closed) {
            (true, true) => self.caretaker.forget(self.id),
            (true, false) => self.caretaker.drive(self.id),
            (false, _) => {}
        }
    }

    /// Undoes what a call has left behind that gives up. The end of a closing socket may have waited for just that.
    pub(crate) fn give_up(&self, undo: impl FnOnce(&mut P, &mut Net)) {
        if !self.process().is_current() {
            return;
        }
        let mut state = self.state.lock();
        let State { pattern, net, .. } = &mut *state;
        undo(pattern, net);
        net.note_other_change();
        let closing = matches!(state.phase, Phase::Closing(_));
        if closing {
            self.close_if_done(&mut state, Instant::now());
        }
        self.notify_all(&mut state);
        self.unlock(state);
        if closing {
            self.caretaker.drive(self.id);
        }
    }

    /// Changes a socket in any phase but the last, from a thread of the library's own, and sends what is to be sent then.
    pub(crate) fn amend(&self, change: impl FnOnce(&mut P, &mut Net)) {
        if !self.process().is_current() {
            return;
        }
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Closed { .. }) {
            return;
        }
        let State { pattern, net, .. } = &mut *state;
        change(pattern, net);
        net.note_other_change();
        let mut turn = state.turn();
        turn.settle();
        turn.arm_delivery();
        self.close_if_done(&mut state, Instant::now());
        self.notify_all(&mut state);
        let enlisted = state.enlisted;
        self.unlock(state);
        if enlisted {
            self.caretaker.drive(self.id);
        }
    }

    /// Leaves the socket to the process that this one was forked from. The state is not dropped: that would take locks, tell
    /// other threads and end connections. Only this process's copies of descriptors are closed, if nobody was in the
    /// middle of something with them when it was forked.
    pub(crate) fn leave_to_parent(self: &Arc<Self>) {
        std::mem::forget(Arc::clone(self));
        if let Some(mut state) = self.state.lock_in_child() {
            state.net.close_copies();
        }
    }

    /// A closing socket takes no new connections and no names.
    fn stop_offering(&self, state: &mut State<P>) {
        state.net.stop_listening_everywhere();
        self.context.forget_names(&self.mailbox);
    }

    /// Waits until a closing socket is closed; returns the number of messages left unsent.
    pub(crate) fn finish_close(&self) -> usize {
        let mut state = self.state.lock();
        let mut waited = false;
        loop {
            let now = Instant::now();
            state.turn_at(now).write_dirty();
            if self.close_if_done(&mut state, now)
                && let Phase::Closed { unsent } = state.phase
            {
                if waited {
                    self.caretaker.forget(self.id);
                }
                self.unlock(state);
                return unsent;
            }
            if state.net.has_later() {
                state = self.unlock_for_a_while(state);
                continue;
            }
            waited = true;
            let deadline = match state.phase {
                Phase::Closing(deadline) => deadline,
                Phase::Open | Phase::Closed { .. } => Deadline::Never,
            };
            state = self.wait(state, deadline, now);
        }
    }

    /// Closes a closing socket that has nothing more to send and whose peers have read it all, or that has no more time.
    ///
    /// It lets go of its peers as soon as all has left, and then waits for those only that have yet to read.
    pub(super) fn close_if_done(&self, state: &mut State<P>, now: Instant) -> bool {
        let deadline = match state.phase {
            Phase::Open => return false,
            Phase::Closed { .. } => return true,
            Phase::Closing(deadline) => deadline,
        };
        // Without an endpoint nothing can leave, and nobody drives the socket.
        let late = deadline.has_passed(now) || !state.enlisted;
        let mut turn = state.turn_at(now);
        turn.write_dirty();
        let unsent = turn.unsent();
        if unsent > 0 && !late {
            return false;
        }
        turn.shut_down(if late { Deadline::Now } else { deadline });
        if turn.has_farewells() && !late {
            return false;
        }
        turn.end();
        state.phase = Phase::Closed { unsent };
        if state.lingers {
            self.context.socket_closed();
        }
        state.net.note_change(Changes::CLOSED);
        self.notify(state);
        true
    }
}
