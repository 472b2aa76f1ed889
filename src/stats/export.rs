//! Counters for people, in a line, and for Prometheus.

use std::fmt::{self, Write};

use super::{Dropped, Stats};

/// One line, fit for a log.
///
/// ```
/// let mut stats = zerohop::Stats::default();
/// stats.messages_out = 12;
/// stats.bytes_out = 3456;
/// assert_eq!(
///     stats.to_string(),
///     "0 messages in (0 bytes), 12 out (3456 bytes); 0 peers, 0 connected; queued 0 in, 0 out; dropped 0; 0 reconnects"
/// );
/// ```
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (queued_in, queued_out) = self.queued();
        write!(
            f,
            "{} messages in ({} bytes), {} out ({} bytes); {} peers, {} connected; queued {queued_in} in, {queued_out} out; \
             dropped {}; {} reconnects",
            self.messages_in,
            self.bytes_in,
            self.messages_out,
            self.bytes_out,
            self.peers.len(),
            self.connected(),
            self.dropped.total(),
            self.reconnects
        )
    }
}

/// What a metric is.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

/// A metric: its name, kind and meaning, and its values with the label that tells them apart, if there are several.
struct Metric {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    values: fn(&Stats) -> Vec<(&'static str, u64)>,
}

/// All metrics. Peers are none: there may be thousands, and each that comes and goes would stay in the database.
const METRICS: [Metric; 13] = [
    Metric {
        name: "zerohop_messages_total",
        kind: Kind::Counter,
        help: "Messages that have arrived whole, and messages accepted for sending.",
        values: |stats| {
            vec![
                (r#"direction="in""#, stats.messages_in),
                (r#"direction="out""#, stats.messages_out),
            ]
        },
    },
    Metric {
        name: "zerohop_bytes_total",
        kind: Kind::Counter,
        help: "Bytes on connections after their handshakes, headers and commands included.",
        values: |stats| {
            vec![
                (r#"direction="in""#, stats.bytes_in),
                (r#"direction="out""#, stats.bytes_out),
            ]
        },
    },
    Metric {
        name: "zerohop_dropped_messages_total",
        kind: Kind::Counter,
        help: "Messages that were accepted or had arrived and were then dropped, by reason.",
        values: |stats| dropped(&stats.dropped),
    },
    Metric {
        name: "zerohop_subscriptions_withheld_total",
        kind: Kind::Counter,
        help: "Topics that a publisher was not told of, because it does not take them.",
        values: |stats| vec![("", stats.subscriptions_withheld)],
    },
    Metric {
        name: "zerohop_reconnects_total",
        kind: Kind::Counter,
        help: "Connections that were made again after a loss.",
        values: |stats| vec![("", stats.reconnects)],
    },
    Metric {
        name: "zerohop_handshakes_failed_total",
        kind: Kind::Counter,
        help: "Connections that ended before their handshake did.",
        values: |stats| vec![("", stats.handshakes_failed)],
    },
    Metric {
        name: "zerohop_denied_total",
        kind: Kind::Counter,
        help: "Peers that were not let in, because of what they have shown of who they are.",
        values: |stats| vec![("", stats.denied)],
    },
    Metric {
        name: "zerohop_protocol_errors_total",
        kind: Kind::Counter,
        help: "Connections that ended because the peer broke the protocol or a limit.",
        values: |stats| vec![("", stats.protocol_errors)],
    },
    Metric {
        name: "zerohop_deliveries_total",
        kind: Kind::Counter,
        help: "Messages of a PUSH that are to be settled, by what has become of them.",
        values: |stats| {
            vec![
                (r#"outcome="settled""#, stats.delivery.settled),
                (r#"outcome="retried""#, stats.delivery.retried),
                (r#"outcome="dead""#, stats.delivery.dead),
                (r#"outcome="dead_dropped""#, stats.delivery.dead_dropped),
            ]
        },
    },
    Metric {
        name: "zerohop_unsettled",
        kind: Kind::Gauge,
        help: "Messages of a PUSH that are held until they are settled.",
        values: |stats| vec![("", stats.delivery.unsettled as u64)],
    },
    Metric {
        name: "zerohop_handshakes_pending",
        kind: Kind::Gauge,
        help: "Connections now in their handshake.",
        values: |stats| vec![("", stats.handshakes_pending as u64)],
    },
    Metric {
        name: "zerohop_peers",
        kind: Kind::Gauge,
        help: "Peers that are connected, and endpoints that messages wait for.",
        values: |stats| {
            let connected = stats.connected();
            vec![
                (r#"state="connected""#, connected as u64),
                (r#"state="waiting""#, (stats.peers.len() - connected) as u64),
            ]
        },
    },
    Metric {
        name: "zerohop_queued_messages",
        kind: Kind::Gauge,
        help: "Messages that wait for the application, and messages that wait to be handed to the system.",
        values: |stats| {
            let (queued_in, queued_out) = stats.queued();
            vec![
                (r#"direction="in""#, queued_in),
                (r#"direction="out""#, queued_out),
            ]
        },
    },
];

fn dropped(dropped: &Dropped) -> Vec<(&'static str, u64)> {
    let Dropped {
        high_water_mark,
        conflated,
        peer_gone,
        refused,
        unexpected,
        unroutable,
        withdrawn,
        unreceived,
    } = *dropped;
    vec![
        (r#"reason="high_water_mark""#, high_water_mark),
        (r#"reason="conflated""#, conflated),
        (r#"reason="peer_gone""#, peer_gone),
        (r#"reason="refused""#, refused),
        (r#"reason="unexpected""#, unexpected),
        (r#"reason="unroutable""#, unroutable),
        (r#"reason="withdrawn""#, withdrawn),
        (r#"reason="unreceived""#, unreceived),
    ]
}

impl Stats {
    /// The counters of sockets in Prometheus' text format (version 0.0.4, `text/plain; version=0.0.4`), each under the name that is given
    /// to the socket: for a handler of `/metrics`. Peers are summed up, as there may be thousands.
    ///
    /// ```
    /// use zerohop::{Context, Pull, Stats};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let orders = Pull::new(&Context::new())?;
    /// let text = Stats::prometheus([("orders", &orders.stats())]);
    /// assert!(text.contains("# TYPE zerohop_messages_total counter\n"));
    /// assert!(text.contains("zerohop_messages_total{socket=\"orders\",direction=\"in\"} 0\n"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn prometheus<'a>(sockets: impl IntoIterator<Item = (&'a str, &'a Stats)>) -> String {
        let sockets: Vec<_> = sockets
            .into_iter()
            .map(|(name, stats)| (label_value(name), stats))
            .collect();
        let mut text = String::new();
        for metric in &METRICS {
            let Metric { name, help, .. } = metric;
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            // Writing to a string does not fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (socket, stats) in &sockets {
                for (label, value) in (metric.values)(stats) {
                    let comma = if label.is_empty() { "" } else { "," };
                    let _ = writeln!(text, "{name}{{socket=\"{socket}\"{comma}{label}}} {value}");
                }
            }
        }
        text
    }

    fn connected(&self) -> usize {
        let peers = self.peers.iter();
        peers.filter(|peer| peer.connection.is_some()).count()
    }

    /// Messages in all queues, in and out.
    fn queued(&self) -> (u64, u64) {
        let sum = |(queued_in, queued_out), peer: &super::PeerStats| {
            (
                queued_in + peer.queued_in as u64,
                queued_out + peer.queued_out as u64,
            )
        };
        self.peers.iter().fold((0, 0), sum)
    }
}

/// A name as the value of a label.
fn label_value(name: &str) -> String {
    name.replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{ConnectionId, PeerStats};

    fn stats() -> Stats {
        let peer = |connection, queued_in, queued_out| PeerStats {
            connection,
            queued_in,
            queued_out,
            ..PeerStats::default()
        };
        Stats {
            peers: vec![peer(Some(ConnectionId::new(1)), 2, 3), peer(None, 0, 4)],
            messages_in: 10,
            reconnects: 5,
            dropped: Dropped {
                refused: 6,
                ..Dropped::default()
            },
            ..Stats::default()
        }
    }

    #[test]
    fn a_line_has_the_sums() {
        assert_eq!(
            stats().to_string(),
            "10 messages in (0 bytes), 0 out (0 bytes); 2 peers, 1 connected; queued 2 in, 7 out; dropped 6; 5 reconnects"
        );
    }

    #[test]
    fn each_series_is_there_once_and_each_metric_is_declared_before() {
        let stats = stats();
        let text = Stats::prometheus([("a", &stats), ("say \"b\"\\\n", &stats)]);
        let mut series = HashSet::new();
        let mut declared = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                declared = rest.split(' ').next().expect("a name");
            } else if !line.starts_with("# HELP ") {
                let (name, value) = line.rsplit_once(' ').expect("a value");
                assert!(series.insert(name), "{name} twice");
                assert_eq!(name.split('{').next(), Some(declared));
                assert!(value.parse::<u64>().is_ok(), "{line}");
            }
        }
        for line in [
            r#"zerohop_messages_total{socket="a",direction="in"} 10"#,
            r#"zerohop_dropped_messages_total{socket="a",reason="refused"} 6"#,
            r#"zerohop_peers{socket="a",state="waiting"} 1"#,
            r#"zerohop_queued_messages{socket="say \"b\"\\\n",direction="out"} 7"#,
            r#"zerohop_reconnects_total{socket="a"} 5"#,
        ] {
            assert!(
                text.lines().any(|other| other == line),
                "no {line} in {text}"
            );
        }
    }
}
