//! Proxies in the library: what comes in goes out, nothing is lost when they are told to stop, and nothing piles up in them.

#[path = "common"]
mod common {
    pub(crate) mod deadline;
    pub(crate) mod unique;
    pub(crate) mod until;
}

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use zerohop::{
    Bytes, Context, Dealer, Message, Options, Proxy, ProxyControl, ProxyEnd, ProxyEndCause, Pub,
    Pull, Push, RecvError, Rep, Req, Router, Sub, Xpub, Xsub,
};

use common::deadline::DEADLINE;
use common::until::{GLANCE, until};

const ANY_PORT: &str = "tcp://127.0.0.1:*";

fn options() -> Options {
    Options::new()
        .linger(Duration::ZERO)
        .reconnect_interval(Duration::from_millis(5))
        .send_timeout(DEADLINE)
}

/// A source and a sink, and what is to be between them.
struct Line {
    context: Context,
    source: Push,
    frontend: Pull,
    backend: Push,
    sink: Pull,
}

impl Line {
    /// With these marks everywhere.
    fn new(endpoint: &str, mark: usize) -> Line {
        let context = Context::new();
        let options = || options().send_hwm(mark).recv_hwm(mark);
        let endpoint = || match endpoint.strip_prefix("inproc://") {
            Some(_) => format!("inproc://{}", common::unique::name()),
            None => endpoint.to_owned(),
        };
        let source = Push::with_options(&context, options()).expect("a PUSH");
        let frontend = Pull::with_options(&context, options()).expect("a PULL");
        let backend = Push::with_options(&context, options()).expect("a PUSH");
        let sink = Pull::with_options(&context, options()).expect("a PULL");
        source
            .connect(frontend.bind(endpoint().as_str()).expect("bound"))
            .expect("connected");
        sink.connect(backend.bind(endpoint().as_str()).expect("bound"))
            .expect("connected");
        backend.wait_for_peers(1, DEADLINE).expect("a sink");
        frontend.wait_for_peers(1, DEADLINE).expect("a source");
        Line {
            context,
            source,
            frontend,
            backend,
            sink,
        }
    }

    /// Does something while a proxy runs, which is terminated then.
    fn with_proxy(&self, act: impl FnOnce(&ProxyControl)) -> ProxyEnd {
        let proxy = Proxy::one_way(&self.frontend, &self.backend);
        let control = proxy.control();
        thread::scope(|scope| {
            let running = scope.spawn(|| proxy.run());
            // So that a failed assertion ends the proxy, too.
            let _end = Terminate(&control);
            act(&control);
            control.terminate();
            running.join().expect("it does not panic")
        })
    }

    fn recv(&self) -> Message {
        self.sink.recv_timeout(DEADLINE).expect("a message")
    }
}

struct Terminate<'a>(&'a ProxyControl);

/// Only then: told once more, the proxy would end its next run at once.
impl Drop for Terminate<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.terminate();
        }
    }
}

#[test]
fn a_streamer_passes_on_what_comes_in_order() {
    for endpoint in [ANY_PORT, "ipc://*", "inproc://*"] {
        let line = Line::new(endpoint, 100);
        let end = line.with_proxy(|control| {
            let bodies = [
                Message::from("short"),
                Message::from(""),
                Message::from(["", "two", ""]),
                Message::from(vec![b'x'; 1 << 20]),
                Message::from(vec![vec![b'y'; 100_000], vec![b'z'; 3]]),
            ];
            thread::scope(|scope| {
                scope.spawn(|| {
                    for number in 0..1_000 {
                        line.source
                            .send(&bodies[number % bodies.len()])
                            .expect("sent");
                    }
                });
                for number in 0..1_000 {
                    assert_eq!(line.recv(), bodies[number % bodies.len()], "{number}");
                }
            });
            let size: usize = bodies.iter().map(Message::size).sum();
            let bytes = 200 * size as u64;
            // The last one is counted when it has been given.
            until("all is counted", || {
                (control.statistics().backend.sent == 1_000).then_some(())
            });
            let statistics = control.statistics();
            assert_eq!(statistics.frontend.received, 1_000);
            assert_eq!(statistics.frontend.received_bytes, bytes);
            assert_eq!(statistics.backend.sent_bytes, bytes);
            assert_eq!(
                (statistics.frontend.sent, statistics.backend.received),
                (0, 0)
            );
        });
        assert_eq!(end.cause, ProxyEndCause::Terminated);
        assert_eq!((end.for_backend, end.for_frontend), (None, None));
    }
}

/// A stream of short messages is passed on many at once; all the same each arrives, in order, and is counted.
#[test]
fn a_streamer_passes_a_stream_on() {
    const MESSAGES: u32 = 20_000;
    let line = Line::new(ANY_PORT, 1_000);
    let body = |number: u32| {
        let len = [4, 64, 300, 1_024][number as usize / 5_000];
        let mut body = number.to_be_bytes().to_vec();
        body.resize(len, number as u8);
        body
    };
    line.with_proxy(|control| {
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..MESSAGES {
                    line.source.send(body(number)).expect("sent");
                }
            });
            for number in 0..MESSAGES {
                assert_eq!(line.recv(), body(number));
            }
        });
        until("all is counted", || {
            (control.statistics().backend.sent == u64::from(MESSAGES)).then_some(())
        });
        let bytes = 5_000 * (4 + 64 + 300 + 1_024);
        let statistics = control.statistics();
        assert_eq!(statistics.frontend.received, u64::from(MESSAGES));
        assert_eq!(statistics.frontend.received_bytes, bytes);
        assert_eq!(statistics.backend.sent_bytes, bytes);
    });
}

/// Each worker has its turn with each message, also where many go on at once.
#[test]
fn workers_behind_a_streamer_take_turns() {
    const MESSAGES: u32 = 900;
    let line = Line::new(ANY_PORT, 1_000);
    let others: Vec<Pull> = (0..2)
        .map(|_| {
            let sink = Pull::with_options(&line.context, options()).expect("a PULL");
            let endpoint = line.backend.last_endpoint().expect("bound").to_string();
            sink.connect(&endpoint).expect("connected");
            sink
        })
        .collect();
    line.backend.wait_for_peers(3, DEADLINE).expect("all sinks");
    let number = |message: &Message| {
        let bytes = message.first().as_slice();
        u32::from_be_bytes(bytes[..4].try_into().expect("a number"))
    };
    line.with_proxy(|_| {
        for number in 0..MESSAGES {
            line.source
                .send(number.to_be_bytes().as_slice())
                .expect("sent");
        }
        let mut rests = HashSet::new();
        for sink in others.iter().chain([&line.sink]) {
            let mut numbers = (0..MESSAGES / 3).map(|_| {
                let message = sink.recv_timeout(DEADLINE).expect("a message");
                number(&message)
            });
            let first = numbers.next().expect("some");
            rests.insert(first);
            assert!(numbers.eq((first + 3..MESSAGES).step_by(3)));
        }
        assert_eq!(rests, HashSet::from([0, 1, 2]));
    });
}

/// A proxy hands long frames on as it has got them.
#[test]
fn long_frames_are_not_copied() {
    let line = Line::new("inproc://*", 100);
    let long = Bytes::from(vec![7; 1 << 20]);
    line.with_proxy(|_| {
        line.source
            .send([Bytes::from("head"), long.clone()])
            .expect("sent");
        let message = line.recv();
        let frame = message.get(1).expect("the long one");
        assert_eq!(frame.as_ptr(), long.as_ptr());
    });
}

#[test]
fn a_paused_proxy_takes_nothing() {
    let line = Line::new(ANY_PORT, 10);
    line.with_proxy(|control| {
        line.source.send("before").expect("sent");
        assert_eq!(line.recv(), "before");
        for round in 0..3 {
            control.pause();
            control.pause();
            // One may have been on its way already.
            let _ = line.sink.recv_timeout(GLANCE);
            line.source.send(format!("{round}")).expect("sent");
            until("it has come to the frontend", || {
                let queued: usize = line
                    .frontend
                    .stats()
                    .peers
                    .iter()
                    .map(|peer| peer.queued_in)
                    .sum();
                let _ = line.frontend.wait_for_peers(2, Duration::from_millis(1));
                (queued == 1).then_some(())
            });
            assert_eq!(line.sink.recv_timeout(GLANCE), Err(RecvError::TimedOut));
            control.resume();
            assert_eq!(line.recv(), *format!("{round}"));
        }
        control.pause();
    });
}

/// What is waiting behind a slow backend waits with its sender.
#[test]
fn a_slow_backend_slows_the_source_down() {
    let line = Line::new(ANY_PORT, 3);
    let body = vec![b'x'; 200_000];
    line.with_proxy(|control| {
        let (mut sent, mut refused) = (0_u64, 0);
        // Full is when nothing has gone for a while: at first the kernel still makes room.
        while refused < 5 {
            match line.source.send_timeout(&body, GLANCE) {
                Ok(()) => (sent, refused) = (sent + 1, 0),
                Err(_) => refused += 1,
            }
            assert!(sent < 2_000, "it is not held back");
        }
        // No more than one is on its way from one socket to the other.
        let statistics = control.statistics();
        assert!(statistics.frontend.received - statistics.backend.sent <= 1);
        for _ in 0..sent {
            assert_eq!(line.recv(), body);
        }
    });
}

/// Terminated at any moment, it has lost nothing: what was taken and not given is given back.
#[test]
fn nothing_is_lost_when_it_is_terminated() {
    const MESSAGES: u32 = 3_000;
    let line = Line::new(ANY_PORT, 5);
    let number = |message: &Message| {
        let bytes = message.first().as_slice();
        u32::from_be_bytes(bytes[..4].try_into().expect("a number"))
    };
    let mut seen = Vec::new();
    let mut held = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..MESSAGES {
                line.source
                    .send(number.to_be_bytes().repeat(500))
                    .expect("sent");
            }
        });
        let mut ends = 0;
        while seen.len() < MESSAGES as usize {
            let proxy = Proxy::one_way(&line.frontend, &line.backend);
            let control = proxy.control();
            let end = thread::scope(|scope| {
                let running = scope.spawn(|| proxy.run());
                let _end = Terminate(&control);
                // Long enough to get stuck now and then.
                let most = if ends % 3 == 0 { 0 } else { 17 };
                for _ in 0..most {
                    match line.sink.recv_timeout(GLANCE) {
                        Ok(message) => seen.push(number(&message)),
                        Err(_) => break,
                    }
                }
                if most == 0 {
                    let _ = line.sink.wait_for_peers(2, Duration::from_millis(2));
                }
                control.terminate();
                running.join().expect("it does not panic")
            });
            ends += 1;
            if let Some(message) = end.for_backend {
                held += 1;
                while let Err(error) = line.backend.try_send(&message) {
                    assert_eq!(error.kind(), zerohop::SendErrorKind::WouldBlock);
                    seen.push(number(&line.recv()));
                }
            }
        }
    });
    assert_eq!(seen, (0..MESSAGES).collect::<Vec<_>>());
    assert!(held > 0, "it was never terminated while it waited for room");
}

#[test]
fn it_ends_with_its_sockets() {
    for which in 0..3 {
        let line = Line::new(ANY_PORT, 10);
        let proxy = Proxy::one_way(&line.frontend, &line.backend);
        let end = thread::scope(|scope| {
            let running = scope.spawn(|| proxy.run());
            match which {
                0 => line.frontend.shutdown(),
                1 => {
                    line.backend.shutdown();
                    // This is seen with the next message.
                    line.source.send("one").expect("sent");
                }
                _ => line.context.shutdown(),
            }
            running.join().expect("it does not panic")
        });
        let cause = match which {
            0 | 1 => ProxyEndCause::Closed,
            _ => ProxyEndCause::ContextClosed,
        };
        assert_eq!(end.cause, cause);
        assert_eq!(end.for_backend, (which == 1).then(|| "one".into()));
    }
}

/// Also one that is paused, before it has taken anything or with a message in hand.
#[test]
fn a_paused_proxy_ends_with_its_sockets() {
    for which in 0..3 {
        let line = Line::new(ANY_PORT, 10);
        // Nobody is there, so that the proxy gets no further than the copy.
        let capture = Push::new(&line.context).expect("a PUSH");
        let proxy = Proxy::one_way(&line.frontend, &line.backend).capture(&capture);
        let control = proxy.control();
        control.pause();
        let end = thread::scope(|scope| {
            let running = scope.spawn(|| proxy.run());
            let _end = Terminate(&control);
            if which > 0 {
                control.resume();
                line.source.send("one").expect("sent");
                until("it is taken", || {
                    (control.statistics().frontend.received == 1).then_some(())
                });
                control.pause();
            }
            match which {
                2 => line.context.shutdown(),
                _ => line.frontend.shutdown(),
            }
            running.join().expect("it does not panic")
        });
        let cause = match which {
            2 => ProxyEndCause::ContextClosed,
            _ => ProxyEndCause::Closed,
        };
        assert_eq!(end.cause, cause);
        assert_eq!(end.for_backend, (which > 0).then(|| "one".into()));
    }
}

#[test]
fn it_ends_when_it_is_idle() {
    let line = Line::new(ANY_PORT, 10);
    let proxy =
        Proxy::one_way(&line.frontend, &line.backend).idle_timeout(Duration::from_millis(100));
    line.source.send("one").expect("sent");
    let end = proxy.run();
    assert_eq!((end.cause, end.for_backend), (ProxyEndCause::Idle, None));
    assert_eq!(line.recv(), "one");
    // And again.
    assert_eq!(proxy.run().cause, ProxyEndCause::Idle);
    let control = proxy.control();
    control.terminate();
    assert_eq!(proxy.run().cause, ProxyEndCause::Terminated);
    assert_eq!(proxy.run().cause, ProxyEndCause::Idle);
}

/// libzmq's `proxy_single_socket`.
#[test]
fn one_socket_on_both_sides_sends_back_what_comes() {
    let context = Context::new();
    let router = Router::with_options(&context, options()).expect("a ROUTER");
    let endpoint = router.bind(ANY_PORT).expect("bound");
    let proxy = Proxy::new(&router, &router);
    let control = proxy.control();
    let end = thread::scope(|scope| {
        let running = scope.spawn(|| proxy.run());
        let _end = Terminate(&control);
        let dealers = [(); 2].map(|()| {
            let dealer = Dealer::with_options(&context, options()).expect("a DEALER");
            dealer.connect(&endpoint).expect("connected");
            dealer
        });
        for (index, dealer) in dealers.iter().enumerate() {
            for number in 0..200 {
                let sent = dealer.send([format!("{index}"), format!("{number}")]);
                sent.expect("sent");
            }
        }
        for (index, dealer) in dealers.iter().enumerate() {
            for number in 0..200 {
                let message = dealer.recv_timeout(DEADLINE).expect("it comes back");
                let expected = Message::from([format!("{index}"), format!("{number}")]);
                assert_eq!(message, expected);
            }
        }
        control.terminate();
        running.join().expect("it does not panic")
    });
    assert_eq!(end.cause, ProxyEndCause::Terminated);
    let statistics = control.statistics();
    assert_eq!(statistics.frontend.received, 400);
    assert_eq!(statistics.backend.sent, 400);
    assert_eq!(statistics.backend.received, 0);
}

#[test]
fn a_queue_brings_replies_back_to_who_asked() {
    let context = Context::new();
    let router = Router::with_options(&context, options()).expect("a ROUTER");
    let dealer = Dealer::with_options(&context, options()).expect("a DEALER");
    let clients = router.bind(ANY_PORT).expect("bound");
    let servers = dealer.bind(ANY_PORT).expect("bound");
    let capture = Pub::new(&context).expect("a PUB");
    let watcher = Sub::new(&context).expect("a SUB");
    watcher.subscribe("").expect("subscribed");
    watcher
        .connect(capture.bind(ANY_PORT).expect("bound"))
        .expect("connected");
    capture
        .wait_for_subscribers("", 1, DEADLINE)
        .expect("a watcher");
    let proxy = Proxy::new(&router, &dealer).capture(&capture);
    let control = proxy.control();
    thread::scope(|scope| {
        scope.spawn(|| proxy.run());
        let _end = Terminate(&control);
        for _ in 0..2 {
            let rep = Rep::new(&context).expect("a REP");
            rep.connect(&servers).expect("connected");
            scope.spawn(move || {
                while let Ok(request) = rep.recv() {
                    let reply = format!("re: {}", request.message().to_str().expect("text"));
                    request.reply(reply).expect("replied");
                }
            });
        }
        let asking: Vec<_> = (0..3)
            .map(|client| {
                let req = Req::new(&context).expect("a REQ");
                req.connect(&clients).expect("connected");
                scope.spawn(move || {
                    for number in 0..100 {
                        let text = format!("{client} {number}");
                        let reply = req.request_timeout(&text, DEADLINE).expect("a reply");
                        assert_eq!(reply, *format!("re: {text}"));
                    }
                })
            })
            .collect();
        asking
            .into_iter()
            .for_each(|asking| asking.join().expect("asked"));
        // A copy of each, both ways, as it was passed on.
        let mut copies = HashSet::new();
        while copies.len() < 600 {
            let copy = watcher.recv_timeout(DEADLINE).expect("a copy");
            assert!(copies.insert(
                format!("{:?}", copy.frames().map(|frame| frame.to_vec()).collect::<Vec<_>>())
            ));
        }
        let statistics = control.statistics();
        assert_eq!(
            (statistics.frontend.received, statistics.backend.sent),
            (300, 300)
        );
        assert_eq!(
            (statistics.backend.received, statistics.frontend.sent),
            (300, 300)
        );
        control.terminate();
        context.shutdown();
    });
}

/// A message without a body, which a ROUTER sends nobody, is no reason to end.
#[test]
fn what_is_refused_is_counted() {
    let context = Context::new();
    let router = Router::with_options(&context, options()).expect("a ROUTER");
    let dealer = Dealer::with_options(&context, options()).expect("a DEALER");
    let client = Dealer::with_options(&context, options().routing_id("client")).expect("a DEALER");
    client
        .connect(router.bind(ANY_PORT).expect("bound"))
        .expect("connected");
    let server = Dealer::with_options(&context, options()).expect("a DEALER");
    server
        .connect(dealer.bind(ANY_PORT).expect("bound"))
        .expect("connected");
    let proxy = Proxy::new(&router, &dealer);
    let control = proxy.control();
    thread::scope(|scope| {
        scope.spawn(|| proxy.run());
        let _end = Terminate(&control);
        client.send("hello").expect("sent");
        assert_eq!(
            server.recv_timeout(DEADLINE).expect("it"),
            ["client", "hello"]
        );
        server.send("client").expect("sent");
        server.send(["client", "answer"]).expect("sent");
        assert_eq!(client.recv_timeout(DEADLINE).expect("it"), "answer");
        assert_eq!(control.statistics().frontend.refused, 1);
        control.terminate();
    });
}

/// Subscriptions by the thousand, from subscribers that come and go, while messages pass.
#[test]
fn a_forwarder_weathers_a_storm_of_subscriptions() {
    const TOPICS: usize = 2_000;
    let context = Context::new();
    let xsub = Xsub::with_options(&context, options()).expect("an XSUB");
    let xpub = Xpub::with_options(&context, options()).expect("an XPUB");
    let publisher = Pub::with_options(&context, options()).expect("a PUB");
    publisher
        .connect(xsub.bind(ANY_PORT).expect("bound"))
        .expect("connected");
    let subscribers = xpub.bind(ANY_PORT).expect("bound");
    let proxy = Proxy::new(&xsub, &xpub);
    let control = proxy.control();
    thread::scope(|scope| {
        scope.spawn(|| proxy.run());
        let _end = Terminate(&control);
        let steady = Sub::with_options(&context, options()).expect("a SUB");
        steady.subscribe("steady").expect("subscribed");
        steady.connect(&subscribers).expect("connected");
        publisher
            .wait_for_subscribers("steady", 1, DEADLINE)
            .expect("it is told");
        let storms: Vec<_> = (0..3)
            .map(|storm| {
                let (context, subscribers) = (&context, &subscribers);
                scope.spawn(move || {
                    for round in 0..3 {
                        let sub = Sub::with_options(context, options()).expect("a SUB");
                        sub.connect(subscribers).expect("connected");
                        for topic in 0..TOPICS {
                            sub.subscribe(format!("{storm}/{topic}"))
                                .expect("subscribed");
                        }
                        if round == 1 {
                            for topic in 0..TOPICS {
                                sub.unsubscribe(format!("{storm}/{topic}"))
                                    .expect("unsubscribed");
                            }
                        }
                        sub.wait_for_peers(1, DEADLINE).expect("a publisher");
                    }
                })
            })
            .collect();
        let mut received = 0;
        while !storms.iter().all(|storm| storm.is_finished()) || received < 100 {
            publisher.send("steady").expect("published");
            assert_eq!(steady.recv_timeout(DEADLINE).expect("it goes on"), "steady");
            received += 1;
        }
        storms
            .into_iter()
            .for_each(|storm| storm.join().expect("it is over"));
        // All of it is over in the end, and nobody wants anything but the one.
        until("the storm is forgotten", || {
            let left = (0..3).any(|storm| {
                let topic = format!("{storm}/{}", TOPICS - 1);
                publisher.send(topic).expect("published").sent > 0
            });
            let _ = publisher.wait_for_peers(2, Duration::from_millis(5));
            (!left).then_some(())
        });
        publisher.send("steady").expect("published");
        assert_eq!(steady.recv_timeout(DEADLINE).expect("it goes on"), "steady");
        control.terminate();
    });
}

/// A capture that waits for room holds the proxy up, and does not keep it from ending.
#[test]
fn a_full_capture_holds_it_up() {
    let line = Line::new(ANY_PORT, 10);
    let capture = Push::with_options(&line.context, options().send_hwm(1)).expect("a PUSH");
    let proxy = Proxy::one_way(&line.frontend, &line.backend).capture(&capture);
    let control = proxy.control();
    let end = thread::scope(|scope| {
        let running = scope.spawn(|| proxy.run());
        let _end = Terminate(&control);
        line.source.send("one").expect("sent");
        until("it is taken", || {
            (control.statistics().frontend.received == 1).then_some(())
        });
        assert_eq!(line.sink.recv_timeout(GLANCE), Err(RecvError::TimedOut));
        control.terminate();
        running.join().expect("it does not panic")
    });
    assert_eq!(end.for_backend, Some("one".into()));
    let watcher = Pull::new(&line.context).expect("a PULL");
    watcher
        .connect(capture.bind(ANY_PORT).expect("bound"))
        .expect("connected");
    let end = thread::scope(|scope| {
        let running = scope.spawn(|| proxy.run());
        let _end = Terminate(&control);
        line.source.send("two").expect("sent");
        assert_eq!(line.recv(), "two");
        assert_eq!(watcher.recv_timeout(DEADLINE).expect("a copy"), "two");
        control.terminate();
        running.join().expect("it does not panic")
    });
    assert_eq!(end.for_backend, None);
}
