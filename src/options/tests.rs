use std::collections::HashSet;
use std::time::Duration;

use super::*;

/// `zmq.h`, transcribed apart from the table so that a slip in either shows.
const ZMQ_H: &[(i32, &str)] = &[
    (5, "ROUTING_ID"),
    (11, "SNDBUF"),
    (12, "RCVBUF"),
    (17, "LINGER"),
    (18, "RECONNECT_IVL"),
    (19, "BACKLOG"),
    (21, "RECONNECT_IVL_MAX"),
    (22, "MAXMSGSIZE"),
    (23, "SNDHWM"),
    (24, "RCVHWM"),
    (27, "RCVTIMEO"),
    (28, "SNDTIMEO"),
    (33, "ROUTER_MANDATORY"),
    (34, "TCP_KEEPALIVE"),
    (35, "TCP_KEEPALIVE_CNT"),
    (36, "TCP_KEEPALIVE_IDLE"),
    (37, "TCP_KEEPALIVE_INTVL"),
    (39, "IMMEDIATE"),
    (40, "XPUB_VERBOSE"),
    (41, "ROUTER_RAW"),
    (42, "IPV6"),
    (44, "PLAIN_SERVER"),
    (45, "PLAIN_USERNAME"),
    (46, "PLAIN_PASSWORD"),
    (47, "CURVE_SERVER"),
    (48, "CURVE_PUBLICKEY"),
    (49, "CURVE_SECRETKEY"),
    (50, "CURVE_SERVERKEY"),
    (51, "PROBE_ROUTER"),
    (52, "REQ_CORRELATE"),
    (53, "REQ_RELAXED"),
    (54, "CONFLATE"),
    (55, "ZAP_DOMAIN"),
    (56, "ROUTER_HANDOVER"),
    (57, "TOS"),
    (66, "HANDSHAKE_IVL"),
    (69, "XPUB_NODROP"),
    (71, "XPUB_MANUAL"),
    (72, "XPUB_WELCOME_MSG"),
    (73, "STREAM_NOTIFY"),
    (74, "INVERT_MATCHING"),
    (75, "HEARTBEAT_IVL"),
    (76, "HEARTBEAT_TTL"),
    (77, "HEARTBEAT_TIMEOUT"),
    (78, "XPUB_VERBOSER"),
    (79, "CONNECT_TIMEOUT"),
    (93, "ZAP_ENFORCE_DOMAIN"),
    (97, "ROUTER_NOTIFY"),
    (98, "XPUB_MANUAL_LAST_VALUE"),
    (110, "HELLO_MSG"),
    (111, "DISCONNECT_MSG"),
    (114, "HICCUP_MSG"),
    (115, "XSUB_VERBOSE_UNSUBSCRIBE"),
];

fn refused(options: Options) -> String {
    let refused = options.validate().err();
    refused.map_or("nothing".to_owned(), |error| error.option().to_owned())
}

#[test]
fn libzmq_names_and_numbers_are_those_of_its_header() {
    let mut named: Vec<_> = OPTION_TABLE.iter().filter_map(|row| row.libzmq).collect();
    named.sort_by_key(|libzmq| libzmq.id);
    let expected = ZMQ_H.iter().map(|&(id, name)| (id, format!("ZMQ_{name}")));
    assert!(
        named
            .iter()
            .map(|libzmq| (libzmq.id, libzmq.name.to_owned()))
            .eq(expected)
    );
}

#[test]
fn rows_are_complete_and_unique() {
    let mut names = HashSet::new();
    for row in OPTION_TABLE {
        assert!(names.insert(row.name), "{} twice", row.name);
        assert!(row.doc.trim().len() > 40, "{} is not documented", row.name);
        assert!(
            !row.range.is_empty() && !row.kind.is_empty(),
            "{}",
            row.name
        );
        assert_ne!(row.sockets.iter().count(), 0, "{}", row.name);
        for socket in SocketType::ALL {
            let listed = row.sockets.iter().any(|other| other == socket);
            assert_eq!(row.applies_to(socket), listed, "{}: {socket}", row.name);
        }
    }
    let sockets = |name| {
        let row = OPTION_TABLE.iter().find(|row| row.name == name);
        row.map(|row| row.sockets.to_string())
    };
    assert_eq!(
        sockets("immediate").as_deref(),
        Some("PAIR, REQ, DEALER, ROUTER, PUSH, SERVER, CLIENT, SCATTER, PEER, CHANNEL")
    );
    assert_eq!(sockets("pub_block").as_deref(), Some("PUB, XPUB, RADIO"));
}

#[test]
fn the_defaults_in_the_docs_are_the_defaults() {
    let rendered = Options::new().rendered();
    assert_eq!(rendered.len(), OPTION_TABLE.len());
    for (row, (name, value)) in OPTION_TABLE.iter().zip(rendered) {
        assert_eq!((row.name, row.default), (name, value.as_str()));
    }
    assert_eq!(Options::new().validate(), Ok(()));
}

#[test]
fn setters_set_their_own_option() {
    let options = Options::new()
        .send_hwm(7)
        .linger(Duration::ZERO)
        .reconnect_interval(None)
        .max_message_size(1 << 20)
        .routing_id("worker-1")
        .tcp_keepalive(true)
        .tcp_keepalive_count(3);
    assert_eq!(options.send_hwm, 7);
    assert_eq!(options.linger, Some(Duration::ZERO));
    assert_eq!(options.reconnect_interval, None);
    assert_eq!(options.max_message_size, Some(1 << 20));
    assert_eq!(options.routing_id, "worker-1");
    assert_eq!(options.validate(), Ok(()));
    let changed = options
        .rendered()
        .into_iter()
        .zip(Options::new().rendered());
    assert_eq!(changed.filter(|(now, default)| now != default).count(), 7);
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    let new = Options::new;
    let day = Duration::from_secs(24 * 60 * 60);
    assert_eq!(refused(new().linger(365 * day)), "nothing");
    assert_eq!(refused(new().linger(366 * day)), "linger");
    assert_eq!(refused(new().send_timeout(Duration::MAX)), "send_timeout");
    assert_eq!(refused(new().recv_timeout(Duration::MAX)), "recv_timeout");
    assert_eq!(
        refused(new().reconnect_interval(Duration::ZERO)),
        "reconnect_interval"
    );
    assert_eq!(
        refused(new().reconnect_interval_max(Duration::ZERO)),
        "reconnect_interval_max"
    );
    assert_eq!(
        refused(new().heartbeat_interval(Duration::ZERO)),
        "heartbeat_interval"
    );
    assert_eq!(
        refused(new().heartbeat_ttl(Duration::from_secs(6554))),
        "heartbeat_ttl"
    );
    assert_eq!(
        refused(new().max_pending_handshakes(0)),
        "max_pending_handshakes"
    );
    assert_eq!(refused(new().max_parts(0)), "max_parts");
    assert_eq!(refused(new().max_subscriptions(0)), "max_subscriptions");
    assert_eq!(
        refused(new().tcp_keepalive_count(128)),
        "tcp_keepalive_count"
    );
    assert_eq!(
        refused(new().tcp_keepalive_idle(Duration::from_millis(1500))),
        "tcp_keepalive_idle"
    );
    assert_eq!(refused(new().send_buffer(0)), "send_buffer");
    assert_eq!(refused(new().recv_buffer(usize::MAX)), "recv_buffer");
    assert_eq!(refused(new().tos(256)), "tos");
    assert_eq!(refused(new().backlog(0)), "backlog");
    assert_eq!(refused(new().backlog(u32::MAX)), "backlog");
    assert_eq!(refused(new().routing_id([0, 1])), "routing_id");
    assert_eq!(refused(new().routing_id(vec![1; 256])), "routing_id");
    assert_eq!(refused(new().routing_id(vec![1; 255])), "nothing");
}

#[test]
fn a_refusal_says_what_was_given_and_what_is_right() {
    let error = Options::new()
        .tcp_keepalive_idle(Duration::ZERO)
        .validate()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "option tcp_keepalive_idle can't be 0; allowed is 1 to 32767 whole seconds, or none"
    );
    let error = Options::new().routing_id([0, b'a']).validate().unwrap_err();
    assert_eq!(error.given(), r"\0a");
}

#[cfg(not(feature = "curve"))]
#[test]
fn options_of_a_feature_that_is_not_there_name_it() {
    let error = Options::new().curve_server(true).validate();
    let said = error.expect_err("no CURVE").to_string();
    assert!(said.contains("the feature \"curve\""), "{said}");
    for (name, value) in [
        ("curve_server", "true"),
        (
            "curve_serverkey",
            "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7",
        ),
        (
            "curve_secretkey",
            "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6",
        ),
    ] {
        let error = Options::new().set(name, value);
        let said = error.expect_err("no CURVE").to_string();
        assert!(said.contains("the feature \"curve\""), "{said}");
    }
    let mut options = Options::new();
    options.set("curve_server", "false").expect("that it is");
    options.set("curve_secretkey", "none").expect("that it is");
}
