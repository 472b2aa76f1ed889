//! The verdict on a peer: who gives it, when, and what comes of it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use zerohop::{
    Allow, Answer, AuthRequest, Context, Credentials, Dealer, Denial, DisconnectCause, Event,
    Monitor, Options, Principal, ProtocolError, Pull, Push, Routed, Router, RoutingId,
    SendErrorKind, Verdict,
};

use crate::common::deadline::DEADLINE;
use crate::common::events::wait_for_end;
use crate::common::raw::{RawPeer, greeting};
use crate::common::unique;
use crate::common::until::{GLANCE, until};

const ANY_PORT: &str = "tcp://127.0.0.1:*";

/// Questions come out at the other end, to be answered whenever the test likes.
fn put_off() -> (Allow, Receiver<(AuthRequest, Answer)>) {
    let (sender, questions) = mpsc::channel();
    let sender = Mutex::new(sender);
    let allow = Allow::ask(move |request, answer| {
        let sender = sender.lock().expect("no panic");
        // The test may be over.
        let _ = sender.send((request, answer));
    });
    (allow, questions)
}

fn pull_that(context: &Context, allow: Allow) -> (Pull, String) {
    let pull = Pull::with_options(context, Options::new().allow(allow)).expect("a PULL");
    let endpoint = pull.bind(ANY_PORT).expect("bound").to_string();
    (pull, endpoint)
}

fn push_to(context: &Context, endpoint: &str) -> Push {
    let push = Push::new(context).expect("a PUSH");
    push.connect(endpoint).expect("connected");
    push
}

/// The end of the connection, as the side sees it that was not let in.
fn refused_with(monitor: &Monitor, reason: &str) {
    let error = ProtocolError::PeerError {
        reason: reason.to_owned(),
    };
    assert_eq!(wait_for_end(monitor), DisconnectCause::Protocol(error));
}

fn denied_for(monitor: &Monitor) -> (Denial, String) {
    match wait_for_end(monitor) {
        DisconnectCause::Denied { denial, reason } => (denial, reason),
        cause => panic!("ended for another cause: {cause:?}"),
    }
}

#[test]
fn code_lets_in_and_keeps_out() {
    let context = Context::new();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let allow = {
        let asked = Arc::clone(&asked);
        Allow::by(move |request| {
            let mut asked = asked.lock().expect("no panic");
            asked.push(request.clone());
            match asked.len() {
                1 => Verdict::deny("not the first"),
                _ => Verdict::allow_as("alice"),
            }
        })
    };
    let (pull, endpoint) = pull_that(&context, allow);
    let inside = pull.monitor();
    let push = Push::new(&context).expect("a PUSH");
    let outside = push.monitor();
    push.connect(&endpoint).expect("connected");
    push.send("kept until it is let in").expect("queued");
    assert_eq!(
        denied_for(&inside),
        (Denial::Credentials, "not the first".to_owned())
    );
    refused_with(&outside, "400");
    let message = pull.recv_timeout(DEADLINE).expect("let in at last");
    assert_eq!(message, "kept until it is let in");

    let stats = pull.stats();
    assert_eq!((stats.denied, stats.handshakes_failed), (1, 1));
    let peer = stats.peers.first().expect("a peer");
    assert_eq!(peer.principal, Some(Principal::User("alice".to_owned())));
    assert_eq!(peer.mechanism, "NULL");
    let asked = asked.lock().expect("no panic");
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].credentials, Credentials::None);
    assert_eq!(asked[0].endpoint, endpoint);
    assert!(asked[0].ip.is_some_and(|ip| ip.is_loopback()), "{asked:?}");
    assert_eq!((asked[0].mechanism, asked[0].ipc), ("NULL", None));
}

/// Each failure doubles the wait, as any other does.
#[test]
fn who_is_not_let_in_comes_again_after_growing_waits() {
    let context = Context::new();
    let (_pull, endpoint) = pull_that(&context, Allow::new());
    let first = Duration::from_millis(10);
    let options = Options::new()
        .reconnect_interval(first)
        .reconnect_interval_max(Duration::from_secs(10));
    let push = Push::with_options(&context, options).expect("a PUSH");
    let monitor = push.monitor();
    push.connect(&endpoint).expect("connected");
    let mut longest = Duration::ZERO;
    until("the waits grow", || {
        if let Ok(Event::RetryIn { delay, .. }) = monitor.recv_timeout(DEADLINE) {
            longest = longest.max(delay);
        }
        (longest > 4 * first).then_some(())
    });
}

/// It may use the very socket that asks, and wait for what other threads do with it.
#[test]
fn code_runs_with_no_lock_held() {
    let context = Context::new();
    let socket: Arc<Mutex<Option<Arc<Pull>>>> = Arc::default();
    let allow = {
        let socket = Arc::clone(&socket);
        Allow::by(move |_: &AuthRequest| {
            let pull = socket.lock().expect("no panic").clone().expect("a socket");
            let pending = pull.stats().handshakes_pending;
            let other = Arc::clone(&pull);
            let thread = std::thread::spawn(move || other.try_recv().is_err());
            thread.join().expect("no panic") && pending == 1
        })
    };
    let pull = Pull::with_options(&context, Options::new().allow(allow)).expect("a PULL");
    let pull = Arc::new(pull);
    *socket.lock().expect("no panic") = Some(Arc::clone(&pull));
    let endpoint = pull.bind(ANY_PORT).expect("bound").to_string();
    let push = push_to(&context, &endpoint);
    push.wait_for_peers(1, DEADLINE).expect("let in");
    *socket.lock().expect("no panic") = None;
}

#[test]
fn code_that_panics_lets_nobody_in() {
    let context = Context::new();
    let allow = Allow::by(|_: &AuthRequest| -> bool { panic!("on purpose") });
    let (pull, endpoint) = pull_that(&context, allow);
    let inside = pull.monitor();
    let push = push_to(&context, &endpoint);
    let (denial, _) = denied_for(&inside);
    assert_eq!(denial, Denial::Internal);
    assert!(push.wait_for_peers(1, Duration::ZERO).is_err());
}

#[test]
fn an_answer_that_is_dropped_lets_nobody_in() {
    let context = Context::new();
    let (pull, endpoint) = pull_that(&context, Allow::ask(|_, answer| drop(answer)));
    let inside = pull.monitor();
    let push = Push::new(&context).expect("a PUSH");
    let outside = push.monitor();
    push.connect(&endpoint).expect("connected");
    assert_eq!(denied_for(&inside).0, Denial::Internal);
    refused_with(&outside, "500");
}

/// Who waits is no peer yet: it is sent nothing, has no name, is heard of nothing. Others are served meanwhile.
#[test]
fn a_peer_that_waits_holds_no_place_and_nobody_up() {
    let context = Context::new();
    let (allow, questions) = put_off();
    let router = Router::with_options(&context, Options::new().allow(allow)).expect("a ROUTER");
    let endpoint = router.bind(ANY_PORT).expect("bound").to_string();
    let dealer = |name: &'static str| {
        let dealer = Dealer::with_options(&context, Options::new().routing_id(name));
        let dealer = dealer.expect("a DEALER");
        dealer.connect(&endpoint).expect("connected");
        dealer.send("hello").expect("queued");
        dealer
    };
    let waiting = dealer("waiting");
    let (_, late) = questions.recv_timeout(DEADLINE).expect("asked");
    let inside = dealer("inside");
    let (_, answer) = questions.recv_timeout(DEADLINE).expect("asked");
    answer.give(true);

    assert_eq!(router.recv_timeout(DEADLINE).expect("hello").peer, "inside");
    for _ in 0..100 {
        let routed = router.send_to("waiting", "too early").expect("open");
        assert_eq!(routed, Routed::Unroutable);
        router.send_to("inside", "at once").expect("open");
        assert_eq!(inside.recv_timeout(DEADLINE).expect("answered"), "at once");
    }
    assert!(router.try_recv().is_err());
    assert_eq!(
        router
            .stats()
            .peers
            .iter()
            .filter(|peer| peer.connection.is_some())
            .count(),
        1
    );
    assert!(late.is_wanted());
    late.give(true);
    let incoming = router.recv_timeout(DEADLINE).expect("let in");
    assert_eq!(incoming.peer, RoutingId::from("waiting"));
    router.send_to("waiting", "now").expect("routed");
    assert_eq!(waiting.recv_timeout(DEADLINE).expect("sent"), "now");
}

#[test]
fn a_peer_that_waits_is_not_sent_its_share() {
    let context = Context::new();
    let (allow, questions) = put_off();
    let push = Push::with_options(&context, Options::new().allow(allow)).expect("a PUSH");
    let endpoint = push.bind(ANY_PORT).expect("bound").to_string();
    let pull = Pull::new(&context).expect("a PULL");
    pull.connect(&endpoint).expect("connected");
    let (_, answer) = questions.recv_timeout(DEADLINE).expect("asked");
    let error = push
        .send_timeout("for nobody", GLANCE)
        .expect_err("no peer");
    assert_eq!(error.kind(), SendErrorKind::TimedOut);
    answer.give(Verdict::allow());
    push.send_timeout("for a peer", DEADLINE).expect("sent");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("sent"), "for a peer");
}

#[test]
fn a_verdict_that_never_comes_ends_with_the_time_for_a_handshake() {
    let context = Context::new();
    let (allow, questions) = put_off();
    let options = Options::new().allow(allow).handshake_timeout(GLANCE);
    let pull = Pull::with_options(&context, options).expect("a PULL");
    let inside = pull.monitor();
    let endpoint = pull.bind(ANY_PORT).expect("bound").to_string();
    let push = push_to(&context, &endpoint);
    let (_, answer) = questions.recv_timeout(DEADLINE).expect("asked");
    assert_eq!(wait_for_end(&inside), DisconnectCause::VerdictTimeout);
    assert!(!answer.is_wanted());
    // Too late, and nobody is let in by it.
    answer.give(true);
    assert!(push.wait_for_peers(1, Duration::ZERO).is_err());
}

#[test]
fn a_peer_that_goes_while_it_waits_is_noticed() {
    let context = Context::new();
    let (allow, questions) = put_off();
    let (pull, endpoint) = pull_that(&context, allow);
    let inside = pull.monitor();
    let push = push_to(&context, &endpoint);
    let (_, answer) = questions.recv_timeout(DEADLINE).expect("asked");
    drop(push);
    let cause = wait_for_end(&inside);
    assert!(
        matches!(cause, DisconnectCause::PeerClosed | DisconnectCause::Reset),
        "{cause:?}"
    );
    assert!(!answer.is_wanted());
}

/// More questions than there are threads to ask them.
#[test]
fn many_peers_are_decided_on() {
    const PEERS: usize = 50;
    let context = Context::new();
    let (allow, questions) = put_off();
    let (pull, endpoint) = pull_that(&context, allow);
    let pushes: Vec<Push> = (0..PEERS).map(|_| push_to(&context, &endpoint)).collect();
    let mut answers: Vec<Answer> = (0..PEERS)
        .map(|_| questions.recv_timeout(DEADLINE).expect("asked").1)
        .collect();
    // In another order than they were asked in.
    while let Some(answer) = answers.pop() {
        answer.give(true);
    }
    pull.wait_for_peers(PEERS, DEADLINE).expect("all let in");
    for push in &pushes {
        push.send("here").expect("sent");
        assert_eq!(pull.recv_timeout(DEADLINE).expect("sent"), "here");
    }
}

/// Code that takes its time is not called for those who have gone meanwhile.
#[test]
fn who_comes_and_goes_is_not_decided_on() {
    const STRANGERS: u64 = 200;
    let context = Context::new();
    let (gate, calls) = (Arc::new(Mutex::new(())), Arc::new(AtomicUsize::new(0)));
    let closed = gate.lock().expect("no panic");
    let allow = {
        let (gate, calls) = (Arc::clone(&gate), Arc::clone(&calls));
        Allow::by(move |_: &AuthRequest| {
            calls.fetch_add(1, Ordering::Relaxed);
            drop(gate.lock());
            true
        })
    };
    let (pull, endpoint) = pull_that(&context, allow);
    for come in 1..=STRANGERS {
        let mut stranger = RawPeer::connect(&endpoint);
        stranger.write(&greeting(1, "NULL"));
        stranger.read(64);
        drop(stranger);
        until("it has gone", || {
            std::thread::yield_now();
            (pull.stats().handshakes_failed == come).then_some(())
        });
    }
    let push = push_to(&context, &endpoint);
    until("it waits for its verdict", || {
        std::thread::yield_now();
        (pull.stats().handshakes_pending == 1).then_some(())
    });
    drop(closed);
    push.wait_for_peers(1, DEADLINE).expect("let in");
    let calls = calls.load(Ordering::Relaxed);
    assert!(calls <= 10, "{calls} calls");
}

/// Its handshake goes by the options that it has begun with, and so does what is asked about it.
#[test]
fn options_that_change_meanwhile_do_not_show_another_mechanism() {
    let context = Context::new();
    let (allow, questions) = put_off();
    let (pull, endpoint) = pull_that(&context, allow);
    let mut stranger = RawPeer::connect(&endpoint);
    let greeting = greeting(1, "NULL");
    let (first, rest) = greeting.split_at(20);
    stranger.write(first);
    stranger.read(64);
    pull.set("plain_server", "true").expect("changed");
    stranger.write(rest);
    let (request, answer) = questions.recv_timeout(DEADLINE).expect("asked");
    assert_eq!(request.mechanism, "NULL");
    assert_eq!(request.credentials, Credentials::None);
    answer.give(false);
}

/// The system says who is at the other end of a Unix socket.
#[test]
fn users_of_the_system_are_known_over_ipc() {
    let probe = std::env::temp_dir().join(unique::name());
    fs::write(&probe, "").expect("a file");
    let uid = fs::metadata(&probe).expect("of ours").uid();
    fs::remove_file(&probe).expect("removed");

    let context = Context::new();
    let pull_of = |allow: Allow| {
        let pull = Pull::with_options(&context, Options::new().allow(allow)).expect("a PULL");
        let endpoint = pull.bind("ipc://*").expect("bound");
        (pull, endpoint.to_string())
    };
    let (pull, endpoint) = pull_of(Allow::new().uid(uid));
    let push = push_to(&context, &endpoint);
    push.wait_for_peers(1, DEADLINE).expect("let in");
    pull.wait_for_peers(1, DEADLINE).expect("let in");
    for stats in [pull.stats(), push.stats()] {
        assert_eq!(stats.peers[0].principal, Some(Principal::Uid(uid)));
    }

    let (pull, endpoint) = pull_of(Allow::new().uid(uid + 1));
    let inside = pull.monitor();
    let _push = push_to(&context, &endpoint);
    let (denial, reason) = denied_for(&inside);
    assert_eq!(denial, Denial::Credentials);
    assert_eq!(reason, format!("uid {uid} is not on the list"));
}

/// Nobody is asked about peers of the same process.
#[test]
fn inproc_asks_nobody() {
    let context = Context::new();
    let options = Options::new().allow(Allow::new());
    let pull = Pull::with_options(&context, options).expect("a PULL");
    pull.bind("inproc://within").expect("bound");
    let push = push_to(&context, "inproc://within");
    push.send("within").expect("sent");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("sent"), "within");
}

#[test]
fn a_socket_that_closes_lets_its_questions_go() {
    let context = Context::new();
    let (allow, questions) = put_off();
    let (pull, endpoint) = pull_that(&context, allow);
    let _push = push_to(&context, &endpoint);
    let (_, answer) = questions.recv_timeout(DEADLINE).expect("asked");
    drop(pull);
    until("the question is withdrawn", || {
        std::thread::yield_now();
        (!answer.is_wanted()).then_some(())
    });
    answer.give(true);
}

/// The peer that waits for the verdict goes with it.
#[test]
fn code_may_unbind_what_it_is_asked_about() {
    let context = Context::new();
    let socket: Arc<Mutex<Option<Arc<Pull>>>> = Arc::default();
    let allow = {
        let socket = Arc::clone(&socket);
        Allow::by(move |request: &AuthRequest| {
            let pull = socket.lock().expect("no panic").take().expect("a socket");
            pull.unbind(&*request.endpoint).expect("bound");
            true
        })
    };
    let pull = Pull::with_options(&context, Options::new().allow(allow)).expect("a PULL");
    let pull = Arc::new(pull);
    *socket.lock().expect("no panic") = Some(Arc::clone(&pull));
    let endpoint = pull.bind(ANY_PORT).expect("bound").to_string();
    let inside = pull.monitor();
    let push =
        Push::with_options(&context, Options::new().reconnect_interval(None)).expect("a PUSH");
    push.connect(&*endpoint).expect("connected");
    assert_eq!(wait_for_end(&inside), DisconnectCause::LocalClose);
    assert!(push.wait_for_peers(1, GLANCE).is_err());
}

/// And the peer with it.
#[test]
fn code_may_drop_the_socket_that_asks() {
    let context = Context::new();
    let socket: Arc<Mutex<Option<Pull>>> = Arc::default();
    let (sender, done) = mpsc::channel();
    let allow = {
        let socket = Arc::clone(&socket);
        let sender = Mutex::new(sender);
        Allow::by(move |_: &AuthRequest| {
            let pull = socket.lock().expect("no panic").take();
            drop(pull);
            let sender = sender.lock().expect("no panic");
            sender.send(()).expect("the test waits");
            true
        })
    };
    let pull = Pull::with_options(&context, Options::new().allow(allow)).expect("a PULL");
    let endpoint = pull.bind(ANY_PORT).expect("bound").to_string();
    *socket.lock().expect("no panic") = Some(pull);
    let push = push_to(&context, &endpoint);
    done.recv_timeout(DEADLINE).expect("dropped");
    assert!(push.wait_for_peers(1, GLANCE).is_err());
    drop(push);
    drop(context);
}
