//! Dead letters in the spool of a socket.

use std::time::Duration;

use super::SocketSpool;
use super::keeper::resumed;
use crate::pattern::{DeadLetter, JobId, Pattern, Resumed, dead_reason};
use crate::socket::Socket;
use crate::spool::{OpenSpool, SpoolError, Stored};

impl SocketSpool {
    /// Whether this is the name of a message that is, or was, here.
    fn has_stream(&self, id: JobId) -> bool {
        self.opened()
            .is_ok_and(|spool| spool.stream_id() == id.stream)
    }

    fn dead_letters(&self) -> Vec<DeadLetter> {
        let Ok(spool) = self.opened() else {
            return Vec::new();
        };
        // What cannot be noted is no dead letter yet for who opens the spool again; that has been logged.
        let _ = self.catch_up(&spool);
        let letters = spool.dead_letters().filter_map(|stored| match stored {
            Ok(stored) => Some(letter(&spool, stored)),
            Err(error) => {
                log::error!(target: "zerohop", "a dead letter cannot be read: {error}");
                None
            }
        });
        letters.collect()
    }

    fn remove_dead(&self, number: u64) -> Result<(), SpoolError> {
        let spool = self.opened()?;
        self.catch_up(&spool)?;
        check_dead(&spool, number)?;
        spool.settle([number..=number])?;
        spool.flush()
    }
}

impl<P: Pattern + 'static> Socket<P> {
    /// Those of the spool; where there is none, the socket's own, which are then forgotten.
    pub(in crate::socket) fn dead_letters(&self) -> Vec<DeadLetter> {
        match self.spool() {
            Some(spool) => spool.dead_letters(),
            None => self.take_dead(),
        }
    }

    /// Removes a dead letter from the spool.
    pub(in crate::socket) fn remove_dead(&self, id: JobId) -> Result<(), SpoolError> {
        self.spool_of(id)?.remove_dead(id.number)
    }

    /// Delivers a dead letter of the spool again.
    pub(in crate::socket) fn replay(&self, id: JobId) -> Result<(), SpoolError> {
        let (spool, number) = (self.spool_of(id)?, id.number);
        let opened = spool.opened()?;
        spool.catch_up(&opened)?;
        check_dead(&opened, number)?;
        self.core().amend(|pattern, _| {
            if let Some(acked) = pattern.acked_out() {
                acked.note_replay(number);
            }
        });
        opened.replay(number)?;
        opened.flush()?;
        let message = Resumed {
            age: Duration::ZERO,
            ..resumed(opened.read(number)?)
        };
        self.core().amend(|pattern, net| {
            if let Some(acked) = pattern.acked_out() {
                acked.replay(&mut net.peers, message);
            }
        });
        Ok(())
    }

    fn spool_of(&self, id: JobId) -> Result<&SocketSpool, SpoolError> {
        if !self.core().process().is_current() {
            return Err(SpoolError::Forked);
        }
        let spool = self.spool().filter(|spool| spool.has_stream(id));
        let missing = SpoolError::NoSuchMessage { seq: id.number };
        spool.map(|spool| &**spool).ok_or(missing)
    }
}

/// A message that is to be delivered is the socket's business.
fn check_dead(spool: &OpenSpool, number: u64) -> Result<(), SpoolError> {
    match spool.read(number)?.reason {
        Some(_) => Ok(()),
        None => Err(SpoolError::NoSuchMessage { seq: number }),
    }
}

fn letter(spool: &OpenSpool, stored: Stored) -> DeadLetter {
    DeadLetter {
        peer: None,
        message: stored.message,
        id: JobId {
            stream: spool.stream_id(),
            number: stored.seq,
        },
        deliveries: stored.deliveries,
        reason: dead_reason(stored.reason.as_deref().unwrap_or_default()),
    }
}
