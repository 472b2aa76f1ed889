//! Calls as futures, on runtimes of a few lines: over every transport.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use zerohop::{
    Context, Dealer, Options, Pub, Pull, Push, RecvError, Rep, Req, Router, Sub, Upstream, Xpub,
    Xsub,
};

use crate::arena::{Transport, nimble, on_every_transport};
use crate::common::block_on::block_on;
use crate::common::deadline::DEADLINE;
use crate::common::run_all::{Task, run_all};
use crate::pairs::Socket;

on_every_transport!(
    streams_in_tasks,
    each_message_wakes_a_task,
    many_tasks_share_a_socket,
    a_waiting_send_goes_on_when_the_peer_reads,
    a_waiting_send_goes_on_when_a_peer_comes,
    tasks_and_threads_share_a_socket,
    asked_and_answered_in_tasks,
    asked_in_tasks_without_ids,
    published_in_tasks,
    both_ways_in_tasks,
    routed_in_tasks,
    subscriptions_come_in_tasks,
);

fn pair(transport: Transport, options: Options) -> (Push, Pull) {
    let context = Context::new();
    let push = Push::with_options(&context, options.clone()).expect("a PUSH");
    let pull = Pull::with_options(&context, options).expect("a PULL");
    Socket::connect(&push, &Socket::bind(&pull, &transport.endpoint()));
    (push, pull)
}

/// One task sends, another receives, each in a thread of its own; marks are low, so that both wait again and again.
fn streams_in_tasks(transport: Transport) {
    const COUNT: u32 = 20_000;
    let (push, pull) = pair(transport, nimble().send_hwm(100).recv_hwm(100));
    thread::scope(|scope| {
        scope.spawn(|| {
            block_on(async {
                for number in 0..COUNT {
                    push.send_async(number.to_be_bytes()).await.expect("sent");
                }
            });
        });
        block_on(async {
            for number in 0..COUNT {
                let message = pull.recv_async().await.expect("a message");
                assert_eq!(message, number.to_be_bytes());
            }
        });
    });
    assert_eq!(pull.try_recv(), Err(RecvError::WouldBlock));
}

/// A message at a time, while both sides have nothing else to do.
fn each_message_wakes_a_task(transport: Transport) {
    let (push, pull) = pair(transport, nimble());
    let (there, back) = pair(transport, nimble());
    thread::scope(|scope| {
        scope.spawn(|| {
            block_on(async {
                for _ in 0..500 {
                    let message = pull.recv_async().await.expect("a message");
                    there.send_async(message).await.expect("sent");
                }
            });
        });
        for number in 0..500_u32 {
            push.send(number.to_be_bytes()).expect("sent");
            let message = block_on(back.recv_async()).expect("a message");
            assert_eq!(message, number.to_be_bytes());
        }
    });
}

/// Many tasks in one thread send and receive by the same two sockets.
fn many_tasks_share_a_socket(transport: Transport) {
    const TASKS: u32 = 64;
    const EACH: u32 = 100;
    let (push, pull) = pair(transport, nimble().send_hwm(50).recv_hwm(50));
    let (push, pull) = (&push, &pull);
    let sum = &AtomicU32::new(0);
    let mut tasks: Vec<Task<'_>> = Vec::new();
    for task in 0..TASKS {
        tasks.push(Box::pin(async move {
            for _ in 0..EACH {
                let message = pull.recv_async().await.expect("a message");
                let number = message.first().as_slice().try_into().expect("four bytes");
                sum.fetch_add(u32::from_be_bytes(number), Ordering::Relaxed);
            }
        }));
        tasks.push(Box::pin(async move {
            for number in 0..EACH {
                let message = (task * EACH + number).to_be_bytes();
                push.send_async(message).await.expect("sent");
            }
        }));
    }
    run_all(tasks);
    let count = TASKS * EACH;
    assert_eq!(sum.load(Ordering::Relaxed), count * (count - 1) / 2);
    assert_eq!(pull.try_recv(), Err(RecvError::WouldBlock));
}

fn a_waiting_send_goes_on_when_the_peer_reads(transport: Transport) {
    let (push, pull) = pair(transport, nimble().send_hwm(1).recv_hwm(1));
    let long = vec![7; 200_000];
    let sent = &AtomicU32::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            block_on(async {
                for _ in 0..50 {
                    push.send_async(&long).await.expect("sent");
                    sent.fetch_add(1, Ordering::SeqCst);
                }
            });
        });
        for _ in 0..50 {
            assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), long);
        }
    });
    assert_eq!(sent.load(Ordering::SeqCst), 50);
}

fn a_waiting_send_goes_on_when_a_peer_comes(transport: Transport) {
    let context = Context::new();
    let push = Push::with_options(&context, nimble()).expect("a PUSH");
    let pull = Pull::with_options(&context, nimble()).expect("a PULL");
    let endpoint = Socket::bind(&push, &transport.endpoint());
    thread::scope(|scope| {
        let waits = scope.spawn(|| block_on(push.send_async("at last")));
        Socket::connect(&pull, &endpoint);
        assert_eq!(block_on(pull.recv_async()).expect("a message"), "at last");
        waits.join().expect("a task").expect("sent");
    });
}

/// Calls that wait in a thread and calls that wait in a task, on the same two sockets.
fn tasks_and_threads_share_a_socket(transport: Transport) {
    const EACH: u32 = 5_000;
    let (push, pull) = pair(transport, nimble().send_hwm(200).recv_hwm(200));
    let left = &AtomicU32::new(4 * EACH);
    let sum = &AtomicU32::new(0);
    let take = || {
        let take = |left: u32| left.checked_sub(1);
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    };
    let add = |message: zerohop::Message| {
        let number = message.first().as_slice().try_into().expect("four bytes");
        sum.fetch_add(u32::from_be_bytes(number), Ordering::Relaxed);
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for number in 0..EACH {
                    push.send_timeout(number.to_be_bytes(), DEADLINE)
                        .expect("sent");
                }
            });
            scope.spawn(|| {
                block_on(async {
                    for number in 0..EACH {
                        push.send_async(number.to_be_bytes()).await.expect("sent");
                    }
                });
            });
            scope.spawn(|| {
                while take() {
                    add(pull.recv_timeout(DEADLINE).expect("a message"));
                }
            });
            scope.spawn(|| {
                block_on(async {
                    while take() {
                        add(pull.recv_async().await.expect("a message"));
                    }
                });
            });
        }
    });
    assert_eq!(sum.load(Ordering::Relaxed), 4 * (EACH * (EACH - 1) / 2));
}

/// Every question gets its own answer.
fn asked_and_answered_in_tasks(transport: Transport) {
    ask_in_tasks(transport, nimble());
}

/// Without ids there is one request at a time: a task that has its reply lets the next one go on.
fn asked_in_tasks_without_ids(transport: Transport) {
    ask_in_tasks(transport, nimble().req_correlate(false));
}

fn ask_in_tasks(transport: Transport, options: Options) {
    const TASKS: u32 = 16;
    const EACH: u32 = 100;
    let context = Context::new();
    let req = &Req::with_options(&context, options).expect("a REQ");
    let rep = &Rep::open(&context);
    Socket::connect(req, &Socket::bind(rep, &transport.endpoint()));
    thread::scope(|scope| {
        scope.spawn(|| {
            let serve = || -> Task<'_> {
                Box::pin(async {
                    for _ in 0..TASKS * EACH / 4 {
                        let mut request = rep.recv_async().await.expect("a question");
                        let question = request.take_message();
                        request.reply(question).expect("its peer is there");
                    }
                })
            };
            run_all((0..4).map(|_| serve()).collect());
        });
        let ask = |task: u32| -> Task<'_> {
            Box::pin(async move {
                for number in 0..EACH {
                    let question = (task << 16 | number).to_be_bytes();
                    let answer = req.request_async(question).await.expect("an answer");
                    assert_eq!(answer, question);
                }
            })
        };
        run_all((0..TASKS).map(ask).collect());
    });
    assert_eq!(req.stats().dropped.total(), 0);
}

fn published_in_tasks(transport: Transport) {
    const COUNT: u32 = 2_000;
    let context = Context::new();
    let options = nimble().pub_block(true).send_hwm(20).recv_hwm(20);
    let publisher = Pub::with_options(&context, options.clone()).expect("a PUB");
    let sub = Sub::with_options(&context, options).expect("a SUB");
    sub.subscribe("").expect("subscribed");
    Socket::connect(&sub, &Socket::bind(&publisher, &transport.endpoint()));
    let subscribed = publisher.wait_for_subscribers("", 1, DEADLINE);
    subscribed.expect("a subscriber");
    thread::scope(|scope| {
        scope.spawn(|| {
            block_on(async {
                for number in 0..COUNT {
                    let sent = publisher.send_async(number.to_be_bytes()).await;
                    assert_eq!(sent.expect("sent").sent, 1);
                }
            });
        });
        block_on(async {
            for number in 0..COUNT {
                let message = sub.recv_async().await.expect("a message");
                assert_eq!(message, number.to_be_bytes());
            }
        });
    });
}

/// Of the same two sockets, each sends and receives at once: what waits for one does not wait for the other.
fn both_ways_in_tasks(transport: Transport) {
    const COUNT: u32 = 5_000;
    let context = Context::new();
    let options = nimble().send_hwm(50).recv_hwm(50);
    let bound = &Dealer::with_options(&context, options.clone()).expect("a DEALER");
    let connected = &Dealer::with_options(&context, options).expect("a DEALER");
    Socket::connect(connected, &Socket::bind(bound, &transport.endpoint()));
    let both = |dealer: &'static str, socket: &Dealer| {
        let sends = async {
            for number in 0..COUNT {
                let sent = socket.send_async((dealer, number.to_string())).await;
                sent.expect("sent");
            }
        };
        let receives = async {
            for number in 0..COUNT {
                let message = socket.recv_async().await.expect("a message");
                assert_eq!(
                    message.get(1).expect("two frames"),
                    number.to_string().as_str()
                );
                assert_ne!(message.first(), dealer);
            }
        };
        run_all(vec![Box::pin(sends), Box::pin(receives)]);
    };
    thread::scope(|scope| {
        scope.spawn(|| both("bound", bound));
        both("connected", connected);
    });
}

/// A ROUTER that waits for room answers many questions at once, in tasks.
fn routed_in_tasks(transport: Transport) {
    const COUNT: u32 = 2_000;
    let context = Context::new();
    let options = nimble().send_hwm(10).recv_hwm(10);
    let client = &Dealer::with_options(&context, options.clone()).expect("a DEALER");
    let options = options.router_mandatory(true);
    let server = &Router::with_options(&context, options).expect("a ROUTER");
    Socket::connect(client, &Socket::bind(server, &transport.endpoint()));
    thread::scope(|scope| {
        scope.spawn(|| {
            block_on(async {
                for _ in 0..COUNT {
                    let question = server.recv_async().await.expect("a question");
                    let answered = server.send_to_async(&question.peer, question.message);
                    answered.await.expect("answered");
                }
            });
        });
        let asks: Task<'_> = Box::pin(async {
            for number in 0..COUNT {
                let sent = client.send_async(number.to_be_bytes()).await;
                sent.expect("sent");
            }
        });
        let hears: Task<'_> = Box::pin(async {
            for number in 0..COUNT {
                let answer = client.recv_async().await.expect("an answer");
                assert_eq!(answer, number.to_be_bytes());
            }
        });
        run_all(vec![asks, hears]);
    });
}

/// A task hears of each subscription, and of its end when the subscriber goes, in which no message comes.
fn subscriptions_come_in_tasks(transport: Transport) {
    let context = Context::new();
    let publisher = Xpub::with_options(&context, nimble()).expect("an XPUB");
    let endpoint = Socket::bind(&publisher, &transport.endpoint());
    for topic in ["a", "b"] {
        let subscriber = Xsub::with_options(&context, nimble()).expect("an XSUB");
        Socket::connect(&subscriber, &endpoint);
        thread::scope(|scope| {
            let comes = scope.spawn(|| block_on(publisher.recv_upstream_async()));
            subscriber.subscribe(topic).expect("subscribed");
            let came = comes.join().expect("a task").expect("a subscription");
            assert!(matches!(came, Upstream::Subscribe(what) if *what.topic() == *topic));
            let goes = scope.spawn(|| block_on(publisher.recv_upstream_async()));
            let sent = block_on(publisher.send_async([topic, "news"]));
            assert_eq!(sent.expect("published").sent, 1);
            let news = block_on(subscriber.recv_async()).expect("news");
            assert_eq!(news, [topic, "news"]);
            drop(subscriber);
            let gone = goes.join().expect("a task").expect("an end");
            assert!(matches!(gone, Upstream::Unsubscribe(what) if *what.topic() == *topic));
        });
    }
}
