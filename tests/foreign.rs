//! Code of the application that the library runs: the `Drop` of what owns a sent `Bytes`, and the logger. It may panic, block and use
//! the very socket, and never runs under a lock.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod unique;
}

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use zerohop::{Bytes, Context, Message, Options, Pub, Pull, Push, Rep, Req, Sub};

use common::deadline::DEADLINE;
use common::unique;

/// Kept by reference, and more than one write takes.
const LONG: usize = 20_000;

/// Does something when it is dropped.
struct Owner<F: FnMut()> {
    memory: Vec<u8>,
    then: F,
}

impl<F: FnMut()> AsRef<[u8]> for Owner<F> {
    fn as_ref(&self) -> &[u8] {
        &self.memory
    }
}

impl<F: FnMut()> Drop for Owner<F> {
    fn drop(&mut self) {
        (self.then)();
    }
}

fn owned(then: impl FnMut() + Send + 'static) -> Bytes {
    Bytes::from_owner(Owner {
        memory: vec![7; LONG],
        then,
    })
}

fn caretaker() -> bool {
    thread::current().name() == Some("zerohop")
}

/// A free port of this machine.
fn free_endpoint() -> String {
    let probe = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("tcp://{}", probe.local_addr().expect("its address"))
}

fn until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < end, "never: {what}");
        thread::yield_now();
    }
}

/// Runs something that is to end soon, and fails if it hangs.
fn soon(what: &str, run: impl FnOnce() + Send + 'static) {
    let (tell, told) = channel();
    let running = thread::spawn(move || {
        run();
        let _ = tell.send(());
    });
    match told.recv_timeout(DEADLINE) {
        Ok(()) => running.join().expect("ended"),
        Err(error) => panic!("{what}: {error}"),
    }
}

/// The background thread writes what was sent before there was anybody, and drops the owners.
#[test]
fn a_panic_in_an_owners_drop_does_not_end_the_background_thread() {
    soon("panicking owners", || {
        let context = Context::new();
        let endpoint = free_endpoint();
        let push = Arc::new(Push::new(&context).expect("a PUSH"));
        push.connect(endpoint.as_str()).expect("connected");
        let dropped = Arc::new(AtomicUsize::new(0));
        let by_caretaker = Arc::new(AtomicUsize::new(0));
        for _ in 0..5 {
            let (dropped, by_caretaker) = (Arc::clone(&dropped), Arc::clone(&by_caretaker));
            let bytes = owned(move || {
                dropped.fetch_add(1, Ordering::SeqCst);
                by_caretaker.fetch_add(usize::from(caretaker()), Ordering::SeqCst);
                panic!("to be borne");
            });
            push.send(bytes).expect("sent");
        }
        let other = Context::new();
        let pull = Pull::new(&other).expect("a PULL");
        pull.bind(endpoint.as_str()).expect("bound");
        for _ in 0..5 {
            assert_eq!(pull.recv_timeout(DEADLINE).expect("received").size(), LONG);
        }
        until("dropped", || dropped.load(Ordering::SeqCst) == 5);
        assert_eq!(by_caretaker.load(Ordering::SeqCst), 5);
        // It still accepts, shakes hands and writes for this context.
        let late = Pull::new(&context).expect("a PULL");
        let endpoint = late.bind("tcp://127.0.0.1:*").expect("bound");
        let sender = Push::new(&other).expect("a PUSH");
        sender.connect(&endpoint).expect("connected");
        sender.wait_for_peers(1, DEADLINE).expect("accepted");
        sender.send("late").expect("sent");
        assert_eq!(late.recv_timeout(DEADLINE).expect("received"), "late");
        push.send("more").expect("sent");
        assert_eq!(pull.recv_timeout(DEADLINE).expect("received"), "more");
        drop(push);
        drop(late);
        drop(context);
    });
}

/// The same for what a closed socket never sent, and several at once: the second panic would abort if it met the first.
#[test]
fn panics_in_owners_that_are_never_sent_are_borne() {
    soon("dropped unsent", || {
        for dropped_by_caretaker in [true, false] {
            let context = Context::new();
            let linger = Duration::from_millis(if dropped_by_caretaker { 50 } else { 0 });
            let options = Options::new().linger(linger);
            let push = Push::with_options(&context, options).expect("a PUSH");
            push.connect(free_endpoint().as_str()).expect("connected");
            let dropped = Arc::new(AtomicUsize::new(0));
            for _ in 0..5 {
                let dropped = Arc::clone(&dropped);
                let count = move || {
                    dropped.fetch_add(1, Ordering::SeqCst);
                    panic!("to be borne");
                };
                push.send(owned(count)).expect("sent");
            }
            drop(push);
            drop(context);
            until("dropped", || dropped.load(Ordering::SeqCst) == 5);
        }
    });
}

/// An owner that sends by the same socket when it is dropped: on the thread of a caller and on the background thread.
#[test]
fn an_owners_drop_may_use_the_socket_it_was_sent_by() {
    soon("sending owners", || {
        for before_the_peer in [true, false] {
            let (context, other) = (Context::new(), Context::new());
            let endpoint = free_endpoint();
            let push = Arc::new(Push::new(&context).expect("a PUSH"));
            let pull = Pull::new(&other).expect("a PULL");
            push.connect(endpoint.as_str()).expect("connected");
            if !before_the_peer {
                pull.bind(endpoint.as_str()).expect("bound");
                push.wait_for_peers(1, DEADLINE).expect("connected");
            }
            for _ in 0..50 {
                let again = Arc::downgrade(&push);
                let bytes = owned(move || {
                    if let Some(push) = again.upgrade() {
                        push.send_timeout("dropped", DEADLINE).expect("sent");
                        let _ = push.stats();
                    }
                });
                push.send_timeout(bytes, DEADLINE).expect("sent");
            }
            if before_the_peer {
                pull.bind(endpoint.as_str()).expect("bound");
            }
            let (mut long, mut short) = (0, 0);
            while (long, short) != (50, 50) {
                match pull.recv_timeout(DEADLINE).expect("received") {
                    dropped if dropped == "dropped" => short += 1,
                    message => long += usize::from(message.size() == LONG),
                }
            }
        }
    });
}

/// The same of messages that never leave, since their peer has gone.
#[test]
fn owners_of_what_a_lost_peer_is_not_sent_are_dropped_without_a_lock() {
    soon("owners of lost messages", || {
        for endpoint in ["tcp://127.0.0.1:*", "ipc://*", "inproc://lost"] {
            let context = Context::new();
            let publisher = Arc::new(Pub::new(&context).expect("a PUB"));
            let endpoint = publisher.bind(endpoint).expect("bound");
            let sub = Sub::with_options(&context, Options::new().recv_hwm(1)).expect("a SUB");
            sub.subscribe("").expect("subscribed");
            sub.connect(&endpoint).expect("connected");
            publisher
                .wait_for_subscribers("", 1, DEADLINE)
                .expect("a subscriber");
            let dropped = Arc::new(AtomicUsize::new(0));
            // Some stay here, whatever the system's buffers hold.
            for _ in 0..600 {
                let (user, count) = (Arc::downgrade(&publisher), Arc::clone(&dropped));
                let bytes = owned(move || {
                    if let Some(user) = user.upgrade() {
                        let _ = user.stats();
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                });
                publisher.send(bytes).expect("published");
            }
            drop(sub);
            until("all owners are dropped", || {
                dropped.load(Ordering::SeqCst) == 600
            });
        }
    });
}

/// An owner whose drop takes its time holds nobody up but the thread that drops it. If that is the background thread, what callers leave to it
/// leaves later.
#[test]
fn a_slow_drop_of_an_owner_holds_no_lock() {
    soon("a slow owner", || {
        let (context, other) = (Context::new(), Context::new());
        let endpoint = free_endpoint();
        let push = Push::new(&context).expect("a PUSH");
        push.connect(endpoint.as_str()).expect("connected");
        let (begun, has_begun) = channel();
        let (go_on, may_go_on) = channel::<()>();
        let may_go_on = Mutex::new(may_go_on);
        let bytes = owned(move || {
            let _ = begun.send(caretaker());
            let _ = may_go_on.lock().expect("one thread").recv_timeout(DEADLINE);
        });
        push.send(bytes).expect("sent");
        let pull = Pull::new(&other).expect("a PULL");
        pull.bind(endpoint.as_str()).expect("bound");
        assert!(has_begun.recv_timeout(DEADLINE).expect("dropped"));
        // The background thread is in there. Callers go on.
        assert_eq!(pull.recv_timeout(DEADLINE).expect("received").size(), LONG);
        for _ in 0..3 {
            push.try_send(vec![1; 100_000]).expect("sent");
        }
        assert_eq!(push.stats().messages_out, 4);
        go_on.send(()).expect("told");
        for _ in 0..3 {
            assert_eq!(
                pull.recv_timeout(DEADLINE).expect("received").size(),
                100_000
            );
        }
        push.close(DEADLINE).expect("closed");
    });
}

/// Over inproc the receiver has the very bytes: whatever becomes of them there, their owners are dropped with no lock held.
#[test]
fn owners_that_a_receiver_throws_away_are_dropped_without_a_lock() {
    soon("inproc", || {
        let context = Context::new();
        let name = || format!("inproc://{}", unique::name());
        let touched = Arc::new(AtomicUsize::new(0));
        let touching = |touch: Arc<dyn Fn() + Send + Sync>| {
            let touched = Arc::clone(&touched);
            owned(move || {
                touch();
                touched.fetch_add(1, Ordering::SeqCst);
            })
        };
        let is_touched = |count| until("dropped", || touched.load(Ordering::SeqCst) == count);

        // Replaced by the next message.
        let (pull, push) = (
            Arc::new(Pull::new(&context).expect("a PULL")),
            Push::new(&context).expect("a PUSH"),
        );
        let endpoint = name();
        pull.bind(endpoint.as_str()).expect("bound");
        push.connect(endpoint.as_str()).expect("connected");
        let reader = Arc::downgrade(&pull);
        let touch: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
            if let Some(pull) = reader.upgrade() {
                let _ = (pull.stats(), pull.try_recv());
            }
        });
        let mut message = Message::new();
        for next in [vec![1; 10], vec![1; 100], vec![1; 30_000]] {
            push.send(touching(Arc::clone(&touch))).expect("sent");
            pull.recv_into(&mut message).expect("received");
            assert_eq!(message.size(), LONG);
            push.send(&next).expect("sent");
            pull.recv_into(&mut message).expect("received");
            assert_eq!(message, next);
        }
        push.send(["a", "b"]).expect("sent");
        is_touched(3);

        // Never received.
        push.send(touching(Arc::clone(&touch))).expect("sent");
        pull.wait_for_peers(1, DEADLINE).expect("connected");
        pull.shutdown();
        drop(push);
        is_touched(4);

        // Replaced by a newer one.
        let conflating = || Options::new().conflate(true);
        let pull = Arc::new(Pull::with_options(&context, conflating()).expect("a PULL"));
        let push = Push::with_options(&context, conflating()).expect("a PUSH");
        let endpoint = name();
        push.connect(endpoint.as_str()).expect("connected");
        pull.bind(endpoint.as_str()).expect("bound");
        let reader = Arc::downgrade(&pull);
        let touch: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
            if let Some(pull) = reader.upgrade() {
                let _ = pull.stats();
            }
        });
        for _ in 0..3 {
            push.send(touching(Arc::clone(&touch))).expect("sent");
        }
        drop(pull.recv_timeout(DEADLINE).expect("received"));
        is_touched(7);

        // No longer subscribed to.
        let publisher = Pub::new(&context).expect("a PUB");
        let subscriber = Arc::new(Sub::new(&context).expect("a SUB"));
        let endpoint = name();
        publisher.bind(endpoint.as_str()).expect("bound");
        subscriber.connect(endpoint.as_str()).expect("connected");
        subscriber.subscribe("").expect("subscribed");
        publisher
            .wait_for_subscribers("", 1, DEADLINE)
            .expect("subscribed");
        let reader = Arc::downgrade(&subscriber);
        let touch: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
            if let Some(subscriber) = reader.upgrade() {
                let _ = subscriber.stats();
            }
        });
        publisher.send(touching(touch)).expect("published");
        subscriber.unsubscribe("").expect("unsubscribed");
        assert!(subscriber.try_recv().is_err());
        drop(subscriber);
        is_touched(8);

        // A reply that nobody waits for.
        let rep = Rep::new(&context).expect("a REP");
        let req = Arc::new(Req::new(&context).expect("a REQ"));
        let endpoint = name();
        rep.bind(endpoint.as_str()).expect("bound");
        req.connect(endpoint.as_str()).expect("connected");
        let asking = {
            let req = Arc::clone(&req);
            thread::spawn(move || req.request_timeout("?", Duration::from_millis(50)))
        };
        let request = rep.recv_timeout(DEADLINE).expect("asked");
        assert!(asking.join().expect("ended").is_err());
        let asker = Arc::downgrade(&req);
        let touch: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
            if let Some(req) = asker.upgrade() {
                let _ = req.stats();
            }
        });
        request.reply(touching(touch)).expect("replied");
        assert!(
            req.request_timeout("again", Duration::from_millis(50))
                .is_err()
        );
        is_touched(9);
    });
}

/// A logger that uses the socket it is told of, and then panics.
struct SendingLogger {
    records: Mutex<Vec<String>>,
    by: OnceLock<Mutex<Sender<()>>>,
    push: OnceLock<Arc<Push>>,
}

thread_local! {
    /// This thread is in the logger, and what it logs there is passed over.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

static LOGGER: SendingLogger = SendingLogger {
    records: Mutex::new(Vec::new()),
    by: OnceLock::new(),
    push: OnceLock::new(),
};

impl log::Log for SendingLogger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        if let Some(push) = self.push.get() {
            let _ = push.stats();
        }
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if INSIDE.replace(true) {
            return;
        }
        let text = record.args().to_string();
        // It may wait, too; but events of other tests are logged as well, also when nobody receives any more.
        let may_wait = text.contains("cannot talk");
        self.records.lock().expect("records").push(text);
        match self.push.get() {
            Some(push) if may_wait => push.send_timeout("logged", DEADLINE).expect("sent"),
            Some(push) => drop(push.try_send("logged")),
            None => {}
        }
        if let Some(tell) = self.by.get() {
            let _ = tell.lock().expect("a sender").send(());
        }
        INSIDE.set(false);
        // Of what is logged for other tests, each panic would cost them the printing of a backtrace.
        assert!(!may_wait, "to be borne");
    }

    fn flush(&self) {}
}

/// Whatever the library logs, it does so with no lock held.
#[test]
fn a_logger_may_send_by_the_socket_that_logs() {
    log::set_logger(&LOGGER).expect("the only logger");
    log::set_max_level(log::LevelFilter::Trace);
    soon("a logger that sends", || {
        let context = Context::new();
        let pull = Pull::new(&context).expect("a PULL");
        let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound");
        let push = Arc::new(Push::new(&context).expect("a PUSH"));
        push.connect(&endpoint).expect("connected");
        let (tell, told) = channel();
        assert!(LOGGER.push.set(Arc::clone(&push)).is_ok());
        assert!(LOGGER.by.set(Mutex::new(tell)).is_ok());
        // Whoever waits for this name does not fit, which is logged.
        let name = format!("inproc://{}", unique::name());
        let stranger = Sub::new(&context).expect("a SUB");
        stranger.connect(name.as_str()).expect("connected");
        push.bind(name.as_str()).expect("bound");
        // Events are logged, too, of this and that socket.
        let is_told = || {
            let records = LOGGER.records.lock().expect("records");
            records.iter().any(|text| text.contains("cannot talk"))
        };
        while !is_told() {
            told.recv_timeout(DEADLINE).expect("logged");
        }
        assert_eq!(pull.recv_timeout(DEADLINE).expect("received"), "logged");
        // The socket is as good as before.
        push.send_timeout("after", DEADLINE).expect("sent");
        let next = || pull.recv_timeout(DEADLINE).expect("received");
        while next() != "after" {}
    });
}
