//! Acknowledged delivery across a proxy: a message is settled for its sender when a worker behind the proxy has settled it, and not before.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod until;
}

use std::collections::HashSet;
use std::env;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use zerohop::{
    Context, DeadReason, Delivery, Job, Options, Proxy, ProxyEndCause, Pull, Push, RecvError,
};

use common::deadline::DEADLINE;
use common::until::{GLANCE, until};

const ANY_PORT: &str = "tcp://127.0.0.1:*";

fn options() -> Options {
    let delivery = Delivery::at_least_once()
        .window(16)
        .grace(Duration::from_millis(50))
        .job_timeout(None)
        .backoff(Duration::from_millis(1), Duration::from_millis(20));
    Options::new()
        .delivery(delivery)
        .linger(Duration::ZERO)
        .reconnect_interval(Duration::from_millis(5))
        .reconnect_interval_max(None)
}

fn push(context: &Context) -> (Push, String) {
    let push = Push::with_options(context, options()).expect("a PUSH");
    let endpoint = push.bind(ANY_PORT).expect("bound").to_string();
    (push, endpoint)
}

fn pull(context: &Context, options: Options, endpoint: &str) -> Pull {
    let pull = Pull::with_options(context, options).expect("a PULL");
    pull.connect(endpoint).expect("connected");
    pull
}

/// A source, with what is between it and the workers, who connect to `workers_at`.
struct Line {
    context: Context,
    source: Push,
    frontend: Pull,
    backend: Push,
    workers_at: String,
}

impl Line {
    fn new(frontend: Options) -> Line {
        let context = Context::new();
        let (source, source_at) = push(&context);
        let (backend, workers_at) = push(&context);
        Line {
            frontend: pull(&context, frontend, &source_at),
            context,
            source,
            backend,
            workers_at,
        }
    }

    fn worker(&self) -> Pull {
        pull(&self.context, options(), &self.workers_at)
    }

    /// Does something while a proxy runs.
    fn run(&self, then: impl FnOnce()) {
        let proxy = Proxy::one_way(&self.frontend, &self.backend);
        let control = proxy.control();
        thread::scope(|scope| {
            let running = scope.spawn(|| proxy.run());
            then();
            control.terminate();
            let end = running.join().expect("no panic");
            assert_eq!(end.cause, ProxyEndCause::Terminated);
            assert_eq!(end.for_backend, None, "a job is given back");
        });
    }
}

fn job(pull: &Pull) -> Job {
    pull.recv_job_timeout(DEADLINE).expect("a job")
}

fn unsettled(push: &Push, count: usize) {
    until("settled", || {
        thread::sleep(Duration::from_millis(1));
        (push.stats().delivery.unsettled == count).then_some(())
    });
}

#[test]
fn what_is_said_behind_the_proxy_is_said_before_it() {
    let line = Line::new(options());
    let worker = line.worker();
    line.run(|| {
        for text in ["good", "bad", "later"] {
            line.source.send(text).expect("sent");
        }
        let (good, bad, later) = (job(&worker), job(&worker), job(&worker));
        assert!(worker.recv_job_timeout(GLANCE).is_err());
        assert_eq!(line.source.stats().delivery.unsettled, 3, "too early");
        good.settle().expect("settled");
        unsettled(&line.source, 2);
        bad.reject("no such thing").expect("rejected");
        unsettled(&line.source, 1);
        later
            .retry_in(Duration::from_millis(1))
            .expect("given back");
        let again = job(&worker);
        assert_eq!(
            (again.message().to_str(), again.deliveries()),
            (Ok("later"), 1)
        );
        assert_eq!(
            line.source.stats().delivery.retried,
            0,
            "the proxy sees to it"
        );
        again.settle().expect("settled");
        unsettled(&line.source, 0);
    });
    let dead = line.source.dead_letters();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].message, "bad");
    assert_eq!(dead[0].reason, DeadReason::Rejected("no such thing".into()));
    assert!(line.backend.dead_letters().is_empty(), "it is its sender's");
}

#[test]
fn a_stream_goes_through_and_is_settled() {
    const MESSAGES: u32 = 3_000;
    let line = Line::new(options());
    let workers = [line.worker(), line.worker()];
    line.backend.wait_for_peers(2, DEADLINE).expect("workers");
    line.run(|| {
        thread::scope(|scope| {
            for worker in &workers {
                scope.spawn(|| {
                    while let Ok(job) = worker.recv_job() {
                        job.settle().expect("settled");
                    }
                });
            }
            for number in 0..MESSAGES {
                line.source.send(number.to_be_bytes()).expect("sent");
            }
            unsettled(&line.source, 0);
            workers.iter().for_each(Pull::shutdown);
        });
    });
    let stats = line.source.stats().delivery;
    assert_eq!((stats.settled, stats.retried), (u64::from(MESSAGES), 0));
    assert_eq!(line.backend.stats().delivery.settled, u64::from(MESSAGES));
}

#[test]
fn a_worker_that_dies_leaves_its_jobs_to_others() {
    let line = Line::new(options());
    let dies = line.worker();
    line.run(|| {
        line.source.send("job").expect("sent");
        let held = job(&dies);
        let lives = line.worker();
        drop(dies);
        drop(held);
        assert_eq!(job_text(job(&lives)), "job");
        unsettled(&line.source, 0);
    });
    assert_eq!(line.source.stats().delivery.retried, 0);
}

fn job_text(job: Job) -> String {
    let text = job.message().to_str().expect("text").to_owned();
    job.settle().expect("settled");
    text
}

/// What a proxy has when it is told to stop goes back, and comes again when it, or another one, runs.
#[test]
fn a_proxy_that_stops_gives_jobs_back() {
    let line = Line::new(options());
    let worker = line.worker();
    line.run(|| {
        line.source.send("job").expect("sent");
        let held = job(&worker);
        thread::scope(|scope| {
            scope.spawn(|| drop(held));
        });
    });
    // The backend still has the first copy.
    line.run(|| {
        let texts = [job_text(job(&worker)), job_text(job(&worker))];
        assert_eq!(texts, ["job", "job"]);
        unsettled(&line.source, 0);
    });
}

/// Whoever is behind a proxy and knows no settling gets messages as ever; and those of who does not ask for it go through as ever.
#[test]
fn one_side_may_be_plain() {
    let line = Line::new(options());
    let none = || Options::new().linger(Duration::ZERO);
    let plain = pull(&line.context, none(), &line.workers_at);
    line.run(|| {
        line.source.send("to a plain worker").expect("sent");
        let message = plain.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(message, "to a plain worker");
        unsettled(&line.source, 0);
    });
    let context = Context::new();
    let source = Push::with_options(&context, none()).expect("a PUSH");
    let frontend = pull(
        &context,
        options(),
        &source.bind(ANY_PORT).expect("bound").to_string(),
    );
    let line = Line { frontend, ..line };
    drop(plain);
    until("it has gone", || {
        thread::sleep(Duration::from_millis(1));
        line.backend.stats().peers.is_empty().then_some(())
    });
    let worker = line.worker();
    line.run(|| {
        source.send("of a plain source").expect("sent");
        assert_eq!(job_text(job(&worker)), "of a plain source");
        unsettled(&line.backend, 0);
    });
    let backend = Push::with_options(&line.context, none()).expect("a PUSH");
    let endpoint = backend.bind(ANY_PORT).expect("bound").to_string();
    let (source, source_at) = push(&line.context);
    let line = Line {
        frontend: pull(&line.context, options(), &source_at),
        backend,
        workers_at: endpoint,
        ..line
    };
    let worker = line.worker();
    line.run(|| {
        source.send("through a plain backend").expect("sent");
        let message = worker.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(message, "through a plain backend");
        unsettled(&source, 0);
    });
}

const ENDPOINTS: &str = "ZEROHOP_TEST_RELAYED";

#[test]
fn child_that_is_a_proxy_until_it_is_killed() {
    let Ok(endpoints) = env::var(ENDPOINTS) else {
        return;
    };
    let (from, to) = endpoints.split_once(' ').expect("two endpoints");
    let context = Context::new();
    let frontend = pull(&context, options(), from);
    let backend = Push::with_options(&context, options()).expect("a PUSH");
    backend.connect(to).expect("connected");
    let end = Proxy::one_way(&frontend, &backend).run();
    panic!("nobody ends it: {end:?}");
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn proxy_between(source: &str, workers: &str) -> Killed {
    let child = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "child_that_is_a_proxy_until_it_is_killed"])
        .env(ENDPOINTS, format!("{source} {workers}"))
        .spawn();
    Killed(child.expect("a child"))
}

/// Proxies are processes, which are killed in the middle; so are their workers' sockets.
#[test]
fn nothing_is_lost_when_proxies_and_workers_are_killed() {
    const MESSAGES: u32 = 400;
    const EACH: usize = 100;
    let context = Context::new();
    let (source, source_at) = push(&context);
    let bound = || {
        let worker = Pull::with_options(&context, options()).expect("a PULL");
        let at = worker.bind(ANY_PORT).expect("bound").to_string();
        (worker, at)
    };
    let mut seen = HashSet::new();
    let mut take = |worker: &Pull| match worker.recv_job_timeout(GLANCE) {
        Ok(job) => {
            let number: [u8; 4] = job.message().first()[..].try_into().expect("a number");
            seen.insert(u32::from_be_bytes(number));
            // A proxy that is killed sends it again.
            let _ = job.settle();
            Some(seen.len())
        }
        Err(RecvError::TimedOut) => None,
        Err(error) => panic!("{error}"),
    };
    for number in 0..MESSAGES {
        source.send(number.to_be_bytes()).expect("sent");
    }
    let mut worker = bound();
    for round in 1..=3 {
        let proxy = proxy_between(&source_at, &worker.1);
        until("some get through", || {
            take(&worker.0).filter(|&len| len >= round * EACH)
        });
        if round == 2 {
            // The worker, with what it has and has not settled; and the proxy a moment later.
            let held = worker.0.recv_job_timeout(DEADLINE).expect("a job");
            worker = bound();
            drop(held);
        }
        drop(proxy);
    }
    let _proxy = proxy_between(&source_at, &worker.1);
    until("all is settled", || {
        take(&worker.0);
        (source.stats().delivery.unsettled == 0).then_some(())
    });
    assert_eq!(seen.len(), MESSAGES as usize);
    assert!(source.dead_letters().is_empty());
}
