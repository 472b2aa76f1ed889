//! JetStream in the same benchmark: no more of its client's side than that needs, over the plain-text protocol of NATS.

use std::env;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::worker::{Head, Takes, Worker};
use crate::{Fallible, LEN, LONG, Scale, WINDOW};

/// Where a server is that has JetStream, as `127.0.0.1:4222`.
pub(crate) const ADDRESS: &str = "ZEROHOP_BENCH_NATS";

const STREAM: &str = "zerohop_bench";

pub(crate) fn address() -> Option<String> {
    env::var(ADDRESS).ok()
}

/// A connection.
struct Client {
    reader: BufReader<TcpStream>,
    writer: BufWriter<TcpStream>,
}

/// A message that has come.
struct Delivered {
    /// Where an answer goes.
    reply: Option<String>,
    body: Vec<u8>,
}

impl Client {
    fn connect(address: &str) -> Fallible<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LONG))?;
        let mut client = Client {
            reader: BufReader::with_capacity(1 << 16, stream.try_clone()?),
            writer: BufWriter::with_capacity(1 << 16, stream),
        };
        client.write(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n")?;
        client.flush()?;
        Ok(client)
    }

    fn write(&mut self, bytes: &[u8]) -> Fallible<()> {
        Ok(self.writer.write_all(bytes)?)
    }

    fn flush(&mut self) -> Fallible<()> {
        Ok(self.writer.flush()?)
    }

    fn publish(&mut self, subject: &str, reply: &str, body: &[u8]) -> Fallible<()> {
        write!(self.writer, "PUB {subject} {reply} {}\r\n", body.len())?;
        self.write(body)?;
        self.write(b"\r\n")
    }

    /// Whether something is here that was read.
    fn has_more(&self) -> bool {
        !self.reader.buffer().is_empty()
    }

    fn next(&mut self) -> Fallible<Delivered> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.reader.read_line(&mut line)? == 0 {
                return Err("the server has closed the connection".into());
            }
            let mut words = line.split_whitespace();
            match words.next() {
                Some("MSG") => {
                    let words: Vec<&str> = words.collect();
                    let (reply, len) = match words[..] {
                        [_, _, reply, len] => (Some(reply.to_owned()), len),
                        [_, _, len] => (None, len),
                        _ => return Err(format!("the server says {line}").into()),
                    };
                    let mut body = vec![0; len.parse::<usize>()? + 2];
                    self.reader.read_exact(&mut body)?;
                    body.truncate(body.len() - 2);
                    return Ok(Delivered { reply, body });
                }
                Some("PING") => {
                    self.write(b"PONG\r\n")?;
                    self.flush()?;
                }
                Some("-ERR") => return Err(format!("the server says {line}").into()),
                _ => {}
            }
        }
    }

    /// Asks the server for something of JetStream, whose answers come to `answers`.
    fn ask(&mut self, what: &str, body: &str) -> Fallible<()> {
        self.publish(&format!("$JS.API.{what}"), "answers", body.as_bytes())?;
        self.flush()?;
        let answer = String::from_utf8(self.next()?.body)?;
        match answer.contains("\"error\"") {
            true => Err(answer.into()),
            false => Ok(()),
        }
    }
}

/// Messages per second that have been acknowledged to their sender, and by their receiver.
pub(crate) fn run(address: &str, scale: &Scale) -> Fallible<f64> {
    let mut client = Client::connect(address)?;
    client.write(b"SUB answers 1\r\n")?;
    // What is left of a run that failed.
    let _ = client.ask(&format!("STREAM.DELETE.{STREAM}"), "");
    client.ask(
        &format!("STREAM.CREATE.{STREAM}"),
        &format!(
            "{{\"name\":\"{STREAM}\",\"subjects\":[\"{STREAM}\"],\"retention\":\"workqueue\",\"storage\":\"file\",\"num_replicas\":1}}"
        ),
    )?;
    client.ask(
        &format!("CONSUMER.DURABLE.CREATE.{STREAM}.worker"),
        &format!(
            "{{\"stream_name\":\"{STREAM}\",\"config\":{{\"durable_name\":\"worker\",\"deliver_subject\":\"{STREAM}_work\",\"deliver_policy\":\"all\",\"ack_policy\":\"explicit\",\"max_ack_pending\":{WINDOW}}}}}"
        ),
    )?;
    let mut worker = Worker::start(Takes::JetStream)?;
    let mut message = [7; LEN];
    let mut unconfirmed = 0;
    let mut publish = |client: &mut Client, lane, number| -> Fallible<()> {
        Head {
            lane,
            number,
            sent: 0,
        }
        .write(&mut message);
        client.publish(STREAM, "answers", &message)?;
        unconfirmed += 1;
        while unconfirmed >= WINDOW || lane >= Head::BEGIN && unconfirmed > 0 || client.has_more() {
            client.flush()?;
            let body = client.next()?.body;
            if body.windows(7).any(|part| part == b"\"error\"") {
                return Err(String::from_utf8_lossy(&body).into());
            }
            unconfirmed -= 1;
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
    client.ask(&format!("STREAM.DELETE.{STREAM}"), "")?;
    Ok(sent as f64 / elapsed.as_secs_f64())
}

/// What the worker does: gives each message to `check`, and acknowledges it.
pub(crate) struct Consumer(Client);

impl Consumer {
    pub(crate) fn new() -> Fallible<Consumer> {
        let mut client = Client::connect(&address().ok_or("no server is given")?)?;
        write!(client.writer, "SUB {STREAM}_work 1\r\n")?;
        client.flush()?;
        Ok(Consumer(client))
    }

    pub(crate) fn take(&mut self, check: &mut dyn FnMut(&[u8]) -> Fallible<()>) -> Fallible<()> {
        let Consumer(client) = self;
        let Delivered { reply, body } = client.next()?;
        check(&body)?;
        if let Some(reply) = reply {
            client.publish(&reply, "", b"+ACK")?;
        }
        match client.has_more() {
            true => Ok(()),
            false => client.flush(),
        }
    }
}
