//! Reading into memory that nobody has zeroed.
//!
//! A read buffer is 64 KiB and is filled again and again: zeroing it before each read would cost as much as
//! the read. The standard library cannot yet read into spare capacity, so this module does, and it is all
//! the `unsafe` that the transports have.

#![allow(unsafe_code)]

use std::io;

use socket2::{MaybeUninitSlice, SockRef};

/// Receives at most `max` bytes into the spare capacity of `buffer` and returns how many came.
///
/// `buffer` keeps what it holds and never grows its allocation. `Ok(0)` is the end of the stream and nothing
/// else: without room for a single byte the answer is `InvalidInput`.
pub(super) fn recv_spare(
    socket: &SockRef<'_>,
    buffer: &mut Vec<u8>,
    max: usize,
) -> io::Result<usize> {
    let filled = buffer.len();
    let spare = buffer.spare_capacity_mut();
    let room = spare.len().min(max);
    if room == 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let received = socket.recv(&mut spare[..room])?.min(room);
    // SAFETY: `filled + received` is within the capacity, since `received <= room` and `room` is at most the
    // spare capacity. The bytes up to `filled` were initialised before; the system has just written the
    // `received` bytes after them, which is what `recv` returning that number means.
    unsafe { buffer.set_len(filled + received) };
    Ok(received)
}

/// Like [`recv_spare`] into `first`, going on in at most `more` bytes of the spare capacity of `second` once `max` are
/// there. Returns how many bytes came in all.
pub(super) fn recv_spare_two(
    socket: &SockRef<'_>,
    first: &mut Vec<u8>,
    max: usize,
    second: &mut Vec<u8>,
    more: usize,
) -> io::Result<usize> {
    let filled = (first.len(), second.len());
    let spare = first.spare_capacity_mut();
    let room = spare.len().min(max);
    let next = second.spare_capacity_mut();
    let next_room = next.len().min(more);
    if room + next_room == 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut slices = [
        MaybeUninitSlice::new(&mut spare[..room]),
        MaybeUninitSlice::new(&mut next[..next_room]),
    ];
    let (received, _) = socket.recv_vectored(&mut slices)?;
    let of_first = received.min(room);
    let of_second = (received - of_first).min(next_room);
    // SAFETY: as above, for each of the two. The system fills the first slice before it begins the second, so the
    // first `of_first` bytes of the one and the first `of_second` of the other have just been written.
    unsafe {
        first.set_len(filled.0 + of_first);
        second.set_len(filled.1 + of_second);
    }
    Ok(of_first + of_second)
}
