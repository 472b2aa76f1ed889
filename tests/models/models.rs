//! The hand-overs between threads under a model checker: every interleaving, not just those that happen.
//!
//! The files of the library are compiled here a second time, against loom's versions of the
//! primitives. A wake-up that could be lost shows as a deadlock, which loom reports with the steps that lead to it.

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// What `src/sync.rs` gives the hand-overs.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering, fence};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::sync::PoisonError;

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

#[path = "broken.rs"]
mod broken;
#[path = "../../src/engine/driving/budget.rs"]
#[allow(dead_code, reason = "what peers ask of it besides is tested with them")]
mod budget;
#[path = "../../src/engine/tempo/gathers.rs"]
mod gathers;
#[path = "../../src/engine/driving/left_notes.rs"]
mod left_notes;
#[path = "../../src/engine/driving/lingering.rs"]
mod lingering;
#[path = "../../src/engine/driving/mailbox.rs"]
#[allow(dead_code, reason = "the hint for calls is checked with the sockets")]
mod mailbox;
#[path = "../../src/engine/driving/presence.rs"]
#[allow(dead_code, reason = "what tasks need is checked in model_attention.rs")]
mod presence;
#[path = "../../src/engine/driving/question.rs"]
mod question;
#[path = "../../src/engine/inproc/shelf.rs"]
mod shelf;
#[path = "sleeper.rs"]
mod sleeper;

use broken::each_rule_is_needed;
use budget::{Budget, Share};
use gathers::Gathers;
use left_notes::{Left, LeftNotes};
use lingering::Lingering;
use mailbox::{Mailbox, Wake};
use presence::Presence;
use question::Question;
use shelf::Shelf;
use sleeper::Sleeper;

impl Wake for Sleeper {
    fn wake(&self) {
        Sleeper::wake(self);
    }
}

#[test]
fn mailbox_loses_no_note() {
    loom::model(|| {
        let sleeper = Sleeper::new();
        let mailbox = Arc::new(Mailbox::new(sleeper.clone()));
        let posters: Vec<_> = (0..2)
            .map(|note| {
                let mailbox = Arc::clone(&mailbox);
                thread::spawn(move || mailbox.post(note))
            })
            .collect();
        let mut taken = Vec::new();
        while taken.len() < 2 {
            sleeper.until_woken();
            taken.extend(mailbox.take());
        }
        for poster in posters {
            poster.join().expect("posted");
        }
        taken.sort_unstable();
        assert_eq!(taken, [0, 1]);
        assert!(!mailbox.has_notes());
        mailbox.wake();
        sleeper.until_woken();
    });
}

/// A note that is in no hurry wakes nobody who comes back anyway, and everybody else.
#[test]
fn mailbox_loses_no_note_that_can_wait() {
    loom::model(|| {
        let sleeper = Sleeper::new();
        let mailbox = Arc::new(Mailbox::new(sleeper.clone()));
        let poster = {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || mailbox.post_unhurried(7))
        };
        let mut taken = mailbox.take();
        if taken.is_empty() {
            mailbox.will_come_back();
            thread::yield_now();
            taken = mailbox.take();
        }
        if taken.is_empty() {
            sleeper.until_woken();
            taken = mailbox.take();
        }
        poster.join().expect("posted");
        assert_eq!(taken, [7]);
    });
}

/// Who is in a hurry wakes a driver that would have come back, too, and also behind somebody who was not.
#[test]
fn mailbox_holds_up_no_note_that_is_in_a_hurry() {
    loom::model(|| {
        let sleeper = Sleeper::new();
        let mailbox = Arc::new(Mailbox::new(sleeper.clone()));
        mailbox.will_come_back();
        mailbox.post_unhurried(0);
        let poster = {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || mailbox.post(1))
        };
        sleeper.until_woken();
        assert_eq!(mailbox.take(), [0, 1]);
        poster.join().expect("posted");
    });
}

/// A caller has messages gather twice, and writes them by itself once: what it leaves the caretaker finds, which locks only if there is something.
#[test]
fn nothing_that_gathers_is_forgotten() {
    loom::model(|| {
        let sleeper = Sleeper::new();
        let errands = Arc::new(Mailbox::new(sleeper.clone()));
        let socket = Arc::new((Mutex::new(0), Gathers::new()));
        let caller = {
            let (errands, socket) = (Arc::clone(&errands), Arc::clone(&socket));
            thread::spawn(move || {
                let (state, gathers) = &*socket;
                for writes_by_itself in [true, false] {
                    let mut left = sync::lock(state);
                    *left += 1;
                    gathers.set(true);
                    errands.post(());
                    drop(left);
                    if writes_by_itself {
                        let mut left = sync::lock(state);
                        *left = 0;
                        gathers.set(false);
                    }
                }
            })
        };
        let mut told = 0;
        while told < 2 {
            sleeper.until_woken();
            for () in errands.take() {
                told += 1;
                let (state, gathers) = &*socket;
                if gathers.is_set() {
                    let mut left = sync::lock(state);
                    *left = 0;
                    gathers.set(false);
                }
            }
        }
        caller.join().expect("sent");
        assert_eq!(*sync::lock(&socket.0), 0);
    });
}

/// A thread leaves messages on three sockets, each time before it writes on the one before, and then does something else. What the caretaker is not to look at
/// is written.
#[test]
fn what_a_thread_leaves_is_looked_at() {
    loom::model(|| {
        let sleeper = Sleeper::new();
        let errands = Arc::new(Mailbox::new(sleeper.clone()));
        let sockets: [Arc<Gathers>; 3] = std::array::from_fn(|_| Arc::new(Gathers::new()));
        let caller = {
            let (errands, sockets) = (Arc::clone(&errands), sockets.clone());
            thread::spawn(move || {
                for (id, gathers) in sockets.iter().enumerate() {
                    gathers.set(true);
                    errands.post(Left {
                        id,
                        writes: 0,
                        by: 7,
                    });
                    if let Some(before) = id.checked_sub(1) {
                        sockets[before].set(false);
                    }
                }
            })
        };
        let (mut last, mut notes) = (0, LeftNotes::default());
        while last < 2 {
            sleeper.until_woken();
            let told = errands.take();
            told.iter().for_each(|&left| notes.add(left));
            let kept = notes.take();
            for left in told {
                assert!(kept.contains(&left) || !sockets[left.id].is_set());
                last = left.id;
            }
        }
        caller.join().expect("sent");
        assert!(sockets[2].is_set());
    });
}

/// A note is taken back, or the driver gets it, and what is posted after it wakes the driver in either case.
#[test]
fn mailbox_note_is_taken_back_or_delivered() {
    loom::model(|| {
        let sleeper = Sleeper::new();
        let mailbox = Arc::new(Mailbox::new(sleeper.clone()));
        let poster = {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || {
                mailbox.post_unhurried(7);
                let back = mailbox.withdraw(|note| *note == 7);
                mailbox.post(8);
                back
            })
        };
        let mut taken = Vec::new();
        while !taken.contains(&8) {
            sleeper.until_woken();
            taken.extend(mailbox.take());
        }
        let back = poster.join().expect("posted");
        assert_eq!(back.is_none(), taken == [7, 8]);
        assert_eq!(back.is_some(), taken == [8]);
    });
}

/// A driver that waits for a verdict gets it, of two answers the one that was first, and one note for it.
#[test]
fn question_is_answered_once() {
    loom::model(|| {
        let question = Arc::new(Question::new());
        let mailbox = Arc::new(Mailbox::new(Sleeper::new()));
        let sleeper = Sleeper::new();
        let answers: Vec<_> = (0..2)
            .map(|answer| {
                let (question, mailbox) = (Arc::clone(&question), Arc::clone(&mailbox));
                let sleeper = sleeper.clone();
                thread::spawn(move || {
                    let first = question.answer(answer);
                    if first {
                        mailbox.post(());
                        sleeper.wake();
                    }
                    first
                })
            })
            .collect();
        sleeper.until_woken();
        assert_eq!(mailbox.take().len(), 1);
        let taken = question.take().expect("there before its note");
        assert_eq!(question.take(), None);
        assert!(!question.is_open());
        let first = answers
            .into_iter()
            .map(|answer| answer.join().expect("answered"));
        assert_eq!(first.collect::<Vec<_>>(), [taken == 0, taken == 1]);
    });
}

/// A question that is withdrawn while it is answered has its answer taken, or dropped; no answer is given after that.
#[test]
fn question_that_is_withdrawn_has_no_answer() {
    loom::model(|| {
        let question = Arc::new(Question::new());
        let notes = Arc::new(AtomicUsize::new(0));
        let answer = {
            let (question, notes) = (Arc::clone(&question), Arc::clone(&notes));
            thread::spawn(move || {
                if question.answer(7) {
                    notes.fetch_add(1, Ordering::SeqCst);
                }
            })
        };
        let noted = notes.load(Ordering::SeqCst) == 1;
        let taken = question.take();
        assert!(taken.is_some() || !noted, "a note, and no answer");
        question.withdraw();
        assert_eq!(question.take(), None);
        assert!(!question.answer(8), "answered when nobody asks any more");
        answer.join().expect("answered");
        assert_eq!(question.take(), None);
    });
}

/// Memory is on the shelf or with a message, never with two; what comes back when it is no longer wanted goes.
#[test]
fn shelf_keeps_what_comes_back_until_it_is_cleared() {
    const LEN: usize = 10;
    loom::model(|| {
        let shelf = Shelf::default();
        let message = shelf.copy(&[1; LEN]);
        let reader = thread::spawn(move || {
            assert_eq!(message, [1; LEN][..]);
            drop(message);
        });
        let next = shelf.copy(&[2; LEN]);
        let before = shelf.bytes();
        assert!(before == 0 || before == LEN);
        reader.join().expect("read");
        assert_eq!(next, [2; LEN][..]);
        let other = thread::spawn(move || drop(next));
        shelf.clear();
        other.join().expect("dropped");
        assert_eq!(shelf.bytes(), 0);
    });
}

#[test]
fn presence_parks_nobody_unseen() {
    loom::model(|| {
        let presence = Arc::new(Presence::new());
        presence.touch();
        presence.enter_seat();
        let caller = {
            let presence = Arc::clone(&presence);
            thread::spawn(move || {
                let first = presence.leave_seat();
                presence.enter_seat();
                let second = presence.leave_seat();
                usize::from(first) + usize::from(second)
            })
        };
        let seen = presence.look();
        let parked = seen.seat_taken() && presence.park(seen);
        let told = caller.join().expect("left");
        if parked {
            assert!(told > 0, "parked, the seat empty, and nobody was told");
        }
    });
}

/// Work left behind under the lock is driven by the caretaker, which watches first and drives then, or told to it.
#[test]
fn presence_forgets_no_work() {
    loom::model(|| {
        let presence = Arc::new(Presence::new());
        let work = Arc::new(Mutex::new(0));
        assert!(presence.lease());
        let caller = {
            let (presence, work) = (Arc::clone(&presence), Arc::clone(&work));
            thread::spawn(move || {
                let mut work = sync::lock(&work);
                *work += 1;
                presence.report_work()
            })
        };
        presence.watch();
        let driven = std::mem::take(&mut *sync::lock(&work));
        let told = caller.join().expect("left work behind");
        assert!(driven == 1 || told, "nobody knows of the work");
    });
}

/// What the caretaker asks for, a call of the application does; if none comes, or it overlooks the hint, the caretaker does it
/// when it looks again.
#[test]
fn presence_is_answered_or_the_caretaker_drives() {
    loom::model(|| {
        let presence = Arc::new(Presence::new());
        let mailbox: Arc<Mailbox<(), Sleeper>> = Arc::new(Mailbox::new(Sleeper::new()));
        let work = Arc::new(Mutex::new(1));
        let caller = {
            let (presence, mailbox) = (Arc::clone(&presence), Arc::clone(&mailbox));
            let work = Arc::clone(&work);
            thread::spawn(move || {
                for _ in 0..2 {
                    let mut work = sync::lock(&work);
                    if mailbox.has_notes() && presence.take_delegated() {
                        mailbox.take();
                        *work = 0;
                    }
                }
            })
        };
        for _ in 0..2 {
            if presence.delegate() {
                mailbox.set_pending();
            } else {
                *sync::lock(&work) = 0;
            }
        }
        caller.join().expect("made its calls");
        assert_eq!(*sync::lock(&work), 0, "asked for and forgotten");
    });
}

/// What a call has no time for when it is asked, the caretaker does when it looks again; and may ask again when it is done.
#[test]
fn presence_puts_nothing_off_for_ever() {
    loom::model(|| {
        let presence = Arc::new(Presence::new());
        let work = Arc::new(Mutex::new(2));
        assert!(presence.delegate());
        let caller = {
            let (presence, work) = (Arc::clone(&presence), Arc::clone(&work));
            thread::spawn(move || {
                let mut work = sync::lock(&work);
                if presence.take_delegated() {
                    *work -= 1;
                    if *work > 0 {
                        presence.return_rest();
                    }
                }
            })
        };
        // Two looks: at the first the call may not have come yet.
        for _ in 0..2 {
            if !presence.delegate() {
                *sync::lock(&work) = 0;
                presence.clear_delegated();
            }
        }
        caller.join().expect("called");
        if *sync::lock(&work) > 0 {
            assert!(!presence.delegate(), "put off and forgotten");
        }
    });
}

/// The rules of the driver's seat (`src/engine/driving/core.rs`), in small: two callers wait for a message each, one in the
/// seat and one on the condition variable; one message comes by the kernel, the other by a third thread.
struct Socket {
    rules: Rules,
    state: Mutex<State>,
    changed: Condvar,
    seat: Mutex<()>,
    seat_taken: AtomicBool,
    poll: Sleeper,
    kernel: AtomicUsize,
}

/// The rules; each can be left out, to see that it is needed and that the model would notice.
#[derive(Clone, Copy)]
struct Rules {
    /// The seat is given up under the state lock.
    seat_under_lock: bool,
    /// Who has driven tells those who wait.
    notify_waiters: bool,
    /// Who has changed the state from elsewhere wakes the one in the seat.
    wake_seat: bool,
}

const ALL_RULES: Rules = Rules {
    seat_under_lock: true,
    notify_waiters: true,
    wake_seat: true,
};

#[derive(Default)]
struct State {
    messages: usize,
    waiters: usize,
}

impl Socket {
    fn new(rules: Rules) -> Socket {
        Socket {
            rules,
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            seat: Mutex::new(()),
            seat_taken: AtomicBool::new(false),
            poll: Sleeper::new(),
            kernel: AtomicUsize::new(0),
        }
    }

    /// The kernel has a message, and says so once.
    fn deliver(&self) {
        self.kernel.fetch_add(1, Ordering::SeqCst);
        self.poll.wake();
    }

    fn read(&self, state: &mut State) {
        state.messages += self.kernel.swap(0, Ordering::SeqCst);
    }

    fn recv(&self) {
        let mut state = sync::lock(&self.state);
        let mut kept_seat = None;
        loop {
            if state.messages > 0 {
                state.messages -= 1;
                drop(state);
                if kept_seat.is_some() {
                    // Loom switches threads at such a step, and not where a lock is given up.
                    self.kernel.load(Ordering::SeqCst);
                }
                return drop(kept_seat);
            }
            drop(kept_seat.take());
            match self.seat.try_lock() {
                Ok(seat) => {
                    self.seat_taken.store(true, Ordering::SeqCst);
                    drop(state);
                    self.poll.until_woken();
                    state = sync::lock(&self.state);
                    self.seat_taken.store(false, Ordering::SeqCst);
                    self.read(&mut state);
                    if self.rules.seat_under_lock {
                        drop(seat);
                    } else {
                        kept_seat = Some(seat);
                    }
                    if state.waiters > 0 && self.rules.notify_waiters {
                        self.changed.notify_all();
                    }
                }
                Err(_) => {
                    state.waiters += 1;
                    state = self.changed.wait(state).expect("nobody panics");
                    state.waiters -= 1;
                }
            }
        }
    }

    /// A thread that neither waits nor sits in the seat makes happen what others wait for, and the kernel has nothing
    /// to say of it: it reads from a peer whose edge is spent, or makes room by writing.
    fn produce_in_passing(&self) {
        let mut state = sync::lock(&self.state);
        state.messages += 1;
        if state.waiters > 0 {
            self.changed.notify_all();
        }
        if self.rules.wake_seat && self.seat_taken.load(Ordering::SeqCst) {
            self.poll.wake();
        }
    }
}

/// Two callers; one message comes by the kernel, the other as `second` says.
fn check_seat(rules: Rules, second: Second) {
    let mut model = loom::model::Builder::new();
    // More switches than two between three threads add minutes, and have found nothing.
    model.preemption_bound = Some(2);
    model.check(move || {
        let socket = Arc::new(Socket::new(rules));
        let caller = {
            let socket = Arc::clone(&socket);
            thread::spawn(move || socket.recv())
        };
        let sender = {
            let socket = Arc::clone(&socket);
            thread::spawn(move || {
                socket.deliver();
                second(&socket);
            })
        };
        // The other caller: waiting here costs none of the switches that are counted.
        socket.recv();
        caller.join().expect("received");
        sender.join().expect("sent");
    });
}

#[test]
fn seat_loses_no_wake_up() {
    check_seat(ALL_RULES, Socket::deliver);
    check_seat(ALL_RULES, Socket::produce_in_passing);
}

/// Makes a second message come, in a way that shows whether a rule is needed.
type Second = fn(&Socket);

/// The model without each of its rules.
fn broken_models() -> [(&'static str, Rules, Second); 3] {
    let mut broken = [ALL_RULES; 3];
    broken[0].seat_under_lock = false;
    broken[1].notify_waiters = false;
    broken[2].wake_seat = false;
    [
        ("seat_under_lock", broken[0], Socket::deliver),
        ("notify_waiters", broken[1], Socket::deliver),
        ("wake_seat", broken[2], Socket::produce_in_passing),
    ]
}

/// The model sees what it is there to see.
#[test]
fn each_rule_of_the_seat_is_needed() {
    let models = broken_models().map(|(rule, rules, second)| {
        let run: fn(_) = |(rules, second)| check_seat(rules, second);
        (rule, (rules, second), run)
    });
    each_rule_is_needed("each_rule_of_the_seat_is_needed", &models);
}

/// Who drops the context waits until each socket that lingers is closed, whichever is closed last.
#[test]
fn lingering_is_waited_for() {
    loom::model(|| {
        let lingering = Arc::new(Lingering::default());
        let closed = Arc::new(AtomicUsize::new(0));
        let drivers: Vec<_> = (0..2)
            .map(|_| {
                // By the thread that closes the socket, which is the one that then drops the context.
                lingering.add();
                let (lingering, closed) = (Arc::clone(&lingering), Arc::clone(&closed));
                thread::spawn(move || {
                    closed.fetch_add(1, Ordering::Relaxed);
                    lingering.remove();
                })
            })
            .collect();
        lingering.wait();
        assert_eq!(closed.load(Ordering::Relaxed), 2);
        for driver in drivers {
            driver.join().expect("closed");
        }
    });
}

/// Of two that find no more, one has the reserve at a time, and who comes after it can have it.
#[test]
fn one_share_at_a_time_has_the_reserve() {
    loom::model(|| {
        let budget = std::sync::Arc::new(Budget::new(4));
        let mut all = Share::new(std::sync::Arc::clone(&budget));
        assert!(all.set(3) && !all.set(4), "a quarter is kept back");
        let having = std::sync::Arc::new(AtomicUsize::new(0));
        let asking: Vec<_> = (0..2)
            .map(|_| {
                let budget = std::sync::Arc::clone(&budget);
                let having = std::sync::Arc::clone(&having);
                thread::spawn(move || {
                    let mut share = Share::new(budget);
                    assert!(!share.set(1), "none is left");
                    let granted = share.set_from_reserve(1);
                    if granted {
                        assert_eq!(having.fetch_add(1, Ordering::Relaxed), 0);
                        assert_eq!(share.budget().used(), 4);
                        having.fetch_sub(1, Ordering::Relaxed);
                    }
                    drop(share);
                    granted
                })
            })
            .collect();
        let granted = asking
            .into_iter()
            .map(|thread| thread.join().expect("asked"))
            .filter(|granted| *granted)
            .count();
        assert!(granted >= 1, "the reserve was there for one of them");
        assert!(!all.set_from_reserve(2), "it is longer than the reserve");
        assert!(Share::new(std::sync::Arc::clone(&budget)).set_from_reserve(1));
        assert_eq!(budget.used(), 3);
    });
}

/// Of two that ask for more than there is together, they never have too much at once, one gets what it wants, and all of it comes back.
#[test]
fn shares_of_a_budget_are_never_more_than_it() {
    loom::model(|| {
        let budget = std::sync::Arc::new(Budget::new(3));
        let asking: Vec<_> = [2, 2]
            .into_iter()
            .map(|bytes| {
                let budget = std::sync::Arc::clone(&budget);
                thread::spawn(move || {
                    let mut share = Share::new(budget);
                    let granted = share.set(bytes);
                    let used = share.budget().used();
                    assert!(used <= 3 && (!granted || used >= bytes), "{used} in use");
                    share.shrink(1);
                    granted
                })
            })
            .collect();
        let granted = asking
            .into_iter()
            .map(|thread| thread.join().expect("asked"))
            .filter(|granted| *granted)
            .count();
        assert!(granted >= 1, "there was enough for one of them");
        assert_eq!(budget.used(), 0);
    });
}
