//! Both halves of the wire over a stream in memory, whatever the kernel takes at a time and wherever connections break: nothing is lost,
//! nothing comes twice, and nothing out of order. With frames as they are, and with an encoding that makes them longer.

mod schedules;

use std::io;
use std::sync::Arc;

use super::records::{OVERHEAD, RecordReader, RecordWriter};
use super::writer::Written;
use super::{Reader, Writer};
use crate::engine::peer::in_buffer::InBuffer;
use crate::engine::peer::out_buffer::OutBuffer;
use crate::engine::peer::outgoing::Outgoing;
use crate::engine::peer::pool::ChunkPool;
use crate::message::{COPY_MAX, Message};
use crate::transport::Stream;
use crate::transport::memory::{self, Direction};
use crate::zmtp::{Limits, Scanner};

const UNLIMITED: Limits = Limits {
    max_message_size: u64::MAX,
    max_parts: u32::MAX,
    min_parts: 1,
    max_command_size: u64::MAX,
};

const PING: &[u8] = b"\x04\x07\x04PING\0\0";

/// What is put around messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Around {
    Nothing,
    Records,
    #[cfg(feature = "curve")]
    Sealed,
}

const ALL: &[Around] = &[
    Around::Nothing,
    Around::Records,
    #[cfg(feature = "curve")]
    Around::Sealed,
];

impl Around {
    /// What a frame with a body of so many bytes comes to on the wire.
    fn frame(self, body: usize) -> usize {
        match self {
            Around::Nothing => body + if body > 255 { 9 } else { 2 },
            Around::Records => body + OVERHEAD,
            #[cfg(feature = "curve")]
            Around::Sealed => crate::zmtp::Sealer::sealed_len(body),
        }
    }

    fn message(self, message: &Message) -> usize {
        message.frames().map(|frame| self.frame(frame.len())).sum()
    }

    fn ping(self) -> usize {
        self.frame(PING.len() - 2)
    }
}

/// A connection, and what the peer has read of it.
struct Connection {
    near: Stream,
    far: Stream,
    /// From near to far.
    out: Arc<Direction>,
    /// `None`: it is with a write outside the lock.
    writer: Option<Writer>,
    reader: Reader,
    scanner: Scanner,
    inbound: InBuffer,
    pool: ChunkPool,
    pings: usize,
}

impl Connection {
    fn new(around: Around) -> Connection {
        let (near, far, out, _) = memory::pair();
        let (writer, reader) = match around {
            Around::Nothing => (Writer::Frames, Reader::Frames),
            Around::Records => (
                Writer::Records(RecordWriter::default()),
                Reader::Records(RecordReader::default()),
            ),
            #[cfg(feature = "curve")]
            Around::Sealed => {
                use crate::zmtp::{Security, Session};

                let (client, server) = Session::pair(7);
                let (writer, _) =
                    super::halves(Security::Sealed(Box::new(client)), UNLIMITED, false);
                let (_, reader) =
                    super::halves(Security::Sealed(Box::new(server)), UNLIMITED, false);
                (writer, reader)
            }
        };
        Connection {
            near,
            far,
            out,
            writer: Some(writer),
            reader,
            scanner: Scanner::new(UNLIMITED),
            inbound: InBuffer::new(false),
            pool: ChunkPool::default(),
            pings: 0,
        }
    }

    /// Writes under the lock, with what the kernel takes now. Never more bytes than it has taken are said to have left.
    fn write(&mut self, buffer: &mut OutBuffer) -> io::Result<()> {
        let before = self.out.written();
        let writer = self.writer.as_mut().expect("nobody else writes");
        let Written { bytes, result } = writer.write(&self.near, buffer, &mut self.pool);
        assert_eq!(bytes, self.out.written() - before);
        result
    }

    /// The peer reads once. `false`: there is nothing to read for now, or never again.
    fn read(&mut self, limit: usize) -> bool {
        let pings = &mut self.pings;
        let outcome = self.inbound.read(
            &mut self.reader,
            &self.far,
            &mut self.scanner,
            &mut self.pool,
            limit,
            &mut |_| {
                *pings += 1;
                Ok(())
            },
        );
        match outcome {
            Ok(outcome) => {
                assert_eq!(outcome.violation, None);
                !outcome.eof
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                false
            }
        }
    }

    /// What the peer has got whole when it has read to the end.
    fn take_all(&mut self) -> Vec<Message> {
        while self.read(usize::MAX) {}
        let mut messages = Vec::new();
        let mut message = Message::new();
        while self.inbound.take(&mut message, &mut self.pool) {
            messages.push(std::mem::take(&mut message));
        }
        messages
    }
}

fn push_all(buffer: &mut OutBuffer, messages: &[Message], pool: &mut ChunkPool) {
    for message in messages {
        buffer.push_commands(PING, pool);
        buffer.push(Outgoing::Message(message), pool);
    }
}

fn drain(buffer: &mut OutBuffer, pool: &mut ChunkPool) -> Vec<Message> {
    let unsent = buffer.drain(pool).into_iter();
    unsent.map(|unsent| unsent.message).collect()
}

/// Of every kind, and not longer than that takes.
fn messages(body: usize) -> Vec<Message> {
    let parts = Message::from_frames([vec![1], vec![2; body], Vec::new(), vec![3; 5]]);
    let long = Message::from(vec![4; 300]);
    vec!["first".into(), parts, long, Message::new(), "last".into()]
}

/// Has a connection break after each number of bytes: the rest comes with the next one.
#[track_caller]
fn cut_everywhere(around: Around, all: &[Message], most: usize) {
    let mut total = 0;
    let mut ends = vec![0];
    for message in all {
        total += around.ping();
        ends.push(total);
        for frame in message.frames() {
            total += around.frame(frame.len());
            ends.push(total);
        }
    }
    // In the middle of a long body all places are alike.
    let near = |cut: usize| ends.iter().any(|end| end.abs_diff(cut) < 30);
    for cut in (0..=total).filter(|&cut| near(cut) || cut % 101 == 0) {
        let pool = &mut ChunkPool::default();
        let mut buffer = OutBuffer::default();
        push_all(&mut buffer, all, pool);
        let mut connection = Connection::new(around);
        connection.out.set_room(cut);
        connection.out.set_most(most);
        while connection.write(&mut buffer).is_err() && connection.out.written() < cut {}
        assert_eq!(connection.out.written(), cut);
        assert_eq!(buffer.is_empty(), cut == total);
        buffer.rewind(pool);
        connection.out.close();
        let came = connection.take_all();
        let mut copy = OutBuffer::default();
        let left = drain(&mut buffer, pool);
        left.iter()
            .for_each(|message| copy.push(Outgoing::Message(message), pool));
        assert_eq!([came, left.clone()].concat(), all, "cut at {cut}");
        let mut next = Connection::new(around);
        next.write(&mut copy).expect("all room there is");
        assert_eq!(next.take_all(), left, "cut at {cut}");
        assert_eq!(next.pings, 0, "they belonged to the connection");
    }
}

#[test]
fn a_connection_that_breaks_anywhere_loses_and_repeats_nothing() {
    for &around in ALL {
        cut_everywhere(around, &messages(2 * COPY_MAX), usize::MAX);
    }
}

#[test]
fn it_does_not_matter_how_little_is_taken_at_a_time() {
    for &around in ALL {
        cut_everywhere(around, &messages(20), 1);
        cut_everywhere(around, &messages(300), 7);
    }
}

#[test]
fn what_is_read_does_not_depend_on_how_much_is_read_at_a_time() {
    let long = Message::from_frames([vec![5; 40_000], vec![6; 100_000], vec![7; 17_000]]);
    let all = [messages(2 * COPY_MAX), vec![long], messages(300)].concat();
    for &around in ALL {
        for (most, limit) in [(3, 9000), (701, 9000), (usize::MAX, 100), (5000, 5000)] {
            let pool = &mut ChunkPool::default();
            let mut buffer = OutBuffer::default();
            push_all(&mut buffer, &all, pool);
            let mut connection = Connection::new(around);
            connection.write(&mut buffer).expect("all room there is");
            connection.out.set_most(most);
            while connection.read(limit) {}
            assert_eq!(connection.pings, all.len());
            assert_eq!(connection.take_all(), all, "{around:?}, {most}, {limit}");
        }
    }
}

/// A reader that has read more than it was asked for says so, since the kernel will not.
#[test]
fn there_is_more_until_all_that_was_read_has_been_given_out() {
    let pool = &mut ChunkPool::default();
    let mut buffer = OutBuffer::default();
    push_all(&mut buffer, &messages(20)[..1], pool);
    let plain = buffer.unwritten();
    let mut connection = Connection::new(Around::Records);
    connection.write(&mut buffer).expect("all room there is");
    let mut given = 0;
    let mut into = Vec::with_capacity(100);
    while given < plain {
        let came = connection.reader.read(&connection.far, &mut into, 3, pool);
        let came = came.expect("there is more");
        given += into.len();
        assert!(came.more || given == plain);
        assert!(!into.is_empty() && !came.eof);
        into.clear();
    }
}

#[test]
fn what_came_with_the_handshake_comes_first() {
    for &around in ALL {
        let pool = &mut ChunkPool::default();
        let mut buffer = OutBuffer::default();
        let all = messages(20);
        push_all(&mut buffer, &all, pool);
        let mut connection = Connection::new(around);
        connection.write(&mut buffer).expect("all room there is");
        for early in [0, 1, 9, 30] {
            let mut input = Vec::with_capacity(early.max(1));
            let read = connection.far.read_spare(&mut input, early);
            assert_eq!(read.is_ok(), early > 0);
            let accepted = connection.inbound.preload(
                &mut connection.reader,
                &input,
                &mut connection.scanner,
                pool,
                &mut |_| Ok(()),
            );
            assert_eq!(accepted.violation, None);
            if early > 0 {
                break;
            }
        }
        assert_eq!(connection.take_all(), all);
    }
}

/// A long frame is looked at as it comes, and decrypted as it is given out: nothing of it before all of it is known to be genuine.
#[cfg(feature = "curve")]
#[test]
fn nothing_is_given_out_of_a_long_frame_that_was_altered() {
    use crate::zmtp::{FrameKind, ProtocolError, Session};

    let body = vec![5; 200_000];
    let head = Around::Sealed.frame(0) - 2 + 9;
    // Name, counter, tag, flags, and the text from its beginning to its end.
    for (at, genuine) in [
        (9, false),
        (24, false),
        (25, false),
        (head - 2, false),
        (head - 1, false),
        (head, false),
        (head + 991, false),
        (head + 992, false),
        (head + 70_000, false),
        (head + body.len() - 1, false),
        (0, true),
    ] {
        let (mut sealer, _) = Session::pair(7).0.split();
        let mut wire = Vec::new();
        assert!(sealer.seal(FrameKind::Last, b"before", &mut wire));
        let start = wire.len();
        assert!(sealer.seal(FrameKind::Last, &body, &mut wire));
        assert_eq!(wire.len() - start, head + body.len());
        wire[start + at] ^= u8::from(!genuine);
        for most in [usize::MAX, 30_000] {
            let mut connection = Connection::new(Around::Sealed);
            connection.out.set_most(usize::MAX);
            connection.near.write(&wire).expect("all room there is");
            connection.out.set_most(most);
            let mut violation = None;
            while violation.is_none() {
                let outcome = connection.inbound.read(
                    &mut connection.reader,
                    &connection.far,
                    &mut connection.scanner,
                    &mut connection.pool,
                    usize::MAX,
                    &mut |_| Ok(()),
                );
                match outcome {
                    Ok(outcome) => violation = outcome.violation,
                    Err(error) => {
                        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                        break;
                    }
                }
            }
            let given_out = connection.inbound.bytes() > 8;
            assert_eq!((violation.is_none(), given_out), (genuine, genuine), "{at}");
            let is_sealed = !matches!(violation.as_deref(), Some(ProtocolError::NotSealed { .. }));
            assert_eq!(is_sealed, at != 9);
            let mut message = Message::new();
            let mut lens = Vec::new();
            while connection.inbound.take(&mut message, &mut connection.pool) {
                lens.push(message.size());
            }
            assert_eq!(lens, [6, body.len()][..1 + usize::from(genuine)]);
        }
    }
}

/// Such a message is not copied unless a part of it is left.
#[test]
fn a_tail_is_written_behind_what_is_queued() {
    let body = vec![9; 600_000];
    for &around in ALL {
        for room in [usize::MAX, 0, 3, 40, 2_000, 300_000, 600_040] {
            let pool = &mut ChunkPool::default();
            let mut buffer = OutBuffer::default();
            let queued = messages(20);
            push_all(&mut buffer, &queued, pool);
            let mut connection = Connection::new(around);
            connection.out.set_room(room);
            let writer = connection.writer.as_mut().expect("nobody else writes");
            let bytes = writer.write_with_tail(&connection.near, &mut buffer, &body, pool);
            assert_eq!(bytes, connection.out.written());
            assert_eq!(buffer.is_empty(), room == usize::MAX);
            connection.out.set_room(usize::MAX);
            connection.write(&mut buffer).expect("all room there is");
            let all = [queued, vec![Message::from(body.clone())]].concat();
            assert_eq!(connection.take_all(), all);
        }
    }
}

/// One that has been taken cannot be taken out any more, also where none of its bytes has left.
#[test]
fn what_the_writer_holds_leaves_or_goes_with_the_connection() {
    for breaks in [false, true] {
        let pool = &mut ChunkPool::default();
        let mut buffer = OutBuffer::default();
        for text in ["a", "b", "c"] {
            buffer.push(Outgoing::Slice(text.as_bytes()), pool);
        }
        let mut connection = Connection::new(Around::Records);
        connection.out.set_room(5);
        assert!(connection.write(&mut buffer).is_err());
        buffer.push(Outgoing::Slice(b"d"), pool);
        for (text, found) in [
            ("d", super::super::withdraw::Found::TakenOut),
            ("b", super::super::withdraw::Found::HalfWritten),
        ] {
            assert_eq!(
                buffer.withdraw(|first| first == text.as_bytes(), pool),
                found
            );
        }
        assert_eq!((buffer.messages(), buffer.unwanted()), (3, 1));
        buffer.push(Outgoing::Slice(b"e"), pool);
        assert_eq!(buffer.drop_unstarted(pool), 1);
        assert_eq!((buffer.messages(), buffer.unwanted()), (3, 1));
        if breaks {
            buffer.rewind(pool);
            connection = Connection::new(Around::Records);
        }
        connection.out.set_room(usize::MAX);
        connection.write(&mut buffer).expect("all room there is");
        let expected: &[&str] = if breaks {
            &["a", "c"]
        } else {
            &["a", "b", "c"]
        };
        let expected: Vec<Message> = expected.iter().map(|&text| text.into()).collect();
        assert_eq!(connection.take_all(), expected);
        assert_eq!((buffer.messages(), buffer.unwanted()), (0, 0));
    }
}

/// Without ZMTP there are the bodies alone, in order and once, whatever the kernel takes at a time; and what is read of them is whole, however
/// much is read at a time.
#[test]
fn bodies_travel_alone_where_there_is_no_zmtp() {
    let all = [messages(2 * COPY_MAX), messages(20), messages(300)].concat();
    let bodies = |messages: &[Message]| -> Vec<u8> {
        let frames = messages.iter().flat_map(Message::frames);
        frames.flat_map(|frame| frame.to_vec()).collect()
    };
    let expected = bodies(&all);
    for (most, limit) in [
        (1, 100),
        (7, 9000),
        (usize::MAX, 10),
        (5000, 300),
        (300, 265),
    ] {
        let pool = &mut ChunkPool::default();
        let mut buffer = OutBuffer::default();
        for message in &all {
            buffer.push(Outgoing::Message(message), pool);
        }
        let mut connection = Connection::new(Around::Nothing);
        let (writer, reader) = super::halves(crate::zmtp::Security::Raw, UNLIMITED, false);
        (connection.writer, connection.reader) = (Some(writer), reader);
        connection.out.set_most(most);
        while connection.write(&mut buffer).is_err() {}
        assert_eq!(connection.out.written(), expected.len());
        assert!(buffer.is_empty() && buffer.messages() == 0);
        while connection.read(limit) {}
        let came = connection.take_all();
        assert!(
            came.iter()
                .all(|piece| piece.parts() == 1 && piece.size() > 0)
        );
        assert!(bodies(&came) == expected, "{most}, {limit}");
    }
}

/// A message that is half written is finished before another is begun, and what has left is let go.
#[test]
fn a_body_that_has_left_in_part_goes_on_where_it_was() {
    let all = [Message::from(vec![1; 400]), Message::from(["", "ab", "c"])];
    for cut in 0..=403 {
        let pool = &mut ChunkPool::default();
        let mut buffer = OutBuffer::default();
        for message in &all {
            buffer.push(Outgoing::Message(message), pool);
        }
        let mut connection = Connection::new(Around::Nothing);
        let (writer, reader) = super::halves(crate::zmtp::Security::Raw, UNLIMITED, false);
        (connection.writer, connection.reader) = (Some(writer), reader);
        connection.out.set_room(cut);
        let result = connection.write(&mut buffer);
        assert_eq!(
            (result.is_ok(), connection.out.written()),
            (cut == 403, cut)
        );
        let waiting = match cut {
            0..400 => 2,
            400..403 => 1,
            _ => 0,
        };
        assert_eq!(buffer.messages(), waiting, "cut at {cut}");
        // Behind it comes more, which is not begun before.
        buffer.push(Outgoing::Slice(b"more"), pool);
        connection.out.set_room(usize::MAX);
        connection.write(&mut buffer).expect("all room there is");
        let came: Vec<u8> = connection
            .take_all()
            .iter()
            .flat_map(|piece| piece.first().to_vec())
            .collect();
        assert!(
            came.ends_with(b"abcmore") && came.len() == 407,
            "cut at {cut}"
        );
    }
}
