//! JetStream, over the plain-text protocol of NATS.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::TcpStream;

use super::{Consumer, connect};
use crate::worker::Check;
use crate::{Fallible, WINDOW};

const STREAM: &str = "zerohop_bench";

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
        let (reader, writer) = connect(address)?;
        let mut client = Client { reader, writer };
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

pub(super) struct Publisher(Client);

impl Publisher {
    pub(super) fn new(address: &str) -> Fallible<Publisher> {
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
        Ok(Publisher(client))
    }
}

impl super::Publisher for Publisher {
    fn publish(&mut self, message: &[u8]) -> Fallible<()> {
        self.0.publish(STREAM, "answers", message)
    }

    fn flush(&mut self) -> Fallible<()> {
        self.0.flush()
    }

    fn has_more(&self) -> bool {
        self.0.has_more()
    }

    fn confirmed(&mut self) -> Fallible<u64> {
        let body = self.0.next()?.body;
        match body.windows(7).any(|part| part == b"\"error\"") {
            true => Err(String::from_utf8_lossy(&body).into()),
            false => Ok(1),
        }
    }

    fn clean_up(mut self) -> Fallible<()> {
        self.0.ask(&format!("STREAM.DELETE.{STREAM}"), "")
    }
}

pub(super) struct Worker(Client);

impl Worker {
    pub(super) fn new(address: &str) -> Fallible<Worker> {
        let mut client = Client::connect(address)?;
        write!(client.writer, "SUB {STREAM}_work 1\r\n")?;
        client.flush()?;
        Ok(Worker(client))
    }
}

impl Consumer for Worker {
    fn take(&mut self, check: &mut Check<'_>) -> Fallible<()> {
        let Worker(client) = self;
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
