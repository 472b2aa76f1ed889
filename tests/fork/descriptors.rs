//! What a program inherits that the application runs beside its sockets: no descriptor of the library's.

#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use zerohop::spool::Spool;
use zerohop::{
    Allow, Context, Delivery, Log, Options, PollRecv, PollSend, Poller, Pub, Pull, Push,
    ReplayFrom, Sub,
};

use crate::child::{Forked, Leaving, Over};
use crate::common::deadline::DEADLINE;
use crate::common::unique;

mod system {
    use std::ffi::c_int;

    unsafe extern "C" {
        pub(super) fn dup(fd: c_int) -> c_int;
    }
}

/// `O_CLOEXEC`, as the system shows it.
const CLOSED_BY_EXEC: u32 = 0o2_000_000;

/// A copy that a program inherits.
fn inheritable(fd: &impl AsRawFd) -> OwnedFd {
    // SAFETY: the copy is new, and nobody else has it.
    let copy = unsafe { system::dup(fd.as_raw_fd()) };
    assert!(copy >= 0, "no copy");
    // SAFETY: as above.
    unsafe { OwnedFd::from_raw_fd(copy) }
}

/// The descriptors of this process that a program inherits, and what they are; and how many there are besides.
fn inherited() -> (BTreeSet<(i32, PathBuf)>, usize) {
    let mut all = BTreeSet::new();
    let mut others = 0;
    for entry in fs::read_dir("/proc/self/fd").expect("descriptors") {
        let entry = entry.expect("a descriptor");
        let number: i32 = entry.file_name().to_string_lossy().parse().expect("one");
        // Another thread may have closed it meanwhile.
        let what = fs::read_link(entry.path());
        let facts = fs::read_to_string(format!("/proc/self/fdinfo/{number}"));
        let (Ok(what), Ok(facts)) = (what, facts) else {
            continue;
        };
        let flags = facts.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = u32::from_str_radix(flags.expect("flags").trim(), 8).expect("a number");
        if flags & CLOSED_BY_EXEC == 0 {
            all.insert((number, what));
        } else {
            others += 1;
        }
    }
    (all, others)
}

/// Looks all the time, since a descriptor that is set right later is inherited by who forks before. In a child, which other tests don't fork from.
#[test]
fn no_program_inherits_a_descriptor() {
    Forked::start(Leaving::AtOnce, || {
        let (before, _) = inherited();
        let found = inheritable(&fs::File::open("/dev/null").expect("a file"));
        let (now, _) = inherited();
        let new: Vec<_> = now.difference(&before).collect();
        assert_eq!(new, [&(found.as_raw_fd(), "/dev/null".into())]);
        drop(found);
        let over = AtomicBool::new(false);
        let (leaked, most) = thread::scope(|scope| {
            let looking = scope.spawn(|| {
                let (mut leaked, mut most) = (BTreeSet::new(), 0);
                while !over.load(Ordering::Relaxed) {
                    let (now, others) = inherited();
                    leaked.extend(now.difference(&before).cloned());
                    most = others.max(most);
                }
                (leaked, most)
            });
            let ended = Over(&over);
            for (round, context) in contexts().into_iter().enumerate() {
                let name = format!("{}-{round}", unique::name());
                let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
                fs::create_dir_all(&folder).expect("a folder");
                open_everything(&context, &folder);
                fs::remove_dir_all(&folder).expect("removed");
            }
            drop(ended);
            looking.join().expect("it looked")
        });
        assert_eq!(leaked, BTreeSet::new());
        assert!(most > 20, "it has not looked while there was something");
        // Who hands a listener down has it inheritable.
        let context = Context::new();
        let pull = Pull::new(&context).expect("a PULL");
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let handed = inheritable(&listener);
        pull.bind_listener(handed).expect("taken over");
        assert_eq!(inherited().0, before);
    })
    .succeed();
}

/// With the background thread, and with each reactor there is.
fn contexts() -> Vec<Context> {
    vec![
        Context::new(),
        #[cfg(feature = "async-io")]
        Context::with_reactor(zerohop::Reactor::async_io()),
    ]
}

/// One of each, all at the same time.
fn open_everything(context: &Context, folder: &Path) {
    let mut open = Vec::new();
    let list = folder.join("list");
    fs::write(&list, "user alice tiger\n").expect("a list");
    for endpoint in [
        "tcp://127.0.0.1:*",
        "tcp://lo:*",
        "tcp://localhost:*",
        "ipc://*",
        "inproc://descriptors",
    ] {
        let server = Options::new().plain_server(true).allow(Allow::path(&list));
        let client = Options::new().plain_client("alice", "tiger");
        let pull = Pull::with_options(context, server).expect("a PULL");
        let push = Push::with_options(context, client).expect("a PUSH");
        let monitor = pull.monitor();
        push.connect(pull.bind(endpoint).expect("bound"))
            .expect("connected");
        let mut poller = Poller::new().expect("a poller");
        let fds = (push.send_fd().expect("one"), pull.recv_fd().expect("one"));
        poller.add_recv(0, &pull).expect("added");
        poller.add_readable(1, &fds.1).expect("added");
        push.send("x").expect("sent");
        crate::common::block_on::block_on(pull.recv_async()).expect("received");
        open.push((push, pull, monitor, poller, fds));
    }
    let delivery = Delivery::at_least_once();
    let pull = Pull::with_options(context, Options::new().delivery(delivery.clone()));
    let pull = pull.expect("a PULL");
    let spool = Spool::at(folder.join("spool"));
    let push = Push::with_options(context, Options::new().delivery(delivery.spool(spool)));
    let push = push.expect("a PUSH");
    push.connect(pull.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    push.send("x").expect("stored");
    let job = pull.recv_job_timeout(DEADLINE).expect("received");
    job.settle().expect("settled");
    let log = Options::new().log(Log::at(folder.join("log")));
    let publisher = Pub::with_options(context, log).expect("a PUB");
    let sub = Sub::new(context).expect("a SUB");
    sub.subscribe_from("", ReplayFrom::Resume(folder.join("cursor")))
        .expect("subscribed");
    sub.connect(publisher.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    publisher
        .wait_for_subscribers("", 1, DEADLINE)
        .expect("subscribed");
    publisher.send("x").expect("published");
    sub.recv_timeout(DEADLINE).expect("received");
    sub.save_cursors().expect("saved");
    #[cfg(feature = "curve")]
    zerohop::KeyPair::generate()
        .and_then(|pair| pair.write(folder.join("key")))
        .expect("written");
    push.close(DEADLINE).expect("closed");
    publisher.close(DEADLINE).expect("closed");
}
