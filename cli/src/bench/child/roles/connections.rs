//! What connections cost: memory while they idle, time to come and go.

use super::super::contestant::{Contestant, Receiver, Sender};
use super::super::payload::{Header, Kind, Reader, Writer};
use super::super::system::{cpu_time, now, resident_memory};
use super::super::{Fallible, Fault, Report, TOPIC_LEN, Task, say};
use super::request::Exchange;
use super::{Go, wait_while};

/// Time for everything to come to rest before memory is weighed, in nanoseconds.
const SETTLE: u64 = 300_000_000;

/// Weighs this process without connections and with those that [`hold`] makes.
pub(crate) async fn accept<C: Contestant>(contestant: &C, task: &Task) -> Fallible<Report> {
    let mut socket = contestant.bind_pull(&task.endpoint).await?;
    contestant.wait_until(now() + SETTLE).await;
    let before = resident_memory().ok_or_else(no_memory)?;
    say("ready")?;
    let begun = now();
    let reader = Reader::new(0, task.size);
    let mut seen = vec![false; task.senders];
    for _ in 0..task.senders {
        let header = socket.recv(|message| reader.read(message)).await??;
        match seen.get_mut(header.source) {
            Some(seen) if !*seen => *seen = true,
            Some(_) | None => return Err(Fault::from("a message came twice")),
        }
    }
    let nanos = now() - begun;
    contestant.wait_until(now() + SETTLE).await;
    let after = resident_memory().ok_or_else(no_memory)?;
    Ok(Report {
        messages: task.senders as u64,
        nanos,
        bytes_per_connection: Some(after.saturating_sub(before) as f64 / task.senders as f64),
        ..Report::default()
    })
}

/// Connects all sockets, sends one message over each, and keeps them until the runner says so.
pub(crate) async fn hold<C: Contestant>(contestant: &C, task: &Task) -> Fallible<Report> {
    let go = Go::new();
    let before = resident_memory().ok_or_else(no_memory)?;
    let mut writer = Writer::new(0, task.size)?;
    let mut sockets = Vec::new();
    for source in task.first_source..task.first_source + task.sockets {
        let mut socket = contestant.connect_push(&task.endpoint).await?;
        let header = Header {
            kind: Kind::Data,
            source,
            seq: 0,
            stamp: 0,
        };
        socket
            .send(writer.write_one(header, &[0; TOPIC_LEN]))
            .await?;
        socket.flush().await?;
        sockets.push(socket);
    }
    contestant.wait_until(now() + SETTLE).await;
    let after = resident_memory().ok_or_else(no_memory)?;
    wait_while(contestant, || !go.is_said(1)).await;
    Ok(Report {
        messages: task.sockets as u64,
        bytes_per_connection: Some(after.saturating_sub(before) as f64 / task.sockets as f64),
        ..Report::default()
    })
}

/// Connects, asks once and closes, again and again.
pub(crate) async fn churn<C: Contestant>(contestant: &C, task: &Task) -> Fallible<Report> {
    let mut exchange = Exchange::new(task)?;
    let mut socket = contestant.connect_req(&task.endpoint).await?;
    exchange.ask(&mut socket, Kind::Mark).await?;
    let (begun, cpu) = (now(), cpu_time());
    let end_at = begun + (task.seconds * 1e9) as u64;
    while now() < end_at && exchange.asked < task.max_messages {
        let mut socket = contestant.connect_req(&task.endpoint).await?;
        exchange.ask(&mut socket, Kind::Data).await?;
    }
    let report = Report {
        messages: exchange.asked - 1,
        nanos: now() - begun,
        cpu_nanos: cpu_time() - cpu,
        ..Report::default()
    };
    exchange.ask(&mut socket, Kind::End).await?;
    Ok(report)
}

fn no_memory() -> Fault {
    Fault::from("this system does not tell a process's memory")
}
