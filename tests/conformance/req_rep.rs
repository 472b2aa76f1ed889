//! REQ and REP: every reply finds its request, and no loss locks a client out.

use std::thread;
use std::time::{Duration, Instant};

use crate::sockets::{
    Context, Options, Rep, ReplyErrorKind, Req, Request, RequestError, Retry, Routed, Router,
    SendErrorKind,
};

use crate::arena::{Transport, nimble, on_every_transport};
use crate::common::deadline::DEADLINE;
use crate::common::until::{GLANCE, until};
use crate::pairs::Socket;

on_every_transport!(
    carries_frames_both_ways,
    takes_turns,
    many_threads_ask_over_one_socket,
    goes_on_after_a_time_out,
    takes_back_what_timed_out_before_it_left,
    shutting_down_takes_back_what_has_not_left,
    goes_on_after_the_server_restarts,
    strict_mode_insists_on_the_reply,
    takes_no_second_reply_for_that_to_the_next_request,
    tells_a_reply_that_nobody_gets,
    asks_another_server_if_told_to,
    asks_again_when_a_server_is_killed,
    has_a_deadline_for_all_attempts,
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
                reply.first()[0]
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

/// Asks until a request has reached the server and was not answered in time.
fn time_out(req: &Req, rep: &Rep, text: &str) -> Request {
    until("a request arrives and times out", || {
        thread::scope(|scope| {
            let asking = scope.spawn(|| req.request_timeout(text, 5 * GLANCE));
            let request = rep.recv_timeout(10 * GLANCE).ok();
            let none = asking.join().expect("the asking thread");
            let none = none.expect_err("nobody answers");
            assert!(none.is_timed_out(), "{none:?}");
            request
        })
    })
}

/// Requests that timed out before there was a server are not carried out when one comes, nor waited for.
fn takes_back_what_timed_out_before_it_left(transport: Transport) {
    const MANY: u64 = 1_000;
    let kinds = [
        nimble(),
        nimble().req_correlate(false),
        nimble().req_correlate(false).req_relaxed(false),
    ];
    for options in kinds {
        let context = Context::new();
        let req = Req::with_options(&context, options).expect("a REQ");
        let endpoint = transport.endpoint();
        Socket::connect(&req, &endpoint);
        for number in 0..MANY {
            let body = vec![b'x'; if number % 10 == 0 { 50_000 } else { 5 }];
            let none = req.request_timeout(body.clone(), Duration::from_micros(10));
            let Err(RequestError::Send(error)) = none else {
                panic!("not said to be unsent: {none:?}");
            };
            assert_eq!(error.kind(), SendErrorKind::TimedOut);
            assert!(error.into_message() == body);
        }
        let stats = req.stats();
        assert_eq!(
            (stats.peers[0].queued_out, stats.dropped.withdrawn),
            (0, MANY)
        );
        assert_eq!(stats.messages_out, MANY);

        let rep = Rep::open(&context);
        Socket::bind(&rep, &endpoint);
        thread::scope(|scope| {
            scope.spawn(|| {
                let request = rep.recv_timeout(DEADLINE).expect("a request");
                assert_eq!(*request.message(), *"fresh");
                request.reply("answer").expect("replied");
            });
            let reply = req.request_timeout("fresh", DEADLINE).expect("a reply");
            assert_eq!(reply, *"answer");
        });
        assert_eq!(rep.stats().messages_in, 1);
        Socket::close(rep, DEADLINE).expect("nothing to send");
        req.settle_at(0);
        let none = req.request_timeout("nobody", GLANCE);
        let none = none.expect_err("nobody is there");
        assert!(none.is_timed_out(), "{none:?}");
        let start = Instant::now();
        Socket::close(req, DEADLINE).expect("nothing to send");
        assert!(start.elapsed() < DEADLINE, "waited out");
    }
}

/// Who waits for a reply when the socket shuts down waits no longer, so nothing is left to be sent.
fn shutting_down_takes_back_what_has_not_left(transport: Transport) {
    let context = Context::new();
    let req = Req::with_options(&context, nimble().linger(DEADLINE)).expect("a REQ");
    Socket::connect(&req, &transport.endpoint());
    thread::scope(|scope| {
        let asking = scope.spawn(|| req.request("nobody is there"));
        until("the request is queued", || {
            let _ = req.wait_for_peers(1, Duration::from_millis(1));
            (req.stats().peers[0].queued_out == 1).then_some(())
        });
        req.shutdown();
        let shut = asking.join().expect("the asking thread");
        let Err(RequestError::Send(error)) = shut else {
            panic!("not said to be unsent: {shut:?}");
        };
        assert_eq!(error.kind(), SendErrorKind::Closed);
        assert_eq!(error.into_message(), "nobody is there");
    });
    let start = Instant::now();
    drop(req);
    drop(context);
    assert!(start.elapsed() < DEADLINE, "lingered");
}

/// Without a reply in time, the next request goes out at once, and the late reply is not taken for its own.
fn goes_on_after_a_time_out(transport: Transport) {
    for correlate in [true, false] {
        let (req, rep) = pair(transport, nimble().req_correlate(correlate));
        let late = time_out(&req, &rep, "first");
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
    let late = time_out(&req, &rep, "first");
    match req.request_timeout("second", DEADLINE) {
        Err(RequestError::Send(error)) => {
            assert_eq!(error.kind(), SendErrorKind::OutOfTurn);
            assert_eq!(error.into_message(), *"second");
        }
        other => panic!("not refused: {other:?}"),
    }
    late.reply("late").expect("replied");
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

/// Without ids. Over tcp nobody can tell when a message has arrived: see `wire`.
fn takes_no_second_reply_for_that_to_the_next_request(transport: Transport) {
    if transport == Transport::Tcp {
        return;
    }
    let context = Context::new();
    let req = Req::with_options(&context, nimble().req_correlate(false)).expect("a REQ");
    let router = Router::with_options(&context, nimble()).expect("a ROUTER");
    Socket::connect(&req, &Socket::bind(&router, &transport.endpoint()));
    req.wait_for_peers(1, DEADLINE).expect("a peer");
    let answer = |text: &str, again: bool| {
        let request = router.recv_timeout(DEADLINE).expect("a request");
        for text in [Some(text), again.then_some("again")].into_iter().flatten() {
            let sent = router.send_to_timeout(&request.peer, ["", text], DEADLINE);
            assert_eq!(sent.expect("sent"), Routed::Queued);
        }
    };
    for _ in 0..50 {
        for (text, again) in [("first", true), ("second", false)] {
            thread::scope(|scope| {
                scope.spawn(|| answer(text, again));
                let reply = req.request_timeout(text, DEADLINE).expect("a reply");
                assert_eq!(reply, *text);
            });
            until("all has left", || {
                let queued = router.stats().peers.iter().any(|peer| peer.queued_out > 0);
                if queued {
                    let _ = router.wait_for_peers(2, Duration::from_millis(1));
                }
                (!queued).then_some(())
            });
        }
    }
}

fn tells_a_reply_that_nobody_gets(transport: Transport) {
    let (req, rep) = pair(transport, nimble());
    let request = time_out(&req, &rep, "first");
    drop(req);
    rep.settle_at(0);
    let error = request.reply("too late").expect_err("nobody is there");
    assert_eq!(error.kind(), ReplyErrorKind::PeerGone);
    assert_eq!(error.into_message(), *"too late");
}

fn servers(transport: Transport, count: usize) -> (Req, Vec<Rep>) {
    let context = Context::new();
    let req = Req::with_options(&context, nimble()).expect("a REQ");
    let servers: Vec<Rep> = (0..count)
        .map(|_| {
            let rep = Rep::with_options(&context, nimble()).expect("a REP");
            Socket::connect(&req, &Socket::bind(&rep, &transport.endpoint()));
            rep
        })
        .collect();
    req.wait_for_peers(count, DEADLINE).expect("all servers");
    (req, servers)
}

/// Two of three hang, and whichever a request goes to first, it ends with the third.
fn asks_another_server_if_told_to(transport: Transport) {
    let (req, servers) = servers(transport, 3);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..6 {
                let request = servers[1].recv_timeout(DEADLINE).expect("a request");
                let text = request.message().clone();
                request.reply(text).expect("replied");
            }
        });
        for number in 0..6 {
            let text = number.to_string();
            // Three would do, on a machine that is not busy with something else.
            let retry = Retry::attempts(9).each(10 * GLANCE);
            let ask = req.ask().deadline(DEADLINE).retry(retry);
            assert_eq!(ask.request(&text).expect("a reply"), *text);
        }
    });
    // Without being told to, it asks once.
    let error = req
        .ask()
        .deadline(GLANCE)
        .request("once")
        .expect_err("nobody answers");
    assert!(
        matches!(error, RequestError::TimedOut | RequestError::Send(_)),
        "{error}"
    );
}

/// The servers are killed one by one, each with a request in hand.
fn asks_again_when_a_server_is_killed(transport: Transport) {
    let (req, servers) = servers(transport, 3);
    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let ask = req.ask().deadline(DEADLINE).retry(Retry::attempts(3));
            ask.request("who lives?")
        });
        let mut servers = servers;
        let mut last = None;
        while last.is_none() {
            let waiting = servers.iter().position(|rep| {
                rep.recv_timeout(GLANCE).is_ok_and(|request| {
                    // It is never answered, but by the last one.
                    if servers.len() == 1 {
                        last = Some(request.reply("I do"));
                    }
                    true
                })
            });
            if let Some(index) = waiting
                && last.is_none()
            {
                drop(servers.swap_remove(index));
            }
        }
        last.expect("a reply").expect("replied");
        assert_eq!(asking.join().expect("it ends").expect("a reply"), "I do");
    });
    // All attempts in vain.
    let ask = req
        .ask()
        .retry(Retry::attempts(2).each(GLANCE).pause(GLANCE));
    assert!(ask.request("anybody?").is_err());
}

fn has_a_deadline_for_all_attempts(transport: Transport) {
    let (req, _servers) = servers(transport, 2);
    let start = Instant::now();
    let retry = Retry::attempts(u32::MAX).each(GLANCE);
    let ask = req.ask().deadline(10 * GLANCE).retry(retry);
    let error = ask.request("anybody?").expect_err("nobody answers");
    assert!(
        matches!(error, RequestError::TimedOut | RequestError::Send(_)),
        "{error}"
    );
    assert!(start.elapsed() >= 10 * GLANCE);
}
