//! A socket that is watched from outside of its calls: see [`levels`](crate::engine::driving::levels).

use super::{Core, Phase, State};
use crate::engine::driving::attention::Changes;
use crate::engine::driving::levels::{Observer, ObserverId, Side};
use crate::engine::{Deadline, Shut, Stop, Turn};
use crate::pattern::Pattern;
use std::sync::Arc;

/// A socket of any type, for whoever watches it.
pub(crate) trait Observable: Send + Sync {
    /// Has `observer` shown a level from now on. Until [`forget`](Self::forget) the socket's calls go the general way.
    fn observe(&self, side: Side, observer: Arc<dyn Observer>) -> Result<ObserverId, Shut>;

    /// Shows it no longer.
    fn forget(&self, observer: ObserverId);

    /// Does what there is to do after an event of the kernel, if nobody sits in the seat. For an observer that [hears](Observer::hears) of these.
    fn take_in(&self);

    /// Makes calls look again that wait, for something that has changed outside of the socket.
    fn look_again(&self);

    /// Waits as a call does while this holds. It is asked under the state lock, whenever something has changed, and after [`look_again`](Self::look_again).
    fn wait_while(&self, holds: &dyn Fn() -> bool) -> Result<(), Shut>;

    /// Messages accepted from the application that have not left. None in a forked child, which cannot know it.
    fn unsent(&self) -> usize;
}

impl<P: Pattern> Observable for Core<P> {
    fn observe(&self, side: Side, observer: Arc<dyn Observer>) -> Result<ObserverId, Shut> {
        let mut state = self.enter()?;
        let poll = self.poll_fd.get().copied();
        let levels = state.waiting.levels.get_or_insert_default();
        let id = levels.add(side, observer, poll);
        state.net.note_change(Changes::LEVELS);
        self.mailbox.set_always_pending(true);
        self.notify(&mut state);
        self.unlock(state);
        Ok(id)
    }

    fn forget(&self, observer: ObserverId) {
        if !self.process().is_current() {
            return;
        }
        let mut state = self.state.lock();
        let Some(levels) = &mut state.waiting.levels else {
            return;
        };
        levels.remove(observer);
        if levels.is_empty() {
            state.waiting.levels = None;
            state.net.unnote_change(Changes::LEVELS);
            self.mailbox.set_always_pending(false);
        }
        self.attention
            .observer_has_gone(&mut state.waiting, &self.presence);
        self.unlock(state);
    }

    fn take_in(&self) {
        if !self.process().is_current() {
            return;
        }
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            self.presence.touch();
            self.drive_beside(&mut state);
        }
        self.release_driven(state);
    }

    fn look_again(&self) {
        // In one that is not open nobody waits.
        if let Ok(mut state) = self.enter() {
            state.net.note_other_change();
            self.notify_all(&mut state);
            self.unlock(state);
        }
    }

    fn wait_while(&self, holds: &dyn Fn() -> bool) -> Result<(), Shut> {
        match self.until(Deadline::Never, |_, _| (!holds()).then_some(())) {
            Err(Stop::Shut(shut)) => Err(shut),
            Ok(()) | Err(Stop::WouldBlock | Stop::TimedOut) => Ok(()),
        }
    }

    fn unsent(&self) -> usize {
        let unsent = self.inspect(|pattern, net| Turn::begin(net, pattern).unsent());
        unsent.unwrap_or_default()
    }
}

impl<P: Pattern> Core<P> {
    /// Brings the levels up to date: nothing is to change any more before the lock is released.
    #[cold]
    pub(super) fn update_levels(&self, state: &mut State<P>) {
        let open = self.check_open(state).is_ok();
        let State {
            pattern,
            net,
            waiting,
            ..
        } = state;
        let has = |side| {
            waiting
                .levels
                .as_ref()
                .is_some_and(|levels| levels.has(side))
        };
        let receive = !open || has(Side::Receive) && pattern.would_receive(&mut net.peers);
        let send = !open || has(Side::Send) && pattern.would_send(&mut net.peers);
        let tell = self
            .attention
            .set_levels(waiting, &self.presence, |side| match side {
                Side::Receive => receive,
                Side::Send => send,
            });
        if tell && state.enlisted {
            self.caretaker.take_over(self.id);
        }
    }
}
