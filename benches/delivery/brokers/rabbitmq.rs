//! RabbitMQ, over AMQP 0-9-1 (methods by class and number; its specification has the rest).

use std::io::{BufReader, BufWriter, Read, Write};
use std::net::TcpStream;

use super::{Consumer, connect};
use crate::worker::Check;
use crate::{Fallible, WINDOW};

const QUEUE: &str = "zerohop_bench";

/// Types of frames, and what ends each.
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const END: u8 = 0xce;

type Method = (u16, u16);

const START: Method = (10, 10);
const START_OK: Method = (10, 11);
const TUNE: Method = (10, 30);
const TUNE_OK: Method = (10, 31);
const OPEN: Method = (10, 40);
const OPEN_OK: Method = (10, 41);
const CHANNEL_OPEN: Method = (20, 10);
const CHANNEL_OPEN_OK: Method = (20, 11);
const DECLARE: Method = (50, 10);
const DECLARE_OK: Method = (50, 11);
const DELETE: Method = (50, 40);
const DELETE_OK: Method = (50, 41);
const QOS: Method = (60, 10);
const QOS_OK: Method = (60, 11);
const CONSUME: Method = (60, 20);
const CONSUME_OK: Method = (60, 21);
const PUBLISH: Method = (60, 40);
const DELIVER: Method = (60, 60);
const ACK: Method = (60, 80);
const SELECT: Method = (85, 10);
const SELECT_OK: Method = (85, 11);

/// The arguments of a method.
#[derive(Default)]
struct Arguments(Vec<u8>);

impl Arguments {
    fn bits(mut self, bits: u8) -> Arguments {
        self.0.push(bits);
        self
    }

    fn u16(mut self, number: u16) -> Arguments {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn u32(mut self, number: u32) -> Arguments {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn u64(mut self, number: u64) -> Arguments {
        self.0.extend(number.to_be_bytes());
        self
    }

    /// Of up to 255 bytes.
    fn short(mut self, text: &str) -> Arguments {
        self.0.push(text.len() as u8);
        self.0.extend(text.as_bytes());
        self
    }

    fn long(self, bytes: &[u8]) -> Arguments {
        let mut long = self.u32(bytes.len() as u32);
        long.0.extend(bytes);
        long
    }
}

fn arguments() -> Arguments {
    Arguments::default()
}

fn u64_at(bytes: &[u8], at: usize) -> Fallible<u64> {
    let bytes = bytes.get(at..at + 8).ok_or("a number is cut off")?;
    Ok(u64::from_be_bytes(bytes.try_into()?))
}

/// A connection with one channel.
struct Client {
    reader: BufReader<TcpStream>,
    writer: BufWriter<TcpStream>,
}

impl Client {
    fn connect(address: &str) -> Fallible<Client> {
        let (reader, writer) = connect(address)?;
        let mut client = Client { reader, writer };
        client.writer.write_all(b"AMQP\0\0\x09\x01")?;
        client.flush()?;
        client.expect(START)?;
        let properties = arguments().long(b"");
        let user = properties.short("PLAIN").long(b"\0guest\0guest");
        client.say(0, START_OK, user.short("en_US"))?;
        client.flush()?;
        // What it proposes is taken, but for heartbeats.
        let mut limits = client.expect(TUNE)?;
        limits.truncate(6);
        client.say(0, TUNE_OK, Arguments(limits).u16(0))?;
        client.say(0, OPEN, arguments().short("/").short("").bits(0))?;
        client.flush()?;
        client.expect(OPEN_OK)?;
        client.ask(CHANNEL_OPEN, arguments().short(""), CHANNEL_OPEN_OK)?;
        Ok(client)
    }

    fn frame(&mut self, kind: u8, channel: u16, payload: &[&[u8]]) -> Fallible<()> {
        let len: usize = payload.iter().map(|part| part.len()).sum();
        self.writer.write_all(&[kind])?;
        self.writer.write_all(&channel.to_be_bytes())?;
        self.writer.write_all(&(len as u32).to_be_bytes())?;
        for part in payload {
            self.writer.write_all(part)?;
        }
        Ok(self.writer.write_all(&[END])?)
    }

    fn say(&mut self, channel: u16, method: Method, arguments: Arguments) -> Fallible<()> {
        let (class, number) = (method.0.to_be_bytes(), method.1.to_be_bytes());
        self.frame(METHOD, channel, &[&class, &number, &arguments.0])
    }

    fn flush(&mut self) -> Fallible<()> {
        Ok(self.writer.flush()?)
    }

    /// The next frame: its type and what is in it. Heartbeats are left out.
    fn next(&mut self) -> Fallible<(u8, Vec<u8>)> {
        loop {
            let mut head = [0; 7];
            self.reader.read_exact(&mut head)?;
            let [kind, _, _, len @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes(len) as usize + 1];
            self.reader.read_exact(&mut payload)?;
            match (payload.pop(), kind) {
                (Some(END), METHOD..=BODY) => return Ok((kind, payload)),
                (Some(END), _) => {}
                _ => return Err("a frame has no end".into()),
            }
        }
    }

    /// The arguments of the method that comes next.
    fn expect(&mut self, method: Method) -> Fallible<Vec<u8>> {
        let (kind, payload) = self.next()?;
        let (class, number) = (method.0.to_be_bytes(), method.1.to_be_bytes());
        match payload.strip_prefix(&[class, number].concat()[..]) {
            Some(arguments) if kind == METHOD => Ok(arguments.to_vec()),
            _ => {
                let text = String::from_utf8_lossy(&payload);
                Err(format!("in place of {method:?} the server says {text:?}").into())
            }
        }
    }

    fn ask(&mut self, method: Method, arguments: Arguments, answer: Method) -> Fallible<()> {
        self.say(1, method, arguments)?;
        self.flush()?;
        self.expect(answer)?;
        Ok(())
    }

    /// Whether something is here that was read.
    fn has_more(&self) -> bool {
        !self.reader.buffer().is_empty()
    }

    fn delete(&mut self) -> Fallible<()> {
        let queue = arguments().u16(0).short(QUEUE).bits(0);
        self.ask(DELETE, queue, DELETE_OK)
    }
}

pub(super) struct Publisher {
    client: Client,
    /// All messages up to this one are confirmed, counted from 1.
    confirmed: u64,
}

impl Publisher {
    pub(super) fn new(address: &str) -> Fallible<Publisher> {
        let mut client = Client::connect(address)?;
        // What is left of a run that failed.
        client.delete()?;
        let mut kind = arguments().short("x-queue-type").bits(b'S').long(b"quorum");
        let kind = std::mem::take(&mut kind.0);
        let durable = 1 << 1;
        let queue = arguments().u16(0).short(QUEUE).bits(durable).long(&kind);
        client.ask(DECLARE, queue, DECLARE_OK)?;
        client.ask(SELECT, arguments().bits(0), SELECT_OK)?;
        Ok(Publisher {
            client,
            confirmed: 0,
        })
    }
}

impl super::Publisher for Publisher {
    fn publish(&mut self, message: &[u8]) -> Fallible<()> {
        let to = arguments().u16(0).short("").short(QUEUE).bits(0);
        self.client.say(1, PUBLISH, to)?;
        let has_delivery_mode = 1 << 12;
        let persistent = 2;
        let header = arguments().u16(PUBLISH.0).u16(0).u64(message.len() as u64);
        let header = header.u16(has_delivery_mode).bits(persistent);
        self.client.frame(HEADER, 1, &[&header.0])?;
        self.client.frame(BODY, 1, &[message])
    }

    fn flush(&mut self) -> Fallible<()> {
        self.client.flush()
    }

    fn has_more(&self) -> bool {
        self.client.has_more()
    }

    /// One confirmation may stand for all messages up to its own; they come in order here, as there is one queue.
    fn confirmed(&mut self) -> Fallible<u64> {
        let arguments = self.client.expect(ACK)?;
        let number = u64_at(&arguments, 0)?;
        let multiple = arguments.get(8).is_some_and(|bits| bits & 1 > 0);
        let newly = match multiple {
            true => number.saturating_sub(self.confirmed),
            false => 1,
        };
        self.confirmed += newly;
        Ok(newly)
    }

    fn clean_up(mut self) -> Fallible<()> {
        self.client.delete()
    }
}

pub(super) struct Worker(Client);

impl Worker {
    pub(super) fn new(address: &str) -> Fallible<Worker> {
        let mut client = Client::connect(address)?;
        let window = arguments().u32(0).u16(u16::try_from(WINDOW)?).bits(0);
        client.ask(QOS, window, QOS_OK)?;
        let queue = arguments().u16(0).short(QUEUE).short("worker");
        client.ask(CONSUME, queue.bits(0).long(b""), CONSUME_OK)?;
        Ok(Worker(client))
    }
}

impl Consumer for Worker {
    fn take(&mut self, check: &mut Check<'_>) -> Fallible<()> {
        let Worker(client) = self;
        let delivered = client.expect(DELIVER)?;
        let behind_tag = 1 + usize::from(delivered.first().copied().unwrap_or(0));
        let number = u64_at(&delivered, behind_tag)?;
        let (kind, header) = client.next()?;
        if kind != HEADER {
            return Err("a message has no header".into());
        }
        let mut left = u64_at(&header, 4)?;
        let mut body = Vec::new();
        while left > 0 {
            let (kind, part) = client.next()?;
            if kind != BODY || part.len() as u64 > left {
                return Err("a message has no such body".into());
            }
            left -= part.len() as u64;
            body.extend(part);
        }
        check(&body)?;
        client.say(1, ACK, arguments().u64(number).bits(0))?;
        match client.has_more() {
            true => Ok(()),
            false => client.flush(),
        }
    }
}
