//! zerohop and pyzmq, a process of its own: every scenario over every transport, each side in each role, either side
//! binding; and what happens when that process is killed.

mod common {
    pub(crate) mod both_ways;
    pub(crate) mod child;
    pub(crate) mod deadline;
    pub(crate) mod endpoints;
    pub(crate) mod events;
    pub(crate) mod line_peer;
    pub(crate) mod ours;
    pub(crate) mod part;
    pub(crate) mod peer;
    pub(crate) mod pyzmq;
    pub(crate) mod routers;
    pub(crate) mod scenarios;
    pub(crate) mod unique;
    pub(crate) mod until;
}

#[path = "pyzmq/xpub.rs"]
mod xpub;

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use zerohop::{Context, Options};

use common::both_ways::both_ways;
use common::deadline::DEADLINE;
use common::endpoints::Transport;
use common::events::wait_for_end;
use common::ours::Zerohop;
use common::part::{Part, message};
use common::peer::Role::{Pub, Pull, Push, Rep, Sub};
use common::peer::{Implementation, Peer, Role, each_way};
use common::pyzmq::Pyzmq;
use common::routers::{Open, Setting};
use common::scenarios;
use common::until::GLANCE;

/// Either of the two in each role.
fn both(roles: (Role, Role), scenario: fn(&mut dyn Peer, &mut dyn Peer)) {
    if let Some(pyzmq) = Pyzmq::available() {
        each_way(&Zerohop::new(), &pyzmq, roles, scenario);
    }
}

/// pyzmq for the tests of routers.
fn with_settings(pyzmq: &Pyzmq, role: Role, settings: &[Setting]) -> Box<dyn Peer> {
    let mut peer = pyzmq.start(role);
    for setting in settings {
        match *setting {
            Setting::Name(name) => peer.set("ROUTING_ID", Part::from(name)),
            Setting::Probe => peer.set("PROBE_ROUTER", 1),
            Setting::Handover => peer.set("ROUTER_HANDOVER", 1),
        }
    }
    Box::new(peer)
}

/// A test with routers.
fn routed(test: fn(Open<'_>)) {
    if let Some(pyzmq) = Pyzmq::available() {
        test(&|role, settings| with_settings(&pyzmq, role, settings));
    }
}

both_ways!(both, routed);

/// What PUSH accepts while its peer is dead was never written, so all of it arrives once the peer is back.
#[test]
fn push_keeps_what_a_killed_pull_never_got() {
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    for &transport in Transport::FOREIGN {
        let context = Context::new();
        let push = zerohop::Push::new(&context).expect("a PUSH");
        let monitor = push.monitor();
        let mut pull = pyzmq.start(Pull);
        let endpoint = pull.bind(&transport.endpoint());
        push.connect(&endpoint).expect("zerohop connects");
        for number in 0..10 {
            push.send_timeout(number.to_string(), DEADLINE)
                .expect("sent");
            assert_eq!(pull.recv(), numbered(number));
        }

        drop(pull);
        wait_for_end(&monitor);
        for number in 10..210 {
            push.send_timeout(number.to_string(), DEADLINE)
                .expect("queued");
        }
        let mut pull = pyzmq.start(Pull);
        assert_eq!(pull.bind(&endpoint), endpoint);
        for number in 10..210 {
            assert_eq!(pull.recv(), numbered(number), "over {transport:?}");
        }
    }
}

/// A peer that stalls and dies takes with it what the kernel had; what lay in our queue reaches its successor whole
/// and in order, whichever side binds.
#[test]
fn a_kill_loses_only_what_was_written() {
    const HWM: usize = 50;
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    for &transport in Transport::FOREIGN {
        for we_bind in [false, true] {
            let context = Context::new();
            let options = Options::new().send_hwm(HWM).linger(Some(Duration::ZERO));
            let push = zerohop::Push::with_options(&context, options).expect("a PUSH");
            let monitor = push.monitor();
            let mut pull = pyzmq.start(Pull);
            pull.set("RCVHWM", 1);
            let endpoint = join_push(&push, &mut pull, we_bind, &transport.endpoint());

            let accepted = fill(&push);
            drop(pull);
            wait_for_end(&monitor);

            let mut pull = pyzmq.start(Pull);
            if we_bind {
                pull.connect(&endpoint);
            } else {
                pull.bind(&endpoint);
            }
            let mut received = vec![number_of(&pull.recv())];
            while received.last() != Some(&(accepted - 1)) {
                received.push(number_of(&pull.recv()));
            }
            let first = received[0];
            assert_eq!(
                received,
                (first..accepted).collect::<Vec<_>>(),
                "a gap over {transport:?}"
            );
            assert!(
                received.len() >= HWM - 1,
                "{} of {HWM} over {transport:?}",
                received.len()
            );
        }
    }
}

/// A PULL at its high-water mark loses nothing when a PUSH that has sent it more than it can take is done and goes,
/// by `close` or by being dropped.
#[test]
fn a_slow_pull_gets_what_a_closed_push_has_sent() {
    const COUNT: usize = 4000;
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    for &transport in Transport::FOREIGN {
        for (we_bind, we_close) in [(false, true), (true, false)] {
            let mut pull = pyzmq.start(Pull);
            pull.set("RCVHWM", 10);
            let context = Context::new();
            let options = Options::new().send_hwm(0);
            let push = zerohop::Push::with_options(&context, options).expect("a PUSH");
            join_push(&push, &mut pull, we_bind, &transport.endpoint());
            for number in 0..COUNT {
                let message = [number.to_string().into_bytes(), vec![b'x'; 100]];
                push.send_timeout(message, DEADLINE).expect("queued");
            }
            thread::scope(|scope| {
                let ending = scope.spawn(move || {
                    if we_close {
                        push.close(DEADLINE).expect("all has left");
                    } else {
                        drop(push);
                    }
                    drop(context);
                });
                for number in 0..COUNT {
                    assert_eq!(number_of(&pull.recv()), number, "over {transport:?}");
                }
                ending.join().expect("the ending thread");
            });
        }
    }
}

/// Joins them as told and gives the endpoint between them.
fn join_push(push: &zerohop::Push, pull: &mut dyn Peer, we_bind: bool, endpoint: &str) -> String {
    if we_bind {
        let endpoint = push.bind(endpoint).expect("zerohop binds").to_string();
        pull.connect(&endpoint);
        return endpoint;
    }
    let endpoint = pull.bind(endpoint);
    push.connect(&endpoint).expect("zerohop connects");
    endpoint
}

/// Sends numbered messages of 64 KiB until no more are taken for a while: the peer has stalled. Gives their count.
fn fill(push: &zerohop::Push) -> usize {
    let body = Part::sized(65536).to_frame();
    let (mut accepted, mut refused) = (0, 0);
    let end = Instant::now() + DEADLINE;
    while refused < 10 {
        assert!(Instant::now() < end, "the peer never stalls");
        let message = [accepted.to_string().into_bytes(), body.clone()];
        match push.send_timeout(message, GLANCE) {
            Ok(()) => (accepted, refused) = (accepted + 1, 0),
            Err(_) => refused += 1,
        }
    }
    accepted
}

/// A killed PUSH leaves a PULL that bound ready for the next one, and a PULL that connected looking for it.
#[test]
fn pull_outlives_a_killed_push() {
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    for &transport in Transport::FOREIGN {
        let mut bound = Zerohop::new().open(Pull);
        let here = bound.bind(&transport.endpoint());
        let mut connected = Zerohop::new().open(Pull);
        let mut there = transport.endpoint();
        for life in 0..3 {
            let mut to_bound = pyzmq.start(Push);
            to_bound.connect(&here);
            let mut to_connected = pyzmq.start(Push);
            let endpoint = to_connected.bind(&there);
            if life == 0 {
                there = endpoint;
                connected.connect(&there);
            }
            for number in life * 100..life * 100 + 50 {
                to_bound.send(&numbered(number));
                to_connected.send(&numbered(number));
                assert_eq!(bound.recv(), numbered(number), "bound, over {transport:?}");
                assert_eq!(
                    connected.recv(),
                    numbered(number),
                    "connected, over {transport:?}"
                );
            }
        }
    }
}

/// A SUB subscribes anew with the successor of a publisher that was killed.
#[test]
fn sub_subscribes_again_after_a_kill() {
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    for &transport in Transport::FOREIGN {
        let mut sub = Zerohop::new().open(Sub);
        sub.subscribe("gone");
        sub.subscribe("kept");
        sub.unsubscribe("gone");
        sub.subscribe("sync");
        let mut endpoint = transport.endpoint();
        for life in 0..3 {
            let mut publisher = pyzmq.start(Pub);
            let bound = publisher.bind(&endpoint);
            if life == 0 {
                endpoint = bound;
                sub.connect(&endpoint);
            }
            scenarios::settle(&mut publisher, sub.as_mut());
            publisher.send(&message(["gone"]));
            publisher.send(&message(["kept"]));
            assert_eq!(sub.recv(), message(["kept"]), "over {transport:?}");
        }
    }
}

/// A request made while no one is there reaches the REP that takes the killed one's place.
#[test]
fn req_asks_the_successor_of_a_killed_rep() {
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    for &transport in Transport::FOREIGN {
        let context = Context::new();
        let req = zerohop::Req::new(&context).expect("a REQ");
        let monitor = req.monitor();
        let mut endpoint = transport.endpoint();
        for life in 0..3 {
            let request = numbered(life);
            thread::scope(|scope| {
                let asking = scope.spawn(|| req.request_timeout(life.to_string(), DEADLINE));
                let mut rep = pyzmq.start(Rep);
                let bound = rep.bind(&endpoint);
                if life == 0 {
                    req.connect(&bound).expect("zerohop connects");
                    endpoint = bound;
                }
                assert_eq!(rep.recv(), request, "over {transport:?}");
                rep.send(&message(["answer"]));
                let answer = asking
                    .join()
                    .expect("the asking thread")
                    .expect("an answer");
                assert_eq!(answer, b"answer");
            });
            wait_for_end(&monitor);
        }
    }
}

/// The Python of the README, as it stands there.
#[test]
fn the_customer_in_the_readme_gets_its_price() {
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    let prices = zerohop::Rep::new(&Context::new()).expect("a REP");
    let endpoint = prices.bind("tcp://127.0.0.1:*").expect("a free port");
    let readme = include_str!("../../README.md").split("```python\n").nth(1);
    let program = readme.and_then(|rest| rest.split("```").next());
    let program = program.expect("the README has Python in it");
    let program = program.replace("tcp://127.0.0.1:5555", &endpoint.to_string());
    let mut customer = Command::new(pyzmq.python());
    let customer = customer.args(["-c", &program]).stdout(Stdio::piped());
    let customer = customer.spawn().expect("Python starts");

    let request = prices.recv_timeout(DEADLINE).expect("a request");
    assert_eq!(*request.message(), "price of 42?");
    request.reply("9.99").expect("the customer waits");

    let output = customer.wait_with_output().expect("Python ends");
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "9.99");
}

/// The Python of docs/migrating.md, as it stands there.
#[test]
fn the_program_in_the_migration_guide_runs() {
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    let page = include_str!("../../docs/migrating.md").split("```python\n");
    let program = page.last().and_then(|rest| rest.split("```").next());
    let program = program.expect("the page has Python in it");
    let mut python = Command::new(pyzmq.python());
    let output = python.args(["-c", program]).output().expect("Python runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(printed.trim(), "resize photo.jpg", "{output:?}");
}

fn numbered(number: usize) -> Vec<Part> {
    message([number.to_string().as_str()])
}

/// The number in a message's first frame.
fn number_of(message: &[Part]) -> usize {
    let frame = message[0].to_frame();
    let text = String::from_utf8(frame).expect("a number in UTF-8");
    text.parse().expect("a number")
}
