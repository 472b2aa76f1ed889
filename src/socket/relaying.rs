//! What a proxy does with messages that are to be settled: it takes them as jobs, sends them with these, and says of each what has become of the message.

use super::job::settle;
use super::{Pull, Push, recv_error, send_error_kind};
use crate::engine::{Net, Observable, Outgoing, Wait};
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
        let _ = settle(self.socket.core(), held, settling);
    }
}

impl Push {
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
