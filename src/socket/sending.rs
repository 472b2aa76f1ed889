//! What PUSH and PUB have in common: the way of a message from `send` into the pattern.

use super::{Socket, send_error, send_error_kind};
use crate::engine::{Outgoing, Wait};
use crate::error::{SendError, SendErrorKind};
use crate::message::Payload;
use crate::pattern::Sending;

impl<P: Sending + 'static> Socket<P> {
    /// For as long as a call waits that is not told how long.
    #[inline]
    pub(super) fn send_wait(&self) -> Wait {
        Wait::from_option(self.options().send_timeout)
    }

    #[inline]
    pub(super) fn send<M: Payload>(&self, message: M, wait: Wait) -> Result<P::Sent, SendError> {
        if let Some(slice) = message.as_single() {
            return match self.send_outgoing(Outgoing::Slice(slice), wait) {
                Ok(sent) => Ok(sent),
                Err(kind) => Err(send_error(kind, message)),
            };
        }
        let message = message.into_message();
        self.send_outgoing(Outgoing::Message(&message), wait)
            .map_err(|kind| send_error(kind, message))
    }

    #[inline]
    fn send_outgoing(&self, outgoing: Outgoing<'_>, wait: Wait) -> Result<P::Sent, SendErrorKind> {
        let sent = self.core().at_once(|pattern, net| {
            let sent = pattern.send(&mut net.peers, outgoing);
            net.pace(pattern, sent.is_some());
            sent
        });
        match sent {
            Some(sent) => Ok(sent),
            None => self.send_slowly(outgoing, wait),
        }
    }

    #[inline(never)]
    fn send_slowly(&self, outgoing: Outgoing<'_>, wait: Wait) -> Result<P::Sent, SendErrorKind> {
        let sent = self.core().until(wait, |pattern, net| {
            let sent = pattern.send_any(&mut net.peers, outgoing);
            net.pace(pattern, sent.is_some());
            match sent {
                Some(sent) => Some(Ok(sent)),
                None => pattern.excess(&net.peers, outgoing).map(Err),
            }
        });
        match sent {
            Ok(Ok(sent)) => Ok(sent),
            Ok(Err(excess)) => Err(excess.into()),
            Err(stop) => Err(send_error_kind(stop)),
        }
    }
}
