//! Descriptors of sockets whose messages are settled, or come from a log: what only looks at a message has not received it.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod delivering;
    pub(crate) mod level;
    pub(crate) mod relay;
    #[allow(dead_code, reason = "nothing here takes a glance")]
    pub(crate) mod until;
}

use std::thread;
use std::time::Duration;

use zerohop::{
    Context, DeadReason, Delivery, Log, Options, PollRecv, Pub, Pull, Push, ReadyFd, RecvError, Sub,
};

use common::deadline::DEADLINE;
use common::delivering::{options, quick};
use common::level::{is_readable, wait_readable};
use common::relay::Relay;
use common::until::until;

const ANY_PORT: &str = "tcp://127.0.0.1:*";

fn await_readable(fd: &ReadyFd) {
    assert_eq!(wait_readable(&[fd], DEADLINE), [true], "not readable");
}

fn await_unreadable(fd: &ReadyFd) {
    until("readable no longer", || {
        thread::sleep(Duration::from_millis(1));
        (!is_readable(fd)).then_some(())
    });
}

fn await_unsettled(push: &Push, count: usize) {
    until("settled", || {
        thread::sleep(Duration::from_millis(1));
        (push.stats().delivery.unsettled == count).then_some(())
    });
}

/// Waits until so many messages have come, received or not.
fn await_messages(pull: &Pull, count: u64) {
    until("messages", || {
        thread::sleep(Duration::from_millis(1));
        (pull.stats().messages_in == count).then_some(())
    });
}

/// Cuts the connection, and waits until there is another one.
fn cut(relay: &Relay, pull: &Pull) {
    let before = pull.stats().reconnects;
    relay.cut();
    until("connected again", || {
        thread::sleep(Duration::from_millis(1));
        (pull.stats().reconnects > before).then_some(())
    });
}

fn worker(context: &Context, delivery: Delivery, endpoint: &str) -> Pull {
    let pull = Pull::with_options(context, options(delivery)).expect("a PULL");
    pull.connect(endpoint).expect("connected");
    pull
}

/// The message that was looked at came by a connection that is gone when it is received: what that settles is the message, and not the one that has
/// its place on the next connection.
#[test]
fn what_was_only_looked_at_goes_with_its_connection() {
    let context = Context::new();
    let push = Push::with_options(&context, options(quick())).expect("a PUSH");
    let relay = Relay::to(&push.bind(ANY_PORT).expect("bound").to_string());
    let pull = worker(&context, quick(), &relay.address);
    let ready = pull.recv_fd().expect("a descriptor");
    for text in ["first", "seen"] {
        push.send(text).expect("sent");
        await_readable(&ready);
        if text == "first" {
            assert_eq!(pull.try_recv(), Ok(text.into()));
            await_unsettled(&push, 0);
        }
    }
    cut(&relay, &pull);
    push.send_batch(["second", "third"]).expect("sent");
    await_messages(&pull, 5);
    assert_eq!(pull.try_recv(), Ok("seen".into()));
    await_unsettled(&push, 2);
    cut(&relay, &pull);
    for text in ["second", "third"] {
        await_readable(&ready);
        assert_eq!(pull.recv_timeout(DEADLINE), Ok(text.into()));
    }
    await_unsettled(&push, 0);
    assert!(!is_readable(&ready));
    assert_eq!(pull.stats().reconnects, 2);
}

/// A message that its sender wants back is given back, though somebody has looked at it.
#[test]
fn what_was_only_looked_at_is_given_back() {
    let context = Context::new();
    let delivery = quick().ttl(Duration::from_millis(50));
    let push = Push::with_options(&context, options(delivery)).expect("a PUSH");
    let pull = worker(
        &context,
        quick(),
        &push.bind(ANY_PORT).expect("bound").to_string(),
    );
    let ready = pull.recv_fd().expect("a descriptor");
    push.send("late").expect("sent");
    await_readable(&ready);
    let letter = until("a dead letter", || {
        thread::sleep(Duration::from_millis(1));
        push.dead_letters().pop()
    });
    assert_eq!(letter.reason, DeadReason::Expired);
    await_unreadable(&ready);
    assert_eq!(pull.try_recv(), Err(RecvError::WouldBlock));
}

/// Of a publisher with a log, too: what is unsubscribed from is not received, though somebody has looked at it.
#[test]
fn what_was_only_looked_at_may_be_unsubscribed_from() {
    let context = Context::new();
    let log = Options::new().log(Log::memory(1_000_000));
    let publisher = Pub::with_options(&context, log).expect("a publisher");
    let sub = Sub::new(&context).expect("a subscriber");
    for topic in ["a", "b"] {
        sub.subscribe(topic).expect("subscribed");
    }
    sub.connect(publisher.bind(ANY_PORT).expect("bound"))
        .expect("connected");
    publisher
        .wait_for_subscribers("b", 1, DEADLINE)
        .expect("subscribed");
    let ready = sub.recv_fd().expect("a descriptor");
    publisher.send("a1").expect("published");
    await_readable(&ready);
    sub.unsubscribe("a").expect("unsubscribed");
    await_unreadable(&ready);
    assert_eq!(sub.try_recv(), Err(RecvError::WouldBlock));
    publisher.send("b1").expect("published");
    await_readable(&ready);
    assert_eq!(sub.try_recv(), Ok("b1".into()));
}
