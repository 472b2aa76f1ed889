//! A socket that the reactor of a runtime drives while tasks wait for it: see [`reactor`](crate::engine::driving::reactor).

use std::os::fd::AsFd;
use std::sync::{Arc, Weak};

use super::{Core, Phase, State};
use crate::engine::driving::reactor::{Link, ReactorDriven};
use crate::pattern::Pattern;

/// What a socket has of a reactor.
#[derive(Debug, Default)]
pub(super) enum Reacting {
    /// Nothing yet, or no longer.
    #[default]
    Apart,
    Linked(Arc<Link>),
    /// It is gone, and so is its runtime.
    Gone,
}

impl<P: Pattern> State<P> {
    /// Tasks poll for what they wait for: the thread of the reactor is not to be woken as well.
    pub(super) fn leave_reactor(&mut self) {
        if matches!(self.reacting, Reacting::Linked(_)) {
            self.reacting = Reacting::Apart;
        }
    }
}

impl<P: Pattern> Core<P> {
    /// A task is about to wait, and asks the kernel after this. Has the reactor of the context, if there is one, tell of all that comes from
    /// now on.
    pub(super) fn arm_reactor(&self, state: &mut State<P>) {
        let Some(reactor) = self.context.reactor() else {
            return;
        };
        if self.presence.has_reactor() {
            return;
        }
        if matches!(state.reacting, Reacting::Apart) {
            let Some(registry) = state.net.registry() else {
                return;
            };
            let fd = registry.as_fd().try_clone_to_owned();
            let added = fd.and_then(|fd| reactor.add(fd));
            let Ok(added) = added else {
                // The caretaker goes on, as without a reactor.
                state.reacting = Reacting::Gone;
                return;
            };
            let link = Link::new(added, Weak::clone(&self.myself) as _);
            state.reacting = Reacting::Linked(link);
        }
        if let Reacting::Linked(link) = &state.reacting {
            match link.arm() {
                true => self.presence.reactor_hears(),
                false => self.lose_reactor(state),
            }
        }
    }

    /// The reactor is gone: the caretaker hears of events from now on.
    fn lose_reactor(&self, state: &mut State<P>) {
        state.reacting = Reacting::Gone;
        if self.presence.reactor_is_gone() && state.enlisted {
            self.caretaker.take_over(self.id);
        }
    }
}

impl<P: Pattern> ReactorDriven for Core<P> {
    fn reactor_event(&self, link: &Arc<Link>) {
        if !self.process().is_current() {
            return;
        }
        let mut state = self.state.lock_again();
        if !self.presence.has_reactor() || matches!(state.phase, Phase::Closed { .. }) {
            // No task waits, and others see to the socket.
            if link.was_in_vain() {
                state.reacting = Reacting::Apart;
            }
            return self.unlock(state);
        }
        self.presence.touch();
        if !link.arm() {
            self.lose_reactor(&mut state);
            return self.unlock(state);
        }
        self.drive_beside(&mut state);
        self.release_driven(state);
    }
}
