//! Which of its peers a PUSH, DEALER or REQ gives a message to, where they do not just take turns.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use crate::sockets::{
    Balancing, Context, Dealer, Options, Origin, Pull, Push, RecvError, Rep, Req, Share,
};

use crate::arena::{Transport, nimble, on_every_transport};
use crate::common::deadline::DEADLINE;
use crate::common::until::{GLANCE, until};
use crate::pairs::Socket;

on_every_transport!(
    a_request_goes_to_who_has_least_to_answer,
    a_message_goes_to_who_has_answered_most,
    messages_are_divided_by_weight,
    the_near_come_first,
    peers_are_weighed_anew_when_told_to,
    whoever_weighs_may_use_the_socket_and_may_panic,
);

fn balanced(balancing: Balancing) -> Options {
    nimble().balancing(balancing)
}

/// One that connects to two others, at the endpoints that come with them.
fn fan<S: Socket, P: Socket>(transport: Transport, hub: &S, context: &Context) -> [(P, String); 2] {
    [(); 2].map(|()| {
        let peer = P::open(context);
        let endpoint = Socket::bind(&peer, &transport.endpoint());
        Socket::connect(hub, &endpoint);
        (peer, endpoint)
    })
}

fn a_request_goes_to_who_has_least_to_answer(transport: Transport) {
    let context = Context::new();
    let options = balanced(Balancing::least_outstanding());
    let req = Req::with_options(&context, options).expect("a REQ");
    let [(slow, _), (fast, _)] = fan::<_, Rep>(transport, &req, &context);
    req.wait_for_peers(2, DEADLINE).expect("both");
    thread::scope(|scope| {
        // The first goes to one of them, and stays there.
        let first = scope.spawn(|| req.request_timeout("first", DEADLINE));
        let (held, (busy, idle)) = until("somebody has it", || {
            let of = |rep: &Rep| rep.recv_timeout(GLANCE).ok();
            match of(&slow) {
                Some(request) => Some((request, (&slow, &fast))),
                None => of(&fast).map(|request| (request, (&fast, &slow))),
            }
        });
        for number in 0..10 {
            let question = format!("{number}");
            let answer = scope.spawn(|| req.request_timeout(question, DEADLINE));
            let request = idle.recv_timeout(DEADLINE).expect("a request");
            request.reply("answered").expect("replied");
            let answer = answer.join().expect("no panic");
            assert_eq!(answer.expect("an answer"), "answered");
        }
        assert!(matches!(busy.try_recv(), Err(RecvError::WouldBlock)));
        held.reply("at last").expect("replied");
        let first = first.join().expect("no panic");
        assert_eq!(first.expect("an answer"), "at last");
    });
}

fn a_message_goes_to_who_has_answered_most(transport: Transport) {
    let context = Context::new();
    let options = balanced(Balancing::least_outstanding());
    let hub = Dealer::with_options(&context, options).expect("a DEALER");
    let [(one, _), (other, _)] = fan::<_, Dealer>(transport, &hub, &context);
    hub.wait_for_peers(2, DEADLINE).expect("both");
    for number in ["1", "2"] {
        hub.send_timeout(number, DEADLINE).expect("sent");
    }
    // Each has one. From now on only one of them answers.
    for dealer in [&one, &other] {
        dealer.recv_timeout(DEADLINE).expect("a message");
    }
    for number in 0..10 {
        one.send_timeout("done", DEADLINE).expect("sent");
        assert_eq!(hub.recv_timeout(DEADLINE).expect("an answer"), "done");
        hub.send_timeout(format!("{number}"), DEADLINE)
            .expect("sent");
        let message = one.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(message, format!("{number}"));
    }
    assert_eq!(other.try_recv(), Err(RecvError::WouldBlock));
}

/// How many of the messages that are there each has received.
fn received(pulls: [&Pull; 2], messages: usize) -> [usize; 2] {
    let mut counts = [0; 2];
    until("all are received", || {
        for (pull, count) in pulls.into_iter().zip(&mut counts) {
            while pull.recv_timeout(GLANCE).is_ok() {
                *count += 1;
            }
        }
        (counts[0] + counts[1] >= messages).then_some(())
    });
    assert_eq!(counts[0] + counts[1], messages);
    counts
}

/// Waits until peers have been weighed so often, and four messages are divided like this: what was said has come then, with one of the
/// calls that send.
fn wait_for_weighing(
    (weighed, times): (&AtomicUsize, usize),
    push: &Push,
    pulls: [&Pull; 2],
    divided: [usize; 2],
) {
    until("they are weighed", || {
        thread::sleep(GLANCE);
        (weighed.load(Ordering::Relaxed) >= times).then_some(())
    });
    until("it is as was said", || {
        for _ in 0..4 {
            push.send_timeout("to see", DEADLINE).expect("sent");
        }
        (received(pulls, 4) == divided).then_some(())
    });
}

fn messages_are_divided_by_weight(transport: Transport) {
    let context = Context::new();
    let heavy = Arc::new(OnceLock::new());
    let weighed = Arc::new(AtomicUsize::new(0));
    let balancing = Balancing::round_robin().by({
        let (heavy, weighed) = (Arc::clone(&heavy), Arc::clone(&weighed));
        move |peer: &Origin| {
            weighed.fetch_add(1, Ordering::Relaxed);
            let is_heavy = heavy.get().is_some_and(|it: &String| it == peer.endpoint());
            Share::new(if is_heavy { 3 } else { 1 })
        }
    });
    let push = Push::with_options(&context, balanced(balancing)).expect("a PUSH");
    let pulls = [(); 2].map(|()| {
        let pull = Pull::open(&context);
        let endpoint = Socket::bind(&pull, &transport.endpoint());
        heavy.get_or_init(|| endpoint.clone());
        Socket::connect(&push, &endpoint);
        pull
    });
    push.wait_for_peers(2, DEADLINE).expect("both");
    let pulls = [&pulls[0], &pulls[1]];
    wait_for_weighing((&weighed, 2), &push, pulls, [3, 1]);
    for number in 0..400 {
        push.send_timeout(format!("{number}"), DEADLINE)
            .expect("sent");
    }
    assert_eq!(received(pulls, 400), [300, 100]);
}

fn the_near_come_first(transport: Transport) {
    let context = Context::new();
    let options = balanced(Balancing::round_robin().local_first());
    let push = Push::with_options(&context, options.send_hwm(20)).expect("a PUSH");
    let near = Pull::with_options(&context, nimble().recv_hwm(20)).expect("a PULL");
    let far = Pull::open(&context);
    Socket::connect(&push, &Socket::bind(&far, &transport.endpoint()));
    Socket::connect(&push, &Socket::bind(&near, &Transport::Inproc.endpoint()));
    push.wait_for_peers(2, DEADLINE).expect("both");
    for number in 0..10 {
        push.send_timeout(format!("{number}"), DEADLINE)
            .expect("sent");
    }
    let counts = received([&near, &far], 10);
    match transport {
        Transport::Inproc => assert_eq!(counts, [5, 5]),
        _ => assert_eq!(counts, [10, 0]),
    }
    // When the near one is full it is the other's turn.
    let mut sent = 0;
    until("there is something for the other", || {
        sent += usize::from(push.send_timeout("more", GLANCE).is_ok());
        far.try_recv().ok()
    });
    received([&near, &far], sent - 1);
}

fn peers_are_weighed_anew_when_told_to(transport: Transport) {
    let context = Context::new();
    let push = Push::with_options(&context, nimble()).expect("a PUSH");
    let [(one, chosen), (other, _)] = fan::<_, Pull>(transport, &push, &context);
    push.wait_for_peers(2, DEADLINE).expect("both");
    for number in 0..10 {
        push.send_timeout(format!("{number}"), DEADLINE)
            .expect("sent");
    }
    assert_eq!(received([&one, &other], 10), [5, 5], "in turn");
    for (first, expected) in [(true, [10, 0]), (false, [0, 10])] {
        let weighed = Arc::new(AtomicUsize::new(0));
        let balancing = Balancing::round_robin().by({
            let (chosen, weighed) = (chosen.clone(), Arc::clone(&weighed));
            move |peer: &Origin| {
                weighed.fetch_add(1, Ordering::Relaxed);
                let comes_first = (peer.endpoint() == chosen) == first;
                Share::default().priority(u8::from(!comes_first))
            }
        });
        push.reconfigure(|options| options.balancing(balancing))
            .expect("changed");
        let divided = expected.map(|count: usize| count.min(4));
        wait_for_weighing((&weighed, 2), &push, [&one, &other], divided);
        for number in 0..10 {
            push.send_timeout(format!("{number}"), DEADLINE)
                .expect("sent");
        }
        assert_eq!(received([&one, &other], 10), expected);
    }
}

/// It is called with no lock held, and one that panics leaves the peer like any other.
fn whoever_weighs_may_use_the_socket_and_may_panic(transport: Transport) {
    let context = Context::new();
    let socket: Arc<OnceLock<Arc<Push>>> = Arc::default();
    let seen = Arc::new(AtomicUsize::new(0));
    let balancing = Balancing::least_outstanding().by({
        let (socket, seen) = (Arc::clone(&socket), Arc::clone(&seen));
        move |_: &Origin| -> Share {
            let push = socket.get().expect("the socket");
            let peers = push.stats().peers.len();
            seen.fetch_add(peers, Ordering::Relaxed);
            std::panic::resume_unwind(Box::new("of a policy"))
        }
    });
    let push = Push::with_options(&context, balanced(balancing)).expect("a PUSH");
    let push = socket.get_or_init(|| Arc::new(push));
    let [(one, _), (other, _)] = fan::<_, Pull>(transport, &**push, &context);
    push.wait_for_peers(2, DEADLINE).expect("both");
    until("it has looked", || {
        thread::sleep(GLANCE);
        (seen.load(Ordering::Relaxed) >= 2).then_some(())
    });
    for number in 0..20 {
        push.send_timeout(format!("{number}"), DEADLINE)
            .expect("sent");
    }
    let counts = received([&one, &other], 20);
    assert!(counts[0] >= 5 && counts[1] >= 5, "{counts:?}");
}
