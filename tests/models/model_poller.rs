//! What is ready of many sockets, and the thread that waits for it in a poller, under a model checker.

use loom::sync::Arc;
use loom::thread;

/// What `src/sync.rs` gives the hand-overs.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().expect("nobody panics while holding a lock")
    }
}

#[path = "broken.rs"]
mod broken;
#[path = "../../src/engine/driving/levels.rs"]
#[allow(dead_code, reason = "its tests are its own")]
mod levels;
#[path = "../../src/engine/driving/mailbox.rs"]
#[allow(dead_code, reason = "it is checked in models.rs")]
mod mailbox;
#[path = "../../src/engine/driving/ready_list.rs"]
#[allow(dead_code, reason = "keys are forgotten by the thread that waits")]
mod ready_list;
#[path = "sleeper.rs"]
mod sleeper;

use broken::each_rule_is_needed;
use levels::Side;
use mailbox::Wake;
use ready_list::ReadyList;
use sleeper::Sleeper;

/// The rules; each can be left out, to see that it is needed and that the model would notice.
#[derive(Clone, Copy)]
struct Rules {
    /// The thread looks at the list under the lock under which it says that it is about to sleep.
    looks: bool,
    /// Whoever adds something wakes the thread if that is about to sleep.
    wakes: bool,
}

const ALL_RULES: Rules = Rules {
    looks: true,
    wakes: true,
};

struct PollWaker {
    sleeper: Sleeper,
    rules: Rules,
}

impl Wake for PollWaker {
    fn wake(&self) {
        if self.rules.wakes {
            self.sleeper.wake();
        }
    }
}

/// More switches than these take minutes.
fn check(run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(run);
}

/// Two levels become high, one of them low and high again meanwhile: the thread sees both of them.
fn levels_and_poller(rules: Rules) {
    check(move || {
        let sleeper = Sleeper::new();
        let waker = PollWaker {
            sleeper: sleeper.clone(),
            rules,
        };
        let list = Arc::new(ReadyList::new(waker));
        let first = {
            let list = Arc::clone(&list);
            thread::spawn(move || list.set(1, Side::Receive, true))
        };
        let second = {
            let list = Arc::clone(&list);
            thread::spawn(move || {
                list.set(2, Side::Send, true);
                list.set(2, Side::Send, false);
                list.set(2, Side::Send, true);
            })
        };
        let mut seen = [false; 2];
        while seen != [true; 2] {
            if list.begin_sleep() || !rules.looks && seen != [true; 2] {
                sleeper.until_woken();
            }
            list.end_sleep(|key, counts| {
                assert_eq!((counts.receive, counts.send), [(1, 0), (0, 1)][key - 1]);
                seen[key - 1] = true;
            });
            if seen != [true; 2] {
                // What has been seen is seen to: the list is to be empty for the next sleep.
                let seen_to = [(1, Side::Receive), (2, Side::Send)];
                for (_, (key, side)) in seen.iter().zip(seen_to).filter(|(seen, _)| **seen) {
                    list.set(key, side, false);
                }
            }
        }
        first.join().expect("set");
        second.join().expect("set");
    });
}

/// The thread is called back, once, while nothing is ready.
fn caller_and_poller(rules: Rules) {
    check(move || {
        let sleeper = Sleeper::new();
        let waker = PollWaker {
            sleeper: sleeper.clone(),
            rules,
        };
        let list = Arc::new(ReadyList::new(waker));
        let caller = {
            let list = Arc::clone(&list);
            thread::spawn(move || list.call())
        };
        loop {
            if list.begin_sleep() || !rules.looks {
                sleeper.until_woken();
            }
            if list.end_sleep(|_, _| {}) {
                break;
            }
        }
        caller.join().expect("called");
        assert!(!list.end_sleep(|_, _| {}));
    });
}

#[test]
fn a_poller_misses_no_level() {
    levels_and_poller(ALL_RULES);
}

#[test]
fn a_poller_misses_no_call() {
    caller_and_poller(ALL_RULES);
}

type Model = fn(Rules);

fn broken_models() -> [(&'static str, Rules, Model); 4] {
    let mut broken = [ALL_RULES; 2];
    broken[0].looks = false;
    broken[1].wakes = false;
    [
        ("looks", broken[0], levels_and_poller as Model),
        ("wakes", broken[1], levels_and_poller),
        ("looks at calls", broken[0], caller_and_poller),
        ("wakes for calls", broken[1], caller_and_poller),
    ]
}

/// The models see what they are there to see.
#[test]
fn each_rule_of_the_poller_is_needed() {
    each_rule_is_needed("each_rule_of_the_poller_is_needed", &broken_models());
}
