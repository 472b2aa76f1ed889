//! Who does not answer a PING: one that is slow keeps its connection, one that is not there loses it.

use std::process::Command;
use std::time::{Duration, Instant};

use zerohop::{Context, DisconnectCause, Event, Monitor, Options, Pull, Push};

use crate::common::deadline::DEADLINE;
use crate::common::loopback;
use crate::common::unique;
use crate::common::until::{GLANCE, until};
use crate::network::{Network, RECEIVER};
use crate::worker::Worker;

const INTERVAL: Duration = Duration::from_millis(100);

/// Long enough for PINGs to be unanswered many times over.
const LONG: Duration = Duration::from_millis(1500);

pub(crate) const MESSAGE: &[u8] = &[7; 16 * 1024];

/// Linux doubles it.
const KERNEL_BUFFER: usize = 64 * 1024;

/// What may be between `send` and `recv`: both marks, the buffers of both systems, which hold up to twice what they are set to, and what is read at once.
const BETWEEN: usize = 2 + 2 + (4 * KERNEL_BUFFER + 3 * 64 * 1024) / MESSAGE.len();

/// Sends PINGs often, and expects an answer soon.
pub(crate) fn beating() -> Options {
    Options::new()
        .heartbeat_interval(INTERVAL)
        .send_hwm(2)
        .send_buffer(KERNEL_BUFFER)
        .linger(Duration::ZERO)
}

fn endpoints() -> [String; 2] {
    let number = unique::number();
    let path = std::env::temp_dir().join(format!("zh-slow-{}-{number}", std::process::id()));
    [
        loopback::tcp_endpoint(),
        format!("ipc://{}", path.display()),
    ]
}

/// Whether the connection ends within some time, and why.
fn ends_within(monitor: &Monitor, patience: Duration) -> Option<DisconnectCause> {
    let end = Instant::now() + patience;
    while let Some(rest) = end.checked_duration_since(Instant::now()) {
        if let Ok(Event::Disconnected { cause, .. }) = monitor.recv_timeout(rest) {
            return Some(cause);
        }
    }
    None
}

fn signal(worker: &Worker, name: &str) {
    let status = Command::new("kill")
        .args([name, &worker.id().to_string()])
        .status();
    assert!(status.expect("kill runs").success());
}

/// A PUSH, and a PULL in a process of its own that receives when it is told to.
fn pair(endpoint: &str) -> (Context, Push, Monitor, Worker) {
    let worker = Worker::start(&format!("pull_later {endpoint}"));
    worker.next();
    let context = Context::new();
    let push = Push::with_options(&context, beating()).expect("a PUSH");
    let monitor = push.monitor();
    push.connect(endpoint).expect("connected");
    push.wait_for_peers(1, DEADLINE).expect("a peer");
    (context, push, monitor, worker)
}

/// Sends until there is no room anywhere; gives how many messages that took.
fn fill(push: &Push) -> usize {
    let mut sent = 0;
    while push.send_timeout(MESSAGE, 5 * GLANCE).is_ok() {
        sent += 1;
    }
    sent
}

#[test]
fn a_slow_reader_is_not_cut_off_and_holds_the_sender_up() {
    for endpoint in endpoints() {
        let context = Context::new();
        let options = Options::new().recv_hwm(2).recv_buffer(KERNEL_BUFFER);
        let pull = Pull::with_options(&context, options).expect("a PULL");
        pull.bind(&endpoint[..]).expect("bound");
        let push = Push::with_options(&context, beating()).expect("a PUSH");
        let monitor = push.monitor();
        push.connect(&endpoint[..]).expect("connected");
        let (mut sent, mut received) = (0, 0);
        let end = Instant::now() + LONG;
        while Instant::now() < end {
            while push.send_timeout(MESSAGE, GLANCE).is_ok() {
                sent += 1;
            }
            // One message while an answer would be due.
            assert_eq!(ends_within(&monitor, 2 * INTERVAL), None, "{endpoint}");
            pull.recv_timeout(DEADLINE).expect("a message");
            received += 1;
        }
        assert!(
            received >= 5 && sent - received <= BETWEEN,
            "{sent} sent, {received} received"
        );
        assert_eq!(push.stats().reconnects, 0);
    }
}

/// It cannot be told from one that is slow.
#[test]
fn a_stopped_reader_that_has_no_room_is_waited_for() {
    for endpoint in endpoints() {
        let (_context, push, monitor, mut worker) = pair(&endpoint);
        signal(&worker, "-STOP");
        let sent = fill(&push);
        assert_eq!(ends_within(&monitor, LONG), None, "{endpoint}");
        signal(&worker, "-CONT");
        worker.tell(&sent.to_string());
        assert_eq!(worker.next(), "received");
        assert_eq!(push.stats().reconnects, 0);
    }
}

#[test]
fn a_stopped_reader_that_has_room_is_cut_off() {
    for endpoint in endpoints() {
        let (_context, push, monitor, mut worker) = pair(&endpoint);
        push.send("read").expect("sent");
        worker.tell("1");
        assert_eq!(worker.next(), "received");
        signal(&worker, "-STOP");
        assert_eq!(
            ends_within(&monitor, DEADLINE),
            Some(DisconnectCause::HeartbeatTimeout),
            "{endpoint}"
        );
        // Connections to it wait until it goes on.
        push.send("kept").expect("queued");
        signal(&worker, "-CONT");
        worker.tell("1");
        assert_eq!(worker.next(), "received");
    }
}

/// Both ends on machines of their own. Whether the reader is cut off, loses its power, or only cannot be heard, nothing comes from
/// there.
#[test]
fn a_reader_whose_system_is_silent_is_cut_off_full_or_not() {
    let silences = [Network::cut, Network::power_off, Network::lose_answers];
    for (full, silence) in [false, true]
        .into_iter()
        .flat_map(|full| silences.map(|silence| (full, silence)))
    {
        let Some(network) = Network::lay() else {
            println!("skipped: no network namespaces here");
            return;
        };
        let endpoint = format!("tcp://{RECEIVER}:5555");
        let reader =
            Worker::start_behind(&network.on_receiver(), &format!("pull_later {endpoint}"));
        reader.next();
        let mut sender =
            Worker::start_behind(&network.on_sender(), &format!("push_beating {endpoint}"));
        assert_eq!(sender.next(), "connected");
        if full {
            sender.tell("fill");
            assert_eq!(sender.next(), "full");
        }
        let line = sender.next_within(LONG).expect("it goes on");
        assert_eq!(line, None, "the reader answers, or its system does");
        silence(&network);
        let lost = until("the silence is noticed", || {
            sender.next_within(GLANCE).expect("it goes on")
        });
        assert_eq!(lost, "lost HeartbeatTimeout");
    }
}
