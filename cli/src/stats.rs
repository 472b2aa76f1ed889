//! `--stats`: a live line while the command runs, and the totals in the end.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use zerohop::{AnySocket, DeliveryStats, Dropped, SocketType, Stats};

use crate::console;

/// How often the live line changes: rates over less are noise, and nobody reads faster.
const PERIOD: Duration = Duration::from_millis(250);

/// A thread that watches the counters.
pub(crate) struct Report {
    /// Dropped to end the thread.
    running: Sender<()>,
    thread: JoinHandle<()>,
}

impl Report {
    /// Starts counting.
    pub(crate) fn start<S: AnySocket>(socket: &Arc<S>) -> Report {
        let (running, ended) = channel::<()>();
        let socket = Arc::clone(socket);
        let live = console::is_interactive().then(live_line);
        let thread = thread::spawn(move || {
            let start = Instant::now();
            let mut before = (start, socket.stats());
            while let Some(bar) = &live
                && ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout)
            {
                let now = (Instant::now(), socket.stats());
                bar.set_message(line(&now.1, &before.1, now.0 - before.0));
                bar.tick();
                before = now;
            }
            // Without a live line there is nothing to do until the end.
            let _ = ended.recv();
            if let Some(bar) = live {
                bar.finish_and_clear();
            }
            let passes_over = S::TYPE == SocketType::Pub;
            console::say(&totals(&socket.stats(), start.elapsed(), passes_over));
        });
        Report { running, thread }
    }

    /// Prints the totals.
    pub(crate) fn finish(self) {
        drop(self.running);
        // It prints; it can't have failed.
        let _ = self.thread.join();
    }
}

fn live_line() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    // Wide: cut where a narrow terminal ends. A line that wraps can't be cleared.
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        bar.set_style(style);
    }
    console::set_live(&bar);
    bar
}

/// The rates since the last look, and how things stand.
fn line(now: &Stats, before: &Stats, between: Duration) -> String {
    let seconds = between.as_secs_f64().max(1e-9);
    let mut parts = Vec::new();
    for (label, messages, bytes, messages_before, bytes_before) in [
        (
            "in",
            now.messages_in,
            now.bytes_in,
            before.messages_in,
            before.bytes_in,
        ),
        (
            "out",
            now.messages_out,
            now.bytes_out,
            before.messages_out,
            before.bytes_out,
        ),
    ] {
        if messages > 0 {
            let rate = (messages - messages_before) as f64 / seconds;
            let byte_rate = (bytes - bytes_before) as f64 / seconds;
            parts.push(format!(
                "{label} {} · {}/s · {}B/s",
                grouped(messages),
                scaled(rate).trim_end(),
                scaled(byte_rate)
            ));
        }
    }
    let peers = now
        .peers
        .iter()
        .filter(|peer| peer.connection.is_some())
        .count();
    parts.push(format!("peers {peers}"));
    parts.push(format!("queued {}", grouped(queued(now))));
    parts.push(format!("dropped {}", grouped(now.dropped.total())));
    parts.extend(deliveries(now));
    parts.join(" │ ")
}

/// How messages stand that are to be settled, if there are any.
fn deliveries(stats: &Stats) -> Option<String> {
    let DeliveryStats {
        unsettled,
        settled,
        retried,
        dead,
        ..
    } = stats.delivery;
    let any = unsettled > 0 || settled + retried + dead > 0;
    any.then(|| format!("unsettled {unsettled}, retried {retried}, dead {dead}"))
}

/// Everything, in one line. `passes_over`: what a peer does not take was not accepted for it in the first place, as with PUB.
fn totals(stats: &Stats, elapsed: Duration, passes_over: bool) -> String {
    let seconds = elapsed.as_secs_f64().max(1e-9);
    let mut parts = Vec::new();
    // The library counts what has arrived, and what was accepted to be sent.
    let untaken: u64 = stats.peers.iter().map(|peer| peer.queued_in as u64).sum();
    let unsent: u64 = stats.peers.iter().map(|peer| peer.queued_out as u64).sum();
    let Dropped {
        peer_gone,
        withdrawn,
        unreceived,
        ..
    } = stats.dropped;
    let taken = stats.messages_in.saturating_sub(untaken + unreceived);
    let given_up = if passes_over {
        0
    } else {
        stats.dropped.refused
    };
    let sent = stats.messages_out;
    let sent = sent.saturating_sub(unsent + peer_gone + withdrawn + given_up);
    for (label, messages, bytes) in [
        ("received", taken, stats.bytes_in),
        ("sent", sent, stats.bytes_out),
    ] {
        if messages > 0 {
            parts.push(format!(
                "{label} {messages} {}, {bytes} bytes on the wire, in {:.3} s ({}/s, {}B/s)",
                if messages == 1 { "message" } else { "messages" },
                elapsed.as_secs_f64(),
                scaled(messages as f64 / seconds).trim_end(),
                scaled(bytes as f64 / seconds)
            ));
        }
    }
    if parts.is_empty() {
        parts.push(format!("no messages in {:.3} s", elapsed.as_secs_f64()));
    }
    parts.push(format!("dropped {}", stats.dropped.total()));
    parts.extend(deliveries(stats));
    if unsent > 0 {
        parts.push(format!("not sent {unsent} that waited"));
    }
    if untaken > 0 {
        parts.push(format!("not taken {untaken} that had arrived"));
    }
    if stats.reconnects > 0 {
        parts.push(format!("reconnects {}", stats.reconnects));
    }
    format!("zerohop: {}", parts.join("; "))
}

fn queued(stats: &Stats) -> u64 {
    let queued = |peer: &zerohop::PeerStats| (peer.queued_in + peer.queued_out) as u64;
    stats.peers.iter().map(queued).sum()
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Three digits and the prefix of a unit that is to follow: `3.21 M`.
fn scaled(value: f64) -> String {
    let (value, prefix) = match value {
        v if v >= 1e9 => (v / 1e9, "G"),
        v if v >= 1e6 => (v / 1e6, "M"),
        v if v >= 1e3 => (v / 1e3, "k"),
        v => (v, ""),
    };
    let decimals = match value {
        v if v >= 99.95 || v == 0.0 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.decimals$} {prefix}")
}

#[cfg(test)]
mod tests {
    use zerohop::PeerStats;

    use super::*;

    #[test]
    fn deliveries_are_told_where_messages_are_settled() {
        let mut stats = Stats::default();
        assert_eq!(deliveries(&stats), None);
        stats.delivery.retried = 2;
        stats.delivery.dead = 1;
        let told = "unsettled 0, retried 2, dead 1";
        assert_eq!(deliveries(&stats).as_deref(), Some(told));
        assert!(totals(&stats, Duration::ZERO, false).ends_with(told));
        assert!(line(&stats, &Stats::default(), Duration::ZERO).ends_with(told));
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(scaled(3_214_000.0), "3.21 M");
        assert_eq!(scaled(321.4), "321 ");
        assert_eq!(scaled(0.0), "0 ");
        assert_eq!(scaled(12_345.0), "12.3 k");
    }

    #[test]
    fn totals_name_what_there_was() {
        let mut stats = Stats::default();
        stats.messages_out = 1000;
        stats.bytes_out = 100_000;
        let text = totals(&stats, Duration::from_secs(1), false);
        assert_eq!(
            text,
            "zerohop: sent 1000 messages, 100000 bytes on the wire, in 1.000 s (1.00 k/s, 100 kB/s); dropped 0"
        );
        assert!(totals(&Stats::default(), Duration::ZERO, false).contains("no messages"));
    }

    #[test]
    fn what_waits_or_was_taken_back_was_not_sent() {
        let mut peer = PeerStats::default();
        peer.queued_out = 2;
        let mut stats = Stats::default();
        stats.messages_out = 4;
        stats.dropped.withdrawn = 1;
        stats.peers = vec![peer];
        let text = totals(&stats, Duration::from_secs(1), false);
        assert!(text.contains("sent 1 message,"), "{text}");
        assert!(text.contains("dropped 1; not sent 2 that waited"), "{text}");
    }

    #[test]
    fn what_no_peer_takes_was_not_sent() {
        let mut stats = Stats::default();
        stats.messages_out = 10;
        stats.dropped.refused = 1;
        stats.dropped.peer_gone = 2;
        for (passes_over, sent) in [(false, 7), (true, 8)] {
            let text = totals(&stats, Duration::from_secs(1), passes_over);
            assert!(text.contains(&format!("sent {sent} messages,")), "{text}");
            assert!(text.contains("dropped 3"), "{text}");
        }
    }

    #[test]
    fn what_nobody_took_was_not_received() {
        let mut peer = PeerStats::default();
        peer.queued_in = 2;
        let mut stats = Stats::default();
        stats.messages_in = 3;
        stats.peers = vec![peer];
        let text = totals(&stats, Duration::from_secs(1), false);
        assert!(text.contains("received 1 message,"), "{text}");
        assert!(text.contains("not taken 2 that had arrived"), "{text}");
    }
}
