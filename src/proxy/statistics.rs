//! What a proxy has passed on.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a [`Proxy`](super::Proxy) has passed on so far, over all its runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyStatistics {
    /// What came from the frontend, and went to it.
    pub frontend: SideStatistics,
    /// What came from the backend, and went to it.
    pub backend: SideStatistics,
}

/// One side of a proxy. Messages are counted whole; libzmq's proxy counts frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SideStatistics {
    /// Messages taken from this side.
    pub received: u64,
    /// The bytes in all their frames.
    pub received_bytes: u64,
    /// Messages given to this side.
    pub sent: u64,
    /// The bytes in all their frames.
    pub sent_bytes: u64,
    /// Messages for this side that it refused: no peer takes one that large, or has the name it is for.
    pub refused: u64,
}

/// Those of one direction, which one thread counts. In a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Counters {
    received: AtomicU64,
    received_bytes: AtomicU64,
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    refused: AtomicU64,
}

impl Counters {
    #[inline]
    pub(super) fn received(&self, size: usize) {
        add(&self.received, 1);
        add(&self.received_bytes, size as u64);
    }

    /// So many messages, with so many bytes in their frames, have been taken and given.
    pub(super) fn passed(&self, messages: usize, size: usize) {
        add(&self.received, messages as u64);
        add(&self.received_bytes, size as u64);
        add(&self.sent, messages as u64);
        add(&self.sent_bytes, size as u64);
    }

    #[inline]
    pub(super) fn sent(&self, size: usize) {
        add(&self.sent, 1);
        add(&self.sent_bytes, size as u64);
    }

    pub(super) fn refused(&self) {
        add(&self.refused, 1);
    }

    /// Changes whenever a message is taken or given.
    pub(super) fn progress(&self) -> u64 {
        self.received.load(Ordering::Relaxed) + self.sent.load(Ordering::Relaxed)
    }
}

/// There is one writer.
#[inline]
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
}

impl ProxyStatistics {
    pub(super) fn of([there, back]: &[Counters; 2]) -> ProxyStatistics {
        ProxyStatistics {
            frontend: SideStatistics::of(there, back),
            backend: SideStatistics::of(back, there),
        }
    }
}

impl SideStatistics {
    fn of(from: &Counters, to: &Counters) -> SideStatistics {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SideStatistics {
            received: count(&from.received),
            received_bytes: count(&from.received_bytes),
            sent: count(&to.sent),
            sent_bytes: count(&to.sent_bytes),
            refused: count(&to.refused),
        }
    }
}
