//! By what peers do: connections break over a message, and after some of them it is given up.

use std::io::Read;
use std::net::TcpListener;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use zerohop::{
    Bytes, Context, Event, Monitor, Options, Pull, Push, RefusalCause, Req, RequestError,
};

use crate::common::deadline::DEADLINE;
use crate::common::raw::{self, MORE, RawPeer};
use crate::common::until::{GLANCE, until};
use crate::{ANY_PORT, options, refusal};

/// More than the buffers of a connection hold, so that a part of it is still here when the peer ends the connection.
const HUGE: usize = 20 << 20;

/// Longer than a connection takes to be used up by what is written at its beginning.
const LONG_LIVED: Duration = Duration::from_millis(5200);

/// A PUSH that dials a raw peer, and the listener of that peer.
fn push_to_raw(options: Options) -> (Push, Monitor, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let push = Push::with_options(&Context::new(), options).expect("a PUSH");
    let monitor = push.monitor();
    let address = listener.local_addr().expect("an address");
    push.connect(format!("tcp://{address}")).expect("connected");
    (push, monitor, listener)
}

/// Takes the next connection, and ends it when the header of a frame and a bit of its body are there.
fn break_off(listener: &TcpListener, as_type: &str) -> usize {
    let mut raw = RawPeer::accept(listener);
    raw.shake_hands(1, as_type);
    raw.read(100).len()
}

#[test]
fn the_number_of_attempts_is_an_option() {
    let (push, monitor, listener) = push_to_raw(options().max_delivery_attempts(1));
    push.send(vec![1; HUGE]).expect("sent");
    push.send("behind it").expect("sent");
    break_off(&listener, "PULL");
    let cause = RefusalCause::BrokeConnections { count: 1 };
    assert_eq!(refusal(&monitor), (HUGE, cause));
    let mut raw = RawPeer::accept(&listener);
    raw.shake_hands(1, "PULL");
    assert_eq!(raw.read_frame().1, b"behind it");
}

/// A peer may take its time to find out that it does not want a message: how long its connections last is no sign of anything.
#[test]
fn a_peer_that_takes_long_to_refuse_a_message_gets_it_no_more_often() {
    let (push, monitor, listener) = push_to_raw(options());
    push.send(vec![1; HUGE]).expect("sent");
    push.send("behind it").expect("sent");
    for _ in 0..2 {
        let mut raw = RawPeer::accept(&listener);
        raw.shake_hands(1, "PULL");
        let began = Instant::now();
        while began.elapsed() < LONG_LIVED {
            raw.read(100);
            let _ = monitor.recv_timeout(GLANCE);
        }
    }
    let mut raw = RawPeer::accept(&listener);
    raw.shake_hands(1, "PULL");
    assert_eq!(raw.read_frame().1, b"behind it");
    assert_eq!(push.stats().dropped.refused, 1);
}

/// Memory of the application, which uses the socket when it is no longer needed.
struct Owner {
    memory: Vec<u8>,
    user: Weak<Push>,
    dropped: Sender<u64>,
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.memory
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let sent = self.user.upgrade().map(|push| push.stats().messages_out);
        let _ = self.dropped.send(sent.unwrap_or_default());
    }
}

#[test]
fn the_owner_of_what_is_given_up_may_use_the_socket() {
    for announces in [false, true] {
        let (push, _monitor, listener) = push_to_raw(options());
        let push = Arc::new(push);
        let (tell, dropped) = channel();
        let owner = Owner {
            memory: vec![1; HUGE],
            user: Arc::downgrade(&push),
            dropped: tell,
        };
        push.send(Bytes::from_owner(owner)).expect("sent");
        let mut raw = None;
        if announces {
            let raw = raw.insert(RawPeer::accept(&listener));
            raw.write(&raw::greeting(1, "NULL"));
            let socket_type = raw::property("Socket-Type", b"PULL");
            let limit = raw::property("Max-Message-Size", b"1000");
            let ready = raw::command("READY", &[socket_type, limit].concat());
            raw.write(&ready);
        } else {
            break_off(&listener, "PULL");
            break_off(&listener, "PULL");
        }
        assert_eq!(dropped.recv_timeout(DEADLINE), Ok(1));
    }
}

/// A socket that is closed goes on until it has given up what is refused, and sent what is behind it.
#[test]
fn closing_does_not_wait_for_what_is_refused() {
    let (push, monitor, listener) = push_to_raw(options());
    push.send("ahead of it").expect("sent");
    push.send(vec![1; HUGE]).expect("sent");
    push.send("behind it").expect("sent");
    let peer = thread::spawn(move || {
        let mut raw = RawPeer::accept(&listener);
        raw.shake_hands(1, "PULL");
        assert_eq!(raw.read_frame().1, b"ahead of it");
        raw.read(100);
        drop(raw);
        break_off(&listener, "PULL");
        let mut raw = RawPeer::accept(&listener);
        raw.shake_hands(1, "PULL");
        assert_eq!(raw.read_frame().1, b"behind it");
    });
    let began = Instant::now();
    push.close(DEADLINE).expect("nothing is left unsent");
    assert!(began.elapsed() < DEADLINE / 2);
    peer.join().expect("a peer");
    let cause = RefusalCause::BrokeConnections { count: 2 };
    assert_eq!(refusal(&monitor), (HUGE, cause));
}

fn number_in(message: &[u8]) -> usize {
    let (number, _) = message.split_first_chunk().expect("a number");
    usize::from_be_bytes(*number)
}

/// One of three refuses what is large: the others have their turns meanwhile, and nothing comes twice.
#[test]
fn who_refuses_messages_holds_nobody_else_up() {
    const MESSAGES: usize = 200;
    for immediate in [false, true] {
        let context = Context::new();
        let push = Push::with_options(&context, options().immediate(immediate)).expect("a PUSH");
        let monitor = push.monitor();
        let pulls = [(); 2].map(|()| {
            let pull = Pull::with_options(&context, options()).expect("a PULL");
            push.connect(pull.bind(ANY_PORT).expect("bound"))
                .expect("connected");
            pull
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        push.connect(format!("tcp://{address}")).expect("connected");
        let (strict, taken) = channel();
        thread::spawn(move || {
            loop {
                let (mut stream, _) = listener.accept().expect("the socket connects");
                let mut raw = RawPeer::new(stream.try_clone().expect("a copy"));
                raw.shake_hands(1, "PULL");
                // A number and its header; what is larger has another.
                let mut frame = [0; 10];
                while stream.read_exact(&mut frame).is_ok() && frame[..2] == [0, 8] {
                    if strict.send(number_in(&frame[2..])).is_err() {
                        return;
                    }
                }
            }
        });
        push.wait_for_peers(3, DEADLINE).expect("peers");
        let mut large = 0;
        for number in 0..MESSAGES {
            let mut message = number.to_be_bytes().to_vec();
            if number % 50 == 0 {
                message.resize(HUGE, 0);
                large += 1;
            }
            push.send_timeout(message, DEADLINE).expect("room");
        }
        let (mut got, mut refused) = (Vec::new(), 0);
        until("all have come or been refused", || {
            for pull in &pulls {
                let message = pull.recv_timeout(GLANCE);
                got.extend(message.map(|message| number_in(message.first())));
            }
            got.extend(taken.try_iter());
            let events = std::iter::from_fn(|| monitor.try_recv().ok());
            let is_refusal = |event: &Event| matches!(event, Event::MessageRefused { .. });
            refused += events.filter(is_refusal).count();
            (got.len() + refused >= MESSAGES).then_some(())
        });
        // With `immediate` one that broke a connection goes to another peer next.
        assert!(refused <= large, "{refused} of {large}");
        got.sort_unstable();
        got.dedup();
        assert_eq!(got.len() + refused, MESSAGES, "nothing comes twice");
    }
}

#[test]
fn a_message_is_kept_for_ever_if_so_told() {
    let (push, _monitor, listener) = push_to_raw(options().max_delivery_attempts(None));
    push.send(vec![1; HUGE]).expect("sent");
    for _ in 0..5 {
        break_off(&listener, "PULL");
    }
    let mut raw = RawPeer::accept(&listener);
    raw.shake_hands(1, "PULL");
    assert_eq!(raw.read_frame().1.len(), HUGE);
    assert_eq!(push.stats().dropped.total(), 0);
}

/// What gets through in the end is acquitted, and so is what was only under way when its peer was restarted.
#[test]
fn messages_that_get_through_at_the_second_attempt_are_not_given_up() {
    let (push, monitor, listener) = push_to_raw(options());
    let wait_for_end = || {
        until("the end of a connection", || {
            match monitor.recv_timeout(DEADLINE) {
                Ok(Event::Disconnected { .. }) => Some(()),
                Ok(_) => None,
                Err(error) => panic!("no end: {error}"),
            }
        });
    };
    for round in 0..3 {
        push.send(vec![round; HUGE]).expect("sent");
        push.send("behind it").expect("sent");
        break_off(&listener, "PULL");
        let mut raw = RawPeer::accept(&listener);
        raw.shake_hands(1, "PULL");
        let (_, body) = raw.read_frame();
        assert_eq!((body.len(), body[0]), (HUGE, round));
        assert_eq!(raw.read_frame().1, b"behind it");
        drop(raw);
        // The one broken off, and this one: what is sent next is not to break the connection that ends here.
        wait_for_end();
        wait_for_end();
    }
    assert_eq!(push.stats().dropped.total(), 0);
}

#[test]
fn a_refused_request_fails_and_the_next_one_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    for correlate in [true, false] {
        let options = options().req_correlate(correlate);
        let req = Req::with_options(&Context::new(), options).expect("a REQ");
        req.connect(format!("tcp://{address}")).expect("connected");
        thread::scope(|scope| {
            scope.spawn(|| {
                break_off(&listener, "REP");
                break_off(&listener, "REP");
                let mut raw = RawPeer::accept(&listener);
                raw.shake_hands(1, "REP");
                let frames = 2 + usize::from(correlate);
                for index in 1..=frames {
                    let (flags, body) = raw.read_frame();
                    raw.write(&raw::frame(flags, &body));
                    assert_eq!(flags, if index < frames { MORE } else { 0 });
                }
                raw.expect_closed();
            });
            let began = Instant::now();
            match req.request_timeout(vec![1; HUGE], DEADLINE) {
                Err(RequestError::Refused { size, cause }) => {
                    assert!(size >= HUGE);
                    assert_eq!(cause, RefusalCause::BrokeConnections { count: 2 });
                }
                other => panic!("not refused: {other:?}"),
            }
            assert!(began.elapsed() < DEADLINE / 2);
            assert_eq!(
                req.request_timeout("small", DEADLINE).expect("a reply"),
                "small"
            );
            drop(req);
        });
    }
}

/// Each connection has its handshake, and ends: that is no reason to try again at once.
#[test]
fn the_waits_grow_although_every_handshake_succeeds() {
    let options = options()
        .reconnect_interval(Duration::from_millis(5))
        .reconnect_interval_max(Duration::from_secs(10));
    let (_push, monitor, listener) = push_to_raw(options);
    let mut waits = Vec::new();
    for _ in 0..8 {
        RawPeer::accept(&listener).shake_hands(1, "PULL");
        waits.push(until("a wait", || match monitor.recv_timeout(DEADLINE) {
            Ok(Event::RetryIn { delay, .. }) => Some(delay),
            Ok(_) => None,
            Err(error) => panic!("no wait: {error}"),
        }));
    }
    for (index, wait) in waits.iter().enumerate() {
        let step = Duration::from_millis(5 << index);
        assert!(*wait >= step / 2 && *wait <= step, "{waits:?}");
    }
}
