//! A ZAP handler (RFC 27) of the same context decides.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use zerohop::{
    Allow, Context, Denial, DisconnectCause, Frame, Incoming, Message, Monitor, Options, Principal,
    Pull, Push, Rep, Router, ZapFault,
};

use crate::common::deadline::DEADLINE;
use crate::common::events::wait_for_end;
use crate::common::raw::{RawPeer, greeting, property};
use crate::common::until::{GLANCE, until};

const HANDLER: &str = "inproc://zeromq.zap.01";

fn text(frame: &Frame) -> String {
    String::from_utf8_lossy(frame).into_owned()
}

/// Answers so many requests, each with what `reply` says.
fn handler(
    context: &Context,
    requests: usize,
    reply: impl Fn(&[String]) -> Vec<Vec<u8>> + Send + 'static,
) -> JoinHandle<()> {
    let rep = Rep::new(context).expect("a REP");
    rep.bind(HANDLER).expect("bound");
    thread::spawn(move || {
        for _ in 0..requests {
            let request = rep.recv_timeout(DEADLINE).expect("a request");
            let frames: Vec<String> = request.message().frames().map(text).collect();
            let reply = Message::from_frames(reply(&frames));
            request.reply(reply).expect("answered");
        }
    })
}

fn verdict(id: &str, status: &str, user: &str, metadata: Vec<u8>) -> Vec<Vec<u8>> {
    let texts = ["1.0", id, status, "because", user];
    let mut frames: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    frames.push(metadata);
    frames
}

fn bound(context: &Context, options: Options) -> (Pull, String, Monitor) {
    let pull = Pull::with_options(context, options).expect("a PULL");
    let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let monitor = pull.monitor();
    (pull, endpoint, monitor)
}

fn connected(context: &Context, options: Options, endpoint: &str) -> Push {
    let push = Push::with_options(context, options).expect("a PUSH");
    push.connect(endpoint).expect("connected");
    push
}

fn alice(password: &str) -> Options {
    Options::new().plain_client("alice", password)
}

#[test]
fn a_handler_decides_on_passwords() {
    let context = Context::new();
    let handler = handler(&context, 2, |request| {
        assert_eq!(request[0], "1.0");
        assert_eq!(request[2..6], ["shop", "127.0.0.1", "", "PLAIN"]);
        match (&*request[6], &*request[7]) {
            ("alice", "tiger") => {
                verdict(&request[1], "200", "Alice A.", property("Team", b"blue"))
            }
            _ => verdict(&request[1], "400", "", vec![]),
        }
    });
    let options = Options::new().plain_server(true).zap_domain("shop");
    let (pull, endpoint, monitor) = bound(&context, options);
    let wrong = connected(&context, alice("lion"), &endpoint);
    let expected = DisconnectCause::Denied {
        denial: Denial::Credentials,
        reason: String::from("because"),
    };
    assert_eq!(wait_for_end(&monitor), expected);
    drop(wrong);
    let push = connected(&context, alice("tiger"), &endpoint);
    push.send("in").expect("queued");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("let in"), "in");
    let principal = Some(Principal::User("Alice A.".to_owned()));
    let peers = pull.stats().peers;
    assert!(peers.iter().any(|peer| peer.principal == principal));
    handler.join().expect("asked twice");
}

/// With a domain, also where peers show nothing.
#[test]
fn a_handler_decides_where_there_is_a_domain() {
    let context = Context::new();
    let handler = handler(&context, 1, |request| {
        assert_eq!(request[2..], ["shop", "127.0.0.1", "", "NULL"]);
        verdict(&request[1], "200", "", vec![])
    });
    let (pull, endpoint, _) = bound(&context, Options::new().zap_domain("shop"));
    let push = connected(&context, Options::new(), &endpoint);
    push.send("in").expect("queued");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("let in"), "in");
    handler.join().expect("asked once");
}

#[test]
fn a_missing_handler_lets_in_nobody_who_needs_one() {
    let context = Context::new();
    let listed = || Allow::new().user("alice", "tiger");
    let server = || Options::new().plain_server(true);
    let shop = |options: Options| options.zap_domain("shop");
    let lax = |options: Options| shop(options).zap_enforce_domain(false);
    for (theirs, ours, let_in) in [
        (Options::new(), shop(Options::new()), false),
        (Options::new(), lax(Options::new()), true),
        (alice("tiger"), lax(server()), false),
        (alice("tiger"), shop(server()).allow(listed()), false),
        (alice("tiger"), server().allow(listed()), true),
    ] {
        let (_pull, endpoint, monitor) = bound(&context, ours);
        let push = connected(&context, theirs, &endpoint);
        if let_in {
            push.wait_for_peers(1, DEADLINE).expect("let in");
            continue;
        }
        match wait_for_end(&monitor) {
            DisconnectCause::Denied {
                denial: Denial::Internal,
                reason,
            } => assert!(reason.contains(HANDLER), "{reason}"),
            cause => panic!("{cause:?}"),
        }
    }
}

#[test]
fn replies_that_make_no_sense_let_nobody_in() {
    type Reply = fn(&str) -> Vec<Vec<u8>>;
    let replies: [(Reply, ZapFault); 6] = [
        (|id| verdict(id, "201", "", vec![]), ZapFault::Status),
        (|id| verdict(id, "200", "", vec![7]), ZapFault::Metadata),
        (|_| verdict("other", "200", "", vec![]), ZapFault::RequestId),
        (
            |id| verdict(id, "200", "", vec![])[..5].to_vec(),
            ZapFault::FrameCount { count: 6 },
        ),
        (
            |id| {
                let mut frames = verdict(id, "200", "", vec![]);
                frames[0] = b"2.0".to_vec();
                frames
            },
            ZapFault::Version,
        ),
        (|_| vec![vec![]], ZapFault::FrameCount { count: 2 }),
    ];
    for (reply, fault) in replies {
        let context = Context::new();
        let handler = handler(&context, 1, move |request| reply(&request[1]));
        let (_pull, endpoint, monitor) = bound(&context, Options::new().zap_domain("shop"));
        let options = Options::new().reconnect_interval(None);
        let _push = connected(&context, options, &endpoint);
        assert_eq!(wait_for_end(&monitor), DisconnectCause::ZapReply(fault));
        handler.join().expect("asked once");
    }
}

/// A handler may answer late, and in any order.
#[test]
fn a_handler_may_take_its_time() {
    let context = Context::new();
    let router = Router::new(&context).expect("a ROUTER");
    router.bind(HANDLER).expect("bound");
    let options = Options::new()
        .zap_domain("shop")
        .handshake_timeout(DEADLINE);
    let (_pull, endpoint, _) = bound(&context, options);
    let first = connected(&context, Options::new(), &endpoint);
    let early = router.recv_timeout(DEADLINE).expect("asked");
    let second = connected(&context, Options::new(), &endpoint);
    let late = router.recv_timeout(DEADLINE).expect("asked");
    let_in(&router, &late);
    second.wait_for_peers(1, DEADLINE).expect("let in");
    assert!(first.wait_for_peers(1, GLANCE).is_err());
    let_in(&router, &early);
    first.wait_for_peers(1, DEADLINE).expect("let in");
}

fn let_in(router: &Router, question: &Incoming) {
    let id = text(question.message.get(2).expect("an id"));
    let mut frames = vec![vec![]];
    frames.extend(verdict(&id, "200", "", vec![]));
    let routed = router.send_to(&question.peer, Message::from_frames(frames));
    routed.expect("answered");
}

/// Otherwise a peer that comes and goes again would keep out whoever is asked about at that time.
#[test]
fn a_reply_that_nobody_waits_for_is_about_nobody_else() {
    let context = Context::new();
    let router = Router::new(&context).expect("a ROUTER");
    router.bind(HANDLER).expect("bound");
    let options = Options::new()
        .zap_domain("shop")
        .handshake_timeout(DEADLINE);
    let (_pull, endpoint, monitor) = bound(&context, options);
    let once = || Options::new().reconnect_interval(None);
    let waiting = connected(&context, once(), &endpoint);
    let last = router.recv_timeout(DEADLINE).expect("asked");
    let gone = connected(&context, once(), &endpoint);
    let withdrawn = router.recv_timeout(DEADLINE).expect("asked");
    drop(gone);
    wait_for_end(&monitor);
    let inside = connected(&context, once(), &endpoint);
    let twice = router.recv_timeout(DEADLINE).expect("asked");
    let_in(&router, &twice);
    inside.wait_for_peers(1, DEADLINE).expect("let in");
    for question in [&twice, &withdrawn, &last] {
        let_in(&router, question);
    }
    waiting.wait_for_peers(1, DEADLINE).expect("let in");
}

/// What it is asked about those who have gone meanwhile does not pile up before it.
#[test]
fn a_handler_that_takes_nothing_is_not_asked_without_end() {
    const STRANGERS: u64 = 300;
    let context = Context::new();
    let router = Router::with_options(&context, Options::new().recv_hwm(10)).expect("a ROUTER");
    router.bind(HANDLER).expect("bound");
    let options = Options::new()
        .zap_domain("shop")
        .handshake_timeout(DEADLINE);
    let (pull, endpoint, _monitor) = bound(&context, options);
    let stranger = || {
        let mut stranger = RawPeer::connect(&endpoint);
        stranger.write(&greeting(1, "NULL"));
        stranger.read(64);
        stranger
    };
    let _waits = stranger();
    for come in 1..=STRANGERS {
        drop(stranger());
        until("it has gone", || {
            std::thread::yield_now();
            (pull.stats().handshakes_failed == come).then_some(())
        });
    }
    let push = connected(&context, Options::new(), &endpoint);
    let asked = until("the peer that is there is let in", || {
        let mut asked = 0;
        while push.wait_for_peers(1, Duration::ZERO).is_err() {
            if let Ok(question) = router.recv_timeout(GLANCE) {
                asked += 1;
                let_in(&router, &question);
            }
        }
        Some(asked)
    });
    assert!(asked <= 20, "{asked} questions");
}

#[test]
fn a_handler_that_never_answers_costs_the_time_for_a_handshake() {
    let context = Context::new();
    let rep = Rep::new(&context).expect("a REP");
    rep.bind(HANDLER).expect("bound");
    let patience = Duration::from_millis(100);
    let options = Options::new()
        .zap_domain("shop")
        .handshake_timeout(patience);
    let (_pull, endpoint, monitor) = bound(&context, options);
    let _push = connected(&context, Options::new(), &endpoint);
    assert_eq!(wait_for_end(&monitor), DisconnectCause::VerdictTimeout);
}

/// What the old one was asked and has not answered is lost; the new one is asked about whoever comes.
#[test]
fn a_handler_may_be_replaced() {
    let context = Context::new();
    let first = Router::new(&context).expect("a ROUTER");
    first.bind(HANDLER).expect("bound");
    let options = Options::new()
        .zap_domain("shop")
        .handshake_timeout(DEADLINE);
    let (_pull, endpoint, _monitor) = bound(&context, options);
    let _waits = connected(&context, Options::new(), &endpoint);
    first.recv_timeout(DEADLINE).expect("asked");
    drop(first);
    let second = Router::new(&context).expect("a ROUTER");
    second.bind(HANDLER).expect("bound");
    let push = connected(&context, Options::new(), &endpoint);
    let question = second.recv_timeout(DEADLINE).expect("asked");
    let_in(&second, &question);
    push.wait_for_peers(1, DEADLINE).expect("let in");
}
