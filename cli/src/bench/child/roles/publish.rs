//! PUB and its subscribers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use super::super::contestant::{Contestant, Receiver, Sender};
use super::super::meter::Meter;
use super::super::payload::{Header, Kind, Writer};
use super::super::system::now;
use super::super::{Fallible, Report, Task};
use super::push::{open_loop, stream};
use super::{over_the_longer_time, wait_while};

/// The pause between two probes, in nanoseconds.
const PROBE_PERIOD: u64 = 5_000_000;

/// A subscriber takes so many messages from a socket before it goes on to the next.
const DRAIN: usize = 64;

/// Publishes probes until it is said for the first time, when all subscribers have seen one, and then what is measured. Keeps the
/// socket until it is said for the second time.
pub(crate) async fn publish<C: Contestant>(
    contestant: &C,
    task: &Task,
    bound: impl FnOnce() -> Fallible<()>,
    is_said: impl Fn(usize) -> bool,
) -> Fallible<Report> {
    let mut socket = contestant.bind_pub(&task.endpoint).await?;
    bound()?;
    // Subscriptions arrive in order: who gets the last topic has all.
    let topic = task.topic_list().pop().unwrap_or_default();
    let mut writer = Writer::new(task.topic_len(), task.size)?;
    while !is_said(1) {
        let probe = Header {
            kind: Kind::Probe,
            source: 0,
            seq: 0,
            stamp: 0,
        };
        socket.send(writer.write_one(probe, &topic)).await?;
        socket.flush().await?;
        contestant.wait_until(now() + PROBE_PERIOD).await;
    }
    let report = match task.rate {
        Some(rate) => open_loop(contestant, task, &mut socket, rate).await?,
        None => stream(task, std::slice::from_mut(&mut socket)).await?,
    };
    wait_while(contestant, || !is_said(2)).await;
    Ok(report)
}

/// Both in one process. The report is the subscribers', whose processor time is that of both threads; the time is that of whoever
/// took longer.
pub(crate) fn both<C: Contestant>(contestant: &C, task: &Task) -> Fallible<Report> {
    let (bound, is_bound) = mpsc::channel();
    let subscribed = &AtomicBool::new(false);
    thread::scope(|scope| {
        let subscriber = scope.spawn(move || {
            // An error means that binding failed, which the publisher reports.
            if is_bound.recv().is_err() {
                return Ok(Report::default());
            }
            let ready = || {
                subscribed.store(true, Ordering::Release);
                Ok(())
            };
            contestant.run(subscribe(contestant, task, ready))
        });
        let is_said =
            |times| subscriber.is_finished() || (times == 1 && subscribed.load(Ordering::Acquire));
        let bound = move || Ok(bound.send(())?);
        let sent = contestant.run(publish(contestant, task, bound, is_said))?;
        let received = subscriber.join().map_err(|_| "the subscriber panicked")??;
        Ok(over_the_longer_time(received, &sent))
    })
}

/// Subscribes with all sockets of the task, and takes from each in turn.
pub(crate) async fn subscribe<C: Contestant>(
    contestant: &C,
    task: &Task,
    ready: impl FnOnce() -> Fallible<()>,
) -> Fallible<Report> {
    let topics = task.topic_list();
    let mut sockets = Vec::new();
    for _ in 0..task.sockets {
        sockets.push(contestant.connect_sub(&task.endpoint, &topics).await?);
    }
    let mut meter = Meter::new(task, task.sockets)?;
    for socket in &mut sockets {
        socket
            .recv(|message| meter.take_from(Some(0), message))
            .await??;
    }
    ready()?;
    let drain = if task.sockets > 1 { DRAIN } else { 1 };
    let mut open: Vec<usize> = (0..task.sockets).collect();
    while !open.is_empty() {
        let mut ended = false;
        for &index in &open {
            let kind = take_some(&mut sockets[index], &mut meter, index, drain).await?;
            ended |= kind == Kind::End;
        }
        if ended {
            open.retain(|&index| meter.is_open(index));
        }
    }
    meter.report()
}

/// Waits for a message, takes those behind it, and tells the kind of the last.
async fn take_some<R: Receiver>(
    socket: &mut R,
    meter: &mut Meter,
    index: usize,
    drain: usize,
) -> Fallible<Kind> {
    let mut kind = socket
        .recv(|message| meter.take_from(Some(index), message))
        .await??;
    for _ in 1..drain {
        if kind == Kind::End {
            break;
        }
        match socket.try_recv(|message| meter.take_from(Some(index), message))? {
            Some(next) => kind = next?,
            None => break,
        }
    }
    Ok(kind)
}
