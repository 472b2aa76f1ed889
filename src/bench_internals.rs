//! The inner loops that have no public call of their own, for the benchmarks in `benches/`: frames and the match of
//! subscriptions. Hidden, behind the feature `bench-internals`, and no part of the stable API.

use crate::pattern;
use crate::zmtp::{FrameKind, Limits, Scanned, Scanner, encode_header};

/// Appends a message of one frame.
#[inline]
pub fn encode(out: &mut Vec<u8>, body: &[u8]) {
    let (header, header_len) = encode_header(FrameKind::Last, body.len());
    out.extend_from_slice(&header[..header_len]);
    out.extend_from_slice(body);
}

/// Counts the whole frames at the start of a peer's traffic; commands and errors end the count.
#[inline]
pub fn decode(mut input: &[u8]) -> usize {
    let mut scanner = Scanner::new(Limits {
        max_message_size: u64::MAX,
        max_parts: u32::MAX,
        min_parts: 1,
        max_command_size: u64::MAX,
    });
    let mut frames = 0;
    while let Ok(Scanned::Frame { len, .. }) = scanner.scan(input) {
        input = &input[len..];
        frames += 1;
    }
    frames
}

/// The subscriptions of a publisher's peers.
#[derive(Debug)]
pub struct Subscriptions {
    inner: pattern::Subscriptions,
}

impl Subscriptions {
    /// None yet.
    #[expect(clippy::new_without_default, reason = "nobody needs one")]
    pub fn new() -> Subscriptions {
        Subscriptions {
            inner: pattern::Subscriptions::new(),
        }
    }

    /// Subscribes a peer to every topic that starts with this one.
    pub fn insert(&mut self, peer: usize, topic: &[u8]) {
        self.inner.insert(peer, topic);
    }

    /// The sum of the numbers of the peers that want a message with this topic.
    #[inline]
    pub fn matching(&mut self, topic: &[u8]) -> usize {
        let mut sum = 0;
        self.inner.for_each_match(topic, |peer| sum += peer);
        sum
    }
}
