//! Calls as futures, beside what every socket does over every transport (`conformance/tasks.rs`): futures that are dropped at any
//! time, and sockets that end while tasks wait.

mod common {
    pub(crate) mod block_on;
    pub(crate) mod by_hand;
    pub(crate) mod deadline;
    pub(crate) mod fickle;
    pub(crate) mod run_all;
}

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Waker};
use std::thread;
use std::time::{Duration, Instant};

use zerohop::{
    Context, DeadReason, Dealer, Delivery, Message, Options, Pull, Push, ReceiptError, RecvError,
    RecvSocket, Rep, Req, RequestError, Router, SendError, SendErrorKind, SendSocket, Settled,
};

use common::block_on::block_on;
use common::by_hand::{Count, begin};
use common::deadline::DEADLINE;
use common::fickle::{Random, fickle, give_way};
use common::run_all::{Task, run_all};

fn pair_of(context: &Context, options: Options) -> (Push, Pull) {
    let options = options.linger(Duration::ZERO);
    let push = Push::with_options(context, options.clone()).expect("a PUSH");
    let pull = Pull::with_options(context, options).expect("a PULL");
    push.connect(pull.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    (push, pull)
}

fn pair() -> (Push, Pull) {
    pair_of(&Context::new(), Options::new())
}

/// Futures are dropped all the time on both sides, in several threads, at low marks and at high ones: each message that a future said
/// was sent arrives, once, and no other.
#[test]
fn futures_dropped_at_random_lose_and_double_nothing() {
    // How many are dropped at each mark depends on who has to wait; at the lowest, nearly everybody has to.
    let dropped = [(1, 3), (2, 50), (3, 1000)].map(|(seed, hwm)| drop_at_random(seed, hwm));
    assert!(dropped.iter().sum::<usize>() > 100, "{dropped:?}");
}

/// Returns how many were dropped.
fn drop_at_random(seed: u64, hwm: usize) -> usize {
    const THREADS: u64 = 2;
    const TASKS: u64 = 8;
    const EACH: u32 = 500;
    const COUNT: usize = (THREADS * TASKS) as usize * EACH as usize;
    let (push, pull) = pair_of(&Context::new(), Options::new().send_hwm(hwm).recv_hwm(hwm));
    let (push, pull) = (&push, &pull);
    let seen = &Mutex::new(Vec::new());
    let dropped = &AtomicUsize::new(0);
    let sent = &AtomicUsize::new(0);
    let receiver = |number: u64| -> Task<'_> {
        let mut random = Random::new(seed << 16 | 0x8000 | number);
        Box::pin(async move {
            loop {
                match fickle(pull.recv_async(), &mut random).await {
                    None => {
                        dropped.fetch_add(1, Ordering::Relaxed);
                        for _ in 0..random.below(3) {
                            give_way().await;
                        }
                    }
                    Some(Ok(message)) => {
                        let number = message.first().as_slice().try_into().expect("four bytes");
                        let mut seen = seen.lock().expect("the numbers");
                        seen.push(u32::from_be_bytes(number));
                        if seen.len() == COUNT {
                            pull.shutdown();
                        }
                    }
                    Some(Err(error)) => return assert_eq!(error, RecvError::Closed),
                }
            }
        })
    };
    let sender = |task: u64| -> Task<'_> {
        let mut random = Random::new(seed << 16 | task);
        Box::pin(async move {
            for number in 0..EACH {
                let message = (task as u32 * EACH + number).to_be_bytes();
                loop {
                    match fickle(push.send_async(message), &mut random).await {
                        Some(sent) => break sent.expect("sent"),
                        None => {
                            dropped.fetch_add(1, Ordering::Relaxed);
                            give_way().await;
                        }
                    }
                }
                let sent = sent.fetch_add(1, Ordering::Relaxed) + 1;
                if random.below(16) == 0 {
                    // Until those who receive have nothing to do, and wait.
                    while seen.lock().expect("the numbers").len() < sent {
                        give_way().await;
                    }
                }
            }
        })
    };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let tasks = thread * TASKS..(thread + 1) * TASKS;
            let (senders, receivers) = (tasks.clone(), tasks);
            scope.spawn(move || run_all(senders.map(sender).collect()));
            scope.spawn(move || run_all(receivers.map(receiver).collect()));
        }
    });
    let mut seen = seen.lock().expect("the numbers");
    seen.sort_unstable();
    let all: Vec<u32> = (0..COUNT as u32).collect();
    assert!(*seen == all, "lost or doubled");
    dropped.load(Ordering::Relaxed)
}

/// Tasks drop the futures that give them receipts, and those that wait for what these tell: nothing is sent that no future said was, and each receipt
/// tells of its own message.
#[test]
fn futures_of_receipts_dropped_at_random_tell_what_has_become_of_each_message() {
    const TASKS: u32 = 8;
    const EACH: u32 = 100;
    let options = Options::new().delivery(Delivery::at_least_once().window(3));
    let (push, pull) = pair_of(&Context::new(), options.send_hwm(4));
    let (push, pull) = (&push, &pull);
    let dropped = &AtomicUsize::new(0);
    let sender = |task: u32| -> Task<'_> {
        let mut random = Random::new(u64::from(task));
        Box::pin(async move {
            for number in task * EACH..(task + 1) * EACH {
                let receipt = loop {
                    match fickle(push.send_later_async(number.to_be_bytes()), &mut random).await {
                        Some(sent) => break sent.expect("sent"),
                        None => give_way().await,
                    }
                };
                let settled = loop {
                    match fickle(receipt.settled_async(), &mut random).await {
                        Some(settled) => break settled.expect("known"),
                        None => {
                            dropped.fetch_add(1, Ordering::Relaxed);
                            give_way().await;
                        }
                    }
                };
                let expected = match number % 3 {
                    0 => Settled::Dead(DeadReason::Rejected(number.to_string())),
                    _ => Settled::Done,
                };
                assert_eq!(settled, expected);
            }
        })
    };
    let mut seen = thread::scope(|scope| {
        scope.spawn(move || run_all((0..TASKS).map(sender).collect()));
        let mut seen = Vec::new();
        while seen.len() < (TASKS * EACH) as usize {
            let job = pull.recv_job_timeout(DEADLINE).expect("a job");
            let number = job.message().first().as_slice().try_into();
            let number = u32::from_be_bytes(number.expect("four bytes"));
            seen.push(number);
            match number % 3 {
                0 => job.reject(number.to_string()),
                _ => job.settle(),
            }
            .expect("settled");
        }
        seen
    });
    seen.sort_unstable();
    let all: Vec<u32> = (0..TASKS * EACH).collect();
    assert!(
        seen == all,
        "lost, doubled, or sent by a future that was dropped"
    );
    assert_eq!(push.stats().delivery.unsettled, 0);
    let dropped = dropped.load(Ordering::Relaxed);
    assert!(dropped > 100, "{dropped}");
}

/// Several tasks may wait for one receipt, and they hear of the socket's end.
#[test]
fn a_receipt_tells_every_task_that_waits() {
    let options = Options::new().delivery(Delivery::at_least_once());
    let (push, pull) = pair_of(&Context::new(), options);
    let receipts = ["one", "two"].map(|text| push.send_later(text).expect("sent"));
    let counts = [0; 4].map(|_| Arc::new(Count::default()));
    let mut tasks: Vec<_> = (0..4)
        .map(|task| Box::pin(receipts[task / 2].settled_async()))
        .collect();
    for (task, count) in tasks.iter_mut().zip(&counts) {
        begin(task.as_mut(), &Waker::from(Arc::clone(count)));
    }
    let job = pull.recv_job_timeout(DEADLINE).expect("a job");
    job.settle().expect("settled");
    for task in &mut tasks[..2] {
        assert_eq!(block_on(task.as_mut()), Ok(Settled::Done));
    }
    let waker = Waker::from(Arc::clone(&counts[0]));
    begin(tasks[0].as_mut(), &waker);
    begin(tasks[2].as_mut(), &waker);
    push.shutdown();
    for task in &mut tasks[2..] {
        assert_eq!(block_on(task.as_mut()), Err(ReceiptError::Closed));
    }
    let known = block_on(receipts[0].settled_async());
    assert_eq!(known, Ok(Settled::Done), "that is still known");
    let refused = block_on(push.send_later_async("three")).expect_err("closed");
    assert_eq!(refused.message(), "three");
}

fn until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < end, "never: {what}");
        thread::yield_now();
    }
}

/// Of many that wait one is woken for a message. If it is dropped instead of looking, the next one is, and so on; the message stays.
#[test]
fn who_is_dropped_passes_its_wake_up_on() {
    const WAIT: usize = 10;
    let (push, pull) = pair();
    let counts: Vec<_> = (0..WAIT).map(|_| Arc::new(Count::default())).collect();
    let woken = |index: usize| counts[index].times();
    let mut futures: Vec<_> = counts
        .iter()
        .map(|count| {
            let mut future = Box::pin(pull.recv_async());
            begin(future.as_mut(), &Waker::from(Arc::clone(count)));
            future
        })
        .collect();
    push.send("one").expect("sent");
    let last = futures.pop().expect("one of them");
    for (index, future) in futures.into_iter().enumerate() {
        until("woken", || woken(index) == 1);
        assert_eq!(woken(index + 1), 0, "behind {index}");
        drop(future);
    }
    until("woken", || woken(WAIT - 1) == 1);
    assert_eq!(block_on(last).expect("a message"), "one");
    assert!(counts.iter().all(|count| count.times() == 1));
}

/// A future that waits and is dropped without having been woken leaves nothing behind: the others have their turns.
#[test]
fn who_is_dropped_unwoken_is_passed_over() {
    let (push, pull) = pair();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut dropped: Vec<_> = (0..5).map(|_| Box::pin(pull.recv_async())).collect();
    let mut stays = Box::pin(pull.recv_async());
    for future in &mut dropped {
        begin(future.as_mut(), &waker);
    }
    begin(stays.as_mut(), &waker);
    drop(dropped);
    assert_eq!(Arc::strong_count(&count), 3, "wakers are kept");
    push.send("one").expect("sent");
    until("woken", || count.times() == 1);
    assert_eq!(block_on(stays).expect("a message"), "one");
}

/// Each of many futures that are dropped as soon as they wait leaves the message to the call that comes later.
#[test]
fn a_dropped_future_has_taken_nothing() {
    let (push, pull) = pair();
    let waker = Waker::from(Arc::new(Count::default()));
    for number in 0..200_u32 {
        let mut future = Box::pin(pull.recv_async());
        begin(future.as_mut(), &waker);
        push.send(number.to_be_bytes()).expect("sent");
        drop(future);
        let message = pull.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(message, number.to_be_bytes());
    }
}

/// Nothing of a message has been sent when its future is dropped, however often it has been polled.
#[test]
fn a_dropped_send_has_sent_nothing() {
    let context = Context::new();
    let push = Push::new(&context).expect("a PUSH");
    let waker = Waker::from(Arc::new(Count::default()));
    for _ in 0..20 {
        let mut future = Box::pin(push.send_async(["dropped", "with two frames"]));
        begin(future.as_mut(), &waker);
        begin(future.as_mut(), &waker);
    }
    let pull = Pull::new(&context).expect("a PULL");
    push.connect(pull.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    block_on(push.send_async("kept")).expect("sent");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), "kept");
    assert_eq!(push.stats().messages_out, 1);
}

/// Requests that are dropped at random neither hold up the others nor get them wrong replies.
#[test]
fn requests_dropped_at_random_hold_up_nobody() {
    const TASKS: u64 = 8;
    const EACH: u64 = 200;
    let context = Context::new();
    let options = Options::new().linger(Duration::ZERO);
    let rep = &Rep::with_options(&context, options.clone()).expect("a REP");
    let req = &Req::with_options(&context, options).expect("a REQ");
    req.connect(rep.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    let answered = &AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            block_on(async {
                while let Ok(mut request) = rep.recv_async().await {
                    let question = request.take_message();
                    // Its requester may have closed by the end.
                    let _ = request.reply(question);
                }
            });
        });
        let ask = |task: u64| -> Task<'_> {
            let mut random = Random::new(task);
            Box::pin(async move {
                for number in 0..EACH {
                    let question = (task << 32 | number).to_be_bytes();
                    if let Some(answer) = fickle(req.request_async(question), &mut random).await {
                        assert_eq!(answer.expect("an answer"), question);
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
                let answer = req.request_async("the last").await;
                assert_eq!(answer.expect("an answer"), "the last");
            })
        };
        run_all((0..TASKS).map(ask).collect());
        rep.shutdown();
    });
    let answered = answered.load(Ordering::Relaxed);
    let all = (TASKS * EACH) as usize;
    assert!(answered > 0 && answered < all, "{answered} of {all}");
}

/// A request whose future is dropped before it has left is taken back.
#[test]
fn a_dropped_request_is_taken_back() {
    let context = Context::new();
    let req = Req::new(&context).expect("a REQ");
    // Nobody listens there yet.
    let probe = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("tcp://{}", probe.local_addr().expect("its address"));
    drop(probe);
    req.connect(endpoint.as_str()).expect("connected");
    let waker = Waker::from(Arc::new(Count::default()));
    let mut future = Box::pin(req.request_async("dropped"));
    begin(future.as_mut(), &waker);
    assert_eq!(req.stats().peers[0].queued_out, 1);
    drop(future);
    assert_eq!(req.stats().peers[0].queued_out, 0);
    assert_eq!(req.stats().dropped.withdrawn, 1);
    let rep = Rep::new(&context).expect("a REP");
    rep.bind(endpoint.as_str()).expect("bound");
    thread::scope(|scope| {
        let asked = scope.spawn(|| block_on(req.request_async("kept")));
        let request = block_on(rep.recv_async()).expect("a request");
        assert_eq!(*request.message(), "kept");
        request.reply("yes").expect("replied");
        assert_eq!(asked.join().expect("asked").expect("a reply"), "yes");
    });
}

/// Tasks that wait when their socket is shut down, or the context, are told which; so are later ones. A send gives its message back.
#[test]
fn tasks_that_wait_are_told_of_the_end() {
    for whole_context in [false, true] {
        let context = Context::new();
        let options = Options::new().linger(Duration::ZERO);
        let push = &Push::with_options(&context, options.clone()).expect("a PUSH");
        let pull = &Pull::with_options(&context, options.clone()).expect("a PULL");
        let rep = &Rep::with_options(&context, options.clone()).expect("a REP");
        let req = &Req::with_options(&context, options).expect("a REQ");
        pull.bind("tcp://127.0.0.1:*").expect("bound");
        req.connect(rep.bind("tcp://127.0.0.1:*").expect("bound"))
            .expect("connected");
        let (wanted, kind) = match whole_context {
            true => (RecvError::ContextClosed, SendErrorKind::ContextClosed),
            false => (RecvError::Closed, SendErrorKind::Closed),
        };
        let is_kept = |error: SendError| {
            assert_eq!(error.kind(), kind);
            assert_eq!(error.into_message(), "kept");
        };
        let waits = &AtomicUsize::new(0);
        let tasks = || -> Vec<Task<'_>> {
            let mut tasks: Vec<Task<'_>> = Vec::new();
            for _ in 0..3 {
                tasks.push(Box::pin(async {
                    assert_eq!(pull.recv_async().await, Err(wanted));
                }));
                tasks.push(Box::pin(async {
                    is_kept(
                        push.send_async("kept")
                            .await
                            .expect_err("nobody to send to"),
                    );
                }));
                tasks.push(Box::pin(async {
                    let replied = req.request_async("price?").await;
                    match (replied.expect_err("nobody replies"), whole_context) {
                        (RequestError::ContextClosed, true) | (RequestError::Closed, false) => {}
                        (RequestError::Send(error), _) => assert_eq!(error.kind(), kind),
                        (error, _) => panic!("{error}"),
                    }
                }));
            }
            tasks.push(Box::pin(async {
                waits.fetch_add(1, Ordering::SeqCst);
            }));
            tasks
        };
        thread::scope(|scope| {
            scope.spawn(|| run_all(tasks()));
            until("all wait", || waits.load(Ordering::SeqCst) == 1);
            match whole_context {
                true => context.shutdown(),
                false => {
                    push.shutdown();
                    pull.shutdown();
                    req.shutdown();
                }
            }
        });
        run_all(tasks());
        assert_eq!(waits.load(Ordering::SeqCst), 2);
    }
}

/// A task may wait before its socket has an endpoint, and before anything is known of it to the background thread.
#[test]
fn tasks_may_wait_before_there_is_an_endpoint() {
    let context = Context::new();
    let options = Options::new().linger(Duration::ZERO);
    let push = Push::with_options(&context, options.clone()).expect("a PUSH");
    let pull = Pull::with_options(&context, options.clone()).expect("a PULL");
    let req = Req::with_options(&context, options.clone()).expect("a REQ");
    let rep = Rep::with_options(&context, options).expect("a REP");
    thread::scope(|scope| {
        let received = scope.spawn(|| block_on(pull.recv_async()));
        let sent = scope.spawn(|| block_on(push.send_async("one")));
        let asked = scope.spawn(|| block_on(req.request_async("price?")));
        let served = scope.spawn(|| block_on(rep.recv_async()).expect("asked").reply("9.99"));
        let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound");
        push.connect(&endpoint).expect("connected");
        let endpoint = rep.bind("tcp://127.0.0.1:*").expect("bound");
        req.connect(&endpoint).expect("connected");
        assert_eq!(received.join().expect("ended").expect("a message"), "one");
        sent.join().expect("ended").expect("sent");
        served.join().expect("ended").expect("replied");
        assert_eq!(asked.join().expect("ended").expect("a reply"), "9.99");
    });
}

/// A task is woken whatever calls in threads did to the socket just before, and whether the background thread watches it then or not.
/// (That it need not wait for the next look of that thread is checked where no load of the machine matters: `watches_a_socket_that_tasks_wait_for`
/// and `model_attention.rs`.)
#[test]
fn a_task_is_woken_after_calls_in_threads() {
    let (push, pull) = pair();
    for round in 0..200_u32 {
        // The application is active, and the background thread stops watching.
        for _ in 0..1 + round % 7 {
            push.send(round.to_be_bytes()).expect("sent");
            assert_eq!(pull.recv().expect("a message"), round.to_be_bytes());
        }
        let _ = pull.recv_timeout(Duration::from_micros(u64::from(round) * 40));
        let count = Arc::new(Count::default());
        let mut future = Box::pin(pull.recv_async());
        begin(future.as_mut(), &Waker::from(Arc::clone(&count)));
        push.send(round.to_be_bytes()).expect("sent");
        until("woken", || count.times() > 0);
        assert_eq!(block_on(future).expect("a message"), round.to_be_bytes());
    }
}

/// Code that is generic over sockets has the futures, too, and they can be moved between threads.
#[test]
fn generic_code_sends_and_receives_in_tasks() {
    async fn pass<S: SendSocket, R: RecvSocket>(push: S, pull: R) -> Message {
        assert!(push.send_async("generic").await.is_ok());
        pull.recv_async().await.expect("a message")
    }
    let (push, pull) = pair();
    let passed = thread::spawn(move || block_on(pass(push, pull)));
    assert_eq!(passed.join().expect("ended"), "generic");
}

/// Polled again after it was ready, which runtimes do not do, a future does not panic, and sends nothing twice.
#[test]
fn a_future_that_was_ready_does_not_panic() {
    let (push, pull) = pair();
    let waker = Waker::from(Arc::new(Count::default()));
    let mut context = TaskContext::from_waker(&waker);
    push.wait_for_peers(1, DEADLINE).expect("connected");
    let mut send = Box::pin(push.send_async("one"));
    assert!(send.as_mut().poll(&mut context).is_ready());
    assert!(send.as_mut().poll(&mut context).is_pending());
    assert_eq!(push.stats().messages_out, 1);
    let mut recv = Box::pin(pull.recv_async());
    assert_eq!(block_on(recv.as_mut()).expect("a message"), "one");
    assert!(recv.as_mut().poll(&mut context).is_pending());
}

/// Polls a future until it is ready, and then again while there are messages; one message is taken.
fn takes_one<F: Future<Output = Result<T, RecvError>>, T>(
    sender: &impl SendSocket,
    receiver: &impl RecvSocket,
    future: F,
) {
    for text in ["one", "two", "three"] {
        sender.send(text).expect("sent");
    }
    let mut future = Box::pin(future);
    let taken = block_on(future.as_mut());
    assert!(taken.is_ok(), "the first");
    // Until the others are there as well.
    let second = receiver.recv_timeout(DEADLINE).expect("the second");
    assert_eq!(*second.get(second.parts() - 1).expect("a frame"), "two");
    let waker = Waker::from(Arc::new(Count::default()));
    let mut context = TaskContext::from_waker(&waker);
    for _ in 0..3 {
        assert!(future.as_mut().poll(&mut context).is_pending());
    }
    let third = receiver.recv_timeout(DEADLINE).expect("the third");
    assert_eq!(*third.get(third.parts() - 1).expect("a frame"), "three");
}

/// In each form in which a future receives.
#[test]
fn a_future_that_was_ready_takes_no_other_message() {
    let (push, pull) = pair();
    takes_one(&push, &pull, pull.recv_async());
    takes_one(&push, &pull, pull.recv_from_async());
    takes_one(&push, &pull, pull.recv_job_async());
    let context = Context::new();
    let dealer = Dealer::new(&context).expect("a DEALER");
    let router = Router::new(&context).expect("a ROUTER");
    dealer
        .connect(router.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    takes_one(&dealer, &router, router.recv_async());
    takes_one(&dealer, &router, router.recv_from_async());
    takes_one(&dealer, &router, router.recv_job_async());
    takes_one(&dealer, &router, router.recv_job_from_async());
    takes_one(&dealer, &router, RecvSocket::recv_async(&router));
    takes_one(&dealer, &router, RecvSocket::recv_from_async(&router));
}

/// Of many tasks that ask by one socket, each is woken by its own reply, and the others sleep on. The end of a connection wakes those who asked
/// over it.
#[test]
fn a_reply_wakes_the_task_that_asked_and_no_other() {
    const TASKS: usize = 32;
    let context = Context::new();
    let options = || Options::new().linger(Duration::ZERO);
    let rep = Rep::with_options(&context, options()).expect("a REP");
    let req = Req::with_options(&context, options()).expect("a REQ");
    req.connect(rep.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    let counts: Vec<_> = (0..TASKS).map(|_| Arc::new(Count::default())).collect();
    let mut tasks: Vec<_> = (0..TASKS as u32)
        .map(|number| Box::pin(req.request_async(number.to_be_bytes())))
        .collect();
    let mut requests = Vec::new();
    for (task, count) in tasks.iter_mut().zip(&counts) {
        begin(task.as_mut(), &Waker::from(Arc::clone(count)));
        requests.push(rep.recv_timeout(DEADLINE).expect("a request"));
    }
    let woken = || counts.iter().map(|count| count.times()).collect::<Vec<_>>();
    assert_eq!(woken().iter().sum::<usize>(), 0, "{:?}", woken());
    // The last first, as order is not what tells them apart.
    let end = Instant::now() + DEADLINE;
    for request in requests.drain(TASKS / 2..).rev() {
        let number = request.message().first().to_vec();
        let place = u32::from_be_bytes(number.clone().try_into().expect("four bytes")) as usize;
        request.reply(number.clone()).expect("replied");
        while counts[place].times() == 0 {
            assert!(Instant::now() < end, "{place} was not woken");
            thread::yield_now();
        }
        let result = block_on(tasks[place].as_mut());
        assert_eq!(result.expect("a reply"), number);
    }
    let half = TASKS / 2;
    assert!(
        woken()[..half].iter().all(|times| *times == 0),
        "{:?}",
        woken()
    );
    assert!(
        woken()[half..].iter().all(|times| *times == 1),
        "{:?}",
        woken()
    );
    drop(requests);
    drop(rep);
    for task in &mut tasks[..half] {
        let result = block_on(task.as_mut());
        assert!(matches!(result, Err(RequestError::PeerGone)), "{result:?}");
    }
}
