//! The wakers of tasks are code of the application that the library runs: they may panic and use the very socket, and never run
//! under a lock.

mod common {
    pub(crate) mod block_on;
    pub(crate) mod by_hand;
    pub(crate) mod deadline;
}

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use zerohop::{Context, Dealer, Delivery, Message, Options, Pull, Push, Router, Settled};

use common::block_on::block_on;
use common::by_hand::{Count, begin};
use common::deadline::DEADLINE;

fn pair_of(context: &Context) -> (Push, Pull) {
    let options = Options::new().linger(Duration::ZERO);
    let push = Push::with_options(context, options.clone()).expect("a PUSH");
    let pull = Pull::with_options(context, options).expect("a PULL");
    push.connect(pull.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    (push, pull)
}

fn pair() -> (Push, Pull) {
    pair_of(&Context::new())
}

fn until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < end, "never: {what}");
        thread::yield_now();
    }
}

/// A waker that does something when it is woken, once.
struct Does<F: Fn() + Send + Sync>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Does<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn waker(does: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Does(does)))
}

/// Wakers that panic end neither the background thread nor the call that wakes them, and the other tasks are woken all the same.
#[test]
fn a_waker_that_panics_harms_nobody() {
    let context = Context::new();
    let (push, pull) = pair_of(&context);
    let panicked = Arc::new(AtomicUsize::new(0));
    for round in 0..3_usize {
        let mut panics = Box::pin(pull.recv_async());
        let panicking = {
            let panicked = Arc::clone(&panicked);
            waker(move || {
                panicked.fetch_add(1, Ordering::SeqCst);
                panic!("to be borne");
            })
        };
        begin(panics.as_mut(), &panicking);
        push.send("one").expect("sent");
        until("panicked", || panicked.load(Ordering::SeqCst) == round + 1);
        push.send("two").expect("sent");
        let first = block_on(pull.recv_async()).expect("a message");
        let second = block_on(panics).expect("a message");
        assert_eq!((first, second), (Message::from("one"), "two".into()));
    }
    // All at once, in the thread that shuts the socket down.
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(pull.recv_async())).collect();
    for future in &mut waiting {
        let panicked = Arc::clone(&panicked);
        let panicking = waker(move || {
            panicked.fetch_add(1, Ordering::SeqCst);
            panic!("to be borne");
        });
        begin(future.as_mut(), &panicking);
    }
    pull.shutdown();
    assert_eq!(panicked.load(Ordering::SeqCst), 6);
    drop(waiting);
    // The background thread of the context still accepts and shakes hands.
    let (push, pull) = pair_of(&context);
    push.send("after").expect("sent");
    assert_eq!(block_on(pull.recv_async()).expect("a message"), "after");
}

/// A waker that uses the socket it waits for: it holds no lock, so this neither blocks nor fails.
#[test]
fn a_waker_may_use_the_socket_it_waits_for() {
    let (push, pull) = pair();
    let (push, pull) = (Arc::new(push), Arc::new(pull));
    let (tell, told) = channel();
    let uses = {
        let (push, pull) = (Arc::clone(&push), Arc::clone(&pull));
        let tell = Mutex::new(tell);
        waker(move || {
            let received = pull.try_recv();
            // Another future of the same socket waits and is dropped, in here.
            let mut other = Box::pin(pull.recv_async());
            begin(other.as_mut(), &Waker::from(Arc::new(Count::default())));
            drop(other);
            let _ = pull.stats();
            push.send_timeout("from the waker", DEADLINE).expect("sent");
            let _ = tell.lock().expect("a sender").send(received);
        })
    };
    let mut future = Box::pin(pull.recv_async());
    begin(future.as_mut(), &uses);
    push.send("one").expect("sent");
    let received = told.recv_timeout(DEADLINE).expect("woken");
    assert_eq!(received.expect("a message"), "one");
    drop(future);
    assert_eq!(
        pull.recv_timeout(DEADLINE).expect("a message"),
        "from the waker"
    );
}

/// A waker whose clone and whose drop use the socket, too.
#[test]
fn a_waker_may_use_the_socket_when_it_is_cloned_and_dropped() {
    struct Uses {
        pull: OnceLock<Arc<Pull>>,
        used: AtomicUsize,
    }
    impl Wake for Uses {
        fn wake(self: Arc<Self>) {}
    }
    struct InDrop(Arc<Uses>);
    impl Wake for InDrop {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for InDrop {
        fn drop(&mut self) {
            if let Some(pull) = self.0.pull.get() {
                let _ = pull.stats();
                self.0.used.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
    let (push, pull) = pair();
    let pull = Arc::new(pull);
    let uses = Arc::new(Uses {
        pull: OnceLock::new(),
        used: AtomicUsize::new(0),
    });
    assert!(uses.pull.set(Arc::clone(&pull)).is_ok());
    let in_drop = || Waker::from(Arc::new(InDrop(Arc::clone(&uses))));
    let used = |times| until("dropped", || uses.used.load(Ordering::SeqCst) == times);
    let mut future = Box::pin(pull.recv_async());
    // Replaced by another one …
    begin(future.as_mut(), &in_drop());
    begin(future.as_mut(), &in_drop());
    used(1);
    // … dropped with its future …
    drop(future);
    used(2);
    // … woken, or no longer needed.
    let mut future = Box::pin(pull.recv_async());
    begin(future.as_mut(), &in_drop());
    push.send("one").expect("sent");
    used(3);
    assert_eq!(block_on(future).expect("a message"), "one");
    drop(uses);
}

/// A task that begins to wait for an answer writes what has gathered by itself: the background thread is held up here.
#[test]
fn what_has_gathered_leaves_before_its_task_waits() {
    const COUNT: u64 = 200;
    let (context, others) = (Context::new(), Context::new());
    let options = Options::new().linger(Duration::ZERO);
    let (dealer, pull) = (
        Dealer::with_options(&context, options.clone()).expect("a DEALER"),
        Pull::with_options(&context, options.clone()).expect("a PULL"),
    );
    let (router, push) = (
        Router::with_options(&others, options.clone()).expect("a ROUTER"),
        Push::with_options(&others, options).expect("a PUSH"),
    );
    dealer
        .connect(router.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    push.connect(pull.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    dealer.wait_for_peers(1, DEADLINE).expect("connected");
    let (held, is_held) = channel();
    let (release, released) = channel::<()>();
    let holds = {
        let (held, released) = (Mutex::new(held), Mutex::new(released));
        waker(move || {
            let _ = held.lock().expect("a sender").send(());
            let _ = released.lock().expect("a receiver").recv();
        })
    };
    let mut holding = Box::pin(pull.recv_async());
    begin(holding.as_mut(), &holds);
    push.send("stay there").expect("sent");
    is_held.recv_timeout(DEADLINE).expect("held up");

    for number in 0..COUNT {
        block_on(dealer.send_async(number.to_be_bytes())).expect("sent");
    }
    let mut answer = Box::pin(dealer.recv_async());
    begin(answer.as_mut(), &Waker::from(Arc::new(Count::default())));
    for number in 0..COUNT {
        let incoming = router.recv_timeout(DEADLINE).expect("a question");
        assert_eq!(incoming.message, number.to_be_bytes());
    }
    drop(release);
}

/// A future that is polled again by another task wakes that one.
#[test]
fn the_last_waker_counts() {
    let (push, pull) = pair();
    let counts = [(); 2].map(|()| Arc::new(Count::default()));
    let mut future = Box::pin(pull.recv_async());
    for count in &counts {
        begin(future.as_mut(), &Waker::from(Arc::clone(count)));
    }
    push.send("one").expect("sent");
    until("woken", || counts[1].times() == 1);
    assert_eq!(counts[0].times(), 0);
    assert_eq!(block_on(future).expect("a message"), "one");
}

/// What is settled wakes the tasks that wait for just that: each would look at each settlement otherwise.
#[test]
fn a_settlement_wakes_those_who_wait_for_it() {
    const RECEIPTS: usize = 500;
    let context = Context::new();
    let options = Options::new().delivery(Delivery::at_least_once().window(RECEIPTS as u32));
    let push =
        Push::with_options(&context, options.clone().linger(Duration::ZERO)).expect("a PUSH");
    let pull = Pull::with_options(&context, options).expect("a PULL");
    push.connect(pull.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    let receipts: Vec<_> = (0..RECEIPTS)
        .map(|number| push.send_later(number.to_string()).expect("sent"))
        .collect();
    let mut jobs: Vec<_> = (0..RECEIPTS)
        .map(|_| pull.recv_job_timeout(DEADLINE).expect("a job"))
        .collect();
    let counts: Vec<_> = (0..RECEIPTS).map(|_| Arc::new(Count::default())).collect();
    let wakers: Vec<_> = counts.iter().cloned().map(Waker::from).collect();
    // The one that is settled first has two, and one that was given up.
    let first = RECEIPTS / 2;
    let mut futures: Vec<_> = receipts
        .iter()
        .zip(&wakers)
        .map(|(receipt, waker)| {
            let mut future = Box::pin(receipt.settled_async());
            begin(future.as_mut(), waker);
            future
        })
        .collect();
    let second = Arc::new(Count::default());
    let mut other = Box::pin(receipts[first].settled_async());
    begin(other.as_mut(), &Waker::from(Arc::clone(&second)));
    let given_up = Arc::new(Count::default());
    begin(
        Box::pin(receipts[first].settled_async()).as_mut(),
        &Waker::from(Arc::clone(&given_up)),
    );
    jobs.remove(first).settle().expect("settled");
    until("the first", || counts[first].times() + second.times() == 2);
    assert_eq!((counts[first].times(), given_up.times()), (1, 0));
    let woken: usize = counts.iter().map(|count| count.times()).sum();
    assert_eq!(woken, 1, "of those that wait for others");
    assert_eq!(block_on(other), Ok(Settled::Done));
    assert_eq!(block_on(futures.remove(first)), Ok(Settled::Done));
    for job in jobs {
        job.settle().expect("settled");
    }
    for future in futures {
        assert_eq!(block_on(future), Ok(Settled::Done));
    }
    assert!(counts.iter().all(|count| count.times() <= 1));
}
