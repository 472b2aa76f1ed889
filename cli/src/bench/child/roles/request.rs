//! REQ and REP: one request after the other.

use super::super::contestant::{Contestant, Replier, Requester};
use super::super::meter::{Latency, Meter};
use super::super::payload::{Header, Kind, Reader, Writer};
use super::super::system::{cpu_time, now};
use super::super::{Fallible, Fault, Report, TOPIC_LEN, Task, say};
use super::{Go, wait_while};

/// Asks again and again. The latency reported is half of each round trip.
pub(crate) async fn request<C: Contestant>(contestant: &C, task: &Task) -> Fallible<Report> {
    let mut socket = contestant.connect_req(&task.endpoint).await?;
    let mut exchange = Exchange::new(task)?;
    let mut latency = Latency::new()?;
    exchange.ask(&mut socket, Kind::Data).await?;
    let mark_at = now() + (task.warm_up * 1e9) as u64;
    while now() < mark_at && exchange.asked < task.max_messages {
        exchange.ask(&mut socket, Kind::Data).await?;
    }
    let (asked, begun, cpu) = (exchange.asked, now(), cpu_time());
    exchange.ask(&mut socket, Kind::Mark).await?;
    let end_at = begun + (task.seconds * 1e9) as u64;
    let mut sent_at = now();
    while sent_at < end_at && exchange.asked < task.max_messages.max(asked + 10) {
        exchange.ask(&mut socket, Kind::Data).await?;
        let replied_at = now();
        latency.record((replied_at - sent_at) / 2);
        sent_at = replied_at;
    }
    let report = Report {
        messages: exchange.asked - asked,
        nanos: now() - begun,
        cpu_nanos: cpu_time() - cpu,
        latency: Some(latency.quantiles()),
        bytes_per_connection: None,
    };
    exchange.ask(&mut socket, Kind::End).await?;
    Ok(report)
}

/// Sends every request back, up to the last.
pub(crate) async fn reply<C: Contestant>(contestant: &C, task: &Task) -> Fallible<Report> {
    let mut socket = contestant.bind_rep(&task.endpoint).await?;
    let go = Go::new();
    say("ready")?;
    let mut meter = Meter::new(task, task.senders)?;
    while !meter.is_done() {
        socket.echo(|request| meter.take(request)).await??;
    }
    let report = meter.report()?;
    wait_while(contestant, || !go.is_said(1)).await;
    Ok(report)
}

/// So many requests of each socket are on their way at a time.
const AHEAD: u64 = 8;

/// Asks with all sockets of the task, some requests ahead on each, and then takes the replies.
pub(crate) async fn crowd<C: Contestant>(contestant: &C, task: &Task) -> Fallible<Report> {
    let mut sockets = Vec::new();
    for _ in 0..task.sockets {
        sockets.push(contestant.connect_req(&task.endpoint).await?);
    }
    let mut exchange = Exchange::new(task)?;
    exchange.ask_all(task, &mut sockets, Kind::Data, 1).await?;
    let mark_at = now() + (task.warm_up * 1e9) as u64;
    while now() < mark_at && exchange.asked < task.max_messages {
        let asked = exchange.ask_all(task, &mut sockets, Kind::Data, AHEAD);
        asked.await?;
    }
    let (asked, begun, cpu) = (exchange.asked, now(), cpu_time());
    exchange.ask_all(task, &mut sockets, Kind::Mark, 1).await?;
    let end_at = begun + (task.seconds * 1e9) as u64;
    while now() < end_at && exchange.asked < task.max_messages.max(asked + AHEAD) {
        let asked = exchange.ask_all(task, &mut sockets, Kind::Data, AHEAD);
        asked.await?;
    }
    let report = Report {
        messages: (exchange.asked - asked) * task.sockets as u64,
        nanos: now() - begun,
        cpu_nanos: cpu_time() - cpu,
        ..Report::default()
    };
    exchange.ask_all(task, &mut sockets, Kind::End, 1).await?;
    Ok(report)
}

/// Numbered requests, and the check that each reply is its request.
pub(crate) struct Exchange {
    writer: Writer,
    reader: Reader,
    pub(crate) asked: u64,
}

impl Exchange {
    pub(crate) fn new(task: &Task) -> Fallible<Exchange> {
        Ok(Exchange {
            writer: Writer::new(0, task.size)?,
            reader: Reader::new(0, task.size),
            asked: 0,
        })
    }

    /// Asks so often on each socket, and then takes the replies.
    async fn ask_all<R: Requester>(
        &mut self,
        task: &Task,
        sockets: &mut [R],
        kind: Kind,
        count: u64,
    ) -> Fallible<()> {
        let header = |index, seq| Header {
            kind,
            source: task.first_source + index,
            seq,
            stamp: 0,
        };
        let seqs = self.asked..self.asked + count;
        for (index, socket) in sockets.iter_mut().enumerate() {
            for seq in seqs.clone() {
                let request = self.writer.write_one(header(index, seq), &[0; TOPIC_LEN]);
                socket.ask_ahead(request).await?;
            }
        }
        for (index, socket) in sockets.iter_mut().enumerate() {
            for seq in seqs.clone() {
                let reader = &self.reader;
                let reply = socket.next_reply(|reply| reader.read(reply)).await??;
                let due = header(index, seq);
                if (reply.kind, reply.source, reply.seq) != (due.kind, due.source, due.seq) {
                    return Err(Fault::from("the reply to another request"));
                }
            }
        }
        if kind != Kind::End {
            self.asked += count;
        }
        Ok(())
    }

    #[inline]
    pub(crate) async fn ask<R: Requester>(&mut self, socket: &mut R, kind: Kind) -> Fallible<()> {
        let header = Header {
            kind,
            source: 0,
            seq: self.asked,
            stamp: 0,
        };
        let request = self.writer.write_one(header, &[0; TOPIC_LEN]);
        let reader = &self.reader;
        let reply = socket.ask(request, |reply| reader.read(reply)).await??;
        if reply.seq != self.asked || reply.kind != kind {
            return Err(Fault::from("the reply to another request"));
        }
        if kind != Kind::End {
            self.asked += 1;
        }
        Ok(())
    }
}
