//! What a pattern is told of the life of a peer, on every way that a peer can come and go.

use std::collections::{HashMap, VecDeque};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Events;

use super::state::{Link, Origin};
use crate::engine::{Core, Deadline, Net, PeerId, Peers, Turn, Unsent};
use crate::message::Message;
use crate::monitor::{DisconnectCause, Event, Monitor, PeerRefusal};
use crate::pattern::{Admission, FairQueue, Pattern};
use crate::transport::dial::SocketAddress;
use crate::transport::{Endpoint, memory};
use crate::zmtp::{ProtocolError, SocketType};
use crate::{Context, Options, Pub, Push};

/// How far a peer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Attached,
    Established,
    /// `lost`, and still attached.
    Lost,
    Detached,
}

/// Receives as a PULL does, and notes whatever it is told out of order.
#[derive(Default)]
struct Witness {
    stages: HashMap<PeerId, Stage>,
    queue: FairQueue,
    forgotten: usize,
    faults: Vec<String>,
    /// What is said of peers that ask to be let in; all others are.
    answers: VecDeque<Answer>,
    /// Who has asked, and when.
    asked: Vec<(PeerId, Instant)>,
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Refused,
    /// Instead of the one that is there.
    Replaces,
}

const TAKEN: PeerRefusal = PeerRefusal::RoutingIdTaken;
const HANDED_OVER: PeerRefusal = PeerRefusal::RoutingIdHandedOver;

impl Witness {
    fn step(&mut self, what: &str, id: PeerId, from: &[Option<Stage>], to: Option<Stage>) {
        let stage = self.stages.get(&id).copied();
        if !from.contains(&stage) {
            self.faults.push(format!("{what} {id} at {stage:?}"));
        }
        match to {
            Some(stage) => drop(self.stages.insert(id, stage)),
            None => drop(self.stages.remove(&id)),
        }
    }

    fn recv(&mut self, peers: &mut Peers) -> Option<Message> {
        let mut message = Message::new();
        let id = self.queue.front()?;
        if peers.take(id, &mut message)? {
            self.queue.rotate();
        } else {
            self.queue.pop_front();
        }
        Some(message)
    }
}

impl Pattern for Witness {
    fn socket_type(&self) -> SocketType {
        SocketType::Pull
    }

    fn receives(&self) -> bool {
        true
    }

    fn may_conflate(&self) -> bool {
        false
    }

    fn admit(&mut self, peers: &mut Peers, id: PeerId) -> Admission {
        assert!(peers.facts(id).is_some(), "it has shaken hands");
        self.asked.push((id, Instant::now()));
        let established = |(_, stage): &(&PeerId, &Stage)| **stage == Stage::Established;
        match self.answers.pop_front() {
            None => Admission::Granted,
            Some(Answer::Refused) => Admission::Refused(TAKEN),
            Some(Answer::Replaces) => {
                let other = self.stages.iter().find(established).expect("another");
                Admission::Replaces(*other.0, HANDED_OVER)
            }
        }
    }

    fn attached(&mut self, _peers: &mut Peers, id: PeerId) {
        self.step("attached", id, &[None], Some(Stage::Attached));
    }

    fn established(&mut self, _peers: &mut Peers, id: PeerId) {
        let from = [Some(Stage::Attached), Some(Stage::Lost)];
        self.step("established", id, &from, Some(Stage::Established));
    }

    fn lost(&mut self, _peers: &mut Peers, id: PeerId) {
        let from = [Some(Stage::Established)];
        self.step("lost", id, &from, Some(Stage::Lost));
    }

    fn detached(&mut self, _peers: &mut Peers, id: PeerId, _unsent: Vec<Unsent>) {
        let from = [Stage::Attached, Stage::Established, Stage::Lost].map(Some);
        self.step("detached", id, &from, Some(Stage::Detached));
    }

    fn forget(&mut self, id: PeerId) {
        // One that was never attached has nothing else said of it.
        self.step("forget", id, &[None, Some(Stage::Detached)], None);
        self.queue.remove(id);
        self.forgotten += 1;
    }

    fn readable(&mut self, _peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError> {
        self.queue.push(id);
        Ok(())
    }

    fn keeps_unsent(&self) -> bool {
        true
    }
}

struct Socket {
    core: Arc<Core<Witness>>,
}

impl Socket {
    fn new(context: &Context, options: Options) -> Socket {
        let options = options.reconnect_interval(Duration::from_millis(1));
        let core = Core::new(context.inner(), options, Witness::default());
        Socket {
            core: core.expect("a core"),
        }
    }

    fn extend<T>(&self, extend: impl FnOnce(&mut Witness, &mut Net) -> T) -> T {
        let extended = self.core.extend(extend).expect("open");
        extended.expect("descriptors")
    }

    fn connect(&self, endpoint: &Endpoint) {
        self.extend(|pattern, net| Turn::begin(net, pattern).connect(endpoint.clone(), None));
    }

    fn bind(&self) -> Endpoint {
        self.bind_to("tcp://127.0.0.1:*")
    }

    fn bind_to(&self, endpoint: &str) -> Endpoint {
        let options = self.inspect(|_, net| net.stream_options());
        let endpoint = endpoint.parse().expect("an endpoint");
        let listener = crate::transport::Listener::bind(&endpoint, &options).expect("bound");
        let endpoint = listener.endpoint().clone();
        self.extend(|_, net| net.listen(listener))
            .expect("listening");
        endpoint
    }

    fn inspect<T>(&self, look: impl FnOnce(&mut Witness, &mut Net) -> T) -> T {
        self.core.inspect(look).expect("our own")
    }

    fn until<T>(&self, attempt: impl FnMut(&mut Witness, &mut Net) -> Option<T>) -> T {
        let deadline = Deadline::after(Duration::from_secs(60));
        self.core.until(deadline, attempt).expect("in time")
    }

    fn until_true(&self, mut is_so: impl FnMut(&mut Witness, &mut Net) -> bool) {
        self.until(|pattern, net| is_so(pattern, net).then_some(()));
    }

    fn recv(&self) -> Message {
        self.until(|pattern, net| pattern.recv(&mut net.peers))
    }

    /// Closes the socket: nothing was out of order, and all was forgotten.
    #[track_caller]
    fn end(self) {
        self.core.begin_close(Deadline::Now);
        self.core.finish_close();
        self.inspect(|pattern, net| {
            assert_eq!(pattern.faults, [""; 0]);
            assert_eq!(pattern.stages, HashMap::new());
            assert!(net.peers.slab.is_empty());
        });
    }
}

/// Connects, sends two messages and goes.
fn leave_two(context: &Context, endpoint: &Endpoint) {
    let push = Push::new(context).expect("a PUSH");
    push.connect(endpoint).expect("connected");
    push.send("first").expect("sent");
    push.send("last").expect("sent");
    push.close(Duration::from_secs(60)).expect("all has left");
}

#[track_caller]
fn left_unread_and_then_forgotten(context: &Context, witness: &Socket, endpoint: &Endpoint) {
    let mut places = Vec::new();
    for round in 0..3 {
        leave_two(context, endpoint);
        let place = witness.until(|_, net| {
            let (id, _) = net.peers.slab.iter().next()?;
            (net.peers.gone == 1 && net.peers.messages(id) == 2).then_some(id)
        });
        places.push(place);
        assert_eq!(witness.recv(), "first");
        witness.inspect(|pattern, _| assert_eq!(pattern.forgotten, round));
        assert_eq!(witness.recv(), "last");
        witness.until_true(|pattern, net| {
            assert_eq!(pattern.faults, [""; 0]);
            net.peers.slab.is_empty()
        });
        witness.inspect(|pattern, net| {
            assert_eq!(
                pattern.stages,
                HashMap::new(),
                "the last message was taken of a peer that was gone"
            );
            assert_eq!((pattern.forgotten, net.peers.gone), (round + 1, 0));
        });
    }
    assert_eq!(places, [places[0]; 3], "the id has named one after another");
}

#[test]
fn a_peer_that_left_messages_is_forgotten_with_the_last() {
    let context = Context::new();
    let witness = Socket::new(&context, Options::new());
    let endpoint = witness.bind();
    left_unread_and_then_forgotten(&context, &witness, &endpoint);
    witness.end();
}

#[test]
fn an_inproc_peer_that_left_messages_is_forgotten_with_the_last() {
    let context = Context::new();
    let witness = Socket::new(&context, Options::new());
    let endpoint: Endpoint = "inproc://lives".parse().expect("an endpoint");
    assert!(witness.extend(|_, net| net.bind_inproc("lives", &endpoint)));
    left_unread_and_then_forgotten(&context, &witness, &endpoint);
    witness.end();
}

/// Whether it had gone before, or is still connected.
#[test]
fn a_peer_that_is_unbound_is_forgotten_with_its_last_message() {
    let context = Context::new();
    let witness = Socket::new(&context, Options::new());
    for (round, goes_before) in (0..).zip([true, false]) {
        let endpoint = witness.bind();
        let push = Push::new(&context).expect("a PUSH");
        push.connect(&endpoint).expect("connected");
        push.send_batch(["first", "last"]).expect("sent");
        witness.until_true(|_, net| {
            let mut peers = net.peers.slab.iter();
            peers.any(|(id, _)| net.peers.messages(id) == 2)
        });
        let push = match goes_before {
            true => {
                drop(push);
                witness.until_true(|_, net| net.peers.gone == 1);
                None
            }
            false => Some(push),
        };
        witness.inspect(|pattern, net| {
            assert!(Turn::begin(net, pattern).unbind(&endpoint));
            assert_eq!((pattern.forgotten, net.peers.gone), (round, 1));
        });
        assert_eq!(witness.recv(), "first");
        assert_eq!(witness.recv(), "last");
        witness.until_true(|_, net| net.peers.slab.is_empty());
        witness.inspect(|pattern, net| {
            assert_eq!(pattern.faults, [""; 0]);
            assert_eq!((pattern.forgotten, net.peers.gone), (round + 1, 0));
        });
        drop(push);
    }
    witness.end();
}

/// All that a PUSH says in its handshake, and then that it will say something within a minute, or be gone.
fn speaks_within_a_minute() -> Vec<u8> {
    let mut said = vec![0; 64];
    said[0] = 0xff;
    said[9..16].copy_from_slice(b"\x7f\x03\x01NULL");
    said.extend(b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH");
    said.extend(b"\x04\x07\x04PING\x02\x58");
    said
}

/// As when this process has been stopped, or too busy to read.
#[test]
fn what_a_peer_has_said_is_read_before_it_is_given_up() {
    let context = Context::new();
    let witness = Socket::new(&context, Options::new());
    let endpoint = witness.bind_to("ipc://*").to_string();
    let mut peer = UnixStream::connect(endpoint.replace("ipc://", "")).expect("connected");
    peer.write_all(&speaks_within_a_minute()).expect("said");
    let is_awaited = |net: &Net| {
        let mut peers = net.peers.slab.iter();
        peers.any(
            |(_, peer)| matches!(&peer.link, Link::Up(up) if up.heartbeat.deadline().is_some()),
        )
    };
    witness.until_true(|_, net| is_awaited(net));
    let hour = Duration::from_secs(3600);
    witness.inspect(|pattern, net| {
        peer.write_all(b"\0\x01x").expect("said");
        let events = Events::with_capacity(1);
        Turn::at(Instant::now() + hour, net, pattern).process(&events);
        assert_eq!(net.connected_peers(), 1);
    });
    assert_eq!(witness.recv(), "x");
    peer.write_all(b"\x04\x07\x04PING\x02\x58").expect("said");
    witness.until_true(|_, net| is_awaited(net));
    witness.inspect(|pattern, net| {
        let events = Events::with_capacity(1);
        Turn::at(Instant::now() + 2 * hour, net, pattern).process(&events);
        assert_eq!(net.connected_peers(), 0, "it has said nothing");
    });
    witness.end();
}

/// Thousands of addresses that refuse at once, as those of this machine do, take neither the stack nor a turn without end.
#[test]
fn all_addresses_of_a_name_are_tried_however_many_they_are() {
    const COUNT: usize = 3_000;
    let context = Context::new();
    let witness = Socket::new(&context, Options::new());
    let (monitor, refusing) = witness.extend(|_, net| {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let refusing = taken.local_addr().expect("its address");
        (net.peers.monitors.subscribe(), refusing)
    });
    let endpoint = format!("tcp://localhost:{}", refusing.port());
    witness.extend(|pattern, net| {
        let mut turn = Turn::begin(net, pattern);
        let id = turn.connect(endpoint.parse::<Endpoint>().expect("an endpoint"), None);
        let attempt = turn.net.dialer(id).expect("dialed").begin();
        let addresses = vec![SocketAddress::Inet(refusing); COUNT];
        turn.resolved(id, attempt, Ok(addresses));
    });
    let mut tried = 0;
    loop {
        match monitor.recv_timeout(Duration::from_secs(60)).expect("told") {
            Event::Connecting { .. } => tried += 1,
            Event::ConnectFailed { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(tried, COUNT);
    witness.end();
}

/// As where the system has no memory for that.
#[test]
fn a_connection_that_cannot_be_watched_is_closed() {
    let context = Context::new();
    let core = Core::new(context.inner(), Options::new(), Witness::default()).expect("a core");
    let (stream, peer, ..) = memory::pair();
    core.inspect(|pattern, net| {
        let monitor = net.peers.monitors.subscribe();
        net.pending_count = 1;
        // It has no poll, as it has no endpoint.
        let id = net.new_peer(Link::Down, Origin::Accepted(0), "here".into());
        Turn::begin(net, pattern).greet_accepted(id, stream);
        assert!(net.peers.slab.is_empty());
        assert_eq!(net.pending_count, 0);
        let told = monitor.try_recv();
        assert!(
            matches!(
                told,
                Ok(Event::HandshakeFailed {
                    cause: DisconnectCause::Io(_),
                    ..
                })
            ),
            "{told:?}"
        );
    })
    .expect("our own");
    drop(peer);
}

#[test]
fn a_dialed_peer_is_lost_as_often_as_it_was_established() {
    let context = Context::new();
    let witness = Socket::new(&context, Options::new());
    let push = Push::new(&context).expect("a PUSH");
    let endpoint = push.bind("tcp://127.0.0.1:*").expect("bound");
    witness.connect(&endpoint);
    witness.until_true(|_, net| net.connected_peers() == 1);
    drop(push);
    witness.until_true(|_, net| net.connected_peers() == 0);
    // One that is no peer: the handshake fails, and was never done.
    let port = endpoint.to_string().replace("tcp://", "");
    let stranger = TcpListener::bind(port).expect("the same port");
    for _ in 0..3 {
        drop(stranger.accept().expect("dialed again"));
    }
    let failures = |net: &Net| net.handshakes_failed + net.protocol_errors;
    witness.until_true(|_, net| failures(net) >= 2);
    drop(stranger);
    let push = Push::new(&context).expect("a PUSH");
    push.bind(&endpoint).expect("bound again");
    witness.until_true(|_, net| net.connected_peers() == 1);
    witness.inspect(|pattern, net| {
        assert_eq!(pattern.forgotten, 0);
        assert!(Turn::begin(net, pattern).disconnect(&endpoint));
        assert_eq!(pattern.forgotten, 1);
    });
    witness.end();
}

#[test]
fn nothing_is_detached_that_was_not_attached() {
    let context = Context::new();
    let witness = Socket::new(&context, Options::new().immediate(true));
    // Its offers wait for a name, and for a peer of a type that fits.
    let connect = |name: &str| {
        witness.extend(|pattern, net| Turn::begin(net, pattern).connect_inproc(name, None))
    };
    connect("awaited").expect("nobody there yet");
    let misfit = Pub::new(&context).expect("a PUB");
    misfit.bind("inproc://misfit").expect("bound");
    assert_eq!(connect("misfit"), Err(SocketType::Pub));
    witness.inspect(|pattern, net| {
        assert_eq!((pattern.forgotten, net.peers.slab.len()), (1, 1));
    });
    // A name that is taken back before the offer is taken up.
    let push = Push::new(&context).expect("a PUSH");
    let endpoint = push.bind("inproc://awaited").expect("bound");
    push.unbind(&endpoint).expect("was bound");
    witness.until_true(|pattern, _| pattern.forgotten == 2);
    // A connection that ends before its handshake is done.
    let endpoint = witness.bind();
    let stranger = std::net::TcpStream::connect(endpoint.to_string().replace("tcp://", ""));
    witness.until_true(|_, net| net.pending_count == 1);
    drop(stranger);
    witness.until_true(|pattern, _| pattern.forgotten == 3);
    witness.end();
}

/// The causes for which connections have ended, and the waits for the next.
fn ends_and_waits(monitor: &Monitor) -> (Vec<DisconnectCause>, Vec<Duration>) {
    let (mut ends, mut waits) = (Vec::new(), Vec::new());
    while let Ok(event) = monitor.try_recv() {
        match event {
            Event::Disconnected { cause, .. } => ends.push(cause),
            Event::RetryIn { delay, .. } => waits.push(delay),
            _ => {}
        }
    }
    (ends, waits)
}

fn refusing(context: &Context, answers: &[Answer]) -> Socket {
    let witness = Socket::new(context, Options::new());
    witness.inspect(|pattern, _| pattern.answers.extend(answers));
    witness
}

fn inproc(witness: &Socket, name: &str) -> Endpoint {
    let endpoint: Endpoint = format!("inproc://{name}").parse().expect("an endpoint");
    assert!(witness.extend(|_, net| net.bind_inproc(name, &endpoint)));
    endpoint
}

/// A PUSH whose first wait before it comes again is this, in milliseconds.
fn push(context: &Context, wait: u64) -> Push {
    let options = Options::new().reconnect_interval(Duration::from_millis(wait));
    Push::with_options(context, options).expect("a PUSH")
}

#[test]
fn a_refused_peer_comes_again_after_growing_waits() {
    let context = Context::new();
    let witness = refusing(&context, &[Answer::Refused; 3]);
    let endpoint = witness.bind();
    let monitor = witness.inspect(|_, net| net.monitor());
    let push = push(&context, 1);
    let dialer = push.monitor();
    push.connect(&endpoint).expect("connected");
    witness.until_true(|pattern, _| pattern.asked.len() == 4);
    push.send("at last").expect("sent");
    assert_eq!(witness.recv(), "at last");
    witness.inspect(|pattern, net| {
        assert_eq!((pattern.forgotten, net.peers.slab.len()), (3, 1));
    });
    let refused = DisconnectCause::Refused(TAKEN);
    assert_eq!(
        ends_and_waits(&monitor).0,
        [refused.clone(), refused.clone(), refused]
    );
    let (_, waits) = ends_and_waits(&dialer);
    assert!(
        waits.len() >= 3 && waits[2] >= Duration::from_millis(2),
        "{waits:?}"
    );
    witness.end();
}

#[test]
fn a_refused_peer_that_we_dial_is_dialed_again_after_growing_waits() {
    let context = Context::new();
    let witness = refusing(&context, &[Answer::Refused; 4]);
    let monitor = witness.inspect(|_, net| net.monitor());
    let push = Push::new(&context).expect("a PUSH");
    witness.connect(&push.bind("tcp://127.0.0.1:*").expect("bound"));
    witness.until_true(|pattern, _| pattern.asked.len() == 5);
    push.send("at last").expect("sent");
    assert_eq!(witness.recv(), "at last");
    let (ends, waits) = ends_and_waits(&monitor);
    assert_eq!(ends, vec![DisconnectCause::Refused(TAKEN); 4]);
    let doubling = (1..).map(|step| Duration::from_micros(250 << step));
    assert!(
        waits.len() == 4
            && waits
                .iter()
                .zip(doubling)
                .all(|(wait, least)| *wait >= least),
        "{waits:?}"
    );
    // It kept its place, and was never said to be lost.
    witness.inspect(|pattern, _| assert_eq!(pattern.forgotten, 0));
    witness.end();
}

#[test]
fn a_refused_inproc_peer_does_not_offer_itself_at_once() {
    let context = Context::new();
    let witness = refusing(&context, &[Answer::Refused; 3]);
    let endpoint = inproc(&witness, "refuses");
    let push = push(&context, 20);
    push.connect(&endpoint).expect("connected");
    push.send("at last").expect("queued");
    assert_eq!(witness.recv(), "at last");
    witness.inspect(|pattern, net| {
        let asked = pattern.asked.iter().map(|(_, at)| *at);
        let waits: Vec<_> = asked.clone().zip(asked.skip(1)).collect();
        // Each at least half of 20 ms, 40 ms, 80 ms.
        let least = [10, 20, 40].map(Duration::from_millis);
        let waits: Vec<_> = waits.iter().map(|(from, to)| *to - *from).collect();
        assert!(
            waits.len() == 3 && waits.iter().zip(least).all(|(wait, least)| *wait >= least),
            "{waits:?}"
        );
        assert_eq!((pattern.forgotten, net.peers.slab.len()), (3, 1));
    });
    push.disconnect(&endpoint).expect("was connected");
    witness.until_true(|_, net| net.peers.slab.is_empty());
    witness.end();
}

#[test]
fn an_inproc_peer_that_waits_to_offer_itself_can_be_disconnected() {
    let context = Context::new();
    let witness = refusing(&context, &[Answer::Refused]);
    let endpoint = inproc(&witness, "disconnected");
    let push = push(&context, 3_600_000);
    push.connect(&endpoint).expect("connected");
    witness.until_true(|pattern, _| pattern.forgotten == 1);
    push.disconnect(&endpoint).expect("was connected");
    push.disconnect(&endpoint).expect_err("no more");
    push.connect(&endpoint).expect("connected again");
    push.send("at last").expect("queued");
    assert_eq!(witness.recv(), "at last");
    witness.end();
}

#[test]
fn an_inproc_peer_that_we_refuse_is_offered_to_after_a_while() {
    let context = Context::new();
    let witness = refusing(&context, &[Answer::Refused; 3]);
    let push = Push::new(&context).expect("a PUSH");
    push.bind("inproc://refused").expect("bound");
    let connect = |witness: &Socket| {
        witness.extend(|pattern, net| Turn::begin(net, pattern).connect_inproc("refused", None))
    };
    connect(&witness).expect("it fits");
    witness.until_true(|pattern, _| pattern.asked.len() == 4);
    push.send("at last").expect("sent");
    assert_eq!(witness.recv(), "at last");
    witness.inspect(|pattern, net| {
        assert_eq!((pattern.forgotten, net.peers.slab.len()), (3, 1));
    });
    witness.end();
}

#[test]
fn who_is_replaced_goes_and_what_it_sent_stays() {
    for over_inproc in [false, true] {
        let context = Context::new();
        let witness = refusing(&context, &[]);
        let endpoint = match over_inproc {
            true => inproc(&witness, "replaced"),
            false => witness.bind(),
        };
        let monitor = witness.inspect(|_, net| net.monitor());
        let first = push(&context, 3_600_000);
        first.connect(&endpoint).expect("connected");
        first.send("first").expect("sent");
        witness.until_true(|_, net| {
            let peers = net.peers.slab.iter();
            peers.map(|(id, _)| net.peers.messages(id)).sum::<usize>() == 1
        });
        witness.inspect(|pattern, _| pattern.answers.push_back(Answer::Replaces));
        let second = push(&context, 3_600_000);
        second.connect(&endpoint).expect("connected");
        second.send("second").expect("sent");
        assert_eq!(witness.recv(), "first");
        assert_eq!(witness.recv(), "second");
        witness.until_true(|pattern, net| {
            pattern.forgotten == 1 && net.connected_peers() == 1 && net.peers.slab.len() == 1
        });
        if !over_inproc {
            let handed_over = DisconnectCause::Refused(HANDED_OVER);
            assert_eq!(ends_and_waits(&monitor).0, [handed_over]);
        }
        witness.inspect(|pattern, _| assert_eq!(pattern.asked.len(), 2));
        witness.end();
    }
}
