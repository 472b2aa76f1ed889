//! REQ and REP: every reply finds its request, and no loss locks a client out.

use std::thread;
use std::time::Duration;

use zerohop::{Context, Options, Rep, ReplyErrorKind, Req, RequestError, SendErrorKind};

use crate::arena::{Transport, nimble, on_every_transport};
use crate::common::deadline::DEADLINE;
use crate::common::until::{GLANCE, until};
use crate::pairs::Socket;

on_every_transport!(
    carries_frames_both_ways,
    takes_turns,
    many_threads_ask_over_one_socket,
    goes_on_after_a_time_out,
    goes_on_after_the_server_restarts,
    strict_mode_insists_on_the_reply,
    tells_a_reply_that_nobody_gets,
);

fn pair(transport: Transport, options: Options) -> (Req, Rep) {
    let context = Context::new();
    let req = Req::with_options(&context, options.clone()).expect("a REQ");
    let rep = Rep::with_options(&context, options).expect("a REP");
    Socket::connect(&req, &Socket::bind(&rep, &transport.endpoint()));
    req.wait_for_peers(1, DEADLINE).expect("a peer");
    (req, rep)
}

fn carries_frames_both_ways(transport: Transport) {
    let (req, rep) = pair(transport, nimble());
    let bodies = [
        zerohop::Message::from("question"),
        zerohop::Message::from(""),
        zerohop::Message::from(["", "a", "", "b", ""]),
        zerohop::Message::from(vec![b'x'; 1 << 20]),
    ];
    thread::scope(|scope| {
        scope.spawn(|| {
            for body in &bodies {
                let request = rep.recv_timeout(DEADLINE).expect("a request");
                assert_eq!(request.message(), body);
                let mut answer = request.message().clone();
                answer.push_back("answer");
                request.reply(answer).expect("replied");
            }
        });
        for body in &bodies {
            let mut expected = body.clone();
            expected.push_back("answer");
            let reply = req.request_timeout(body, DEADLINE).expect("a reply");
            assert_eq!(reply, expected);
        }
    });
}

fn takes_turns(transport: Transport) {
    let context = Context::new();
    let req = Req::open(&context);
    let reps: Vec<Rep> = (0..3).map(|_| Rep::open(&context)).collect();
    for rep in &reps {
        Socket::connect(&req, &Socket::bind(rep, &transport.endpoint()));
    }
    req.wait_for_peers(3, DEADLINE).expect("all peers");
    thread::scope(|scope| {
        for (name, rep) in reps.iter().enumerate() {
            scope.spawn(move || {
                for _ in 0..10 {
                    let request = rep.recv_timeout(DEADLINE).expect("a request");
                    request.reply([name as u8]).expect("replied");
                }
            });
        }
        let names: Vec<u8> = (0..30)
            .map(|_| {
                let reply = req.request_timeout("who?", DEADLINE).expect("a reply");
                reply.as_bytes()[0]
            })
            .collect();
        assert!(
            names.chunks(3).all(|three| three == &names[..3]),
            "{names:?}"
        );
    });
}

fn many_threads_ask_over_one_socket(transport: Transport) {
    const EACH: u32 = 200;
    let (req, rep) = pair(transport, nimble());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let request = rep.recv_timeout(DEADLINE).expect("a request");
                    let text = request.message().clone();
                    if text == *"end" {
                        return request.reply("end").expect("replied");
                    }
                    request.reply(text).expect("replied");
                }
            });
        }
        let asking: Vec<_> = (0..4)
            .map(|thread| {
                let req = &req;
                scope.spawn(move || {
                    for number in 0..EACH {
                        let text = format!("{thread} {number}");
                        let reply = req.request_timeout(&text, DEADLINE).expect("a reply");
                        assert_eq!(reply, *text);
                    }
                })
            })
            .collect();
        for thread in asking {
            thread.join().expect("an asking thread");
        }
        for _ in 0..2 {
            req.request_timeout("end", DEADLINE).expect("a reply");
        }
    });
}

/// Without a reply in time, the next request goes out at once, and the late reply is not taken for its own.
fn goes_on_after_a_time_out(transport: Transport) {
    for correlate in [true, false] {
        let (req, rep) = pair(transport, nimble().req_correlate(correlate));
        let none = req.request_timeout("first", GLANCE);
        assert!(matches!(none, Err(RequestError::TimedOut)), "{none:?}");
        let late = rep.recv_timeout(DEADLINE).expect("the first request");
        assert_eq!(*late.message(), *"first");
        thread::scope(|scope| {
            let asking = scope.spawn(|| req.request_timeout("second", DEADLINE));
            late.reply("late").expect("replied");
            let request = rep.recv_timeout(DEADLINE).expect("the second request");
            assert_eq!(*request.message(), *"second");
            request.reply("in time").expect("replied");
            let reply = asking.join().expect("the asking thread");
            assert_eq!(reply.expect("a reply"), *"in time");
        });
    }
}

fn goes_on_after_the_server_restarts(transport: Transport) {
    let context = Context::new();
    let req = Req::open(&context);
    let endpoint = transport.endpoint();
    Socket::connect(&req, &endpoint);
    for life in 0..3 {
        thread::scope(|scope| {
            let rep = Rep::open(&context);
            Socket::bind(&rep, &endpoint);
            let asking = scope.spawn(|| req.request_timeout("lost", DEADLINE));
            let request = rep.recv_timeout(DEADLINE).expect("a request");
            assert_eq!(*request.message(), *"lost", "life {life}");
            drop(rep);
            // The server dies with the request: whoever asked is told, at once.
            let gone = asking.join().expect("the asking thread");
            assert!(matches!(gone, Err(RequestError::PeerGone)), "{gone:?}");
        });
    }
    let rep = Rep::open(&context);
    Socket::bind(&rep, &endpoint);
    thread::scope(|scope| {
        let asking = scope.spawn(|| req.request_timeout("kept", DEADLINE));
        let request = rep.recv_timeout(DEADLINE).expect("a request");
        request.reply("answer").expect("replied");
        let reply = asking.join().expect("the asking thread");
        assert_eq!(reply.expect("a reply"), *"answer");
    });
}

fn strict_mode_insists_on_the_reply(transport: Transport) {
    let strict = nimble().req_relaxed(false).req_correlate(false);
    let (req, rep) = pair(transport, strict);
    let none = req.request_timeout("first", GLANCE);
    assert!(matches!(none, Err(RequestError::TimedOut)), "{none:?}");
    match req.request_timeout("second", DEADLINE) {
        Err(RequestError::Send(error)) => {
            assert_eq!(error.kind(), SendErrorKind::OutOfTurn);
            assert_eq!(error.into_message(), *"second");
        }
        other => panic!("not refused: {other:?}"),
    }
    let request = rep.recv_timeout(DEADLINE).expect("the first request");
    request.reply("late").expect("replied");
    thread::scope(|scope| {
        scope.spawn(|| {
            let request = rep.recv_timeout(DEADLINE).expect("the third request");
            request.reply("in time").expect("replied");
        });
        let reply = until("the late reply has been passed over", || {
            match req.request_timeout("third", DEADLINE) {
                Ok(reply) => Some(reply),
                Err(RequestError::Send(_)) => {
                    let _ = req.wait_for_peers(2, Duration::from_millis(1));
                    None
                }
                Err(error) => panic!("neither sent nor refused: {error}"),
            }
        });
        assert_eq!(reply, *"in time");
    });
}

fn tells_a_reply_that_nobody_gets(transport: Transport) {
    let (req, rep) = pair(transport, nimble());
    let none = req.request_timeout("first", GLANCE);
    assert!(none.is_err());
    let request = rep.recv_timeout(DEADLINE).expect("a request");
    drop(req);
    rep.settle_at(0);
    let error = request.reply("too late").expect_err("nobody is there");
    assert_eq!(error.kind(), ReplyErrorKind::PeerGone);
    assert_eq!(error.into_message(), *"too late");
}
