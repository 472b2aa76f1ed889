//! What a closed socket leaves to the next one; and what a thread writes by itself that waits for a message.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Core;
use crate::engine::tempo::Thread;
use crate::engine::{Deadline, Turn};
use crate::pattern::PushPattern;
use crate::{Context, Dealer, Options};

/// A socket with an endpoint, and so with a poll.
fn socket(context: &Context) -> Arc<Core<PushPattern>> {
    let core = Core::new(context.inner(), Options::new(), PushPattern::new()).expect("a core");
    let endpoint = "ipc://@nobody-listens-to-this-test".parse();
    let endpoint: crate::Endpoint = endpoint.expect("an endpoint");
    let connected = core.extend(|pattern, net| {
        Turn::begin(net, pattern).connect(endpoint, None);
    });
    connected.expect("open").expect("a poll");
    core
}

fn close(core: Arc<Core<PushPattern>>) {
    core.begin_close(Deadline::Now);
}

fn kept(context: &Context) -> usize {
    context.inner().polls.kept()
}

/// The caretaker may have a closed socket for a moment longer.
fn wait_until_kept(context: &Context, wanted: usize) {
    let end = Instant::now() + Duration::from_secs(20);
    while kept(context) < wanted {
        assert!(Instant::now() < end, "it is not kept");
        std::thread::yield_now();
    }
}

#[test]
fn a_closed_socket_leaves_its_poll_to_the_next() {
    let context = Context::new();
    for _ in 0..3 {
        let core = socket(&context);
        assert_eq!(kept(&context), 0, "the next one has taken it");
        close(core);
        wait_until_kept(&context, 1);
    }
}

#[test]
fn a_poll_that_others_may_wake_is_not_left() {
    let context = Context::new();
    let (first, second) = (socket(&context), socket(&context));
    let known = Arc::clone(&first.mailbox);
    // Its caretaker lets go of it first.
    let gone = Arc::downgrade(&first);
    close(first);
    close(second);
    wait_until_kept(&context, 1);
    let end = Instant::now() + Duration::from_secs(20);
    while gone.strong_count() > 0 {
        assert!(Instant::now() < end, "it is still there");
        std::thread::yield_now();
    }
    assert_eq!(kept(&context), 1);
    known.wake();
}

#[test]
fn a_socket_that_was_not_closed_leaves_nothing() {
    let context = Context::new();
    let core = socket(&context);
    let gone = Arc::downgrade(&core);
    drop(core);
    // The caretaker holds it, as it was never told that it is closed.
    assert!(gone.strong_count() > 0);
    assert_eq!(kept(&context), 0);
}

#[test]
fn who_waits_has_written_what_it_sent() {
    const BURST: usize = 200;
    const WAIT: Duration = Duration::from_secs(20);
    let context = Context::new();
    let sockets = [(); 2].map(|()| Dealer::new(&context).expect("a socket"));
    let [a, b] = &sockets;
    let endpoint = a.bind("tcp://127.0.0.1:*").expect("bound");
    b.connect(&endpoint).expect("connecting");
    let end = Instant::now() + WAIT;
    // The caretaker may be faster now and then.
    while Thread::current(|thread| thread.times_finished()) == 0 {
        assert!(Instant::now() < end, "it has never written by itself");
        for (from, to) in [(a, b), (b, a)] {
            for n in 0..BURST {
                from.send_timeout(n.to_string(), WAIT).expect("sent");
            }
            for n in 0..BURST {
                let message = to.recv_timeout(WAIT).expect("received");
                assert_eq!(message, n.to_string().as_str());
            }
        }
    }
}
