//! What a proxy does with the messages of a PULL, other than to receive and send them.
//!
//! Those that are to be settled it takes as jobs, sends them with these, and says of each what has become of the message. Others it passes on as they have
//! come, many at once.

use super::job::settle;
use super::{Pull, Push, recv_error, send_error_kind};
use crate::engine::{Net, Observable, Outgoing, Passed, Wait};
use crate::error::{RecvError, SendErrorKind};
use crate::message::Message;
use crate::pattern::{HeldJob, Pattern, PullPattern, Receiving, RelayId, Settled};
use crate::zmtp::delivery::Settling;

impl Pull {
    /// Whether what becomes of messages is told to who sent them.
    pub(crate) fn settles(&self) -> bool {
        self.socket.options().delivery.is_some()
    }

    /// Receives a message to be passed on, in the place of `message`, with its job if it has one. `None`: it had to wait, and was `halted`.
    pub(crate) fn recv_held(
        &self,
        message: &mut Message,
        wait: Wait,
        halted: &dyn Fn() -> bool,
    ) -> Result<Option<Option<HeldJob>>, RecvError> {
        let mut take = |pattern: &mut PullPattern, net: &mut Net| match pattern.acked_in() {
            Some(acked) => acked.recv_relayed(&mut net.peers, message),
            None => pattern.recv(&mut net.peers, message).map(|()| None),
        };
        let core = self.socket.core();
        if let Some(held) = core.at_once(&mut take) {
            return Ok(Some(held));
        }
        let received = core.until(wait, |pattern, net| match take(pattern, net) {
            Some(held) => Some(Some(held)),
            None => halted().then_some(None),
        });
        received.map_err(recv_error)
    }

    /// Says what has become of it. If nobody can be told any more, its sender finds out.
    pub(crate) fn settle_held(&self, held: HeldJob, settling: Settling) {
        let _ = settle(self.socket.core(), held.key, &settling);
    }
}

impl Pull {
    /// Passes messages on to `push` as they have come, as many as are there and worth a write, and writes them. None where that is not all there is to
    /// do: then a message is to be received and sent.
    ///
    /// Each is with one of the sockets at any time: it is moved under the locks of both. Only for the second one is not waited.
    pub(crate) fn pass_on(&self, push: &Push) -> Passed {
        let to = push.socket.core();
        let passed = self.socket.core().at_once(|pull, net| {
            to.at_once_within(|push, to| {
                let passed = pull.pass_on(&mut net.peers, push, &mut to.peers);
                (passed.messages > 0).then_some(passed)
            })
        });
        if passed.is_some() {
            to.write_now();
        }
        passed.unwrap_or_default()
    }

    /// Waits until there is something to be received; `false` if it is `halted` before.
    pub(crate) fn await_message(
        &self,
        wait: Wait,
        halted: &dyn Fn() -> bool,
    ) -> Result<bool, RecvError> {
        let came = self
            .socket
            .core()
            .until(wait, |pattern, _| match pattern.has_more() {
                true => Some(true),
                false => halted().then_some(false),
            });
        came.map_err(recv_error)
    }
}

impl Push {
    /// Whether messages can be passed on to it as they have come.
    pub(crate) fn takes_as_is(&self) -> bool {
        self.socket.options().delivery.is_none() && self.socket.spool().is_none()
    }

    /// Whether what becomes of jobs that are passed on is known here, and not kept in a spool.
    pub(crate) fn relays(&self) -> bool {
        self.socket.options().delivery.is_some() && self.socket.spool().is_none()
    }

    /// Sends a message with its job, which is taken. `false`: it had to wait, and was `halted`.
    pub(crate) fn relay_unless(
        &self,
        message: &Message,
        (relay, job): (RelayId, &mut Option<HeldJob>),
        wait: Wait,
        halted: &dyn Fn() -> bool,
    ) -> Result<bool, SendErrorKind> {
        let outgoing = Outgoing::of(message);
        let sent = self.socket.core().until(wait, |pattern, net| {
            let acked = pattern.acked_out()?;
            let sent = acked.relay(&mut net.peers, outgoing, relay, job);
            let excess = acked.excess(&net.peers, outgoing);
            net.pace(pattern, outgoing, sent.is_some());
            match (sent, excess) {
                (Some(()), _) => Some(Ok(true)),
                (None, Some(excess)) => Some(Err(excess.into())),
                (None, None) => halted().then_some(Ok(false)),
            }
        });
        sent.map_err(send_error_kind)?
    }

    /// Waits for a job to be finished. `None`: it is `over`, or the socket is closed.
    pub(crate) fn next_relayed(
        &self,
        relay: RelayId,
        over: &dyn Fn() -> bool,
    ) -> Option<(HeldJob, Settled)> {
        let ended = self.socket.core().until(Wait::Forever, |pattern, _| {
            match pattern.acked_out()?.next_relayed(relay) {
                Some(ended) => Some(Some(ended)),
                None => over().then_some(None),
            }
        });
        ended.ok().flatten()
    }

    /// Makes [`next_relayed`](Self::next_relayed) look whether it is over.
    pub(crate) fn look_again(&self) {
        self.socket.core().look_again();
    }

    /// The jobs that are left, with what has become of them, if that is known. Nobody will be told of the others.
    pub(crate) fn end_relay(&self, relay: RelayId) -> Vec<(HeldJob, Option<Settled>)> {
        let left = self.socket.core().inspect(|pattern, _| {
            let acked = pattern.acked_out();
            acked.map(|acked| acked.end_relay(relay))
        });
        left.ok().flatten().unwrap_or_default()
    }
}
