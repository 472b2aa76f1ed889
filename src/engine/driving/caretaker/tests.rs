use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::AtomicBool;

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
    /// How long it takes to drive it.
    takes: Duration,
    driven: AtomicUsize,
    gathers: AtomicBool,
    flushed: AtomicUsize,
    fallen_idle: AtomicUsize,
}

impl Driven for Idle {
    fn poll_fd(&self) -> RawFd {
        self.fd
    }
    fn presence(&self) -> &Presence {
        &self.presence
    }
    fn drive(&self, now: &mut Instant) -> DriveOutcome {
        self.driven.fetch_add(1, Ordering::Relaxed);
        *now += self.takes;
        DriveOutcome::Done {
            timer: Some(*now + self.every),
            leftover: None,
            behind: false,
        }
    }
    fn delegate(&self) -> bool {
        false
    }
    fn gathers(&self) -> bool {
        self.gathers.load(Ordering::Relaxed)
    }
    fn flush(&self, _seen: Seen, _now: &mut Instant) -> FlushOutcome {
        self.flushed.fetch_add(1, Ordering::Relaxed);
        FlushOutcome::Done
    }
    fn release_memory(&self) {
        self.fallen_idle.fetch_add(1, Ordering::Relaxed);
    }
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
            takes: Duration::ZERO,
            driven: AtomicUsize::new(0),
            gathers: AtomicBool::new(false),
            flushed: AtomicUsize::new(0),
            fallen_idle: AtomicUsize::new(0),
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
        rounds.due();
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

/// As where the system has no memory to watch it with.
#[test]
fn a_socket_that_cannot_be_watched_is_looked_at_again_and_again() {
    let (mut rounds, _, _silent) = with_one_socket();
    // A descriptor of a kind that nobody can wait for.
    let file = std::fs::File::open("/dev/null").unwrap();
    let socket = Arc::new(Idle {
        presence: Presence::new(),
        fd: file.as_raw_fd(),
        every: Duration::from_secs(3600),
        takes: Duration::ZERO,
        driven: AtomicUsize::new(0),
        gathers: AtomicBool::new(false),
        flushed: AtomicUsize::new(0),
        fallen_idle: AtomicUsize::new(0),
    });
    rounds.errand(Errand::Watch(7, Arc::clone(&socket) as _));
    for round in 1..=3 {
        assert_eq!(socket.driven.load(Ordering::Relaxed), round);
        let unwatched = |rounds: &Rounds| rounds.sockets[&7].unwatched;
        let at = unwatched(&rounds).expect("another attempt");
        assert!(rounds.next_due().is_some_and(|due| due <= UNWATCHED_PERIOD));
        rounds.now = at;
        rounds.due();
        assert!(unwatched(&rounds).is_some_and(|next| next > at));
    }
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

/// A caretaker with one socket, whose timers are far off.
fn with_one_socket() -> (Rounds, Arc<Idle>, Poll) {
    let (rounds, [socket], silent) = with_sockets(Duration::ZERO);
    (rounds, socket, silent)
}

/// A caretaker with so many sockets, whose timers are far off, and which take so long to drive.
fn with_sockets<const N: usize>(takes: Duration) -> (Rounds, [Arc<Idle>; N], Poll) {
    const HOUR: Duration = Duration::from_secs(3600);
    let poll = Poll::new().unwrap();
    let errands = Arc::new(Mailbox::new(PollWaker::new(poll.registry()).unwrap()));
    let mut rounds = Rounds::new(poll, errands);
    let silent = Poll::new().unwrap();
    let sockets = std::array::from_fn(|id| {
        let socket = Arc::new(Idle {
            presence: Presence::new(),
            fd: silent.as_raw_fd(),
            every: HOUR,
            takes,
            driven: AtomicUsize::new(0),
            gathers: AtomicBool::new(false),
            flushed: AtomicUsize::new(0),
            fallen_idle: AtomicUsize::new(0),
        });
        rounds.errand(Errand::Watch(id, Arc::clone(&socket) as _));
        socket
    });
    (rounds, sockets, silent)
}

/// An application is left alone for a whole period, however long the caretaker was busy with other sockets since it woke up.
#[test]
fn leases_begin_when_it_comes_to_the_socket() {
    const TAKES: Duration = Duration::from_millis(3);
    let (mut rounds, [first, second], _silent) = with_sockets(TAKES);
    let woken = rounds.now;
    for (id, socket) in [&first, &second].into_iter().enumerate() {
        socket.presence.touch();
        rounds.event(id);
    }
    let leased = [0, 1].map(|id| rounds.sockets[&id].mode);
    // The second comes up when the first has been driven.
    assert_eq!(
        leased,
        [0, 1].map(|n| Mode::Leased(woken + n * TAKES + PERIOD))
    );
    // By now the first lease is over, and the second is not.
    rounds.due();
    let driven = [first, second].map(|socket| socket.driven.load(Ordering::Relaxed));
    assert_eq!(driven, [3, 2]);
}

/// An active application is left to itself; but if its tasks wait, nobody else hears of events.
#[test]
fn watches_a_socket_that_tasks_wait_for() {
    let (mut rounds, socket, _silent) = with_one_socket();
    let mode = |rounds: &Rounds| rounds.sockets[&0].mode;
    socket.presence.touch();
    assert!(!socket.presence.tasks_wait(), "it is watched already");
    rounds.event(0);
    assert_eq!(mode(&rounds), Mode::Watched);
    socket.presence.no_task_waits();
    rounds.event(0);
    assert!(matches!(mode(&rounds), Mode::Leased(_)));
    // A caller in the seat hears of them, and says so when it leaves.
    socket.presence.enter_seat();
    assert!(!socket.presence.tasks_wait());
    assert!(!socket.presence.leave_seat());
    assert!(socket.presence.request_watch());
    assert!(!socket.presence.request_watch(), "told once");
    let driven = socket.driven.load(Ordering::Relaxed);
    rounds.errand(Errand::TakeOver(0));
    assert_eq!(mode(&rounds), Mode::Watched);
    rounds.due();
    assert_eq!(socket.driven.load(Ordering::Relaxed), driven + 1);
}

/// A socket that only tasks use gives its spare memory back when they are done, and then needs no more looks.
#[test]
fn looks_whether_tasks_have_gone_quiet() {
    let (mut rounds, socket, _silent) = with_one_socket();
    socket.presence.touch();
    let _ = socket.presence.tasks_wait();
    rounds.event(0);
    assert_falls_idle_once(&mut rounds, &socket);
}

/// Looks at a socket that is active once more, and then quiet: it gives its spare memory back once, and needs no more looks.
fn assert_falls_idle_once(rounds: &mut Rounds, socket: &Idle) {
    let at_first = socket.fallen_idle.load(Ordering::Relaxed);
    let fallen_idle = || socket.fallen_idle.load(Ordering::Relaxed) - at_first;
    rounds.now += 2 * PERIOD;
    socket.presence.touch();
    rounds.due();
    assert_eq!(fallen_idle(), 0, "it is still active");
    for _ in 0..3 {
        rounds.now += 2 * PERIOD;
        rounds.due();
    }
    assert_eq!(fallen_idle(), 1);
    assert!(rounds.next_due().is_some_and(|due| due > 100 * PERIOD));
}

/// What it reads and writes by itself, while the application is elsewhere, leaves no spare memory behind.
#[test]
fn keeps_no_spare_memory_where_it_works_alone() {
    let (mut rounds, socket, _silent) = with_one_socket();
    let fallen_idle = || socket.fallen_idle.load(Ordering::Relaxed);
    assert_eq!(fallen_idle(), 1, "after the first look at it");
    for _ in 0..3 {
        rounds.event(0);
    }
    assert_eq!(fallen_idle(), 1, "there may be more to come");
    rounds.now += 2 * PERIOD;
    rounds.due();
    assert_eq!(fallen_idle(), 2, "nothing has come");
    rounds.event(0);
    assert_eq!(fallen_idle(), 3, "nor is that likely");
    rounds.now += 2 * PERIOD;
    socket.presence.touch();
    rounds.event(0);
    assert_eq!(fallen_idle(), 3, "the application may go on");
}

/// Nor does what the application has left to it to be written.
#[test]
fn looks_whether_a_sender_has_gone_quiet() {
    let (mut rounds, socket, _silent) = with_one_socket();
    socket.presence.touch();
    rounds.errand(Errand::Gathering(0, 1));
    assert_falls_idle_once(&mut rounds, &socket);
}

/// What a thread is likely to write by itself it is given time for.
#[test]
fn looks_later_after_who_writes_by_itself() {
    let (mut rounds, socket, _silent) = with_one_socket();
    let flushed = || socket.flushed.load(Ordering::Relaxed);
    let gathers = |gathers| socket.gathers.store(gathers, Ordering::Relaxed);
    gathers(true);
    let left = |writes| {
        Errand::Left(Left {
            id: 0,
            writes,
            by: 0,
        })
    };
    rounds.errand(left(1));
    rounds.due();
    assert_eq!(flushed(), 0);
    assert!(rounds.next_due().is_some_and(|due| due <= TICK));
    rounds.errand(left(2));
    rounds.now += TICK;
    rounds.due();
    assert_eq!(flushed(), 1, "and not for what has been left since");
    gathers(false);
    rounds.now += TICK;
    rounds.due();
    assert_eq!(flushed(), 1, "it has been written");
    assert_eq!(rounds.left_due, None);
    rounds.errand(Errand::Gathering(0, 3));
    assert_eq!(flushed(), 2, "at once");
}

/// Where sockets come and go, none of them has to wake it; where none does, nothing does.
#[test]
fn comes_back_a_few_times_after_a_socket_has_come() {
    let (mut rounds, _socket, _silent) = with_one_socket();
    for _ in 0..PERIODS_AFTER {
        assert_eq!(rounds.next_wake_up(), Some(PERIOD));
    }
    // With the last of them it looks whether the socket has memory to spare.
    rounds.now += PERIODS_AFTER * PERIOD;
    rounds.due();
    assert!(rounds.next_wake_up().is_some_and(|due| due > 100 * PERIOD));
}

/// What is sent right after connecting may be written by the caller itself, with memory that nobody else would hear of.
#[test]
fn takes_back_spare_memory_soon_after_a_socket_has_come() {
    let (mut rounds, socket, _silent) = with_one_socket();
    let idle = || socket.fallen_idle.load(Ordering::Relaxed);
    let at_first = idle();
    socket.presence.touch();
    for _ in 0..2 {
        assert_eq!(idle(), at_first, "it was active since the last look");
        rounds.now += PERIODS_AFTER * PERIOD;
        rounds.due();
    }
    assert_eq!(idle(), at_first + 1);
}

/// A socket that is closed before the caretaker has heard of it costs it nothing; one that it knows it is told of.
#[test]
fn never_hears_of_what_is_gone_before_it_looks() {
    let (rounds, socket, _silent) = with_one_socket();
    let caretaker = Caretaker {
        errands: Arc::clone(&rounds.errands),
        next_id: AtomicUsize::new(1),
    };
    let held = Arc::strong_count(&socket);
    rounds.errands.will_come_back();
    for id in 1..3 {
        caretaker.watch(id, Arc::clone(&socket) as _, true);
    }
    caretaker.forget(1);
    assert_eq!(Arc::strong_count(&socket), held + 1);
    let errands = rounds.errands.take();
    assert!(matches!(errands[..], [Errand::Watch(2, _)]));
    caretaker.forget(2);
    let errands = rounds.errands.take();
    assert!(matches!(errands[..], [Errand::Drive(2)]));
}
