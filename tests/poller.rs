//! Waiting for many sockets, and for descriptors beside them.

mod common {
    pub(crate) mod deadline;
}

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use zerohop::{
    Context, Dealer, Options, PollRecv, Poller, Pull, Push, RecvError, SendErrorKind, WatchError,
};

use common::deadline::DEADLINE;

fn pair_of(context: &Context, options: Options) -> (Push, Pull) {
    let options = options.linger(Duration::ZERO);
    let push = Push::with_options(context, options.clone()).expect("a PUSH");
    let pull = Pull::with_options(context, options).expect("a PULL");
    push.connect(pull.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    (push, pull)
}

fn pair() -> (Push, Pull) {
    pair_of(&Context::new(), Options::new())
}

/// What is ready to be read from.
fn readable(poller: &mut Poller, timeout: Duration) -> Vec<usize> {
    let ready = poller.wait(Some(timeout)).expect("waited");
    let ready = ready.iter().filter(|ready| ready.is_readable());
    ready.map(|ready| ready.key()).collect()
}

/// Threads send to random sockets of many; each time that one is said to be ready it has a message, and each message is found.
#[test]
fn finds_every_message_of_many_sockets() {
    const SOCKETS: usize = 40;
    const SENDERS: usize = 2;
    const EACH: usize = 3_000;
    let context = Context::new();
    let pairs: Vec<_> = (0..SOCKETS)
        .map(|_| pair_of(&context, Options::new()))
        .collect();
    let mut poller = Poller::new().expect("a poller");
    for (key, (_, pull)) in pairs.iter().enumerate() {
        poller.add_recv(key, pull).expect("added");
    }
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let pairs = &pairs;
            scope.spawn(move || {
                let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(sender as u64 + 1);
                for _ in 0..EACH {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let (push, _) = &pairs[random as usize % SOCKETS];
                    push.send(random.to_be_bytes()).expect("sent");
                    if random.is_multiple_of(16) {
                        thread::yield_now();
                    }
                }
            });
        }
        let mut received = 0;
        while received < SENDERS * EACH {
            let ready = readable(&mut poller, DEADLINE);
            assert!(!ready.is_empty(), "{received} messages were found");
            for key in ready {
                pairs[key].1.try_recv().expect("it is ready");
                received += 1;
            }
        }
    });
    assert!(readable(&mut poller, Duration::ZERO).is_empty());
}

#[test]
fn says_again_what_is_not_seen_to() {
    let (push, pull) = pair();
    let mut poller = Poller::new().expect("a poller");
    poller.add_recv(7, &pull).expect("added");
    push.send_batch(["1", "2"]).expect("sent");
    for number in ["1", "2"] {
        for _ in 0..3 {
            assert_eq!(readable(&mut poller, DEADLINE), [7]);
        }
        assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), number);
    }
    assert!(readable(&mut poller, Duration::ZERO).is_empty());
}

#[test]
fn waits_for_room() {
    let (push, pull) = pair_of(&Context::new(), Options::new().send_hwm(5).recv_hwm(5));
    let mut poller = Poller::new().expect("a poller");
    poller.add_send(1, &push).expect("added");
    let mut sent = 0;
    let end = Instant::now() + DEADLINE;
    loop {
        let ready = poller.wait(Some(Duration::from_millis(100)));
        let room = ready.expect("waited").iter().any(|r| r.is_writable());
        match push.try_send(vec![0; 100_000]) {
            Ok(()) => sent += 1,
            Err(error) => {
                assert_eq!(error.kind(), SendErrorKind::WouldBlock);
                assert!(!room, "it was said to have room");
                break;
            }
        }
        assert!(Instant::now() < end, "there is always room");
    }
    thread::scope(|scope| {
        scope.spawn(|| (0..sent).for_each(|_| drop(pull.recv_timeout(DEADLINE))));
        let ready = poller.wait(Some(DEADLINE)).expect("waited");
        assert!(
            ready
                .iter()
                .any(|ready| ready.key() == 1 && ready.is_writable())
        );
    });
}

/// Both sides of one socket, and a descriptor, under one key.
#[test]
fn joins_what_has_the_same_key() {
    let context = Context::new();
    let one = Dealer::new(&context).expect("a DEALER");
    let other = Dealer::new(&context).expect("a DEALER");
    one.connect(other.bind("inproc://same-key").expect("bound"))
        .expect("connected");
    let mut poller = Poller::new().expect("a poller");
    poller.add_recv(3, &one).expect("added");
    poller.add_send(3, &one).expect("added");
    other.send("1").expect("sent");
    let end = Instant::now() + DEADLINE;
    loop {
        let ready = poller.wait(Some(DEADLINE)).expect("waited").to_vec();
        assert!(ready.len() == 1 && ready[0].is_writable(), "{ready:?}");
        if ready[0].is_readable() {
            break;
        }
        assert!(Instant::now() < end, "there is a message");
    }
    assert!(poller.remove(3));
    assert!(!poller.remove(3));
    assert!(
        poller
            .wait(Some(Duration::ZERO))
            .expect("waited")
            .is_empty()
    );
}

#[test]
fn waits_for_descriptors_as_well() {
    let (push, pull) = pair();
    let (mut ours, mut theirs) = UnixStream::pair().expect("a pair");
    let mut poller = Poller::new().expect("a poller");
    poller.add_recv(1, &pull).expect("added");
    poller.add_readable(2, &ours).expect("added");
    assert!(readable(&mut poller, Duration::ZERO).is_empty());
    theirs.write_all(b"ab").expect("written");
    let mut byte = [0];
    for _ in 0..2 {
        for _ in 0..3 {
            assert_eq!(readable(&mut poller, DEADLINE), [2]);
        }
        ours.read_exact(&mut byte).expect("read");
    }
    assert!(readable(&mut poller, Duration::ZERO).is_empty());
    // Neither keeps the other out.
    theirs.write_all(b"c").expect("written");
    push.send("1").expect("sent");
    let end = Instant::now() + DEADLINE;
    while readable(&mut poller, DEADLINE) != [1, 2] {
        assert!(Instant::now() < end, "both are ready");
    }
    assert!(poller.remove(2));
    assert_eq!(readable(&mut poller, DEADLINE), [1]);
    poller.add_writable(4, &ours).expect("added");
    let ready = poller.wait(Some(DEADLINE)).expect("waited");
    assert!(
        ready
            .iter()
            .any(|r| r.key() == 4 && r.is_writable() && !r.is_readable())
    );
    // The end of a stream is to be read.
    poller.add_readable(5, &ours).expect("added");
    drop(theirs);
    assert!(readable(&mut poller, DEADLINE).contains(&5));
}

#[test]
fn refuses_what_cannot_be_polled() {
    let file = std::fs::File::open("Cargo.toml").expect("a file");
    let mut poller = Poller::new().expect("a poller");
    let refused = poller.add_readable(1, &file);
    if cfg!(target_os = "linux") {
        assert!(matches!(refused, Err(WatchError::Io(_))), "{refused:?}");
        assert!(
            poller
                .wait(Some(Duration::ZERO))
                .expect("waited")
                .is_empty()
        );
    }
}

#[test]
fn waits_no_less_than_its_time_and_can_be_woken() {
    let (_push, pull) = pair();
    let mut poller = Poller::new().expect("a poller");
    poller.add_recv(1, &pull).expect("added");
    let start = Instant::now();
    let wait = Duration::from_millis(30);
    assert!(poller.wait(Some(wait)).expect("waited").is_empty());
    assert!(start.elapsed() >= wait);
    let waker = poller.waker();
    waker.wake();
    assert!(poller.wait(None).expect("waited").is_empty());
    thread::scope(|scope| {
        scope.spawn(|| waker.wake());
        assert!(poller.wait(None).expect("waited").is_empty());
    });
}

#[test]
fn is_told_of_the_end_of_a_socket() {
    let (_push, pull) = pair();
    let mut poller = Poller::new().expect("a poller");
    poller.add_recv(1, &pull).expect("added");
    thread::scope(|scope| {
        scope.spawn(|| pull.shutdown());
        assert_eq!(readable(&mut poller, DEADLINE), [1]);
    });
    assert_eq!(pull.try_recv(), Err(RecvError::Closed));
    assert_eq!(poller.add_recv(2, &pull), Err(WatchError::Closed));
    drop(pull);
    assert_eq!(readable(&mut poller, DEADLINE), [1]);
    assert!(poller.remove(1));
    assert!(readable(&mut poller, Duration::ZERO).is_empty());
}

/// A socket before it has an endpoint, one that two pollers wait for beside a descriptor, and a poller that is dropped.
#[test]
fn comes_and_goes_at_any_time() {
    let context = Context::new();
    let pull = Pull::new(&context).expect("a PULL");
    let mut first = Poller::new().expect("a poller");
    let mut second = Poller::new().expect("a poller");
    first.add_recv(1, &pull).expect("added");
    second.add_recv(2, &pull).expect("added");
    let fd = pull.recv_fd().expect("a descriptor");
    second.add_readable(3, &fd).expect("added");
    let push = Push::new(&context).expect("a PUSH");
    push.connect(pull.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    push.send("1").expect("sent");
    assert_eq!(readable(&mut first, DEADLINE), [1]);
    // The levels of one socket rise one after the other.
    let end = Instant::now() + DEADLINE;
    let mut ready = readable(&mut second, DEADLINE);
    while ready.len() < 2 && Instant::now() < end {
        ready = readable(&mut second, DEADLINE);
    }
    assert_eq!(ready, [2, 3]);
    drop(first);
    assert_eq!(pull.try_recv().expect("it is ready"), "1");
    assert!(readable(&mut second, Duration::ZERO).is_empty());
    drop(second);
    drop(fd);
    push.send("2").expect("sent");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), "2");
}

/// Sockets, watches and pollers that come and go while their descriptors are used again: no poller hears of what is none of its own any more.
#[test]
fn lets_go_of_what_is_gone() {
    const ROUNDS: usize = 60;
    let context = Context::new();
    let mut poller = Poller::new().expect("a poller");
    let (push, pull) = pair_of(&context, Options::new());
    poller.add_recv(0, &pull).expect("added");
    for round in 1..=ROUNDS {
        let (other_push, other_pull) = pair_of(&context, Options::new());
        poller.add_recv(round, &other_pull).expect("added");
        poller.add_send(round, &other_push).expect("added");
        let mut short = Poller::new().expect("a poller");
        short.add_recv(round, &other_pull).expect("added");
        other_push.send("one").expect("sent");
        assert_eq!(readable(&mut short, DEADLINE), [round]);
        match round % 4 {
            0 => drop((other_pull, other_push)),
            1 => {
                assert!(poller.remove(round));
                assert_eq!(other_pull.try_recv().expect("it is ready"), "one");
            }
            2 => {
                drop(short);
                other_pull.shutdown();
            }
            _ => {}
        }
        poller.remove(round);
        push.send("two").expect("sent");
        assert_eq!(readable(&mut poller, DEADLINE), [0]);
        assert_eq!(pull.try_recv().expect("it is ready"), "two");
    }
    assert!(readable(&mut poller, Duration::ZERO).is_empty());
}

/// The thread of the poller does something else for as long as its peers want to send.
#[test]
fn holds_nobody_up_while_it_does_not_wait() {
    const MESSAGES: usize = 2_000;
    let (push, pull) = pair_of(&Context::new(), Options::new().recv_hwm(0).send_hwm(10));
    let mut poller = Poller::new().expect("a poller");
    poller.add_recv(1, &pull).expect("added");
    assert!(readable(&mut poller, Duration::ZERO).is_empty());
    for number in 0..MESSAGES {
        push.send_timeout(vec![number as u8; 10_000], DEADLINE)
            .expect("the background thread takes it in");
    }
    for number in 0..MESSAGES {
        assert_eq!(readable(&mut poller, DEADLINE), [1]);
        let message = pull.try_recv().expect("it is ready");
        assert_eq!(message.first()[0], number as u8);
    }
}

/// One thread polls, another blocks in `recv`, and a third watches a descriptor: each gets what it waits for, and nothing is lost.
#[test]
fn shares_its_sockets_with_those_who_wait_otherwise() {
    const EACH: usize = 500;
    let (push, pull) = pair();
    let taken = AtomicUsize::new(0);
    let take_what_is_ready = |mut poller: Poller| {
        loop {
            assert_eq!(readable(&mut poller, DEADLINE), [1]);
            match pull.try_recv() {
                Ok(_) => taken.fetch_add(1, Ordering::Relaxed),
                Err(RecvError::WouldBlock) => continue,
                Err(_) => return,
            };
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut poller = Poller::new().expect("a poller");
            poller.add_recv(1, &pull).expect("added");
            take_what_is_ready(poller);
        });
        scope.spawn(|| {
            let fd = pull.recv_fd().expect("a descriptor");
            let mut poller = Poller::new().expect("a poller");
            poller.add_readable(1, &fd).expect("added");
            take_what_is_ready(poller);
        });
        scope.spawn(|| {
            while pull.recv().is_ok() {
                taken.fetch_add(1, Ordering::Relaxed);
            }
        });
        let end = Instant::now() + DEADLINE;
        for sent in 1..=3 * EACH {
            push.send("order").expect("sent");
            // One at a time, so that whoever missed one would wait for ever.
            while taken.load(Ordering::Relaxed) < sent {
                assert!(Instant::now() < end, "message {sent} has not been taken");
                thread::yield_now();
            }
        }
        pull.shutdown();
    });
    assert_eq!(taken.into_inner(), 3 * EACH);
}
