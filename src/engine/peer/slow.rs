//! What is done about a subscriber that has no room, in the place of dropping the message for it; and about a publisher that does not
//! read what it is told.

use super::limits::Tried;
use super::net::Net;
use super::peers::Peers;
use super::state::{Link, PeerId, Place};
use super::turn::Turn;
use crate::engine::{Note, Outgoing};
use crate::monitor::{DisconnectCause, Event};
use crate::options::SlowSubscriber;

impl Peers {
    /// Drops messages that wait for this peer, the oldest first, until there is room for this one, and queues it. Says how many, or
    /// `None` if there is none that can be dropped: what is being written cannot, nor what is within the process.
    pub(crate) fn send_in_place_of_older(
        &mut self,
        id: PeerId,
        outgoing: Outgoing<'_>,
    ) -> Option<usize> {
        let mut dropped = 0;
        loop {
            let peer = self.slab.get_mut(id)?;
            if !peer.is_sent_to() || matches!(peer.link, Link::Inproc(_)) {
                return None;
            }
            let count = peer.outbound.drop_oldest(&mut self.pool);
            if count == 0 {
                return None;
            }
            dropped += count;
            peer.counters.dropped_hwm += count as u64;
            peer.review_room();
            if self.try_send(id, outgoing) == Tried::Queued {
                self.tell_slow(id, SlowSubscriber::DropOldest);
                return Some(dropped);
            }
        }
    }

    /// Tells monitors that a subscriber has no room: once, until as many messages have been queued for it as half its mark.
    pub(crate) fn tell_slow(&mut self, id: PeerId, policy: SlowSubscriber) {
        let told = self.wants_events();
        let Some(peer) = self.slab.get_mut(id) else {
            return;
        };
        let policy = match (&peer.link, policy) {
            // What a socket of this process has cannot be taken back, and there is no connection to end.
            (Link::Inproc(_), SlowSubscriber::DropOldest | SlowSubscriber::Disconnect) => {
                SlowSubscriber::DropNewest
            }
            (_, policy) => policy,
        };
        let queued = peer.counters.messages_out;
        let again = peer.slow_at.replace(queued);
        let half = (peer.normal_hwm() / 2).max(1) as u64;
        if again.is_none_or(|before| queued - before >= half) {
            let event = told.then(|| Event::SubscriberSlow {
                connection: peer.info(),
                policy,
            });
            self.tell(event);
        }
    }

    /// Has the connection closed of a peer that does not read, as soon as somebody drives.
    pub(crate) fn send_away_slow(&mut self, id: PeerId) {
        if let Some(place) = self.place(id)
            && let Some(peer) = self.slab.get_mut(id)
            && matches!(peer.link, Link::Up(_))
            && !self.too_slow.contains(&place)
        {
            self.too_slow.push(place);
            self.due.send_away();
        }
    }
}

impl Net {
    /// Leaves a note for whoever drives of each peer that is to go. To be called after an attempt to send, in which no connection can end.
    #[cold]
    pub(super) fn note_slow(&mut self) {
        self.peers.due.sent_away();
        for place in std::mem::take(&mut self.peers.too_slow) {
            self.mailbox.post(Note::TooSlow(place));
        }
    }
}

impl Turn<'_> {
    /// Those go that are to. To be called after whatever else may have sent something, or told peers of topics.
    pub(crate) fn send_away_all_slow(&mut self) {
        if self.net.peers.due.is_send_away() {
            self.net.peers.due.sent_away();
            for place in std::mem::take(&mut self.net.peers.too_slow) {
                self.send_away_slow(place);
            }
        }
    }

    /// A peer goes that does not read.
    pub(super) fn send_away_slow(&mut self, place: Place) {
        if self.net.peers.is_connected_at(place) {
            self.connection_lost(place.id, DisconnectCause::TooSlow);
        }
    }
}
