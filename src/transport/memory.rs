//! A stream within the process, for tests and fuzzers: what one end writes the other reads, as much at a time as the test lets them.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use mio::event::Source;
use mio::{Interest, Registry, Token};

use super::Stream;
use super::dial::SocketAddress;

/// One end. Of both directions each end has the other's second.
#[derive(Debug)]
pub(super) struct End {
    out: Arc<Direction>,
    back: Arc<Direction>,
}

/// What a test decides of one direction, and may look at.
#[derive(Debug, Default)]
pub(crate) struct Direction(Mutex<State>);

#[derive(Debug)]
struct State {
    bytes: VecDeque<u8>,
    closed: bool,
    /// Bytes that may be written before writes are refused.
    room: usize,
    /// One write takes, and one read gives, no more than this.
    most: usize,
    /// All that was ever written.
    written: usize,
}

impl Default for State {
    fn default() -> Self {
        State {
            bytes: VecDeque::new(),
            closed: false,
            room: usize::MAX,
            most: usize::MAX,
            written: 0,
        }
    }
}

impl Direction {
    fn lock(&self) -> MutexGuard<'_, State> {
        crate::sync::lock(&self.0)
    }

    /// So many more bytes may be written before writes are refused.
    #[cfg(test)]
    pub(crate) fn set_room(&self, room: usize) {
        self.lock().room = room;
    }

    /// One write takes, and one read gives, no more than this; at least one byte.
    #[cfg(test)]
    pub(crate) fn set_most(&self, most: usize) {
        self.lock().most = most.max(1);
    }

    /// How many bytes have ever been written.
    #[cfg(test)]
    pub(crate) fn written(&self) -> usize {
        self.lock().written
    }

    /// Nothing more comes.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.lock();
        if state.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let taken = offered.min(state.room).min(state.most);
        if taken == 0 && offered > 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut left = taken;
        for slice in slices {
            let (now, _) = slice.split_at(slice.len().min(left));
            state.bytes.extend(now);
            left -= now.len();
        }
        state.room -= if state.room == usize::MAX { 0 } else { taken };
        state.written += taken;
        Ok(taken)
    }

    /// Fills the vectors in turn, each with as many bytes as are said.
    fn read(&self, buffers: &mut [(&mut Vec<u8>, usize)]) -> io::Result<usize> {
        let mut state = self.lock();
        let mut left = state.most;
        let mut all_room = 0;
        let mut given = 0;
        for (buffer, max) in buffers {
            let room = (buffer.capacity() - buffer.len()).min(*max);
            let take = room.min(left).min(state.bytes.len());
            take_front(&mut state.bytes, take, buffer);
            all_room += room;
            left -= take;
            given += take;
        }
        match (given, all_room) {
            (0, 0) => Err(io::ErrorKind::InvalidInput.into()),
            (0, _) if !state.closed => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(given),
        }
    }
}

/// Moves so many bytes to the end of `into`: not one by one, which takes long without optimisation.
pub(crate) fn take_front(from: &mut VecDeque<u8>, count: usize, into: &mut Vec<u8>) {
    let (first, second) = from.as_slices();
    let of_first = first.len().min(count);
    into.extend_from_slice(&first[..of_first]);
    into.extend_from_slice(&second[..count - of_first]);
    from.drain(..count);
}

impl End {
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(&[IoSlice::new(bytes)])
    }

    pub(super) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.out.write(slices)
    }

    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = Vec::with_capacity(buffer.len());
        let bytes = self.read_spare(&mut read, buffer.len())?;
        buffer[..bytes].copy_from_slice(&read);
        Ok(bytes)
    }

    pub(super) fn read_spare(&self, buffer: &mut Vec<u8>, max: usize) -> io::Result<usize> {
        self.back.read(&mut [(buffer, max)])
    }

    pub(super) fn read_spare_two(
        &self,
        (first, max): (&mut Vec<u8>, usize),
        (second, more): (&mut Vec<u8>, usize),
    ) -> io::Result<usize> {
        self.back.read(&mut [(first, max), (second, more)])
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        self.out.close();
        Ok(())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.out.lock().closed
    }
}

/// There is no system that could report anything: the test says when to go on.
impl Source for End {
    fn register(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        Ok(())
    }

    fn reregister(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        Ok(())
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.out.close();
        self.back.close();
    }
}

/// Two ends of one stream, and what decides of the bytes from the first to the second, and back.
pub(crate) fn pair() -> (Stream, Stream, Arc<Direction>, Arc<Direction>) {
    let (out, back) = (Arc::<Direction>::default(), Arc::<Direction>::default());
    let nowhere = || SocketAddress::Inet(SocketAddr::from(([0, 0, 0, 0], 0)));
    let one = End {
        out: Arc::clone(&out),
        back: Arc::clone(&back),
    };
    let other = End {
        out: Arc::clone(&back),
        back: Arc::clone(&out),
    };
    (
        Stream::memory(one, nowhere()),
        Stream::memory(other, nowhere()),
        out,
        back,
    )
}
