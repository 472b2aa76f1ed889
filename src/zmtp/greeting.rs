//! The greeting: the 64 bytes, or fewer from an old peer, that come before any frame.
//!
//! ```text
//! offset  0     1 .. 8     9     10      11      12 .. 31        32          33 .. 63
//!        FF    padding    7F   major   minor   mechanism,    as-server    zero filler
//!                                              NUL padded
//!        '------ signature -----'
//!
//! ZMTP 2.0:   signature, revision 01, socket type(1), then the routing id in a frame
//! ZMTP 1.0:   anything else
//! ```
//!
//! Both sides send the first 11 bytes without waiting for the other, and the rest when 11 bytes have come: by then each knows
//! which rest the other understands.

use super::error::quote;
use super::{ForeignProtocol, ProtocolError, Version};

/// Signature and major version: what is sent up front, and what must come to know the peer's version.
pub(super) const OPENING_LEN: usize = 11;
/// What follows the opening in a 3.x greeting.
pub(super) const REMAINDER_LEN: usize = 53;

const SIGNATURE_START: u8 = 0xff;
const SIGNATURE_END: u8 = 0x7f;
const SIGNATURE_END_AT: usize = 9;
const MAJOR_AT: usize = 10;
const MAJOR: u8 = 3;
const MINOR: u8 = 1;
const MECHANISM_LEN: usize = 20;
const FILLER_LEN: usize = 31;

/// Which greeting the peer is sending, told by its first 11 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Revision {
    /// ZMTP 2.0.
    Two,
    /// ZMTP 3.0 or later, with the major version announced.
    Three { major: u8 },
}

/// Appends the first 11 bytes.
pub(super) fn put_opening(out: &mut Vec<u8>) {
    out.push(SIGNATURE_START);
    // To a ZMTP 1.0 peer the padding is a frame length. We refuse those, so it says nothing.
    out.extend_from_slice(&[0; 8]);
    out.push(SIGNATURE_END);
    out.push(MAJOR);
}

/// Appends the rest of a 3.x greeting.
pub(super) fn put_remainder(out: &mut Vec<u8>, mechanism: &str, as_server: bool) {
    out.push(MINOR);
    out.extend(
        mechanism
            .bytes()
            .chain(std::iter::repeat(0))
            .take(MECHANISM_LEN),
    );
    out.push(u8::from(as_server));
    out.extend_from_slice(&[0; FILLER_LEN]);
}

/// Reads the first 11 bytes; `None` means that more are needed. A peer that is none of ours is refused
/// as early as its bytes allow: a 1.0 peer or a stray client may well wait for us to speak.
pub(super) fn read_opening(input: &[u8]) -> Result<Option<Revision>, ProtocolError> {
    let zmtp_1 = ProtocolError::Zmtp10 { looks_like: None };
    match input.first() {
        None => return Ok(None),
        Some(&SIGNATURE_START) => {}
        Some(_) => {
            return match identify(input) {
                Identified::NotYet => Ok(None),
                Identified::As(looks_like) => Err(ProtocolError::Zmtp10 { looks_like }),
            };
        }
    }
    // The padding is not significant, and of the end of the signature only bit 0 is.
    if input.get(SIGNATURE_END_AT).is_some_and(|end| end & 1 == 0) {
        return Err(zmtp_1);
    }
    match input.get(MAJOR_AT) {
        None => Ok(None),
        Some(0) => Err(zmtp_1),
        Some(1) => Ok(Some(Revision::Two)),
        // The RFCs call 2 a ZMTP 2.0 peer, libzmq takes it for 3.1, and nobody sends it.
        Some(&major) => Ok(Some(Revision::Three { major })),
    }
}

/// Reads the rest of a 3.x greeting and gives the version to speak. The as-server byte is not looked at:
/// libzmq never sets it, roles come from the configuration alone.
pub(super) fn read_remainder(
    major: u8,
    remainder: &[u8; REMAINDER_LEN],
    mechanism: &'static str,
) -> Result<Version, ProtocolError> {
    let [minor, rest @ ..] = remainder;
    let theirs = rest.get(..MECHANISM_LEN).unwrap_or_default();
    let (name, padding) = theirs.split_at_checked(mechanism.len()).unwrap_or_default();
    if name != mechanism.as_bytes() || padding.iter().any(|byte| *byte != 0) {
        let end = theirs
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        let theirs = quote(theirs.get(..end).unwrap_or_default());
        return Err(ProtocolError::MechanismMismatch {
            ours: mechanism,
            theirs,
        });
    }
    Ok(if (major, *minor) == (MAJOR, 0) {
        Version::V3_0
    } else {
        Version::V3_1
    })
}

/// The first bytes of what is often pointed at a ZMTP port by mistake.
const FOREIGN: [(&[u8], ForeignProtocol); 12] = [
    (b"GET ", ForeignProtocol::Http),
    (b"PUT ", ForeignProtocol::Http),
    (b"POST", ForeignProtocol::Http),
    (b"HEAD", ForeignProtocol::Http),
    (b"PATCH", ForeignProtocol::Http),
    (b"DELETE", ForeignProtocol::Http),
    (b"OPTIONS", ForeignProtocol::Http),
    (b"CONNECT", ForeignProtocol::Http),
    (b"PRI *", ForeignProtocol::Http),
    (b"HTTP/", ForeignProtocol::Http),
    (b"\x16\x03", ForeignProtocol::Tls),
    (b"SSH-", ForeignProtocol::Ssh),
];

enum Identified {
    /// The bytes are the beginning of something in the table.
    NotYet,
    /// As this, or as nothing in the table.
    As(Option<ForeignProtocol>),
}

/// Tells what is not ZMTP. It waits for as many bytes as it needs, so that what it says does not depend
/// on how they arrive.
fn identify(input: &[u8]) -> Identified {
    for (start, protocol) in FOREIGN {
        if input.starts_with(start) {
            return Identified::As(Some(protocol));
        }
        if start.starts_with(input) {
            return Identified::NotYet;
        }
    }
    Identified::As(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENING: &[u8; 11] = b"\xff\0\0\0\0\0\0\0\0\x7f\x03";

    fn remainder(minor: u8, mechanism: &str) -> [u8; REMAINDER_LEN] {
        let mut out = Vec::new();
        put_remainder(&mut out, mechanism, false);
        out[0] = minor;
        out.try_into().unwrap()
    }

    #[test]
    fn golden_bytes() {
        let mut out = Vec::new();
        put_opening(&mut out);
        assert_eq!(out, OPENING);
        put_remainder(&mut out, "NULL", false);
        assert_eq!(out.len(), OPENING_LEN + REMAINDER_LEN);
        assert_eq!(out[11..16], *b"\x01NULL");
        assert!(out[16..].iter().all(|byte| *byte == 0));
        out.clear();
        put_remainder(&mut out, "PLAIN", true);
        assert_eq!(out[1..7], *b"PLAIN\0");
        assert_eq!(out[21], 1);
    }

    #[test]
    fn openings() {
        let zmtp_1 = Err(ProtocolError::Zmtp10 { looks_like: None });
        let with = |at: usize, byte: u8| {
            let mut bytes = *OPENING;
            bytes[at] = byte;
            read_opening(&bytes)
        };
        assert_eq!(with(10, 0), zmtp_1);
        assert_eq!(with(10, 1), Ok(Some(Revision::Two)));
        for major in 2..=255 {
            assert_eq!(with(10, major), Ok(Some(Revision::Three { major })));
        }
        assert_eq!(with(9, 0x7e), zmtp_1);
        assert_eq!(with(9, 0x01), Ok(Some(Revision::Three { major: 3 })));
        assert_eq!(with(4, 0xaa), Ok(Some(Revision::Three { major: 3 })));
        assert_eq!(with(0, 0x01), zmtp_1);
        for cut in 0..OPENING_LEN {
            assert_eq!(read_opening(&OPENING[..cut]), Ok(None));
        }
    }

    #[test]
    fn foreign_protocols_are_named() {
        let cases = [
            (&b"GET / HTTP/1.1"[..], Some(ForeignProtocol::Http)),
            (b"PRI * HTTP/2.0", Some(ForeignProtocol::Http)),
            (b"\x16\x03\x01\x02\0", Some(ForeignProtocol::Tls)),
            (b"SSH-2.0-x", Some(ForeignProtocol::Ssh)),
            (b"GETAWAY", None),
            (b"\x01\0", None),
            (b"\x16\x04", None),
        ];
        for (bytes, looks_like) in cases {
            assert_eq!(
                read_opening(bytes),
                Err(ProtocolError::Zmtp10 { looks_like })
            );
        }
        assert_eq!(read_opening(b"GE"), Ok(None));
        assert_eq!(read_opening(b"P"), Ok(None));
    }

    #[test]
    fn versions() {
        let version = |major, minor| read_remainder(major, &remainder(minor, "NULL"), "NULL");
        assert_eq!(version(3, 0), Ok(Version::V3_0));
        assert_eq!(version(3, 1), Ok(Version::V3_1));
        assert_eq!(version(3, 9), Ok(Version::V3_1));
        assert_eq!(version(2, 0), Ok(Version::V3_1));
        assert_eq!(version(4, 0), Ok(Version::V3_1));
        assert_eq!(version(255, 255), Ok(Version::V3_1));
    }

    #[test]
    fn all_twenty_mechanism_bytes_count() {
        let mismatch = |bytes: &[u8; REMAINDER_LEN]| match read_remainder(3, bytes, "NULL") {
            Err(ProtocolError::MechanismMismatch {
                ours: "NULL",
                theirs,
            }) => theirs,
            other => panic!("{other:?}"),
        };
        assert_eq!(mismatch(&remainder(1, "CURVE")), "CURVE");
        assert_eq!(mismatch(&remainder(1, "NULLS")), "NULLS");
        assert_eq!(mismatch(&remainder(1, "")), "");
        let mut bytes = remainder(1, "NULL");
        bytes[20] = b'!';
        assert_eq!(mismatch(&bytes), format!("NULL{}!", "\\x00".repeat(15)));
        bytes[20] = 0;
        bytes[21] = 1;
        bytes[52] = 9;
        assert_eq!(read_remainder(3, &bytes, "NULL"), Ok(Version::V3_1));
    }
}
