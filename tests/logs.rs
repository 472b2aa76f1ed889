//! What the application's log is told: every event of every socket, without a monitor, under the target `zerohop`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use log::{Level, LevelFilter, Log, Metadata, Record};
use zerohop::{Context, Pub, Pull, Push};

mod common {
    pub(crate) mod deadline;
}

use common::deadline::DEADLINE;

/// Sends lines on to the test.
struct Lines(OnceLock<Mutex<Sender<(Level, String)>>>);

static LINES: Lines = Lines(OnceLock::new());

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "zerohop"
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata())
            && let Some(lines) = self.0.get()
            && let Ok(lines) = lines.lock()
        {
            let _ = lines.send((record.level(), record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// Waits for a line of this level that contains all of these.
fn expect(log: &mut Told, level: Level, parts: &[&str]) {
    let end = Instant::now() + DEADLINE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let Ok(line) = log.lines.recv_timeout(left) else {
            panic!("no line of {level} with {parts:?}, only {:#?}", log.all);
        };
        let found = line.0 == level && parts.iter().all(|part| line.1.contains(part));
        log.all.push(line);
        if found {
            return;
        }
    }
}

/// Lines to come, and all that came.
struct Told {
    lines: Receiver<(Level, String)>,
    all: Vec<(Level, String)>,
}

/// One test, because there is one logger per process.
#[test]
fn events_are_logged() {
    let (sender, lines) = channel();
    LINES.0.get_or_init(|| Mutex::new(sender));
    log::set_logger(&LINES).expect("the only logger");
    log::set_max_level(LevelFilter::Trace);
    let mut log = Told {
        lines,
        all: Vec::new(),
    };
    let context = Context::new();

    let pull = Pull::new(&context).expect("a PULL");
    let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    expect(&mut log, Level::Info, &[&endpoint, "listening"]);

    // Strangers, of whom the log has a number at most.
    let address = endpoint.strip_prefix("tcp://").expect("a tcp endpoint");
    for _ in 0..50 {
        let mut stream = TcpStream::connect(address).expect("connected");
        stream
            .write_all(b"GET / HTTP/1.1\r\n\r\n")
            .expect("written");
        let _ = stream.read_to_end(&mut Vec::new());
    }
    for _ in 0..10 {
        expect(&mut log, Level::Warn, &[&endpoint, "this looks like HTTP"]);
    }

    // A type that does not fit.
    let publisher = Pub::new(&context).expect("a PUB");
    publisher.connect(&*endpoint).expect("connecting");
    expect(&mut log, Level::Warn, &["the peer is a PULL socket"]);
    drop(publisher);

    // A port where nobody listens.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = format!("tcp://{}", listener.local_addr().expect("its address"));
    drop(listener);
    let push = Push::new(&context).expect("a PUSH");
    push.connect(&*nobody).expect("connecting");
    expect(&mut log, Level::Debug, &[&nobody, "connect failed"]);
    expect(&mut log, Level::Debug, &[&nobody, "next attempt in"]);

    // A peer that comes and goes.
    push.connect(&*endpoint).expect("connecting");
    expect(&mut log, Level::Info, &[&endpoint, "handshake done"]);
    drop(push);
    expect(&mut log, Level::Info, &[&endpoint, "disconnected"]);
    drop(pull);
    expect(&mut log, Level::Info, &[&endpoint, "no longer listening"]);

    log.all.extend(log.lines.try_iter());
    let strangers = log
        .all
        .iter()
        .filter(|line| line.1.contains("HTTP"))
        .count();
    assert!(strangers < 50, "{strangers} lines about one machine");
}
