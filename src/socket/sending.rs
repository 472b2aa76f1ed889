//! What PUSH and PUB have in common: the way of a message from `send` into the pattern.

/// `send_by(message, wait)`, over the pattern's `send`, which gives a `$sent`.
macro_rules! sending {
    ($name:ident, $sent:ty) => {
        impl $name {
            #[inline]
            fn send_by<M: $crate::Payload>(
                &self,
                message: M,
                wait: $crate::engine::Wait,
            ) -> Result<$sent, $crate::SendError> {
                use $crate::engine::Outgoing;
                use $crate::socket::send_error;
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
            fn send_outgoing(
                &self,
                outgoing: $crate::engine::Outgoing<'_>,
                wait: $crate::engine::Wait,
            ) -> Result<$sent, $crate::SendErrorKind> {
                let core = self.socket.core();
                let sent = core.at_once(|pattern, net| {
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
            fn send_slowly(
                &self,
                outgoing: $crate::engine::Outgoing<'_>,
                wait: $crate::engine::Wait,
            ) -> Result<$sent, $crate::SendErrorKind> {
                let sent = self.socket.core().until(wait, |pattern, net| {
                    let sent = pattern.send(&mut net.peers, outgoing);
                    net.pace(pattern, sent.is_some());
                    match sent {
                        Some(sent) => Some(Ok(sent)),
                        None => pattern.excess(&net.peers, outgoing).map(Err),
                    }
                });
                match sent {
                    Ok(Ok(sent)) => Ok(sent),
                    Ok(Err(excess)) => Err(excess.into()),
                    Err(stop) => Err($crate::socket::send_error_kind(stop)),
                }
            }
        }
    };
}
