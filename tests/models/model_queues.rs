//! The queues of the resolver and of the monitor under a model checker, as `tests/models.rs` has those of the engine.

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

/// What `src/sync.rs` gives the hand-overs.
mod sync {
    pub(crate) use std::sync::PoisonError;

    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().expect("nobody panics while holding a lock")
    }

    /// No model forks.
    #[derive(Clone, Copy)]
    pub(crate) struct Process;

    impl Process {
        pub(crate) fn current() -> Process {
            Process
        }

        pub(crate) fn is_current(self) -> bool {
            true
        }
    }
}

#[allow(dead_code, reason = "all jobs are wanted here")]
#[path = "../../src/transport/resolver/queue.rs"]
mod jobs;
#[path = "../../src/monitor/queue.rs"]
mod queue;

/// Stands in for what the library has of these names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Numbered(u32),
    Lost(u64),
}

#[derive(Debug, PartialEq, Eq)]
enum RecvError {
    WouldBlock,
    TimedOut,
    Closed,
}

#[derive(Debug)]
struct Monitor {
    subscription: queue::Subscription,
}

impl Monitor {
    fn new(subscription: queue::Subscription) -> Monitor {
        Monitor { subscription }
    }

    fn recv(&self) -> Result<Event, RecvError> {
        self.subscription.queue().pop(None)
    }
}

/// Every interleaving with up to three switches that are not forced: more take minutes.
fn check(run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(run);
}

/// A reader that waits gets every event, and then the end.
#[test]
fn monitor_loses_no_event_and_no_end() {
    check(|| {
        let monitors = Arc::new(queue::Monitors::new());
        let monitor = monitors.subscribe();
        let emitter = {
            let monitors = Arc::clone(&monitors);
            thread::spawn(move || monitors.emit(|| Event::Numbered(1)))
        };
        let closer = thread::spawn(move || {
            monitors.emit(|| Event::Numbered(2));
            emitter.join().expect("emitted");
            monitors.close();
        });
        let mut numbers = Vec::new();
        let end = loop {
            match monitor.recv() {
                Ok(Event::Numbered(number)) => numbers.push(number),
                Ok(Event::Lost(count)) => panic!("{count} lost"),
                Err(error) => break error,
            }
        };
        closer.join().expect("closed");
        numbers.sort_unstable();
        assert_eq!((numbers, end), (vec![1, 2], RecvError::Closed));
    });
}

/// Whoever subscribes while the socket closes sees an end all the same; whoever leaves takes only itself away.
#[test]
fn monitor_comes_and_goes_beside_events() {
    check(|| {
        let monitors = Arc::new(queue::Monitors::new());
        let stays = monitors.subscribe();
        let passing = {
            let monitors = Arc::clone(&monitors);
            thread::spawn(move || {
                let monitor = monitors.subscribe();
                let first = monitor.subscription.queue().try_pop();
                assert_ne!(first, Err(RecvError::TimedOut));
                drop(monitor);
                let late = monitors.subscribe();
                drop(monitors);
                while late.recv() != Err(RecvError::Closed) {}
            })
        };
        monitors.emit(|| Event::Numbered(1));
        monitors.close();
        assert_eq!(stays.recv(), Ok(Event::Numbered(1)));
        assert_eq!(stays.recv(), Err(RecvError::Closed));
        passing.join().expect("passed");
    });
}

/// The resolver in small: as many threads as the queue asks for, of which the first may fail to start.
struct Resolver {
    jobs: jobs::Queue<usize>,
    answers: [AtomicUsize; 2],
    fails: AtomicUsize,
    workers: Mutex<Vec<thread::JoinHandle<()>>>,
}

impl Resolver {
    fn new(max_workers: usize, fails: usize) -> Arc<Resolver> {
        Arc::new(Resolver {
            jobs: jobs::Queue::new(max_workers),
            answers: [AtomicUsize::new(0), AtomicUsize::new(0)],
            fails: AtomicUsize::new(fails),
            workers: Mutex::new(Vec::new()),
        })
    }

    fn lookup(resolver: &Arc<Resolver>, job: usize) {
        if !resolver.jobs.push(job) {
            return;
        }
        if resolver.fails.swap(0, Ordering::SeqCst) > 0 {
            for job in resolver.jobs.not_started() {
                resolver.answer(job);
            }
            return;
        }
        let worker = Arc::clone(resolver);
        let worker = thread::spawn(move || {
            while let Some(job) = worker.jobs.next() {
                worker.answer(job);
            }
        });
        sync::lock(&resolver.workers).push(worker);
    }

    fn answer(&self, job: usize) {
        self.answers[job].fetch_add(1, Ordering::SeqCst);
    }

    /// Two ask at once; when all threads have ended, both have their answer, once.
    fn check(max_workers: usize, fails: usize) {
        check(move || {
            let resolver = Resolver::new(max_workers, fails);
            let other = {
                let resolver = Arc::clone(&resolver);
                thread::spawn(move || Resolver::lookup(&resolver, 1))
            };
            Resolver::lookup(&resolver, 0);
            other.join().expect("asked");
            let workers = std::mem::take(&mut *sync::lock(&resolver.workers));
            for worker in workers {
                worker.join().expect("worked");
            }
            let counts = [0, 1].map(|job| resolver.answers[job].load(Ordering::SeqCst));
            assert_eq!(counts, [1, 1]);
            assert_eq!(resolver.jobs.workers(), 0);
            assert!(resolver.jobs.drain().is_empty());
        });
    }
}

#[test]
fn resolver_answers_all_with_one_worker() {
    Resolver::check(1, 0);
}

#[test]
fn resolver_answers_all_with_two_workers() {
    Resolver::check(2, 0);
}

#[test]
fn resolver_answers_all_when_a_thread_does_not_start() {
    Resolver::check(1, 1);
    Resolver::check(2, 1);
}
