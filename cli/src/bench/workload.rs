//! What is measured.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::child::Types;

/// How much of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Tiny counts, to see that it works.
    Smoke,
    /// What fits into ten minutes.
    Quick,
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Work {
    /// PUSH to PULL, copied from the caller's buffer.
    PushPull,
    /// PUSH to PULL, payloads by reference.
    Shared,
    /// REQ to REP, one after the other.
    Latency,
    /// PUSH to PULL at random times, at a given mean rate.
    OpenLoop,
    /// PUB to many SUBs.
    FanOut,
    /// Many PUSHes to one PULL.
    FanIn,
    /// Idle connections.
    Memory,
    /// Connect, ask once, close.
    Churn,
    /// DEALER to ROUTER, as PUSH to PULL.
    DealerRouter,
    /// DEALER to DEALER, the same.
    DealerDealer,
    /// PAIR to PAIR, the same.
    PairPair,
    /// XPUB to one SUB, waiting for it.
    XpubSub,
    /// DEALER to ROUTER and back, one after the other.
    RouterEcho,
    /// Many DEALERs to one ROUTER and back, some on their way at a time.
    RouterCrowd,
    /// Many tasks that share one DEALER, each with one request on its way, to one ROUTER and back.
    Tasks,
    /// PUSH by way of a proxy, in a process of its own, to PULL.
    Proxy,
}

impl Work {
    /// Which sockets do it.
    pub(crate) fn types(self) -> Types {
        match self {
            Work::DealerRouter | Work::RouterEcho | Work::RouterCrowd | Work::Tasks => {
                Types::DealerRouter
            }
            Work::DealerDealer => Types::DealerDealer,
            Work::PairPair => Types::PairPair,
            Work::XpubSub => Types::XpubSub,
            Work::PushPull
            | Work::Shared
            | Work::Latency
            | Work::OpenLoop
            | Work::FanOut
            | Work::FanIn
            | Work::Memory
            | Work::Churn
            | Work::Proxy => Types::Usual,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    Tcp,
    Ipc,
    Inproc,
}

/// One thing to measure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Workload {
    pub(crate) work: Work,
    pub(crate) transport: Transport,
    pub(crate) size: usize,
    /// Subscribers, pushers or connections.
    pub(crate) peers: usize,
    /// Topics of each subscriber.
    pub(crate) topics: usize,
    /// Messages per second of an open loop, and of a publisher that does not send as fast as it goes.
    pub(crate) rate: Option<f64>,
}

/// Small enough to travel with its headers in one packet of any network.
const COMMON_SIZE: usize = 64;

impl Workload {
    fn new(work: Work, transport: Transport, size: usize) -> Workload {
        Workload {
            work,
            transport,
            size,
            peers: 1,
            topics: 0,
            rate: None,
        }
    }

    /// The name for filters, such as `push-pull/tcp/64`.
    pub(crate) fn name(&self) -> String {
        let Workload {
            transport, size, ..
        } = self;
        let work = match self.work {
            Work::PushPull => "push-pull",
            Work::Shared => "shared",
            Work::Latency => "latency",
            Work::OpenLoop => "open-loop",
            Work::FanOut => "fan-out",
            Work::FanIn => "fan-in",
            Work::Memory => "memory",
            Work::Churn => "churn",
            Work::DealerRouter => "dealer-router",
            Work::DealerDealer => "dealer-dealer",
            Work::PairPair => "pair-pair",
            Work::XpubSub => "xpub-sub",
            Work::RouterEcho => "dealer-router-echo",
            Work::RouterCrowd => "dealer-router-crowd",
            Work::Tasks => "tasks",
            Work::Proxy => "proxy",
        };
        let mut name = format!("{work}/{transport}/{size}");
        if let Some(rate) = self.rate {
            name += &format!("/{rate:.0}-per-s");
        }
        if self.peers > 1 {
            name += &format!("/{}-peers", self.peers);
        }
        if self.topics > 1 {
            name += &format!("/{}-topics", self.topics);
        }
        name
    }

    /// The name for people.
    pub(crate) fn title(&self) -> String {
        let transport = self.transport;
        let size = Size(self.size);
        let peers = self.peers;
        match self.work {
            Work::PushPull => format!("PUSH/PULL {transport}, {size}"),
            Work::Shared => format!("PUSH/PULL {transport}, {size}, shared payload"),
            Work::Latency => format!("REQ/REP one-way latency, {transport}, {size}"),
            Work::OpenLoop => {
                let rate = in_thousands(self.rate.unwrap_or_default());
                format!("open loop {transport}, {size}, {rate} messages/s")
            }
            Work::FanOut if self.topics > 1 => {
                let topics = self.topics;
                format!("PUB to {peers} SUB, {topics} topics each, {transport}, {size}")
            }
            Work::FanOut => {
                let rate = self.rate.map(in_thousands);
                let rate = rate.map_or(String::new(), |rate| format!(", {rate} messages/s"));
                format!("PUB to {peers} SUB, {transport}, {size}{rate}")
            }
            Work::FanIn => format!("{peers} PUSH to one PULL, {transport}, {size}"),
            Work::Memory => format!("memory of an idle connection, {transport}, {peers} of them"),
            Work::Churn => format!("connect, one request, close, {transport}"),
            Work::DealerRouter => format!("DEALER/ROUTER {transport}, {size}"),
            Work::DealerDealer => format!("DEALER/DEALER {transport}, {size}"),
            Work::PairPair => format!("PAIR/PAIR {transport}, {size}"),
            Work::XpubSub => format!("XPUB to one SUB, {transport}, {size}"),
            Work::RouterEcho => format!("DEALER/ROUTER one-way latency, {transport}, {size}"),
            Work::RouterCrowd => {
                format!("{peers} DEALERs echoed by one ROUTER, {transport}, {size}")
            }
            Work::Tasks => {
                format!("{peers} tasks with one DEALER, echoed by a ROUTER, {transport}, {size}")
            }
            Work::Proxy => format!("PUSH/PULL by way of a proxy, {transport}, {size}"),
        }
    }
}

/// All workloads of that scale; those of [`publishing`] only in a smoke run.
pub(crate) fn workloads(scale: Scale) -> Vec<Workload> {
    let mut all = Vec::new();
    streams(scale, &mut all);
    latencies(scale, &mut all);
    fans(scale, &mut all);
    open_loops(scale, &mut all);
    connections(scale, &mut all);
    family(scale, &mut all);
    if scale == Scale::Smoke {
        all.extend(publishing(scale));
    }
    all
}

/// Publish/subscribe by transport, size, number of subscribers and pace, as in "Performance Evaluation of Brokerless Messaging
/// Libraries" (arXiv 2508.07934, 2025).
pub(crate) fn publishing(scale: Scale) -> Vec<Workload> {
    /// Microseconds between two messages, in the mean; 0 for as fast as it goes.
    const INTERVALS: [u32; 6] = [0, 200, 400, 600, 800, 1000];
    /// 1 to 512 kB.
    const SIZES: [usize; 10] = [
        1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 512_000,
    ];

    let (sizes, subscribers, intervals): (&[usize], &[usize], &[u32]) = match scale {
        Scale::Smoke => (&[1_000], &[2], &[0, 1000]),
        Scale::Quick => (&[1_000, 8_000, 64_000, 512_000], &[1, 2, 4, 8], &[0, 1000]),
        Scale::Full => (&SIZES, &[1, 2, 4, 8], &INTERVALS),
    };
    let mut all = Vec::new();
    for transport in [Transport::Inproc, Transport::Ipc, Transport::Tcp] {
        for &interval in intervals {
            for &peers in subscribers {
                for &size in sizes {
                    all.push(Workload {
                        peers,
                        topics: 1,
                        rate: (interval > 0).then(|| 1e6 / f64::from(interval)),
                        ..Workload::new(Work::FanOut, transport, size)
                    });
                }
            }
        }
    }
    all
}

fn streams(scale: Scale, all: &mut Vec<Workload>) {
    use Transport::{Inproc, Ipc, Tcp};

    const KIB: usize = 1024;
    let plan: [(Transport, &[usize]); 3] = match scale {
        Scale::Smoke => [(Tcp, &[8, 64, KIB * KIB]), (Ipc, &[64]), (Inproc, &[64])],
        Scale::Quick => [
            (Tcp, &[8, 64, 256, KIB, 16 * KIB, 64 * KIB, KIB * KIB]),
            (Ipc, &[64, KIB, 64 * KIB]),
            (Inproc, &[64, KIB]),
        ],
        Scale::Full => {
            const SIZES: &[usize] = &[
                8,
                64,
                256,
                KIB,
                4 * KIB,
                16 * KIB,
                64 * KIB,
                256 * KIB,
                KIB * KIB,
            ];
            [(Tcp, SIZES), (Ipc, SIZES), (Inproc, SIZES)]
        }
    };
    for (transport, sizes) in plan {
        for &size in sizes {
            all.push(Workload::new(Work::PushPull, transport, size));
        }
    }
    for (transport, size) in [(Tcp, 64 * KIB), (Ipc, 64 * KIB), (Inproc, COMMON_SIZE)] {
        all.push(Workload::new(Work::Shared, transport, size));
    }
}

fn latencies(scale: Scale, all: &mut Vec<Workload>) {
    let sizes: &[usize] = match scale {
        Scale::Smoke | Scale::Quick => &[COMMON_SIZE],
        Scale::Full => &[8, COMMON_SIZE, 1024, 16 * 1024],
    };
    for transport in [Transport::Tcp, Transport::Ipc] {
        for &size in sizes {
            all.push(Workload::new(Work::Latency, transport, size));
        }
    }
}

fn fans(scale: Scale, all: &mut Vec<Workload>) {
    /// No more subscriptions at a publisher than this.
    const MOST: usize = 1_000_000;

    let (subscribers, topics, pushers): (&[usize], &[usize], &[usize]) = match scale {
        Scale::Smoke => (&[8], &[1, 100], &[4]),
        Scale::Quick => (&[1, 8], &[1, 100_000], &[4, 64]),
        Scale::Full => (&[1, 8, 64, 1000], &[1, 100, 100_000], &[1, 4, 64, 1000]),
    };
    for &peers in subscribers {
        for &topics in topics {
            if peers * topics <= MOST && (scale != Scale::Quick || peers * topics <= 100_000) {
                all.push(Workload {
                    peers,
                    topics,
                    ..Workload::new(Work::FanOut, Transport::Tcp, COMMON_SIZE)
                });
            }
        }
    }
    for &peers in pushers {
        all.push(Workload {
            peers,
            ..Workload::new(Work::FanIn, Transport::Tcp, COMMON_SIZE)
        });
    }
}

fn open_loops(scale: Scale, all: &mut Vec<Workload>) {
    let rates: &[f64] = match scale {
        Scale::Smoke => &[1e3],
        Scale::Quick => &[1e3, 1e4, 1e5, 5e5, 1e6],
        Scale::Full => &[1e3, 3e3, 1e4, 3e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7],
    };
    for &rate in rates {
        all.push(Workload {
            rate: Some(rate),
            ..Workload::new(Work::OpenLoop, Transport::Tcp, COMMON_SIZE)
        });
    }
}

fn connections(scale: Scale, all: &mut Vec<Workload>) {
    let peers = match scale {
        Scale::Smoke => 10,
        Scale::Quick | Scale::Full => 1000,
    };
    for transport in [Transport::Tcp, Transport::Ipc] {
        if scale == Scale::Full || transport == Transport::Tcp {
            all.push(Workload {
                peers,
                ..Workload::new(Work::Memory, transport, COMMON_SIZE)
            });
            all.push(Workload::new(Work::Churn, transport, COMMON_SIZE));
        }
    }
}

/// The other types of sockets, and the proxy.
fn family(scale: Scale, all: &mut Vec<Workload>) {
    let tcp = |work, size| Workload::new(work, Transport::Tcp, size);
    for size in [COMMON_SIZE, 1024] {
        all.push(tcp(Work::DealerRouter, size));
        all.push(tcp(Work::Proxy, size));
    }
    for work in [Work::DealerDealer, Work::PairPair, Work::RouterEcho] {
        all.push(tcp(work, COMMON_SIZE));
    }
    all.push(Workload {
        topics: 1,
        ..tcp(Work::XpubSub, COMMON_SIZE)
    });
    all.push(Workload {
        peers: if scale == Scale::Smoke { 10 } else { 1000 },
        ..tcp(Work::RouterCrowd, COMMON_SIZE)
    });
    all.push(Workload {
        peers: 64,
        ..tcp(Work::Tasks, COMMON_SIZE)
    });
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Tcp => "tcp",
            Transport::Ipc => "ipc",
            Transport::Inproc => "inproc",
        })
    }
}

/// A rate, with a comma between thousands.
fn in_thousands(rate: f64) -> String {
    let digits = format!("{rate:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes, as people write it.
pub(crate) struct Size(pub(crate) usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1 << 20 => write!(f, "{} MiB", bytes >> 20),
            bytes if bytes >= 1 << 10 => write!(f, "{} KiB", bytes >> 10),
            bytes => write!(f, "{bytes} B"),
        }
    }
}
