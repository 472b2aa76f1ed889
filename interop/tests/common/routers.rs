//! ROUTER between zerohop and another implementation: names, and what becomes of two peers with the same.

use std::collections::HashSet;
use std::time::Duration;

use zerohop::{
    Context, DisconnectCause, Event, Incoming, Message, Monitor, Options, PeerRefusal, RecvSocket,
    Routed, Router, SendSocket,
};

use super::deadline::DEADLINE;
use super::endpoints::Transport;
use super::part::message;
use super::peer::{Peer, Role};
use super::until::{GLANCE, until};

/// An option that a test needs of another implementation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Setting {
    /// The name by which a ROUTER is to know the socket.
    Name(&'static str),
    /// `ZMQ_PROBE_ROUTER`.
    Probe,
    /// `ZMQ_ROUTER_HANDOVER`.
    Handover,
}

/// Makes a socket of another implementation.
pub(crate) type Open<'a> = &'a dyn Fn(Role, &[Setting]) -> Box<dyn Peer>;

fn router(options: Options) -> Router {
    let options = options.linger(Duration::ZERO);
    Router::with_options(&Context::new(), options).expect("a ROUTER")
}

fn recv(router: &Router) -> (String, Message) {
    let Incoming { peer, message } = router.recv_timeout(DEADLINE).expect("a message");
    (peer.to_string(), message)
}

/// Five bytes, of which the first is zero.
pub(crate) fn a_router_makes_up_names_for_their_dealers(open: Open<'_>) {
    for &transport in Transport::FOREIGN {
        let Server {
            router, endpoint, ..
        } = server(transport, Options::new());
        let mut dealers = [(); 2].map(|()| open(Role::Dealer, &[]));
        let mut names = HashSet::new();
        for dealer in &mut dealers {
            dealer.connect(&endpoint);
            for body in [message(["one"]), message(["", "a", ""])] {
                dealer.send(&body);
                let asked = RecvSocket::recv_timeout(&router, DEADLINE).expect("a message");
                let name = asked.first().to_vec();
                assert_eq!((name.len(), name[0]), (5, 0));
                names.insert(name);
                let _queued = SendSocket::send(&router, asked).expect("sent");
                assert_eq!(dealer.recv(), body);
            }
        }
        assert_eq!(names.len(), 2);
    }
}

/// A ROUTER that says hello by an empty message is known to another one by its name, which can then speak first.
pub(crate) fn our_router_probes_theirs(open: Open<'_>) {
    for &transport in Transport::FOREIGN {
        let mut theirs = open(Role::Router, &[Setting::Name("theirs")]);
        let ours = router(Options::new().routing_id("ours").probe_router(true));
        let endpoint = theirs.bind(&transport.endpoint());
        ours.connect(endpoint.as_str()).expect("connected");
        assert_eq!(theirs.recv(), message(["ours", ""]));
        theirs.send(&message(["ours", "welcome"]));
        assert_eq!(recv(&ours), ("theirs".into(), "welcome".into()));
        let routed = ours.send_to("theirs", ["", "thanks"]).expect("sent");
        assert_eq!(routed, Routed::Queued);
        assert_eq!(theirs.recv(), message(["ours", "", "thanks"]));
    }
}

/// The other way around.
pub(crate) fn their_router_probes_ours(open: Open<'_>) {
    for &transport in Transport::FOREIGN {
        let mut theirs = open(Role::Router, &[Setting::Name("theirs"), Setting::Probe]);
        let ours = router(Options::new().routing_id("ours"));
        let endpoint = ours.bind(transport.endpoint().as_str()).expect("bound");
        theirs.connect(&endpoint.to_string());
        assert_eq!(recv(&ours), ("theirs".into(), "".into()));
        let routed = ours.send_to("theirs", ["welcome", ""]).expect("sent");
        assert_eq!(routed, Routed::Queued);
        assert_eq!(theirs.recv(), message(["ours", "welcome", ""]));
        theirs.send(&message(["ours", "thanks"]));
        assert_eq!(recv(&ours), ("theirs".into(), "thanks".into()));
    }
}

struct Server {
    router: Router,
    endpoint: String,
    monitor: Monitor,
}

fn server(transport: Transport, options: Options) -> Server {
    let router = router(options.router_mandatory(true));
    let endpoint = router.bind(transport.endpoint().as_str()).expect("bound");
    Server {
        endpoint: endpoint.to_string(),
        monitor: router.monitor(),
        router,
    }
}

impl Server {
    fn dealer(&self, open: Open<'_>) -> Box<dyn Peer> {
        let mut dealer = open(Role::Dealer, &[Setting::Name("same")]);
        dealer.connect(&self.endpoint);
        dealer
    }

    fn hear(&self, text: &str) {
        let Incoming { peer, message } = self.router.recv_timeout(DEADLINE).expect("a message");
        assert_eq!((peer.to_string().as_str(), message), ("same", text.into()));
    }

    fn say(&self, text: &str) {
        let routed = self.router.send_to_timeout("same", text, DEADLINE);
        assert_eq!(routed.expect("sent"), Routed::Queued);
    }

    fn await_refusal(&self, expected: PeerRefusal) {
        until("a peer is refused", || {
            match self.monitor.recv_timeout(DEADLINE).expect("an event") {
                Event::Disconnected {
                    cause: DisconnectCause::Refused(refusal),
                    ..
                } => {
                    assert_eq!(refusal, expected);
                    Some(())
                }
                _ => None,
            }
        });
    }
}

pub(crate) fn their_second_dealer_of_a_name_waits_for_the_first_to_leave(open: Open<'_>) {
    for &transport in Transport::FOREIGN {
        let server = server(transport, Options::new());
        let mut first = server.dealer(open);
        first.send(&message(["first"]));
        server.hear("first");
        let mut second = server.dealer(open);
        server.await_refusal(PeerRefusal::RoutingIdTaken);
        server.say("for the first");
        assert_eq!(first.recv(), message(["for the first"]));
        drop(first);
        // It has been dialing again and again. What it sends into a connection that is refused is lost with that.
        until("the second gets in", || {
            second.send(&message(["second"]));
            server.router.recv_timeout(GLANCE).ok()
        });
        server.say("for the second");
        assert_eq!(second.recv(), message(["for the second"]));
    }
}

pub(crate) fn a_name_is_handed_over_to_their_newcomer(open: Open<'_>) {
    for &transport in Transport::FOREIGN {
        let server = server(transport, Options::new().router_handover(true));
        let mut first = server.dealer(open);
        first.send(&message(["first"]));
        server.hear("first");
        let mut second = server.dealer(open);
        second.send(&message(["second"]));
        server.hear("second");
        server.await_refusal(PeerRefusal::RoutingIdHandedOver);
        drop(first);
        until("the second has the name for good", || {
            let sent = server.router.try_send_to("same", "for the second");
            sent.ok()?;
            second.recv_within(GLANCE)
        });
    }
}

/// Theirs takes over as well, if told to: from one of ours.
pub(crate) fn their_router_hands_a_name_over_to_ours(open: Open<'_>) {
    for &transport in Transport::FOREIGN {
        let settings = [Setting::Name("server"), Setting::Handover];
        let mut theirs = open(Role::Router, &settings);
        let endpoint = theirs.bind(&transport.endpoint());
        let context = Context::new();
        let ours = || {
            let options = Options::new()
                .routing_id("same")
                .probe_router(true)
                .reconnect_interval(None)
                .linger(Duration::ZERO);
            let router = Router::with_options(&context, options).expect("a ROUTER");
            router.connect(endpoint.as_str()).expect("connected");
            router
        };
        let _first = ours();
        assert_eq!(theirs.recv(), message(["same", ""]));
        let second = ours();
        assert_eq!(theirs.recv(), message(["same", ""]));
        theirs.send(&message(["same", "for the second"]));
        let Incoming { peer, message } = second.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(
            (peer.to_string().as_str(), message),
            ("server", "for the second".into())
        );
    }
}
