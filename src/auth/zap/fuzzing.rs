//! What the fuzzer of ZAP calls. The input says what is known of a peer, and what a handler replies: mostly frames like those of a reply that makes
//! sense, and among them others.
//!
//! The promises: no panic; a handler can read from a request all that is known of the peer; and a peer is let in by a reply alone that is in form,
//! says 200, and is to the request about this peer.

use std::collections::HashMap;

use bytes::Bytes;

use super::{Asked, VERSION, attribute, request_frames};
use crate::auth::AuthRequest;
use crate::zmtp::{Credentials, IpcCredentials, Metadata, SocketType};
use crate::{Frame, Message};

/// A peer that is waited with, besides that of the request.
const OTHER: u64 = 12;

/// Any bytes as what is known of a peer, and as what comes from a handler. The first byte says what peer it is.
pub(crate) fn zap(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else {
        return;
    };
    let mut input = Input(rest);
    let request = input.request(*how);
    let id = u64::from(how >> 4);
    let frames = request_frames(id.to_string().as_bytes(), &request);
    assert_reads_as(&frames, &request);

    let mut outstanding = HashMap::from([(id, id)]);
    if how & 8 != 0 {
        outstanding.insert(OTHER, OTHER);
    }
    let before = outstanding.clone();
    let last = before.keys().copied().max().unwrap_or(0);
    let mut asked = Asked { outstanding, last };
    while !input.0.is_empty() {
        let reply = input.reply(id);
        let waited = asked.outstanding.clone();
        let attributed = attribute(&reply, &mut asked);
        let outstanding = &asked.outstanding;
        let Some((whom, verdict)) = attributed else {
            assert_eq!(*outstanding, waited, "nobody has been answered");
            continue;
        };
        assert!(before.contains_key(&whom) && !outstanding.contains_key(&whom));
        assert_eq!(outstanding.len() + 1, waited.len());
        if verdict.is_allowed() {
            let frames: Vec<&Frame> = reply.frames().collect();
            assert_eq!(frames.len(), 7);
            assert!(frames[0].is_empty() && *frames[1] == *VERSION && *frames[3] == *b"200");
            assert_eq!(frames[2].to_str().map(str::parse), Ok(Ok(whom)));
            let grant = verdict.into_result().expect("let in");
            assert_eq!(*frames[5], *grant.user_id.as_bytes());
            let metadata = Metadata::parse(frames[6]).expect("in form");
            assert_eq!(metadata.properties.len(), grant.metadata.len());
        }
    }
}

/// A handler finds everything in its place.
fn assert_reads_as(frames: &Message, request: &AuthRequest) {
    let frames: Vec<&[u8]> = frames.frames().map(|frame| &**frame).collect();
    let ["", "1.0"] = [frames[0], frames[1]].map(|frame| str::from_utf8(frame).expect("text"))
    else {
        panic!("it does not begin as a request does: {frames:?}");
    };
    assert_eq!(frames[3], request.domain.as_bytes());
    if let Some(ip) = request.ip {
        assert_eq!(frames[4], ip.to_string().as_bytes());
    }
    assert_eq!(frames[5], request.routing_id);
    assert_eq!(frames[6], request.mechanism.as_bytes());
    match &request.credentials {
        Credentials::None => assert_eq!(frames.len(), 7),
        Credentials::Plain { username, password } => {
            assert_eq!(frames[7..], [username.as_bytes(), password.expose()]);
        }
        Credentials::Curve { public_key } => assert_eq!(frames[7..], [public_key]),
    }
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or_default()
    }

    /// A length, and so many bytes.
    fn bytes(&mut self) -> &[u8] {
        let len = usize::from(self.byte()).min(self.0.len());
        self.0.split_off(..len).unwrap_or_default()
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    fn request(&mut self, how: u8) -> AuthRequest {
        let (mechanism, credentials) = match how % 3 {
            0 => ("NULL", Credentials::None),
            1 => {
                let username = self.text();
                let password = (*self.text()).into();
                ("PLAIN", Credentials::Plain { username, password })
            }
            _ => {
                let public_key = std::array::from_fn(|_| self.byte());
                ("CURVE", Credentials::Curve { public_key })
            }
        };
        let (ip, ipc) = match how & 4 {
            0 => (Some(u128::from(self.byte()).to_be_bytes().into()), None),
            _ => (None, Some(IpcCredentials::new(1, 2, 3))),
        };
        AuthRequest {
            mechanism,
            credentials,
            endpoint: String::new(),
            peer: String::new(),
            ip,
            ipc,
            domain: self.text(),
            socket_type: SocketType::Pull,
            routing_id: Bytes::copy_from_slice(self.bytes()),
        }
    }

    /// A reply that makes sense but for the frames that the next byte has a bit for. Its last bit says whether one is left out.
    fn reply(&mut self, id: u64) -> Message {
        let other = self.byte();
        let status = [&b"200"[..], b"300", b"400", b"500"][usize::from(self.byte() % 4)];
        let id = id.to_string();
        let usual: [&[u8]; 7] = [b"", VERSION, id.as_bytes(), status, b"OK", b"alice", b""];
        let mut frames: Vec<Vec<u8>> = usual.map(<[u8]>::to_vec).into();
        for (at, frame) in frames.iter_mut().enumerate() {
            if other & 1 << at != 0 {
                *frame = self.bytes().to_vec();
            }
        }
        if other & 0x80 != 0 {
            frames.truncate(usize::from(self.byte() % 8));
        }
        Message::from_frames(frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the fuzzer does, in small.
    #[test]
    fn whatever_a_handler_says_keeps_all_promises() {
        let mut state = 5_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as u8
        };
        for _ in 0..4000 {
            let len = usize::from(random() % 120);
            let data: Vec<u8> = (0..len).map(|_| random() % 40).collect();
            zap(&data);
        }
    }

    /// The input means what it is meant to: this peer is let in, by the second reply.
    #[test]
    fn a_reply_in_form_lets_in() {
        let mut input = Input(&[4, 7, 0, 0, 0]);
        let refused = input.reply(3);
        let let_in = input.reply(3);
        let mut asked = Asked {
            outstanding: HashMap::from([(3, ()), (OTHER, ())]),
            last: OTHER,
        };
        assert!(attribute(&refused, &mut asked).is_none());
        let (_, verdict) = attribute(&let_in, &mut asked).expect("to the request");
        assert!(verdict.is_allowed());
    }
}
