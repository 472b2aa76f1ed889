//! Kafka, one broker, over its own protocol: requests by key and version, in the encodings from before the flexible ones (KIP-482).
//!
//! A message is not acknowledged by itself there. The sender's are confirmed a batch at a time, and the worker commits how far it has come in the log.

use std::collections::VecDeque;
use std::io::{BufReader, BufWriter, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use zerohop::__bench::crc32c;

use super::{Consumer, connect};
use crate::worker::Check;
use crate::{Fallible, LONG, WINDOW};

/// Of the topic, which has one partition, and of the group for which the worker commits.
const NAME: &str = "zerohop_bench";

/// So many messages are a batch, unless the sender waits earlier. They are 68 kB; a window has 16 of them.
const BATCH: u32 = WINDOW / 16;

/// So many bytes are fetched at once, as by default.
const FETCHED: i32 = 1 << 20;

/// A request's key, and the version of it that is spoken here: one that Kafka 0.11 has, and Kafka 4 still.
type Api = (i16, i16);

const PRODUCE: Api = (0, 3);
const FETCH: Api = (1, 4);
const METADATA: Api = (3, 1);
const OFFSET_COMMIT: Api = (8, 2);
const FIND_COORDINATOR: Api = (10, 0);
const API_VERSIONS: Api = (18, 0);
const CREATE_TOPICS: Api = (19, 2);
const DELETE_TOPICS: Api = (20, 1);

const SPOKEN: [Api; 8] = [
    PRODUCE,
    FETCH,
    METADATA,
    OFFSET_COMMIT,
    FIND_COORDINATOR,
    API_VERSIONS,
    CREATE_TOPICS,
    DELETE_TOPICS,
];

/// Error codes.
const NONE: i16 = 0;
const UNKNOWN_TOPIC: i16 = 3;
const LEADER_NOT_AVAILABLE: i16 = 5;
const COORDINATOR_LOADS: i16 = 14;
const NO_COORDINATOR: i16 = 15;
const TOPIC_EXISTS: i16 = 36;

/// In a record batch: where what is checked begins, how long it is without its records, and its format.
const CHECKED: usize = 21;
const BATCH_HEADER: usize = 61;
const MAGIC: u8 = 2;

/// What is written, numbers in network order.
#[derive(Default)]
struct Body(Vec<u8>);

impl Body {
    fn i8(mut self, number: i8) -> Body {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn i16(mut self, number: i16) -> Body {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn i32(mut self, number: i32) -> Body {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn i64(mut self, number: i64) -> Body {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn text(self, text: &str) -> Body {
        let mut body = self.i16(text.len() as i16);
        body.0.extend(text.as_bytes());
        body
    }

    /// An array with the one element that follows.
    fn one(self) -> Body {
        self.i32(1)
    }

    /// The one topic, and its one partition.
    fn partition(self) -> Body {
        self.one().text(NAME).one().i32(0)
    }
}

fn body() -> Body {
    Body::default()
}

/// What is read.
struct Answer<'a>(&'a [u8]);

impl<'a> Answer<'a> {
    fn take(&mut self, len: usize) -> Fallible<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or("an answer is cut off")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const LEN: usize>(&mut self) -> Fallible<[u8; LEN]> {
        Ok(self.take(LEN)?.try_into()?)
    }

    fn i8(&mut self) -> Fallible<i8> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    fn i16(&mut self) -> Fallible<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    fn i32(&mut self) -> Fallible<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    fn i64(&mut self) -> Fallible<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A length or a number of elements, of which -1 stands for none.
    fn len(&mut self) -> Fallible<usize> {
        Ok(usize::try_from(self.i32()?.max(0))?)
    }

    /// A text, or none.
    fn skip_text(&mut self) -> Fallible<()> {
        let len = self.i16()?.max(0);
        self.take(usize::try_from(len)?)?;
        Ok(())
    }

    /// A number of 7 bits a byte, the sign in its last bit.
    fn varint(&mut self) -> Fallible<i64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = u64::from(u8::from_be_bytes(self.array()?));
            number |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
            }
        }
        Err("a number does not end".into())
    }

    /// The one topic's one partition, up to its error code, which is given.
    fn partition(&mut self) -> Fallible<i16> {
        for index in 0..2 {
            if self.i32()? != 1 {
                return Err("an answer is not about one partition".into());
            }
            if index == 0 {
                self.skip_text()?;
            }
        }
        self.i32()?;
        self.i16()
    }
}

fn succeeds(code: i16, at: &str) -> Fallible<()> {
    match code {
        NONE => Ok(()),
        _ => Err(format!("{at}: the server answers with the error {code}").into()),
    }
}

/// A connection. The server answers in order.
struct Client {
    reader: BufReader<TcpStream>,
    writer: BufWriter<TcpStream>,
    /// Numbers of requests: of the next one, and of the one that is answered next.
    next: i32,
    answered: i32,
}

impl Client {
    fn connect(address: &str) -> Fallible<Client> {
        let (reader, writer) = connect(address)?;
        let mut client = Client {
            reader,
            writer,
            next: 0,
            answered: 0,
        };
        let answer = client.ask(API_VERSIONS, &body())?;
        let mut answer = Answer(&answer);
        succeeds(answer.i16()?, "versions")?;
        let mut missing = SPOKEN.to_vec();
        for _ in 0..answer.len()? {
            let (key, from, to) = (answer.i16()?, answer.i16()?, answer.i16()?);
            missing.retain(|(spoken, version)| *spoken != key || !(from..=to).contains(version));
        }
        match &missing[..] {
            [] => Ok(client),
            _ => Err(format!("the server does not know these requests: {missing:?}").into()),
        }
    }

    fn say(&mut self, (key, version): Api, body: &Body) -> Fallible<()> {
        let header = Body::default().i16(key).i16(version).i32(self.next);
        let header = header.text("zerohop");
        self.next += 1;
        let len = header.0.len() + body.0.len();
        self.writer.write_all(&i32::try_from(len)?.to_be_bytes())?;
        self.writer.write_all(&header.0)?;
        Ok(self.writer.write_all(&body.0)?)
    }

    fn flush(&mut self) -> Fallible<()> {
        Ok(self.writer.flush()?)
    }

    /// The next answer, without its header.
    fn answer(&mut self) -> Fallible<Vec<u8>> {
        let mut head = [0; 8];
        self.reader.read_exact(&mut head)?;
        let mut head = Answer(&head);
        let (len, number) = (head.len()?, head.i32()?);
        if number != self.answered {
            return Err(format!("{number} is answered before {}", self.answered).into());
        }
        self.answered += 1;
        let mut answer = vec![0; len.checked_sub(4).ok_or("an answer is cut off")?];
        self.reader.read_exact(&mut answer)?;
        Ok(answer)
    }

    fn ask(&mut self, api: Api, body: &Body) -> Fallible<Vec<u8>> {
        self.say(api, body)?;
        self.flush()?;
        self.answer()
    }

    /// Asks until the error is none of those that pass; the server does not tell when they do.
    fn ask_until_ready(
        &mut self,
        api: Api,
        body: &Body,
        passing: &[i16],
        error: fn(&mut Answer<'_>) -> Fallible<i16>,
    ) -> Fallible<()> {
        let begun = Instant::now();
        loop {
            let answer = self.ask(api, body)?;
            let code = error(&mut Answer(&answer))?;
            if !passing.contains(&code) || begun.elapsed() > LONG {
                return succeeds(code, &format!("{api:?}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn delete(&mut self) -> Fallible<()> {
        let topic = body().one().text(NAME).i32(LONG.as_millis() as i32);
        let answer = self.ask(DELETE_TOPICS, &topic)?;
        match error_of_topic(&mut Answer(&answer))? {
            UNKNOWN_TOPIC => Ok(()),
            code => succeeds(code, "deleting the topic"),
        }
    }

    fn create(&mut self) -> Fallible<()> {
        let (partitions, replicas) = (1, 1);
        let topic = body().one().text(NAME).i32(partitions).i16(replicas);
        let topic = topic.i32(0).i32(0).i32(LONG.as_millis() as i32).i8(0);
        // A server may still be deleting the one of before.
        self.ask_until_ready(CREATE_TOPICS, &topic, &[TOPIC_EXISTS], error_of_topic)?;
        let passing = [UNKNOWN_TOPIC, LEADER_NOT_AVAILABLE];
        self.ask_until_ready(METADATA, &body().one().text(NAME), &passing, |answer| {
            for _ in 0..answer.len()? {
                answer.i32()?;
                answer.skip_text()?;
                answer.i32()?;
                answer.skip_text()?;
            }
            answer.i32()?;
            if answer.i32()? != 1 {
                return Err("the server does not tell of one topic".into());
            }
            let code = answer.i16()?;
            answer.skip_text()?;
            answer.i8()?;
            match (code, answer.len()?) {
                (NONE, 1) => answer.i16(),
                (NONE, _) => Err("the topic has not one partition".into()),
                _ => Ok(code),
            }
        })
    }
}

fn error_of_topic(answer: &mut Answer<'_>) -> Fallible<i16> {
    let throttled = answer.i32()?;
    if throttled > 0 || answer.i32()? != 1 {
        return Err("the server limits, or does not tell of one topic".into());
    }
    answer.skip_text()?;
    answer.i16()
}

fn put_varint(bytes: &mut Vec<u8>, number: i64) {
    let mut number = (number << 1 ^ number >> 63) as u64;
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// The length of [`put_varint`].
fn varint_len(number: i64) -> usize {
    let mut bytes = Vec::with_capacity(10);
    put_varint(&mut bytes, number);
    bytes.len()
}

pub(super) struct Publisher {
    client: Client,
    /// Of the batch that is being filled.
    records: Vec<u8>,
    count: u32,
    /// How many messages each batch has that is not confirmed.
    unconfirmed: VecDeque<u32>,
}

impl Publisher {
    pub(super) fn new(address: &str) -> Fallible<Publisher> {
        let mut client = Client::connect(address)?;
        // What is left of a run that failed.
        client.delete()?;
        client.create()?;
        Ok(Publisher {
            client,
            records: Vec::new(),
            count: 0,
            unconfirmed: VecDeque::new(),
        })
    }

    fn send_batch(&mut self) -> Fallible<()> {
        let count = std::mem::take(&mut self.count);
        let records = std::mem::take(&mut self.records);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let (time, number) = (since.as_millis() as i64, i32::try_from(count)?);
        let none = -1;
        let mut checked = body().i16(0).i32(number - 1).i64(time).i64(time);
        checked = checked.i64(none.into()).i16(none).i32(none.into());
        checked = checked.i32(number);
        checked.0.extend(records);
        let len = i32::try_from(checked.0.len() + CHECKED)?;
        let behind_len = len - 12;
        let (all_replicas, timeout) = (-1, LONG.as_millis() as i32);
        let mut request = body().i16(none).i16(all_replicas).i32(timeout);
        request = request.partition().i32(len);
        request = request.i64(0).i32(behind_len).i32(none.into());
        request = request.i8(MAGIC as i8);
        let crc = crc32c(&checked.0);
        request.0.extend(crc.to_be_bytes());
        request.0.extend(checked.0);
        self.client.say(PRODUCE, &request)?;
        self.unconfirmed.push_back(count);
        self.client.flush()
    }
}

impl super::Publisher for Publisher {
    fn publish(&mut self, message: &[u8]) -> Fallible<()> {
        let (number, len) = (i64::from(self.count), message.len() as i64);
        // Attributes, the time that has passed, and no headers are a byte each; so is that there is no key.
        let rest = 4 + varint_len(number) + varint_len(len) + message.len();
        put_varint(&mut self.records, rest as i64);
        self.records.extend([0, 0]);
        put_varint(&mut self.records, number);
        put_varint(&mut self.records, -1);
        put_varint(&mut self.records, len);
        self.records.extend(message);
        self.records.push(0);
        self.count += 1;
        match self.count < BATCH {
            true => Ok(()),
            false => self.send_batch(),
        }
    }

    fn flush(&mut self) -> Fallible<()> {
        match self.count {
            0 => Ok(()),
            _ => self.send_batch(),
        }
    }

    fn has_more(&self) -> bool {
        !self.client.reader.buffer().is_empty()
    }

    fn confirmed(&mut self) -> Fallible<u64> {
        let answer = self.client.answer()?;
        succeeds(Answer(&answer).partition()?, "a batch")?;
        let count = self.unconfirmed.pop_front();
        Ok(count.ok_or("nothing was to be confirmed")?.into())
    }

    fn clean_up(mut self) -> Fallible<()> {
        self.client.delete()
    }
}

pub(super) struct Worker {
    client: Client,
    /// Of the next message in the log.
    offset: i64,
}

impl Worker {
    pub(super) fn new(address: &str) -> Fallible<Worker> {
        let mut client = Client::connect(address)?;
        let passing = [COORDINATOR_LOADS, NO_COORDINATOR];
        let group = body().text(NAME);
        client.ask_until_ready(FIND_COORDINATOR, &group, &passing, |answer| answer.i16())?;
        let mut worker = Worker { client, offset: 0 };
        worker.fetch()?;
        Ok(worker)
    }

    /// Asks for what is next.
    fn fetch(&mut self) -> Fallible<()> {
        let (consumer, wait, at_least, also_uncommitted) = (-1, 500, 1, 0);
        let request = body().i32(consumer).i32(wait).i32(at_least).i32(FETCHED);
        let request = request.i8(also_uncommitted).partition();
        let request = request.i64(self.offset).i32(FETCHED);
        self.client.say(FETCH, &request)?;
        self.client.flush()
    }

    /// Commits that everything before is done, and asks for what is next.
    fn commit(&mut self) -> Fallible<()> {
        let (generation, no_member, retention) = (-1, "", -1);
        let request = body().text(NAME).i32(generation).text(no_member);
        let request = request.i64(retention).partition();
        let request = request.i64(self.offset).text("");
        self.client.say(OFFSET_COMMIT, &request)?;
        self.fetch()?;
        let answer = self.client.answer()?;
        succeeds(Answer(&answer).partition()?, "a commit")
    }

    /// Has the messages of a batch checked.
    fn take_batch(&mut self, batch: &[u8], check: &mut Check<'_>) -> Fallible<()> {
        let mut header = Answer(batch);
        let base = header.i64()?;
        header.take(8)?;
        let [magic] = header.array()?;
        let crc = u32::from_be_bytes(header.array()?);
        if magic != MAGIC || crc != crc32c(header.0) {
            return Err("a batch is damaged, or of an older format".into());
        }
        if header.i16()? != 0 {
            return Err("a batch is compressed, or no messages are in it".into());
        }
        let last = base + i64::from(header.i32()?);
        header.take(BATCH_HEADER - CHECKED - 10)?;
        let count = header.len()?;
        let mut records = header;
        for _ in 0..count {
            let len = records.varint()?;
            let mut record = Answer(records.take(usize::try_from(len)?)?);
            record.i8()?;
            record.varint()?;
            let offset = base + record.varint()?;
            let key = record.varint()?.max(0);
            record.take(usize::try_from(key)?)?;
            let len = record.varint()?;
            let message = record.take(usize::try_from(len)?)?;
            if offset >= self.offset {
                check(message)?;
            }
        }
        self.offset = last + 1;
        Ok(())
    }
}

impl Consumer for Worker {
    fn take(&mut self, check: &mut Check<'_>) -> Fallible<()> {
        let answer = self.client.answer()?;
        let mut answer = Answer(&answer);
        answer.i32()?;
        succeeds(answer.partition()?, "messages")?;
        answer.take(16)?;
        let aborted = answer.len()?;
        answer.take(aborted * 16)?;
        let len = answer.len()?;
        let mut batches = answer.take(len)?;
        let before = self.offset;
        // The last one may be cut off, and comes again.
        while let Some(len) = batches.get(8..12) {
            let len = Answer(len).len()?;
            let Some((batch, rest)) = batches.split_at_checked(12 + len) else {
                break;
            };
            self.take_batch(batch, check)?;
            batches = rest;
        }
        match self.offset > before {
            true => self.commit(),
            false => self.fetch(),
        }
    }
}
