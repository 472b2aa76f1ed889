//! Descriptors that say whether a call would wait: over every transport.

use std::thread;
use std::time::Duration;

use zerohop::{
    Context, Dealer, Options, Pair, PollRecv, PollSend, Pub, Pull, Push, ReadyFd, RecvError,
    RecvSocket, Rep, Req, Router, SendErrorKind, Sub, WatchError, Xpub, Xsub,
};

use crate::arena::{Transport, nimble, on_every_transport};
use crate::common::deadline::DEADLINE;
use crate::common::level::{is_readable, wait_readable};
use crate::common::until::{GLANCE, until};
use crate::pairs::Socket;

on_every_transport!(
    is_readable_while_there_is_a_message,
    is_readable_for_messages_of_every_receiving_type,
    is_readable_while_there_is_room,
    says_when_a_publisher_that_blocks_may_go_on,
    passes_over_what_nobody_wants,
    stays_readable_after_the_end,
    one_loop_serves_several_sockets,
    threads_share_a_descriptor,
    is_gone_without_a_trace,
);

fn connect<A: Socket, B: Socket>(binds: &A, connects: &B, transport: Transport) {
    Socket::connect(connects, &Socket::bind(binds, &transport.endpoint()));
}

fn pair(transport: Transport, options: Options) -> (Push, Pull) {
    let context = Context::new();
    let push = Push::with_options(&context, options.clone()).expect("a PUSH");
    let pull = Pull::with_options(&context, options).expect("a PULL");
    connect(&pull, &push, transport);
    (push, pull)
}

fn await_readable(fd: &ReadyFd) {
    assert_eq!(wait_readable(&[fd], DEADLINE), [true], "not readable");
}

/// Random sends and receives: whenever the descriptor is readable there is a message, whenever a message is under way it becomes
/// readable, and when the last one has been taken it is not.
fn is_readable_while_there_is_a_message(transport: Transport) {
    let (push, pull) = pair(transport, nimble());
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = move |limit: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % limit
    };
    let ready = pull.recv_fd().expect("a descriptor");
    assert!(!is_readable(&ready));
    let (mut sent, mut received) = (0_u32, 0);
    for _ in 0..300 {
        for _ in 0..below(4) {
            // Some are too long to be kept in a chunk.
            let len = if below(8) == 0 { 40_000 } else { 10 };
            let mut body = sent.to_be_bytes().to_vec();
            body.resize(4 + len, 7);
            match below(3) {
                0 => push.send([body, vec![1]]).expect("sent"),
                _ => push.send(body).expect("sent"),
            }
            sent += 1;
        }
        for _ in 0..below(5) {
            if received == sent {
                assert!(!is_readable(&ready), "there is no message");
                assert_eq!(pull.try_recv(), Err(RecvError::WouldBlock));
                assert!(!is_readable(&ready));
                break;
            }
            await_readable(&ready);
            let message = pull.try_recv().expect("it was readable");
            assert_eq!(message.first()[..4], received.to_be_bytes());
            received += 1;
        }
    }
    assert!(sent > 200);
}

fn becomes_readable<R: RecvSocket + PollRecv>(socket: &R, send: impl FnOnce()) {
    let ready = socket.recv_fd().expect("a descriptor");
    assert!(!is_readable(&ready));
    send();
    await_readable(&ready);
    socket.try_recv().expect("it was readable");
    assert!(!is_readable(&ready));
}

fn is_readable_for_messages_of_every_receiving_type(transport: Transport) {
    let context = Context::new();
    macro_rules! socket {
        ($name:ident) => {
            $name::with_options(&context, nimble()).expect("a socket")
        };
    }
    let (dealer, other) = (socket!(Dealer), socket!(Dealer));
    connect(&dealer, &other, transport);
    becomes_readable(&dealer, || other.send("1").expect("sent"));
    let (one, two) = (socket!(Pair), socket!(Pair));
    connect(&one, &two, transport);
    becomes_readable(&one, || two.send("1").expect("sent"));
    let (router, dealer) = (socket!(Router), socket!(Dealer));
    connect(&router, &dealer, transport);
    becomes_readable(&router, || dealer.send("1").expect("sent"));
    let (xpub, xsub) = (socket!(Xpub), socket!(Xsub));
    connect(&xpub, &xsub, transport);
    becomes_readable(&xpub, || xsub.subscribe("a").expect("subscribed"));
    becomes_readable(&xsub, || {
        xpub.send("a1").expect("sent");
    });
    becomes_readable(&xpub, || {
        xsub.send("up").expect("sent");
    });
    let (rep, req) = (socket!(Rep), socket!(Req));
    connect(&rep, &req, transport);
    let ready = rep.recv_fd().expect("a descriptor");
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(req.request("1").expect("a reply"), "2"));
        await_readable(&ready);
        rep.try_recv().expect("a request").reply("2").expect("sent");
    });
    assert!(!is_readable(&ready));
}

/// A sender that asks first never has to wait, and one that has to wait is told when it need not any more.
fn is_readable_while_there_is_room(transport: Transport) {
    let (push, pull) = pair(transport, nimble().send_hwm(10).recv_hwm(10));
    let ready = push.send_fd().expect("a descriptor");
    let (mut sent, mut received) = (0, 0);
    for _ in 0..3 {
        until("no room any more", || {
            let room = wait_readable(&[&ready], Duration::from_millis(50))[0];
            match push.try_send(vec![0; 50_000]) {
                Ok(()) => {
                    sent += 1;
                    None
                }
                Err(error) => {
                    assert!(!room, "it was readable");
                    assert_eq!(error.kind(), SendErrorKind::WouldBlock);
                    Some(())
                }
            }
        });
        while !is_readable(&ready) {
            pull.recv_timeout(DEADLINE).expect("a message");
            received += 1;
            let _ = wait_readable(&[&ready], Duration::from_millis(5));
        }
    }
    while received < sent {
        pull.recv_timeout(DEADLINE).expect("a message");
        received += 1;
    }
}

fn says_when_a_publisher_that_blocks_may_go_on(transport: Transport) {
    let context = Context::new();
    let options = nimble().send_hwm(10).recv_hwm(10).pub_block(true);
    let publisher = Pub::with_options(&context, options.clone()).expect("a PUB");
    let sub = Sub::with_options(&context, options).expect("a SUB");
    sub.subscribe("").expect("subscribed");
    connect(&publisher, &sub, transport);
    publisher
        .wait_for_subscribers("", 1, DEADLINE)
        .expect("a subscriber");
    let ready = publisher.send_fd().expect("a descriptor");
    assert!(is_readable(&ready));
    until("no room any more", || {
        let room = wait_readable(&[&ready], Duration::from_millis(50))[0];
        let sent = publisher.try_send(vec![0; 50_000]);
        assert!(sent.is_ok() || !room, "it was readable: {sent:?}");
        sent.is_err().then_some(())
    });
    until("room again", || {
        sub.recv_timeout(DEADLINE).expect("a message");
        wait_readable(&[&ready], Duration::from_millis(5))[0].then_some(())
    });
    publisher.try_send("small").expect("it was readable");
}

/// A message of a topic that is not wanted any more, and a request without an envelope, make nothing readable.
fn passes_over_what_nobody_wants(transport: Transport) {
    let context = Context::new();
    let xpub = Xpub::with_options(&context, nimble()).expect("an XPUB");
    let sub = Sub::with_options(&context, nimble()).expect("a SUB");
    sub.subscribe("old").expect("subscribed");
    sub.subscribe("new").expect("subscribed");
    connect(&xpub, &sub, transport);
    xpub.wait_for_subscribers("", 0, DEADLINE).expect("open");
    for _ in 0..2 {
        xpub.recv_upstream_timeout(DEADLINE).expect("a topic");
    }
    let ready = sub.recv_fd().expect("a descriptor");
    xpub.send("old 1").expect("sent");
    await_readable(&ready);
    sub.unsubscribe("old").expect("unsubscribed");
    assert!(!is_readable(&ready), "nobody wants that");
    xpub.send("new 1").expect("sent");
    await_readable(&ready);
    assert_eq!(sub.try_recv().expect("it was readable"), "new 1");

    let rep = Rep::with_options(&context, nimble()).expect("a REP");
    let dealer = Dealer::with_options(&context, nimble()).expect("a DEALER");
    connect(&rep, &dealer, transport);
    let ready = rep.recv_fd().expect("a descriptor");
    dealer.send("without an envelope").expect("sent");
    until("counted", || {
        assert!(!is_readable(&ready), "that is no request");
        thread::sleep(GLANCE / 10);
        (rep.stats().dropped.unexpected == 1).then_some(())
    });
    dealer.send(["", "request"]).expect("sent");
    await_readable(&ready);
    assert_eq!(rep.try_recv().expect("readable").message(), &"request");
}

fn stays_readable_after_the_end(transport: Transport) {
    let (push, pull) = pair(transport, nimble());
    let (receives, sends) = (pull.recv_fd(), push.send_fd());
    let (receives, sends) = (receives.expect("one"), sends.expect("another"));
    assert!(!is_readable(&receives));
    pull.shutdown();
    await_readable(&receives);
    assert_eq!(pull.try_recv(), Err(RecvError::Closed));
    assert!(is_readable(&receives));
    assert_eq!(pull.recv_fd().err(), Some(WatchError::Closed));
    drop(push);
    assert!(is_readable(&sends));
}

/// As a loop of another library does it: poll(2) over the descriptors of several sockets, then one message from each that has one.
fn one_loop_serves_several_sockets(transport: Transport) {
    const COUNT: u32 = 1_000;
    let pairs: Vec<_> = (0..3).map(|_| pair(transport, nimble())).collect();
    let (pushes, pulls): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    thread::scope(|scope| {
        for push in &pushes {
            scope.spawn(|| {
                for number in 0..COUNT {
                    push.send(number.to_be_bytes()).expect("sent");
                    if number % 7 == 0 {
                        thread::yield_now();
                    }
                }
            });
        }
        let fds: Vec<ReadyFd> = pulls
            .iter()
            .map(|pull| pull.recv_fd().expect("one"))
            .collect();
        let mut next = [0_u32; 3];
        while next.iter().any(|&next| next < COUNT) {
            let readable = wait_readable(&[&fds[0], &fds[1], &fds[2]], DEADLINE);
            assert!(readable.contains(&true), "no message came: {next:?}");
            for (index, _) in readable
                .iter()
                .enumerate()
                .filter(|(_, readable)| **readable)
            {
                let message = pulls[index].try_recv().expect("it was readable");
                assert_eq!(message, next[index].to_be_bytes());
                next[index] += 1;
            }
        }
        assert!(!fds.iter().any(is_readable));
    });
}

/// Several threads wait for one descriptor, beside one that waits in a call: each message is taken once, and nobody misses any.
fn threads_share_a_descriptor(transport: Transport) {
    const COUNT: usize = 3_000;
    let (push, pull) = pair(transport, nimble());
    let ready = pull.recv_fd().expect("a descriptor");
    let left = std::sync::atomic::AtomicIsize::new(COUNT as isize);
    let take = |received: Result<_, RecvError>| {
        if received.is_ok() && left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) == 1 {
            pull.shutdown();
        }
    };
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while left.load(std::sync::atomic::Ordering::Relaxed) > 0 {
                    await_readable(&ready);
                    take(pull.try_recv().map(drop));
                }
            });
        }
        scope.spawn(|| {
            while left.load(std::sync::atomic::Ordering::Relaxed) > 0 {
                take(pull.recv().map(drop));
            }
        });
        for number in 0..COUNT {
            push.send(number.to_be_bytes()).expect("sent");
            if number % 5 == 0 {
                thread::yield_now();
            }
        }
    });
    assert_eq!(left.into_inner(), 0);
}

/// A descriptor may come and go while messages do.
fn is_gone_without_a_trace(transport: Transport) {
    let (push, pull) = pair(transport, nimble());
    for number in 0..200_u32 {
        let first = pull.recv_fd().expect("one");
        let second = (number % 2 == 0).then(|| pull.recv_fd().expect("another"));
        push.send(number.to_be_bytes()).expect("sent");
        if number % 3 == 0 {
            await_readable(second.as_ref().unwrap_or(&first));
        }
        drop(first);
        let message = pull.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(message, number.to_be_bytes());
        assert!(!second.as_ref().is_some_and(is_readable));
    }
}
