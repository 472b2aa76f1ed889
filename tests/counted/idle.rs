//! Ten thousand peers that have nothing to say.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::common::until::until;
use crate::gate::missing;
use crate::worker::{Worker, hear, say};

const PEERS: u64 = 10_000;

/// In the process that accepts, with all that belongs to a peer.
const MOST: u64 = 4096;

/// How long nothing must happen.
const QUIET: Duration = Duration::from_secs(3);

/// Runs the rest of its command line with room for so many connections.
pub(crate) const ROOMY: [&str; 3] = ["sh", "-c", "ulimit -n 10500 && exec \"$0\" \"$@\""];

#[test]
fn idle_peers_cost_next_to_nothing() {
    if !is_roomy() {
        return missing("10,000 idle peers", "a limit of 10,500 open files");
    }
    let mut acceptor = Worker::start_behind(&ROOMY, "accept");
    let mut crowd = Worker::start_behind(&ROOMY, &format!("crowd {}", acceptor.next()));
    let mut hold = |peers: u64| {
        crowd.tell(&peers.to_string());
        crowd.next();
        acceptor.tell(&format!("count {peers}"));
        acceptor.next();
        resident(acceptor.id())
    };
    // The first ones bring in code and buffers.
    let (before, after) = (hold(10), hold(PEERS));
    if let (Some(before), Some(after)) = (before, after) {
        let each = after.saturating_sub(before) / (PEERS - 10);
        println!("{each} bytes for each of {PEERS} idle peers");
        assert!(each <= MOST, "{each} bytes for each idle peer");
    }

    assert_quiet(&acceptor);
    // With a thread that waits for a message, too: the caretaker leaves all to it.
    acceptor.tell("receive");
    assert_eq!(acceptor.next(), "receiving");
    assert_quiet(&acceptor);
    crowd.tell("speak");
    assert_eq!(acceptor.next(), "hello");
}

/// Whether the system lets a process have that.
pub(crate) fn is_roomy() -> bool {
    let probe = Command::new("sh").args(["-c", "ulimit -n 10500"]).status();
    probe.is_ok_and(|status| status.success())
}

/// The other side, in a process of its own: as many connected peers as it is told.
pub(crate) fn crowd(endpoint: &str) {
    let address = endpoint.strip_prefix("tcp://").expect("a tcp endpoint");
    let mut peers = Vec::new();
    while let Some(line) = hear() {
        if line == "speak" {
            let one: &mut TcpStream = &mut peers[5000];
            one.write_all(b"\x00\x05hello").expect("written");
            continue;
        }
        let count: usize = line.parse().expect("a number");
        while peers.len() < count {
            peers.push(connect(address));
        }
        say("connected");
    }
}

/// A PUSH, handshake done, in one system call for either direction.
fn connect(address: &str) -> TcpStream {
    let mut hello = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1];
    hello.extend_from_slice(b"NULL");
    hello.resize(64, 0);
    hello.extend_from_slice(b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH");
    let mut peer = TcpStream::connect(address).expect("connected");
    peer.write_all(&hello).expect("written");
    // PULL is as long.
    peer.read_exact(&mut vec![0; hello.len()])
        .expect("its half");
    peer
}

/// Waits for a time in which no thread of the process wakes up even once. Deadlines of the handshakes, and what else
/// is left to do, may come first.
fn assert_quiet(worker: &Worker) {
    until("nothing happens for a while", || {
        let before = switches(worker.id())?;
        match worker.next_within(QUIET) {
            Ok(None) => {}
            other => panic!("not idle: {other:?}"),
        }
        (switches(worker.id())? == before).then_some(())
    });
}

/// How often the threads of a process have been put on a processor, all together: each wake-up counts.
#[cfg(target_os = "linux")]
fn switches(process: u32) -> Option<u64> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let counts = threads.map(|thread| {
        let status = fs::read_to_string(thread.ok()?.path().join("status")).ok()?;
        let fields = status
            .lines()
            .filter(|line| line.contains("ctxt_switches:"));
        let count = |line: &str| line.rsplit('\t').next()?.parse::<u64>().ok();
        fields.map(count).sum::<Option<u64>>()
    });
    counts.sum()
}

/// Only Linux tells.
#[cfg(not(target_os = "linux"))]
fn switches(_process: u32) -> Option<u64> {
    Some(0)
}

/// The bytes of a process in physical memory, where the system tells.
pub(crate) fn resident(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}
