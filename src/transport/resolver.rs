//! Name look-ups in the background.
//!
//! The system's resolver can block for half a minute when a name server does not answer. Neither a caller of
//! `connect` nor the caretaker can wait for that, so look-ups run on threads of their own: started on demand,
//! [`MAX_WORKERS`] at most, and gone when there is nothing left to look up. A process that connects to
//! addresses only never has one.
//! How jobs get to them is in `resolver/queue.rs`.

mod queue;

use std::io;
use std::sync::{Arc, Weak};
use std::thread;

use self::queue::Queue;
pub(crate) use self::queue::{Queue as JobQueue, Swept};
use super::dial::{self, SocketAddress};
use super::endpoint::Endpoint;
use super::options::StreamOptions;

/// One name server that hangs must not keep the names of others waiting; beyond a few, look-ups only queue up
/// inside the system's resolver instead of here.
const MAX_WORKERS: usize = 4;

/// Whoever asked wants to know for as long as they keep this. While a name server hangs, sockets may come and go, and what they
/// asked for is to hold up nobody.
#[derive(Debug)]
pub(crate) struct Wanted(#[expect(dead_code, reason = "kept and never looked at")] Arc<()>);

/// Receives the outcome of a look-up, on a thread of the resolver. It must not block and not panic.
pub(crate) type Done = Box<dyn FnOnce(io::Result<Vec<SocketAddress>>) + Send>;

/// Looks names up on threads of its own.
///
/// Dropping it forgets the look-ups that have not begun: their `done` is dropped without a call. It does not wait
/// for those under way, which nothing can cut short.
pub(crate) struct Resolver {
    jobs: Arc<Queue<Job>>,
}

/// Look-ups that nobody wants any more. To be dropped with no lock held.
pub(crate) struct Unwanted(Vec<Job>);

impl Unwanted {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

struct Job {
    endpoint: Arc<Endpoint>,
    options: StreamOptions,
    wanted: Weak<()>,
    done: Done,
}

impl Job {
    fn is_wanted(&self) -> bool {
        self.wanted.strong_count() > 0
    }
}

impl Resolver {
    pub(crate) fn new() -> Resolver {
        Resolver {
            jobs: Arc::new(Queue::new(MAX_WORKERS)),
        }
    }

    /// Resolves `endpoint` in the background, in the order of asking, and calls `done` once with what came out, if that is still
    /// wanted when its turn has come. Only if no thread can be started at all, `done` is called right here, with that error.
    pub(crate) fn lookup(
        &self,
        endpoint: Arc<Endpoint>,
        options: StreamOptions,
        done: Done,
    ) -> (Wanted, Unwanted) {
        let wanted = Arc::new(());
        let unwanted = self.jobs.sweep(Job::is_wanted);
        let start = self.jobs.push(Job {
            endpoint,
            options,
            wanted: Arc::downgrade(&wanted),
            done,
        });
        if start {
            self.start_worker();
        }
        (Wanted(wanted), Unwanted(unwanted))
    }

    fn start_worker(&self) {
        let jobs = Arc::clone(&self.jobs);
        let started = thread::Builder::new()
            .name("zerohop-resolver".to_owned())
            .spawn(move || work(&jobs));
        if let Err(error) = started {
            for job in self.jobs.not_started() {
                (job.done)(Err(error.kind().into()));
            }
        }
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        // What `done` captured is dropped with no lock held.
        drop(self.jobs.drain());
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

fn work(jobs: &Queue<Job>) {
    while let Some(job) = jobs.next() {
        if !job.is_wanted() {
            continue;
        }
        (job.done)(dial::resolve(&job.endpoint, &job.options));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};
    use std::time::{Duration, Instant};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    fn endpoint(text: &str) -> Arc<Endpoint> {
        Arc::new(text.parse().unwrap())
    }

    #[test]
    fn every_lookup_is_answered_once() {
        let resolver = Resolver::new();
        let (sender, answers) = mpsc::channel();
        let mut asked = Vec::new();
        for number in 0..20_u16 {
            let sender = sender.clone();
            let endpoint = endpoint(&format!("tcp://127.0.0.1:{}", number + 1));
            let done = Box::new(move |answer| sender.send((number, answer)).unwrap());
            asked.push(resolver.lookup(endpoint, StreamOptions::default(), done));
        }
        drop(sender);
        let mut seen = Vec::new();
        while let Ok((number, answer)) = answers.recv_timeout(DEADLINE) {
            let expected = ([127, 0, 0, 1], number + 1).into();
            assert_eq!(answer.unwrap(), [SocketAddress::Inet(expected)]);
            seen.push(number);
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn workers_are_few_and_end_when_idle() {
        let resolver = Resolver::new();
        let (sender, answers) = mpsc::channel();
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().unwrap();
        let mut asked = Vec::new();
        for _ in 0..3 * MAX_WORKERS {
            let (sender, gate) = (sender.clone(), Arc::clone(&gate));
            let done = Box::new(move |_| {
                drop(gate.lock().unwrap());
                sender.send(()).unwrap();
            });
            let endpoint = endpoint("tcp://[::1]:9");
            asked.push(resolver.lookup(endpoint, StreamOptions::default(), done));
        }
        assert_eq!(resolver.jobs.workers(), MAX_WORKERS);
        drop(closed);
        for _ in 0..3 * MAX_WORKERS {
            answers.recv_timeout(DEADLINE).unwrap();
        }
        let end = Instant::now() + DEADLINE;
        while resolver.jobs.workers() > 0 {
            assert!(Instant::now() < end, "idle workers stay");
            thread::yield_now();
        }
    }

    /// As when a name server hangs while sockets come and go.
    #[test]
    fn what_nobody_waits_for_any_more_holds_up_nobody() {
        let resolver = Resolver::new();
        let (sender, answers) = mpsc::channel();
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().unwrap();
        let ask = |number: usize| {
            let (sender, gate) = (sender.clone(), Arc::clone(&gate));
            let done = Box::new(move |_| {
                drop(gate.lock().unwrap());
                sender.send(number).unwrap();
            });
            resolver.lookup(endpoint("tcp://[::1]:9"), StreamOptions::default(), done)
        };
        let hang: Vec<_> = (0..MAX_WORKERS).map(&ask).collect();
        let end = Instant::now() + DEADLINE;
        while resolver.jobs.waiting() > 0 {
            assert!(Instant::now() < end, "nobody begins");
            thread::yield_now();
        }
        let wanted = ask(1000);
        for _ in 0..1_000 {
            drop(ask(2000));
        }
        assert!(resolver.jobs.waiting() < 200, "they pile up");
        drop(closed);
        let mut told: Vec<_> = (0..=MAX_WORKERS)
            .map(|_| answers.recv_timeout(DEADLINE).unwrap())
            .collect();
        told.sort_unstable();
        assert_eq!(told, [0, 1, 2, 3, 1000]);
        drop((resolver, sender));
        assert!(answers.recv_timeout(DEADLINE).is_err());
        drop((hang, wanted));
    }

    #[test]
    fn a_failed_lookup_is_an_answer() {
        let resolver = Resolver::new();
        let (sender, answers) = mpsc::channel();
        let done = Box::new(move |answer| sender.send(answer).unwrap());
        let _wanted = resolver.lookup(endpoint("inproc://nowhere"), StreamOptions::default(), done);
        assert!(answers.recv_timeout(DEADLINE).unwrap().is_err());
    }
}
