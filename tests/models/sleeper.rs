//! A thread that sleeps until it is woken, as in a poll, for the models: a wake-up that comes early is kept.

use loom::sync::{Arc, Condvar, Mutex};

#[derive(Clone)]
pub(crate) struct Sleeper {
    woken: Arc<(Mutex<bool>, Condvar)>,
}

impl Sleeper {
    pub(crate) fn new() -> Sleeper {
        Sleeper {
            woken: Arc::new((Mutex::new(false), Condvar::new())),
        }
    }

    /// Waits for the event, which is a wake-up. One that never comes is a deadlock, and loom reports it.
    pub(crate) fn until_woken(&self) {
        let (woken, changed) = &*self.woken;
        let mut woken = woken.lock().expect("nobody panics");
        while !*woken {
            woken = changed.wait(woken).expect("nobody panics");
        }
        *woken = false;
    }

    pub(crate) fn wake(&self) {
        let (woken, changed) = &*self.woken;
        *woken.lock().expect("nobody panics") = true;
        changed.notify_one();
    }
}
