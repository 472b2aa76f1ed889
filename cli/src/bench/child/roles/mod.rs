//! The loops that are measured, the same for all contestants.

mod connections;
mod publish;
mod push;
mod request;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::contestant::{Contestant, Receiver};
use super::meter::Meter;
use super::system::now;
use super::{Fallible, Report, Role, Task, say};

/// The number of buffers that a sender of shared payloads uses in turn.
pub(crate) const SHARED_BUFFERS: u64 = 64;

/// Does the task to its end.
pub(crate) fn play<C: Contestant>(contestant: &C, task: &Task) -> Fallible<Report> {
    match task.role {
        Role::Pull => contestant.run(pull(contestant, task, || say("ready"))),
        Role::Push => {
            let go = Go::new();
            contestant.run(push::push(contestant, task, || go.is_said(1)))
        }
        Role::Pair => pair(contestant, task),
        Role::Pub => {
            let go = Go::new();
            let go = |times| go.is_said(times);
            contestant.run(publish::publish(contestant, task, || say("ready"), go))
        }
        Role::Sub => contestant.run(publish::subscribe(contestant, task, || say("ready"))),
        Role::PubSub => publish::both(contestant, task),
        Role::Req => contestant.run(request::request(contestant, task)),
        Role::Rep => contestant.run(request::reply(contestant, task)),
        Role::Accept => contestant.run(connections::accept(contestant, task)),
        Role::Hold => contestant.run(connections::hold(contestant, task)),
        Role::Churn => contestant.run(connections::churn(contestant, task)),
        Role::Crowd => contestant.run(request::crowd(contestant, task)),
        Role::Tasks => contestant.run(contestant.share(task)),
        Role::Proxy => contestant.run(proxy(contestant, task)),
    }
}

async fn pull<C: Contestant>(
    contestant: &C,
    task: &Task,
    bound: impl FnOnce() -> Fallible<()>,
) -> Fallible<Report> {
    let mut socket = contestant.bind_pull(&task.endpoint).await?;
    bound()?;
    let mut meter = Meter::new(task, task.senders)?;
    while !meter.is_done() {
        socket.recv(|message| meter.take(message)).await??;
    }
    meter.report()
}

/// Goes on until the runner ends the process.
async fn proxy<C: Contestant>(contestant: &C, task: &Task) -> Fallible<Report> {
    let backend = task.onward.as_deref().ok_or("no place to send to")?;
    let bound = || say("ready");
    contestant.proxy(&task.endpoint, backend, bound).await?;
    Ok(Report::default())
}

/// The report is the receiver's, whose processor time is that of both threads; the time is that of whoever took longer.
fn pair<C: Contestant>(contestant: &C, task: &Task) -> Fallible<Report> {
    let (bound, is_bound) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let puller =
            scope.spawn(move || contestant.run(pull(contestant, task, || Ok(bound.send(())?))));
        // An error means that binding failed, which the puller reports.
        let sent = match is_bound.recv() {
            Ok(()) => contestant.run(push::push(contestant, task, || puller.is_finished()))?,
            Err(_) => Report::default(),
        };
        let received = puller.join().map_err(|_| "the receiver panicked")??;
        Ok(over_the_longer_time(received, &sent))
    })
}

/// What was received, over the time of whoever took longer.
fn over_the_longer_time(received: Report, sent: &Report) -> Report {
    Report {
        nanos: received.nanos.max(sent.nanos),
        ..received
    }
}

/// Keeps what is borrowed meanwhile: some libraries lose what a socket has queued when it is dropped or the process ends.
async fn wait_while<C: Contestant>(contestant: &C, condition: impl Fn() -> bool) {
    // The end of each wait is spent looking at the clock, which whoever still works could do without.
    const PERIOD: u64 = 50_000_000;
    while condition() {
        contestant.wait_until(now() + PERIOD).await;
    }
}

/// How often the runner has said the word; it is waited for in a thread of its own.
struct Go {
    said: Arc<AtomicUsize>,
}

impl Go {
    fn new() -> Go {
        let said = Arc::new(AtomicUsize::new(0));
        let teller = Arc::clone(&said);
        thread::spawn(move || {
            for _ in std::io::stdin().lines().map_while(Result::ok) {
                teller.fetch_add(1, Ordering::Release);
            }
            // The runner has gone: there is nothing left to wait for.
            teller.store(usize::MAX, Ordering::Release);
        });
        Go { said }
    }

    fn is_said(&self, times: usize) -> bool {
        self.said.load(Ordering::Acquire) >= times
    }
}
