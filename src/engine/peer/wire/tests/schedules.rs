//! Random schedules of all that can happen to a queue and its connections, against a list.

use super::*;
use crate::engine::peer::stand::Random;
use crate::engine::peer::withdraw::Found;

/// What was queued, as the model has it.
#[derive(Debug)]
struct Item {
    /// `None`: a command.
    message: Option<(u32, Message)>,
    /// Where it ends on the wire of this connection.
    end: usize,
    len: usize,
    unwanted: bool,
    breaks: u32,
}

/// A write outside the lock.
struct Job {
    buffer: OutBuffer,
    writer: Writer,
    /// How many items were in the buffer.
    items: usize,
}

struct Rig {
    random: Random,
    around: Around,
    pool: ChunkPool,
    buffer: OutBuffer,
    job: Option<Job>,
    connection: Connection,
    /// All that was queued on this connection, in order, and has not been taken out.
    items: Vec<Item>,
    next_tag: u32,
    /// What was done, for the message of a failure.
    log: Vec<String>,
    seen: Seen,
}

/// How often something happened that the test is for.
#[derive(Debug, Default)]
struct Seen {
    cut_in_two: usize,
    broken_in_job: usize,
    half_written: usize,
    taken_out: usize,
    dropped: usize,
    tails: usize,
}

impl Rig {
    fn new(seed: u64, around: Around) -> Rig {
        Rig {
            random: Random::new(seed),
            around,
            pool: ChunkPool::default(),
            buffer: OutBuffer::default(),
            job: None,
            connection: Connection::new(around),
            items: Vec::new(),
            next_tag: 0,
            log: vec![format!("seed {seed}, {around:?}")],
            seen: Seen::default(),
        }
    }

    fn body(&mut self, tag: u32) -> Vec<u8> {
        const SMALL: [usize; 8] = [0, 1, 7, 50, 248, 251, 252, 300];
        const LARGE: [usize; 5] = [COPY_MAX - 4, COPY_MAX, 20_000, 40_000, 70_000];
        let more = match self.random.below(12) {
            0 => self.random.of(&LARGE),
            _ => self.random.of(&SMALL),
        };
        let mut body = tag.to_be_bytes().to_vec();
        body.resize(4 + more, tag as u8);
        body
    }

    fn queued(&mut self, message: Option<(u32, Message)>) {
        let before = self.items.last().map_or(0, |item| item.end);
        let len = match &message {
            Some((_, message)) => self.around.message(message),
            None => self.around.ping(),
        };
        self.items.push(Item {
            message,
            end: before + len,
            len,
            unwanted: false,
            breaks: 0,
        });
    }

    fn push(&mut self) {
        let tag = self.next_tag;
        self.next_tag += 1;
        let body = self.body(tag);
        let message = match self.random.below(4) {
            0 => {
                let rest = self.body(tag);
                Message::from_frames([body, rest, vec![1; tag as usize % 3]])
            }
            _ => Message::from(body),
        };
        let single = message.as_bytes().filter(|_| self.random.below(3) > 0);
        let short = single.is_some_and(|body| {
            self.random.below(2) == 0 && self.buffer.push_single(body, usize::MAX)
        });
        if !short {
            let outgoing = single.map_or(Outgoing::Message(&message), Outgoing::Slice);
            self.buffer.push(outgoing, &mut self.pool);
        }
        self.queued(Some((tag, message)));
    }

    fn push_ping(&mut self) {
        self.buffer.push_commands(PING, &mut self.pool);
        self.queued(None);
    }

    fn push_tail(&mut self) {
        if self.job.is_some() {
            return;
        }
        let tag = self.next_tag;
        self.next_tag += 1;
        let mut body = self.body(tag);
        if self.around == Around::Nothing {
            body.resize(40_000 + body.len(), tag as u8);
        }
        self.kernel();
        let Connection {
            writer, near, out, ..
        } = &mut self.connection;
        let writer = writer.as_mut().expect("no job");
        let before = out.written();
        let bytes = writer.write_with_tail(near, &mut self.buffer, &body, &mut self.pool);
        assert_eq!(bytes, out.written() - before);
        self.seen.tails += usize::from(self.buffer.is_empty());
        self.queued(Some((tag, Message::from(body))));
    }

    /// Changes what the kernel takes.
    fn kernel(&mut self) {
        let room = match self.random.below(5) {
            0 => 0,
            1 => usize::MAX,
            2 => self.random.below(20),
            3 => self.random.below(2_000),
            _ => self.random.below(200_000),
        };
        self.connection.out.set_room(room);
        let most = self.random.of(&[1, 7, 500, 5_000, usize::MAX]);
        self.connection.out.set_most(most);
    }

    /// Like the caretaker: takes the buffer out, with the writer.
    fn begin_job(&mut self) {
        if self.job.is_none() && !self.buffer.is_empty() {
            self.job = Some(Job {
                buffer: std::mem::take(&mut self.buffer),
                writer: self.connection.writer.take().expect("no job"),
                items: self.items.len(),
            });
        }
    }

    fn write(&mut self) {
        self.kernel();
        let times = 1 + self.random.below(3);
        for _ in 0..times {
            let Some(job) = &mut self.job else {
                let _ = self.connection.write(&mut self.buffer);
                continue;
            };
            let Connection { near, out, .. } = &self.connection;
            let before = out.written();
            let mut spare = ChunkPool::default();
            let written = job.writer.write(near, &mut job.buffer, &mut spare);
            assert_eq!(written.bytes, out.written() - before);
        }
    }

    fn end_job(&mut self) {
        let Some(mut job) = self.job.take() else {
            return;
        };
        let later = std::mem::take(&mut self.buffer);
        job.buffer.append(later, &mut self.pool);
        self.buffer = job.buffer;
        self.connection.writer = Some(job.writer);
    }

    fn withdraw(&mut self) {
        if self.next_tag == 0 {
            return;
        }
        let tag = self.random.below(self.next_tag as usize) as u32;
        let wanted = |first: &[u8]| first.starts_with(&tag.to_be_bytes());
        let found = self.buffer.withdraw(wanted, &mut self.pool);
        let written = self.connection.out.written();
        let index = self.items.iter().position(|item| {
            let message = item.message.as_ref();
            message.is_some_and(|(its, _)| *its == tag)
        });
        let (begun, done) = match index {
            Some(index) => {
                let Item { end, len, .. } = self.items[index];
                (end - len < written, end <= written)
            }
            None => (true, true),
        };
        let in_job = |index| self.job.as_ref().is_some_and(|job| index < job.items);
        match (found, index) {
            (Found::TakenOut, Some(index)) => {
                assert!(!begun && !in_job(index));
                let len = self.items.remove(index).len;
                self.items[index..]
                    .iter_mut()
                    .for_each(|item| item.end -= len);
                self.seen.taken_out += 1;
            }
            (Found::HalfWritten, Some(index)) => {
                assert!(!done && !in_job(index));
                // A writer may hold what has not begun to leave.
                assert!(begun || self.around != Around::Nothing);
                self.items[index].unwanted = true;
                self.seen.half_written += 1;
            }
            (Found::No, index) => assert!(done || index.is_some_and(in_job)),
            (found, None) => panic!("{found:?}, and there is none"),
        }
    }

    fn drop_unstarted(&mut self) {
        let dropped = self.buffer.drop_unstarted(&mut self.pool);
        let written = self.connection.out.written();
        let in_job = self.job.as_ref().map_or(0, |job| job.items);
        let can = |index: usize, item: &Item| {
            item.message.is_some() && index >= in_job && item.end - item.len >= written
        };
        let mut left = dropped;
        for index in (0..self.items.len()).rev() {
            if left > 0 && self.items[index].message.is_some() {
                assert!(can(index, &self.items[index]));
                self.items.remove(index);
                left -= 1;
            }
        }
        assert_eq!(left, 0);
        let stays = (0..)
            .zip(&self.items)
            .filter(|(index, item)| can(*index, item));
        assert!(stays.count() == 0 || self.around != Around::Nothing);
        let mut end = 0;
        for item in &mut self.items {
            end += item.len;
            item.end = end;
        }
        self.seen.dropped += dropped;
    }

    /// What the model says has wholly left on this connection.
    fn left(&self) -> usize {
        let written = self.connection.out.written();
        self.items.partition_point(|item| item.end <= written)
    }

    /// The connection is gone. If a write outside the lock is under way, it goes on for a while.
    fn break_off(&mut self) {
        if self.job.is_some() && self.random.below(2) == 0 {
            self.end_job();
        }
        self.seen.broken_in_job += usize::from(self.job.is_some());
        if self.job.is_some() {
            self.write();
        }
        let left = self.left();
        let written = self.connection.out.written();
        let came = self.items.drain(..left);
        let came: Vec<Message> = came
            .filter_map(|item| item.message)
            .map(|(_, message)| message)
            .collect();
        self.connection.out.close();
        let most = match written < 1_000 {
            true => self.random.of(&[1, 10, usize::MAX]),
            // Byte by byte a long frame takes long.
            false => self.random.of(&[1_000, usize::MAX]),
        };
        self.connection.out.set_most(most);
        assert_eq!(self.connection.take_all(), came, "on one connection");
        let begun = self.items.first().is_some_and(|item| {
            item.message.is_some() && item.end - item.len < written && !item.unwanted
        });
        self.seen.cut_in_two += usize::from(begun);
        if begun {
            self.items[0].breaks += 1;
        }
        // Commands go with the connection, and what nobody waits for.
        self.items
            .retain(|item| item.message.is_some() && !item.unwanted);
        match self.job.take() {
            Some(mut job) => {
                job.buffer.blame(None, &mut self.pool);
                job.buffer.rewind(&mut self.pool);
                let mut later = std::mem::take(&mut self.buffer);
                later.rewind(&mut self.pool);
                job.buffer.append(later, &mut self.pool);
                self.buffer = job.buffer;
            }
            None => {
                self.buffer.blame(None, &mut self.pool);
                self.buffer.rewind(&mut self.pool);
            }
        }
        self.check_kept();
        if self.random.below(3) == 0 {
            self.take_out();
        }
        self.connection = Connection::new(self.around);
        let mut end = 0;
        for item in &mut self.items {
            end += item.len;
            item.end = end;
        }
    }

    /// What is kept for the next connection, with what is known of each.
    fn check_kept(&mut self) {
        let kept = self.buffer.drain(&mut self.pool);
        assert_eq!(kept.len(), self.items.len());
        for (unsent, item) in kept.iter().zip(&mut self.items) {
            let (_, message) = item.message.as_ref().expect("a message");
            assert_eq!(unsent.message, *message);
            match self.around {
                Around::Nothing => assert_eq!(unsent.breaks, item.breaks),
                // What the writer holds counts as begun.
                _ => assert!(unsent.breaks >= item.breaks),
            }
            self.buffer.push_again(unsent, &mut self.pool);
        }
    }

    /// The next peer may not take all of it.
    fn take_out(&mut self) {
        let is_one = |message: &Message| message.size().is_multiple_of(3);
        let taken = self.buffer.take_out(is_one, &mut self.pool);
        let mut taken = taken.into_iter();
        self.items.retain(|item| {
            let (_, message) = item.message.as_ref().expect("no commands are left");
            let stays = !is_one(message);
            if !stays {
                assert_eq!(taken.next().expect("it is there").message, *message);
            }
            stays
        });
        assert!(taken.next().is_none());
    }

    fn check(&self) {
        let left = self.left();
        let rest = &self.items[left..];
        let messages = rest.iter().filter(|item| item.message.is_some());
        let commands = rest.len() - messages.clone().count();
        let job = self.job.as_ref().map(|job| &job.buffer);
        let all = || job.into_iter().chain([&self.buffer]);
        let sum = |count: fn(&OutBuffer) -> usize| all().map(count).sum::<usize>();
        assert_eq!(sum(OutBuffer::messages), messages.clone().count());
        assert_eq!(sum(OutBuffer::commands), commands * PING.len());
        let unwanted = messages.filter(|item| item.unwanted).count();
        assert_eq!(sum(OutBuffer::unwanted), unwanted);
        assert_eq!(all().all(OutBuffer::is_empty), rest.is_empty());
        if self.around == Around::Nothing {
            let end = self.items.last().map_or(0, |item| item.end);
            let unwritten = end - self.connection.out.written();
            assert_eq!(sum(OutBuffer::unwritten), unwritten);
        }
    }

    fn step(&mut self) {
        let choice = self.random.below(20);
        let name = match choice {
            0..=4 => "push",
            5 => "ping",
            6 | 7 => "tail",
            8..=10 => "write",
            11 | 12 => "begin job",
            13 | 14 => "end job",
            15 => "withdraw",
            16 if self.random.below(4) == 0 => "drop unstarted",
            17 => "break",
            _ => "read",
        };
        self.log.push(name.to_owned());
        match name {
            "push" => self.push(),
            "ping" => self.push_ping(),
            "tail" => self.push_tail(),
            "write" => self.write(),
            "begin job" => self.begin_job(),
            "end job" => self.end_job(),
            "withdraw" => self.withdraw(),
            "drop unstarted" => self.drop_unstarted(),
            "break" => self.break_off(),
            _ => {
                let limit = self.random.of(&[100, 8192, usize::MAX]);
                self.connection.read(limit);
            }
        }
        self.check();
    }

    /// All that is queued leaves in the end.
    fn end(&mut self) {
        self.end_job();
        self.connection.out.set_room(usize::MAX);
        self.connection.out.set_most(usize::MAX);
        let written = self.connection.write(&mut self.buffer);
        written.expect("all room there is");
        self.check();
        assert_eq!(self.left(), self.items.len());
        self.break_off();
        assert!(self.items.is_empty());
    }
}

/// Tells which schedule it was that failed.
struct Told<'a>(&'a mut Rig);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0.log.join(", "));
        }
    }
}

#[test]
fn whatever_happens_each_message_arrives_once_and_in_order() {
    for &around in ALL {
        let mut seen = Seen::default();
        for seed in 1..=300 {
            let mut rig = Rig::new(seed, around);
            let told = Told(&mut rig);
            for _ in 0..80 {
                told.0.step();
            }
            told.0.end();
            let new = &told.0.seen;
            seen.cut_in_two += new.cut_in_two;
            seen.broken_in_job += new.broken_in_job;
            seen.half_written += new.half_written;
            seen.taken_out += new.taken_out;
            seen.dropped += new.dropped;
            seen.tails += new.tails;
        }
        let Seen {
            cut_in_two,
            broken_in_job,
            half_written,
            taken_out,
            dropped,
            tails,
        } = seen;
        let all = [
            cut_in_two,
            broken_in_job,
            half_written,
            taken_out,
            dropped,
            tails,
        ];
        assert!(all.iter().all(|&times| times > 20), "{all:?}");
    }
}
