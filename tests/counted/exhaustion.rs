//! Running out: of file descriptors, and of room for the file of an ipc socket.

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use zerohop::{BindError, ConnectError, Context, Options, Pull, Push};

use crate::common::deadline::DEADLINE;
use crate::common::unique;
use crate::common::until::until;
use crate::gate::missing;
use crate::worker::{Worker, say};

/// Runs the rest of its command line with few files to spare.
const SCARCE: [&str; 3] = ["sh", "-c", "ulimit -n 48 && exec \"$0\" \"$@\""];

/// With more connections than files, the listener rests instead of spinning, those who are in are served, and the
/// others get in when there is room.
#[test]
fn a_listener_without_files_rests_and_recovers() {
    let scarce = Worker::start_behind(&SCARCE, "scarce");
    let endpoint = scarce.next();
    let address = endpoint.strip_prefix("tcp://").expect("a tcp endpoint");
    let context = Context::new();
    let early = Push::new(&context).expect("a PUSH");
    early.connect(&endpoint).expect("connected");
    early.wait_for_peers(1, DEADLINE).expect("connected");

    let crowd: Vec<TcpStream> = (0..100)
        .map(|_| TcpStream::connect(address).expect("in the backlog"))
        .collect();
    let (mut accepted, start) = (0, Instant::now());
    let mut refused = 0;
    while refused < 5 {
        match scarce.next().as_str() {
            "accepted" => accepted += 1,
            line => refused += usize::from(line.starts_with("refused")),
        }
    }
    assert!(accepted < 48, "{accepted} accepted");
    // It rests a tenth of a second at a time; the first refusal may come at once.
    assert!(
        start.elapsed() >= Duration::from_millis(300),
        "{:?}",
        start.elapsed()
    );

    early.send_timeout("early", DEADLINE).expect("sent");
    let late = Push::new(&context).expect("a PUSH");
    late.connect(&endpoint).expect("connected");
    expect(&scarce, "received early");
    drop(crowd);
    late.send_timeout("late", DEADLINE).expect("sent");
    expect(&scarce, "received late");
}

fn expect(worker: &Worker, expected: &str) {
    let end = Instant::now() + DEADLINE;
    while worker.next() != expected {
        assert!(Instant::now() < end, "never {expected}");
    }
}

/// Where no socket file can be made, bind says so, and leaves what is there alone.
#[test]
fn an_ipc_path_that_cannot_be_bound_is_an_error() {
    let folder = std::env::temp_dir().join(unique::name());
    let pull = Pull::new(&Context::new()).expect("a PULL");
    let path = folder.join("socket");
    let missing = pull.bind(format!("ipc://{}", path.display()));
    assert!(missing.is_err(), "{missing:?}");

    fs::create_dir(&folder).expect("a folder");
    fs::write(&path, "a file of somebody's").expect("a file");
    let taken = pull.bind(format!("ipc://{}", path.display()));
    assert!(
        matches!(taken, Err(BindError::NotASocket { .. })),
        "{taken:?}"
    );
    assert_eq!(fs::read(&path).expect("the file"), b"a file of somebody's");
    let folder_itself = pull.bind(format!("ipc://{}", folder.display()));
    assert!(folder_itself.is_err(), "{folder_itself:?}");

    // Nothing was lost by that: the socket binds where it can.
    let other = folder.join("other");
    pull.bind(format!("ipc://{}", other.display()))
        .expect("bound");
    drop(pull);
    assert!(!other.exists(), "the socket's file stays");
    fs::remove_dir_all(&folder).expect("removed");
}

/// A file system without room for one more file, mounted where only the child sees it.
#[test]
fn an_ipc_path_on_a_full_disk_is_an_error() {
    let folder = std::env::temp_dir().join(unique::name());
    fs::create_dir(&folder).expect("a folder");
    let mount = format!("mount -t tmpfs -o nr_inodes=1 none {}", folder.display());
    let allowed = Command::new("unshare")
        .args(["-m", "sh", "-c", &mount])
        .status()
        .is_ok_and(|status| status.success());
    if allowed {
        let script = format!("{mount} && exec \"$0\" \"$@\"");
        let role = format!("bind_in {}", folder.display());
        let worker = Worker::start_behind(&["unshare", "-m", "sh", "-c", &script], &role);
        assert_eq!(worker.next(), "refused");
        worker.finish();
    } else {
        missing("a full disk", "right to mount one");
    }
    fs::remove_dir(&folder).expect("removed");
}

/// The child's part.
pub(crate) fn bind_in(folder: &str) {
    let pull = Pull::new(&Context::new()).expect("a PULL");
    let refused = pull.bind(format!("ipc://{folder}/socket"));
    assert!(refused.is_err(), "{refused:?}");
    pull.bind("tcp://127.0.0.1:*").expect("bound elsewhere");
    say("refused");
}

/// A body that the system has no memory for ends its connection, and neither the process nor another connection.
#[test]
#[cfg(target_os = "linux")]
fn a_body_that_there_is_no_memory_for_ends_its_connection() {
    const SPARE: u64 = 48 << 20;
    let worker = Worker::start("little_memory");
    let endpoint = worker.next();
    let context = Context::new();
    let good = Push::new(&context).expect("a PUSH");
    good.connect(&endpoint).expect("connected");
    good.send("first").expect("sent");
    assert_eq!(worker.next(), "first");
    let statm = fs::read_to_string(format!("/proc/{}/statm", worker.id())).expect("its memory");
    let pages = statm.split(' ').next().and_then(|pages| pages.parse().ok());
    let pages: u64 = pages.expect("a number of pages");
    let limited = Command::new("prlimit")
        .arg(format!("--pid={}", worker.id()))
        .arg(format!("--as={}", pages * 4096 + SPARE))
        .status()
        .is_ok_and(|status| status.success());
    if !limited {
        return missing("a limit of memory", "prlimit");
    }
    let greedy = Push::with_options(&context, Options::new().linger(Duration::ZERO));
    let greedy = greedy.expect("a PUSH");
    greedy.connect(&endpoint).expect("connected");
    greedy.send(vec![0; 128 << 20]).expect("sent");
    assert_eq!(worker.next(), "OutOfMemory");
    drop(greedy);
    good.send("second").expect("sent");
    // It may have connected again before it was dropped.
    expect(&worker, "second");
}

/// Few files, as a shell gives them at the least.
const SOME: [&str; 3] = ["sh", "-c", "ulimit -n 256 && exec \"$0\" \"$@\""];

/// A socket without an endpoint takes no descriptor; with one it takes three, and its connections. When there are no more, `bind` and
/// `connect` say so.
#[test]
fn sockets_take_descriptors_with_their_first_endpoint() {
    let worker = Worker::start_behind(&SOME, "count_sockets");
    assert_eq!(worker.next(), "1000 without an endpoint");
    let connected: usize = worker.next().parse().expect("a number");
    // Four each; the listener, its ends of the connections are in another process.
    assert!((55..64).contains(&connected), "{connected} connected");
    assert_eq!(worker.next(), "connect refused");
    assert_eq!(worker.next(), "bind refused");
    assert_eq!(worker.next(), "bound again");
    worker.finish();
}

/// The child's part.
pub(crate) fn count_sockets() {
    let context = Context::new();
    let unused: Vec<Push> = (0..1_000).map_while(|_| Push::new(&context).ok()).collect();
    say(format!("{} without an endpoint", unused.len()));
    // Nobody listens: a connection attempt has its descriptor all the same, for as long as it lasts.
    let listener = std::os::unix::net::UnixListener::bind(socket_path()).expect("bound");
    let endpoint = format!("ipc://{}", socket_path().display());
    let mut connected = Vec::new();
    let mut rest = unused.into_iter();
    let refused = loop {
        let push = rest.next().expect("more sockets than descriptors");
        match push.connect(endpoint.as_str()) {
            Ok(()) => connected.push(push),
            Err(error) => break error,
        }
    };
    say(connected.len());
    assert!(matches!(refused, ConnectError::Io(_)), "{refused:?}");
    say("connect refused");
    let push = rest.next().expect("one more");
    let refused = push.bind("inproc://one-more").expect_err("no descriptor");
    assert!(matches!(refused, BindError::Io { .. }), "{refused:?}");
    say("bind refused");
    drop(connected);
    // The background thread lets go of them.
    until("descriptors come free", || {
        thread::yield_now();
        push.bind("inproc://one-more").ok()
    });
    say("bound again");
    drop(listener);
    let _ = fs::remove_file(socket_path());
}

fn socket_path() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("zerohop-test-{}-count", std::process::id()))
}
