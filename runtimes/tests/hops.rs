//! Who takes in what comes for a task: no other thread. In a process of its own, as its threads are watched.
#![cfg(target_os = "linux")]

mod common {
    pub(crate) mod block_on;
    pub(crate) mod deadline;
}
mod place;

use std::collections::HashMap;

use zerohop::{Rep, Req};

use place::Place;

/// The runtime's thread takes in what comes, and the background thread sleeps. (One that is woken for each message is switched to for
/// each.)
#[test]
fn a_message_wakes_its_task_without_the_background_thread() {
    const COUNT: u64 = 3_000;
    for place in Place::with_reactors() {
        let contexts = [place.context(), place.context()];
        let (rep, req) = (Rep::new(&contexts[0]), Req::new(&contexts[1]));
        let (rep, req) = (rep.expect("a REP"), req.expect("a REQ"));
        req.connect(rep.bind("tcp://127.0.0.1:*").expect("bound"))
            .expect("connected");
        let ask = || async {
            let answer = async {
                let request = rep.recv_async().await.expect("a request");
                request.reply("9.99").expect("replied");
            };
            let ask = async { req.request_async("price?").await.expect("a reply") };
            futures_lite::future::zip(ask, answer).await;
        };
        place.run(ask());
        let before = switches_of_background_threads();
        place.run(async {
            for _ in 0..COUNT {
                ask().await;
            }
        });
        let after = switches_of_background_threads();
        let more = |(thread, count): (&u64, &u64)| count - before.get(thread).unwrap_or(&0);
        let switches: u64 = after.iter().map(more).sum();
        // It looks at both sockets every few milliseconds.
        assert!(
            switches < COUNT / 2,
            "{switches} switches in {COUNT} round trips"
        );
    }
}

/// How often each of our threads has slept that wait for sockets.
fn switches_of_background_threads() -> HashMap<u64, u64> {
    let mut switches = HashMap::new();
    for task in std::fs::read_dir("/proc/self/task")
        .expect("threads")
        .flatten()
    {
        let read = |file| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if read("comm").trim() == "zerohop" {
            let status = read("status");
            let count = |line: &str| {
                line.strip_prefix("voluntary_ctxt_switches:")?
                    .trim()
                    .parse()
                    .ok()
            };
            let thread = task.file_name().to_string_lossy().parse();
            let count = status.lines().find_map(count).unwrap_or(0);
            switches.insert(thread.expect("a number"), count);
        }
    }
    switches
}
