//! Peers that break the protocol, by mistake or on purpose. Each loses its connection, and only that: a monitor event
//! gives the cause, memory stays bounded, and the next good peer is served.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod events;
    pub(crate) mod memory;
    pub(crate) mod raw;
}

#[path = "attacks/addresses.rs"]
mod addresses;
#[path = "attacks/identities.rs"]
mod identities;
#[path = "attacks/starvation.rs"]
mod starvation;
#[path = "attacks/subscriptions.rs"]
mod subscriptions;
#[path = "attacks/violations.rs"]
mod violations;

use std::env;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use zerohop::{
    Context, DisconnectCause, ForeignProtocol, Monitor, Options, ProtocolError, Pub, Pull, Push,
    SocketType, Sub,
};

use common::deadline::DEADLINE;
use common::events::wait_for_end;
use common::memory::Watch;
use common::raw::{COMMAND, LONG, MORE, RawPeer, command, frame, greeting, property, ready};

const ANY_PORT: &str = "tcp://127.0.0.1:*";

/// More than a connection's buffers, far less than any attack here would like.
const GROWTH: u64 = 32 << 20;

/// What 250,000 subscriptions, the most that one peer may hold, may cost.
const GROWTH_BY_SUBSCRIPTIONS: u64 = 256 << 20;

/// Attacks a PULL; gives the cause its monitor showed.
fn attack_pull(attack: impl FnOnce(&mut RawPeer)) -> ProtocolError {
    attack_pull_with(Options::new(), attack)
}

fn attack_pull_with(options: Options, attack: impl FnOnce(&mut RawPeer)) -> ProtocolError {
    let memory = Watch::start();
    let context = Context::new();
    let pull = Pull::with_options(&context, options).expect("a PULL");
    let endpoint = pull.bind(ANY_PORT).expect("bound").to_string();
    let error = endure(&endpoint, &pull.monitor(), attack);
    memory.assert_growth_below(GROWTH);
    serve_push(&context, &pull, &endpoint);
    error
}

/// Attacks a PUB; gives the cause its monitor showed.
fn attack_pub(growth: u64, attack: impl FnOnce(&mut RawPeer)) -> ProtocolError {
    let memory = Watch::start();
    let context = Context::new();
    let publisher = Pub::new(&context).expect("a PUB");
    let endpoint = publisher.bind(ANY_PORT).expect("bound").to_string();
    let error = endure(&endpoint, &publisher.monitor(), attack);
    memory.assert_growth_below(growth);

    let sub = Sub::new(&context).expect("a SUB");
    sub.subscribe("good").expect("subscribed");
    sub.connect(&endpoint).expect("connected");
    publisher
        .wait_for_subscribers("good", 1, DEADLINE)
        .expect("a subscriber");
    publisher.send("good").expect("published");
    assert_eq!(sub.recv_timeout(DEADLINE).expect("a message"), b"good");
    error
}

fn endure(endpoint: &str, monitor: &Monitor, attack: impl FnOnce(&mut RawPeer)) -> ProtocolError {
    let mut raw = RawPeer::connect(endpoint);
    attack(&mut raw);
    raw.expect_closed();
    match wait_for_end(monitor) {
        DisconnectCause::Protocol(error) => error,
        cause => panic!("closed for another cause: {cause:?}"),
    }
}

fn serve_push(context: &Context, pull: &Pull, endpoint: &str) {
    let push = Push::new(context).expect("a PUSH");
    push.connect(endpoint).expect("connected");
    push.send_timeout("good", DEADLINE).expect("sent");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), b"good");
}

#[test]
fn refuses_what_is_not_zmtp_2_or_later() {
    let strangers = [
        (&b"\x01\x00\x06\x00hello"[..], None),
        (
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            Some(ForeignProtocol::Http),
        ),
        (
            b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03",
            Some(ForeignProtocol::Tls),
        ),
        (b"SSH-2.0-stranger\r\n", Some(ForeignProtocol::Ssh)),
        // Signature of a 1.0 peer that sends its identity with a long length, and of one that knows of versions.
        (b"\xff\0\0\0\0\0\0\0\x03\x00me", None),
        (b"\xff\0\0\0\0\0\0\0\x01\x7f\x00", None),
    ];
    for (opening, looks_like) in strangers {
        let error = attack_pull(|raw| raw.write(opening));
        assert_eq!(
            error,
            ProtocolError::Zmtp10 { looks_like },
            "{}",
            opening.escape_ascii()
        );
    }
}

#[test]
fn refuses_another_mechanism() {
    let error = attack_pull(|raw| raw.write(&greeting(1, "CURVE")));
    let theirs = "CURVE".to_owned();
    assert_eq!(
        error,
        ProtocolError::MechanismMismatch {
            ours: "NULL",
            theirs
        }
    );
}

#[test]
fn refuses_types_that_do_not_go_with_it() {
    let error = attack_pull(|raw| raw.write(&hello("PUB")));
    let (ours, theirs) = (SocketType::Pull, SocketType::Pub);
    assert_eq!(
        error,
        ProtocolError::IncompatibleSocketType { ours, theirs }
    );

    let error = attack_pull(|raw| raw.write(&opening_with(&command("READY", b""))));
    assert_eq!(error, ProtocolError::MissingSocketType);

    let error = attack_pull(|raw| raw.write(&hello("PUSHY")));
    assert_eq!(
        error,
        ProtocolError::UnknownSocketType {
            name: "PUSHY".to_owned()
        }
    );
}

#[test]
fn hears_an_error_command() {
    let error = attack_pull(|raw| raw.write(&opening_with(&command("ERROR", b"\x03400"))));
    assert_eq!(
        error,
        ProtocolError::PeerError {
            reason: "400".to_owned()
        }
    );
}

#[test]
fn refuses_a_command_before_the_handshake() {
    let early = [
        ("PING", command("PING", b"\0\0")),
        ("SUBSCRIBE", command("SUBSCRIBE", b"topic")),
        ("", frame(COMMAND, b"")),
    ];
    for (name, command) in early {
        let error = attack_pull(|raw| raw.write(&opening_with(&command)));
        assert_eq!(
            error,
            ProtocolError::UnexpectedCommand {
                name: name.to_owned()
            }
        );
    }
}

#[test]
fn refuses_a_command_shorter_than_its_name() {
    let error = attack_pull(|raw| raw.write(&opening_with(&frame(COMMAND, b"\x05REA"))));
    assert!(
        matches!(error, ProtocolError::MalformedCommand { .. }),
        "{error:?}"
    );
}

#[test]
fn refuses_truncated_metadata() {
    let whole = property("Socket-Type", b"PUSH");
    for length in 1..whole.len() {
        let error =
            attack_pull(|raw| raw.write(&opening_with(&command("READY", &whole[..length]))));
        assert!(
            matches!(error, ProtocolError::MalformedMetadata { .. }),
            "{length} bytes: {error:?}"
        );
    }
}

#[test]
fn refuses_endless_metadata() {
    for count in [1_000, 100_000] {
        let properties = (0..count).flat_map(|number| property(&format!("X-{number}"), b""));
        let ready = command("READY", &properties.collect::<Vec<u8>>());
        let error = attack_pull(|raw| {
            raw.write(&greeting(1, "NULL"));
            raw.pour(&ready);
        });
        let by_either_limit = matches!(
            error,
            ProtocolError::TooManyProperties { .. } | ProtocolError::CommandTooLarge { .. }
        );
        assert!(by_either_limit, "{count} properties: {error:?}");
    }
}

#[test]
fn refuses_a_command_of_a_terabyte() {
    for before in [greeting(1, "NULL"), hello("PUSH")] {
        let error = attack_pull(|raw| raw.write(&[before, header(COMMAND, 1 << 40)].concat()));
        assert!(
            matches!(error, ProtocolError::CommandTooLarge { .. }),
            "{error:?}"
        );
    }
}

#[test]
fn refuses_a_frame_of_nearly_2_to_the_64_bytes() {
    // With no limit set as well: such a length is none.
    for options in [Options::new(), Options::new().max_message_size(None)] {
        let error = attack_pull_with(options, |raw| {
            raw.write(&[hello("PUSH"), header(0, u64::MAX)].concat())
        });
        assert!(
            matches!(error, ProtocolError::MessageTooLarge { .. }),
            "{error:?}"
        );
    }
}

#[test]
fn refuses_parts_whose_lengths_overflow_in_sum() {
    let error = attack_pull(|raw| {
        raw.write(&hello("PUSH"));
        raw.write(&frame(MORE, b"sixteen bytes ok"));
        raw.write(&header(0, u64::MAX - 8));
    });
    assert!(
        matches!(error, ProtocolError::MessageTooLarge { .. }),
        "{error:?}"
    );
}

#[test]
fn refuses_parts_that_grow_beyond_the_limit() {
    let options = Options::new().max_message_size(1 << 20);
    let error = attack_pull_with(options, |raw| {
        raw.write(&hello("PUSH"));
        let part = frame(MORE, &[b'x'; 4096]);
        for _ in 0..300 {
            raw.pour(&part);
        }
    });
    assert!(
        matches!(
            error,
            ProtocolError::MessageTooLarge {
                limit: 0x10_0000,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn refuses_endless_parts() {
    let parts = frame(MORE, b"").repeat(1 << 15);
    let error = attack_pull(|raw| {
        raw.write(&hello("PUSH"));
        // A bound on the test, not on the socket: 2^26 parts.
        let swallowed = (0..1 << 11).all(|_| raw.pour(&parts));
        assert!(!swallowed, "took them all");
    });
    assert!(
        matches!(error, ProtocolError::TooManyParts { .. }),
        "{error:?}"
    );
}

#[test]
fn refuses_a_short_ping() {
    for data in [&b""[..], b"\0"] {
        let error = attack_pull(|raw| raw.write(&[hello("PUSH"), command("PING", data)].concat()));
        assert_eq!(error, ProtocolError::ShortPing { len: data.len() });
    }
}

#[test]
fn refuses_a_topic_of_2_mib() {
    let topic = vec![b't'; 2 << 20];
    let forms = [
        (1, command("SUBSCRIBE", &topic)),
        (0, frame(0, &[b"\x01", &topic[..]].concat())),
    ];
    for (minor, subscription) in forms {
        let error = attack_pub(GROWTH, |raw| {
            raw.write(&greeting(minor, "NULL"));
            raw.write(&ready("SUB"));
            raw.pour(&subscription);
        });
        // By its own limit or by that of the frame it comes in.
        let too_long = matches!(
            error,
            ProtocolError::TopicTooLong { .. }
                | ProtocolError::CommandTooLarge { .. }
                | ProtocolError::MessageTooLarge { .. }
        );
        assert!(too_long, "{error:?}");
    }
}

#[test]
fn refuses_a_million_subscriptions() {
    let error = attack_pub(GROWTH_BY_SUBSCRIPTIONS, |raw| {
        raw.write(&hello("SUB"));
        for thousand in 0..1000 {
            let subscribe =
                |number| command("SUBSCRIBE", format!("{thousand} {number}").as_bytes());
            let subscriptions: Vec<u8> = (0..1000).flat_map(subscribe).collect();
            if !raw.pour(&subscriptions) {
                break;
            }
        }
    });
    assert!(
        matches!(error, ProtocolError::TooManySubscriptions { .. }),
        "{error:?}"
    );
}

/// Subscribing and cancelling for ever is no fault, but must leave nothing behind.
#[test]
fn forgets_cancelled_subscriptions() {
    let memory = Watch::start();
    let context = Context::new();
    let publisher = Pub::new(&context).expect("a PUB");
    let mut raw = RawPeer::connect(&publisher.bind(ANY_PORT).expect("bound").to_string());
    raw.write(&hello("SUB"));
    for round in 0..200 {
        let there_and_gone = |number: u32| {
            let topic = format!("{round} {number}");
            [
                command("SUBSCRIBE", topic.as_bytes()),
                command("CANCEL", topic.as_bytes()),
            ]
            .concat()
        };
        raw.write(&(0..1000).flat_map(there_and_gone).collect::<Vec<u8>>());
    }
    raw.write(&command("SUBSCRIBE", b"end"));
    publisher
        .wait_for_subscribers("end", 1, DEADLINE)
        .expect("a subscriber");
    memory.assert_growth_below(GROWTH);
}

/// A socket that connects to the wrong port tells what it found there, and keeps trying: a good peer may move in.
#[test]
fn endures_when_it_connects_as_well() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let pull = Pull::new(&Context::new()).expect("a PULL");
    let monitor = pull.monitor();
    let address = listener.local_addr().expect("an address");
    pull.connect(format!("tcp://{address}")).expect("connected");
    for opening in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        &hello("PULL"),
        &greeting(1, "CURVE"),
    ] {
        let mut raw = RawPeer::accept(&listener);
        raw.write(opening);
        raw.expect_closed();
        let cause = wait_for_end(&monitor);
        assert!(matches!(cause, DisconnectCause::Protocol(_)), "{cause:?}");
    }
    let mut good = RawPeer::accept(&listener);
    good.shake_hands(1, "PUSH");
    good.write(&frame(0, b"good"));
    assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), b"good");
}

/// A length within the limit is no fault; but nothing is set aside for it, and others are served meanwhile.
#[test]
fn serves_beside_promised_bodies_that_never_come() {
    let memory = Watch::start();
    let context = Context::new();
    let pull = Pull::new(&context).expect("a PULL");
    let endpoint = pull.bind(ANY_PORT).expect("bound").to_string();
    let promising: Vec<RawPeer> = (0..100)
        .map(|_| {
            let mut raw = RawPeer::connect(&endpoint);
            raw.shake_hands(1, "PUSH");
            raw.write(&header(0, 200 << 20));
            raw.write(b"the first few bytes");
            raw
        })
        .collect();
    serve_push(&context, &pull, &endpoint);
    memory.assert_growth_below(GROWTH);
    drop(promising);
    serve_push(&context, &pull, &endpoint);
}

/// A thousand peers that connect and never speak: others are served meanwhile, and in the end the silent ones go.
#[test]
fn serves_beside_a_thousand_half_open_connections() {
    // Both ends of them are in this process, which is more files than many a shell allows.
    const RAISED: &str = "ZEROHOP_TEST_FILE_LIMIT_RAISED";
    if env::var_os(RAISED).is_none() {
        run_again_with_4096_files("serves_beside_a_thousand_half_open_connections", RAISED);
        return;
    }
    let memory = Watch::start();
    let context = Context::new();
    let options = Options::new().handshake_timeout(Duration::from_secs(2));
    let pull = Pull::with_options(&context, options).expect("a PULL");
    let monitor = pull.monitor();
    let endpoint = pull.bind(ANY_PORT).expect("bound").to_string();
    let mut silent: Vec<RawPeer> = (0..1000).map(|_| RawPeer::connect(&endpoint)).collect();
    serve_push(&context, &pull, &endpoint);
    memory.assert_growth_below(GROWTH);
    for raw in &mut silent {
        raw.expect_closed();
    }
    let mut timed_out = 0;
    while timed_out < silent.len() {
        timed_out += usize::from(wait_for_end(&monitor) == DisconnectCause::HandshakeTimeout);
    }
    serve_push(&context, &pull, &endpoint);
}

/// Runs one test of this binary in a process with a higher limit, and with `marker` in its environment.
fn run_again_with_4096_files(test: &str, marker: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 4096 && exec \"$0\" --exact \"$1\""]);
    shell
        .arg(env::current_exe().expect("this test binary"))
        .arg(test);
    let output = shell
        .env(marker, "1")
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    let text = String::from_utf8_lossy(&output.stdout);
    let passed = output.status.success() && text.contains("1 passed");
    assert!(passed, "{text}{}", String::from_utf8_lossy(&output.stderr));
}

/// A peer's half of a handshake.
fn hello(socket_type: &str) -> Vec<u8> {
    opening_with(&ready(socket_type))
}

/// A good greeting and what comes where READY is due.
fn opening_with(command: &[u8]) -> Vec<u8> {
    [&greeting(1, "NULL"), command].concat()
}

/// The header of a frame whose body never comes.
fn header(flags: u8, length: u64) -> Vec<u8> {
    [&[flags | LONG][..], &length.to_be_bytes()].concat()
}
