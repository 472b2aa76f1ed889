//! How much a peer is to get of what the socket sends, where that is not the same for all: who says that, and when it is asked.
//!
//! ```text
//!   established, or options set anew ──▶ weigh ──▶ known there and then ─────────────────────────────▶ Pattern::set_share
//!                                          └─────▶ Ask, once the lock is released ──▶ Note::Share ──▶ the same
//! ```

use std::sync::Arc;

use super::state::{PeerId, Place};
use super::turn::Turn;
use crate::engine::{Note, SocketMailbox, contain};
use crate::options::{Share, Weigh, Weighing};
use crate::origin::Origin;

/// Code of the application is to be asked for the share of a peer. It must not run under a lock.
pub(crate) struct AskShare {
    weigh: Arc<dyn Weigh>,
    origin: Origin,
    mailbox: Arc<SocketMailbox>,
    place: Place,
}

impl AskShare {
    pub(crate) fn run(self) {
        let mut share = Share::default();
        contain(|| share = self.weigh.weigh(&self.origin));
        self.mailbox.post(Note::Share(self.place, share));
    }
}

impl Turn<'_> {
    /// The connection of a peer stands: finds out what share it has, if there are shares.
    pub(super) fn weigh(&mut self, id: PeerId) {
        if !self.pattern.weighs() {
            return;
        }
        let origin = self.net.peers.origin(id);
        match self.net.options.balancing.weighing(&origin) {
            Weighing::Known(share) => self.set_share(id, share),
            Weighing::By(weigh) => {
                let ask = AskShare {
                    weigh,
                    origin,
                    mailbox: Arc::clone(&self.net.mailbox),
                    place: self.net.place_of(id),
                };
                self.net.peers.pool.later.ask_share(ask);
            }
        }
    }

    /// The same for all peers.
    pub(super) fn weigh_all(&mut self) {
        for id in self.net.peers.connected() {
            self.weigh(id);
        }
    }

    /// The answer has come.
    pub(super) fn share_given(&mut self, place: Place, share: Share) {
        if self.net.peers.is_connected_at(place) {
            self.set_share(place.id, share);
        }
    }

    fn set_share(&mut self, id: PeerId, share: Share) {
        self.pattern.set_share(&mut self.net.peers, id, share);
    }
}
