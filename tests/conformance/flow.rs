//! High-water marks and time limits.

use std::thread;
use std::time::{Duration, Instant};

use crate::sockets::{Context, Pull, Push, RecvError, Rep, Req, RequestError, SendErrorKind, Sub};

use crate::arena::{Transport, nimble, on_every_transport};
use crate::common::deadline::DEADLINE;
use crate::common::until::until;
use crate::pairs::Socket;

on_every_transport!(
    gives_back_what_finds_no_room,
    a_blocked_send_goes_on_when_the_peer_reads,
    a_blocked_send_goes_on_when_a_peer_comes,
    times_out_and_not_before,
    does_not_wait_without_time,
);

/// A PUSH with so low a mark, and a PULL that reads nothing, filled to the brim. Gives the number of messages in it.
fn fill(transport: Transport) -> (Push, Pull, u32) {
    let context = Context::new();
    let options = nimble().send_hwm(10).recv_hwm(10);
    let push = Push::with_options(&context, options.clone()).expect("a PUSH");
    let pull = Pull::with_options(&context, options).expect("a PULL");
    Socket::connect(&push, &Socket::bind(&pull, &transport.endpoint()));
    push.wait_for_peers(1, DEADLINE).expect("a peer");
    let mut sent = 0;
    // Full is when nothing has gone for a while: at first the kernel still makes room.
    let mut refused = 0;
    while refused < 5 {
        match push.send_timeout(numbered(sent), Duration::from_millis(20)) {
            Ok(()) => (sent, refused) = (sent + 1, 0),
            Err(error) => {
                assert_eq!(error.kind(), SendErrorKind::TimedOut);
                refused += 1;
            }
        }
    }
    (push, pull, sent)
}

fn numbered(number: u32) -> [Vec<u8>; 2] {
    [number.to_be_bytes().to_vec(), vec![b'x'; 50_000]]
}

fn drain(pull: &Pull, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let message = pull.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(message, zerohop::Message::from(numbered(number)));
    }
}

fn gives_back_what_finds_no_room(transport: Transport) {
    let (push, pull, sent) = fill(transport);
    // Both marks hold; over inproc they are one queue.
    assert!(sent >= 20, "only {sent} found room");
    if transport == Transport::Inproc {
        assert_eq!(sent, 20);
    }
    assert!(push.stats().peers[0].queued_out <= 20);

    let error = push.try_send(["not", "now"]).expect_err("full");
    assert_eq!(error.kind(), SendErrorKind::WouldBlock);
    assert_eq!(error.into_message(), ["not", "now"]);
    let long = vec![b'l'; 100_000];
    let error = push.try_send(long.clone()).expect_err("full");
    assert_eq!(error.into_message(), zerohop::Message::from(long));
    let error = push
        .send_batch([b"first", b"other"].into_iter().take(0))
        .expect("an empty batch is sent");
    assert_eq!(error, 0);

    drain(&pull, 0..sent);
    assert!(
        pull.try_recv().is_err(),
        "what was refused came all the same"
    );
}

fn a_blocked_send_goes_on_when_the_peer_reads(transport: Transport) {
    let (push, pull, sent) = fill(transport);
    thread::scope(|scope| {
        let sending = scope.spawn(|| push.send_timeout(numbered(sent), DEADLINE));
        drain(&pull, 0..sent + 1);
        sending.join().expect("the sending thread").expect("sent");
    });
}

fn a_blocked_send_goes_on_when_a_peer_comes(transport: Transport) {
    let context = Context::new();
    let push = Push::open(&context);
    let pull = Pull::open(&context);
    let endpoint = Socket::bind(&push, &transport.endpoint());
    assert!(push.try_send("nobody is there").is_err());
    thread::scope(|scope| {
        let sending = scope.spawn(|| push.send_timeout("at last", DEADLINE));
        Socket::connect(&pull, &endpoint);
        assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), *"at last");
        sending.join().expect("the sending thread").expect("sent");
    });
}

/// Waits the time that was asked for; how much longer is up to the machine.
fn times_out_and_not_before(transport: Transport) {
    const TIMEOUT: Duration = Duration::from_millis(30);
    let context = Context::new();
    let limited = nimble().send_timeout(TIMEOUT).recv_timeout(TIMEOUT);
    let pull = Pull::with_options(&context, limited.clone()).expect("a PULL");
    Socket::bind(&pull, &transport.endpoint());
    let sub = Sub::with_options(&context, limited.clone()).expect("a SUB");
    Socket::bind(&sub, &transport.endpoint());
    let rep = Rep::with_options(&context, limited.clone()).expect("a REP");
    Socket::bind(&rep, &transport.endpoint());
    let push = Push::with_options(&context, limited.clone()).expect("a PUSH");
    Socket::bind(&push, &transport.endpoint());
    let req = Req::with_options(&context, limited).expect("a REQ");
    Socket::bind(&req, &transport.endpoint());

    let timed = |call: &dyn Fn()| {
        let start = Instant::now();
        call();
        assert!(start.elapsed() >= TIMEOUT, "{:?}", start.elapsed());
    };
    timed(&|| assert_eq!(pull.recv(), Err(RecvError::TimedOut)));
    timed(&|| assert_eq!(pull.recv_timeout(TIMEOUT), Err(RecvError::TimedOut)));
    timed(&|| assert_eq!(sub.recv(), Err(RecvError::TimedOut)));
    timed(&|| assert_eq!(rep.recv().err(), Some(RecvError::TimedOut)));
    timed(&|| {
        let error = push.send("nobody").expect_err("nobody is there");
        assert_eq!(error.kind(), SendErrorKind::TimedOut);
        assert_eq!(error.into_message(), *"nobody");
    });
    timed(&|| match req.request("nobody") {
        Err(RequestError::Send(error)) => assert_eq!(error.into_message(), *"nobody"),
        other => panic!("not refused: {other:?}"),
    });
}

fn does_not_wait_without_time(transport: Transport) {
    let context = Context::new();
    let pull = Pull::open(&context);
    let endpoint = Socket::bind(&pull, &transport.endpoint());
    assert_eq!(pull.try_recv(), Err(RecvError::WouldBlock));
    let push = Push::open(&context);
    let error = push.try_send("nobody").expect_err("nobody is there");
    assert_eq!(error.kind(), SendErrorKind::WouldBlock);
    Socket::connect(&push, &endpoint);
    push.try_send("queued").expect("a connecting peer has room");
    // Without ever waiting itself, the caller gets what the caretaker brings.
    let message = until("the message comes", || {
        thread::yield_now();
        pull.try_recv().ok()
    });
    assert_eq!(message, *"queued");
}
