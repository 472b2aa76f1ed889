//! Sockets that the reactor of a runtime drives while tasks wait for them.

mod common {
    pub(crate) mod block_on;
    pub(crate) mod deadline;
}
mod place;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::{poll_once, yield_now};
use tokio::runtime::Builder;
use zerohop::{Context, Dealer, Event, Options, Pull, Push, Reactor, RecvError, Rep, Req};

use common::block_on::block_on;
use common::deadline::DEADLINE;
use place::Place;

fn pair(context: &Context, options: Options) -> (Push, Pull) {
    let options = options.linger(Duration::ZERO);
    let push = Push::with_options(context, options.clone()).expect("a PUSH");
    let pull = Pull::with_options(context, options).expect("a PULL");
    push.connect(pull.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    (push, pull)
}

/// Both ends in one task: marks are low, so that both wait again and again.
#[test]
fn streams_on_every_runtime() {
    const COUNT: u32 = 20_000;
    for place in Place::with_reactors() {
        let (push, pull) = pair(&place.context(), Options::new().send_hwm(50).recv_hwm(50));
        place.run(async {
            let send = async {
                for number in 0..COUNT {
                    push.send_async(number.to_be_bytes()).await.expect("sent");
                }
            };
            let receive = async {
                for number in 0..COUNT {
                    let message = pull.recv_async().await.expect("a message");
                    assert_eq!(message, number.to_be_bytes());
                }
            };
            futures_lite::future::zip(send, receive).await;
        });
    }
}

/// Tasks in a runtime and threads in calls take from one socket: each message is taken once, and nobody misses any.
#[test]
fn tasks_and_threads_share_a_socket() {
    const COUNT: usize = 20_000;
    for place in Place::with_reactors() {
        let (push, pull) = pair(&place.context(), Options::new());
        let taken = AtomicUsize::new(0);
        let take = || {
            if taken.fetch_add(1, Ordering::Relaxed) + 1 == COUNT {
                pull.shutdown();
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..COUNT {
                    push.send(number.to_be_bytes()).expect("sent");
                    if number % 50 == 0 {
                        thread::yield_now();
                    }
                }
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    while pull.recv().is_ok() {
                        take();
                    }
                });
            }
            place.run(async {
                let task = || async {
                    while pull.recv_async().await.is_ok() {
                        take();
                    }
                };
                futures_lite::future::zip(task(), futures_lite::future::zip(task(), task())).await;
            });
        });
        assert_eq!(taken.into_inner(), COUNT);
    }
}

/// Answers that come at once are polled for, so a task that asks again and again never has to wait for its reactor. Others run all the same.
#[test]
fn a_task_that_polls_for_its_answers_gives_way_to_others() {
    const COUNT: usize = 3_000;
    // Far more than there are in the time for which it polls.
    const IN_A_ROW: usize = 100;
    for place in Place::with_reactors() {
        let (rep, req) = (Rep::new(&Context::new()), Req::new(&place.context()));
        let (rep, req) = (rep.expect("a REP"), req.expect("a REQ"));
        req.connect(rep.bind("tcp://127.0.0.1:*").expect("bound"))
            .expect("connected");
        let others = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..COUNT {
                    let request = rep.recv_timeout(DEADLINE).expect("a request");
                    request.reply("9.99").expect("replied");
                }
            });
            place.run(async {
                let ask = async {
                    for _ in 0..COUNT {
                        let reply = req.request_async("price?").await;
                        assert_eq!(reply.expect("a reply"), "9.99");
                    }
                };
                let other = async {
                    loop {
                        others.fetch_add(1, Ordering::Relaxed);
                        yield_now().await;
                    }
                };
                futures_lite::future::or(ask, other).await;
            });
        });
        let others = others.into_inner();
        assert!(
            others >= COUNT / IN_A_ROW,
            "{others} times in {COUNT} requests"
        );
    }
}

/// Looks at a future so many times more than once, gives way in between, and drops it then.
async fn looked_at<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut future = std::pin::pin!(future);
    for _ in 0..=times {
        if let Some(result) = poll_once(future.as_mut()).await {
            return Some(result);
        }
        yield_now().await;
    }
    None
}

/// Futures are dropped all the time, woken or not, on all threads of a runtime; every message arrives, until
/// many have been dropped.
#[test]
fn futures_dropped_at_random_lose_nothing() {
    for place in Place::all() {
        drop_futures(&place);
    }
}

fn drop_futures(place: &Place) {
    const EACH: usize = 1_000;
    const TASKS: usize = 4;
    const MANY: usize = 100;
    let (push, pull) = pair(&place.context(), Options::new().send_hwm(3).recv_hwm(3));
    let (push, pull) = (Arc::new(push), Arc::new(pull));
    let [sent, taken, dropped] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
    let sending = Arc::new(AtomicUsize::new(TASKS));
    let mut tasks: Vec<Task> = Vec::new();
    for task in 0..TASKS {
        let push = Arc::clone(&push);
        let (all, given_up) = (Arc::clone(&sent), Arc::clone(&dropped));
        let now_sending = Arc::clone(&sending);
        tasks.push(Box::pin(async move {
            let mut sent = 0;
            while sent < EACH || given_up.load(Ordering::Relaxed) < MANY {
                let send = push.send_async(sent.to_be_bytes());
                match looked_at(send, (sent + task) % 4).await {
                    Some(result) => {
                        result.expect("sent");
                        sent += 1;
                        all.fetch_add(1, Ordering::Relaxed);
                        if sent % 10 == 0 {
                            // Those who receive find nothing for a while.
                            for _ in 0..20 {
                                yield_now().await;
                            }
                        }
                    }
                    None => drop(given_up.fetch_add(1, Ordering::Relaxed)),
                }
            }
            now_sending.fetch_sub(1, Ordering::SeqCst);
        }));
        let pull = Arc::clone(&pull);
        let (taken, given_up) = (Arc::clone(&taken), Arc::clone(&dropped));
        let (sent, sending) = (Arc::clone(&sent), Arc::clone(&sending));
        tasks.push(Box::pin(async move {
            let mut turn = 0;
            while sending.load(Ordering::SeqCst) > 0
                || taken.load(Ordering::Relaxed) < sent.load(Ordering::Relaxed)
            {
                turn += 1;
                match looked_at(pull.recv_async(), turn % 5).await {
                    Some(received) => {
                        received.expect("a message");
                        taken.fetch_add(1, Ordering::Relaxed);
                    }
                    None => drop(given_up.fetch_add(1, Ordering::Relaxed)),
                }
            }
        }));
    }
    run_all(place, tasks);
    assert_eq!(
        taken.load(Ordering::Relaxed),
        sent.load(Ordering::Relaxed),
        "{place}"
    );
    assert_eq!(pull.try_recv(), Err(RecvError::WouldBlock), "{place}");
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs tasks side by side: on the threads of the runtime, or each in one of its own.
fn run_all(place: &Place, tasks: Vec<Task>) {
    if let Place::Tokio(runtime) = place {
        let tasks: Vec<_> = tasks.into_iter().map(|task| runtime.spawn(task)).collect();
        return place.run(async {
            for task in tasks {
                task.await.expect("done");
            }
        });
    }
    thread::scope(|scope| {
        for task in tasks {
            scope.spawn(|| place.run(task));
        }
    });
}

/// A runtime ends while tasks of it wait, and one that is not of it: that one goes on.
#[test]
fn a_runtime_that_ends_takes_nothing_along() {
    for background in [false, true] {
        let place = Place::with_reactors()
            .into_iter()
            .nth(1)
            .expect("several threads");
        let (push, pull) = pair(&place.context(), Options::new());
        let pull = Arc::new(pull);
        let Place::Tokio(runtime) = place else {
            panic!("it is one of tokio");
        };
        let waiting = Arc::new(AtomicBool::new(false));
        for _ in 0..3 {
            let (pull, waiting) = (Arc::clone(&pull), Arc::clone(&waiting));
            runtime.spawn(async move {
                let mut receive = std::pin::pin!(pull.recv_async());
                assert!(poll_once(receive.as_mut()).await.is_none());
                waiting.store(true, Ordering::SeqCst);
                let _ = receive.await;
            });
        }
        let end = Instant::now() + DEADLINE;
        while !waiting.load(Ordering::SeqCst) {
            assert!(Instant::now() < end, "no task waits");
            thread::yield_now();
        }
        thread::scope(|scope| {
            let other = scope.spawn(|| block_on(pull.recv_async()));
            match background {
                true => runtime.shutdown_background(),
                false => drop(runtime),
            }
            // Those that were still there may take some.
            let end = Instant::now() + DEADLINE;
            while !other.is_finished() {
                assert!(Instant::now() < end, "the other was not woken");
                push.send("1").expect("sent");
                thread::sleep(Duration::from_millis(1));
            }
            other.join().expect("received").expect("a message");
        });
        // And the next, which does not find a reactor any more.
        push.send("2").expect("sent");
        block_on(pull.recv_async()).expect("a message");
    }
}

/// A future that has waited in a runtime goes on in another thread when that runtime is gone.
#[test]
fn a_future_outlives_its_runtime() {
    let place = Place::one_thread();
    let (push, pull) = pair(&place.context(), Options::new());
    let mut receive = std::pin::pin!(pull.recv_async());
    assert!(place.run(poll_once(receive.as_mut())).is_none());
    drop(place);
    push.send("1").expect("sent");
    assert_eq!(block_on(receive).expect("a message"), "1");
}

/// A reactor that is there, and that nobody runs: the background thread goes on for it.
#[test]
fn a_runtime_that_nobody_runs_holds_nobody_up() {
    let place = Place::one_thread();
    let (push, pull) = pair(&place.context(), Options::new());
    let mut idle = std::pin::pin!(pull.recv_async());
    assert!(place.run(poll_once(idle.as_mut())).is_none());
    thread::scope(|scope| {
        let other = scope.spawn(|| block_on(pull.recv_async()));
        // Both wait, or look when these are there.
        push.send_batch(["1", "2"]).expect("sent");
        block_on(idle.as_mut()).expect("a message");
        other.join().expect("received").expect("a message");
    });
    for number in 0..20_u32 {
        thread::scope(|scope| {
            let other = scope.spawn(|| block_on(pull.recv_async()));
            push.send(number.to_be_bytes()).expect("sent");
            let message = other.join().expect("received").expect("a message");
            assert_eq!(message, number.to_be_bytes());
        });
    }
}

/// A task waits and its runtime's thread is busy elsewhere: the peer is answered all the same.
#[test]
fn a_busy_runtime_answers_its_peers() {
    let place = Place::one_thread();
    let beating = Options::new()
        .heartbeat_interval(Duration::from_millis(20))
        .heartbeat_timeout(DEADLINE)
        .linger(Duration::ZERO);
    let ours = Dealer::new(&place.context()).expect("a DEALER");
    let theirs = Dealer::with_options(&Context::new(), beating).expect("a DEALER");
    theirs
        .connect(ours.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    theirs.wait_for_peers(1, DEADLINE).expect("a peer");
    place.run(async {
        let mut receive = std::pin::pin!(ours.recv_async());
        assert!(poll_once(receive.as_mut()).await.is_none());
        let end = Instant::now() + DEADLINE;
        let answered = || theirs.stats().bytes_in;
        let before = answered();
        // Ten answers, while this thread does not give way.
        while answered() < before + 10 * 7 {
            assert!(
                Instant::now() < end,
                "not answered: {}",
                answered() - before
            );
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(theirs.stats().reconnects, 0);
        theirs.send("1").expect("sent");
        assert_eq!(receive.await.expect("a message"), "1");
    });
}

#[test]
fn a_runtime_without_io_is_refused() {
    assert!(Reactor::tokio().is_err(), "there is no runtime");
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let refused = runtime.block_on(async { Reactor::tokio() });
    let error = refused.expect_err("it has no I/O");
    assert!(error.to_string().contains("enable_io"), "{error}");
}

/// A future that owns its socket is dropped while it waits: the socket goes with it, and its peer hears of that.
#[test]
fn a_socket_goes_with_the_future_that_waits_for_it() {
    for place in Place::with_reactors() {
        let (push, pull) = pair(&place.context(), Options::new());
        push.wait_for_peers(1, DEADLINE).expect("a peer");
        let monitor = push.monitor();
        let mut waiting = Box::pin(async move { pull.recv_async().await });
        assert!(place.run(poll_once(waiting.as_mut())).is_none());
        drop(waiting);
        let mut events = std::iter::repeat_with(|| monitor.recv_timeout(DEADLINE));
        let gone = events.find(|event| !matches!(event, Ok(event) if !is_end(event)));
        assert!(matches!(gone, Some(Ok(_))), "{gone:?}");
    }
}

fn is_end(event: &Event) -> bool {
    matches!(event, Event::Disconnected { .. })
}

/// Sockets end while tasks wait, and contexts go before and after their runtimes.
#[test]
fn everything_may_end_in_any_order() {
    for order in 0..4 {
        let place = Place::one_thread();
        let context = place.context();
        let (push, pull) = pair(&context, Options::new());
        push.send("1").expect("sent");
        place.run(async { pull.recv_async().await.expect("a message") });
        thread::scope(|scope| {
            scope.spawn(|| match order % 2 {
                0 => pull.shutdown(),
                _ => context.shutdown(),
            });
            assert!(place.run(pull.recv_async()).is_err());
        });
        match order / 2 {
            0 => {
                drop(place);
                drop((push, pull, context));
            }
            _ => {
                drop((push, pull, context));
                drop(place);
            }
        }
    }
}
