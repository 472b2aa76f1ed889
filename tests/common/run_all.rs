//! A runtime of a few lines: several tasks in one thread.

use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::Instant;

use super::deadline::DEADLINE;

/// A task of [`run_all`].
pub(crate) type Task<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The tasks of a thread that have been woken.
#[derive(Default)]
struct Woken {
    tasks: Mutex<Vec<usize>>,
    came: Condvar,
}

struct WakeTask {
    task: usize,
    woken: Arc<Woken>,
}

impl Wake for WakeTask {
    fn wake(self: Arc<Self>) {
        let tasks = self.woken.tasks.lock();
        tasks
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.task);
        self.woken.came.notify_one();
    }
}

/// Runs tasks in this thread until all of them have ended; each is polled only when it has been woken. Fails if that takes too long.
pub(crate) fn run_all(tasks: Vec<Task<'_>>) {
    let woken = Arc::new(Woken::default());
    let mut tasks: Vec<Option<(Task<'_>, Waker)>> = tasks
        .into_iter()
        .enumerate()
        .map(|(task, future)| {
            let woken = Arc::clone(&woken);
            Some((future, Waker::from(Arc::new(WakeTask { task, woken }))))
        })
        .collect();
    let mut running = tasks.len();
    let mut due: Vec<usize> = (0..running).collect();
    let end = Instant::now() + DEADLINE;
    while running > 0 {
        for task in due.drain(..) {
            let Some((future, waker)) = &mut tasks[task] else {
                continue;
            };
            if future
                .as_mut()
                .poll(&mut Context::from_waker(waker))
                .is_ready()
            {
                tasks[task] = None;
                running -= 1;
            }
        }
        if running == 0 {
            return;
        }
        let mut came = woken.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while came.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{running} tasks were not woken");
            let waited = woken.came.wait_timeout(came, left);
            came = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        due.append(&mut came);
    }
}
