//! XPUB with its options, beside pyzmq's: the same peers say the same to both, and both say the same of it.

use std::time::Duration;

use zerohop::{Context, Options, Sub, Xpub, Xsub};

use crate::common::deadline::DEADLINE;
use crate::common::endpoints::Transport;
use crate::common::part::{Part, message};
use crate::common::peer::Peer;
use crate::common::peer::Role::{Sub as SubRole, XPub, XSub};
use crate::common::pyzmq::Pyzmq;
use crate::common::until::{GLANCE, until};

fn options() -> Options {
    Options::new().linger(Duration::ZERO)
}

/// An XPUB of either side.
enum Either {
    Ours(Box<Xpub>),
    Theirs(crate::common::line_peer::LinePeer),
}

impl Either {
    fn bind(&mut self, endpoint: &str) -> String {
        match self {
            Either::Ours(xpub) => xpub.bind(endpoint).expect("bound").to_string(),
            Either::Theirs(xpub) => xpub.bind(endpoint),
        }
    }

    fn recv_within(&mut self, patience: Duration) -> Option<Vec<Part>> {
        match self {
            Either::Ours(xpub) => {
                let message = xpub.recv_timeout(patience).ok()?;
                let frames = message.frames().map(|frame| Part::from_frame(frame));
                Some(frames.collect())
            }
            Either::Theirs(xpub) => xpub.recv_within(patience),
        }
    }

    fn recv(&mut self) -> Vec<Part> {
        self.recv_within(DEADLINE).expect("a message")
    }
}

/// What an XPUB with these options says of two peers that subscribe, repeat themselves, end it and go.
fn heard(xpub: &mut Either, endpoint: &str) -> Vec<String> {
    let endpoint = xpub.bind(endpoint);
    let context = Context::new();
    let peers = [(); 2].map(|()| {
        let xsub = Xsub::with_options(&context, options()).expect("an XSUB");
        xsub.connect(&*endpoint).expect("connected");
        xsub
    });
    let mut heard = Vec::new();
    // Behind each step a topic of its own: then all that is said of the step has been said.
    let mut marks = 0;
    let mut step = |peer: &Xsub, said: &[&str]| {
        for said in said {
            peer.send(*said).expect("sent");
        }
        marks += 1;
        let mark = format!("\u{1}mark {marks}");
        peer.send(&*mark).expect("sent");
        let end = message([mark.as_str()]);
        loop {
            let next = xpub.recv();
            if next == end {
                return;
            }
            heard.push(format!("{next:?}"));
        }
    };
    let [one, other] = &peers;
    for peer in &peers {
        peer.wait_for_peers(1, DEADLINE).expect("connected");
    }
    step(one, &["\u{1}a", "\u{1}a", "\u{1}b"]);
    step(other, &["\u{1}a"]);
    step(one, &["up", "\0a"]);
    step(one, &["\0a", "\0b"]);
    step(other, &["\0a", "\u{1}c", "\u{1}c"]);
    drop(peers);
    // The ends of what they had: in any order.
    let mut ends = Vec::new();
    while let Some(next) = xpub.recv_within(10 * GLANCE) {
        ends.push(format!("{next:?}"));
    }
    ends.sort();
    heard.extend(ends);
    heard
}

#[test]
fn says_the_same_as_libzmq_with_each_option() {
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    for (names, set) in [
        (&[][..], options()),
        (&["XPUB_VERBOSE"][..], options().xpub_verbose(true)),
        (&["XPUB_VERBOSER"][..], options().xpub_verboser(true)),
        (&["XPUB_MANUAL"][..], options().xpub_manual(true)),
    ] {
        let ours = Xpub::with_options(&Context::new(), set).expect("an XPUB");
        let mut theirs = pyzmq.start(XPub);
        for name in names {
            theirs.set(name, 1);
        }
        let theirs = heard(&mut Either::Theirs(theirs), "tcp://127.0.0.1:*");
        let ours = heard(&mut Either::Ours(Box::new(ours)), "tcp://127.0.0.1:*");
        assert_eq!(ours, theirs, "with {names:?}");
        assert!(ours.len() > 4, "{ours:?}");
    }
}

/// A SUB of theirs gets what the application of ours grants, and its wishes are not granted by themselves.
#[test]
fn a_manual_xpub_decides_what_a_sub_of_theirs_gets() {
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    for &transport in Transport::FOREIGN {
        let xpub = Xpub::with_options(&Context::new(), options().xpub_manual(true));
        let xpub = xpub.expect("an XPUB");
        let endpoint = xpub.bind(transport.endpoint()).expect("bound").to_string();
        let mut sub = pyzmq.start(SubRole);
        sub.subscribe("");
        sub.connect(&endpoint);
        assert_eq!(xpub.recv_timeout(DEADLINE).expect("its wish"), "\u{1}");
        assert_eq!(xpub.send("anything").expect("published").sent, 0);
        xpub.subscribe("granted").expect("it is there");
        assert_eq!(xpub.send("granted").expect("published").sent, 1);
        assert_eq!(sub.recv(), message(["granted"]), "over {transport:?}");
    }
}

#[test]
fn a_sub_of_theirs_is_welcomed() {
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    for &transport in Transport::FOREIGN {
        let options = options().xpub_welcome_message("welcome");
        let xpub = Xpub::with_options(&Context::new(), options).expect("an XPUB");
        let endpoint = xpub.bind(transport.endpoint()).expect("bound").to_string();
        let mut xsub = pyzmq.start(XSub);
        xsub.connect(&endpoint);
        assert_eq!(xsub.recv(), message(["welcome"]), "over {transport:?}");
        let mut sub = pyzmq.start(SubRole);
        sub.subscribe("welcome");
        sub.connect(&endpoint);
        assert_eq!(sub.recv(), message(["welcome"]), "over {transport:?}");
    }
}

/// A publisher of theirs hears of an XSUB's topics again when it has taken the place of another.
#[test]
fn an_xsub_subscribes_again_after_a_kill() {
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    let xsub = Xsub::with_options(&Context::new(), options()).expect("an XSUB");
    for topic in ["kept", "kept", "gone"] {
        xsub.subscribe(topic).expect("subscribed");
    }
    xsub.unsubscribe("gone").expect("unsubscribed");
    let mut endpoint = String::from("tcp://127.0.0.1:*");
    for life in 0..3 {
        let mut xpub = pyzmq.start(XPub);
        endpoint = xpub.bind(&endpoint);
        if life == 0 {
            xsub.connect(&*endpoint).expect("connected");
        }
        assert_eq!(xpub.recv(), message(["\u{1}kept"]));
        xpub.send(&message(["kept", "body"]));
        let got = xsub.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(got, ["kept", "body"]);
    }
}

/// Behind a proxy of ours a publisher and subscribers of theirs.
#[test]
fn a_proxy_of_ours_joins_peers_of_theirs() {
    let Some(pyzmq) = Pyzmq::available() else {
        return;
    };
    let context = Context::new();
    let (xsub, xpub) = (
        Xsub::with_options(&context, options()).expect("an XSUB"),
        Xpub::with_options(&context, options()).expect("an XPUB"),
    );
    let mut publisher = pyzmq.start(XPub);
    let upstream = publisher.bind("tcp://127.0.0.1:*");
    xsub.connect(&*upstream).expect("connected");
    let endpoint = xpub.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    std::thread::scope(|scope| {
        scope.spawn(|| xsub.iter().for_each(|message| drop(xpub.send(message))));
        scope.spawn(|| xpub.iter().for_each(|message| drop(xsub.send(message))));
        let mut theirs = pyzmq.start(SubRole);
        theirs.subscribe("topic");
        theirs.connect(&endpoint);
        assert_eq!(publisher.recv(), message(["\u{1}topic"]));
        let ours = Sub::with_options(&context, options()).expect("a SUB");
        ours.subscribe("topic").expect("subscribed");
        ours.connect(&*endpoint).expect("connected");
        xpub.wait_for_subscribers("topic", 2, DEADLINE)
            .expect("both");
        publisher.send(&message(["topic", "body"]));
        assert_eq!(theirs.recv(), message(["topic", "body"]));
        let got = ours.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(got, ["topic", "body"]);
        drop(ours);
        until("one has gone", || {
            let two = xpub.wait_for_subscribers("topic", 2, Duration::from_millis(1));
            two.is_err().then_some(())
        });
        publisher.send(&message(["topic", "again"]));
        assert_eq!(theirs.recv(), message(["topic", "again"]));
        drop(theirs);
        assert_eq!(publisher.recv(), message(["\0topic"]));
        context.shutdown();
    });
}
