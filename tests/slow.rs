//! Subscribers that do not keep up: what each policy does about them, what it counts, and what monitors are told.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod raw;
    pub(crate) mod until;
}

use std::net::TcpListener;
use std::thread;

use zerohop::{
    Context, DisconnectCause, Event, Monitor, Options, Pub, Published, SlowSubscriber, Sub, Xpub,
};

use common::deadline::DEADLINE;
use common::raw::{MORE, RawPeer, command};
use common::until::{GLANCE, until};

const HWM: usize = 50;

fn options(policy: SlowSubscriber) -> Options {
    Options::new()
        .send_hwm(HWM)
        .send_buffer(4096)
        .slow_subscriber(policy)
}

/// A subscriber that reads nothing until it is told to.
fn subscriber(endpoint: &str) -> RawPeer {
    let mut raw = RawPeer::connect(endpoint);
    raw.shake_hands(1, "SUB");
    raw.write(&command("SUBSCRIBE", b""));
    raw
}

/// A publisher, what watches it, and one subscriber.
fn slow(policy: SlowSubscriber) -> (Pub, Monitor, RawPeer) {
    let publisher = Pub::with_options(&Context::new(), options(policy)).expect("a PUB");
    let monitor = publisher.monitor();
    let endpoint = publisher.bind("tcp://127.0.0.1:*").expect("bound");
    let raw = subscriber(&endpoint.to_string());
    publisher
        .wait_for_subscribers("", 1, DEADLINE)
        .expect("a subscriber");
    (publisher, monitor, raw)
}

fn numbered(number: usize) -> Vec<u8> {
    let mut body = vec![b'x'; 20_000];
    body[..8].copy_from_slice(&(number as u64).to_be_bytes());
    body
}

fn number_of(body: &[u8]) -> usize {
    u64::from_be_bytes(body[..8].try_into().expect("8 bytes")) as usize
}

/// Publishes so many messages; gives what became of all of them.
fn publish(publisher: &Pub, count: usize) -> Published {
    let mut total = Published::default();
    for number in 0..count {
        let published = publisher.send(numbered(number)).expect("sent");
        total.sent += published.sent;
        total.skipped += published.skipped;
        total.displaced += published.displaced;
    }
    total
}

/// Whether there has been such an event: how often.
fn told(monitor: &Monitor, policy: SlowSubscriber) -> usize {
    let events = std::iter::from_fn(|| monitor.try_recv().ok());
    let told = events.filter(|event| match event {
        Event::SubscriberSlow { policy: other, .. } => *other == policy,
        _ => false,
    });
    told.count()
}

#[test]
fn the_newest_are_dropped_by_default() {
    let (publisher, monitor, mut raw) = slow(SlowSubscriber::default());
    let published = publish(&publisher, 300);
    assert_eq!(
        (published.sent + published.skipped, published.displaced),
        (300, 0)
    );
    assert!(published.skipped > 0);
    assert_eq!(
        publisher.stats().dropped.high_water_mark,
        published.skipped as u64
    );
    assert_eq!(told(&monitor, SlowSubscriber::DropNewest), 1);
    // The oldest have been kept.
    for number in 0..HWM {
        assert_eq!(number_of(&raw.read_frame().1), number);
    }
}

/// What comes are the first, which had left, and the last; in order, and whole.
#[test]
fn the_oldest_make_room_for_the_newest() {
    let (publisher, monitor, mut raw) = slow(SlowSubscriber::DropOldest);
    let published = publish(&publisher, 300);
    assert_eq!((published.sent, published.skipped), (300, 0));
    assert!(published.displaced > 0);
    let dropped = publisher.stats().dropped;
    assert_eq!(dropped.high_water_mark, published.displaced as u64);
    assert_eq!(dropped.total(), dropped.high_water_mark);
    assert!(publisher.stats().peers[0].queued_out <= HWM);
    assert_eq!(told(&monitor, SlowSubscriber::DropOldest), 1);
    let mut numbers = Vec::new();
    while numbers.last() != Some(&299) {
        let (_, body) = raw.read_frame();
        assert_eq!(body.len(), 20_000);
        numbers.push(number_of(&body));
    }
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    assert_eq!(numbers.len(), 300 - published.displaced);
    // All of the newest, but for the eighth that goes at once.
    let newest = numbers
        .iter()
        .filter(|number| **number >= 300 - HWM * 3 / 4);
    assert_eq!(newest.count(), HWM * 3 / 4);
}

/// Of several frames, all go or none.
#[test]
fn messages_of_several_frames_are_displaced_as_a_whole() {
    let (publisher, _monitor, mut raw) = slow(SlowSubscriber::DropOldest);
    let mut displaced = 0;
    for number in 0..300 {
        let frames = [numbered(number), vec![b'y'; number], numbered(number)];
        displaced += publisher.send(frames).expect("sent").displaced;
    }
    assert!(displaced > 0);
    let mut count = 0;
    loop {
        count += 1;
        let (flags, first) = raw.read_frame();
        let number = number_of(&first);
        assert_eq!(flags & MORE, MORE);
        assert_eq!(raw.read_frame().1, vec![b'y'; number]);
        let (flags, last) = raw.read_frame();
        assert_eq!((flags & MORE, last), (0, first));
        if number == 299 {
            break;
        }
    }
    assert_eq!(count, 300 - displaced);
}

#[test]
fn who_is_too_slow_is_disconnected() {
    let (publisher, monitor, mut raw) = slow(SlowSubscriber::Disconnect);
    let endpoint = publisher.last_endpoint().expect("bound").to_string();
    let mut skipped = 0;
    until("the subscriber is gone", || {
        skipped += publish(&publisher, 10).skipped;
        publisher.stats().peers.is_empty().then_some(())
    });
    assert!(skipped > 0);
    let dropped = publisher.stats().dropped;
    assert_eq!(dropped.high_water_mark, skipped as u64);
    // With its connection goes what waited for it.
    assert!(dropped.peer_gone > 0);
    let mut causes = Vec::new();
    let mut slow = 0;
    while let Ok(event) = monitor.try_recv() {
        match event {
            Event::Disconnected { cause, .. } => causes.push(cause),
            Event::SubscriberSlow { policy, .. } => {
                assert_eq!(policy, SlowSubscriber::Disconnect);
                slow += 1;
            }
            _ => {}
        }
    }
    assert_eq!((causes, slow), (vec![DisconnectCause::TooSlow], 1));
    raw.expect_closed();
    // It may come again.
    let mut raw = subscriber(&endpoint);
    publisher
        .wait_for_subscribers("", 1, DEADLINE)
        .expect("a subscriber");
    publisher.send("again").expect("sent");
    assert_eq!(raw.read_frame().1, b"again");
}

/// Within the process neither the oldest can be dropped nor anybody disconnected; monitors are told what is done instead.
#[test]
fn within_the_process_the_newest_are_dropped() {
    for policy in [SlowSubscriber::DropOldest, SlowSubscriber::Disconnect] {
        let context = Context::new();
        let publisher = Pub::with_options(&context, options(policy)).expect("a PUB");
        let monitor = publisher.monitor();
        publisher.bind("inproc://prices").expect("bound");
        let subscriber = Sub::with_options(&context, Options::new().recv_hwm(HWM));
        let subscriber = subscriber.expect("a SUB");
        subscriber.subscribe("").expect("subscribed");
        subscriber.connect("inproc://prices").expect("connected");
        publisher
            .wait_for_subscribers("", 1, DEADLINE)
            .expect("a subscriber");
        let published = publish(&publisher, 300);
        assert_eq!(published.sent + published.skipped, 300, "{policy}");
        assert!(published.skipped > 0 && published.displaced == 0);
        assert_eq!(told(&monitor, SlowSubscriber::DropNewest), 1, "{policy}");
        for number in 0..published.sent {
            let message = subscriber.recv_timeout(DEADLINE).expect("a message");
            assert_eq!(number_of(message.first()), number);
        }
        publisher.send(numbered(300)).expect("sent");
        let message = subscriber.recv_timeout(DEADLINE).expect("still there");
        assert_eq!(number_of(message.first()), 300);
    }
}

/// One that the publisher connects to is connected to again.
#[test]
fn who_was_too_slow_is_dialed_again() {
    let publisher = Pub::with_options(&Context::new(), options(SlowSubscriber::Disconnect));
    let publisher = publisher.expect("a PUB");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    publisher
        .connect(format!("tcp://{address}"))
        .expect("connected");
    for _ in 0..2 {
        let mut raw = RawPeer::accept(&listener);
        raw.shake_hands(1, "SUB");
        raw.write(&command("SUBSCRIBE", b""));
        publisher
            .wait_for_subscribers("", 1, DEADLINE)
            .expect("a subscriber");
        publisher.send("first").expect("sent");
        assert_eq!(raw.read_frame().1, b"first");
        until("the subscriber is gone", || {
            publish(&publisher, 10);
            let stats = publisher.stats();
            stats.peers[0].connection.is_none().then_some(())
        });
        raw.expect_closed();
    }
}

#[test]
fn a_publisher_may_wait_for_the_slow() {
    let (publisher, monitor, mut raw) = slow(SlowSubscriber::Wait);
    thread::scope(|scope| {
        let publishing = scope.spawn(|| publish(&publisher, 300));
        until("it waits", || {
            thread::sleep(GLANCE);
            (told(&monitor, SlowSubscriber::Wait) == 1).then_some(())
        });
        for number in 0..300 {
            assert_eq!(number_of(&raw.read_frame().1), number);
        }
        let published = publishing.join().expect("no panic");
        assert_eq!((published.sent, published.skipped), (300, 0));
    });
    assert_eq!(publisher.stats().dropped.total(), 0);
}

/// The others get everything meanwhile, and an XPUB does the same as a PUB.
#[test]
fn the_slow_cost_the_others_nothing() {
    for policy in [
        SlowSubscriber::DropNewest,
        SlowSubscriber::DropOldest,
        SlowSubscriber::Disconnect,
    ] {
        let publisher = Xpub::with_options(&Context::new(), options(policy)).expect("an XPUB");
        let endpoint = publisher.bind("tcp://127.0.0.1:*").expect("bound");
        let _slow = subscriber(&endpoint.to_string());
        let mut quick = subscriber(&endpoint.to_string());
        publisher
            .wait_for_subscribers("", 2, DEADLINE)
            .expect("subscribers");
        for number in 0..300 {
            publisher.send(numbered(number)).expect("sent");
            assert_eq!(number_of(&quick.read_frame().1), number);
        }
        assert!(publisher.stats().dropped.total() > 0, "{policy}");
    }
}

#[test]
fn policies_are_set_by_name() {
    for policy in ["drop_newest", "drop_oldest", "disconnect", "wait"] {
        let options = Options::from_pairs(zerohop::SocketType::Pub, [("slow_subscriber", policy)]);
        let options = options.expect("a policy");
        assert!(format!("{options:?}").contains("slow_subscriber"));
    }
    let pairs = [("slow_subscriber", "ignore")];
    let error = Options::from_pairs(zerohop::SocketType::Pub, pairs).expect_err("no policy");
    assert!(error.to_string().contains("drop_oldest"), "{error}");
}
