//! Starts the processes, contestants in turn, and gathers what they report.

mod process;

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use process::Process;

use super::cast::Entrant;
use super::child::{Fallible, Report, Role, Task};
use super::machine::Machine;
use super::results::{ContestantResult, Measure, Metric, Results, WorkloadResult};
use super::statistics::Summary;
use super::workload::{Scale, Transport, Work, Workload};
use super::{show, tell};

/// Who has not finished after this much more time than asked for has lost a message, or hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pushers share so many processes, at most.
const PUSHER_PROCESSES: usize = 4;

/// An open loop is saturated when it moves less than this part of what is offered.
const SATURATED: f64 = 0.9;

/// How thoroughly to measure.
pub(crate) struct Plan {
    pub(crate) scale: Scale,
    pub(crate) rounds: usize,
    /// The measured time of each run, where the scale's is not wanted.
    pub(crate) seconds: Option<f64>,
}

pub(crate) struct Outcome {
    pub(crate) results: Results,
    pub(crate) failures: Vec<String>,
}

/// Runs these workloads with these contestants.
pub(crate) fn run(
    plan: &Plan,
    workloads: &[Workload],
    entrants: &[&Entrant],
    libraries: &[String],
) -> Fallible<Outcome> {
    let mut runner = Runner {
        plan,
        scratch: Scratch::new()?,
        failures: Vec::new(),
        saturated: Vec::new(),
    };
    let mut results = Vec::new();
    for workload in workloads {
        results.extend(runner.measure(workload, entrants)?);
    }
    Ok(Outcome {
        results: Results {
            machine: Machine::look(libraries),
            rounds: plan.rounds,
            workloads: results,
        },
        failures: runner.failures,
    })
}

struct Runner<'a> {
    plan: &'a Plan,
    scratch: Scratch,
    failures: Vec<String>,
    /// Who could not follow an open loop, and is spared faster ones.
    saturated: Vec<String>,
}

/// What a contestant has shown in the rounds of a workload.
struct Showing<'a> {
    entrant: &'a Entrant,
    samples: Vec<(Metric, f64)>,
    failure: Option<String>,
}

impl Runner<'_> {
    /// All rounds of a workload; `None` if nobody can do it. Who fails is out, and the others go on.
    fn measure(
        &mut self,
        workload: &Workload,
        entrants: &[&Entrant],
    ) -> Fallible<Option<WorkloadResult>> {
        let name = workload.name();
        let able = |entrant: &&&Entrant| {
            let spared = workload.rate.is_some() && self.saturated.contains(&entrant.name);
            entrant.can(workload) && !spared
        };
        let mut showings: Vec<Showing> = entrants
            .iter()
            .filter(able)
            .map(|&entrant| Showing {
                entrant,
                samples: Vec::new(),
                failure: None,
            })
            .collect();
        for round in 1..=self.plan.rounds {
            tell(format_args!("{name} {round}/{}", self.plan.rounds));
            let standing = showings.iter_mut();
            for showing in standing.filter(|showing| showing.failure.is_none()) {
                let who = &showing.entrant.name;
                match self.run_once(workload, showing.entrant) {
                    Ok((messages, measured)) => {
                        showing.samples.extend(measured);
                        if self.plan.scale == Scale::Smoke {
                            show(format_args!("{name:<36} {who:<16} {messages} messages\n"))?;
                        }
                    }
                    Err(fault) => {
                        let failure = format!("{name} {who}: {fault}");
                        tell(&failure);
                        self.failures.push(failure);
                        showing.failure = Some(fault.to_string());
                    }
                }
            }
        }
        if showings.is_empty() {
            return Ok(None);
        }
        let result = WorkloadResult {
            name,
            workload: workload.clone(),
            contestants: showings.into_iter().map(condense).collect(),
        };
        self.note_saturated(&result);
        Ok(Some(result))
    }

    fn note_saturated(&mut self, result: &WorkloadResult) {
        let Some(rate) = result.workload.rate else {
            return;
        };
        for ContestantResult { contestant, .. } in &result.contestants {
            let moved = result.median(contestant, Metric::MessagesPerSecond);
            if moved.is_none_or(|moved| moved < SATURATED * rate) {
                self.saturated.push(contestant.clone());
            }
        }
    }

    /// One run of one contestant: the messages that arrived while it was measured, and what they tell.
    fn run_once(
        &self,
        workload: &Workload,
        entrant: &Entrant,
    ) -> Fallible<(u64, Vec<(Metric, f64)>)> {
        let task = self.task(workload, entrant)?;
        let deadline = Duration::from_secs_f64(task.seconds + task.warm_up) + PATIENCE;
        let (bound, connected) = roles(workload);
        let mut binder = Process::start(
            entrant,
            &Task {
                role: bound,
                ..task.clone()
            },
            deadline,
        )?;
        let Some(connected) = connected else {
            let report = binder.report()?;
            return Ok((report.messages, metrics(workload, &report, &[])));
        };
        binder.wait_until_ready()?;
        let mut connectors = Vec::new();
        for share in shares(workload) {
            let task = Task {
                role: connected,
                sockets: share.len(),
                first_source: share.start,
                ..task.clone()
            };
            connectors.push(Process::start(entrant, &task, deadline)?);
        }
        if workload.work == Work::FanOut {
            for connector in &mut connectors {
                connector.wait_until_ready()?;
            }
            binder.say_go();
        }
        // Whoever sends last stays until the others have all.
        let binder_sends_last = matches!(workload.work, Work::FanOut | Work::Latency | Work::Churn);
        let mut reports = Vec::new();
        if binder_sends_last {
            for connector in &mut connectors {
                reports.push(connector.report()?);
            }
            binder.say_go();
        }
        let bound = binder.report()?;
        if !binder_sends_last {
            for connector in &mut connectors {
                connector.say_go();
                reports.push(connector.report()?);
            }
        }
        let received = match workload.work {
            Work::FanOut => reports.iter().map(|report| report.messages).sum(),
            _ => bound.messages,
        };
        Ok((received, metrics(workload, &bound, &reports)))
    }

    fn task(&self, workload: &Workload, entrant: &Entrant) -> Fallible<Task> {
        let (seconds, warm_up, max_messages) = match self.plan.scale {
            Scale::Smoke => (0.3, 0.0, 500),
            Scale::Quick => (0.5, 0.2, u64::MAX),
            Scale::Full => (1.0, 0.3, u64::MAX),
        };
        Ok(Task {
            contestant: entrant.name.clone(),
            role: Role::Pair,
            endpoint: self.scratch.endpoint(workload.transport)?,
            size: workload.size,
            seconds: self.plan.seconds.unwrap_or(seconds),
            warm_up,
            max_messages,
            sockets: 1,
            first_source: 0,
            senders: match workload.work {
                Work::FanIn | Work::Memory => workload.peers,
                _ => 1,
            },
            topics: workload.topics,
            rate: workload.rate,
            shared: workload.work == Work::Shared,
        })
    }
}

/// Who binds and who connects; a single process does both within itself.
fn roles(workload: &Workload) -> (Role, Option<Role>) {
    match workload.work {
        Work::PushPull | Work::Shared if workload.transport == Transport::Inproc => {
            (Role::Pair, None)
        }
        Work::PushPull | Work::Shared | Work::OpenLoop | Work::FanIn => {
            (Role::Pull, Some(Role::Push))
        }
        Work::Latency => (Role::Rep, Some(Role::Req)),
        Work::FanOut => (Role::Pub, Some(Role::Sub)),
        Work::Memory => (Role::Accept, Some(Role::Hold)),
        Work::Churn => (Role::Rep, Some(Role::Churn)),
    }
}

/// The sockets of each connecting process.
fn shares(workload: &Workload) -> Vec<std::ops::Range<usize>> {
    let processes = match workload.work {
        Work::FanIn => workload.peers.min(PUSHER_PROCESSES),
        _ => 1,
    };
    let start = |process| process * workload.peers / processes;
    let processes = 0..processes;
    processes
        .map(|process| start(process)..start(process + 1))
        .collect()
}

/// What the reports come to.
fn metrics(workload: &Workload, bound: &Report, connected: &[Report]) -> Vec<(Metric, f64)> {
    let cpu = |report: &Report| report.cpu_nanos as f64 / report.messages.max(1) as f64;
    let rate = |report: &Report| report.messages as f64 * 1e9 / report.nanos.max(1) as f64;
    let latencies = |report: &Report| {
        report.latency.map_or(Vec::new(), |quantiles| {
            vec![
                (Metric::LatencyP50, quantiles.p50 as f64),
                (Metric::LatencyP99, quantiles.p99 as f64),
                (Metric::LatencyP999, quantiles.p999 as f64),
            ]
        })
    };
    let Some(first) = connected.first() else {
        return stream_metrics(workload, rate(bound), cpu(bound));
    };
    match workload.work {
        Work::PushPull | Work::Shared | Work::FanIn => {
            let sent: u64 = connected.iter().map(|report| report.messages).sum();
            let used: u64 = connected.iter().map(|report| report.cpu_nanos).sum();
            let cpu = cpu(bound) + used as f64 / sent.max(1) as f64;
            stream_metrics(workload, rate(bound), cpu)
        }
        // The subscribers count what all of them get together; the publisher, what it sends.
        Work::FanOut => {
            let each = rate(first) / workload.peers as f64;
            let cpu = cpu(first) + cpu(bound) / workload.peers as f64;
            stream_metrics(workload, each, cpu)
        }
        Work::Latency => {
            let mut metrics = latencies(first);
            metrics.push((Metric::CpuPerMessage, cpu(bound) + cpu(first)));
            metrics
        }
        Work::OpenLoop => {
            let mut metrics = latencies(bound);
            metrics.push((Metric::MessagesPerSecond, rate(bound)));
            metrics.push((Metric::CpuPerMessage, cpu(bound)));
            metrics
        }
        Work::Memory => vec![
            (
                Metric::BytesPerAccepted,
                bound.bytes_per_connection.unwrap_or_default(),
            ),
            (
                Metric::BytesPerConnected,
                first.bytes_per_connection.unwrap_or_default(),
            ),
        ],
        Work::Churn => vec![
            (Metric::ConnectionsPerSecond, rate(first)),
            (Metric::CpuPerMessage, cpu(bound) + cpu(first)),
        ],
    }
}

fn stream_metrics(workload: &Workload, rate: f64, cpu: f64) -> Vec<(Metric, f64)> {
    vec![
        (Metric::MessagesPerSecond, rate),
        (Metric::BytesPerSecond, rate * workload.size as f64),
        (Metric::CpuPerMessage, cpu),
    ]
}

/// The samples of all rounds, sorted by metric.
fn condense(showing: Showing<'_>) -> ContestantResult {
    let mut measures: Vec<Measure> = Vec::new();
    let samples = match showing.failure {
        Some(_) => &[],
        None => &showing.samples[..],
    };
    for &(metric, _) in samples {
        if measures.iter().any(|measure| measure.metric == metric) {
            continue;
        }
        let of_metric = samples.iter().filter(|sample| sample.0 == metric);
        let samples: Vec<f64> = of_metric.map(|sample| sample.1).collect();
        measures.extend(Summary::of(&samples).map(|summary| Measure {
            metric,
            summary,
            samples,
        }));
    }
    ContestantResult {
        contestant: showing.entrant.name.clone(),
        failure: showing.failure,
        measures,
    }
}

/// A directory for the sockets of ipc, removed in the end.
struct Scratch {
    path: PathBuf,
    used: std::cell::Cell<u32>,
}

impl Scratch {
    fn new() -> Fallible<Scratch> {
        let path = std::env::temp_dir().join(format!("zerohop-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Scratch {
            path,
            used: std::cell::Cell::new(0),
        })
    }

    /// An endpoint that nobody uses.
    fn endpoint(&self, transport: Transport) -> Fallible<String> {
        self.used.set(self.used.get() + 1);
        let number = self.used.get();
        Ok(match transport {
            // Free while we look, and nobody else on the machine is in a hurry to take it.
            Transport::Tcp => format!("tcp://{}", TcpListener::bind("127.0.0.1:0")?.local_addr()?),
            Transport::Ipc => format!("ipc://{}/{number}", self.path.display()),
            Transport::Inproc => format!("inproc://{number}"),
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left lies in the system's directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
