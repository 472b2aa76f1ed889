//! What the fuzzer of the sealed reader calls. The input says what a peer sends, mostly frames that are sealed as they should be, as others would hardly ever
//! be opened, and among them other bytes, repetitions, flips and cuts; and in which pieces it comes, and how much of it is read at a time.
//!
//! The promises: no panic; what comes of it does not depend on the pieces; nothing comes of what is not genuine, nor of what follows it; what is
//! genuine comes to what it does in clear; memory stays within twice what has come, or, where memory is reserved, within what a frame may take.

use std::io;

use super::{Reader, halves};
use crate::engine::peer::in_buffer::InBuffer;
use crate::engine::peer::pool::{CHUNK, ChunkPool};
use crate::message::Message;
use crate::transport::{Stream, memory};
use crate::zmtp::{
    FrameKind, Limits, MESSAGE_OVERHEAD, ProtocolError, Scanner, Sealer, Security, Session,
    put_frame,
};

/// More than the reader keeps of what it does not need for the frames at hand: see `KEPT` and `READ` there.
const SPARE: usize = (2 << 20) + 2 * CHUNK;

/// The most that comes with the end of a handshake.
const EARLY: usize = 1024;

/// Any bytes as what a peer does behind the handshake. The first ones vary the limits, and in what pieces it comes.
pub(crate) fn sealed(data: &[u8]) {
    let [size, parts, how, pieces, input @ ..] = data else {
        return;
    };
    let limits = Limits {
        max_message_size: u64::from(*size).pow(2) * 4,
        max_parts: u32::from(*parts),
        min_parts: 1,
        max_command_size: 300 + u64::from(how >> 4) * 100,
    };
    let exact = how & 1 != 0;
    let said = Said::by(input);

    let mut whole = Receiver::sealed(limits, exact);
    whole.feed(&said.wire, usize::MAX);
    let expected = whole.seen;

    let mut in_clear = Receiver::in_clear(limits, exact);
    in_clear.feed(&said.plain, usize::MAX);
    let clear = in_clear.seen;
    if said.is_genuine {
        assert_eq!(expected.violation.is_some(), clear.violation.is_some());
        assert_eq!(expected.messages, clear.messages);
        assert_eq!(expected.commands, clear.commands);
    } else {
        assert!(clear.messages.starts_with(&expected.messages));
        assert!(clear.commands.starts_with(&expected.commands));
    }

    let pieces = usize::from(*pieces) + 1;
    let lens = [1, pieces, pieces * 7, pieces * 300];
    for (len, limit) in lens
        .into_iter()
        .zip([usize::MAX, 1 + pieces * 5, 9000, 100])
    {
        // Byte by byte is for what is short: each piece is read twice, and the time belongs to many inputs.
        let len = len.max(said.wire.len() / 100);
        let limit = limit.max(said.wire.len() / 100);
        let mut cut = Receiver::sealed(limits, exact);
        let early = usize::from(how >> 1 & 7) * EARLY / 7;
        let (first, rest) = said.wire.split_at(early.min(said.wire.len()));
        cut.preload(first);
        rest.chunks(len).for_each(|piece| cut.feed(piece, limit));
        assert_eq!(cut.seen, expected, "{early} early, pieces of {len}");
    }
}

/// What a peer says: on the wire, and as frames in clear.
struct Said {
    wire: Vec<u8>,
    plain: Vec<u8>,
    is_genuine: bool,
}

impl Said {
    fn by(mut input: &[u8]) -> Said {
        let (client, _) = Session::pair(5);
        let (mut sealer, _) = client.split();
        let mut said = Said {
            wire: Vec::new(),
            plain: Vec::new(),
            is_genuine: true,
        };
        // Where the last frame begins.
        let mut last = 0;
        while let [what, with, rest @ ..] = input {
            input = rest;
            let with = usize::from(*with);
            match what % 10 {
                0 => said.seal(&mut sealer, &mut last, FrameKind::Last, &pattern(with)),
                1 => said.seal(&mut sealer, &mut last, FrameKind::More, &pattern(with)),
                2 | 3 => {
                    let kind = match what % 10 {
                        2 => FrameKind::Last,
                        _ => FrameKind::More,
                    };
                    said.seal(&mut sealer, &mut last, kind, &pattern(long(with)));
                }
                4 => {
                    let body = [b"\x04PING\0\0", &*pattern(with)].concat();
                    said.seal(&mut sealer, &mut last, FrameKind::Command, &body);
                }
                5 => {
                    let (body, rest) = rest.split_at(with.min(rest.len()));
                    input = rest;
                    said.seal(&mut sealer, &mut last, FrameKind::Command, body);
                }
                6 => {
                    let (bytes, rest) = rest.split_at(with.min(rest.len()));
                    input = rest;
                    said.alter(|wire| wire.extend_from_slice(bytes));
                }
                7 => said.alter(|wire| wire.extend_from_within(last..)),
                8 => {
                    let (by, rest) = rest.split_first().unwrap_or((&1, rest));
                    input = rest;
                    let frame = &mut said.wire[last..];
                    let at = with % frame.len().max(1);
                    if let Some(byte) = frame.get_mut(at) {
                        *byte ^= by;
                        said.is_genuine &= *by == 0;
                    }
                }
                _ => {
                    // The end: or else a frame could be taken out, and that is not noticed.
                    let left = said.wire.len().saturating_sub(with);
                    said.alter(|wire| wire.truncate(left));
                    break;
                }
            }
            if said.wire.len() > 1 << 17 {
                break;
            }
        }
        said
    }

    fn seal(&mut self, sealer: &mut Sealer, last: &mut usize, kind: FrameKind, body: &[u8]) {
        *last = self.wire.len();
        assert!(sealer.seal(kind, body, &mut self.wire));
        assert_eq!(self.wire.len() - *last, Sealer::sealed_len(body.len()));
        put_frame(&mut self.plain, kind, body);
    }

    fn alter(&mut self, by: impl FnOnce(&mut Vec<u8>)) {
        let before = self.wire.len();
        by(&mut self.wire);
        self.is_genuine &= self.wire.len() == before;
    }
}

/// Most are not much longer than what is opened piece by piece, so that many inputs take little time; a few are longer than what is read at once.
fn long(with: usize) -> usize {
    match with {
        250.. => 60_000 + 4_000 * (with - 250),
        _ => with * with / 8,
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8).collect()
}

/// What came of the bytes.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    messages: Vec<Message>,
    commands: Vec<String>,
    violation: Option<Box<ProtocolError>>,
}

/// The receiving end of a connection behind its handshake.
struct Receiver {
    near: Stream,
    far: Stream,
    reader: Reader,
    scanner: Scanner,
    inbound: InBuffer,
    pool: ChunkPool,
    fed: usize,
    /// The most that a frame may take that memory is reserved for.
    reserved: usize,
    seen: Seen,
}

impl Receiver {
    fn sealed(limits: Limits, exact: bool) -> Receiver {
        let (_, server) = Session::pair(5);
        let (_, reader) = halves(Security::Sealed(Box::new(server)), limits, exact);
        Receiver::with(reader, limits, exact)
    }

    fn in_clear(limits: Limits, exact: bool) -> Receiver {
        Receiver::with(Reader::Frames, limits, exact)
    }

    fn with(reader: Reader, limits: Limits, exact: bool) -> Receiver {
        let (near, far, _, _) = memory::pair();
        let longest = limits.max_message_size.max(limits.max_command_size);
        Receiver {
            near,
            far,
            reader,
            scanner: Scanner::new(limits),
            inbound: InBuffer::new(exact),
            pool: ChunkPool::default(),
            fed: 0,
            reserved: match exact {
                true => 2 * (longest as usize + MESSAGE_OVERHEAD + 9),
                false => 0,
            },
            seen: Seen::default(),
        }
    }

    /// Bytes that came with the end of the handshake.
    fn preload(&mut self, bytes: &[u8]) {
        self.fed += bytes.len();
        let commands = &mut self.seen.commands;
        let accepted = self.inbound.preload(
            &mut self.reader,
            bytes,
            &mut self.scanner,
            &mut self.pool,
            &mut |command| {
                commands.push(format!("{command:?}"));
                Ok(())
            },
        );
        self.seen.violation = accepted.violation;
        self.take_all();
    }

    /// Takes the next bytes of the stream, as often as there is said to be more, at most `limit` at a time. After a violation it takes no more.
    fn feed(&mut self, bytes: &[u8], limit: usize) {
        if self.seen.violation.is_some() {
            return;
        }
        let written = self.near.write(bytes).expect("room without end");
        assert_eq!(written, bytes.len());
        self.fed += written;
        while self.seen.violation.is_none() && self.read(limit) {}
        if self.seen.violation.is_none() {
            let before = self.seen.messages.len() + self.seen.commands.len();
            assert!(!self.read(limit), "there was more, and it was not said");
            let after = self.seen.messages.len() + self.seen.commands.len();
            assert_eq!((before, &self.seen.violation), (after, &None));
        }
    }

    /// Reads once. Whether there may be more.
    fn read(&mut self, limit: usize) -> bool {
        let commands = &mut self.seen.commands;
        let outcome = self.inbound.read(
            &mut self.reader,
            &self.far,
            &mut self.scanner,
            &mut self.pool,
            limit,
            &mut |command| {
                commands.push(format!("{command:?}"));
                Ok(())
            },
        );
        let most = self.reserved.max(2 * self.fed) + SPARE;
        assert!(self.reader.memory() <= most, "{}", self.reader.memory());
        let more = match outcome {
            Ok(outcome) => {
                assert!(!outcome.eof);
                self.seen.violation = outcome.violation;
                outcome.more
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                false
            }
        };
        self.take_all();
        more
    }

    fn take_all(&mut self) {
        let mut message = Message::new();
        while self.inbound.take(&mut message, &mut self.pool) {
            self.seen.messages.push(std::mem::take(&mut message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the fuzzer does, in small.
    #[test]
    fn whatever_comes_keeps_all_promises() {
        let mut state = 7_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as u8
        };
        for _ in 0..400 {
            let len = 4 + usize::from(random() % 40);
            let mut data: Vec<u8> = (0..len).map(|_| random()).collect();
            // Mostly limits that frames get past, and lengths that are soon opened.
            data[0] |= 0x80;
            data.iter_mut()
                .skip(5)
                .step_by(2)
                .for_each(|with| *with %= 200);
            sealed(&data);
        }
    }

    /// The room for what is given out ends with a frame, and what is wrong with the next one is here already.
    #[test]
    fn what_is_wrong_is_said_where_the_room_ends_with_a_frame() {
        sealed(&[
            63, 66, 168, 96, 132, 0, 213, 11, 93, 197, 66, 213, 11, 93, 197, 66, 241, 0, 201, 201,
            201, 201, 201, 201, 201, 1, 206, 0, 61,
        ]);
    }

    /// The input means what it is meant to: these come through, in clear and sealed.
    #[test]
    fn frames_of_all_lengths_come_through() {
        let said = Said::by(&[0, 5, 1, 200, 2, 240, 4, 3, 3, 253, 2, 0]);
        assert!(said.is_genuine);
        let limits = Limits {
            max_message_size: 1 << 20,
            max_parts: 9,
            min_parts: 1,
            max_command_size: 1000,
        };
        let mut receiver = Receiver::sealed(limits, true);
        receiver.feed(&said.wire, usize::MAX);
        assert_eq!(receiver.seen.violation, None);
        let lens: Vec<Vec<usize>> = receiver
            .seen
            .messages
            .iter()
            .map(|message| message.frames().map(|frame| frame.len()).collect())
            .collect();
        assert_eq!(lens, [vec![5], vec![200, 7_200], vec![72_000, 0]]);
        assert_eq!(receiver.seen.commands.len(), 1);
    }
}
