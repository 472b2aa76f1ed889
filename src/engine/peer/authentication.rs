//! Whether a peer is let in: its handshake asks, somebody decides, and the verdict comes back.
//!
//! ```text
//!   handshake ──▶ ask ──▶ a list decides there and then ─────────────────────────────▶ decided
//!                  └────▶ Ask, once the lock is released ──▶ a thread ──▶ Answer ┄┄▶ Note::Verdict ──▶ decided
//! ```
//!
//! Meanwhile the peer is one of those in their handshake, with the deadline and the limits of those; the pattern has not heard of it. What it
//! sends stays where it is, but for as much as it takes to see that it has gone.

use std::sync::Arc;

use super::state::{Asked, Link, PeerId, Place};
use super::turn::Turn;
use crate::auth::{Answer, Ask, AuthRequest, Verdict};
use crate::engine::Question;
use crate::monitor::DisconnectCause;
use crate::zmtp::{Credentials, Principal};

impl Turn<'_> {
    /// A handshake has learned what its peer shows of who it is.
    pub(super) fn ask(&mut self, id: PeerId, credentials: Credentials) {
        let place = self.net.place_of(id);
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        let Link::Handshaking(state) = &mut peer.link else {
            return;
        };
        // Of the options that its handshake has begun with, which may have been set anew meanwhile.
        let handshake = state.machine.config();
        let request = AuthRequest {
            mechanism: handshake.mechanism.name(),
            credentials,
            endpoint: peer.label.to_string(),
            peer: state.stream.peer_label(),
            ip: state.stream.peer_ip(),
            ipc: state.stream.ipc_credentials(),
            domain: self.net.authenticator.domain().to_owned(),
            socket_type: handshake.socket_type,
            routing_id: handshake.routing_id.clone(),
        };
        state.principal = request.principal();
        let authenticator = Arc::clone(&self.net.authenticator);
        if let Some(verdict) = authenticator.decide_at_once(&request, &self.net.context) {
            return self.decided(id, verdict);
        }
        let question = Arc::new(Question::new());
        state.question = Some(Asked(Arc::clone(&question)));
        self.net.peers.pool.later.ask(Ask {
            authenticator,
            request,
            answer: Answer::new(question, Arc::clone(&self.net.mailbox), place),
            context: Arc::clone(&self.net.context),
        });
    }

    /// The verdict on the peer at this place is there.
    pub(super) fn verdict_given(&mut self, place: Place) {
        if !self.net.at_place(place) {
            return;
        }
        let peer = self.net.peers.slab.get_mut(place.id);
        if let Some(Link::Handshaking(state)) = peer.map(|peer| &mut peer.link)
            && let Some(verdict) = state.question.as_ref().and_then(|asked| asked.0.take())
        {
            state.question = None;
            self.decided(place.id, verdict);
        }
    }

    fn decided(&mut self, id: PeerId, verdict: Verdict) {
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        let Link::Handshaking(state) = &mut peer.link else {
            return;
        };
        let (machine, output) = (&mut state.machine, &mut state.output);
        match verdict.into_result() {
            Ok(grant) => {
                if !grant.user_id.is_empty() {
                    state.principal = Some(Principal::User(grant.user_id.clone()));
                }
                match machine.admit(grant, output) {
                    Ok(established) => {
                        state.finished = established;
                        self.advance_handshake(id);
                    }
                    Err(error) => self.connection_lost(id, error.into()),
                }
            }
            Err(denied) => {
                machine.refuse(denied.denial, output);
                self.net.denied += 1;
                let cause = match denied.fault {
                    Some(fault) => DisconnectCause::ZapReply(fault),
                    None => DisconnectCause::Denied {
                        denial: denied.denial,
                        reason: denied.reason,
                    },
                };
                self.connection_lost(id, cause);
            }
        }
    }
}
