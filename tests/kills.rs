//! Processes that are killed, and a link that is cut, while they send and work by way of a spool: nothing that was accepted is lost, and what was
//! done twice is counted.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod until;
}

use std::collections::HashSet;
use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write, stderr, stdout};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use zerohop::spool::{Spool, Sync};
use zerohop::{Context, Delivery, Options, Pull, Push};

use common::deadline::DEADLINE;
use common::until::{GLANCE, until};

/// Set in a child: what it is.
const ROLE: &str = "ZEROHOP_TEST_KILLS_ROLE";
/// Its folder.
const FOLDER: &str = "ZEROHOP_TEST_KILLS_FOLDER";
/// The number of its first message.
const FIRST: &str = "ZEROHOP_TEST_KILLS_FIRST";
/// How many kills and cuts there are, the longest time between two in milliseconds, and the seed of their times.
const KILLS: &str = "ZEROHOP_TEST_KILLS";
const PAUSE: &str = "ZEROHOP_TEST_KILLS_PAUSE";
const SEED: &str = "ZEROHOP_TEST_KILLS_SEED";

/// So many are quick.
const FEW_KILLS: u64 = 24;
const SHORT_PAUSE: u64 = 60;

/// No sender gets as far.
const NUMBERS_EACH: u64 = 10_000_000;

fn options(folder: &Path, sync: Sync) -> Options {
    let delivery = Delivery::at_least_once()
        .grace(Duration::from_millis(10))
        .backoff(Duration::from_millis(1), Duration::from_millis(10))
        .limit(100_000)
        .required()
        .spool(
            Spool::at(folder.join("spool"))
                .sync(sync)
                .segment_size(1 << 20),
        );
    Options::new()
        .delivery(delivery)
        .reconnect_interval(Duration::from_millis(2))
        .reconnect_interval_max(None)
}

/// Where senders are.
fn near(folder: &Path) -> PathBuf {
    folder.join("s")
}

/// Where workers find them.
fn far(folder: &Path) -> PathBuf {
    folder.join("w")
}

fn endpoint(socket: &Path) -> String {
    format!("ipc://{}", socket.display())
}

/// No test by itself: what [`whoever_is_killed_nothing_is_lost`] starts.
#[test]
fn child_that_sends_or_works_until_it_is_killed() {
    let (Ok(role), Some(folder)) = (env::var(ROLE), env::var_os(FOLDER)) else {
        return;
    };
    let folder = PathBuf::from(folder);
    match role.as_str() {
        "sender" => send(&folder, Sync::Os),
        "syncing sender" => send(&folder, Sync::Disk),
        "last sender" => settle_all(&folder),
        _ => work(&folder),
    }
}

fn push(folder: &Path, sync: Sync) -> Push {
    let push = Push::with_options(&Context::new(), options(folder, sync)).expect("a PUSH");
    push.bind(&*endpoint(&near(folder))).expect("bound");
    push
}

/// Sends one by one and in batches, the longest of which are stored in several groups. Says of each message when it has been accepted.
fn send(folder: &Path, sync: Sync) {
    let first = env::var(FIRST).expect("a number");
    let first: u64 = first.parse().expect("a number");
    let push = push(folder, sync);
    let mut out = stdout().lock();
    let mut next = first;
    for len in [1, 1, 7, 1, 300, 1, 1, 600].into_iter().cycle() {
        let numbers = next..next + len;
        next = numbers.end;
        let messages: Vec<String> = numbers.clone().map(|number| number.to_string()).collect();
        if let [one] = &messages[..] {
            push.send(one).expect("sent");
        } else {
            push.send_batch(messages).expect("sent");
        }
        // What is there of a line is all of it, but for the last one.
        let lines: String = numbers
            .map(|number| format!("accepted {number}\n"))
            .collect();
        out.write_all(lines.as_bytes()).expect("somebody who reads");
        out.flush().expect("somebody who reads");
    }
}

fn settle_all(folder: &Path) {
    let push = push(folder, Sync::Os);
    // A socket that closes lets no worker in any more.
    until("all is settled", || {
        thread::sleep(GLANCE);
        (push.stats().delivery.unsettled == 0).then_some(())
    });
    push.close(DEADLINE).expect("all is settled");
}

/// Writes down what it has done, and settles it then.
fn work(folder: &Path) {
    let pull = Pull::with_options(&Context::new(), options(folder, Sync::Os)).expect("a PULL");
    pull.connect(&*endpoint(&far(folder))).expect("connected");
    let mut done = OpenOptions::new();
    let mut done = done
        .append(true)
        .create(true)
        .open(folder.join("done"))
        .expect("a file");
    loop {
        let job = pull.recv_job().expect("a job");
        let line = format!("{}\n", job.message().to_str().expect("text"));
        done.write_all(line.as_bytes()).expect("written");
        // If the sender is gone it sends it again.
        let _ = job.settle();
    }
}

/// A process, which is killed in any case.
struct Process {
    child: Child,
    /// The numbers that it has accepted.
    accepted: Option<JoinHandle<Vec<u64>>>,
}

impl Process {
    fn start(role: &str, folder: &Path, first: u64) -> Process {
        let mut child = Command::new(env::current_exe().expect("this program"))
            .args(["child_that_sends_or_works_until_it_is_killed", "--exact"])
            .arg("--nocapture")
            .env(ROLE, role)
            .env(FOLDER, folder)
            .env(FIRST, first.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let out = child.stdout.take().expect("its output");
        Process {
            child,
            accepted: Some(thread::spawn(move || accepted(out))),
        }
    }

    /// Gives what it has accepted.
    fn kill(mut self) -> Vec<u64> {
        self.child.kill().expect("killed");
        self.child.wait().expect("its end");
        let accepted = self.accepted.take().expect("once");
        accepted.join().expect("no panic")
    }

    fn succeeds(mut self) {
        let status = self.child.wait().expect("its end");
        assert!(status.success(), "{status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn accepted(out: impl Read) -> Vec<u64> {
    let mut out = BufReader::new(out);
    let mut accepted = Vec::new();
    let mut line = Vec::new();
    while out.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&line);
        let number: Option<u64> = text.strip_suffix('\n').and_then(|text| {
            // The harness prints, too, and ends its line only when the test is over.
            let (_, number) = text.rsplit_once("accepted ")?;
            number.parse().ok()
        });
        accepted.extend(number);
        line.clear();
    }
    accepted
}

/// What workers go by to a sender, whichever there is, and can be cut.
struct Link(Arc<Mutex<Vec<UnixStream>>>);

impl Link {
    fn new(folder: &Path) -> Link {
        let listener = UnixListener::bind(far(folder)).expect("a socket");
        let sender = near(folder);
        let ends = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&ends);
        thread::spawn(move || {
            for worker in listener.incoming().map_while(Result::ok) {
                // Without a sender the worker is let go, and comes again.
                let Ok(sender) = UnixStream::connect(&sender) else {
                    continue;
                };
                for (from, to) in [(&worker, &sender), (&sender, &worker)] {
                    let mut from = from.try_clone().expect("a descriptor");
                    let mut to = to.try_clone().expect("a descriptor");
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                kept.lock().expect("no panic").extend([worker, sender]);
            }
        });
        Link(ends)
    }

    fn cut(&self) {
        for end in self.0.lock().expect("no panic").drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

/// Same seed, same schedule, as far as the system runs processes alike.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

fn number_from(name: &str, usual: u64) -> u64 {
    let number = env::var(name).ok();
    number.map_or(usual, |number| number.parse().expect("a number"))
}

/// `ZEROHOP_TEST_KILLS=1000 cargo test --test kills` kills more often; with `ZEROHOP_TEST_KILLS_PAUSE=250` that took three minutes,
/// and there were 64 million jobs. `ZEROHOP_TEST_KILLS_SEED` is another schedule.
#[test]
fn whoever_is_killed_nothing_is_lost() {
    let (kills, seed) = (number_from(KILLS, FEW_KILLS), number_from(SEED, 1));
    let pause = number_from(PAUSE, SHORT_PAUSE) * 1_000;
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    // The name of an ipc endpoint has to be short.
    let folder = env::temp_dir().join(format!("zh-kills-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).expect("made");
    let start = Instant::now();
    let mut accepted = Vec::new();
    let (mut senders, mut workers, mut cuts) = (0, 0, 0);
    let link = Link::new(&folder);
    let mut sender = Process::start("sender", &folder, 1);
    let mut worker = Process::start("worker", &folder, 0);
    for _ in 0..kills {
        // They are killed at any time, while they start, too.
        thread::sleep(Duration::from_micros(random.below(pause)));
        let whom = random.below(4);
        if whom == 3 {
            cuts += 1;
            link.cut();
            continue;
        }
        if whom != 0 {
            workers += 1;
            worker.kill();
            worker = Process::start("worker", &folder, 0);
        }
        if whom != 1 {
            senders += 1;
            accepted.extend(sender.kill());
            let role = match random.below(4) {
                0 => "syncing sender",
                _ => "sender",
            };
            sender = Process::start(role, &folder, senders * NUMBERS_EACH);
        }
    }
    accepted.extend(sender.kill());
    Process::start("last sender", &folder, 0).succeeds();
    worker.kill();

    let done = fs::read_to_string(folder.join("done")).expect("what was done");
    let done: Vec<u64> = done
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    let distinct: HashSet<u64> = done.iter().copied().collect();
    let lost: Vec<&u64> = accepted
        .iter()
        .filter(|number| !distinct.contains(number))
        .collect();
    let told = format!(
        "seed {seed}: {senders} senders and {workers} workers killed, {cuts} cuts, in {:.1} s; accepted {}, done {}, of these {} twice or more and {} not accepted, lost {}",
        start.elapsed().as_secs_f64(),
        accepted.len(),
        distinct.len(),
        done.len() - distinct.len(),
        distinct.len() - (accepted.len() - lost.len()),
        lost.len(),
    );
    writeln!(stderr(), "{told}").expect("somebody who reads");
    assert!(lost.is_empty(), "{told}: {lost:?}");
    assert!(!accepted.is_empty(), "{told}");
    let left = Spool::at(folder.join("spool")).open().expect("a spool");
    assert!(left.is_empty(), "{} are left", left.len());
    drop(left);
    fs::remove_dir_all(&folder).expect("removed");
}
