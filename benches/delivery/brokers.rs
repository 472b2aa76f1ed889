//! Servers in the same benchmark, each with no more of its client's side than that needs: the sender has each message confirmed, and the worker
//! acknowledges each. With Kafka it is batches that are confirmed and acknowledged.

mod kafka;
mod nats;
mod rabbitmq;

use std::env;
use std::io::{BufReader, BufWriter};
use std::net::TcpStream;
use std::time::Instant;

use crate::worker::{Check, Head, Takes, Worker};
use crate::{Fallible, LEN, LONG, Scale, WINDOW};

/// What is compared with, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broker {
    /// A stream in a file with one replica, which the server does not sync for each message.
    JetStream,
    /// A quorum queue with one member, which the server syncs before it confirms.
    RabbitMq,
    /// A topic with one partition and one replica, which the server does not sync.
    Kafka,
}

impl Broker {
    pub(crate) const ALL: [Broker; 3] = [Broker::JetStream, Broker::RabbitMq, Broker::Kafka];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Broker::JetStream => "JetStream",
            Broker::RabbitMq => "RabbitMQ, quorum queue",
            Broker::Kafka => "Kafka, one partition",
        }
    }

    /// The variable that says where a server is, as `127.0.0.1:4222`.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Broker::JetStream => "ZEROHOP_BENCH_NATS",
            Broker::RabbitMq => "ZEROHOP_BENCH_RABBITMQ",
            Broker::Kafka => "ZEROHOP_BENCH_KAFKA",
        }
    }

    pub(crate) fn address(self) -> Option<String> {
        env::var(self.variable()).ok()
    }

    /// Messages per second that have been confirmed to their sender, and acknowledged by their receiver.
    pub(crate) fn run(self, address: &str, scale: &Scale) -> Fallible<f64> {
        match self {
            Broker::JetStream => run(nats::Publisher::new(address)?, self, scale),
            Broker::RabbitMq => run(rabbitmq::Publisher::new(address)?, self, scale),
            Broker::Kafka => run(kafka::Publisher::new(address)?, self, scale),
        }
    }

    pub(crate) fn consumer(self) -> Fallible<Box<dyn Consumer>> {
        let address = self.address().ok_or("no server is given")?;
        Ok(match self {
            Broker::JetStream => Box::new(nats::Worker::new(&address)?),
            Broker::RabbitMq => Box::new(rabbitmq::Worker::new(&address)?),
            Broker::Kafka => Box::new(kafka::Worker::new(&address)?),
        })
    }
}

/// The client of who sends.
trait Publisher {
    fn publish(&mut self, message: &[u8]) -> Fallible<()>;

    fn flush(&mut self) -> Fallible<()>;

    /// Whether something is here that was read.
    fn has_more(&self) -> bool;

    /// Waits until messages are confirmed, and says how many.
    fn confirmed(&mut self) -> Fallible<u64>;

    /// Leaves nothing with the server.
    fn clean_up(self) -> Fallible<()>;
}

/// The client of who works.
pub(crate) trait Consumer {
    /// Waits for a message, or several, has each checked, and acknowledges them.
    fn take(&mut self, check: &mut Check<'_>) -> Fallible<()>;
}

/// What is read of a connection, and what is written to it.
fn connect(address: &str) -> Fallible<(BufReader<TcpStream>, BufWriter<TcpStream>)> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LONG))?;
    let reader = BufReader::with_capacity(1 << 16, stream.try_clone()?);
    Ok((reader, BufWriter::with_capacity(1 << 16, stream)))
}

fn run(mut client: impl Publisher, broker: Broker, scale: &Scale) -> Fallible<f64> {
    let mut worker = Worker::start(Takes::From(broker))?;
    let mut message = [7; LEN];
    let mut unconfirmed = 0;
    let mut publish = |client: &mut dyn Publisher, lane, number| -> Fallible<()> {
        Head {
            lane,
            number,
            sent: 0,
        }
        .write(&mut message);
        client.publish(&message)?;
        unconfirmed += 1;
        let most = match lane {
            Head::BEGIN.. => 0,
            _ => u64::from(WINDOW) - 1,
        };
        while unconfirmed > most || client.has_more() {
            client.flush()?;
            unconfirmed -= client.confirmed()?;
        }
        Ok(())
    };
    publish(&mut client, Head::BEGIN, 0)?;
    match &worker.line()?[..] {
        "begun" => {}
        line => return Err(format!("a worker says {line}").into()),
    }
    let (begun, mut sent) = (Instant::now(), 0);
    while sent < scale.most && begun.elapsed() < scale.time {
        for _ in 0..16 {
            publish(&mut client, 0, sent)?;
            sent += 1;
        }
    }
    publish(&mut client, Head::END, 0)?;
    let (received, _, _) = worker.told()?;
    let elapsed = begun.elapsed();
    if received != sent {
        return Err(format!("{received} of {sent} messages have come").into());
    }
    client.clean_up()?;
    Ok(sent as f64 / elapsed.as_secs_f64())
}
