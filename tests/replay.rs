//! A PUB with a log: what late, slow and returning subscribers get.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod events;
    #[allow(dead_code, reason = "handshakes here have properties of their own")]
    pub(crate) mod raw;
    pub(crate) mod relay;
    pub(crate) mod until;
}

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use zerohop::{
    Allow, Context, DeliveryError, DisconnectCause, Event, Gap, Log, Logged, Options,
    ProtocolError, Pub, ReplayFrom, SendErrorKind, SocketError, Sub, SubscribeError,
};

use common::deadline::DEADLINE;
use common::events::wait_for_end;
use common::raw::{COMMAND, MORE, RawPeer, command, frame, greeting, property};
use common::relay::Relay;
use common::until::{GLANCE, until};

#[path = "replayed/cursors.rs"]
mod cursors;
#[path = "replayed/last_values.rs"]
mod last_values;
#[path = "replayed/protocol.rs"]
mod protocol;

/// A folder that goes when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("zerohop-log-{name}-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        Folder(path)
    }

    /// One in small pieces, which are soon made and soon read.
    fn log(&self) -> Log {
        Log::at(&self.0).keep(8_000_000)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn publisher(context: &Context, log: Log) -> Pub {
    Pub::with_options(context, Options::new().log(log)).expect("a publisher")
}

fn subscriber(context: &Context) -> Sub {
    let quick = Options::new().reconnect_interval(Duration::from_millis(5));
    Sub::with_options(context, quick).expect("a subscriber")
}

/// The number that the second frame of a message has.
fn number(message: &zerohop::Message) -> u64 {
    let text = message
        .get(1)
        .expect("a second frame")
        .to_str()
        .expect("text");
    text.parse().expect("a number")
}

fn publish(publisher: &Pub, topic: &str, numbers: std::ops::Range<u64>) {
    for number in numbers {
        publisher
            .send([topic, &number.to_string()])
            .expect("published");
    }
}

#[track_caller]
fn receive(sub: &Sub, numbers: std::ops::Range<u64>) {
    for expected in numbers {
        let message = match expected % 2 {
            0 => sub.recv_timeout(DEADLINE).expect("a message"),
            _ => {
                let (message, origin) = sub.recv_from_timeout(DEADLINE).expect("a message");
                assert_eq!(origin.mechanism(), "NULL", "{origin:?}");
                message
            }
        };
        assert_eq!(number(&message), expected);
    }
}

#[track_caller]
fn next(sub: &Sub) -> Logged {
    sub.recv_logged_timeout(DEADLINE)
        .expect("a message, or that some are missing")
}

/// Greets as a subscriber or publisher that knows logs, or does not.
fn hello(peer: &mut RawPeer, socket_type: &str, log: Option<&[u8]>) -> Vec<u8> {
    let mut properties = property("Socket-Type", socket_type.as_bytes());
    if let Some(value) = log {
        properties.extend(property("Log", value));
    }
    peer.write(&greeting(1, "NULL"));
    peer.write(&command("READY", &properties));
    peer.read(64);
    peer.read_frame().1
}

#[test]
fn late_subscribers_get_what_they_ask_for() {
    for endpoint in ["tcp://127.0.0.1:*", "ipc://*"] {
        let folder = Folder::new("late");
        let context = Context::new();
        let source = publisher(&context, folder.log());
        let endpoint = source.bind(endpoint).expect("bound");
        for i in 0..100 {
            publish(&source, ["a", "b"][i as usize % 2], i..i + 1);
        }
        let all = subscriber(&context);
        all.subscribe_from("", ReplayFrom::Offset(1)).expect("all");
        let last = subscriber(&context);
        last.subscribe_from("b", ReplayFrom::Last(3)).expect("last");
        let since = subscriber(&context);
        let time = std::time::UNIX_EPOCH;
        since
            .subscribe_from("a", ReplayFrom::Time(time))
            .expect("since");
        let now = subscriber(&context);
        now.subscribe_from("a", ReplayFrom::Now).expect("now");
        for sub in [&all, &last, &since, &now] {
            sub.connect(endpoint.clone()).expect("connected");
        }
        source
            .wait_for_subscribers("a", 3, DEADLINE)
            .expect("subscribed");
        receive(&all, 0..100);
        for expected in [95, 97, 99] {
            receive(&last, expected..expected + 1);
        }
        for expected in (0..100).step_by(2) {
            receive(&since, expected..expected + 1);
        }
        publish(&source, "a", 100..110);
        receive(&all, 100..110);
        receive(&since, 100..110);
        receive(&now, 100..110);
    }
}

#[test]
fn a_slow_subscriber_reads_the_log_and_others_do_not_wait() {
    const COUNT: u64 = 8_000;
    let folder = Folder::new("slow");
    let context = Context::new();
    let log = folder.log().keep(100_000_000);
    let log = Options::new().log(log).send_hwm(10).send_buffer(16_384);
    let source = Pub::with_options(&context, log).expect("a publisher");
    let endpoint = source.bind("tcp://127.0.0.1:*").expect("bound");
    let little = Options::new().recv_hwm(10).recv_buffer(16_384);
    let slow = || Sub::with_options(&context, little.clone()).expect("a subscriber");
    let subs = [slow(), slow()];
    for sub in &subs {
        sub.subscribe("x").expect("subscribed");
        sub.connect(endpoint.clone()).expect("connected");
    }
    source
        .wait_for_subscribers("x", 2, DEADLINE)
        .expect("subscribed");
    let body = "y".repeat(2000);
    let mut behind = 0;
    for number in 0..COUNT {
        let published = source
            .send(["x", &number.to_string(), &body])
            .expect("published");
        assert_eq!(published.skipped, 0);
        behind += published.behind;
        // One of them keeps up, as far as it can; the other one does not read at all.
        let _ = subs[0].try_recv().map(drop);
    }
    assert!(behind > 0, "nobody was slow");
    receive(&subs[1], 0..COUNT);
    publish(&source, "x", COUNT..COUNT + 10);
    receive(&subs[1], COUNT..COUNT + 10);
    assert_eq!(source.stats().dropped.high_water_mark, 0);
}

#[test]
fn it_goes_on_where_it_was_when_the_publisher_comes_back() {
    let folder = Folder::new("back");
    let context = Context::new();
    let source = publisher(&context, folder.log());
    let endpoint = source.bind("tcp://127.0.0.1:*").expect("bound");
    let sub = subscriber(&context);
    sub.subscribe("x").expect("subscribed");
    sub.connect(endpoint.clone()).expect("connected");
    source
        .wait_for_subscribers("x", 1, DEADLINE)
        .expect("subscribed");
    publish(&source, "x", 0..50);
    receive(&sub, 0..20);
    source.close(DEADLINE).expect("closed");

    let source = publisher(&context, folder.log());
    publish(&source, "x", 50..100);
    publish(&source, "y", 0..10);
    source.bind(endpoint).expect("bound again");
    receive(&sub, 20..100);
    publish(&source, "x", 100..150);
    receive(&sub, 100..150);
}

#[test]
fn offsets_ascend_and_what_is_gone_is_told_exactly() {
    let folder = Folder::new("gap");
    let context = Context::new();
    // The least: pieces of 64 KiB.
    let source = publisher(&context, folder.log().keep(100_000));
    let endpoint = source.bind("tcp://127.0.0.1:*").expect("bound");
    let body = "z".repeat(1000);
    for number in 0_u64..1000 {
        source
            .send(["x", &number.to_string(), &body])
            .expect("published");
        source.commit().expect("written");
    }
    let sub = subscriber(&context);
    let monitor = sub.monitor();
    sub.subscribe_from("x", ReplayFrom::Offset(1)).expect("all");
    sub.connect(endpoint).expect("connected");
    let (mut expected, mut missing) = (1, 0);
    while expected <= 1000 {
        match next(&sub) {
            Logged::Message { message, source } => {
                let source = source.expect("a place in the log");
                assert_eq!(source.offset, expected);
                assert_eq!(number(&message) + 1, expected);
                expected += 1;
            }
            Logged::Gap(Gap { first, last, .. }) => {
                assert_eq!(first, expected);
                missing += last + 1 - first;
                expected = last + 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((1..=900).contains(&missing), "{missing} are missing");
    let told = std::iter::from_fn(|| monitor.recv_timeout(DEADLINE).ok());
    let mut gaps = told.filter_map(|event| match event {
        Event::Gap { first, last, .. } => Some((first, last)),
        _ => None,
    });
    let (first, last) = gaps.next().expect("a monitor is told");
    assert_eq!(first, 1);
    assert!(last <= missing, "not more than is missing");
}

#[test]
fn a_subscriber_that_was_away_is_not_told_of_gaps_in_what_it_did_not_want() {
    let folder = Folder::new("unwanted");
    let context = Context::new();
    let source = publisher(&context, folder.log().keep(100_000));
    let endpoint = source.bind("tcp://127.0.0.1:*").expect("bound");
    let sub = subscriber(&context);
    sub.subscribe("x").expect("subscribed");
    sub.connect(endpoint.clone()).expect("connected");
    source
        .wait_for_subscribers("x", 1, DEADLINE)
        .expect("subscribed");
    publish(&source, "x", 0..1);
    receive(&sub, 0..1);
    let body = "z".repeat(1000);
    for _ in 0..1000 {
        source.send(["other", &body]).expect("published");
        source.commit().expect("written");
    }
    // What has been told comes before this.
    publish(&source, "x", 1..2);
    receive(&sub, 1..2);
    source.close(DEADLINE).expect("closed");
    let source = publisher(&context, folder.log().keep(100_000));
    source.bind(endpoint).expect("bound again");
    publish(&source, "x", 2..3);
    match next(&sub) {
        Logged::Message { message, .. } => assert_eq!(number(&message), 2),
        other => panic!("{other:?}"),
    }
}

#[test]
fn topics_that_begin_further_back_join_those_that_are_there() {
    let folder = Folder::new("join");
    let context = Context::new();
    let source = publisher(&context, folder.log());
    let endpoint = source.bind("tcp://127.0.0.1:*").expect("bound");
    publish(&source, "a", 0..50);
    publish(&source, "ab", 50..100);
    let sub = subscriber(&context);
    sub.subscribe_from("ab", ReplayFrom::Last(10))
        .expect("the last");
    sub.connect(endpoint).expect("connected");
    receive(&sub, 90..100);
    sub.subscribe_from("a", ReplayFrom::Offset(1)).expect("all");
    // It has had the last ten.
    receive(&sub, 0..90);
    publish(&source, "a", 100..110);
    receive(&sub, 100..110);
    assert_eq!(
        sub.subscribe_from("a", ReplayFrom::Now),
        Err(SubscribeError::Subscribed)
    );
    sub.unsubscribe("a").expect("unsubscribed");
    sub.unsubscribe("ab").expect("unsubscribed");
    sub.subscribe_from("ab", ReplayFrom::Last(1))
        .expect("once more");
    receive(&sub, 99..100);
}

#[test]
fn over_inproc_and_without_a_log_comes_what_is_new_and_a_monitor_is_told() {
    let folder = Folder::new("inproc");
    let context = Context::new();
    let logged = publisher(&context, folder.log());
    logged.bind("inproc://prices").expect("bound");
    let plain = Pub::new(&context).expect("a publisher");
    let endpoint = plain.bind("tcp://127.0.0.1:*").expect("bound");
    for (source, endpoint) in [
        (&logged, "inproc://prices"),
        (&plain, &*endpoint.to_string()),
    ] {
        publish(source, "x", 0..10);
        let sub = subscriber(&context);
        let monitor = sub.monitor();
        sub.subscribe_from("x", ReplayFrom::Last(5))
            .expect("the last");
        sub.connect(endpoint).expect("connected");
        source
            .wait_for_subscribers("x", 1, DEADLINE)
            .expect("subscribed");
        publish(source, "x", 10..20);
        receive(&sub, 10..20);
        let mut told = std::iter::from_fn(|| monitor.recv_timeout(DEADLINE).ok());
        assert!(told.any(|event| matches!(event, Event::NoLog { .. })));
    }
}

#[test]
fn a_folder_is_for_one_and_what_makes_no_sense_is_refused() {
    let folder = Folder::new("refused");
    let context = Context::new();
    let source = publisher(&context, folder.log());
    let second = Pub::with_options(&context, Options::new().log(folder.log()));
    assert!(matches!(second, Err(SocketError::Spool(_))));
    drop(source);
    let again = publisher(&context, folder.log());
    again.send("x").expect("published");
    again.commit().expect("written");
    let conflating = Sub::with_options(&context, Options::new().conflate(true));
    let refused = conflating
        .expect("a subscriber")
        .subscribe_from("", ReplayFrom::Now);
    assert_eq!(refused, Err(SubscribeError::NoReplay));
    again.shutdown();
    let error = again.send("x").expect_err("closed");
    assert_eq!(error.kind(), SendErrorKind::Closed);
}

#[test]
fn a_bound_subscriber_goes_on_where_it_was() {
    let folder = Folder::new("bound");
    let context = Context::new();
    let sub = subscriber(&context);
    sub.subscribe_from("x", ReplayFrom::Offset(1)).expect("all");
    let endpoint = sub.bind("tcp://127.0.0.1:*").expect("bound");
    for round in 0..5 {
        let source = publisher(&context, folder.log());
        publish(&source, "x", round * 100..round * 100 + 100);
        source.connect(endpoint.clone()).expect("connected");
        // Some is left for the time after the next connection has begun.
        receive(&sub, (round * 90)..(round * 90 + 90));
        drop(source);
    }
    receive(&sub, 450..451);
}

#[test]
fn many_threads_publish_and_the_order_is_one() {
    let folder = Folder::new("threads");
    let context = Context::new();
    let source = publisher(&context, folder.log());
    let endpoint = source.bind("tcp://127.0.0.1:*").expect("bound");
    let early = subscriber(&context);
    early.subscribe("x").expect("subscribed");
    early.connect(endpoint.clone()).expect("connected");
    source
        .wait_for_subscribers("x", 1, DEADLINE)
        .expect("subscribed");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let source = &source;
            scope.spawn(move || publish(source, "x", thread * 1000..thread * 1000 + 1000));
        }
    });
    let late = subscriber(&context);
    late.subscribe_from("x", ReplayFrom::Offset(1))
        .expect("all");
    late.connect(endpoint).expect("connected");
    let begun = Instant::now();
    for _ in 0..4000 {
        assert_eq!(next(&early), next(&late));
    }
    assert!(begun.elapsed() < DEADLINE);
}

/// What a process leaves that is killed: its files as they are.
fn copy(from: &Folder, to: &Folder) {
    std::fs::create_dir_all(&to.0).expect("a folder");
    for entry in std::fs::read_dir(&from.0).expect("a folder") {
        let entry = entry.expect("a file");
        std::fs::copy(entry.path(), to.0.join(entry.file_name())).expect("copied");
    }
}

#[test]
fn what_a_killed_publisher_had_committed_is_there_and_new_offsets_are_no_old_ones() {
    let (folder, left) = (Folder::new("killed"), Folder::new("left"));
    let context = Context::new();
    let source = publisher(&context, folder.log());
    let endpoint = source.bind("tcp://127.0.0.1:*").expect("bound");
    let sub = subscriber(&context);
    sub.subscribe_from("x", ReplayFrom::Offset(1)).expect("all");
    sub.connect(endpoint.clone()).expect("connected");
    publish(&source, "x", 0..60);
    source.commit().expect("written");
    copy(&folder, &left);
    for expected in 1..=50 {
        match next(&sub) {
            Logged::Message { source, .. } => {
                assert_eq!(source.map(|source| source.offset), Some(expected));
            }
            other => panic!("{other:?}"),
        }
    }
    source.unbind(endpoint.clone()).expect("unbound");
    drop(source);

    let source = publisher(&context, left.log());
    publish(&source, "x", 60..61);
    source.bind(endpoint).expect("bound again");
    for expected in 51..=60 {
        match next(&sub) {
            Logged::Message { source, .. } => {
                assert_eq!(source.map(|source| source.offset), Some(expected));
            }
            other => panic!("{other:?}"),
        }
    }
    let begin = match next(&sub) {
        Logged::Gap(gap) => {
            assert_eq!(gap.first, 61);
            gap.last + 1
        }
        other => panic!("{other:?}"),
    };
    assert!(begin > 0 && begin.is_multiple_of(1 << 32), "{begin}");
    match next(&sub) {
        Logged::Message { message, source } => {
            assert_eq!(number(&message), 60);
            assert_eq!(source.map(|source| source.offset), Some(begin));
        }
        other => panic!("{other:?}"),
    }
}

/// Connections break, and the log keeps little.
#[test]
fn whatever_is_cut_offsets_have_no_holes_but_those_that_are_told() {
    const MESSAGES: u64 = 12_000;
    let folder = Folder::new("cuts");
    let context = Context::new();
    let log = Options::new().log(folder.log().keep(300_000)).send_hwm(50);
    let source = Pub::with_options(&context, log).expect("a publisher");
    let endpoint = source.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let relay = Relay::to(&endpoint);
    let sub = subscriber(&context);
    sub.subscribe_from("", ReplayFrom::Offset(1)).expect("all");
    sub.connect(&*relay.address).expect("connected");
    let body = "z".repeat(100);
    let (mut expected, mut missing, mut cuts, mut sent) = (1, 0, 0, 0);
    while expected <= MESSAGES {
        // Mostly it is not far behind, and sometimes it is.
        let ahead = if expected % 4000 < 2000 { 20 } else { 6000 };
        while sent < MESSAGES.min(expected + ahead) {
            source
                .send(["x", &sent.to_string(), &body])
                .expect("published");
            sent += 1;
        }
        match next(&sub) {
            Logged::Message { message, source } => {
                assert_eq!(source.map(|source| source.offset), Some(expected));
                assert_eq!(number(&message) + 1, expected);
                expected += 1;
            }
            Logged::Gap(gap) => {
                assert_eq!(gap.first, expected);
                missing += gap.last + 1 - gap.first;
                expected = gap.last + 1;
            }
            other => panic!("{other:?}"),
        }
        if expected.is_multiple_of(500) {
            cuts += relay.cut();
        }
    }
    assert!(cuts > 10, "{cuts} ends of connections were cut");
    assert!(missing + 2000 < MESSAGES, "{missing} messages were gone");
}

#[test]
fn the_oldest_go_while_somebody_reads() {
    let folder = Folder::new("reads");
    let context = Context::new();
    let log = Options::new().log(folder.log().keep(200_000)).send_hwm(10);
    let source = Pub::with_options(&context, log).expect("a publisher");
    let endpoint = source.bind("tcp://127.0.0.1:*").expect("bound");
    let sub = subscriber(&context);
    sub.subscribe_from("", ReplayFrom::Offset(1)).expect("all");
    sub.connect(endpoint).expect("connected");
    let size = || -> u64 {
        let entries = std::fs::read_dir(&folder.0).expect("a folder");
        let sizes = entries.map(|entry| entry.and_then(|entry| entry.metadata()));
        sizes.map(|file| file.map_or(0, |file| file.len())).sum()
    };
    let ended = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let end = Instant::now() + DEADLINE;
            while !ended.load(Ordering::Relaxed) && Instant::now() < end {
                let _ = sub.recv_timeout(GLANCE);
            }
        });
        let body = "z".repeat(1000);
        let mut largest = 0;
        for number in 0..10_000 {
            source.send(["x", &body]).expect("published");
            if number % 100 == 0 {
                source.commit().expect("written");
                largest = largest.max(size());
            }
        }
        ended.store(true, Ordering::Relaxed);
        assert!(largest < 8_000_000, "{largest} bytes of 10 MB");
    });
    until("the rest is gone", || {
        source.send("x").expect("published");
        std::thread::park_timeout(GLANCE);
        (size() < 600_000).then_some(())
    });
}

#[test]
fn a_log_in_memory_serves_who_is_late_or_slow() {
    let context = Context::new();
    let publisher = publisher(&context, Log::memory(1 << 20));
    let endpoint = publisher.bind("tcp://127.0.0.1:*").expect("bound");
    let slow = subscriber(&context);
    slow.subscribe_from("n", ReplayFrom::Offset(0))
        .expect("subscribed");
    slow.connect(&endpoint).expect("connected");
    publisher
        .wait_for_subscribers("n", 1, DEADLINE)
        .expect("subscribed");
    // More than is queued for it, and all is in the log.
    for number in 0..5_000_u32 {
        publisher
            .send(["n", &number.to_string()])
            .expect("published");
    }
    let late = subscriber(&context);
    late.subscribe_from("n", ReplayFrom::Last(2))
        .expect("subscribed");
    late.connect(&endpoint).expect("connected");
    for number in [4_998, 4_999] {
        let message = late.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(message, ["n", &number.to_string()]);
    }
    for number in 0..5_000_u32 {
        let message = slow.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(message, ["n", &number.to_string()]);
    }
    // What is over the limit goes, and is told.
    let large = vec![0; 10_000];
    for _ in 0..400 {
        publisher.send(&large[..]).expect("published");
    }
    publisher.commit().expect("written");
    let later = subscriber(&context);
    later
        .subscribe_from("n", ReplayFrom::Offset(0))
        .expect("subscribed");
    later.connect(&endpoint).expect("connected");
    let Ok(Logged::Gap(gap)) = later.recv_logged_timeout(DEADLINE) else {
        panic!("the oldest are gone");
    };
    assert!(gap.first < 5_000);
}

/// The next message, and its offset.
#[track_caller]
fn next_offset(sub: &Sub) -> u64 {
    match next(sub) {
        Logged::Message { source, .. } => source.expect("a log").offset,
        other => panic!("{other:?}"),
    }
}

/// Whoever asks for much that takes long to find has a turn like others.
#[test]
fn a_long_search_holds_up_nobody() {
    const SEARCHES: usize = 200;
    let context = Context::new();
    let source = publisher(&context, Log::memory(64_000_000));
    let endpoint = source.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    publish(&source, "x", 0..100_000);
    let mut peer = RawPeer::connect(&endpoint);
    hello(&mut peer, "SUB", Some(b"\x01"));
    let searches: Vec<_> = (0..SEARCHES)
        .map(|number| {
            let asked = format!("\x02\x01not there {number}");
            command("REPLAY", asked.as_bytes())
        })
        .collect();
    peer.write(&searches.concat());
    assert!(peer.read_frame().1.starts_with(b"\x05START"));
    let sub = subscriber(&context);
    sub.subscribe_from("x", ReplayFrom::Offset(1)).expect("all");
    sub.connect(&*endpoint).expect("connected");
    assert_eq!(next_offset(&sub), 1);
    peer.write(&command("PING", b"\0\0"));
    let mut found = 1;
    while !peer.read_frame().1.starts_with(b"\x04PONG") {
        found += 1;
    }
    assert!(found < SEARCHES / 2, "{found} came first");
}
