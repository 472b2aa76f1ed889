//! What is to be sent: standard input or files cut into messages, or the texts of the command line.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use memchr::memchr_iter;
use zerohop::{AnySocket, Bytes, Message};

use crate::args::{FramingArgs, InputArgs};
use crate::failure::{Failure, Outcome};
use crate::format::from_json;
use crate::session::Session;
use crate::stop::{Stop, Waited};
use crate::value::{Rate, Speed};

/// As much is asked of each read: what a pipe can hold, and more from a file.
const CHUNK: usize = 256 * 1024;

/// With a rate little is read ahead, because what has been read is sent at once when the command is to stop.
const CHUNK_WITH_RATE: usize = 512;

/// A rate is kept over so much time: who falls behind by more does not catch up.
const CATCH_UP: Duration = Duration::from_millis(100);

/// Where the messages go.
pub(crate) trait Sink {
    /// Takes a message that is lent.
    fn line(&mut self, line: &[u8]) -> Outcome;

    /// Takes a message in frames.
    fn message(&mut self, message: Message) -> Outcome;

    /// Takes a message that may be long.
    fn whole(&mut self, message: Bytes) -> Outcome {
        self.line(&message)
    }
}

/// Sends what the arguments say. A stop that is asked for ends the reading, and is no failure here.
pub(crate) fn feed<S: AnySocket>(
    args: &InputArgs,
    framing: &FramingArgs,
    session: &Session<S>,
    sink: &mut impl Sink,
) -> Outcome {
    let stop = &session.stop;
    let mut sink = Paced {
        sink,
        pace: args.rate.map(Pace::new),
        stop,
    };
    if !args.message.is_empty() {
        return repeat(args.repeat, stop, &args.message, &mut sink);
    }
    stop.hold_input();
    let chunk = if args.rate.is_some() || args.replay.is_some() {
        CHUNK_WITH_RATE
    } else {
        CHUNK
    };
    if args.repeat == 0 {
        return Ok(());
    }
    let sources = sources(&args.files)?;
    if args.whole {
        let mut kept = Vec::new();
        for source in &sources {
            let Some(whole) = Input::open(source, session, chunk)?.read_to_end()? else {
                return Ok(());
            };
            if args.repeat > 1 {
                kept.push(whole.clone());
            }
            sink.whole(whole)?;
        }
        for whole in (1..args.repeat).flat_map(|_| &kept) {
            sink.whole(whole.clone())?;
        }
        return Ok(());
    }
    if args.json || args.replay.is_some() {
        let mut replay = args.replay.map(Replay::new);
        return for_each(&sources, session, chunk, framing, |source, number, line| {
            if line.trim_ascii().is_empty() {
                return Ok(());
            }
            let bad = |why: &str| {
                let name = source.in_a_sentence("the input");
                Failure::Failed(format!("line {number} of {name}: {why}"))
            };
            let (message, time) = from_json(line).map_err(|error| bad(&error))?;
            if let Some(replay) = &mut replay {
                let time =
                    time.ok_or_else(|| bad("there is no time, as --format envelope prints it"))?;
                replay.wait(time, stop);
            }
            sink.message(message)
        });
    }
    if args.repeat == 1 {
        return for_each(&sources, session, chunk, framing, |_, _, line| {
            sink.line(line)
        });
    }
    let mut kept = Vec::new();
    for_each(&sources, session, chunk, framing, |_, _, line| {
        kept.push(line.to_vec());
        sink.line(line)
    })?;
    repeat(args.repeat - 1, stop, &kept, &mut sink)
}

/// Gives each message of all sources to `each`, with the number that it has in its source, from 1 on. No message goes from one source
/// into the next.
fn for_each<S: AnySocket>(
    sources: &[Source],
    session: &Session<S>,
    chunk: usize,
    framing: &FramingArgs,
    mut each: impl FnMut(&Source, u64, &[u8]) -> Outcome,
) -> Outcome {
    for source in sources {
        let mut number = 0;
        Input::open(source, session, chunk)?.for_each(framing.delimiter(), |line| {
            number += 1;
            each(source, number, line)
        })?;
        if session.stop.is_over() {
            break;
        }
    }
    Ok(())
}

/// Sends all messages so many times. Copies are no input that could be lost: a stop ends this at once.
fn repeat<T: AsRef<[u8]>>(
    rounds: u64,
    stop: &Stop,
    messages: &[T],
    sink: &mut impl Sink,
) -> Outcome {
    for _ in 0..rounds {
        for message in messages {
            if stop.is_over() {
                if stop.cause().is_some() {
                    stop.cut_short();
                }
                return Ok(());
            }
            sink.line(message.as_ref())?;
        }
    }
    Ok(())
}

/// What input is read from.
enum Source {
    StandardInput,
    File(PathBuf),
}

/// What the command line names. What cannot be read is found before anything is sent, as far as that can be seen.
fn sources(files: &[PathBuf]) -> Outcome<Vec<Source>> {
    if files.is_empty() {
        return Ok(vec![Source::StandardInput]);
    }
    let sources = files.iter().map(|path| {
        if path == Path::new("-") {
            return Ok(Source::StandardInput);
        }
        let source = Source::File(path.clone());
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Err(source.failure(&io::ErrorKind::IsADirectory.into())),
            Ok(_) => Ok(source),
            Err(error) => Err(source.failure(&error)),
        }
    });
    sources.collect()
}

impl Source {
    fn open(&self) -> io::Result<File> {
        match self {
            // The descriptor itself: std's own handle reads through a small buffer under a lock.
            Source::StandardInput => Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?)),
            Source::File(path) => File::open(path),
        }
    }

    /// The name of the file, or what standard input is called.
    fn in_a_sentence<'a>(&self, standard_input: &'a str) -> Cow<'a, str> {
        match self {
            Source::StandardInput => Cow::Borrowed(standard_input),
            Source::File(path) => Cow::Owned(path.display().to_string()),
        }
    }

    fn failure(&self, error: &io::Error) -> Failure {
        let name = self.in_a_sentence("standard input");
        Failure::Failed(format!("cannot read {name}: {error}"))
    }
}

/// A source that is open.
struct Input<'a, S: AnySocket> {
    source: &'a Source,
    file: File,
    session: &'a Session<S>,
    chunk: usize,
}

impl<'a, S: AnySocket> Input<'a, S> {
    fn open(source: &'a Source, session: &'a Session<S>, chunk: usize) -> Outcome<Input<'a, S>> {
        let file = source.open().map_err(|error| source.failure(&error))?;
        Ok(Input {
            source,
            file,
            session,
            chunk,
        })
    }

    /// Gives each message to `each`. A last one without its delimiter counts, unless the stop was asked for in the
    /// middle of it.
    fn for_each(&mut self, delimiter: u8, mut each: impl FnMut(&[u8]) -> Outcome) -> Outcome {
        let mut buffer = vec![0; self.chunk];
        // Bytes at the start of the buffer of a message whose end has not been read.
        let mut begun = 0;
        loop {
            if begun == buffer.len() {
                buffer.resize(buffer.len() * 2, 0);
            }
            let read = match self.read(&mut buffer[begun..])? {
                None => return Ok(()),
                Some(0) if begun == 0 => return Ok(()),
                Some(0) => return each(&buffer[..begun]),
                Some(read) => read,
            };
            let filled = begun + read;
            let mut start = 0;
            for at in memchr_iter(delimiter, &buffer[begun..filled]) {
                let end = begun + at;
                each(&buffer[start..end])?;
                start = end + 1;
            }
            buffer.copy_within(start..filled, 0);
            begun = filled - start;
        }
    }

    /// Everything; `None` if the stop came before the end.
    fn read_to_end(&mut self) -> Outcome<Option<Bytes>> {
        let mut whole = Vec::new();
        loop {
            let filled = whole.len();
            whole.resize(filled + self.chunk, 0);
            match self.read(&mut whole[filled..])? {
                None => {
                    self.session.stop.cut_short();
                    return Ok(None);
                }
                Some(0) => {
                    whole.truncate(filled);
                    return Ok(Some(Bytes::from(whole)));
                }
                Some(read) => whole.truncate(filled + read),
            }
        }
    }

    /// Reads what there is, or waits for it; `None` if the stop came first.
    fn read(&mut self, buffer: &mut [u8]) -> Outcome<Option<usize>> {
        loop {
            match self.wait()? {
                Waited::Stopped => return Ok(None),
                Waited::TimedOut => {
                    return Err(Failure::TimedOut("no input in time".to_owned()));
                }
                Waited::Readable => {}
            }
            match self.file.read(buffer) {
                Ok(read) => return Ok(Some(read)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Somebody else reads the same file, which is non-blocking, and was faster.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(self.source.failure(&error)),
            }
        }
    }
}

impl<S: AnySocket> Input<'_, S> {
    /// Waits for something to read. The time is up when nothing has come and nothing has left for as long as `--timeout` allows.
    fn wait(&self) -> Outcome<Waited> {
        let session = self.session;
        if session.input_may_wait {
            let waited = session.stop.wait_for(self.file.as_fd(), None);
            return waited.map_err(|error| self.source.failure(&error));
        }
        let wait = || match session.stop.wait_for(self.file.as_fd(), session.slice()) {
            Ok(Waited::TimedOut) => Err(None),
            Ok(waited) => Ok(waited),
            Err(error) => Err(Some(error)),
        };
        match session.insist(Option::is_none, wait) {
            Ok(waited) => Ok(waited),
            Err(None) => Ok(Waited::TimedOut),
            Err(Some(error)) => Err(self.source.failure(&error)),
        }
    }
}

/// A sink that takes messages at a rate.
struct Paced<'a, S> {
    sink: &'a mut S,
    pace: Option<Pace>,
    stop: &'a Stop,
}

impl<S: Sink> Sink for Paced<'_, S> {
    #[inline]
    fn line(&mut self, line: &[u8]) -> Outcome {
        if let Some(pace) = &mut self.pace {
            pace.wait(self.stop);
        }
        self.sink.line(line)
    }

    fn message(&mut self, message: Message) -> Outcome {
        if let Some(pace) = &mut self.pace {
            pace.wait(self.stop);
        }
        self.sink.message(message)
    }

    fn whole(&mut self, message: Bytes) -> Outcome {
        if let Some(pace) = &mut self.pace {
            pace.wait(self.stop);
        }
        self.sink.whole(message)
    }
}

/// When the next message may leave.
struct Pace {
    interval: Duration,
    next: Instant,
}

impl Pace {
    fn new(Rate(interval): Rate) -> Pace {
        Pace {
            interval,
            next: Instant::now(),
        }
    }

    /// Waits until the next message's time, or for the stop.
    fn wait(&mut self, stop: &Stop) {
        let now = Instant::now();
        match self.next.checked_duration_since(now) {
            Some(early) if !early.is_zero() => {
                stop.sleep(early);
            }
            _ if now - self.next > CATCH_UP => self.next = now,
            _ => {}
        }
        self.next += self.interval;
    }
}

/// The times of messages that were recorded.
struct Replay {
    speed: f64,
    /// The time of the first message, and when it was sent.
    begun: Option<(SystemTime, Instant)>,
}

impl Replay {
    fn new(Speed(speed): Speed) -> Replay {
        Replay { speed, begun: None }
    }

    /// Waits until it is the time of the next message, or for the stop. One that is older than the one before is not waited for.
    fn wait(&mut self, time: SystemTime, stop: &Stop) {
        let (first, begun) = *self.begun.get_or_insert_with(|| (time, Instant::now()));
        let after = time.duration_since(first).unwrap_or_default();
        let after = Duration::try_from_secs_f64(after.as_secs_f64() / self.speed);
        let after = after.unwrap_or(Duration::MAX);
        let early = after.saturating_sub(begun.elapsed());
        if !early.is_zero() {
            stop.sleep(early);
        }
    }
}
