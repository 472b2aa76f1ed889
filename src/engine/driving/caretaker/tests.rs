use std::os::fd::{AsRawFd, RawFd};

use super::super::presence::Presence;
use super::*;
use crate::{Context, Pull, Push};

/// For what must happen soon.
const DEADLINE: Duration = Duration::from_secs(20);

/// A socket that is never there but for a timer.
struct Idle {
    presence: Presence,
    fd: RawFd,
    every: Duration,
    driven: AtomicUsize,
}

impl Driven for Idle {
    fn poll_fd(&self) -> RawFd {
        self.fd
    }
    fn presence(&self) -> &Presence {
        &self.presence
    }
    fn drive(&self) -> Drove {
        self.driven.fetch_add(1, Ordering::Relaxed);
        Drove::Done {
            timer: Some(Instant::now() + self.every),
            leftover: None,
            behind: false,
        }
    }
    fn ask(&self) -> bool {
        false
    }
    fn relieve(&self, _seen: Seen) -> Relief {
        Relief::Done
    }
    fn fall_idle(&self) {}
    fn wake(&self) {}
}

/// The time that a thousand wake-ups for one socket take, while so many others have their timers much later.
fn thousand_wake_ups(others: usize) -> Duration {
    const HOUR: Duration = Duration::from_secs(3600);
    let poll = Poll::new().unwrap();
    let errands = Arc::new(Mailbox::new(PollWaker::new(poll.registry()).unwrap()));
    let mut rounds = Rounds::new(poll, errands);
    // One descriptor stands for all: none has events.
    let silent = Poll::new().unwrap();
    let socket = |every| {
        Arc::new(Idle {
            presence: Presence::new(),
            fd: silent.as_raw_fd(),
            every,
            driven: AtomicUsize::new(0),
        })
    };
    for id in 0..others {
        rounds.errand(Errand::Watch(id, socket(HOUR)));
    }
    let busy = socket(Duration::ZERO);
    rounds.errand(Errand::Watch(others, Arc::clone(&busy) as _));
    let start = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(rounds.next_due(), Some(Duration::ZERO));
        rounds.due(Instant::now());
    }
    let took = start.elapsed();
    assert_eq!(busy.driven.load(Ordering::Relaxed), 1_001);
    took
}

#[test]
fn a_wake_up_costs_the_same_with_ten_thousand_sockets() {
    let least = |others| (0..5).map(|_| thousand_wake_ups(others)).min().unwrap();
    let (few, many) = (least(10), least(10_000));
    println!("1,000 wake-ups with 10 sockets {few:?}, with 10,000 {many:?}");
    assert!(
        many < few * 10,
        "{few:?} with 10 sockets, {many:?} with 10,000"
    );
}

#[test]
fn works_as_long_as_there_is_a_socket_and_no_longer() {
    let context = Context::new();
    let (pull, push) = (
        Pull::new(&context).unwrap(),
        Push::with_options(&context, crate::Options::new().linger(DEADLINE)).unwrap(),
    );
    let errands = Arc::downgrade(&context.inner().caretaker().unwrap().errands);
    drop(context);
    // Nobody but the caretaker accepts and shakes hands for a PUSH that nobody calls.
    let endpoint = push.bind("tcp://127.0.0.1:*").unwrap();
    pull.connect(&endpoint).unwrap();
    pull.wait_for_peers(1, DEADLINE).unwrap();
    push.send_timeout("last", DEADLINE).unwrap();
    drop(push);
    assert_eq!(pull.recv_timeout(DEADLINE).unwrap(), "last");
    assert!(errands.strong_count() > 0);
    drop(pull);
    let start = Instant::now();
    while errands.strong_count() > 0 {
        assert!(start.elapsed() < DEADLINE, "the thread goes on");
        std::thread::yield_now();
    }
}
