//! The reactor of a runtime, which a child has only a copy of.

use std::collections::BTreeMap;
use std::fs;
use std::task::{Context as TaskContext, Waker};

use zerohop::{Context, Pull, Push, Reactor};

use crate::child::{Forked, Leaving};
use crate::common::block_on::block_on;

/// The epolls of this process by number, and how many descriptors are in each.
fn epolls() -> BTreeMap<i32, usize> {
    let all = fs::read_dir("/proc/self/fd").expect("descriptors");
    let epolls = all.filter_map(|entry| {
        let entry = entry.expect("a descriptor");
        let number: i32 = entry.file_name().to_string_lossy().parse().expect("one");
        let what = fs::read_link(entry.path()).ok()?;
        let facts = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok()?;
        let count = facts.lines().filter(|line| line.starts_with("tfd:"));
        let is_epoll = what.to_string_lossy().contains("eventpoll");
        is_epoll.then(|| (number, count.count()))
    });
    epolls.collect()
}

/// Sockets that talk, and whose task waits by this reactor.
struct Pair {
    pull: Pull,
    push: Push,
}

impl Pair {
    fn by(reactor: &Reactor) -> Pair {
        let context = Context::with_reactor(reactor.clone());
        let (pull, push) = (Pull::new(&context), Push::new(&context));
        let (pull, push) = (pull.expect("a PULL"), push.expect("a PUSH"));
        push.connect(pull.bind("tcp://127.0.0.1:*").expect("bound"))
            .expect("connected");
        Pair { pull, push }
    }

    fn pass(&self, meanwhile: impl FnOnce()) {
        let mut waits = Box::pin(self.pull.recv_async());
        let mut task = TaskContext::from_waker(Waker::noop());
        assert!(waits.as_mut().poll(&mut task).is_pending());
        meanwhile();
        self.push.send("x").expect("sent");
        assert_eq!(block_on(waits).expect("received"), "x");
    }
}

/// What a child put into the parent's epoll, the parent's runtime would be told of, by an address that is the child's. In a child, which other tests don't
/// change the epolls of.
#[test]
fn a_child_leaves_the_parents_reactor_alone() {
    Forked::start(Leaving::AtOnce, || {
        let others = epolls();
        let builder = &mut tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_io().build().expect("a runtime");
        let reactors = [
            runtime.block_on(async { Reactor::tokio().expect("it has one") }),
            #[cfg(feature = "async-io")]
            Reactor::async_io(),
        ];
        // There it is made when it is first used.
        #[cfg(feature = "async-io")]
        let (first, _second) = std::os::unix::net::UnixStream::pair().expect("a pair");
        #[cfg(feature = "async-io")]
        drop(async_io::Async::new(first).expect("waited for"));
        let mut theirs = epolls();
        theirs.retain(|number, _| !others.contains_key(number));
        assert!(theirs.len() >= reactors.len());
        let pairs: Vec<Pair> = reactors.iter().map(Pair::by).collect();
        pairs.iter().for_each(|pair| pair.pass(|| {}));
        Forked::start(Leaving::AtOnce, || {
            let inherited = epolls();
            // The parent may take something out meanwhile.
            let unchanged = || {
                let now = epolls();
                let mut theirs = theirs.keys();
                assert!(theirs.all(|number| now[number] <= inherited[number]));
            };
            for reactor in &reactors {
                Pair::by(reactor).pass(unchanged);
            }
            #[cfg(feature = "async-io")]
            Pair::by(&Reactor::async_io()).pass(unchanged);
        })
        .succeed();
        pairs.iter().for_each(|pair| pair.pass(|| {}));
    })
    .succeed();
}
