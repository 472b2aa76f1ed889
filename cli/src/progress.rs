//! How far sending has come, to tell a slow peer from one that has stopped.

use zerohop::{AnySocket, Stats};

/// Two that are equal say that nothing has left in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Messages that have left whole.
    left: u64,
    /// Bytes that have gone to peers for which messages wait: parts of long ones. Where none wait, bytes are answers to PINGs, which
    /// are no work of ours.
    bytes: u64,
    queued: usize,
    /// Messages that no worker has settled yet, where that is waited for.
    unsettled: usize,
    /// Messages that workers have settled, or that are dead letters.
    ended: u64,
}

impl Progress {
    pub(crate) fn of(socket: &impl AnySocket) -> Progress {
        Progress::in_numbers(&socket.stats())
    }

    /// Whether anything waits to be sent, or to be settled.
    pub(crate) fn is_queued(&self) -> bool {
        self.queued + self.unsettled > 0
    }

    fn in_numbers(stats: &Stats) -> Progress {
        let queued = stats.peers.iter().map(|peer| peer.queued_out).sum();
        let waiting = stats.peers.iter().filter(|peer| peer.queued_out > 0);
        Progress {
            left: stats.messages_out.saturating_sub(queued as u64),
            bytes: waiting.map(|peer| peer.bytes_out).sum(),
            queued,
            unsettled: stats.delivery.unsettled,
            ended: stats.delivery.settled + stats.delivery.dead,
        }
    }
}

#[cfg(test)]
mod tests {
    use zerohop::PeerStats;

    use super::*;

    fn after(sent: u64, queued: usize, bytes: u64) -> Progress {
        let mut peer = PeerStats::default();
        peer.queued_out = queued;
        peer.bytes_out = bytes;
        let mut stats = Stats::default();
        stats.messages_out = sent;
        stats.peers = vec![peer];
        Progress::in_numbers(&stats)
    }

    #[test]
    fn only_messages_are_progress() {
        assert_ne!(after(2, 2, 0), after(2, 1, 0), "one has left");
        assert_ne!(after(1, 1, 100), after(1, 1, 200), "a part of one has left");
        assert_eq!(
            after(1, 0, 100),
            after(1, 0, 200),
            "an answer to a PING has left"
        );
        assert!(after(1, 1, 0).is_queued() && !after(1, 0, 0).is_queued());
    }
}
