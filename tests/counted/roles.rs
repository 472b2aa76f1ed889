//! What a child process does.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use zerohop::{Context, Event, Options, Pull, Push};

use crate::common::deadline::DEADLINE;
use crate::common::until::GLANCE;
use crate::worker::{hear, say};

/// The messages that `stream` queues at most. They take much more room than the kernel has for them: if they were
/// lost with a connection, that would show.
const QUEUE: usize = 300_000;

/// In bytes, for each direction on each side. Linux doubles it.
const KERNEL_BUFFER: usize = 64 * 1024;

/// The most that a connection can take with it: what the kernel holds on either side, what was read ahead in the
/// receiver's process, and what that had received and not yet said. Each message takes 10 bytes.
pub(crate) const MOST_LOST: u64 = 60_000;

pub(crate) fn play(role: &str, arguments: &[&str]) {
    match (role, arguments) {
        ("accept", []) => accept(),
        ("keep", [every]) => keep(number(every)),
        ("push_and_exit", [endpoint, count, hwm]) => push_and_exit(endpoint, number(count), hwm),
        ("stream", [endpoint, count]) => stream(endpoint, number(count)),
        ("receive", [endpoint]) => receive(endpoint),
        ("scarce", []) => scarce(),
        ("count_sockets", []) => crate::exhaustion::count_sockets(),
        ("little_memory", []) => receive_with_little_memory(),
        ("pull_later", [endpoint]) => pull_later(endpoint),
        ("push_beating", [endpoint]) => push_beating(endpoint),
        ("bind_in", [folder]) => crate::exhaustion::bind_in(folder),
        ("crowd", [endpoint]) => crate::idle::crowd(endpoint),
        #[cfg(feature = "curve")]
        ("accept_sealed", []) => crate::idle_sealed::accept(),
        #[cfg(feature = "curve")]
        ("connect_sealed", [endpoint]) => crate::idle_sealed::connect(endpoint),
        ("send_stream", [endpoint]) => crate::streams::send_stream(endpoint),
        ("receive_stream", []) => crate::streams::receive_stream(),
        _ => panic!("no role {role} with {arguments:?}"),
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

/// Accepts whoever comes. Says what it holds when asked for so many peers; then either is idle or waits in `recv`.
fn accept() {
    let context = Context::new();
    let options = Options::new().max_pending_handshakes(20_000);
    let pull = Pull::with_options(&context, options).expect("a PULL");
    say(pull.bind("tcp://127.0.0.1:*").expect("bound"));
    while let Some(line) = hear() {
        match line.split_once(' ') {
            Some(("count", peers)) => {
                let peers = number(peers) as usize;
                pull.wait_for_peers(peers, 2 * DEADLINE).expect("all peers");
                say("counted");
            }
            None if line == "receive" => {
                say("receiving");
                say(pull.recv().expect("a message").first().to_string_lossy());
            }
            _ => panic!("what is {line:?}?"),
        }
    }
}

/// Receives with little memory, and says how connections end.
fn receive_with_little_memory() {
    let context = Context::new();
    let pull = Pull::new(&context).expect("a PULL");
    let monitor = pull.monitor();
    say(pull.bind("tcp://127.0.0.1:*").expect("bound"));
    // What comes first has everything made that is made once.
    say(pull.recv().expect("a message").first().to_string_lossy());
    thread::spawn(move || {
        for event in monitor {
            if let Event::Disconnected { cause, .. } = event {
                say(format!("{cause:?}"));
            }
        }
    });
    loop {
        say(pull.recv().expect("a message").first().to_string_lossy());
    }
}

/// Receives, and keeps some of the messages.
fn keep(every: u64) {
    let context = Context::new();
    let pull = Pull::new(&context).expect("a PULL");
    say(pull.bind("tcp://127.0.0.1:*").expect("bound"));
    let mut kept = Vec::new();
    while let Some(line) = hear() {
        let count = number(&line);
        kept.reserve_exact((count / every) as usize);
        for number in 0..count {
            let message = pull.recv_timeout(DEADLINE).expect("a message");
            assert_eq!(message.size(), 64);
            if number % every == 0 {
                kept.push(message);
            }
        }
        say(kept.len());
    }
}

/// The program that libzmq lets down: pushes, closes and is gone.
fn push_and_exit(endpoint: &str, count: u64, hwm: &str) {
    let context = Context::new();
    let options = Options::new().send_hwm(number(hwm) as usize).linger(None);
    let push = Push::with_options(&context, options).expect("a PUSH");
    push.connect(endpoint).expect("connected");
    for number in 0..count {
        push.send(number.to_be_bytes()).expect("sent");
    }
    drop(push);
    drop(context);
    say("gone");
    std::process::exit(0);
}

/// When so many percent of the numbers have been sent, the parent says when to go on.
pub(crate) const SHARES: [u64; 3] = [20, 40, 60];

/// Streams numbers to whoever is at the endpoint, however often that changes. Says for each connection that ended
/// how many messages the kernel had been given whole by then.
fn stream(endpoint: &str, count: u64) {
    let context = Context::new();
    // A break is noticed long before the next connection can be made.
    let options = Options::new()
        .heartbeat_interval(Duration::from_millis(200))
        .heartbeat_timeout(Duration::from_millis(400))
        .send_hwm(QUEUE)
        .send_buffer(KERNEL_BUFFER)
        .reconnect_interval(Duration::from_millis(200))
        .reconnect_interval_max(Duration::from_millis(200));
    let push = Push::with_options(&context, options).expect("a PUSH");
    push.connect(endpoint).expect("connected");
    let monitor = push.monitor();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                match monitor.recv_timeout(GLANCE) {
                    Ok(Event::HandshakeSucceeded { .. }) => say("linked"),
                    Ok(Event::Disconnected { .. }) => {
                        let stats = push.stats();
                        let written = stats.messages_out - stats.peers[0].queued_out as u64;
                        say(format_args!("break {written}"));
                    }
                    _ => {}
                }
            }
        });
        for number in 0..count {
            push.send(number.to_be_bytes()).expect("sent");
            if number % (count / 100) == 0 {
                say(format_args!("sent {number}"));
                if SHARES.contains(&(number / (count / 100))) {
                    assert_eq!(hear().as_deref(), Some("go"));
                }
            }
        }
        say("all sent");
        assert_eq!(hear().as_deref(), Some("end"));
        push.send("end").expect("sent");
        // Until then a connection may break that had the last of them.
        assert_eq!(hear().as_deref(), Some("over"));
        done.store(true, Ordering::Relaxed);
    });
    push.close(DEADLINE).expect("all has left");
    say("over");
    // The parent ends this.
    hear();
}

/// Receives numbers, and says which: a line for each run of consecutive ones, at least every few thousand.
fn receive(endpoint: &str) {
    const LINE: u64 = 5_000;
    let context = Context::new();
    let options = Options::new()
        .insecure()
        .heartbeat_interval(Duration::from_millis(200))
        .heartbeat_timeout(Duration::from_millis(400))
        .recv_buffer(KERNEL_BUFFER);
    let pull = Pull::with_options(&context, options).expect("a PULL");
    pull.bind(endpoint).expect("bound");
    let monitor = pull.monitor();
    thread::spawn(move || {
        for event in monitor {
            match event {
                Event::HandshakeSucceeded { .. } => say("joined"),
                Event::Disconnected { .. } => say("parted"),
                _ => {}
            }
        }
    });
    let mut run = 0..0;
    loop {
        let Ok(message) = pull.recv_timeout(GLANCE) else {
            // Nothing more for the moment: say what there was.
            say_run(&mut run);
            continue;
        };
        let Ok(bytes) = message.first().as_slice().try_into() else {
            assert_eq!(message, *"end");
            say_run(&mut run);
            return say("end");
        };
        let number = u64::from_be_bytes(bytes);
        if number != run.end || run.end - run.start == LINE {
            say_run(&mut run);
            run = number..number;
        }
        run.end += 1;
    }
}

fn say_run(run: &mut Range<u64>) {
    if !run.is_empty() {
        say(format_args!("run {} {}", run.start, run.end));
    }
    run.start = run.end;
}

/// Binds, and receives as many messages as it is told, each time it is told.
fn pull_later(endpoint: &str) {
    let context = Context::new();
    let options = Options::new()
        .recv_hwm(2)
        .recv_buffer(KERNEL_BUFFER)
        .insecure();
    let pull = Pull::with_options(&context, options).expect("a PULL");
    say(pull.bind(endpoint).expect("bound"));
    while let Some(line) = hear() {
        for _ in 0..number(&line) {
            pull.recv_timeout(DEADLINE).expect("a message");
        }
        say("received");
    }
}

/// Sends as long as there is room, with heartbeats; says when there is none, and what becomes of the connection.
fn push_beating(endpoint: &str) {
    let context = Context::new();
    let push = Push::with_options(&context, crate::slow::beating()).expect("a PUSH");
    let monitor = push.monitor();
    push.connect(endpoint).expect("connected");
    push.wait_for_peers(1, DEADLINE).expect("a peer");
    say("connected");
    thread::scope(|scope| {
        scope.spawn(|| {
            for event in monitor {
                if let Event::Disconnected { cause, .. } = event {
                    say(format_args!("lost {cause:?}"));
                }
            }
        });
        while let Some(line) = hear() {
            assert_eq!(line, "fill");
            while push.send_timeout(crate::slow::MESSAGE, GLANCE).is_ok() {}
            say("full");
        }
        push.shutdown();
    });
}

/// Listens with hardly any files to spare, and says what happens to the listener.
fn scarce() {
    let context = Context::new();
    let pull = Pull::new(&context).expect("a PULL");
    let monitor = pull.monitor();
    say(pull.bind("tcp://127.0.0.1:*").expect("bound"));
    thread::spawn(move || {
        for event in monitor {
            match event {
                Event::AcceptFailed { error, .. } => say(format_args!("refused {error}")),
                Event::Accepted { .. } => say("accepted"),
                _ => {}
            }
        }
    });
    for message in &pull {
        say(format_args!(
            "received {}",
            message.first().to_string_lossy()
        ));
    }
}
