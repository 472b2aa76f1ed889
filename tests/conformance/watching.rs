//! Monitors and counters.

use std::time::Duration;

use zerohop::{
    Context, DisconnectCause, Event, Monitor, Options, Pub, Pull, Push, RecvError, Rep, Req, Sub,
};

use crate::arena::{Transport, on_every_transport};
use crate::common::deadline::DEADLINE;
use crate::common::until::{GLANCE, until};
use crate::pairs::{Pairing, Socket};

on_every_transport!(push_pull: PushPull => tells_in_order, ends_with_its_socket);
on_every_transport!(pub_sub: PubSub => tells_in_order, ends_with_its_socket);
on_every_transport!(req_rep: ReqRep => tells_in_order, ends_with_its_socket);
on_every_transport!(dealer_rep: DealerRep => tells_in_order, ends_with_its_socket);
on_every_transport!(xpub_xsub: XpubXsub => tells_in_order, ends_with_its_socket);
on_every_transport!(router_router: RouterRouter => tells_in_order, ends_with_its_socket);
on_every_transport!(pair_pair: PairPair => tells_in_order, ends_with_its_socket);
on_every_transport!(
    counts_messages_and_bytes,
    counts_reconnects,
    counts_what_is_dropped,
    counts_a_message_once_wherever_it_goes,
    knows_its_last_endpoint,
);

fn knows_its_last_endpoint(transport: Transport) {
    let context = Context::new();
    let (pull, push) = (
        Pull::new(&context).expect("a PULL"),
        Push::new(&context).expect("a PUSH"),
    );
    assert_eq!(pull.last_endpoint(), None);
    let bound = pull.bind(transport.endpoint()).expect("bound");
    assert_eq!(pull.last_endpoint(), Some(bound.clone()));
    push.connect(&bound).expect("connected");
    assert_eq!(push.last_endpoint(), Some(bound.clone()));
    // What fails leaves it as it was.
    push.bind(&bound).expect_err("in use");
    assert_eq!(push.last_endpoint(), Some(bound.clone()));
    push.disconnect(bound).expect("was connected");
}

#[test]
fn says_why_it_cannot_bind() {
    let context = Context::new();
    let (first, second) = (
        Pull::new(&context).expect("a PULL"),
        Pull::new(&context).expect("another"),
    );
    let bound = first.bind("tcp://127.0.0.1:*").expect("bound");
    let monitor = second.monitor();
    second.bind(&bound).expect_err("in use");
    let event = next(&monitor);
    assert_eq!(
        event.to_string(),
        format!("{bound}: bind failed: the address is in use")
    );
    match event {
        Event::BindFailed { error, .. } => {
            assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
        }
        event => panic!("another event: {event:?}"),
    }
}

fn tells_in_order<P: Pairing>(transport: Transport) {
    if transport == Transport::Inproc {
        // Nothing listens, connects or shakes hands there; nor does libzmq report any.
        return;
    }
    let context = Context::new();
    let taker = P::Taker::open(&context);
    let (bound, endpoint) = (taker.monitor(), transport.endpoint());
    taker.bind(&endpoint);
    assert_eq!(next(&bound), listening(&endpoint));

    let giver = P::Giver::open(&context);
    let connected = giver.monitor();
    giver.connect(&endpoint);
    let connecting = Event::Connecting {
        endpoint: endpoint.clone(),
        peer: endpoint.clone(),
    };
    assert_eq!(next(&connected), connecting);
    assert_eq!(next_kind(&connected), "Connected");
    assert_eq!(next_kind(&connected), "HandshakeSucceeded");
    assert_eq!(next_kind(&bound), "Accepted");
    assert_eq!(next_kind(&bound), "HandshakeSucceeded");

    taker.unbind(&endpoint).expect("unbound");
    let (one, other) = (next(&bound), next(&bound));
    for event in [one, other] {
        match event {
            Event::ListenerClosed { endpoint: which } => assert_eq!(which, endpoint),
            Event::Disconnected { cause, .. } => assert_eq!(cause, DisconnectCause::LocalClose),
            event => panic!("neither closed nor disconnected: {event:?}"),
        }
    }
    match next(&connected) {
        Event::Disconnected { cause, connection } => {
            let by_peer = [DisconnectCause::PeerClosed, DisconnectCause::Reset];
            assert!(by_peer.contains(&cause), "{cause:?}");
            assert_eq!(connection.endpoint, endpoint);
        }
        event => panic!("not a disconnect: {event:?}"),
    }
    // Nobody is there any more: attempt by attempt.
    for _ in 0..3 {
        assert_eq!(next_kind(&connected), "RetryIn");
        assert_eq!(next(&connected), connecting);
        assert_eq!(next_kind(&connected), "ConnectFailed");
    }
}

fn ends_with_its_socket<P: Pairing>(transport: Transport) {
    let taker = P::Taker::open(&Context::new());
    let monitor = taker.monitor();
    taker.bind(&transport.endpoint());
    drop(taker);
    until("the monitor ends", || {
        match monitor.recv_timeout(DEADLINE) {
            Ok(_) => None,
            Err(error) => {
                assert_eq!(error, RecvError::Closed);
                Some(())
            }
        }
    });
}

/// Every event names its connection or endpoint, whatever else it says.
fn next(monitor: &Monitor) -> Event {
    let event = monitor.recv_timeout(DEADLINE).expect("an event");
    assert!(event.endpoint().is_some(), "{event:?}");
    event
}

fn next_kind(monitor: &Monitor) -> String {
    kind(&next(monitor))
}

fn kind(event: &Event) -> String {
    let text = format!("{event:?}");
    let end = text.find(|c: char| !c.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}

fn listening(endpoint: &str) -> Event {
    let endpoint = endpoint.to_owned();
    Event::Listening { endpoint }
}

fn counts_messages_and_bytes(transport: Transport) {
    let context = Context::new();
    let (push, pull) = (Push::open(&context), Pull::open(&context));
    let monitored = Socket::bind(&pull, &transport.endpoint());
    Socket::connect(&push, &monitored);
    push.wait_for_peers(1, DEADLINE).expect("a peer");
    for number in 0..100 {
        push.send_timeout(["0123456789", "body"], DEADLINE)
            .expect("sent");
        pull.recv_timeout(DEADLINE).expect("received");
        let (sent, received) = (push.stats(), pull.stats());
        assert_eq!(sent.messages_out, number + 1);
        assert_eq!(received.messages_in, number + 1);
    }
    let (sent, received) = (push.stats(), pull.stats());
    // Two headers of two bytes each with every message.
    assert_eq!(received.bytes_in, 1800);
    until("the sender has counted what it wrote", || {
        (push.stats().bytes_out == 1800).then_some(())
    });
    assert_eq!((sent.messages_in, received.messages_out), (0, 0));
    assert_eq!((sent.peers.len(), received.peers.len()), (1, 1));
    assert_eq!((sent.dropped.total(), received.dropped.total()), (0, 0));
    assert_eq!(sent.peers[0].messages_out, 100);
    assert_eq!(received.peers[0].messages_in, 100);
    assert_eq!(received.peers[0].endpoint, monitored);

    // Received and not taken, or on the way there: in one of the two queues or the kernel. It has arrived all the same.
    push.send_timeout("waiting", DEADLINE).expect("sent");
    until("the message is here", || {
        let queued = pull.stats().peers[0].queued_in;
        let _ = pull.wait_for_peers(2, Duration::from_millis(1));
        (queued == 1).then_some(())
    });
    assert_eq!(pull.stats().messages_in, 101);
}

/// Connections count, and not the attempts at one.
/// What is queued for a peer that goes is sent to another one, which is no reason to count it again.
fn counts_a_message_once_wherever_it_goes(transport: Transport) {
    const MESSAGES: u64 = 500;
    if transport == Transport::Inproc {
        // A reader there takes all that is queued: only what nobody has taken up goes to another.
        return counts_once_what_waited_for_a_name();
    }
    let context = Context::new();
    // Most of them stay there in the end.
    let options = Options::new().linger(Duration::ZERO);
    let push = Push::with_options(&context, options).expect("a PUSH");
    let endpoint = push.bind(transport.endpoint()).expect("bound");
    let pull = || {
        let pull = Pull::with_options(&context, Options::new().recv_hwm(1)).expect("a PULL");
        pull.connect(&endpoint).expect("connected");
        push.wait_for_peers(1, DEADLINE).expect("connected");
        pull
    };
    let first = pull();
    for _ in 0..MESSAGES {
        push.send(vec![0; 100_000]).expect("sent");
    }
    first.recv_timeout(DEADLINE).expect("one of them");
    drop(first);
    until("the first one has gone", || {
        let _ = push.monitor().recv_timeout(GLANCE);
        push.stats().peers.is_empty().then_some(())
    });
    assert_eq!(push.stats().messages_out, MESSAGES);
    let second = pull();
    second.recv_timeout(DEADLINE).expect("one of the others");
    let stats = push.stats();
    assert_eq!(stats.messages_out, MESSAGES);
    assert!(stats.peers[0].messages_out > 0, "{stats:?}");
    assert_eq!(stats.dropped.total(), 0);
}

fn counts_once_what_waited_for_a_name() {
    const MESSAGES: u64 = 500;
    let context = Context::new();
    let push = Push::new(&context).expect("a PUSH");
    push.connect("inproc://nobody").expect("waits");
    for number in 0..MESSAGES {
        push.send(number.to_be_bytes()).expect("sent");
    }
    let endpoint = push.bind("inproc://somebody").expect("bound");
    let pull = Pull::new(&context).expect("a PULL");
    pull.connect(&endpoint).expect("connected");
    push.wait_for_peers(1, DEADLINE).expect("connected");
    push.disconnect("inproc://nobody").expect("was connected");
    for number in 0..MESSAGES {
        let message = pull.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(message, number.to_be_bytes());
    }
    let stats = push.stats();
    assert_eq!((stats.messages_out, stats.dropped.total()), (MESSAGES, 0));
    assert_eq!(stats.peers[0].messages_out, MESSAGES);
}

fn counts_reconnects(transport: Transport) {
    if transport == Transport::Inproc {
        // A name is found or waited for; nothing is dialed.
        return;
    }
    let context = Context::new();
    let push = Push::open(&context);
    let endpoint = transport.endpoint();
    let attempts = push.monitor();
    Socket::connect(&push, &endpoint);
    for life in 0..3 {
        // Twice in vain.
        for _ in 0..2 {
            until("an attempt has failed", || {
                let event = attempts.recv_timeout(DEADLINE).expect("an event");
                matches!(event, Event::RetryIn { .. }).then_some(())
            });
        }
        let pull = Pull::open(&context);
        Socket::bind(&pull, &endpoint);
        push.wait_for_peers(1, DEADLINE).expect("a peer");
        let stats = push.stats();
        assert_eq!((stats.reconnects, stats.peers[0].reconnects), (life, life));
        pull.wait_for_peers(1, DEADLINE).expect("a peer");
        assert_eq!(pull.stats().reconnects, 0);
        drop(pull);
        push.settle_at(0);
    }
}

fn counts_what_is_dropped(transport: Transport) {
    let context = Context::new();
    // The newest message takes the place of the others, while nobody is there to have them.
    let options = Options::new().conflate(true).linger(Duration::ZERO);
    let push = Push::with_options(&context, options).expect("a PUSH");
    Socket::connect(&push, &transport.endpoint());
    for _ in 0..5 {
        push.send_timeout("value", DEADLINE).expect("queued");
    }
    let stats = push.stats();
    assert_eq!(stats.messages_out, 5);
    assert_eq!((stats.dropped.conflated, stats.dropped.total()), (4, 4));

    // A reply that comes when nobody waits for it any more.
    let (req, rep) = (Req::open(&context), Rep::open(&context));
    Socket::connect(&req, &Socket::bind(&rep, &transport.endpoint()));
    req.wait_for_peers(1, DEADLINE).expect("a peer");
    let late = req.request_timeout("late", Duration::from_millis(20));
    assert!(late.is_err(), "{late:?}");
    let request = rep.recv_timeout(DEADLINE).expect("the request");
    request.reply("too late").expect("its peer is there");
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| req.request_timeout("again", DEADLINE));
        let request = rep.recv_timeout(DEADLINE).expect("the next request");
        request.reply("in time").expect("its peer is there");
        let reply = asking.join().expect("the asking thread");
        assert_eq!(reply.expect("a reply"), "in time");
    });
    let dropped = req.stats().dropped;
    assert_eq!((dropped.unexpected, dropped.total()), (1, 1));

    // What was queued for a subscriber that goes.
    let options = Options::new().linger(Duration::ZERO).send_hwm(1_000_000);
    let publisher = Pub::with_options(&context, options).expect("a PUB");
    let sub = Sub::with_options(&context, Options::new().recv_hwm(1)).expect("a SUB");
    sub.subscribe("").expect("subscribed");
    Socket::connect(&sub, &Socket::bind(&publisher, &transport.endpoint()));
    publisher
        .wait_for_subscribers("", 1, DEADLINE)
        .expect("a subscriber");
    // Of a socket of this process, the first visit takes all that is there; from then on messages stay with the publisher.
    publisher.send("first").expect("published");
    until("the first is there", || {
        (sub.stats().messages_in > 0).then_some(())
    });
    let sent = until("messages are queued", || {
        for _ in 0..100 {
            publisher.send(vec![0; 10_000]).expect("published");
        }
        let stats = publisher.stats();
        (stats.peers[0].queued_out > 100).then_some(stats.messages_out)
    });
    drop(sub);
    publisher.settle_at(0);
    // What the background thread is writing just then is counted when it is done with that.
    let dropped = until("a count of what is dropped", || {
        let _ = publisher.wait_for_peers(usize::MAX, GLANCE);
        let dropped = publisher.stats().dropped;
        (dropped.peer_gone > 0).then_some(dropped)
    });
    assert!((1..=sent).contains(&dropped.peer_gone), "{dropped:?}");
    assert_eq!(dropped.total(), dropped.peer_gone);
}
