//! Where the body of a request or a reply starts (RFC 28).
//!
//! ```text
//!   request, as REP sees it:   hop  hop  …  ""  │ body  …
//!                              └ envelope ───┘
//!   reply, as REQ sees it:     [request id]  "" │ body  …
//! ```
//!
//! Every frame before the body has MORE set, so it is never the last of its message.

use std::{error, fmt};

/// Why a message is not a reply to the request that waits for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// It does not start with the id of the request.
    RequestId,
    /// The frame before the body is not there or not empty.
    Delimiter,
    /// Nothing follows the delimiter.
    NoBody,
}

/// The number of frames of a request's envelope, which goes back in front of the reply: all frames up to and
/// including the first empty one that isn't the last. `None` if there is none, and the message is to be dropped.
pub(crate) fn split_envelope(frames: &[impl AsRef<[u8]>]) -> Option<usize> {
    let (_last, before) = frames.split_last()?;
    let delimiter = before.iter().position(is_empty)?;
    Some(delimiter + 1)
}

/// The number of frames before the body of a reply. `request_id` is what the request carried, if it carried one.
pub(crate) fn reply_body(
    frames: &[impl AsRef<[u8]>],
    request_id: Option<&[u8]>,
) -> Result<usize, Mismatch> {
    let mut body = 0;
    if let Some(id) = request_id {
        let first = frames.first().ok_or(Mismatch::RequestId)?;
        if first.as_ref() != id {
            return Err(Mismatch::RequestId);
        }
        body += 1;
    }
    if !frames.get(body).is_some_and(is_empty) {
        return Err(Mismatch::Delimiter);
    }
    body += 1;
    if body == frames.len() {
        return Err(Mismatch::NoBody);
    }
    Ok(body)
}

fn is_empty(frame: &impl AsRef<[u8]>) -> bool {
    frame.as_ref().is_empty()
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequestId => "the reply does not carry the id of the request",
            Self::Delimiter => "the reply has no empty delimiter frame where one belongs",
            Self::NoBody => "the reply has no frame after the delimiter",
        })
    }
}

impl error::Error for Mismatch {}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [&[u8]; 0] = [];

    #[test]
    fn the_envelope_ends_with_the_first_empty_frame() {
        assert_eq!(split_envelope(&["", "body"]), Some(1));
        assert_eq!(split_envelope(&["", ""]), Some(1));
        assert_eq!(split_envelope(&["a", "b", "", "body"]), Some(3));
        assert_eq!(split_envelope(&["a", "", "", "x", ""]), Some(2));
    }

    #[test]
    fn the_last_frame_is_never_the_delimiter() {
        assert_eq!(split_envelope(&NONE), None);
        assert_eq!(split_envelope(&[""]), None);
        assert_eq!(split_envelope(&["body"]), None);
        assert_eq!(split_envelope(&["a", "b", ""]), None);
        assert_eq!(split_envelope(&["a", "b"]), None);
    }

    #[test]
    fn a_plain_reply_starts_with_the_delimiter() {
        assert_eq!(reply_body(&["", "body", "more"], None), Ok(1));
        assert_eq!(reply_body(&["", ""], None), Ok(1));
        assert_eq!(reply_body(&NONE, None), Err(Mismatch::Delimiter));
        assert_eq!(reply_body(&["body"], None), Err(Mismatch::Delimiter));
        assert_eq!(reply_body(&["x", "", "y"], None), Err(Mismatch::Delimiter));
        assert_eq!(reply_body(&[""], None), Err(Mismatch::NoBody));
    }

    #[test]
    fn a_correlated_reply_starts_with_the_id() {
        let id = Some(&b"1234"[..]);
        assert_eq!(reply_body(&["1234", "", "body"], id), Ok(2));
        assert_eq!(reply_body(&NONE, id), Err(Mismatch::RequestId));
        for other in ["", "123", "12345", "1235"] {
            let reply = [other, "", "body"];
            assert_eq!(reply_body(&reply, id), Err(Mismatch::RequestId));
        }
        assert_eq!(reply_body(&["1234"], id), Err(Mismatch::Delimiter));
        assert_eq!(reply_body(&["1234", "x"], id), Err(Mismatch::Delimiter));
        assert_eq!(reply_body(&["1234", ""], id), Err(Mismatch::NoBody));
    }
}
