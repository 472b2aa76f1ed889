//! Heartbeats with libzmq peers: what they cost, and whom they cut off.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod endpoints;
    pub(crate) mod memory;
    pub(crate) mod unique;
    pub(crate) mod until;
}

use std::time::{Duration, Instant};

use zerohop::{AnySocket, Context, Event, Monitor, Options, Pub, Pull, Push};

use common::deadline::DEADLINE;
use common::endpoints::Transport;
use common::memory::Watch;
use common::until::{GLANCE, until};

/// The least that a PING takes on the wire.
const PING: u64 = 9;

/// What is allowed for each: nothing is to be kept of one, but the process has other business, too.
const KEPT: u64 = 8;

/// A hundred peers that ask every ten milliseconds, and nobody says anything else.
fn leaves_nothing<S: AnySocket>(peer: zmq::SocketType) {
    const PEERS: usize = 100;
    const BEATS: u64 = 30_000;
    let socket = S::new(&Context::new()).expect("a socket");
    let endpoint = socket.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let theirs = zmq::Context::new();
    let peers: Vec<_> = (0..PEERS)
        .map(|_| {
            let socket = theirs.socket(peer).expect("a libzmq socket");
            socket.set_linger(0).expect("linger");
            socket.set_heartbeat_ivl(10).expect("heartbeats");
            // By default as long as the interval, and a busy machine may take that: new connections would count as growth.
            socket.set_heartbeat_timeout(60_000).expect("patience");
            socket.connect(&endpoint).expect("connected");
            socket
        })
        .collect();
    socket.wait_for_peers(PEERS, DEADLINE).expect("peers");
    let monitor = socket.monitor();
    let beats = |count: u64| {
        let end = socket.stats().bytes_in + count * PING;
        until("heartbeats", || {
            let _ = monitor.recv_timeout(GLANCE);
            (socket.stats().bytes_in >= end).then_some(())
        });
    };
    // Buffers come in first.
    beats(BEATS / 10);
    let memory = Watch::start();
    beats(BEATS);
    memory.assert_growth_below(BEATS * KEPT);
    assert_eq!(socket.stats().peers.len(), PEERS, "all are there");
    drop(peers);
}

#[test]
fn honest_heartbeats_leave_nothing() {
    leaves_nothing::<Pull>(zmq::PUSH);
    leaves_nothing::<Push>(zmq::PULL);
    leaves_nothing::<Pub>(zmq::SUB);
}

fn ended(monitor: &Monitor) -> Option<Event> {
    let events = std::iter::from_fn(|| monitor.try_recv().ok());
    events
        .into_iter()
        .find(|event| matches!(event, Event::Disconnected { .. }))
}

/// It does not read while its application does not, and so answers nothing.
#[test]
fn a_slow_libzmq_pull_is_not_cut_off_and_holds_the_sender_up() {
    const MESSAGE: usize = 16 * 1024;
    const KERNEL_BUFFER: usize = 64 * 1024;
    // Both marks, the buffers of both systems, which hold up to twice what they are set to, and what either side reads at once.
    const BETWEEN: usize = 2 + 2 + (4 * KERNEL_BUFFER + 3 * 64 * 1024) / MESSAGE;
    const INTERVAL: Duration = Duration::from_millis(100);
    // What this test holds is not to count as growth in the other.
    let _alone = Watch::start();
    for transport in Transport::FOREIGN {
        let pull = zmq::Context::new()
            .socket(zmq::PULL)
            .expect("a libzmq PULL");
        pull.set_linger(0).expect("linger");
        pull.set_rcvhwm(2).expect("a mark");
        pull.set_rcvbuf(KERNEL_BUFFER as i32).expect("a buffer");
        pull.set_rcvtimeo(DEADLINE.as_millis() as i32)
            .expect("a timeout");
        pull.bind(&transport.endpoint()).expect("bound");
        let endpoint = pull.get_last_endpoint().expect("bound").expect("UTF-8");
        let options = Options::new()
            .heartbeat_interval(INTERVAL)
            .send_hwm(2)
            .send_buffer(KERNEL_BUFFER)
            .linger(Duration::ZERO);
        let push = Push::with_options(&Context::new(), options).expect("a PUSH");
        let monitor = push.monitor();
        push.connect(&*endpoint).expect("connected");
        let (mut sent, mut received) = (0_usize, 0);
        while received < 10 {
            let next = Instant::now() + 3 * INTERVAL;
            while Instant::now() < next {
                let mut message = vec![0; MESSAGE];
                message[..8].copy_from_slice(&sent.to_be_bytes());
                sent += usize::from(push.send_timeout(message, GLANCE).is_ok());
            }
            let message = pull.recv_bytes(0).expect("a message");
            assert_eq!(message[..8], usize::to_be_bytes(received), "none is lost");
            received += 1;
            assert_eq!(ended(&monitor), None, "{transport:?}");
        }
        assert!(
            sent - received <= BETWEEN,
            "{sent} sent, {received} received"
        );
        assert_eq!(push.stats().reconnects, 0);
    }
}
