//! The table of options beside the `zmq.h` that libzmq here was built with, and beside what libzmq says its defaults are.

mod common {
    pub(crate) mod deadline;
}

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_void;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use common::deadline::DEADLINE;
use zerohop::{
    Change, Context, Dealer, OPTION_TABLE, OptionInfo, Options, Push, Router, SocketType,
};

const PAGE: &str = include_str!("../../docs/options.md");

/// The names and numbers of options in the header: those of sockets, and of contexts.
fn header() -> BTreeMap<String, i32> {
    let path = header_path();
    let text = fs::read_to_string(&path).expect("zmq.h");
    let definitions = text.lines().filter_map(|line| {
        let mut words = line.strip_prefix("#define ")?.split_whitespace();
        let (name, number) = (words.next()?, words.next()?);
        Some((name.to_owned(), number.parse().ok()?))
    });
    let found: BTreeMap<String, i32> = definitions.collect();
    assert!(found.len() > 100, "{path:?} names {} things", found.len());
    found
}

/// Where the build of libzmq has put it: `target/…/build/zmq-sys-HASH/out/source/include`.
fn header_path() -> PathBuf {
    let this = std::env::current_exe().expect("this program");
    let profile = this.ancestors().nth(2).expect("target/PROFILE/deps/NAME");
    let builds = fs::read_dir(profile.join("build")).expect("the folder of builds");
    let mut headers = builds.filter_map(|entry| {
        let path = entry.ok()?.path().join("out/source/include/zmq.h");
        path.exists().then_some(path)
    });
    headers.next().expect("zmq-sys has built libzmq")
}

/// The rows of a table of the page.
fn rows(title: &str) -> Vec<Vec<String>> {
    let (_, part) = PAGE.split_once(title).expect("the table");
    let lines = part.lines().skip_while(|line| !line.starts_with("|---"));
    let lines = lines.skip(1).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| {
        let cells = line.trim_matches('|').split(" | ");
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    lines.map(cells).collect()
}

#[test]
fn names_and_numbers_are_those_of_the_header() {
    let header = header();
    let mut drafts = 0;
    for row in OPTION_TABLE {
        let Some(option) = row.libzmq else { continue };
        match header.get(option.name) {
            Some(id) => assert_eq!(*id, option.id, "{}", row.name),
            // Of a newer version than the one that is built here.
            None => {
                drafts += 1;
                assert!(option.id > 92, "{} is not in zmq.h", option.name);
            }
        }
    }
    assert!(drafts <= 6, "{drafts} options are not in zmq.h");
}

/// Each stable option of sockets and contexts is honoured, or the page says what is in its place, or why it is not there.
#[test]
fn every_stable_option_of_libzmq_is_told_of() {
    let elsewhere = rows("## Options of libzmq that are something else here");
    assert!(elsewhere.len() > 20, "{elsewhere:?}");
    let known = |name: &str| {
        let honoured = |row: &OptionInfo| row.libzmq.is_some_and(|option| option.name == name);
        OPTION_TABLE.iter().any(honoured)
            || elsewhere.iter().any(|row| row[0].trim_matches('`') == name)
    };
    let path = header_path();
    let text = fs::read_to_string(path).expect("zmq.h");
    let (mut section, mut asked) = ("", 0);
    for line in text.lines() {
        // What follows such a comment is options, up to the next.
        for (comment, is_options) in [
            ("/*  Socket options.", "socket"),
            ("/*  Context options", "context"),
            ("/*  Deprecated options and aliases", "deprecated"),
            ("/*  Message options", ""),
            ("/*  Socket types.", ""),
            ("/*  DRAFT", ""),
        ] {
            if line.starts_with(comment) {
                section = is_options;
            }
        }
        let name = line
            .strip_prefix("#define ")
            .and_then(|rest| rest.split_whitespace().next());
        let Some(name) = name else { continue };
        if section == "socket" || section == "context" && !name.ends_with("_DFLT") {
            assert!(known(name), "docs/options.md does not tell of {name}");
            asked += 1;
        }
    }
    assert!(asked > 70, "only {asked} options were recognised");
}

/// What libzmq answers for an option of a new socket: a number, or bytes.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Number(i64),
    Bytes(Vec<u8>),
}

#[allow(unsafe_code)]
fn ask(socket_type: zmq::SocketType, id: i32, kind: &str) -> Result<Answer, String> {
    let context = zmq::Context::new();
    let mut socket = context.socket(socket_type).expect("a socket");
    let socket = socket.as_mut_ptr();
    let mut bytes = [0_u8; 256];
    let mut length = match kind {
        "Frame" | "String" => bytes.len(),
        _ if id == 22 => 8,
        _ => 4,
    };
    // SAFETY: the socket lives until the end of the function, and the buffer is as long as is said.
    let result = unsafe {
        zmq_sys::zmq_getsockopt(
            socket,
            id,
            bytes.as_mut_ptr().cast::<c_void>(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(format!("{}", zmq::Error::from_raw(zmq_errno())));
    }
    let bytes = &bytes[..length];
    Ok(match kind {
        "Frame" | "String" => Answer::Bytes(bytes.to_vec()),
        _ => Answer::Number(match length {
            8 => i64::from_ne_bytes(bytes.try_into().expect("eight bytes")),
            _ => i32::from_ne_bytes(bytes.try_into().expect("four bytes")).into(),
        }),
    })
}

#[allow(unsafe_code)]
fn zmq_errno() -> i32 {
    // SAFETY: it reads a variable of this thread.
    unsafe { zmq_sys::zmq_errno() }
}

/// A type of libzmq's to ask about an option.
fn type_for(row: &OptionInfo) -> zmq::SocketType {
    let candidates = [
        (SocketType::Dealer, zmq::DEALER),
        (SocketType::Pub, zmq::PUB),
        (SocketType::Xpub, zmq::XPUB),
        (SocketType::Xsub, zmq::XSUB),
        (SocketType::Router, zmq::ROUTER),
        (SocketType::Req, zmq::REQ),
        (SocketType::Pull, zmq::PULL),
    ];
    let found = candidates.iter().find(|(own, _)| row.applies_to(*own));
    found.map_or(zmq::PUSH, |(_, theirs)| *theirs)
}

/// Our default as libzmq would say it; several where it has more than one word for nothing.
fn expected(row: &OptionInfo) -> Vec<Answer> {
    let default = row.default;
    match (row.kind, default) {
        // Of text it tells the NUL at the end, too.
        ("Frame" | "String", "none") => vec![Answer::Bytes(Vec::new()), Answer::Bytes(vec![0])],
        (_, "none") => vec![Answer::Number(-1), Answer::Number(0)],
        (_, "true") => vec![Answer::Number(1)],
        (_, "false") => vec![Answer::Number(0)],
        ("Option<Duration>", time) => {
            let (number, unit) = time.split_once(' ').expect("a number and a unit");
            let number: i64 = number.parse().expect("a number");
            let milliseconds = match unit {
                "ms" => number,
                "s" => number * 1000,
                _ => panic!("what is {unit}?"),
            };
            vec![Answer::Number(milliseconds)]
        }
        (_, number) => vec![Answer::Number(number.parse().expect("a number"))],
    }
}

#[test]
fn defaults_that_are_called_the_same_are() {
    // libzmq has no way to ask for these.
    const NOT_TOLD: &[&str] = &[
        "ZMQ_PROBE_ROUTER",
        "ZMQ_REQ_RELAXED",
        "ZMQ_REQ_CORRELATE",
        "ZMQ_CONFLATE",
        "ZMQ_ROUTER_MANDATORY",
        "ZMQ_XPUB_VERBOSE",
        "ZMQ_XPUB_VERBOSER",
        "ZMQ_XPUB_MANUAL",
        "ZMQ_XPUB_NODROP",
        "ZMQ_HEARTBEAT_TTL",
        "ZMQ_HEARTBEAT_IVL",
        "ZMQ_ROUTER_HANDOVER",
        "ZMQ_ONLY_FIRST_SUBSCRIBE",
        "ZMQ_ROUTER_NOTIFY",
        "ZMQ_ROUTER_RAW",
        "ZMQ_STREAM_NOTIFY",
    ];
    let built_without = |option: &str| {
        let curve = zmq::has("curve").unwrap_or(false);
        option.starts_with("ZMQ_CURVE_") && !curve
    };
    let mut asked = 0;
    for cells in rows("## All options") {
        let [name, _, _, _, compared, ..] = &cells[..] else {
            panic!("{cells:?}");
        };
        if compared != "same" {
            continue;
        }
        let name = name.trim_matches('`');
        let row = OPTION_TABLE.iter().find(|row| row.name == name);
        let row = row.expect("an option of the table");
        let option = row.libzmq.expect("an option of libzmq");
        match ask(type_for(row), option.id, row.kind) {
            Ok(answer) => {
                let expected = expected(row);
                assert!(
                    expected.contains(&answer),
                    "{name}: libzmq says {answer:?}, and we {expected:?}"
                );
                asked += 1;
            }
            Err(error) => assert!(
                NOT_TOLD.contains(&option.name) || built_without(option.name),
                "{}: {error}",
                option.name
            ),
        }
    }
    assert!(asked > 8, "only {asked} options were asked for");
}

/// How many messages of a hundred are taken.
fn taken(send: impl Fn() -> bool) -> usize {
    (0..100).take_while(|_| send()).count()
}

/// What holds at once in libzmq does so here; and what it takes over with the next endpoint waits for the next connection here.
#[test]
fn options_change_when_libzmqs_do() {
    const NOBODY: &str = "tcp://127.0.0.1:1";
    let change = |name: &str| {
        let row = OPTION_TABLE.iter().find(|row| row.name == name);
        row.expect("an option").change
    };
    let (context, theirs) = (Context::new(), zmq::Context::new());
    let options = || Options::new().linger(Duration::ZERO);

    assert_eq!(change("send_hwm"), Change::AtOnce);
    let push = theirs.socket(zmq::PUSH).expect("a socket");
    push.set_linger(0).expect("set");
    push.set_sndhwm(1).expect("set");
    push.connect(NOBODY).expect("connecting");
    push.set_sndhwm(5).expect("set");
    assert_eq!(taken(|| push.send("x", zmq::DONTWAIT).is_ok()), 5);
    let push = Push::with_options(&context, options().send_hwm(1)).expect("a socket");
    push.connect(NOBODY).expect("connecting");
    push.set("send_hwm", "5").expect("changed");
    assert_eq!(taken(|| push.try_send("x").is_ok()), 5);
    // There what is full takes no more before the peer has read some.
    push.set("send_hwm", "6").expect("changed");
    assert_eq!(taken(|| push.try_send("x").is_ok()), 1);

    assert_eq!(change("router_mandatory"), Change::AtOnce);
    let router = theirs.socket(zmq::ROUTER).expect("a socket");
    let to_nobody = |router: &zmq::Socket| router.send_multipart(["nobody", "x"], 0).is_ok();
    assert!(to_nobody(&router));
    router.set_router_mandatory(true).expect("set");
    assert!(!to_nobody(&router));
    let router = Router::with_options(&context, options()).expect("a socket");
    assert!(router.send_to("nobody", "x").is_ok());
    router.set("router_mandatory", "true").expect("changed");
    assert!(router.send_to("nobody", "x").is_err());

    assert_eq!(change("routing_id"), Change::Later);
    let endpoints = [(); 2].map(|()| router.bind("tcp://127.0.0.1:*").expect("bound"));
    let [first, second] = endpoints.map(|endpoint| endpoint.to_string());
    let name = || {
        let incoming = router.recv_timeout(DEADLINE).expect("a message");
        incoming.peer.to_string()
    };
    let dealer = theirs.socket(zmq::DEALER).expect("a socket");
    dealer.set_linger(0).expect("set");
    dealer.set_identity(b"first").expect("set");
    dealer.connect(&first).expect("connecting");
    dealer.send("x", 0).expect("sent");
    assert_eq!(name(), "first");
    dealer.set_identity(b"second").expect("set");
    dealer.send("x", 0).expect("sent");
    assert_eq!(name(), "first");
    dealer.connect(&second).expect("connecting");
    dealer.send("x", 0).expect("sent");
    dealer.send("x", 0).expect("sent");
    let names = BTreeSet::from([name(), name()]);
    assert_eq!(names, BTreeSet::from(["first", "second"].map(String::from)));
    drop(dealer);

    let dealer = Dealer::with_options(&context, options().routing_id("a")).expect("a socket");
    dealer.connect(&first).expect("connecting");
    dealer.send("x").expect("sent");
    assert_eq!(name(), "a");
    dealer.set("routing_id", "b").expect("changed");
    dealer.send("x").expect("sent");
    assert_eq!(name(), "a");
    dealer.connect(&second).expect("connecting");
    for _ in 0..2 {
        dealer.send("x").expect("sent");
    }
    assert_eq!(
        BTreeSet::from([name(), name()]),
        BTreeSet::from(["a", "b"].map(String::from))
    );
}
