//! PUSH, and what PUB has in common with it: as fast as it goes, or as an open loop.

use bytes::Bytes;

use super::super::contestant::{Contestant, Sender};
use super::super::payload::{Header, Kind, Writer};
use super::super::system::{cpu_time, now};
use super::super::{Fallible, Report, TOPIC_LEN, Task};
use super::{SHARED_BUFFERS, wait_while};

/// A sender looks at the clock, and goes on to its next socket, after so many messages and so many bytes.
const BURST: usize = 64;
const BURST_BYTES: usize = 256 * 1024;

const NANOS: f64 = 1e9;

/// Sends, and keeps the sockets until the receiver is done.
pub(crate) async fn push<C: Contestant>(
    contestant: &C,
    task: &Task,
    receiver_is_done: impl Fn() -> bool,
) -> Fallible<Report> {
    let mut sockets = Vec::new();
    for _ in 0..task.sockets {
        sockets.push(contestant.connect_push(&task.endpoint).await?);
    }
    let report = match task.rate {
        Some(rate) => open_loop(contestant, task, &mut sockets[0], rate).await?,
        None => stream(task, &mut sockets).await?,
    };
    wait_while(contestant, || !receiver_is_done()).await;
    Ok(report)
}

/// Sends as fast as it goes, a burst on each socket in turn.
pub(crate) async fn stream<S: Sender>(task: &Task, sockets: &mut [S]) -> Fallible<Report> {
    let burst = (BURST_BYTES / task.size).clamp(1, BURST) as u64;
    let mut feeder = Feeder::new(task)?;
    // The first message waits for the connection, which is not to be measured.
    feeder.send_each(sockets, Kind::Data, 1).await?;
    let mark_at = now() + (task.warm_up * NANOS) as u64;
    let end_at = mark_at + (task.seconds * NANOS) as u64;
    let mut start = None;
    loop {
        let time = now();
        let is_full = feeder.sent * sockets.len() as u64 >= task.max_messages;
        match start {
            None if time >= mark_at || is_full => {
                feeder.send_each(sockets, Kind::Mark, 1).await?;
                start = Some((feeder.sent, time, cpu_time()));
            }
            // On a busy machine the whole time may have gone by before the first message.
            Some((sent, begun, cpu)) if feeder.sent > sent && (time >= end_at || is_full) => {
                feeder.send_each(sockets, Kind::End, 1).await?;
                for socket in &mut *sockets {
                    socket.flush().await?;
                }
                return Ok(Report {
                    messages: (feeder.sent - sent) * sockets.len() as u64,
                    nanos: now() - begun,
                    cpu_nanos: cpu_time() - cpu,
                    ..Report::default()
                });
            }
            None | Some(_) => feeder.send_each(sockets, Kind::Data, burst).await?,
        }
    }
}

/// Sends at random times, at `rate` a second in the mean (a Poisson process). Each message says when it was due: a
/// sender that is held up does not make the latencies look better.
pub(crate) async fn open_loop<C: Contestant, S: Sender>(
    contestant: &C,
    task: &Task,
    socket: &mut S,
    rate: f64,
) -> Fallible<Report> {
    /// Who is so far behind will not catch up.
    const HOPELESS: u64 = 1_000_000_000;

    let mut feeder = Feeder::new(task)?;
    feeder.send_stamped(socket, Kind::Data, now()).await?;
    let begun = now();
    let mark_at = begun + (task.warm_up * NANOS) as u64;
    let end_at = mark_at + (task.seconds * NANOS) as u64;
    let mut random = Random(task.size as u64 + rate as u64);
    let mut due = begun;
    let mut start = None;
    while due < end_at && feeder.sent < task.max_messages {
        due += (random.exponential() * NANOS / rate) as u64;
        contestant.wait_until(due).await;
        let kind = match start {
            None if due >= mark_at => {
                start = Some((feeder.sent, now(), cpu_time()));
                Kind::Mark
            }
            None | Some(_) => Kind::Data,
        };
        feeder.send_stamped(socket, kind, due).await?;
        if now().saturating_sub(due) > HOPELESS {
            break;
        }
    }
    if start.is_none() {
        start = Some((feeder.sent, now(), cpu_time()));
        feeder.send_stamped(socket, Kind::Mark, now()).await?;
    }
    let (sent, begun, cpu) = start.unwrap_or_default();
    let report = Report {
        messages: feeder.sent - sent,
        nanos: now() - begun,
        cpu_nanos: cpu_time() - cpu,
        ..Report::default()
    };
    feeder.send_stamped(socket, Kind::End, now()).await?;
    socket.flush().await?;
    Ok(report)
}

/// Makes the messages of a sender and counts them.
struct Feeder {
    writer: Writer,
    shared: Vec<Bytes>,
    /// Used in turn; one that no message has where there are none.
    topics: Vec<[u8; TOPIC_LEN]>,
    topic: usize,
    first_source: usize,
    /// The messages that each socket has sent.
    sent: u64,
}

impl Feeder {
    fn new(task: &Task) -> Fallible<Feeder> {
        let mut topics = task.topic_list();
        if topics.is_empty() {
            topics.push([0; TOPIC_LEN]);
        }
        let mut writer = Writer::new(task.topic_len(), task.size)?;
        let buffers = if task.shared { SHARED_BUFFERS } else { 0 };
        let shared = (0..buffers)
            .map(|seq| {
                let message = writer.write_one(header(Kind::Data, 0, seq, 0), &topics[0]);
                Bytes::copy_from_slice(message)
            })
            .collect();
        Ok(Feeder {
            writer,
            shared,
            topics,
            topic: 0,
            first_source: task.first_source,
            sent: 0,
        })
    }

    /// Sends so many messages on each socket.
    async fn send_each<S: Sender>(
        &mut self,
        sockets: &mut [S],
        kind: Kind,
        count: u64,
    ) -> Fallible<()> {
        for (index, socket) in sockets.iter_mut().enumerate() {
            match kind == Kind::Data && !self.shared.is_empty() {
                true => self.send_shared(socket, count).await?,
                false => self.send_copied(socket, kind, index, count).await?,
            }
        }
        if kind != Kind::End {
            self.sent += count;
        }
        Ok(())
    }

    async fn send_shared<S: Sender>(&mut self, socket: &mut S, count: u64) -> Fallible<()> {
        for seq in self.sent..self.sent + count {
            let buffer = &self.shared[(seq % SHARED_BUFFERS) as usize];
            socket.send_shared(buffer).await?;
        }
        Ok(())
    }

    async fn send_copied<S: Sender>(
        &mut self,
        socket: &mut S,
        kind: Kind,
        index: usize,
        count: u64,
    ) -> Fallible<()> {
        let is_cyclic = kind != Kind::End && !self.shared.is_empty();
        let mut seq = self.sent;
        let mut left = count as usize;
        while left > 0 {
            let batch = left.min(self.writer.batch());
            for buffer in 0..batch {
                let number = if is_cyclic { seq % SHARED_BUFFERS } else { seq };
                let header = header(kind, self.first_source + index, number, 0);
                self.writer.write(buffer, header, &self.topics[self.topic]);
                self.topic += 1;
                if self.topic == self.topics.len() {
                    self.topic = 0;
                }
                seq += 1;
            }
            for buffer in 0..batch {
                socket.send(self.writer.message(buffer)).await?;
            }
            left -= batch;
        }
        Ok(())
    }

    /// Sends a message on the only socket.
    async fn send_stamped<S: Sender>(
        &mut self,
        socket: &mut S,
        kind: Kind,
        stamp: u64,
    ) -> Fallible<()> {
        let header = header(kind, self.first_source, self.sent, stamp);
        let message = self.writer.write_one(header, &self.topics[0]);
        socket.send(message).await?;
        if kind != Kind::End {
            self.sent += 1;
        }
        Ok(())
    }
}

fn header(kind: Kind, source: usize, seq: u64, stamp: u64) -> Header {
    Header {
        kind,
        source,
        seq,
        stamp,
    }
}

/// Random numbers, the same in every run and for every contestant.
struct Random(u64);

impl Random {
    /// A number of the exponential distribution with mean 1.
    fn exponential(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let uniform = ((mixed ^ mixed >> 31) >> 11) as f64 / (1u64 << 53) as f64;
        -(1.0 - uniform).ln()
    }
}
