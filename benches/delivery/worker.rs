//! The process that receives.

use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{self, Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::SystemTime;

use zerohop::{Context, Delivery, Message, Options, Pull};

use crate::brokers::Broker;
use crate::{Fallible, LEN, memory, options};

/// Makes a process of this program a worker.
pub(crate) const ARGUMENT: &str = "--as-worker";

/// How a worker receives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing is settled.
    Plain,
    /// `recv` with acknowledged delivery.
    Received,
    /// `recv_job`, and then `settle`.
    Jobs,
    /// It settles nothing, and receives nothing either.
    Nothing,
    /// From a server, acknowledging each.
    From(Broker),
    /// From a socket of the system.
    Bytes,
}

impl Takes {
    const ALL: [(&'static str, Takes); 8] = [
        ("plain", Takes::Plain),
        ("received", Takes::Received),
        ("jobs", Takes::Jobs),
        ("nothing", Takes::Nothing),
        ("jetstream", Takes::From(Broker::JetStream)),
        ("rabbitmq", Takes::From(Broker::RabbitMq)),
        ("kafka", Takes::From(Broker::Kafka)),
        ("bytes", Takes::Bytes),
    ];

    fn name(self) -> &'static str {
        Takes::ALL
            .iter()
            .find(|(_, takes)| *takes == self)
            .map_or("", |(name, _)| name)
    }
}

/// A worker as its starter has it. It ends with this.
pub(crate) struct Worker {
    child: Child,
    lines: BufReader<ChildStdout>,
    endpoint: String,
}

impl Worker {
    pub(crate) fn start(takes: Takes) -> Fallible<Worker> {
        let mut child = Command::new(env::current_exe()?)
            .args([ARGUMENT, takes.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("a worker has no output")?;
        let mut worker = Worker {
            child,
            lines: BufReader::new(stdout),
            endpoint: String::new(),
        };
        worker.endpoint = worker.line()?;
        Ok(worker)
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The next thing that it says.
    pub(crate) fn line(&mut self) -> Fallible<String> {
        let mut line = String::new();
        if self.lines.read_line(&mut line)? == 0 {
            return Err("a worker has ended early".into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// What it says of all messages together: how many there were, and the median and the 99th percentile of how long they took, in seconds.
    pub(crate) fn told(&mut self) -> Fallible<(u64, f64, f64)> {
        let line = self.line()?;
        let parts: Vec<&str> = line.split(' ').collect();
        let [count, median, late] = parts[..] else {
            return Err(format!("a worker says {line}").into());
        };
        Ok((count.parse()?, median.parse()?, late.parse()?))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a message says, in its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Which thread has sent it: [`Head::END`] is behind all others.
    pub(crate) lane: u16,
    /// Counted from 0 in its thread.
    pub(crate) number: u64,
    /// When it was sent, in nanoseconds since 1970; 0 if that is not asked.
    pub(crate) sent: u64,
}

impl Head {
    pub(crate) const END: u16 = u16::MAX;

    /// Of the message with which a connection begins, before anything is measured.
    pub(crate) const BEGIN: u16 = u16::MAX - 1;

    pub(crate) fn write(self, message: &mut [u8; LEN]) {
        message[..2].copy_from_slice(&self.lane.to_le_bytes());
        message[8..16].copy_from_slice(&self.number.to_le_bytes());
        message[16..24].copy_from_slice(&self.sent.to_le_bytes());
    }

    fn read(message: &[u8]) -> Option<Head> {
        if message.len() != LEN {
            return None;
        }
        Some(Head {
            lane: u16::from_le_bytes(message.get(..2)?.try_into().ok()?),
            number: u64::from_le_bytes(message.get(8..16)?.try_into().ok()?),
            sent: u64::from_le_bytes(message.get(16..24)?.try_into().ok()?),
        })
    }
}

pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// What a process does that was started as a worker.
pub(crate) fn run(takes: &str) -> Fallible<()> {
    let known = Takes::ALL.iter().find(|(name, _)| *name == takes);
    let takes = known.ok_or("no such worker")?.1;
    // It ends when whoever has started it does.
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        process::exit(0);
    });
    if let Takes::From(broker) = takes {
        let mut consumer = broker.consumer()?;
        println!("connected");
        return take_all(|check| consumer.take(check));
    }
    if takes == Takes::Bytes {
        return take_bytes();
    }
    let delivery = Delivery::at_least_once();
    let options = match takes {
        Takes::Plain => options(None),
        Takes::Received | Takes::Jobs => options(Some(delivery)),
        Takes::Nothing | Takes::From(_) | Takes::Bytes => Options::new()
            .recv_hwm(0)
            .delivery(delivery.window(memory::WINDOW)),
    };
    let pull = Pull::with_options(&Context::new(), options)?;
    println!("{}", pull.bind("tcp://127.0.0.1:*")?);
    match takes {
        Takes::Plain | Takes::Received => {
            let mut message = Message::new();
            take_all(|check| {
                pull.recv_into(&mut message)?;
                check(message.get(0).map_or(&[][..], |frame| frame.as_slice()))
            })
        }
        Takes::Jobs => take_all(|check| {
            let job = pull.recv_job()?;
            let frame = job.message().get(0);
            check(frame.map_or(&[][..], |frame| frame.as_slice()))?;
            Ok(job.settle()?)
        }),
        Takes::Nothing | Takes::From(_) | Takes::Bytes => memory::take_nothing(&pull),
    }
}

fn take_bytes() -> Fallible<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let (mut stream, _) = listener.accept()?;
    let mut message = [0; LEN];
    let taken = take_all(|check| {
        stream.read_exact(&mut message)?;
        check(&message)
    });
    taken.or_else(|error| match error.downcast_ref::<io::Error>() {
        // Its starter has had all, and ends it.
        Some(end) if end.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        _ => Err(error),
    })
}

/// What looks at each message that has come.
pub(crate) type Check<'a> = dyn FnMut(&[u8]) -> Fallible<()> + 'a;

/// Receives without end, by calls of `next`, which has each message checked.
fn take_all(mut next: impl FnMut(&mut Check<'_>) -> Fallible<()>) -> Fallible<()> {
    let mut expected = [0; 16];
    let mut took = Vec::new();
    let mut ended = false;
    loop {
        next(&mut |message| {
            let head = Head::read(message).ok_or("a message is damaged")?;
            if ended {
                return Err(format!("{head:?} comes behind the last message").into());
            }
            match (head.lane, expected.get_mut(usize::from(head.lane))) {
                (_, Some(expected)) if *expected == head.number => *expected += 1,
                (Head::BEGIN, None) => println!("begun"),
                (Head::END, None) => {
                    ended = true;
                    let count: u64 = expected.iter().sum();
                    let median = percentile(&mut took, 50);
                    println!("{count} {median} {}", percentile(&mut took, 99));
                }
                (_, _) => return Err(format!("{head:?} is not the next message").into()),
            }
            if head.sent > 0 {
                took.push(now().saturating_sub(head.sent) as f64 / 1e9);
            }
            Ok(())
        })?;
    }
}

pub(crate) fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values
        .get(values.len() * percent / 100)
        .copied()
        .unwrap_or(f64::NAN)
}
