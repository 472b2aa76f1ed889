//! Acknowledged delivery between DEALER and ROUTER: what is settled, what comes again and to whom, and what ends as a dead letter.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod delivering;
    pub(crate) mod events;
    pub(crate) mod raw;
    pub(crate) mod relay;
    pub(crate) mod until;
}

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use zerohop::spool::Spool;
use zerohop::{
    Context, DeadReason, Dealer, Delivery, DeliveryError, DisconnectCause, Event, IncomingJob, Job,
    Options, PeerRefusal, Poller, ProtocolError, ReceiptError, ReconfigureError, RecvError, Req,
    Routed, Router, SendErrorKind, SettleError, Settled, SocketError,
};

use common::deadline::DEADLINE;
use common::delivering::{options, quick};
use common::events::wait_for_end;
use common::raw::{MORE, RawPeer, command, frame, greeting, property};
use common::relay::Relay;
use common::until::{GLANCE, until};

const ANY_PORT: &str = "tcp://127.0.0.1:*";

/// A ROUTER that has bound an endpoint.
fn router(context: &Context, delivery: Delivery) -> (Router, String) {
    let router = Router::with_options(context, options(delivery)).expect("a ROUTER");
    let endpoint = router.bind(ANY_PORT).expect("bound").to_string();
    (router, endpoint)
}

fn dealer(context: &Context, delivery: Delivery, name: &str, endpoint: &str) -> Dealer {
    let options = options(delivery).routing_id(name);
    let dealer = Dealer::with_options(context, options).expect("a DEALER");
    dealer.connect(endpoint).expect("connected");
    dealer
}

fn job(router: &Router) -> IncomingJob {
    router.recv_job_timeout(DEADLINE).expect("a job")
}

fn text(incoming: &IncomingJob) -> String {
    incoming.job.message().to_str().expect("text").to_owned()
}

/// Waits until the DEALER holds no message.
fn all_settled(dealer: &Dealer) {
    until("all is settled", || {
        thread::sleep(Duration::from_millis(1));
        (dealer.stats().delivery.unsettled == 0).then_some(())
    });
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let end = Instant::now() + DEADLINE;
    loop {
        match future.as_mut().poll(&mut TaskContext::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park_timeout(GLANCE),
        }
        assert!(Instant::now() < end, "it takes too long");
    }
}

#[test]
fn jobs_come_with_their_peers_and_are_settled() {
    let context = Context::new();
    let (router, endpoint) = router(&context, quick());
    let dealers = ["ann", "bob"].map(|name| dealer(&context, quick(), name, &endpoint));
    let mut receipts = HashMap::new();
    for (name, dealer) in ["ann", "bob"].iter().zip(&dealers) {
        let receipt = dealer.send_later(format!("from {name}")).expect("sent");
        receipts.insert((*name).to_owned(), receipt);
    }
    for _ in 0..2 {
        let (IncomingJob { peer, job }, origin) =
            router.recv_job_from_timeout(DEADLINE).expect("a job");
        let name = peer.to_string();
        assert_eq!(*job.message(), format!("from {name}"));
        assert_eq!(job.deliveries(), 0);
        assert_eq!(origin.endpoint(), endpoint);
        let receipt = &receipts[&name];
        assert_eq!(job.id(), receipt.id());
        router
            .send_to(&peer, format!("to {name}"))
            .expect("answered");
        job.settle().expect("settled");
        assert_eq!(receipt.settled_timeout(DEADLINE), Ok(Settled::Done));
    }
    for (name, dealer) in ["ann", "bob"].iter().zip(&dealers) {
        let answer = dealer.recv_timeout(DEADLINE).expect("an answer");
        assert_eq!(answer, format!("to {name}"));
    }
    let none = router.try_recv_job().expect_err("nothing more");
    assert_eq!(none, RecvError::WouldBlock);
    let none = router.recv_job_timeout(GLANCE).expect_err("nothing more");
    assert_eq!(none, RecvError::TimedOut);

    // Every other call settles what it hands over.
    dealers[0].send(["two", "frames"]).expect("sent");
    let incoming = router.recv_timeout(DEADLINE).expect("a message");
    assert_eq!(
        (incoming.peer, incoming.message),
        ("ann".into(), ["two", "frames"].into())
    );
    all_settled(&dealers[0]);
    let stats = dealers[0].stats().delivery;
    assert_eq!((stats.settled, stats.retried), (2, 0));
}

#[test]
fn in_tasks_it_is_the_same() {
    let context = Context::new();
    let (router, endpoint) = router(&context, quick());
    let dealer = dealer(&context, quick(), "ann", &endpoint);
    let receipt = wait_for(dealer.send_later_async("first")).expect("sent");
    wait_for(dealer.send_async("second")).expect("sent");
    let first = wait_for(router.recv_job_async()).expect("a job");
    assert_eq!(
        (first.peer.to_string(), text(&first)),
        ("ann".into(), "first".into())
    );
    first.job.settle().expect("settled");
    assert_eq!(wait_for(receipt.settled_async()), Ok(Settled::Done));
    let (second, origin) = wait_for(router.recv_job_from_async()).expect("a job");
    assert_eq!(text(&second), "second");
    assert!(origin.socket_address().is_some());
    second.job.settle().expect("settled");
    all_settled(&dealer);
}

/// What is looked at, as by a poller, and received when the peer is gone, has its name still; and what it says counts when the peer is back.
#[test]
fn a_job_outlives_the_connection_that_it_came_by() {
    let context = Context::new();
    let patient = quick().grace(DEADLINE);
    let (router, endpoint) = router(&context, patient.clone());
    let relay = Relay::to(&endpoint);
    let dealer = dealer(&context, patient, "ann", &relay.address);
    dealer.send("order").expect("sent");
    let monitor = router.monitor();
    let mut poller = Poller::new().expect("a poller");
    poller.add_recv(0, &router).expect("added");
    let ready = poller.wait(Some(DEADLINE)).expect("it has come");
    assert_eq!(ready.len(), 1);
    relay.cut();
    wait_for_end(&monitor);
    let incoming = job(&router);
    assert_eq!(incoming.peer, "ann");
    // The peer may be back by now.
    let settled = incoming.job.settle();
    assert!(matches!(settled, Ok(()) | Err(SettleError::Lost)));
    until("the sender knows", || {
        if let Ok(again) = router.recv_job_timeout(GLANCE) {
            panic!("again: {again:?}");
        }
        (dealer.stats().delivery.unsettled == 0).then_some(())
    });
    let stats = dealer.stats().delivery;
    assert_eq!((stats.settled, stats.dead), (1, 0));
}

#[test]
fn a_dead_routers_jobs_go_to_another() {
    let context = Context::new();
    let (dies, first_at) = router(&context, quick().window(8));
    let dealer = dealer(&context, quick(), "ann", &first_at);
    for number in 0..8 {
        dealer.send(number.to_string()).expect("sent");
    }
    let done = job(&dies);
    assert_eq!(text(&done), "0");
    done.job.settle().expect("settled");
    let lost = job(&dies);
    let lost_id = lost.job.id();
    until("the first is settled", || {
        thread::sleep(Duration::from_millis(1));
        (dealer.stats().delivery.settled == 1).then_some(())
    });
    let (other, second_at) = router(&context, quick().window(8));
    dealer.connect(&*second_at).expect("connected");
    drop(dies);
    assert_eq!(lost.job.settle(), Err(SettleError::Closed));
    let mut seen = HashMap::new();
    for _ in 0..7 {
        let incoming = job(&other);
        assert_eq!(incoming.peer, "ann");
        assert!(incoming.job.deliveries() > 0);
        seen.insert(text(&incoming), incoming.job.id());
        incoming.job.settle().expect("settled");
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
    assert_eq!(seen["1"], lost_id, "it has the same name");
    all_settled(&dealer);
    let none = other.try_recv_job().expect_err("all is done");
    assert_eq!(none, RecvError::WouldBlock);
}

/// What takes too long, is dropped or given back comes again; what is rejected, or comes too often, is a dead letter.
#[test]
fn a_job_that_is_not_done_comes_again_until_it_is_dead() {
    let context = Context::new();
    let delivery = quick().limit(4).job_timeout(Duration::from_millis(100));
    let (router, endpoint) = router(&context, delivery.clone());
    let dealer = dealer(&context, delivery, "ann", &endpoint);
    dealer.send("hard").expect("sent");
    drop(job(&router));
    let again = job(&router);
    assert_eq!(again.job.deliveries(), 1);
    again
        .job
        .retry_in(Duration::from_millis(1))
        .expect("given back");
    let hangs = job(&router);
    assert_eq!(hangs.job.deliveries(), 2);
    let last = job(&router);
    assert_eq!((last.job.deliveries(), last.job.id()), (3, hangs.job.id()));
    assert_eq!(hangs.job.extend(), Err(SettleError::TimedOut));
    assert_eq!(hangs.job.settle(), Err(SettleError::TimedOut));
    last.job.extend().expect("there was time left");
    drop(last);
    all_settled(&dealer);
    dealer.send("bad").expect("sent");
    job(&router).job.reject("no such file").expect("rejected");
    all_settled(&dealer);
    let dead = dealer.dead_letters();
    let told: Vec<_> = dead
        .iter()
        .map(|dead| (dead.message.to_str().expect("text"), dead.reason.clone()))
        .collect();
    let rejected = DeadReason::Rejected("no such file".into());
    assert_eq!(
        told,
        [("hard", DeadReason::DeliveryLimit), ("bad", rejected)]
    );
    assert!(dealer.dead_letters().is_empty(), "they have been taken");
    dealer.close(DEADLINE).expect("nothing is left");
}

/// With cuts that are shorter than the grace, each message is received once, whatever the ROUTER calls the peer.
#[test]
fn a_link_that_is_cut_loses_nothing_and_repeats_nothing() {
    const MESSAGES: u32 = 1_000;
    let context = Context::new();
    let patient = quick().grace(DEADLINE).limit(1_000_000).window(64);
    let (router, endpoint) = router(&context, patient.clone());
    let relay = Relay::to(&endpoint);
    let dealer = dealer(&context, patient, "ann", &relay.address);
    let sending = thread::spawn(move || {
        for number in 0..MESSAGES {
            dealer.send(number.to_string()).expect("sent");
        }
        all_settled(&dealer);
        dealer
    });
    let mut seen = HashMap::new();
    let mut cuts = 0;
    until("all has come", || {
        let Ok(incoming) = router.recv_job_timeout(GLANCE) else {
            return None;
        };
        assert_eq!(incoming.peer, "ann");
        *seen.entry(text(&incoming)).or_insert(0) += 1;
        if seen.len() % 200 == 0 {
            cuts += relay.cut();
        }
        match incoming.job.settle() {
            Ok(()) | Err(SettleError::Lost) => {}
            Err(error) => panic!("{error}"),
        }
        (seen.len() == MESSAGES as usize).then_some(())
    });
    until("the sender knows", || {
        if let Ok(again) = router.recv_job_timeout(GLANCE) {
            panic!("again: {again:?}");
        }
        sending.is_finished().then_some(())
    });
    let dealer = sending.join().expect("no panic");
    assert!(cuts > 4, "{cuts}");
    assert!(seen.values().all(|&times| times == 1), "some came twice");
    assert_eq!(dealer.stats().delivery.settled, u64::from(MESSAGES));
}

/// Waits until a monitor is told of a peer that settles nothing.
fn wait_for_unacknowledged(monitor: &zerohop::Monitor) {
    until("the monitor is told", || {
        match monitor.recv_timeout(DEADLINE) {
            Ok(Event::Unacknowledged { .. }) => Some(()),
            Ok(_) => None,
            Err(error) => panic!("{error}"),
        }
    });
}

#[test]
fn peers_without_it_get_what_they_always_got() {
    let context = Context::new();
    let (router, endpoint) = router(&context, quick());
    let monitor = router.monitor();
    let mut plain = RawPeer::connect(&endpoint);
    plain.shake_hands(1, "DEALER");
    wait_for_unacknowledged(&monitor);
    plain.write(&[frame(MORE, b"two"), frame(0, b"frames")].concat());
    // What a peer says without having agreed means nothing.
    plain.write(&command("RUN", b""));
    let incoming = job(&router);
    assert_eq!(*incoming.job.message(), ["two", "frames"]);
    assert_eq!(incoming.job.id(), None);
    router.send_to(&incoming.peer, "answer").expect("answered");
    assert_eq!(
        incoming.job.reject("why not"),
        Err(SettleError::Unacknowledged)
    );
    assert_eq!(plain.read_frame(), (0, b"answer".to_vec()));
    let req = Req::new(&context).expect("a REQ");
    req.connect(&*endpoint).expect("connected");
    thread::scope(|scope| {
        let asking = scope.spawn(|| req.request_timeout("price", DEADLINE));
        let IncomingJob { peer, job } = job(&router);
        let [number, empty, body] = &job.message().frames().collect::<Vec<_>>()[..] else {
            panic!("{job:?}");
        };
        assert_eq!((empty.len(), body.as_slice()), (0, &b"price"[..]));
        let reply = [number.as_slice(), b"", b"9.99"];
        router.send_to(&peer, reply).expect("answered");
        job.settle().expect("nothing to say");
        assert_eq!(asking.join().expect("no panic").expect("a reply"), "9.99");
    });

    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let dealer = dealer(&context, quick(), "ann", &format!("tcp://{address}"));
    let monitor = dealer.monitor();
    let receipt = dealer.send_later("order").expect("sent");
    let mut plain = RawPeer::accept(&listener);
    plain.shake_hands(1, "ROUTER");
    assert_eq!(plain.read_frame(), (0, b"order".to_vec()));
    assert_eq!(
        receipt.settled_timeout(DEADLINE),
        Ok(Settled::Unacknowledged)
    );
    wait_for_unacknowledged(&monitor);
}

#[test]
fn their_own_kind_settles_both_ways() {
    let context = Context::new();
    let one = Dealer::with_options(&context, options(quick())).expect("a DEALER");
    let at = one.bind(ANY_PORT).expect("bound").to_string();
    let other = dealer(&context, quick(), "other", &at);
    one.wait_for_peers(1, DEADLINE).expect("connected");
    for (from, to) in [(&one, &other), (&other, &one)] {
        let receipt = from.send_later("hello").expect("sent");
        let job = to.recv_job_timeout(DEADLINE).expect("a job");
        assert_eq!(
            (job.message().to_str(), job.id()),
            (Ok("hello"), receipt.id())
        );
        job.settle().expect("settled");
        assert_eq!(receipt.settled_timeout(DEADLINE), Ok(Settled::Done));
    }

    let (one, at) = router(&context, quick());
    let named = options(quick()).routing_id("other");
    let other = Router::with_options(&context, named).expect("a ROUTER");
    other.connect_with_routing_id(&*at, "one").expect("named");
    other.wait_for_peers(1, DEADLINE).expect("connected");
    for (from, to, name) in [(&other, &one, "one"), (&one, &other, "other")] {
        from.send_to(name, "hello").expect("sent");
        let incoming = job(to);
        assert_eq!(text(&incoming), "hello");
        assert!(incoming.job.id().is_some());
        incoming.job.settle().expect("settled");
        all_answered(from);
        assert_eq!(from.stats().delivery.settled, 1);
    }
}

/// Waits until the ROUTER holds no message.
fn all_answered(router: &Router) {
    until("all is settled", || {
        thread::sleep(Duration::from_millis(1));
        (router.stats().delivery.unsettled == 0).then_some(())
    });
}

fn reply(dealer: &Dealer) -> (String, Job) {
    let job = dealer.recv_job_timeout(DEADLINE).expect("a job");
    (job.message().to_str().expect("text").to_owned(), job)
}

#[test]
fn what_a_router_sends_is_settled_by_the_peer_that_it_is_for() {
    let context = Context::new();
    let (router, endpoint) = router(&context, quick().limit(3));
    let [ann, bob] = ["ann", "bob"].map(|name| dealer(&context, quick(), name, &endpoint));
    router.wait_for_peers(2, DEADLINE).expect("connected");
    for number in 0..100 {
        for name in ["ann", "bob"] {
            let sent = router.send_to(name, format!("{name} {number}"));
            assert_eq!(sent.expect("sent"), Routed::Queued);
        }
    }
    let mut ids = HashSet::new();
    for (name, dealer) in [("ann", &ann), ("bob", &bob)] {
        for number in 0..100 {
            let (text, job) = reply(dealer);
            assert_eq!(text, format!("{name} {number}"), "in order");
            ids.insert(job.id().expect("a name"));
            job.settle().expect("settled");
        }
    }
    assert_eq!(
        ids.len(),
        200,
        "whoever a message is for, no other has its name"
    );
    all_answered(&router);

    router.send_to("ann", "again").expect("sent");
    router.send_to("bob", "bad").expect("sent");
    drop(reply(&ann));
    let (text, job) = reply(&ann);
    assert_eq!((&*text, job.deliveries()), ("again", 1));
    job.settle().expect("settled");
    reply(&bob).1.reject("not mine").expect("rejected");
    router.send_to("bob", "hard").expect("sent");
    for _ in 0..3 {
        drop(reply(&bob));
    }
    all_answered(&router);
    let dead: Vec<_> = router
        .dead_letters()
        .into_iter()
        .map(|dead| {
            (
                dead.peer.map(|peer| peer.to_string()),
                dead.message,
                dead.reason,
            )
        })
        .collect();
    let rejected = DeadReason::Rejected("not mine".into());
    let bob_s = Some("bob".to_owned());
    assert_eq!(
        dead,
        [
            (bob_s.clone(), "bad".into(), rejected),
            (bob_s, "hard".into(), DeadReason::DeliveryLimit)
        ]
    );
    let stats = router.stats().delivery;
    assert_eq!((stats.settled, stats.dead), (201, 2));
    // What is received by any other call is settled.
    router.send_to("ann", "plain").expect("sent");
    assert_eq!(ann.recv_timeout(DEADLINE).expect("a message"), "plain");
    all_answered(&router);
}

/// Nobody else gets what was for a peer that is gone: another of its name does not, and when its time is over it is dead.
#[test]
fn what_was_for_a_peer_that_is_gone_is_a_dead_letter() {
    let context = Context::new();
    let (router, endpoint) = router(&context, quick().window(2));
    let gone = dealer(&context, quick().window(2), "ann", &endpoint);
    let other = dealer(&context, quick(), "bob", &endpoint);
    router.wait_for_peers(2, DEADLINE).expect("connected");
    for number in 0..4 {
        router.send_to("ann", number.to_string()).expect("sent");
    }
    let (_, held) = reply(&gone);
    drop(gone);
    assert_eq!(held.settle(), Err(SettleError::Closed));
    all_answered(&router);
    let dead = router.dead_letters();
    let texts: Vec<_> = dead
        .iter()
        .filter_map(|dead| dead.message.to_str().ok())
        .collect();
    assert_eq!(texts, ["0", "1", "2", "3"]);
    for dead in &dead {
        assert_eq!(dead.reason, DeadReason::PeerGone);
        assert_eq!(
            dead.peer.as_ref().map(|peer| peer.as_bytes()),
            Some(&b"ann"[..])
        );
    }
    let error = router.send_to("ann", "too late").expect_err("it is gone");
    assert_eq!(error.kind(), SendErrorKind::Unroutable);
    assert_eq!(error.into_message(), "too late");
    router.send_to("bob", "still here").expect("sent");
    assert_eq!(reply(&other).0, "still here");
}

#[test]
fn another_socket_of_the_same_name_gets_nothing_of_the_first() {
    let context = Context::new();
    let (router, endpoint) = router(&context, quick().grace(Duration::from_secs(3600)));
    let first = dealer(&context, quick(), "ann", &endpoint);
    router.wait_for_peers(1, DEADLINE).expect("connected");
    router.send_to("ann", "for the first").expect("sent");
    drop(reply(&first));
    let monitor = router.monitor();
    drop(first);
    wait_for_end(&monitor);
    router
        .send_to("ann", "while it is away")
        .expect("it is held");
    assert_eq!(router.stats().delivery.unsettled, 2);
    let second = dealer(&context, quick(), "ann", &endpoint);
    all_answered(&router);
    let dead = router.dead_letters();
    assert_eq!(dead.len(), 2, "{dead:?}");
    assert!(dead.iter().all(|dead| dead.reason == DeadReason::PeerGone));
    router.send_to("ann", "for the second").expect("sent");
    let (text, job) = reply(&second);
    assert_eq!(text, "for the second");
    job.settle().expect("settled");
    all_answered(&router);
    router.close(DEADLINE).expect("nothing is left");
}

/// It is to the ROUTER who it was, as its id is that of the spool.
#[test]
fn what_a_dealer_with_a_spool_has_not_settled_comes_to_the_one_after_it() {
    let name = format!("zerohop-after-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    let context = Context::new();
    let (router, endpoint) = router(&context, quick().grace(Duration::from_secs(3600)));
    let monitor = router.monitor();
    let spooled = || quick().spool(Spool::at(&folder));
    let first = dealer(&context, spooled(), "ann", &endpoint);
    router.wait_for_peers(1, DEADLINE).expect("connected");
    router.send_to("ann", "an answer").expect("sent");
    let (_, held) = reply(&first);
    first.close(DEADLINE).expect("nothing is held");
    drop(held);
    wait_for_end(&monitor);
    let second = dealer(&context, spooled(), "ann", &endpoint);
    let (text, job) = reply(&second);
    assert_eq!((text.as_str(), job.deliveries()), ("an answer", 1));
    job.settle().expect("settled");
    all_answered(&router);
    assert!(router.dead_letters().is_empty());
    drop(second);
    let _ = std::fs::remove_dir_all(&folder);
}

/// Requests and answers over a link that is cut again and again, with a name of the peer's own or one that is made up: each comes once.
#[test]
fn nothing_is_lost_or_repeated_in_either_direction() {
    const MESSAGES: u32 = 500;
    let context = Context::new();
    for name in [Some("ann"), None] {
        let patient = quick().grace(DEADLINE).limit(1_000_000).window(32);
        let (router, endpoint) = router(&context, patient.clone());
        let relay = Relay::to(&endpoint);
        let mut options = options(patient);
        if let Some(name) = name {
            options = options.routing_id(name);
        }
        let dealer = Dealer::with_options(&context, options).expect("a DEALER");
        dealer.connect(&*relay.address).expect("connected");
        let mut answered = HashMap::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..MESSAGES {
                    dealer.send(number.to_string()).expect("sent");
                }
            });
            let serving = scope.spawn(|| {
                for served in 1..=MESSAGES {
                    let IncomingJob { peer, job } = job(&router);
                    router.send_to(&peer, job.message()).expect("answered");
                    let _ = job.settle();
                    if served % 100 == 0 {
                        assert!(relay.cut() > 0);
                    }
                }
                // What was settled while there was no connection is said with the next one.
                until("the sender knows", || {
                    if let Ok(again) = router.recv_job_timeout(GLANCE) {
                        panic!("again: {again:?}");
                    }
                    (dealer.stats().delivery.unsettled == 0).then_some(())
                });
            });
            until("all is answered", || {
                if let Ok(job) = dealer.recv_job_timeout(GLANCE) {
                    let text = job.message().to_str().expect("text").to_owned();
                    *answered.entry(text).or_insert(0) += 1;
                    let _ = job.settle();
                }
                let over = serving.is_finished() && router.stats().delivery.unsettled == 0;
                over.then_some(())
            });
        });
        assert_eq!(answered.len(), MESSAGES as usize, "{name:?}");
        assert!(
            answered.values().all(|&times| times == 1),
            "some came twice"
        );
        assert!(router.dead_letters().is_empty());
        assert_eq!(dealer.stats().delivery.settled, u64::from(MESSAGES));
        assert_eq!(router.stats().delivery.settled, u64::from(MESSAGES));
    }
}

/// The window bounds what a peer that never settles gets, and the mark what is held for it; others have their own.
#[test]
fn a_peer_that_never_settles_holds_up_what_is_for_it_alone() {
    let context = Context::new();
    let bounded = options(quick()).send_hwm(4);
    let router = Router::with_options(&context, bounded).expect("a ROUTER");
    let endpoint = router.bind(ANY_PORT).expect("bound").to_string();
    let mut peer = RawPeer::connect(&endpoint);
    hello(&mut peer, "DEALER", 2);
    let bob = dealer(&context, quick(), "bob", &endpoint);
    router.wait_for_peers(2, DEADLINE).expect("connected");
    let names = router.routing_ids();
    let name = names.iter().find(|name| **name != *"bob").expect("a name");
    for number in 0..4 {
        router.send_to(name, number.to_string()).expect("sent");
    }
    let error = router.try_send_to(name, "one more").expect_err("the mark");
    assert_eq!(error.kind(), SendErrorKind::WouldBlock);
    assert_eq!(error.into_message(), "one more");
    router.try_send_to("bob", "hello").expect("there is room");
    assert_eq!(bob.recv_timeout(DEADLINE).expect("a message"), "hello");
    assert_eq!(peer.read_frame().1, b"\x03RUN\0\x01\x01\0");
    for number in 0..2 {
        assert_eq!(peer.read_frame().1, number.to_string().as_bytes());
    }
    thread::scope(|scope| {
        let waiting = scope.spawn(|| router.send_to_timeout(name, "one more", DEADLINE));
        peer.write(&command("SETTLE", b"\0\0\x01"));
        let sent = waiting.join().expect("no panic");
        assert_eq!(sent.expect("there is room"), Routed::Queued);
    });
    assert_eq!(peer.read_frame().1, b"2");
    let left = router.close(GLANCE);
    assert_eq!(left.map_err(|error| error.unsent()), Err(4));
}

#[test]
fn peers_without_it_are_refused_where_it_is_required() {
    let context = Context::new();
    let (router, endpoint) = router(&context, quick().required());
    let monitor = router.monitor();
    let plain = Dealer::new(&context).expect("a DEALER");
    plain.connect(&*endpoint).expect("connected");
    let refused = DisconnectCause::Refused(PeerRefusal::NoDelivery);
    assert_eq!(wait_for_end(&monitor), refused);
    drop(plain);

    let strict = Dealer::with_options(&context, options(quick().required())).expect("a DEALER");
    let strict_at = strict.bind(ANY_PORT).expect("bound").to_string();
    let monitor = strict.monitor();
    let plain = Router::new(&context).expect("a ROUTER");
    plain.connect(&*strict_at).expect("connected");
    assert_eq!(wait_for_end(&monitor), refused);
    drop(plain);
    strict.connect(&*endpoint).expect("connected");
    strict.send("to one who knows it").expect("sent");
    job(&router).job.settle().expect("settled");
    all_settled(&strict);
}

/// What cannot be is an error when the socket is made, or changed.
#[test]
fn what_is_not_supported_is_refused_by_name() {
    let context = Context::new();
    let spool = quick().spool(Spool::at("never-made.spool"));
    let cases = [
        (
            Router::with_options(&context, options(spool)).err(),
            "delivery",
        ),
        (
            Dealer::with_options(&context, options(quick()).probe_router(true)).err(),
            "probe_router",
        ),
        (
            Router::with_options(&context, options(quick()).probe_router(true)).err(),
            "probe_router",
        ),
        (
            Router::with_options(&context, options(quick()).router_raw(true)).err(),
            "router_raw",
        ),
        (
            Router::with_options(&context, options(quick()).disconnect_message("gone")).err(),
            "disconnect_message",
        ),
        (
            Dealer::with_options(&context, options(quick()).hello_message("here")).err(),
            "hello_message",
        ),
        (
            Dealer::with_options(&context, options(quick()).hiccup_message("again")).err(),
            "hiccup_message",
        ),
        (
            Dealer::with_options(&context, options(quick()).conflate(true)).err(),
            "conflate",
        ),
    ];
    for (error, option) in cases {
        let Some(SocketError::Option(error)) = error else {
            panic!("{option}: {error:?}");
        };
        assert_eq!(error.option(), option);
    }
    assert!(!std::path::Path::new("never-made.spool").exists());
    let (router, endpoint) = router(&context, quick());
    let dealer = dealer(&context, quick(), "ann", &endpoint);
    for error in [
        dealer.reconfigure(|options| options.probe_router(true)),
        router.reconfigure(|options| options.probe_router(true)),
    ] {
        let error = error.expect_err("a probe");
        assert!(
            matches!(&error, ReconfigureError::Option(error) if error.option() == "probe_router"),
            "{error:?}"
        );
    }
}

/// Shakes hands as a DEALER that knows acknowledged delivery, and takes so many messages.
fn hello(peer: &mut RawPeer, socket_type: &str, window: u8) {
    let mut value = vec![1];
    value.extend_from_slice(&[7; 16]);
    value.push(window);
    let list = [
        property("Socket-Type", socket_type.as_bytes()),
        property("Delivery", &value),
    ];
    peer.write(&greeting(1, "NULL"));
    peer.write(&command("READY", &list.concat()));
    peer.read(64);
    let (_, ready) = peer.read_frame();
    assert!(
        ready.windows(8).any(|name| name == b"Delivery"),
        "it offers it"
    );
}

#[test]
fn hostile_peers_lose_their_connection_and_nothing_else() {
    let context = Context::new();
    let (router, endpoint) = router(&context, quick().window(4));
    let monitor = router.monitor();
    let run = |tag: u8| command("RUN", &[tag, 1, 1, 0]);
    let beyond = DeliveryError::OutOfWindow { window: 4 };
    for (bytes, expected) in [
        (frame(0, b"message"), DeliveryError::Unnumbered),
        (
            [run(0), run(0)].concat(),
            DeliveryError::Repeated { tag: 0 },
        ),
        ([run(0), frame(0, b"message").repeat(5)].concat(), beyond),
        (
            command("SETTLE", b"\0\0\x01"),
            DeliveryError::NeverSent { tag: 0 },
        ),
    ] {
        let mut peer = RawPeer::connect(&endpoint);
        hello(&mut peer, "DEALER", 4);
        peer.pour(&bytes);
        let cause = DisconnectCause::Protocol(ProtocolError::Delivery(expected));
        assert_eq!(wait_for_end(&monitor), cause);
        peer.expect_closed();
    }
    let dealer = dealer(&context, quick(), "ann", &endpoint);
    let at = dealer.bind(ANY_PORT).expect("bound").to_string();
    let monitor = dealer.monitor();
    for (name, data, expected) in [
        (
            "SETTLE",
            &b"\0\0\x01"[..],
            DeliveryError::NeverSent { tag: 0 },
        ),
        (
            "SETTLE",
            b"",
            DeliveryError::Malformed { command: "SETTLE" },
        ),
        ("RUN", b"", DeliveryError::Malformed { command: "RUN" }),
    ] {
        let mut peer = RawPeer::connect(&at);
        hello(&mut peer, "ROUTER", 4);
        peer.pour(&command(name, data));
        let cause = DisconnectCause::Protocol(ProtocolError::Delivery(expected));
        assert_eq!(wait_for_end(&monitor), cause);
        peer.expect_closed();
    }
    dealer.send("well meant").expect("sent");
    let incoming = job(&router);
    assert_eq!(text(&incoming), "well meant");
    incoming.job.settle().expect("settled");
    all_settled(&dealer);
}

/// Whatever becomes of what a ROUTER has sent, its receipt tells.
#[test]
fn a_router_has_receipts() {
    let context = Context::new();
    let (router, endpoint) = router(&context, quick());
    let dealer = dealer(&context, quick(), "ann", &endpoint);
    dealer.send("here").expect("sent");
    job(&router).job.settle().expect("settled");

    let done = router.send_to_later("ann", "one").expect("sent");
    let dead = wait_for(router.send_to_later_async("ann", "two")).expect("sent");
    drop(router.send_to_later_async("ann", "never"));
    {
        let mut third = pin!(router.send_to_later_async("ann", "three"));
        let mut task = TaskContext::from_waker(Waker::noop());
        assert!(third.as_mut().poll(&mut task).is_ready());
        assert!(third.as_mut().poll(&mut task).is_pending(), "only once");
    }
    assert_eq!(done.try_settled(), Err(ReceiptError::WouldBlock));
    let first = dealer.recv_job_timeout(DEADLINE).expect("a job");
    assert_eq!((first.message(), first.id()), (&"one".into(), done.id()));
    first.settle().expect("settled");
    let second = dealer.recv_job_timeout(DEADLINE).expect("a job");
    assert_eq!((second.message(), second.id()), (&"two".into(), dead.id()));
    second.reject("no").expect("rejected");
    let third = dealer.recv_job_timeout(DEADLINE).expect("a job");
    assert_eq!(third.message(), "three");
    third.settle().expect("settled");
    assert_eq!(done.settled_timeout(DEADLINE), Ok(Settled::Done));
    let rejected = Settled::Dead(DeadReason::Rejected("no".into()));
    assert_eq!(wait_for(dead.settled_async()), Ok(rejected));

    let lost = router.send_to_later("ann", "too late").expect("sent");
    assert_eq!(dealer.recv_timeout(DEADLINE).expect("it"), "too late");
    assert_eq!(lost.settled_timeout(DEADLINE), Ok(Settled::Done));
    let held = router
        .send_to_later("ann", "never worked on")
        .expect("sent");
    dealer.close(Duration::ZERO).expect("nothing is unsent");
    let gone = Settled::Dead(DeadReason::PeerGone);
    assert_eq!(held.settled_timeout(DEADLINE), Ok(gone.clone()));
    let error = router
        .send_to_later("ann", "back")
        .expect_err("she is gone");
    assert_eq!(error.kind(), SendErrorKind::Unroutable);
    assert_eq!(error.into_message(), "back");

    let named = Options::new().routing_id("bob");
    let plain = Dealer::with_options(&context, named).expect("a DEALER");
    plain.connect(&*endpoint).expect("connected");
    plain.send("here").expect("sent");
    assert_eq!(router.recv_timeout(DEADLINE).expect("it").message, "here");
    let unknown = router.send_to_later("bob", "hello").expect("sent");
    let settled = unknown.settled_timeout(DEADLINE);
    assert_eq!(settled, Ok(Settled::Unacknowledged));
    // What is known stays known.
    router.close(Duration::ZERO).expect("all is done");
    assert_eq!(held.settled(), Ok(gone));
    assert_eq!(done.settled(), Ok(Settled::Done));
}
