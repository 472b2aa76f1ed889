//! Options that change while there are peers.
//!
//! There is one way: all options are set anew, and whatever has been made of them is made again. What connections have of them they keep, but for
//! high-water marks.

use std::sync::Arc;

use super::bytes::ByteLimits;
use super::link::unlimited;
use super::net::{handshake, is_immediate, stream_options};
use super::notices::Notices;
use super::state::{Link, Origin, Peer, PeerId};
use super::turn::Turn;
use crate::auth::Authenticator;
use crate::engine::driving::attention::Changes;
use crate::error::{OptionError, ReconfigureError};
use crate::options::{Change, OptionInfo, Options};
use crate::zmtp::HandshakeConfig;

/// What has been replaced, to be dropped once no lock is held.
pub(crate) struct Replaced {
    _options: Arc<Options>,
    _authenticator: Arc<Authenticator>,
    _handshake: Arc<HandshakeConfig>,
}

impl Turn<'_> {
    /// Changes what somebody who had the options `before` has changed to `after`; or nothing, if one of it cannot be changed, or
    /// everyone would be let in where listeners were bound for some.
    pub(crate) fn reconfigure(
        &mut self,
        before: &Options,
        after: &Options,
    ) -> Result<Option<Replaced>, ReconfigureError> {
        let mut options = Options::clone(&self.net.options);
        let changed = options.take_over(before, after);
        if changed.is_empty() {
            return Ok(None);
        }
        self.check_change(&options, &changed)?;
        let stream_options = stream_options(&options);
        for listening in self.net.listeners.iter_mut().flatten() {
            if let Err(error) = listening.listener.set_options(&stream_options) {
                let text = format_args!("{}: {error}", listening.endpoint);
                self.net.peers.pool.later.log(log::Level::Warn, text);
            }
        }
        // Not shared with other sockets: what those have let go of might have to be dropped here, under the lock.
        let authenticator = Arc::new(Authenticator::new(&options));
        let handshake = handshake(
            self.pattern,
            &options,
            self.net.context.budget(),
            authenticator.is_there(),
        );
        self.net.notices = Notices::new(handshake.socket_type, &options);
        self.net.immediate = is_immediate(self.pattern, &options);
        let replaced = Replaced {
            _options: std::mem::replace(&mut self.net.options, Arc::new(options)),
            _authenticator: std::mem::replace(&mut self.net.authenticator, authenticator),
            _handshake: std::mem::replace(&mut self.net.handshake, Arc::new(handshake)),
        };
        self.set_waits();
        self.set_marks();
        self.pattern
            .reconfigure(&mut self.net.peers, &self.net.options);
        if changed.iter().any(|row| row.name == "balancing") {
            self.weigh_all();
        }
        self.net.changes.add(Changes::PEERS);
        Ok(Some(replaced))
    }

    fn check_change(
        &self,
        options: &Options,
        changed: &[&'static OptionInfo],
    ) -> Result<(), ReconfigureError> {
        let socket_type = self.net.handshake.socket_type;
        for row in changed {
            if let Change::Fixed(why) = row.change
                && row.applies_to(socket_type)
            {
                return Err(OptionError::fixed(row.name, why).into());
            }
        }
        options.validate()?;
        if self.net.raw {
            options.check_unsecured(socket_type)?;
        }
        if let Some((option, why)) = self.pattern.objection(options) {
            return Err(OptionError::fixed(option, why).into());
        }
        match self.net.reachable_endpoint() {
            Some(endpoint) if options.loopback_only() => {
                Err(ReconfigureError::Insecure { endpoint })
            }
            _ => Ok(()),
        }
    }

    /// The next wait before a connection is made again is as the options say.
    fn set_waits(&mut self) {
        let waits = self.net.reconnect_waits();
        for (_, peer) in &mut self.net.peers.slab {
            match &mut peer.origin {
                Origin::Dialed(dialer) => dialer.set_waits(waits),
                Origin::Offered(offerer) => offerer.set_waits(waits),
                Origin::Accepted(_) | Origin::Bound(_) => {}
            }
        }
    }

    /// High-water marks hold for the peers that are there. What is queued stays.
    fn set_marks(&mut self) {
        let (send_hwm, recv_hwm) = (self.net.options.send_hwm, self.net.options.recv_hwm);
        let ids: Vec<PeerId> = self.net.peers.slab.iter().map(|(id, _)| id).collect();
        for id in ids {
            let Some(peer) = self.net.peers.slab.get_mut(id) else {
                continue;
            };
            let had_room = peer.has_room();
            peer.change_send_hwm(send_hwm);
            if peer.change_recv_hwm(unlimited(recv_hwm), self.pattern.waiting(id)) {
                self.net.peers.resumable.push(id);
            }
            if !had_room && self.net.peers.has_room(id) {
                self.announce_room(id);
            }
        }
    }
}

impl Peer {
    /// Sets the mark of messages to send, 0 for none. Over inproc that of the receiver comes on top, as it was when the two were connected.
    fn change_send_hwm(&mut self, hwm: usize) {
        let hwm = match &self.link {
            Link::Inproc(link) => link.mark(hwm),
            _ => unlimited(hwm),
        };
        if self.is_sent_to() {
            self.set_normal_hwm(hwm);
        }
    }

    /// Sets the mark of messages to receive, of which so many wait with the pattern. `true`: reading is to go on.
    fn change_recv_hwm(&mut self, hwm: usize, waiting: usize) -> bool {
        if matches!(self.link, Link::Inproc(_)) {
            return false;
        }
        self.recv_hwm = hwm;
        if !self.paused {
            return false;
        }
        if self.may_resume(self.inbound.messages() + waiting) {
            self.resume();
            return true;
        }
        self.mark_pause();
        false
    }

    /// A connection begins: the limits in bytes are those of the options. `true`: by those before there was no room, and the pattern waits to be
    /// told that there is.
    pub(super) fn renew_byte_limits(&mut self, options: &Options) -> bool {
        let limits = match self.bytes.as_deref_mut() {
            Some(limits) => limits.renewed(options),
            None => ByteLimits::new(options, None),
        };
        if limits.is_none() && self.bytes.is_none() {
            return false;
        }
        let was_full = self.is_full_of_bytes();
        let (hwm, in_flight) = (
            self.normal_hwm(),
            self.bytes.as_ref().map_or(0, |limits| limits.in_flight),
        );
        self.set_send_hwm(hwm);
        self.gathered_at_most = ByteLimits::gathered_at_most(limits.as_deref());
        self.bytes = limits;
        if let Some(limits) = &mut self.bytes {
            limits.in_flight = in_flight;
        }
        was_full
    }
}
