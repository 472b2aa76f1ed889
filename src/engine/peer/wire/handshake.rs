//! Bytes before there are messages: what is said in a handshake, as it is.

use std::io;

use crate::transport::Stream;

/// A handshake is a few hundred bytes long. What comes with the end of it goes to [`Reader::early`](super::Reader::early).
const READ: usize = 1024;

/// Appends what has come to `input`, and says whether there may be more now: what comes after a read that had room to spare is a new
/// event. `None` is the end of the stream.
pub(in crate::engine::peer) fn read_some(
    stream: &Stream,
    input: &mut Vec<u8>,
) -> io::Result<Option<bool>> {
    let mut buffer = [0; READ];
    let bytes = stream.read(&mut buffer)?;
    input.extend_from_slice(&buffer[..bytes]);
    Ok((bytes > 0).then_some(bytes == READ))
}

/// Writes `output` as far as the kernel takes it, and keeps the rest.
pub(in crate::engine::peer) fn flush(stream: &Stream, output: &mut Vec<u8>) -> io::Result<()> {
    while !output.is_empty() {
        match stream.write(output) {
            Ok(bytes) => drop(output.drain(..bytes)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
