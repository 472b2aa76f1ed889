//! Starts the processes, contestants in turn, and gathers what they report.

mod awake;
mod process;
mod progress;
mod scratch;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use awake::Awake;
use process::Process;
use progress::Progress;
use scratch::Scratch;

use super::cast::Entrant;
use super::child::{Fallible, Fault, Report, Role, Task};
use super::machine::Machine;
use super::results::{ContestantResult, Measure, Metric, Results, WorkloadResult};
use super::statistics::Summary;
use super::workload::{Scale, Transport, Work, Workload};
use super::{show, tell};

/// Who has not finished after this much more time than asked for has lost a message, or hangs. The slowest to get ready
/// makes some hundred thousand subscriptions meanwhile.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What starting and ending the processes of a turn is likely to take.
const OVERHEAD: f64 = 0.3;

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
    /// Keep the cores awake where latency is measured.
    pub(crate) awake: bool,
    /// How much more time than asked for a contestant may take.
    pub(crate) patience: Duration,
}

pub(crate) struct Outcome {
    pub(crate) results: Results,
    pub(crate) failures: Vec<String>,
}

/// Runs these workloads with these contestants. All results so far are kept after each workload.
pub(crate) fn run(
    plan: &Plan,
    workloads: &[Workload],
    entrants: &[&Entrant],
    libraries: &[String],
    keep: impl Fn(&Results) -> Fallible<()>,
) -> Fallible<Outcome> {
    let turns = |workload| turns(plan, workload, entrants);
    let (seconds, warm_up, _) = plan.measure();
    let guess = Duration::from_secs_f64(seconds + warm_up + OVERHEAD);
    let mut runner = Runner {
        plan,
        scratch: Scratch::new()?,
        progress: Progress::new(workloads.iter().map(turns).sum(), guess),
        failures: Vec::new(),
        outpaced: Vec::new(),
    };
    let mut results = Results {
        machine: Machine::look(libraries),
        rounds: plan.rounds,
        awake: plan.awake,
        workloads: Vec::new(),
    };
    for workload in workloads {
        results
            .workloads
            .extend(runner.measure(workload, entrants)?);
        keep(&results)?;
    }
    Ok(Outcome {
        results,
        failures: runner.failures,
    })
}

/// How often contestants will be started for that workload.
fn turns(plan: &Plan, workload: &Workload, entrants: &[&Entrant]) -> usize {
    let able = entrants.iter().filter(|entrant| entrant.can(workload));
    able.count() * plan.rounds
}

impl Plan {
    /// The seconds to measure, those to warm up before, and the messages that are enough.
    fn measure(&self) -> (f64, f64, u64) {
        let (seconds, warm_up, max_messages) = match self.scale {
            Scale::Smoke => (0.3, 0.0, 500),
            Scale::Quick => (0.5, 0.2, u64::MAX),
            Scale::Full => (1.0, 0.3, u64::MAX),
        };
        (self.seconds.unwrap_or(seconds), warm_up, max_messages)
    }
}

struct Runner<'a> {
    plan: &'a Plan,
    scratch: Scratch,
    progress: Progress,
    failures: Vec<String>,
    /// Who could not follow an open loop, and is spared faster ones.
    outpaced: Vec<String>,
}

/// What a contestant has shown in the rounds of a workload.
struct Showing<'a> {
    entrant: &'a Entrant,
    samples: Vec<(Metric, f64)>,
    left_out: Option<String>,
    failure: Option<String>,
}

impl Showing<'_> {
    fn goes_on(&self) -> bool {
        self.left_out.is_none() && self.failure.is_none()
    }
}

impl Runner<'_> {
    /// All rounds of a workload; `None` if nobody is to be told of. Who fails is out, and the others go on.
    fn measure(
        &mut self,
        workload: &Workload,
        entrants: &[&Entrant],
    ) -> Fallible<Option<WorkloadResult>> {
        let name = workload.name();
        let mut showings = self.line_up(workload, entrants);
        if showings.is_empty() {
            return Ok(None);
        }
        let is_of_time = matches!(
            workload.work,
            Work::Latency | Work::OpenLoop | Work::Churn | Work::RouterEcho
        ) || workload.rate.is_some();
        let _awake = (self.plan.awake && is_of_time).then(Awake::new);
        let turns = turns(self.plan, workload, entrants) / self.plan.rounds;
        for round in 1..=self.plan.rounds {
            let Runner { plan, progress, .. } = &*self;
            tell(format_args!("{name} {round}/{} ({progress})", plan.rounds));
            for showing in showings.iter_mut().filter(|showing| showing.goes_on()) {
                self.take_turn(workload, &name, showing)?;
            }
            self.progress.advance(turns);
        }
        let result = WorkloadResult {
            name,
            workload: workload.clone(),
            contestants: showings.into_iter().map(condense).collect(),
        };
        self.note_outpaced(&result);
        Ok(Some(result))
    }

    /// Who takes part in the workload, and who is left out for a reason that is to be shown.
    fn line_up<'a>(&self, workload: &Workload, entrants: &[&'a Entrant]) -> Vec<Showing<'a>> {
        let mut showings = Vec::new();
        for &entrant in entrants {
            let is_outpaced =
                workload.work == Work::OpenLoop && self.outpaced.contains(&entrant.name);
            let left_out = match entrant.can(workload) {
                true if is_outpaced => Some("failed, or could not follow, at a slower rate"),
                true => None,
                false => match entrant.why_not(workload) {
                    Some(reason) => Some(reason),
                    None => continue,
                },
            };
            showings.push(Showing {
                entrant,
                samples: Vec::new(),
                left_out: left_out.map(str::to_owned),
                failure: None,
            });
        }
        showings
    }

    fn take_turn(
        &mut self,
        workload: &Workload,
        name: &str,
        showing: &mut Showing<'_>,
    ) -> Fallible<()> {
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
        Ok(())
    }

    fn note_outpaced(&mut self, result: &WorkloadResult) {
        let rate = match result.workload.work {
            Work::OpenLoop => result.workload.rate,
            _ => None,
        };
        let Some(rate) = rate else {
            return;
        };
        for ContestantResult { contestant, .. } in &result.contestants {
            let moved = result.median(contestant, Metric::MessagesPerSecond);
            if moved.is_none_or(|moved| moved < SATURATED * rate) {
                self.outpaced.push(contestant.clone());
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
        let mut crew = Crew {
            entrant,
            deadline: Instant::now()
                + Duration::from_secs_f64(task.seconds + task.warm_up)
                + self.plan.patience,
            processes: Vec::new(),
            between: None,
            frontend: match workload.work {
                Work::Proxy => Some(self.scratch.endpoint(workload.transport)?),
                _ => None,
            },
        };
        let played = crew.play(workload, &task);
        let (bound, connected) = played.map_err(|fault| crew.explain(&fault))?;
        let received = match workload.work {
            Work::FanOut | Work::XpubSub if !connected.is_empty() => {
                connected.iter().map(|report| report.messages).sum()
            }
            _ => bound.messages,
        };
        Ok((received, metrics(workload, &bound, &connected)))
    }

    fn task(&self, workload: &Workload, entrant: &Entrant) -> Fallible<Task> {
        let (seconds, warm_up, max_messages) = self.plan.measure();
        Ok(Task {
            contestant: entrant.name.clone(),
            role: Role::Pair,
            endpoint: self.scratch.endpoint(workload.transport)?,
            size: workload.size,
            seconds,
            warm_up,
            max_messages,
            sockets: match workload.work {
                // As many as one process subscribes with; where there are more processes, each is told its share.
                Work::FanOut => workload.peers,
                _ => 1,
            },
            first_source: 0,
            senders: match workload.work {
                Work::FanIn | Work::Memory | Work::RouterCrowd | Work::Tasks => workload.peers,
                _ => 1,
            },
            topics: workload.topics,
            rate: workload.rate,
            shared: workload.work == Work::Shared,
            types: workload.work.types(),
            onward: None,
        })
    }
}

/// The processes of one run, which has to be over by a deadline, whatever they do.
struct Crew<'a> {
    entrant: &'a Entrant,
    deadline: Instant,
    /// The first binds, and the others connect.
    processes: Vec<Process>,
    /// What is between them, where there is a proxy; it goes on until this is dropped.
    between: Option<Process>,
    /// Where that is bound.
    frontend: Option<String>,
}

impl Crew<'_> {
    /// The reports of who binds and of those who connect.
    fn play(&mut self, workload: &Workload, task: &Task) -> Fallible<(Report, Vec<Report>)> {
        let (bound, connected) = roles(workload);
        self.start(&Task {
            role: bound,
            ..task.clone()
        })?;
        let Some(connected) = connected else {
            return Ok((self.processes[0].report()?, Vec::new()));
        };
        self.processes[0].wait_until_ready()?;
        let endpoint = match &self.frontend {
            Some(frontend) => {
                let proxy = Task {
                    role: Role::Proxy,
                    endpoint: frontend.clone(),
                    onward: Some(task.endpoint.clone()),
                    ..task.clone()
                };
                let proxy = Process::start(self.entrant, &proxy, self.deadline)?;
                self.between.insert(proxy).wait_until_ready()?;
                frontend.clone()
            }
            None => task.endpoint.clone(),
        };
        for share in shares(workload) {
            self.start(&Task {
                role: connected,
                endpoint: endpoint.clone(),
                sockets: share.len(),
                first_source: share.start,
                ..task.clone()
            })?;
        }
        let [binder, connectors @ ..] = &mut self.processes[..] else {
            return Err(Fault::from("nobody binds"));
        };
        if matches!(workload.work, Work::FanOut | Work::XpubSub) {
            for connector in &mut *connectors {
                connector.wait_until_ready()?;
            }
            binder.say_go();
        }
        // Whoever sends last stays until the others have all.
        let binder_sends_last = matches!(
            workload.work,
            Work::FanOut
                | Work::XpubSub
                | Work::Latency
                | Work::Churn
                | Work::RouterEcho
                | Work::RouterCrowd
                | Work::Tasks
        );
        if binder_sends_last {
            let reports = connectors.iter_mut().map(Process::report);
            let reports = reports.collect::<Fallible<_>>()?;
            binder.say_go();
            return Ok((binder.report()?, reports));
        }
        let bound = binder.report()?;
        let reports = connectors.iter_mut().map(|connector| {
            connector.say_go();
            connector.report()
        });
        Ok((bound, reports.collect::<Fallible<_>>()?))
    }

    fn start(&mut self, task: &Task) -> Fallible<()> {
        let process = Process::start(self.entrant, task, self.deadline)?;
        self.processes.push(process);
        Ok(())
    }

    /// Ends all, and adds what they have complained of to the fault: it is one of them that was seen first, and may be
    /// another that has caused it.
    fn explain(&mut self, fault: &Fault) -> Fault {
        let processes = self.processes.iter_mut().chain(&mut self.between);
        let words: Vec<String> = processes.flat_map(Process::last_words).collect();
        match words.is_empty() {
            true => Fault::from(fault.to_string()),
            false => Fault::from(format!("{fault}: {}", words.join("; "))),
        }
    }
}

/// Who binds and who connects; a single process does both within itself.
fn roles(workload: &Workload) -> (Role, Option<Role>) {
    match workload.work {
        Work::PushPull | Work::Shared if workload.transport == Transport::Inproc => {
            (Role::Pair, None)
        }
        Work::FanOut if workload.transport == Transport::Inproc => (Role::PubSub, None),
        Work::PushPull
        | Work::Shared
        | Work::OpenLoop
        | Work::FanIn
        | Work::DealerRouter
        | Work::DealerDealer
        | Work::PairPair
        | Work::Proxy => (Role::Pull, Some(Role::Push)),
        Work::Latency | Work::RouterEcho => (Role::Rep, Some(Role::Req)),
        Work::RouterCrowd => (Role::Rep, Some(Role::Crowd)),
        Work::Tasks => (Role::Rep, Some(Role::Tasks)),
        Work::FanOut | Work::XpubSub => (Role::Pub, Some(Role::Sub)),
        Work::Memory => (Role::Accept, Some(Role::Hold)),
        Work::Churn => (Role::Rep, Some(Role::Churn)),
    }
}

/// The sockets of each connecting process.
fn shares(workload: &Workload) -> Vec<std::ops::Range<usize>> {
    let processes = match workload.work {
        Work::FanIn | Work::RouterCrowd => workload.peers.min(PUSHER_PROCESSES),
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
                (Metric::LatencyMean, quantiles.mean as f64),
            ]
        })
    };
    // Of a stream, over the longer of what its two ends took: some libraries hold messages back for as long as their
    // sender is busy, and the receiver then sees them come in one rush, however long the sender took.
    let nanos = connected.iter().chain([bound]).map(|report| report.nanos);
    let nanos = nanos.max().unwrap_or_default().max(1);
    let stream_rate = |received: &Report| received.messages as f64 * 1e9 / nanos as f64;
    // The subscribers count what all of them get together.
    let of_subscribers = |received: &Report, cpu: f64| {
        let each = stream_rate(received) / workload.peers as f64;
        let mut metrics = stream_metrics(workload, each, cpu);
        metrics.extend(latencies(received));
        metrics
    };
    let Some(first) = connected.first() else {
        return match workload.work {
            Work::FanOut => of_subscribers(bound, cpu(bound)),
            _ => stream_metrics(workload, stream_rate(bound), cpu(bound)),
        };
    };
    match workload.work {
        // The processor time of what is between the two is not known.
        Work::Proxy => stream_metrics(workload, stream_rate(bound), 0.0)
            .into_iter()
            .filter(|(metric, _)| *metric != Metric::CpuPerMessage)
            .collect(),
        Work::PushPull
        | Work::Shared
        | Work::FanIn
        | Work::DealerRouter
        | Work::DealerDealer
        | Work::PairPair
        | Work::RouterCrowd
        | Work::Tasks => {
            let sent: u64 = connected.iter().map(|report| report.messages).sum();
            let used: u64 = connected.iter().map(|report| report.cpu_nanos).sum();
            let cpu = cpu(bound) + used as f64 / sent.max(1) as f64;
            stream_metrics(workload, stream_rate(bound), cpu)
        }
        // The publisher counts what it sends, once for all of them.
        Work::FanOut | Work::XpubSub => {
            of_subscribers(first, cpu(first) + cpu(bound) / workload.peers as f64)
        }
        Work::Latency | Work::RouterEcho => {
            let mut metrics = latencies(first);
            metrics.push((Metric::CpuPerMessage, cpu(bound) + cpu(first)));
            metrics
        }
        Work::OpenLoop => {
            let mut metrics = latencies(bound);
            metrics.push((Metric::MessagesPerSecond, stream_rate(bound)));
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
        left_out: showing.left_out,
        failure: showing.failure,
        measures,
    }
}
