//! Waiting for a socket to report what happened to its connections.

use std::time::Instant;

use zerohop::{DisconnectCause, Event, Monitor};

use super::deadline::DEADLINE;

/// Waits for the next connection that ends, in its handshake or after, and gives the cause. Other events are passed
/// over, and shown when no connection ends.
pub(crate) fn wait_for_end(monitor: &Monitor) -> DisconnectCause {
    let end = Instant::now() + DEADLINE;
    let mut passed_over = Vec::new();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match monitor.recv_timeout(left) {
            Ok(Event::HandshakeFailed { cause, .. } | Event::Disconnected { cause, .. }) => {
                return cause;
            }
            Ok(event) => passed_over.push(event),
            Err(error) => panic!("no connection ended: {error}; only {passed_over:#?}"),
        }
    }
}
