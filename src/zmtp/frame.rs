//! Frames: the one place where a frame header is written, and the one where it is read.
//!
//! ```text
//! short:  flags(1)  size(1)      body      size up to 255
//! long:   flags(1)  size(8, BE)  body      LONG set in flags; any size is accepted on receipt
//!
//! flags:  bit 0  MORE     another part of this message follows
//!         bit 1  LONG     the size takes 8 bytes
//!         bit 2  COMMAND  the body is a command, not a part of a message
//!         3 - 7  reserved: sent as zero, ignored on receipt, as libzmq does
//! ```
//!
//! Sizes count the body only. A command is never one of several parts: MORE is ignored beside COMMAND.
//!
//! Nothing here panics on any input, and nothing judges a size: limits belong to whoever knows them
//! ([`Scanner`](super::Scanner), [`Handshake`](super::Handshake)), at the time the header is read.

/// The flag that another part of the message follows.
const MORE: u8 = 0x01;
/// The flag of the 8-byte size.
const LONG: u8 = 0x02;
/// The flag that the body is a command.
const COMMAND: u8 = 0x04;

/// The longest header: flags and an 8-byte size.
pub(crate) const MAX_HEADER: usize = 9;

/// The header of a body up to 255 bytes: flags and a 1-byte size.
pub(crate) const SHORT_HEADER: usize = 2;

/// What a frame holds; the discriminant is its flags byte, less LONG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameKind {
    /// The last part of a message, which may be its only one.
    Last = 0,
    /// A part of a message, with more to follow.
    More = MORE,
    /// A command.
    Command = COMMAND,
}

/// A frame's header, decoded. The sizes are the peer's claim and not yet checked against anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: FrameKind,
    /// The bytes the header itself takes.
    pub(crate) header_len: usize,
    /// The bytes the body is announced to take: up to 2^64-1.
    pub(crate) body_len: u64,
}

impl Header {
    /// Header and body together; `u64::MAX` if they come to more.
    pub(crate) fn frame_len(&self) -> u64 {
        self.body_len.saturating_add(self.header_len as u64)
    }
}

/// Reads the header at the start of `input`; `None` means that more bytes are needed.
#[inline]
pub(crate) fn decode_header(input: &[u8]) -> Option<Header> {
    let &[flags, size, ..] = input else {
        return None;
    };
    let kind = match flags & (COMMAND | MORE) {
        0 => FrameKind::Last,
        MORE => FrameKind::More,
        _ => FrameKind::Command,
    };
    if flags & LONG == 0 {
        return Some(Header {
            kind,
            header_len: SHORT_HEADER,
            body_len: u64::from(size),
        });
    }
    let (_, size) = input
        .first_chunk::<MAX_HEADER>()?
        .split_first_chunk::<1>()?;
    let size: [u8; 8] = size.try_into().ok()?;
    Some(Header {
        kind,
        header_len: MAX_HEADER,
        body_len: u64::from_be_bytes(size),
    })
}

/// The size of the body of the frame at the start of `input`, and what follows the header, if that frame is short and a whole message.
/// For loops over many such frames, where all that [`decode_header`] tells would cost more than the rest.
#[inline]
pub(crate) fn short_message(input: &[u8]) -> Option<(usize, &[u8])> {
    let (&[flags, size], rest) = input.split_first_chunk()?;
    (flags & (MORE | LONG | COMMAND) == 0).then_some((usize::from(size), rest))
}

/// The same for a frame in the long form.
#[inline]
pub(crate) fn long_message(input: &[u8]) -> Option<(usize, &[u8])> {
    let (&[flags, ref size @ ..], rest) = input.split_first_chunk::<MAX_HEADER>()?;
    let size = usize::try_from(u64::from_be_bytes(*size)).ok()?;
    (flags & (MORE | LONG | COMMAND) == LONG).then_some((size, rest))
}

/// The same for a frame of either form, if it is as we would write it: with the header that [`encode_header`] makes.
#[inline]
pub(crate) fn plain_message(input: &[u8]) -> Option<(usize, &[u8])> {
    match input.first()? {
        0 => short_message(input),
        &LONG => long_message(input).filter(|(size, _)| *size > usize::from(u8::MAX)),
        _ => None,
    }
}

/// The header of a short frame that is a whole message; see [`short_message`].
#[inline]
pub(crate) fn short_header(body_len: u8) -> [u8; SHORT_HEADER] {
    [FrameKind::Last as u8, body_len]
}

/// The header of a longer frame that is a whole message.
#[inline]
pub(crate) fn long_header(body_len: usize) -> [u8; MAX_HEADER] {
    let mut header = [0; MAX_HEADER];
    header[0] = FrameKind::Last as u8 | LONG;
    header[1..].copy_from_slice(&(body_len as u64).to_be_bytes());
    header
}

/// The header of a frame as an array of which the first `.1` bytes are to be sent.
/// LONG is used only where the body needs it, as the RFC asks.
#[inline]
pub(crate) fn encode_header(kind: FrameKind, body_len: usize) -> ([u8; MAX_HEADER], usize) {
    let mut header = [0; MAX_HEADER];
    header[0] = kind as u8;
    if let Ok(size) = u8::try_from(body_len) {
        header[1] = size;
        (header, SHORT_HEADER)
    } else {
        header[0] |= LONG;
        header[1..].copy_from_slice(&(body_len as u64).to_be_bytes());
        (header, MAX_HEADER)
    }
}

/// Appends a whole frame to `out`.
pub(crate) fn put_frame(out: &mut Vec<u8>, kind: FrameKind, body: &[u8]) {
    put_header(out, kind, body.len());
    out.extend_from_slice(body);
}

/// Appends a frame's header to `out`, for a body that follows piece by piece.
pub(crate) fn put_header(out: &mut Vec<u8>, kind: FrameKind, body_len: usize) {
    let (header, header_len) = encode_header(kind, body_len);
    out.reserve(header_len + body_len);
    out.extend_from_slice(&header[..header_len]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [FrameKind; 3] = [FrameKind::Last, FrameKind::More, FrameKind::Command];

    fn frame(kind: FrameKind, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_frame(&mut out, kind, body);
        out
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(frame(FrameKind::Last, b""), [0, 0]);
        assert_eq!(frame(FrameKind::Last, b"hello"), *b"\x00\x05hello");
        assert_eq!(frame(FrameKind::More, b"hi"), *b"\x01\x02hi");
        assert_eq!(frame(FrameKind::Command, b"x"), *b"\x04\x01x");
        assert_eq!(frame(FrameKind::Last, &[7; 255])[..3], [0x00, 255, 7]);
        assert_eq!(
            frame(FrameKind::Last, &[7; 256])[..10],
            [0x02, 0, 0, 0, 0, 0, 0, 1, 0, 7]
        );
        assert_eq!(frame(FrameKind::More, &[7; 256])[0], 0x03);
        assert_eq!(frame(FrameKind::Command, &[7; 256])[0], 0x06);
    }

    #[test]
    fn every_boundary_size_leads_back() {
        for kind in KINDS {
            for size in [
                0,
                1,
                254,
                255,
                256,
                65_535,
                65_536,
                usize::MAX >> 1,
                usize::MAX,
            ] {
                let (header, len) = encode_header(kind, size);
                let expected = Header {
                    kind,
                    header_len: len,
                    body_len: size as u64,
                };
                assert_eq!(decode_header(&header[..len]), Some(expected));
                for cut in 0..len {
                    assert_eq!(decode_header(&header[..cut]), None, "{cut} of {len}");
                }
            }
        }
    }

    #[test]
    fn long_is_accepted_for_any_size() {
        for size in [0, 1, 255, u64::from(u32::MAX), 1 << 63, u64::MAX] {
            let mut bytes = vec![LONG];
            bytes.extend_from_slice(&size.to_be_bytes());
            let expected = Header {
                kind: FrameKind::Last,
                header_len: 9,
                body_len: size,
            };
            assert_eq!(decode_header(&bytes), Some(expected));
            assert_eq!(expected.frame_len(), size.saturating_add(9));
        }
    }

    #[test]
    fn all_256_flag_bytes_have_a_meaning() {
        for flags in 0..=255_u8 {
            let bytes = [flags, 3, 0, 0, 0, 0, 0, 0, 9];
            let header = decode_header(&bytes).map(|h| (h.kind, h.header_len));
            let kind = match (flags & COMMAND != 0, flags & MORE != 0) {
                (true, true | false) => FrameKind::Command,
                (false, true) => FrameKind::More,
                (false, false) => FrameKind::Last,
            };
            let header_len = if flags & LONG != 0 { 9 } else { 2 };
            assert_eq!(header, Some((kind, header_len)), "flags {flags:#04x}");
        }
    }
}
