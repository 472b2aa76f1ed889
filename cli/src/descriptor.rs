//! Writing to standard output and standard error, which may be non-blocking.
//!
//! That is a property of the open file and not of the descriptor: whoever started us, and everybody else who was given the same
//! terminal or pipe, can set it at any time. What it makes fail, we wait for.

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, write};

/// Writes all of it, however long that takes.
pub(crate) fn write_all(file: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write(&file, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_for_room(&file)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Returns also when the reader has gone: the next write tells.
fn wait_for_room(file: &impl AsFd) -> io::Result<()> {
    match poll(&mut [PollFd::new(file, PollFlags::OUT)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, pipe};
    use std::thread;

    use rustix::fs::{OFlags, fcntl_setfl};

    use super::*;

    #[test]
    fn a_full_pipe_is_waited_for() {
        let (mut reader, writer) = pipe().expect("a pipe");
        fcntl_setfl(&writer, OFlags::NONBLOCK).expect("non-blocking");
        // More than a pipe holds.
        let bytes: Vec<u8> = (0..1 << 20).map(|number| (number % 251) as u8).collect();
        let read = thread::scope(|scope| {
            let reading = scope.spawn(move || {
                let mut read = Vec::new();
                reader.read_to_end(&mut read).map(|_| read)
            });
            write_all(&writer, &bytes).expect("written");
            drop(writer);
            reading.join().expect("a reader that does not panic")
        });
        assert!(read.expect("read") == bytes);
    }

    #[test]
    fn a_reader_that_has_gone_is_told() {
        let (reader, writer) = pipe().expect("a pipe");
        fcntl_setfl(&writer, OFlags::NONBLOCK).expect("non-blocking");
        drop(reader);
        let told = write_all(&writer, b"x").expect_err("nobody reads");
        assert_eq!(told.kind(), io::ErrorKind::BrokenPipe);
    }
}
