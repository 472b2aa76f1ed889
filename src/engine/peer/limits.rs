//! What a peer takes, as it has announced in its handshake, and what becomes of a message that it does not take.
//!
//! Without an announcement a sender would learn of a limit only by the end of the connection, and would not know which
//! message was too large. What a peer announces is its own claim: it decides what is sent to that peer, and nothing else.

use super::direct::DIRECT;
use super::out_buffer::Unsent;
use super::outgoing::Outgoing;
use super::peers::Peers;
use super::state::PeerId;
use super::turn::Turn;
use crate::engine::driving::attention::Changes;
use crate::monitor::{Event, RefusalCause};
use crate::pattern::TopicLimits;
use crate::zmtp::Announced;

/// What a peer takes. Before its handshake, and where it has announced nothing, that is everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Takes {
    /// Any message of one frame that is shorter than this, and than [`DIRECT`]: where messages are short, nothing else need be
    /// looked at.
    pub(crate) any_below: usize,
    size: u64,
    parts: u32,
    topics: TopicLimits,
}

/// By what a message is more than a peer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    Size { size: u64, limit: u64 },
    Parts { parts: usize, limit: u32 },
}

/// What became of an attempt to queue a message for a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tried {
    Queued,
    /// It is at its high-water mark.
    NoRoom,
    /// It takes no message like this one.
    Refused,
}

impl Default for Takes {
    fn default() -> Self {
        Takes::new(Announced::default())
    }
}

impl Takes {
    pub(crate) fn new(announced: Announced) -> Self {
        let size = announced.max_message_size.unwrap_or(u64::MAX);
        let parts = announced.max_parts.unwrap_or(u32::MAX);
        let below = usize::try_from(size.saturating_add(1)).unwrap_or(usize::MAX);
        Takes {
            any_below: if parts == 0 { 0 } else { below.min(DIRECT) },
            size,
            parts,
            topics: TopicLimits {
                length: announced.max_subscription_length.unwrap_or(u64::MAX),
                count: announced.max_subscriptions.unwrap_or(u64::MAX),
            },
        }
    }

    /// By what a message is more than the peer takes, if it is.
    #[inline]
    pub(crate) fn excess(&self, outgoing: Outgoing<'_>) -> Option<Excess> {
        let (size, parts) = outgoing.extent();
        let size = size as u64;
        let fits = size <= self.size && parts as u64 <= u64::from(self.parts);
        if fits {
            return None;
        }
        Some(self.named(size, parts))
    }

    #[cold]
    fn named(&self, size: u64, parts: usize) -> Excess {
        match size > self.size {
            true => Excess::Size {
                size,
                limit: self.size,
            },
            false => Excess::Parts {
                parts,
                limit: self.parts,
            },
        }
    }
}

impl From<Excess> for RefusalCause {
    fn from(excess: Excess) -> RefusalCause {
        match excess {
            Excess::Size { limit, .. } => RefusalCause::TooLarge { limit },
            Excess::Parts { parts, limit } => RefusalCause::TooManyParts { parts, limit },
        }
    }
}

impl Peers {
    /// Queues a message that has been accepted before, for a peer that is gone.
    pub(crate) fn try_again(&mut self, id: PeerId, unsent: &Unsent) -> Tried {
        let Some(peer) = self.slab.get(id) else {
            return Tried::NoRoom;
        };
        let outgoing = Outgoing::Message(&unsent.message);
        if peer.takes.excess(outgoing).is_some() {
            return Tried::Refused;
        }
        if !self.conflate && !peer.has_room() {
            return Tried::NoRoom;
        }
        self.send_with(id, |buffer, pool| buffer.push_again(unsent, pool));
        self.moved += 1;
        Tried::Queued
    }

    /// This peer takes all messages of one frame that are shorter than this, and maybe longer ones.
    pub(crate) fn any_below(&self, id: PeerId) -> usize {
        self.slab.get(id).map_or(0, |peer| peer.takes.any_below)
    }

    /// By what a message is more than this peer takes, if it is.
    #[inline]
    pub(crate) fn excess(&self, id: PeerId, outgoing: Outgoing<'_>) -> Option<Excess> {
        self.slab.get(id)?.takes.excess(outgoing)
    }

    /// Whether all of `ids`, and there are any, refuse a message; if so, the one that takes the largest messages, and
    /// by what this one is more than that.
    #[cold]
    pub(crate) fn refused_by_all(
        &self,
        ids: impl Iterator<Item = PeerId>,
        outgoing: Outgoing<'_>,
    ) -> Option<(PeerId, Excess)> {
        let mut most: Option<(PeerId, u64, Excess)> = None;
        for id in ids {
            let takes = &self.slab.get(id)?.takes;
            let excess = takes.excess(outgoing)?;
            if most.is_none_or(|(_, size, _)| takes.size > size) {
                most = Some((id, takes.size, excess));
            }
        }
        most.map(|(id, _, excess)| (id, excess))
    }

    /// Drops a message of `size` bytes that was accepted and that this peer does not take.
    #[cold]
    pub(crate) fn give_up(&mut self, id: PeerId, size: usize, cause: RefusalCause) {
        let told = self.wants_events();
        if let Some(peer) = self.slab.get_mut(id) {
            peer.counters.dropped_refused += 1;
            let event = told.then(|| Event::MessageRefused {
                connection: peer.info(),
                size,
                cause,
            });
            self.tell(event);
        }
    }

    /// Passes over a subscriber for which a message is too large.
    #[cold]
    pub(crate) fn skip_refused(&mut self, id: PeerId, outgoing: Outgoing<'_>) {
        if let Some(excess) = self.excess(id, outgoing) {
            let (size, _) = outgoing.extent();
            self.give_up(id, size, excess.into());
        }
    }

    /// Which topics a publisher takes.
    pub(crate) fn topic_limits(&self, id: PeerId) -> TopicLimits {
        let peer = self.slab.get(id);
        peer.map_or(Takes::default().topics, |peer| peer.takes.topics)
    }

    /// The publisher does not take a topic: it is told neither that we want it nor that we no longer do.
    #[cold]
    pub(crate) fn topic_withheld(&mut self, id: PeerId, length: usize, cause: RefusalCause) {
        let told = self.wants_events();
        if let Some(peer) = self.slab.get_mut(id) {
            peer.counters.topics_withheld += 1;
            let event = told.then(|| Event::SubscriptionRefused {
                connection: peer.info(),
                length,
                cause,
            });
            self.tell(event);
        }
    }
}

impl Turn<'_> {
    /// The peer has just said what it takes: what is queued for it and larger than that is not sent.
    pub(crate) fn sort_out_refused(&mut self, id: PeerId) {
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        let takes = peer.takes;
        let nothing = takes == Takes::default() || peer.outbound.is_empty();
        if nothing || !peer.outbound.exceeds(takes.size, takes.parts) {
            return;
        }
        let refused = peer.outbound.take_out(
            |message| takes.excess(Outgoing::Message(message)).is_some(),
            &mut self.net.peers.pool,
        );
        self.net.changes.add(Changes::PEERS);
        self.pattern.refused(&mut self.net.peers, id, refused);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Envelope, Enveloped};
    use crate::message::Message;

    fn takes(size: Option<u64>, parts: Option<u32>) -> Takes {
        Takes::new(Announced {
            max_message_size: size,
            max_parts: parts,
            ..Announced::default()
        })
    }

    #[test]
    fn who_announces_nothing_takes_everything() {
        let takes = takes(None, None);
        assert_eq!(takes, Takes::default());
        assert_eq!(takes.any_below, DIRECT);
        assert_eq!(takes.topics.length, u64::MAX);
        assert_eq!(takes.topics.count, u64::MAX);
        assert_eq!(takes.excess(Outgoing::Slice(&[0; 100])), None);
    }

    #[test]
    fn all_frames_count_and_so_does_the_envelope() {
        let takes = takes(Some(10), Some(3));
        let message = Message::from(["12345", "12345"]);
        let excess = |envelope: &[&[u8]]| {
            takes.excess(Outgoing::Enveloped(&Enveloped {
                envelope: Envelope::Slices(envelope),
                body: Outgoing::Message(&message),
            }))
        };
        assert_eq!(excess(&[b""]), None);
        let size = Excess::Size {
            size: 11,
            limit: 10,
        };
        assert_eq!(excess(&[b"1"]), Some(size));
        let parts = Excess::Parts { parts: 4, limit: 3 };
        assert_eq!(excess(&[b"", b""]), Some(parts));
    }

    #[test]
    fn short_messages_are_looked_at_only_where_the_limit_is_short() {
        assert_eq!(takes(Some(0), None).any_below, 1);
        assert_eq!(takes(Some(10), None).any_below, 11);
        assert_eq!(takes(Some(1 << 20), None).any_below, DIRECT);
        assert_eq!(takes(Some(u64::MAX), Some(1)).any_below, DIRECT);
        assert_eq!(takes(None, Some(0)).any_below, 0);
    }
}
