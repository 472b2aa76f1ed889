//! What a socket keeps of what peers send, for each byte of it: next to nothing, unless it is a message that waits to be
//! received. And what is left of peers when they have gone: nothing.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod memory;
    pub(crate) mod raw;
}

#[path = "idle/sockets.rs"]
mod idle;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;
use zerohop::{
    Context, DisconnectCause, Event, Message, Monitor, Options, Pull, Push, RecvError, Rep, Req,
    Sub,
};

use common::deadline::DEADLINE;
use common::memory::Watch;
use common::raw::{MORE, RawPeer, command, frame};
use idle::{Idle, for_every_type};

/// For a whole flood, however long it is: a few chunks of a buffer, and what the allocator is left with.
const GROWTH: u64 = 1 << 20;

/// Commands in a flood. As empty PONGs they are 7 bytes each.
const FLOOD: usize = 1_000_000;

/// Tests here measure what the whole process has, and so run one after the other.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn greet(endpoint: &str, socket_type: &str) -> RawPeer {
    let mut raw = RawPeer::connect(endpoint);
    raw.shake_hands(1, socket_type);
    raw
}

/// Waits until all has been read that was written before; passes over everything else that comes.
fn settle(raw: &mut RawPeer) {
    raw.write(&command("PING", b"\0\0settled"));
    let answer = command("PONG", b"settled");
    while frame_of(raw.read_frame()) != answer {}
}

fn frame_of((flags, body): (u8, Vec<u8>)) -> Vec<u8> {
    frame(flags, &body)
}

/// Sends a flood, of which nothing may be left; `begin` before it.
fn flood(mut raw: RawPeer, begin: &[u8]) -> RawPeer {
    raw.write(begin);
    let piece = command("PONG", b"").repeat(1000);
    raw.write(&piece);
    settle(&mut raw);
    let memory = Watch::start();
    for _ in 0..FLOOD / 1000 {
        raw.write(&piece);
    }
    settle(&mut raw);
    memory.assert_growth_below(GROWTH);
    raw
}

#[test]
fn idle_sockets_keep_no_commands() {
    let _alone = alone();
    for_every_type(&Options::new(), |idle| {
        flood(greet(&idle.endpoint, idle.peer), b"");
        idle.socket.serve(&idle.endpoint);
    });
}

#[test]
fn sockets_that_connect_keep_no_commands() {
    let _alone = alone();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let context = Context::new();
    let sub = Sub::new(&context).expect("a SUB");
    sub.connect(format!("tcp://{address}")).expect("connected");
    let mut raw = RawPeer::accept(&listener);
    raw.shake_hands(1, "PUB");
    let mut raw = flood(raw, b"");
    drop(sub);
    raw.expect_closed();
}

/// An unfinished message stands before them, and is finished after them.
#[test]
fn no_commands_are_kept_within_a_message() {
    let _alone = alone();
    let context = Context::new();
    let pull = Pull::new(&context).expect("a PULL");
    let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let mut raw = flood(greet(&endpoint, "PUSH"), &frame(MORE, b"begun"));
    raw.write(&frame(0, b"ended"));
    let got = pull.recv_timeout(DEADLINE).expect("a message");
    assert_eq!(got, Message::from(["begun", "ended"]));
}

#[test]
fn no_commands_are_kept_behind_messages_that_wait() {
    let _alone = alone();
    let context = Context::new();
    let pull = Pull::new(&context).expect("a PULL");
    let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let mut raw = flood(greet(&endpoint, "PUSH"), &frame(0, b"early").repeat(10));
    raw.write(&frame(0, b"late"));
    for expected in ["early"; 10].into_iter().chain(["late"]) {
        let got = pull.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(got, *expected);
    }
}

#[test]
fn answered_pings_leave_nothing() {
    let _alone = alone();
    let context = Context::new();
    let pull = Pull::new(&context).expect("a PULL");
    let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let mut raw = greet(&endpoint, "PUSH");
    let pings = command("PING", b"\0\0").repeat(1000);
    let pongs = command("PONG", b"").repeat(1000);
    let mut exchange = || {
        raw.write(&pings);
        assert_eq!(raw.read(pongs.len()), pongs);
    };
    exchange();
    let memory = Watch::start();
    for _ in 0..FLOOD / 1000 {
        exchange();
    }
    memory.assert_growth_below(GROWTH);
}

/// Each is a deadline, and sooner than those before.
#[test]
fn ever_shorter_times_to_live_leave_nothing() {
    let _alone = alone();
    let context = Context::new();
    let pull = Pull::new(&context).expect("a PULL");
    let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let mut raw = greet(&endpoint, "PUSH");
    let pong = command("PONG", b"");
    let memory = Watch::start();
    for ttl in (40_000..60_000_u16).rev() {
        raw.write(&command("PING", &ttl.to_be_bytes()));
        assert_eq!(raw.read(pong.len()), pong);
    }
    memory.assert_growth_below(GROWTH / 2);
}

/// Behind messages that the peer does not read either. Once it reads, it gets them all, and its newest PING is answered.
#[test]
fn answers_that_nobody_reads_are_bounded() {
    let _alone = alone();
    let context = Context::new();
    let push = Push::new(&context).expect("a PUSH");
    let endpoint = push.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let mut raw = greet(&endpoint, "PULL");
    push.wait_for_peers(1, DEADLINE).expect("a peer");
    let body = vec![b'm'; 10_000];
    let mut sent = 0;
    // The first of them that finds no room comes when the system's buffers are full, and the queue as well.
    while push
        .send_timeout(&body[..], Duration::from_millis(200))
        .is_ok()
    {
        sent += 1;
    }
    let pings = command("PING", b"\0\0").repeat(1000);
    raw.write(&pings);
    let memory = Watch::start();
    for _ in 0..FLOOD / 1000 {
        raw.write(&pings);
    }
    memory.assert_growth_below(GROWTH);

    raw.write(&command("PING", b"\0\0end"));
    let (mut messages, mut pongs) = (0, 0);
    while messages < sent {
        let (_, got) = raw.read_frame();
        match got == body {
            true => messages += 1,
            false => pongs += 1,
        }
    }
    settle(&mut raw);
    assert!(pongs < 20_000, "{pongs} answers were kept");
}

/// How a peer leaves.
#[derive(Clone, Copy, Debug)]
enum Leave {
    Reset,
    Close,
    HalfClose,
}

/// Peers that ask and ask, read no answer, and leave: each is noticed, costs nothing once it has gone, and leaves its
/// descriptor to others.
#[test]
fn peers_that_read_no_answers_are_seen_to_leave() {
    let _alone = alone();
    const PEERS: usize = 10;
    let options = Options::new().send_buffer(8 << 10);
    for_every_type(&options, |idle| {
        let before = descriptors();
        for leave in [Leave::Reset, Leave::Close, Leave::HalfClose] {
            let rude: Vec<TcpStream> = (0..PEERS).map(|_| pour_pings(idle)).collect();
            let rude: Vec<TcpStream> = rude
                .into_iter()
                .filter_map(|stream| match leave {
                    Leave::Reset => {
                        let socket = SockRef::from(&stream);
                        socket.set_linger(Some(Duration::ZERO)).expect("set");
                        None
                    }
                    Leave::Close => None,
                    Leave::HalfClose => {
                        stream.shutdown(Shutdown::Write).expect("half closed");
                        Some(stream)
                    }
                })
                .collect();
            for _ in 0..PEERS {
                wait_for_disconnect(&idle.monitor, leave);
            }
            assert_idle(&idle.monitor);
            drop(rude);
            // What was before may still have been closing then.
            let after = descriptors();
            assert!(after <= before, "{before} before, {after} after {leave:?}");
        }
        idle.socket.serve(&idle.endpoint);
    });
}

/// Replies beyond the REQ's mark, while nobody waits for any: they are read, dropped and counted, so the peers that sent them are
/// seen to leave, and the next request goes to the peer that is there then.
#[test]
fn replies_that_nobody_asked_for_keep_no_peer() {
    let _alone = alone();
    const REPLIES: u64 = 5000;
    let replies = [frame(MORE, b""), frame(0, b"to nobody")]
        .concat()
        .repeat(REPLIES as usize);
    for correlate in [true, false] {
        let options = Options::new().recv_hwm(1).req_correlate(correlate);
        let req = Req::with_options(&Context::new(), options).expect("a REQ");
        let monitor = req.monitor();
        let endpoint = req.bind("tcp://127.0.0.1:*").expect("bound").to_string();
        for round in 1..=3 {
            let mut raw = RawPeer::connect(&endpoint);
            raw.shake_hands(1, "REP");
            raw.write(&replies);
            drop(raw);
            wait_for_disconnect(&monitor, Leave::Close);
            assert_eq!(req.stats().dropped.unexpected, round * REPLIES);
        }
        let context = Context::new();
        let rep = Rep::new(&context).expect("a REP");
        rep.connect(&endpoint).expect("connected");
        thread::scope(|scope| {
            let asking = scope.spawn(|| req.request_timeout("question", DEADLINE));
            let request = rep.recv_timeout(DEADLINE).expect("a request");
            request.reply("answer").expect("replied");
            let reply = asking.join().expect("the asking thread");
            assert_eq!(reply.expect("a reply"), *"answer");
        });
    }
}

/// One that neither reads nor leaves is let go after a while.
#[test]
fn peers_that_read_no_answers_for_long_are_let_go() {
    let _alone = alone();
    let options = Options::new()
        .send_buffer(8 << 10)
        .answers_timeout(Duration::from_millis(200));
    for_every_type(&options, |idle| {
        let before = descriptors();
        let mut rude = [Asker::connect(idle), Asker::connect(idle)];
        for _ in 0..rude.len() {
            let cause = disconnect_cause(idle, &mut rude);
            assert_eq!(cause, DisconnectCause::AnswersUnread, "{}", idle.peer);
        }
        drop(rude);
        let after = descriptors();
        assert!(after <= before, "{before} before, {after} after");
        idle.socket.serve(&idle.endpoint);
    });
}

/// However many other deadlines it makes meanwhile, which are forgotten when they are too many.
#[test]
fn a_peer_that_reads_no_answers_is_let_go_whatever_else_it_asks_for() {
    let _alone = alone();
    let options = Options::new()
        .send_buffer(8 << 10)
        .answers_timeout(Duration::from_secs(2));
    let pull = Pull::with_options(&Context::new(), options).expect("a PULL");
    let monitor = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let mut raw = greet(&endpoint, "PUSH");
    raw.write(&command("PING", &60_000_u16.to_be_bytes()).repeat(50_000));
    let mut other = greet(&endpoint, "PUSH");
    for ttl in (59_000..60_000_u16).rev() {
        if !raw.pour(&command("PING", &ttl.to_be_bytes())) {
            break;
        }
        settle(&mut other);
    }
    let start = Instant::now();
    let cause = loop {
        // Whatever the kernel takes of the answers meanwhile, there are more than it takes.
        raw.pour(&command("PING", b"\0\0").repeat(10_000));
        match monitor.recv_timeout(Duration::from_millis(100)) {
            Ok(Event::Disconnected { cause, .. }) => break cause,
            Ok(_) | Err(RecvError::TimedOut) => {}
            Err(error) => panic!("the monitor has ended: {error}"),
        }
        assert!(start.elapsed() < DEADLINE, "it is still there");
    };
    assert_eq!(cause, DisconnectCause::AnswersUnread);
}

/// One that reads slowly stays.
#[test]
fn peers_that_read_answers_slowly_stay() {
    let _alone = alone();
    let options = Options::new()
        .send_buffer(8 << 10)
        .answers_timeout(Duration::from_millis(400));
    for_every_type(&options, |idle| {
        let mut slow = Asker::connect(idle);
        let (start, mut read) = (Instant::now(), 0);
        // A little at a time, for much longer than the time limit, and it goes on asking: there is always an answer that waits.
        while start.elapsed() < Duration::from_millis(1200) {
            slow.ask();
            match slow.stream.read(&mut [0; 32 << 10]) {
                Ok(0) => panic!("a {} is let go after {:?}", idle.peer, start.elapsed()),
                Ok(count) => read += count,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            thread::park_timeout(Duration::from_millis(10));
        }
        assert!(read > 64 << 10, "{read} bytes of answers");
        let ended = |event: &Event| matches!(event, Event::Disconnected { .. });
        let events = std::iter::from_fn(|| idle.monitor.try_recv().ok());
        assert_eq!(events.filter(ended).count(), 0, "{}", idle.peer);
    });
}

/// A peer that sends PINGs as fast as there is room for them, and reads no answer.
struct Asker {
    stream: TcpStream,
    pings: Vec<u8>,
    /// Bytes written of the PING that is not whole yet.
    begun: usize,
}

impl Asker {
    fn connect(idle: &Idle) -> Asker {
        let stream = connect_to(idle);
        stream.set_nonblocking(true).expect("set");
        Asker {
            stream,
            pings: command("PING", b"\0\0").repeat(10_000),
            begun: 0,
        }
    }

    /// Nothing comes of it once the peer has been let go.
    fn ask(&mut self) {
        let ping = self.pings.len() / 10_000;
        while let Ok(written) = self.stream.write(&self.pings[self.begun..]) {
            self.begun = (self.begun + written) % ping;
        }
    }
}

/// Why the next connection ends, while the peers go on asking.
fn disconnect_cause(idle: &Idle, rude: &mut [Asker]) -> DisconnectCause {
    let end = Instant::now() + DEADLINE;
    loop {
        match idle.monitor.recv_timeout(Duration::from_millis(10)) {
            Ok(Event::Disconnected { cause, .. }) => return cause,
            Ok(_) => {}
            Err(error) => assert!(Instant::now() < end, "a {} stays: {error}", idle.peer),
        }
        rude.iter_mut().for_each(Asker::ask);
    }
}

fn connect_to(idle: &Idle) -> TcpStream {
    let address = idle.endpoint.strip_prefix("tcp://").expect("tcp");
    let stream = TcpStream::connect(address).expect("connected");
    let mut raw = RawPeer::new(stream.try_clone().expect("another handle"));
    raw.shake_hands(1, idle.peer);
    stream
}

/// A peer that has sent more PINGs than there is room for the answers.
fn pour_pings(idle: &Idle) -> TcpStream {
    let mut stream = connect_to(idle);
    let little = Duration::from_millis(100);
    stream.set_write_timeout(Some(little)).expect("set");
    let pings = command("PING", b"\0\0").repeat(10_000);
    for _ in 0..5 {
        if stream.write_all(&pings).is_err() {
            break;
        }
    }
    stream
}

fn wait_for_disconnect(monitor: &Monitor, leave: Leave) {
    let end = Instant::now() + DEADLINE;
    loop {
        match monitor.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Event::Disconnected { .. }) => return,
            Ok(_) => {}
            Err(error) => panic!("{leave:?} is not noticed: {error}"),
        }
    }
}

/// Nothing happens, and the background threads do nothing about it.
fn assert_idle(monitor: &Monitor) {
    let before = background_time();
    let quiet = Duration::from_millis(200);
    let event = monitor.recv_timeout(quiet);
    assert!(event.is_err(), "{event:?}");
    if let (Some(before), Some(after)) = (before, background_time()) {
        let worked = after.saturating_sub(before);
        assert!(worked < quiet / 4, "worked for {worked:?}");
    }
}

/// The time that the library's threads have been on a processor, where the system tells.
fn background_time() -> Option<Duration> {
    let threads = fs::read_dir("/proc/self/task").ok()?;
    let times = threads.map(|thread| {
        let folder = thread.ok()?.path();
        if fs::read_to_string(folder.join("comm")).ok()?.trim() != "zerohop" {
            return Some(Duration::ZERO);
        }
        let times = fs::read_to_string(folder.join("schedstat")).ok()?;
        let nanoseconds = times.split(' ').next()?.parse().ok()?;
        Some(Duration::from_nanos(nanoseconds))
    });
    times.sum()
}

/// The descriptors of this process, where the system tells.
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
