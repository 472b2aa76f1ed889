//! Giving up: a call that stops waiting takes back the message it had queued, if that has not left yet.
//!
//! Otherwise a request that timed out before there was a server would be carried out when one comes, and a thousand of them
//! would fill the queue and keep `close` waiting.
//!
//! ```text
//! where the message is                 what becomes of it
//! in the peer's out-buffer             taken out
//!   half written                       finished, but not kept if the connection breaks before
//! in a write without the lock          decided when the rest comes back: Pattern::returned
//! in the channel to an inproc peer     taken out
//! in the kernel, or taken by the peer  it has left: the reply is dropped when it comes
//! ```

use super::peers::Peers;
use super::state::{Link, PeerId};

/// What a buffer knows of a message that nobody waits for any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// It has been removed, and no byte of it will leave.
    TakenOut,
    /// It goes on leaving.
    HalfWritten,
    /// It is not there.
    No,
}

/// What has become of a message that was withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Withdrawal {
    /// No byte of it has left or will leave.
    Done,
    /// It is being written by another thread. Withdraw it again when [`Pattern::returned`](crate::pattern::Pattern::returned)
    /// says that this is over.
    Undecided,
    /// It has left, or begun to.
    TooLate,
}

impl Peers {
    /// Withdraws the newest message queued for this peer whose first frame is `wanted`.
    pub(crate) fn withdraw(&mut self, id: PeerId, wanted: impl Fn(&[u8]) -> bool) -> Withdrawal {
        let Some(peer) = self.slab.get_mut(id) else {
            return Withdrawal::TooLate;
        };
        let found = match &mut peer.link {
            Link::Inproc(link) => {
                let found = link.outbox.withdraw(wanted);
                link.appended -= usize::from(found == Found::TakenOut);
                found
            }
            _ => peer.outbound.withdraw(wanted, &mut self.pool),
        };
        peer.review_room();
        match found {
            Found::TakenOut => {
                peer.counters.withdrawn += 1;
                Withdrawal::Done
            }
            Found::No if peer.in_flight > 0 => Withdrawal::Undecided,
            Found::HalfWritten | Found::No => Withdrawal::TooLate,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::time::Duration;

    use crate::engine::{Core, Net, Outgoing, Turn};
    use crate::monitor::DisconnectCause;
    use crate::pattern::{Outcome, ReqPattern, Ticket};
    use crate::{Context, Options, Rep};

    /// A REQ connected to a REP.
    fn connected(context: &Context) -> (Arc<Core<ReqPattern>>, Rep) {
        let rep = Rep::new(context).expect("a REP");
        let endpoint = rep.bind("tcp://127.0.0.1:*").expect("bound");
        let options = Options::new().reconnect_interval(Duration::from_millis(5));
        let pattern = ReqPattern::new(true, true, 7);
        let core = Core::new(context.inner(), options, pattern).expect("a core");
        core.extend(|pattern, net| Turn::begin(net, pattern).connect(endpoint, None))
            .expect("open")
            .expect("descriptors");
        until(&core, |_, net| (net.connected_peers() == 1).then_some(()));
        (core, rep)
    }

    fn until<T>(
        core: &Core<ReqPattern>,
        attempt: impl FnMut(&mut ReqPattern, &mut Net) -> Option<T>,
    ) -> T {
        let deadline = crate::engine::Deadline::after(Duration::from_secs(60));
        core.until(deadline, attempt).expect("in time")
    }

    /// Queues a request and begins to write it without the lock; then its caller gives up.
    fn give_up_while_written(
        pattern: &mut ReqPattern,
        net: &mut Net,
    ) -> (Ticket, super::super::writing::WriteJob) {
        let sent = pattern.send(&mut net.peers, Outgoing::Slice(b"late"));
        let ticket = sent.expect("room");
        let job = net.begin_write().expect("a buffer to write");
        pattern.cancel(&mut net.peers, ticket);
        assert_eq!(Turn::begin(net, pattern).unsent(), 1, "it may be leaving");
        (ticket, job)
    }

    fn withdrawn(net: &Net) -> u64 {
        let peers = net.peers.slab.iter();
        peers.map(|(_, peer)| peer.counters.withdrawn).sum()
    }

    #[test]
    fn what_comes_back_from_a_write_is_withdrawn_then() {
        let context = Context::new();
        let (core, rep) = connected(&context);
        core.inspect(|pattern, net| {
            let (_, job) = give_up_while_written(pattern, net);
            Turn::begin(net, pattern).end_write(job, Ok(()));
            assert_eq!((Turn::begin(net, pattern).unsent(), withdrawn(net)), (0, 1));
            // The same if the connection breaks meanwhile.
            let (_, job) = give_up_while_written(pattern, net);
            let id = net.peers.slab.iter().next().expect("the peer").0;
            Turn::begin(net, pattern).connection_lost(id, DisconnectCause::Reset);
            Turn::begin(net, pattern).end_write(job, Err(io::ErrorKind::BrokenPipe.into()));
            assert_eq!((Turn::begin(net, pattern).unsent(), withdrawn(net)), (0, 2));
        })
        .expect("our own");
        let ticket = until(&core, |pattern, net| {
            let sent = pattern.send(&mut net.peers, Outgoing::Slice(b"fresh"));
            net.peers.due.write();
            net.pace(pattern, Outgoing::Slice(b"fresh"), true);
            sent.ok()
        });
        let request = rep
            .recv_timeout(Duration::from_secs(60))
            .expect("a request");
        assert_eq!(*request.message(), *"fresh");
        request.reply("answer").expect("replied");
        let outcome = until(&core, |pattern, net| {
            pattern.outcome(&mut net.peers, ticket)
        });
        assert!(matches!(outcome, Outcome::Reply(reply) if reply == *"answer"));
    }

    #[test]
    fn what_has_left_in_a_write_is_answered_in_vain() {
        let context = Context::new();
        let (core, rep) = connected(&context);
        core.inspect(|pattern, net| {
            let (_, mut job) = give_up_while_written(pattern, net);
            let result = job.run();
            Turn::begin(net, pattern).end_write(job, result);
            assert_eq!((Turn::begin(net, pattern).unsent(), withdrawn(net)), (0, 0));
        })
        .expect("our own");
        let request = rep
            .recv_timeout(Duration::from_secs(60))
            .expect("a request");
        request.reply("too late").expect("replied");
        until(&core, |pattern, net| {
            assert!(pattern.outcome(&mut net.peers, 0).is_none());
            (crate::pattern::Pattern::unexpected(pattern) == 1).then_some(())
        });
    }
}
